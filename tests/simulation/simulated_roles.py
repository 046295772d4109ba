"""The exchange's own roles, each in simulated processes: ShardHost, SinkFeeder and the edge as they are, over simulated_faust and SimulatedLog."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np
from faults import World
from processes import Process
from simulated_faust import App, Consumer, Disks, Table
from simulated_log import KEYS, Group, TopicPartition
from simulated_stores import Store

from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import BookCommandKind
from schemas.instruments import InstrumentTable
from schemas.settings import Settings
from sinks import Sink
from streams.host.shard_host import Role, ShardHost, Tick
from streams.host.shard_runner import Output, Processor
from streams.host.sink_feeder import SinkFeeder, SinkRole
from streams.host.takeover import Takeover
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.roles.publish_market_data import PublishMarketData
from streams.roles.watch_trading import WatchTrading
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, ALERTS, BOOK_COMMANDS, EXECUTIONS, MARKET_DATA, Topic
from topics.roles import REPLICAS, ROLES

PATIENCE_S: Final = 0.4
"""For a commit of the replica that writes: more than two snapshots of 100 ms."""
SHARDS: Final = 2
EDGES: Final = 2
TICK_S: Final = 0.2
RESTART_S: Final = 0.05
SESSION_S: Final = 0.03
"""As long after the last heartbeat a dead member's partitions are dealt to others."""


def shard_roles(instruments: InstrumentTable, clock_ns: Callable[[], int]) -> list[Role]:
    """The four roles that keep a shard a partition, as their modules' `run` makes them."""
    return [
        Role("hold-funds", ACCOUNT_COMMANDS, "accounts", lambda shard: HoldFunds(shard, instruments, SHARDS, SHARDS, EDGES)),
        Role(
            "match-orders", BOOK_COMMANDS, "books", lambda shard: MatchOrders(shard, instruments, SHARDS, SHARDS),
            Tick(TICK_S, lambda partition: timer_command(partition, clock_ns())),
        ),
        Role("publish-market-data", EXECUTIONS, "market_data", lambda shard: PublishMarketData(shard, instruments)),
        Role("watch-trading", EXECUTIONS, "surveillance", lambda shard: WatchTrading(shard, instruments)),
    ]  # fmt: skip


def timer_command(partition: int, now: int) -> Output:
    """As streams.roles.match_orders.timer_command, with the simulation's time of day."""
    row = np.zeros(1, FRAMES["book_command_frame"].dtype)
    row["kind"], row["transact_time"] = BookCommandKind.TIMER, now
    return Output(BOOK_COMMANDS.name, partition, encode_frame("book_command_frame", Header("clock", created_at=now), row))


