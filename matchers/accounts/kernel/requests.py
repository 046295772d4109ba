"""Cancels and replaces in the account kernel; see accounts.reference.requests and, for replaces, accounts.reference.checks."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.checks import worst_px
from matchers.accounts.kernel.funds import (
    count_order,
    funds_refusal,
    is_too_fast,
    notional_refusal,
    position_refusal,
    price_test_refusal,
    restricted_refusal,
)
from matchers.accounts.kernel.holds import hold, pair_need, release
from matchers.accounts.kernel.layout import ASKING
from matchers.accounts.kernel.pools import find_account, find_cl_ord_id, find_order
from matchers.accounts.kernel.replaced_ids import is_own_id, keep_next_id, new_id_refusal
from matchers.accounts.kernel.rows import book_command, event_row, order_event, publish, put_text
from matchers.accounts.kernel.words import (
    ACCOUNT_ACTIVE,
    EVENT_REPLACE_PENDING,
    REASON_ACCOUNT_SUSPENDED,
    REASON_RATE_LIMIT,
    REASON_REPLACE_ALREADY_PENDING,
    STATUS_PENDING_REPLACE,
)
from matchers.compiled.compilation import helper, routine
from matchers.compiled.digest import text_digest, text_words
from matchers.compiled.hash_index import U
from matchers.compiled.order_checks import PRICED, is_one_of, quantity_refusal
from matchers.compiled.words import (
    BOOK_CANCEL,
    BOOK_REPLACE,
    EVENT_CANCEL_PENDING,
    EVENT_CANCEL_REJECTED,
    INST_HIDDEN,
    REASON_CANCEL_ALREADY_PENDING,
    REASON_CANNOT_CHANGE,
    REASON_INVALID_CL_ORD_ID,
    REASON_INVALID_PRICE,
    REASON_INVALID_QUANTITY,
    REASON_PRICE_ABOVE_LIMIT,
    REASON_TOO_LATE_TO_CANCEL,
    REASON_UNKNOWN_ACCOUNT,
    REASON_UNKNOWN_ORDER,
    SIDE_BUY,
    STATUS_NEW,
    STATUS_PARTIALLY_FILLED,
    STATUS_PENDING_CANCEL,
    TIF_GTD,
    TYPE_LIMIT,
)
from matchers.rules.account_rules import HOLD_ALL
from schemas.enums import TIME_IN_FORCE_UNCHANGED
from schemas.limits import PRICE_TICKS_MAX

_ZERO: Final = U(0)


@helper
def open_status(order: Any) -> Any:
    """ord_status of an open order."""
    if order.cancel_pending != 0:
        return STATUS_PENDING_CANCEL
    if order.replace_pending != 0:
        return STATUS_PENDING_REPLACE
    return STATUS_PARTIALLY_FILLED if order.cum_qty != 0 else STATUS_NEW


@helper
def _named_order(s: Any, command: Any, text: Any, row: Any, words: Any) -> Any:
    """Row of the order that the command names (text: the one of its ids that does), if it is the account's own; 0: it has been refused."""
    account_row = find_account(s, command.account)
    order_row = np.int64(0)
    reason = REASON_UNKNOWN_ACCOUNT if account_row == 0 else REASON_UNKNOWN_ORDER
    if account_row != 0 and command.order_id != _ZERO:
        order_row = find_order(s, command.order_id)
        if s.orders[order_row].account_row != account_row:
            order_row = np.int64(0)
    elif account_row != 0 and words > 0:
        low, high = text_digest(text, row, words)
        order_row = find_cl_ord_id(s, account_row, low, high)
    elif account_row != 0:
        reason = REASON_INVALID_CL_ORD_ID
    if order_row == 0:
        event = event_row(s, EVENT_CANCEL_REJECTED)
        event.account = command.account
        event.reason = reason
        event.order_id = command.order_id
        put_text(s, text, row, words)
        publish(s, account_row, 0, s.call[ASKING], command.request_id)
    return order_row


