"""Why a shard refuses an order by what it says alone: matchers.rules.order_rules, compiled, for both kernels. The field rules are constants here."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from matchers.compiled.compilation import helper
from matchers.compiled.words import (
    INST_HIDDEN,
    INST_POST_ONLY_ANY,
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
)
from matchers.rules.order_tables import EXEC_INST_MAX, ORD_TYPES_END, ORDER_TABLE, STOP_TYPES, TIMES_END, TRAILING_TYPES
from schemas.enums import OffsetType, PegPriceType, SelfMatchPrevention
from schemas.field_rules import TYPE_RULES, WORKING, Use, times_with, types_with
from schemas.limits import ICEBERG_TRANCHES_MAX, PRICE_TICKS_MAX

I64: Final = np.int64
BITS_END: Final = 62
"""Sets of numbers below it can be given as bits."""
_MUST: Final = {Use.MUST}


def bits_of(numbers: Iterable[int]) -> int:
    """A set of small numbers as bits, for is_one_of."""
    return sum(1 << number for number in set(numbers))


STOPS: Final = bits_of(STOP_TYPES)
TRAILING: Final = bits_of(TRAILING_TYPES)
WORKING_TIMES: Final = bits_of(WORKING)
PRICED: Final = bits_of(types_with("price"))
"""Types whose customers may give a price."""
LIMITED: Final = bits_of(one for one in types_with("price") if not TYPE_RULES[one].price_is_distance)
"""Those whose price is a limit."""
MOVABLE_STOPS: Final = bits_of(types_with("stop_px", _MUST))
"""Types whose stop_px is their customers' own, and not moved by the market."""
OFFSET: Final = bits_of(types_with("offset"))
_PRICE_MUST: Final = bits_of(types_with("price", _MUST))
_STOP_MUST, _STOP_HAS = bits_of(types_with("stop_px", _MUST)), bits_of(types_with("stop_px"))
_DISPLAY_TYPES, _DISPLAY_TIMES = bits_of(types_with("display")), bits_of(times_with("display"))
_MIN_QTY_TYPES, _MIN_QTY_TIMES = bits_of(types_with("min_qty")), bits_of(times_with("min_qty"))
_PEG_MUST, _PEG_HAS = bits_of(types_with("peg_price_type", _MUST)), bits_of(types_with("peg_price_type"))
_DATED_MUST, DATED = bits_of(times_with("expire_time", _MUST)), bits_of(times_with("expire_time"))
_PEGS: Final = bits_of(PegPriceType)
_PREVENTION_MAX: Final = int(max(SelfMatchPrevention))
_UNITS: Final = max(OffsetType) + 1
assert set(SelfMatchPrevention) == set(range(_PREVENTION_MAX + 1)), "_PREVENTION_MAX"
assert (*ORDER_TABLE.shape[:2], ORDER_TABLE.shape[2] - 1) == (ORD_TYPES_END, TIMES_END, EXEC_INST_MAX) and ORD_TYPES_END <= BITS_END


def _offset_bounds() -> tuple[Any, Any]:
    """The smallest and the largest offset of every type in every unit; 1 to 0 where it has none in that unit, 0 to 0 in ticks where it has none at all."""
    bounds = np.zeros((2, ORD_TYPES_END, _UNITS), np.int64)
    bounds[0, :, 1:] = 1
    for ord_type, rule in TYPE_RULES.items():
        for unit in OffsetType if rule.offsets else ():
            bounds[:, ord_type, unit] = rule.offsets.get(unit, (1, 0))
    return bounds[0].ravel(), bounds[1].ravel()


_OFFSET_LEAST, _OFFSET_MOST = _offset_bounds()


@helper
def is_one_of(value: Any, set_bits: Any) -> Any:
    """Whether a number below BITS_END is in a set given as bits."""
    return (set_bits >> value) & 1 != 0


@helper
def order_reason(table: Any, ord_type: Any, time_in_force: Any, exec_inst: Any) -> Any:
    """order_tables.order_reason: whether type, time in force and instructions go together; any u1 values. table: ORDER_TABLE, flat."""
    if ord_type >= ORD_TYPES_END:
        return I64(REASON_INVALID_ORD_TYPE)
    cell = ord_type * TIMES_END * (EXEC_INST_MAX + 1)
    if time_in_force >= TIMES_END:
        known = I64(table[cell])
        return known if known == REASON_INVALID_ORD_TYPE else I64(REASON_INVALID_TIME_IN_FORCE)
    cell += time_in_force * (EXEC_INST_MAX + 1)
    if exec_inst > EXEC_INST_MAX:
        known = I64(table[cell])
        return known if known != 0 else I64(REASON_INVALID_EXEC_INST)
    return I64(table[cell + exec_inst])


