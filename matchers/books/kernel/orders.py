"""Orders in the book kernel: how one is made, comes to rest, and leaves its place. Named as in books.reference.state."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.expiry import note_expiry
from matchers.books.kernel.layout import (
    BUCKETS,
    BY_ACCOUNT,
    COMMAND_INDEX,
    HAS_EXTRA,
    HIDDEN,
    LAST_ENTRY,
    POST_ONLY_SHIFT,
    PREVENTION_SHIFT,
    SIDES,
)
from matchers.books.kernel.memory import ONE, ZERO, state_at, take_extra, take_order
from matchers.books.kernel.order_index import index_add_bucket, index_head, index_insert, index_needs_bucket
from matchers.books.kernel.plain import flags_of, is_plain
from matchers.books.kernel.queues import (
    count_special,
    drop_level,
    is_empty,
    join_level,
    leave_chain,
    leave_idle,
    leave_level,
    leave_stops,
    level_at,
)
from matchers.books.kernel.rows import (
    BOOK_SHIFT,
    MARKET_BUY_PX,
    THREE_COLUMNS,
    is_market_px,
    key_of,
    put_level_row,
    shown_qty,
    tranche,
)
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.order_checks import STOPS, TRAILING, is_one_of
from matchers.compiled.words import (
    INST_HIDDEN,
    TIF_CLS,
    TIF_GTD,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_MARKET_TO_LIMIT,
    TYPE_PEGGED,
)
from matchers.state.canonical_hash import Place

I: Final = np.int64
_SIDE_SHIFT: Final = U(8)
_BYTE: Final = U(0xFF)
_HALF: Final = U(32)
_SIDES: Final = U(SIDES)
NOWHERE, RESTING, DORMANT, PARKED = int(Place.NOWHERE), int(Place.RESTING), int(Place.DORMANT), int(Place.PARKED)
SECONDARY, CLOSING, QUEUED = int(Place.SECONDARY), int(Place.CLOSING), int(Place.QUEUED)


@helper
def is_stop(ord_type: Any) -> Any:
    """A stop that is not elected yet."""
    return is_one_of(ord_type, STOPS)


@helper
def is_trailing(ord_type: Any) -> Any:
    """A stop whose stop_px moves."""
    return is_one_of(ord_type, TRAILING)


@helper
def next_entry(s: Any) -> Any:
    """A new time priority."""
    entry = s.head[LAST_ENTRY] + ONE
    s.head[LAST_ENTRY] = entry
    return entry


@helper
def place_of(s: Any, row: Any) -> Any:
    """Where a live order is, see state_hash.Place."""
    order = s.orders[row]
    place = I(RESTING) if order.level != 0 else I(NOWHERE)
    if order.extra != 0:
        place = I(s.extras[order.extra].place)
    return place


# -- a new order


@routine
def new_order(memory: Any, book: Any) -> Any:
    """Row of the order of the command at hand, accepted: known, with its time priority, nowhere yet."""
    s = state_at(memory)
    i = s.call[COMMAND_INDEX]
    command = s.commands[i]
    if index_needs_bucket(s):
        index_add_bucket(s)
    row = take_order(s)
    columns = s.command_words[i, ZERO] & THREE_COLUMNS
    side = ((columns >> _SIDE_SHIFT) & _BYTE) - ONE
    order_id, order_qty = command.order_id, U(command.order_qty)
    words = s.order_words
    flags = flags_of(s, i, s.books[book])
    words[row, U(0)] = columns | flags | ((book * _SIDES + side) << _HALF)
    words[row, U(1)] = order_id
    words[row, U(2)] = command.account
    words[row, U(3)] = next_entry(s)
    words[row, U(4)] = (U(command.price) if command.ord_type != TYPE_PEGGED else ZERO) | (order_qty << _HALF)
    words[row, U(5)] = order_qty
    words[row, U(7)] = ZERO
    index_insert(s, index_head(s.tree[BUCKETS], order_id), row)
    if flags & U(HAS_EXTRA) != ZERO or _needs_extra(s, i, command):
        _add_extra(memory, row)
    return row


@helper
def _needs_extra(s: Any, i: Any, command: Any) -> Any:
    """Whether the order has anything that its own row has no room for."""
    ord_type = command.ord_type
    ordinary = ord_type == TYPE_LIMIT or ord_type == TYPE_MARKET or ord_type == TYPE_MARKET_TO_LIMIT
    return not ordinary or command.time_in_force == TIF_CLS or not is_plain(s, i)


@helper
def identity_of(s: Any, row: Any) -> Any:
    """self_match_prevention_id of an order, 0: none."""
    order = s.orders[row]
    identity = order.account if U(order.special) & U(BY_ACCOUNT) != ZERO else ZERO
    if order.extra != 0:
        identity = s.extras[order.extra].self_match_prevention_id
    return identity


@helper
def exec_inst_of(s: Any, row: Any) -> Any:
    """exec_inst of an order, i64."""
    order = s.orders[row]
    exec_inst = I(U(order.special) >> U(POST_ONLY_SHIFT))
    if order.extra != 0:
        exec_inst = I(s.extras[order.extra].exec_inst)
    return exec_inst


@helper
def blank_extra(s: Any, row: Any) -> None:
    """An order gets an `extra` row, which says what the order's own row has said; from now on it is special, where it rests too."""
    order = s.orders[row]
    extra_row = take_extra(s)
    extra = s.extras[extra_row]
    flags = U(order.special)
    extra.self_match_prevention_id = identity_of(s, row)
    extra.self_match_prevention_instruction = (flags >> U(PREVENTION_SHIFT)) & U(7)
    extra.exec_inst = flags >> U(POST_ONLY_SHIFT)
    extra.expire_time = 0
    extra.offset = 0
    extra.stamp = 0
    extra.stop_px = 0
    extra.display_qty = 0
    extra.shown_qty = 0
    extra.min_qty = 0
    extra.limit_px = 0
    extra.sibling = 0
    extra.primary = 0
    extra.secondary = 0
    extra.prev = 0
    extra.next = 0
    extra.place = NOWHERE
    extra.peg_price_type = 0
    extra.offset_type = 0
    order.extra = extra_row
    order.special = HAS_EXTRA
    if order.level != 0:
        extra.place = RESTING
        extra.shown_qty = order.leaves_qty
        count_special(s, U(order.level))


