"""Records and turns as the Kafka client and our Faust consumer give them."""

from collections.abc import Sequence

from confluent_kafka import Message
from faust.types import TP

from streams.host.shard_runner import Record
from streams.transport.consumer import Turn
from topics.record_codes import HEADER


def message_of(record: Record) -> Message:
    """The record, as it is read."""
    return Message(
        topic=record.topic, partition=record.partition, offset=record.offset, key=record.key, value=record.value,
        timestamp=(1, record.time_ns // 1_000_000), headers=[(HEADER, code)] if (code := getattr(record, "code", None)) is not None else None,
    )  # fmt: skip


def turn_of(records: Sequence[Record], generation: int = 0) -> Turn:
    """Records of one partition that have arrived together."""
    return Turn(TP(records[0].topic, records[0].partition), [message_of(record) for record in records], generation)
