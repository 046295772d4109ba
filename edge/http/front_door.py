"""The front door: what a connection says first decides whether it is a WebSocket, which begins at once, or anything else, which is aiohttp's.

A handshake by way of aiohttp costs a parser, a task, a request, a response and their signals, more than the handshake itself takes. In a storm of
reconnects that is what a process spends its time on. So a usual handshake is read and answered here; the first word of the conversation goes out in
the same write. A handshake that is unusual in any way is served by aiohttp as before, with the same answers (edge.http.sockets).
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from aiohttp import web

from edge.fanout.connection import Speaker
from edge.fanout.conversations import Voice
from edge.http.addresses import address_of_peer
from edge.http.answers import common_headers
from edge.http.errors import HttpError
from edge.http.handshakes import Answers, Handshake, read_handshake
from edge.http.limits import AUTHENTICATION_TIMEOUT_S, IDLE_S
from edge.http.metrics import SWITCHED
from edge.http.sockets import refusal
from edge.http.state import STATE


class Opened(NamedTuple):
    """How a WebSocket begins. protocol: what Sec-WebSocket-Protocol answers, if anything."""

    voice: Voice
    speaker: Speaker
    protocol: str = ""


Entrance = Callable[[web.Application, Handshake, str], Opened | None]
"""Of one path: who comes, from which address. None: not to be decided without waiting, or unusual, so aiohttp serves it."""
ENTRANCES: Final = web.AppKey("entrances", dict[str, Entrance])
"""By path; all of them are routes of aiohttp too."""


class FrontDoor:
    """Makes the protocol of each new connection. inside: aiohttp's."""

    def __init__(self, app: web.Application, inside: Callable[[], asyncio.Protocol]) -> None:
        state = app[STATE]
        self._app, self._entrances, self.inside = app, app[ENTRANCES], inside
        self._fan_out, self._metrics = state.fan_out, state.metrics
        self._answers = Answers(common_headers(state.gateway.settings))
        self._waiting: dict[Visitor, float] = {}
        """Who has said nothing yet, and until when it may; the oldest first."""
        self._sweeping: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.Protocol:
        """For the event loop's server."""
        return Visitor(self)

    def wait_for(self, visitor: "Visitor") -> None:
        """It has come and must speak within IDLE_S."""
        loop = asyncio.get_running_loop()
        self._waiting[visitor] = loop.time() + IDLE_S
        if self._sweeping is None:
            self._sweeping = loop.call_later(IDLE_S, self._sweep)

    def gone(self, visitor: "Visitor") -> None:
        """It has spoken, or left."""
        self._waiting.pop(visitor, None)

    def _sweep(self) -> None:
        loop, self._sweeping = asyncio.get_running_loop(), None
        now = loop.time()
        for visitor, until in tuple(self._waiting.items()):
            if until > now:
                self._sweeping = loop.call_at(until, self._sweep)
                return
            visitor.send_away()

    def close(self) -> None:
        """Nobody who has not spoken is waited for any more."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for visitor in tuple(self._waiting):
            visitor.send_away()

    def enter(self, transport: asyncio.Transport, data: bytes) -> bool:
        """Begin the conversation, or refuse it. False: it is not for us."""
        asked = read_handshake(data)
        entrance = self._entrances.get(asked.path) if asked is not None else None
        if asked is None or entrance is None:
            return False
        opened = entrance(self._app, asked, address_of_peer(transport))
        if opened is None:
            return False
        if (error := refusal(self._fan_out)) is not None:
            self._refuse(transport, asked.path, error)
            return True
        answer = self._answers.switched(asked.headers["sec-websocket-key"], opened.protocol)
        try:
            self._fan_out.adopt(transport, opened.voice, opened.speaker, AUTHENTICATION_TIMEOUT_S, answer)
        except BaseException:  # a fault of ours: nobody else has the transport any more
            transport.abort()
            raise
        self._metrics.count_request("GET", asked.path, SWITCHED, 0.0)
        return True

    def _refuse(self, transport: asyncio.Transport, path: str, error: HttpError) -> None:
        transport.write(self._answers.refused(error))
        transport.close()
        self._metrics.count_request("GET", path, error.status, 0.0)


class Visitor(asyncio.Protocol):
    """A connection that has not said yet what it wants."""

    __slots__ = ("_door", "_transport")

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has come."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self._door.wait_for(self)

    def data_received(self, data: bytes) -> None:
        """Its first bytes; what follows is not ours."""
        door, transport = self._door, self._transport
        assert transport is not None
        door.gone(self)
        if not door.enter(transport, data):
            inside = door.inside()
            transport.set_protocol(inside)
            inside.connection_made(transport)
            inside.data_received(data)

    def eof_received(self) -> bool:
        """It has nothing to say; the transport closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It has left without a word."""
        self._door.gone(self)
        self._transport = None

    def send_away(self) -> None:
        """Cut it off."""
        if self._transport is not None:
            self._transport.abort()
