"""The arithmetic of the Limit Up-Limit Down bands against the numbers of the Plan (Amendment 18) and of docs/rules.md, section 6."""

import pytest

from matchers.books.reference.bands import bands_of
from schemas.limits import PRICE_TICKS_MAX

CENT = 100
"""A tick of $0.01 in minor units of 1/10,000."""
MILL = 1

TABLE = [
    # what, reference, previous close (ticks), tier, tick_minor, doubled, lower, upper
    ("tier 1 above $3.00: 5 %", 10_000, 10_000, 1, CENT, False, 9_500, 10_500),
    ("tier 1 above $3.00, doubled: 10 %", 10_000, 10_000, 1, CENT, True, 9_000, 11_000),
    ("tier 1 at $3.01 still 5 %", 301, 301, 1, CENT, False, 286, 316),
    ("tier 2 above $3.00: 10 %", 10_000, 10_000, 2, CENT, False, 9_000, 11_000),
    ("tier 2 above $3.00 is not doubled", 10_000, 10_000, 2, CENT, True, 9_000, 11_000),
    ("tier 1 at $3.00: 20 %", 300, 300, 1, CENT, False, 240, 360),
    ("tier 2 at $3.00: 20 %", 300, 300, 2, CENT, False, 240, 360),
    ("tier 1 at $3.00, doubled: 40 %", 300, 300, 1, CENT, True, 180, 420),
    ("tier 2 at $3.00, doubled: 40 %", 300, 300, 2, CENT, True, 180, 420),
    ("at $0.75: 20 %", 75, 75, 1, CENT, False, 60, 90),
    ("below $0.75: $0.15 where that is less than 75 %", 74, 74, 1, CENT, False, 59, 89),
    ("below $0.75: 75 % where that is less than $0.15", 16, 16, 1, CENT, False, 4, 28),
    ("at $0.20 both are the same", 20, 20, 2, CENT, False, 5, 35),
    ("below $0.75, doubled: $0.30 where that is less", 74, 74, 2, CENT, True, 44, 104),
    ("below $0.75, doubled: 150 % where that is less; the lower band is a tick", 10, 10, 1, CENT, True, 1, 25),
    ("the width is by previous close, not by the reference", 280, 310, 1, CENT, False, 266, 294),
    ("the same the other way", 320, 290, 2, CENT, False, 256, 384),
    ("doubling of tier 2 is by previous close, too", 280, 310, 2, CENT, True, 252, 308),
    ("half a tick is rounded up, both bands", 1_010, 1_010, 1, CENT, False, 960, 1_061),
    ("less than half a tick is rounded down", 1_002, 1_002, 1, CENT, False, 952, 1_052),
    ("half a tick of a lower band", 1_030, 1_030, 1, CENT, False, 979, 1_082),
    ("a finer tick: $0.15 are 1,500 of them", 7_400, 7_400, 1, MILL, False, 5_900, 8_900),
    ("a finer tick at $3.00", 30_000, 30_000, 2, MILL, False, 24_000, 36_000),
    ("one tick", 1, 1, 1, CENT, False, 1, 2),
    ("the highest price bounds the upper band", PRICE_TICKS_MAX, PRICE_TICKS_MAX, 2, CENT, False, 1_932_735_283, PRICE_TICKS_MAX),
]


@pytest.mark.parametrize(
    ("reference", "previous_close", "tier", "tick_minor", "doubled", "low", "high"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_bands_are_those_of_the_plan(
    reference: int, previous_close: int, tier: int, tick_minor: int, doubled: bool, low: int, high: int
) -> None:
    """Lower and upper band in ticks."""
    assert bands_of(reference, previous_close, tier, tick_minor, doubled) == (low, high)


@pytest.mark.parametrize("tier", [1, 2])
@pytest.mark.parametrize("doubled", [False, True])
def test_bands_hold_their_reference_between_them(tier: int, doubled: bool) -> None:
    """For every price up to $10: at least a tick is left, bands never cross, and a higher reference has no lower bands."""
    for previous_close in (5, 74, 75, 300, 301):
        before = (0, 0)
        for reference in range(1, 1_000):
            bands = bands_of(reference, previous_close, tier, CENT, doubled)
            assert 1 <= bands[0] <= reference <= bands[1]
            assert before[0] <= bands[0] and before[1] <= bands[1]
            before = bands
