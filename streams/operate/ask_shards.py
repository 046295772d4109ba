"""Post commands to a shard's log and wait for its answer.

Commands are posted to the log like anybody else's. They are done when the shard that read them has answered. Its output names the input
offset that made it, so the answer to a record is found without any other bookkeeping.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.codec import BadBytes, Frame, decode_frame
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.limits import FRAME_BYTES_MAX
from schemas.settings import Settings
from streams.process.record_keys import record_keys
from streams.transport.cluster import partition_counts, watermarks
from topics.catalogue import Topic
from topics.kafka_clients import native_client
from topics.key_files import RecordKeys
from topics.record_codes import Sign
from topics.speakers import OPERATOR

ANSWER_TIMEOUT_S: Final = 30.0


class NotConfirmed(OutcryError):
    """The shard did not confirm that it has acted. The message names its role and partitions."""


def operator_id() -> str:
    """A source name for an operator's frames, a new one for each command."""
    return f"operator-{secrets.token_hex(4)}"


def ask(
    settings: Settings,
    commands: Topic,
    frames: Sequence[tuple[int, bytes]],
    answers: Topic,
    role: str,
    timeout_s: float,
    *,
    rows_wanted: int = 0,
    is_last: Callable[[Frame], bool] = lambda frame: True,
) -> list[Frame]:
    """Post (partition, frame) pairs and collect the frames of `answers` that they caused, each up to the one that `is_last`.

    Waits for `rows_wanted` rows together. Answers are in the partition of the same number.

    Raises ServiceUnavailable, NotConfirmed.
    """
    deadline = time.monotonic() + timeout_s
    keys = record_keys(settings, OPERATOR)
    consumer = _reader_at_end(settings, answers)
    try:
        waiting = _post(settings, keys.signer(OPERATOR), commands, frames, timeout_s)
        unanswered, found, taken = set(waiting), list[Frame](), set[tuple[int, int, int]]()
        while unanswered or sum(len(frame.rows) for frame in found) < rows_wanted:
            if time.monotonic() > deadline:
                where = ", ".join(map(str, sorted({p for p, _ in unanswered}))) or "some"
                raise NotConfirmed(
                    f"{role} did not answer within {timeout_s:g} s on partition {where} of {commands.name}: is it running? Run `outcry status`. "
                    f"The command is in the log and takes effect when {role} reaches it"
                )
            frame, partition = _next_frame(consumer, keys)
            if frame is None:
                continue
            key = (partition, frame.header.source_offset)
            if key in waiting and frame.header.source == f"{commands.name}/{partition}":
                if (mark := (*key, frame.header.source_index)) in taken:
                    continue  # a replica's copy, or one after a restart
                taken.add(mark)
                found.append(frame)
                if is_last(frame):
                    unanswered.discard(key)
        return found
    finally:
        consumer.close()


def _reader_at_end(settings: Settings, topic: Topic) -> Consumer:
    """A consumer without a group that sees every record from now on."""
    partitions = partition_counts(settings, topic)[topic.name]
    consumer = Consumer(
        {
            **native_client(settings.kafka_url),
            "group.id": "outcry-operate",  # never committed to, never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            "fetch.message.max.bytes": FRAME_BYTES_MAX,
        }
    )
    try:
        ends = [watermarks(consumer, topic.name, p, 10)[1] for p in range(partitions)]
    except KafkaException as error:
        consumer.close()
        raise ServiceUnavailable(f"Kafka at {settings.kafka_url} does not answer: {error}") from error
    consumer.assign([TopicPartition(topic.name, p, end) for p, end in enumerate(ends)])
    return consumer


def _next_frame(consumer: Consumer, keys: RecordKeys) -> tuple[Frame | None, int]:
    message = consumer.poll(0.1)
    if message is None or message.error() is not None:
        return None, -1
    partition = message.partition()
    assert partition is not None
    try:
        keys.proof_of(message).require()
        return decode_frame(message.value() or b""), partition
    except BadBytes:  # somebody's forgery is not our answer
        return None, -1


def _post(settings: Settings, sign: Sign, topic: Topic, frames: Sequence[tuple[int, bytes]], timeout_s: float) -> set[tuple[int, int]]:
    """Send the frames; (partition, offset) of each. Raises ServiceUnavailable for any that is not acknowledged."""
    producer = Producer({**native_client(settings.kafka_url), "enable.idempotence": True, "message.max.bytes": FRAME_BYTES_MAX})
    placed: set[tuple[int, int]] = set()
    problems: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            problems.append(error.str())
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        placed.add((partition, offset))

    for partition, frame in frames:
        producer.produce(topic.name, frame, partition=partition, on_delivery=delivered, headers=sign(topic.name, partition, frame))
    left = producer.flush(timeout_s)
    if problems or left:
        raise ServiceUnavailable(
            f"Kafka at {settings.kafka_url} did not acknowledge {left + len(problems)} records for {topic.name}: {problems[:1]}"
        )
    return placed
