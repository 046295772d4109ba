"""Which orders the shards take by what the order says alone: schemas.field_rules and the limits, in the order in which both shards check.

Account shards judge what the customer says; books the same once more, with the protection price that orders without a limit have got meanwhile. So a book never
refuses an accepted order for what it says, only for what the book is like when it comes. In compiled code: matchers.compiled.order_checks.
"""

from collections.abc import Mapping
from typing import Any

from matchers.rules.order_tables import POST_ONLY, order_reason
from schemas.enums import ExecInst, OrdType, PegPriceType, SelfMatchPrevention, Side, TimeInForce
from schemas.field_rules import TIME_RULES, TYPE_RULES, TimeRule, TypeRule, Use
from schemas.limits import ICEBERG_TRANCHES_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

Values = Mapping[str, Any]


def order_refusal(command: Values, rules: Values, log_time: int, *, in_book: bool = False) -> Reason:
    """The first check that the order fails, or NONE. `rules`: its instrument's; `in_book`: the price may be a protection price."""
    if command["side"] not in set(Side):
        return Reason.INVALID_SIDE
    if reason := order_reason(command["ord_type"], command["time_in_force"], command["exec_inst"]):
        return reason
    if command["self_match_prevention_instruction"] not in set(SelfMatchPrevention):
        return Reason.INVALID_SELF_MATCH_PREVENTION
    of_type, of_time = TYPE_RULES[OrdType(command["ord_type"])], TIME_RULES[TimeInForce(command["time_in_force"])]
    return (
        quantity_refusal(command["order_qty"], rules)
        or _price_refusal(command["price"], of_type, in_book)
        or _stop_refusal(command["stop_px"], of_type)
        or _display_refusal(command, of_type, of_time)
        or _min_qty_refusal(command, of_type, of_time)
        or _peg_refusal(command["peg_price_type"], of_type)
        or (Reason.NONE if good_offset(command["ord_type"], command["offset_type"], command["offset"]) else Reason.INVALID_OFFSET)
        or (Reason.NONE if good_expiry(command["expire_time"], of_time, log_time) else Reason.INVALID_EXPIRE_TIME)
    )


def quantity_refusal(order_qty: int, rules: Values) -> Reason:
    """Why an order must not have this total quantity."""
    if order_qty <= 0:
        return Reason.INVALID_QUANTITY
    if order_qty < rules["order_qty_min"]:
        return Reason.QUANTITY_BELOW_LIMIT
    return Reason.QUANTITY_ABOVE_LIMIT if order_qty > rules["order_qty_max"] else Reason.NONE


def _price_refusal(price: int, of_type: TypeRule, in_book: bool) -> Reason:
    if price < (of_type.price == Use.MUST) or (price and not of_type.price and not in_book):
        return Reason.INVALID_PRICE
    return Reason.PRICE_ABOVE_LIMIT if price > PRICE_TICKS_MAX else Reason.NONE


def _stop_refusal(stop_px: int, of_type: TypeRule) -> Reason:
    most = PRICE_TICKS_MAX if of_type.stop_px else 0
    return Reason.NONE if (of_type.stop_px == Use.MUST) <= stop_px <= most else Reason.INVALID_STOP_PRICE


def _display_refusal(command: Values, of_type: TypeRule, of_time: TimeRule) -> Reason:
    if not command["display_qty"]:
        return Reason.NONE
    allowed = of_type.display and of_time.display and not command["exec_inst"] & ExecInst.HIDDEN
    return Reason.NONE if allowed and good_display(command["display_qty"], command["order_qty"]) else Reason.INVALID_DISPLAY_QTY


def good_display(display_qty: int, order_qty: int) -> bool:
    """Whether a new order, or a replace, of this total may ask to display so much at a time."""
    return 0 < display_qty <= order_qty and good_tranches(display_qty, order_qty)


def good_tranches(display_qty: int, order_qty: int) -> bool:
    """Whether so much at a time makes no more tranches of the total than there may be."""
    return display_qty * ICEBERG_TRANCHES_MAX >= order_qty


def _min_qty_refusal(command: Values, of_type: TypeRule, of_time: TimeRule) -> Reason:
    allowed = of_type.min_qty and of_time.min_qty and not command["exec_inst"] & POST_ONLY
    return Reason.NONE if 0 <= command["min_qty"] <= (command["order_qty"] if allowed else 0) else Reason.INVALID_MIN_QTY


def _peg_refusal(peg_price_type: int, of_type: TypeRule) -> Reason:
    if peg_price_type == 0:
        return Reason.INVALID_PEG if of_type.peg_price_type == Use.MUST else Reason.NONE
    return Reason.NONE if of_type.peg_price_type and peg_price_type in set(PegPriceType) else Reason.INVALID_PEG


def good_offset(ord_type: int, offset_type: int, offset: int) -> bool:
    """Whether an order of this type may have this offset in this unit; none is (0, 0)."""
    for unit, (least, most) in TYPE_RULES[OrdType(ord_type)].offsets.items():
        if unit == offset_type:
            return least <= offset <= most
    return not TYPE_RULES[OrdType(ord_type)].offsets and (offset_type, offset) == (0, 0)


def good_expiry(expire_time: int, of_time: TimeRule, log_time: int) -> bool:
    """Expired is what has an expire_time that is not in the future."""
    if expire_time == 0:
        return of_time.expire_time != Use.MUST
    return bool(of_time.expire_time) and expire_time > log_time
