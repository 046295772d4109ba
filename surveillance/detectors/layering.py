"""Layering: orders at several prices on one side that were never meant to trade, an execution on the other side, then their cancellation.

The rule follows FINRA Rule 5210, Supplementary Material .03, type 1: (A) a party enters multiple limit orders on one side at various
prices, (B) the shown supply or demand changes, (C) the party's order on the opposite side is executed, (D) it cancels the original orders.
The same conduct is named in Regulation (EU) 2016/522, Annex II, Section 1 ("layering and spoofing") and, as bidding or offering with the
intent to cancel before execution, in section 747 of the Dodd-Frank Act. The texts give no numbers: `LayeringParameters` has ours.
"""

from dataclasses import dataclass
from typing import ClassVar

from schemas.instruments import Instrument
from surveillance.contract import Measure
from surveillance.detectors.canceled_depth import SECOND_NS, Attempt, CanceledDepth
from surveillance.market import Market
from surveillance.orders import OrderTracker, TrackedOrder, other_side
from surveillance.wording import VERBS, counted, percent, seconds, span, tenths


@dataclass(frozen=True)
class LayeringParameters:
    """When orders are layers. Every bound is inclusive, and tests check each from both sides."""

    orders_min: int = 4
    """Resting orders on the layered side. "Multiple": three may be a ladder of a small investor."""
    levels_min: int = 3
    """Different prices among them ("various price levels")."""
    imbalance_min: int = 4
    """Layered lots : the owner's own interest on the other side. Two-sided quoting has about 1."""
    age_ns_max: int = 30 * SECOND_NS
    """Longest time between the entry of a layer and the execution. An older order had its chance to trade."""
    cancel_within_ns: int = 5 * SECOND_NS
    """From the last execution to the cancellation. Published cases cancel within milliseconds to seconds."""
    canceled_percent_min: int = 90
    """Share of the layers' open lots at the execution that their owner canceled."""
    filled_percent_max: int = 10
    """Share of the layers' original lots that were ever executed."""
    attempts_min: int = 1
    """Attempts of an owner before they are reported: one is enough."""
    strong_imbalance_min: int = 1
    """Layered lots : own interest of an attempt that is reported by itself."""
    layers_max: int = 64
    """How many of the newest orders of a side are examined, so that an execution takes a bounded time."""
    executions_max: int = 64
    """Executions of an attempt that are kept as evidence."""


class LayeringDetector(CanceledDepth):
    """Layers of one book shard."""

    name: ClassVar[str] = "layering"
    version: ClassVar[int] = 3
    rule_refs: ClassVar[tuple[str, ...]] = ("FINRA 5210.03", "CEA 4c(a)(5)(C)", "MAR Annex I.A(f)", "(EU) 2016/522 Annex II 1.5(e)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: LayeringParameters | None = None) -> None:
        self._own = parameters or LayeringParameters()
        super().__init__(tracker, market, self._own)

    def are_layers(self, layers: list[TrackedOrder], shown_qty: int, instrument: int) -> bool:
        """At various prices."""
        return len({layer.price for layer in layers}) >= self._own.levels_min

    def more_measures(self, layers: list[TrackedOrder], shown_qty: int) -> tuple[Measure, ...]:
        """The price levels."""
        return (Measure("price levels", len({layer.price for layer in layers}), self._own.levels_min),)

    def story(self, attempt: Attempt, layers: list[TrackedOrder], now: int, instrument: Instrument) -> tuple[str, ...]:
        """Entry, execution, cancellation."""
        side, _ = VERBS[attempt.side]
        other, traded = VERBS[other_side(attempt.side)]
        prices = sorted({layer.price for layer in layers})
        placed = [layer.placed_at for layer in layers]
        paid = [one.price for one in attempt.executions]
        lots, price = instrument.qty_text, instrument.price_text
        return (
            f"Account {attempt.owner} entered {len(layers)} {side} orders for {lots(attempt.entered_qty())} {instrument.symbol} at "
            f"{len(prices)} prices from {price(prices[0])} to {price(prices[-1])} within {seconds(max(placed) - min(placed))}.",
            f"While {lots(attempt.shown_qty)} of them rested, {tenths(attempt.shown_qty, max(attempt.own_qty, 1))} times its own {other} interest of "
            f"{lots(attempt.own_qty)}, it {traded} {lots(attempt.traded_qty)} in {counted(attempt.trades, 'trade')} at {span(price, paid)}.",
            f"Within {seconds(now - attempt.last_traded_at)} of its last {other} it had canceled {lots(attempt.canceled_qty)} of the layered "
            f"{lots(attempt.layered_qty)} ({percent(attempt.canceled_qty, attempt.layered_qty)}); "
            f"{lots(attempt.filled_qty())} ({percent(attempt.filled_qty(), attempt.entered_qty())}) of the orders had been executed.",
            "Orders at several prices, an execution on the other side, then their cancellation: compare FINRA Rule 5210.03, type 1.",
        )
