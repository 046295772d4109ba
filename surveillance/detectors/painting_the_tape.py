"""Painting the tape: many small aggressive trades that each move the last price the same way, and leave hardly a position.

Securities Exchange Act 9(a)(2); (EU) 2016/522 Annex II. Small investors trade small too, but not most of a book's upticks by one owner.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from schemas.instruments import Instrument
from surveillance.activity import FIFTEEN_MINUTES, SMALL_TICKS, TAKES, Counters
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
    share_percent_min: int = 50
    """Of all owners' such trades."""
    moving_percent_min: int = 40
    """Of the owner's own aggressive trades on this side."""
    net_percent_max: int = 60
    """Position made : lots traded."""


class PaintingTheTapeDetector(WindowPattern):
    """Sums of fifteen minutes."""

    name: ClassVar[str] = "painting_the_tape"
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 9(a)(2)", "FINRA 5210", "(EU) 2016/522 Annex II 1.3(d)")
    buckets: ClassVar[int] = FIFTEEN_MINUTES

    def __init__(self, tracker: OrderTracker, market: Market, parameters: PaintingTheTapeParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or PaintingTheTapeParameters()

    def judge(self, book: Book, owner: int, sums: Counters, volume: int) -> Iterable[Finding]:
        """Most small ticks of a side?"""
        rules = self.parameters
        bought, sold = traded(sums, 0), traded(sums, 1)
        for at, side, _ in SIDES:
            small = sums[SMALL_TICKS + at]
            if small < rules.trades_min or small * 100 < sums[TAKES + at] * rules.moving_percent_min:
                continue
            if abs(bought - sold) * 100 > (bought + sold) * rules.net_percent_max:
                continue
            everybody = sum(one[SMALL_TICKS + at] for one in book.windows.sums[self.buckets].values())
            share = small * 100 // everybody
            if share < rules.share_percent_min:
                continue
            steps = _story(owner, side, small, share, bought, sold)
            found = self.found(book, owner, side, min(950, 450 + 4 * share + 2 * small), steps, (
                Measure("small moving trades", small, rules.trades_min),
                Measure("share of all such trades", share, rules.share_percent_min, "percent"),
                Measure("moving share of own trades", small * 100 // sums[TAKES + at], rules.moving_percent_min, "percent"),
                Measure("position to volume", abs(bought - sold) * 100 // (bought + sold), rules.net_percent_max, "percent", at_least=False),
            ))  # fmt: skip
            if found:
                yield found


def _story(owner: int, side: int, small: int, share: int, bought: int, sold: int) -> Steps:
    way = "up" if side == 1 else "down"

    def steps(names: Instrument) -> tuple[str, ...]:
        return (
            f"In 15 minutes account {owner} {VERBS[side][1]} {small} times in small trades that moved the last price of {names.symbol} {way}: "
            f"{share} % of all such trades.",
            f"It bought {names.qty_text(bought)} and sold {names.qty_text(sold)}, so hardly a position is left of it.",
            "Trades that show a price and not an interest: compare section 9(a)(2) of the Securities Exchange Act.",
        )

    return steps
