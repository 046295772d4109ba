"""Orders on one side that are shown, an execution on the other side, then their cancellation: what layering and spoofing share.

An *attempt* begins when an owner trades on one side while enough of its orders rest on its other side, and is complete when they have been
canceled in time. All comparisons are of integers. A market maker makes no attempt: what it wants on the side on which it trades (interest:
open, or ended lately and after the first layer came) is about as much as it shows on the other. What ended before the layers came never stood
beside them: who shows now this side and now that one is no market maker, however soon it turns.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import numpy as np

from schemas.codec import Rows
from schemas.instruments import Instrument
from surveillance.contract import Arrays, Detector, Evidence, Finding, Measure, order_evidence
from surveillance.market import Market
from surveillance.orders import Holding, OrderTracker, TrackedOrder, other_side

SECOND_NS: Final = 1_000_000_000
ATTEMPTS_WITHIN_NS: Final = 1_200 * SECOND_NS
"""An attempt is forgotten when no other of its owner follows it for so long."""
DONE_MAX: Final = 20_000
"""Owners whose attempts are remembered, ~200 B each; then the oldest is forgotten."""


class DepthParameters(Protocol):
    """What the shared part asks of a table. Every bound is inclusive."""

    @property
    def orders_min(self) -> int:
        """Resting orders on the shown side."""

    @property
    def imbalance_min(self) -> int:
        """Shown lots : the owner's own interest on the other side. Two-sided quoting has about 1."""

    @property
    def age_ns_max(self) -> int:
        """Longest time between the entry of an order and the execution. An older order had its chance to trade."""

    @property
    def cancel_within_ns(self) -> int:
        """From the last execution to the cancellation."""

    @property
    def canceled_percent_min(self) -> int:
        """Share of the orders' open lots at the execution that their owner canceled."""

    @property
    def filled_percent_max(self) -> int:
        """Share of the orders' original lots that were ever executed."""

    @property
    def attempts_min(self) -> int:
        """Attempts of one owner before the first is reported, with the one that completes the number."""

    @property
    def strong_imbalance_min(self) -> int:
        """An attempt of this imbalance is reported by itself."""

    @property
    def layers_max(self) -> int:
        """How many of the newest orders of a side are examined, so that an execution takes a bounded time."""

    @property
    def executions_max(self) -> int:
        """Executions of an attempt that are kept as evidence."""


@dataclass(frozen=True)
class Execution:
    """A trade of the owner on the side opposite to the layers; the order it belongs to as it was then."""

    order_id: int
    side: int
    price: int  # ticks, of the trade
    order_qty: int
    last_qty: int
    placed_at: int
    traded_at: int
    account: int
    seq: int  # of the order
    offset: int


EXECUTION_DTYPE: Final = np.dtype(
    [("order_id", "<u8"), ("side", "u1"), ("price", "<i8"), ("order_qty", "<i8"), ("last_qty", "<i8"), ("placed_at", "<i8"), ("traded_at", "<i8"),
     ("account", "<u8"), ("seq", "<u8"), ("offset", "<i8")]
)  # fmt: skip
DONE_DTYPE: Final = np.dtype([("instrument", "<u4"), ("owner", "<u8"), ("attempts", "<i8"), ("last_at", "<i8")])
ATTEMPT_DTYPE: Final = np.dtype(
    [
        ("owner", "<u8"), ("instrument", "<u4"), ("side", "u1"), ("shown_qty", "<i8"), ("own_qty", "<i8"), ("layered_qty", "<i8"),
        ("canceled_qty", "<i8"), ("traded_qty", "<i8"), ("trades", "<i8"), ("last_traded_at", "<i8"), ("layers", "<i8"), ("executions", "<i8"),
    ]
)  # fmt: skip


