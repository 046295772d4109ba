"""A Faust app with the settings that were measured to matter, and a data directory that belongs to one Kafka cluster."""

import asyncio
import fcntl
import os
import sys
from pathlib import Path
from typing import Any, Final

import faust
import structlog
import uvloop
from faust.sensors.monitor import Monitor
from faust.types import TP

from schemas.errors import StaleData
from schemas.limits import FRAME_BYTES_MAX
from schemas.logins import address_of
from schemas.settings import Settings
from streams.process.files import write_atomically
from streams.process.garbage import look_rarely
from streams.process.last_words import NEEDS_A_PERSON, say
from streams.process.worker_identity import worker_of
from streams.transport.cluster import cluster_id
from streams.transport.consumer import FastConsumer, InOrderStream
from streams.transport.credentials import credentials_of
from streams.transport.producer import producer_class
from streams.transport.recovery import ChangelogTables
from streams.transport.table_store import TableStore
from topics.record_codes import Sign

__all__ = [
    "TP",
    "App",
    "SnapshotTable",
    "claim_for_cluster",
    "claim_for_worker",
    "fail_fast",
    "make_app",
    "persisted_after",
    "run_app",
    "snapshot_table",
]

log = structlog.get_logger("outcry.streams")

App = faust.App
"""Faust's words that hosts need: this package alone imports Faust."""

METADATA_MAX_AGE_MS: Final = 10_000
"""An input of which nothing is committed yet has no position, and aiokafka does not ask who leads it now when the broker that it asks for one does not."""
HEARTBEAT_S: Final = 0.3
CHANGELOG_CONFIG: Final = {
    "segment.bytes": str(32 << 20),  # the segment that is written to is never compacted: what a recovery reads beyond the state, at least
    "min.cleanable.dirty.ratio": "0.2",  # and at most a quarter of the state, once the cleaner has come round (every 5 s)
    "delete.retention.ms": "300000",  # tombstones of former owners' pages; whoever reads the topic from its beginning is done by then
}
"""Keeps a changelog near the size of its state, so that an empty machine does not read pages that others have taken the place of."""
_claims: Final[list[int]] = []
"""Open files whose locks say that a data directory is in use; the kernel lets go of them with the process, however it ends."""


class SnapshotTable(faust.Table[bytes, bytes]):
    """A table that hands out the futures of its changelog records, so that inputs are acknowledged only behind them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent: list[Any] = []

    def _new_store_by_url(self, url: Any) -> TableStore:
        """As faust.Table, but for the class of the store."""
        return TableStore(
            url, self.app, self, table_name=self.name, key_type=self.key_type, key_serializer=self.key_serializer,
            value_serializer=self.value_serializer, value_type=self.value_type, loop=self.loop, options=self.options,
        )  # fmt: skip

    def on_key_set(self, key: bytes, value: bytes) -> None:
        """As faust.Table, but the future is kept: the original drops it, and a failed send would only be logged."""
        self.sent.append(self.send_changelog(self.partition_for_key(key), key, value))

    def take_sent(self) -> list[Any]:
        """The futures since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def _on_changelog_sent(self, fut: Any) -> None:
        """As faust.Table, but the disk counts as up to date only with records that follow on what it has, see persisted_after."""
        sent = fut.result()
        known = self.data.persisted_offset(sent.topic_partition)
        if persisted_after(known, sent.offset) == sent.offset:
            self.data.set_persisted_offset(sent.topic_partition, sent.offset)


def persisted_after(known: int | None, sent: int) -> int | None:
    """Up to which changelog offset a disk is up to date that was so up to `known` (None: not at all) and whose record was then given offset `sent`.

    Records in between are another owner's: the disk does not have them, and a recovery that began behind them would leave them out.
    """
    return sent if sent == (-1 if known is None else known) + 1 else known


