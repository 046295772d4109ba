"""Wait until the pipeline is at rest: everything posted was decided, settled, and stored.

The books' clock keeps ticking, so the log never stops growing. But `account.commands` and `account.events` must stop. At rest, every
replica has passed the ends that all topics had when a round began, and neither of those two topics grew in that round.

The progress of a replica is the greater of what its consumer group has committed and the next offset that its workers report on /readyz.
(A shard commits behind its snapshots, and makes none without input.)
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from streams.demo.collect import ASK_TIMEOUT_S, end_offsets
from streams.demo.reconcile import ALERTS as ALERTS_PLACE
from streams.demo.reconcile import LOG, Check, Verdict
from streams.services.local_set import LocalSet
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, ALERTS, BOOK_COMMANDS, EXECUTIONS, MARKET_DATA, PARTY_FACTS, Topic
from topics.kafka_clients import native_client
from topics.roles import ROLES

SHARD_INPUTS: Final[dict[str, Topic]] = {name: role.reads[0] for name, role in ROLES.items() if role.table}
WATCHED: Final = (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS, ACCOUNT_EVENTS, MARKET_DATA, ALERTS)
POLL_S: Final = 0.2
TELL_EVERY_S: Final = 2.0
SHOWN: Final = 4
LONGEST_S: Final = 3_600.0
PLACE_OF: Final = {
    "persist-mysql": "mysql", "persist-elasticsearch": "elasticsearch", "persist-redis": "redis", "publish-market-data": "websocket",
    "watch-trading": ALERTS_PLACE, "watch-accounts": ALERTS_PLACE,
}  # fmt: skip
"""Where a role's work is visible. All other roles write the log: while they are late, it is not complete."""
Offsets = dict[tuple[str, int], int]
Late = dict[str, Offsets]
"""By group: how many records are missing, by partition; only what is missing."""


class Patience:
    """Waits as long as there is progress: `over` once nothing has moved for `stalled_s`, or after LONGEST_S.

    `tell` gets a line now and then, with the remaining time.
    """

    def __init__(self, stalled_s: float, tell: Callable[[str], None]) -> None:
        self._stalled_s, self._tell = stalled_s, tell
        self._seen: object = None
        self._moved_s = self._began_s = time.monotonic()
        self._told_s = self._began_s

    def over(self, seen: object, waiting_for: str) -> bool:
        """Whether it is over, given that `seen` is the current state. A change counts as progress."""
        now_s = time.monotonic()
        if seen != self._seen:
            self._seen, self._moved_s = seen, now_s
        left_s = min(self._stalled_s - (now_s - self._moved_s), LONGEST_S - (now_s - self._began_s))
        if now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            self._tell(
                f"{now_s - self._began_s:5.0f} s  waiting for {waiting_for}; given up if nothing moves for {max(0, left_s):.0f} s more"
            )
        return left_s < 0


class Pipeline:
    """Finds out how far all consumers have come. Every replica of every role counts."""

    def __init__(self, settings: Settings, local: LocalSet) -> None:
        self._settings, self._local = settings, local
        self._admin = AdminClient({**native_client(settings.kafka_url), "log_level": 0})

    async def late(self, ends: Offsets) -> Late:
        """Consumers that have not reached these ends. Raises ServiceUnavailable."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)) as http:
            return late_of(await _positions(self._admin, http, self._local), ends)

    async def come_to_rest(self, patience: Patience) -> Late:
        """Empty when everything is at rest; else who is late once `patience` is over. {LOG: {}}: orders were still being decided."""
        late: Late = {LOG: {}}
        while True:
            try:
                late = await self._round(patience)
            except ServiceUnavailable as error:  # a broker that comes back, a machine that is busy
                if patience.over(late, str(error)):
                    raise
            else:
                if not late or patience.over(late, described(late)):
                    return late
            await asyncio.sleep(POLL_S)

    async def _round(self, patience: Patience) -> Late:
        ends = await asyncio.to_thread(end_offsets, self._settings, *WATCHED)
        while late := await self.late(ends):
            if patience.over(late, described(late)):
                return late
            await asyncio.sleep(POLL_S)
        after = await asyncio.to_thread(end_offsets, self._settings, ACCOUNT_COMMANDS, ACCOUNT_EVENTS)
        return {} if all(ends[key] == end for key, end in after.items()) else {LOG: {key: end - ends[key] for key, end in after.items()}}


def described(late: Late) -> str:
    """How far each consumer is behind, as text, the worst first."""
    worst = sorted(((sum(missing.values()), group) for group, missing in late.items()), reverse=True)
    texts = [_in_words(group, count) for count, group in worst]
    return ", ".join(texts[:SHOWN]) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")


def _in_words(group: str, count: int) -> str:
    if group == LOG:
        return "orders to be decided"
    return f"{group} ({count} records)" if count else f"{group} (nothing read yet)"


def places_of(late: Late) -> frozenset[str]:
    """Where facts may still be missing."""
    return frozenset(PLACE_OF.get(next((role for role in PLACE_OF if group.startswith(role)), ""), LOG) for group in late)


def caught_up(late: Late) -> Check:
    """The fact that every consumer has read the whole log."""
    if not late:
        return Check("every consumer has caught up", {LOG: "yes"})
    return Check("every consumer has caught up", {LOG: "no"}, described(late), verdict=Verdict.NOT_CAUGHT_UP)


def late_of(positions: dict[str, Offsets], ends: Offsets) -> Late:
    """Which group has not reached the end of which partition of the topics it reads; a group that has read nothing misses everything."""
    late: Late = {}
    for group, offsets in positions.items():
        topics = {topic for topic, _ in offsets}
        missing = {key: end - offsets.get(key, 0) for key, end in ends.items() if key[0] in topics and offsets.get(key, 0) < end}
        if missing or not offsets:
            late[group] = missing
    return late


async def _positions(admin: AdminClient, http: aiohttp.ClientSession, local: LocalSet) -> dict[str, Offsets]:
    """By group: what it has committed, and what its workers report about their shards."""
    status = await asyncio.to_thread(local.status)
    if status is None:
        raise ServiceUnavailable("the set was stopped before it came to rest")
    workers = [worker for worker in status.wanted.processes() if ROLES[worker.role].workers]
    addresses = {child.name: child.address for child in status.children}
    found = await asyncio.to_thread(_committed, admin, {worker.group for worker in workers})
    for worker in workers:
        topic = SHARD_INPUTS.get(worker.role)
        if topic is None:
            continue
        if topic is PARTY_FACTS:
            found[worker.group][topic.name, 0] = 0  # a short session may have no fact yet: then nothing is missing
        for partition, told in (await _told(http, addresses.get(worker.name, ""))).items():
            key = (topic.name, partition)
            found[worker.group][key] = max(told, found[worker.group].get(key, 0))
    return found


async def _told(http: aiohttp.ClientSession, address: str) -> dict[int, int]:
    """Next offset by partition, from a shard's /readyz; empty while it does not answer."""
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
        asked: dict[str, Any] = admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(f"outcry-{group}")], request_timeout=ASK_TIMEOUT_S
        )
        try:
            partitions = asked[f"outcry-{group}"].result().topic_partitions
        except KafkaException as error:
            raise ServiceUnavailable(f"Kafka does not say what outcry-{group} has committed: {error.args[0].str()}") from error
        found[group] = {(one.topic, one.partition): max(0, one.offset) for one in partitions if one.topic in names}
    return found
