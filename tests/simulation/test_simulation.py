"""The whole exchange under faults, seed by seed: nothing lost, nothing doubled, money conserved; and the proof that the simulation would notice."""

from collections import Counter

import pytest
from faults import KINDS
from protections import PROTECTIONS, without
from simulate import simulate

SEEDS_PER_TEST = 10
TESTS = 8
"""80 seeds take some 15 s; long_simulation.py runs as many as there is time for."""
SEEDS_TO_NOTICE = 100
"""Within so many seeds a missing protection is noticed; most are by the first ones."""
FIRST_SEEDS = {"a disk is up to date only without gaps": 48, "an edge tells repeated frames by their marks": 38}
"""These two are noticed by one seed in thirty or so: begin where one was, to save time."""


@pytest.mark.parametrize("first", range(1_000, 1_000 + TESTS * SEEDS_PER_TEST, SEEDS_PER_TEST))
def test_whatever_fails_nothing_is_lost_or_doubled(first):
    """Faults until the customers are done, then rest: log, replay, states, sinks, money and edges agree."""
    for seed in range(first, first + SEEDS_PER_TEST):
        run = simulate(seed)
        assert not run.broken, str(run)


def test_a_seed_runs_the_same_way_again():
    """The same faults at the same steps, and the same bytes in the log: else a failing seed would be worth nothing."""
    first, second = simulate(7), simulate(7)
    assert first.digest == second.digest
    assert first.story == second.story
    assert first.counts == second.counts


def test_every_kind_of_fault_happens():
    """A fault that is never injected would prove nothing."""
    counts: Counter[str] = sum((simulate(seed).counts for seed in range(16)), Counter())
    assert {kind for kind in KINDS if not counts[kind]} == set()


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_without_a_protection_some_seed_finds_what_it_is_for(protection):
    """Take one away at a time."""
    with without(protection):
        first = FIRST_SEEDS.get(protection, 0)
        assert any(simulate(seed).broken for seed in range(first, first + SEEDS_TO_NOTICE))
