"""Read ranges of the log in order, with bounded memory, and show progress. No group is joined and nothing is committed.

In:     any partition of any topic, from an offset up to the end at the time of the call
State:  none
On failure: ServiceUnavailable if the broker does not answer; StaleData if the log does not have the range.
"""

import time
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self

import click
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.limits import FRAME_BYTES_MAX
from schemas.settings import Settings
from streams.host.kafka_records import polled_record
from streams.host.shard_runner import Record
from streams.process.record_keys import record_keys
from streams.transport.cluster import partition_counts, watermarks
from topics.catalogue import Topic
from topics.kafka_clients import native_client
from topics.key_files import RecordKeys

ANSWER_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.2
"""An interrupt is heard between two polls."""
READ_AHEAD_KIB: Final = 16_384
"""Two of the largest frames. librdkafka's own default is four times that for each partition that is read."""


class Bounds(NamedTuple):
    """First offset that a partition has, and the one behind its last."""

    low: int
    high: int


def place(topic: str, partition: int) -> str:
    """A partition as messages and frame headers name it."""
    return f"{topic}/{partition}"


class Log:
    """The log of the exchange that the settings name. A context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = record_keys(settings)

    @property
    def keys(self) -> RecordKeys:
        """By which senders are known."""
        return self._keys

    def __enter__(self) -> Self:
        self._asker = self._consumer()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._asker.close()

    def partitions(self, topic: Topic) -> int:
        """Number of partitions; raises TopicsMissing, ServiceUnavailable."""
        return partition_counts(self._settings, topic)[topic.name]

    def bounds(self, topic: str, partition: int) -> Bounds | None:
        """Where a partition begins and ends now; None if there is no such topic or partition. Raises ServiceUnavailable."""
        try:
            return Bounds(*watermarks(self._asker, topic, partition, ANSWER_TIMEOUT_S))
        except KafkaException as error:
            if error.args[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC):
                return None
            raise ServiceUnavailable(
                f"Kafka at {self._settings.kafka_url} does not say where {place(topic, partition)} ends: {error}"
            ) from error

    def whole(self, topic: Topic, partition: int) -> Bounds:
        """As bounds, of a partition that still has its first record. Raises StaleData where it has not, OutcryError where there is none."""
        found = self.bounds(topic.name, partition)
        if found is None:
            raise OutcryError(f"{topic.name} has no partition {partition}, it has {self.partitions(topic)}")
        if found.low:
            raise StaleData(
                f"{place(topic.name, partition)} begins at offset {found.low:,}: the records before it are gone, and with them what follows"
            )
        return found

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int | None:
        """The first record that was appended at this time or later; None if there is none. Raises ServiceUnavailable."""
        try:
            (found,) = self._asker.offsets_for_times([TopicPartition(topic, partition, time_ms)], ANSWER_TIMEOUT_S)
        except KafkaException as error:
            raise ServiceUnavailable(
                f"Kafka at {self._settings.kafka_url} does not say where {place(topic, partition)} was at a time: {error}"
            ) from error
        return int(found.offset) if found.offset >= 0 else None

    def records(self, topic: str, partition: int, start: int, end: int) -> Generator[Record]:
        """The records from offset `start` to before `end`. Raises ServiceUnavailable when nothing comes for ANSWER_TIMEOUT_S."""
        if start >= end:
            return
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, partition, start)])
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
            while True:
                message = consumer.poll(POLL_S)
                if message is None:
                    if time.monotonic() > deadline:
                        raise ServiceUnavailable(f"{place(topic, partition)} gave nothing within {ANSWER_TIMEOUT_S:g} s")
                    continue
                offset = _offset_of(message, place(topic, partition))
                if offset is None or offset >= end:  # the end is also there where compaction took the last offsets
                    return
                deadline = time.monotonic() + ANSWER_TIMEOUT_S
                yield polled_record(message, self._keys)
                if offset == end - 1:
                    return
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        if not self._settings.kafka_url:
            raise ServiceUnavailable("Kafka: no address; start the local set with `outcry up`, or set OUTCRY_KAFKA_URL")
        return Consumer(
            {
                **native_client(self._settings.kafka_url), "group.id": "outcry-read-log", "enable.auto.commit": False,
                "auto.offset.reset": "error", "enable.partition.eof": True, "fetch.message.max.bytes": 2 * FRAME_BYTES_MAX,
                "queued.max.messages.kbytes": READ_AHEAD_KIB, "fetch.wait.max.ms": 20, "log_level": 0,
            }
        )  # fmt: skip


def _offset_of(message: Message, where: str) -> int | None:
    """The offset of a record, None at the end of its partition."""
    error = message.error()
    if error is None:
        offset = message.offset()
        assert offset is not None
        return offset
    if error.code() == KafkaError._PARTITION_EOF:
        return None
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise StaleData(f"{where} no longer has the offset that was asked for: {error}")
    raise ServiceUnavailable(f"{where}: {error}")


class Meter:
    """Progress of a long read: a bar on a terminal, elsewhere a line every LINE_EVERY_S. A context manager."""

    LINE_EVERY_S: Final = 10.0
    _EVERY: Final = 64
    """Records between two looks at the clock."""

    def __init__(self, what: str, total: int, *, quiet: bool = False) -> None:
        self._what, self._total, self._quiet = what, total, quiet
        self.done = 0
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, transient=True, disable=quiet or not console.is_terminal,
        )  # fmt: skip
        self._speaks = not quiet and not console.is_terminal
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        self._said = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(ValueError):  # standard error may be closed already
            self._bar.update(self._task, completed=self.done)
            self._bar.__exit__(None, None, None)

    def add(self, records: int = 1) -> None:
        """Count records that are done."""
        before, self.done = self.done, self.done + records
        if before // self._EVERY == self.done // self._EVERY:
            return
        self._bar.update(self._task, completed=self.done)
        if self._speaks and time.monotonic() - self._said > self.LINE_EVERY_S:
            self._said = time.monotonic()
            click.echo(f"{self._what}: {self.done:,} of {self._total:,} records", err=True)
