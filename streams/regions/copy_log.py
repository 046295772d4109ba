"""Copy the log of another region, so that this one can take over.

In:     the topics that regions copy (topics.catalogue.COPIED), of the Kafka at OUTCRY_COPIES_FROM
        API keys and people from the MySQL at OUTCRY_COPIES_MYSQL_FROM, where that is set (streams.regions.access_copy)
Out:    the same topics here, each record at the same offset; what the other region has committed, in the group of this role; the same rows in MySQL here
State:  none: the copy goes on where it ends
On failure: a broker that is away is waited for. A log that does not belong to the copy (StaleData) stops the process; so does a region that has taken over.
        The other region does not notice, whatever happens here
"""

import asyncio
import signal
import threading
import time

import uvloop
from prometheus_client import Gauge

from schemas.settings import Settings
from streams.process.health import HealthServer
from streams.process.logging import configure_logging
from streams.regions.access_copy import AGE, AccessCopied, AccessCopy
from streams.regions.copier import Copied, Copier
from streams.transport.app import claim_for_worker
from streams.transport.cluster import partition_counts
from topics.catalogue import COPIED
from topics.kafka_clients import native_client
from topics.own_log import LogOwner, NotOurs
from topics.roles import COPY_LOG

SILENT_S = 5.0
"""So long without a word of the other region, and the role is not ready."""
BEHIND = Gauge("outcry_copy_behind_records", "records that the other region has and the copy has not", ["topic", "partition"])
SILENT = Gauge("outcry_copy_silent_seconds", "since the other region last answered")


def trouble(told: Copied, access: AccessCopied | None, now_s: float) -> str:
    """Why the copy is not what it should be; "" if it is. access: None where keys and people are not copied. now_s: monotonic."""
    if told.behind is None:
        return "the other region has not answered yet"
    silent_s = now_s - told.last_s
    if silent_s > SILENT_S:
        return f"the other region has not answered for {silent_s:.0f} s"
    return access.late(now_s) if access is not None else ""


def status(told: Copied, access: AccessCopied | None) -> dict[str, object]:
    """For people: `outcry status`, `outcry region status`."""
    behind = told.behind or {}
    return {
        "lag_records": sum(behind.values()) if told.behind is not None else None, "records": told.records, "bytes": told.bytes,
        "silent_s": round(time.monotonic() - told.last_s, 1) if told.last_s else None,
        "access_s": round(time.monotonic() - access.last_s, 1) if access is not None and access.last_s else None,
        "behind": {f"{topic}/{partition}": records for (topic, partition), records in sorted(behind.items())},
    }  # fmt: skip


def _same_partitions(settings: Settings, other: Settings) -> list[tuple[str, int]]:
    """The partitions of the copy. Raises OutcryError where the regions have different numbers of them."""
    here, there = partition_counts(settings, *COPIED), partition_counts(other, *COPIED)
    for name, count in here.items():
        if there[name] != count:
            raise NotOurs(
                f"{name} has {count} partitions here and {there[name]} in the other region: start this region with the same numbers of shards"
            )
    return [(name, partition) for name, count in here.items() for partition in range(count)]


async def _main(settings: Settings) -> None:
    if not settings.copies_from:
        raise NotOurs("copy-log does not know which region's log to copy: set OUTCRY_COPIES_FROM to the address of its Kafka")
    if not LogOwner(settings.kafka_url).is_copy():
        raise NotOurs(
            "the log of this region is its own, since it was made or since `outcry region take-over`: a region that copies begins in an empty home"
        )
    other = settings.model_copy(update={"kafka_url": settings.copies_from})
    copier = Copier(native_client(other.kafka_url), native_client(settings.kafka_url), _same_partitions(settings, other))
    access = AccessCopy(settings.copies_mysql_from, settings.mysql_url) if settings.copies_mysql_from else None
    seen = access.told if access is not None else None
    health = HealthServer(settings, COPY_LOG.name, lambda: trouble(copier.told, seen, time.monotonic()), lambda: status(copier.told, seen))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await health.start()
    beside = [asyncio.create_task(_measure(copier, seen))]
    if access is not None:
        beside.append(asyncio.create_task(access.run()))
    try:
        await asyncio.to_thread(copier.run, stop)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await health.stop()


async def _measure(copier: Copier, access: AccessCopied | None) -> None:
    while True:
        await asyncio.sleep(1)
        if access is not None:
            AGE.set(time.monotonic() - access.last_s if access.last_s else -1)
        SILENT.set(time.monotonic() - copier.told.last_s if copier.told.last_s else 0)
        for (topic, partition), records in (copier.told.behind or {}).items():
            BEHIND.labels(topic, partition).set(records)


def run(settings: Settings) -> None:
    """Run the role until it is told to stop. Raises OutcryError."""
    configure_logging(settings.log_level, COPY_LOG.name)
    claim_for_worker(settings.data_dir / COPY_LOG.name)
    uvloop.run(_main(settings))
