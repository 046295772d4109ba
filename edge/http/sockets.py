"""WebSockets whose clients cannot slow one another: what is sent has a bounded queue, what is read has a pace.

Whoever does not read is told so and let go; whoever sends too much is read later.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.client_exceptions import ClientConnectionResetError

from edge.gateway.access.rate_limits import TokenBucket
from edge.http.limits import (
    AUTHENTICATION_TIMEOUT_S,
    FAREWELL_TIMEOUT_S,
    HEARTBEAT_S,
    SOCKET_CLOSE_TIMEOUT_S,
    SOCKET_MESSAGE_BYTES_MAX,
    SOCKET_MESSAGES_BURST,
    SOCKET_MESSAGES_PER_S,
    SOCKET_QUEUE_BYTES_MAX,
    SOCKET_QUEUE_MESSAGES_MAX,
    SOCKET_REPLY_BYTES_PER_MESSAGE,
    SOCKETS_MAX,
)


def new_websocket() -> web.WebSocketResponse:
    """No compression: prices are small, and deflating for every client would cost more than it saves.

    Pings are given to the reader: answered inside aiohttp, a flood of them would be read without pause.
    """
    return web.WebSocketResponse(
        compress=False, heartbeat=HEARTBEAT_S, max_msg_size=SOCKET_MESSAGE_BYTES_MAX, timeout=SOCKET_CLOSE_TIMEOUT_S, autoping=False
    )


class OutgoingSocket:
    """What is sent to one client, in order, by one task. `frames` is TEXT or BINARY."""

    def __init__(self, ws: web.WebSocketResponse, *, frames: WSMsgType, farewell: bytes, on_slow: Callable[[], None]) -> None:
        """`farewell` is the last message to a client that is too slow."""
        self.ws = ws
        self._opcode = frames
        self._farewell = farewell
        self._on_slow = on_slow
        self._queue: asyncio.Queue[tuple[WSMsgType, int, Callable[[], bytes]] | None] = asyncio.Queue(SOCKET_QUEUE_MESSAGES_MAX)
        self._queued_bytes = 0
        self.bytes_told = 0
        """Queued in all, so that a reader knows what a message of its client has brought about."""
        self._close_code: int = WSCloseCode.GOING_AWAY
        self._ending = asyncio.Event()
        self._cut: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._write(), name="socket-writer")

    @property
    def queued(self) -> int:
        """Messages that wait."""
        return self._queue.qsize()

    @property
    def is_ending(self) -> bool:
        """Nothing of the client is wanted any more: it has gone, or is being let go."""
        return self._ending.is_set()

    def send_nowait(self, data: bytes, frames: WSMsgType | None = None) -> bool:
        """Queue one message. False: the client is gone, or was too slow and is being let go."""
        return self._put(frames or self._opcode, len(data), lambda: data)

    def send_parts_nowait(self, parts: Sequence[bytes], join: Callable[[Sequence[bytes]], bytes]) -> bool:
        """The same for one message of parts, which are joined when its turn comes: what many clients wait for is in memory once."""
        return self._put(self._opcode, sum(map(len, parts)), lambda: join(parts))

    def _put(self, opcode: WSMsgType, size: int, make: Callable[[], bytes]) -> bool:
        if self._ending.is_set():
            return False
        self.bytes_told += size
        if self._queue.full() or self._queued_bytes + size > SOCKET_QUEUE_BYTES_MAX:
            self._on_slow()
            self._drop_waiting()
            self._queue.put_nowait((self._opcode, 0, lambda: self._farewell))
            self.end_nowait(WSCloseCode.POLICY_VIOLATION)
            return False
        self._queued_bytes += size
        self._queue.put_nowait((opcode, size, make))
        return True

    def end_nowait(self, code: int) -> None:
        """Close after what is queued (as far as there is room); a peer that does not take that in FAREWELL_TIMEOUT_S is cut off."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._close_code = code
        if self._queue.full():
            self._drop_waiting()
        self._queue.put_nowait(None)
        self._cut = asyncio.get_running_loop().call_later(FAREWELL_TIMEOUT_S, self.abort)

    async def pause(self, seconds: float) -> None:
        """Let others run, for so long at least unless the socket is ending."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            pass

    async def finish(self) -> None:
        """The reading side is done: what is queued may still go, then the writer stops."""
        self.end_nowait(WSCloseCode.OK)
        await asyncio.wait([self._task], timeout=FAREWELL_TIMEOUT_S + SOCKET_CLOSE_TIMEOUT_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _drop_waiting(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queued_bytes = 0

    async def _write(self) -> None:
        try:
            while (waiting := await self._queue.get()) is not None:
                opcode, size, make = waiting
                self._queued_bytes -= size
                await self.ws.send_frame(make(), opcode)
            async with asyncio.timeout(SOCKET_CLOSE_TIMEOUT_S):
                await self.ws.close(code=self._close_code)
        except (ClientConnectionResetError, ConnectionError, RuntimeError):
            pass  # the peer has gone; the reading side sees it too
        except TimeoutError:
            self.abort()
        finally:
            self._ending.set()
            if self._cut is not None:
                self._cut.cancel()

    def abort(self) -> None:
        """Cut the connection. A peer that does not even take the close frame loses it so: closing it would wait for what it does not read."""
        transport = self.ws._req.transport if self.ws._req is not None else None
        if transport is not None:
            transport.abort()


class Conversation(Protocol):
    """What one kind of WebSocket says and hears; it speaks by the OutgoingSocket that it was made with."""

    @property
    def authenticated(self) -> bool:
        """Whether the client has shown who it is, or need not."""

    def begin(self) -> None:
        """The first word, if there is one."""

    async def take(self, data: str | bytes) -> None:
        """One message of the client."""

    def too_late(self) -> None:
        """The client has not authenticated in time: say so and end."""

    def too_many(self) -> None:
        """There is no room for the connection: say so and end."""

    def leave(self) -> None:
        """The connection has ended: no more messages to it."""


async def serve_socket(conversation: Conversation, out: OutgoingSocket, sockets: set[OutgoingSocket]) -> None:
    """Run one connection, whose handshake is done, to its end."""

    def give_up() -> None:
        if not conversation.authenticated:
            conversation.too_late()

    timer = asyncio.get_running_loop().call_later(AUTHENTICATION_TIMEOUT_S, give_up)
    sockets.add(out)
    try:
        if len(sockets) > SOCKETS_MAX:
            conversation.too_many()
        else:
            conversation.begin()
        await _read(conversation, out)
    except asyncio.CancelledError:  # the process ends: there is no time for farewells
        out.abort()
        raise
    finally:
        timer.cancel()
        conversation.leave()
        try:
            await out.finish()
        finally:
            sockets.discard(out)  # only now: while it is being let go it takes memory as any other


async def _read(conversation: Conversation, out: OutgoingSocket) -> None:
    """Take the client's messages at the pace that it is entitled to, until either side ends the connection.

    A message that is there already is read without waiting, and so would be megabytes of them: each one lets others run, and a client that has used up its
    messages waits, which TCP tells it when the buffers between are full.
    """
    clock = asyncio.get_running_loop().time
    pace = TokenBucket(SOCKET_MESSAGES_BURST, SOCKET_MESSAGES_PER_S, SOCKET_MESSAGES_BURST, clock())
    while not out.is_ending:
        message = await out.ws.receive()
        told = out.bytes_told
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            await conversation.take(message.data)
        elif message.type is WSMsgType.PING:
            out.send_nowait(message.data, WSMsgType.PONG)
        elif message.type is not WSMsgType.PONG:
            return
        await out.pause(pace.pay(clock(), 1 + (out.bytes_told - told) / SOCKET_REPLY_BYTES_PER_MESSAGE))
