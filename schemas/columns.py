"""The columns of a frame of many rows as few bytes, and back: compiled loops over the rows.

A column of n numbers is written in the shortest of these forms; its length says which it is, because n > 8 wherever packed forms are used:

    nothing                  every value is zero
    8 + n * w bytes          a base (8 bytes, little-endian) and n codes of w = 1, 2 or 4 bytes, fewer than a value has:
                             value = 0 if code == 0 else base + code (modulo 2**64)
    8 bytes                  w = 0: every value is the base
    n * size bytes           the values themselves

So an id that begins at 2**44 and a price near 18,000 take one or two bytes per row, also between rows that have none (zero). Known as frame of
reference: Goldstein, Ramakrishnan and Shaft, "Compressing relations and indexes", ICDE 1998.

Text of n values is n * width bytes, zero-padded to the longest.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numba
import numpy as np

Array = np.ndarray[Any, Any]

FEW_ROWS: Final = 8
"""Up to so many rows the lengths of two forms could be the same: 8 + n * w = n * size only where n divides 8."""
BASE_BYTES: Final = 8
_U64: Final = (1 << 64) - 1
_WIDTHS: Final = ((0,), (0, 1), (0, 1, 2), (0, 1, 2, 4))
"""Of codes, by log2 of a value's size."""
_BLOCK: Final = 256
"""Rows that are worked on column by column: 256 x ~300 B stay in the first two caches, so memory is gone through once and not once a column."""
EMPTY: Final = -1
PLAIN: Final = -2
"""Widths of columns that have no base: of zeros throughout, and of values as they are."""
_PADDING: Final = [b"\0" * (-length % 8) for length in range(8)]
"""By length modulo 8: columns are read as wide words, so each begins at a multiple of 8 bytes."""


