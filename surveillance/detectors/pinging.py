"""Pinging: tiny immediate orders that search for hidden interest, and a large order as soon as one of them has found it.

(EU) 2016/522 Annex II, section 1. A router splits an order into immediate ones of like size; no large one follows. Who also
sends immediate orders of ordinary size meanwhile does not search.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.instruments import Instrument
from surveillance.contract import Detector, Evidence, Finding, Measure, order_evidence
from surveillance.market import Market
from surveillance.orders import OrderTracker, TrackedOrder
from surveillance.wording import VERBS, seconds

SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class PingingParameters:
    """When immediate orders search. Every bound is inclusive."""

    usual_percent_max: int = 25
    """A ping : usual order of the book."""
    pings_min: int = 5
    """Pings of one owner on one side."""
    pings_ns: int = 60 * SECOND_NS
    """From the first ping to the large order."""
    large_within_ns: int = 5 * SECOND_NS
    """From the last execution of a ping to the large order."""
    large_times_min: int = 20
    """Large order : largest ping."""
    large_usual_min: int = 3
    """Large order : usual order of the book."""
    searches_max: int = 50_000
    """Owners followed, ~2 KB each; then the oldest is forgotten."""
    evidence_max: int = 24
    """Newest pings that are remembered."""


@dataclass
class Search:
    """The pings of an owner on one side."""

    pings: list[Evidence]
    filled_at: int = 0


class PingingDetector(Detector):
    """Searches, by instrument, owner and side."""

    name: ClassVar[str] = "pinging"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("(EU) 2016/522 Annex II 1.5(b)",)

    def __init__(self, tracker: OrderTracker, market: Market, parameters: PingingParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or PingingParameters()
        self._searches: dict[tuple[int, int, int], Search] = {}

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """A ping, or the large order after them."""
        rules, usual_qty = self.parameters, self.market.books[order.instrument].order_qty
        if order.immediate and order.order_qty * 100 <= usual_qty * rules.usual_percent_max:
            self._ping(order, now)
            return ()
        key = (order.instrument, order.owner, order.side)
        if not self._searches:
            return ()
        if order.order_qty < rules.large_usual_min * usual_qty:
            if order.immediate:  # sizes that vary, as a trend follower's do, are no search
                self._searches.pop(key, None)
            return ()
        search = self._searches.get(key)
        if search is None:
            return ()
        pings = [one for one in search.pings if one.placed_at >= now - rules.pings_ns]
        largest = max((one.qty for one in pings), default=0)
        if len(pings) < rules.pings_min or not search.filled_at or now - search.filled_at > rules.large_within_ns:
            return ()
        if order.order_qty < rules.large_times_min * largest:
            return ()
        del self._searches[key]
        return (self._finding(order, pings, largest, now - search.filled_at),)

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> Sequence[Finding]:
        """A ping found something."""
        if order.immediate and self._searches:
            search = self._searches.get((order.instrument, order.owner, order.side))
            if search is not None and search.pings[-1].order_id == order.order_id:
                search.filled_at = now
        return ()

    def _ping(self, order: TrackedOrder, now: int) -> None:
        key, rules = (order.instrument, order.owner, order.side), self.parameters
        search = self._searches.pop(key, None)
        if search is None or search.pings[-1].placed_at < now - rules.pings_ns:
            while len(self._searches) >= rules.searches_max:
                del self._searches[next(iter(self._searches))]
            search = Search([])
        search.pings.append(order_evidence("PING", order))
        del search.pings[: -rules.evidence_max]
        self._searches[key] = search

    def _finding(self, order: TrackedOrder, pings: list[Evidence], largest: int, waited: int) -> Finding:
        qty = order.order_qty

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"Within {seconds(order.placed_at - pings[0].placed_at)} account {order.owner} sent {len(pings)} immediate orders to "
                f"{VERBS[order.side][0]} {names.symbol} of at most {names.qty_text(largest)} each.",
                f"{seconds(waited)} after one of them had traded it entered an order for {names.qty_text(qty)}, {qty // largest} times as large.",
                "Small orders that ascertain hidden interest before a large one: compare (EU) 2016/522, Annex II, section 1.",
            )

        return Finding(
            "PINGING", order.instrument, order.owner, order.side, (order.instrument, order.owner, pings[0].order_id), min(900, 550 + 10 * len(pings)),
            pings[0].placed_at, steps, (*pings, order_evidence("LARGE", order)),
            (
                Measure("pings", len(pings), self.parameters.pings_min),
                Measure("large order to ping", qty // largest, self.parameters.large_times_min, "times"),
                Measure("time to the large order", waited, self.parameters.large_within_ns, "ns", at_least=False),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """Searches with their pings."""
        return [[key, [tuple(one) for one in search.pings], search.filled_at] for key, search in self._searches.items()]

    def load(self, state: Any) -> None:
        """The opposite."""
        for key, pings, filled_at in state:
            self._searches[tuple(key)] = Search([Evidence(*one) for one in pings], filled_at)
