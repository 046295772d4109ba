"""WebSockets below their protocols, and connections that give or take nothing."""

import asyncio
import base64
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from at_parsers import port_of, raw
from attack import attack, stopped_by
from support.served_edge import Served, served, until

from edge.alpaca.market_data import market_data_ws, subscriptions
from edge.fanout import connection, fan_out, frames
from edge.fanout.frames import CLOSE, PING, TEXT
from edge.http import front_door, listening

CONTINUATION: Final = 0
CUT_S: Final = 5.0
"""How long an attack waits to be cut off. Each protection acts within half a second here; a machine may be busy."""


def frame(opcode: int, data: bytes = b"", *, last: bool = True, masked: bool = True, size: int | None = None) -> bytes:
    """As a client sends it; size: what its head says."""
    told = len(data) if size is None else size
    first, mask = (0x80 if last else 0) | opcode, 0x80 if masked else 0
    if told < 126:
        head = bytes((first, mask | told))
    elif told < 1 << 16:
        head = bytes((first, mask | 126)) + struct.pack(">H", told)
    else:
        head = bytes((first, mask | 127)) + struct.pack(">Q", told)
    key = os.urandom(4)
    return head + (key + bytes(byte ^ key[at % 4] for at, byte in enumerate(data)) if masked else data)


class Wire:
    """A WebSocket without a library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, edge: Served, path: str = "/v2/iex") -> AsyncIterator["Wire"]:
        """After the handshake and the first word."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(edge))
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        wire = cls(reader, writer)
        try:
            await wire.next()
            yield wire
        finally:
            writer.close()

    async def next(self) -> tuple[int, bytes]:
        """(opcode, data) of the server's next frame; (CLOSE, b"") where the connection is over."""
        try:
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return CLOSE, b""

    async def closes(self, *sent: bytes, code: int, wait_s: float = 2.0) -> bool:
        """Whether the server closes for these frames, with this code."""
        self.writer.write(b"".join(sent))
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    opcode, data = await self.next()
                    if opcode == CLOSE:
                        return data[:2] == code.to_bytes(2, "big")
        except TimeoutError:
            return False


PARTS = [frame(TEXT, b" " * 60_000, last=False), *[frame(CONTINUATION, b" " * 60_000, last=False)] * 4]
for _name, _code, _sent, _edit in (
    ("send_a_frame_that_a_cache_could_take_for_a_request", 1002, [frame(PING, b"a", masked=False)],
     (frames, "        if not buffer[1] & _MASKED:", "        if False:")),
    ("use_bits_that_mean_nothing_here", 1002, [frame(0x40 | TEXT, b"{}")],
     (frames, "if buffer[0] & 0x70 or opcode not in _KNOWN:", "if opcode not in _KNOWN:")),
    ("send_a_frame_of_no_known_kind", 1002, [frame(0x3, b"{}")],
     (frames, "if buffer[0] & 0x70 or opcode not in _KNOWN:", "if buffer[0] & 0x70:")),
    ("send_a_ping_that_is_large", 1002, [frame(PING, b"a" * 5_000)],
     (frames, "        if opcode >= CLOSE and (size > _CONTROL_BYTES_MAX or not is_final):", "        if False:")),
    ("announce_a_frame_of_terabytes", 1009, [frame(TEXT, b"", size=1 << 42)],
     (frames, "        if size > self._bytes_max:", "        if False:")),
    ("send_one_message_in_parts_without_end", 1009, PARTS,
     (frames, "        if self._parts_bytes > self._bytes_max:", "        if False:")),
    ("begin_a_message_within_another", 1002, [frame(TEXT, b"{", last=False), frame(TEXT, b"}")],
     (frames, "        if (opcode == _CONTINUATION) != bool(self._first):", "        if False:")),
    ("close_with_a_code_that_nobody_may_send", 1002, [frame(CLOSE, (1006).to_bytes(2, "big"))],
     (frames, "    if len(payload) == 1 or not (code in _CODES_OF_THE_RFC or 3_000 <= code < 5_000):", "    if False:")),
    ("send_a_text_that_is_none", 1007, [frame(TEXT, b"\xff\xfe")],
     (frames, 'raise BadFrame(NOT_TEXT, "a text that is not UTF-8") from None', 'return ""')),
):  # fmt: skip

    async def _is_taken(edge: Served, code: int = _code, sent: list[bytes] = _sent) -> bool:
        async with Wire.open(edge) as wire:
            return not await wire.closes(*sent, code=code, wait_s=1.0)

    attack(_name, _is_taken, _edit)


