"""The whole exchange under faults, seed by seed: nothing lost, nothing doubled, money conserved; and the proof that the simulation would notice."""

from collections.abc import Iterator

import pytest
from faults import KINDS
from many_seeds import Tally, Workers
from protections import PROTECTIONS
from simulate import Run, simulate

FIRST_SEED = 1_000
SEEDS = 128
"""Some 80 s of a processor; long_simulation.py runs as many as there is time for."""
SEEDS_TO_NOTICE = 200
"""Within so many seeds a missing protection is noticed; most are by the first ones."""
FIRST_SEEDS = {
    "a page is not overwritten while it is needed": 9,
    "a sender writes only what is its to write": 32,
    "a snapshot falls between two inputs": 67,
    "a disk is up to date only without gaps": 44,
    "acknowledgements wait for the changelog": 8,
    "an edge tells repeated frames by their marks": 165,
    "snapshots wait for the outputs before them": 12,
}
"""Where to begin for those that the first few seeds do not notice, to save time. Should a change of the program move them, they are found later."""


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """One process a core."""
    with Workers() as made:
        yield made


@pytest.fixture(scope="module")
def tally(workers: Workers, told: list[str]) -> tuple[Tally, list[Run]]:
    """All seeds, run once; told again at the end of the session, see conftest."""
    found, broken = Tally(), []
    for run in workers.runs(range(FIRST_SEED, FIRST_SEED + SEEDS)):
        found.add(run)
        if run.broken:
            broken.append(run)
    told.append(f"simulation: {found}")
    return found, broken


@pytest.mark.slow
def test_whatever_fails_nothing_is_lost_or_doubled(tally: tuple[Tally, list[Run]]) -> None:
    """Faults until the customers are done, then rest: log, replay, states, sinks, money and edges agree."""
    found, broken = tally
    assert found.seeds == SEEDS
    assert not broken, "\n".join(str(run) for run in broken[:3])


@pytest.mark.slow
def test_every_kind_of_fault_happens(tally: tuple[Tally, list[Run]]) -> None:
    """A fault that is never injected would prove nothing."""
    found, _ = tally
    assert {
        kind
        for kind in (*KINDS, "torn snapshots", "replicas", "asked again", "forged snapshot", "forged snapshots alone")
        if not found.counts[kind]
    } == set()


@pytest.mark.parametrize("seed", range(5))
def test_a_few_seeds_lose_and_double_nothing(seed: int) -> None:
    """As the test of all seeds, which is slow: enough to see between two edits that the exchange still stands."""
    run = simulate(seed)
    assert not run.broken, str(run)


def test_a_seed_runs_the_same_way_again() -> None:
    """The same faults at the same steps, and the same bytes in the log: else a failing seed would be worth nothing."""
    first, second = simulate(7), simulate(7)
    assert first.digest == second.digest
    assert first.story == second.story
    assert first.counts == second.counts


def test_seeds_to_begin_with_are_of_protections() -> None:
    """A name that is wrong would be passed over."""
    assert set(PROTECTIONS) >= FIRST_SEEDS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("protection", PROTECTIONS)
def test_without_a_protection_some_seed_finds_what_it_is_for(workers: Workers, protection: str) -> None:
    """Take one away at a time."""
    first = FIRST_SEEDS.get(protection, 0)
    assert workers.first_to_notice(protection, range(first, first + SEEDS_TO_NOTICE)) is not None
