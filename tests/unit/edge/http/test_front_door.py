"""The front door: usual handshakes are answered as aiohttp answers them, everything else is aiohttp's to judge. On both event loops."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser as HttpRequestParserC
from aiohttp.http_parser import HttpRequestParserPy
from support.served_edge import WAIT_S, Served, served, until

from edge.fanout import limits
from edge.fanout.frames import TEXT, ready_frame
from edge.fanout.limits import SEND_BUFFER_BYTES
from edge.http.handshakes import HEAD_BYTES_MAX, read_handshake
from edge.http.limits import UNTAKEN_MS_MAX
from edge.http.listening import listen, new_runner

USUAL = {
    "Host": "exchange.example:8080",
    "User-Agent": "Python/3.11 websockets/17.0",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
}
PATH = "/ws/public-prices"


def handshake(path: str = PATH, more: str = "", **changed: str | None) -> bytes:
    """As a client sends it. changed: headers by their names with _; None: left out. more: lines behind them."""
    headers = USUAL | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"GET {path} HTTP/1.1\r\n{lines}{more}\r\n".encode()


def test_a_usual_handshake_is_read() -> None:
    """With what browsers send besides."""
    asked = read_handshake(handshake(more="Origin: http://exchange.example\r\nCookie: a=b; c=d\r\n", Connection="keep-alive, Upgrade"))
    assert asked is not None
    assert (asked.path, asked.headers["origin"], asked.headers["sec-websocket-version"]) == (PATH, "http://exchange.example", "13")


UNUSUAL = {
    "no host": handshake(Host=None),
    "no upgrade": handshake(Upgrade=None),
    "another upgrade": handshake(Upgrade="h2c"),
    "not to be upgraded": handshake(Connection="close"),
    "an old version": handshake(Sec_WebSocket_Version="8"),
    "no key": handshake(Sec_WebSocket_Key=None),
    "a short key": handshake(Sec_WebSocket_Key="c2hvcnQ="),
    "a header twice": handshake(more="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
    "a header twice, in other letters": handshake(more="HOST: other.example\r\n"),
    "a body": handshake(more="Content-Length: 5\r\n") + b"hello",
    "a body to come": handshake(more="Content-Length: 5\r\n"),
    "chunks": handshake(more="Transfer-Encoding: chunked\r\n"),
    "wants to be told to go on": handshake(more="Expect: 100-continue\r\n"),
    "something behind it": handshake() + b"GET / HTTP/1.1\r\n",
    "not whole": handshake()[:-2],
    "a bare line feed": handshake().replace(b"\r\nHost", b"\nHost"),
    "a bare carriage return": handshake(more="X-A: b\rc\r\n"),
    "a continued line": handshake(more="X-A: b\r\n c\r\n"),
    "a space before the colon": handshake(more="X-A : b\r\n"),
    "an empty value": handshake(more="X-A:\r\n"),
    "a null": handshake(more="X-A: \0\r\n"),
    "bytes of no alphabet": handshake().replace(b"Python", b"\xff\xfe"),
    "a query": handshake(f"{PATH}?a=b"),
    "an encoded path": handshake("/ws/public%2dprices"),
    "a whole address": handshake("http://exchange.example/ws/public-prices"),
    "another method": handshake().replace(b"GET", b"POST"),
    "HTTP/1.0": handshake().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "too long": handshake(more=f"X-A: {'b' * HEAD_BYTES_MAX}\r\n"),
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_anything_unusual_is_left_to_aiohttp(data: bytes) -> None:
    """Which refuses it, or serves it by the longer way."""
    assert read_handshake(data) is None


PARSERS: list[Callable[..., Any]] = [HttpRequestParserC, HttpRequestParserPy]


def test_what_is_read_here_is_read_in_the_same_way_by_both_parsers_of_aiohttp() -> None:
    """Handshakes with bytes changed, doubled, moved and left out: whatever is taken has one meaning."""
    choose = random.Random(15)
    good, loop, taken = [handshake(), handshake(more="Origin: null\r\nCookie: a=b\r\n")], asyncio.new_event_loop(), 0
    bits = [
        b"\r\n",
        b" ",
        b":",
        b"\t",
        b"\0",
        b"Host: x",
        b"Content-Length: 1\r\n",
        b"Connection: close\r\n",
        b"Upgrade",
        b",",
        b"\x7f",
        b"A",
    ]
    for _ in range(20_000):
        data = bytearray(choose.choice(good))
        for _ in range(choose.randint(1, 3)):
            at, size = choose.randrange(len(data)), choose.randint(0, 3)
            data[at : at + size] = choose.choice([b"", data[at : at + size] * 2, choose.choice(bits), bytes([choose.randrange(256)])])
        asked = read_handshake(bytes(data))
        if asked is None:
            continue
        taken += 1
        for parser in PARSERS:
            messages, is_upgraded, tail = parser(_NoProtocol(loop), loop, 2**16).feed_data(bytes(data))
            ((message, _),) = messages
            assert (is_upgraded, tail, message.upgrade, message.method, message.path) == (True, b"", True, "GET", asked.path), data
            assert {name.lower(): value for name, value in message.headers.items()} == asked.headers, data
            assert message.headers["Sec-WebSocket-Key"] == asked.headers["sec-websocket-key"]
    loop.close()
    assert taken > 2_000, "enough of them are handshakes"


class _NoProtocol:
    """Of a parser that is given no body."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self.transport = loop, None


