"""Layering: orders at several prices on one side that were never meant to trade, an execution on the other side, then their cancellation.

The rule follows FINRA Rule 5210, Supplementary Material .03, type 1: (A) a party enters multiple limit orders on one side at various
prices, (B) the shown supply or demand changes, (C) the party's order on the opposite side is executed, (D) it cancels the original orders.
The same conduct is named in Regulation (EU) 2016/522, Annex II, Section 1 ("layering and spoofing") and, as bidding or offering with the
intent to cancel before execution, in section 747 of the Dodd-Frank Act. The texts give no numbers: `LayeringParameters` has ours.

An *episode* begins when an account trades on one side while enough layers rest on its other side (A, B, C), and becomes an alert when
they have been canceled in time (D). All comparisons are of integers. A market maker is not an episode: what it wants on the side on which
it trades (interest: open or ended lately) is about as much as it shows on the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final

import numpy as np

from schemas.codec import Rows
from schemas.instruments import Instrument
from surveillance.contract import Arrays, Detector, Evidence, Finding
from surveillance.orders import OrderTracker, TrackedOrder, other_side
from surveillance.wording import VERBS, counted, percent, seconds, span, tenths

PATTERN: Final = "LAYERING"
SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class LayeringParameters:
    """When orders are layers. Every bound is inclusive, and tests check each from both sides."""

    orders_min: int = 4
    """Resting orders on the layered side. "Multiple": three may be a ladder of a small investor."""
    levels_min: int = 3
    """Different prices among them ("various price levels")."""
    imbalance_min: int = 4
    """Layered lots : the account's own interest on the other side. Two-sided quoting has about 1."""
    age_ns_max: int = 30 * SECOND_NS
    """Longest time between the entry of a layer and the execution. An older order had its chance to trade."""
    cancel_within_ns: int = 5 * SECOND_NS
    """From the last execution to the cancellation. Published cases cancel within milliseconds to seconds."""
    canceled_percent_min: int = 90
    """Share of the layers' open lots at the execution that their owner canceled."""
    filled_percent_max: int = 10
    """Share of the layers' original lots that were ever executed."""
    layers_max: int = 64
    """How many of the newest orders of a side are examined, so that an execution takes a bounded time."""
    executions_max: int = 64
    """Executions of an episode that are kept as evidence."""


@dataclass(frozen=True)
class Execution:
    """A trade of the account on the side opposite to the layers; the order it belongs to as it was then."""

    order_id: int
    side: int
    price: int  # ticks, of the trade
    order_qty: int
    last_qty: int
    placed_at: int
    traded_at: int


EXECUTION_DTYPE: Final = np.dtype(
    [("order_id", "<u8"), ("side", "u1"), ("price", "<i8"), ("order_qty", "<i8"), ("last_qty", "<i8"), ("placed_at", "<i8"), ("traded_at", "<i8")]
)  # fmt: skip
EPISODE_DTYPE: Final = np.dtype(
    [
        ("account", "<u8"), ("instrument", "<u4"), ("side", "u1"), ("shown_qty", "<i8"), ("own_qty", "<i8"), ("layered_qty", "<i8"),
        ("canceled_qty", "<i8"), ("traded_qty", "<i8"), ("trades", "<i8"), ("last_traded_at", "<i8"), ("layers", "<i8"), ("executions", "<i8"),
    ]
)  # fmt: skip


@dataclass(slots=True)
class Episode:
    """Layers of one account on one side of one instrument, with the executions on the other side since."""

    account: int
    instrument: int
    side: int  # of the layers
    shown_qty: int  # lots that the layers displayed at the first execution
    own_qty: int  # the account's interest on the other side at that time
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
        """A row of EPISODE_DTYPE."""
        return (
            self.account, self.instrument, self.side, self.shown_qty, self.own_qty, self.layered_qty, self.canceled_qty,
            self.traded_qty, self.trades, self.last_traded_at, len(self.layers), len(self.executions),
        )  # fmt: skip


