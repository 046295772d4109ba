"""What is broken in a run, drawn from a seed: so many faults of every kind, each with its victims. Pure.

A deck has every kind as often as WEIGHTS says; it is shuffled and dealt, and again, until there are enough faults. So a run of DECK faults has every
kind, and a longer one has them in the same proportion. The victims of a kind are dealt in the same way: all before any comes a second time.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar


class Kind(StrEnum):
    """A way to break something."""

    KILL_ROLE = "kill role"
    KILL_EDGE = "kill edge"
    KILL_BROKER = "kill broker"
    KILL_STORE = "kill store"
    KILL_ROLE_AND_BROKER = "kill role and broker"
    KILL_ALL_ROLES = "kill all roles"
    ZOMBIE_ROLE = "zombie role"
    STOP_BROKER = "stop broker"
    STOP_STORE = "stop store"
    STOP_EDGE = "stop edge"
    FULL_DISK_ROLE = "full disk, role"
    FULL_DISK_BROKER = "full disk, broker"
    FULL_HOME = "full home"
    FROZEN_ROLE = "frozen role"
    FROZEN_STORE = "frozen store"
    FROZEN_BROKER = "frozen broker"
    NETWORK_CUT = "network cut"
    NETWORK_SLOW = "network slow"


WEIGHTS: Final = {
    Kind.KILL_ROLE: 6,
    Kind.KILL_EDGE: 1,
    Kind.KILL_BROKER: 3,
    Kind.KILL_STORE: 3,
    Kind.KILL_ROLE_AND_BROKER: 2,
    Kind.KILL_ALL_ROLES: 1,
    Kind.ZOMBIE_ROLE: 4,
    Kind.STOP_BROKER: 1,
    Kind.STOP_STORE: 2,
    Kind.STOP_EDGE: 1,
    Kind.FULL_DISK_ROLE: 1,
    Kind.FULL_DISK_BROKER: 1,
    Kind.FULL_HOME: 1,
    Kind.FROZEN_ROLE: 2,
    Kind.FROZEN_STORE: 1,
    Kind.FROZEN_BROKER: 1,
    Kind.NETWORK_CUT: 1,
    Kind.NETWORK_SLOW: 1,
}
DECK: Final = sum(WEIGHTS.values())
STORES: Final = ("mariadb", "valkey", "elasticsearch")
EDGE: Final = "edge"
FORK_SERVER: Final = "fork server"
"""Roles are its forks, and die with it."""
Card = TypeVar("Card")


@dataclass(frozen=True)
class Cast:
    """Names of the children that may be hurt. `small_disks`: those whose data lies on a small disk of its own."""

    workers: tuple[str, ...]
    brokers: tuple[str, ...]
    small_disks: tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """One thing to break; `number` counts from 1."""

    number: int
    kind: Kind
    victims: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}: {' + '.join(self.victims)}"


def plan(seed: int, count: int, cast: Cast, only: Sequence[Kind] = ()) -> list[Fault]:
    """The faults of a run; `only`: kinds to choose from, where not all."""
    dice = random.Random(seed)
    kinds = _dealt(dice, [kind for kind in Kind if not only or kind in only for _ in range(WEIGHTS[kind])])
    victims = {kind: _dealt(dice, _candidates(kind, cast)) for kind in Kind}
    faults = []
    for number in range(1, count + 1):
        kind = next(kinds)
        faults.append(Fault(number, kind, next(victims[kind])))
    return faults


def _candidates(kind: Kind, cast: Cast) -> list[tuple[str, ...]]:
    """Everybody who can be the victim of a kind of fault."""
    match kind:
        case Kind.KILL_ROLE | Kind.ZOMBIE_ROLE | Kind.FULL_HOME:
            names = cast.workers
        case Kind.FROZEN_ROLE:
            names = (*cast.workers, EDGE)
        case Kind.KILL_EDGE | Kind.STOP_EDGE:
            names = (EDGE,)
        case Kind.KILL_ALL_ROLES:
            names = (FORK_SERVER,)
        case Kind.KILL_STORE | Kind.STOP_STORE | Kind.FROZEN_STORE:
            names = STORES
        case Kind.KILL_ROLE_AND_BROKER:
            return [(worker, broker) for worker in cast.workers for broker in cast.brokers]
        case Kind.FULL_DISK_ROLE:
            names = tuple(name for name in cast.small_disks if name in cast.workers)
        case Kind.FULL_DISK_BROKER:
            names = tuple(name for name in cast.small_disks if name in cast.brokers)
        case _:
            names = cast.brokers
    return [(name,) for name in names]


def _dealt(dice: random.Random, cards: list[Card]) -> Iterator[Card]:
    """The cards in random order, over and over."""
    while True:
        deck = list(cards)
        dice.shuffle(deck)
        yield from deck
