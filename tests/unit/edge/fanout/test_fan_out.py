"""The fan-out: joined writes, shared frames, conflation, slow and silent clients; read by another WebSocket library over a real socket."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from support.served_edge import WAIT_S, Served, served, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from edge.fanout import limits
from edge.fanout.connection import Connection
from edge.fanout.conversations import Voice
from edge.fanout.fan_out import FanOut
from edge.fanout.frames import PING, TEXT, ready_frame
from edge.fanout.topics import Topic
from edge.http.sockets import serve_socket


class Echo:
    """Says back what it hears."""

    authenticated = True

    def __init__(self, out: Connection) -> None:
        self.out, self.left = out, 0

    def begin(self) -> None:
        self.out.send_nowait(b"hello")

    async def take(self, data: str | bytes) -> None:
        if data == "fail":
            raise KeyError(data)
        self.out.send_nowait(data if isinstance(data, bytes) else data.encode())

    def too_late(self) -> None:
        self.out.end_nowait(1008, "too late")

    def too_many(self) -> None:
        self.out.end_nowait(1013, "full")

    def leave(self) -> None:
        self.left += 1


class Guest(Echo):
    """Never authenticates."""

    authenticated = False


slow_clients: list[str] = []
VOICE = Voice(TEXT, b"too slow", lambda: slow_clients.append("slow"), 4008)


async def echo(request: web.Request) -> web.StreamResponse:
    """By what the path names."""
    return await serve_socket(request, VOICE, Guest if request.path == "/guest" else Echo)


@asynccontextmanager
async def edge() -> AsyncIterator[Served]:
    """An edge with these sockets."""
    async with served(routes=[web.get("/echo", echo), web.get("/guest", echo)]) as here:
        yield here


@asynccontextmanager
async def client(here: Served, path: str = "/echo", **options: int) -> AsyncIterator[ClientConnection]:
    """Of a library that shares nothing with the server; it offers compression and is not given it."""
    async with connect(f"ws://{here.client.host}:{here.client.port}{path}", ping_interval=None, open_timeout=WAIT_S, **options) as ws:
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        yield ws


async def heard(ws: ClientConnection) -> str | bytes:
    """The next message."""
    return await asyncio.wait_for(ws.recv(), WAIT_S)


def quotes(written: list[list[bytes]]) -> Topic:
    """Keyed by the first letter; `newest` says so."""

    def write(events: list[bytes]) -> bytes:
        written.append(events)
        return b"".join(ready_frame(event, TEXT) for event in events)

    return Topic(write, lambda event: event[:1], lambda: ready_frame(b"newest", TEXT))


async def test_another_library_reads_what_is_said_answered_and_published() -> None:
    """Answers at once, events with the next flush, each written once for all subscribers."""
    async with edge() as here, client(here) as one, client(here) as two:
        assert [await heard(one), await heard(two)] == ["hello", "hello"]
        await one.send(["gr", "ü"])  # in fragments
        await one.send(b"bytes")
        assert [await heard(one), await heard(one)] == ["grü", "bytes"]
        assert await asyncio.wait_for(await one.ping(b"there?"), WAIT_S) > 0
        fan_out, written = here.state.fan_out, []
        topic = quotes(written)
        for socket in fan_out.sockets:
            fan_out.subscribe(topic, socket)
        for event in (b"a1", b"b1", b"a2"):
            fan_out.publish(topic, event)
        for ws in (one, two):
            assert [await heard(ws), await heard(ws)] == ["b1", "a2"]
        assert (written, fan_out.conflated, fan_out.delivered) == ([[b"b1", b"a2"]], 1, 2)


async def test_what_came_before_a_subscription_is_not_told_to_it() -> None:
    """Not even where it waits for the same flush: the client has it from the answer to its subscription."""
    async with edge() as here, client(here) as one, client(here) as two:
        fan_out, topic = here.state.fan_out, Topic(lambda events: b"".join(ready_frame(event, TEXT) for event in events))
        assert [await heard(one), await heard(two)] == ["hello", "hello"]
        by_order = sorted(fan_out.sockets, key=lambda socket: socket._transport.get_extra_info("peername") != one.local_address)
        fan_out.subscribe(topic, by_order[0])
        fan_out.publish(topic, b"before")
        fan_out.subscribe(topic, by_order[1])
        fan_out.publish(topic, b"after")
        assert [await heard(one), await heard(one), await heard(two)] == ["before", "after", "after"]


async def test_a_client_that_breaks_the_protocol_is_told_its_code_and_the_others_go_on() -> None:
    """Too long, and a fault of ours; a conversation is left once."""
    async with edge() as here, client(here) as other:
        for sent, code in (("x" * (limits.MESSAGE_BYTES_MAX + 1), 1009), ("fail", 1011)):
            async with client(here) as ws:
                await heard(ws)
                await ws.send(sent)
                with pytest.raises(ConnectionClosed) as caught:
                    await heard(ws)
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == code
        await other.send("still here")
        assert [await heard(other), await heard(other)] == ["hello", "still here"]
        await until(lambda: len(here.state.sockets) == 1, "the others are gone")


async def test_who_does_not_authenticate_in_time_and_who_comes_too_many_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the conversation."""
    monkeypatch.setattr("edge.http.sockets.AUTHENTICATION_TIMEOUT_S", 0.01)
    async with edge() as here:
        for path, sockets_max, code in (("/guest", 10, 1008), ("/echo", 0, 1013)):
            here.state.fan_out.sockets_max = sockets_max
            async with client(here, path) as ws:
                await asyncio.wait_for(ws.wait_closed(), WAIT_S)
                assert ws.close_code == code


