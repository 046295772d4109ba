"""The book engines that the tests of this folder drive."""

from typing import Any, Final

import pytest

from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard

BOOK_ENGINES: Final[dict[str, Any]] = {"reference": reference_book_shard.BookShard, "kernel": book_shard.BookShard}
"""Every test with a `book_engine` runs once for each."""


@pytest.fixture(params=list(BOOK_ENGINES))
def book_engine(request: pytest.FixtureRequest) -> Any:
    """The BookShard of one engine."""
    return BOOK_ENGINES[request.param]
