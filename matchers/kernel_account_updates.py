"""Sessions and postings from outside in the account kernel."""

from typing import Any, Final

import numpy as np

from matchers.kernel_account_holds import move_shares
from matchers.kernel_account_layout import ACCOUNTS_MAX, ACCOUNTS_USED, ASKING, LAST_SEQ, SHARD, SHARDS
from matchers.kernel_account_pools import find_account, is_known, position_made
from matchers.kernel_account_requests import send_cancel
from matchers.kernel_account_rows import answer, event_row, find_position, publish
from matchers.kernel_account_words import (
    ACCOUNT_KILLED,
    EVENT_ACCOUNT_LIMITS_CHANGED,
    EVENT_ACCOUNT_STATUS_CHANGED,
    PERMISSION_SHORT_SALE,
    REASON_ACCOUNT_SUSPENDED,
)
from matchers.kernel_compile import helper, routine
from matchers.kernel_hash_index import U, hash_of, index_insert
from matchers.kernel_words import (
    EVENT_ACCOUNT_UPDATE_REJECTED,
    EVENT_ACCOUNT_UPDATED,
    EVENT_ORDER_STATE,
    EVENT_POSITION_STATE,
    EVENT_SESSION_REGISTERED,
    EVENT_SESSION_REJECTED,
    REASON_ACCOUNT_LIMIT,
    REASON_AMOUNT_OUT_OF_RANGE,
    REASON_BELOW_ZERO,
    REASON_INVALID_COMMAND,
    REASON_UNKNOWN_ACCOUNT,
    REASON_UNKNOWN_SYMBOL,
)
from schemas.limits import CASH_MINOR_MAX, ORDERS_AT_ONCE_MAX, POSITION_LOTS_MAX
from schemas.units import NANOS_PER_SECOND

_ZERO: Final = U(0)


@helper
def register_session(s: Any, command: Any) -> None:
    """A REGISTER_SESSION command."""
    account_row = find_account(s, command.account)
    if account_row == 0:
        reply = answer(s, EVENT_SESSION_REJECTED, 0, 0, 0, command.request_id)
        if reply >= 0:
            s.replies[reply].account = command.account
            s.replies[reply].reason = REASON_UNKNOWN_ACCOUNT
        return
    if s.call[ASKING] < 0:
        return
    account = s.accounts[account_row]
    account.edges |= U(1) << U(s.call[ASKING])
    position_row = np.int64(account.first_position)
    while position_row != 0:
        if s.positions[position_row].position != 0:
            reply = answer(s, EVENT_POSITION_STATE, account_row, 0, position_row, command.request_id)
            s.replies[reply].instrument = s.positions[position_row].instrument
        position_row = np.int64(s.positions[position_row].next)
    order_row = np.int64(account.first_order)
    while order_row != 0:
        answer(s, EVENT_ORDER_STATE, account_row, order_row, np.int64(s.orders[order_row].position_row), command.request_id)
        order_row = np.int64(s.orders[order_row].next)
    reply = answer(s, EVENT_SESSION_REGISTERED, account_row, 0, 0, command.request_id)
    s.replies[reply].seq = U(s.head[LAST_SEQ])
    s.replies[reply].account_word = account.status


@helper
def _update_refusal(s: Any, command: Any, account_row: Any, position_row: Any) -> Any:
    """Why an ACCOUNT_UPDATE is refused, or 0. Row 0 of the pools is all zeros."""
    account = s.accounts[account_row]
    position = s.positions[position_row]
    if command.account == _ZERO:
        return REASON_UNKNOWN_ACCOUNT
    if s.head[SHARDS] != 0 and command.account % U(s.head[SHARDS]) != U(s.head[SHARD]):
        return REASON_UNKNOWN_ACCOUNT
    if (command.instrument != 0 or command.order_qty != 0) and not is_known(s, command.instrument):
        return REASON_UNKNOWN_SYMBOL
    # compared, not added: what is available may be below zero, and the sum beyond 64 bits
    if command.cash < 0 and command.cash < account.cash_held - account.cash:
        return REASON_BELOW_ZERO
    if command.order_qty < 0 and command.order_qty < position.position_held - position.position:
        return REASON_BELOW_ZERO
    if command.cash > 0 and command.cash > CASH_MINOR_MAX - account.cash:
        return REASON_AMOUNT_OUT_OF_RANGE
    if command.order_qty > 0 and command.order_qty > POSITION_LOTS_MAX - position.position:
        return REASON_AMOUNT_OUT_OF_RANGE
    if account_row == 0 and s.head[ACCOUNTS_USED] - 1 >= s.head[ACCOUNTS_MAX]:
        return REASON_ACCOUNT_LIMIT
    return 0