# ---- too much, too many


@stopped_by((connection, "        return self._pace.pay(self._fan.now(), cost)", "        return 0.0"))
async def flood_a_socket_with_messages(edge: Served) -> bool:
    """Faster than anybody types."""
    async with Wire.open(edge) as wire:
        wire.writer.write(frame(PING, b"x") * 3_000)
        pongs = 0
        try:
            async with asyncio.timeout(1.0):
                while pongs < 2_000:
                    await wire.next()
                    pongs += 1
        except TimeoutError:
            pass
        return pongs >= 2_000


@stopped_by((fan_out, "        if self._admissions.take(self.now()):", "        if True:"))
async def come_with_more_handshakes_than_a_process_can_make(edge: Served) -> bool:
    """All at once."""
    admissions = edge.state.fan_out._admissions
    admissions.tokens, admissions.at_s = -100_000.0, asyncio.get_running_loop().time()
    return (await edge.get("/v2/iex", headers={"Connection": "Upgrade", "Upgrade": "websocket"}))[0] != 503


@stopped_by((fan_out, "        if len(self.sockets) > self.sockets_max:", "        if False:"))
async def open_more_sockets_than_there_is_room_for(edge: Served) -> bool:
    """Each keeps memory and a descriptor."""
    edge.state.fan_out.sockets_max = 1
    async with edge.client.ws_connect("/v2/iex") as one, edge.client.ws_connect("/v2/iex") as other:
        await one.receive()
        return "connected" in str((await other.receive()).data)


@stopped_by((fan_out, "        conversation.too_late()", "        pass"))
async def open_a_socket_and_never_say_who_one_is(edge: Served) -> bool:
    """It costs nothing to leave them open."""
    before = front_door.AUTHENTICATION_TIMEOUT_S
    front_door.AUTHENTICATION_TIMEOUT_S = 0.05  # type: ignore[misc]
    try:
        async with Wire.open(edge) as wire:
            opcode = TEXT
            try:
                async with asyncio.timeout(CUT_S):
                    while opcode != CLOSE:
                        opcode, _ = await wire.next()
            except TimeoutError:
                return True
            return False
    finally:
        front_door.AUTHENTICATION_TIMEOUT_S = before  # type: ignore[misc]


@stopped_by((connection, "        if not self._heard:", "        if False:"))
async def leave_a_socket_half_open(edge: Served) -> bool:
    """The peer is gone, and answers no ping."""
    async with Wire.open(edge):
        (one,) = edge.state.sockets
        one.look()
        one.look()
        one.look()
        try:
            async with asyncio.timeout(CUT_S):
                await until(lambda: not edge.state.sockets, "it is cut")
        except TimeoutError:
            return True
        return False


@stopped_by((market_data_ws, "        elif not self._client.authenticated:", "        elif False:"))
async def hear_prices_without_a_key(edge: Served) -> bool:
    """Over /v2/iex."""
    async with edge.client.ws_connect("/v2/iex") as ws:
        await ws.receive()
        await ws.send_json({"action": "subscribe", "trades": ["AAPL"]})
        return "subscription" in str((await ws.receive()).data)


@stopped_by((subscriptions, "        if len(self.wanted | added) > SUBSCRIPTIONS_MAX:", "        if False:"))
async def subscribe_to_more_names_than_one_may(edge: Served) -> bool:
    """Each is in memory twice."""
    before = subscriptions.SUBSCRIPTIONS_MAX
    subscriptions.SUBSCRIPTIONS_MAX = 2  # type: ignore[misc]
    try:
        async with edge.client.ws_connect("/ws/public-prices") as ws:
            await ws.receive()
            await ws.send_json({"action": "subscribe", "trades": ["AAPL", "MSFT"], "quotes": ["AAPL", "MSFT"]})
            return '"subscription"' in str((await ws.receive()).data)
    finally:
        subscriptions.SUBSCRIPTIONS_MAX = before  # type: ignore[misc]


