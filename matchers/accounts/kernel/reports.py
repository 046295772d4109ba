"""The books' reports in the account kernel: holds become postings, are released, or follow what the book made of the order.

Each looks at everything before it changes anything: a report that cannot be true has a fault of REPORT_FAULTS and leaves all as it is, log time too.
"""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.checks import is_stop
from matchers.accounts.kernel.holds import hold, move_shares, release
from matchers.accounts.kernel.layout import FEES_MINOR, LOG_TIME
from matchers.accounts.kernel.pools import advance, find_account, finish, is_known, position_made, queue_done
from matchers.accounts.kernel.replaced_ids import drop_next_id, take_next_id
from matchers.accounts.kernel.requests import clear_terms, open_status
from matchers.accounts.kernel.rows import event_row, fill_order, find_position, order_event, publish, put_order_text
from matchers.accounts.kernel.words import (
    EVENT_REPLACED,
    EVENT_RESTATED,
    EVENT_TRADE_BUSTED,
    EVENT_TRIGGERED,
)
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    EVENT_ACCOUNT_UPDATE_REJECTED,
    EVENT_BOOK_REJECTED,
    EVENT_CANCEL_REJECTED,
    EVENT_CANCELED,
    EVENT_EXPIRED,
    EVENT_TRADE,
    REASON_AMOUNT_OUT_OF_RANGE,
    REASON_MARKET_TO_LIMIT,
    REASON_POST_ONLY_SLIDE,
    REASON_PRICE_BAND,
    REASON_REPLACED_TO_NOTHING,
    REASON_REQUESTED_BY_CUSTOMER,
    REASON_UNKNOWN_ACCOUNT,
    REASON_UNKNOWN_SYMBOL,
    REPORT_CANCELED,
    REPORT_EXPIRED,
    SIDE_BUY,
    STATUS_CANCELED,
    STATUS_EXPIRED,
    STATUS_FILLED,
    STATUS_REJECTED,
    TYPE_LIMIT,
    TYPE_STOP_LIMIT,
    TYPE_TRAILING_STOP_LIMIT,
)
from matchers.rules.account_rules import (
    CANCEL_FAULT,
    CASH_FAULT,
    DAY_NS,
    HOLD_ALL,
    HOLD_NOTHING,
    PRICE_FAULT,
    PRICE_TEST_TENTHS,
    QUANTITY_FAULT,
    REPLACE_FAULT,
    REPLACED_FAULT,
    RESTATED_FAULT,
    SETTLED_CASH_MAX,
    TRADE_FAULT,
    TRIGGERED_FAULT,
    WORST_PRICE_FAULT,
)
from schemas.limits import ORDER_QTY_LOTS_MAX, PRICE_TICKS_MAX

_ZERO: Final = U(0)


@helper
def _fee(rules: Any, side: Any, lots: Any, amount: Any, aggressor: Any) -> Any:
    """account_rules.trade_fee."""
    fee = lots * (rules.taker_fee_minor if aggressor != 0 else rules.maker_fee_minor)
    return fee if side == SIDE_BUY else min(fee, amount)


