"""Which shard owns an account, and which an instrument.

Shards are numbered like the partitions of their command topic. The number of shards is the topic's number of partitions. Each process asks
the broker for it: once the topic exists, it never comes from a setting.
"""

from typing import Any

import numpy as np

RowsOf = slice | np.ndarray[Any, np.dtype[np.intp]]
"""Selects rows of an array."""


def account_shard(account: int, account_shards: int) -> int:
    """The partition of account.commands that owns the account."""
    return account % account_shards


def book_shard(instrument: int, book_shards: int) -> int:
    """The partition of book.commands that owns the instrument."""
    return instrument % book_shards


def split_by(owner: np.ndarray[Any, np.dtype[Any]], shards: int) -> list[tuple[int, RowsOf]]:
    """(shard, its rows in their order) for each shard that owns any row; `owner` is the account or instrument column.

    Its rows: their indices, or with a single shard a slice of all, so that selecting them copies nothing.
    """
    if shards == 1:
        return [(0, slice(None))] if len(owner) else []
    home = owner % np.asarray(shards, owner.dtype)
    return [(shard, rows) for shard in range(shards) if len(rows := np.flatnonzero(home == shard))]
