"""The deterministic core: account shards and book shards, each as a readable reference and as a compiled kernel. No I/O, no clock, no chance."""
