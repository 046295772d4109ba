"""What the reference account shard says: event rows, answers, copies for registered edges, commands for the books."""

from typing import Any, Final

import numpy as np

from matchers.accounts.reference.state import Account, AccountState, Order, Values
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, EVENT_DTYPE, AccountOutput, orig_rows, rows_of, text_rows
from schemas.enums import AccountEventKind, BookCommandKind, OrdStatus
from schemas.limits import EDGE_INSTANCES_MAX
from schemas.reject_reasons import Reason

BODY: Final = ("instrument", "side", "ord_type", "time_in_force", "order_qty", "price")
"""What makes two orders of the same cl_ord_id the same order."""


def begin(s: AccountState, reply_partition: int) -> None:
    """A new call; the answers are for the edge of this partition, if it is one."""
    s.asking = 1 << reply_partition if 0 <= reply_partition < EDGE_INSTANCES_MAX else 0
    s.first_seq = s.last_seq + 1
    s.events, s.replies, s.refused, s.book_commands = [], [], [], []


def output(s: AccountState) -> AccountOutput:
    """What the call has said."""
    return AccountOutput(
        events=rows_of(EVENT_DTYPE, [values for values, *_ in s.events]),
        event_cl_ord_id=text_rows([text for _, text, _ in s.events]),
        replies=rows_of(EVENT_DTYPE, [values for values, *_ in s.replies]),
        reply_cl_ord_id=text_rows([text for _, text, _, _ in s.replies]),
        reply_mask=np.array([mask for *_, mask in s.replies], np.uint64),
        book_commands=rows_of(BOOK_COMMAND_DTYPE, s.book_commands),
        first_seq=s.first_seq,
        event_orig_cl_ord_id=orig_rows([orig for _, _, orig in s.events]),
        reply_orig_cl_ord_id=orig_rows([orig for _, _, orig, _ in s.replies]),
        refused=tuple(s.refused),
    )


def _row(s: AccountState, kind: AccountEventKind, account: Account | None, values: Values) -> Values:
    """`values` with what every row carries: the account's amounts after the event, and log time."""
    row: Values = {"kind": kind, "transact_time": s.log_time} | values
    if account is None:
        return row
    row |= {"account": account.account, "cash": account.cash, "cash_held": account.cash_held}
    position = s.positions.get((account.account, row.get("instrument", 0)))
    return row | (position.values() if position else {})


def event(
    s: AccountState,
    kind: AccountEventKind,
    account: Account | None,
    values: Values,
    text: bytes,
    command: Values | None = None,
    orig: bytes = b"",
) -> None:
    """A row for account.events, its answer for the asking edge, and copies for the other edges that registered the account."""
    s.last_seq += 1
    row = _row(s, kind, account, values) | {"seq": s.last_seq}
    asking, request_id = (s.asking, command["request_id"]) if command else (0, 0)
    others = (account.edges if account else 0) & ~asking
    s.events.append((row | {"request_id": request_id}, text, orig))
    if asking:
        s.replies.append((row | {"request_id": request_id}, text, orig, asking))
    if others:
        s.replies.append((row, text, orig, others))


def order_event(s: AccountState, kind: AccountEventKind, order: Order, orig: bytes = b"", **columns: Any) -> None:
    """An event about an order, as it is now, that no request is answered with."""
    event(s, kind, order.account, order.values() | columns, order.cl_ord_id, orig=orig)


def answer(s: AccountState, kind: AccountEventKind, account: Account | None, command: Values, values: Values, text: bytes) -> None:
    """A row for the asking edge only."""
    if s.asking:
        s.replies.append((_row(s, kind, account, values) | {"request_id": command["request_id"]}, text, b"", s.asking))


def refuse(
    s: AccountState, kind: AccountEventKind, account: Account | None, command: Values, reason: Reason, given: Values, text: bytes
) -> None:
    """Say no; of the command's columns those that an event row has are repeated."""
    kept = {column: given[column] for column in (*BODY, "order_id") if column in given}
    status = {"ord_status": OrdStatus.REJECTED} if kind == AccountEventKind.REJECTED else {}
    if kind == AccountEventKind.REJECTED:
        kept.pop("order_id", None)
    event(s, kind, account, {"account": command["account"], "reason": reason} | kept | status, text, command)


def book_command(s: AccountState, kind: BookCommandKind, order: Order, **columns: Any) -> None:
    """A row for the order's book."""
    named = {"instrument": order.instrument, "account": order.account.account, "order_id": order.order_id, "side": order.side}
    s.book_commands.append({"kind": kind, "transact_time": s.log_time} | named | columns)
