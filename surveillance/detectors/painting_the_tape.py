"""Painting the tape: many small aggressive trades that each move the last price the same way, and leave hardly a position.

Securities Exchange Act 9(a)(2); (EU) 2016/522 Annex II. Small investors trade small too, but each of their trades moves the price as
seldom as everybody's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from schemas.enums import Side
from schemas.instruments import Instrument
from surveillance.activity import FIFTEEN_MINUTES, SMALL_TICKS, TAKEN_QTY, TAKES, Counters
from surveillance.contract import Finding, Measure
from surveillance.detectors.window_patterns import SIDES, Steps, WindowPattern, traded
from surveillance.market import Book, Market
from surveillance.orders import OrderTracker
from surveillance.wording import VERBS


@dataclass(frozen=True)
class PaintingTheTapeParameters:
    """When small trades paint. Every bound is inclusive; of the last 15 minutes."""

    trades_min: int = 10
    """Small trades that moved the price the owner's way."""
    moving_percent_min: int = 40
    """Of the owner's own aggressive trades on this side."""
    times_min: int = 2
    """That share : the same share of everybody else."""
    size_percent_max: int = 10
    """The owner's mean aggressive trade on this side : usual order. A price is shown as cheaply as can be."""
    net_percent_max: int = 60
    """Position made : lots traded."""


class PaintingTheTapeDetector(WindowPattern):
    """Sums of fifteen minutes."""

    name: ClassVar[str] = "painting_the_tape"
    version: ClassVar[int] = 3
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 9(a)(2)", "FINRA 5210", "(EU) 2016/522 Annex II 1.3(d)")
    buckets: ClassVar[int] = FIFTEEN_MINUTES

    def __init__(self, tracker: OrderTracker, market: Market, parameters: PaintingTheTapeParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or PaintingTheTapeParameters()

    def judge(self, book: Book, owner: int, sums: Counters, volume: int) -> Iterable[Finding]:
        """Does it move the price far more often than others?"""
        rules = self.parameters
        bought, sold = traded(sums, 0), traded(sums, 1)
        for at, side, _ in SIDES:
            small = sums[SMALL_TICKS + at]
            if small < rules.trades_min or small * 100 < sums[TAKES + at] * rules.moving_percent_min:
                continue
            if abs(bought - sold) * 100 > (bought + sold) * rules.net_percent_max:
                continue
            usual_qty, taken = max(book.order_qty, 1), sums[TAKEN_QTY + at]
            if taken * 100 > sums[TAKES + at] * usual_qty * rules.size_percent_max:
                continue
            others = [one for other, one in book.windows.sums[self.buckets].items() if other != owner]
            others_small, others_takes = (sum(one[counter + at] for one in others) for counter in (SMALL_TICKS, TAKES))
            if small * others_takes < others_small * sums[TAKES + at] * rules.times_min:
                continue
            share, usual = small * 100 // sums[TAKES + at], others_small * 100 // max(others_takes, 1)
            steps = _story(owner, side, (small, share, usual, bought, sold))
            found = self.found(book, owner, side, min(950, 450 + 4 * share + 2 * small), steps, (
                Measure("small moving trades", small, rules.trades_min),
                Measure("moving share of own trades", share, rules.moving_percent_min, "percent"),
                Measure("moving share to that of others", share // max(usual, 1), rules.times_min, "times"),
                Measure("mean trade to usual order", taken * 100 // (sums[TAKES + at] * usual_qty), rules.size_percent_max, "percent", at_least=False),
                Measure("position to volume", abs(bought - sold) * 100 // (bought + sold), rules.net_percent_max, "percent", at_least=False),
            ))  # fmt: skip
            if found:
                yield found


def _story(owner: int, side: int, seen: tuple[int, ...]) -> Steps:
    small, share, usual, bought, sold = seen
    way = "up" if side == Side.BUY else "down"

    def steps(names: Instrument) -> tuple[str, ...]:
        return (
            f"In 15 minutes account {owner} {VERBS[side][1]} {small} times in small trades that moved the last price of {names.symbol} {way}: "
            f"{share} % of its aggressive trades on that side, of all others' {usual} %.",
            f"It bought {names.qty_text(bought)} and sold {names.qty_text(sold)}, so hardly a position is left of it.",
            "Trades that show a price and not an interest: compare section 9(a)(2) of the Securities Exchange Act.",
        )

    return steps
