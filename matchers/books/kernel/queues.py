"""Queues of orders: price levels with their two queues, stops by stop_px, and those that wait for something else."""

from typing import Any, Final

from matchers.books.kernel.layout import BUY_STOPS, HAS_EXTRA, HIDDEN, NO_KEY
from matchers.books.kernel.level_tree import tree_after, tree_find, tree_insert, tree_remove
from matchers.books.kernel.memory import ONE, ZERO, give_level, take_level
from matchers.books.kernel.rows import BOOK_SHIFT, key_of
from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U
from matchers.compiled.words import TYPE_PEGGED

_NO_KEY: Final = U(NO_KEY)
_TO_STOPS: Final = U(BUY_STOPS)
_HIDDEN: Final = U(HIDDEN)
_EXTRA: Final = U(HAS_EXTRA)


@helper
def link_last(s: Any, queue: Any, row: Any) -> None:
    """Put an order behind the others of a queue; quantity, count and order.level are the caller's."""
    level, order = s.levels[queue], s.orders[row]
    last = U(level.last)
    order.prev = last
    order.next = 0
    level.last = row
    if last != ZERO:
        s.orders[last].next = row
    else:
        level.first = row


@helper
def _link_by_entry(s: Any, queue: Any, row: Any) -> None:
    """Put an order behind those of a queue that entered before it."""
    level, order = s.levels[queue], s.orders[row]
    before, after = U(level.last), ZERO
    while before != ZERO and s.orders[before].entry > order.entry:
        after = before
        before = U(s.orders[before].prev)
    order.prev = before
    order.next = after
    if before != ZERO:
        s.orders[before].next = row
    else:
        level.first = row
    if after != ZERO:
        s.orders[after].prev = row
    else:
        level.last = row


@helper
def unlink(s: Any, queue: Any, row: Any) -> None:
    """Take an order out of its queue; quantity and count are the caller's."""
    order = s.orders[row]
    before, after = U(order.prev), U(order.next)
    if before != ZERO:
        s.orders[before].next = after
    else:
        s.levels[queue].first = after
    if after != ZERO:
        s.orders[after].prev = before
    else:
        s.levels[queue].last = before


@helper
def _new_level(s: Any, price: Any) -> Any:
    level = take_level(s)
    new = s.levels[level]
    new.qty = ZERO
    new.price = price
    new.order_count = 0
    new.first = 0
    new.last = 0
    new.apart = 0
    new.node = 0
    return level


@helper
def level_at(s: Any, side_row: Any, key: Any, price: Any) -> Any:
    """Row of the side's level at this price, made if it is not there. key: key_of(side_row, price)."""
    side = s.sides[side_row]
    if U(side.best_key) == key:
        return U(side.best)
    level = tree_find(s, side, key)
    if level == ZERO:
        level = _new_level(s, price)
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
def next_level(s: Any, side_row: Any, level_row: Any) -> Any:
    """The next worse level of the side, 0: none."""
    level = s.levels[level_row]
    return tree_after(s, U(level.node), key_of(side_row, U(level.price)))


@helper
def first_in(s: Any, level_row: Any) -> Any:
    """The order of a level that executes first: displayed ones come before hidden ones."""
    level = s.levels[level_row]
    first = U(level.first)
    return first if first != ZERO else U(s.levels[level.apart].first)


@helper
def after_in(s: Any, level_row: Any, row: Any) -> Any:
    """The order that comes after one of a level, 0: none."""
    order = s.orders[row]
    after = U(order.next)
    if after == ZERO and U(order.special) & _HIDDEN == ZERO:
        after = U(s.levels[s.levels[level_row].apart].first)
    return after


@helper
def count_special(s: Any, level_row: Any) -> None:
    """One more order of a level is special."""
    level = s.levels[level_row]
    if level.apart == 0:
        apart = _new_level(s, U(level.price))
        level.apart = apart
    s.levels[level.apart].order_count = U(s.levels[level.apart].order_count) + ONE


