"""Which orders an account shard takes, by what the order says alone: the same checks as the book's, with its reasons, but for two.

A price goes with limits only (the shard itself gives the others their protection price), and a quantity limit is the instrument's. So a book never refuses an
accepted order for what it says, only for what the book is like when it comes.
"""

from collections.abc import Mapping
from typing import Any, Final

from matchers.rules.account_rules import WITHOUT_LIMIT
from matchers.rules.order_tables import AUCTION_ONLY, IMMEDIATE, LIMIT_TYPES, STOP_TYPES, TRAILING_TYPES, order_reason
from schemas.enums import ExecInst, OffsetType, OrdType, PegPriceType, SelfMatchPrevention, Side, TimeInForce
from schemas.limits import ICEBERG_TRANCHES_MAX, OFFSET_BASIS_POINTS_MAX, OFFSET_TICKS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

Values = Mapping[str, Any]
_POST_ONLY: Final = ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE
OFFSET_MOST: Final = {OffsetType.TICKS: OFFSET_TICKS_MAX, OffsetType.BASIS_POINTS: OFFSET_BASIS_POINTS_MAX}
"""Largest distance of a trailing stop."""


def order_refusal(command: Values, rules: Values, log_time: int) -> Reason:
    """The first check that the order fails, or NONE."""
    if command["side"] not in set(Side):
        return Reason.INVALID_SIDE
    if reason := order_reason(command["ord_type"], command["time_in_force"], command["exec_inst"]):
        return reason
    if command["self_match_prevention_instruction"] not in set(SelfMatchPrevention):
        return Reason.INVALID_SELF_MATCH_PREVENTION
    return (
        quantity_refusal(command["order_qty"], rules)
        or _price_refusal(command)
        or _stop_refusal(command)
        or _display_refusal(command)
        or _min_qty_refusal(command)
        or _offset_refusal(command)
        or _expire_refusal(command, log_time)
    )


def quantity_refusal(order_qty: int, rules: Values) -> Reason:
    """Why an order must not have this total quantity."""
    if order_qty <= 0:
        return Reason.INVALID_QUANTITY
    if order_qty < rules["order_qty_min"]:
        return Reason.QUANTITY_BELOW_LIMIT
    return Reason.QUANTITY_ABOVE_LIMIT if order_qty > rules["order_qty_max"] else Reason.NONE


def _price_refusal(command: Values) -> Reason:
    price, ord_type = command["price"], command["ord_type"]
    needed = ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT)
    if price < (1 if needed else 0) or (price and ord_type in WITHOUT_LIMIT):
        return Reason.INVALID_PRICE
    return Reason.PRICE_ABOVE_LIMIT if price > PRICE_TICKS_MAX else Reason.NONE


def _stop_refusal(command: Values) -> Reason:
    least = 1 if command["ord_type"] in STOP_TYPES - TRAILING_TYPES else 0
    most = PRICE_TICKS_MAX if command["ord_type"] in STOP_TYPES else 0
    return Reason.NONE if least <= command["stop_px"] <= most else Reason.INVALID_STOP_PRICE


def _display_refusal(command: Values) -> Reason:
    display_qty = command["display_qty"]
    if not display_qty:
        return Reason.NONE
    rests = command["ord_type"] in LIMIT_TYPES | {OrdType.MARKET_TO_LIMIT} and command["time_in_force"] not in IMMEDIATE
    size = 0 < display_qty <= command["order_qty"] and display_qty * ICEBERG_TRANCHES_MAX >= command["order_qty"]
    return Reason.NONE if rests and size and not command["exec_inst"] & ExecInst.HIDDEN else Reason.INVALID_DISPLAY_QTY


def _min_qty_refusal(command: Values) -> Reason:
    allowed = (
        command["time_in_force"] not in AUCTION_ONLY and not command["exec_inst"] & _POST_ONLY and command["ord_type"] != OrdType.PEGGED
    )
    return Reason.NONE if 0 <= command["min_qty"] <= (command["order_qty"] if allowed else 0) else Reason.INVALID_MIN_QTY


def _offset_refusal(command: Values) -> Reason:
    ord_type, offset, offset_type = command["ord_type"], command["offset"], command["offset_type"]
    pegged = ord_type == OrdType.PEGGED
    if command["peg_price_type"] not in (set(PegPriceType) if pegged else {0}):
        return Reason.INVALID_PEG
    if pegged:
        good = offset_type == OffsetType.TICKS and -OFFSET_TICKS_MAX <= offset <= OFFSET_TICKS_MAX
    elif ord_type in TRAILING_TYPES:
        good = 1 <= offset <= OFFSET_MOST.get(offset_type, 0)
    else:
        good = not offset and not offset_type
    return Reason.NONE if good else Reason.INVALID_OFFSET


def _expire_refusal(command: Values, log_time: int) -> Reason:
    dated = command["time_in_force"] == TimeInForce.GTD
    good = command["expire_time"] > log_time if dated else command["expire_time"] == 0
    return Reason.NONE if good else Reason.INVALID_EXPIRE_TIME
