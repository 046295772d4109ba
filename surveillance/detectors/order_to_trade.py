"""Order-to-trade ratio: far more orders than trades in a day, by number or by volume.

Delegated Regulation (EU) 2017/566 (RTS 9), Article 3: ordered / traded - 1, auctions included; exceeded if either ratio is. The limit is a venue's: ours
is in the table. The rule is about a system's load, so its severity is low.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.enums import Phase
from schemas.instruments import Instrument
from surveillance.contract import Detector, Evidence, Finding, Measure, order_evidence
from surveillance.market import Book, Market
from surveillance.orders import OrderTracker, TrackedOrder


@dataclass(frozen=True)
class OrderToTradeParameters:
    """The venue's limits. A ratio above its limit is reported."""

    orders_min: int = 1_000
    """Orders of the day before a ratio means anything."""
    number_max: int = 250
    """orders / trades - 1."""
    volume_max: int = 500
    """ordered / traded lots - 1."""
    owners_max: int = 200_000
    """Owners counted; further ones are not."""


@dataclass
class Day:
    """One owner in one instrument since the book was last CLOSED."""

    first: Evidence
    side: int
    orders: int = 0
    ordered_qty: int = 0
    trades: int = 0
    traded_qty: int = 0


class OrderToTradeDetector(Detector):
    """Counts of the day, looked at whenever a bucket ends; each owner is reported once a day."""

    name: ClassVar[str] = "order_to_trade"
    rule_refs: ClassVar[tuple[str, ...]] = ("(EU) 2017/566 Art. 3",)

    def __init__(self, tracker: OrderTracker, market: Market, parameters: OrderToTradeParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or OrderToTradeParameters()
        self._days: dict[tuple[int, int], Day] = {}
        self._many: dict[tuple[int, int], int] = {}  # those with enough orders -> 1 once reported

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """An order."""
        key = (order.instrument, order.owner)
        day = self._days.get(key)
        if day is None:
            if len(self._days) >= self.parameters.owners_max:
                return ()
            day = self._days[key] = Day(order_evidence("FIRST", order), order.side)
        day.orders += 1
        day.ordered_qty += order.order_qty
        if day.orders == self.parameters.orders_min:
            self._many[key] = 0
        return ()

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> Sequence[Finding]:
        """A trade."""
        day = self._days.get((order.instrument, order.owner))
        if day is not None:
            day.trades += 1
            day.traded_qty += qty
        return ()

    def bucket_closed(self, book: Book, now: int) -> Sequence[Finding]:
        """Is a limit exceeded?"""
        found, rules = [], self.parameters
        for key in sorted(key for key, reported in self._many.items() if key[0] == book.instrument and not reported):
            day = self._days[key]
            by_number, by_volume = day.orders // max(day.trades, 1) - 1, day.ordered_qty // max(day.traded_qty, 1) - 1
            if by_number > rules.number_max or by_volume > rules.volume_max:
                self._many[key] = 1
                found.append(self._finding(key, day, by_number, by_volume))
        return found

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """A day is over."""
        found = self.bucket_closed(book, now) if book.phase == Phase.CLOSED else ()
        if book.phase == Phase.CLOSED:
            for key in [key for key in self._days if key[0] == book.instrument]:
                del self._days[key]
                self._many.pop(key, None)
        return found

    def _finding(self, key: tuple[int, int], day: Day, by_number: int, by_volume: int) -> Finding:
        (instrument, owner), rules = key, self.parameters
        orders, trades, ordered_qty, traded_qty = day.orders, day.trades, day.ordered_qty, day.traded_qty

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"Today account {owner} entered {orders} orders for {names.qty_text(ordered_qty)} {names.symbol} and traded {trades} times, "
                f"{names.qty_text(traded_qty)}.",
                f"That is {by_number} orders a trade and {by_volume} lots ordered a lot traded, beyond the first; the limits are "
                f"{rules.number_max} and {rules.volume_max}: compare RTS 9, Article 3.",
            )

        measures = [Measure("orders", orders, rules.orders_min)]
        if by_number > rules.number_max:
            measures.append(Measure("orders to trades", by_number, rules.number_max + 1, "times"))
        if by_volume > rules.volume_max:
            measures.append(Measure("ordered to traded volume", by_volume, rules.volume_max + 1, "times"))
        return Finding(
            "ORDER_TO_TRADE", instrument, owner, day.side, (instrument, owner, day.first.order_id), 400, day.first.placed_at, steps, (day.first,),
            tuple(measures),
        )  # fmt: skip

    def state(self) -> Any:
        """Counts by owner."""
        days = [[key, [tuple(day.first), *list(vars(day).values())[1:]]] for key, day in self._days.items()]
        return [days, [[*key, reported] for key, reported in self._many.items()]]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._days = {tuple(key): Day(Evidence(*first), *values) for key, (first, *values) in state[0]}
        self._many = {(instrument, owner): reported for instrument, owner, reported in state[1]}
