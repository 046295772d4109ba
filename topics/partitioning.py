"""Which shard owns an account, and which an instrument.

Shards are numbered like the partitions of their command topic. The number of shards is the topic's number of partitions, asked from
the broker by each shell: it is never taken from a setting once the topic exists.
"""

from typing import Any

import numpy as np

RowsOf = slice | np.ndarray[Any, np.dtype[np.intp]]
"""What picks some rows of an array."""


def account_shard(account: int, account_shards: int) -> int:
    """The partition of account.commands that owns the account."""
    return account % account_shards


def book_shard(instrument: int, book_shards: int) -> int:
    """The partition of book.commands that owns the instrument."""
    return instrument % book_shards


def split_by(owner: np.ndarray[Any, np.dtype[Any]], shards: int) -> list[tuple[int, RowsOf]]:
    """(shard, its rows in their order) for each shard that owns any row; `owner` is the account or instrument column.

    Its rows: their indices, or a slice of all where there is but one shard, so that taking them copies nothing.
    """
    if shards == 1:
        return [(0, slice(None))] if len(owner) else []
    home = owner % np.asarray(shards, owner.dtype)
    return [(shard, rows) for shard in range(shards) if len(rows := np.flatnonzero(home == shard))]
