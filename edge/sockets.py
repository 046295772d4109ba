"""WebSockets with a bounded queue: whoever does not read is told so and let go, and never slows the others."""

import asyncio
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.client_exceptions import ClientConnectionResetError

from edge.limits import FAREWELL_TIMEOUT_S, HEARTBEAT_S, SOCKET_CLOSE_TIMEOUT_S, SOCKET_MESSAGE_BYTES_MAX, SOCKET_QUEUE_MESSAGES_MAX


def new_websocket() -> web.WebSocketResponse:
    """No compression: prices are small, and deflating for every client would cost more than it saves."""
    return web.WebSocketResponse(
        compress=False, heartbeat=HEARTBEAT_S, max_msg_size=SOCKET_MESSAGE_BYTES_MAX, timeout=SOCKET_CLOSE_TIMEOUT_S
    )


class OutgoingSocket:
    """What is sent to one client, in order, by one task. `frames` is TEXT or BINARY."""

    def __init__(self, ws: web.WebSocketResponse, *, frames: WSMsgType, farewell: bytes, on_slow: Callable[[], None]) -> None:
        """`farewell` is the last message to a client that is too slow."""
        self.ws = ws
        self._opcode = frames
        self._farewell = farewell
        self._on_slow = on_slow
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(SOCKET_QUEUE_MESSAGES_MAX)
        self._close_code: int = WSCloseCode.GOING_AWAY
        self._ending = False
        self._cut: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._write(), name="socket-writer")

    @property
    def queued(self) -> int:
        """Messages that wait."""
        return self._queue.qsize()

    def send_nowait(self, data: bytes) -> bool:
        """Queue one message. False: the client is gone, or was too slow and is being let go."""
        if self._ending:
            return False
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            self._on_slow()
            self._drop_waiting()
            self._queue.put_nowait(self._farewell)
            self.end_nowait(WSCloseCode.POLICY_VIOLATION)
            return False
        return True

    def end_nowait(self, code: int) -> None:
        """Close after what is queued (as far as there is room); a peer that does not take that in FAREWELL_TIMEOUT_S is cut off."""
        if self._ending:
            return
        self._ending, self._close_code = True, code
        if self._queue.full():
            self._drop_waiting()
        self._queue.put_nowait(None)
        self._cut = asyncio.get_running_loop().call_later(FAREWELL_TIMEOUT_S, self._abort)

    async def finish(self) -> None:
        """The reading side is done: stop the writer."""
        if not self._task.done():
            self.end_nowait(WSCloseCode.OK)
            await asyncio.wait([self._task], timeout=SOCKET_CLOSE_TIMEOUT_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _drop_waiting(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()

    async def _write(self) -> None:
        try:
            while (data := await self._queue.get()) is not None:
                await self.ws.send_frame(data, self._opcode)
            async with asyncio.timeout(SOCKET_CLOSE_TIMEOUT_S):
                await self.ws.close(code=self._close_code)
        except (ClientConnectionResetError, ConnectionError, RuntimeError):
            self._ending = True  # the peer has gone; the reading side sees it too
        except TimeoutError:
            self._ending = True
            self._abort()
        finally:
            if self._cut is not None:
                self._cut.cancel()

    def _abort(self) -> None:
        """A peer that does not even take the close frame loses its connection: closing it would wait for what it does not read."""
        transport = self.ws._req.transport if self.ws._req is not None else None
        if transport is not None:
            transport.abort()
