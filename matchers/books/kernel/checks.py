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
from matchers.compiled.words import (
    INST_POST_ONLY_SLIDE,
    PHASE_CLOSING_AUCTION,
    PHASE_CONTINUOUS,
    REASON_AUCTION_CUTOFF,
    REASON_BOOK_FULL,
    REASON_INVALID_DISPLAY_QTY,
    REASON_INVALID_EXEC_INST,
    REASON_INVALID_EXPIRE_TIME,
    REASON_INVALID_MIN_QTY,
    REASON_INVALID_OFFSET,
    REASON_INVALID_ORD_TYPE,
    REASON_INVALID_PEG,
    REASON_INVALID_PRICE,
    REASON_INVALID_QUANTITY,
    REASON_INVALID_SELF_MATCH_PREVENTION,
    REASON_INVALID_SIDE,
    REASON_INVALID_STOP_PRICE,
    REASON_INVALID_TIME_IN_FORCE,
    REASON_NOT_IN_THIS_PHASE,
    REASON_POST_ONLY_WOULD_TAKE,
    REASON_PRICE_ABOVE_LIMIT,
    REASON_PRICE_OUTSIDE_COLLAR,
    REASON_QUANTITY_ABOVE_LIMIT,
    REASON_QUANTITY_BELOW_LIMIT,
    REASON_TOO_MANY_PEGS,
    REASON_TOO_MANY_STOPS,
    REASON_UNKNOWN_SYMBOL,
    TIF_CLS,
    TIF_FOK,
    TIF_GTD,
    TIF_IOC,
    TIF_OPG,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_MARKET_TO_LIMIT,
    TYPE_PEGGED,
    TYPE_STOP,
    TYPE_STOP_LIMIT,
    TYPE_TRAILING_STOP,
    TYPE_TRAILING_STOP_LIMIT,
)
from matchers.rules.order_tables import EXEC_INST_MAX, ORD_TYPES_END, ORDER_TABLE, TIMES_END
from schemas.enums import ExecInst, OffsetType, PegPriceType, SelfMatchPrevention
from schemas.limits import ICEBERG_TRANCHES_MAX, OFFSET_BASIS_POINTS_MAX, OFFSET_TICKS_MAX, PRICE_TICKS_MAX

I: Final = np.int64
_POST_ONLY: Final = int(ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE)
_HIDDEN: Final = int(ExecInst.HIDDEN)
_PREVENTION_MAX: Final = int(max(SelfMatchPrevention))
_PEG_TYPES: Final = sum(1 << kind for kind in PegPriceType)
_TICKS, _BASIS_POINTS = int(OffsetType.TICKS), int(OffsetType.BASIS_POINTS)
_STOPS: Final = 1 << TYPE_STOP | 1 << TYPE_STOP_LIMIT | 1 << TYPE_TRAILING_STOP | 1 << TYPE_TRAILING_STOP_LIMIT
_TRAILING: Final = 1 << TYPE_TRAILING_STOP | 1 << TYPE_TRAILING_STOP_LIMIT
_PRICED: Final = 1 << TYPE_LIMIT | 1 << TYPE_STOP_LIMIT
_CAN_REST: Final = _PRICED | 1 << TYPE_TRAILING_STOP_LIMIT | 1 << TYPE_PEGGED | 1 << TYPE_MARKET_TO_LIMIT
_IMMEDIATE: Final = 1 << TIF_IOC | 1 << TIF_FOK
_AUCTION_ONLY: Final = 1 << TIF_OPG | 1 << TIF_CLS
assert (*ORDER_TABLE.shape[:2], ORDER_TABLE.shape[2] - 1) == (ORD_TYPES_END, TIMES_END, EXEC_INST_MAX) and ORD_TYPES_END <= 62


@helper
def is_one_of(value: Any, set_bits: Any) -> Any:
    """Whether a small number is in a set given as bits."""
    return (set_bits >> value) & 1 != 0


@helper
def order_reason(s: Any, ord_type: Any, time_in_force: Any, exec_inst: Any) -> Any:
    """order_tables.order_reason: whether type, time in force and instructions go together; any u1 values."""
    if ord_type >= ORD_TYPES_END:
        return I(REASON_INVALID_ORD_TYPE)
    cell = ord_type * TIMES_END * (EXEC_INST_MAX + 1)
    if time_in_force >= TIMES_END:
        known = I(s.order_table[cell])
        return known if known == REASON_INVALID_ORD_TYPE else I(REASON_INVALID_TIME_IN_FORCE)
    cell += time_in_force * (EXEC_INST_MAX + 1)
    if exec_inst > EXEC_INST_MAX:
        known = I(s.order_table[cell])
        return known if known != 0 else I(REASON_INVALID_EXEC_INST)
    return I(s.order_table[cell + exec_inst])


@helper
def quantity_reason(book: Any, order_qty: Any) -> Any:
    """Why an order of this book must not have this total quantity."""
    if order_qty <= 0:
        return I(REASON_INVALID_QUANTITY)
    if order_qty < I(book.qty_min):
        return I(REASON_QUANTITY_BELOW_LIMIT)
    return I(REASON_QUANTITY_ABOVE_LIMIT) if order_qty > I(book.qty_max) else I(0)


@helper
def _price_reason(command: Any, ord_type: Any) -> Any:
    """A limit price is needed where the order type has one; a market order's protection price, a peg's limit and a trailing distance may be 0."""
    if command.price < 0 or (command.price == 0 and is_one_of(ord_type, _PRICED)):
        return I(REASON_INVALID_PRICE)
    return I(REASON_PRICE_ABOVE_LIMIT) if command.price > PRICE_TICKS_MAX else I(0)


