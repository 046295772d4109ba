"""A shard that others write, and that they do not write any more: whoever follows takes it over.

A writer commits its inputs once their outputs are in the log and a snapshot is behind them. Followers look at what it has committed, and let go of the
outputs that they hold for it. If it commits nothing for much longer than snapshots are apart, it is dead, cut off or stuck. Then a follower asks, in
the shard's input, to write from now on. Who asks wrongly, or second, does no harm: the epoch decides, and repeated outputs are dropped by readers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from schemas.errors import ServiceUnavailable
from streams.host.placement import Placement, move_record
from streams.host.shard_host import ShardHost
from streams.host.snapshot_pace import HELD_APART_S
from topics.offsets import Offsets, Place
from topics.roles import COPY_LOG, GROUP_PREFIX, REPLICAS, RoleEntry

log = structlog.get_logger("outcry.streams")

LOOK_EVERY_S: Final = 0.25
PATIENCE_S: Final = 3.0
"""Beyond two snapshots: for a commit, a pause of the machine, a worker that starts again."""


Committed = Callable[[str, list[Place]], Awaitable[Mapping[Place, int | None]]]
"""(letter of a replica, partitions) -> what its group has committed."""


def patience_s(snapshot_interval_ms: int) -> float:
    """How long outputs are held before somebody else than their writer sends them, s. A large or starved shard has rarer snapshots: see SnapshotPace."""
    return 2 * max(snapshot_interval_ms / 1000, HELD_APART_S) + PATIENCE_S


class AskKafka:
    """What groups have committed, by Kafka's word. client: librdkafka's settings. Raises ServiceUnavailable."""

    def __init__(self, role: RoleEntry, client: Mapping[str, Any]) -> None:
        self._groups = {letter: Offsets({**client, "group.id": GROUP_PREFIX + role.replica(letter)}) for letter in REPLICAS}

    async def __call__(self, letter: str, places: list[Place]) -> Mapping[Place, int | None]:
        """See Committed."""
        return await self._groups[letter].committed(places)


class FollowCopy:
    """Of the shards of one process whose log is a copy of another region's: let go of the outputs that the copy has. Nobody takes over by himself."""

    def __init__(self, host: ShardHost, topic: str, client: Mapping[str, Any]) -> None:
        """topic: the input of the shards. client: librdkafka's settings."""
        self._host, self._input = host, topic
        self._offsets = Offsets({**client, "group.id": COPY_LOG.group})

    async def look(self) -> None:
        """Called every LOOK_EVERY_S."""
        followed = {partition: shard for partition, shard in self._host.followed().items() if shard.outbox.held}
        try:
            covered = await self._offsets.committed([(self._input, partition) for partition in followed]) if followed else {}
        except ServiceUnavailable as error:
            log.warning("cannot tell what the copy has", detail=str(error))
            return
        for partition, shard in followed.items():
            shard.outbox.cover(covered[self._input, partition] or 0)


class Takeover:
    """Of the shards of one process. patience_s: see there."""

    def __init__(self, host: ShardHost, topic: str, committed: Committed, patience_s: float) -> None:
        """topic: the input of the shards."""
        self._host, self._input, self._committed, self._patience_s = host, topic, committed, patience_s
        self._asked: dict[tuple[int, int], float] = {}

    async def look(self) -> None:
        """Let go of what was written; take over what is not. Called every LOOK_EVERY_S."""
        followed = {partition: shard for partition, shard in self._host.followed().items() if shard.outbox.held}
        placements = {partition: shard.placement for partition, shard in followed.items()}
        try:
            written = await self._written(placements)
        except ServiceUnavailable as error:
            log.warning("cannot tell what others have written", detail=str(error))
            return
        now = asyncio.get_running_loop().time()
        for partition, shard in followed.items():
            shard.outbox.cover(written[partition])
            since = shard.outbox.held_since
            if since is not None and now - since > self._patience_s and shard.placement is placements[partition]:
                await self._ask_once(partition, shard.placement, written[partition], now)

    async def _written(self, placements: Mapping[int, Placement]) -> dict[int, int]:
        """By partition, up to which input the outputs are in the log, by the word of its writers."""
        found = dict.fromkeys(placements, 0)
        for letter in sorted({letter for placement in placements.values() for letter in placement.writers}):
            places = [(self._input, partition) for partition, placement in placements.items() if letter in placement.writers]
            for (_, partition), offset in (await self._committed(letter, places)).items():
                found[partition] = max(found[partition], offset or 0)
        return found

    async def _ask_once(self, partition: int, placement: Placement, written_to: int, now: float) -> None:
        """Not again before it was waited for as long: the record may be on its way."""
        if now - self._asked.get((partition, placement.epoch), float("-inf")) < self._patience_s:
            return
        self._asked[partition, placement.epoch] = now
        reason = f"replica {placement.writers} has written nothing for {self._patience_s:g} s"
        log.warning("taking a shard over", partition=partition, place=str(placement), reason=reason, written_to=written_to)
        await self._host.send_to_input(partition, move_record(placement, self._host.replica, written_to, reason))
