"""Indicative-price games: orders of a call phase that move the indicative price and are canceled before the uncross.

MAR Annex I.A(g). Who hedges late enters orders and keeps them. While nothing crosses there is no indicative price: then the middle between the best
bid and ask stands for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from schemas.enums import Phase
from schemas.instruments import Instrument
from surveillance.contract import Detector, Finding, Measure, order_evidence
from surveillance.market import Book, Market
from surveillance.orders import OrderTracker, TrackedOrder
from surveillance.wording import VERBS

CALL_PHASES: Final = (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.HALTED)


@dataclass(frozen=True)
class IndicativePriceParameters:
    """When a canceled order was a game. Every bound is inclusive."""

    move_permille_min: int = 10
    """Move of the indicative price by the order's entry, or back by its cancellation : that price."""
    volume_percent_min: int = 10
    """The order : what would trade. Where a price hangs by a thread, any small order seems to move it."""
    canceled_percent_min: int = 80
    """Of the order."""
    movers_max: int = 10_000
    """Orders that moved a price and are still there; then the oldest is forgotten."""


class IndicativePriceDetector(Detector):
    """Orders that moved the indicative price, by instrument, of this call phase."""

    name: ClassVar[str] = "indicative_price"
    version: ClassVar[int] = 3
    rule_refs: ClassVar[tuple[str, ...]] = ("MAR Annex I.A(g)", "SEA 9(a)(2)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: IndicativePriceParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or IndicativePriceParameters()
        self._newest: dict[int, list[int]] = {}  # instrument -> [the order that came in last, the middle before it]
        self._movers: dict[int, list[int]] = {}  # order -> [instrument, price before, price after]
        self._leaving: dict[int, list[int]] = {}  # instrument -> [the order that was canceled last, lots]
        self._since: dict[int, int] = {}  # instrument -> when its phase began

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """The next indicative price is its doing."""
        self._leaving.pop(order.instrument, None)
        if self.market.books[order.instrument].phase in CALL_PHASES:
            self._newest[order.instrument] = [order.order_id, self.market.books[order.instrument].middle()]
        return ()

    def indicated(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """Did the newest order move it, or the one that just went?"""
        (order_id, middle), after = self._newest.pop(book.instrument, (0, 0)), book.indicative_px
        gone_id, canceled_qty = self._leaving.pop(book.instrument, (0, 0))
        gone = self.tracker.get(gone_id)  # one that ended long ago may be forgotten
        before = before or middle
        if not before or not after or abs(after - before) * 1000 < before * self.parameters.move_permille_min:
            return ()
        if gone is not None:
            return (self._finding(gone, after, before, canceled_qty),)  # what it had held the price at
        order = self.tracker.get(order_id)
        if order is not None and self._is_large(order.order_qty, book):
            while len(self._movers) >= self.parameters.movers_max:
                del self._movers[next(iter(self._movers))]
            self._movers[order_id] = [book.instrument, before, after]
        return ()

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> Sequence[Finding]:
        """Does a mover leave?"""
        if self._newest:
            self._newest.pop(order.instrument, None)
        book, canceled_percent_min = self.market.books[order.instrument], self.parameters.canceled_percent_min
        if book.phase not in CALL_PHASES or canceled_qty * 100 < order.order_qty * canceled_percent_min:
            return ()
        moved = self._movers.pop(order.order_id, None)
        if moved is not None:
            return (self._finding(order, moved[1], moved[2], canceled_qty),)
        if canceled_qty and order.placed_at >= self._since.get(order.instrument, 0) and self._is_large(canceled_qty, book):
            self._leaving[order.instrument] = [order.order_id, canceled_qty]
        return ()

    def _is_large(self, qty: int, book: Book) -> bool:
        bound: int = self.parameters.volume_percent_min
        return qty * 100 >= book.indicative_qty * bound

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """What is in the book at the uncross was meant."""
        self._newest.pop(book.instrument, None)
        self._leaving.pop(book.instrument, None)
        self._since[book.instrument] = now
        for order_id in [order_id for order_id, moved in self._movers.items() if moved[0] == book.instrument]:
            del self._movers[order_id]
        return ()

    def _finding(self, order: TrackedOrder, before: int, after: int, canceled_qty: int) -> Finding:
        permille, rules = abs(after - before) * 1000 // before, self.parameters

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"In a call phase account {order.account} entered an order to {VERBS[order.side][0]} {names.qty_text(order.order_qty)} {names.symbol} at "
                f"{names.price_text(order.price)}. With it the indicative price was {names.price_text(after)}, without it {names.price_text(before)}.",
                f"It canceled {names.qty_text(canceled_qty)} of it before the uncross.",
                "An order that showed a price which it never stood for: compare MAR, Annex I.A(g).",
            )

        return Finding(
            "INDICATIVE_PRICE", order.instrument, order.owner, order.side, (order.instrument, order.order_id), min(900, 500 + 10 * permille),
            order.placed_at, steps, (order_evidence("MOVER", order),),
            (
                Measure("move of the indicative price in 1/1000", permille, rules.move_permille_min),
                Measure("canceled share", canceled_qty * 100 // max(order.order_qty, 1), rules.canceled_percent_min, "percent"),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """Newest orders, movers, who is leaving, and since when."""
        return [
            list(self._newest.items()),
            [[order_id, *moved] for order_id, moved in self._movers.items()],
            list(self._leaving.items()),
            list(self._since.items()),
        ]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._newest = {instrument: list(newest) for instrument, newest in state[0]}
        self._movers = {order_id: moved for order_id, *moved in state[1]}
        self._since = dict(state[3])
        self._leaving = {instrument: list(leaving) for instrument, leaving in state[2]}