@helper
def join_level(s: Any, level_row: Any, row: Any, shown: Any) -> None:
    """An order comes to rest in a level, displaying so much."""
    level, order = s.levels[level_row], s.orders[row]
    special = U(order.special)
    if special & _EXTRA != ZERO:
        count_special(s, level_row)
    if special & _HIDDEN != ZERO:
        link_last(s, U(level.apart), row)
    else:
        link_last(s, level_row, row)
        level.qty += shown
        level.order_count = U(level.order_count) + ONE
    order.level = level_row


@helper
def leave_level(s: Any, level_row: Any, row: Any, shown: Any) -> None:
    """An order that displays so much is taken out of its level, which stays, even if it is empty now."""
    level, order = s.levels[level_row], s.orders[row]
    special, apart = U(order.special), U(level.apart)
    if special & _HIDDEN != ZERO:
        unlink(s, apart, row)
    else:
        unlink(s, level_row, row)
        level.qty -= shown
        level.order_count = U(level.order_count) - ONE
    if special & _EXTRA != ZERO:
        left = U(s.levels[apart].order_count) - ONE
        s.levels[apart].order_count = left
        if left == ZERO:
            give_level(s, apart)
            level.apart = 0
    order.level = 0


@helper
def join_stops(s: Any, row: Any, stop_px: Any) -> None:
    """A stop waits for its stop_px, among others of it by entry."""
    order = s.orders[row]
    side_row = U(order.side_row) + _TO_STOPS
    level_row = level_at(s, side_row, key_of(side_row, stop_px), stop_px)
    _link_by_entry(s, level_row, row)
    s.levels[level_row].order_count = U(s.levels[level_row].order_count) + ONE
    order.level = level_row


@helper
def leave_stops(s: Any, row: Any) -> None:
    """A stop no longer waits."""
    order = s.orders[row]
    level_row, side_row = U(order.level), U(order.side_row) + _TO_STOPS
    unlink(s, level_row, row)
    left = U(s.levels[level_row].order_count) - ONE
    s.levels[level_row].order_count = left
    if left == ZERO:
        drop_level(s, side_row, key_of(side_row, U(s.levels[level_row].price)), level_row)
    order.level = 0


@helper
def join_idle(s: Any, book: Any, row: Any) -> None:
    """An order waits for something else than a price."""
    if s.books[book].idle == 0:
        idle = _new_level(s, ZERO)
        s.books[book].idle = idle
    link_last(s, U(s.books[book].idle), row)
    s.orders[row].level = s.books[book].idle


@helper
def leave_idle(s: Any, row: Any) -> None:
    """It no longer waits."""
    unlink(s, U(s.orders[row].level), row)
    s.orders[row].level = 0


# -- a book's pegs and its trailing stops, each in a chain by entry, wherever they stand


@helper
def _set_first(s: Any, row: Any, first: Any) -> None:
    order = s.orders[row]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    if order.ord_type == TYPE_PEGGED:
        book.first_peg = first
    else:
        book.first_trailing = first


@helper
def _set_last(s: Any, row: Any, last: Any) -> None:
    order = s.orders[row]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    if order.ord_type == TYPE_PEGGED:
        book.last_peg = last
    else:
        book.last_trailing = last


@helper
def join_chain(s: Any, row: Any) -> None:
    """A peg or a trailing stop joins those of its kind, behind those that entered before it."""
    order = s.orders[row]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    pegged = order.ord_type == TYPE_PEGGED
    before, after = U(book.last_peg) if pegged else U(book.last_trailing), ZERO
    while before != ZERO and s.orders[before].entry > order.entry:
        after = before
        before = U(s.extras[s.orders[before].extra].prev)
    extra = s.extras[order.extra]
    extra.prev = before
    extra.next = after
    if before != ZERO:
        s.extras[s.orders[before].extra].next = row
    else:
        _set_first(s, row, row)
    if after != ZERO:
        s.extras[s.orders[after].extra].prev = row
    else:
        _set_last(s, row, row)


@helper
def leave_chain(s: Any, row: Any) -> None:
    """It leaves them."""
    extra = s.extras[s.orders[row].extra]
    before, after = U(extra.prev), U(extra.next)
    if before != ZERO:
        s.extras[s.orders[before].extra].next = after
    else:
        _set_first(s, row, after)
    if after != ZERO:
        s.extras[s.orders[after].extra].prev = before
    else:
        _set_last(s, row, before)
