"""Run one seed: the whole exchange in one process and one thread, with faults until its customers are done; then to rest, and the invariants.

`simulate(seed)` is a function of the seed and of the program: it runs the same way every time.
"""

import asyncio
import gc
import hashlib
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

import structlog
from customers import Commands, Operator, ThirdParty, simulated_instruments
from faults import MOVE, World
from intruder import Intruder
from invariants import check
from mover import Mover
from processes import CURRENT, Process
from simulated_edge import EdgeProcess
from simulated_log import SimulatedLog
from simulated_roles import EDGES, Deployment, deployments, shard_roles
from simulated_stores import CreatedStore, MarkedStore, NewestStore, Store
from virtual_time import NothingWillHappen, VirtualLoop

from topics.record_codes import NONCE_BYTES, Sealer

REST_S: Final = 120.0
"""Simulated. The longest pauses are a store's: 5 s between attempts."""
COLLECT_EVERY: Final = 16
STORY_LINES_MAX: Final = 60


@dataclass(frozen=True)
class Size:
    """At most: acts of the operator, producers and frames of each, orders of each person at an edge."""

    acts: int
    producers: int
    frames: int
    orders: int


SIZES: Final = {Size(1, 1, 2, 1): 12, Size(2, 2, 4, 1): 3, Size(6, 2, 12, 3): 1}
"""With their weights. Most worlds are small: many more seeds a second, and stories that a person can follow."""


@dataclass(frozen=True)
class Run:
    """What became of a seed."""

    seed: int
    broken: tuple[str, ...]
    story: tuple[str, ...]
    counts: Counter[str]
    kinds: tuple[str, ...]
    """Of faults that the seed may have."""
    digest: str
    """Of every record of the log."""

    def __str__(self) -> str:
        told = "\n".join(f"  {line}" for line in self.story[-STORY_LINES_MAX:])
        wrong = "\n".join(f"  {line}" for line in self.broken[:12])
        return f"seed {self.seed} (again: python tests/simulation/long_simulation.py --seed {self.seed}): faults {', '.join(self.kinds)}\n{told}\nwrong:\n{wrong}"


def simulate(seed: int) -> Run:
    """One run."""
    return simulated(seed)[0]


def simulated(seed: int) -> tuple[Run, SimulatedLog]:
    """One run, and the log that it leaves."""
    rng = random.Random(seed)
    gc.disable()  # a run is short, and its garbage is the next collection's
    with _quiet(), _loop() as loop:
        world = World(seed, rng, loop, SimulatedLog(loop.now_ns))
        with _process_boundary(world):
            try:
                loop.run_until_complete(_exchange(world))
            except NothingWillHappen:
                world.broken.append("everything waits for ever")
            finally:
                _end_all(loop)
    if seed % COLLECT_EVERY == 0:
        gc.collect()
    gc.enable()
    run = Run(seed, tuple(world.broken), tuple(world.story), world.counts, tuple(sorted(world.faults.kinds)), _digest(world.log))
    return run, world.log


def _end_all(loop: VirtualLoop) -> None:
    """No coroutine may outlive the run: a role's code that ends later, in the garbage collector, would really end this process."""
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))


def _digest(log: SimulatedLog) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for tp in sorted(log.parts):
        for record in log.parts[tp]:
            digest.update(f"{tp}{record.offset}{record.time_ns}".encode() + (record.key or b"") + (record.value or b""))
    return digest.hexdigest()


