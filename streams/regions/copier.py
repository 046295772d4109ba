"""Append another region's log to the one here, record by record, each at the same offset, with its key, code and append time.

So everything that names a place in the log holds here too: marks, proofs, snapshots, `outcry verify`. Where the copy goes on is where it ends; nothing
else has to be remembered. One process does it at a time, and it ends rather than append at another offset (StaleData).

What the other region has committed is noted here as well, in the group of this role: outputs of inputs below are in the copy. By that the shards that
follow the copy let go of the outputs that they hold (streams.host.takeover).
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.errors import ServiceUnavailable, StaleData
from schemas.limits import FRAME_BYTES_MAX
from streams.regions.causal_order import Arrived, CausalOrder, input_named_by
from streams.regions.copy_times import CopyTimes
from streams.transport.cluster import watermarks
from topics.offsets import Place
from topics.record_codes import code_of
from topics.roles import COPY_LOG, GROUP_PREFIX, REPLICAS, ROLES

log = structlog.get_logger("outcry.streams")

TAKEN_AT_ONCE: Final = 2_000
ARRIVAL_S: Final = 0.02
"""How long the thread waits for a record while the broker here owes no answer."""
ANSWER_S: Final = 0.002
"""How long it waits for an answer of the broker here before it looks again for records. An order passes four topics, each of which waits for the one before,
so each answer is used at once: a copier that looks only now and then comes later and later where orders and their reports take turns in a topic."""
WAITING_BYTES_MAX: Final = 2 * FRAME_BYTES_MAX
"""Of one partition, of records that wait for an input of another: then it is not read any further until they do not."""
STUCK_S: Final = 1.0
"""So long a frame waits before the other region is asked whether its input exists."""
LOOK_S: Final = 0.1
COVER_EVERY_S: Final = 0.5
GROUPS_EVERY_S: Final = 10.0
ANSWER_TIMEOUT_S: Final = 10.0
UNSENT_S: Final = 5.0
"""A record that the broker here has not taken for so long is not sent any more, also where the process stood still meanwhile: it begins again at the end
of the copy. What is older might come after a take-over."""
FOLLOWED: Final = tuple(role for role in ROLES.values() if role.follows)
"""Roles whose shards follow the copy."""
_GONE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


@dataclass
class Copied:
    """What a copier has done, for /metrics and people. behind: records that the other region has and the copy has not; None before it has been asked."""

    records: int = 0
    bytes: int = 0
    behind: dict[Place, int] | None = None
    covered: dict[Place, int] = field(default_factory=dict)
    last_s: float = 0.0
    """Monotonic time at which the other region last answered."""


class Copier:
    """One thread's work. there, here: librdkafka's settings of the two regions."""

    def __init__(self, there: Mapping[str, Any], here: Mapping[str, Any], places: Iterable[Place]) -> None:
        self._there, self._here = dict(there), dict(here)
        self._places = tuple(places)
        self.told = Copied()
        self._order = CausalOrder(dict.fromkeys(self._places, 0))
        self._times = {topic: CopyTimes(topic) for topic, _ in self._places}
        self._unanswered = 0
        """Records that the broker here was sent and has said nothing of."""
        self._failed: Exception | None = None
        self._paused: set[Place] = set()
        self._groups: tuple[list[tuple[str, str]], float] = ([], 0.0)
        self._cover: tuple[dict[Place, int], dict[Place, int]] | None = None
        self._cover_due = 0.0
        self._stuck: dict[Place, float] = {}

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. Raises StaleData where the two logs do not belong together, ServiceUnavailable where a broker does not answer in time."""
        self._source = Consumer({**_READING, **self._there, "group.id": f"{GROUP_PREFIX}{COPY_LOG.name}"})
        self._sink = Producer({**_WRITING, **self._here})
        self._asker = Consumer({**_READING, **self._there, "group.id": "outcry-read-log"})
        self._asks_there, self._asks_here = AdminClient({**self._there, "log_level": 0}), AdminClient({**self._here, "log_level": 0})
        ended = threading.Event()
        covering = threading.Thread(target=self._cover_until, args=(ended,), name="covering", daemon=True)
        try:
            self._begin()
            covering.start()
            while not stop.is_set():
                self._take(self._arrived())
                self._append()
            self._sink.flush(UNSENT_S)
        finally:
            ended.set()
            self._source.close()
            self._sink.purge()

    # -- where to begin

    def _begin(self) -> None:
        here = Consumer({**_READING, **self._here, "group.id": "outcry-read-log"})
        try:
            ends = {place: self._end(here, place, "here") for place in self._places}
            for place, end in ends.items():
                self._require_same(here, place, end)
        finally:
            here.close()
        self._order = CausalOrder(ends)
        self._source.assign([TopicPartition(*place, end) for place, end in ends.items()])
        log.info("copying", partitions=len(ends), records=sum(ends.values()))

    def _end(self, consumer: Consumer, place: Place, where: str) -> int:
        try:
            return watermarks(consumer, *place, ANSWER_TIMEOUT_S)[1]
        except KafkaException as error:
            raise ServiceUnavailable(f"Kafka {where} does not say where {_named(place)} ends: {error.args[0].str()}") from error

    def _require_same(self, here: Consumer, place: Place, end: int) -> None:
        """The last record of the copy is the other region's at that offset, to the byte. Raises StaleData."""
        there = self._end(self._source, place, "in the other region")
        if there < end:
            raise StaleData(
                f"{_named(place)}: the copy has {end:,} records, the other region only {there:,}: its log has lost its end, or it is another log"
            )
        if end and _content(_record_at(here, place, end - 1)) != _content(_record_at(self._source, place, end - 1)):
            raise StaleData(
                f"{_named(place)}: the records at offset {end - 1:,} differ: one of the regions has appended for itself. "
                f"`outcry region compare` shows where they parted"
            )

    # -- copying

    def _arrived(self) -> list[Message]:
        """What is there. Waits for the first record only while the broker here owes nothing: consume() alone would wait until all that it may take is there."""
        first = self._source.poll(0 if self._unanswered else ARRIVAL_S)
        return [first, *self._source.consume(TAKEN_AT_ONCE, 0)] if first is not None else []

    def _take(self, messages: list[Message]) -> None:
        now = time.monotonic()
        for message in messages:
            error = message.error()
            if error is not None:
                self._require_passing(error)
                continue
            self.told.last_s = now
            place, value = (message.topic() or "", message.partition() or 0), message.value()
            self._order.arrived(Arrived(place, message.offset() or 0, len(value or b""), input_named_by(value), message, now))
            if place not in self._paused and self._order.waiting_bytes(place) > WAITING_BYTES_MAX:
                self._paused.add(place)
                self._source.pause([TopicPartition(*place)])

    def _require_passing(self, error: KafkaError) -> None:
        if error.code() in _GONE:
            raise StaleData(f"the other region does not have what the copy needs next: {error.str()}; begin a new copy")
        log.warning("the other region does not answer", detail=error.str())

    def _append(self) -> None:
        for record in self._order.ready():
            self._produce(record)
        self._sink.poll(ANSWER_S if self._unanswered else 0)
        for record in self._order.ready():  # what the answers let go
            self._produce(record)
        if self._failed is not None:
            raise self._failed
        for place in [place for place in self._paused if self._order.waiting_bytes(place) <= WAITING_BYTES_MAX // 2]:
            self._paused.discard(place)
            self._source.resume([TopicPartition(*place)])
        self._let_forgeries_go()

    def _produce(self, record: Arrived) -> None:
        message, (topic, partition), now = record.message, record.place, time.monotonic()
        while True:
            try:
                self._sink.produce(
                    topic, message.value(), message.key(), partition, timestamp=message.timestamp()[1], headers=message.headers() or [],
                    on_delivery=lambda error, sent: self._delivered(error, sent, record, now),
                )  # fmt: skip
            except BufferError:
                self._sink.poll(ANSWER_S)
            else:
                self._unanswered += 1
                return

    def _delivered(self, error: KafkaError | None, sent: Message, record: Arrived, sent_s: float) -> None:
        self._unanswered -= 1
        if self._failed is not None:
            return
        if error is not None:
            self._failed = ServiceUnavailable(f"Kafka here does not take {_named(record.place)}: {error.str()}")
        elif sent.offset() != record.offset:
            self._failed = StaleData(
                f"{_named(record.place)}: the record of offset {record.offset:,} was appended here at {sent.offset() or 0:,}: somebody else writes to the "
                f"copy. Stop that, and begin a new copy; if this region has taken over, there is nothing to copy any more"
            )
        else:
            self._order.appended(record.place, record.offset)
            self.told.records, self.told.bytes = self.told.records + 1, self.told.bytes + record.size
            self._times[record.place[0]].note(
                record.arrived_s, sent_s, time.monotonic(), time.time() - record.message.timestamp()[1] / 1_000
            )

    def _let_forgeries_go(self) -> None:
        """A frame that names an input which the other region does not have was made by no shard; it must not hold up what follows."""
        now = time.monotonic()
        for place in self._places:
            needed = self._order.waits_for(place)
            if needed is None or self._order.ends.get(needed[0], 0) > needed[1]:
                self._stuck.pop(place, None)
            elif now - self._stuck.setdefault(place, now) > STUCK_S:
                self._stuck[place] = now
                if needed[1] >= self._end_there(needed[0]):
                    log.warning(
                        "a frame names an input that does not exist", where=_named(place), source=_named(needed[0]), offset=needed[1]
                    )
                    self._order.let_go(place)

    def _end_there(self, place: Place) -> float:
        """Infinite while the other region does not answer."""
        try:
            return self._end(self._source, place, "in the other region")
        except ServiceUnavailable:
            return float("inf")

    # -- what is covered

    def _cover_until(self, ended: threading.Event) -> None:
        """In a thread of its own: a question waits for a broker, and copying must not."""
        while not ended.wait(LOOK_S):
            try:
                self._cover_what_is_done()
            except (ServiceUnavailable, KafkaException) as error:
                log.warning("a region does not answer", detail=str(error))

    def _cover_what_is_done(self) -> None:
        """Outputs of what the other region had committed were in its log before its ends were asked for. Once the copy is there, it has them too."""
        now = time.monotonic()
        if self._cover is not None and all(self._order.ends[place] >= end for place, end in self._cover[1].items()):
            self._note(self._cover[0])
            self._cover = None
        if self._cover is None and now >= self._cover_due:
            self._cover_due = now + COVER_EVERY_S
            committed = self._committed()
            ends = {place: self._end(self._asker, place, "in the other region") for place in self._places}
            self.told.last_s = time.monotonic()
            self.told.behind = {place: end - self._order.ends[place] for place, end in ends.items()}
            self._cover = committed, ends
        elif self._cover is not None:
            self.told.behind = {place: max(0, end - self._order.ends[place]) for place, end in self._cover[1].items()}

    def _committed(self) -> dict[Place, int]:
        """By partition of the followed roles' inputs, what the furthest replica there has committed."""
        found: dict[Place, int] = {}
        for group, topic in self._groups_there():
            asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in self._places if place[0] == topic])
            answer = self._asks_there.list_consumer_group_offsets([asked], request_timeout=ANSWER_TIMEOUT_S)[group].result(ANSWER_TIMEOUT_S)
            for one in answer.topic_partitions:
                found[one.topic, one.partition] = max(found.get((one.topic, one.partition), 0), one.offset)
        return {place: offset for place, offset in found.items() if offset > 0}

    def _groups_there(self) -> list[tuple[str, str]]:
        """(group, its input) of every replica that has ever run there."""
        known, due = self._groups
        if time.monotonic() >= due:
            listed = self._asks_there.list_consumer_groups(request_timeout=ANSWER_TIMEOUT_S).result(ANSWER_TIMEOUT_S)
            there = {one.group_id for one in listed.valid}
            ours = [(GROUP_PREFIX + role.replica(letter), role.reads[0].name) for role in FOLLOWED for letter in REPLICAS]
            known = [one for one in ours if one[0] in there]
            self._groups = known, time.monotonic() + GROUPS_EVERY_S
        return known

    def _note(self, committed: dict[Place, int]) -> None:
        fresh = {place: offset for place, offset in committed.items() if self.told.covered.get(place, 0) < offset}
        if not fresh:
            return
        group = f"{GROUP_PREFIX}{COPY_LOG.name}"
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*place, offset) for place, offset in fresh.items()])
        try:
            self._asks_here.alter_consumer_group_offsets([asked], request_timeout=ANSWER_TIMEOUT_S)[group].result(ANSWER_TIMEOUT_S)
        except KafkaException as error:
            log.warning("cannot note what is covered", detail=error.args[0].str())
            return
        self.told.covered.update(fresh)


