"""The connection of a client, and the next one: requests and their answers by id, pushes in their order, reconnects.

Rules
* Pushes are handed on in their order, each once. After a reconnect the exchange sends what is missing, or a snapshot, which is handed on as one.
* A request whose answer the connection took with it is OutcomeUnknown, and never repeated by itself.
* After a close code up to 4499 the client comes back, after a growing and random time, or when the exchange has said.
"""

import asyncio
import random
from typing import Any, Final

import aiohttp
import msgspec

from outcry.client.channels import Channels, Push
from outcry.client.errors import ApiError, ConnectionEnded, error_of, lost, not_sent
from outcry.client.signing import Signer

RECONNECT_S_MIN: Final = 0.1
RECONNECT_S_MAX: Final = 10.0
SILENT_S: Final = 15.0
"""Without a word for so long (three heartbeats) the connection is taken for lost."""
PUSHES_MAX: Final = 100_000
"""Of those that the program has not read; beyond it the client gives up rather than fill the memory."""
LAST_CODE_TO_COME_BACK: Final = 4499
_DECODE: Final = msgspec.json.Decoder().decode
_ENCODE: Final = msgspec.json.Encoder().encode


class Link:
    """`url`: of the edge, such as http://127.0.0.1:8080. Without a key only prices."""

    def __init__(self, url: str, key: str, secret: str, signer: Signer | None = None) -> None:
        self._address, self._key, self._secret, self._signer = f"{url.rstrip('/')}/ws/v1", key, secret, signer
        self.channels = Channels()
        self.pushes: asyncio.Queue[Push | None] = asyncio.Queue(PUSHES_MAX + 1)
        """None: the client has ended."""
        self.session: dict[str, dict[str, Any]] = {}
        """Requests by operation that every new connection begins with."""
        self.reconnects = self.resubscribed = 0
        self.ended: BaseException | None = None
        self.is_closed = False
        """By the program."""
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: dict[int, tuple[str, asyncio.Future[dict[str, Any]]]] = {}
        self._next_id = 0
        self._connected = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._again: set[asyncio.Task[None]] = set()
        self._come_back_after_s = 0.0

    async def open(self) -> None:
        """Connect. Raises ApiError where the exchange does not want the key."""
        self._keeping = asyncio.create_task(self._keep(), name="outcry-client")
        await self.until_connected()

    async def close(self) -> None:
        """End the connection."""
        self.is_closed = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        self._end(ConnectionEnded("the client was closed"))

    async def until_connected(self) -> None:
        """Logged on, channels resumed. Raises what has ended the client."""
        await self._connected.wait()
        if self.ended is not None:
            raise self.ended

    async def ask(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises ApiError, Rejected, OutcomeUnknown."""
        ws = self._ws
        if ws is None or ws.closed:
            raise not_sent(op)
        self._next_id += 1
        number, answer = self._next_id, asyncio.get_running_loop().create_future()
        self._waiting[number] = op, answer
        try:
            await ws.send_str(_ENCODE({"id": number, "op": op, **fields}).decode())
            told: dict[str, Any] = await answer
        except (ConnectionError, aiohttp.ClientError):
            raise lost(op) from None
        finally:
            self._waiting.pop(number, None)
        if not told["ok"]:
            raise error_of(told)
        return told

    # ---- one connection after the other

    async def _keep(self) -> None:
        wait_s = RECONNECT_S_MIN
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=SILENT_S)) as http:
                while True:
                    if await self._once(http):
                        wait_s = RECONNECT_S_MIN
                    wait_s = min(wait_s * 2, RECONNECT_S_MAX)
                    self.reconnects += 1
                    await asyncio.sleep(self._come_back_after_s or wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the load
                    self._come_back_after_s = 0.0
        except (ConnectionEnded, ApiError) as error:
            self._end(error)

    async def _once(self, http: aiohttp.ClientSession) -> bool:
        """One connection to its end. True: it had come so far that requests could be sent. Raises ApiError or ConnectionEnded where others are of no use."""
        was_connected = False
        try:
            timeout = aiohttp.ClientWSTimeout(ws_receive=SILENT_S, ws_close=1.0)
            async with http.ws_connect(self._address, protocols=("outcry.v1.json",), compress=0, max_msg_size=0, timeout=timeout) as ws:
                self._ws = ws
                starting = asyncio.create_task(self._start(ws), name="outcry-client-start")
                try:
                    await self._read(ws)
                finally:
                    was_connected = self._connected.is_set()
                    self._lose()
                    await asyncio.gather(starting, return_exceptions=True)
            starting.result()
        except ApiError as error:
            if not error.retryable:
                raise
        except (aiohttp.ClientError, OSError, TimeoutError):
            return was_connected
        if ws.close_code is not None and ws.close_code > LAST_CODE_TO_COME_BACK:
            raise ConnectionEnded(f"the exchange has closed the connection with {ws.close_code}")
        return was_connected

    async def _start(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Log on, and go on with the channels; whatever goes wrong there ends this connection."""
        try:
            if self._key:
                shown = {"secret": self._secret} if self._signer is None else self._signer.logon(self._key)
                await self.ask("session.logon", {"key": self._key, **shown})
            for op, fields in self.session.items():
                await self.ask(op, fields)
            if known := self.channels.known():
                self.channels.note((await self.ask("resume", {"channels": known}))["channels"])
            if new := self.channels.new():
                self.channels.note((await self.ask("subscribe", {"channels": new}))["channels"])
        except ApiError:
            await ws.close()
            raise
        self._connected.set()

    def _lose(self) -> None:
        self._ws = None
        self._connected.clear()
        waiting, self._waiting = self._waiting, {}
        for op, answer in waiting.values():
            if not answer.done():
                answer.set_exception(lost(op))

    def _end(self, why: BaseException) -> None:
        """No connection any more."""
        if self.ended is None:
            self.ended = why
            self._lose()
            self._connected.set()
            self.pushes.put_nowait(None)

    # ---- what comes

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while (message := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
            self._take(_DECODE(message.data))

    def _take(self, told: dict[str, Any]) -> None:
        if "ch" in told:
            self._push(told)
        elif "ok" in told:
            _, answer = self._waiting.get(told["id"], ("", None))
            if answer is not None and not answer.done():
                answer.set_result(told)
        elif told.get("event") == "serverShutdown":
            self._come_back_after_s = max(0.05, told["reconnect_after_ms"] / 1_000)

    def _push(self, told: dict[str, Any]) -> None:
        push, is_lost = self.channels.take(told)
        if is_lost:
            self.resubscribed += 1
            task = asyncio.create_task(self._subscribe_again(told["ch"]), name="outcry-client-again")
            self._again.add(task)
            task.add_done_callback(self._again.discard)
        if push is None:
            return
        if self.pushes.qsize() >= PUSHES_MAX:
            raise ConnectionEnded(f"{PUSHES_MAX} pushes have not been read by the program")
        self.pushes.put_nowait(push)

    async def _subscribe_again(self, name: str) -> None:
        try:
            self.channels.note((await self.ask("subscribe", {"channels": [name]}))["channels"])
        except ApiError:  # the connection is lost: the next one begins with it
            return
