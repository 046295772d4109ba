"""Rows of `executions` as events for detectors: keeps the tracked orders and the market up to date, then tells who listens.

Each handler takes a row as a tuple of COLUMNS. What the listeners return is in `found` until the watch takes it. The tracker and the market have an event before any detector hears of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from schemas.enums import ExecFlag, ExecKind, OrdType, Side, TimeInForce
from schemas.reject_reasons import Reason
from surveillance.activity import CANCELS, COST, FILLS, MADE_QTY, ORDERS, SMALL_TICKS, TAKEN_QTY, TAKES
from surveillance.contract import Detector, Finding
from surveillance.market import Book, Market, Trade, follow
from surveillance.orders import OrderTracker, TrackedOrder
from surveillance.owners import Owners

COLUMNS: Final = [
    "kind", "side", "ord_type", "time_in_force", "reason", "instrument", "order_id", "account", "contra_order_id",
    "price", "qty", "leaves_qty", "contra_leaves_qty", "display_qty", "phase", "flags", "contra_account", "trd_match_id", "transact_time",
]  # fmt: skip
Row = tuple[int, ...]
"""The values of COLUMNS."""
Listeners = Mapping[str, Sequence[tuple[Detector, Callable[..., Sequence[Finding] | None]]]]

_RESTING_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.OPG)
_IMMEDIATE: Final = (TimeInForce.IOC, TimeInForce.FOK)
_BY_OWNER: Final = (Reason.REQUESTED_BY_CUSTOMER, Reason.REPLACED_TO_NOTHING)
"""Cancellations by the owner. A mass cancel is an operator's."""
_NEW_PLACE: Final = (Reason.PEG_REPRICED, Reason.MARKET_TO_LIMIT, Reason.PRICE_BAND)
"""Restatements after which the order rests at another price than before."""


def _rests(ord_type: int, time_in_force: int) -> bool:
    """Whether the unfilled rest of an order is visible in the book. Stops, pegs and CLS orders enter it later."""
    return ord_type == OrdType.LIMIT and time_in_force in _RESTING_TIMES


