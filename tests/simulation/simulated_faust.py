"""What Faust gives to a role, and no more: events of assigned partitions, acknowledgements that become commits, a table with its changelog.

Written after faust-streaming 0.15.3:
* after a rebalance every partition is read from its committed offset; buffered events are dropped before the role hears of the revocation;
* commits go up to the first input that is not acknowledged, some time later, or not at all if the process dies first;
* a table writes to the local disk at once and to its changelog later; on assignment the disk catches up with the changelog from where it was.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from faults import World
from processes import Process
from simulated_log import Group, TopicPartition
from turns import turn_of

from streams.host.snapshots import is_manifest
from streams.transport.app import persisted_after
from streams.transport.consumer import Turn
from topics.roles import changelog_topic

PARTITION: Final[ContextVar[int]] = ContextVar("partition")
"""Partition of the current event; Faust's tables write to and read from it."""
COMMIT_S: Final = 0.02
FLUSH_S: Final = 0.01
"""The longest that a member that is told to give up its partitions waits for its producer."""


@dataclass(eq=False)
class Event:
    """A turn handed to an agent."""

    message: Turn


@dataclass
class Disk:
    """What a machine keeps of one partition of a table."""

    content: dict[bytes, bytes] = field(default_factory=dict)
    next_offset: int = 0
    """Of the changelog: as far as the content is known to agree with it."""


Disks = dict[TopicPartition, Disk]