@routine
def _add_extra(memory: Any, row: Any) -> None:
    s = state_at(memory)
    command, order = s.commands[s.call[COMMAND_INDEX]], s.orders[row]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    order.special = 0
    blank_extra(s, row)
    if command.exec_inst & INST_HIDDEN != 0:
        order.special = HAS_EXTRA | HIDDEN
    extra = s.extras[order.extra]
    if command.self_match_prevention_id != ZERO:
        extra.self_match_prevention_id = command.self_match_prevention_id
        extra.self_match_prevention_instruction = command.self_match_prevention_instruction
        if command.self_match_prevention_instruction == 0:
            extra.self_match_prevention_instruction = s.rules[book.instrument].self_match_prevention_instruction
    extra.expire_time = command.expire_time
    extra.offset = command.offset
    extra.stop_px = U(command.stop_px)
    extra.display_qty = U(command.display_qty)
    extra.min_qty = U(command.min_qty)
    extra.limit_px = U(command.price) if command.ord_type == TYPE_PEGGED else ZERO
    extra.exec_inst = command.exec_inst
    extra.peg_price_type = command.peg_price_type
    extra.offset_type = command.offset_type
    if is_stop(command.ord_type):
        book.stops = U(book.stops) + ONE
    if command.time_in_force == TIF_GTD:
        note_expiry(s, row)


# -- resting


@routine
def rest(memory: Any, row: Any) -> None:
    """Put the order into its level, behind the others, with its LEVEL row. Waiting market orders have none."""
    s = state_at(memory)
    order = s.orders[row]
    side_row, price, shown = U(order.side_row), level_price(s, row), U(order.leaves_qty)
    if order.extra != 0:
        extra = s.extras[order.extra]
        extra.place = RESTING
        extra.min_qty = 0
        shown = tranche(s, row)
        extra.shown_qty = shown
    level_row = level_at(s, side_row, key_of(side_row, price), price)
    join_level(s, level_row, row, shown)
    note_move(s, side_row, price)
    if shown != ZERO and not is_market_px(price):
        put_level_row(memory, side_row, price, s.levels[level_row].qty, U(s.levels[level_row].order_count))


@helper
def level_price(s: Any, row: Any) -> Any:
    """Where the order rests."""
    order = s.orders[row]
    price = U(order.price)
    if order.ord_type == TYPE_MARKET:
        price = MARKET_BUY_PX if order.side == 1 else ZERO
    return price


@helper
def note_move(s: Any, side_row: Any, price: Any) -> None:
    """The quantity of a price has changed, perhaps where the book would uncross."""
    book = s.books[side_row >> BOOK_SHIFT]
    if price >= U(book.cross_buy) if side_row & ONE == ZERO else price <= U(book.cross_sell):
        book.cross_moved = 1


@routine
def detach(memory: Any, row: Any) -> Any:
    """Take the order out of wherever it is; it stays alive. Gives (price, qty, count) for put_level_row: what its level displays now."""
    s = state_at(memory)
    order = s.orders[row]
    level_row, place = U(order.level), place_of(s, row)
    shown, visible = shown_qty(s, row), U(order.special) & U(HIDDEN) == ZERO
    if order.extra != 0:
        s.extras[order.extra].place = NOWHERE
        s.extras[order.extra].shown_qty = 0
    if level_row == ZERO:
        return ZERO, ZERO, ZERO
    if place == DORMANT:
        if is_trailing(order.ord_type):
            leave_chain(s, row)
        if s.extras[order.extra].stop_px != 0:
            leave_stops(s, row)
        else:
            leave_idle(s, row)
        return ZERO, ZERO, ZERO
    if place != RESTING:
        leave_idle(s, row)
        return ZERO, ZERO, ZERO
    side_row, level = U(order.side_row), s.levels[level_row]
    leave_level(s, level_row, row, shown)
    price, qty, count = U(level.price), level.qty, U(level.order_count)
    note_move(s, side_row, price)
    if is_empty(s, level_row):
        drop_level(s, side_row, key_of(side_row, price), level_row)
    if is_market_px(price) or not visible:
        price = ZERO
    return price, qty, count


@helper
def forget_peg(s: Any, row: Any) -> None:
    """A peg is none of its book's any more."""
    leave_chain(s, row)
    book = s.books[U(s.orders[row].side_row) >> BOOK_SHIFT]
    book.pegs = U(book.pegs) - ONE
