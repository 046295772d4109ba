"""Run deterministic processors on Faust: one runner per partition, outputs first, then snapshots, inputs acknowledged last.

The order that makes a crash harmless, for each snapshot:
  1. between two inputs, the changed pages of the state are found and copied;
  2. every output of the inputs so far is acknowledged by the broker;
  3. pages and manifest are set in the table, in portions between which inputs are applied, and their changelog records acknowledged;
  4. the inputs are acknowledged, so that Faust may commit their offsets.
Whenever a crash happens, the newest complete snapshot is at or behind the committed offset's outputs. Replaying from it sends
byte-identical duplicates, which consumers drop by their source marks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge

from schemas.errors import StaleData
from schemas.settings import Settings
from streams.host.kafka_records import polled_record
from streams.host.outbox import ACK_TIMEOUT_S, Outbox, acknowledged
from streams.host.set_aside import NOTHING, SetAside
from streams.host.shard import Shard
from streams.host.shard_runner import Output, Processor, ShardRunner, Traced
from streams.host.snapshot_codes import SnapshotCodes
from streams.host.snapshot_pace import SnapshotPace
from streams.host.snapshots import SnapshotStore
from streams.process.suspicious_frames import SuspiciousFrames
from streams.process.worker_identity import WorkerId
from streams.transport.app import TP, App, SnapshotTable, fail_fast
from streams.transport.consumer import FastConsumer
from streams.transport.lag import INPUT_LAG, lag_of
from streams.transport.log_ends import LogEnds, end_for
from topics.catalogue import COPIED_NAMES, Topic
from topics.key_files import NO_KEYS, RecordKeys
from topics.roles import REPLICAS, RoleEntry, changelog_topic

log = structlog.get_logger("outcry.streams")

WRITTEN_AT_ONCE: Final = 8
"""Pages; packed beside the loop, then set in the table and given to the producer: 8 x ~0.1 ms."""
UNACKNOWLEDGED_MAX: Final = 512
"""Pages of a snapshot on their way to the changelog: 512 x at most 64 KiB = 32 MiB of memory."""
REPLAYED_BYTES_MAX: Final = 256 << 20
"""Bytes of inputs without a snapshot: they are in memory, and would be replayed after a crash. At this limit a snapshot is made at once."""
REFUSED_SNAPSHOT: Final = "SNAPSHOT"
"""What the alarm about records calls a snapshot that was passed over when its partition was opened."""
DELETED_AT_ONCE: Final = 16
"""Records of a table. Each is looked up and deleted on disk: 16 x ~50 us."""
ROWS = Counter("outcry_rows_total", "rows applied", ["role", "partition"])
DEAD_LETTERS_TOTAL = Counter("outcry_dead_letters_total", "records sent to the dead-letter topic", ["role", "partition"])
DUPLICATES_TOTAL = Counter("outcry_duplicates_total", "records dropped because they had been applied", ["role", "partition"])
SNAPSHOT_BYTES = Counter("outcry_snapshot_bytes_total", "bytes of changed pages, packed", ["role", "partition"])
SNAPSHOT_HELD = Gauge(
    "outcry_snapshot_held_seconds", "how long inputs waited for the newest snapshot, its hash included", ["role", "partition"]
)
SNAPSHOT_OFFSET = Gauge("outcry_snapshot_offset", "next input offset of the newest durable snapshot", ["role", "partition"])
EPOCH = Gauge("outcry_shard_epoch", "how often the shard was given to other writers", ["role", "partition"])
WRITES = Gauge("outcry_shard_writes", "1 if this replica writes the outputs of the shard, 0 if it only follows", ["role", "partition"])
LOG_TIME = Gauge("outcry_log_time_seconds", "log time of the shard", ["role", "partition"])


@dataclass(frozen=True)
class Tick:
    """A record that the role sends to its own input, for each partition it owns, every `seconds`.

    `count`: how many ticks a processor has applied since it was made. With it only one of several replicas ticks: a replica that saw a tick
    less than half a period ago sends none, and takes over within a period and a half when no more arrive.
    """

    seconds: float
    command: Callable[[int], Output]
    count: Callable[[Any], int] | None = None


@dataclass(frozen=True)
class Role:
    """A role with a state machine: where it reads, where it keeps its state, what it does with a partition."""

    name: str
    source: Topic
    table: str
    make_processor: Callable[[int], Processor]
    tick: Tick | None = None
    consumer: type[FastConsumer] = FastConsumer


def role_of(
    entry: RoleEntry, make_processor: Callable[[int], Processor], tick: Tick | None = None, consumer: type[FastConsumer] = FastConsumer
) -> Role:
    """A role of the table with its program."""
    return Role(entry.name, entry.reads[0], entry.table, make_processor, tick, consumer)


class ShardHost:
    """The Faust side of a role: owns the shards of the partitions that are assigned now."""

    def __init__(
        self, app: App, settings: Settings, role: Role, table: SnapshotTable, stopwatch: Callable[[], float] = time.perf_counter,
        apart: Callable[..., Awaitable[Any]] = asyncio.to_thread, set_aside: SetAside = NOTHING, keys: RecordKeys = NO_KEYS,
        replica: str = REPLICAS[0], *, copies: bool = False, traced: Traced | None = None,
    ) -> None:  # fmt: skip
        """stopwatch: a clock in s, with which costs are measured (the event loop's own stands still within a callback). apart: runs a function beside the loop.

        keys: by which senders of inputs are known, and the role's own snapshots. replica: the letter of this one. copies: the log of this region is a
        copy of another one's: shards write nothing into it before a placement names this replica, or `end_copy` (streams.regions). traced: makes spans of what they do.
        """
        self.copies = copies
        self.replica = replica
        self._set_aside, self._keys, self._traced = set_aside, keys, traced
        self._changelog = changelog_topic(WorkerId(role.name, replica).group, role.table)
        self._app, self._settings, self._role, self._table = app, settings, role, table
        self._shards: dict[int, Shard] = {}
        self._interval_s = settings.snapshot_interval_ms / 1000
        self._stopwatch, self._apart = stopwatch, apart
        self._lag: dict[int, int] = {}
        self.suspicious = SuspiciousFrames(
            role.name, lambda: [(role.source.name, p, shard.runner.marks) for p, shard in self._shards.items()]
        )
        self._ends = LogEnds(app, role.name, self._position)
        self._lag_known = False  # not before something was heard of every partition

    async def consume(self, stream: Any) -> None:
        """The agent: every input of every assigned partition, in offset order. Never raises; a fault ends the process."""
        stream = stream.noack()
        async for event in stream.events():
            try:
                await self._turn(stream, event)
            except asyncio.CancelledError:
                raise
            except BaseException:
                tp = event.message.tp
                fail_fast("fault while applying an input", partition=tp.partition, offset=self._position(tp), turn=event.message.offset)

    async def _turn(self, stream: Any, event: Any) -> None:
        """Apply a turn: inputs that have arrived together, see streams.transport.consumer."""
        message = event.message
        shard = self._shards.get(message.partition) or self._open(message.partition)
        self._require_no_gap(message, shard)
        async with shard.applying:  # sending may wait; a snapshot taken meanwhile would cover an input whose outputs are not all on the way
            for record in (polled_record(one, self._keys) for one in message.records):
                outputs = shard.runner.feed(record)
                if shard.runner.placement is not shard.placement:
                    await self._placed(message.partition, shard)
                await shard.outbox.put(record.offset, outputs, _now(), writes=self._writes(shard))
                if shard.revoked.is_set():  # while there was no room to send; the next owner applies the rest
                    return
                shard.unacknowledged_bytes += len(record.value or b"")
            shard.unacknowledged.append(event)
            shard.arrived.set()
            if shard.unacknowledged_bytes >= REPLAYED_BYTES_MAX:
                shard.full.set()
        self._note_tick(shard)
        shard.note_comparison()
        if shard.snapshot_task is None:
            # The task inherits the current event, hence writes to this event's partition of the table.
            shard.snapshot_task = asyncio.create_task(self._snapshots(stream, message.partition, shard, event))

    async def _placed(self, partition: int, shard: Shard) -> None:
        """Others write from here on. Who begins to write sends first what it has held: what is older must not come later."""
        shard.placement = placement = shard.runner.placement
        writes, held = self._writes(shard), shard.outbox.held
        if writes:
            await shard.outbox.send_held(placement.written_to)
        self._tell_placement(partition, shard)
        log.info("shard moved", partition=partition, place=str(placement), offset=placement.since, writes=writes, held=held)

    async def end_copy(self) -> None:
        """The log is this region's own now: shards that nobody places write it from here on, and first what they hold."""
        self.copies = False
        for partition, shard in list(self._shards.items()):
            shard.outbox.end_copy()
            async with shard.applying:
                shard.copies = False
                if not shard.revoked.is_set():
                    await self._placed(partition, shard)

    def _tell_placement(self, partition: int, shard: Shard) -> None:
        EPOCH.labels(self._role.name, partition).set(shard.placement.epoch)
        WRITES.labels(self._role.name, partition).set(self._writes(shard))

    def _writes(self, shard: Shard) -> bool:
        """Whether this replica does. In a copy one that is not named does not: `every replica` means those of the region that wrote the log."""
        return self.replica in shard.placement.writers if shard.copies else shard.placement.writes(self.replica)

    async def _send(self, output: Output) -> Awaitable[Any]:
        return await self._app.producer.send(output.topic, None, output.value, output.partition, None, None)

    def _require_no_gap(self, message: Any, shard: Shard) -> None:
        if message.offset > shard.runner.next_offset:  # going on would leave inputs out, and nobody would notice
            raise StaleData(
                f"{message.topic}/{message.partition}: the newest snapshot ends at {shard.runner.next_offset:,}, but the consumer group has "
                f"committed inputs up to {message.offset:,}; restore its table's changelog, or set the group's committed offset to that of "
                f"the snapshot{''.join(f'; {one}' for one in shard.store.refused[:1])}"
            )

    def _open(self, partition: int) -> Shard:
        """Restore a partition's state from its table; runs with an event of that partition as the current one."""
        store, began = SnapshotStore(codes=SnapshotCodes(self._keys, self._role.name, self._changelog, partition)), self._stopwatch()
        snapshot = store.load(self._table.get)
        loaded = self._stopwatch()
        pace = SnapshotPace(self._interval_s, due=_now() + self._interval_s, hashed_at=_now())
        runner = ShardRunner(self._role.make_processor(partition), snapshot, self._set_aside.of(self._role.name, partition), self._traced)
        outbox = Outbox(self._send, COPIED_NAMES if self.copies else ())
        shard = Shard(runner, store, pace, outbox, runner.placement, self.copies)
        self._shards[partition] = shard
        self._tell_placement(partition, shard)
        for refused in store.refused:
            runner.marks.unproven[REFUSED_SNAPSHOT] += 1
            log.error("snapshot passed over", partition=partition, problem=str(refused))
        log.info(
            "partition opened", partition=partition, next_offset=shard.runner.next_offset, snapshot=snapshot is not None,
            load_s=round(loaded - began, 3), restore_s=round(self._stopwatch() - loaded, 3),
        )  # fmt: skip
        return shard

    async def _snapshots(self, stream: Any, partition: int, shard: Shard, event: Any) -> None:
        """Snapshots until every input is behind one: an input that comes while one is written is in the next, also when no other follows.

        If the newest has no hash, another one follows when a hash may be taken: the last state of a shard that falls idle can be verified too.
        `event` is kept alive: Faust knows the current event by a weak reference only.
        """
        try:
            while (shard.unacknowledged or shard.hash_owed_at is not None) and not shard.revoked.is_set():
                if not shard.unacknowledged and shard.hash_owed_at is not None:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(shard.arrived.wait(), shard.hash_owed_at - _now())
                await self._snapshot(stream, partition, shard)
        except asyncio.CancelledError:
            raise
        except BaseException:
            fail_fast("snapshot failed", partition=partition)
        finally:
            shard.snapshot_task = None

    async def _snapshot(self, stream: Any, partition: int, shard: Shard) -> None:
        """Steps 1 to 4 of the module's head, once a snapshot is due or the limit of waiting inputs is reached."""
        with suppress(TimeoutError):
            await asyncio.wait_for(shard.full.wait(), shard.pace.due - _now())
        if shard.revoked.is_set():
            return
        async with shard.applying:
            records = self._take(partition, shard)
            taken, next_offset = self._stopwatch(), shard.runner.next_offset
            events, shard.unacknowledged, shard.unacknowledged_bytes = shard.unacknowledged, [], 0
            shard.full.clear()
            shard.arrived.clear()
            outputs = shard.outbox.take()
        self._tell_metrics(partition, shard)
        await shard.outbox.until_written(outputs, next_offset, shard.revoked)
        if shard.revoked.is_set() or not await self._write(partition, shard, records):
            return
        for done in events:
            await stream.ack(done)
        shard.pace.written(_now(), self._stopwatch() - taken)
        SNAPSHOT_OFFSET.labels(self._role.name, partition).set(next_offset)
        await self._delete_outdated(shard)

    def _take(self, partition: int, shard: Shard) -> Iterator[tuple[bytes, bytes]]:
        """What inputs have to wait for: the hash, when it is due, and a copy of what changed."""
        began, now, arrays = self._stopwatch(), _now(), shard.runner.processor.snapshot()
        size = sum(array.nbytes for array in arrays.values())
        hashed = shard.pace.hash_is_due(now, size)
        meta = shard.runner.meta(hashed=hashed)
        noted = self._stopwatch()
        if hashed:
            shard.pace.hashed(now, noted - began, size)
        shard.hash_owed_at = None if hashed else shard.pace.hash_due(size)
        records = shard.store.changes(arrays, meta)
        taken = self._stopwatch()
        shard.pace.taken(now, taken - noted)
        SNAPSHOT_HELD.labels(self._role.name, partition).set(taken - began)
        return records

    async def _write(self, partition: int, shard: Shard, records: Iterator[tuple[bytes, bytes]]) -> bool:
        """Step 3. False if the partition was revoked meanwhile: the previous snapshot is still complete."""
        sent: list[Any] = []
        size = 0
        while part := await self._apart(list, islice(records, WRITTEN_AT_ONCE)):  # checksums and packing need no interpreter
            for key, value in part:
                if shard.revoked.is_set():
                    return False
                self._table[key] = value
                sent += self._table.take_sent()
                size += len(value)
            if len(sent) >= UNACKNOWLEDGED_MAX:
                await acknowledged(sent)
                sent = []
        await acknowledged(sent)
        SNAPSHOT_BYTES.labels(self._role.name, partition).inc(size)
        return not shard.revoked.is_set()

    async def _delete_outdated(self, shard: Shard) -> None:
        """Snapshots of former owners are not needed once this one's first is durable. In portions, so that inputs are not kept waiting."""
        for number, key in enumerate(shard.store.outdated(self._table.get), 1):
            del self._table[key]
            if number % DELETED_AT_ONCE == 0:
                await asyncio.sleep(0)
                if shard.revoked.is_set():
                    return

    def _tell_metrics(self, partition: int, shard: Shard) -> None:
        """Once a snapshot, not once a record: the counters cost as much as a small frame."""
        before, after, labels = shard.told, shard.runner.stats(), (self._role.name, partition)
        shard.told = after
        ROWS.labels(*labels).inc(after.rows - before.rows)
        DEAD_LETTERS_TOTAL.labels(*labels).inc(after.dead_letters - before.dead_letters)
        DUPLICATES_TOTAL.labels(*labels).inc(after.duplicates - before.duplicates)
        LOG_TIME.labels(*labels).set(after.log_time / 1e9)

    async def on_revoked(self, revoked: set[TP]) -> None:
        """Forget the state of partitions that leave; if they come back, they are opened from their table again."""
        for tp in revoked:
            shard = self._shards.pop(tp.partition, None) if tp.topic == self._role.source.name else None
            if shard is not None:
                shard.revoked.set()
                shard.arrived.set()
                shard.outbox.close()
                self._lag.pop(tp.partition, None)
                for gauge in (EPOCH, WRITES):  # another process tells of it from now on
                    gauge.remove(self._role.name, tp.partition)

    async def tick(self) -> None:
        """Send the role's tick to every assigned partition of its input."""
        assert self._role.tick is not None
        fresh = _now() - self._role.tick.seconds / 2
        for tp in self._app.consumer.assignment():
            shard = self._shards.get(tp.partition)
            if self.copies and (shard is None or not self._writes(shard)):
                continue  # the other region's ticks are in the copy
            if tp.topic == self._role.source.name and (shard is None or shard.ticked < fresh):
                await self._send(self._role.tick.command(tp.partition))

    def _note_tick(self, shard: Shard) -> None:
        if self._role.tick is None or self._role.tick.count is None:
            return
        count = self._role.tick.count(shard.runner.processor)
        if count != shard.ticks:
            shard.ticks, shard.ticked = count, _now()

    async def send_to_input(self, partition: int, value: bytes) -> None:
        """Send a record to the input of a shard."""
        await self._send(Output(self._role.source.name, partition, value))

    def followed(self) -> dict[int, Shard]:
        """Shards that others write, by partition."""
        return {partition: shard for partition, shard in self._shards.items() if not self._writes(shard)}

    async def measure_lag(self) -> None:
        """Update the metrics: how far the shards are behind the ends of their inputs."""
        mine = self._mine()
        for tp, records in lag_of(self._app, mine, self._position).items():
            self._lag[tp.partition] = records
            INPUT_LAG.labels(self._role.name, tp.topic, tp.partition).set(records)
        self._lag_known = all(tp.partition in self._lag for tp in mine)

    async def check_ends(self) -> None:
        """End the process if an input has lost its end, after a last snapshot: the effects of the lost inputs are in this state and nowhere else."""
        lost = await self._ends.lost(self._mine())
        for tp, sentence in lost.items():
            shard = self._shards.get(tp.partition)
            if shard is not None and shard.snapshot_task is not None:
                shard.full.set()  # it does not wait until it is due
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(shard.snapshot_task), ACK_TIMEOUT_S)
            end_for(sentence)

    def _mine(self) -> list[TP]:
        return [tp for tp in self._app.consumer.assignment() if tp.topic == self._role.source.name]

    def _position(self, tp: TP) -> int | None:
        shard = self._shards.get(tp.partition)
        return None if shard is None else shard.runner.next_offset

    def not_ready(self) -> str:
        """Why the role is not working; "" if it is."""
        if self._app.rebalancing:
            return "rebalancing"
        if not self._app.flow_control.is_active():
            return "recovering"
        return self._ends.trouble(self._mine())

    def status(self) -> dict[str, object]:
        """What the role has done, by partition."""
        places = {partition: shard.place(self.replica, writes=self._writes(shard)) for partition, shard in self._shards.items()}
        return {
            "lag_records": sum(self._lag.values()) if self._lag_known else None,
            "suspicious_frames": self.suspicious.total(),
            "partitions": {partition: vars(shard.runner.stats()) | places[partition] for partition, shard in self._shards.items()},
        }


def _now() -> float:
    """The event loop's own clock, s: the loop that waits for a time decides what time it is."""
    return asyncio.get_running_loop().time()
