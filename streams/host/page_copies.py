"""A copy of an array at the last snapshot, in pages. Changes since then are found by comparing, exactly and at the speed of memory.

Memory: as much as the array, twice at most in address space. It grows by a segment as large as all before it, so growing copies nothing.
"""

from typing import Any, Final

import numba
import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Words = np.ndarray[Any, np.dtype[np.uint64]]

PAGE_BYTES: Final = 64 << 10
"""Large enough that Faust recovers few records (it reads < 5,000/s), small enough that one changed order does not write megabytes."""
_PAGE_WORDS: Final = PAGE_BYTES // 8
_LINE_WORDS: Final = 64
"""Words that are compared without a branch: the processor does eight at a time."""


@numba.njit(cache=True, nogil=True)
def take_changed(now: Any, copy: Any, changed: Any) -> Any:
    """Make the first pages of `copy` equal to `now`, u64[pages, words]; how many were not, their numbers in `changed`. A page is read up to its first difference only."""
    count = 0
    for page in range(now.shape[0]):
        for first in range(0, _PAGE_WORDS, _LINE_WORDS):
            differ = np.uint64(0)
            for word in range(first, first + _LINE_WORDS):
                differ |= now[page, word] ^ copy[page, word]
            if differ != 0:
                for word in range(first, _PAGE_WORDS):
                    copy[page, word] = now[page, word]
                changed[count] = page
                count += 1
                break
    return count


class PageCopy:
    """One array's copy. `slots`, `digests`: of the pages that its writer has stored; the copy itself may have more (what was read at the start)."""

    def __init__(self) -> None:
        self.slots = bytearray()
        self.digests: list[bytes] = []
        self._segments: list[Words] = []
        self._pages = 0

    def take(self, array: np.ndarray[Any, np.dtype[Any]]) -> list[int]:
        """Make the copy equal to a contiguous array; the pages that are to be written because of it, each in the slot that it now has."""
        data = array.reshape(-1).view(np.uint8) if array.size else np.zeros(0, np.uint8)
        whole, rest = divmod(len(data), PAGE_BYTES)
        count, stored = whole + (rest > 0), len(self.slots)
        self.reserve(count)
        changed = self._take_whole(data[: whole * PAGE_BYTES].view(np.uint64).reshape(whole, _PAGE_WORDS))
        if rest and self._take_rest(whole, data[whole * PAGE_BYTES :]):
            changed.append(whole)
        self.slots = (self.slots + bytes(max(count - stored, 0)))[:count]
        self.digests = (self.digests + [b""] * max(count - stored, 0))[:count]
        again = [page for page in changed if page < stored]
        for page in again:
            self.slots[page] ^= 1
        return [*again, *range(stored, count)]

    def _take_whole(self, data: Words) -> list[int]:
        """Pages that differ, copied."""
        changed: list[int] = []
        first = 0
        for segment in self._segments:
            now = data[first : first + len(segment)]
            found = np.empty(len(now), np.int64)
            changed += (first + found[: take_changed(now, segment, found)]).tolist()
            first += len(segment)
        return changed

    def _take_rest(self, page: int, data: Bytes) -> bool:
        """The last page, which ends in zeros."""
        copy = self.page(page)
        if np.array_equal(copy[: len(data)], data) and not copy[len(data) :].any():
            return False
        copy[: len(data)], copy[len(data) :] = data, 0
        return True

    def reserve(self, pages: int) -> None:
        """Make room for so many pages; memory is taken as it is touched."""
        if pages > self._pages:
            more = max(pages - self._pages, self._pages)
            self._segments.append(np.zeros((more, _PAGE_WORDS), np.uint64))
            self._pages += more

    def page(self, number: int) -> Bytes:
        """PAGE_BYTES that belong to the copy."""
        for segment in self._segments:
            if number < len(segment):
                data: Bytes = segment[number].view(np.uint8)
                return data
            number -= len(segment)
        raise IndexError(number)

    def head(self, length: int) -> Bytes:
        """The first bytes, of a copy that was reserved at once."""
        assert length <= self._pages * PAGE_BYTES and len(self._segments) <= 1, "in one segment"
        return self._segments[0].reshape(-1).view(np.uint8)[:length] if length else np.zeros(0, np.uint8)
