"""Growing the arrays of the kernels: capacities are powers of two, an index has twice as many places as its pool has rows."""

from typing import Any, Final

import numpy as np

from schemas.codec import Rows

ROWS_AT_FIRST: Final = 1 << 10


def capacity_for(rows: int) -> int:
    """The power of two that holds `rows` and one more, at least ROWS_AT_FIRST."""
    return max(ROWS_AT_FIRST, 1 << rows.bit_length())


def new_pool(dtype: np.dtype[Any], rows: int, *width: int) -> Rows:
    """A zeroed pool; memory that is never touched is never really taken."""
    return np.zeros((rows, *width), dtype)


def grown(pool: Rows, rows: int) -> Rows:
    """A pool of `rows` rows that begins with the old one's."""
    larger = new_pool(pool.dtype, rows, *pool.shape[1:])
    put_rows(larger, pool)
    return larger


def put_rows(pool: Rows, rows: Rows) -> None:
    """Overwrite the beginning of a contiguous pool. As bytes, which is one copy of memory; as records it would be one a field."""
    if rows.size:
        size = rows.nbytes
        pool.reshape(-1).view(np.uint8)[:size] = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)


def new_index(pool_rows: int) -> Rows:
    """An empty index for a pool."""
    return np.zeros(2 * pool_rows, np.uint64)


def kernel_rows(rows: Rows, dtype: np.dtype[Any]) -> Rows:
    """The rows as the kernels were compiled for: contiguous, aligned and writable; copied if they are not. Other types are an assertion."""
    assert rows.dtype == dtype, f"rows are not of the expected type: {rows.dtype}"
    return rows if rows.flags.carray else np.array(rows)


def text_words_of(cl_ord_id: Rows) -> Rows:
    """A copy of an S-array as u64[rows, words]."""
    width = max(-(-cl_ord_id.dtype.itemsize // 8), 1) * 8
    return np.array(cl_ord_id, f"S{width}").view(np.uint64).reshape(len(cl_ord_id), width // 8)


def text_of_words(words: Rows, rows: int, width_words: int) -> Rows:
    """The first `rows` rows of u64[.., words] as an S-array of width_words * 8 bytes, at least 8."""
    width_words = max(width_words, 1)
    return np.ascontiguousarray(words[:rows, :width_words]).view(f"S{8 * width_words}").reshape(rows)