SINKS: Final[dict[str, tuple[Topic, ...]]] = {
    "persist-mysql": (EXECUTIONS, ACCOUNT_EVENTS, ALERTS),
    "persist-redis": (MARKET_DATA,),
    "persist-elasticsearch": (EXECUTIONS, ACCOUNT_EVENTS, ALERTS),
}


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a thread would do: there is one thread here. Others run meanwhile."""
    await asyncio.sleep(0)
    return function(*arguments)


class ShardWorker(Process):
    """A process of a role that keeps shards, with the disk of its machine."""

    def __init__(self, world: World, name: str, role: Role, settings: Settings, group: Group, disks: Disks, replica: str = "a") -> None:
        super().__init__(world, name, role.name)
        self.consumer = Consumer(self, group, (role.source.name,))
        table = self.consumer.table = Table(self, group.name, role.table, disks)
        app = cast("Any", App(self, self.consumer))
        self.host = ShardHost(app, settings, role, cast("Any", table), world.loop.time, at_once, keys=KEYS, replica=replica)
        self.consumer.on_revoked = self.host.on_revoked
        self.start(self.host.consume(self.consumer))
        if role.tick is not None:
            self.start(self._tick(role.tick))
        if ROLES[role.name].moves:
            self.start(self._follow(Takeover(self.host, role.source.name, self._committed, PATIENCE_S)))
        self._table = table

    async def _tick(self, tick: Tick) -> None:
        while True:
            await asyncio.sleep(tick.seconds)
            if self.world.faults.on:
                await self.host.tick()

    async def _follow(self, takeover: Takeover) -> None:
        while True:
            await asyncio.sleep(PATIENCE_S / 4)
            await takeover.look()

    async def _committed(self, letter: str, places: list[tuple[str, int]]) -> dict[tuple[str, int], int | None]:
        await asyncio.sleep(0.002 * self.world.rng.random())
        group = self.world.groups.get(ROLES[self.speaker].replica(letter))
        return {place: None if group is None else group.committed.get(place) for place in places}

    def on_crash(self) -> None:
        self.consumer.leave()
        self.world.counts["torn snapshots"] += self._table.half_written

    def processors(self) -> dict[int, tuple[Processor, int]]:
        """(state machine, next offset) of each partition that it has open."""
        return {partition: (shard.runner.processor, shard.runner.next_offset) for partition, shard in self.host._shards.items()}


class SinkWorker(Process):
    """A process that feeds a store."""

    def __init__(self, world: World, name: str, role: str, settings: Settings, group: Group, store: Store) -> None:
        super().__init__(world, name, role)
        self.consumer = Consumer(self, group, tuple(topic.name for topic in SINKS[role]))

        async def connect(_url: str, _instruments: InstrumentTable) -> Sink:
            return cast("Sink", store.connection(self))

        feeder = SinkFeeder(
            cast("Any", App(self, self.consumer)), settings, SinkRole(role, SINKS[role], connect, "simulated", gulp_wait_ms=0), KEYS
        )
        self.start(feeder.consume(self.consumer))

    def on_crash(self) -> None:
        self.consumer.leave()


Worker = ShardWorker | SinkWorker


@dataclass
class Deployment:
    """One role: its group, and how to start a worker of it with a disk."""

    world: World
    name: str
    group: Group
    make: Callable[[str, Disks], Worker]
    workers: list[Worker]
    role: Role | None = None
    """None for a sink."""
    started: int = 0

    async def keep_running(self, wanted: int) -> None:
        """Start workers, notice dead ones, replace them: the supervisor and the coordinator in one."""
        disks: list[Disks] = [{} for _ in range(wanted)]
        places: list[Worker | None] = [None] * wanted
        while True:
            changed = False
            for guest in [one for one in self.workers if not one.alive and one not in places]:
                self._forget(guest)  # a former zombie, which nobody replaces
                changed = True
            for place in range(wanted):
                worker = places[place]
                if worker is None or not worker.alive:
                    if worker is not None:
                        await asyncio.sleep(SESSION_S * self.world.rng.random())
                        self._forget(worker)
                        if self.world.faults.chance("lost disk", 0.4):
                            self.world.tell("lost disk", f"{self.name}: the next worker starts on an empty machine")
                            disks[place] = {}
                        if self.world.rng.random() < 0.5:
                            await self.group.rebalance()  # the others take over before it is back
                            await asyncio.sleep(RESTART_S * self.world.rng.random())
                    places[place] = self._start(disks[place])
                    changed = True
            if changed:
                await self.group.rebalance()
            await self._trouble(places, disks)

    async def _trouble(self, places: list[Worker | None], disks: list[Disks]) -> None:
        """Wait a little; perhaps the group rebalances for no reason, or one becomes a zombie."""
        world = self.world
        await asyncio.sleep(0.005 + 0.02 * world.rng.random())
        if world.faults.chance("rebalance", 0.06):
            world.tell("rebalance", self.name)
            await self.group.rebalance()
        if world.faults.chance("zombie", 0.05):
            place = world.rng.randrange(len(places))
            zombie = places[place]
            if zombie is not None and zombie.alive:
                places[place], disks[place] = None, {}
                self._forget(zombie)
                zombie.consumer.reachable = False
                world.loop.create_task(self._zombie(zombie))
                if world.rng.random() < 0.5:
                    await self.group.rebalance()

    async def _zombie(self, zombie: Worker) -> None:
        """The group has lost sight of it, and it does not know: it works on for a while, late; then it is killed, or hears of it and joins again."""
        zombie.lag_ms = self.world.rng.choice((0.0, 5.0, 60.0))
        until = 0.3 * self.world.rng.random()
        self.world.tell("zombie", f"{zombie.name} works on for {until * 1000:.0f} ms, its writes up to {zombie.lag_ms:.0f} ms late")
        await asyncio.sleep(until)
        if not zombie.alive or self.world.rng.random() < 0.5:
            zombie.crash("is a zombie no more")
            return
        self.world.tell("zombie back", zombie.name)
        await zombie.consumer.revoke()
        if zombie.alive:
            zombie.consumer.reachable, zombie.lag_ms = True, 0.0
            self._join(zombie)
            await self.group.rebalance()

    def _start(self, disks: Disks) -> Worker:
        self.started += 1
        worker = self.make(f"{self.name}-{self.started}", disks)
        self._join(worker)
        return worker

    def _join(self, worker: Worker) -> None:
        self.workers.append(worker)
        self.group.members.append(worker.consumer)

    def _forget(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
            self.group.members.remove(worker.consumer)

    def is_done(self) -> bool:
        """Everything in its topics is committed by the present generation."""
        log = self.world.log
        return all(self.group.committed.get(tp, 0) == log.end(tp) for tp in self.group.partitions) and all(
            worker.alive and worker.producer.empty() for worker in self.workers
        )


def deployments(world: World, roles: list[Role], stores: dict[str, Store], snapshot_interval_ms: int) -> list[Deployment]:
    """Every role, with no worker yet."""
    settings = cast("Settings", SimpleNamespace(snapshot_interval_ms=snapshot_interval_ms, instruments_file=None))
    found = []
    for role, name in [(one, name) for one in roles for name in _replicas(world, one)]:
        group = world.groups[name] = Group(name, _partitions((role.source,)), world.rng.shuffle)
        letter = next(one for one in REPLICAS if ROLES[role.name].replica(one) == name)

        def shard_worker(name: str, disks: Disks, role: Role = role, group: Group = group, letter: str = letter) -> Worker:
            return ShardWorker(world, name, role, settings, group, disks, letter)

        found.append(Deployment(world, name, group, shard_worker, [], role))
    for name, topics in SINKS.items():
        group = Group(name, _partitions(topics), world.rng.shuffle)

        def sink_worker(one: str, _disks: Disks, name: str = name, group: Group = group) -> Worker:
            return SinkWorker(world, one, name, settings, group, stores[name])

        found.append(Deployment(world, name, group, sink_worker, []))
    return found


def _replicas(world: World, role: Role) -> list[str]:
    """Names of the role's consumer groups: now and then two, which both publish."""
    if world.rng.random() < 0.85:
        return [role.name]
    world.tell("replicas", role.name)
    return [role.name, f"{role.name}-b"]


def _partitions(topics: tuple[Topic, ...]) -> tuple[TopicPartition, ...]:
    return tuple((topic.name, partition) for topic in topics for partition in range(SHARDS))
