"""Flips: a large order is canceled, and in the same moment its owner takes what came to stand on the other side.

The attempts of surveillance.detectors.canceled_depth trade first and cancel afterwards. CFTC v. Oystacher and 3Red Trading (N.D. Ill. 15-cv-9196) is the
other way round: orders that at least doubled what stood at the touch were canceled milliseconds before an aggressive order at the same price. A market
maker that moves its quotes and crosses the market wanted as much on that side before; an investor changes its mind once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from schemas.instruments import Instrument
from surveillance.contract import Finding, Measure, order_evidence
from surveillance.orders import Holding, OrderTracker, TrackedOrder, other_side
from surveillance.wording import VERBS, counted, seconds, span, tenths

KEYS_MAX: Final = 10_000
"""Owners whose cancels of the last moment are remembered, ~300 B each; then the oldest is forgotten."""
Key = tuple[int, int, int]
"""(owner, instrument, side) of what was canceled."""


class FlipRules(Protocol):
    """What is asked of the table of the pattern."""

    @property
    def flip_ns(self) -> int: ...  # noqa: D102
    @property
    def flips_min(self) -> int: ...  # noqa: D102
    @property
    def imbalance_min(self) -> int: ...  # noqa: D102
    @property
    def level_sizes_min(self) -> int: ...  # noqa: D102
    @property
    def age_ns_max(self) -> int: ...  # noqa: D102
    @property
    def filled_percent_max(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Flip:
    """What was canceled, and the order that traded then. Lots, ticks, ns."""

    layers: tuple[TrackedOrder, ...]
    order: TrackedOrder
    price: int
    qty: int
    canceled_qty: int
    own_qty: int
    """The owner's interest on the side that traded, while the canceled orders stood."""
    usual_qty: int
    """At the touch."""
    after_ns: int
    """From the last cancel to the trade."""


class Flips:
    """Cancels of the last moment, by owner."""

    def __init__(self, tracker: OrderTracker, rules: FlipRules) -> None:
        self._tracker, self._rules = tracker, rules
        self._gone: dict[Key, dict[int, int]] = {}  # order id -> lots that its owner canceled

    def note(self, order: TrackedOrder, canceled_qty: int, now: int) -> None:
        """The owner has canceled so much of a resting order."""
        key = (order.owner, order.instrument, order.side)
        gone = self._gone.pop(key, {})
        gone = {known: lots for known, lots in gone.items() if self._is_recent(known, now)}
        gone[order.order_id] = canceled_qty
        while self._gone and (len(self._gone) >= KEYS_MAX or not self._has_recent(next(iter(self._gone)), now)):
            del self._gone[next(iter(self._gone))]
        self._gone[key] = gone

    def taken(self, order: TrackedOrder, price: int, qty: int, usual_qty: int, now: int) -> Flip | None:
        """An order of an owner traded: is it the other half of a flip? A flip is found once: what was canceled is forgotten with it."""
        key = (order.owner, order.instrument, other_side(order.side))
        gone = self._gone.get(key)
        if not gone:
            return None
        layers = tuple(layer for layer in self._known(gone) if layer.ended_at <= order.placed_at)
        shown, rules = sum(gone[layer.order_id] for layer in layers), self._rules
        if not layers or not usual_qty or shown < rules.level_sizes_min * usual_qty:
            return None
        ended_at = max(layer.ended_at for layer in layers)
        if now - ended_at > rules.flip_ns or order.placed_at - min(layer.placed_at for layer in layers) > rules.age_ns_max:
            return None
        if sum(layer.traded_qty for layer in layers) * 100 > sum(layer.order_qty for layer in layers) * rules.filled_percent_max:
            return None
        own_qty = _wanted_before(self._tracker.holding(order), order.side, min(layer.placed_at for layer in layers), ended_at)
        if shown < rules.imbalance_min * own_qty:
            return None
        del self._gone[key]
        return Flip(layers, order, price, qty, shown, own_qty, usual_qty, now - ended_at)

    def state(self) -> Any:
        """Keys with their orders."""
        return [[*key, list(gone.items())] for key, gone in self._gone.items()]

    def load(self, state: Any) -> None:
        """The opposite."""
        for owner, instrument, side, gone in state:
            self._gone[owner, instrument, side] = dict(gone)

    def _known(self, gone: dict[int, int]) -> Iterator[TrackedOrder]:
        for order_id in gone:
            order = self._tracker.get(order_id)
            if order is not None and order.ended_at and not order.flagged:
                yield order

    def _is_recent(self, order_id: int, now: int) -> bool:
        order = self._tracker.get(order_id)
        return order is not None and order.ended_at >= now - self._rules.flip_ns

    def _has_recent(self, key: Key, now: int) -> bool:
        return any(self._is_recent(order_id, now) for order_id in self._gone[key])


def _wanted_before(holding: Holding, side: int, since: int, until: int) -> int:
    """Lots of the owner's interest on a side in orders that stood at any time from `since` on and were entered before `until`."""
    orders = (*holding.open[side].values(), *holding.ended[side].values())
    return sum(one.interest_qty for one in orders if one.placed_at < until and not 0 < one.ended_at < since)


def flip_finding(pattern: str, flip: Flip, rules: FlipRules, now: int) -> Finding:
    """The finding of a flip."""
    first, order = min(flip.layers, key=lambda one: one.order_id), flip.order
    entered, filled = sum(one.order_qty for one in flip.layers), sum(one.traded_qty for one in flip.layers)

    def steps(names: Instrument) -> tuple[str, ...]:
        lots, price, (verb, _), (_, traded) = names.qty_text, names.price_text, VERBS[first.side], VERBS[order.side]
        return (
            f"Account {order.owner} showed {lots(flip.canceled_qty)} {names.symbol} to {verb} in {counted(len(flip.layers), 'order')} at "
            f"{span(price, [one.price for one in flip.layers])}, {tenths(flip.canceled_qty, flip.usual_qty)} times what usually stands at the touch.",
            f"It canceled them, and {seconds(flip.after_ns)} later it {traded} at {price(flip.price)} with an order for {lots(order.order_qty)} "
            f"on the other side, where it had wanted {lots(flip.own_qty)} before.",
            "An order shown to be traded against: compare section 4c(a)(5)(C) of the Commodity Exchange Act, and CFTC v. Oystacher.",
        )

    return Finding(
        pattern, order.instrument, order.owner, first.side, (order.instrument, order.owner, first.side, first.order_id), 800,
        min(one.placed_at for one in flip.layers), steps,
        (*(order_evidence("LAYER", one) for one in flip.layers), order_evidence("EXECUTION", order)),
        (
            Measure("orders", len(flip.layers), 1),
            Measure("shown to own interest", flip.canceled_qty // max(flip.own_qty, 1), rules.imbalance_min, "times"),
            Measure("executed share", filled * 100 // entered, rules.filled_percent_max, "percent", at_least=False),
            Measure("shown to usual level", flip.canceled_qty // flip.usual_qty, rules.level_sizes_min, "times"),
            Measure("time from cancel to trade", flip.after_ns, rules.flip_ns, "ns", at_least=False),
        ),
    )  # fmt: skip
