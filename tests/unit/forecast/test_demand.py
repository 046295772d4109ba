"""What will be asked for most at an open."""

from forecast.demand import Signal, ranked

TRADES = Signal("yesterday", {1: 900, 2: 100}, 0.5)
LISTS = Signal("watchlists", {2: 3, 3: 1}, 0.5)


def test_each_signal_counts_by_its_share_and_its_weight() -> None:
    """A tenth of the trades and three quarters of the lists, half and half."""
    assert ranked([TRADES, LISTS], 10) == [(1, 0.45), (2, 0.425), (3, 0.125)]


def test_a_signal_that_says_nothing_leaves_its_weight_to_the_others() -> None:
    """On a first day there is no yesterday."""
    assert ranked([Signal("yesterday", {}, 0.5), Signal("auction", {7: -2}, 0.2), LISTS], 10) == [(2, 0.75), (3, 0.25)]
    assert ranked([], 10) == ranked([Signal("yesterday", {1: 0}, 1.0)], 10) == []


def test_no_more_are_named_than_are_wanted_and_equals_come_by_number() -> None:
    """So two runs have the same plan."""
    assert [number for number, _ in ranked([Signal("x", {5: 1, 3: 1, 4: 1}, 1.0)], 2)] == [3, 4]
