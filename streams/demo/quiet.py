"""Wait until the pipeline is at rest: everything posted was decided, settled, and stored.

The books' clock keeps ticking, so the log never stops growing; what must stop is `account.commands` and `account.events`. At rest, every
replica has passed the ends that all topics had when a round began, and neither of those two topics grew in that round.

How far a replica of a role is: what its consumer group has committed, or the next offset that a shard of one of its workers tells on /readyz, whichever is
more (a shard commits behind its snapshots, and makes none while nothing comes).
"""

import asyncio
import time
from typing import Any, Final

import aiohttp
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from schemas.settings import Settings
from streams.demo.collect import end_offsets
from streams.services.local_set import LocalSet
from streams.worker_identity import SINGLE_ROLES
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, ALERTS, BOOK_COMMANDS, EXECUTIONS, MARKET_DATA, Topic

SHARD_INPUTS: Final[dict[str, Topic]] = {
    "hold-funds": ACCOUNT_COMMANDS,
    "match-orders": BOOK_COMMANDS,
    "publish-market-data": EXECUTIONS,
    "watch-trading": EXECUTIONS,
}
WATCHED: Final = (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS, ACCOUNT_EVENTS, MARKET_DATA, ALERTS)
POLL_S: Final = 0.2

Offsets = dict[tuple[str, int], int]


async def wait_until_quiet(settings: Settings, local: LocalSet, timeout_s: float) -> str:
    """Empty when the pipeline is at rest; else who is behind and where, after `timeout_s`. Every replica of every role counts."""
    deadline = time.monotonic() + timeout_s
    admin = AdminClient({"bootstrap.servers": settings.kafka_url, "log_level": 0})
    behind = "nothing was asked"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        while time.monotonic() < deadline:
            ends = await asyncio.to_thread(end_offsets, settings, *WATCHED)
            while True:
                behind = _late(await _positions(admin, http, local), ends)
                if not behind or time.monotonic() > deadline:
                    break
                await asyncio.sleep(POLL_S)
            after = await asyncio.to_thread(end_offsets, settings, ACCOUNT_COMMANDS, ACCOUNT_EVENTS)
            if not behind and all(ends[key] == end for key, end in after.items()):
                return ""
    return behind or "orders were still being decided"


def _late(positions: dict[str, Offsets], ends: Offsets) -> str:
    """Which group has not reached the end of which partition of the topics it reads; empty when all have."""
    late = []
    for group, offsets in positions.items():
        topics = {topic for topic, _ in offsets}
        late += [f"{group} has read nothing"] if not offsets else []
        late += [
            f"{group} {topic}/{partition}: {offsets.get((topic, partition), 0)} of {end}"
            for (topic, partition), end in ends.items()
            if topic in topics and offsets.get((topic, partition), 0) < end
        ]
    return "; ".join(late)


async def _positions(admin: AdminClient, http: aiohttp.ClientSession, local: LocalSet) -> dict[str, Offsets]:
    """By group: what it has committed, and what its workers tell of their shards."""
    status = await asyncio.to_thread(local.status)
    assert status is not None, "the set was stopped while it was to come to rest"
    workers = [worker for worker in status.wanted.processes() if worker.role not in SINGLE_ROLES]
    addresses = {child.name: child.address for child in status.children}
    found = await asyncio.to_thread(_committed, admin, {worker.group for worker in workers})
    for worker in workers:
        topic = SHARD_INPUTS.get(worker.role)
        if topic is None:
            continue
        for partition, told in (await _told(http, addresses.get(worker.name, ""))).items():
            key = (topic.name, partition)
            found[worker.group][key] = max(told, found[worker.group].get(key, 0))
    return found


async def _told(http: aiohttp.ClientSession, address: str) -> dict[int, int]:
    """Next offset by partition, as a shard's /readyz says; nothing while it does not answer."""
    try:
        async with http.get(f"{address}/readyz") as answer:
            partitions: dict[str, Any] = (await answer.json()).get("partitions", {})
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return {}
    return {int(partition): int(stats["next_offset"]) for partition, stats in partitions.items()}


def _committed(admin: AdminClient, groups: set[str]) -> dict[str, Offsets]:
    """Next offset of each group in each partition that it reads (changelogs are not of the catalogue and are left out)."""
    names = {topic.name for topic in WATCHED}
    found: dict[str, Offsets] = {}
    for group in groups:
        asked: dict[str, Any] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(f"outcry-{group}")])
        partitions = asked[f"outcry-{group}"].result(timeout=10).topic_partitions
        found[group] = {(one.topic, one.partition): max(0, one.offset) for one in partitions if one.topic in names}
    return found
