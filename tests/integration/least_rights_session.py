"""What the tests of rights between services try: as one login at what is another's, and as nobody."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

WAIT_S = 300.0
AUTHORIZATION = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
NOT_YET = ("NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE")
"""Neither granted nor refused: a new broker says it."""


def written(client: Mapping[str, Any], topics: Iterable[str], value: bytes = b"intruder") -> dict[str, str]:
    """By topic, what came of a record: "" if Kafka has it, else the name of its refusal."""
    producer, found = Producer({**client, "log_level": 0, "acks": "all", "message.timeout.ms": 60_000}), dict[str, str]()
    for topic in topics:
        producer.produce(
            topic,
            value,
            partition=0,
            on_delivery=lambda error, message: found.update({message.topic(): "" if error is None else error.name()}),
        )
    assert producer.flush(WAIT_S) == 0
    return found


def read(client: Mapping[str, Any], topics: Iterable[str]) -> dict[str, str]:
    """By topic, what came of reading its first partition from the beginning: "" for a record or the end of the topic, else the name of the refusal."""
    names = list(topics)
    consumer = Consumer({**client, "log_level": 0, "group.id": "outcry-reader", "enable.auto.commit": False, "enable.partition.eof": True})
    found: dict[str, str] = {}
    try:
        for name in names:  # a topic of which one may not even hear is never fetched
            error = consumer.list_topics(name, timeout=WAIT_S).topics[name].error
            if error is not None and error.code() in AUTHORIZATION:
                found[name] = error.name()
        names = [name for name in names if name not in found]
        consumer.assign([TopicPartition(name, 0, 0) for name in names])
        deadline = time.monotonic() + WAIT_S
        while not set(names) <= set(found):
            assert time.monotonic() < deadline, f"no answer for {set(names) - set(found)}"
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                found[str(message.topic())] = ""
            elif message.topic() in names and error.code() in AUTHORIZATION:
                found[str(message.topic())] = error.name()
    finally:
        consumer.close()
    return found


def committed(client: Mapping[str, Any], group: str, topic: str) -> str:
    """What came of moving a group's place in a topic: "" if it was moved, else the name of the refusal."""
    admin, deadline = AdminClient({**client, "log_level": 0}), time.monotonic() + WAIT_S
    while (found := _moved(admin, group, topic)) in NOT_YET:
        assert time.monotonic() < deadline, f"no answer for {group}: {found}"
        time.sleep(0.1)
    return found


def _moved(admin: AdminClient, group: str, topic: str) -> str:
    (future,) = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])]).values()
    try:
        moved = future.result(WAIT_S)
    except KafkaException as error:
        return str(error.args[0].name())
    (one,) = moved.topic_partitions
    return "" if one.error is None else str(one.error.name())


def metadata_of(client: Mapping[str, Any], timeout_s: float = 3.0) -> str:
    """What came of asking for the topics: "" for an answer, else the name of the error, which may be that none came in time."""
    producer = Producer({**client, "log_level": 0})
    try:
        producer.list_topics(timeout=timeout_s)
    except KafkaException as error:
        return str(error.args[0].name())
    return ""
