"""Unbalanced cancels: on one side an owner cancels nearly all that it enters, on the other it trades nearly all.

MAR Annex I.A(f). The trace of spoofing that no single attempt shows. A quoter cancels on both sides alike; who unwinds trades on one side only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from schemas.instruments import Instrument
from surveillance.activity import CANCELS, FILLS, FIVE_MINUTES, Counters
from surveillance.contract import Finding, Measure
from surveillance.detectors.window_patterns import SIDES, Steps, WindowPattern
from surveillance.market import Book, Market
from surveillance.orders import OrderTracker
from surveillance.wording import VERBS


@dataclass(frozen=True)
class UnbalancedCancelParameters:
    """When cancels are unbalanced. Every bound is inclusive; of the last five minutes. Ours: no rule gives numbers."""

    cancels_min: int = 50
    """Cancels on the one side."""
    canceled_times_min: int = 12
    """Cancels : trades on that side."""
    sides_times_min: int = 4
    """Cancels : cancels on the other side. A quoter cancels on both alike, wherever it trades."""
    fills_min: int = 5
    """Trades on the other side."""
    other_times_max: int = 5
    """Cancels : trades on the other side."""


class UnbalancedCancelDetector(WindowPattern):
    """Sums of five minutes."""

    name: ClassVar[str] = "unbalanced_cancel"
    version: ClassVar[int] = 3
    rule_refs: ClassVar[tuple[str, ...]] = ("MAR Annex I.A(f)", "FINRA 5210.03")
    buckets: ClassVar[int] = FIVE_MINUTES

    def __init__(self, tracker: OrderTracker, market: Market, parameters: UnbalancedCancelParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or UnbalancedCancelParameters()

    def judge(self, book: Book, owner: int, sums: Counters, volume: int) -> Iterable[Finding]:
        """Are its sides so different?"""
        rules = self.parameters
        for at, side, _ in SIDES:
            canceled, filled = sums[CANCELS + at], sums[FILLS + at]
            if canceled < rules.cancels_min or canceled < filled * rules.canceled_times_min:
                continue
            others_canceled, others_filled = sums[CANCELS + 1 - at], sums[FILLS + 1 - at]
            if canceled < others_canceled * rules.sides_times_min:
                continue
            if others_filled < rules.fills_min or others_canceled > others_filled * rules.other_times_max:
                continue
            found = self.found(book, owner, side, min(900, 500 + canceled), _story(owner, side, (canceled, filled, others_canceled, others_filled)), (
                Measure("cancels", canceled, rules.cancels_min),
                Measure("cancels to trades", canceled // max(filled, 1), rules.canceled_times_min, "times"),
                Measure("cancels to those of the other side", canceled // max(others_canceled, 1), rules.sides_times_min, "times"),
                Measure("trades on the other side", others_filled, rules.fills_min),
                Measure("cancels to trades there", others_canceled // others_filled, rules.other_times_max, "times", at_least=False),
            ))  # fmt: skip
            if found:
                yield found


def _story(owner: int, side: int, seen: tuple[int, ...]) -> Steps:
    canceled, filled, others_canceled, others_filled = seen

    def steps(names: Instrument) -> tuple[str, ...]:
        return (
            f"In five minutes account {owner} canceled {canceled} {VERBS[side][0]} orders in {names.symbol} and traded {filled} times on that side.",
            f"On the other side it traded {others_filled} times and canceled {others_canceled} orders.",
            "One side is shown, the other is meant: compare MAR, Annex I.A(f).",
        )

    return steps
