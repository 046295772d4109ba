"""Commit to every record: an entry in the partition's audit log, signed checkpoints, cosigned by witnesses, served to whoever asks.

In:     every topic that is kept for ever, from its first record
Out:    none on the log; files below OUTCRY_HOME/data/audit, and the same over HTTP (docs/audit.md)
State:  those files. The role joins no group: where it is in the log is in the state of each audit log, and nowhere else
On failure: a disk that takes nothing and a broker that is away are waited for. A log that is not the one that was committed to (StaleData) stops
        the process: an audit log does not go on as if nothing had happened. Trading does not wait for any of it.
"""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import structlog
import uvloop
from prometheus_client import Gauge

from audit.findings import Unchecked
from audit.keys import ExchangeKeys, read_exchange_keys
from audit.log_store import LogStore, Position
from audit.policy import Policy
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.settings import Settings
from streams.host.ask_witnesses import Witnesses
from streams.host.kafka_records import polled_record
from streams.host.seal_partition import SealedPartition
from streams.host.serve_logs import routes_of
from streams.host.shard_runner import Record
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.transport.app import claim_for_cluster, claim_for_worker
from streams.transport.cluster import cluster_id, partition_counts
from streams.transport.lag import INPUT_LAG
from streams.transport.log_ends import END_WAIT_S
from topics.key_files import NO_KEYS
from topics.log_ends import lost_end
from topics.offsets import Offsets, Place
from topics.reader import LogReader, PlacesLost
from topics.roles import AUDIT_LOG

log = structlog.get_logger("outcry.streams")

READ_S: Final = 0.2
"""A read ends after so long without records; checkpoints are due between reads."""
RETRY_S: Final = 1.0
GULP_BYTES: Final = 1 << 20
GULP_WAIT_MS: Final = 100
"""As the sinks: nobody waits for it, so it fetches in bulk."""
SIZE: Final = Gauge("outcry_audit_entries", "entries of the newest checkpoint", ["log"])


def witnesses_of(settings: Settings) -> Policy:
    """The file of witnesses; without one nobody cosigns. Raises OutcryError."""
    path = settings.audit_witnesses
    if path is None:
        return Policy.parse("quorum none\n", needs_logs=False)
    try:
        return Policy.parse(path.read_text(), str(path), needs_logs=False)
    except Unchecked as error:
        raise StaleData(f"OUTCRY_AUDIT_WITNESSES: {error}") from None


