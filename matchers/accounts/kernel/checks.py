"""Why the account kernel refuses an order by what it says alone: order_rules and the prices of account_rules, compiled. In the same order."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.words import (
    INST_HIDDEN,
    INST_POST_ONLY,
    INST_POST_ONLY_SLIDE,
    OFFSET_BASIS_POINTS,
    OFFSET_TICKS,
    PEG_MARKET,
    PEG_MIDPOINT,
    PEG_PRIMARY,
    PREVENTION_LAST,
)
from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U, mix
from matchers.compiled.words import (
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
    REASON_PRICE_ABOVE_LIMIT,
    REASON_QUANTITY_ABOVE_LIMIT,
    REASON_QUANTITY_BELOW_LIMIT,
    SIDE_BUY,
    SIDE_SELL,
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
from matchers.rules.account_rules import BASIS_POINTS
from schemas.limits import (
    ICEBERG_TRANCHES_MAX,
    OFFSET_BASIS_POINTS_MAX,
    OFFSET_TICKS_MAX,
    PRICE_TICKS_MAX,
)

_POST_ONLY: Final = INST_POST_ONLY | INST_POST_ONLY_SLIDE
_SEED: Final = U(0x9E3779B97F4A7C15)
_ZERO: Final = U(0)


@helper
def is_without_limit(ord_type: Any) -> Any:
    """account_rules.WITHOUT_LIMIT."""
    return ord_type in (TYPE_MARKET, TYPE_MARKET_TO_LIMIT, TYPE_STOP, TYPE_TRAILING_STOP)


@helper
def is_trailing(ord_type: Any) -> Any:
    """order_tables.TRAILING_TYPES."""
    return ord_type in (TYPE_TRAILING_STOP, TYPE_TRAILING_STOP_LIMIT)


@helper
def is_stop(ord_type: Any) -> Any:
    """order_tables.STOP_TYPES."""
    return ord_type in (TYPE_STOP, TYPE_STOP_LIMIT, TYPE_TRAILING_STOP, TYPE_TRAILING_STOP_LIMIT)


@helper
def takes_price(ord_type: Any) -> Any:
    """accounts.reference.checks.book_takes_price; also order_tables.LIMIT_TYPES."""
    return ord_type in (TYPE_LIMIT, TYPE_STOP_LIMIT, TYPE_TRAILING_STOP_LIMIT, TYPE_PEGGED)


@helper
def book_stop_px(command: Any, rules: Any) -> Any:
    """account_rules.book_stop_px."""
    if command.ord_type != TYPE_TRAILING_STOP_LIMIT or command.side != SIDE_BUY or command.stop_px != 0:
        return np.int64(command.stop_px)
    high = rules.protection_high_px
    if command.offset_type == OFFSET_TICKS:
        return np.int64(min(high + command.offset, PRICE_TICKS_MAX))
    return np.int64(min(-((-high * (BASIS_POINTS + command.offset)) // BASIS_POINTS), PRICE_TICKS_MAX))


@helper
def worst_px(ord_type: Any, side: Any, price: Any, stop_px: Any, rules: Any) -> Any:
    """account_rules.worst_px; stop_px: what the book gets."""
    if is_without_limit(ord_type) or (ord_type == TYPE_PEGGED and price == 0):
        return np.int64(rules.protection_high_px if side == SIDE_BUY else rules.protection_low_px)
    if ord_type == TYPE_TRAILING_STOP_LIMIT:
        if side == SIDE_BUY:
            return np.int64(min(stop_px + price, PRICE_TICKS_MAX))
        return np.int64(stop_px if stop_px != 0 else rules.reference_px)
    return np.int64(price)


@helper
def _body_word(word: Any, place: Any) -> Any:
    return mix(word ^ (_SEED * U(place))) if word != _ZERO else _ZERO


@helper
def body_digest(command: Any) -> Any:
    """account_rules.body_digest."""
    small = (
        U(command.side) | U(command.ord_type) << U(8) | U(command.time_in_force) << U(16) | U(command.exec_inst) << U(24)
        | U(command.self_match_prevention_instruction) << U(32) | U(command.contingency_type) << U(40) | U(command.peg_price_type) << U(48)
        | U(command.offset_type) << U(56)
    )  # fmt: skip
    digest = _body_word(small, 1) ^ _body_word(U(command.instrument) | U(command.locate) << U(32), 2)
    digest ^= _body_word(U(command.order_qty), 3) ^ _body_word(U(command.price), 4) ^ _body_word(command.self_match_prevention_id, 5)
    digest ^= _body_word(U(command.stop_px), 6) ^ _body_word(U(command.display_qty), 7) ^ _body_word(U(command.min_qty), 8)
    return digest ^ _body_word(U(command.offset), 9) ^ _body_word(U(command.expire_time), 10)


@helper
def _table_refusal(table: Any, command: Any) -> Any:
    """order_tables.order_reason."""
    if command.ord_type >= table.shape[0]:
        return REASON_INVALID_ORD_TYPE
    if command.time_in_force >= table.shape[1]:
        unknown_type = int(table[command.ord_type, 0, 0]) == REASON_INVALID_ORD_TYPE
        return REASON_INVALID_ORD_TYPE if unknown_type else REASON_INVALID_TIME_IN_FORCE
    if command.exec_inst >= table.shape[2]:
        reason = int(table[command.ord_type, command.time_in_force, 0])
        return reason if reason != 0 else REASON_INVALID_EXEC_INST
    return int(table[command.ord_type, command.time_in_force, command.exec_inst])


@helper
def quantity_refusal(order_qty: Any, rules: Any) -> Any:
    """order_rules.quantity_refusal."""
    if order_qty <= 0:
        return REASON_INVALID_QUANTITY
    if order_qty < rules.order_qty_min:
        return REASON_QUANTITY_BELOW_LIMIT
    return REASON_QUANTITY_ABOVE_LIMIT if order_qty > rules.order_qty_max else 0


@helper
def _display_refusal(command: Any) -> Any:
    display_qty = command.display_qty
    if display_qty == 0:
        return 0
    rests = takes_price(command.ord_type) or command.ord_type == TYPE_MARKET_TO_LIMIT
    if not rests or command.time_in_force in (TIF_IOC, TIF_FOK) or command.exec_inst & INST_HIDDEN != 0:
        return REASON_INVALID_DISPLAY_QTY
    size = display_qty > 0 and display_qty <= command.order_qty and display_qty * ICEBERG_TRANCHES_MAX >= command.order_qty
    return 0 if size else REASON_INVALID_DISPLAY_QTY


@helper
def _min_qty_refusal(command: Any) -> Any:
    if command.min_qty == 0:
        return 0
    auction_only = command.time_in_force in (TIF_OPG, TIF_CLS)
    if auction_only or command.exec_inst & _POST_ONLY != 0 or command.ord_type == TYPE_PEGGED:
        return REASON_INVALID_MIN_QTY
    return 0 if command.min_qty > 0 and command.min_qty <= command.order_qty else REASON_INVALID_MIN_QTY


@helper
def _offset_refusal(command: Any) -> Any:
    ord_type = command.ord_type
    peg = command.peg_price_type
    if ord_type == TYPE_PEGGED:
        if peg not in (PEG_MIDPOINT, PEG_MARKET, PEG_PRIMARY):
            return REASON_INVALID_PEG
        good = command.offset_type == OFFSET_TICKS and command.offset >= -OFFSET_TICKS_MAX and command.offset <= OFFSET_TICKS_MAX
        return 0 if good else REASON_INVALID_OFFSET
    if peg != 0:
        return REASON_INVALID_PEG
    if is_trailing(ord_type):
        most = 0
        if command.offset_type == OFFSET_TICKS:
            most = OFFSET_TICKS_MAX
        elif command.offset_type == OFFSET_BASIS_POINTS:
            most = OFFSET_BASIS_POINTS_MAX
        return 0 if command.offset >= 1 and command.offset <= most else REASON_INVALID_OFFSET
    return 0 if command.offset == 0 and command.offset_type == 0 else REASON_INVALID_OFFSET


@helper
def order_refusal(table: Any, command: Any, rules: Any, log_time: Any) -> Any:
    """order_rules.order_refusal: the first check that the order fails, or 0."""
    if command.side != SIDE_BUY and command.side != SIDE_SELL:
        return REASON_INVALID_SIDE
    reason = _table_refusal(table, command)
    if reason != 0:
        return reason
    if command.self_match_prevention_instruction > PREVENTION_LAST:
        return REASON_INVALID_SELF_MATCH_PREVENTION
    reason = quantity_refusal(command.order_qty, rules)
    if reason != 0:
        return reason
    ord_type = command.ord_type
    needs_price = ord_type in (TYPE_LIMIT, TYPE_STOP_LIMIT)
    if command.price < (1 if needs_price else 0) or (command.price != 0 and is_without_limit(ord_type)):
        return REASON_INVALID_PRICE
    if command.price > PRICE_TICKS_MAX:
        return REASON_PRICE_ABOVE_LIMIT
    least = 1 if ord_type in (TYPE_STOP, TYPE_STOP_LIMIT) else 0
    most = PRICE_TICKS_MAX if is_stop(ord_type) else 0
    if command.stop_px < least or command.stop_px > most:
        return REASON_INVALID_STOP_PRICE
    reason = _display_refusal(command)
    if reason == 0:
        reason = _min_qty_refusal(command)
    if reason == 0:
        reason = _offset_refusal(command)
    if reason != 0:
        return reason
    dated = command.time_in_force == TIF_GTD
    good = command.expire_time > log_time if dated else command.expire_time == 0
    return 0 if good else REASON_INVALID_EXPIRE_TIME