@dataclass(slots=True)
class Attempt:
    """Layers of one owner on one side of one instrument, with the executions on the other side since."""

    owner: int
    instrument: int
    side: int  # of the layers
    shown_qty: int  # lots that the layers displayed at the first execution
    own_qty: int  # the owner's interest on the other side at that time
    layered_qty: int = 0  # lots that the layers had open when they joined
    canceled_qty: int = 0  # of those, canceled by their owner
    traded_qty: int = 0  # lots executed on the other side
    trades: int = 0
    last_traded_at: int = 0
    layers: dict[int, TrackedOrder] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)

    def entered_qty(self) -> int:
        """Original lots of the layers."""
        return sum(order.order_qty for order in self.layers.values())

    def filled_qty(self) -> int:
        """Lots of the layers that were ever executed."""
        return sum(order.traded_qty for order in self.layers.values())

    def row(self) -> tuple[int, ...]:
        """A row of ATTEMPT_DTYPE."""
        return (
            self.owner, self.instrument, self.side, self.shown_qty, self.own_qty, self.layered_qty, self.canceled_qty,
            self.traded_qty, self.trades, self.last_traded_at, len(self.layers), len(self.executions),
        )  # fmt: skip


class CanceledDepth(Detector):
    """Attempts in one book shard. A subclass says which orders count, and tells the story."""

    def __init__(self, tracker: OrderTracker, market: Market, rules: DepthParameters) -> None:
        super().__init__(tracker, market)
        self.parameters = rules
        self._rules = rules
        self._attempts: dict[tuple[int, int, int], Attempt] = {}
        self._done: dict[tuple[int, int], list[int]] = {}  # (instrument, owner) -> [complete attempts, when the last one was]
        self._next_deadline = 0

    @abstractmethod
    def are_layers(self, layers: list[TrackedOrder], shown_qty: int, instrument: int) -> bool:
        """Whether these young orders, of which the market sees `shown_qty` lots, are what the pattern needs; imbalance apart."""

    @abstractmethod
    def story(self, attempt: Attempt, layers: list[TrackedOrder], now: int, instrument: Instrument) -> tuple[str, ...]:
        """The steps of the explanation."""

    @abstractmethod
    def more_measures(self, layers: list[TrackedOrder], shown_qty: int) -> tuple[Measure, ...]:
        """Measures of the pattern beside those that all have."""

    def advance(self, now: int) -> tuple[Finding, ...]:
        """Close the attempts whose layers were not canceled in time."""
        if not self._attempts or now <= self._next_deadline:
            return ()
        for attempt in list(self._attempts.values()):
            if now > self._deadline(attempt):
                self._close(attempt)
        self._next_deadline = min(map(self._deadline, self._attempts.values()), default=0)
        return ()

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> tuple[Finding, ...]:
        """What rests on the other side of the order's owner?"""
        layered_side = other_side(order.side)
        holding = self.tracker.holding(order)
        attempt = self._attempts.get((order.owner, order.instrument, layered_side))
        if attempt is None and len(holding.open[layered_side]) < self._rules.orders_min:
            return ()
        layers = list(self._young_orders(holding.open[layered_side], now))
        if len(layers) >= self._rules.orders_min and self._are_enough(layers, holding, order):
            attempt = attempt or self._open(order, layered_side, layers, _interest(holding, order.side, layers))
            self._join(attempt, layers)
        elif attempt is None or not any(layer.leaves_qty for layer in attempt.layers.values()):
            return ()
        self._note_execution(attempt, order, price, qty, now)
        return ()

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> tuple[Finding, ...]:
        """The attempt that this completes, if any. Its layers are flagged and can be part of no other."""
        attempt = self._attempts.get((order.owner, order.instrument, order.side)) if self._attempts else None
        if attempt is None or order.order_id not in attempt.layers:
            return ()
        attempt.canceled_qty += canceled_qty
        complete = canceled_qty > 0 and self._is_complete(attempt)
        if complete:
            for layer in attempt.layers.values():
                self.tracker.flag(layer)
        if complete or not any(layer.leaves_qty for layer in attempt.layers.values()):
            self._close(attempt)
        return (self._finding(attempt, now),) if complete and self._is_enough(attempt, now) else ()

    def _is_enough(self, attempt: Attempt, now: int) -> bool:
        """Whether a complete attempt is reported: it is strong, or not the owner's first."""
        count = self.attempts_with(attempt.instrument, attempt.owner, now)
        is_strong = attempt.layered_qty >= self._rules.strong_imbalance_min * max(self._interest_against(attempt), 1)
        return is_strong or count >= self._rules.attempts_min

    def attempts_with(self, instrument: int, owner: int, now: int) -> int:
        """Counts one more attempt; how many the owner has made lately."""
        count, last_at = self._done.pop((instrument, owner), [0, 0])
        count = 1 if now - last_at > ATTEMPTS_WITHIN_NS else count + 1
        if len(self._done) >= DONE_MAX:
            del self._done[next(iter(self._done))]
        self._done[instrument, owner] = [count, now]
        return count

    def forgotten(self, order: TrackedOrder) -> None:
        """The tracker has forgotten `order`: without it an attempt has no proof."""
        attempt = self._attempts.get((order.owner, order.instrument, order.side))
        if attempt is not None and order.order_id in attempt.layers:
            self._close(attempt)

    def _interest_against(self, attempt: Attempt) -> int:
        """Lots that the account wants, or wanted while the layers stood, on the side opposite to them."""
        layers = list(attempt.layers.values())
        return _interest(self.tracker.holding(layers[0]), other_side(attempt.side), layers)

    def snapshot(self) -> dict[str, Rows]:
        """attempts, their layers' order ids and their executions, concatenated."""
        attempts = self._attempts.values()
        executions = [tuple(getattr(one, name) for name in EXECUTION_DTYPE.names or ()) for e in attempts for one in e.executions]
        return {
            "attempts": np.array([attempt.row() for attempt in attempts], ATTEMPT_DTYPE),
            "layers": np.array([order_id for attempt in attempts for order_id in attempt.layers], "<u8"),
            "executions": np.array(executions, EXECUTION_DTYPE),
            "done": np.array([(*key, *values) for key, values in self._done.items()], DONE_DTYPE),
        }

    def restore(self, arrays: Arrays) -> None:
        """Hold the layers again."""
        layers, executions = iter(arrays["layers"].tolist()), iter(arrays["executions"].tolist())
        for *values, layer_count, execution_count in arrays["attempts"].tolist():
            attempt = Attempt(*values)
            for _ in range(layer_count):
                self._hold(attempt, self.tracker.known(next(layers)))
            attempt.executions = [Execution(*next(executions)) for _ in range(execution_count)]
            self._attempts[(attempt.owner, attempt.instrument, attempt.side)] = attempt
        self._done = {(instrument, owner): values for instrument, owner, *values in arrays["done"].tolist()}
        self._next_deadline = min(map(self._deadline, self._attempts.values()), default=0)

    def _young_orders(self, orders: dict[int, TrackedOrder], now: int) -> Iterator[TrackedOrder]:
        for looked_at, order in enumerate(reversed(orders.values())):
            if looked_at >= self._rules.layers_max or order.placed_at < now - self._rules.age_ns_max:
                return
            if not order.flagged and order.display_qty:
                yield order

    def _are_enough(self, layers: list[TrackedOrder], holding: Holding, order: TrackedOrder) -> bool:
        shown_qty, factor = sum(layer.display_qty for layer in layers), self._rules.imbalance_min
        if not self.are_layers(layers, shown_qty, order.instrument):
            return False
        return shown_qty >= factor * holding.interest[order.side] or shown_qty >= factor * _interest(holding, order.side, layers)

    def _is_complete(self, attempt: Attempt) -> bool:
        """Checked once more: the imbalance, as a market maker may have traded before its quotes on that side were all entered."""
        return (
            attempt.canceled_qty * 100 >= attempt.layered_qty * self._rules.canceled_percent_min
            and attempt.filled_qty() * 100 <= attempt.entered_qty() * self._rules.filled_percent_max
            and attempt.layered_qty >= self._rules.imbalance_min * self._interest_against(attempt)
        )

    def _open(self, order: TrackedOrder, side: int, layers: list[TrackedOrder], own_qty: int) -> Attempt:
        shown_qty = sum(layer.display_qty for layer in layers)
        attempt = Attempt(order.owner, order.instrument, side, shown_qty, own_qty)
        self._attempts[(order.owner, order.instrument, side)] = attempt
        return attempt

    def _join(self, attempt: Attempt, layers: list[TrackedOrder]) -> None:
        """Oldest first; a layer that is part of it already stays as it is."""
        for layer in reversed(layers):
            if layer.order_id not in attempt.layers:
                attempt.layered_qty += layer.leaves_qty
                self._hold(attempt, layer)

    def _hold(self, attempt: Attempt, layer: TrackedOrder) -> None:
        self.tracker.hold(layer)
        attempt.layers[layer.order_id] = layer

    def _note_execution(self, attempt: Attempt, order: TrackedOrder, price: int, qty: int, now: int) -> None:
        attempt.traded_qty += qty
        attempt.trades += 1
        attempt.last_traded_at = now
        if len(attempt.executions) < self._rules.executions_max:
            attempt.executions.append(
                Execution(
                    order.order_id, order.side, price, order.order_qty, qty, order.placed_at, now, order.account, order.seq, order.offset
                )
            )
        deadlines = [self._next_deadline] if self._next_deadline else []
        self._next_deadline = min([*deadlines, self._deadline(attempt)])

    def _deadline(self, attempt: Attempt) -> int:
        return attempt.last_traded_at + self._rules.cancel_within_ns

    def _close(self, attempt: Attempt) -> None:
        del self._attempts[(attempt.owner, attempt.instrument, attempt.side)]
        for layer in attempt.layers.values():
            self.tracker.release(layer)

    def _finding(self, attempt: Attempt, now: int) -> Finding:
        layers = sorted(attempt.layers.values(), key=lambda layer: layer.order_id)
        rules, own_qty = self._rules, self._interest_against(attempt)
        measures = (
            Measure("orders", len(layers), rules.orders_min),
            Measure("shown to own interest", attempt.layered_qty // max(own_qty, 1), rules.imbalance_min, "times"),
            Measure("canceled share", attempt.canceled_qty * 100 // attempt.layered_qty, rules.canceled_percent_min, "percent"),
            Measure(
                "executed share", attempt.filled_qty() * 100 // attempt.entered_qty(), rules.filled_percent_max, "percent", at_least=False
            ),
            Measure("time to cancel", now - attempt.last_traded_at, rules.cancel_within_ns, "ns", at_least=False),
            *self.more_measures(layers, attempt.shown_qty),
        )
        return Finding(
            pattern=self.name.upper(),
            instrument=attempt.instrument,
            account=attempt.owner,
            side=attempt.side,
            identity=(attempt.instrument, attempt.owner, attempt.side, layers[0].order_id),
            score_permille=_score_permille(attempt, own_qty),
            window_start=min(layer.placed_at for layer in layers),
            steps=partial(self.story, attempt, layers, now),
            evidence=tuple([order_evidence("LAYER", layer) for layer in layers] + [_execution_evidence(one) for one in attempt.executions]),
            measures=measures,
        )


def _interest(holding: Holding, side: int, layers: list[TrackedOrder]) -> int:
    """The owner's interest on a side since the first of the layers came, lots."""
    return holding.interest_since(side, min(layer.placed_at for layer in layers))


def _score_permille(attempt: Attempt, own_qty: int) -> int:
    """Mean of three shares, each in permille: canceled of the layers, not executed of them, and how one-sided the owner was.

    own_qty: the owner's interest against the layers, lots.
    """
    canceled = attempt.canceled_qty * 1000 // attempt.layered_qty
    unfilled = 1000 - attempt.filled_qty() * 1000 // attempt.entered_qty()
    one_sided = 1000 - min(1000, own_qty * 1000 // attempt.layered_qty)
    return (min(1000, canceled) + unfilled + one_sided) // 3


def _execution_evidence(one: Execution) -> Evidence:
    """The fields price, traded_qty and ended_at are those of the trade."""
    return Evidence(
        "EXECUTION", one.order_id, one.side, one.price, one.order_qty, one.last_qty, one.placed_at, one.traded_at, one.account, 0, one.seq, one.offset
    )  # fmt: skip
