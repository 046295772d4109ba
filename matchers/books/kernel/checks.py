"""Why a book refuses a new order: the checks of books.reference.checks, in their order. A refused order changes nothing."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.auction import auction_range
from matchers.books.kernel.bands import band_limited
from matchers.books.kernel.layout import COMMAND_INDEX, LOG_TIME, ORDERS, ORDERS_MAX, PEGS_MAX, STOPS_MAX
from matchers.books.kernel.matching import in_call
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.rows import BOOK_SHIFT, book_of, key_of
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.order_checks import LIMITED, STOPS, bits_of, is_one_of, order_refusal
from matchers.compiled.words import (
    INST_POST_ONLY_ANY,
    INST_POST_ONLY_SLIDE,
    PHASE_CLOSING_AUCTION,
    PHASE_CONTINUOUS,
    REASON_AUCTION_CUTOFF,
    REASON_BOOK_FULL,
    REASON_INVALID_PRICE,
    REASON_NOT_IN_THIS_PHASE,
    REASON_POST_ONLY_WOULD_TAKE,
    REASON_PRICE_OUTSIDE_COLLAR,
    REASON_TOO_MANY_PEGS,
    REASON_TOO_MANY_STOPS,
    REASON_UNKNOWN_SYMBOL,
    TIF_CLS,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_PEGGED,
)
from matchers.rules.order_tables import ORD_TYPES_END, TIMES_END
from schemas.field_rules import IMMEDIATE
from schemas.limits import PRICE_TICKS_MAX

I: Final = np.int64
_IMMEDIATE: Final = bits_of(IMMEDIATE)


@routine
def static_reason(memory: Any) -> Any:
    """Checks of the command at hand alone, or 0."""
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    book_row = book_of(s, U(command.instrument))
    if book_row == ZERO:
        return I(REASON_UNKNOWN_SYMBOL)
    book = s.books[book_row - ONE]
    return order_refusal(s.order_table, command, I(book.qty_min), I(book.qty_max), I(s.head[LOG_TIME]), in_book=True)


@routine
def situation_reason(memory: Any, ahead: Any, stops_ahead: Any) -> Any:
    """Checks of the command at hand, which passed static_reason, against its book, or 0.

    ahead, stops_ahead: how many orders of the same list, and stops of it, would be accepted before it.
    """
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    book_row = book_of(s, U(command.instrument)) - ONE
    book = s.books[book_row]
    ord_type, time_in_force = I(command.ord_type), I(command.time_in_force)
    reason = _phase_reason(s, book, command)
    if reason != 0:
        return reason
    if is_one_of(ord_type, LIMITED) and price_outside_collar(book, command.price):
        return I(REASON_PRICE_OUTSIDE_COLLAR)
    if s.head[ORDERS] + ahead >= s.head[ORDERS_MAX] and _may_stay(book, ord_type, time_in_force):
        return I(REASON_BOOK_FULL)
    if is_one_of(ord_type, STOPS) and U(book.stops) + stops_ahead >= s.call[STOPS_MAX]:
        return I(REASON_TOO_MANY_STOPS)
    if ord_type == TYPE_PEGGED and U(book.pegs) >= s.call[PEGS_MAX]:
        return I(REASON_TOO_MANY_PEGS)
    if command.exec_inst & INST_POST_ONLY_ANY != 0 and ord_type == TYPE_LIMIT and book.phase == PHASE_CONTINUOUS:
        return taking_reason(s, book_row, command.side == 1, U(command.price), I(command.exec_inst))
    return I(0)


@helper
def _phase_reason(s: Any, book: Any, command: Any) -> Any:
    """Whether the phase takes such an order."""
    ord_type, time_in_force = I(command.ord_type), I(command.time_in_force)
    reason = I(s.phase_table[(I(book.phase) * ORD_TYPES_END + ord_type) * TIMES_END + time_in_force])
    if reason != 0:
        return reason
    calls = in_call(book.phase)
    if (
        calls
        and (ord_type == TYPE_LIMIT or ord_type == TYPE_MARKET)
        and (command.exec_inst & INST_POST_ONLY_ANY != 0 or command.min_qty != 0)
    ):
        return I(REASON_NOT_IN_THIS_PHASE)
    closing = time_in_force == TIF_CLS
    if closing and book.phase == PHASE_CLOSING_AUCTION and book.phase_end != 0:
        cutoff_ns = s.rules[book.instrument].cls_cutoff_ns
        if cutoff_ns != 0 and I(s.head[LOG_TIME]) >= book.phase_end - cutoff_ns:
            return I(REASON_AUCTION_CUTOFF)
    if (calls or closing) and ord_type == TYPE_MARKET and command.price != 0:  # it will trade anywhere in the auction's range
        low, high = auction_range(s, book)
        if command.price < I(high) if command.side == 1 else command.price > I(low):
            return I(REASON_INVALID_PRICE)
    return I(0)


@helper
def taking_reason(s: Any, book_row: Any, buys: Any, price: Any, exec_inst: Any) -> Any:
    """Why a post-only limit order of this price must not enter: it would take liquidity, and cannot slide away from it."""
    book = s.books[book_row]
    opposite = (book_row << BOOK_SHIFT) + (ONE if buys else ZERO)
    best = U(s.sides[opposite].best)
    reason = I(0)
    if best != ZERO and U(s.sides[opposite].best_key) <= key_of(opposite, band_limited(book, buys, price)):
        best_px = I(s.levels[best].price)
        slid = best_px - 1 if buys else best_px + 1
        if exec_inst & INST_POST_ONLY_SLIDE == 0 or slid < 1 or slid > PRICE_TICKS_MAX:
            reason = I(REASON_POST_ONLY_WOULD_TAKE)
    return reason


@helper
def price_outside_collar(book: Any, price: Any) -> Any:
    """A limit price (0: none) outside the static collar."""
    return price != 0 and (price < I(book.price_low) or price > I(book.price_high))


@helper
def _may_stay(book: Any, ord_type: Any, time_in_force: Any) -> Any:
    """Whether the order may be in the shard after its command."""
    if is_one_of(ord_type, STOPS) or time_in_force == TIF_CLS:
        return True
    return not is_one_of(time_in_force, _IMMEDIATE) and not (ord_type == TYPE_MARKET and book.phase == PHASE_CONTINUOUS)