@stopped_by((subscriptions, "frozenset(_PAIRS.setdefault(pair, pair) for pair in asked if pair[1] == \"*\" or pair[1] in view.symbols)",
             "frozenset(_PAIRS.setdefault(pair, pair) for pair in asked)"))  # fmt: skip
async def subscribe_to_names_that_do_not_exist(edge: Served) -> bool:
    """They would be remembered for ever, by all."""
    known = len(subscriptions._PAIRS)
    async with edge.client.ws_connect("/ws/public-prices") as ws:
        await ws.receive()
        await ws.send_json({"action": "subscribe", "trades": [f"NO{number}" for number in range(50)]})
        await ws.receive()
    grown = len(subscriptions._PAIRS) > known
    for pair in [one for one in subscriptions._PAIRS if one[1].startswith("NO")]:
        del subscriptions._PAIRS[pair]
    return grown


# ---- connections that give or take nothing


@asynccontextmanager
async def listening_edge() -> AsyncIterator[tuple[web.AppRunner, int]]:
    """As the process listens, with less patience."""
    before = listening.UNTAKEN_MS_MAX, listening.IDLE_S
    listening.UNTAKEN_MS_MAX, listening.IDLE_S = 500, 0.5  # type: ignore[misc]
    try:
        async with served() as one:
            runner = listening.new_runner(_large())
            await runner.setup()
            await listening.listen(web.TCPSite(runner, "127.0.0.1", 0))
            try:
                yield runner, runner.addresses[0][1]
            finally:
                await runner.cleanup()
            assert one.client.port
    finally:
        listening.UNTAKEN_MS_MAX, listening.IDLE_S = before  # type: ignore[misc]


def _large() -> web.Application:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 180_000)

    app = web.Application()
    app.add_routes([web.get("/", answer)])
    return app


async def _stays(runner: web.AppRunner, port: int, sent: bytes) -> bool:
    """Whether a connection that sends this, and reads nothing, is still there after CUT_S."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(sent)
        await until(lambda: bool(runner.server and runner.server.connections), "it has come")
        try:
            async with asyncio.timeout(CUT_S):
                await until(lambda: not (runner.server and runner.server.connections), "it is cut")
        except TimeoutError:
            return True
        return False


@stopped_by(
    (listening, "        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MS_MAX)", "        pass"), door=listening_edge
)
async def ask_again_and_again_and_read_no_answer(door: Any) -> bool:
    """Answers pile up, without a key."""
    return await _stays(*door, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 60)


@stopped_by((front_door, "                return\n            visitor.send_away()", "                return"))
async def connect_and_say_nothing(edge: Served) -> bool:
    """A descriptor each, for as long as one likes."""
    before = front_door.IDLE_S
    front_door.IDLE_S = 0.1  # type: ignore[misc]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.client.port)
        try:
            async with asyncio.timeout(CUT_S):
                await reader.read()
        except TimeoutError:
            return True
        except ConnectionError:
            pass
        finally:
            writer.close()
        return False
    finally:
        front_door.IDLE_S = before  # type: ignore[misc]


@stopped_by((listening, ", keepalive_timeout=IDLE_S", ""), door=listening_edge)
async def hold_connections_by_half_a_request(door: Any) -> bool:
    """Slowly, so that there is always something to wait for."""
    return await _stays(*door, b"GET / HTTP/1.1\r\nHost: a\r\nX-")


@stopped_by(
    (listening, "    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))", "    return True"),
    door=listening_edge,
)
async def fill_the_log_with_requests_that_are_none(door: Any) -> bool:
    """Each with a trace of twenty lines."""
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    logger = logging.getLogger("edge.http.server")
    logger.addHandler(handler)
    try:
        await raw(door[1], b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
    finally:
        logger.removeHandler(handler)
    return bool(lines)
