"""Quote stuffing: a flood of orders that are canceled at once and never trade, to slow others down.

(EU) 2016/522 Annex II, section 1. A quoter that follows a fast market trades sometimes, and its orders live until the market moves; the engine's own
repricing of pegs is no message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.instruments import Instrument
from surveillance.contract import Detector, Evidence, Finding, Measure, order_evidence
from surveillance.market import Market
from surveillance.orders import OrderTracker, TrackedOrder
from surveillance.wording import measured

SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class QuoteStuffingParameters:
    """When messages are a flood. Every bound is inclusive; counts are of one second of log time."""

    messages_min: int = 100
    """Orders and cancels in a second."""
    canceled_percent_min: int = 90
    """Cancels : orders."""
    short_ns: int = 50_000_000
    """A short life."""
    short_percent_min: int = 80
    """Share of the canceled orders that had a short life."""
    fills_percent_max: int = 1
    """Executions : orders."""
    evidence_max: int = 16
    """Orders that are kept as evidence."""


@dataclass
class Second:
    """What one owner sent in this second in one instrument."""

    orders: int = 0
    cancels: int = 0
    short: int = 0
    fills: int = 0
    reported: int = 0


class QuoteStuffingDetector(Detector):
    """Counts of this second; they begin anew with the next, so memory is what one second brings."""

    name: ClassVar[str] = "quote_stuffing"
    rule_refs: ClassVar[tuple[str, ...]] = ("(EU) 2016/522 Annex II 1.5(d)", "FINRA 5210.03")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: QuoteStuffingParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or QuoteStuffingParameters()
        self._second = 0
        self._counts: dict[tuple[int, int], Second] = {}
        self._orders: dict[tuple[int, int], list[Evidence]] = {}
        self._floor = self.parameters.messages_min * self.parameters.canceled_percent_min // (100 + self.parameters.canceled_percent_min)

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """A message."""
        self._count(order, now).orders += 1
        return ()

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> Sequence[Finding]:
        """Who trades wants to."""
        self._count(order, now).fills += 1
        return ()

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> Sequence[Finding]:
        """A message, if its owner sent it."""
        if not canceled_qty or order.immediate:
            return ()
        count, rules = self._count(order, now), self.parameters
        count.cancels += 1
        key = (order.instrument, order.owner)
        if now - order.placed_at <= rules.short_ns:
            count.short += 1
            kept = self._orders.setdefault(key, [])
            if len(kept) < rules.evidence_max:
                kept.append(order_evidence("FLASHED", order))
        if count.cancels < self._floor or count.reported:
            return ()
        is_flood = (
            count.orders + count.cancels >= rules.messages_min
            and count.cancels * 100 >= count.orders * rules.canceled_percent_min
            and count.short * 100 >= count.cancels * rules.short_percent_min
            and count.fills * 100 <= count.orders * rules.fills_percent_max
        )
        if not is_flood:
            return ()
        count.reported = 1
        return (self._finding(order, count, self._orders[key], now),)

    def _count(self, order: TrackedOrder, now: int) -> Second:
        second = now // SECOND_NS
        if second != self._second:
            self._second = second
            self._counts.clear()
            self._orders.clear()
        key = (order.instrument, order.owner)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = Second()
        return count

    def _finding(self, order: TrackedOrder, count: Second, kept: list[Evidence], now: int) -> Finding:
        rules, seen = self.parameters, Second(**vars(count))
        began_at = now // SECOND_NS * SECOND_NS

        def steps(names: Instrument) -> tuple[str, ...]:
            return (
                f"Within a second account {order.owner} sent {seen.orders} orders and {seen.cancels} cancels in {names.symbol}.",
                f"{seen.short} of the canceled orders had stood for no more than {measured(rules.short_ns, 'ns', names)}; {seen.fills} executions.",
                "A flood of orders that were never meant to trade: compare (EU) 2016/522, Annex II, section 1.",
            )

        return Finding(
            "QUOTE_STUFFING", order.instrument, order.owner, order.side, (order.instrument, order.owner, kept[0].order_id), 700, began_at, steps,
            tuple(kept),
            (
                Measure("messages in a second", seen.orders + seen.cancels, rules.messages_min),
                Measure("canceled share", seen.cancels * 100 // max(seen.orders, 1), rules.canceled_percent_min, "percent"),
                Measure("short-lived share", seen.short * 100 // seen.cancels, rules.short_percent_min, "percent"),
                Measure("executed share", seen.fills * 100 // max(seen.orders, 1), rules.fills_percent_max, "percent", at_least=False),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """The counts of this second and their evidence."""
        return [
            self._second, [[key, list(vars(one).values())] for key, one in self._counts.items()],
            [[key, [tuple(one) for one in kept]] for key, kept in self._orders.items()],
        ]  # fmt: skip

    def load(self, state: Any) -> None:
        """The opposite."""
        self._second, counts, orders = state
        self._counts = {tuple(key): Second(*values) for key, values in counts}
        self._orders = {tuple(key): [Evidence(*one) for one in kept] for key, kept in orders}
