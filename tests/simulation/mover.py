"""An operator who moves shards between replicas while everything fails: as `outcry move-shard` does it, and as nobody should."""

import asyncio
import random
from typing import Any, Final

from faults import MOVE, World
from processes import Process
from simulated_roles import SHARDS, Deployment, ShardWorker

from streams.host.placement import Placement, compare_record, move_record
from streams.host.shard import Shard
from topics.roles import REPLICAS, ROLES

EVERY_S: Final = 0.06
PATIENCE_S: Final = 0.1
"""For a comparison. Then, as the command does, it moves nothing."""


class Mover(Process):
    """Has chances of its own, so that seeds without moves run as they did before there were any."""

    def __init__(self, world: World, deployed: list[Deployment]) -> None:
        super().__init__(world, "mover", "operator")
        self._rng = random.Random(world.seed ^ 0x5EED)
        movable = [one for one in deployed if one.role is not None and ROLES[one.role.name].moves]
        self._deployed = [one for one in movable if sum(other.role is one.role for other in movable) > 1] or movable[:1]
        self.start(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S * self._rng.random())
            if self.world.faults.on and MOVE in self.world.faults.kinds:
                await self._move()

    async def _move(self) -> None:
        one, partition = self._rng.choice(self._deployed), self._rng.randrange(SHARDS)
        assert one.role is not None
        topic, holders = one.role.source.name, self._holders(one.role, partition)
        if not holders:
            return
        now, chance = holders[0].placement, self._rng.random()
        writers = self._rng.choice(("", "a", "b", "b", "a", "ab", "c"))
        written_to = 0
        if chance < 0.6:
            found = await self._compared(one, topic, partition, now)
            if found is None:
                return
            written_to = found
        elif chance < 0.7:
            now = Placement(now.epoch + self._rng.choice((-1, 1)))  # another mover was quicker
        for _ in range(self._rng.choice((1, 1, 1, 2))):  # a copy, or two at once
            offset = self.world.log.append(topic, partition, move_record(now, writers, written_to, "simulated"), speaker=self.speaker)
            self.world.tell(MOVE, f"{topic}/{partition} offset {offset}: from {now} to {writers or 'all'}, written to {written_to}")

    async def _compared(self, one: Deployment, topic: str, partition: int, now: Placement) -> int | None:
        """The offset of a comparison once a writer says that all before it is in the log, and states are equal; None if that takes too long."""
        asked = self.world.log.append(topic, partition, compare_record(now, "simulated"), speaker=self.speaker)
        until = self.world.loop.time() + PATIENCE_S
        while self.world.loop.time() < until:
            await asyncio.sleep(0.002)
            places = [self._place(shard, replica) for replica, shard in self._by_replica(one.role, partition)]
            found = [place["compared"] for place in places if place["epoch"] == now.epoch and place["compared"] is not None]
            found = [compared for compared in found if compared["offset"] == asked]
            if len({compared["state_hash"] for compared in found}) > 1:
                self.world.broken.append(f"{topic}/{partition} offset {asked}: replicas differ")
            if any(compared["written"] for compared in found):
                return asked
        return None

    @staticmethod
    def _place(shard: Shard, replica: str) -> dict[str, Any]:
        return shard.place(replica)

    def _by_replica(self, role: Any, partition: int) -> list[tuple[str, Shard]]:
        found = []
        for one in self._deployed:
            if one.role is role:
                letter = next(letter for letter in REPLICAS if ROLES[role.name].replica(letter) == one.name)
                live = [worker for worker in one.workers if worker.alive and isinstance(worker, ShardWorker)]
                found += [(letter, worker.host._shards[partition]) for worker in live if partition in worker.host._shards]
        return found

    def _holders(self, role: Any, partition: int) -> list[Shard]:
        return [shard for _, shard in self._by_replica(role, partition)]
