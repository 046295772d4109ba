"""Phases of the trading day and time in the book kernel: books.reference.session by the same names; the rules are said there."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.auction import auction_range, find_cross, uncross
from matchers.books.kernel.bands import bands_timer, begin_bands, end_bands
from matchers.books.kernel.endings import end
from matchers.books.kernel.expiry import is_due, take_due
from matchers.books.kernel.layout import BOOKS, DUES, LOG_TIME, ORDERS, QUEUE_END, QUEUE_FIRST, SIDES
from matchers.books.kernel.matching import in_call
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.orders import CLOSING, NOWHERE, QUEUED, RESTING, detach, place_of, rest
from matchers.books.kernel.pegs import park_all
from matchers.books.kernel.queues import after_in, first_in, join_idle, leave_idle, next_level
from matchers.books.kernel.rows import (
    BOOK_SHIFT,
    PHASE_SHIFT,
    REASON_SHIFT,
    note_tops,
    put_level_row,
    put_order_row,
    put_row,
    put_shard_row,
)
from matchers.books.kernel.settle import settle
from matchers.books.kernel.stops import elect
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    EXEC_CANCELED,
    EXEC_EXPIRED,
    EXEC_RESTATED,
    EXEC_SECURITY_STATUS,
    EXEC_TIME,
    PHASE_CLOSED,
    PHASE_CLOSING_AUCTION,
    PHASE_CONTINUOUS,
    PHASE_OPENING_AUCTION,
    PHASE_POST_CLOSE,
    PHASE_PRE_OPEN,
    PHASE_VOLATILITY_AUCTION,
    REASON_AUCTION_ENDED,
    REASON_AUCTION_EXTENDED,
    REASON_END_OF_DAY,
    REASON_EXPIRE_TIME_REACHED,
    REASON_LULD_PAUSE,
    REASON_NOT_FILLED_IN_AUCTION,
    REASON_PRICE_OUTSIDE_COLLAR,
    REASON_START_OF_DAY,
    TIF_CLS,
    TIF_GTC,
    TIF_GTD,
    TIF_OPG,
    TYPE_MARKET,
)
from matchers.rules.band_rules import PAUSE_NS
from matchers.rules.order_tables import ENDS_IN
from schemas.enums import Phase
from schemas.limits import PRICE_TICKS_MAX

I: Final = np.int64
_LOWEST, _HIGHEST = U(1), U(PRICE_TICKS_MAX)
assert ENDS_IN == {
    Phase.PRE_OPEN: Phase.OPENING_AUCTION, Phase.OPENING_AUCTION: Phase.CONTINUOUS, Phase.CLOSING_AUCTION: Phase.POST_CLOSE,
    Phase.VOLATILITY_AUCTION: Phase.CONTINUOUS,
}, "_ends_in"  # fmt: skip


@routine
def live_orders(memory: Any, book_row: Any) -> Any:
    """Order rows of a book by entry."""
    s = state_at(memory)
    rows, entries = np.empty(s.head[ORDERS], np.uint64), np.empty(s.head[ORDERS], np.uint64)
    found = ZERO
    for which in range(SIDES):
        side_row = (book_row << BOOK_SHIFT) + U(which)
        level_row = U(s.sides[side_row].best)
        while level_row != ZERO:
            row = first_in(s, level_row)
            while row != ZERO:
                rows[found] = row
                entries[found] = s.orders[row].entry
                found += ONE
                row = after_in(s, level_row, row)
            level_row = next_level(s, side_row, level_row)
    row = U(s.levels[s.books[book_row].idle].first)
    while row != ZERO:
        rows[found] = row
        entries[found] = s.orders[row].entry
        found += ONE
        row = U(s.orders[row].next)
    for at in range(s.call[QUEUE_FIRST], s.call[QUEUE_END]):  # what the command at hand has elected or triggered
        row = U(s.queue[at])
        if s.orders[row].order_id != ZERO and place_of(s, row) == QUEUED:
            rows[found] = row
            entries[found] = s.orders[row].entry
            found += ONE
    return rows[np.argsort(entries[:found])]


@helper
def is_carried(order: Any) -> Any:
    """Whether the order lives on after the end of the day."""
    return order.time_in_force == TIF_GTC or order.time_in_force == TIF_GTD


@helper
def is_frozen(s: Any, row: Any) -> Any:
    """Whether an auction order can no longer be cancelled or replaced."""
    order = s.orders[row]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    no_cancel_ns = s.rules[book.instrument].no_cancel_ns
    for_this = (order.time_in_force == TIF_OPG and book.phase == PHASE_OPENING_AUCTION) or (
        order.time_in_force == TIF_CLS and book.phase == PHASE_CLOSING_AUCTION
    )
    return for_this and book.phase_end != 0 and no_cancel_ns != 0 and I(s.head[LOG_TIME]) >= book.phase_end - no_cancel_ns


# -- changes of phase


@helper
def _put_status(memory: Any, book_row: Any, phase: Any, reason: Any) -> None:
    put_row(
        memory, book_row, U(EXEC_SECURITY_STATUS) | (U(phase) << PHASE_SHIFT) | (U(reason) << REASON_SHIFT), ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    )  # fmt: skip


@routine
def change_phase(memory: Any, book_row: Any, to: Any, reason: Any, phase_end: Any) -> None:
    """Go to the phase (i64), or extend the auction that would end outside its range. phase_end: i64 ns."""
    s = state_at(memory)
    book = s.books[book_row]
    before = I(book.phase)
    if before == to:
        book.phase_end = phase_end
        _put_status(memory, book_row, to, reason)
        return
    if before == PHASE_CLOSED:
        book.last_px = 0  # a new day; before an uncross that it may begin with
    after_close = to == PHASE_POST_CLOSE or to == PHASE_CLOSED
    if to == PHASE_CONTINUOUS or (before == PHASE_CLOSING_AUCTION and after_close):
        if _extends(memory, book_row):
            return
        _end_auction(memory, book_row, to)
    book.phase = to
    book.phase_end = phase_end
    _put_status(memory, book_row, to, reason)
    _begin_phase(memory, book_row, before, to)


@routine
def _begin_phase(memory: Any, book_row: Any, before: Any, to: Any) -> None:
    """What the new phase brings."""
    s = state_at(memory)
    book = s.books[book_row]
    after_close = to == PHASE_POST_CLOSE or to == PHASE_CLOSED
    book.cross_moved = 1
    if before == PHASE_CLOSED:
        _restate_carried(memory, book_row)
    if before == PHASE_CONTINUOUS:
        end_bands(s, book)
        park_all(memory, book_row)
    if in_call(to) and not in_call(before):
        book.indicative_px = 0
        book.indicative_volume = 0
        book.indicative_side = 0
        book.indicative_imbalance = 0
        book.extended = 0
    if to == PHASE_CLOSING_AUCTION:
        book.extended = 0
        _admit_closing_orders(memory, book_row)
    elif before == PHASE_CLOSING_AUCTION and not after_close:
        _withdraw_closing_orders(memory, book_row)
    if to == PHASE_CONTINUOUS:
        begin_bands(memory, book_row)
        if book.last_px != 0:
            elect(memory, book_row, U(book.last_px))
    if to == PHASE_CLOSED:
        _end_day(memory, book_row)


@routine
def _extends(memory: Any, book_row: Any) -> Any:
    """Extend the auction, once, if its price is outside the range."""
    s = state_at(memory)
    book = s.books[book_row]
    if book.extended != 0 or not in_call(book.phase):
        return False
    price, _, _, _ = find_cross(memory, book_row, _LOWEST, _HIGHEST)
    low, high = auction_range(s, book)
    if price == ZERO or (low <= price and price <= high):
        return False
    book.extended = 1
    book.phase_end = I(s.head[LOG_TIME]) + s.rules[book.instrument].auction_extension_ns
    _put_status(memory, book_row, book.phase, REASON_AUCTION_EXTENDED)
    return True


@routine
def _end_auction(memory: Any, book_row: Any, to: Any) -> None:
    """Uncross, and take out what was for the auction only."""
    s = state_at(memory)
    book = s.books[book_row]
    price, _, _, _ = find_cross(memory, book_row, _LOWEST, _HIGHEST)
    low, high = auction_range(s, book)
    if price != ZERO and (price < low or price > high):
        price, _, _, _ = find_cross(memory, book_row, low, high)
    if price != ZERO:
        uncross(memory, book_row, price)
    leaving = TIF_OPG if to == PHASE_CONTINUOUS else TIF_CLS
    for row in live_orders(memory, book_row):
        order = s.orders[row]
        if order.order_id == ZERO or place_of(s, row) != RESTING:
            continue
        if order.time_in_force == leaving:
            end(memory, row, U(EXEC_EXPIRED), U(REASON_NOT_FILLED_IN_AUCTION))
        elif order.ord_type == TYPE_MARKET:
            end(memory, row, U(EXEC_CANCELED), U(REASON_NOT_FILLED_IN_AUCTION))
    if to == PHASE_CONTINUOUS:
        _cancel_beyond(memory, book_row, high)


@routine
def _cancel_beyond(memory: Any, book_row: Any, high: Any) -> None:
    """What still crosses does so wholly beyond the range, where nothing may trade: the side that is priced out of the range goes, best first."""
    s = state_at(memory)
    buys, sells = s.sides[book_row << BOOK_SHIFT], s.sides[(book_row << BOOK_SHIFT) + ONE]
    while buys.best != 0 and sells.best != 0 and s.levels[buys.best].price >= s.levels[sells.best].price:
        out = U(buys.best) if U(s.levels[sells.best].price) > high else U(sells.best)
        end(memory, first_in(s, out), U(EXEC_CANCELED), U(REASON_PRICE_OUTSIDE_COLLAR))


@routine
def _restate_carried(memory: Any, book_row: Any) -> None:
    """A new day: carried orders are restated by entry."""
    s = state_at(memory)
    for row in live_orders(memory, book_row):
        if is_carried(s.orders[row]):
            put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_START_OF_DAY), ZERO)


@routine
def _end_day(memory: Any, book_row: Any) -> None:
    """Everything that is not carried expires."""
    s = state_at(memory)
    for row in live_orders(memory, book_row):
        if s.orders[row].order_id != ZERO and not is_carried(s.orders[row]):
            end(memory, row, U(EXEC_EXPIRED), U(REASON_END_OF_DAY))


@routine
def _admit_closing_orders(memory: Any, book_row: Any) -> None:
    s = state_at(memory)
    for row in live_orders(memory, book_row):
        if place_of(s, row) == CLOSING:
            leave_idle(s, row)
            s.extras[s.orders[row].extra].place = NOWHERE
            rest(memory, row)


@routine
def _withdraw_closing_orders(memory: Any, book_row: Any) -> None:
    """The closing auction is halted: its orders wait for the next one."""
    s = state_at(memory)
    for row in live_orders(memory, book_row):
        order = s.orders[row]
        if order.time_in_force == TIF_CLS and place_of(s, row) == RESTING:
            price, qty, count = detach(memory, row)
            put_level_row(memory, U(order.side_row), price, qty, count)
            s.extras[order.extra].place = CLOSING
            join_idle(s, book_row, row)


# -- time


@routine
def timer(memory: Any) -> None:
    """A TIMER: book after book, dated orders leave by expire_time, then entry; price bands; the end of a call phase."""
    s = state_at(memory)
    now = I(s.head[LOG_TIME])
    put_shard_row(memory, U(EXEC_TIME))
    due = _all_due(memory)
    at, book_row = 0, ZERO
    while book_row < s.call[BOOKS]:
        book = s.books[book_row]
        expires = at < len(due) and U(s.orders[due[at]].side_row) >> BOOK_SHIFT == book_row
        ends = in_call(book.phase) and book.phase_end != 0 and now >= book.phase_end
        if expires or ends or book.band_high != 0:  # else nothing about the book depends on time
            note_tops(memory, book_row)
            while at < len(due) and U(s.orders[due[at]].side_row) >> BOOK_SHIFT == book_row:
                if s.orders[due[at]].order_id != ZERO:
                    end(memory, due[at], U(EXEC_EXPIRED), U(REASON_EXPIRE_TIME_REACHED))
                at += 1
            if bands_timer(memory, book_row):
                change_phase(memory, book_row, I(PHASE_VOLATILITY_AUCTION), U(REASON_LULD_PAUSE), now + PAUSE_NS)
            elif ends:
                change_phase(memory, book_row, _ends_in(book.phase), U(REASON_AUCTION_ENDED), I(0))
            settle(memory, book_row)
        book_row += ONE


@routine
def _all_due(memory: Any) -> Any:
    """Rows of the orders whose time has come, by book, expire_time, entry."""
    s = state_at(memory)
    now = I(s.head[LOG_TIME])
    rows = np.empty(s.tree[DUES], np.uint64)  # an order may be there twice
    found = 0
    while is_due(s, now):
        row = take_due(s)
        if row != ZERO:
            rows[found] = row
            found += 1
    rows = rows[:found]
    if found > 1:
        keys = np.empty(found, np.uint64)
        for at in range(found):
            keys[at] = s.orders[rows[at]].entry
        rows = rows[np.argsort(keys, kind="mergesort")]
        for at in range(found):
            keys[at] = U(s.extras[s.orders[rows[at]].extra].expire_time)
        rows = rows[np.argsort(keys, kind="mergesort")]
        for at in range(found):
            keys[at] = U(s.orders[rows[at]].side_row) >> BOOK_SHIFT
        rows = rows[np.argsort(keys, kind="mergesort")]
    return rows


@helper
def _ends_in(phase: Any) -> Any:
    """Where a TIMER leads when the end of a call phase has come."""
    to = I(PHASE_CONTINUOUS)
    if phase == PHASE_PRE_OPEN:
        to = I(PHASE_OPENING_AUCTION)
    elif phase == PHASE_CLOSING_AUCTION:
        to = I(PHASE_POST_CLOSE)
    return to
