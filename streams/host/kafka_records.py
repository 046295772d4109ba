"""What the Kafka client gives, as the records that a state machine takes. Kafka stamps records in whole ms."""

from typing import Any

from streams.host.shard_runner import Record
from topics.key_files import RecordKeys

_NANOS_PER_MS = 1_000_000


def polled_record(message: Any, keys: RecordKeys) -> Record:
    """Of a message of confluent_kafka that is no error. keys: by which its sender is known."""
    return Record(
        message.topic(), message.partition(), message.offset(), message.timestamp()[1] * _NANOS_PER_MS, message.key(), message.value(),
        keys.proof_of(message),
    )  # fmt: skip
