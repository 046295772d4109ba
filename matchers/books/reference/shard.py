"""The book shard's rules in plain Python: what each command does. The kernel must do the same, byte for byte.

The rules themselves are in the modules beside this one, one concern a module; this one says who does what when:
 a command's own matching, then, until nothing is left to do: elected stops and triggered orders one at a time, then pegs if their reference has moved; then
 the limit state, the indicative price, and the TOP rows of the book.
Time: log_time never goes back. Only a TIMER makes what depends on time happen, book after book by instrument number: dated orders, bands, ends of auctions.
Numbers: rows are dense in the shard, rpt_seq is dense in each instrument (0 where the row belongs to no instrument of the shard);
 trd_match_id = shard << 44 | n.
A row that is no command (unknown kind or phase, order_id 0 or one that is live) is REJECTED with INVALID_COMMAND, without order and account, so that it makes
 no report: it did not come from an account shard. A cancel or replace of an order that is not live here is TOO_LATE_TO_CANCEL (account shards ask for no
 order that never was), of another account's UNKNOWN_ORDER.
"""

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from matchers.books.reference.auction import indicate
from matchers.books.reference.bands import watch_limit_state
from matchers.books.reference.book import Book, Order
from matchers.books.reference.canonical import canonical_state, load_state
from matchers.books.reference.checks import new_order, refusal
from matchers.books.reference.matching import end, enter
from matchers.books.reference.pegs import enter_peg, pegs_moved
from matchers.books.reference.replace import refusal as replace_refusal
from matchers.books.reference.replace import replace
from matchers.books.reference.session import change_phase, expire_dated, is_frozen, live_orders, phase_reason, session_timer, target_phase
from matchers.books.reference.state import ShardState, Values
from matchers.books.reference.stops import arm
from matchers.rules.limits import DEFAULT_LIMITS, ShardLimits
from matchers.rules.list_rules import is_listed, list_rows_at
from matchers.rules.order_tables import STOP_TYPES
from matchers.rules.outputs import EXECUTION_DTYPE, BookOutput, python_rows, rows_of
from matchers.state.canonical_hash import Place, hash_arrays
from matchers.state.snapshot_head import check_head, head_array, head_values
from schemas.codec import Rows
from schemas.enums import BookCommandKind, ContingencyType, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.limits import ORDER_ID_SHARD_SHIFT, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason


class BookShard:
    """The books of the instruments with instrument % shards == shard. `levels`: whether LEVEL and TOP rows are written."""

    def __init__(
        self, shard: int, instruments: InstrumentTable, shards: int, limits: ShardLimits = DEFAULT_LIMITS, *, levels: bool = True
    ) -> None:
        assert 0 <= shard < shards, "no such shard"
        self.shard = shard
        self.shards = shards
        self.limits = limits
        self.instruments = instruments
        rules = instruments.rules
        numbers = [number for number in sorted(instruments.by_number) if number % shards == shard]
        books = {number: Book(number, int(rules[number]["reference_px"])) for number in numbers}
        self.state = ShardState(shard, rules, limits, books, levels)
        self._handlers: dict[int, Callable[[Values], None]] = {
            BookCommandKind.CANCEL: self._cancel,
            BookCommandKind.REPLACE: self._replace,
            BookCommandKind.MASS_CANCEL: self._mass_cancel,
            BookCommandKind.TRADING_SESSION_CHANGE: self._phase_change,
            BookCommandKind.TRADING_HALT: self._phase_change,
            BookCommandKind.TRADING_RESUME: self._phase_change,
            BookCommandKind.TIMER: self._timer,
            BookCommandKind.TRADE_BUST: self._trade_bust,
            BookCommandKind.INSTRUMENT_UPDATE: self._instrument_update,
        }

    # -- the interface of all machines

    @property
    def log_time(self) -> int:
        """ns; the latest transact_time seen."""
        return self.state.log_time

    @property
    def last_seq(self) -> int:
        """Number of the latest execution row."""
        return self.state.last_seq

    def apply(self, rows: Rows) -> BookOutput:
        """Apply book_command_frame rows."""
        s = self.state
        s.executions, first_seq = [], s.last_seq + 1
        commands = python_rows(rows)
        at = 0
        while at < len(commands):
            at += self._apply_one(commands, at)
        return BookOutput(rows_of(EXECUTION_DTYPE, s.executions), first_seq)

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see canonical_hash.py."""
        return hash_arrays(canonical_state(self.state))

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        head = head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq)
        rpt_seq = np.array([book.rpt_seq for book in self.state.books.values()], np.uint64)
        return canonical_state(self.state) | {
            "head": head,
            "instruments": np.frombuffer(self.instruments.digest, np.uint8),
            "rpt_seq": rpt_seq,
        }

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows], *, levels: bool = True) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard or other instruments."""
        shards, limits = check_head(shard, instruments, arrays)
        machine = cls(shard, instruments, shards, limits, levels=levels)
        machine.state.log_time, machine.state.last_seq = head_values(arrays)
        load_state(machine.state, arrays)
        return machine

    # -- commands

    def _apply_one(self, commands: list[Values], at: int) -> int:
        """Apply the command at row `at`; how many rows it was."""
        command = commands[at]
        self._next_row(command, at)
        if command["kind"] == BookCommandKind.NEW_ORDER:
            legs = _list_at(commands, at) if is_listed(command) else [command]
            for place, leg in enumerate(legs):
                self._next_row(leg, at + place)
            self.state.command_index = at
            self._new_orders(command, legs, at)
            return len(legs) or 1
        self._handlers.get(command["kind"], self._invalid)(command)
        return 1

    def _next_row(self, command: Values, at: int) -> None:
        self.state.command_index = at
        self.state.log_time = max(self.state.log_time, command["transact_time"])

    def _new_orders(self, command: Values, legs: list[Values], at: int) -> None:
        """One order, or the orders of a list; no legs: it said that it is of a list, and is not."""
        s = self.state
        if not legs:
            self._rejected(command, Reason.INVALID_COMMAND if self._is_known(command) else Reason.INVALID_LIST)
            return
        reasons = []
        for place, leg in enumerate(legs):
            reasons.append(Reason.INVALID_COMMAND if self._is_known(leg) else refusal(s, leg, legs[:place]))
        if any(reasons):
            for place, (leg, reason) in enumerate(zip(legs, reasons, strict=True)):
                s.command_index = at + place
                self._rejected(leg, reason or Reason.LIST_REJECTED)
            return
        with self._at_rest(s.books[command["instrument"]]):
            self._accept([new_order(s, leg) for leg in legs], ContingencyType(command["contingency_type"]), at)

    def _is_known(self, command: Values) -> bool:
        """Whether the number of a new order is none, or that of a live order."""
        return not command["order_id"] or command["order_id"] in self.state.orders

    def _accept(self, orders: list[Order], contingency: ContingencyType, at: int) -> None:
        s = self.state
        for order in orders:
            order.entry = s.next_entry()
            s.orders[order.order_id] = order
        first, *others = orders
        if contingency == ContingencyType.OCO:
            first.oco_id, others[0].oco_id = others[0].order_id, first.order_id
        elif others:
            first.secondaries = tuple(order.order_id for order in others)
            if len(others) == 2:
                others[0].oco_id, others[1].oco_id = others[1].order_id, others[0].order_id
            for order in others:
                order.place, order.primary_id = Place.SECONDARY, first.order_id
        for place, order in enumerate(orders):
            s.command_index = at + place
            s.order_row(ExecKind.NEW, order, order.order_qty)
        for place, order in enumerate(orders):
            s.command_index = at + place
            if order.order_id in s.orders and order.place == Place.NOWHERE:
                self._activate(order)

    def _activate(self, order: Order) -> None:
        """An accepted or triggered order takes its place, or its chance."""
        s = self.state
        if order.ord_type in STOP_TYPES:
            if arm(s, order):
                self._triggered(order)
                enter(s, order)
        elif order.ord_type == OrdType.PEGGED:
            enter_peg(s, order)
        elif order.time_in_force == TimeInForce.CLS and s.book_of(order).phase != Phase.CLOSING_AUCTION:
            order.place = Place.CLOSING
        else:
            enter(s, order)

    def _triggered(self, order: Order) -> None:
        order.entry = self.state.next_entry()
        self.state.order_row(ExecKind.TRIGGERED, order, order.leaves_qty)

    @contextmanager
    def _at_rest(self, book: Book) -> Any:
        """Around what a command does to a book: bring it to rest, and close its rows."""
        s = self.state
        s.tops = book.tops()
        yield
        while s.followups or pegs_moved(s, book):
            if not s.followups:
                continue
            order = s.followups.popleft()
            if order.place == Place.QUEUED:
                order.place = Place.NOWHERE
                self._triggered(order)
                self._activate(order)
        watch_limit_state(s, book)
        indicate(s, book)
        s.top_rows(book)

    def _find(self, command: Values) -> tuple[Order | None, Reason]:
        """The order that a cancel or replace is about, or why there is none."""
        order = self.state.orders.get(command["order_id"])
        if order is None:
            return None, Reason.TOO_LATE_TO_CANCEL
        return (order, Reason.NONE) if order.account == command["account"] else (None, Reason.UNKNOWN_ORDER)

    def _cancel(self, command: Values) -> None:
        s = self.state
        order, reason = self._find(command)
        if order is not None and is_frozen(s, s.book_of(order), order):
            reason = Reason.AUCTION_FROZEN
        if order is None or reason:
            self._cancel_rejected(command, reason)
            return
        with self._at_rest(s.book_of(order)):
            end(s, order, ExecKind.CANCELED, Reason.REQUESTED_BY_CUSTOMER)

    def _replace(self, command: Values) -> None:
        s = self.state
        order, reason = self._find(command)
        if order is not None:
            reason = replace_refusal(s, s.book_of(order), order, command)
        if order is None or reason:
            self._cancel_rejected(command, reason)
            return
        with self._at_rest(s.book_of(order)):
            replace(s, order, command)

    def _mass_cancel(self, command: Values) -> None:
        """By entry in each book; frozen orders stay, and are named."""
        s = self.state
        if command["instrument"] and command["instrument"] not in s.books:
            self._refused(command, Reason.UNKNOWN_SYMBOL)
            return
        if command["side"] not in (0, *Side):
            self._refused(command, Reason.INVALID_SIDE)
            return
        for book in self._books_of(command):
            with self._at_rest(book):
                for order in live_orders(s, book):
                    named = command["account"] in (0, order.account) and command["side"] in (0, order.side)
                    if order.order_id not in s.orders or not named:
                        continue
                    if is_frozen(s, book, order):
                        s.row(
                            ExecKind.CANCEL_REJECTED,
                            book,
                            order_id=order.order_id,
                            account=order.account,
                            side=order.side,
                            reason=Reason.AUCTION_FROZEN,
                        )
                    else:
                        end(s, order, ExecKind.CANCELED, Reason.MASS_CANCEL)

    def _phase_change(self, command: Values) -> None:
        """TRADING_SESSION_CHANGE, TRADING_HALT, TRADING_RESUME of one instrument or of all; those that cannot say so."""
        s = self.state
        if command["phase"] not in set(Phase) or command["reason"] not in set(Reason):
            self._invalid(command)
            return
        if command["instrument"] and command["instrument"] not in s.books:
            self._refused(command, Reason.UNKNOWN_SYMBOL)
            return
        for book in self._books_of(command):
            if reason := phase_reason(command, book):
                self._refused(command | {"instrument": book.instrument}, reason)
                continue
            with self._at_rest(book):
                change_phase(s, book, target_phase(command, book), Reason(command["reason"]), command["expire_time"])

    def _timer(self, command: Values) -> None:
        s = self.state
        s.row(ExecKind.TIME, None)
        for book in s.books.values():
            with self._at_rest(book):
                expire_dated(s, book)
                session_timer(s, book)

    def _trade_bust(self, command: Values) -> None:
        """The book says that the trade never happened; prices, elections and orders stay as they are."""
        s = self.state
        trade = command["trd_match_id"]
        number = trade - (s.shard << ORDER_ID_SHARD_SHIFT)
        if command["reason"] not in set(Reason):
            self._invalid(command)
            return
        if command["instrument"] not in s.books:
            reason = Reason.UNKNOWN_SYMBOL
        elif not 1 <= number <= s.last_trade:
            reason = Reason.UNKNOWN_TRADE
        elif trade in s.busted:
            reason = Reason.TRADE_ALREADY_BUSTED
        else:
            reason = Reason.BUST_LIMIT if len(s.busted) >= s.limits.busts_max else Reason.NONE
        if reason:
            self._refused(command, reason)
            return
        s.busted.add(trade)
        s.row(
            ExecKind.TRADE_BUSTED, s.books[command["instrument"]], trd_match_id=trade, price=command["price"], qty=command["order_qty"],
            reason=command["reason"],
        )  # fmt: skip

    def _instrument_update(self, command: Values) -> None:
        """Reference data; the reference price changes only while the instrument is closed."""
        s = self.state
        book = s.books.get(command["instrument"])
        if book is None:
            self._refused(command, Reason.UNKNOWN_SYMBOL)
        elif command["price"] and book.phase != Phase.CLOSED:
            self._refused(command, Reason.NOT_IN_THIS_PHASE)
        elif not 0 <= command["price"] <= PRICE_TICKS_MAX // 2 or command["expire_time"] < 0:
            self._refused(command, Reason.INVALID_PRICE if command["expire_time"] >= 0 else Reason.INVALID_EXPIRE_TIME)
        else:
            book.reference_px = command["price"] or book.reference_px
            book.session_close = command["expire_time"] or book.session_close
            s.row(ExecKind.SECURITY_STATUS, book, phase=book.phase, price=book.reference_px)

    def _books_of(self, command: Values) -> Iterable[Book]:
        """The book that a command names, or all."""
        books = self.state.books
        return [books[command["instrument"]]] if command["instrument"] else list(books.values())

    # -- refusals

    def _rejected(self, command: Values, reason: Reason) -> None:
        """A new order is refused."""
        if reason == Reason.INVALID_COMMAND:
            self._invalid(command)
            return
        named = {column: command[column] for column in ("order_id", "account", "side", "ord_type", "time_in_force", "price")}
        self._row_of(command, ExecKind.REJECTED, qty=command["order_qty"], reason=reason, **named)

    def _cancel_rejected(self, command: Values, reason: Reason) -> None:
        named = {column: command[column] for column in ("order_id", "account", "side")}
        self._row_of(command, ExecKind.CANCEL_REJECTED, reason=reason, **named)

    def _refused(self, command: Values, reason: Reason) -> None:
        """A command about no single order is refused."""
        self._row_of(command, ExecKind.REJECTED, reason=reason)

    def _invalid(self, command: Values) -> None:
        self.state.row(ExecKind.REJECTED, None, reason=Reason.INVALID_COMMAND)

    def _row_of(self, command: Values, kind: ExecKind, **columns: Any) -> None:
        """A row with the command's instrument, be it of this shard or not."""
        book = self.state.books.get(command["instrument"])
        self.state.row(kind, book, **{"instrument": command["instrument"]} | columns)


def _list_at(rows: list[Values], at: int) -> list[Values]:
    """The orders of the list that begins at row `at`, each with a number of its own; empty if there is no good list."""
    legs = rows[at : at + list_rows_at(rows, at, BookCommandKind.NEW_ORDER)]
    return legs if len({row["order_id"] for row in legs}) == len(legs) else []