class LayeringDetector(Detector):
    """Episodes of one book shard."""

    name: ClassVar[str] = "layering"

    def __init__(self, tracker: OrderTracker, parameters: LayeringParameters | None = None) -> None:
        super().__init__(tracker)
        self._rules = parameters or LayeringParameters()
        self._episodes: dict[tuple[int, int, int], Episode] = {}
        self._next_deadline = 0

    def advance(self, now: int) -> tuple[Finding, ...]:
        """Close the episodes whose layers were not canceled in time."""
        if not self._episodes or now <= self._next_deadline:
            return ()
        for episode in list(self._episodes.values()):
            if now > self._deadline(episode):
                self._close(episode)
        self._next_deadline = min(map(self._deadline, self._episodes.values()), default=0)
        return ()

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> tuple[Finding, ...]:
        """What rests on the other side of the order's account?"""
        layered_side = other_side(order.side)
        holding = self.tracker.holding(order)
        own_qty = holding.interest[order.side]
        episode = self._episodes.get((order.account, order.instrument, layered_side))
        if episode is None and len(holding.open[layered_side]) < self._rules.orders_min:
            return ()
        layers = list(self._young_orders(holding.open[layered_side], now))
        if self._are_layers(layers, own_qty):
            episode = episode or self._open(order, layered_side, layers, own_qty)
            self._join(episode, layers)
        elif episode is None or not any(layer.leaves_qty for layer in episode.layers.values()):
            return ()
        self._note_execution(episode, order, price, qty, now)
        return ()

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> tuple[Finding, ...]:
        """The episode that this completes, if any. Its layers are flagged and can be part of no other."""
        episode = self._episodes.get((order.account, order.instrument, order.side))
        if episode is None or order.order_id not in episode.layers:
            return ()
        episode.canceled_qty += canceled_qty
        complete = canceled_qty > 0 and self._is_complete(episode)
        if complete:
            for layer in episode.layers.values():
                self.tracker.flag(layer)
        if complete or not any(layer.leaves_qty for layer in episode.layers.values()):
            self._close(episode)
        return (self._finding(episode, now),) if complete else ()

    def forgotten(self, order: TrackedOrder) -> None:
        """The tracker has forgotten `order`: without it an episode has no proof."""
        episode = self._episodes.get((order.account, order.instrument, order.side))
        if episode is not None and order.order_id in episode.layers:
            self._close(episode)

    def _interest_against(self, episode: Episode) -> int:
        """Lots that the account wants, or recently wanted, on the side opposite to the layers."""
        return self.tracker.holding(next(iter(episode.layers.values()))).interest[other_side(episode.side)]

    def snapshot(self) -> dict[str, Rows]:
        """episodes, their layers' order ids and their executions, concatenated."""
        episodes = self._episodes.values()
        executions = [tuple(getattr(one, name) for name in EXECUTION_DTYPE.names or ()) for e in episodes for one in e.executions]
        return {
            "episodes": np.array([episode.row() for episode in episodes], EPISODE_DTYPE),
            "layers": np.array([order_id for episode in episodes for order_id in episode.layers], "<u8"),
            "executions": np.array(executions, EXECUTION_DTYPE),
        }

    def restore(self, arrays: Arrays) -> None:
        """Hold the layers again."""
        layers, executions = iter(arrays["layers"].tolist()), iter(arrays["executions"].tolist())
        for *values, layer_count, execution_count in arrays["episodes"].tolist():
            episode = Episode(*values)
            for _ in range(layer_count):
                self._hold(episode, self.tracker.known(next(layers)))
            episode.executions = [Execution(*next(executions)) for _ in range(execution_count)]
            self._episodes[(episode.account, episode.instrument, episode.side)] = episode
        self._next_deadline = min(map(self._deadline, self._episodes.values()), default=0)

    def _young_orders(self, orders: dict[int, TrackedOrder], now: int) -> Iterator[TrackedOrder]:
        for looked_at, order in enumerate(reversed(orders.values())):
            if looked_at >= self._rules.layers_max or order.placed_at < now - self._rules.age_ns_max:
                return
            if not order.flagged and order.display_qty:
                yield order

    def _are_layers(self, layers: list[TrackedOrder], own_qty: int) -> bool:
        return (
            len(layers) >= self._rules.orders_min
            and len({layer.price for layer in layers}) >= self._rules.levels_min
            and sum(layer.display_qty for layer in layers) >= self._rules.imbalance_min * own_qty
        )

    def _is_complete(self, episode: Episode) -> bool:
        """Checked once more: the imbalance, as a market maker may have traded before its quotes on that side were all entered."""
        return (
            episode.canceled_qty * 100 >= episode.layered_qty * self._rules.canceled_percent_min
            and episode.filled_qty() * 100 <= episode.entered_qty() * self._rules.filled_percent_max
            and episode.layered_qty >= self._rules.imbalance_min * self._interest_against(episode)
        )

    def _open(self, order: TrackedOrder, side: int, layers: list[TrackedOrder], own_qty: int) -> Episode:
        shown_qty = sum(layer.display_qty for layer in layers)
        episode = Episode(order.account, order.instrument, side, shown_qty, own_qty)
        self._episodes[(order.account, order.instrument, side)] = episode
        return episode

    def _join(self, episode: Episode, layers: list[TrackedOrder]) -> None:
        """Oldest first; a layer that is part of it already stays as it is."""
        for layer in reversed(layers):
            if layer.order_id not in episode.layers:
                episode.layered_qty += layer.leaves_qty
                self._hold(episode, layer)

    def _hold(self, episode: Episode, layer: TrackedOrder) -> None:
        self.tracker.hold(layer)
        episode.layers[layer.order_id] = layer

    def _note_execution(self, episode: Episode, order: TrackedOrder, price: int, qty: int, now: int) -> None:
        episode.traded_qty += qty
        episode.trades += 1
        episode.last_traded_at = now
        if len(episode.executions) < self._rules.executions_max:
            episode.executions.append(Execution(order.order_id, order.side, price, order.order_qty, qty, order.placed_at, now))
        deadlines = [self._next_deadline] if self._next_deadline else []
        self._next_deadline = min([*deadlines, self._deadline(episode)])

    def _deadline(self, episode: Episode) -> int:
        return episode.last_traded_at + self._rules.cancel_within_ns

    def _close(self, episode: Episode) -> None:
        del self._episodes[(episode.account, episode.instrument, episode.side)]
        for layer in episode.layers.values():
            self.tracker.release(layer)

    def _finding(self, episode: Episode, now: int) -> Finding:
        layers = sorted(episode.layers.values(), key=lambda layer: layer.order_id)
        return Finding(
            pattern=PATTERN,
            instrument=episode.instrument,
            account=episode.account,
            side=episode.side,
            identity=(episode.instrument, episode.account, episode.side, layers[0].order_id),
            score_permille=_score_permille(episode, self._interest_against(episode)),
            window_start=min(layer.placed_at for layer in layers),
            explain=partial(_explanation, episode, layers, now),
            evidence=tuple([_layer_evidence(layer) for layer in layers] + [_execution_evidence(one) for one in episode.executions]),
        )