async def test_a_handshake_that_is_none_is_refused_and_the_connection_serves_on() -> None:
    """400, then an answer over the same connection."""
    async with edge() as here:
        assert (await here.get("/echo"))[0] == 400
        assert (await here.get("/healthz"))[0] == 200


async def test_a_stopping_fan_out_says_goodbye_and_waits_for_it() -> None:
    """1001; the client's answer ends it, not the time."""
    async with edge() as here, client(here) as ws:
        await heard(ws)
        await asyncio.gather(here.state.fan_out.close(1001, WAIT_S), ws.wait_closed())
        assert (ws.close_code, here.state.sockets) == (1001, set())


# ---- a transport that can be full, and a clock that is turned by hand


class FullTransport(asyncio.Transport):
    """Takes what is written; says that it is full when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.over = ""

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (limits.WRITE_BUFFER_HIGH_BYTES, limits.WRITE_BUFFER_LOW_BYTES)

    def is_closing(self) -> bool:
        return bool(self.over)

    def resume_reading(self) -> None:
        """It is never paused."""

    def abort(self) -> None:
        self.over = "aborted"

    def close(self) -> None:
        self.over = "closed"


class Clock(FanOut):
    """A fan-out whose time is `at`."""

    at = 0.0

    def now(self) -> float:
        return self.at

    def turn_to(self, at: float) -> None:
        """Make the calls that are due."""
        self.at = at
        assert self._wheel is not None
        self._wheel.turn(at)


async def blocked(fan_out: FanOut) -> tuple[FullTransport, Connection]:
    """A socket whose buffer is full."""
    transport = FullTransport()
    socket = fan_out.adopt(transport, VOICE, Echo, 1.0)
    socket.pause_writing()
    transport.written.clear()
    return transport, socket


async def flushed(fan_out: FanOut) -> None:
    """What waits has been distributed and written."""
    await until(lambda: not fan_out._flush_is_due, "the flush is done")


async def test_a_socket_that_is_behind_gets_every_trade_and_the_newest_quote() -> None:
    """In order, when there is room; nothing is written before."""
    fan_out = Clock(10)
    transport, socket = await blocked(fan_out)
    prices, trades = quotes([]), Topic(lambda events: b"".join(events))
    for topic in (prices, trades):
        fan_out.subscribe(topic, socket)
    for number in range(3):
        fan_out.publish(prices, b"a%d" % number)
        fan_out.publish(trades, b"t%d" % number)
        await flushed(fan_out)
    assert (transport.written, socket.queued, fan_out.behind) == ([], 4, 1)
    socket.resume_writing()
    assert transport.written == [b"t0", b"t1", b"t2", ready_frame(b"newest", TEXT)]
    assert (socket.backlog, fan_out.behind) == (None, 0)


async def test_a_slow_client_is_told_and_cut_when_trades_pile_up_or_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its farewell and its close code; who has taken something meanwhile stays."""
    monkeypatch.setattr(limits, "BEHIND_BYTES_MAX", 10)
    for piles_up in (True, False):
        slow_clients.clear()
        fan_out = Clock(10)
        transport, socket = await blocked(fan_out)
        if piles_up:
            socket.tell_nowait(b"x" * 11)
            await until(lambda socket=socket: socket.is_ending, "it is told")
        else:
            fan_out.turn_to(limits.BEHIND_S_MAX - 0.2)
            socket.resume_writing()
            socket.pause_writing()
            fan_out.turn_to(limits.BEHIND_S_MAX + 0.2)
            await asyncio.sleep(0)
            assert not socket.is_ending, "it has taken something"
            fan_out.turn_to(2 * limits.BEHIND_S_MAX + 0.2)
            await until(lambda socket=socket: socket.is_ending, "it is told")
        assert transport.written == [ready_frame(b"too slow", TEXT) + b"\x88\x0d\x0f\xa8slow client"]
        socket.tell_nowait(b"more")
        assert (socket.queued, slow_clients, fan_out.evicted, transport.over) == (0, ["slow"], 1, "")
        fan_out.turn_to(fan_out.at + limits.FAREWELL_TIMEOUT_S + 0.2)
        assert (transport.over, fan_out.cut) == ("aborted", 1)
        socket.connection_lost(None)
        assert not fan_out.sockets


