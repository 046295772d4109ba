"""Inputs that operators have set aside, because a shard stops at them: the same for every replica, every restart and every replay.

In:     set.aside, read to its end before a shard applies anything
Out:    set.aside (`outcry topics set-aside`); the input itself becomes a dead letter where it would have been applied
On failure: a shard does not start while the list cannot be read.

A later record cannot help a shard that is stuck, and a file would not exist on another machine. So the list is a topic of its own. A running shard has
read the list at its start and may not know of a later entry. That is harmless for an input that the engine refuses: whoever comes to it stops, restarts
and reads the list. So the command replays the shard first, and refuses an input that the engine can apply or that any shard has passed. A snapshot
records what had been set aside before it, and is refused with another list.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException, Producer

from schemas.codec import BadBytes, decode_header, decode_record, encode_record
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.settings import Settings
from streams.host.read_log import ANSWER_TIMEOUT_S, Log, place
from streams.host.shard_runner import NOTHING_SET_ASIDE, Record, ShardRunner
from streams.process.record_keys import record_keys
from topics.catalogue import SET_ASIDE
from topics.kafka_clients import native_client
from topics.speakers import OPERATOR

_TAIL: Final = 1_000
"""Of a shard's own output, the records in which its newest input is looked for; an output frame a shard has about one input."""


@dataclass(frozen=True)
class SetAside:
    """What is set aside: reason by offset, by role and partition. Two roles may read one topic, and only one of them stop at a record."""

    entries: Mapping[tuple[str, int], Mapping[int, str]]

    def of(self, role: str, partition: int) -> Mapping[int, str]:
        """Of one partition of a role's input."""
        return self.entries.get((role, partition), NOTHING_SET_ASIDE)


NOTHING: Final = SetAside({})


def read_set_aside(log: Log) -> SetAside:
    """The list as it is now. Raises TopicsMissing, ServiceUnavailable."""
    log.partitions(SET_ASIDE)
    bounds = log.bounds(SET_ASIDE.name, 0)
    return listed(log.records(SET_ASIDE.name, 0, bounds.low, bounds.high) if bounds is not None else iter(()))


def set_aside_of(settings: Settings) -> SetAside:
    """The same with a connection of its own."""
    with Log(settings) as log:
        return read_set_aside(log)


def listed(records: Iterator[Record]) -> SetAside:
    """Entries of the topic's records. A record that is unreadable, or no operator's, is skipped, or it would stop every shard."""
    entries: dict[tuple[str, int], dict[int, str]] = {}
    for record in records:
        try:
            record.proof.require()
            name, value = decode_record(record.value or b"")
        except BadBytes:
            continue
        if name == "set_aside":
            entries.setdefault((value["role"], value["partition"]), {}).setdefault(value["offset"], value["reason"])
    return SetAside(entries)


def require_not_passed(log: Log, topic: str, own: str, partition: int, offset: int) -> None:
    """Raises OutcryError where the shard's own output has anything of this input, or of one behind it."""
    bounds = log.bounds(own, partition)
    for record in log.records(own, partition, max(bounds.low, bounds.high - _TAIL), bounds.high) if bounds is not None else ():
        try:
            record.proof.require()
            found = decode_header(record.value)
        except BadBytes:
            continue
        if found is not None and found[1].source == place(topic, partition) and found[1].source_offset >= offset:
            raise OutcryError(
                f"{place(own, partition)} offset {record.offset:,} was made of {place(topic, partition)} offset {found[1].source_offset:,}: the shard "
                f"has passed {offset:,}, and its outputs cannot be undone"
            )


def require_stuck(log: Log, make: Callable[[], ShardRunner], topic: str, partition: int, offset: int) -> str:
    """Replay a shard up to this input; what the engine says when it comes to it. Raises OutcryError if it takes it."""
    runner = make()
    if runner.next_offset > offset:
        raise OutcryError(f"a snapshot of {place(topic, partition)} ends at {runner.next_offset:,}: the shard has passed {offset:,}")
    for record in log.records(topic, partition, runner.next_offset, offset + 1):
        try:
            runner.feed(record)
        except Exception as error:
            if record.offset == offset:
                return f"{type(error).__name__}: {error}"
            raise StaleData(
                f"{place(topic, partition)}: the engine stops before {offset:,}, at {record.offset:,} ({type(error).__name__}: {error})"
            ) from error
    raise OutcryError(
        f"the engine applies {place(topic, partition)} offset {offset:,}, so it does not stop the shard; replicas that applied it would differ "
        f"from those that leave it out"
    )


def append(settings: Settings, role: str, topic: str, partition: int, offset: int, reason: str) -> None:
    """Write an entry; it is in the log when this returns. Raises ServiceUnavailable."""
    value = encode_record("set_aside", {"role": role, "topic": topic, "partition": partition, "offset": offset, "reason": reason})
    problems: list[str] = []
    producer = Producer({**native_client(settings.kafka_url), "acks": "all", "enable.idempotence": True, "log_level": 0})
    try:
        producer.produce(
            SET_ASIDE.name, value, partition=0, headers=record_keys(settings, OPERATOR).signer(OPERATOR)(SET_ASIDE.name, 0, value),
            on_delivery=lambda error, _: problems.append(str(error)) if error else None,
        )  # fmt: skip
        left = producer.flush(ANSWER_TIMEOUT_S)
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka at {settings.kafka_url} did not take the entry: {error}") from error
    if problems or left:
        raise ServiceUnavailable(f"Kafka at {settings.kafka_url} did not take the entry: {problems or 'no answer'}")
