"""What tests of several folders share: a log in memory, an edge that listens, a reader of a topic, kernels without the compiler."""
