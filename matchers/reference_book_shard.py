"""The rules of the book shard in plain Python: price-time matching, cancels, session phases. The kernel must do the same.

Entry. Every instrument starts CLOSED. A NEW_ORDER is refused (REJECTED), first failure wins: instrument not of this shard (UNKNOWN_SYMBOL), side, ord_type,
 time_in_force, their combination, quantity (1 to ORDER_QTY_LOTS_MAX), price (1 to PRICE_TICKS_MAX; a MARKET order's is its protection price),
 MARKET_CLOSED, BOOK_FULL (it might rest and the shard has no room). Account shards have checked all but the last two already.
Matching (section 4). Best price first, then time. Trades are at the resting order's price. The order trades while the best opposite price is its price
 or better. What is left of a LIMIT DAY or GTC rests; of a LIMIT IOC it is taken out (IMMEDIATE_OR_CANCEL); of a MARKET it is taken out, because nobody
 is left on the other side (NO_LIQUIDITY) or only beyond its protection price (PROTECTION_PRICE).
Rows of a new order: NEW, then TRADE rows, then CANCELED if a rest is taken out, then LEVEL rows of the levels it took from (best first) and of the one
 where it rests, then TOP rows (buy side, then sell side) where the best price or its quantity changed.
Cancel, in any phase: CANCELED, LEVEL, TOP. An order that does not rest here is done (account shards ask for no other): TOO_LATE_TO_CANCEL.
 One of another account is UNKNOWN_ORDER.
TRADING_SESSION_CHANGE, each instrument of the shard by number: SECURITY_STATUS; if to CLOSED, DAY orders leave in the order of their entry (EXPIRED,
 END_OF_DAY), then LEVEL rows (buys, then sells, best first), then TOP rows. GTC orders stay. TIMER: one TIME row.
A row that is no command (unknown kind or phase, order_id 0 or one that rests already) is REJECTED with INVALID_COMMAND, without order and account, so that it makes no
 report: it did not come from an account shard.
Numbers. Rows are dense in the shard; rpt_seq is dense in each instrument (0 where the row belongs to no instrument of the shard);
 trd_match_id = shard << 44 | n. Time: log_time never goes back.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from matchers.order_rules import combination_reason
from matchers.shard_limits import DEFAULT_LIMITS, ShardLimits
from matchers.shard_outputs import EXECUTION_DTYPE, BookOutput, python_rows, rows_of
from matchers.snapshot_head import check_head, head_array, head_values
from matchers.state_hash import BOOK_STATE, RESTING_STATE, hash_arrays
from schemas.codec import Rows
from schemas.enums import BookCommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.limits import ORDER_ID_SHARD_SHIFT, ORDER_QTY_LOTS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

Values = dict[str, Any]


@dataclass
class Resting:
    """An order of the book. `entry` is dense over the orders that came to rest in the shard."""

    order_id: int
    account: int
    entry: int
    instrument: int
    side: int
    ord_type: int
    time_in_force: int
    price: int
    order_qty: int
    leaves_qty: int


@dataclass
class BookSide:
    """Levels by price, each a list of orders in time priority; `prices` sorted so that the best is first."""

    side: int
    levels: dict[int, list[Resting]] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)
    """Prices, negated for buys, ascending."""

    def _key(self, price: int) -> int:
        return -price if self.side == Side.BUY else price

    def prices(self) -> list[int]:
        """All prices, best first."""
        return [abs(key) for key in self.keys]

    def crosses(self, price: int) -> bool:
        """Whether an order of the other side at `price` can trade with the best level."""
        return bool(self.keys) and self.keys[0] <= self._key(price)

    def rest(self, order: Resting) -> None:
        """Put the order behind the others of its price."""
        if order.price not in self.levels:
            insort(self.keys, self._key(order.price))
        self.levels.setdefault(order.price, []).append(order)

    def remove(self, order: Resting) -> None:
        """Take the order out, and its level if that is empty then."""
        level = self.levels[order.price]
        level.remove(order)
        if not level:
            del self.levels[order.price]
            del self.keys[bisect_left(self.keys, self._key(order.price))]

    def level(self, price: int) -> Values:
        """Columns of a LEVEL or TOP row."""
        orders = self.levels.get(price, [])
        return {"side": self.side, "price": price, "qty": sum(order.leaves_qty for order in orders), "order_count": len(orders)}

    def top(self) -> Values:
        """The best level; price 0 when the side is empty."""
        return self.level(abs(self.keys[0]) if self.keys else 0)


@dataclass
class Book:
    """One instrument."""

    instrument: int
    phase: int = Phase.CLOSED
    rpt_seq: int = 0
    sides: dict[int, BookSide] = field(default_factory=lambda: {side: BookSide(side) for side in Side})

    def tops(self) -> list[Values]:
        """Best buy level, best sell level."""
        return [side.top() for side in self.sides.values()]


class BookShard:
    """The books of the instruments with instrument % shards == shard."""

    def __init__(self, shard: int, instruments: InstrumentTable, shards: int, limits: ShardLimits = DEFAULT_LIMITS) -> None:
        assert 0 <= shard < shards, "no such shard"
        self.shard = shard
        self.shards = shards
        self.limits = limits
        self.instruments = instruments
        self.log_time = 0
        self.last_seq = 0
        self.last_trade = 0
        self.last_entry = 0
        self.books = {number: Book(number) for number in sorted(instruments.by_number) if number % shards == shard}
        self.orders: dict[int, Resting] = {}
        self._begin()

    # -- the interface of all machines

    def apply(self, rows: Rows) -> BookOutput:
        """Apply book_command_frame rows."""
        self._begin()
        handlers = {
            BookCommandKind.NEW_ORDER: self._new_order,
            BookCommandKind.CANCEL: self._cancel,
            BookCommandKind.TRADING_SESSION_CHANGE: self._session_change,
            BookCommandKind.TIMER: self._timer,
        }
        for self.command_index, command in enumerate(python_rows(rows)):
            self.log_time = max(self.log_time, command["transact_time"])
            handlers.get(command["kind"], self._invalid)(command)
        return BookOutput(rows_of(EXECUTION_DTYPE, self.executions), self.first_seq)

    def state_hash(self) -> bytes:
        """16 bytes over the canonical state, see state_hash.py."""
        return hash_arrays(self._canonical())

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        head = head_array(self.shard, self.shards, self.limits, self.log_time, self.last_seq)
        rpt_seq = np.array([book.rpt_seq for book in self.books.values()], np.uint64)
        return self._canonical() | {"head": head, "instruments": np.frombuffer(self.instruments.digest, np.uint8), "rpt_seq": rpt_seq}

    @classmethod
    def restore(cls, shard: int, instruments: InstrumentTable, arrays: dict[str, Rows]) -> Self:
        """The shard of a snapshot. Raises StaleData for one of another shard or other instruments."""
        shards, limits = check_head(shard, instruments, arrays)
        machine = cls(shard, instruments, shards, limits)
        machine.log_time, machine.last_seq = head_values(arrays)
        machine.last_trade, machine.last_entry = arrays["counters"].tolist()
        for (number, phase), rpt_seq in zip(arrays["books"].tolist(), arrays["rpt_seq"].tolist(), strict=True):
            machine.books[number].phase, machine.books[number].rpt_seq = phase, rpt_seq
        for row in arrays["orders"].tolist():
            order = machine.orders[row[0]] = Resting(*row)
            machine.books[order.instrument].sides[order.side].rest(order)
        return machine

    def _canonical(self) -> dict[str, Rows]:
        orders = [
            tuple(vars(order).values()) for book in self.books.values() for side in book.sides.values() for order in self._in_priority(side)
        ]
        return {
            "books": np.array([(book.instrument, book.phase) for book in self.books.values()], BOOK_STATE),
            "orders": np.array(orders, RESTING_STATE),
            "counters": np.array([self.last_trade, self.last_entry], np.uint64),
        }

    @staticmethod
    def _in_priority(side: BookSide) -> Iterable[Resting]:
        return (order for price in side.prices() for order in side.levels[price])

    # -- commands

    def _new_order(self, command: Values) -> None:
        reason = self._refusal(command)
        if reason == Reason.INVALID_COMMAND:
            self._invalid(command)
            return
        if reason:
            self._row(ExecKind.REJECTED, command, qty=command["order_qty"], reason=reason)
            return
        book = self.books[command["instrument"]]
        tops, opposite = book.tops(), book.sides[Side.SELL if command["side"] == Side.BUY else Side.BUY]
        self._row(ExecKind.NEW, command, qty=command["order_qty"], leaves_qty=command["order_qty"])
        changed = []
        leaves_qty = command["order_qty"]
        while leaves_qty and opposite.crosses(command["price"]):
            changed.append((opposite, opposite.prices()[0]))
            leaves_qty = self._take_level(command, leaves_qty, opposite)
        if leaves_qty and (command["ord_type"] == OrdType.MARKET or command["time_in_force"] == TimeInForce.IOC):
            reason = Reason.IMMEDIATE_OR_CANCEL
            if command["ord_type"] == OrdType.MARKET:
                reason = Reason.PROTECTION_PRICE if opposite.keys else Reason.NO_LIQUIDITY
            self._row(ExecKind.CANCELED, command, qty=leaves_qty, reason=reason)
        elif leaves_qty:
            self._rest(command, leaves_qty, book)
            changed.append((book.sides[command["side"]], command["price"]))
        self._price_rows(book, changed, tops)

    def _refusal(self, command: Values) -> Reason:
        """The first check that the order fails, or NONE."""
        if not command["order_id"] or command["order_id"] in self.orders:
            return Reason.INVALID_COMMAND
        if command["instrument"] not in self.books:
            return Reason.UNKNOWN_SYMBOL
        if command["side"] not in set(Side):
            return Reason.INVALID_SIDE
        if reason := combination_reason(command["ord_type"], command["time_in_force"]):
            return reason
        if command["order_qty"] <= 0:
            return Reason.INVALID_QUANTITY
        if command["order_qty"] > ORDER_QTY_LOTS_MAX:
            return Reason.QUANTITY_ABOVE_LIMIT
        if command["price"] <= 0:
            return Reason.INVALID_PRICE
        if command["price"] > PRICE_TICKS_MAX:
            return Reason.PRICE_ABOVE_LIMIT
        if self.books[command["instrument"]].phase == Phase.CLOSED:
            return Reason.MARKET_CLOSED
        may_rest = command["ord_type"] == OrdType.LIMIT and command["time_in_force"] != TimeInForce.IOC
        return Reason.BOOK_FULL if may_rest and len(self.orders) >= self.limits.orders_max else Reason.NONE

    def _take_level(self, command: Values, leaves_qty: int, opposite: BookSide) -> int:
        """Trade with the best opposite level until it or the order is used up; the order's leaves_qty then."""
        for resting in list(opposite.levels[opposite.prices()[0]]):
            if not leaves_qty:
                break
            qty = min(leaves_qty, resting.leaves_qty)
            leaves_qty -= qty
            resting.leaves_qty -= qty
            self.last_trade += 1
            if not resting.leaves_qty:
                opposite.remove(resting)
                del self.orders[resting.order_id]
            self._row(
                ExecKind.TRADE, command | {"price": resting.price}, qty=qty, leaves_qty=leaves_qty, contra_order_id=resting.order_id,
                contra_account=resting.account, contra_leaves_qty=resting.leaves_qty, trd_match_id=(self.shard << ORDER_ID_SHARD_SHIFT) | self.last_trade,
            )  # fmt: skip
        return leaves_qty

    def _rest(self, command: Values, leaves_qty: int, book: Book) -> None:
        self.last_entry += 1
        order = self.orders[command["order_id"]] = Resting(
            command["order_id"], command["account"], self.last_entry, command["instrument"], command["side"], command["ord_type"],
            command["time_in_force"], command["price"], command["order_qty"], leaves_qty,
        )  # fmt: skip
        book.sides[order.side].rest(order)

    def _cancel(self, command: Values) -> None:
        order = self.orders.get(command["order_id"])
        if order is None or order.account != command["account"]:
            named = {column: command[column] for column in ("instrument", "account", "order_id", "side")}
            self._row(ExecKind.CANCEL_REJECTED, named, reason=Reason.UNKNOWN_ORDER if order else Reason.TOO_LATE_TO_CANCEL)
            return
        book = self.books[order.instrument]
        tops = book.tops()
        self._take_out(order, ExecKind.CANCELED, Reason.REQUESTED_BY_CUSTOMER)
        self._price_rows(book, [(book.sides[order.side], order.price)], tops)

    def _session_change(self, command: Values) -> None:
        if command["phase"] not in set(Phase):
            self._invalid(command)
            return
        for book in self.books.values():
            book.phase = command["phase"]
            self._row(ExecKind.SECURITY_STATUS, {"instrument": book.instrument}, phase=book.phase)
            if book.phase != Phase.CLOSED:
                continue
            tops = book.tops()
            expiring = [
                order for side in book.sides.values() for order in self._in_priority(side) if order.time_in_force == TimeInForce.DAY
            ]
            touched = {(order.side, order.price) for order in expiring}
            changed = [(side, price) for side in book.sides.values() for price in side.prices() if (side.side, price) in touched]
            for order in sorted(expiring, key=lambda order: order.entry):
                self._take_out(order, ExecKind.EXPIRED, Reason.END_OF_DAY)
            self._price_rows(book, changed, tops)

    def _timer(self, command: Values) -> None:
        self._row(ExecKind.TIME, {})

    def _invalid(self, command: Values) -> None:
        self._row(ExecKind.REJECTED, {}, reason=Reason.INVALID_COMMAND)

    def _take_out(self, order: Resting, kind: ExecKind, reason: Reason) -> None:
        self.books[order.instrument].sides[order.side].remove(order)
        del self.orders[order.order_id]
        self._row(kind, vars(order), qty=order.leaves_qty, reason=reason, leaves_qty=0)

    # -- rows

    def _begin(self) -> None:
        self.executions: list[Values] = []
        self.first_seq = self.last_seq + 1
        self.command_index = 0

    def _row(self, kind: ExecKind, named: Values, **columns: int) -> None:
        """An execution: the order's or book's columns in `named`, and `columns`."""
        kept = ("instrument", "order_id", "account", "side", "ord_type", "time_in_force", "price")
        book = self.books.get(named.get("instrument", 0))
        if book is not None:
            book.rpt_seq += 1
        self.last_seq += 1
        common = {"kind": kind, "rpt_seq": book.rpt_seq if book else 0, "command_index": self.command_index, "transact_time": self.log_time}
        self.executions.append({column: named[column] for column in kept if column in named} | common | columns)

    def _price_rows(self, book: Book, changed: list[tuple[BookSide, int]], tops: list[Values]) -> None:
        """LEVEL rows for the levels that changed, TOP rows for the sides whose best price or quantity did."""
        for side, price in changed:
            self._row(ExecKind.LEVEL, {"instrument": book.instrument}, **side.level(price))
        for before, now in zip(tops, book.tops(), strict=True):
            if (before["price"], before["qty"]) != (now["price"], now["qty"]):
                self._row(ExecKind.TOP, {"instrument": book.instrument}, **now)