_READING: Final[dict[str, Any]] = {
    "enable.auto.commit": False, "auto.offset.reset": "error", "fetch.message.max.bytes": 2 * FRAME_BYTES_MAX, "fetch.wait.max.ms": 20,
    "queued.max.messages.kbytes": 65_536, "check.crcs": True, "reconnect.backoff.max.ms": 1_000, "log_level": 0,
}  # fmt: skip
_WRITING: Final[dict[str, Any]] = {
    "acks": "all", "enable.idempotence": True, "linger.ms": 0, "message.max.bytes": 2 * FRAME_BYTES_MAX, "message.timeout.ms": int(UNSENT_S * 1_000),
    "allow.auto.create.topics": False, "log_level": 0,
}  # fmt: skip


def _named(place: Place) -> str:
    return f"{place[0]}/{place[1]}"


def _content(message: Message) -> tuple[Any, ...]:
    return message.value(), message.key(), message.timestamp()[1], message.headers()


def _record_at(consumer: Consumer, place: Place, offset: int) -> Message:
    """One record. Raises ServiceUnavailable where it does not come."""
    consumer.assign([TopicPartition(*place, offset)])
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            error = message.error() if message is not None else None
            if message is not None and error is None:
                return message
            if error is not None and error.code() in _GONE:
                raise StaleData(f"{_named(place)} does not have offset {offset:,} any more: {error.str()}")
    finally:
        consumer.unassign()
    raise ServiceUnavailable(f"{_named(place)}: the record at offset {offset:,} does not come within {ANSWER_TIMEOUT_S:g} s")


def newest_is_signed(client: Mapping[str, Any], place: Place, end: int) -> bool:
    """Whether the last record of a partition has a code (topics.record_codes). Raises ServiceUnavailable."""
    consumer = Consumer({**_READING, **client, "group.id": "outcry-read-log"})
    try:
        headers = _record_at(consumer, place, end - 1).headers() or []
    finally:
        consumer.close()
    return code_of(headers.items() if isinstance(headers, dict) else headers) is not None
