"""Cancels and replaces of customers: refused, or on their way to the book, which answers each."""

from dataclasses import dataclass
from typing import Final

from matchers.accounts.reference.checks import count_order, replace_refusal, terms_asked
from matchers.accounts.reference.holds import held_anew
from matchers.accounts.reference.journal import book_command, event, refuse
from matchers.accounts.reference.replaced_ids import earlier, keep_next_id, new_id_refusal
from matchers.accounts.reference.state import AccountState, Order, Values
from schemas.enums import AccountEventKind, AccountStatus, BookCommandKind
from schemas.reject_reasons import Reason

_REPLACED: Final = ("time_in_force", "exec_inst", "order_qty", "price", "stop_px", "display_qty", "offset", "expire_time")


@dataclass(frozen=True)
class Ids:
    """The cl_ord_id and orig_cl_ord_id of a command, empty where they are no valid text; and whether anything was given."""

    text: bytes
    orig: bytes
    has_text: bool
    has_orig: bool


def cancel(s: AccountState, command: Values, ids: Ids) -> None:
    """A CANCEL command."""
    if (order := _named_order(s, command, ids)) is None:
        return
    if not order.leaves_qty or order.cancel_pending:
        _cancel_refused(s, command, order, Reason.CANCEL_ALREADY_PENDING if order.leaves_qty else Reason.TOO_LATE_TO_CANCEL)
        return
    send_cancel(s, order, Reason.NONE, command)


def send_cancel(s: AccountState, order: Order, reason: Reason, command: Values | None) -> None:
    """Ask the book to cancel an open order."""
    order.cancel_pending = True
    order.ord_status = order.open_status
    event(s, AccountEventKind.CANCEL_PENDING, order.account, order.values() | {"reason": reason}, order.cl_ord_id, command)
    book_command(s, BookCommandKind.CANCEL, order)


def replace(s: AccountState, command: Values, ids: Ids) -> None:
    """A REPLACE command."""
    if (order := _named_order(s, command, ids)) is None:
        return
    renames = ids.has_text and (command["order_id"] or ids.has_orig) and ids.text != order.cl_ord_id
    if not order.leaves_qty:
        reason = Reason.TOO_LATE_TO_CANCEL
    elif order.account.status != AccountStatus.ACTIVE:
        reason = Reason.ACCOUNT_SUSPENDED
    elif order.cancel_pending or order.replace_pending:
        reason = Reason.CANCEL_ALREADY_PENDING if order.cancel_pending else Reason.REPLACE_ALREADY_PENDING
    else:
        reason = (new_id_refusal(s, command, ids.text) if renames else Reason.NONE) or replace_refusal(s, order, command)
    if reason:
        _cancel_refused(s, command, order, reason)
        return
    with held_anew(s, order):
        order.terms, order.replace_pending = terms_asked(s, order, command), True
    if renames:
        keep_next_id(s, order, ids.text)
    count_order(s, order.account)
    order.ord_status = order.open_status
    event(s, AccountEventKind.REPLACE_PENDING, order.account, order.values(), order.cl_ord_id, command)
    book_command(s, BookCommandKind.REPLACE, order, **{name: command[name] for name in _REPLACED})


def _named_order(s: AccountState, command: Values, ids: Ids) -> Order | None:
    """The order that a cancel or replace names, if it is the account's own: nobody learns of others' orders. None: it has been refused."""
    text = ids.orig if ids.has_orig else ids.text
    account = s.accounts.get(command["account"])
    found: Order | None = None
    if account is None:
        reason = Reason.UNKNOWN_ACCOUNT
    elif command["order_id"]:
        found, reason = s.orders.get(command["order_id"]), Reason.UNKNOWN_ORDER
    else:
        found, reason = earlier(s, command, text), Reason.UNKNOWN_ORDER if text else Reason.INVALID_CL_ORD_ID
    if found is not None and found.account is account:
        return found
    refuse(s, AccountEventKind.CANCEL_REJECTED, account, command, reason, {"order_id": command["order_id"]}, text)
    return None


def _cancel_refused(s: AccountState, command: Values, order: Order, reason: Reason) -> None:
    event(s, AccountEventKind.CANCEL_REJECTED, order.account, order.values() | {"reason": reason}, order.cl_ord_id, command)
