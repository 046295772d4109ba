"""topics.sender against a real broker."""

import asyncio
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from topics.reader import LogReader
from topics.sender import COMPANY_BYTES_MAX, Appended, LogSender

WAIT_S = 120.0


async def test_records_are_appended_in_order_and_their_places_told(services: Settings):
    """As many on the way as there are; a topic that is not there is told as such, and the client goes on."""
    topic = f"sender-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": services.kafka_url})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(WAIT_S)
    sender = LogSender({"bootstrap.servers": services.kafka_url})
    reader = LogReader({"bootstrap.servers": services.kafka_url})
    await sender.start()
    await reader.start()
    try:
        assert await sender.partitions(topic, WAIT_S) == {0, 1}
        assert await sender.partitions("no-such-topic", WAIT_S) == set()
        sent = [await sender.send(topic, number % 2, b"%d" % number, b"key") for number in range(500)]
        async with asyncio.timeout(WAIT_S):
            places = await asyncio.gather(*sent)
        assert places == [Appended(topic, number % 2, number // 2) for number in range(500)]
        with pytest.raises(ServiceUnavailable, match="no-such-topic/0 rejected what was sent"):
            await asyncio.wait_for(await sender.send("no-such-topic", 0, b"lost"), WAIT_S)
        await sender.send(topic, 0, None, b"key")  # nobody waits for it
        await sender.flush()
        reader.go_to({(topic, 0): 0})
        found = []
        async with asyncio.timeout(WAIT_S):
            while len(found) < 251:
                found += [record for records in (await reader.records(1.0)).values() for record in records]
        assert [record.value() for record in found] == [*(b"%d" % number for number in range(0, 500, 2)), None]
        assert {record.key() for record in found} == {b"key"}
    finally:
        await reader.stop()
        await sender.stop()


async def test_small_records_that_may_wait_go_together_and_keep_their_order(services: Settings):
    """The first does not wait, the next do: for their time, for enough bytes or for a flush. Whatever else is sent does not wait for them."""
    topics = [f"sender-{uuid4().hex}" for _ in range(3)]
    admin = AdminClient({"bootstrap.servers": services.kafka_url})
    for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
        made.result(WAIT_S)
    patient, soon, other = topics
    sender = LogSender({"bootstrap.servers": services.kafka_url}, may_wait={patient: 86_400.0, soon: 0.05})
    await sender.start()
    try:
        async with asyncio.timeout(WAIT_S):
            assert await sender.append(patient, 0, b"first") == Appended(patient, 0, 0)
            kept = [await sender.send(patient, 0, b"%d" % number) for number in range(3)]
            assert await sender.append(other, 0, b"now") == Appended(other, 0, 0)
            assert [await sender.append(soon, 0, b"its time comes") for _ in range(2)] == [Appended(soon, 0, 0), Appended(soon, 0, 1)]
            assert not any(one.done() for one in kept)
            kept.append(await sender.send(patient, 0, bytes(COMPANY_BYTES_MAX)))
            assert await asyncio.gather(*kept) == [Appended(patient, 0, offset) for offset in range(1, 5)]
            flushed = await sender.send(patient, 0, b"flushed")
            await sender.flush()
            assert await flushed == Appended(patient, 0, 5)
            stopped = await sender.send(patient, 0, b"the last")
    finally:
        await sender.stop()
    assert stopped.result() == Appended(patient, 0, 6)


async def test_a_broker_that_is_away_fails_a_record_after_its_time(services: Settings):
    """It is told, not waited for for ever, where the client's delivery.timeout.ms says so."""
    sender = LogSender({"bootstrap.servers": "127.0.0.1:1", "delivery.timeout.ms": 1_000})
    await sender.start()
    try:
        with pytest.raises(ServiceUnavailable, match="rejected"):
            await asyncio.wait_for(await sender.send("any", 0, b"x"), WAIT_S)
        with pytest.raises(ServiceUnavailable, match="Kafka does not answer"):
            await sender.partitions("any", 0.5)
    finally:
        await sender.stop()