async def test_a_silent_peer_is_pinged_then_cut_and_one_that_answers_stays() -> None:
    """One timer for all of them."""
    fan_out, transports = Clock(1_000), [FullTransport() for _ in range(300)]
    sockets = [fan_out.adopt(transport, VOICE, Echo, 1.0) for transport in transports]
    per_turn = []
    for turn in range(1, 241):
        pings = sum(transport.written.count(b"\x89\x00") for transport in transports)
        fan_out.turn_to(turn * limits.WHEEL_TURN_S)
        per_turn.append(sum(transport.written.count(b"\x89\x00") for transport in transports) - pings)
    assert sum(per_turn) == 300
    assert max(per_turn) <= 3, "spread over half a minute"
    sockets[7].data_received(b"\x8a\x80abcd")
    fan_out.turn_to(2 * limits.PING_EVERY_S + 0.2)
    assert [transport.over for transport in transports].count("aborted") == 299 == fan_out.silent
    assert (transports[7].over, transports[7].written.count(ready_frame(b"", PING))) == ("", 2)


async def test_a_flush_of_many_sockets_lets_others_run_and_a_topic_that_fails_is_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Slices; the exception is reported, the other topic is told."""
    fan_out, transports = Clock(5_000), [FullTransport() for _ in range(2_000)]
    bad, good = Topic(lambda events: 1 // 0), Topic(lambda events: b"".join(events))
    for transport in transports:
        socket = fan_out.adopt(transport, VOICE, Echo, 1.0)
        transport.written.clear()
        fan_out.subscribe(bad, socket)
        fan_out.subscribe(good, socket)
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        fan_out.publish(bad, b"x")
        fan_out.publish(good, b"y")
        others = 0
        while fan_out._flush_is_due:
            await asyncio.sleep(0)
            others += 1
    assert others >= 2_000 / limits.FLUSH_SLICE
    assert all(transport.written == [b"y"] for transport in transports)
    assert "ZeroDivisionError" in caplog.text


async def test_more_handshakes_than_a_process_takes_are_told_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with a time that differs from client to client; requests of other kinds are answered, and so is who comes later."""
    monkeypatch.setattr(limits, "ADMISSIONS_BURST", 1)
    monkeypatch.setattr(limits, "ADMISSIONS_PER_S", 0.001)
    async with edge() as here, client(here) as admitted:
        await heard(admitted)
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        answers = [await here.get("/echo", headers=upgrade) for _ in range(5)]
        assert [status for status, _, _ in answers] == [503] * 5
        waits = [int(headers["Retry-After"]) for _, _, headers in answers]
        assert len(set(waits)) >= 4
        assert all(1 <= wait <= limits.RETRY_AFTER_S_MAX for wait in waits)
        assert ((await here.get("/healthz"))[0], here.state.fan_out.refused) == (200, 5)
        here.state.fan_out._admissions.tokens = 1.0  # some time later
        async with client(here) as later:
            assert await heard(later) == "hello"


async def test_clients_are_sent_away_one_after_the_other() -> None:
    """A stopping fan-out does not send all of them to its neighbours at once."""
    fan_out, transports = FanOut(1_000), [FullTransport() for _ in range(2 * limits.FLUSH_SLICE)]
    for transport in transports:
        fan_out.adopt(transport, VOICE, Echo, 1.0)
    closing = asyncio.create_task(fan_out.close(1012, 0.01, 0.02))
    told = set()
    while not closing.done():
        told.add(sum(b"\x88\x02\x03\xf4" in transport.written for transport in transports))
        await asyncio.sleep(0)
    assert 0 < len(told - {0, len(transports)}) <= 3
    assert [transport.over for transport in transports] == ["aborted"] * len(transports)