class AuditLog:
    """The role: see the head of this module."""

    def __init__(self, settings: Settings, keys: ExchangeKeys, starts: dict[Place, int], reader: LogReader, offsets: Offsets) -> None:
        """starts: the partitions, and where each begins; only used of one that has no log yet."""
        self._reader, self._offsets = reader, offsets
        self._partitions = {
            (topic, number): SealedPartition(
                topic, number, LogStore(settings.audit_dir / topic / str(number), keys.origin(topic, number), keys, Position(start))
            )
            for (topic, number), start in starts.items()
        }
        self.stores = [one.store for one in self._partitions.values()]
        self._records: deque[Record] = deque()
        self._trouble = "starting"

    async def run(self, stop: asyncio.Event) -> None:
        """Read and seal until told to stop, and sign what was read. Raises StaleData."""
        self._reader.go_to({place: one.read_from for place, one in self._partitions.items()})
        while not stop.is_set():
            try:
                found = await self._reader.records(READ_S)
            except PlacesLost as lost:
                await self._find(lost.places, stop)
                continue
            self._records.extend(polled_record(message, NO_KEYS) for messages in found.values() for message in messages)
            await self._seal_all(stop)
            self._measure()
        for one in self._partitions.values():
            await asyncio.to_thread(one.commit)

    async def _seal_all(self, stop: asyncio.Event) -> None:
        """Until the disk takes it: nothing more is read before."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._seal)
            except OSError as error:
                self._trouble = f"the disk does not take the audit log: {error}"
                log.warning("audit log is not written", detail=str(error), again_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
            else:
                self._trouble = ""
                return

    def _seal(self) -> None:
        self._commit_due()
        while self._records:
            record = self._records.popleft()
            one = self._partitions[record.topic, record.partition]
            one.take(record, time.monotonic())
            if one.is_due(time.monotonic()):
                one.commit()
        self._commit_due()

    def _commit_due(self) -> None:
        for one in self._partitions.values():
            if one.is_due(time.monotonic()):
                one.commit()

    async def _find(self, places: Iterable[Place], stop: asyncio.Event) -> None:
        """The log does not have what is needed next: wait as long as a new leader may need, then stop. Raises StaleData."""
        deadline = time.monotonic() + END_WAIT_S
        needed = {place: self._partitions[place].read_from for place in places}
        self._trouble = f"{', '.join(f'{topic}/{number}' for topic, number in needed)} does not have what is needed next"
        while not stop.is_set():
            try:
                low, high = await self._offsets.beginnings(needed), await self._offsets.ends(needed)
            except ServiceUnavailable as error:
                log.warning("cannot ask where a log ends", detail=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            gone = [place for place, offset in needed.items() if low[place] > offset]
            short = [place for place, offset in needed.items() if high[place] < self._partitions[place].next_offset]
            if gone or (short and time.monotonic() > deadline):
                topic, number = place = (gone or short)[0]
                raise StaleData(
                    f"{topic}/{number} begins at {low[place]:,}, but the audit log needs {needed[place]:,} next: the records between are gone"
                    if gone
                    else lost_end(f"{topic}/{number}", high[place], AUDIT_LOG.name, self._partitions[place].next_offset)
                )
            if not short:
                break
            await asyncio.sleep(RETRY_S)
        self._reader.go_to({place: one.read_from for place, one in self._partitions.items()})

    def _measure(self) -> None:
        for (topic, number), one in self._partitions.items():
            SIZE.labels(one.store.origin).set(one.store.committed.size)
            end = self._reader.end((topic, number))
            if end is not None:
                INPUT_LAG.labels(AUDIT_LOG.name, topic, number).set(max(0, end - one.store.position.next_offset))

    def not_ready(self) -> str:
        """Why the role is not working; "" if it is."""
        if self._trouble:
            return self._trouble
        for topic, number in self._partitions:
            end = self._reader.end((topic, number))
            if end is None:
                return f"{topic}/{number} has not told yet where it ends"
        return ""

    def status(self) -> dict[str, object]:
        """What it has done."""
        ends = {place: self._reader.end(place) for place in self._partitions}
        return {
            "lag_records": sum(max(0, (ends[place] or 0) - one.store.position.next_offset) for place, one in self._partitions.items()),
            "entries": sum(store.committed.size for store in self.stores),
        }


async def _main(settings: Settings) -> None:
    keys, policy = read_exchange_keys(settings.audit_keys_file), witnesses_of(settings)
    settings.audit_dir.mkdir(parents=True, exist_ok=True)
    claim_for_worker(settings.audit_dir)
    claim_for_cluster(settings.audit_dir, cluster_id(settings))
    counts = partition_counts(settings, *AUDIT_LOG.reads)
    client = {"bootstrap.servers": settings.kafka_url, "client.id": AUDIT_LOG.name}
    offsets = Offsets(client)
    reader = LogReader(client | {"auto.offset.reset": "error", "fetch.min.bytes": GULP_BYTES, "fetch.wait.max.ms": GULP_WAIT_MS})
    starts = await offsets.beginnings((topic, number) for topic, count in counts.items() for number in range(count))
    role = AuditLog(settings, keys, starts, reader, offsets)
    witnesses = Witnesses(policy, role.stores)

    def status() -> dict[str, object]:
        told: dict[str, Any] = {} if not witnesses.troubles else {"witnesses": witnesses.troubles}
        return role.status() | told | ({"ALARM": witnesses.alarms} if witnesses.alarms else {})

    health = HealthServer(settings, AUDIT_LOG.name, role.not_ready, status, routes_of(role.stores, keys.public))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await reader.start()
    await health.start()
    sealing = asyncio.create_task(role.run(stop), name="seal")
    asking = asyncio.create_task(witnesses.keep(), name="witnesses")
    try:
        await asyncio.wait([sealing, *([asking] if policy.urls else [])], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        asking.cancel()
        ended = await asyncio.gather(sealing, asking, return_exceptions=True)
    finally:
        await health.stop()
        await reader.stop()
        await offsets.close()
    for fault in ended:
        if isinstance(fault, OSError):
            raise OutcryError(f"the disk does not take the last checkpoint: {fault}; the next start makes it") from fault
        if isinstance(fault, BaseException) and not isinstance(fault, asyncio.CancelledError):
            raise fault


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    configure_logging(settings.log_level, AUDIT_LOG.name)
    uvloop.run(_main(settings))
