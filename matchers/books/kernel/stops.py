"""Stop and trailing stop orders in the book kernel: books.reference.stops by the same names.

A trailing stop moves only when a trade is outside the range of prices that all of them have seen (`trail_low` to `trail_high` of the book), so most trades look
at none of them.
"""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.endings import queue_followup
from matchers.books.kernel.layout import BUY_STOPS, NO_KEY, SELL_STOPS
from matchers.books.kernel.memory import ZERO, state_at
from matchers.books.kernel.orders import DORMANT, detach, is_trailing
from matchers.books.kernel.queues import join_chain, join_idle, join_stops, leave_idle, leave_stops
from matchers.books.kernel.rows import BOOK_SHIFT, key_of
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    OFFSET_TICKS,
    PHASE_CONTINUOUS,
    SIDE_BUY,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_STOP,
    TYPE_TRAILING_STOP,
    TYPE_TRAILING_STOP_LIMIT,
)
from schemas.limits import PRICE_TICKS_MAX
from schemas.units import BASIS_POINTS

I: Final = np.int64
_NO_KEY: Final = U(NO_KEY)


@helper
def _is_met(s: Any, row: Any, last_px: Any) -> Any:
    """Whether a trade at last_px (0: none yet) elects the stop."""
    order = s.orders[row]
    stop_px = U(s.extras[order.extra].stop_px)
    met = last_px >= stop_px if order.side == SIDE_BUY else last_px <= stop_px
    return last_px != ZERO and stop_px != ZERO and met


@routine
def arm(memory: Any, row: Any) -> Any:
    """Let the stop wait, or elect it at once if the last price meets it: then True, and it is to be triggered."""
    s = state_at(memory)
    order = s.orders[row]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    last_px = U(book.last_px)
    if is_trailing(order.ord_type) and last_px != ZERO:
        _tighten_one(s, row, last_px)
    if book.phase == PHASE_CONTINUOUS and _is_met(s, row, last_px):
        become_active(s, row)
        return True
    s.extras[order.extra].place = DORMANT
    _wait(s, row)
    if is_trailing(order.ord_type):
        join_chain(s, row)
        book.trail_low = _NO_KEY  # it has not seen the prices that the others have
        book.trail_high = 0
    return False


@helper
def _wait(s: Any, row: Any) -> None:
    order = s.orders[row]
    stop_px = U(s.extras[order.extra].stop_px)
    if stop_px != ZERO:
        join_stops(s, row, stop_px)
    else:
        join_idle(s, U(order.side_row) >> BOOK_SHIFT, row)


@routine
def tighten(memory: Any, book_row: Any, last_px: Any) -> None:
    """Let trailing stops follow a trade."""
    s = state_at(memory)
    book = s.books[book_row]
    if U(book.trail_low) <= last_px and last_px <= U(book.trail_high):
        return
    book.trail_low = min(U(book.trail_low), last_px)
    book.trail_high = max(U(book.trail_high), last_px)
    row = U(book.first_trailing)
    while row != ZERO:
        extra = s.extras[s.orders[row].extra]
        before = U(extra.stop_px)
        _tighten_one(s, row, last_px)
        after = U(extra.stop_px)
        if after != before:
            extra.stop_px = before
            if before != ZERO:
                leave_stops(s, row)
            else:
                leave_idle(s, row)
            extra.stop_px = after
            _wait(s, row)
        row = U(extra.next)


@helper
def _tighten_one(s: Any, row: Any, last_px: Any) -> None:
    order = s.orders[row]
    extra = s.extras[order.extra]
    last, offset, now = I(last_px), extra.offset, I(extra.stop_px)
    ticks = extra.offset_type == OFFSET_TICKS
    if order.side == SIDE_BUY:
        stop_px = last + offset if ticks else (last * (BASIS_POINTS + offset) + BASIS_POINTS - 1) // BASIS_POINTS
        if stop_px <= PRICE_TICKS_MAX and (now == 0 or stop_px < now):
            extra.stop_px = U(stop_px)
    else:
        stop_px = last - offset if ticks else last * (BASIS_POINTS - offset) // BASIS_POINTS
        if stop_px >= 1 and stop_px > now:
            extra.stop_px = U(stop_px)


@routine
def elect(memory: Any, book: Any, last_px: Any) -> None:
    """Queue every stop that a trade at last_px meets."""
    s = state_at(memory)
    for which in (U(BUY_STOPS), U(SELL_STOPS)):
        side_row = (book << BOOK_SHIFT) + which
        side, reached = s.sides[side_row], key_of(side_row, last_px)
        while side.best != 0 and U(side.best_key) <= reached:
            row = U(s.levels[side.best].first)
            detach(memory, row)
            become_active(s, row)
            queue_followup(s, row)


@helper
def become_active(s: Any, row: Any) -> None:
    """The stop, which is nowhere now, is elected for good: a MARKET or LIMIT order from now on."""
    order = s.orders[row]
    extra = s.extras[order.extra]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    book.stops -= 1
    if order.ord_type == TYPE_TRAILING_STOP_LIMIT:
        distance = I(order.price) if order.side == SIDE_BUY else -I(order.price)
        limit: Any = min(max(I(extra.stop_px) + distance, 1), PRICE_TICKS_MAX)
        order.price = U(limit)
    order.ord_type = TYPE_MARKET if order.ord_type == TYPE_STOP or order.ord_type == TYPE_TRAILING_STOP else TYPE_LIMIT
    extra.stop_px = 0
    extra.offset = 0
    extra.offset_type = 0


@helper
def set_quiet(s: Any, book_row: Any) -> None:
    """Which trades have no consequences but themselves, see books.kernel.layout.BOOK_ROW."""
    book = s.books[book_row]
    low, high = U(book.trail_low), U(book.trail_high)
    if book.first_trailing == 0:
        low, high = ZERO, _NO_KEY
        book.trail_low = low
        book.trail_high = high
    buys, sells = s.sides[(book_row << BOOK_SHIFT) + U(BUY_STOPS)], s.sides[(book_row << BOOK_SHIFT) + U(SELL_STOPS)]
    if buys.best != 0:
        high = min(high, U(buys.best_key) - U(1))
    if sells.best != 0:
        low = max(low, U(s.levels[sells.best].price) + U(1))
    if book.pro_rata != 0 or book.band_high != 0:
        low, high = _NO_KEY, ZERO
    book.quiet_low = low
    book.quiet_high = high
