"""What a shard has to say, on its way to the log: a replica that writes sends it at once, one that follows holds it until others have written it.

Nothing held is ever lost. A follower that becomes a writer sends what it holds, in order, before anything newer: readers take a frame only if it is
beyond their mark, so an older one that came later would be lost to them. Sending something that is in the log already does no harm.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import ServiceUnavailable
from streams.host.shard_runner import Output

ACK_TIMEOUT_S: Final = 30.0
"""A broker that acknowledges nothing for this long is down: the process stops and starts again from its snapshot."""
HELD_BYTES_MAX: Final = 64 << 20
"""Of one shard. Beyond it the oldest are sent, whoever else does."""
LOOK_AGAIN_S: Final = 0.5

Send = Callable[[Output], Awaitable[Awaitable[Any]]]
"""Hands an output over; what it returns is done when the broker has it."""


@dataclass
class _Held:
    """The outputs of one input. since: when it was applied, s."""

    offset: int
    since: float
    outputs: Sequence[Output]

    @property
    def size(self) -> int:
        return sum(len(output.value) for output in self.outputs)


class Outbox:
    """Of one shard."""

    def __init__(self, send: Send, copied: Collection[str] = ()) -> None:
        """copied: topics of a copy of another region's log. What belongs there is never sent while held, `put` waits instead; the rest is sent at once."""
        self._send, self._copied, self._closed = send, frozenset(copied), False
        self._sent: list[Awaitable[Any]] = []
        self._again: list[Awaitable[Any]] = []  # were held first
        self._awaited: list[Awaitable[Any]] = []  # by a snapshot
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()

    @property
    def held_since(self) -> float | None:
        """When the oldest input was applied whose outputs are held, s; None where none are."""
        return self._held[0].since if self._held else None

    @property
    def held(self) -> int:
        """Inputs whose outputs are held."""
        return len(self._held)

    async def put(self, offset: int, outputs: Sequence[Output], now: float, *, writes: bool) -> None:
        """The outputs of an input, in order of offsets."""
        held = [] if writes else [output for output in outputs if self._is_held(output)]
        for output in outputs if writes else [output for output in outputs if not self._is_held(output)]:
            self._sent.append(await self._send(output))
        if held:
            self._held.append(_Held(offset, now, held))
            self._held_bytes += self._held[-1].size
            while self._held_bytes > HELD_BYTES_MAX and not self._closed:
                await (self._until_covered() if self._copied else self._send_oldest())

    async def send_held(self, written_to: int) -> None:
        """Send what is held, but for inputs below `written_to`."""
        self.cover(written_to)
        while self._held:
            await self._send_oldest()
        self._changed.set()

    def cover(self, below: int) -> None:
        """Let go of the outputs of inputs below this offset: they are in the log."""
        while self._held and self._held[0].offset < below:
            self._held_bytes -= self._held.popleft().size
        self._changed.set()

    def end_copy(self) -> None:
        """The log is this region's own now: `put` goes on, and what is held may be sent."""
        self._copied = frozenset()
        self._changed.set()

    def close(self) -> None:
        """The partition is gone: nobody waits any more."""
        self._closed = True
        self._changed.set()

    def take(self) -> list[Awaitable[Any]]:
        """What was sent since the last call, for `until_written`."""
        self._awaited, self._sent = self._sent, []
        return self._awaited

    async def until_written(self, sent: Iterable[Awaitable[Any]], next_offset: int, gone: asyncio.Event) -> None:
        """Wait until all outputs of inputs below `next_offset` are in the log, whoever writes them, or the partition is gone."""
        await acknowledged(sent)
        while self._held and self._held[0].offset < next_offset and not gone.is_set():
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_AGAIN_S)
        again, self._again = self._again, []
        await acknowledged(again)
        self._awaited = []

    async def until_acknowledged(self) -> None:
        """Wait until all that was sent so far is in the log."""
        await acknowledged([*self._awaited, *self._again, *self._sent])

    def _is_held(self, output: Output) -> bool:
        """Of a follower."""
        return not self._copied or output.topic in self._copied

    async def _until_covered(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _send_oldest(self) -> None:
        oldest = self._held.popleft()
        self._held_bytes -= oldest.size
        for output in oldest.outputs:
            self._again.append(await self._send(output))


async def acknowledged(sent: Iterable[Awaitable[Any]]) -> None:
    """Wait until the broker has acknowledged all of them. Raises ServiceUnavailable if it acknowledges none for ACK_TIMEOUT_S, and what one failed with.

    Not if all take longer: a worker that catches up on a busy machine has thousands on the way. Were it to stop, it would begin again further behind.
    """
    waiting = {asyncio.ensure_future(one) for one in sent}
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=ACK_TIMEOUT_S, return_when=asyncio.FIRST_EXCEPTION)
        if not done:
            raise ServiceUnavailable(f"Kafka has acknowledged nothing for {ACK_TIMEOUT_S:g} s; {len(waiting):,} records wait")
        for one in done:
            one.result()
