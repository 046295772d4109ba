"""Archive executions, account events and market data in Parquet files, each row once, for questions in SQL (`outcry query`).

In:     executions, account.events, market.data, from where each partition's newest manifest says
Out:    none on the log; files below OUTCRY_ARCHIVE_DIR (docs/archive.md)
State:  those files. The role joins no group: where it is in the log is in the manifests, and nowhere else
On failure: a disk that takes nothing and a broker that is away are waited for. A log that is not the one that was archived (StaleData) stops the process.
        Market data that Kafka no longer keeps is left out and told. Trading does not wait for any of it
"""

import asyncio
import signal
from collections import deque
from typing import Final

import structlog
import uvloop
from prometheus_client import Counter

from audit.disk import Disk
from schemas.codec import BadBytes
from schemas.errors import StaleData
from schemas.settings import Settings
from sinks.parquet.files import ArchivedPartition, first_day_kept, newest_manifests
from sinks.parquet.tables import TABLES
from streams.host.groupless import begin_again, end_unknown, not_there, open_log, until_taken
from streams.host.kafka_records import polled_record
from streams.host.shard_runner import Record
from streams.host.sink_feeder import input_of
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.process.record_keys import record_keys
from streams.transport.app import claim_for_cluster, claim_for_worker
from streams.transport.cluster import cluster_id
from streams.transport.lag import INPUT_LAG
from topics.catalogue import FOREVER
from topics.offsets import Offsets, Place
from topics.reader import LogReader, PlacesLost
from topics.roles import ARCHIVE
from topics.sources import topic_named

log = structlog.get_logger("outcry.streams")

READ_S: Final = 0.5
GULP_WAIT_MS: Final = 500
"""Nobody waits for it: the end of the log is read by whoever asks."""
ARCHIVED_ROWS: Final = Counter("outcry_archived_rows_total", "rows in committed files", ["table"])
ARCHIVED_BYTES: Final = Counter("outcry_archived_bytes_total", "bytes of committed files", ["table"])


class Archive:
    """The role: see the head of this module."""

    def __init__(self, settings: Settings, starts: dict[Place, int], reader: LogReader, offsets: Offsets, disk: Disk) -> None:
        """starts: the partitions, and where each begins. Raises OSError, StaleData."""
        self._settings, self._reader, self._offsets = settings, reader, offsets
        self._keys = record_keys(settings)
        self._partitions: dict[Place, ArchivedPartition] = {}
        for table in TABLES:
            known = newest_manifests(settings.archive_folder, table)
            for place in (place for place in starts if place[0] == table.topic):
                self._partitions[place] = ArchivedPartition(settings.archive_folder, table, place[1], disk, known.get(place[1]))
        self._records: deque[Record] = deque()
        self._trouble = "starting"

    async def run(self, stop: asyncio.Event) -> None:
        """Read and archive until told to stop; what no file is due for stays in the log. Raises StaleData."""
        await self._begin()
        while not stop.is_set():
            try:
                found = await self._reader.records(READ_S)
            except PlacesLost as lost:
                needed = {place: self._partitions[place].next_offset for place in lost.places}
                self._trouble = not_there(needed)
                await begin_again(self._offsets, ARCHIVE.name, needed, self._begin, stop)
                continue
            self._records.extend(polled_record(message, self._keys) for messages in found.values() for message in messages)
            await until_taken(self._store, "archive", stop, self._tell)
            self._measure()

    def _tell(self, trouble: str) -> None:
        self._trouble = trouble

    async def _begin(self) -> None:
        """Read on behind the newest files, with the record before them, by which another log is known."""
        self._records.clear()
        low = await self._offsets.beginnings(self._partitions)
        for (topic, number), one in self._partitions.items():
            missing = low[topic, number] - one.next_offset
            if missing > 0 and topic_named(topic).retention_ms == FOREVER:
                raise StaleData(f"{topic}/{number} begins at {low[topic, number]:,}, but the archive needs {one.next_offset:,} next")
            if missing > 0 and one.next_offset:
                log.warning("records were deleted before they were archived", topic=topic, partition=number, records=missing)
        self._reader.go_to({place: max(low[place], one.next_offset - 1, 0) for place, one in self._partitions.items()})

    def _store(self) -> None:
        for one in self._partitions.values():
            if one.is_full:
                self._commit(one)
        while self._records:
            record = self._records[0]
            one = self._partitions[record.topic, record.partition]
            if one.ends_before(record.time_ns):
                self._commit(one)
            self._records.popleft()
            try:
                one.take(input_of(record))
            except BadBytes:  # who reads it first writes the dead letter
                one.marks.pass_by(record.topic, record.partition, record.offset, record.time_ns)
            if one.is_full:
                self._commit(one)

    def _commit(self, one: ArchivedPartition) -> None:
        file = one.commit()
        if file is not None:
            ARCHIVED_ROWS.labels(one.table.name).inc(file.rows)
            ARCHIVED_BYTES.labels(one.table.name).inc(file.bytes)
            if self._settings.archive_days:
                one.forget_before(first_day_kept(self._settings.archive_days, file.last_ns))

    def _measure(self) -> None:
        for (topic, number), one in self._partitions.items():
            end = self._reader.end((topic, number))
            if end is not None:
                INPUT_LAG.labels(ARCHIVE.name, topic, number).set(max(0, end - one.next_offset))

    def not_ready(self) -> str:
        """Why the role is not working; "" if it is."""
        return self._trouble or end_unknown(self._reader, self._partitions)

    def status(self) -> dict[str, object]:
        """What it has done. Records that wait for their file are in the log."""
        ends = {place: self._reader.end(place) or 0 for place in self._partitions}
        return {
            "lag_records": sum(max(0, ends[place] - one.next_offset) for place, one in self._partitions.items()),
            "waiting_rows": sum(one.rows for one in self._partitions.values()),
        }


async def _main(settings: Settings) -> None:
    folder = settings.archive_folder
    folder.mkdir(parents=True, exist_ok=True)
    claim_for_worker(folder)
    claim_for_cluster(folder, cluster_id(settings))
    starts, reader, offsets = await open_log(settings, ARCHIVE, GULP_WAIT_MS)
    role = Archive(settings, starts, reader, offsets, Disk())
    health = HealthServer(settings, ARCHIVE.name, role.not_ready, role.status)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await reader.start()
    await health.start()
    try:
        await role.run(stop)
    finally:
        await health.stop()
        await reader.stop()
        await offsets.close()


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    configure_logging(settings.log_level, ARCHIVE.name)
    uvloop.run(_main(settings))
