"""Limit Up-Limit Down in the book kernel: books.reference.bands by the same names; the rules and their source are said there."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.layout import LOG_TIME, ORDERS
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.orders import detach, rest
from matchers.books.kernel.queues import after_in, first_in, next_level
from matchers.books.kernel.rows import (
    BOOK_SHIFT,
    PHASE_SHIFT,
    REASON_SHIFT,
    SIDE_SHIFT,
    best_shown,
    put_level_row,
    put_order_row,
    put_row,
)
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    EXEC_PRICE_BAND,
    EXEC_RESTATED,
    EXEC_SECURITY_STATUS,
    REASON_LIMIT_STATE,
    REASON_LIMIT_STATE_LEFT,
    REASON_PRICE_BAND,
    SIDE_BUY,
    SIDE_SELL,
    TYPE_PEGGED,
)
from matchers.rules.band_rules import DOUBLED_NS, LIMIT_STATE_NS, LOW_PRICED, LOW_PRICED_WIDTH, MOVE_EVERY_NS, THREE_UNITS, WINDOW_SECONDS
from schemas.limits import PRICE_TICKS_MAX
from schemas.units import NANOS_PER_SECOND

I: Final = np.int64


@helper
def band_limited(book: Any, buys: Any, price: Any) -> Any:
    """The price, or the band that it is beyond."""
    if book.band_high != 0:
        price = min(price, U(book.band_high)) if buys else max(price, U(book.band_low))
    return price


@routine
def bands_of(reference: Any, previous_close: Any, tier: Any, tick_minor: Any, doubled: Any) -> Any:
    """(lower, upper) band, ticks."""
    close_minor = previous_close * tick_minor
    times = I(2) if doubled and (tier == 1 or close_minor <= THREE_UNITS) else I(1)
    percent = I(5) if tier == 1 else I(10)
    if close_minor < LOW_PRICED:
        percent = I(75)
    elif close_minor <= THREE_UNITS:
        percent = I(20)
    percent *= times
    low = (reference * max(100 - percent, 0) * 2 + 100) // 200
    high = (reference * (100 + percent) * 2 + 100) // 200
    if close_minor < LOW_PRICED:
        width = times * LOW_PRICED_WIDTH // tick_minor
        low, high = max(low, reference - width), min(high, reference + width)
    return max(low, 1), min(high, PRICE_TICKS_MAX)


@helper
def _second_of(s: Any) -> Any:
    """log_time in whole seconds."""
    return I(s.head[LOG_TIME]) // NANOS_PER_SECOND


@helper
def note_trade(s: Any, book_row: Any, price: Any) -> None:
    """Remember a trade for the reference price."""
    second = _second_of(s)
    entry = s.seconds[s.books[book_row].window, second % WINDOW_SECONDS]
    if entry.second != second:
        entry.second = second
        entry.price_sum = 0
        entry.trades = 0
    entry.price_sum += I(price)
    entry.trades += 1


@helper
def _clear_window(s: Any, book: Any) -> None:
    for at in range(WINDOW_SECONDS):
        entry = s.seconds[book.window, at]
        entry.second = 0
        entry.price_sum = 0
        entry.trades = 0


@routine
def begin_bands(memory: Any, book_row: Any) -> None:
    """Continuous trading begins: a new reference, new bands."""
    s = state_at(memory)
    book = s.books[book_row]
    if s.rules[book.instrument].luld_tier != 0:
        _clear_window(s, book)
        book.luld_reference = I(book.last_px) if book.last_px != 0 else I(book.reference_px)
        book.luld_moved_at = I(s.head[LOG_TIME])
        _set_bands(memory, book_row)


@helper
def end_bands(s: Any, book: Any) -> None:
    """No bands outside continuous trading."""
    if book.window != 0:
        _clear_window(s, book)
    book.luld_reference = 0
    book.luld_moved_at = 0
    book.band_low = 0
    book.band_high = 0
    book.limit_side = 0
    book.limit_since = 0


@routine
def bands_timer(memory: Any, book_row: Any) -> Any:
    """Move reference and bands where it is time; whether a limit state has lasted long enough for a pause."""
    s = state_at(memory)
    book, now = s.books[book_row], I(s.head[LOG_TIME])
    if book.band_high == 0:
        return False
    if book.limit_side != 0 and now - book.limit_since >= LIMIT_STATE_NS:
        return True
    if now - book.luld_moved_at >= MOVE_EVERY_NS:
        mean = _mean(s, book)
        if mean != 0 and abs(mean - book.luld_reference) * 100 >= book.luld_reference:
            book.luld_reference = mean
            book.luld_moved_at = now
    _set_bands(memory, book_row)
    return False


@helper
def _mean(s: Any, book: Any) -> Any:
    """Mean price of the window, 0 without trades."""
    first = _second_of(s) - WINDOW_SECONDS + 1
    total, trades = I(0), I(0)
    for at in range(WINDOW_SECONDS):
        entry = s.seconds[book.window, at]
        if entry.second >= first:
            total += entry.price_sum
            trades += entry.trades
    return (2 * total + trades) // (2 * trades) if trades != 0 else I(0)


@routine
def _set_bands(memory: Any, book_row: Any) -> None:
    """Publish the bands if they are others than before, and bring orders beyond them back to them."""
    s = state_at(memory)
    book = s.books[book_row]
    rules = s.rules[book.instrument]
    doubled = book.session_close != 0 and I(s.head[LOG_TIME]) >= book.session_close - DOUBLED_NS
    low, high = bands_of(book.luld_reference, I(book.reference_px), I(rules.luld_tier), rules.tick_minor, doubled)
    if low == I(book.band_low) and high == I(book.band_high):
        return
    book.band_low = U(low)
    book.band_high = U(high)
    put_row(memory, book_row, U(EXEC_PRICE_BAND) | (U(SIDE_BUY) << SIDE_SHIFT), ZERO, ZERO, ZERO, U(high), ZERO, ZERO, ZERO)
    put_row(memory, book_row, U(EXEC_PRICE_BAND) | (U(SIDE_SELL) << SIDE_SHIFT), ZERO, ZERO, ZERO, U(low), ZERO, ZERO, ZERO)
    for row in _beyond_bands(memory, book_row):
        _bring_back(memory, row)
    book.peg_bid = -1


@routine
def _beyond_bands(memory: Any, book_row: Any) -> Any:
    """Rows of the orders that rest beyond their band, by entry; pegs are repriced anyway."""
    s = state_at(memory)
    book = s.books[book_row]
    rows, entries = np.empty(s.head[ORDERS], np.uint64), np.empty(s.head[ORDERS], np.uint64)
    found = ZERO
    for side in (ZERO, ONE):
        side_row = (book_row << BOOK_SHIFT) + side
        level_row = U(s.sides[side_row].best)
        while level_row != ZERO:
            price = U(s.levels[level_row].price)
            if band_limited(book, side == ZERO, price) == price:
                break
            row = first_in(s, level_row)
            while row != ZERO:
                if s.orders[row].ord_type != TYPE_PEGGED:
                    rows[found] = row
                    entries[found] = s.orders[row].entry
                    found += ONE
                row = after_in(s, level_row, row)
            level_row = next_level(s, side_row, level_row)
    return rows[np.argsort(entries[:found])]


@routine
def _bring_back(memory: Any, row: Any) -> None:
    s = state_at(memory)
    order = s.orders[row]
    side_row = U(order.side_row)
    price, qty, count = detach(memory, row)
    put_level_row(memory, side_row, price, qty, count)
    order.price = band_limited(s.books[side_row >> BOOK_SHIFT], side_row & ONE == ZERO, U(order.price))
    put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_PRICE_BAND), ZERO)
    rest(memory, row)


@routine
def watch_limit_state(memory: Any, book_row: Any) -> None:
    """After a command: say when a limit state begins, and when it is left."""
    s = state_at(memory)
    book, buys = s.books[book_row], book_row << BOOK_SHIFT
    bid, ask = U(s.levels[best_shown(s, buys)].price), U(s.levels[best_shown(s, buys + ONE)].price)
    side = U(SIDE_BUY) if bid == U(book.band_high) else U(SIDE_SELL) if ask == U(book.band_low) else ZERO
    before = U(book.limit_side)
    if side == before:
        return
    status = U(EXEC_SECURITY_STATUS) | (U(book.phase) << PHASE_SHIFT)
    if before != ZERO:
        head = status | (before << SIDE_SHIFT) | (U(REASON_LIMIT_STATE_LEFT) << REASON_SHIFT)
        put_row(memory, book_row, head, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    if side != ZERO:
        head = status | (side << SIDE_SHIFT) | (U(REASON_LIMIT_STATE) << REASON_SHIFT)
        put_row(memory, book_row, head, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    book.limit_side = side
    book.limit_since = I(s.head[LOG_TIME]) if side != ZERO else I(0)
