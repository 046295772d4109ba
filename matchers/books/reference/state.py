"""The state of a book shard and the rows it writes: what every rule of the reference engine works on."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from matchers.books.reference.book import Book, Order
from matchers.rules.limits import ShardLimits
from matchers.state.canonical_hash import Place
from schemas.enums import ExecKind, OrdType, Side
from schemas.limits import ORDER_ID_SHARD_SHIFT
from schemas.reject_reasons import Reason

Values = dict[str, Any]


@dataclass
class ShardState:
    """Books and live orders of a shard, the follow-ups of the command at hand, and the rows of the call."""

    shard: int
    rules: Any
    """InstrumentTable.rules: one row an instrument number."""
    limits: ShardLimits
    books: dict[int, Book]
    levels: bool
    """Whether LEVEL and TOP rows are written."""
    orders: dict[int, Order] = field(default_factory=dict)
    busted: set[int] = field(default_factory=set)
    log_time: int = 0
    last_seq: int = 0
    last_trade: int = 0
    last_entry: int = 0
    followups: deque[Order] = field(default_factory=deque)
    """Elected stops and triggered secondaries, worked off one at a time once the book is at rest."""
    executions: list[Values] = field(default_factory=list)
    command_index: int = 0
    tops: list[tuple[int, int, int]] = field(default_factory=list)
    """Of the book at hand, before the command."""

    # -- rows

    def row(self, kind: ExecKind, book: Book | None, **columns: Any) -> None:
        """The next execution row."""
        self.last_seq += 1
        rpt_seq = 0
        if book is not None:
            book.rpt_seq += 1
            rpt_seq = book.rpt_seq
            columns["instrument"] = book.instrument
        self.executions.append(
            columns | {"kind": kind, "rpt_seq": rpt_seq, "command_index": self.command_index, "transact_time": self.log_time}
        )

    def order_row(self, kind: ExecKind, order: Order, qty: int, reason: Reason = Reason.NONE, **columns: Any) -> None:
        """A row about a live order, as it is now."""
        self.row(
            kind, self.book_of(order), order_id=order.order_id, account=order.account, side=order.side, ord_type=order.ord_type,
            time_in_force=order.time_in_force, reason=reason, qty=qty,
            **({"price": order.price, "leaves_qty": order.leaves_qty, "display_qty": order.displayed_qty} | columns),
        )  # fmt: skip

    def level_row(self, book: Book, side: int, price: int, before: tuple[int, int]) -> None:
        """A LEVEL row if the displayed part of the level is not as before."""
        now = book.sides[side].shown(price)
        if self.levels and now != before:
            self.row(ExecKind.LEVEL, book, side=side, price=price, qty=now[0], order_count=now[1])

    def top_rows(self, book: Book) -> None:
        """TOP rows of the sides whose best displayed price or quantity is not as before the command."""
        for side, before, now in zip(Side, self.tops, book.tops(), strict=True):
            if self.levels and before[:2] != now[:2]:
                self.row(ExecKind.TOP, book, side=side, price=now[0], qty=now[1], order_count=now[2])

    # -- orders

    def book_of(self, order: Order) -> Book:
        """The order's book."""
        return self.books[order.instrument]

    def next_entry(self) -> int:
        """A new time priority."""
        self.last_entry += 1
        return self.last_entry

    def next_trade(self) -> int:
        """The next trd_match_id."""
        self.last_trade += 1
        return (self.shard << ORDER_ID_SHARD_SHIFT) | self.last_trade

    def rest(self, order: Order) -> None:
        """Put the order into its level, behind the others, with its LEVEL row. Waiting market orders have none."""
        book = self.book_of(order)
        before = book.sides[order.side].shown(order.level_price)
        order.place, order.min_qty = Place.RESTING, 0
        order.shown_qty = order.tranche
        book.sides[order.side].add(order)
        self.level_row_of(order, before)

    def detach(self, order: Order) -> tuple[int, int] | None:
        """Take the order out of wherever it is; it stays alive. Gives what its level displayed before, for level_row_of; None if it stood in none."""
        book = self.book_of(order)
        place, order.place = order.place, Place.NOWHERE
        before = None
        if place == Place.RESTING:
            before = book.sides[order.side].shown(order.level_price)
            book.sides[order.side].remove(order)
            order.shown_qty = 0
        elif place == Place.DORMANT:
            for waiting in (book.stops[order.side], book.trailing):
                if order in waiting:
                    waiting.remove(order)
        return before

    def level_row_of(self, order: Order, before: tuple[int, int] | None) -> None:
        """The LEVEL row of the order's level, if it displays something else than before."""
        if before is not None and order.ord_type != OrdType.MARKET and order.price:
            self.level_row(self.book_of(order), order.side, order.price, before)
