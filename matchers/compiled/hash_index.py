"""Open-addressing index from a hash to a row number, for the kernels.

A table is a u64 array, its length a power of two: entry = hash (upper 32 bits) | row number (lower 32 bits), 0 = empty; rows are numbered from 1.
Linear probing from hash & (length - 1); removal shifts back what follows, so there are no tombstones. The keys are in the rows:
`find` loops are written where the rows are known. The caller keeps at least half of the table empty.

Where an entry lies never shows in any output, so snapshots leave the tables out and a restore fills new ones.
"""

from typing import Any

import numpy as np

from matchers.compiled.compilation import helper

U = np.uint64
_LOW32 = U(0xFFFFFFFF)
_S32 = U(32)
_ZERO = U(0)
_ONE = U(1)


@helper
def mix(word: Any) -> Any:
    """Finaliser of splitmix64, as schemas.ids has it."""
    word = (word ^ (word >> U(30))) * U(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> U(27))) * U(0x94D049BB133111EB)
    return word ^ (word >> U(31))


@helper
def hash_of(word: Any) -> Any:
    """The 32-bit hash of a u64 key."""
    return mix(word) >> _S32


@helper
def hash_of_pair(first: Any, second: Any) -> Any:
    """The 32-bit hash of two u64."""
    return mix(mix(first) + second) >> _S32


@helper
def index_next(table: Any, hashed: Any, at: Any) -> Any:
    """(row, next place) of the next entry with this hash from place `at` on; row 0: there is none. Begin with at = hashed."""
    mask = U(table.shape[0] - 1)
    at = at & mask
    while True:
        entry = table[at]
        if entry == _ZERO:
            return np.int64(0), at
        at = (at + _ONE) & mask
        if entry >> _S32 == hashed:
            return np.int64(entry & _LOW32), at


@helper
def index_insert(table: Any, hashed: Any, row: Any) -> None:
    """Add an entry."""
    mask = U(table.shape[0] - 1)
    at = hashed & mask
    while table[at] != _ZERO:
        at = (at + _ONE) & mask
    table[at] = (hashed << _S32) | U(row)


@helper
def index_remove(table: Any, hashed: Any, row: Any) -> None:
    """Take out an entry that is there, and close the gap."""
    mask = U(table.shape[0] - 1)
    gap = hashed & mask
    entry = (hashed << _S32) | U(row)
    while table[gap] != entry:
        gap = (gap + _ONE) & mask
    at = gap
    while True:
        at = (at + _ONE) & mask
        entry = table[at]
        if entry == _ZERO:
            break
        home = (entry >> _S32) & mask
        if ((at - home) & mask) >= ((at - gap) & mask):  # the entry's home is not behind the gap: it may move there
            table[gap] = entry
            gap = at
    table[gap] = _ZERO


@helper
def index_refill(old: Any, new: Any) -> None:
    """Add all entries of `old` to `new`."""
    for at in range(old.shape[0]):
        if old[at] != _ZERO:
            index_insert(new, old[at] >> _S32, old[at] & _LOW32)
