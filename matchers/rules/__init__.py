"""What every shard agrees on: which orders exist, what they need, limits, and what comes out."""