class RowEvents:
    """The rows of one book shard as events. `log_time` ns; `seq` and `offset`: of the row at hand."""

    def __init__(self, tracker: OrderTracker, market: Market, owners: Owners, instruments: set[int], listeners: Listeners) -> None:
        self.log_time = self.seq = self.offset = 0
        self.found: list[tuple[Detector, Finding]] = []
        self._tracker, self._market, self._owners, self._instruments, self._on = tracker, market, owners, instruments, listeners
        self._books = market.books
        self._on_placed, self._on_executed, self._on_traded, self._on_withdrawn, self._on_advance = (
            listeners[event] for event in ("placed", "executed", "traded", "withdrawn", "advance")
        )
        self.handlers: dict[int, Callable[[Row], None]] = {
            int(ExecKind.NEW): self._on_new,
            int(ExecKind.TRADE): self._on_trade,
            int(ExecKind.CANCELED): self._on_end,
            int(ExecKind.EXPIRED): self._on_end,
            int(ExecKind.TIME): self._on_time,
            int(ExecKind.TRIGGERED): self._on_triggered,
            int(ExecKind.REPLACED): self._on_replaced,
            int(ExecKind.RESTATED): self._on_restated,
            int(ExecKind.TOP): self._on_top,
            int(ExecKind.SECURITY_STATUS): self._on_status,
            int(ExecKind.AUCTION_INDICATIVE): self._on_indicative,
        }
        self.wanted = np.isin(np.arange(256), list(self.handlers))
        """By ExecKind, whether a row of it means anything here."""

    def advance(self, now: int) -> None:
        """Log time goes on to `now`."""
        self.log_time = now
        market = self._market
        if market.next_close and market.next_close <= now:
            for book in market.close_buckets(now):
                for detector, bucket_closed in self._on["bucket_closed"]:
                    if findings := bucket_closed(book, now):
                        self.found += [(detector, one) for one in findings]
        for detector, advance in self._on_advance:
            if findings := advance(now):
                self.found += [(detector, one) for one in findings]
        self._tracker.fade(now)

    def _on_time(self, row: Row) -> None:
        """Time went on before."""

    def _on_new(self, row: Row) -> None:
        _, side, ord_type, time_in_force, _, instrument, order_id, account, _, price, qty, _, _, display_qty = row[:14]
        book = self._books.get(instrument) or self._book(instrument)
        if book is None or not 1 <= side <= 2:
            return
        rests, owner = int(_rests(ord_type, time_in_force)), self._owners.owner_of(account)
        order = TrackedOrder(
            order_id, account, instrument, side, rests, 0, 0, price, qty, qty, display_qty, 0, qty * rests, self.log_time, 0,
            owner, self.seq, self.offset, int(time_in_force in _IMMEDIATE),
        )  # fmt: skip
        forgotten = self._tracker.place(order)
        if forgotten is not None:
            for _, forget in self._on["forgotten"]:
                forget(forgotten)
        if not book.bucket_end:
            self._market.touch_bucket(book, self.log_time)
        book.order_qty = follow(book.order_qty, qty) if book.order_qty else qty
        book.windows.of(owner)[ORDERS - 1 + side] += 1
        for detector, placed in self._on_placed:
            if findings := placed(order, self.log_time):
                self.found += [(detector, one) for one in findings]

    def _on_trade(self, row: Row) -> None:
        instrument, price, qty = row[5], row[9], row[10]
        if instrument not in self._instruments or not 1 <= row[1] <= 2:
            return
        taker, maker = self._tracker.get(row[6]), self._tracker.get(row[8])
        taker = None if taker is None or taker.ended_at else taker
        maker = None if maker is None or maker.ended_at else maker
        now = self.log_time
        if taker is not None:
            self._tracker.trade(taker, qty, row[11], now)
        if maker is not None:
            self._tracker.trade(maker, qty, row[12], now)
            maker.display_qty = min(row[13], row[12])
        trade = self._note_trade(row)
        for order, leaves_qty in ((taker, row[11]), (maker, row[12])):
            if order is None:
                continue
            if leaves_qty == 0:
                for detector, withdrawn in self._on_withdrawn:
                    if findings := withdrawn(order, 0, now):
                        self.found += [(detector, one) for one in findings]
            for detector, executed in self._on_executed:
                if findings := executed(order, price, qty, now):
                    self.found += [(detector, one) for one in findings]
        for detector, traded in self._on_traded:
            if findings := traded(trade):
                self.found += [(detector, one) for one in findings]

    def _note_trade(self, row: Row) -> Trade:
        """The trade in the market, and in the counters of both owners."""
        _, side, _, _, _, instrument, order_id, account, contra_order_id, price, qty = row[:11]
        flags, contra_account, trd_match_id = row[15:18]
        book, owners = self._market.book(instrument), self._owners
        if not book.bucket_end:
            self._market.touch_bucket(book, self.log_time)
        tick = 0 if not book.last_px else (price > book.last_px) - (price < book.last_px)
        uncross = int(flags & ExecFlag.UNCROSS != 0)
        trade = Trade(
            self.log_time, instrument, price, qty, side, order_id, account, contra_order_id, contra_account, trd_match_id,
            owners.owner_of(account), owners.owner_of(contra_account), uncross, tick, self.seq, self.offset,
        )  # fmt: skip
        small = tick and qty <= book.trade_qty
        book.note(trade)
        cost, at, other = price * qty, side - 1, 2 - side
        took, made = book.windows.of(trade.owner), book.windows.of(trade.contra_owner)
        took[FILLS + at] += 1
        took[COST + at] += cost
        if uncross:
            took[MADE_QTY + at] += qty
        else:
            took[TAKEN_QTY + at] += qty
            took[TAKES + at] += 1
            if small and (tick > 0) == (side == Side.BUY):
                took[SMALL_TICKS + at] += 1
        made[FILLS + other] += 1
        made[MADE_QTY + other] += qty
        made[COST + other] += cost
        return trade

    def _on_end(self, row: Row) -> None:
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return
        by_owner = row[0] == ExecKind.CANCELED and row[4] in _BY_OWNER
        canceled_qty = order.leaves_qty if by_owner else 0
        self._tracker.end(order, self.log_time)
        if by_owner:
            book = self._books[order.instrument]
            if not book.bucket_end:
                self._market.touch_bucket(book, self.log_time)
            book.windows.of(order.owner)[CANCELS - 1 + order.side] += 1
        self._withdrawn(order, canceled_qty)

    def _withdrawn(self, order: TrackedOrder, canceled_qty: int) -> None:
        for detector, withdrawn in self._on_withdrawn:
            if findings := withdrawn(order, canceled_qty, self.log_time):
                self.found += [(detector, one) for one in findings]

    def _on_triggered(self, row: Row) -> None:
        """A dormant order enters the market."""
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return
        leaves_qty = row[11]
        self._tracker.resize(order, order.traded_qty + leaves_qty, leaves_qty)
        if _rests(row[2], row[3]):
            self._tracker.enter(order, row[9], row[13], self.log_time)

    def _on_replaced(self, row: Row) -> None:
        """Another price or more quantity is a new place in the book; less quantity is a cancellation of the difference."""
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return
        price, order_qty, leaves_qty, display_qty = row[9], row[10], row[11], row[13]
        moved, reduced_qty = price != order.price or leaves_qty > order.leaves_qty, max(0, order.leaves_qty - leaves_qty)
        self._tracker.resize(order, order_qty, leaves_qty)
        if order.rests and moved:
            self._tracker.enter(order, price, display_qty, self.log_time)
        order.display_qty = display_qty
        if reduced_qty:
            self._withdrawn(order, reduced_qty)

    def _on_restated(self, row: Row) -> None:
        """The engine changed the order: its place, what it displays, or (by self-match prevention) its quantity."""
        order = self._tracker.get(row[6])
        if order is None or order.ended_at:
            return
        reason, price, qty, leaves_qty, display_qty = row[4], row[9], row[10], row[11], row[13]
        self._tracker.resize(order, order.order_qty - qty, leaves_qty)
        if reason in _NEW_PLACE:
            self._tracker.enter(order, price, display_qty, self.log_time)
        order.display_qty = display_qty

    def _on_top(self, row: Row) -> None:
        book = self._books.get(row[5]) or self._book(row[5])
        if book is not None and 1 <= row[1] <= 2:
            side, qty = row[1], row[10]
            book.best[side] = row[9]
            if qty:
                book.level_qty = follow(book.level_qty, qty) if book.level_qty else qty

    def _book(self, instrument: int) -> Book | None:
        """The book of an instrument of which no row has come yet; None for one that nobody knows."""
        return self._market.book(instrument) if instrument in self._instruments else None

    def _on_status(self, row: Row) -> None:
        if row[5] in self._instruments:
            book = self._market.book(row[5])
            before, book.phase = book.phase, row[14]
            for detector, phase_changed in self._on["phase_changed"]:
                if findings := phase_changed(book, before, self.log_time):
                    self.found += [(detector, one) for one in findings]
            book.indicative_px = book.indicative_qty = 0

    def _on_indicative(self, row: Row) -> None:
        if row[5] in self._instruments:
            book = self._market.book(row[5])
            before, book.indicative_px, book.indicative_qty = book.indicative_px, row[9], row[10]
            for detector, indicated in self._on["indicated"]:
                if findings := indicated(book, before, self.log_time):
                    self.found += [(detector, one) for one in findings]
