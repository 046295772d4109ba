"""A simulated process: its tasks, its crash at any step that reaches the outside, and a Kafka producer whose unsent tail a crash loses."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, Final

from faults import World
from simulated_log import TopicPartition

CURRENT: Final[ContextVar["Process | None"]] = ContextVar("process", default=None)
"""The process that runs now; tasks inherit it, as the code of one process starts no task of another."""


class Process:
    """Something that can be killed. `lag_ms`: how much its writes are delayed, for a zombie that wakes up late. `speaker`: whose key it signs with."""

    def __init__(self, world: World, name: str, speaker: str = "") -> None:
        self.world, self.name, self.speaker = world, name, speaker
        self.alive = True
        self.lag_ms = 0.0
        self.tasks: list[asyncio.Task[Any]] = []
        self.producer = Producer(self)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a task of this process; what it starts is this process's too."""
        token = CURRENT.set(self)
        self.world.loop.create_task(coroutine)
        CURRENT.reset(token)

    def step(self, what: str) -> None:
        """Called before each effect on the outside. A killed process has none, and this may be where it is killed."""
        if self.alive and self.world.faults.strikes(self, what):
            self.crash(f"at a {what}")
        if not self.alive:
            raise asyncio.CancelledError

    def crash(self, why: str) -> None:
        """Kill -9: nothing of it runs any more; of what was on its way to the broker, some has arrived."""
        if not self.alive:
            return
        self.alive = False
        arrived, lost = self.producer.cut()
        self.world.tell("crash", f"{self.name} {why}; of its records on the way {arrived} arrive, {lost} do not")
        for task in self.tasks:
            task.cancel()
        self.on_crash()

    def on_crash(self) -> None:
        """What the world sees of it."""


class Producer:
    """Sends in order per partition, in batches; a batch whose acknowledgement is lost is sent again whole."""

    def __init__(self, process: Process) -> None:
        self._process, self._world = process, process.world
        self.idempotent = False
        self._waiting: dict[TopicPartition, deque[tuple[bytes | None, bytes | None, asyncio.Future[int]]]] = {}

    async def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int, *_: Any) -> asyncio.Future[int]:
        """As Faust's: take the record, and return the future of its acknowledgement (here: its offset)."""
        self._process.step("send")
        if self._world.rng.random() < 0.15:
            await asyncio.sleep(self._world.rng.random() * 0.012)  # its buffer is full
            self._process.step("send")
        return self.send_nowait(topic, key, value, partition)

    def send_nowait(self, topic: str, key: bytes | None, value: bytes | None, partition: int) -> asyncio.Future[int]:
        """The same without waiting for room."""
        acknowledged: asyncio.Future[int] = self._world.loop.create_future()
        waiting = self._waiting.setdefault((topic, partition), deque())
        waiting.append((key, value, acknowledged))
        if len(waiting) == 1:
            self._process.start(self._feed((topic, partition)))
        return acknowledged

    async def append(self, topic: str, partition: int, value: bytes) -> int:
        """As LogSender's."""
        return await (await self.send(topic, None, value, partition))

    def empty(self) -> bool:
        """Nothing is on its way."""
        return not any(self._waiting.values())

    async def _feed(self, tp: TopicPartition) -> None:
        waiting, world = self._waiting[tp], self._world
        while waiting:
            await asyncio.sleep(world.faults.latency_s(self._process) + self._process.lag_ms / 1000 * world.rng.random())
            batch = [waiting[place] for place in range(world.rng.randint(1, len(waiting)))]
            self._process.step("append to the changelog" if tp[0].endswith("-changelog") else "append")
            offsets = [world.log.append(*tp, value, key, self._process.speaker) for key, value, _ in batch]
            if not self.idempotent and world.faults.repeats_batch(self._process, tp, len(batch)):
                for key, value, _ in batch:
                    world.log.append(*tp, value, key, self._process.speaker)
            for offset, (_, _, acknowledged) in zip(offsets, batch, strict=True):
                waiting.popleft()
                if not acknowledged.done():
                    acknowledged.set_result(offset)

    def cut(self) -> tuple[int, int]:
        """The process is dead: of each partition some of the waiting records, in their order, had left already. Returns how many, and how many had not."""
        arrived = lost = 0
        for tp, waiting in self._waiting.items():
            left = self._world.rng.randint(0, len(waiting))
            self._world.counts["torn changelogs"] += tp[0].endswith("-changelog") and 0 < left < len(waiting)
            for key, value, _ in list(waiting)[:left]:
                self._world.log.append(*tp, value, key, self._process.speaker)
            arrived, lost = arrived + left, lost + len(waiting) - left
            waiting.clear()
        return arrived, lost
