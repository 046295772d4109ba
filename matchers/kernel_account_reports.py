"""The books' reports in the account kernel: holds become postings, or are released."""

from typing import Any, Final

import numpy as np

from matchers.kernel_account_layout import CANCEL_FAULT, CASH_FAULT, QUANTITY_FAULT, TRADE_FAULT, WORST_PRICE_FAULT
from matchers.kernel_account_pools import finish, move_shares, queue_done
from matchers.kernel_account_rows import event_row, fill_order, position_of, publish, put_order_text
from matchers.kernel_compile import helper
from matchers.kernel_hash_index import U
from matchers.kernel_words import (
    EVENT_BOOK_REJECTED,
    EVENT_CANCEL_REJECTED,
    EVENT_CANCELED,
    EVENT_EXPIRED,
    EVENT_TRADE,
    REASON_REQUESTED_BY_CUSTOMER,
    REPORT_CANCELED,
    REPORT_EXPIRED,
    SIDE_BUY,
    STATUS_CANCELED,
    STATUS_EXPIRED,
    STATUS_FILLED,
    STATUS_NEW,
    STATUS_PARTIALLY_FILLED,
    STATUS_REJECTED,
)
from schemas.limits import PRICE_TICKS_MAX

_ZERO: Final = U(0)
_SETTLED_CASH_MAX: Final = 1 << 62


@helper
def trade(s: Any, report: Any, order_row: Any) -> Any:
    """Turn hold into postings; a fault, or 0."""
    order = s.orders[order_row]
    lots = report.last_qty
    if (
        lots <= 0
        or lots > order.leaves_qty
        or report.leaves_qty != order.leaves_qty - lots
        or report.last_px <= 0
        or report.last_px > PRICE_TICKS_MAX
    ):
        return TRADE_FAULT
    minor_per_lot = report.last_px * s.rules[order.instrument].lot_minor_per_tick
    amount = minor_per_lot * lots
    account = s.accounts[order.account_row]
    position_row = position_of(s, order_row)
    sign = 1
    if order.side == SIDE_BUY:
        if minor_per_lot > order.hold_per_lot:
            return WORST_PRICE_FAULT
        account.cash_held -= lots * order.hold_per_lot
    else:
        sign = -1
        s.positions[position_row].position_held -= lots
    account.cash -= sign * amount
    position_row = move_shares(s, np.int64(order.account_row), position_row, order.instrument, sign * lots, minor_per_lot)
    order.position_row = position_row
    if account.cash_held > account.cash or account.cash > _SETTLED_CASH_MAX:
        return CASH_FAULT
    order.leaves_qty -= lots
    order.cum_qty += lots
    order.cum_cost += report.last_px * lots
    if order.leaves_qty == 0:
        finish(s, order_row, STATUS_FILLED)
    elif order.cancel_pending == 0:
        order.ord_status = STATUS_PARTIALLY_FILLED
    event = event_row(s, EVENT_TRADE)
    fill_order(event, order)
    event.cash_delta = -sign * amount
    event.shares_delta = sign * lots
    event.last_px = report.last_px
    event.last_qty = lots
    event.aggressor = report.aggressor
    event.trd_match_id = report.trd_match_id
    event.rpt_seq = report.rpt_seq
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), position_row, -1, _ZERO)
    return 0


@helper
def taken_out(s: Any, report: Any, order_row: Any) -> Any:
    """Release the rest of the hold; a fault, or 0."""
    order = s.orders[order_row]
    if order.leaves_qty == 0 or report.last_qty != order.leaves_qty:
        return QUANTITY_FAULT
    if report.reason == REASON_REQUESTED_BY_CUSTOMER and order.cancel_pending == 0:
        return CANCEL_FAULT
    position_row = position_of(s, order_row)
    if order.side == SIDE_BUY:
        s.accounts[order.account_row].cash_held -= order.leaves_qty * order.hold_per_lot
    else:
        s.positions[position_row].position_held -= order.leaves_qty
    order.leaves_qty = 0
    if report.reason == REASON_REQUESTED_BY_CUSTOMER:
        order.cancel_pending = 0
    if report.kind == REPORT_CANCELED:
        finish(s, order_row, STATUS_CANCELED)
        event = event_row(s, EVENT_CANCELED)
    elif report.kind == REPORT_EXPIRED:
        finish(s, order_row, STATUS_EXPIRED)
        event = event_row(s, EVENT_EXPIRED)
    else:
        finish(s, order_row, STATUS_REJECTED)
        event = event_row(s, EVENT_BOOK_REJECTED)
    fill_order(event, order)
    event.reason = report.reason
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), position_row, -1, _ZERO)
    return 0


@helper
def cancel_rejected(s: Any, report: Any, order_row: Any) -> Any:
    """The order is as it was before the cancel; a fault, or 0."""
    order = s.orders[order_row]
    if order.cancel_pending == 0:
        return CANCEL_FAULT
    order.cancel_pending = 0
    if order.leaves_qty != 0:
        order.ord_status = STATUS_PARTIALLY_FILLED if order.cum_qty != 0 else STATUS_NEW
    else:
        queue_done(s, order_row)
    event = event_row(s, EVENT_CANCEL_REJECTED)
    fill_order(event, order)
    event.reason = report.reason
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), position_of(s, order_row), -1, _ZERO)
    return 0
