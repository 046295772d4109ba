"""The account shard: who may send which order, holds, postings."""
