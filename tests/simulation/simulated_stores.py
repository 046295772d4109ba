"""Stores that keep what sinks.contract promises, with the sinks' own logic for marks, newest values and documents. They imitate no database.

MarkedStore stands for MySQL: rows and marks are stored together or not at all. NewestStore stands for Redis, CreatedStore for Elasticsearch. Each may be
down, may be slow, and may store a batch without saying so.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from faults import World
from processes import Process
from simulated_log import TopicPartition

from schemas.codec import Frame, Rows
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable
from sinks.contract import Input, Reached, SinkStats
from sinks.elastic.documents import documents
from sinks.mysql.sink import transactions
from sinks.partition_marks import PartitionMarks
from sinks.redis.sink import newest_rows


class Store(ABC):
    """A service at the end of the log."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.down_until = 0.0

    def connection(self, process: Process) -> "Connection":
        """What a sink process holds of it."""
        return Connection(self, process)

    def reached(self) -> dict[tuple[str, int], Reached]:
        """By (topic, partition); nothing where no offsets are kept."""
        return {}

    @abstractmethod
    def parts(self, batch: Sequence[Input]) -> list[Sequence[Input]]:
        """What is stored at once; a crash may fall between two parts."""

    @abstractmethod
    def store(self, part: Sequence[Input]) -> None:
        """Store a part, whole."""


class Connection:
    """sinks.contract.Sink, of one process."""

    def __init__(self, store: Store, process: Process) -> None:
        self._store, self._process = store, process

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """Part by part; ServiceUnavailable may come before a part is stored, or after."""
        store, world = self._store, self._store.world
        for part in store.parts(batch):
            await asyncio.sleep(world.rng.random() * 0.004)
            self._process.step("store")
            if world.faults.chance("store down", 0.04):
                store.down_until = world.loop.time() + world.rng.random()
                world.tell("store down", f"{store.name} for {(store.down_until - world.loop.time()) * 1000:.0f} ms")
            if world.loop.time() < store.down_until:
                raise ServiceUnavailable(f"{store.name} is down")
            store.store(part)
            if world.faults.chance("store unsure", 0.04):
                world.tell("store unsure", f"{store.name} has stored a part of {len(part)} records and does not say so")
                raise ServiceUnavailable(f"{store.name} does not answer")
            self._process.step("store")

    async def reached(self) -> dict[tuple[str, int], Reached]:
        """As the store says."""
        return self._store.reached()

    async def flush(self) -> None:
        """Nothing is held back."""

    async def close(self) -> None:
        """Nothing to close."""

    def stats(self) -> SinkStats:
        """Nobody asks."""
        return SinkStats()


class MarkedStore(Store):
    """Frames and alerts in the order of their partitions, with MySqlSink's marks in the same transaction."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.kept: dict[TopicPartition, list[Frame]] = {}
        self.alerts: dict[str, dict[str, Any]] = {}
        """By alert_id, their primary key, the newest revision: alerts have no source to mark."""
        self.marks: dict[TopicPartition, PartitionMarks] = {}

    def reached(self) -> dict[tuple[str, int], Reached]:
        """As MySQL's table of marks says."""
        return {tp: Reached(one.next_offset, one.last_ns) for tp, one in self.marks.items()}

    def parts(self, batch: Sequence[Input]) -> list[Sequence[Input]]:
        """Transactions."""
        return list(transactions(batch))

    def store(self, part: Sequence[Input]) -> None:
        """What Marks lets through, and the marks."""
        for one in part:
            tp = (one.topic, one.partition)
            if self.marks.setdefault(tp, PartitionMarks()).takes(one):
                if isinstance(one.body, Frame):
                    self.kept.setdefault(tp, []).append(one.body)
                else:
                    kept = self.alerts.setdefault(one.body["alert_id"], one.body)
                    if one.body["revision"] > kept["revision"]:
                        self.alerts[one.body["alert_id"]] = one.body


class NewestStore(Store):
    """The newest row of each instrument and kind, by REPLACE_IF_NEWER's rule."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.newest: dict[tuple[str, int], dict[str, int]] = {}

    def parts(self, batch: Sequence[Input]) -> list[Sequence[Input]]:
        """A pipeline without a transaction: every value by itself, but they are compared one by one anyway."""
        return [batch]

    def store(self, part: Sequence[Input]) -> None:
        """Each value, if it is newer than the one that is there."""
        frames: list[Rows] = [one.body.rows for one in part if isinstance(one.body, Frame)]
        for kept, row in newest_rows(frames):
            key = (kept.name, row["instrument"])
            if self.newest.get(key, {"seq": 0})["seq"] < row["seq"]:
                self.newest[key] = row


class CreatedStore(Store):
    """Documents by their action (index and id), created once."""

    def __init__(self, world: World, name: str, instruments: InstrumentTable) -> None:
        super().__init__(world, name)
        self._instruments = instruments
        self.created: dict[bytes, bytes] = {}

    def parts(self, batch: Sequence[Input]) -> list[Sequence[Input]]:
        """Bulk requests, of a record each."""
        return [[one] for one in batch]

    def store(self, part: Sequence[Input]) -> None:
        """op_type=create: one that is there stays."""
        for one in part:
            for document in documents(one, self._instruments):
                self.created.setdefault(document.action, document.source)
