"""Append records of the operator to a topic with one partition, for commands. On failure: ServiceUnavailable that says what was not done."""

from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from streams.process.record_keys import record_keys
from topics.catalogue import Topic
from topics.kafka_clients import native_client
from topics.speakers import OPERATOR

_TIMEOUT_S: Final = 10.0


def append_records(settings: Settings, topic: Topic, values: Sequence[bytes], undone: str) -> list[int]:
    """Returns their offsets when every in-sync replica has them. undone: what to say if not, such as "nothing was done". Raises ServiceUnavailable."""
    if not settings.kafka_url:
        raise ServiceUnavailable(f"{undone}: Kafka, where it is recorded, has no address; run `outcry up`, or set OUTCRY_KAFKA_URL")
    problems, offsets = list[str](), list[int]()

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            problems.append(str(error))
        else:
            offsets.append(message.offset() or 0)

    producer = Producer({**native_client(settings.kafka_url), "acks": "all", "enable.idempotence": True, "log_level": 0})
    sign = record_keys(settings, OPERATOR).signer(OPERATOR)
    try:
        for value in values:
            producer.produce(
                topic.name, value, partition=0, headers=sign(topic.name, 0, value), on_delivery=delivered,
            )  # fmt: skip
        left = producer.flush(_TIMEOUT_S)
    except KafkaException as error:
        raise ServiceUnavailable(f"{undone}: Kafka at {settings.kafka_url} did not take the record of it: {error}") from error
    if problems or left:
        raise ServiceUnavailable(
            f"{undone}: Kafka at {settings.kafka_url} did not take the record of it on {topic.name} "
            f"({problems[0] if problems else 'no answer'}): see `outcry topics list`"
        )
    return offsets
