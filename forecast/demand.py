"""What will be asked for most when the market opens: of symbols, and of accounts. A function of counts that are known before.

Each signal counts by its share: who had a tenth of yesterday's trades and is on a tenth of the watchlists is expected to draw a tenth of the reads.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Signal:
    """Counts by number (of an instrument, of an account), and how much they say beside the other signals."""

    name: str
    counts: Mapping[int, float]
    weight: float


YESTERDAY: Final = 0.5
WATCHED: Final = 0.3
INTEREST: Final = 0.2
"""Weights of symbols: yesterday's trades are there for all; who watches will look; what an auction has gathered is of today."""


def ranked(signals: Sequence[Signal], most: int) -> list[tuple[int, float]]:
    """(number, expected share of reads), the largest first, equals by their number; `most` of them. Counts that are not above zero say nothing."""
    shares: defaultdict[int, float] = defaultdict(float)
    for signal in signals:
        total = sum(count for count in signal.counts.values() if count > 0)
        for number, count in signal.counts.items():
            if count > 0:
                shares[number] += signal.weight * count / total
    weights = sum(signal.weight for signal in signals if any(count > 0 for count in signal.counts.values()))
    order = sorted(shares.items(), key=lambda one: (-one[1], one[0]))
    return [(number, share / weights) for number, share in order[:most]]