async def _exchange(world: World) -> None:
    rng, instruments = world.rng, simulated_instruments()
    roles = shard_roles(instruments, world.loop.now_ns)
    stores: dict[str, Store] = {
        "persist-mysql": MarkedStore(world, "mysql"), "persist-redis": NewestStore(world, "redis"),
        "persist-elasticsearch": CreatedStore(world, "elasticsearch", instruments),
    }  # fmt: skip
    deployed = deployments(world, roles, stores, snapshot_interval_ms=rng.choice((10, 30, 100)))
    supervisors = [world.loop.create_task(one.keep_running(rng.choice((1, 1, 2)))) for one in deployed]
    commands = Commands(world)
    world.faults.on = True
    (size,) = rng.choices(tuple(SIZES), tuple(SIZES.values()))
    asking: list[Any] = [Operator(world, commands, rng.randint(0, size.acts))]
    asking += [ThirdParty(world, f"producer-{number}", commands, rng.randint(1, size.frames)) for number in range(size.producers)]
    if {"forged frame", "forged record"} & world.faults.kinds:
        Intruder(world)
    if MOVE in world.faults.kinds:
        Mover(world, deployed)
    edges = [EdgeProcess(world, f"edge-{instance}.0", instance, commands, size.orders) for instance in range(EDGES)]
    while not all(one.done or not one.alive for one in (*asking, *edges)):
        await asyncio.sleep(0.01)
        edges = [_replaced(world, edge, commands) for edge in edges]
    await asyncio.sleep(rng.random() * 0.2)
    await _come_to_rest(world, deployed, edges, supervisors)
    edges = [edge for edge in edges if edge.alive]
    if not world.broken:
        world.counts["records"] = sum(len(part) for part in world.log.parts.values())
        world.counts["steps"] = world.faults.steps
        world.broken += check(world.log, roles, deployed, stores, edges, world.forged)


def _replaced(world: World, edge: EdgeProcess, commands: Commands) -> EdgeProcess:
    """A dead edge comes back under its instance number; it remembers nothing."""
    if edge.alive:
        return edge
    name, _, start = edge.name.rpartition(".")
    return EdgeProcess(world, f"{name}.{int(start) + 1}", edge.instance, commands, 1)


async def _come_to_rest(world: World, deployed: list[Deployment], edges: list[EdgeProcess], supervisors: list[asyncio.Task[None]]) -> None:
    """No more faults; until every role has worked off and committed its log, and every edge has read its replies."""
    world.faults.on = False
    deadline = world.loop.time() + REST_S
    calm = 0
    while calm < 3:
        await asyncio.sleep(0.05)
        for supervisor in supervisors:
            if supervisor.done():
                supervisor.result()
        at_rest = all(one.is_done() for one in deployed) and all(
            not edge.alive or (len(edge.pending) == 0 and edge.replies.next == world.log.end(edge.replies.place)) for edge in edges
        )
        calm = calm + 1 if at_rest else 0
        if world.broken:
            return
        if world.loop.time() > deadline:
            late = [one.name for one in deployed if not one.is_done()]
            world.broken.append(f"not at rest after {REST_S:g} s: {late or 'an edge'}")
            return


@contextmanager
def _loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()

    def start(of: asyncio.AbstractEventLoop, coroutine: Any, context: Any = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=of, context=context) if context is not None else asyncio.Task(coroutine, loop=of)
        process = CURRENT.get()
        if process is not None:
            process.tasks.append(task)
        return task

    loop.set_task_factory(start)
    try:
        yield loop
    finally:
        loop.close()


@contextmanager
def _process_boundary(world: World) -> Iterator[None]:
    """fail_fast ends the simulated process instead of this one. A role that gives up by itself is a finding."""

    def fail_fast(message: str, **fields: object) -> None:
        process: Process | None = CURRENT.get()
        error = sys.exc_info()[1]
        if process is not None and process.alive and not isinstance(error, GeneratorExit):
            world.broken.append(f"{process.name} stopped itself: {message} {fields}: {type(error).__name__}: {error}")
            process.crash("stopped itself")
        raise asyncio.CancelledError

    def token_hex(bytes_: int) -> str:
        return world.rng.randbytes(bytes_).hex()

    with ExitStack() as replaced:
        replaced.enter_context(patch("streams.host.shard_host.fail_fast", fail_fast))
        replaced.enter_context(patch("streams.host.sink_feeder.fail_fast", fail_fast))
        replaced.enter_context(patch("streams.host.snapshots.secrets.token_hex", token_hex))
        replaced.enter_context(patch.object(Sealer, "nonce", lambda _: bytes(NONCE_BYTES)))  # manifests have codes in them
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """No log lines: the story has what matters."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
