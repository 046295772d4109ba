"""topics.reader against a real broker: order, places, what is forgotten, bounds, ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from topics import reader as reader_module
from topics.offsets import Offsets, Place
from topics.reader import LogReader, PlacesLost

WAIT_S = 120.0


@pytest.fixture(scope="module")
def made(services: Settings) -> Callable[[int, Mapping[str, str] | None], str]:
    """Makes a topic of so many partitions; says its name."""

    def make(partitions: int, config: Mapping[str, str] | None = None) -> str:
        name = f"reader-{uuid4().hex}"
        admin = AdminClient({"bootstrap.servers": services.kafka_url})
        for future in admin.create_topics([NewTopic(name, partitions, 1, config=dict(config or {}))]).values():
            future.result(WAIT_S)
        return name

    return make


@asynccontextmanager
async def reading(services: Settings, **configuration: Any) -> AsyncIterator[LogReader]:
    """A reader of the test's broker."""
    reader = LogReader({"bootstrap.servers": services.kafka_url} | configuration)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


def write(services: Settings, topic: str, partition: int, values: list[bytes], keys: list[bytes] | None = None) -> None:
    """Append records and wait until they are there."""
    producer = Producer({"bootstrap.servers": services.kafka_url, "linger.ms": 0})
    for number, value in enumerate(values):
        producer.produce(topic, value, keys[number] if keys else None, partition)
    assert producer.flush(WAIT_S) == 0


async def read(reader: LogReader, count: int, among: set[Place] | None = None) -> dict[Place, list[tuple[int, bytes]]]:
    """So many records, in the order in which they came."""
    found: dict[Place, list[tuple[int, bytes]]] = {}
    async with asyncio.timeout(WAIT_S):
        while sum(map(len, found.values())) < count:
            for place, records in (await reader.records(1.0, among)).items():
                found.setdefault(place, []).extend((record.offset(), record.value()) for record in records)
    return found


async def ended(reader: LogReader, place: Place, end: int) -> None:
    """Wait until the reader has noted that the log ends there; nothing comes meanwhile."""
    async with asyncio.timeout(WAIT_S):
        while reader.end(place) != end:
            assert await reader.records(0.2) == {}


async def test_records_come_in_order_from_where_the_reader_was_sent(services, made):
    """Each partition from its own offset; where the log ends is known without asking, and by asking."""
    topic = made(3)
    values = [b"%d" % number for number in range(2_500)]
    for partition in range(3):
        write(services, topic, partition, values)
    async with reading(services) as reader:
        reader.go_to({(topic, 0): 0, (topic, 2): 2_400})
        found = await read(reader, 2_600)
        assert found == {(topic, 0): list(enumerate(values)), (topic, 2): list(enumerate(values))[2_400:]}
        assert (reader.position((topic, 0)), reader.position((topic, 1))) == (2_500, None)
        await ended(reader, (topic, 2), 2_500)
        assert reader.end((topic, 1)) is None
        write(services, topic, 2, [b"new"])
        assert await read(reader, 1) == {(topic, 2): [(2_500, b"new")]}


async def test_offsets_are_asked_for_beside_the_reader(services, made):
    """Ends, beginnings, a time, what a group has committed; a broker that is away is told after its time."""
    topic = made(2)
    write(services, topic, 0, [b"a", b"b"])
    offsets = Offsets({"bootstrap.servers": services.kafka_url, "group.id": topic})
    places = [(topic, 0), (topic, 1)]
    try:
        assert await offsets.ends(places) == {(topic, 0): 2, (topic, 1): 0}
        assert await offsets.beginnings(places) == {(topic, 0): 0, (topic, 1): 0}
        assert await offsets.at(places, 0) == {(topic, 0): 0, (topic, 1): None}
        assert await offsets.committed(places) == {(topic, 0): None, (topic, 1): None}
        group = Consumer({"bootstrap.servers": services.kafka_url, "group.id": topic})
        group.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
        group.close()
        assert await offsets.committed(places) == {(topic, 0): 1, (topic, 1): None}
    finally:
        await offsets.close()
    away = Offsets({"bootstrap.servers": "127.0.0.1:1"}, timeout_s=0.5)
    with pytest.raises(ServiceUnavailable, match="Kafka does not say"):
        await away.ends(places)
    await away.close()


async def test_a_reader_that_may_not_choose_says_what_is_lost(services, made):
    """With auto.offset.reset error: once, and nothing comes before a new place is given."""
    topic = made(1)
    write(services, topic, 0, [b"a"])
    async with reading(services, **{"auto.offset.reset": "error"}) as reader:
        reader.go_to({(topic, 0): 77})
        with pytest.raises(PlacesLost, match=f"{topic}/0"):
            await read(reader, 1)
        reader.go_to({(topic, 0): 0})
        assert await read(reader, 1) == {(topic, 0): [(0, b"a")]}