def _score_permille(episode: Episode, own_qty: int) -> int:
    """Mean of three shares, each in permille: canceled of the layers, not executed of them, and how one-sided the account was.

    own_qty: the account's interest against the layers, lots.
    """
    canceled = episode.canceled_qty * 1000 // episode.layered_qty
    unfilled = 1000 - episode.filled_qty() * 1000 // episode.entered_qty()
    one_sided = 1000 - min(1000, own_qty * 1000 // episode.layered_qty)
    return (min(1000, canceled) + unfilled + one_sided) // 3


def _explanation(episode: Episode, layers: list[TrackedOrder], now: int, instrument: Instrument) -> str:
    side, _ = VERBS[episode.side]
    other, traded = VERBS[other_side(episode.side)]
    prices = sorted({layer.price for layer in layers})
    placed = [layer.placed_at for layer in layers]
    paid = [one.price for one in episode.executions]
    lots, price = instrument.qty_text, instrument.price_text
    return (
        f"Account {episode.account} entered {len(layers)} {side} orders for {lots(episode.entered_qty())} {instrument.symbol} at "
        f"{len(prices)} prices from {price(prices[0])} to {price(prices[-1])} within {seconds(max(placed) - min(placed))}. "
        f"While {lots(episode.shown_qty)} of them rested, {tenths(episode.shown_qty, episode.own_qty)} times its own {other} interest of "
        f"{lots(episode.own_qty)}, it {traded} {lots(episode.traded_qty)} in {counted(episode.trades, 'trade')} at {span(price, paid)}. "
        f"Within {seconds(now - episode.last_traded_at)} of its last {other} it had canceled {lots(episode.canceled_qty)} of the layered "
        f"{lots(episode.layered_qty)} ({percent(episode.canceled_qty, episode.layered_qty)}); "
        f"{lots(episode.filled_qty())} ({percent(episode.filled_qty(), episode.entered_qty())}) of the orders had been executed. "
        f"Orders at several prices, an execution on the other side, then their cancellation: compare FINRA Rule 5210.03, type 1."
    )


def _layer_evidence(layer: TrackedOrder) -> Evidence:
    return Evidence("LAYER", layer.order_id, layer.side, layer.price, layer.order_qty, layer.traded_qty, layer.placed_at, layer.ended_at)


def _execution_evidence(one: Execution) -> Evidence:
    """The fields price, traded_qty and ended_at are those of the trade."""
    return Evidence("EXECUTION", one.order_id, one.side, one.price, one.order_qty, one.last_qty, one.placed_at, one.traded_at)
