"""What the reference account shard says: event rows, answers, copies for registered edges."""

from typing import Any, Final

import numpy as np

from matchers.accounts.reference.state import Account, Position
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, EVENT_DTYPE, AccountOutput, orig_rows, rows_of, text_rows
from schemas.enums import AccountEventKind, OrdStatus
from schemas.limits import EDGE_INSTANCES_MAX
from schemas.reject_reasons import Reason

Values = dict[str, Any]
BODY: Final = ("instrument", "side", "ord_type", "time_in_force", "order_qty", "price")
"""What makes two orders of the same cl_ord_id the same order."""


class AccountJournal:
    """Collects the rows of one call."""

    log_time: int
    last_seq: int
    positions: dict[tuple[int, int], Position]

    def _begin(self, reply_partition: int) -> None:
        self.asking = 1 << reply_partition if 0 <= reply_partition < EDGE_INSTANCES_MAX else 0
        self.first_seq = self.last_seq + 1
        self.events: list[tuple[Values, bytes, bytes]] = []
        self.replies: list[tuple[Values, bytes, bytes, int]] = []
        self.refused: list[tuple[int, str]] = []
        self.book_commands: list[Values] = []

    def _end(self) -> AccountOutput:
        return AccountOutput(
            events=rows_of(EVENT_DTYPE, [values for values, *_ in self.events]),
            event_cl_ord_id=text_rows([text for _, text, _ in self.events]),
            replies=rows_of(EVENT_DTYPE, [values for values, *_ in self.replies]),
            reply_cl_ord_id=text_rows([text for _, text, _, _ in self.replies]),
            reply_mask=np.array([mask for *_, mask in self.replies], np.uint64),
            book_commands=rows_of(BOOK_COMMAND_DTYPE, self.book_commands),
            first_seq=self.first_seq,
            event_orig_cl_ord_id=orig_rows([orig for _, _, orig in self.events]),
            reply_orig_cl_ord_id=orig_rows([orig for _, _, orig, _ in self.replies]),
            refused=tuple(self.refused),
        )

    def _row(self, kind: AccountEventKind, account: Account | None, values: Values) -> Values:
        """`values` with what every row carries: the account's amounts after the event, and log time."""
        row: Values = {"kind": kind, "transact_time": self.log_time} | values
        if account is None:
            return row
        row |= {"account": account.account, "cash": account.cash, "cash_held": account.cash_held}
        position = self.positions.get((account.account, row.get("instrument", 0)))
        return row | (position.values() if position else {})

    def _event(
        self, kind: AccountEventKind, account: Account | None, values: Values, text: bytes, command: Values | None = None, orig: bytes = b""
    ) -> None:
        """A row for account.events, its answer for the asking edge, and copies for the other edges that registered the account."""
        self.last_seq += 1
        row = self._row(kind, account, values) | {"seq": self.last_seq}
        asking, request_id = (self.asking, command["request_id"]) if command else (0, 0)
        others = (account.edges if account else 0) & ~asking
        self.events.append((row | {"request_id": request_id}, text, orig))
        if asking:
            self.replies.append((row | {"request_id": request_id}, text, orig, asking))
        if others:
            self.replies.append((row, text, orig, others))

    def _answer(self, kind: AccountEventKind, account: Account | None, command: Values, values: Values, text: bytes) -> None:
        """A row for the asking edge only."""
        if self.asking:
            self.replies.append((self._row(kind, account, values) | {"request_id": command["request_id"]}, text, b"", self.asking))

    def _refuse(self, kind: AccountEventKind, account: Account | None, command: Values, reason: Reason, given: Values, text: bytes) -> None:
        """Say no; of the command's columns those that an event row has are repeated."""
        kept = {column: given[column] for column in (*BODY, "order_id") if column in given}
        status = {"ord_status": OrdStatus.REJECTED} if kind == AccountEventKind.REJECTED else {}
        if kind == AccountEventKind.REJECTED:
            kept.pop("order_id", None)
        self._event(kind, account, {"account": command["account"], "reason": reason} | kept | status, text, command)
