"""Why a book's report cannot be true: everything that it says is looked at before anything is changed."""

from typing import Final

from matchers.accounts.reference.state import AccountState, Order, Values
from matchers.rules import account_rules as rule
from matchers.rules.account_rules import HOLD_ALL, SETTLED_CASH_MAX, hold_per_lot, trade_fee
from matchers.rules.order_tables import STOP_TYPES
from schemas.enums import OrdType, ReportKind, Side
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

_REASONS: Final = frozenset(Reason)
NEW_PRICE: Final = (Reason.MARKET_TO_LIMIT, Reason.PRICE_BAND, Reason.POST_ONLY_SLIDE)
"""Restatements that give an order another limit, always a better one for its owner."""


def report_fault(s: AccountState, report: Values) -> int:
    """Which of REPORT_FAULTS the report has; 0: it can be true."""
    if report["reason"] not in _REASONS:
        return rule.REASON_FAULT
    if report["kind"] == ReportKind.TRADE_BUSTED:
        return 0
    order = s.orders.get(report["order_id"])
    if order is None:
        return rule.UNKNOWN_ORDER_FAULT
    if order.account.account != report["account"]:
        return rule.ACCOUNT_FAULT
    if order.instrument != report["instrument"]:
        return rule.INSTRUMENT_FAULT
    match report["kind"]:
        case ReportKind.TRADE:
            return _trade_fault(s, report, order)
        case ReportKind.CANCELED | ReportKind.EXPIRED | ReportKind.REJECTED:
            return _taken_out_fault(report, order)
        case ReportKind.CANCEL_REJECTED:
            return 0 if order.cancel_pending or order.replace_pending else rule.CANCEL_FAULT
        case ReportKind.REPLACED:
            return _replaced_fault(s, report, order)
        case ReportKind.RESTATED:
            return _restated_fault(s, report, order)
        case ReportKind.TRIGGERED:
            return _triggered_fault(s, report, order)
    return rule.KIND_FAULT


def _trade_fault(s: AccountState, report: Values, order: Order) -> int:
    lots, last_px = report["last_qty"], report["last_px"]
    rules = s.rules[order.instrument]
    fits = 0 < lots <= order.leaves_qty and report["leaves_qty"] == order.leaves_qty - lots and 0 < last_px <= PRICE_TICKS_MAX
    if not fits or order.hold_max != HOLD_ALL:  # what waits for its primary, or has lost its pair, cannot trade
        return rule.TRADE_FAULT
    amount = last_px * lots * rules["lot_minor_per_tick"]
    fee = trade_fee(order.side, lots, amount, report["aggressor"], rules)
    if order.side == Side.BUY:
        return rule.WORST_PRICE_FAULT if amount + fee > lots * order.hold_per_lot else 0
    return rule.CASH_FAULT if order.account.cash + amount - fee > SETTLED_CASH_MAX else 0


def _taken_out_fault(report: Values, order: Order) -> int:
    if report["last_qty"] != order.leaves_qty or not order.leaves_qty:
        return rule.QUANTITY_FAULT
    if report["reason"] == Reason.REQUESTED_BY_CUSTOMER and not order.cancel_pending:
        return rule.CANCEL_FAULT
    return rule.REPLACE_FAULT if report["reason"] == Reason.REPLACED_TO_NOTHING and not order.replace_pending else 0


def _replaced_fault(s: AccountState, report: Values, order: Order) -> int:
    asked = order.terms
    fits = order.replace_pending and report["last_qty"] == asked.order_qty and report["leaves_qty"] == asked.order_qty - order.cum_qty > 0
    if not fits or not order.leaves_qty:
        return rule.REPLACED_FAULT
    return _limit_fault(s, order, report["last_px"], asked.hold_per_lot) if has_limit(order) else 0


def _restated_fault(s: AccountState, report: Values, order: Order) -> int:
    taken, reason = report["last_qty"], report["reason"]
    if not (0 <= taken < order.leaves_qty and report["leaves_qty"] == order.leaves_qty - taken):
        return rule.RESTATED_FAULT
    limited = reason == Reason.MARKET_TO_LIMIT or (reason in NEW_PRICE and has_limit(order))
    return _limit_fault(s, order, report["last_px"], order.hold_per_lot) if limited else 0


def _triggered_fault(s: AccountState, report: Values, order: Order) -> int:
    if not report["leaves_qty"] == order.leaves_qty > 0 or order.leaves_qty > order.hold_max:
        return rule.TRIGGERED_FAULT
    elected = was_elected(order.ord_type, report["ord_type"]) and not order.is_active
    limited = elected and order.ord_type in (OrdType.STOP_LIMIT, OrdType.TRAILING_STOP_LIMIT)
    return _limit_fault(s, order, report["last_px"], order.hold_per_lot) if limited else 0


def _limit_fault(s: AccountState, order: Order, price: int, most_per_lot: int) -> int:
    """A limit is a price, and a buy's needs no more than is held for it."""
    good = 0 < price <= PRICE_TICKS_MAX and hold_per_lot(order.side, price, s.rules[order.instrument]) <= most_per_lot
    return 0 if good else rule.PRICE_FAULT


def has_limit(order: Order) -> bool:
    """Whether the price in its book is the order's limit: not a peg's, a protection price or a distance."""
    return order.ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT) or (order.is_active and order.ord_type == OrdType.TRAILING_STOP_LIMIT)


def was_elected(ord_type: int, ord_type_now: int) -> bool:
    """Whether a TRIGGERED report is the election of a stop, rather than the activation of an order that waited for its primary."""
    return ord_type in STOP_TYPES and ord_type_now not in STOP_TYPES
