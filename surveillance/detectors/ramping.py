"""Ramping: a large share of what is taken, for minutes and on one side, while the price goes that way; then positions sold at the price made.

Securities Exchange Act 9(a)(2); MAR Annex I.A(a). A crowd of buyers has no one share; a large investor that only buys does not sell into it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

from schemas.instruments import Instrument
from surveillance.activity import COST, HALF_AN_HOUR, TAKEN_QTY, Counters
from surveillance.contract import Finding, Measure
from surveillance.detectors.window_patterns import SIDES, Steps, WindowPattern, traded
from surveillance.market import Book, Market
from surveillance.orders import OrderTracker
from surveillance.wording import VERBS, counted


@dataclass(frozen=True)
class RampingParameters:
    """When a trend is made by one owner. Every bound is inclusive; of the last half hour."""

    share_percent_min: int = 20
    """Taken by the owner on one side : all that was taken in the half minutes in which it did."""
    buckets_min: int = 3
    """So many half minutes. A trend takes longer than an order."""
    one_sided_percent_min: int = 80
    """Of what the owner took, on that side."""
    sold_percent_min: int = 5
    """Traded the other way : traded on that side."""
    move_permille_min: int = 1_000
    """Price move : the mean move per bucket times the root of the number of buckets; in 1/1000."""
    ticks_min: int = 5
    """Price move from the first to the last close, ticks."""
    size_min: int = 30
    """Taken lots : usual trade."""


class RampingDetector(WindowPattern):
    """Sums of half an hour."""

    name: ClassVar[str] = "ramping"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 9(a)(2)", "MAR Annex I.A(a)")
    buckets: ClassVar[int] = HALF_AN_HOUR

    def __init__(self, tracker: OrderTracker, market: Market, parameters: RampingParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or RampingParameters()

    def judge(self, book: Book, owner: int, sums: Counters, volume: int) -> Iterable[Finding]:
        """Took it a large part of a trend, and sold into it?"""
        rules, closes = self.parameters, book.closes
        for at, side, sign in SIDES:
            taken, other = sums[TAKEN_QTY + at], 1 - at
            if taken < rules.size_min * max(book.trade_qty, 1) or len(closes) < 4:
                continue
            move = max(closes) - closes[0] if sign > 0 else closes[0] - min(closes)
            usual = book.move_per_bucket() * isqrt(len(closes) * 1_000_000) // 1000  # 1/1000 tick
            own, back = traded(sums, at), traded(sums, other)
            if move < rules.ticks_min or move * 1_000_000 < usual * rules.move_permille_min:
                continue
            if taken * 100 < (taken + sums[TAKEN_QTY + other]) * rules.one_sided_percent_min or back * 100 < own * rules.sold_percent_min:
                continue
            buckets, worked, all_taken = book.windows.at_work(owner, TAKEN_QTY + at)
            if buckets < rules.buckets_min or worked * 100 < all_taken * rules.share_percent_min:
                continue
            gain = (
                sums[COST + other] - closes[0] * back
            ) * sign  # against the price before the ramp: who had lots before sells them dearer
            if gain <= 0:
                continue
            share = worked * 100 // all_taken
            seen = (taken, buckets, share, move, back, gain)
            found = self.found(book, owner, side, min(950, 500 + 5 * share), _story(owner, side, seen), (
                Measure("share of what was taken", share, rules.share_percent_min, "percent"),
                Measure("half minutes", buckets, rules.buckets_min),
                Measure("price move", move, max(rules.ticks_min, -(-usual * rules.move_permille_min // 1_000_000)), "ticks"),
                Measure("traded the other way", back * 100 // own, rules.sold_percent_min, "percent"),
                Measure("size to usual trade", taken // max(book.trade_qty, 1), rules.size_min, "times"),
            ))  # fmt: skip
            if found:
                yield found


def _story(owner: int, side: int, seen: tuple[int, ...]) -> Steps:
    taken, buckets, share, move, back, gain = seen

    def steps(names: Instrument) -> tuple[str, ...]:
        return (
            f"In half an hour account {owner} {VERBS[side][1]} {names.qty_text(taken)} {names.symbol} aggressively, in {counted(buckets, 'half minute')}: "
            f"{share} % of all that was taken in them.",
            f"The price moved {counted(move, 'tick')} that way.",
            f"It traded {names.qty_text(back)} the other way, {counted(gain, 'tick')} x lots better than at the price before.",
            "A trend made to be sold into: compare section 9(a)(2) of the Securities Exchange Act.",
        )

    return steps