class Table:
    """A faust.Table of one changelog topic, with SnapshotTable's take_sent."""

    def __init__(self, process: Process, role: str, name: str, disks: Disks) -> None:
        self._process, self._topic, self._disks = process, changelog_topic(role, name), disks
        self._sent: list[asyncio.Future[int]] = []
        self.half_written = False
        """Pages of a snapshot are set, its manifest is not."""

    def recover(self, partition: int) -> None:
        """Bring the disk up to the end of the changelog, as Faust does before it hands out events."""
        records = self._process.world.log.parts[self._topic, partition]
        disk = self._disks.setdefault((self._topic, partition), Disk())
        for record in records[disk.next_offset :]:
            assert record.key is not None
            if record.value is None:
                disk.content.pop(record.key, None)
            else:
                disk.content[record.key] = record.value
        disk.next_offset = len(records)

    def get(self, key: bytes) -> bytes | None:
        """From the disk."""
        return self._disks[self._topic, PARTITION.get()].content.get(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """To the disk now, to the changelog later; a crash in between leaves the disk ahead."""
        self._process.step("table set")
        partition = PARTITION.get()
        disk = self._disks.setdefault((self._topic, partition), Disk())
        disk.content[key] = value
        acknowledged = self._process.producer.send_nowait(self._topic, key, value, partition)
        acknowledged.add_done_callback(lambda done: self._note(disk, done))
        self._sent.append(acknowledged)
        self.half_written = not is_manifest(key)
        if is_manifest(key):
            self._process.world.counts["snapshots"] += 1

    def __delitem__(self, key: bytes) -> None:
        """Delete, on the disk and with a tombstone in the changelog."""
        self._process.step("table set")
        partition = PARTITION.get()
        disk = self._disks[self._topic, partition]
        del disk.content[key]
        acknowledged = self._process.producer.send_nowait(self._topic, key, None, partition)
        acknowledged.add_done_callback(lambda done: self._note(disk, done))

    @staticmethod
    def _note(disk: Disk, done: asyncio.Future[int]) -> None:
        if not done.cancelled():
            known = persisted_after(disk.next_offset - 1 if disk.next_offset else None, done.result())
            disk.next_offset = 0 if known is None else known + 1

    def take_sent(self) -> list[asyncio.Future[int]]:
        """The futures since the last call."""
        sent, self._sent = self._sent, []
        return sent


class Consumer:
    """A member of the role's group, and the agent's stream."""

    def __init__(self, process: Process, group: Group, topics: tuple[str, ...]) -> None:
        self.process, self.group, self._topics = process, group, topics
        self.name = process.name
        self.reachable = True
        self.generation = 0
        self.table: Table | None = None
        self.on_revoked: Any = None
        self._world: World = process.world
        self._positions: dict[TopicPartition, int] = {}
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._acked: dict[TopicPartition, set[int]] = {}
        self._to_commit: dict[TopicPartition, int] = {}
        self._woken = asyncio.Event()
        self._acknowledged = asyncio.Event()
        for topic in topics:
            self._world.log.listen(topic, self._woken.set)
        process.start(self._fetch())
        process.start(self._commit_all())

    # -- the group's side

    async def revoke(self) -> None:
        """Drop what was read ahead, then tell the role."""
        revoked = set(self._positions)
        self._positions, self._queue = {}, self._queue
        while not self._queue.empty():
            self._queue.get_nowait()
        if self._world.rng.random() < 0.5:
            with suppress(asyncio.CancelledError):  # killed at this step: the group goes on without it
                self._commit()
        self._acked, self._to_commit = {}, {}
        deadline = self._world.loop.time() + FLUSH_S
        while self.process.alive and not self.process.producer.empty() and self._world.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # Faust flushes its producer; what the role is at goes on meanwhile
        if self.process.alive and self.on_revoked is not None:
            await self.on_revoked({_Tp(*tp) for tp in sorted(revoked)})

    def assign(self, positions: dict[TopicPartition, int], generation: int) -> None:
        """Read on from what is committed, once the table has caught up."""
        if not self.process.alive:
            return
        for _, partition in positions:
            if self.table is not None:
                self.table.recover(partition)
        # one record back, the witness: as streams.transport.consumer
        self._positions, self.generation = {tp: max(0, position - 1) for tp, position in positions.items()}, generation
        self._acked = {tp: set() for tp in positions}
        self._to_commit = dict(positions)
        self._woken.set()

    def leave(self) -> None:
        """Not a reader of these topics any more."""
        self.reachable = False
        for topic in self._topics:
            self._world.log.unlisten(topic, self._woken.set)

    def assignment(self) -> list["_Tp"]:
        """The partitions, in order."""
        return [_Tp(*tp) for tp in sorted(self._positions)]

    # -- the agent's side

    def noack(self) -> "Consumer":
        """The stream; events are acknowledged by hand."""
        return self

    async def events(self) -> AsyncIterator[Event]:
        """Events in the order of each partition."""
        while True:
            event = await self._queue.get()
            PARTITION.set(event.message.partition)
            yield event

    async def ack(self, event: Event) -> None:
        """This input is done with."""
        self.process.step("acknowledge")
        tp = (event.message.topic, event.message.partition)
        if tp not in self._acked:
            return  # Faust keeps nothing of partitions that it was told to give up
        self._acked[tp] |= {offset for record in event.message.records if (offset := record.offset() or 0) >= self._to_commit[tp]}
        self._acknowledged.set()

    # -- what goes on by itself

    async def _fetch(self) -> None:
        rng = self._world.rng
        while True:
            ready = [tp for tp, position in self._positions.items() if position < self._world.log.end(tp)]
            if not ready or self._queue.qsize() > 64:
                self._woken.clear()
                if ready:
                    await asyncio.sleep(0.002)
                else:
                    await self._woken.wait()
                continue
            tp, generation = rng.choice(ready), self.generation
            await asyncio.sleep(self._world.faults.fetch_s(self.process))
            position = self._positions.get(tp)
            if position is None or generation != self.generation:
                continue
            records = self._world.log.parts[tp][position : position + rng.randint(1, 6)]
            self._positions[tp] = position + len(records)
            self._world.counts["deliveries"] += len(records)
            while records:
                turn, records = records[: (count := rng.randint(1, 6))], records[count:]
                self._queue.put_nowait(Event(turn_of(turn, self.generation)))

    async def _commit_all(self) -> None:
        while True:
            await self._acknowledged.wait()
            await asyncio.sleep(COMMIT_S * self._world.rng.random())
            self._acknowledged.clear()
            self._commit()

    def _commit(self) -> None:
        changed = {}
        for tp, acked in self._acked.items():
            first = self._to_commit[tp]
            while self._to_commit[tp] in acked:
                acked.remove(self._to_commit[tp])
                self._to_commit[tp] += 1
            if self._to_commit[tp] != first:
                changed[tp] = self._to_commit[tp]
        if changed:
            self.process.step("commit")
            self.group.commit(self.generation, changed)


@dataclass(frozen=True, order=True)
class _Tp:
    topic: str
    partition: int


class FlowControl:
    """Always on: a simulated role recovers at once."""

    @staticmethod
    def is_active() -> bool:
        """Yes."""
        return True


class App:
    """The parts of a faust.App that a role touches."""

    rebalancing = False
    flow_control = FlowControl()

    def __init__(self, process: Process, consumer: Consumer) -> None:
        self.producer, self.consumer = process.producer, consumer