@helper
def quantity_refusal(order_qty: Any, qty_min: Any, qty_max: Any) -> Any:
    """Why an order must not have this total quantity."""
    if order_qty <= 0:
        return I64(REASON_INVALID_QUANTITY)
    if order_qty < qty_min:
        return I64(REASON_QUANTITY_BELOW_LIMIT)
    return I64(REASON_QUANTITY_ABOVE_LIMIT) if order_qty > qty_max else I64(0)


@helper
def _price_refusal(price: Any, ord_type: Any, in_book: Any) -> Any:
    if price < 0 or (price == 0 and is_one_of(ord_type, _PRICE_MUST)) or (price != 0 and not in_book and not is_one_of(ord_type, PRICED)):
        return I64(REASON_INVALID_PRICE)
    return I64(REASON_PRICE_ABOVE_LIMIT) if price > PRICE_TICKS_MAX else I64(0)


@helper
def can_rest(ord_type: Any, time_in_force: Any) -> Any:
    """field_rules.can_rest."""
    return is_one_of(ord_type, _DISPLAY_TYPES) and is_one_of(time_in_force, _DISPLAY_TIMES)


@helper
def good_display(display_qty: Any, order_qty: Any) -> Any:
    """Whether a new order, or a replace, of this total may ask to display so much at a time."""
    return 0 < display_qty <= order_qty and good_tranches(display_qty, order_qty)


@helper
def good_tranches(display_qty: Any, order_qty: Any) -> Any:
    """Whether so much at a time makes no more tranches of the total than there may be."""
    return display_qty * ICEBERG_TRANCHES_MAX >= order_qty


@helper
def _terms_refusal(command: Any, ord_type: Any, time_in_force: Any, exec_inst: Any) -> Any:
    """stop_px, display_qty, min_qty."""
    least = 1 if is_one_of(ord_type, _STOP_MUST) else 0
    if command.stop_px < least or command.stop_px > (PRICE_TICKS_MAX if is_one_of(ord_type, _STOP_HAS) else 0):
        return I64(REASON_INVALID_STOP_PRICE)
    if command.display_qty != 0:
        rests = can_rest(ord_type, time_in_force)
        if not rests or exec_inst & INST_HIDDEN != 0 or not good_display(command.display_qty, command.order_qty):
            return I64(REASON_INVALID_DISPLAY_QTY)
    if command.min_qty != 0:
        allowed = is_one_of(ord_type, _MIN_QTY_TYPES) and is_one_of(time_in_force, _MIN_QTY_TIMES) and exec_inst & INST_POST_ONLY_ANY == 0
        if not allowed or command.min_qty < 0 or command.min_qty > command.order_qty:
            return I64(REASON_INVALID_MIN_QTY)
    return I64(0)


@helper
def good_offset(ord_type: Any, offset_type: Any, offset: Any) -> Any:
    """order_rules.good_offset."""
    if offset_type >= _UNITS:
        return False
    at = ord_type * _UNITS + offset_type
    return _OFFSET_LEAST[at] <= offset <= _OFFSET_MOST[at]


@helper
def good_expiry(expire_time: Any, time_in_force: Any, log_time: Any) -> Any:
    """order_rules.good_expiry."""
    if expire_time == 0:
        return not is_one_of(time_in_force, _DATED_MUST)
    return is_one_of(time_in_force, DATED) and expire_time > log_time


@helper
def _peg_refusal(peg: Any, ord_type: Any) -> Any:
    if peg == 0:
        return I64(REASON_INVALID_PEG) if is_one_of(ord_type, _PEG_MUST) else I64(0)
    good = peg < BITS_END and is_one_of(ord_type, _PEG_HAS) and is_one_of(peg, _PEGS)
    return I64(0) if good else I64(REASON_INVALID_PEG)


@helper
def order_refusal(table: Any, command: Any, qty_min: Any, qty_max: Any, log_time: Any, in_book: Any) -> Any:
    """order_rules.order_refusal: the first check that the order fails, or 0."""
    ord_type, time_in_force, exec_inst = I64(command.ord_type), I64(command.time_in_force), I64(command.exec_inst)
    if command.side != SIDE_BUY and command.side != SIDE_SELL:
        return I64(REASON_INVALID_SIDE)
    reason = order_reason(table, ord_type, time_in_force, exec_inst)
    if reason == 0 and command.self_match_prevention_instruction > _PREVENTION_MAX:
        reason = I64(REASON_INVALID_SELF_MATCH_PREVENTION)
    if reason == 0:
        reason = quantity_refusal(command.order_qty, qty_min, qty_max)
    if reason == 0:
        reason = _price_refusal(command.price, ord_type, in_book)
    if reason == 0:
        reason = _terms_refusal(command, ord_type, time_in_force, exec_inst)
    if reason == 0:
        reason = _peg_refusal(I64(command.peg_price_type), ord_type)
    if reason == 0 and not good_offset(ord_type, I64(command.offset_type), command.offset):
        reason = I64(REASON_INVALID_OFFSET)
    if reason == 0 and not good_expiry(command.expire_time, time_in_force, log_time):
        reason = I64(REASON_INVALID_EXPIRE_TIME)
    return reason
