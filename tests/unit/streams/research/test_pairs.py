"""Pairs of markets with doors and news: the manipulators of the second stage are caught in them, and nobody else is accused by it."""

import pytest

from schemas.codec import encode_record
from streams.research.labelled.evaluate import PATTERNS, Plan
from streams.research.labelled.injectors import PARTY
from streams.research.labelled.markets import Outcome, Scenario
from streams.research.labelled.pairs import PAIR_CONTROLS, PAIR_INJECTORS, background_pair, injected_pair
from surveillance.accounts.watch import PARTY_PATTERNS

pytestmark = pytest.mark.slow

DENSITY = 4.0


def accused(outcome: Outcome) -> set[tuple[str, int]]:
    """(pattern, account) of the second stage's alerts."""
    return {(one["pattern"], account) for one in outcome.alerts if one["pattern"] in PAIR_INJECTORS for account in one["accounts"]}


def test_there_is_an_injector_for_every_pattern_of_the_second_stage() -> None:
    """And no other. They are evaluated behind those of the first stage, so that the seeds of these stay."""
    assert set(PAIR_INJECTORS) == {pattern.name.upper() for pattern in PARTY_PATTERNS}
    assert PATTERNS[-3:] == tuple(PAIR_INJECTORS)
    assert Plan(patterns=("LAYERING",), densities=(3.0,), severities=(0.5,), scenarios=2, background_orders=60_000).markets() == 2 + 2
    assert (
        Plan(patterns=("LAYERING", "CROSS_BOOK"), densities=(3.0,), severities=(0.5,), scenarios=2, background_orders=60_000).markets()
        == 4 + 4
    )


@pytest.mark.parametrize("pattern", PAIR_INJECTORS)
def test_every_bold_manipulator_of_two_books_is_caught_and_nobody_else_is_accused(pattern: str) -> None:
    """At severity 0.9, beside a traveller, a changed device, a maker of both books, a daily fund and a pair that is unwound."""
    outcome = injected_pair(Scenario(pattern, 0.9, DENSITY, 3, camouflage=False))
    (label,) = outcome.labels
    assert {name for name, _ in PAIR_CONTROLS.values()} <= set(outcome.controls.values())
    assert label.orders
    assert (pattern, PARTY) in accused(outcome)
    assert {account for _, account in accused(outcome)} <= set(label.accounts)


def test_a_seed_is_a_pair_of_markets_alert_for_alert() -> None:
    """Byte for byte."""
    runs = [injected_pair(Scenario("CROSS_BOOK", 0.8, 2.0, 5, camouflage=True)) for _ in range(2)]
    first, again = ([encode_record("alert", one) for one in run.alerts] for run in runs)
    assert first == again
    assert runs[0].rows == runs[1].rows


def test_the_second_stage_accuses_nobody_where_nobody_knew() -> None:
    """News that surprises everybody, and all look-alikes."""
    outcome = background_pair(DENSITY, 4, 3_000)
    assert outcome.orders > 2_500
    assert accused(outcome) == set()
