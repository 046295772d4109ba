"""The small parts of the kernels, each against plain Python."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.interpreted import interpreted

from matchers.accounts.kernel.pools import cost_after as kernel_cost_after
from matchers.accounts.kernel.pools import share_of
from matchers.compiled import compilation as kernel_compile
from matchers.compiled.digest import check_texts
from matchers.compiled.hash_index import hash_of, index_insert, index_next, index_remove
from matchers.compiled.pools import text_of_words, text_words_of
from matchers.rules.account_rules import cost_after, is_valid_cl_ord_id
from schemas.ids import cl_ord_id_digest


def plain(function: Any) -> Callable[..., Any]:
    """The Python function of a helper; helpers have no entry point of their own."""
    made: Callable[..., Any] = function.py_func
    return made


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=128), st.text("abcXYZ 019~-", max_size=128).map(str.encode)), min_size=1, max_size=20))
def test_the_kernel_reads_cl_ord_ids_as_the_schemas_say(texts: list[bytes]) -> None:
    """Validity, number of words and digest of any bytes, padded to any width."""
    texts = [text.rstrip(b"\0") for text in texts]
    words = text_words_of(np.array(texts, "S128"))
    out = np.zeros((len(texts), 3), np.uint64)
    check_texts(words, out)
    for text, (count, low, high) in zip(texts, out.tolist(), strict=True):
        assert (count > 0) == is_valid_cl_ord_id(text)
        if count:
            assert (count, (low, high)) == (-(-len(text) // 8), cl_ord_id_digest(text))


def test_text_survives_the_way_into_words_and_back() -> None:
    """Of any width, also from memory that is not aligned or not writable."""
    texts = [b"", b"a", b"12345678", b"x" * 128]
    for width in (1, 7, 8, 13, 128):
        given_array = np.frombuffer(b"!" + np.array([text[:width] for text in texts], f"S{width}").tobytes(), f"S{width}", offset=1)
        words = text_words_of(given_array)
        assert words.flags.carray
        assert text_of_words(words, len(texts), words.shape[1]).tolist() == [text[:width] for text in texts]


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 1 << 60), st.integers(1, 1 << 61), st.data())
def test_the_average_cost_of_a_part_is_exact_beyond_64_bits(cost: int, position: int, data: st.DataObject) -> None:
    """share_of multiplies amounts whose product has up to 122 bits."""
    lots = data.draw(st.integers(0, position))
    assert cost - cost_after(cost, position, -lots, 1) == plain(share_of)(cost, lots, position) == cost * lots // position


def test_the_index_finds_what_is_there_and_nothing_else() -> None:
    """Ten thousand random inserts and removals, with the table half full and clusters that wrap around."""
    rng = random.Random(3)
    table = np.zeros(64, np.uint64)
    hash_function, insert, remove, step = (interpreted(one) for one in (hash_of, index_insert, index_remove, index_next))
    there: dict[int, int] = {}
    for _ in range(10_000):
        row = rng.randrange(1, 60)
        hashed = np.uint64(int(hash_function(np.uint64(row))) & (0xFFFFFFFF if row % 2 else 0x3F))
        if row in there:
            remove(table, np.uint64(there.pop(row)), row)
        elif len(there) < 32:
            insert(table, hashed, row)
            there[row] = int(hashed)
        probe = rng.randrange(1, 60)
        wanted = np.uint64(there.get(probe, 7))
        found, at = step(table, wanted, wanted)
        rows = set()
        while found:
            rows.add(int(found))
            found, at = step(table, wanted, at)
        assert rows == {row for row, hashed_there in there.items() if hashed_there == int(wanted)}
    assert np.count_nonzero(table) == len(there)


@settings(max_examples=500, deadline=None)
@given(st.integers(-(1 << 54), 1 << 54), st.integers(0, 1 << 60), st.integers(-(10**7), 10**7), st.integers(1, 1 << 38))
def test_a_position_may_change_its_side_and_its_cost_follows(position: int, cost: int, lots: int, minor_per_lot: int) -> None:
    """Long, short, closed, or from one side to the other: the kernel's cost is the rule's, and has the sign of the position."""
    cost = 0 if position == 0 else cost if position > 0 else -cost
    after = cost_after(cost, position, lots, minor_per_lot)
    assert interpreted(kernel_cost_after)(cost, position, lots, minor_per_lot) == after
    assert after == 0 or (after > 0) == (position + lots > 0)
    assert abs(after) <= 1 << 60


def test_compiled_code_is_stamped_with_every_source_it_is_made_of() -> None:
    """What a kernel's module imports, directly or not, is in its stamp; numba itself would only look at the kernel's own file."""
    stamp = check_texts._cache._cache_file._source_stamp  # type: ignore[attr-defined]
    assert stamp == kernel_compile.source_digest("matchers.compiled.digest")
    assert {"matchers/compiled/digest.py", "matchers/compiled/compilation.py"} <= kernel_compile.imported_sources(
        "matchers.compiled.digest"
    ).keys()
    names = kernel_compile.imported_sources("matchers.books.kernel.loop").keys()
    of_books = {f"matchers/books/kernel/{name}.py" for name in ("stops", "order_index")}
    assert of_books | {"matchers/compiled/words.py", "matchers/rules/order_tables.py", "schemas/enums.py", "schemas/limits.py"} <= names
    assert not any(name.startswith("matchers/accounts/kernel") for name in names)