@helper
def good_display(display_qty: Any, order_qty: Any) -> Any:
    """Whether a new order, or a replace, of this total may ask to display so much at a time."""
    return 0 < display_qty <= order_qty and good_tranches(display_qty, order_qty)


@helper
def good_tranches(display_qty: Any, order_qty: Any) -> Any:
    """Whether so much at a time makes no more tranches of the total than there may be."""
    return display_qty * ICEBERG_TRANCHES_MAX >= order_qty


@helper
def can_rest(ord_type: Any, time_in_force: Any) -> Any:
    """Whether such an order can rest under a price, so that display_qty and HIDDEN mean something."""
    return is_one_of(ord_type, _CAN_REST) and not is_one_of(time_in_force, _IMMEDIATE)


@helper
def _terms_reason(command: Any, ord_type: Any, time_in_force: Any, exec_inst: Any) -> Any:
    """stop_px, display_qty, min_qty."""
    is_stop = is_one_of(ord_type, _STOPS)
    lowest = 1 if is_stop and not is_one_of(ord_type, _TRAILING) else 0
    if command.stop_px < lowest or command.stop_px > (PRICE_TICKS_MAX if is_stop else 0):
        return I(REASON_INVALID_STOP_PRICE)
    if command.display_qty != 0:
        rests = can_rest(ord_type, time_in_force)
        if not rests or exec_inst & _HIDDEN != 0 or not good_display(command.display_qty, command.order_qty):
            return I(REASON_INVALID_DISPLAY_QTY)
    allowed = not is_one_of(time_in_force, _AUCTION_ONLY) and exec_inst & _POST_ONLY == 0 and ord_type != TYPE_PEGGED
    if command.min_qty < 0 or command.min_qty > (command.order_qty if allowed else 0):
        return I(REASON_INVALID_MIN_QTY)
    return I(0)


@helper
def _offset_reason(command: Any, ord_type: Any) -> Any:
    """Pegs and trailing stops have an offset, others none."""
    offset, offset_type, peg = command.offset, command.offset_type, command.peg_price_type
    if ord_type == TYPE_PEGGED:
        if peg > 62 or not is_one_of(peg, _PEG_TYPES):
            return I(REASON_INVALID_PEG)
        good = offset_type == _TICKS and -OFFSET_TICKS_MAX <= offset <= OFFSET_TICKS_MAX
    elif peg != 0:
        return I(REASON_INVALID_PEG)
    elif is_one_of(ord_type, _TRAILING):
        most = OFFSET_TICKS_MAX if offset_type == _TICKS else OFFSET_BASIS_POINTS_MAX if offset_type == _BASIS_POINTS else 0
        good = 1 <= offset <= most
    else:
        good = offset == 0 and offset_type == 0
    return I(0) if good else I(REASON_INVALID_OFFSET)


@routine
def static_reason(memory: Any) -> Any:
    """Checks of the command at hand alone, or 0."""
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    ord_type, time_in_force, exec_inst = I(command.ord_type), I(command.time_in_force), I(command.exec_inst)
    book = book_of(s, U(command.instrument))
    if book == ZERO:
        return I(REASON_UNKNOWN_SYMBOL)
    if command.side != 1 and command.side != 2:
        return I(REASON_INVALID_SIDE)
    reason = order_reason(s, ord_type, time_in_force, exec_inst)
    if reason == 0 and command.self_match_prevention_instruction > _PREVENTION_MAX:
        reason = I(REASON_INVALID_SELF_MATCH_PREVENTION)
    if reason == 0:
        reason = quantity_reason(s.books[book - ONE], command.order_qty)
    if reason == 0:
        reason = _price_reason(command, ord_type)
    if reason == 0:
        reason = _terms_reason(command, ord_type, time_in_force, exec_inst)
    if reason == 0:
        reason = _offset_reason(command, ord_type)
    if reason == 0 and not (command.expire_time > I(s.head[LOG_TIME]) if time_in_force == TIF_GTD else command.expire_time == 0):
        reason = I(REASON_INVALID_EXPIRE_TIME)
    return reason


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
    if (is_one_of(ord_type, _PRICED) or ord_type == TYPE_PEGGED) and price_outside_collar(book, command.price):
        return I(REASON_PRICE_OUTSIDE_COLLAR)
    if s.head[ORDERS] + ahead >= s.head[ORDERS_MAX] and _may_stay(book, ord_type, time_in_force):
        return I(REASON_BOOK_FULL)
    if is_one_of(ord_type, _STOPS) and U(book.stops) + stops_ahead >= s.call[STOPS_MAX]:
        return I(REASON_TOO_MANY_STOPS)
    if ord_type == TYPE_PEGGED and U(book.pegs) >= s.call[PEGS_MAX]:
        return I(REASON_TOO_MANY_PEGS)
    if command.exec_inst & _POST_ONLY != 0 and ord_type == TYPE_LIMIT and book.phase == PHASE_CONTINUOUS:
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
    if calls and (ord_type == TYPE_LIMIT or ord_type == TYPE_MARKET) and (command.exec_inst & _POST_ONLY != 0 or command.min_qty != 0):
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
    if is_one_of(ord_type, _STOPS) or time_in_force == TIF_CLS:
        return True
    return not is_one_of(time_in_force, _IMMEDIATE) and not (ord_type == TYPE_MARKET and book.phase == PHASE_CONTINUOUS)