async def test_the_answer_to_a_handshake_and_the_first_word_are_written_together() -> None:
    """One system call; also where there is no first word."""

    class Silent(Echo):
        def begin(self) -> None:
            """The client speaks first."""

    for speaker, word in ((Echo, ready_frame(b"hello", TEXT)), (Silent, b"")):
        transport = FullTransport()
        FanOut(10).adopt(transport, VOICE, speaker, 1.0, b"HTTP/1.1 101 ...")
        assert transport.written == [b"HTTP/1.1 101 ..." + word]


class Quick(Echo):
    """Answers at once; waits only where it is told to."""

    def take(self, data: str | bytes) -> Coroutine[Any, Any, None] | None:
        if data == "wait":
            return super().take(data)
        if data == "fail":
            raise KeyError(data)
        self.out.send_nowait(data if isinstance(data, bytes) else data.encode())
        return None


def said(text: str) -> bytes:
    """A client's frame, masked with zeros."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode()


async def test_a_message_that_can_be_answered_at_once_takes_no_task_and_others_keep_their_order() -> None:
    """Whether they come one by one, together, or behind one that waits."""
    transport = FullTransport()
    socket = FanOut(10).adopt(transport, VOICE, Quick, 1.0)
    transport.written.clear()
    socket.data_received(said("one"))
    assert (transport.written, socket._hearing, socket._frames) == ([ready_frame(b"one", TEXT)], None, None)
    for data in (said("two") + said("wait") + said("three"), said("four"), said("fi"), said("ve")[:3], said("ve")[3:]):
        socket.data_received(data)
    await until(lambda: len(transport.written) == 7, "all are answered")
    words = ("one", "two", "wait", "three", "four", "fi", "ve")
    assert transport.written == [ready_frame(word.encode(), TEXT) for word in words]
    await until(lambda: socket._hearing is None, "the task is over")
    assert socket._frames is None
    transport.written.clear()
    socket.data_received(said("fail"))
    assert (transport.written, socket.is_ending) == ([b"\x88\x10\x03\xf3internal error"], True)


async def test_nothing_is_written_behind_the_close_frame() -> None:
    """By no topic, however the connection ends: it stays subscribed until the client has answered."""
    for ends in ("told to", "slow", "slow, and has caught up"):
        fan_out = Clock(10)
        transport, socket = await blocked(fan_out)
        topic = Topic(lambda events: b"".join(events))
        fan_out.subscribe(topic, socket)
        if ends == "told to":
            socket.resume_writing()
            socket.end_nowait(1001)
        else:
            socket.say_slow_and_end()
        if ends == "slow, and has caught up":
            socket.resume_writing()
        written = list(transport.written)
        assert b"\x88" in written[-1], "the close frame"
        fan_out.publish(topic, b"more")
        socket.tell_nowait(b"more")
        await flushed(fan_out)
        assert (transport.written, socket.queued, fan_out.behind) == (written, 0, 0), ends
        fan_out.turn_to(limits.FAREWELL_TIMEOUT_S + 0.2)
        assert transport.over, ends


async def test_after_a_long_flush_the_next_one_waits_as_long_and_never_longer_than_its_bound() -> None:
    """So handshakes and answers have half of the time on a machine that cannot write to everybody as often as prices change."""
    for took_s, rest_s in ((0.001, 0.019), (0.1, 0.1), (3.0, limits.FLUSH_REST_S_MAX)):
        fan_out, transport = Clock(10, 0.02), FullTransport()
        begun = fan_out.at = 100.0  # before the socket is there: no ping of it is due within the test
        socket = fan_out.adopt(transport, VOICE, Echo, 1.0)
        topic = Topic(lambda events: b"".join(events))
        fan_out.subscribe(topic, socket)

        def slowly(data: bytes, took_s: float = took_s, fan_out: Clock = fan_out, transport: FullTransport = transport) -> None:
            transport.written.append(data)
            fan_out.at += took_s

        transport.write = slowly  # type: ignore[method-assign]
        fan_out.publish(topic, b"price")
        await flushed(fan_out)
        assert transport.written[-1] == b"price"
        assert fan_out._next_flush_s == pytest.approx(begun + took_s + rest_s)
