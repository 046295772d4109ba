"""Feed a sink from the log: collect what has arrived, store it as one batch, then acknowledge it. Shared by the persist roles.

In:     the role's topics
Out:    dead.letters (records that cannot be read)
State:  none here; each sink keeps its own marks with its rows
On failure: a store that is down is retried until it answers, and nothing is acknowledged meanwhile. Any other fault stops the process.
        A store that is another server from now on (a promoted replica) may have less than was acknowledged: what it lacks is read again.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from prometheus_client import Counter

from schemas.codec import FRAMES, WRONG_SCHEMA, BadBytes, Frame, decode_record, encode_record, frame_of, schema_of
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.marks import Marks
from schemas.settings import Settings
from sinks import Input, Sink, StoreMoved
from streams.host.kafka_records import polled_record
from streams.host.lost_records import lost_state_of
from streams.host.shard_runner import Record, dead_letter
from streams.host.traced_sink import TracedSink
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from streams.process.spans import span_teller
from streams.process.suspicious_frames import SuspiciousFrames
from streams.transport.app import TP, App, fail_fast, make_app, run_app
from streams.transport.cluster import partition_counts
from streams.transport.consumer import FastConsumer, consumer_class
from streams.transport.lag import INPUT_LAG, LAG_EVERY_S, lag_of
from streams.transport.log_ends import LogEnds, end_for
from topics.catalogue import DEAD_LETTERS, Topic
from topics.key_files import NO_KEYS, RecordKeys
from topics.order_traces import OrderTraces
from topics.sources import UNPROVEN, sources_of, topic_named

log = structlog.get_logger("outcry.streams")

BATCH_RECORDS_MAX: Final = 256
"""A batch is complete with the turn by which it has so many records; frames are a few hundred rows under load, so it stays near 200,000 rows at the very most."""
WAITING_TURNS_MAX: Final = 16
"""Read ahead of the store; then the consumer waits, which is the back-pressure."""
GULP_BYTES: Final = 1 << 20
RETRY_FIRST_S: Final = 0.2
RETRY_LAST_S: Final = 5.0
STORED_ROWS = Counter("outcry_stored_rows_total", "rows handed to the store and stored", ["role"])
STORE_DOWN = Counter("outcry_store_unavailable_total", "times the store did not take a batch", ["role"])

Connect = Callable[[str, InstrumentTable], Awaitable[Sink]]


@dataclass(frozen=True)
class SinkRole:
    """A persist role: where it reads, what it feeds, and where that store is."""

    name: str
    sources: tuple[Topic, ...]
    connect: Connect
    url: str
    gulp_wait_ms: int
    """How long a fetch waits for GULP_BYTES: when little happens the store is so far behind, and gets few large batches instead of many small ones."""
    may_fall_back: bool = False
    """Whether the store may have less than what was acknowledged, also when the role starts."""
    passed_by: frozenset[str] = frozenset()
    """Schemas that the store says it does not keep."""


class SinkFeeder:
    """Gathers events into batches for one sink."""

    def __init__(self, app: App, settings: Settings, role: SinkRole, keys: RecordKeys = NO_KEYS, traced: TracedSink | None = None) -> None:
        """keys: by which senders of records are known. traced: makes spans of what is stored."""
        self._app, self._settings, self._role, self._keys, self._traced = app, settings, role, keys, traced
        self._waiting: asyncio.Queue[tuple[Any, list[Input]]] = asyncio.Queue(WAITING_TURNS_MAX)
        """Faust events, each a turn, with what is to be stored of them."""
        self._sink: Sink | None = None
        self._trouble = "starting"
        self._marks: dict[TP, Marks] = {}
        self.suspicious = SuspiciousFrames(role.name, lambda: [(tp.topic, tp.partition, marks) for tp, marks in self._marks.items()])
        self._stored: dict[TP, int] = {}
        self._needed: defaultdict[TP, int] | None = None
        """From where the store needed each partition at the start, if it may lack something that was acknowledged."""
        self._begun: set[TP] = set()
        """Partitions whose first turn has been compared with that."""
        self._dropping: dict[TP, tuple[int, int]] = {}
        """Partitions that are read again: from which offset, and how many turns may still come that were on their way before."""
        self._ends = LogEnds(app, role.name, self._stored.get)
        self._lag: dict[TP, int] = {}

    async def consume(self, stream: Any) -> None:
        """The agent: decode, or dead-letter, and queue. Never raises; a fault ends the process."""
        stream = stream.noack()
        writer = asyncio.create_task(self._write(stream))
        try:
            async for event in stream.events():
                try:
                    inputs = [await self._input_of(record) for record in (polled_record(one, self._keys) for one in event.message.records)]
                    await self._waiting.put((event, [one for one in inputs if one is not None]))
                except asyncio.CancelledError:
                    raise
                except BaseException:
                    fail_fast("fault while reading the log", topic=event.message.topic, offset=event.message.offset)
        finally:
            writer.cancel()

    async def _input_of(self, record: Record) -> Input | None:
        """The record as the sink's input; None for one that went to the dead letters.

        The marks here only refuse: a record that is delivered again is a repeat for them, but perhaps not for the store.
        """
        try:
            one = input_of(record, self._role.passed_by)
            if isinstance(one.body, Frame):
                self._marks_of(record).take(one.body.header, record.time_ns)
        except BadBytes as error:
            if record.proof.is_operators and lost_state_of(record.value) is not None:
                return None
            if error.reason in UNPROVEN:
                self._marks_of(record).unproven[error.reason] += 1
            letter = encode_record("dead_letter", dead_letter(record, error))
            await (await self._app.producer.send(DEAD_LETTERS.name, None, letter, 0, None, None))
            return None
        else:
            return one

    def _marks_of(self, record: Record) -> Marks:
        return self._marks.setdefault(TP(record.topic, record.partition), Marks())

    async def _write(self, stream: Any) -> None:
        """Store and acknowledge what waits, for ever."""
        try:
            self._sink = await self._until_available(
                lambda: self._role.connect(self._role.url, load_instruments(self._settings.instruments_file))
            )
            sink = self._sink
            for place, reached in (await self._until_available(sink.reached)).items():
                self._stored.setdefault(TP(*place), reached.next_offset)
            if self._role.may_fall_back:
                await self._note_what_is_needed(sink)
            while True:
                taken = await self._next_turns()
                batch = [one for _, inputs in taken for one in inputs]
                while len(batch) < BATCH_RECORDS_MAX and not self._waiting.empty():
                    more = await self._next_turns()
                    taken += more
                    batch += [one for _, inputs in more for one in inputs]
                began_ns = time.time_ns()
                try:
                    if batch:
                        await self._until_available(lambda batch=batch, sink=sink: sink.write_batch(batch))  # type: ignore[misc]
                except StoreMoved as moved:
                    log.warning("store has moved", role=self._role.name, detail=str(moved))
                    await self._go_on_elsewhere(sink, taken)
                    continue
                for event, _ in taken:
                    await stream.ack(event)
                    self._stored[event.message.tp] = event.message.offset + len(event.message.records)
                if self._traced is not None:
                    self._traced.stored(batch, began_ns)
                STORED_ROWS.labels(self._role.name).inc(sum(len(one.body.rows) if not isinstance(one.body, dict) else 1 for one in batch))
        except asyncio.CancelledError:
            raise
        except BaseException:
            fail_fast("fault in the sink", role=self._role.name)

    async def _note_what_is_needed(self, sink: Sink) -> None:
        """From where the store needs each partition: its first turn goes back to there if it lies behind. One always comes (perform_seek)."""
        self._needed = await self._needed_by(sink)

    async def _needed_by(self, sink: Sink) -> defaultdict[TP, int]:
        """The next offset of each partition; 0 for one of which the store has nothing."""
        reached = await self._until_available(sink.reached)
        return defaultdict(int, {TP(*place): one.next_offset for place, one in reached.items()})

    async def _next_turns(self) -> list[tuple[Any, list[Input]]]:
        """The turn that waits longest; none if it is not the one that the store needs next."""
        turn = await self._waiting.get()
        tp, offset = turn[0].message.tp, turn[0].message.offset
        if tp in self._dropping:
            first, left = self._dropping.pop(tp)
            if offset > first and left > 0:
                self._dropping[tp] = first, left - 1
                return []
        if self._needed is not None and tp not in self._begun:
            self._begun.add(tp)
            if offset > self._needed[tp]:
                await self._go_back(tp, self._needed[tp])
                return []
        return [turn]

    async def _go_on_elsewhere(self, sink: Sink, turns: list[tuple[Any, list[Input]]]) -> None:
        """The store is another one, and these turns are not stored: read again from where it has each partition."""
        needed = await self._needed_by(sink)
        first = {tp: needed[tp] for tp, stored in self._stored.items() if needed[tp] < stored}
        for event, _ in turns:
            tp = event.message.tp
            first[tp] = min(first.get(tp, event.message.offset), event.message.offset)
        for tp, offset in first.items():
            await self._go_back(tp, offset)

    async def _go_back(self, tp: TP, offset: int) -> None:
        """Read the partition again from there. Turns that are on their way here are dropped; they come again behind what is missing."""
        there = await self._until_available(lambda: self._app.consumer.earliest_offsets(tp))
        offset = max(offset, there[tp])
        log.warning("reading again what the store lacks", topic=tp.topic, partition=tp.partition, offset=offset, had=self._stored.get(tp))
        cast("FastConsumer", self._app.consumer).read_again(tp, offset)
        self._dropping[tp] = offset, WAITING_TURNS_MAX + 1
        self._stored[tp] = offset

    async def _until_available(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """Retry, less and less often, as long as the store is unavailable."""
        pause_s = RETRY_FIRST_S
        while True:
            started = time.monotonic()
            try:
                result = await attempt()
            except StoreMoved:
                raise
            except ServiceUnavailable as error:
                STORE_DOWN.labels(self._role.name).inc()
                self._trouble = str(error)
                log.warning("store is not available", detail=str(error), again_in_s=pause_s, after_s=round(time.monotonic() - started, 3))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_LAST_S)
            else:
                self._trouble = ""
                return result

    async def measure_lag(self) -> None:
        """Update the metrics: how far the store is behind the ends of the inputs. Records that were read but not stored count as lag."""
        assigned = self._mine()
        self._lag = lag_of(self._app, assigned, self._stored.get)
        for tp, records in self._lag.items():
            INPUT_LAG.labels(self._role.name, tp.topic, tp.partition).set(records)

    async def check_ends(self) -> None:
        """End the process if an input has lost its end: what was stored of it is known nowhere else."""
        for sentence in (await self._ends.lost(self._mine())).values():
            end_for(sentence)

    def _mine(self) -> list[TP]:
        return [tp for tp in self._app.consumer.assignment() if tp.topic in {topic.name for topic in self._role.sources}]

    def not_ready(self) -> str:
        """Why the role is not working; "" if it is."""
        if self._app.rebalancing:
            return "rebalancing"
        return self._trouble or self._ends.trouble(self._mine())

    def status(self) -> dict[str, object]:
        """What the sink has done."""
        return {
            "lag_records": sum(self._lag.values()),
            "waiting_turns": self._waiting.qsize(),
            "suspicious_frames": self.suspicious.total(),
            **({} if self._sink is None else vars(self._sink.stats())),
        }


def input_of(record: Record, passed_by: frozenset[str] = frozenset()) -> Input:
    """A record of the log as sinks take it; raises BadBytes, also for one of somebody who does not write to the partition.

    passed_by: schemas of which only the place counts; what such a record says is not decoded.
    """
    topic, partition = record.topic, record.partition
    record.proof.require()
    if passed_by and (name := schema_of(record.value)) in passed_by and name in topic_named(topic).schemas:
        return Input(topic, partition, record.offset, {}, record.time_ns)
    name, content = decode_record(record.value or b"")
    if name not in topic_named(topic).schemas:
        raise BadBytes(WRONG_SCHEMA, f"{name} does not belong in {topic}")
    if name not in FRAMES:
        return Input(topic, partition, record.offset, content, record.time_ns)
    frame = frame_of(name, content)
    record.proof.require_right(topic, frame, record.time_ns)
    sources_of(topic_named(topic), partition).is_shard(frame.header)
    return Input(topic, partition, record.offset, frame, record.time_ns)


def traced_sink(settings: Settings, role: str) -> TracedSink | None:
    """None where no traces are wanted. Raises OutcryError."""
    tell = span_teller(settings, role)
    return None if tell is None else TracedSink(role, OrderTraces(settings.traces_share), tell)


def run_sink(settings: Settings, role: SinkRole) -> None:
    """Run a persist role until it is stopped."""
    configure_logging(settings.log_level, role.name)
    if not role.url:
        raise ServiceUnavailable(f"{role.name}: its store has no address; start the local set with `outcry up`, or set its OUTCRY_*_URL")
    partition_counts(settings, *role.sources)
    keys = record_keys(settings, role.name)
    app = make_app(settings, role.name, keys.signer(role.name), consumer_class(GULP_BYTES, role.gulp_wait_ms))
    feeder = SinkFeeder(app, settings, role, keys, traced_sink(settings, role.name))
    health = HealthServer(settings, role.name, feeder.not_ready, feeder.status)
    source = app.topic(*(topic.name for topic in role.sources), key_type=bytes, value_type=bytes)
    app.agent(source, name=role.name)(feeder.consume)
    feeder.suspicious.register()
    app.task(health.start)
    app.timer(LAG_EVERY_S)(feeder.measure_lag)
    app.timer(LAG_EVERY_S)(feeder.check_ends)
    run_app(app, settings)