@helper
def _refuse_update(s: Any, command: Any, account_row: Any, reason: Any) -> None:
    event = event_row(s, EVENT_ACCOUNT_UPDATE_REJECTED)
    event.account = command.account
    event.reason = reason
    event.instrument = command.instrument
    event.order_qty = command.order_qty
    position_row = find_position(s, account_row, command.instrument) if account_row != 0 else np.int64(0)
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)


@helper
def account_update(s: Any, command: Any) -> None:
    """An ACCOUNT_UPDATE command."""
    account_row = find_account(s, command.account)
    position_row = find_position(s, account_row, command.instrument) if account_row != 0 else np.int64(0)
    reason = _update_refusal(s, command, account_row, position_row)
    if reason != 0:
        _refuse_update(s, command, account_row, reason)
        return
    if account_row == 0:
        account_row = s.head[ACCOUNTS_USED]
        s.head[ACCOUNTS_USED] += 1
        s.accounts[account_row].account = command.account
        index_insert(s.account_index, hash_of(command.account), account_row)
    s.accounts[account_row].cash += command.cash
    if command.order_qty != 0:
        rules = s.rules[command.instrument]
        if position_row == 0:
            position_row = position_made(s, account_row, command.instrument)
        move_shares(s, account_row, position_row, command.order_qty, rules.reference_px * rules.lot_minor_per_tick)
    event = event_row(s, EVENT_ACCOUNT_UPDATED)
    event.instrument = command.instrument
    event.cash_delta = command.cash
    event.shares_delta = command.order_qty
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)


@routine
def account_status(s: Any, command: Any) -> None:
    """An ACCOUNT_STATUS command; the kill switch cancels every open order."""
    account_row = find_account(s, command.account)
    if account_row == 0 or command.account_word > ACCOUNT_KILLED:
        _refuse_update(s, command, account_row, REASON_UNKNOWN_ACCOUNT if account_row == 0 else REASON_INVALID_COMMAND)
        return
    account = s.accounts[account_row]
    account.status = command.account_word
    event = event_row(s, EVENT_ACCOUNT_STATUS_CHANGED)
    event.account_word = command.account_word
    publish(s, account_row, np.int64(0), s.call[ASKING], command.request_id)
    order_row = np.int64(account.first_order if account.status == ACCOUNT_KILLED else 0)
    while order_row != 0:
        if s.orders[order_row].cancel_pending == 0:
            send_cancel(s, order_row, REASON_ACCOUNT_SUSPENDED, -1, _ZERO)
        order_row = np.int64(s.orders[order_row].next)


@helper
def _limits_refusal(s: Any, command: Any, account_row: Any) -> Any:
    if account_row == 0:
        return REASON_UNKNOWN_ACCOUNT
    if command.instrument != 0 and not is_known(s, command.instrument):
        return REASON_UNKNOWN_SYMBOL
    if command.account_word > PERMISSION_SHORT_SALE:
        return REASON_INVALID_COMMAND
    most = POSITION_LOTS_MAX if command.instrument != 0 else NANOS_PER_SECOND
    good = command.order_qty >= 0 and command.order_qty <= most and command.min_qty >= 0 and command.min_qty <= ORDERS_AT_ONCE_MAX
    return 0 if good and command.cash >= 0 and command.cash <= CASH_MINOR_MAX else REASON_AMOUNT_OUT_OF_RANGE


@routine
def account_limits(s: Any, command: Any) -> None:
    """An ACCOUNT_LIMITS command."""
    account_row = find_account(s, command.account)
    reason = _limits_refusal(s, command, account_row)
    if reason != 0:
        _refuse_update(s, command, account_row, reason)
        return
    position_row = np.int64(0)
    if command.instrument != 0:
        position_row = find_position(s, account_row, command.instrument)
        if position_row == 0:
            position_row = position_made(s, account_row, command.instrument)
        s.positions[position_row].restricted = command.account_word
        s.positions[position_row].lots_max = command.order_qty
    else:
        account = s.accounts[account_row]
        rate = command.order_qty
        account.permissions = command.account_word
        account.order_minor_max = command.cash
        account.rate_interval_ns = NANOS_PER_SECOND // rate if rate != 0 else 0
        account.rate_burst_ns = ((command.min_qty if command.min_qty != 0 else rate) - 1) * account.rate_interval_ns
        account.rate_until = 0
    event = event_row(s, EVENT_ACCOUNT_LIMITS_CHANGED)
    event.instrument = command.instrument
    event.account_word = command.account_word
    event.order_qty = command.order_qty
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)
