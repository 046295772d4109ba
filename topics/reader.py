"""Read chosen partitions on librdkafka from an event loop: records come in batches, and a batch costs the loop one hand-over.

    reader = LogReader({"bootstrap.servers": "127.0.0.1:9092", "client.id": "prices"})
    await reader.start()
    reader.go_to({("market.data", 0): 1_200})
    for place, records in (await reader.records(timeout_s=1.0)).items(): ...

A client in pure Python spends its processor time on Kafka's protocol. librdkafka does it in C, in its own threads, without the interpreter. The
thread here only waits for a record and takes all others that have arrived.

The consumer belongs to that thread alone. confluent-kafka allows one thread at a time, and a loop that called it would wait until no record
comes for POLL_S. So the thread records where the logs end, and other queries use a client of their own, topics.offsets.

No group, no commits: the caller decides what is read, and from where. Records read before `go_to` are never returned after it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.limits import FRAME_BYTES_MAX
from topics.offsets import Place

log = structlog.get_logger("outcry.topics")

BATCH_RECORDS_MAX: Final = 1_000
HELD_BYTES_MAX: Final = 4 * FRAME_BYTES_MAX
"""Limit of what waits for the loop; beyond it the thread takes no more. librdkafka itself holds HELD_KIB_MAX behind it."""
HELD_KIB_MAX: Final = 32_768
POLL_S: Final = 0.1
"""How long the thread waits for a record before it checks whether to read elsewhere, or to end."""
ENDS_EVERY_S: Final = 0.25
DEFAULTS: Final[Mapping[str, Any]] = {
    "group.id": "outcry-reader",  # librdkafka wants a name; nobody joins the group
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # of a log that has lost its end, or its beginning: the caller sees by the offsets
    "enable.partition.eof": False,
    "allow.auto.create.topics": False,
    "fetch.min.bytes": 1,
    "fetch.wait.max.ms": 500,
    "fetch.message.max.bytes": FRAME_BYTES_MAX,
    "fetch.queue.backoff.ms": 10,  # default 1,000: once the queue was full, nothing is fetched for so long after there is room
    "fetch.error.backoff.ms": 50,
    "queued.max.messages.kbytes": HELD_KIB_MAX,
    "topic.metadata.refresh.interval.ms": 10_000,
    "topic.metadata.refresh.fast.interval.ms": 100,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "log_level": 0,  # brokers that come and go are its business; a record that cannot be had is told below
}


class PlacesLost(Exception):
    """With `auto.offset.reset` error: the logs do not have the records to be read next. Nothing comes from there before a new place is given."""

    def __init__(self, places: frozenset[Place]) -> None:
        super().__init__(", ".join(f"{topic}/{number}" for topic, number in sorted(places)))
        self.places = places


class LogReader:
    """See the head of this module. All methods belong to the loop that calls `start`."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        """configuration: librdkafka's, over DEFAULTS; `bootstrap.servers` at least."""
        self._configuration = {**DEFAULTS, **configuration}
        self._held: dict[Place, list[Message]] = {}
        self.held_bytes = 0
        """Of what the thread has read and was not given out yet; under the lock of `_go`."""
        self._next: dict[Place, int] = {}
        self._seen_end: dict[Place, int] = {}
        """With enable.partition.eof: an end that was reached, where compaction may have taken the last records."""
        self._epoch = 0
        """Which `go_to` a batch was read after."""
        self._plan: tuple[int, list[TopicPartition]] | None = None
        self._ends: dict[Place, int] = {}
        self._arrival = asyncio.Event()
        self._lost: set[Place] = set()
        self._fault: BaseException | None = None
        self._ending = False
        self._go = threading.Condition()

    async def start(self) -> None:
        """Make the client and its thread; does not wait for a broker."""
        self._loop = asyncio.get_running_loop()
        self._consumer = Consumer(self._configuration)
        self._thread = threading.Thread(target=self._read, name="log-reader", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the thread, let the client go."""
        with self._go:
            self._ending = True
            self._go.notify()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._consumer.close)
        self.wake()

    def go_to(self, starts: Mapping[Place, int]) -> None:
        """Read these partitions from these offsets and no others. What was read and not yet given out is forgotten."""
        self._epoch += 1
        self._next = dict(starts)
        self._seen_end.clear()
        self._lost.clear()
        self._ends = {}
        self._forget(list(self._held))
        with self._go:
            self._plan = self._epoch, [TopicPartition(topic, number, offset) for (topic, number), offset in starts.items()]
            self._go.notify()

    def seek(self, place: Place, offset: int) -> None:
        """Read one of the partitions from this offset on, the others on from where they are."""
        self.go_to({**self._next, place: offset})

    async def records(self, timeout_s: float, among: Container[Place] | None = None) -> dict[Place, list[Message]]:
        """What has arrived, in order, by partition. Waits for something to arrive, at most `timeout_s`; may return nothing before that.

        among: only of these partitions; what the others have waits. Raises PlacesLost, and what has ended the thread.
        """
        found = self._take(among)
        if not found:
            self._arrival.clear()
            timer = self._loop.call_later(timeout_s, self._arrival.set)
            try:
                await self._arrival.wait()
            finally:
                timer.cancel()
            found = self._take(among)
        return found

    def wake(self) -> None:
        """Let `records` return with what there is, if somebody waits there."""
        self._arrival.set()

    def position(self, place: Place) -> int | None:
        """The next offset to be given out; None where the partition is not read."""
        return self._next.get(place)

    def end(self, place: Place) -> int | None:
        """Where the log ended at an answer to a fetch, at most ENDS_EVERY_S before the last, and never before a record that was read; None before that.

        Costs no request.
        """
        return self._ends.get(place) if place in self._next else None

    # ---- on the loop

    def _take(self, among: Container[Place] | None) -> dict[Place, list[Message]]:
        if self._fault is not None:
            raise self._fault
        if self._lost:
            lost, self._lost = frozenset(self._lost), set()
            raise PlacesLost(lost)
        found = {place: records for place, records in self._held.items() if among is None or place in among}
        self._forget(found)
        for place, records in found.items():
            self._next[place] = _offset(records[-1]) + 1
        for place in [place for place in self._seen_end if place not in self._held]:
            self._next[place] = max(self._next[place], self._seen_end.pop(place))
        return found

    def _forget(self, places: Iterable[Place]) -> None:
        self._let_go([message for place in list(places) for message in self._held.pop(place)])

    def _let_go(self, messages: Iterable[Message]) -> None:
        with self._go:
            self.held_bytes -= _size(messages)
            if self.held_bytes < HELD_BYTES_MAX:
                self._go.notify()

    def _arrived(self, epoch: int, batch: list[Message]) -> None:
        if epoch != self._epoch:
            self._let_go(batch)
            return
        for message in batch:
            place = message.topic() or "", message.partition() or 0
            error = message.error()
            if error is None:
                self._held.setdefault(place, []).append(message)
                if place in self._ends:
                    self._ends[place] = max(self._ends[place], _offset(message) + 1)
                continue
            if error.code() == KafkaError._PARTITION_EOF:
                self._seen_end[place] = _offset(message)
            else:
                self._lost.add(place)
            self._let_go([message])
        self.wake()

    def _ended(self, epoch: int, ends: dict[Place, int]) -> None:
        if epoch == self._epoch:
            self._ends = ends

    def _failed(self, error: BaseException) -> None:
        self._fault = error
        self.wake()

    # ---- in the thread

    def _read(self) -> None:
        try:
            epoch, noted = 0, 0.0
            while (plan := self._next_plan(epoch)) is not None:
                if plan[0] != epoch:
                    epoch, noted = plan[0], time.monotonic()
                    self._consumer.assign(plan[1])
                if plan[1]:
                    self._read_once(partial(self._arrived, epoch))
                    if time.monotonic() > noted + ENDS_EVERY_S:
                        noted = time.monotonic()
                        self._tell(partial(self._ended, epoch, self._noted_ends(plan[1])))
        except BaseException as error:  # told to whoever reads
            self._tell(partial(self._failed, error))

    def _next_plan(self, done: int) -> tuple[int, list[TopicPartition]] | None:
        """What to read; waits while that is nothing, or too much waits for the loop. None: end."""
        with self._go:
            while not self._ending:
                if self._plan is not None and (self._plan[0] != done or (self._plan[1] and self.held_bytes < HELD_BYTES_MAX)):
                    return self._plan
                self._go.wait()
        return None

    def _read_once(self, hand_over: Callable[[list[Message]], None]) -> None:
        # consume() alone waits until all that it was asked for is there, or its time is over
        first = self._consumer.poll(POLL_S)
        if first is None:
            return
        batch = [message for message in (first, *self._consumer.consume(BATCH_RECORDS_MAX - 1, 0)) if _is_heard(message)]
        if batch:
            with self._go:
                self.held_bytes += _size(batch)
            self._tell(partial(hand_over, batch))

    def _noted_ends(self, read: Iterable[TopicPartition]) -> dict[Place, int]:
        """What the last answer to a fetch said, where there was one."""
        ends = {}
        for tp in read:
            with suppress(KafkaException):  # it has not heard of the partition yet
                ends[tp.topic, tp.partition] = self._consumer.get_watermark_offsets(tp, cached=True)[1]
        return {place: end for place, end in ends.items() if end >= 0}

    def _tell(self, what: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)


def _is_heard(message: Message) -> bool:
    """A record, the end of a partition, or the news that there is nothing to go on with."""
    error = message.error()
    if error is None or error.code() in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET):
        return True
    if error.fatal():
        raise KafkaException(error)
    if error.code() not in _PASSING:
        log.warning("not readable", topic=message.topic(), partition=message.partition(), detail=error.str())
    return False


_PASSING: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}
"""librdkafka goes on by itself, and /readyz says that nothing comes."""


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset


def _size(messages: Iterable[Message]) -> int:
    return sum(map(len, messages))
