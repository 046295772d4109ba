"""Spoofing: one large order, or a few at one or two prices, shown on one side, a fill on the other, then the large order is canceled; or first that.

FINRA Rule 5210.03 and the Commodity Exchange Act, section 4c(a)(5)(C), name it; the case of Sarao describes it step by step. What has enough
orders at enough prices is layering, see surveillance.detectors.layering, and is left to it. "Large" is measured against what usually stands at
the touch of the book, not in shares.
"""

from dataclasses import dataclass
from typing import ClassVar

from schemas.codec import Rows
from schemas.instruments import Instrument
from surveillance.contract import Arrays, Finding, Measure
from surveillance.detectors.canceled_depth import SECOND_NS, Attempt, CanceledDepth
from surveillance.detectors.flips import Flips, flip_finding
from surveillance.market import Market
from surveillance.orders import OrderTracker, TrackedOrder, other_side
from surveillance.state_bytes import pack, unpack
from surveillance.wording import VERBS, counted, percent, seconds, span, tenths


@dataclass(frozen=True)
class SpoofingParameters:
    """When a shown order is a spoof. Every bound is inclusive."""

    orders_min: int = 1
    """Resting orders on the shown side."""
    level_sizes_min: int = 4
    """Shown lots : the usual size at the touch (a followed median)."""
    imbalance_min: int = 5
    """Shown lots : the owner's own interest on the other side."""
    age_ns_max: int = 90 * SECOND_NS
    """Longest time between the entry of the order and the execution."""
    cancel_within_ns: int = 5 * SECOND_NS
    """From the last execution to the cancellation."""
    canceled_percent_min: int = 80
    """Share of the shown lots that their owner canceled."""
    filled_percent_max: int = 10
    """Share of the orders' original lots that were ever executed."""
    layering_orders: int = 4
    """So many orders at `layering_levels` prices are layering and not spoofing."""
    layering_levels: int = 3
    """See layering_orders."""
    attempts_min: int = 2
    """Attempts of an owner within twenty minutes before they are reported. Once, an investor may change its mind after a trade."""
    strong_imbalance_min: int = 100
    """Shown lots : own interest of an attempt that is reported by itself."""
    flip_ns: int = SECOND_NS
    """From the cancellation to a trade on the other side that follows it: the large order was there for that."""
    flips_min: int = 2
    """Flips and attempts of an owner within twenty minutes before a flip is reported."""
    layers_max: int = 64
    """How many of the newest orders of a side are examined."""
    executions_max: int = 64
    """Executions of an attempt that are kept as evidence."""


class SpoofingDetector(CanceledDepth):
    """Spoofs of one book shard."""

    name: ClassVar[str] = "spoofing"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("FINRA 5210.03", "CEA 4c(a)(5)(C)", "MAR Annex I.A(f)", "(EU) 2016/522 Annex II 1.5(e)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: SpoofingParameters | None = None) -> None:
        self._own = parameters or SpoofingParameters()
        super().__init__(tracker, market, self._own)
        self._flips = Flips(tracker, self._own)

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> tuple[Finding, ...]:
        """An execution while the large order stands, or just after it went."""
        super().executed(order, price, qty, now)
        flip = self._flips.taken(order, price, qty, self.market.book(order.instrument).level_qty, now)
        if flip is None:
            return ()
        for layer in flip.layers:
            self.tracker.flag(layer)
        enough = self.attempts_with(order.instrument, order.owner, now) >= self._own.flips_min
        return (flip_finding(self.name.upper(), flip, self._own, now),) if enough else ()

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> tuple[Finding, ...]:
        """The end of an attempt, or the first half of a flip."""
        found = super().withdrawn(order, canceled_qty, now)
        if (
            canceled_qty
            and order.rests
            and order.ended_at
            and not order.flagged
            and canceled_qty >= self.market.book(order.instrument).level_qty
        ):
            self._flips.note(order, canceled_qty, now)
        return found

    def snapshot(self) -> dict[str, Rows]:
        """Attempts and flips."""
        return {**super().snapshot(), "flips": pack(self._flips.state())}

    def restore(self, arrays: Arrays) -> None:
        """The opposite."""
        super().restore(arrays)
        self._flips.load(unpack(arrays["flips"]))

    def are_layers(self, layers: list[TrackedOrder], shown_qty: int, instrument: int) -> bool:
        """Large for this book, and not layering."""
        usual_qty = self.market.book(instrument).level_qty
        if not usual_qty or shown_qty < self._own.level_sizes_min * usual_qty:
            return False
        return len(layers) < self._own.layering_orders or len({layer.price for layer in layers}) < self._own.layering_levels

    def more_measures(self, layers: list[TrackedOrder], shown_qty: int) -> tuple[Measure, ...]:
        """The size against the book."""
        usual_qty = self.market.book(layers[0].instrument).level_qty
        return (Measure("shown to usual level", shown_qty // max(usual_qty, 1), self._own.level_sizes_min, "times"),)

    def story(self, attempt: Attempt, layers: list[TrackedOrder], now: int, instrument: Instrument) -> tuple[str, ...]:
        """Shown order, fill, cancellation."""
        side, _ = VERBS[attempt.side]
        other, traded = VERBS[other_side(attempt.side)]
        usual_qty = self.market.book(attempt.instrument).level_qty
        lots, price = instrument.qty_text, instrument.price_text
        return (
            f"Account {attempt.owner} showed {lots(attempt.shown_qty)} {instrument.symbol} to {side} in {counted(len(layers), 'order')} at "
            f"{span(price, [layer.price for layer in layers])}, {tenths(attempt.shown_qty, max(usual_qty, 1))} times what usually stands at the touch.",
            f"While this stood there, it {traded} {lots(attempt.traded_qty)} in {counted(attempt.trades, 'trade')} at "
            f"{span(price, [one.price for one in attempt.executions])}; its own {other} interest was {lots(attempt.own_qty)}.",
            f"Within {seconds(now - attempt.last_traded_at)} of the last trade it had canceled {lots(attempt.canceled_qty)} of "
            f"{lots(attempt.layered_qty)} ({percent(attempt.canceled_qty, attempt.layered_qty)}); "
            f"{lots(attempt.filled_qty())} of the shown orders had been executed.",
            "A bid or offer with the intent to cancel it before execution: compare section 4c(a)(5)(C) of the Commodity Exchange Act.",
        )