def make_app(settings: Settings, role: str, sign: Sign, consumer: type[FastConsumer] = FastConsumer) -> faust.App:
    """The Faust app of a role; its consumer group is `outcry-<role>`, or `outcry-<role>-<replica>`. sign: signs what the role writes."""
    worker = worker_of(settings, role)
    data_dir = settings.data_dir / "tables" / worker.name
    claim_for_worker(data_dir)
    claim_for_cluster(data_dir, cluster_id(settings))
    timeout_s = settings.session_timeout_ms / 1000
    # Faust's services take the current loop when they are made, so the loop that runs them has to be there first.
    # The policy gives uvloop to the consumer's thread too.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = faust.App(
        f"outcry-{worker.group}",
        loop=loop,
        broker=[f"aiokafka://{server}" for server in address_of(settings.kafka_url).split(",")],
        broker_credentials=credentials_of(settings.kafka_url),
        store="rocksdb://",
        datadir=str(data_dir),
        key_serializer="raw",
        value_serializer="raw",
        topic_disable_leader=True,
        topic_replication_factor=settings.replication_factor,
        table_standby_replicas=settings.standby_replicas,
        # A restarted worker takes its old member's place at once; without it a kill -9 costs the whole session time-out.
        consumer_group_instance_id=worker.name,
        broker_session_timeout=timeout_s,
        # By its heartbeat a member hears that the group must share out the partitions again, so it bounds every failover.
        broker_heartbeat_interval=min(HEARTBEAT_S, timeout_s / 4),
        broker_commit_interval=0.5,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FRAME_BYTES_MAX,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        stream_buffer_maxsize=2,  # turns; what arrives while an agent is busy becomes the next turn, not another one in the buffer
        stream_wait_empty=False,  # events are acknowledged behind snapshots: waiting for them at stop would wait for ever
        worker_redirect_stdouts=False,
        Monitor=_LeanMonitor,
        Stream=InOrderStream,
        TableManager=ChangelogTables,
    )
    app.transport.Consumer = consumer  # type: ignore[misc]  # Faust has no setting for it; the instance shadows the class
    app.transport.Producer = producer_class(sign)  # type: ignore[misc]
    app.conf.web_enabled = False  # streams.process.health serves instead, on a free port
    # The default is 10: a snapshot of a thousand pages would wait for the flusher a hundred times.
    app.producer.buffer.max_messages = 10_000
    return app


def snapshot_table(app: faust.App, name: str, partitions: int, insync_copies_min: int = 1) -> SnapshotTable:
    """A table of raw bytes on RocksDB with its changelog, sized for pages rather than for Faust's 2 GiB default cache."""
    table = SnapshotTable(
        app, name=name, partitions=partitions, key_type=bytes, value_type=bytes,
        options={"block_cache_size": 64 << 20, "write_buffer_size": 16 << 20},
        extra_topic_configs=CHANGELOG_CONFIG | {"max.message.bytes": str(2 * FRAME_BYTES_MAX), "min.insync.replicas": str(insync_copies_min)},
    )  # fmt: skip
    app.tables.add(table)
    return table


class _LeanMonitor(Monitor):
    """Faust's monitor keeps deques of every message's times; nothing here reads them."""

    def on_message_in(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def on_stream_event_in(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing."""
        return None

    def on_stream_event_out(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def on_message_out(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""


def claim_for_worker(data_dir: Path) -> None:
    """Keep any other process out of the directory for as long as this one lives; raises StaleData when one is in it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    handle = os.open(data_dir / "worker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(handle, 20, 0).decode().strip()
        os.close(handle)
        raise StaleData(
            f"{data_dir} is in use by the worker with pid {pid}: give each worker of a role an OUTCRY_WORKER_INSTANCE of its own"
        ) from None
    os.truncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    _claims.append(handle)


def claim_for_cluster(data_dir: Path, cluster: str) -> None:
    """Note in the directory whose tables it holds; raises StaleData when it holds another cluster's.

    Faust would compare the table's offsets with a changelog that is not theirs and either fail late or recover nothing.
    """
    mark = data_dir / "cluster-id"
    if mark.exists() and (owner := mark.read_text().strip()) != cluster:
        raise StaleData(
            f"{data_dir} holds tables of Kafka cluster {owner}, but the broker is {cluster}: delete the directory, or point OUTCRY_HOME elsewhere"
        )
    if not mark.exists():
        write_atomically(mark, cluster)  # an empty mark of a full disk would be taken for another cluster's


class RoleWorker(faust.Worker):
    """Faust's worker without its title and spinner: `ps` shows the command of the role."""

    async def on_execute(self) -> None:
        """Faust would set its title here."""

    def on_worker_shutdown(self) -> None:
        """And here."""


def run_app(app: faust.App, settings: Settings) -> None:
    """Run until TERM or INT; ends the process. After a crash of a service of Faust's the last line of the log says why, see `last_words`."""
    sys.setswitchinterval(0.0005)  # aiokafka's consumer thread waits for the GIL; the default 5 ms is the whole latency budget of a hop
    look_rarely()
    worker = RoleWorker(
        app,
        loop=asyncio.get_event_loop_policy().get_event_loop(),
        loglevel=None,
        redirect_stdouts=False,
        override_logging=False,
        workdir=Path.cwd(),
    )
    worker.spinner = None  # it draws on standard output even where that is a log file
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        if ended.code and worker.crash_reason is not None:
            sys.exit(say(worker.crash_reason))
        raise


def fail_fast(message: str, **fields: object) -> None:
    """Say why and end the process at once, without committing anything: the supervisor restarts it, replay restores the state."""
    code = 70
    try:
        log.critical(message, **fields, exc_info=True)
        if (error := sys.exception()) is not None and say(error) == NEEDS_A_PERSON:
            code = NEEDS_A_PERSON
    finally:  # whatever the log's disk is like: a role must not go on behind a fault
        os._exit(code)
