"""Read topics from their beginning, as the integration tests need it."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.settings import Settings
from streams.host.kafka_records import polled_record
from streams.host.shard_runner import Record
from streams.process.record_keys import record_keys
from topics.catalogue import Topic

T = TypeVar("T")


def read_partition(settings: Settings, topic: Topic, partition: int) -> Iterator[Record]:
    """Every record of a partition, up to where it ended when this was called."""
    keys = record_keys(settings)
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_url, "group.id": "tests", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )
    try:
        low, high = bounds(consumer, topic.name, partition)
        consumer.assign([TopicPartition(topic.name, partition, low)])
        offset = low - 1
        while offset < high - 1:
            message = consumer.poll(10)
            assert message is not None, f"{topic.name}/{partition} gave nothing at {offset + 1} of {high}"
            assert message.error() is None, message.error()
            offset = message.offset()
            yield polled_record(message, keys)
    finally:
        consumer.close()


def bounds(consumer: Consumer, topic: str, partition: int, timeout_s: float = 300.0) -> tuple[int, int]:
    """First and next offset of a partition.

    One that was just made, or whose broker was frozen, has no leader at first: asks again, and fails with the last refusal after the time-out.
    """
    deadline, refusal = time.monotonic() + timeout_s, "no answer"
    while time.monotonic() < deadline:
        try:
            if (found := consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)) is not None:
                return found
        except KafkaException as error:
            refusal = error.args[0].name()
        consumer.poll(0.1)
    raise AssertionError(f"{topic}/{partition} has no bounds after {timeout_s:g} s: {refusal}")


def eventually(ask: Callable[[], T], good: Callable[[T], bool], timeout_s: float = 300.0) -> T:
    """Ask until the answer is good; fails with the last answer after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not good(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r} after {timeout_s} s"
        time.sleep(0.05)
    return answer