async def answer_to(edge: Served, first: bytes, second: bytes = b"") -> tuple[bytes, bytes]:
    """(head, the first bytes behind it) of a raw connection. second: is sent once the first part has arrived, and gone on to aiohttp."""
    reader, writer = await asyncio.open_connection(edge.client.host, edge.client.port)
    server = edge.client.server.runner._server
    before = len(server.connections)
    writer.write(first)
    if second:
        await until(lambda: len(server.connections) > before, "the first part is there")
        writer.write(second)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
    rest = await asyncio.wait_for(reader.read(1 << 16), WAIT_S)
    writer.transport.abort()
    return head, rest


def headers_in(head: bytes) -> dict[str, str]:
    """Without what differs from answer to answer."""
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:-2]]
    return {name: value for name, _, value in lines if name not in ("X-Request-ID", "Date")}


def counted_inside(edge: Served) -> list[int]:
    """How many connections have gone on to aiohttp, as [number]."""
    door: Any = edge.client.server.runner.server
    count, inside = [0], door.inside

    def counting() -> Any:
        count[0] += 1
        return inside()

    door.inside = counting
    return count


def on_both_loops(scenario: Callable[[], Awaitable[None]]) -> None:
    """The edge runs on uvloop, whose transports are of classes of their own."""
    for run in (asyncio.run, uvloop.run):
        run(scenario())  # type: ignore[arg-type]


@pytest.mark.parametrize("edge_url", ["", "https://exchange.example"])
def test_both_ways_answer_a_handshake_alike(edge_url: str) -> None:
    """Whole it is answered by the door, in two pieces by aiohttp: the same headers, the same first word."""

    async def scenario() -> None:
        async with served(edge_url=edge_url) as edge:
            inside = counted_inside(edge)
            at_the_door = await answer_to(edge, handshake())
            assert inside == [0]
            by_aiohttp = await answer_to(edge, handshake()[:40], handshake()[40:])
            assert inside == [1]
            assert at_the_door[0].startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
            assert headers_in(at_the_door[0]) == headers_in(by_aiohttp[0])
            assert ("Strict-Transport-Security" in headers_in(at_the_door[0])) == bool(edge_url)
            assert at_the_door[1] == by_aiohttp[1] == ready_frame(b'[{"T":"success","msg":"connected"}]', TEXT)
            requests = edge.state.metrics.requests.labels("GET", PATH, "101")
            assert requests._value.get() == 2, "both are counted"

    on_both_loops(scenario)


def test_requests_of_other_kinds_pass_the_door_also_on_a_connection_that_stays() -> None:
    """Two of them on one connection, then a handshake that is none."""

    async def scenario() -> None:
        async with served() as edge:
            inside = counted_inside(edge)
            assert [(await edge.get(path))[0] for path in ("/healthz", "/public/prices", PATH)] == [200, 200, 400]
            assert inside == [1]

    on_both_loops(scenario)


