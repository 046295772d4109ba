"""Columns of many rows: every form is chosen where it is the shortest, says by its length which it is, and gives back the very values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import columns

SIZES = {"u1": 1, "<u2": 2, "<u4": 4, "<u8": 8, "<i8": 8}


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compiling is not what the examples are timed for."""
    columns.warm()


def packed(values: list[int], dtype: str) -> bytes:
    """The column of so many values, after a check that they come back."""
    rows = np.zeros(len(values), np.dtype([("before", "u1"), ("value", dtype), ("behind", "<u8")], align=True))
    rows["value"] = np.array(values, dtype)
    layout = columns.layout_of([(0, 1), (rows.dtype.fields["value"][1], SIZES[dtype])])
    both = columns.columns_of(rows, layout)
    assert (columns.rows_of(both, len(rows), rows.dtype, layout)["value"] == rows["value"]).all()
    assert both[0] == b""
    return both[1]


def decoded(column: bytes, count: int, dtype: str = "<u8") -> list[int]:
    """The values as columns.py's head describes them, in plain Python: what a client in another language would write."""
    size = SIZES[dtype]
    if len(column) in (0, count * size):
        return np.frombuffer(column or bytes(count * size), dtype).tolist()
    base, width = int.from_bytes(column[:8], "little"), (len(column) - 8) // count
    codes = [int.from_bytes(column[8 + row * width : 8 + (row + 1) * width], "little") if width else 1 for row in range(count)]
    whole = [(base + (code if width else 0)) % 2**64 if code else 0 for code in codes]
    return [value - 2**64 if dtype == "<i8" and value >= 2**63 else value for value in whole]


@pytest.mark.parametrize(
    ("values", "dtype", "length"),
    [
        ([0] * 9, "<u8", 0),
        ([5] * 9, "<u8", 8),
        ([5] * 9, "u1", 8),
        ([-(2**63)] * 9, "<i8", 8),
        ([2**64 - 1] * 9, "<u8", 8),
        ([*range(9)], "u1", 9),
        ([18_000 + n for n in range(9)], "<i8", 8 + 9),
        ([0, 2**44 + 1] * 5, "<u8", 8 + 10),
        ([2**44 + n for n in range(255)], "<u8", 8 + 255),
        ([2**44 + n for n in range(256)], "<u8", 8 + 2 * 256),
        ([2**44 + 257 * n for n in range(256)], "<u8", 8 + 4 * 256),
        ([2**44 + n for n in range(9)] + [1], "<u8", 8 * 10),
        ([-(2**63), 2**63 - 1] * 5, "<i8", 8 * 10),
        ([-5, 0, 5] * 3, "<i8", 8 + 9),
        ([40_000 + n for n in range(9)], "<u2", 8 + 9),
        ([1 + n * 300 for n in range(9)], "<u4", 8 + 2 * 9),
    ],
)
def test_a_column_has_its_shortest_form(values, dtype, length):
    """Zeros cost nothing, one value eight bytes, small differences a byte or two a row."""
    column = packed(values, dtype)
    assert len(column) == length
    assert decoded(column, len(values), dtype) == values


@settings(deadline=None)
@given(
    st.sampled_from(sorted(SIZES)), st.integers(0, 63), st.integers(0, 64), st.lists(st.integers(0, 2**64 - 1), min_size=9, max_size=600)
)
def test_any_values_come_back(dtype, base_bits, range_bits, noise):
    """Also where differences overflow, and between zeros."""
    bits = 8 * SIZES[dtype]
    values = [0 if one % 5 == 0 else ((1 << base_bits) + one % (1 << range_bits)) % (1 << bits) for one in noise]
    if dtype == "<i8":
        values = [one - 2**64 if one >= 2**63 else one for one in values]
    assert decoded(packed(values, dtype), len(values), dtype) == values


@pytest.mark.parametrize("length", [1, 7, 9, 16, 8 + 9 * 3, 9 * 8 - 1, 9 * 8 + 1, 8 + 9 * 8])
def test_a_length_of_no_form_names_its_column(length):
    """Nothing is guessed."""
    dtype = np.dtype([("first", "<u8"), ("second", "<u8")])
    with pytest.raises(columns.BadColumn) as refused:
        columns.rows_of([b"", bytes(length)], 9, dtype, columns.layout_of([(0, 8), (8, 8)]))
    assert refused.value.number == 1


def test_rows_that_are_not_contiguous_are_read_all_the_same():
    """Slices with a step, and arrays that may not be written."""
    rows = np.zeros(40, np.dtype([("one", "<u8")]))
    rows["one"] = range(40)
    layout, every_second = columns.layout_of([(0, 8)]), rows[::2]
    rows.flags.writeable = False
    assert columns.rows_of(columns.columns_of(every_second, layout), 20, rows.dtype, layout)["one"].tolist() == [*range(0, 40, 2)]


@given(st.lists(st.binary(max_size=20).map(lambda text: text.replace(b"\0", b"-")), min_size=9, max_size=40))
def test_text_is_as_narrow_as_its_longest_value(texts):
    """Whatever the width of the array is."""
    width = max(map(len, texts))
    assert columns.text_of(np.array(texts, "S32")) == b"".join(text.ljust(width, b"\0") for text in texts)