async def test_nothing_that_was_read_before_a_new_place_is_given_out_after_it(services, made):
    """However often, and whatever was on its way: records of the old place are never mixed in, none of the new one is missing."""
    topic = made(2)
    values = [b"%d" % number for number in range(1_000)]
    for partition in range(2):
        write(services, topic, partition, values)
    async with reading(services) as reader:
        for start in (0, 500, 20, 999, 300, 0, 700):
            reader.go_to({(topic, 0): 0, (topic, 1): 0})
            await reader.records(0.2)
            reader.go_to({(topic, 1): start})
            assert await read(reader, 1_000 - start) == {(topic, 1): list(enumerate(values))[start:]}
        reader.go_to({(topic, 0): 990, (topic, 1): 990})
        await read(reader, 20)
        reader.seek((topic, 0), 995)
        assert await read(reader, 5) == {(topic, 0): list(enumerate(values))[995:]}


async def test_a_partition_that_is_not_asked_for_keeps_its_records(services, made):
    """They are given out, in order, when it is."""
    topic = made(2)
    write(services, topic, 0, [b"a", b"b"])
    write(services, topic, 1, [b"c"])
    async with reading(services) as reader:
        reader.go_to({(topic, 0): 0, (topic, 1): 0})
        assert await read(reader, 1, {(topic, 1)}) == {(topic, 1): [(0, b"c")]}
        write(services, topic, 0, [b"d"])
        assert await read(reader, 3, {(topic, 0)}) == {(topic, 0): [(0, b"a"), (1, b"b"), (2, b"d")]}


async def test_the_thread_waits_while_too_much_is_held(services, made, monkeypatch):
    """Memory is bounded by what the loop takes, and nothing is left out for it."""
    monkeypatch.setattr(reader_module, "HELD_BYTES_MAX", 50_000)
    monkeypatch.setattr(reader_module, "BATCH_RECORDS_MAX", 10)
    topic = made(1)
    values = [bytes([number]) * 10_000 for number in range(100)]
    write(services, topic, 0, values)
    async with reading(services) as reader:
        reader.go_to({(topic, 0): 0})
        async with asyncio.timeout(WAIT_S):
            while reader.held_bytes < 50_000:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.01)
        for _ in range(50):
            await asyncio.sleep(0.01)
            assert reader.held_bytes <= 250_000, "two batches: one that filled it, one that was on its way"
        assert await read(reader, 100) == {(topic, 0): list(enumerate(values))}
        assert reader.held_bytes == 0


async def test_an_end_behind_compacted_records_is_reached(services, made):
    """Its last records may be gone: the position is what the broker says, not what came last."""
    topic = made(1, {"cleanup.policy": "delete"})
    async with reading(services, **{"enable.partition.eof": True}) as reader:
        write(services, topic, 0, [b"a", b"b"])
        reader.go_to({(topic, 0): 0})
        await read(reader, 2)
        reader.go_to({(topic, 0): 2})
        await ended(reader, (topic, 0), 2)
        assert reader.position((topic, 0)) == 2


async def test_a_place_behind_the_end_is_read_from_the_beginning(services, made):
    """A log that has lost its end: whoever reads sees it by the offsets."""
    topic = made(1)
    write(services, topic, 0, [b"a", b"b"])
    async with reading(services) as reader:
        reader.go_to({(topic, 0): 77})
        assert await read(reader, 2) == {(topic, 0): [(0, b"a"), (1, b"b")]}


async def test_whoever_waits_is_woken(services, made):
    """By a call, by the end of the reader; and one that has ended gives nothing."""
    topic = made(1)
    async with reading(services) as reader:
        reader.go_to({(topic, 0): 0})
        waiting = asyncio.create_task(reader.records(WAIT_S))
        await asyncio.sleep(0)
        reader.wake()
        assert await asyncio.wait_for(waiting, WAIT_S / 2) == {}
        waiting = asyncio.create_task(reader.records(WAIT_S))
        await asyncio.sleep(0)
    assert await asyncio.wait_for(waiting, WAIT_S / 2) == {}
    assert reader.end((topic, 0)) is None


async def test_a_fault_of_the_thread_is_told_to_whoever_reads(services, monkeypatch):
    """It is not silence."""

    def fails(_: object) -> None:
        raise MemoryError("no more")

    async with reading(services) as reader:
        monkeypatch.setattr(reader, "_read_once", fails)
        reader.go_to({("any", 0): 0})
        with pytest.raises(MemoryError, match="no more"):
            await reader.records(WAIT_S)


async def test_a_log_never_ends_before_what_was_read_of_it(services: Settings, made: Callable[[int, Mapping[str, str] | None], str]):
    """Where it ends is noted now and then, and records come all the time: a role that reads them must not call their log short."""
    topic = made(1, None)
    place = topic, 0
    write(services, topic, 0, [b"first"])
    async with reading(services) as reader:
        reader.go_to({place: 0})
        assert reader.end(place) is None
        async with asyncio.timeout(WAIT_S):
            while reader.end(place) is None:
                await reader.records(0.05)
        for number in range(1, 40):
            write(services, topic, 0, [b"%d" % number])
            assert await read(reader, 1) == {place: [(number, b"%d" % number)]}
            assert reader.end(place) >= number + 1 == reader.position(place)
