"""A shard in a copy of another region's log: what the copy has is not written again, the rest is, and after a take-over everything is."""

import asyncio
from typing import Any, cast

import pytest
from support.memory_log import Exchange, processor_of
from turns import turn_of

from schemas.enums import Side
from schemas.settings import Settings
from streams.host import outbox
from streams.host.shard_host import Role, ShardHost
from streams.host.shard_runner import Record
from topics.catalogue import EXECUTIONS, PARTY_FACTS
from topics.roles import WATCH_TRADING

WAIT_S = 60.0


class World:
    """What a role gets of Faust: a producer whose broker has everything at once. No snapshot is due."""

    def __init__(self) -> None:
        self.producer = self
        self.sent: list[tuple[str, bytes]] = []
        role = Role(WATCH_TRADING.name, EXECUTIONS, WATCH_TRADING.table, lambda shard: processor_of(WATCH_TRADING.name, shard))
        self.host = ShardHost(cast("Any", self), Settings(snapshot_interval_ms=600_000), role, cast("Any", {}), copies=True)

    async def send(self, topic: str, _key: None, value: bytes, *_: Any) -> asyncio.Future[None]:
        """Of an output: its future."""
        self.sent.append((topic, value))
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def feed(self, record: Record) -> None:
        """One input."""
        await self.host._turn(self, cast("Any", Event(turn_of([record]))))

    def facts(self) -> list[bytes]:
        """Sent so far."""
        return [value for topic, value in self.sent if topic == PARTY_FACTS.name]


class Event:
    """Of Faust, which it keeps weak references to."""

    def __init__(self, message: Any) -> None:
        self.message = message


@pytest.fixture
def log() -> tuple[list[Record], list[bytes]]:
    """(executions of a book shard, the facts that they make): trades over some half minutes."""
    exchange = Exchange()
    exchange.deposit((1, 2), 10**12, 10**6)
    exchange.open_market()
    for turn in range(4):
        exchange.order(1, Side.SELL, 5, 18_000, f"s{turn}", instrument=2)
        exchange.order(2, Side.BUY, 5, 18_000, f"b{turn}", instrument=2)
        exchange.wait(40)
    records = exchange.log.parts[EXECUTIONS.name, 0]
    facts = [one.value or b"" for one in exchange.log.parts[PARTY_FACTS.name, 0]]
    assert len(facts) >= 3
    return list(records), facts


async def test_facts_are_held_until_the_log_is_this_regions_own_and_none_is_missing_then(log: tuple[list[Record], list[bytes]]) -> None:
    """What the copy is known to have is let go; a snapshot would wait for the rest. From then on facts are sent at once."""
    (records, facts), world = log, World()
    half = len(records) // 2 + 1
    for record in records[:half]:
        await world.feed(record)
    (shard,) = world.host.followed().values()
    assert (world.facts(), shard.outbox.held > 0) == ([], True)
    await world.host.end_copy()
    assert world.host.followed() == {}
    before = world.facts()
    assert before and before == facts[: len(before)]
    for record in records[half:]:
        await world.feed(record)
    assert (world.facts(), shard.outbox.held) == (facts, 0)


async def test_a_shard_that_had_no_room_for_more_goes_on(log: tuple[list[Record], list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in the middle of an input; nobody says any more what the copy has."""
    monkeypatch.setattr(outbox, "HELD_BYTES_MAX", 1)
    (records, facts), world = log, World()

    async def feed_all() -> None:
        for record in records:
            await world.feed(record)

    feeding = asyncio.create_task(feed_all())
    for _ in range(10 * len(records)):
        await asyncio.sleep(0)
    assert not feeding.done()
    await asyncio.wait_for(world.host.end_copy(), WAIT_S)
    await asyncio.wait_for(feeding, WAIT_S)
    assert world.facts() == facts