@helper
def has_text(text: Any, row: Any) -> Any:
    """Whether the row has a text at all, valid or not; an array without rows says that none has."""
    if text.shape[0] != 0:
        for at in range(text.shape[1]):
            if text[row, at] != _ZERO:
                return True
    return False


@helper
def cancel(s: Any, command: Any, text: Any, row: Any, words: Any) -> None:
    """A CANCEL command; text: the one of its ids that names the order where order_id does not."""
    order_row = _named_order(s, command, text, row, words)
    if order_row == 0:
        return
    order = s.orders[order_row]
    if order.leaves_qty == 0 or order.cancel_pending != 0:
        reason = REASON_CANCEL_ALREADY_PENDING if order.leaves_qty != 0 else REASON_TOO_LATE_TO_CANCEL
        order_event(s, EVENT_CANCEL_REJECTED, order_row, reason, s.call[ASKING], command.request_id)
        return
    send_cancel(s, order_row, 0, s.call[ASKING], command.request_id)


@helper
def send_cancel(s: Any, order_row: Any, reason: Any, asking: Any, request_id: Any) -> None:
    """Ask the book to cancel an open order."""
    order = s.orders[order_row]
    order.cancel_pending = 1
    order.ord_status = STATUS_PENDING_CANCEL
    order_event(s, EVENT_CANCEL_PENDING, order_row, reason, asking, request_id)
    book_command(s, BOOK_CANCEL, order_row)


@routine
def replace(s: Any, command: Any, text: Any, orig: Any, row: Any, words: Any) -> None:
    """A REPLACE command."""
    has_orig = has_text(orig, row)
    order_row = _named_order(s, command, orig, row, text_words(orig, row)) if has_orig else _named_order(s, command, text, row, words)
    if order_row == 0:
        return
    order = s.orders[order_row]
    reason = 0
    renames = (command.order_id != _ZERO or has_orig) and has_text(text, row) and not is_own_id(s, order_row, text, row)
    if order.leaves_qty == 0:
        reason = REASON_TOO_LATE_TO_CANCEL
    elif s.accounts[order.account_row].status != ACCOUNT_ACTIVE:
        reason = REASON_ACCOUNT_SUSPENDED
    elif order.cancel_pending != 0:
        reason = REASON_CANCEL_ALREADY_PENDING
    elif order.replace_pending != 0:
        reason = REASON_REPLACE_ALREADY_PENDING
    elif renames:
        reason = new_id_refusal(s, np.int64(order.account_row), text, row, words)
    if reason == 0:
        reason = _replace_refusal(s, order_row, command)
    if reason != 0:
        order_event(s, EVENT_CANCEL_REJECTED, order_row, reason, s.call[ASKING], command.request_id)
        return
    release(s, order_row)
    _write_terms(s, order, command)
    hold(s, order_row)
    if renames:
        keep_next_id(s, order_row, text, row, words)
    count_order(s, s.accounts[order.account_row])
    order.ord_status = open_status(order)
    order_event(s, EVENT_REPLACE_PENDING, order_row, 0, s.call[ASKING], command.request_id)
    given = book_command(s, BOOK_REPLACE, order_row)
    given.time_in_force = command.time_in_force
    given.exec_inst = command.exec_inst
    given.order_qty = command.order_qty
    given.price = command.price
    given.stop_px = command.stop_px
    given.display_qty = command.display_qty
    given.offset = command.offset
    given.expire_time = command.expire_time


@helper
def _replaced_hold(s: Any, order: Any, price: Any) -> Any:
    """hold_per_lot with another price; an elected stop's price is its limit."""
    if price == order.price or order.side != SIDE_BUY:
        return np.int64(order.hold_per_lot)
    rules = s.rules[order.instrument]
    ord_type = TYPE_LIMIT if order.is_active != 0 else order.ord_type
    return worst_px(ord_type, order.side, price, order.stop_px, rules) * rules.lot_minor_per_tick + rules.taker_fee_minor


