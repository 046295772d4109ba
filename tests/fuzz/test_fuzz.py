"""A few thousand inputs of tests/fuzz/run_fuzz.py; `make fuzz` gives a million."""

import random
from collections.abc import Iterator

import pytest
from mutations import mutated
from run_fuzz import attack, problems_of
from targets import Target, targets

INPUTS = 300
SEED = 1
DOORS = targets()
COUNTS = [0]


@pytest.fixture(scope="module", autouse=True)
def _told(told: list[str]) -> Iterator[None]:
    yield
    told.append(f"bad inputs at every door: {COUNTS[0]:,} at {len(DOORS)} doors")


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_door_takes_or_refuses_whatever_comes(door: Target) -> None:
    """It raises nothing else; and what is good, it takes: otherwise the changes would be of something that never gets far."""
    answers = {door.ask(one) for one in door.good}
    assert answers == ({"WRONG_CODE"} if door.name == "code of a record" else {"taken"})
    found = attack(door, INPUTS, SEED)
    assert problems_of([found], SEED, INPUTS) == []
    COUNTS[0] += found.inputs


def test_a_door_that_raises_hangs_or_lets_a_forger_in_is_found() -> None:
    """The input that shows it comes again with the same seed."""

    def careless(data: bytes) -> str:
        return "taken" if data == b"[1, 2]" else f"refused {data.decode()[0]}"

    door = Target("careless", (b"[1, 2]",), careless)
    found = attack(door, INPUTS, SEED)
    kinds = {one.what.partition(":")[0] for one in found.defects}
    assert kinds >= {"UnicodeDecodeError", "IndexError"}
    first = found.defects[0]
    assert any(first.what in one for one in problems_of([found], SEED, INPUTS))
    again = attack(door, INPUTS, SEED, only_at=first.at)
    assert again.defects[-1] == first


def test_the_same_seed_makes_the_same_inputs() -> None:
    """And most of them are not what was good."""
    good = [b'{"qty": "5", "price": 1}', b"x = 1\n"]
    first, second = ([mutated(random.Random(f"s/{number}"), good) for number in range(200)] for _ in range(2))
    assert first == second
    assert sum(one not in good for one in first) > 150