@helper
def trade(s: Any, report: Any, order_row: Any) -> Any:
    """Turn hold into postings; a fault, or 0."""
    order = s.orders[order_row]
    lots = report.last_qty
    left = np.int64(order.leaves_qty)
    if lots <= 0 or lots > left or report.leaves_qty != left - lots or report.last_px <= 0 or report.last_px > PRICE_TICKS_MAX:
        return TRADE_FAULT
    if order.hold_max != HOLD_ALL:  # what waits for its primary, or has lost its pair, cannot trade
        return TRADE_FAULT
    rules = s.rules[order.instrument]
    minor_per_lot = report.last_px * rules.lot_minor_per_tick
    amount = minor_per_lot * lots
    fee = _fee(rules, order.side, lots, amount, report.aggressor)
    if order.side == SIDE_BUY and amount + fee > lots * order.hold_per_lot:
        return WORST_PRICE_FAULT
    account = s.accounts[order.account_row]
    if order.side != SIDE_BUY and account.cash + amount - fee > SETTLED_CASH_MAX:
        return CASH_FAULT
    advance(s, report.transact_time)
    sign = 1 if order.side == SIDE_BUY else -1
    release(s, order_row)
    account.cash -= sign * amount + fee
    s.head[FEES_MINOR] += fee
    move_shares(s, order.account_row, order.position_row, sign * lots, minor_per_lot)
    order.leaves_qty -= lots
    order.cum_qty += lots
    order.cum_cost += report.last_px * lots
    if order.oco != 0:
        s.orders[order.oco].hold_max = HOLD_NOTHING
        s.orders[order.oco].oco = 0
        order.oco = 0
    hold(s, order_row)
    if order.secondary_1 != 0 or order.secondary_2 != 0:
        _pass_on(s, order_row, lots)
    _note_price(s, order.instrument, report.last_px)
    if order.leaves_qty == 0:
        finish(s, order_row, STATUS_FILLED)
    else:
        order.ord_status = open_status(order)
    event = event_row(s, EVENT_TRADE)
    fill_order(event, order)
    event.cash_delta = -sign * amount
    event.shares_delta = sign * lots
    event.fee = fee
    event.last_px = report.last_px
    event.last_qty = lots
    event.aggressor = report.aggressor
    event.trd_match_id = report.trd_match_id
    event.rpt_seq = report.rpt_seq
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), np.int64(order.position_row), -1, _ZERO)
    return 0


@helper
def _note_price(s: Any, instrument: Any, last_px: Any) -> None:
    """The last price, and whether it begins the short sale price test."""
    fact = s.facts[instrument]
    fact.last_px = last_px
    if last_px * 10 <= s.rules[instrument].reference_px * PRICE_TEST_TENTHS:
        fact.price_test_end = s.head[LOG_TIME] // DAY_NS + 2


@routine
def _pass_on(s: Any, order_row: Any, lots: Any) -> None:
    """What a primary has bought is held for what sells it; two that do are a pair."""
    order = s.orders[order_row]
    first = np.int64(order.secondary_1)
    if first == 0 or s.orders[first].hold_max == HOLD_ALL:
        first = np.int64(order.secondary_2)
    if first == 0 or s.orders[first].hold_max == HOLD_ALL:
        return
    release(s, first)
    s.orders[first].hold_max += lots
    second = np.int64(order.secondary_2)
    if second != 0 and second != first and s.orders[second].hold_max != HOLD_ALL:
        s.orders[second].hold_max += lots
    hold(s, first)


@helper
def taken_out(s: Any, report: Any, order_row: Any) -> Any:
    """Release the rest of the hold; a fault, or 0."""
    order = s.orders[order_row]
    if order.leaves_qty == 0 or report.last_qty != order.leaves_qty:
        return QUANTITY_FAULT
    if report.reason == REASON_REQUESTED_BY_CUSTOMER and order.cancel_pending == 0:
        return CANCEL_FAULT
    if report.reason == REASON_REPLACED_TO_NOTHING and order.replace_pending == 0:
        return REPLACE_FAULT
    advance(s, report.transact_time)
    release(s, order_row)
    order.leaves_qty = 0
    hold(s, order_row)
    if report.reason == REASON_REQUESTED_BY_CUSTOMER:
        order.cancel_pending = 0
    elif report.reason == REASON_REPLACED_TO_NOTHING:
        clear_terms(order)
        take_next_id(s, order_row)
    if report.kind == REPORT_CANCELED:
        finish(s, order_row, STATUS_CANCELED)
        kind = EVENT_CANCELED
    elif report.kind == REPORT_EXPIRED:
        finish(s, order_row, STATUS_EXPIRED)
        kind = EVENT_EXPIRED
    else:
        finish(s, order_row, STATUS_REJECTED)
        kind = EVENT_BOOK_REJECTED
    order_event(s, kind, order_row, report.reason, -1, _ZERO)
    return 0