@helper
def _write_terms(s: Any, order: Any, command: Any) -> None:
    """What the replace asks for."""
    keeps_time = command.time_in_force == TIME_IN_FORCE_UNCHANGED
    order.next_time_in_force = order.time_in_force if keeps_time else command.time_in_force
    was_hidden = order.exec_inst & INST_HIDDEN != 0 and command.display_qty == 0
    hidden = INST_HIDDEN if command.exec_inst & INST_HIDDEN != 0 or was_hidden else 0
    order.next_exec_inst = (order.exec_inst & ~INST_HIDDEN) | hidden
    order.next_qty = command.order_qty
    order.next_price = command.price if command.price != 0 else order.price
    order.next_hold_per_lot = _replaced_hold(s, order, order.next_price)
    order.next_stop_px = command.stop_px if command.stop_px != 0 else order.stop_px
    order.next_display_qty = command.display_qty if command.display_qty != 0 else order.display_qty
    if hidden != 0:
        order.next_display_qty = 0
    order.next_offset = command.offset if command.offset != 0 else order.offset
    order.next_expire_time = command.expire_time
    if command.expire_time == 0 and order.next_time_in_force == TIF_GTD:
        order.next_expire_time = order.expire_time
    order.replace_pending = 1


@helper
def clear_terms(order: Any) -> None:
    """No replace is under way."""
    order.next_time_in_force = 0
    order.next_exec_inst = 0
    order.next_qty = 0
    order.next_price = 0
    order.next_hold_per_lot = 0
    order.next_stop_px = 0
    order.next_display_qty = 0
    order.next_offset = 0
    order.next_expire_time = 0
    order.replace_pending = 0


@helper
def _replace_refusal(s: Any, order_row: Any, command: Any) -> Any:
    """What the account shard can judge of a replace, or 0."""
    order = s.orders[order_row]
    total = command.order_qty
    if is_too_fast(s, s.accounts[order.account_row]):
        return REASON_RATE_LIMIT
    if total < 0:
        return REASON_INVALID_QUANTITY
    if total <= order.cum_qty:
        return 0
    reason = quantity_refusal(total, s.rules[order.instrument].order_qty_min, s.rules[order.instrument].order_qty_max)
    if reason != 0:
        return reason
    if command.price < 0:
        return REASON_INVALID_PRICE
    if command.price > PRICE_TICKS_MAX:
        return REASON_PRICE_ABOVE_LIMIT
    grows_early = order.hold_max != HOLD_ALL and total > order.hold_max
    if (command.price != 0 and not is_one_of(np.int64(order.ord_type), PRICED)) or grows_early:
        return REASON_CANNOT_CHANGE
    if order.is_short != 0 and command.price != 0:
        reason = price_test_refusal(s, order.instrument, order.ord_type, command.price)
    if reason == 0:
        reason = _replaced_funds_refusal(s, order_row, command)
    return reason


@helper
def _replaced_funds_refusal(s: Any, order_row: Any, command: Any) -> Any:
    """Limits and funds for the difference. The order is changed and put back."""
    order = s.orders[order_row]
    rules = s.rules[order.instrument]
    account = s.accounts[order.account_row]
    now = pair_need(s, order_row)
    _write_terms(s, order, command)
    then = pair_need(s, order_row)
    worst = np.int64(order.next_price)
    if order.side == SIDE_BUY:
        worst = (order.next_hold_per_lot - rules.taker_fee_minor) // rules.lot_minor_per_tick
    grows = order.next_qty > order.order_qty or order.next_hold_per_lot > order.hold_per_lot
    clear_terms(order)
    reason = notional_refusal(account, rules, worst, command.order_qty)
    if reason == 0 and grows:
        reason = restricted_refusal(s, rules, order.position_row)
    if reason == 0:
        reason = position_refusal(s, rules, order.position_row, then[2] - now[2], then[3] - now[3])
    if reason == 0 and (then[0] > now[0] or then[1] > now[1]):
        reason = funds_refusal(s, order.account_row, order.position_row, then[0] - now[0], then[1] - now[1])
    return reason
