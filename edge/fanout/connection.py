"""One WebSocket after its handshake: the only owner of its transport. Nobody else writes to it.

Rules:
* Nothing is compressed and no message is sent in parts, so a frame may be shared by all clients, and frames may follow one another in any order.
* Pings, pongs and the close frame go the same way as messages. After the close frame nothing is written.
* A connection has no task and no queue. A list exists while something is pending, a task while a message of the client waits for something.
* `pending` is written at the next flush. A socket whose write buffer is full has a backlog instead: what may not be conflated waits there in order,
  of the rest only the topic is noted, and the newest is written when there is room. Who takes nothing is told so and let go.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

import structlog

from edge.fanout import limits
from edge.fanout.backlog import Backlog
from edge.fanout.conversations import Answered, Conversation, Voice
from edge.fanout.frames import CLOSE, PING, PING_FRAME, PONG, BadFrame, ClientFrames, Heard, close_frame, ready_frame
from edge.gateway.access.rate_limits import TokenBucket

log = structlog.get_logger(__name__)
_OK, _FAULT = 1000, 1011
_SHORT_PONG: Final = 0x80 | PONG


class Floor(Protocol):
    """Where all connections of a loop are: edge.fanout.fan_out.FanOut."""

    conflated: int
    evicted: int
    cut: int
    silent: int

    def now(self) -> float:
        """The loop's clock, s."""

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call once; it cannot be taken back."""

    def touch(self, connection: "Connection") -> None:
        """It has something pending."""

    def let_go(self, connection: "Connection") -> None:
        """Its client is too slow."""

    def forget(self, connection: "Connection") -> None:
        """It is over."""


class Connection(asyncio.Protocol):
    """Made for a transport whose handshake is done; `FanOut.adopt` gives it the transport."""

    __slots__ = (
        "__weakref__", "_conversation", "_fan", "_frames", "_heard", "_hearing", "_pace", "_transport", "backlog",
        "bytes_told", "is_ending", "pending", "voice",
    )  # fmt: skip

    def __init__(self, fan: Floor, voice: Voice) -> None:
        self._fan, self.voice = fan, voice
        self._transport: asyncio.Transport | None = None
        self._conversation: Conversation | None = None
        self.pending: list[bytes] | None = None
        """Ready frames for the next flush."""
        self.backlog: Backlog | None = None
        """Not None while the socket is behind, and from its end on; then `pending` is None."""
        self.bytes_told = 0
        """Answered in all, so that a reader knows what a message of its client has brought about."""
        self.is_ending = False
        """Nothing of the client is wanted any more: it has gone, or is being let go."""
        self._heard = True
        """Since the last look of the timer wheel."""
        self._frames: ClientFrames | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._pace: TokenBucket | None = None

    # ---- what the protocols use

    @property
    def queued(self) -> int:
        """Frames that wait."""
        return len(self.pending or ()) + (len(self.backlog) if self.backlog is not None else 0)

    def send_nowait(self, data: bytes, opcode: int | None = None) -> bool:
        """Send one message now. False: the client is gone, or was too slow and is being let go."""
        return self.send_frame_nowait(ready_frame(data, opcode or self.voice.opcode))

    def send_parts_nowait(self, parts: Sequence[bytes], join: Callable[[Sequence[bytes]], bytes]) -> bool:
        """The same for one message of parts."""
        opcode = self.voice.opcode
        return self.send_made_nowait(sum(map(len, parts)), lambda: ready_frame(join(parts), opcode))

    def send_made_nowait(self, size: int, make: Callable[[], bytes]) -> bool:
        """The same for ready frames of about so many bytes. Large ones are made when their turn comes: what many wait for is in memory once."""
        if size < limits.WRITE_BUFFER_LOW_BYTES and self.backlog is None:
            return self.send_frame_nowait(make())
        if self.is_ending:
            return False
        self.bytes_told += size
        if not self._begin_backlog().add_answer(size, make):
            self._fan.let_go(self)
            return False
        self._drain()
        return True

    def send_frame_nowait(self, frame: bytes) -> bool:
        """The same for a ready frame."""
        if self.is_ending:
            return False
        self.bytes_told += len(frame)
        if self.backlog is not None:
            if not self.backlog.add_answer(len(frame), lambda: frame):
                self._fan.let_go(self)
                return False
            return True
        self._write_behind_pending(frame)
        return True

    def _write_behind_pending(self, frame: bytes) -> None:
        self.pending = [frame] if self.pending is None else [*self.pending, frame]
        self.write_pending()

    def tell_nowait(self, frame: bytes) -> None:
        """A ready frame for the next flush, never conflated."""
        if self.is_ending:
            return
        if self.backlog is not None:
            self.hold(None, frame)
        elif self.pending is None:
            self.pending = [frame]
            self._fan.touch(self)
        else:
            self.pending.append(frame)

    def end_nowait(self, code: int, reason: str = "") -> None:
        """Close after what is queued; a peer that does not take that in FAREWELL_TIMEOUT_S is cut off."""
        if self.is_ending:
            return
        self.is_ending = True
        self._fan.after(limits.FAREWELL_TIMEOUT_S, self._cut)
        if self.backlog is not None:
            self.backlog.add_last(close_frame(code, reason))
        else:
            self._write_behind_pending(close_frame(code, reason))
            self.backlog = Backlog()  # of which nothing is written any more
            self._fan.after(limits.CLOSE_TIMEOUT_S, self._hang_up)

    def abort(self) -> None:
        """Cut the connection. Without effect where it is over."""
        if self._transport is not None:
            self._transport.abort()

    # ---- what FanOut uses

    def begin(self, transport: asyncio.Transport, conversation: Conversation, answer: bytes = b"") -> None:
        """The transport is ours now. answer: to the handshake, if it has none yet: before everything else."""
        self._transport, self._conversation = transport, conversation
        self.pending = [answer] if answer else None
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=limits.WRITE_BUFFER_HIGH_BYTES, low=limits.WRITE_BUFFER_LOW_BYTES)

    def write_pending(self) -> None:
        """Write what is pending, at once."""
        pending, self.pending = self.pending, None
        if pending is not None and self._transport is not None:
            self._transport.write(pending[0] if len(pending) == 1 else b"".join(pending))

    def hold(self, newest: Callable[[], bytes] | None, data: bytes) -> None:
        """Frames while the socket is behind: noted by what will make the newest of them, if they can be conflated, otherwise kept."""
        backlog = self.backlog
        if self.is_ending or backlog is None:
            return
        if newest is not None:
            backlog.note(newest)
            self._fan.conflated += 1
        elif not backlog.add(data):
            self._fan.let_go(self)

    def say_slow_and_end(self) -> None:
        """Drop what waits, tell the client why, and close."""
        if self.is_ending or self._transport is None:
            return
        self.voice.on_slow()
        self.pending = None
        if self.backlog is None:
            self.backlog = Backlog()
        self.backlog.clear()
        farewell = ready_frame(self.voice.farewell, self.voice.opcode)
        self._transport.write(farewell + close_frame(self.voice.slow_code, "slow client"))
        self.is_ending = True
        self._fan.evicted += 1
        self._fan.after(limits.FAREWELL_TIMEOUT_S, self._cut)

    def _cut(self) -> None:
        if self._transport is not None:
            self._fan.cut += 1
            self.abort()

    def look(self) -> None:
        """The timer wheel has come round: ping, or give up a peer that is silent."""
        if self._transport is None:
            return
        if not self._heard:
            self._fan.silent += 1
            self.abort()
            return
        self._heard = False
        if self._pace is not None and self._pace.pay(self._fan.now(), 0) == 0 and self._pace.tokens >= limits.MESSAGES_BURST:
            self._pace = None  # full again: as good as none
        if not self.is_ending and self.backlog is None:
            self._transport.write(PING_FRAME)
        self._fan.after(limits.PING_EVERY_S, self.look)

    # ---- the socket is behind

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self._begin_backlog().is_blocked = True
        self._watch_backlog()

    def resume_writing(self) -> None:
        """There is room again."""
        if self.backlog is not None:
            self.backlog.is_blocked = False
            self.backlog.drained += 1
            self._drain()

    def _begin_backlog(self) -> Backlog:
        if self.backlog is None:
            self.backlog = Backlog()
            if self.pending:
                self.backlog.add(b"".join(self.pending))
            self.pending = None
        return self.backlog

    def _watch_backlog(self) -> None:
        assert self.backlog is not None
        self._fan.after(limits.BEHIND_S_MAX, partial(self._still_behind, self.backlog, self.backlog.drained))

    def _still_behind(self, backlog: Backlog, drained: int) -> None:
        if backlog is self.backlog and backlog.is_blocked and backlog.drained == drained:
            self._fan.let_go(self)

    def _drain(self) -> None:
        """Write what waits, as far as there is room; the last of it is the newest of each topic."""
        backlog, transport = self.backlog, self._transport
        assert backlog is not None
        assert transport is not None
        while not backlog.is_blocked:
            data = backlog.next_frame()
            if data is None:
                if self.is_ending:  # it keeps its backlog, so that no topic writes behind the close frame
                    self._fan.after(limits.CLOSE_TIMEOUT_S, self._hang_up)
                else:
                    self.backlog = None
                return
            transport.write(data)

    # ---- what the client sends

    def data_received(self, data: bytes) -> None:
        """Bytes of the client. A pong alone, which is nearly everything that comes, needs no more than this."""
        self._heard = True
        if self._frames is None and data[0] == _SHORT_PONG and len(data) == 6 and data[1] == 0x80:
            return
        if self._frames is None:
            self._frames = ClientFrames(limits.MESSAGE_BYTES_MAX)
        self._frames.feed(data)
        if self.is_ending:
            self._hear_close()
        elif self._hearing is None:
            self._hear_now()
        elif self._frames.waiting_bytes > 2 * limits.MESSAGE_BYTES_MAX:
            self._read_no_more()

    def eof_received(self) -> bool:
        """The peer has closed its side; the transport closes ours."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, whoever ended it."""
        self.is_ending = True
        self._transport = self.pending = self.backlog = self._frames = None
        if self._hearing is not None:
            self._hearing.cancel()
        if self._conversation is not None:
            self._conversation.leave()
            self._conversation = None
        self._fan.forget(self)

    def _hear_now(self) -> None:
        """One message, at once. A task goes on where the answer has to wait, or where there is more: making one costs as much as most answers."""
        frames, conversation, told = self._frames, self._conversation, self.bytes_told
        assert frames is not None
        assert conversation is not None
        wait_s, waiting = 0.0, None
        try:
            if not (heard := frames.take()):
                return
            answered = self._take(heard, conversation)
        except Exception as error:
            self._fail(error)
            return
        if isinstance(answered, Coroutine):
            waiting = answered
        elif not (wait_s := self._pay(told, answered)) and frames.is_empty:
            self._frames = None
            return
        self._hearing = asyncio.create_task(self._hear(waiting, told, wait_s), name="socket-reader")
        if waiting is not None:
            self._hearing.add_done_callback(lambda _: waiting.close())  # of a task that is cancelled before its first step

    async def _hear(self, waiting: Coroutine[Any, Any, Answered] | None, told: int, wait_s: float) -> None:
        """Take the client's messages at the pace that it is entitled to, until there are no more, or either side ends the connection."""
        try:
            if waiting is not None:
                wait_s = self._pay(told, await waiting)
            await self._wait(wait_s)
            while not self.is_ending and await self._hear_one():
                pass
        except Exception as error:
            self._fail(error)
        finally:
            self._hearing = None
            if self._frames is not None and self._frames.is_empty:
                self._frames = None

    async def _hear_one(self) -> bool:
        """Take one message or a part of one; False: none is there. Each lets others run: what is there already may be megabytes."""
        frames, conversation, told = self._frames, self._conversation, self.bytes_told
        if frames is None or conversation is None or not (heard := frames.take()):
            return False
        answered = self._take(heard, conversation)
        await self._wait(self._pay(told, await answered if isinstance(answered, Coroutine) else answered))
        return True

    def _fail(self, error: Exception) -> None:
        """The client broke the protocol, or the fault is ours: this client gets a code for it, the others nothing."""
        code, text = (error.code, str(error)) if isinstance(error, BadFrame) else (_FAULT, "internal error")
        if code == _FAULT:
            log.error("socket_failed", exc_info=error)
        self.end_nowait(code, text)

    def _pay(self, told: int, is_free: Answered) -> float:
        """For a message that has been answered; told: `bytes_told` before. After how many seconds the next one may be taken."""
        if self._pace is None:
            self._pace = TokenBucket(limits.MESSAGES_BURST, limits.MESSAGES_PER_S, limits.MESSAGES_BURST, self._fan.now())
        cost = 0 if is_free else 1 + (self.bytes_told - told) / limits.ANSWER_BYTES_PER_MESSAGE
        return self._pace.pay(self._fan.now(), cost)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._read_no_more()
        await asyncio.sleep(0 if self.is_ending else seconds)
        may_read = self._frames is None or self._frames.waiting_bytes <= limits.MESSAGE_BYTES_MAX
        if may_read and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _read_no_more(self) -> None:
        """TCP tells the client, once the buffers between are full."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _take(self, heard: Heard | bool, conversation: Conversation) -> Answered | Coroutine[Any, Any, Answered]:
        """A whole message, or a part of one, which is not answered."""
        if isinstance(heard, bool):
            return False
        if heard.opcode == PING:
            assert isinstance(heard.data, bytes)
            self.send_nowait(heard.data, PONG)
        elif heard.opcode == CLOSE:
            self.end_nowait(heard.code if heard.code != 1005 else _OK)  # the same code back, then the connection is over
            self._hang_up()
        elif heard.opcode != PONG:
            return conversation.take(heard.data)
        return False

    def _hear_close(self) -> None:
        """While the connection ends, only the client's close frame matters."""
        frames = self._frames
        assert frames is not None
        try:
            while heard := frames.take():
                if isinstance(heard, Heard) and heard.opcode == CLOSE:
                    self._hang_up()
                    return
        except BadFrame:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the transport once what is in its buffer has gone; FAREWELL_TIMEOUT_S bounds that."""
        if self._transport is not None:
            self._transport.close()


Speaker = Callable[[Connection], Conversation]
"""Makes the conversation of a new connection."""