def test_a_msgpack_socket_and_an_edge_that_still_reads_the_log_are_served_by_the_longer_way() -> None:
    """Neither is decided at the door."""

    async def scenario() -> None:
        async with served() as edge:
            inside = counted_inside(edge)
            head, said = await answer_to(edge, handshake("/v2/iex", more="Content-Type: application/msgpack\r\n"))
            assert (head[:12], said[0], inside) == (b"HTTP/1.1 101", 0x82, [1])
            market: Any = edge.gateway.market_consumer
            market.running = False
            waiting = asyncio.create_task(answer_to(edge, handshake()))
            await until(lambda: inside == [2], "it waits inside")
            market.running = True
            assert (await waiting)[0].startswith(b"HTTP/1.1 101")

    on_both_loops(scenario)


async def test_more_handshakes_than_a_process_takes_are_refused_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the time to come again, as aiohttp says it, and the end of the connection."""
    monkeypatch.setattr(limits, "ADMISSIONS_BURST", 1)
    monkeypatch.setattr(limits, "ADMISSIONS_PER_S", 1e-9)
    async with served() as edge:
        assert (await answer_to(edge, handshake()))[0].startswith(b"HTTP/1.1 101")
        inside = counted_inside(edge)
        head, body = await answer_to(edge, handshake())
        told = headers_in(head)
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert 1 <= int(told.pop("Retry-After")) <= limits.RETRY_AFTER_S_MAX
        other_head, other_body = await answer_to(edge, handshake()[:40], handshake()[40:])
        assert (body, inside) == (other_body, [1])
        assert {"Connection": "close"} | headers_in(other_head) | {"Retry-After": ""} == told | {"Retry-After": ""}
        assert edge.state.fan_out.refused == 2


async def test_who_connects_and_says_nothing_is_sent_away_in_time_and_when_the_edge_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay."""
    monkeypatch.setattr("edge.http.front_door.IDLE_S", 0.1)
    async with served() as edge, edge.client.ws_connect(PATH) as ws:
        for _ in range(2):
            reader, writer = await asyncio.open_connection(edge.client.host, edge.client.port)
            assert await asyncio.wait_for(closed(reader), WAIT_S)
            writer.close()
        await ws.send_str("{")
        assert [(await ws.receive()).type for _ in range(2)] == [web.WSMsgType.TEXT] * 2
    monkeypatch.setattr("edge.http.front_door.IDLE_S", 1_000)
    async with served() as edge:
        reader, writer = await asyncio.open_connection(edge.client.host, edge.client.port)
        door: Any = edge.client.server.runner.server
        await until(lambda: bool(door._waiting), "it has come")
    assert await asyncio.wait_for(closed(reader), WAIT_S)
    writer.close()


async def closed(reader: asyncio.StreamReader) -> bool:
    """Once the peer has ended the connection."""
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


def test_connections_have_the_bounds_of_the_socket_that_has_taken_them() -> None:
    """What the kernel keeps for a peer that takes nothing, and for how long."""

    async def scenario() -> None:
        async with served() as edge:
            runner = new_runner(edge.client.server.app)
            await runner.setup()
            await listen(web.TCPSite(runner, "127.0.0.1", 0))
            _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            writer.write(handshake())
            await until(lambda: bool(edge.state.sockets), "it is connected")
            (one,) = edge.state.sockets
            sock = one._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER_BYTES
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNTAKEN_MS_MAX
            writer.transport.abort()
            await until(lambda: not edge.state.sockets, "it has left")
            for site in runner.sites:
                await site.stop()

    on_both_loops(scenario)


def test_a_native_socket_is_opened_at_the_door_in_the_encoding_that_it_asks_for() -> None:
    """Both ways alike, with the protocol named where one was offered that exists."""

    async def scenario() -> None:
        for offered, named in (
            ("", None),
            ("outcry.v1.json", "outcry.v1.json"),
            ("other, outcry.v1.msgpack", "outcry.v1.msgpack"),
            ("other", None),
        ):
            async with served() as edge:
                whole = handshake("/ws/v1", more=f"Sec-WebSocket-Protocol: {offered}\r\n" if offered else "")
                inside = counted_inside(edge)
                head, said = await answer_to(edge, whole)
                assert inside == [0]
                other_head, other_said = await answer_to(edge, whole[:40], whole[40:])
                assert headers_in(head) == headers_in(other_head)
                assert headers_in(head).get("Sec-WebSocket-Protocol") == named
                assert said[0] == other_said[0] == (0x82 if named == "outcry.v1.msgpack" else 0x81)
                assert b"hello" in said

    on_both_loops(scenario)
