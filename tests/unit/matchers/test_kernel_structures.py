"""The price tree, the order index and the heap of expiries by themselves, against what Python has for the same."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.interpreted import interpreted

from matchers.books.kernel import expiry as kernel_book_expiry
from matchers.books.kernel import layout as kernel_book_state
from matchers.books.kernel import level_tree as kernel_level_tree
from matchers.books.kernel import order_index as kernel_order_index
from matchers.books.kernel.memory import ARRAYS
from schemas.enums import TimeInForce

ROWS = 400


def memory() -> Any:
    """Small arrays of a State, with one side whose root is node 1."""
    lengths = {
        "head": kernel_book_state.HEAD_LENGTH,
        "tree": kernel_book_state.TREE_LENGTH,
        "index_heads": kernel_order_index.heads_for(1) * 4,
    }
    made = {}
    for name in ("head", "tree", "levels", "orders", "extras", "sides", "dues", "node_bits", "node_parent", "node_child", "index_heads"):
        dtype, width = ARRAYS[name]
        array = np.zeros((lengths.get(name, ROWS * 8), width) if width else lengths.get(name, ROWS * 8), dtype)
        made[name] = array.view(np.recarray) if dtype.names else array
    s = SimpleNamespace(**made)
    s.tree[kernel_book_state.NODES_USED], s.tree[kernel_book_state.BUCKETS] = 2, kernel_order_index.BUCKETS_AT_FIRST
    s.sides[0].root, s.sides[0].anchor = 1, 1
    return s


def u(number: int) -> np.uint64:
    """What kernels compute with."""
    return np.uint64(number)


KEYS = st.one_of(st.integers(1, 300), st.integers(0, (1 << 32) - 2), st.integers((1 << 31) - 40, (1 << 31) + 40))


class PriceTree:
    """A side's tree, and a dictionary that says what must be in it."""

    def __init__(self) -> None:
        self.s = memory()
        self.levels: dict[int, int] = {}
        names = ("tree_find", "tree_insert", "tree_remove", "tree_after")
        self.find, self.insert, self.remove, self.after = (interpreted(getattr(kernel_level_tree, name)) for name in names)

    def change(self, key: int, level: int) -> None:
        """Take the key out, or put it in with this level row."""
        if key in self.levels:
            self.remove(self.s, u(self.s.levels[self.levels.pop(key)].node), u(key))
        else:
            self.levels[key] = level
            self.insert(self.s, self.s.sides[0], u(key), u(level))

    def keys_from(self, key: int) -> list[int]:
        """Keys in the tree's order, from one that is there."""
        rows = {row: key for key, row in self.levels.items()}
        found = [key]
        while row := int(self.after(self.s, u(self.s.levels[self.levels[found[-1]]].node), u(found[-1]))):
            found.append(rows[row])
        return found


@settings(max_examples=150, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=60))
def test_a_price_tree_has_its_levels_in_order(changes: list[int]) -> None:
    """Near and far keys come and go, the tree grows as high as it must; what is there is found, in order, and nothing else."""
    tree = PriceTree()
    for level, key in enumerate(changes, 1):
        tree.change(key, level)
    for key in [*changes, 0, (1 << 32) - 2]:
        assert int(tree.find(tree.s, tree.s.sides[0], u(key))) == tree.levels.get(key, 0)
    if tree.levels:
        assert tree.keys_from(min(tree.levels)) == sorted(tree.levels)


@settings(max_examples=50, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=40, unique=True))
def test_an_empty_price_tree_has_given_its_nodes_back(keys: list[int]) -> None:
    """What was one book's is there for the next; only the root stays."""
    tree = PriceTree()
    for _ in range(2):
        for level, key in enumerate(keys, 1):
            tree.change(key, level)
        used = int(tree.s.tree[kernel_book_state.NODES_USED])
        for key in keys:
            tree.change(key, 0)
        assert not tree.s.node_bits.any()
    assert int(tree.s.tree[kernel_book_state.NODES_USED]) <= used + kernel_level_tree.NODES_PER_LEVEL_MAX


IDS = st.one_of(st.integers(1, 500), st.integers(1, (1 << 64) - 1), st.integers(1 << 44, (1 << 44) + 200))


@settings(max_examples=100, deadline=None)
@given(st.lists(IDS, min_size=1, max_size=ROWS - 1, unique=True), st.data())
def test_the_order_index_finds_what_is_there_while_it_grows(ids: list[int], data: st.DataObject) -> None:
    """Dense numbers, wild numbers and numbers of other shards; a third is taken out again; buckets are split all the while."""
    s = memory()
    names = ("index_head", "index_insert", "index_remove", "index_add_bucket", "find_order")
    head, insert, remove, add_bucket, find = (interpreted(getattr(kernel_order_index, name)) for name in names)
    there: dict[int, int] = {}
    for row, order_id in enumerate(ids, 1):
        if row % 2 and int(s.tree[kernel_book_state.BUCKETS]) < 4 * kernel_order_index.BUCKETS_AT_FIRST:
            for _ in range(16):
                add_bucket(s)
        s.orders[row].order_id = order_id
        insert(s, head(s.tree[kernel_book_state.BUCKETS], u(order_id)), u(row))
        there[order_id] = row
    for order_id in data.draw(st.lists(st.sampled_from(ids), max_size=len(ids) // 3, unique=True)):
        remove(s, head(s.tree[kernel_book_state.BUCKETS], u(order_id)), u(there.pop(order_id)))
    for order_id in [*ids, 7, 1 << 50]:
        assert int(find(s, u(order_id))) == there.get(order_id, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.sets(st.integers(1, 80)), st.integers(0, 60))
def test_orders_are_due_in_the_order_of_their_expiry(times: list[int], gone: set[int], now: int) -> None:
    """Orders that are gone, and entries of an earlier expiry, count for nothing."""
    s = memory()
    note, is_due, take = (interpreted(getattr(kernel_book_expiry, name)) for name in ("note_expiry", "is_due", "take_due"))
    head, insert = interpreted(kernel_order_index.index_head), interpreted(kernel_order_index.index_insert)
    s.head[kernel_book_state.ORDERS], s.head[kernel_book_state.ORDERS_USED] = len(times), len(times) + 1
    for row, expire_time in enumerate(times, 1):
        s.orders[row].order_id, s.orders[row].extra, s.orders[row].time_in_force = row, row, TimeInForce.GTD
        insert(s, head(s.tree[kernel_book_state.BUCKETS], u(row)), u(row))
        for noted in (expire_time + row % 3, expire_time):  # a replace has moved it
            s.extras[row].expire_time = noted
            note(s, row)
    for row in gone & set(range(1, len(times) + 1)):
        s.orders[row].time_in_force = TimeInForce.DAY
    taken = []
    while is_due(s, np.int64(now)):
        taken.append(int(take(s)))
    expected = [row for row, time in enumerate(times, 1) if time <= now and row not in gone]
    assert sorted(set(taken) - {0}) == expected
    due_times = [times[row - 1] for row in taken if row]
    assert due_times == sorted(due_times)
