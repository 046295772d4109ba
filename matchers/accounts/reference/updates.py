"""Sessions, postings from outside, and what operators decide about accounts."""

from matchers.accounts.reference.holds import move_shares, position_of
from matchers.accounts.reference.journal import answer, event, refuse
from matchers.accounts.reference.requests import send_cancel
from matchers.accounts.reference.state import Account, AccountState, Position, Values
from matchers.rules.account_rules import ORDERS_PER_SECOND_MAX, PERMISSIONS_MAX, SESSION_BURST_NS, update_digest
from schemas.enums import AccountEventKind, AccountStatus
from schemas.ids import EXCHANGE_ACCOUNT
from schemas.limits import (
    CASH_MINOR_MAX,
    ORDERS_AT_ONCE_MAX,
    POSITION_LOTS_MAX,
    SESSION_INTERVAL_NS,
    UPDATE_ID_AHEAD_NS_MAX,
)
from schemas.reject_reasons import Reason
from schemas.units import NANOS_PER_SECOND


def register_session(s: AccountState, command: Values) -> None:
    """Send the account's state, and its later events, to the asking edge."""
    account = s.accounts.get(command["account"])
    if not s.asking:
        return
    if account is None or account.sessions_until - s.log_time > SESSION_BURST_NS:
        reason = Reason.RATE_LIMIT if account else Reason.UNKNOWN_ACCOUNT
        answer(s, AccountEventKind.SESSION_REJECTED, None, command, {"account": command["account"], "reason": reason}, b"")
        return
    account.sessions_until = max(account.sessions_until, s.log_time) + SESSION_INTERVAL_NS
    account.edges |= s.asking
    for position in account.positions:
        if position.position:
            answer(s, AccountEventKind.POSITION_STATE, account, command, {"instrument": position.instrument}, b"")
    for order in account.open_orders.values():
        answer(s, AccountEventKind.ORDER_STATE, account, command, order.values(), order.cl_ord_id)
    registered = {"seq": s.last_seq, "account_word": account.status}
    answer(s, AccountEventKind.SESSION_REGISTERED, account, command, registered, b"")


def account_update(s: AccountState, command: Values) -> None:
    """Post cash and shares from or to outside; opens the account."""
    account = s.accounts.get(command["account"])
    instrument, cash, lots = command["instrument"], command["cash"], command["order_qty"]
    if reason := _update_refusal(s, account, command):
        _refuse_update(s, account, command, reason)
        return
    if account is None:
        account = s.accounts[command["account"]] = Account(command["account"])
    _note_update(s, account, command)
    account.cash += cash
    if lots:
        move_shares(s, account, instrument, lots, s.rules[instrument]["reference_px"] * s.rules[instrument]["lot_minor_per_tick"])
    posting = {"instrument": instrument, "cash_delta": cash, "shares_delta": lots}
    event(s, AccountEventKind.ACCOUNT_UPDATED, account, posting, b"", command)


def _update_refusal(s: AccountState, account: Account | None, command: Values) -> Reason:
    instrument, cash, lots = command["instrument"], command["cash"], command["order_qty"]
    position = s.positions.get((command["account"], instrument)) or Position(0, instrument)
    before = account or Account(0)
    if command["account"] == EXCHANGE_ACCOUNT or (s.shards and command["account"] % s.shards != s.shard):
        return Reason.UNKNOWN_ACCOUNT
    if reason := _id_refusal(s, before, command):
        return reason
    if (instrument or lots) and instrument not in s.rules:
        return Reason.UNKNOWN_SYMBOL
    if (cash < 0 and before.available + cash < 0) or (lots < 0 and position.position - position.position_held + lots < 0):
        return Reason.BELOW_ZERO
    if before.cash + max(cash, 0) > max(CASH_MINOR_MAX, before.cash) or position.position + max(lots, 0) > max(
        POSITION_LOTS_MAX, position.position
    ):
        return Reason.AMOUNT_OUT_OF_RANGE
    if account is None and len(s.accounts) >= s.limits.accounts_max:
        return Reason.ACCOUNT_LIMIT
    return Reason.NONE


