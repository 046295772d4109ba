"""Queues of orders: price levels, and where an order stands in one."""

from typing import Any, Final

from matchers.kernel_book_memory import ONE, ZERO, give_level, take_level
from matchers.kernel_book_state import NO_KEY
from matchers.kernel_compile import helper
from matchers.kernel_hash_index import U
from matchers.kernel_level_tree import tree_after, tree_find, tree_insert, tree_remove

_NO_KEY: Final = U(NO_KEY)


@helper
def link_last(s: Any, level_row: Any, row: Any) -> None:
    """Put an order behind the others of a queue; quantity and count are the caller's."""
    level, order = s.levels[level_row], s.orders[row]
    last = U(level.last)
    order.level = level_row
    order.prev = last
    order.next = 0
    level.last = row
    if last != ZERO:
        s.orders[last].next = row
    else:
        level.first = row


@helper
def unlink(s: Any, level_row: Any, row: Any) -> None:
    """Take an order out of its queue; quantity and count are the caller's."""
    order = s.orders[row]
    before, after = U(order.prev), U(order.next)
    if before != ZERO:
        s.orders[before].next = after
    else:
        s.levels[level_row].first = after
    if after != ZERO:
        s.orders[after].prev = before
    else:
        s.levels[level_row].last = before


@helper
def level_at(s: Any, side_row: Any, key: Any, price: Any) -> Any:
    """Row of the side's level at this price, made if it is not there. key: key_of(side_row, price)."""
    side = s.sides[side_row]
    if U(side.best_key) == key:
        return U(side.best)
    level = tree_find(s, side, key)
    if level == ZERO:
        level = take_level(s)
        new = s.levels[level]
        new.qty = ZERO
        new.price = price
        new.order_count = 0
        new.first = 0
        new.last = 0
        new.apart = 0
        tree_insert(s, side, key, level)
        if key < U(side.best_key):
            side.best_key = key
            side.best = level
    return level


@helper
def drop_level(s: Any, side_row: Any, key: Any, level_row: Any) -> None:
    """Take an empty level out of its side."""
    side = s.sides[side_row]
    leaf = U(s.levels[level_row].node)
    if U(side.best) == level_row:
        best = tree_after(s, leaf, key)
        side.best = best
        side.best_key = U(s.levels[best].price) ^ (key ^ U(s.levels[level_row].price)) if best != ZERO else _NO_KEY
    tree_remove(s, leaf, key)
    give_level(s, level_row)


@helper
def is_empty(s: Any, level_row: Any) -> Any:
    """Whether a level has neither displayed nor special orders."""
    return (U(s.levels[level_row].order_count) | U(s.levels[level_row].apart)) == ZERO


@helper
def next_level(s: Any, level_row: Any, key: Any) -> Any:
    """The next worse level of the side, 0: none."""
    return tree_after(s, U(s.levels[level_row].node), key)


assert U(1) == ONE
