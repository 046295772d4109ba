"""Every attack of the table is stopped; and without the protection that stops it, it succeeds, so the test can fail."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from at_every_door import ATTACKS, Attack
from removed import removed

from access import passwords

ATTACKS_MIN = 150


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that cost nothing."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords.nobodys_hash.cache_clear()
    yield
    passwords.nobodys_hash.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_attack_is_stopped_and_succeeds_without_its_protection(attack: Attack) -> None:
    """At an open door of its own each time."""
    async with attack.door() as door:
        assert not await attack.run(door), f"{attack.name} has succeeded"
    with removed(*attack.edits):
        async with attack.door() as door:
            assert await attack.run(door), f"{attack.name} fails for another reason than the protection that it names"


def test_attacks_have_names_of_their_own() -> None:
    """The threat model refers to them."""
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) >= ATTACKS_MIN
