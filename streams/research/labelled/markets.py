"""Markets as the evaluation runs them: a session with a crowd and the look-alikes, at most one manipulation, watched by the real detectors."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from schemas.codec import Rows
from schemas.enums import Phase
from streams.research.labelled.baseline import Z_MIN, Baseline
from streams.research.labelled.crowd import add_controls, halt, honest_members, populate
from streams.research.labelled.injectors import CUSTOMER, INJECTORS, NOT_LINKED, PARTY, Party
from streams.research.labelled.world import INSTRUMENTS, SECOND_NS, START_NS, Actor, Label, World
from surveillance import Owners, Place, TradingWatch

OPENING_S: Final = 12.0
CLOSING_S: Final = 8.0
INJECTED_AT_S: Final = 125.0
"""Long enough for medians and moves to be known."""
SESSION_S: Final = 330.0
"""Every manipulation is over by then."""
AFTER_S: Final = 60.0
"""So long after a manipulation its market is watched: the longest time between two looks at a window is half of it."""


FRAME_ROWS: Final = 2_000


@dataclass(frozen=True)
class Scenario:
    """One manipulation in a market of its own."""

    pattern: str
    severity: float
    density: float
    """Orders a second of everybody else."""
    seed: int
    camouflage: bool


@dataclass
class Outcome:
    """What a market was, and what the watch said of it."""

    density: float
    orders: int = 0
    rows: int = 0
    watch_cpu_s: float = 0.0
    labels: list[Label] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    """The newest revision of each."""
    flagged: set[tuple[int, int]] = field(default_factory=set)
    """(account, minute) that the baseline flags."""
    naive_z: dict[tuple[int, int], float] = field(default_factory=dict)
    """The baseline's score of every (account, minute)."""
    controls: dict[int, str] = field(default_factory=dict)


def party_of(scenario: Scenario) -> Party:
    """As many accounts as the pattern needs; with camouflage three."""
    counts = {"MATCHED_ORDERS": 2, "CIRCULAR_TRADING": 5}
    number = counts.get(scenario.pattern, 3 if scenario.camouflage else 1)
    return Party(tuple(range(PARTY, PARTY + number)), scenario.camouflage)


Also = Callable[[str], Callable[[Rows, Place], None]]
"""Somebody else who watches: made with the text of the owner sets, then given the executions."""


def injected(scenario: Scenario, also: Also | None = None) -> Outcome:
    """Run the market of a scenario."""
    party, world = party_of(scenario), World(scenario.seed)
    actor = INJECTORS[scenario.pattern](world, party, scenario.severity)
    began_s = INJECTED_AT_S + world.own_rng.uniform(0, 10)
    if scenario.pattern == "INDICATIVE_PRICE":
        began_s = OPENING_S - 8
    if scenario.pattern == "MARKING_THE_CLOSE":
        began_s = SESSION_S - CLOSING_S - world.own_rng.uniform(2, 8)
    linked = len(party.accounts) > 1 and scenario.pattern not in NOT_LINKED
    members = [(list(party.accounts), [CUSTOMER])] if scenario.pattern == "FRONT_RUNNING" else []
    return watched(world, scenario.density, SESSION_S, [(began_s, actor)], [party.accounts] if linked else [], members, also)


def background(density: float, seed: int, orders: int, also: Also | None = None) -> Outcome:
    """A session without a manipulation, of about so many orders, with all look-alikes and a halt."""
    world, seconds = World(seed), max(orders / density, 200.0)
    return watched(world, density, seconds, [(0.0, halt(world, seconds / 2))], [], (), also)


def watched(
    world: World,
    density: float,
    seconds: float,
    actors: Sequence[tuple[float, Actor]],
    groups: Sequence[Sequence[int]],
    members: Sequence[tuple[list[int], list[int]]] = (),
    also: Also | None = None,
) -> Outcome:
    """Run a session and watch it. `actors`: with the seconds when they begin; `groups`: accounts of one owner; `members`: beside the honest ones."""
    outcome = Outcome(density)
    world.ends_s = seconds - CLOSING_S
    populate(world, density)
    outcome.controls = add_controls(world)
    world.add(session(world, seconds))
    for began_s, actor in actors:
        world.add(actor, began_s)
    listed = ", ".join(f"{{ own = {own}, customers = {customers} }}" for own, customers in (*honest_members(), *members))
    sets = f"[[owner_set]]\neffective_from = 1\ngroups = {[list(group) for group in groups]}\nmembers = [{listed}]\n"
    watch, baseline, seq = TradingWatch(INSTRUMENTS, owners=Owners.of_toml(sets)), Baseline(), 1
    others = also(sets) if also else None
    newest: dict[str, dict[str, Any]] = {}
    for rows in _frames(world, seconds + 1):
        began, place = time.process_time(), Place("executions", 0, outcome.rows, seq)
        for alert in watch.apply(rows, place):
            newest[alert["alert_id"]] = alert
        outcome.watch_cpu_s += time.process_time() - began
        baseline.take(rows)
        if others:
            others(rows, place)
        seq += len(rows)
    outcome.orders, outcome.rows, outcome.labels = world.orders, seq - 1, world.labels
    outcome.alerts, outcome.naive_z = list(newest.values()), baseline.scores()
    outcome.flagged = {key for key, score in outcome.naive_z.items() if score >= Z_MIN}
    return outcome


def _frames(world: World, seconds: float) -> Iterator[Rows]:
    """The executions in portions as a busy log has them, to the end or until some time after the manipulation."""
    parts: list[Rows] = []
    waiting = 0
    for rows in world.run(seconds):
        parts.append(rows)
        waiting += len(rows)
        if waiting >= FRAME_ROWS:
            yield _joined(parts)
            parts, waiting = [], 0
        if world.labels and world.now > world.labels[-1].ended_at + round(AFTER_S * SECOND_NS):
            break
    if parts:
        yield _joined(parts)


def _joined(parts: list[Rows]) -> Rows:
    """One array of all; as bytes, because numpy compares every field of every pair of records."""
    return np.concatenate([part.view(np.uint8) for part in parts]).view(parts[0].dtype)


def session(world: World, seconds: float) -> Actor:
    """Opening auction, continuous trading, closing auction."""
    world.go_to(Phase.OPENING_AUCTION)
    yield OPENING_S
    world.go_to(Phase.CONTINUOUS)
    yield seconds - OPENING_S - CLOSING_S
    world.go_to(Phase.CLOSING_AUCTION)
    yield CLOSING_S
    world.go_to(Phase.CLOSED)


def minute_of(at_ns: int) -> int:
    """Minutes since the beginning."""
    return (at_ns - START_NS) // 60_000_000_000
