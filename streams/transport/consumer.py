"""Faust's Kafka consumer with five changes that were found to matter; written against faust-streaming 0.15.3 (a test holds the version).

* librdkafka reads the records (topics.reader), because aiokafka parses the protocol in Python. aiokafka still does what is needed rarely: the
  membership of the group with Faust's assignor, on which tables and standby copies rest, and the commits. All its partitions are paused, so it
  fetches nothing.
* An event is a turn: everything of one partition that has arrived while the agent was busy. Faust's way from the fetch to the agent costs more than
  a small record, so it is gone once a turn. Turns are short when there is time and long when there is not.
* Faust races every delivery against the suspension of the flow: four asyncio tasks. Here delivery is first tried at once. Only if it has to wait
  (the stream's buffer is full) is it raced.
* A role that can wait (the sinks) fetches in bulk: fewer requests, fewer wake-ups, larger batches.
* Around a rebalance Faust can deliver a record that was read before it, take those up to the committed offset for old ones and leave them
  out, skip what is in a stream's queue, and even commit all that as "gaps". So an agent gets an input only if it follows the one before.
  Any other is dropped just before the agent, and the consumer seeks back. Inputs have no gaps of their own: they are not compacted, and
  nobody writes to them in transactions.
"""

import time
import types
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import faust
import structlog
from faust.transport.drivers.aiokafka import Consumer, ConsumerRebalanceListener
from faust.types import TP, AppT
from faust.types.tuples import ConsumerMessage
from mode import Service

from schemas.errors import ServiceUnavailable
from streams.transport.credentials import native_client_of
from topics.offsets import Offsets, Place
from topics.reader import LogReader

log = structlog.get_logger("outcry.streams")


@types.coroutine
def _continue(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """The rest of a coroutine that was stepped once by hand and now waits for a future."""
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:
            step: Callable[[], Any] = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, sent)
        try:
            waits_for = step()
        except StopIteration as done:
            return done.value


