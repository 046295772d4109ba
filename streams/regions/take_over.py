"""Make the copy of another region's log this region's own, and have the shards here write it.

The copier has ended first: it would append what the other region still says. Then the log gets the broker's time, and each shard's input a record that names
the replicas here as its writers (streams.host.placement). They send what they hold, which is what the other region had not written yet, and go on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from streams.host.placement import Placement, move_record
from streams.host.read_log import Log
from streams.operate.ask_shards import NotConfirmed
from streams.operate.move_shard import ShardInput
from streams.operate.shard_places import MoveRefused, Seen, ask_all, letter_of
from streams.transport.cluster import partition_counts
from topics.catalogue import COPIED
from topics.offsets import Place
from topics.own_log import LogOwner, NotOurs
from topics.roles import ROLES, RoleEntry

FOLLOWERS: Final = tuple(role for role in ROLES.values() if role.moves)
LOOK_AGAIN_S: Final = 0.05
STILL_S: Final = 2.0
"""A log whose end does not move for so long, while a book gets the time each second, has no writers."""


@dataclass(frozen=True)
class Taken:
    """One shard. at: offset from which it writes."""

    role: str
    shard: int
    epoch: int
    at: int
    writers: str


def ends_of(settings: Settings) -> dict[Place, int]:
    """Where each partition that regions copy ends. Raises ServiceUnavailable, TopicsMissing."""
    counts = partition_counts(settings, *COPIED)
    with Log(settings) as log:
        found = {(topic, partition): log.bounds(topic, partition) for topic, count in counts.items() for partition in range(count)}
    return {place: bounds.high for place, bounds in found.items() if bounds is not None}


def require_complete(settings: Settings, other_kafka: str) -> None:
    """The other region is away, or has stopped and the copy has everything. Raises NotOurs where it still writes, or has more than the copy."""
    there = settings.model_copy(update={"kafka_url": other_kafka})
    try:
        first = ends_of(there)
        time.sleep(STILL_S)
        second = ends_of(there)
    except ServiceUnavailable:
        return
    if first != second:
        raise NotOurs(
            f"the region at {other_kafka} still writes: stop its edges and roles first (its Kafka may run until the copy has everything), "
            f"or give up what the copy does not have with --abandon"
        )
    here = ends_of(settings)
    behind = sum(end - here.get(place, 0) for place, end in second.items())
    if behind:
        raise NotOurs(
            f"the region at {other_kafka} has {behind:,} records that the copy has not: let copy-log bring them, or give them up with --abandon"
        )


class TakeOver:
    """Of all shards. addresses: workers of each role here, by name."""

    def __init__(
        self, settings: Settings, addresses: Mapping[str, Mapping[str, str]], timeout_s: float, tell: Callable[[str], None]
    ) -> None:
        self._settings, self._addresses, self._timeout_s, self._tell = settings, addresses, timeout_s, tell

    def followers(self) -> dict[tuple[RoleEntry, int], list[Seen]]:
        """By role and shard, the workers here that hold it; a shard that has had no input is held by nobody yet.

        Raises MoveRefused where one has none: its trading would stand still.
        """
        counts = partition_counts(self._settings, *(role.reads[0] for role in FOLLOWERS))
        ends = ends_of(self._settings)
        found = {}
        for role in FOLLOWERS:
            for shard in range(counts[role.reads[0].name]):
                found[role, shard] = ask_all(self._addresses[role.name], shard)
                if not self._addresses[role.name] or (not found[role, shard] and ends[role.reads[0].name, shard]):
                    raise MoveRefused(
                        f"no worker of {role.name} here holds shard {shard} and answers: see `outcry status`; nothing was changed"
                    )
        return found

    def run(self) -> list[Taken]:
        """The copier must have ended. Raises MoveRefused before anything was changed; ServiceUnavailable, NotConfirmed: call it again."""
        followers = self.followers()
        LogOwner(self._settings.kafka_url).make_own()
        self._tell("the log is this region's own")
        taken = [self._give(role, shard, seen) for (role, shard), seen in followers.items()]
        for one in taken:
            self._wait(one)
        return taken

    def _give(self, role: RoleEntry, shard: int, seen: list[Seen]) -> Taken:
        newest = max(seen, key=lambda one: one.epoch, default=None)
        now = Placement(newest.epoch, newest.writers, newest.since) if newest is not None else Placement()
        writers = "".join(sorted({letter_of(role, worker) for worker in self._addresses[role.name]}))
        if now.writers == writers:  # an earlier call came so far
            return Taken(role.name, shard, now.epoch, now.since, writers)
        at = ShardInput(self._settings, role.reads[0], shard).append(
            move_record(now, writers, 0, "outcry region take-over"), self._timeout_s
        )
        return Taken(role.name, shard, now.epoch + 1, at, writers)

    def _wait(self, taken: Taken) -> None:
        deadline_s = time.monotonic() + self._timeout_s
        while True:
            seen = ask_all(self._addresses[taken.role], taken.shard)
            if any(one.epoch >= taken.epoch and one.writes for one in seen):
                return
            if time.monotonic() > deadline_s:
                at = max((one.next_offset for one in seen), default=0)
                raise NotConfirmed(
                    f"shard {taken.shard} of {taken.role} has come to offset {at:,} and not to {taken.at:,} within {self._timeout_s:g} s; it writes when "
                    f"it does. If it stands still, restart its worker. Then run the command again"
                )
            time.sleep(LOOK_AGAIN_S)
