"""Wait until the pipeline is at rest: everything posted was decided, settled, and stored.

The books' clock keeps ticking, so the log never stops growing; what must stop is `account.commands` and `account.events`. At rest, every
consumer has passed the ends that all topics had when a round began, and neither of those two topics grew in that round.
"""

import asyncio
import time
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from schemas.settings import Settings
from streams.demo.collect import end_offsets
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, ALERTS, BOOK_COMMANDS, EXECUTIONS, MARKET_DATA

WATCHED: Final = (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS, ACCOUNT_EVENTS, MARKET_DATA, ALERTS)
POLL_S: Final = 0.2

Offsets = dict[tuple[str, int], int]


async def wait_until_quiet(settings: Settings, groups: list[str], timeout_s: float) -> str:
    """Empty when the pipeline is at rest; else who is behind and where, after `timeout_s`. `groups`: every consumer group."""
    deadline = time.monotonic() + timeout_s
    behind = "nothing was asked"
    while time.monotonic() < deadline:
        ends = await asyncio.to_thread(end_offsets, settings, *WATCHED)
        behind = await _wait_for_groups(settings, groups, ends, deadline)
        after = await asyncio.to_thread(end_offsets, settings, ACCOUNT_COMMANDS, ACCOUNT_EVENTS)
        if not behind and all(ends[key] == end for key, end in after.items()):
            return ""
    return behind or "orders were still being decided"


async def _wait_for_groups(settings: Settings, groups: list[str], ends: Offsets, deadline: float) -> str:
    behind = ""
    while time.monotonic() < deadline:
        committed = await asyncio.to_thread(_committed, settings, groups)
        late = [f"{group} {place}" for group, offsets in committed.items() for place in _late(offsets, ends)]
        missing = [f"{group} has committed nothing" for group in groups if not committed.get(group)]
        behind = "; ".join(late + missing)
        if not behind:
            return ""
        await asyncio.sleep(POLL_S)
    return behind


def _late(offsets: Offsets, ends: Offsets) -> list[str]:
    """Partitions (of the topics that a group reads) whose end the group has not reached; one without a commit is at 0."""
    topics = {topic for topic, _ in offsets}
    return [
        f"{topic}/{partition}: {offsets.get((topic, partition), 0)} of {end}"
        for (topic, partition), end in ends.items()
        if topic in topics and offsets.get((topic, partition), 0) < end
    ]


def _committed(settings: Settings, groups: list[str]) -> dict[str, Offsets]:
    """Next offset of each group in each partition that it reads (changelogs are not of the catalogue and are left out)."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_url})
    names = {topic.name for topic in WATCHED}
    found: dict[str, Offsets] = {}
    for group in groups:
        futures: dict[str, Any] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        partitions = futures[group].result(timeout=10).topic_partitions
        found[group] = {(one.topic, one.partition): max(0, one.offset) for one in partitions if one.topic in names}
    return found