@helper
def cancel_rejected(s: Any, report: Any, order_row: Any) -> Any:
    """The answer to the oldest request that is under way; a fault, or 0."""
    order = s.orders[order_row]
    if order.cancel_pending == 0 and order.replace_pending == 0:
        return CANCEL_FAULT
    advance(s, report.transact_time)
    if order.replace_pending != 0:
        release(s, order_row)
        clear_terms(order)
        drop_next_id(s, order_row)
        hold(s, order_row)
    else:
        order.cancel_pending = 0
    if order.leaves_qty != 0:
        order.ord_status = open_status(order)
    elif order.cancel_pending == 0:
        queue_done(s, order_row)
    order_event(s, EVENT_CANCEL_REJECTED, order_row, report.reason, -1, _ZERO)
    return 0


@helper
def _has_limit(order: Any) -> Any:
    """Whether the price in its book is the order's limit."""
    limited = order.ord_type == TYPE_LIMIT or order.ord_type == TYPE_STOP_LIMIT
    return limited or (order.is_active != 0 and order.ord_type == TYPE_TRAILING_STOP_LIMIT)


@helper
def _limit_fault(s: Any, order: Any, price: Any, most_per_lot: Any) -> Any:
    """A limit is a price, and a buy's needs no more than is held for it; a fault, or 0."""
    if price <= 0 or price > PRICE_TICKS_MAX:
        return PRICE_FAULT
    rules = s.rules[order.instrument]
    return PRICE_FAULT if order.side == SIDE_BUY and price * rules.lot_minor_per_tick + rules.taker_fee_minor > most_per_lot else 0


@helper
def _take_limit(s: Any, order: Any, price: Any) -> None:
    """The limit that the order has in its book now."""
    if _has_limit(order):
        order.price = price
        if order.side == SIDE_BUY:
            rules = s.rules[order.instrument]
            order.hold_per_lot = price * rules.lot_minor_per_tick + rules.taker_fee_minor


@routine
def replaced(s: Any, report: Any, order_row: Any) -> Any:
    """What was asked is so now; a fault, or 0."""
    order = s.orders[order_row]
    leaves_qty = np.int64(order.next_qty) - np.int64(order.cum_qty)
    if order.replace_pending == 0 or report.last_qty != order.next_qty or report.leaves_qty != leaves_qty or leaves_qty <= 0:
        return REPLACED_FAULT
    if order.leaves_qty == 0:
        return REPLACED_FAULT
    if _has_limit(order) and _limit_fault(s, order, report.last_px, np.int64(order.next_hold_per_lot)) != 0:
        return PRICE_FAULT
    advance(s, report.transact_time)
    release(s, order_row)
    order.order_qty = order.next_qty
    order.leaves_qty = leaves_qty
    order.price = order.next_price
    order.hold_per_lot = order.next_hold_per_lot
    order.stop_px = order.next_stop_px
    order.display_qty = order.next_display_qty
    order.offset = order.next_offset
    order.expire_time = order.next_expire_time
    order.time_in_force = order.next_time_in_force
    order.exec_inst = order.next_exec_inst
    clear_terms(order)
    _take_limit(s, order, report.last_px)
    hold(s, order_row)
    take_next_id(s, order_row)
    order.ord_status = open_status(order)
    order_event(s, EVENT_REPLACED, order_row, 0, -1, _ZERO)
    return 0


@routine
def restated(s: Any, report: Any, order_row: Any) -> Any:
    """The book has taken from the quantity, or given the order another limit; a fault, or 0."""
    order = s.orders[order_row]
    taken = report.last_qty
    left = np.int64(order.leaves_qty)
    if taken < 0 or taken >= left or report.leaves_qty != left - taken:
        return RESTATED_FAULT
    reason = report.reason
    limited = reason == REASON_MARKET_TO_LIMIT or (reason in (REASON_PRICE_BAND, REASON_POST_ONLY_SLIDE) and _has_limit(order))
    if limited and _limit_fault(s, order, report.last_px, np.int64(order.hold_per_lot)) != 0:
        return PRICE_FAULT
    advance(s, report.transact_time)
    release(s, order_row)
    order.order_qty -= taken
    order.leaves_qty -= taken
    if reason == REASON_MARKET_TO_LIMIT:
        order.ord_type = TYPE_LIMIT
    if reason in (REASON_MARKET_TO_LIMIT, REASON_PRICE_BAND, REASON_POST_ONLY_SLIDE):
        _take_limit(s, order, report.last_px)
    hold(s, order_row)
    order_event(s, EVENT_RESTATED, order_row, reason, -1, _ZERO)
    return 0


