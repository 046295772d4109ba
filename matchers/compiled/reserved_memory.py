"""Zeroed arrays that are as long as they may ever get: address space is reserved, memory is taken page by page as it is touched."""

import mmap
import sys
from typing import Any, Final

import numpy as np

from schemas.codec import Rows

_SMALL_BYTES: Final = 2 << 20
"""The beginning of an array keeps small pages, so that small shards stay small; huge pages behind it spare most of the misses of address translation."""
_NO_RESERVE: Final = 0x4000 if sys.platform == "linux" else 0
"""MAP_NORESERVE, which the module mmap has from Python 3.13 on: the system does not ask whether it could serve all of it at once."""


def reserved(dtype: np.dtype[Any], rows: int, *width: int) -> Rows:
    """A zeroed array of shape (rows, *width). It keeps its memory until it is collected; raises OSError without address space."""
    shape = (rows, *width)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    if size > 2 * _SMALL_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE, _SMALL_BYTES)
    return np.frombuffer(memory, dtype, count=int(np.prod(shape, dtype=object))).reshape(shape)
