"""Sessions and updates of accounts in the account kernel; see accounts.reference.updates."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.holds import move_shares
from matchers.accounts.kernel.layout import (
    ACCOUNTS_MAX,
    ACCOUNTS_USED,
    ASKING,
    LAST_SEQ,
    LOG_TIME,
    SHARD,
    SHARDS,
    UPDATES_AT,
    UPDATES_MAX,
    UPDATES_USED,
)
from matchers.accounts.kernel.pools import find_account, is_known, position_made
from matchers.accounts.kernel.requests import send_cancel
from matchers.accounts.kernel.rows import answer, event_row, find_position, publish
from matchers.accounts.kernel.words import (
    ACCOUNT_KILLED,
    EVENT_ACCOUNT_LIMITS_CHANGED,
    EVENT_ACCOUNT_STATUS_CHANGED,
    REASON_ACCOUNT_SUSPENDED,
    REASON_RATE_LIMIT,
    REASON_UPDATE_APPLIED_BEFORE,
    REASON_UPDATE_ID_MISSING,
    REASON_UPDATE_ID_REUSED,
    REASON_UPDATE_ID_TOO_HIGH,
    REASON_UPDATE_ID_TOO_LOW,
)
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U, hash_of, hash_of_pair, index_insert, index_next, index_remove, mix
from matchers.compiled.words import (
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
from matchers.rules.account_rules import DIGEST_SEED, ORDERS_PER_SECOND_MAX, PERMISSIONS_MAX, SESSION_BURST_NS
from schemas.ids import EXCHANGE_ACCOUNT
from schemas.limits import (
    CASH_MINOR_MAX,
    ORDERS_AT_ONCE_MAX,
    POSITION_LOTS_MAX,
    SESSION_INTERVAL_NS,
    UPDATE_ID_AHEAD_NS_MAX,
)
from schemas.units import NANOS_PER_SECOND

_ZERO: Final = U(0)
_SEED: Final = U(DIGEST_SEED)


@helper
def _update_digest(command: Any) -> Any:
    """account_rules.update_digest."""
    words = (
        U(command.kind) | U(command.account_word) << U(8) | U(command.instrument) << U(32), U(command.cash), U(command.order_qty), U(command.min_qty),
    )  # fmt: skip
    digest = _ZERO
    for place in range(4):
        if words[place] != _ZERO:
            digest ^= mix(words[place] ^ (_SEED * U(place + 1)))
    return digest


@routine
def _id_refusal(s: Any, command: Any, account_row: Any) -> Any:
    """Whether the update is one that was applied already, or is older than one that was; or 0."""
    if command.request_id == _ZERO:
        return REASON_UPDATE_ID_MISSING
    if command.request_id > s.accounts[account_row].last_update:
        return REASON_UPDATE_ID_TOO_HIGH if command.request_id > U(s.head[LOG_TIME] + UPDATE_ID_AHEAD_NS_MAX) else 0
    hashed = hash_of_pair(command.request_id, command.account)
    row, at = index_next(s.update_index, hashed, hashed)
    while row != 0:
        known = s.updates[row]
        if known.request_id == command.request_id and known.account == command.account:
            return REASON_UPDATE_APPLIED_BEFORE if known.body == _update_digest(command) else REASON_UPDATE_ID_REUSED
        row, at = index_next(s.update_index, hashed, at)
    return REASON_UPDATE_ID_TOO_LOW


@routine
def _note_update(s: Any, command: Any, account_row: Any) -> None:
    """It is being applied: never again."""
    s.accounts[account_row].last_update = command.request_id
    at = s.head[UPDATES_USED]
    if at > s.head[UPDATES_MAX]:
        at = s.head[UPDATES_AT] % s.head[UPDATES_MAX] + 1
        index_remove(s.update_index, hash_of_pair(s.updates[at].request_id, s.updates[at].account), at)
    else:
        s.head[UPDATES_USED] += 1
    s.head[UPDATES_AT] = at
    s.updates[at].account = command.account
    s.updates[at].request_id = command.request_id
    s.updates[at].body = _update_digest(command)
    index_insert(s.update_index, hash_of_pair(command.request_id, command.account), at)


@helper
def register_session(s: Any, command: Any) -> None:
    """A REGISTER_SESSION command."""
    if s.call[ASKING] < 0:
        return
    account_row = find_account(s, command.account)
    account = s.accounts[account_row]
    if account_row == 0 or account.sessions_until - s.head[LOG_TIME] > SESSION_BURST_NS:
        reply = answer(s, EVENT_SESSION_REJECTED, 0, 0, 0, command.request_id)
        s.replies[reply].account = command.account
        s.replies[reply].reason = REASON_UNKNOWN_ACCOUNT if account_row == 0 else REASON_RATE_LIMIT
        return
    account.sessions_until = max(account.sessions_until, s.head[LOG_TIME]) + SESSION_INTERVAL_NS
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
    if command.account == U(EXCHANGE_ACCOUNT):
        return REASON_UNKNOWN_ACCOUNT
    if s.head[SHARDS] != 0 and command.account % U(s.head[SHARDS]) != U(s.head[SHARD]):
        return REASON_UNKNOWN_ACCOUNT
    reason = _id_refusal(s, command, account_row)
    if reason != 0:
        return reason
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
    _note_update(s, command, account_row)
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
    reason = REASON_UNKNOWN_ACCOUNT if account_row == 0 else _id_refusal(s, command, account_row)
    if reason == 0 and command.account_word > ACCOUNT_KILLED:
        reason = REASON_INVALID_COMMAND
    if reason != 0:
        _refuse_update(s, command, account_row, reason)
        return
    _note_update(s, command, account_row)
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
    reason = _id_refusal(s, command, account_row)
    if reason != 0:
        return reason
    if command.instrument != 0 and not is_known(s, command.instrument):
        return REASON_UNKNOWN_SYMBOL
    if command.account_word > PERMISSIONS_MAX:
        return REASON_INVALID_COMMAND
    most = POSITION_LOTS_MAX if command.instrument != 0 else ORDERS_PER_SECOND_MAX
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
    _note_update(s, command, account_row)
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