async def _rest(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    return await _continue(coroutine, waits_for)


SEEK_AGAIN_S: Final = 0.5
MEMBERSHIP_EVERY_S: Final = 1.0
MEMBERLESS_MAX_S: Final = 300.0
"""As long as broker_max_poll_interval: after it aiokafka does not join again where nobody reads, and nobody reads before it has joined."""
TURN_RECORDS_MAX: Final = 256
TURN_BYTES_MAX: Final = 1 << 20
"""A turn ends with the record by which it reaches this, so that one partition does not keep the others waiting, and a snapshot can be taken between two turns."""


class Turn(ConsumerMessage):
    """Records of one partition that follow on one another, handed to the agent as one event and acknowledged as one. `offset`: of the first."""

    __slots__ = ("records",)

    def __init__(self, tp: TP, records: list[Any], generation_id: int) -> None:
        kind, time_ms = records[0].timestamp()
        super().__init__(
            tp.topic, tp.partition, records[0].offset(), time_ms / 1000, kind, None, None, None, None, 0, 0, tp, generation_id=generation_id
        )
        self.records = records
        """Messages of confluent_kafka."""

    def on_final_ack(self, consumer: Any) -> bool:
        """Acknowledge every record."""
        self.acked = True
        done = [consumer.ack(_Acknowledged(self.topic, self.tp, record.offset())) for record in self.records]
        return any(done)


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Acknowledged:
    """What Faust's Consumer.ack looks at; it keeps messages in a weak set."""

    topic: str
    tp: TP
    offset: int
    acked: bool = False


@dataclass
class InputOrder:
    """What one partition must deliver next. Earlier offsets pass: Faust and the roles know repeats."""

    expected: int
    sought_s: float = float("-inf")

    def admits(self, first: int, count: int = 1) -> bool:
        """Whether these records, which follow on one another, may be delivered."""
        if first > self.expected:
            return False
        self.expected = max(self.expected, first + count)
        return True

    def goes_back(self, now_s: float) -> bool:
        """True when it is time to seek to `expected` (once more)."""
        if now_s - self.sought_s < SEEK_AGAIN_S:
            return False
        self.sought_s = now_s
        return True


class FastConsumer(Consumer):
    """See the head of this module. `gulp_bytes`, `gulp_wait_ms`: a fetch answers when so much is there, or so long has passed."""

    gulp_bytes = 1
    gulp_wait_ms = 500

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._order: dict[TP, InputOrder] = {}
        self._read_offset = _Unknown()
        self._reader = LogReader(
            reader_configuration(self.app) | {"fetch.min.bytes": self.gulp_bytes, "fetch.wait.max.ms": self.gulp_wait_ms}
        )
        self._offsets = Offsets(reader_configuration(self.app))

    async def on_start(self) -> None:
        """Connect."""
        await super().on_start()
        await self._reader.start()

    async def on_stop(self) -> None:
        """Disconnect."""
        await self._reader.stop()
        await self._offsets.close()
        await super().on_stop()

    @Service.task
    async def _stay_member(self) -> None:
        """End the role when aiokafka has given up its membership. Not left to whoever reads: nobody reads while a rebalance is under way."""
        member_s = time.monotonic()
        while not self.should_stop:
            await self.sleep(MEMBERSHIP_EVERY_S)
            coordinator = self._thread._ensure_consumer()._coordinator
            if self.should_stop or coordinator is None:  # None before its thread has connected
                continue
            raise_fault_of(coordinator)
            if coordinator.member_id:
                member_s = time.monotonic()
            elif time.monotonic() - member_s > MEMBERLESS_MAX_S:
                raise ServiceUnavailable(f"{self.app.conf.id} has been no member of its consumer group for {MEMBERLESS_MAX_S:g} s")

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  the signature is Faust's
        # within it aiokafka knows that the application is alive; outside of it for broker_max_poll_interval, it leaves the group
        with self._thread._ensure_consumer()._subscription.fetch_context():
            found = await self._reader.records(timeout, active_partitions)
        return {TP(*place): turns_of(records) for place, records in found.items()}

    def _to_message(self, tp: TP, record: Any) -> Turn:
        return Turn(tp, record, self.app.consumer_generation_id)

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: who delivers waits for room. Faust would leave the partition out of the next fetch, and without any other sleep for a second."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing, see above."""

    def stop_flow(self) -> None:
        """As Faust's, and whoever waits for records waits no longer."""
        super().stop_flow()
        self._reader.wake()

    async def _seek(self, partition: TP, offset: int) -> None:
        self._reader.seek(partition, offset)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Read on from there."""
        for tp, offset in partitions.items():
            self._reader.seek(tp, offset)

    async def position(self, tp: TP) -> int | None:
        """The offset that is given out next."""
        return self._reader.position(tp)

    def highwater(self, tp: TP) -> Any:
        """Where the log ended at the last answer to a fetch; None before the first."""
        return self._reader.end(tp)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Where the logs end, asked of the broker."""
        return _by_tp(await self._offsets.ends(partitions))

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Where the logs begin, asked of the broker."""
        return _by_tp(await self._offsets.beginnings(partitions))

    async def perform_seek(self) -> None:
        """As Faust's: to what is committed; from there on every record must follow on the one before.

        Then one record back: the last one that was done with comes again, as a witness. By it a role knows its log, or that the log has lost its end and gone
        on (ShardRunner.feed); and it opens its shards although nothing new has come.
        """
        await super().perform_seek()
        committed = {tp: self._committed_offset[tp] or 0 for tp in self.assignment() if not self._is_changelog_tp(tp)}
        self._order = {tp: InputOrder(offset) for tp, offset in committed.items()}
        self._reader.go_to({tp: max(0, offset - 1) for tp, offset in committed.items()})

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """As Faust's; what was read before counts for nothing until the consumer has gone to what is committed."""
        self._order.clear()
        self._reader.go_to({})
        await super().on_partitions_revoked(revoked)

    def read_again(self, tp: TP, offset: int) -> None:
        """Deliver the partition from this offset on, whatever was delivered or committed; what is on its way from behind it is dropped."""
        if tp in self._order:
            self._order[tp] = InputOrder(offset)
            self._reader.seek(tp, offset)

    async def is_next(self, tp: TP, offset: int, count: int = 1) -> bool:
        """Whether `count` inputs may be given to their agent: they follow on the one before them, or repeat some. Else the consumer goes back."""
        order = self._order.get(tp)
        if order is None:
            return False
        if order.admits(offset, count):
            return True
        if order.goes_back(time.monotonic()):
            log.warning("input out of order", topic=tp.topic, partition=tp.partition, offset=offset, expected=order.expected)
            try:
                await self._go_back(tp, order)
            except ServiceUnavailable as error:  # the next input asks again
                log.warning("cannot go back", topic=tp.topic, partition=tp.partition, detail=repr(error))
        return False

    async def _go_back(self, tp: TP, order: InputOrder) -> None:
        """To what is missing; where the log does not have it any more (a topic keeps records for a limited time), to the first record that it has.

        The role then says what it thinks of that. However often it takes, nothing that is in the log is left out.
        """
        order.expected = max(order.expected, (await self.earliest_offsets(tp))[tp])
        await self.seek_wait({tp: order.expected})

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust would judge by its monitor, which is told nothing here, and by changelogs, which are not fetched here. streams.transport.lag tells."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: an offset that was not acknowledged must not be committed."""

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109  the signature is Faust's
        """As Service.wait_first, but where the first coroutine ends without waiting, nothing is raced and None is returned.

        Faust's only caller that gets here with a coroutine first is the delivery of a record, and it ignores the result.
        """
        first = coros[0]
        if timeout is not None or not isinstance(first, Coroutine) or self.suspend_flow.is_set():
            return await super().wait_first(*coros, timeout=timeout)
        try:
            waits_for = first.send(None)
        except BaseException as error:
            for other in coros[1:]:
                _close(other)
            if isinstance(error, StopIteration):
                return None
            raise
        return await super().wait_first(_rest(first, waits_for), *coros[1:])


def raise_fault_of(coordinator: Any) -> None:
    """Raise what aiokafka cannot go on with in the group.

    Its own getmany would: until that is called it does nothing more for the membership, and the role would be no member any more without a word. A broker
    whose disk is full answers so, for example. Only looks, as the coordinator belongs to another thread.
    """
    if coordinator._pending_exception is not None:
        raise coordinator._pending_exception
    if coordinator._coordination_task.done() and not coordinator._closing.done():
        coordinator._coordination_task.result()


def turns_of(records: list[Any]) -> list[list[Any]]:
    """Records of one partition as turns: in each they follow on one another, up to TURN_RECORDS_MAX and TURN_BYTES_MAX."""
    turns: list[list[Any]] = []
    follows = room = -1
    for record in records:
        if record.offset() != follows or room <= 0 or len(turns[-1]) >= TURN_RECORDS_MAX:
            turns.append([])
            room = TURN_BYTES_MAX
        turns[-1].append(record)
        follows, room = record.offset() + 1, room - len(record)
    return turns


def reader_configuration(app: AppT) -> dict[str, Any]:
    """What a reader of this app has from its settings."""
    return {**native_client_of(app), "client.id": f"{app.conf.id}-reader"}


def _by_tp(offsets: Mapping[Place, int]) -> dict[TP, int]:
    return {TP(*place): offset for place, offset in offsets.items()}


class _Unknown(defaultdict[TP, int | None]):
    """Where Faust notes what it delivered last of each partition, to drop what is below. It may note that after a seek back, so it must not."""

    def __missing__(self, _: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        """Nothing."""

    def update(self, *_: object) -> None:
        """Nothing."""


class InOrderStream(faust.Stream[bytes]):
    """A stream whose events follow one on the other, see FastConsumer."""

    async def events(self) -> AsyncIterator[Any]:
        """As Faust's, without those that come too early."""
        consumer = cast("FastConsumer", self.app.consumer)
        async for event in super().events():
            turn = cast("Turn", event.message)
            if await consumer.is_next(turn.tp, turn.offset, len(turn.records)):
                yield event


class _Listener(ConsumerRebalanceListener):
    """Runs in the consumer's thread, before anything of an assignment is fetched."""

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """As Faust's, but aiokafka is to fetch nothing.

        Its partitions get a position all the same: it would ask the broker for one, and commits nothing on a broker that it asks. Where that is
        not the leader any more it asks the same one again until its metadata are too old, for minutes.
        """
        consumer = self._thread._ensure_consumer()
        for tp in assigned:
            consumer.pause(tp)
            consumer.seek(tp, 0)
        await super().on_partitions_assigned(assigned)


FastConsumer.RebalanceListener = _Listener


def _close(waiting: Awaitable[Any]) -> None:
    """Dispose of a coroutine that was made and is not needed, so that Python does not warn of it."""
    if isinstance(waiting, Coroutine):
        waiting.close()


def consumer_class(gulp_bytes: int = 1, gulp_wait_ms: int = 500) -> type[FastConsumer]:
    """A consumer for one app: Faust wants a class, and gives it no arguments."""
    return type("FastConsumer", (FastConsumer,), {"gulp_bytes": gulp_bytes, "gulp_wait_ms": gulp_wait_ms})
