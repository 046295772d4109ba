"""The book shard: every trade, cancel and expiry of its instruments."""
