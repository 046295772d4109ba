"""The rules of the account shard in plain Python: cash, positions, holds, who may do what. The kernel must do the same.

New orders (docs/rules.md, section 7; first failure wins). Before all: the same cl_ord_id with the same body again is answered with that order as it is now
 (DUPLICATE, nothing changes). Then: account known, active; instrument known; cl_ord_id 1 to 128 printable ASCII characters, and no other order's; rate limit;
 what the order says (order_rules, the book's checks in the book's order); worst price x quantity within the limits of instrument and account; restricted
 lists; position limit; short sale permission and price test; cash or shares; open orders.
 A refused order changes nothing and does not use up its cl_ord_id. An accepted one gets the next order_id, a hold, and goes to its book.
Lists are consecutive rows of one frame (see BookCommandKind, rules.list_rules): each order is checked by itself, then what the list needs up to it. All
 are accepted or none: the others are refused with LIST_REJECTED. Rows that make no list are refused with INVALID_LIST. The list's number becomes its first order_id.
Short sales: of an account that may, with located shares, and that has none of its own left to sell. Other sales need the shares, orders of OCO pairs always.
 The price test needs the national best bid: for that stands the last price of a trade that this shard has heard of, which is of its own accounts.
Rate limit: a token bucket in log time. Accepted orders and replaces take a token, refused ones change nothing; cancels are always taken.
Holds: accounts.reference.holds. available = cash - cash_held >= 0 but for what a busted trade leaves owing, so a book's trade can always be settled.
Cancels and replaces. By order_id, or by cl_ord_id if order_id is 0; REPLACE and CANCEL take an orig_cl_ord_id before that. Granted: PENDING_CANCEL or PENDING_REPLACE until the book has
 decided; a trade meanwhile counts. One replace at a time, none behind a cancel; a cancel may follow a replace. The book answers each exactly once, in their
 order: REPLACED, CANCELED (REQUESTED_BY_CUSTOMER, REPLACED_TO_NOTHING) or CANCEL_REJECTED; until then the order is not forgotten.
 What waits for its primary to sell what it buys cannot be replaced to more than was bought so far: the book would not cut it down any more.
Reports: accounts.reference.reports. Fees are posted beside the trade; what the shard's accounts have paid in all is part of the state.
Done orders stay known until `done_orders_max` others have been done after them, or the UTC day of log time is over; then their cl_ord_id is free again.
New ids. A replace may give its order another cl_ord_id, which no order of the account has, had or waits for; both belong to it from then on. The order
 answers to the new one once its book has replaced it (also to nothing), and the events have it; an id that the book refuses is free again. The old one still
 finds the order, for cancels, replaces and repeated new orders, until the order is forgotten or `replaced_ids_max` others have come after it.
Sessions. Once registered, an edge gets a copy of all events of the account. A request's answer goes to the asking edge with its request_id;
 other registered edges get the event with request_id 0. DUPLICATE, SESSION_* and state rows are answers only and have no seq.
 A registration is answered with all of the account, so they have a token bucket in log time too (SESSIONS_AT_ONCE_MAX): SESSION_REJECTED, RATE_LIMIT.
Updates of accounts (ACCOUNT_UPDATE, ACCOUNT_STATUS, ACCOUNT_LIMITS) are applied once. Each needs a request_id above that of every one of the account before
 (UPDATE_ID_MISSING); one at or below the highest is old for ever. Of the last `updates_max` of the shard the content is known too: the same again is
 UPDATE_APPLIED_BEFORE, another content UPDATE_ID_REUSED; what is older is UPDATE_ID_TOO_LOW. None may be far ahead of log time in ns
 (UPDATE_ID_TOO_HIGH), so that one at the end of the range is not the account's last update for ever. Refused ones use up no id.
Postings. Refused: account 0 or one of another shard (UNKNOWN_ACCOUNT), unknown instrument, or lots without instrument (UNKNOWN_SYMBOL), more than is
 available (BELOW_ZERO), beyond CASH_MINOR_MAX or POSITION_LOTS_MAX (AMOUNT_OUT_OF_RANGE), no room (ACCOUNT_LIMIT). Shares posted cost the reference price.
Rows that are no command are refused with INVALID_COMMAND. Columns of refused rows are repeated as they came, a cl_ord_id only if it is valid text.
Reference prices are the instrument list's: what a book is told by INSTRUMENT_UPDATE does not come here. That is safe, as the book gets every protection price
 from here; market orders for an auction whose range has moved beyond it are refused by the book (INVALID_PRICE).
Time. log_time never goes back: a row's transact_time only raises it. A shell must not let a sender's clock far in the future in.
"""

from collections.abc import Callable
from typing import Final, Self

import numpy as np

from matchers.accounts.reference.canonical import canonical_state, load_state
from matchers.accounts.reference.faults import report_fault
from matchers.accounts.reference.journal import begin, output
from matchers.accounts.reference.orders import new_orders, refuse_order
from matchers.accounts.reference.reports import (
    cancel_rejected,
    forget,
    replaced,
    restated,
    taken_out,
    trade,
    trade_busted,
    triggered,
)
from matchers.accounts.reference.requests import Ids, cancel, replace
from matchers.accounts.reference.state import AccountState, Order, Values
from matchers.accounts.reference.updates import account_limits, account_status, account_update, register_session
from matchers.rules.account_rules import DAY_NS, REPORT_FAULTS, is_valid_cl_ord_id
from matchers.rules.limits import DEFAULT_LIMITS, ShardLimits
from matchers.rules.list_rules import is_listed, list_rows_at
from matchers.rules.outputs import AccountOutput, python_rows
from matchers.state.canonical_hash import hash_arrays
from matchers.state.snapshot_head import check_head, head_array, head_values
from schemas.codec import Rows
from schemas.enums import CommandKind, ReportKind
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason

_REPORTS: Final[dict[int, Callable[[AccountState, Values, Order], None]]] = {
    ReportKind.TRADE: trade,
    ReportKind.CANCELED: taken_out,
    ReportKind.EXPIRED: taken_out,
    ReportKind.REJECTED: taken_out,
    ReportKind.CANCEL_REJECTED: cancel_rejected,
    ReportKind.REPLACED: replaced,
    ReportKind.RESTATED: restated,
    ReportKind.TRIGGERED: triggered,
}
_UPDATES: Final[dict[int, Callable[[AccountState, Values], None]]] = {
    CommandKind.REGISTER_SESSION: register_session,
    CommandKind.ACCOUNT_UPDATE: account_update,
    CommandKind.ACCOUNT_STATUS: account_status,
    CommandKind.ACCOUNT_LIMITS: account_limits,
}


class AccountShard:
    """One account shard. `shards` (0: not checked) lets it refuse to open accounts that another shard owns."""

    def __init__(self, shard: int, instruments: InstrumentTable, shards: int = 0, limits: ShardLimits = DEFAULT_LIMITS) -> None:
        self.shard = shard
        self.shards = shards
        self.limits = limits
        self.instruments = instruments
        table = instruments.rules
        rules: dict[int, Values] = {
            number: dict(zip(table.dtype.names or (), table[number].tolist(), strict=True)) for number in instruments.by_number
        }
        self.state = AccountState(shard, shards, rules, limits, last_px=[0] * len(table), price_test_end=[0] * len(table))

    # -- the interface of all machines

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return self.state.log_time

    @property
    def last_seq(self) -> int:
        """The seq of the latest event."""
        return self.state.last_seq

    def apply_commands(self, rows: Rows, cl_ord_id: Rows, reply_partition: int, orig_cl_ord_id: Rows | None = None) -> AccountOutput:
        """Apply order_command_frame rows; the ids are S-arrays of the same length. A reply_partition outside 0..63 wants no answers."""
        assert len(rows) == len(cl_ord_id), "one cl_ord_id a row"
        s = self.state
        begin(s, reply_partition)
        commands = python_rows(rows)
        given: list[bytes] = cl_ord_id.tolist()
        texts = [text if is_valid_cl_ord_id(text) else b"" for text in given]
        origs: list[bytes] = [b""] * len(rows) if orig_cl_ord_id is None else orig_cl_ord_id.tolist()
        at = 0
        while at < len(commands):
            legs = 1
            if commands[at]["kind"] == CommandKind.NEW_ORDER:
                legs = self._orders_at(commands, texts, at)
            else:
                self._advance(commands[at])
                ids = Ids(texts[at], origs[at] if is_valid_cl_ord_id(origs[at]) else b"", bool(given[at]), bool(origs[at]))
                self._apply_one(commands[at], ids)
            forget(s)
            at += legs
        return output(s)

    def apply_reports(self, rows: Rows) -> AccountOutput:
        """Apply book_report_frame rows. One that cannot be true is left out, changes nothing, and is named in `refused`."""
        s = self.state
        begin(s, -1)
        for row, report in enumerate(python_rows(rows)):
            if fault := report_fault(s, report):
                s.refused.append((row, REPORT_FAULTS[fault]))
                continue
            self._advance(report)
            if report["kind"] == ReportKind.TRADE_BUSTED:
                trade_busted(s, report)
            else:
                _REPORTS[report["kind"]](s, report, s.orders[report["order_id"]])
            forget(s)
        return output(s)

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see canonical_hash.py."""
        return hash_arrays(canonical_state(self.state))

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        head = head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq)
        return canonical_state(self.state) | {"head": head, "instruments": np.frombuffer(self.instruments.digest, np.uint8)}

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows]) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard or other instruments."""
        shards, limits = check_head(shard, instruments, arrays)
        machine = cls(shard, instruments, shards, limits)
        machine.state.log_time, machine.state.last_seq = head_values(arrays)
        load_state(machine.state, arrays)
        return machine

    # -- commands

    def _orders_at(self, commands: list[Values], texts: list[bytes], at: int) -> int:
        """Apply the new order or list at this row; how many rows it was."""
        first = commands[at]
        legs = commands[at : at + (list_rows_at(commands, at, CommandKind.NEW_ORDER) if is_listed(first) else 1)]
        for command in legs or [first]:
            self._advance(command)
        if legs:
            new_orders(self.state, [(command, texts[at + place]) for place, command in enumerate(legs)])
        else:
            refuse_order(self.state, first, texts[at], Reason.INVALID_LIST)
        return len(legs) or 1

    def _apply_one(self, command: Values, ids: Ids) -> None:
        match command["kind"]:
            case CommandKind.CANCEL:
                cancel(self.state, command, ids)
            case CommandKind.REPLACE:
                replace(self.state, command, ids)
            case kind if kind in _UPDATES:
                _UPDATES[kind](self.state, command)
            case _:
                refuse_order(self.state, command, ids.text, Reason.INVALID_COMMAND)

    def _advance(self, row: Values) -> None:
        """Log time; with a new day the orders that are done count as of an earlier one."""
        s = self.state
        day = s.log_time // DAY_NS
        s.log_time = max(s.log_time, row["transact_time"])
        if s.log_time // DAY_NS != day:
            s.done_before_today = len(s.done)
