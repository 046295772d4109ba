"""Gather commands into frames and append them to account.commands, one frame of a shard on the way at a time.

An idle edge waits GATHER_MS for company and sends. Under load the next frame grows until the shard has answered the one before it
(PACE_MS_MAX at the most): the shard sets the pace, so batches are as large as the load makes them and no larger. The order of a shard's
commands is the order in which they were enqueued. A shard that does not answer at all for SHARD_LATE_S gets no more, but for a probe.

On failure: commands wait (bounded by QUEUED_COMMANDS_MAX, then `enqueue_nowait` refuses); one whose asker has timed out meanwhile is
never sent. The producer is idempotent and retries inside the client, so a frame is in the log once or, if it could not be sent, not at all.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from edge.gateway.accounts.command_frames import Command, encode_commands
from edge.gateway.limits import GATHER_MS, LATE_PROBE_S, PACE_MS_MAX, QUEUED_COMMANDS_MAX, SHARD_LATE_S
from schemas.errors import ServiceUnavailable
from schemas.field_rules import LIST_ROWS_MAX
from schemas.limits import FRAME_ROWS_MAX
from topics.catalogue import ACCOUNT_COMMANDS
from topics.partitioning import account_shard
from topics.sender import LogSender

log = structlog.get_logger(__name__)


class QueueFull(Exception):
    """A shard has as many commands waiting as it may."""


class ShardLate(QueueFull):
    """A shard has answered nothing for SHARD_LATE_S though it was asked."""


@dataclass
class _Patience:
    """Since when a shard owes an answer (None: it does not), and when a command was last let through although it is late. Seconds."""

    owes_since_s: float | None = None
    probed_s: float = 0.0

    def asked(self, now_s: float) -> None:
        if self.owes_since_s is None:
            self.owes_since_s = self.probed_s = now_s

    def admits(self, now_s: float) -> bool:
        if self.owes_since_s is None or now_s - self.owes_since_s < SHARD_LATE_S:
            return True
        if now_s - self.probed_s < LATE_PROBE_S:
            return False
        self.probed_s = now_s
        return True


@dataclass(frozen=True)
class ProducerStats:
    """Counts since start, and what waits now."""

    frames: int
    commands: int
    failures: int
    queued: int
    refused_late: int


class CommandProducer:
    """Feeds every account shard. started `sender` given; `on_failure(command, error)` is called for each command that was not sent."""

    def __init__(
        self,
        sender: LogSender,
        shards: int,
        source: str,
        reply_partition: int,
        clock_ns: Callable[[], int],
        on_failure: Callable[[Command, Exception], None],
    ) -> None:
        self._sender = sender
        self._source = source
        self._reply_partition = reply_partition
        self._clock_ns = clock_ns
        self._on_failure = on_failure
        self._queues: list[deque[Command]] = [deque() for _ in range(shards)]
        self._wake = [asyncio.Event() for _ in range(shards)]
        self._answered = [asyncio.Event() for _ in range(shards)]
        self._patience = [_Patience() for _ in range(shards)]
        self._number = 0
        self._commands = 0
        self._failures = self._refused = 0
        self._closing = False
        self._tasks = [asyncio.create_task(self._feed(shard), name=f"commands-{shard}") for shard in range(shards)]

    @property
    def tasks(self) -> list["asyncio.Task[None]"]:
        """They end only when closed; one that ends before is a fault of ours."""
        return self._tasks

    def stats(self) -> ProducerStats:
        """Counts now."""
        return ProducerStats(self._number, self._commands, self._failures, sum(map(len, self._queues)), self._refused)

    def enqueue_nowait(self, command: Command) -> None:
        """Put the command behind the others of its shard; raises QueueFull, or ShardLate."""
        shard = account_shard(command.account, len(self._queues))
        queue = self._queues[shard]
        if len(queue) >= QUEUED_COMMANDS_MAX or self._closing:
            raise QueueFull
        if not self._patience[shard].admits(self._clock_ns() / 1e9):
            self._refused += 1
            raise ShardLate
        queue.append(command)
        self._wake[shard].set()

    def answered(self, account: int) -> None:
        """Hear that the shard of this account has answered a command of ours."""
        shard = account_shard(account, len(self._queues))
        self._patience[shard].owes_since_s = None
        self._answered[shard].set()

    async def close(self, timeout_s: float) -> None:
        """Refuse new commands, send what waits, stop; gives up after the timeout."""
        self._closing = True
        for event in self._wake:
            event.set()
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _feed(self, shard: int) -> None:
        queue, wake = self._queues[shard], self._wake[shard]
        while True:
            if not queue:
                if self._closing:
                    return
                wake.clear()
                await wake.wait()
                await asyncio.sleep(GATHER_MS / 1000)
                continue
            batch = [c for c in (queue.popleft() for _ in range(min(len(queue), FRAME_ROWS_MAX // LIST_ROWS_MAX))) if not c.abandoned]
            if batch:
                self._answered[shard].clear()
                self._patience[shard].asked(self._clock_ns() / 1e9)
                await self._send(shard, batch)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._answered[shard].wait(), PACE_MS_MAX / 1000)

    async def _send(self, shard: int, batch: list[Command]) -> None:
        number, self._number = self._number, self._number + 1
        data = encode_commands(batch, self._source, number, self._reply_partition, self._clock_ns())
        try:
            await self._sender.append(ACCOUNT_COMMANDS.name, shard, data)
            self._commands += len(batch)
        except ServiceUnavailable as error:
            self._failures += 1
            self._patience[shard].owes_since_s = None  # it was not asked
            log.warning("commands_not_sent", shard=shard, commands=len(batch), error=repr(error))
            for command in batch:
                self._on_failure(command, error)