@routine
def triggered(s: Any, report: Any, order_row: Any) -> Any:
    """A stop was elected, or what waited for its primary takes its place; a fault, or 0."""
    order = s.orders[order_row]
    if order.leaves_qty == 0 or report.leaves_qty != order.leaves_qty or order.leaves_qty > order.hold_max:
        return TRIGGERED_FAULT
    elected = is_stop(order.ord_type) and not is_stop(report.ord_type) and order.is_active == 0
    limited = elected and (order.ord_type == TYPE_STOP_LIMIT or order.ord_type == TYPE_TRAILING_STOP_LIMIT)
    if limited and _limit_fault(s, order, report.last_px, np.int64(order.hold_per_lot)) != 0:
        return PRICE_FAULT
    advance(s, report.transact_time)
    release(s, order_row)
    order.hold_max = HOLD_ALL
    if elected:
        order.is_active = 1
        _take_limit(s, order, report.last_px)
    hold(s, order_row)
    order_event(s, EVENT_TRIGGERED, order_row, 0, -1, _ZERO)
    return 0


@routine
def trade_busted(s: Any, report: Any) -> None:
    """The trade's postings, negated; or why they cannot be."""
    advance(s, report.transact_time)
    account_row = find_account(s, report.account)
    lots = report.last_qty
    reason = 0
    if account_row == 0:
        reason = REASON_UNKNOWN_ACCOUNT
    elif not is_known(s, report.instrument):
        reason = REASON_UNKNOWN_SYMBOL
    elif lots <= 0 or lots > ORDER_QTY_LOTS_MAX or report.last_px <= 0 or report.last_px > PRICE_TICKS_MAX:
        reason = REASON_AMOUNT_OUT_OF_RANGE
    minor_per_lot = np.int64(0)
    amount = np.int64(0)
    fee = np.int64(0)
    sign = 1 if report.side == SIDE_BUY else -1
    if reason == 0:
        rules = s.rules[report.instrument]
        minor_per_lot = report.last_px * rules.lot_minor_per_tick
        amount = minor_per_lot * lots
        fee = _fee(rules, report.side, lots, amount, report.aggressor)
        if abs(s.accounts[account_row].cash + sign * amount + fee) > SETTLED_CASH_MAX:
            reason = REASON_AMOUNT_OUT_OF_RANGE
    position_row = find_position(s, account_row, report.instrument) if account_row != 0 else np.int64(0)
    event = event_row(s, EVENT_TRADE_BUSTED if reason == 0 else EVENT_ACCOUNT_UPDATE_REJECTED)
    event.account = report.account
    event.instrument = report.instrument
    event.order_id = report.order_id
    event.side = report.side
    event.aggressor = report.aggressor
    event.trd_match_id = report.trd_match_id
    event.rpt_seq = report.rpt_seq
    event.reason = report.reason
    if reason != 0:
        event.reason = reason
        publish(s, account_row, position_row, -1, _ZERO)
        return
    if position_row == 0:
        position_row = position_made(s, account_row, report.instrument)
    account = s.accounts[account_row]
    account.cash += sign * amount + fee
    s.head[FEES_MINOR] -= fee
    move_shares(s, account_row, position_row, -sign * lots, minor_per_lot)
    event.cash_delta = sign * amount
    event.shares_delta = -sign * lots
    event.fee = -fee
    event.last_px = report.last_px
    event.last_qty = lots
    publish(s, account_row, position_row, -1, _ZERO)