def _id_refusal(s: AccountState, account: Account, command: Values) -> Reason:
    """Whether the update is one that was applied already, or is older than one that was."""
    if not command["request_id"]:
        return Reason.UPDATE_ID_MISSING
    if command["request_id"] > account.last_update:
        is_ahead = command["request_id"] > s.log_time + UPDATE_ID_AHEAD_NS_MAX
        return Reason.UPDATE_ID_TOO_HIGH if is_ahead else Reason.NONE
    known = s.updates.get((command["account"], command["request_id"]))
    if known is None:
        return Reason.UPDATE_ID_TOO_LOW
    return Reason.UPDATE_APPLIED_BEFORE if known == update_digest(command) else Reason.UPDATE_ID_REUSED


def _note_update(s: AccountState, account: Account, command: Values) -> None:
    """It is being applied: never again."""
    account.last_update = command["request_id"]
    s.updates[command["account"], command["request_id"]] = update_digest(command)
    if len(s.updates) > s.limits.updates_max:
        del s.updates[next(iter(s.updates))]


def account_status(s: AccountState, command: Values) -> None:
    """Suspend an account, let it trade again, or pull its kill switch."""
    account = s.accounts.get(command["account"])
    reason = _id_refusal(s, account, command) if account else Reason.UNKNOWN_ACCOUNT
    if not reason and command["account_word"] not in set(AccountStatus):
        reason = Reason.INVALID_COMMAND
    if reason or account is None:
        _refuse_update(s, account, command, reason)
        return
    _note_update(s, account, command)
    account.status = command["account_word"]
    event(s, AccountEventKind.ACCOUNT_STATUS_CHANGED, account, {"account_word": account.status}, b"", command)
    if account.status == AccountStatus.KILLED:
        for order in [one for one in account.open_orders.values() if not one.cancel_pending]:
            send_cancel(s, order, Reason.ACCOUNT_SUSPENDED, None)


def account_limits(s: AccountState, command: Values) -> None:
    """Set what the account may do, in all or in one instrument."""
    account, instrument = s.accounts.get(command["account"]), command["instrument"]
    reason = _limits_refusal(s, account, command)
    if reason or account is None:
        _refuse_update(s, account, command, reason)
        return
    _note_update(s, account, command)
    if instrument:
        position = position_of(s, account, instrument)
        position.restricted, position.lots_max = command["account_word"], command["order_qty"]
    else:
        rate = command["order_qty"]
        account.permissions, account.order_minor_max = command["account_word"], command["cash"]
        account.rate_interval_ns = NANOS_PER_SECOND // rate if rate else 0
        account.rate_burst_ns = ((command["min_qty"] or rate) - 1) * account.rate_interval_ns
        account.rate_until = 0
    told = {"instrument": instrument, "account_word": command["account_word"], "order_qty": command["order_qty"]}
    event(s, AccountEventKind.ACCOUNT_LIMITS_CHANGED, account, told, b"", command)


def _limits_refusal(s: AccountState, account: Account | None, command: Values) -> Reason:
    if account is None:
        return Reason.UNKNOWN_ACCOUNT
    if reason := _id_refusal(s, account, command):
        return reason
    if command["instrument"] and command["instrument"] not in s.rules:
        return Reason.UNKNOWN_SYMBOL
    if command["account_word"] > PERMISSIONS_MAX:
        return Reason.INVALID_COMMAND
    most = POSITION_LOTS_MAX if command["instrument"] else ORDERS_PER_SECOND_MAX
    good = 0 <= command["order_qty"] <= most and 0 <= command["min_qty"] <= ORDERS_AT_ONCE_MAX and 0 <= command["cash"] <= CASH_MINOR_MAX
    return Reason.NONE if good else Reason.AMOUNT_OUT_OF_RANGE


def _refuse_update(s: AccountState, account: Account | None, command: Values, reason: Reason) -> None:
    given = {"instrument": command["instrument"], "order_qty": command["order_qty"]}
    refuse(s, AccountEventKind.ACCOUNT_UPDATE_REJECTED, account, command, reason, given, b"")
