"""When a shard's host takes a snapshot, what goes on while it writes it, and what it leaves when its partition goes."""

import asyncio
import math
from itertools import chain, repeat
from types import SimpleNamespace

import pytest
from faust.types import TP
from turns import turn_of

from schemas.errors import ServiceUnavailable
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.host.outbox import acknowledged
from streams.host.shard_host import Role, ShardHost
from streams.host.shard_runner import Record
from streams.host.snapshot_codes import UNCODED
from streams.host.snapshots import SnapshotStore, is_manifest
from streams.roles.match_orders import MatchOrders, timer_command
from topics.catalogue import BOOK_COMMANDS

INSTRUMENTS = load_instruments(None)
WAIT_S = 300.0


class World:
    """What a role gets of Faust, as far as snapshots need it: a producer, a table, a stream that acknowledges. All is acknowledged at once."""

    def __init__(self, interval_ms: int) -> None:
        self.producer = self.consumer = self
        self.table: dict[bytes, bytes] = {}
        self.acknowledged: list[int] = []
        self.changed = asyncio.Condition()
        self.on_set = lambda key: None
        role = Role("match-orders", BOOK_COMMANDS, "books", lambda shard: MatchOrders(shard, INSTRUMENTS, 1, 1))
        self.host = ShardHost(self, Settings(snapshot_interval_ms=interval_ms), role, self)

    async def send(self, *record):
        """Of an output: its future."""
        return self._done()

    def _done(self):
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def get(self, key):
        """Of the table."""
        return self.table.get(key)

    def __setitem__(self, key, value):
        self.table[key] = value
        self.on_set(key)

    def take_sent(self):
        """One future."""
        return [self._done()]

    async def ack(self, event):
        """Of the stream."""
        async with self.changed:
            self.acknowledged.append(event.message.offset)
            self.changed.notify_all()

    async def feed(self, offset):
        """One input."""
        value = timer_command(0).value
        await self.host._turn(self, SimpleNamespace(message=turn_of([Record(BOOK_COMMANDS.name, 0, offset, 10**9, None, value)])))

    async def wait_acknowledged(self, offset):
        """Until this input is behind a durable snapshot."""
        async with asyncio.timeout(WAIT_S), self.changed:
            await self.changed.wait_for(lambda: offset in self.acknowledged)

    def manifests(self):
        """Whole ones."""
        found = [UNCODED.unpacked(value)["meta"] for key, value in self.table.items() if is_manifest(key)]
        return [meta for meta in found if meta is not None]


async def test_when_as_many_bytes_wait_as_may_the_snapshot_does_not_wait_for_its_time(monkeypatch):
    """Else the memory that holds them, and what is replayed after a crash, would be bounded by a time only."""
    monkeypatch.setattr("streams.host.shard_host.REPLAYED_BYTES_MAX", 1 + len(timer_command(0).value))
    world = World(interval_ms=600_000)
    await world.feed(0)
    await asyncio.sleep(0)
    assert not world.table
    await world.feed(1)
    await world.wait_acknowledged(1)
    assert [meta["next_offset"] for meta in world.manifests()] == [2]


async def test_inputs_are_applied_while_a_snapshot_is_written_and_are_not_in_it(monkeypatch):
    """Only the comparison keeps them waiting."""
    monkeypatch.setattr("streams.host.shard_host.WRITTEN_AT_ONCE", 1)
    world = World(interval_ms=10)
    begun, applied = asyncio.Event(), []

    def note(key):
        begun.set()
        applied.append(world.host._shards[0].runner.next_offset)

    world.on_set = note
    await world.feed(0)
    async with asyncio.timeout(WAIT_S):
        await begun.wait()
    await world.feed(1)
    await world.wait_acknowledged(0)
    stored = SnapshotStore().load(world.table.get)
    assert (applied[0], applied[-1]) == (1, 2), "the second input was applied between the first record and the last"
    assert stored is not None
    assert stored.meta["next_offset"] == 1
    await world.wait_acknowledged(1)


async def test_a_shard_that_falls_idle_gets_the_hash_of_its_last_state(monkeypatch):
    """Its newest snapshot had none, as it came too soon: `outcry verify` would have nothing to compare the state with."""
    world = World(interval_ms=10)
    due = chain([math.inf], repeat(0.0))  # not for the first snapshot, at once after it
    monkeypatch.setattr("streams.host.snapshot_pace.SnapshotPace.hash_due", lambda self, size: next(due))
    await world.feed(0)
    await world.wait_acknowledged(0)
    assert [meta["state_hash"] for meta in world.manifests()] == [None]
    async with asyncio.timeout(WAIT_S):
        await world.host._shards[0].snapshot_task
    (meta,) = world.manifests()
    assert meta["next_offset"] == 1
    assert meta["state_hash"] == world.host._shards[0].runner.processor.state_hash()


async def test_an_input_does_not_wait_for_the_hash_of_an_idle_shard(monkeypatch):
    """A hash that may be taken in hours keeps no snapshot from being written."""
    monkeypatch.setattr("streams.host.snapshot_pace.HASH_SHARE", 1e-9)
    world = World(interval_ms=10)
    for offset in range(2):
        await world.feed(offset)
        await world.wait_acknowledged(offset)
    assert [(meta["next_offset"], meta["state_hash"]) for meta in world.manifests()] == [(2, None)]
    shard = world.host._shards[0]
    await world.host.on_revoked({TP(BOOK_COMMANDS.name, 0)})
    async with asyncio.timeout(WAIT_S):
        await shard.snapshot_task


@pytest.mark.parametrize("portion", [1, 1_000])
async def test_a_partition_that_goes_while_its_snapshot_is_written_leaves_no_manifest(monkeypatch, portion):
    """And nothing of it is acknowledged: the snapshot before is whole, and another owner's to go on from."""
    monkeypatch.setattr("streams.host.shard_host.WRITTEN_AT_ONCE", portion)
    world = World(interval_ms=10)
    await world.feed(0)
    shard = world.host._shards[0]
    world.on_set = lambda key: None if is_manifest(key) else shard.revoked.set()
    async with asyncio.timeout(WAIT_S):
        await shard.snapshot_task
    await world.host.on_revoked({TP(BOOK_COMMANDS.name, 0)})
    assert world.manifests() == []
    assert world.acknowledged == []


async def test_a_broker_that_acknowledges_slowly_is_waited_for_and_one_that_stops_is_not(monkeypatch):
    """On a busy machine all of a large backlog may take longer than the limit; what counts is that some arrive within it."""
    monkeypatch.setattr("streams.host.outbox.ACK_TIMEOUT_S", 0.2)
    loop = asyncio.get_running_loop()
    slow = [loop.create_future() for _ in range(6)]
    for number, one in enumerate(slow):
        loop.call_later(0.1 * (number + 1), one.set_result, None)
    await acknowledged(slow)
    stuck = [loop.create_future() for _ in range(3)]
    stuck[0].set_result(None)
    with pytest.raises(ServiceUnavailable, match=r"acknowledged nothing for 0.2 s; 2 records wait"):
        await acknowledged(stuck)
    stuck[1].set_exception(ServiceUnavailable("it refuses this one"))
    with pytest.raises(ServiceUnavailable, match="refuses"):
        await acknowledged(stuck)
