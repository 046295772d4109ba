"""The book shard that the exchange runs."""

from matchers.reference_book_shard import BookShard
from matchers.shard_outputs import BookOutput

__all__ = ["BookOutput", "BookShard"]
