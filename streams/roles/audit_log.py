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
from typing import Any, Final

import structlog
import uvloop
from prometheus_client import Gauge

from audit.findings import Unchecked, Wrong
from audit.keys import ExchangeKeys, read_exchange_keys
from audit.log_store import LogStore, Position
from audit.policy import Policy
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.settings import Settings
from streams.host.ask_witnesses import Witnesses
from streams.host.groupless import begin_again, end_unknown, not_there, open_log, until_taken
from streams.host.kafka_records import polled_record
from streams.host.seal_days import DAYS, SealedDays
from streams.host.seal_partition import SealedPartition
from streams.host.serve_logs import routes_of
from streams.host.shard_runner import Record
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.transport.app import claim_for_cluster, claim_for_worker
from streams.transport.cluster import cluster_id
from streams.transport.lag import INPUT_LAG
from topics.key_files import NO_KEYS
from topics.offsets import Offsets, Place
from topics.reader import LogReader, PlacesLost
from topics.roles import AUDIT_LOG

log = structlog.get_logger("outcry.streams")

DAYS_EVERY_S: Final = 10.0
"""Between two looks whether a day is over."""
DAYS_TOGETHER: Final = 10
"""Days that were missed are sealed so many at a time: new records get their checkpoints between them."""
READ_S: Final = 0.2
"""A read ends after so long without records; checkpoints are due between reads."""
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
        self._days = SealedDays(LogStore(settings.audit_dir / DAYS / "0", keys.origin(DAYS, 0), keys, Position(0)), self._partitions)
        self._look_at_days_s = 0.0
        self.stores = [*(one.store for one in self._partitions.values()), self._days.store]
        self._records: deque[Record] = deque()
        self._trouble = "starting"

    async def run(self, stop: asyncio.Event) -> None:
        """Read and seal until told to stop, and sign what was read. Raises StaleData."""
        self._go_on()
        while not stop.is_set():
            try:
                found = await self._reader.records(READ_S)
            except PlacesLost as lost:
                needed = {place: self._partitions[place].next_offset for place in lost.places}
                self._trouble = not_there(needed)
                await begin_again(self._offsets, AUDIT_LOG.name, needed, self._begin, stop)
                continue
            self._records.extend(polled_record(message, NO_KEYS) for messages in found.values() for message in messages)
            await until_taken(self._seal, "audit log", stop, self._tell)
            if time.monotonic() >= self._look_at_days_s:
                self._look_at_days_s = time.monotonic() + DAYS_EVERY_S
                await self._seal_days(stop)
            self._measure()
        for one in self._partitions.values():
            await asyncio.to_thread(one.commit)

    def _tell(self, trouble: str) -> None:
        self._trouble = trouble

    def _go_on(self) -> None:
        self._reader.go_to({place: one.read_from for place, one in self._partitions.items()})

    async def _begin(self) -> None:
        """Read on, if no log begins behind what is needed. Raises StaleData, ServiceUnavailable."""
        low = await self._offsets.beginnings(self._partitions)
        for (topic, number), one in self._partitions.items():
            if low[topic, number] > one.read_from:
                raise StaleData(
                    f"{topic}/{number} begins at {low[topic, number]:,}, but the audit log needs {one.read_from:,} next: "
                    "the records between are gone"
                )
        self._go_on()

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

    async def _seal_days(self, stop: asyncio.Event) -> None:
        """Seal every day that is over, once it is known where each partition ended. Raises StaleData."""
        try:
            for _ in range(DAYS_TOGETHER):
                day = self._days.due(time.time_ns() // 1_000_000)
                if day is None or stop.is_set():
                    return
                ends = await self._offsets.ends(self._partitions)
                if not await asyncio.to_thread(self._days.seal, day, ends):
                    return
                log.info("day is sealed", day=str(day), logs=len(self._partitions))
        except ServiceUnavailable as error:
            log.warning("cannot ask where a log ends", detail=str(error))
        except OSError as error:
            log.warning("files are not written", what="log of days", detail=str(error), again_in_s=DAYS_EVERY_S)
        except (Wrong, Unchecked) as error:
            raise StaleData(f"a day cannot be sealed, because an audit log cannot be read: {error}") from None

    def _measure(self) -> None:
        for (topic, number), one in self._partitions.items():
            SIZE.labels(one.store.origin).set(one.store.committed.size)
            end = self._reader.end((topic, number))
            if end is not None:
                INPUT_LAG.labels(AUDIT_LOG.name, topic, number).set(max(0, end - one.store.position.next_offset))

    def not_ready(self) -> str:
        """Why the role is not working; "" if it is."""
        return self._trouble or end_unknown(self._reader, self._partitions)

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
    starts, reader, offsets = await open_log(settings, AUDIT_LOG, GULP_WAIT_MS)
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
