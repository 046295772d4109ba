"""The canonical form of a shard's state: its hash, its layouts, the head of its snapshots."""