def layout_of(columns: Iterable[tuple[int, int]]) -> Array:
    """The layout of rows whose columns have these (offset in the row, bytes): i64[columns, 2], offset in units of the size, log2 of the size."""
    return np.array([(offset // size, size.bit_length() - 1) for offset, size in columns], np.int64).reshape(-1, 2)


def columns_of(rows: Array, layout: Array) -> list[bytes]:
    """Each column of the rows in its shortest form. `rows` has more than 8 rows, plain values otherwise."""
    rows = rows if rows.flags.carray else np.array(rows)
    out, plan = np.empty((rows.nbytes >> 3) + len(layout) + 1, np.uint64), np.empty((len(layout), 3), np.int64)
    pack(*_views_of(rows), layout, *_words_of(out), plan)
    data, count = out.view(np.uint8).data, len(rows)
    columns = []
    for (base, width, begin), (_, size_log) in zip(plan.tolist(), layout.tolist(), strict=True):
        if width == EMPTY:
            columns.append(b"")
        elif width == PLAIN:
            columns.append(bytes(data[begin : begin + (count << size_log)]))
        else:
            columns.append((base & _U64).to_bytes(BASE_BYTES, "little") + data[begin : begin + count * width])
    return columns


def rows_of(columns: Sequence[bytes], count: int, dtype: np.dtype[Any], layout: Array) -> Array:
    """Rows of the columns. Raises BadColumn for the first that is as long as no form is; with 8 rows or fewer only plain forms are known."""
    parts: list[bytes] = []
    plan, begin = [], 0
    for number, (column, (_, size_log)) in enumerate(zip(columns, layout.tolist(), strict=True)):
        length = len(column)
        base, width, at = 0, EMPTY, begin
        if length == count << size_log and count:
            width = PLAIN
        elif length:
            width, left_over = divmod(length - BASE_BYTES, count) if count > FEW_ROWS else (0, 1)
            if left_over or width not in _WIDTHS[size_log]:
                raise BadColumn(number)
            base, at = int.from_bytes(column[:BASE_BYTES], "little", signed=True), begin + BASE_BYTES
        plan.append((base, width, at))
        parts += (column, _PADDING[length & 7])
        begin += length + 7 & -8
    rows = np.zeros(count, dtype)
    words = np.frombuffer(b"".join((*parts, bytes(8))), np.uint64)  # numpy makes no array of nothing
    unpack(*_words_of(words), np.array(plan, np.int64).reshape(-1, 3), layout, *_views_of(rows))
    return rows


def text_of(values: Array) -> bytes:
    """An S-array as zero-padded text as narrow as its longest value; nothing when every value is empty."""
    values = np.ascontiguousarray(values)
    width = text_width(values.view(np.uint8).reshape(len(values), values.dtype.itemsize))
    return values.astype(f"S{width}", copy=False).tobytes() if width else b""


def warm() -> None:
    """Compile the loops, or load them from numba's cache: seconds the first time."""
    rows, layout = np.zeros(FEW_ROWS + 1, np.dtype([("one", "<u8")])), layout_of([(0, 8)])
    rows_of(columns_of(rows, layout), len(rows), rows.dtype, layout)
    text_of(np.array([b"a"]))


class BadColumn(Exception):
    """The column with this number has a length that no form has."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _compiled(function: Any) -> Any:
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)


def _inlined(function: Any) -> Any:
    options = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    return numba.njit(**options)(function)  # type: ignore[call-overload]


def _views_of(rows: Array) -> tuple[Array, Array, Array, Array]:
    """The memory of contiguous rows as words of 1, 2, 4 and 8 bytes, one row per row; no columns of words that a row has no whole number of."""
    step, count = rows.dtype.itemsize, len(rows)
    one, two, four, eight = (
        rows.view(f"u{size}").reshape(count, step // size) if step % size == 0 else np.zeros((count, 0), f"u{size}")
        for size in (1, 2, 4, 8)
    )
    return one, two, four, eight


def _words_of(memory: Array) -> tuple[Array, Array, Array, Array]:
    """u64[n] as words of 1, 2, 4 and 8 bytes."""
    return memory.view(np.uint8), memory.view(np.uint16), memory.view(np.uint32), memory


@_inlined
def _look(view: Any, at: Any, first: Any, last: Any, seen: Any) -> None:
    """Least and greatest of the values that are not zero, and whether there was a zero. u64 as i64: differences are modulo 2**64 anyway."""
    least, greatest, zeros = seen[0], seen[1], seen[2]
    values = view[first:last, at]
    for row in range(last - first):
        value = np.int64(values[row])
        least = min(least, value) if value != 0 else least
        greatest = max(greatest, value) if value != 0 else greatest
        zeros |= value == 0
    seen[0], seen[1], seen[2] = least, greatest, zeros


@_inlined
def _choose(seen: Any, size_log: Any, plan: Any) -> None:
    """plan: base and width of the codes for what was seen of a column."""
    least, greatest, zeros = seen[0], seen[1], seen[2]
    plan[0], plan[1] = 0, PLAIN
    if least > greatest:
        plan[1] = EMPTY
    elif least == greatest and zeros == 0:
        plan[0], plan[1] = least, 0
    else:
        codes = np.uint64(greatest - least) + np.uint64(1)  # 0 would be 2**64: all of them are in use
        for width_log in range(min(size_log, 3)):
            if codes != 0 and codes >> np.uint64(8 << width_log) == 0:
                plan[0], plan[1] = least - 1, 1 << width_log
                break


@_inlined
def _write(view: Any, at: Any, first: Any, last: Any, out: Any, begin: Any, base: Any) -> None:
    values, codes = view[first:last, at], out[begin + first : begin + last]  # indices that begin at 0 are not checked for being negative
    for row in range(last - first):
        value = np.int64(values[row])
        codes[row] = value - base if value != 0 else 0


@_inlined
def _write_codes(view: Any, at: Any, first: Any, last: Any, out1: Any, out2: Any, out4: Any, begin: Any, base: Any, width: Any) -> None:
    if width == 1:
        _write(view, at, first, last, out1, begin, base)
    elif width == 2:
        _write(view, at, first, last, out2, begin >> 1, base)
    elif width == 4:
        _write(view, at, first, last, out4, begin >> 2, base)


@_inlined
def _differences(v8: Any, first: Any, last: Any, differ: Any) -> None:
    """Adds to differ[word] the bits in which any row's word is not that of the first row."""
    for row in range(first, last):
        for word in range(v8.shape[1]):
            differ[word] |= v8[row, word] ^ v8[0, word]


@_inlined
def _varies(differ: Any, at: Any, size_log: Any) -> Any:
    """Whether the rows have different values in the column."""
    first_bit = at << (size_log + 3)
    mask = ~np.uint64(0) if size_log == 3 else (np.uint64(1) << np.uint64(8 << size_log)) - np.uint64(1)
    return (differ[first_bit >> 6] >> np.uint64(first_bit & 63)) & mask != 0


@_compiled
def pack(v1: Any, v2: Any, v4: Any, v8: Any, layout: Any, o1: Any, o2: Any, o4: Any, o8: Any, plan: Any) -> Any:
    """Codes of all columns into the words o1..o8, each column from a multiple of 8 bytes on; returns the bytes used.

    layout: i64[columns, 2], place in a row in units of the column's size, log2 of that size. plan: i64[columns, 3], filled with base, width of a code (or EMPTY,
    PLAIN), first byte. Most columns of a frame are the same throughout, and whole words say so faster than columns: only those that vary are looked at one by one.
    """
    rows, columns = v1.shape[0], layout.shape[0]
    differ = np.zeros(v8.shape[1], np.uint64)
    for first in range(0, rows, _BLOCK):
        _differences(v8, first, min(first + _BLOCK, rows), differ)
    seen = np.empty((columns, 3), np.int64)
    varying = np.empty(columns, np.int64)
    count = 0
    for column in range(columns):
        seen[column, 0], seen[column, 1], seen[column, 2] = np.iinfo(np.int64).max, np.iinfo(np.int64).min, 0
        if _varies(differ, layout[column, 0], layout[column, 1]):
            varying[count] = column
            count += 1
        else:
            _look_at(v1, v2, v4, v8, layout[column], 0, 1, seen[column])
    for first in range(0, rows, _BLOCK):
        last = min(first + _BLOCK, rows)
        for at in range(count):
            _look_at(v1, v2, v4, v8, layout[varying[at]], first, last, seen[varying[at]])
    end = 0
    for column in range(columns):
        size_log = layout[column, 1]
        _choose(seen[column], size_log, plan[column])
        width = plan[column, 1] if plan[column, 1] != PLAIN else 1 << size_log
        plan[column, 2] = end
        end += (max(width, 0) * rows + 7) & -8
    for first in range(0, rows, _BLOCK):
        last = min(first + _BLOCK, rows)
        for at in range(count):
            column = varying[at]
            _write_column(v1, v2, v4, v8, layout[column], first, last, o1, o2, o4, o8, plan[column])
    return end


@_inlined
def _look_at(v1: Any, v2: Any, v4: Any, v8: Any, column: Any, first: Any, last: Any, seen: Any) -> None:
    at, size_log = column[0], column[1]
    if size_log == 3:
        _look(v8, at, first, last, seen)
    elif size_log == 2:
        _look(v4, at, first, last, seen)
    elif size_log == 1:
        _look(v2, at, first, last, seen)
    else:
        _look(v1, at, first, last, seen)


@_inlined
def _write_column(
    v1: Any, v2: Any, v4: Any, v8: Any, column: Any, first: Any, last: Any, o1: Any, o2: Any, o4: Any, o8: Any, plan: Any
) -> None:
    at, size_log, base, width, begin = column[0], column[1], plan[0], plan[1], plan[2]
    if size_log == 3:
        if width == PLAIN:
            _write(v8, at, first, last, o8, begin >> 3, 0)
        else:
            _write_codes(v8, at, first, last, o1, o2, o4, begin, base, width)
    elif size_log == 2:
        _write_codes(v4, at, first, last, o1, o2, o4, begin, base, 4 if width == PLAIN else width)
    elif size_log == 1:
        _write_codes(v2, at, first, last, o1, o2, o4, begin, base, 2 if width == PLAIN else width)
    else:
        _write_codes(v1, at, first, last, o1, o2, o4, begin, base, 1)


@_inlined
def _read(codes: Any, begin: Any, first: Any, last: Any, view: Any, at: Any, base: Any) -> None:
    values, part = view[first:last, at], codes[begin + first : begin + last]
    for row in range(last - first):
        code = np.int64(part[row])
        values[row] = code + base if code != 0 else 0


@_inlined
def _read_codes(i1: Any, i2: Any, i4: Any, begin: Any, width: Any, first: Any, last: Any, view: Any, at: Any, base: Any) -> None:
    if width == 0:
        values = view[first:last, at]
        for row in range(last - first):
            values[row] = base
    elif width == 1:
        _read(i1, begin, first, last, view, at, base)
    elif width == 2:
        _read(i2, begin >> 1, first, last, view, at, base)
    elif width == 4:
        _read(i4, begin >> 2, first, last, view, at, base)


@_compiled
def unpack(i1: Any, i2: Any, i4: Any, i8: Any, plan: Any, layout: Any, v1: Any, v2: Any, v4: Any, v8: Any) -> None:
    """The rows, zeroed, of which the words i1..i8 have the columns; layout and plan as those of pack."""
    rows, columns = v1.shape[0], layout.shape[0]
    for first in range(0, rows, _BLOCK):
        last = min(first + _BLOCK, rows)
        for column in range(columns):
            at, size_log, base, width, begin = layout[column, 0], layout[column, 1], plan[column, 0], plan[column, 1], plan[column, 2]
            if width == EMPTY:
                continue
            if width == PLAIN:
                base, width = 0, 1 << size_log
            if size_log == 3:
                if width == 8:
                    _read(i8, begin >> 3, first, last, v8, at, 0)
                else:
                    _read_codes(i1, i2, i4, begin, width, first, last, v8, at, base)
            elif size_log == 2:
                _read_codes(i1, i2, i4, begin, width, first, last, v4, at, base)
            elif size_log == 1:
                _read_codes(i1, i2, i4, begin, width, first, last, v2, at, base)
            else:
                _read_codes(i1, i2, i4, begin, width, first, last, v1, at, base)


@_compiled
def text_width(text: Any) -> Any:
    """Bytes of the longest of zero-padded texts, u8[rows, bytes]."""
    width = 0
    for row in range(text.shape[0]):
        for at in range(text.shape[1] - 1, width - 1, -1):
            if text[row, at] != 0:
                width = at + 1
                break
    return width
