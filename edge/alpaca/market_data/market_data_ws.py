"""GET /v2/iex (with API key) and /ws/public-prices (for our page): Alpaca's market-data WebSocket."""

from collections.abc import Coroutine
from typing import Any, assert_never

from aiohttp import WSCloseCode, web

from edge.alpaca.limits import MESSAGES_PER_ARRAY_MAX
from edge.alpaca.market_data import subscriptions as protocol
from edge.alpaca.market_data.hub import HUB, MarketHub
from edge.alpaca.market_data.subscriptions import MarketClient, Reply
from edge.fanout.connection import Connection
from edge.gateway.access.sessions import Session, Sessions
from edge.gateway.outcomes import Accepted, Cause, Denied, Unavailable
from edge.http.addresses import address_of
from edge.http.front_door import Opened
from edge.http.handshakes import Handshake
from edge.http.sockets import serve_socket
from edge.http.state import STATE


class MarketConversation:
    """One client: its protocol state, its socket, its place in the hub."""

    __slots__ = ("_address", "_client", "_hub", "_out", "_session", "_sessions")

    def __init__(self, hub: MarketHub, sessions: Sessions, client: MarketClient, out: Connection, address: str) -> None:
        self._hub, self._sessions, self._client, self._out, self._address = hub, sessions, client, out, address
        self._session: Session | None = None

    @property
    def authenticated(self) -> bool:
        """Always on the public path."""
        return self._client.authenticated

    def begin(self) -> None:
        """`connected`."""
        self._reply(self._client.greeting())

    def too_late(self) -> None:
        """Error 404 and the end."""
        self._reply(self._client.error(protocol.AUTH_TIMEOUT, close=True))

    def too_many(self) -> None:
        """Error 406 and the end."""
        self._reply(self._client.error(protocol.CONNECTION_LIMIT, close=True))

    def leave(self) -> None:
        """Out of the hub, whatever the client wanted."""
        self._hub.place(self._out, self._client.encoding, frozenset())
        if self._session is not None:
            self._sessions.release(self._session, self._key_changed)

    def _key_changed(self) -> None:
        code, failed = protocol.AUTH_FAILED
        self._reply(self._client.error((code, f"{failed}: the API key was changed or withdrawn"), close=True))

    def _reply(self, reply: Reply, code: int = WSCloseCode.POLICY_VIOLATION) -> None:
        for start in range(0, len(reply.parts), MESSAGES_PER_ARRAY_MAX):
            self._out.send_parts_nowait(reply.parts[start : start + MESSAGES_PER_ARRAY_MAX], self._client.encoding.join)
        if reply.close:
            self._out.end_nowait(code)

    def take(self, data: str | bytes) -> Coroutine[Any, Any, None] | None:
        """One message of the client; everything behind the authentication happens without waiting, so no live message comes between."""
        message = self._client.decode(data)
        if message is None:
            self._reply(self._client.error(protocol.SYNTAX))
        elif message.get("action") == "auth":
            return self._authenticate(message)
        elif not self._client.authenticated:
            self._reply(self._client.error(protocol.NOT_AUTHENTICATED))
        else:
            self._take_wish(message)
        return None

    def _take_wish(self, message: dict[str, Any]) -> None:
        action = message.get("action")
        before = self._client.wanted
        if action == "subscribe":
            self._reply(self._client.subscribe(message, self._hub.view))
        elif action == "unsubscribe":
            self._reply(self._client.unsubscribe(message))
        else:
            self._reply(self._client.error(protocol.SYNTAX))
        if self._client.wanted != before and not self._out.is_ending:
            self._hub.place(self._out, self._client.encoding, self._client.wanted)

    async def _authenticate(self, message: dict[str, Any]) -> None:
        if self._client.authenticated:
            self._reply(self._client.error(protocol.ALREADY_AUTHENTICATED))
            return
        key, secret = message.get("key"), message.get("secret")
        access = await self._sessions.authenticate(
            key if isinstance(key, str) else "", secret if isinstance(secret, str) else "", self._address
        )
        match access:
            case Accepted(session) if not session.may_read:
                code, failed = protocol.AUTH_FAILED
                self._reply(self._client.error((code, f"{failed}: this API key may only trade"), close=True))
            case Accepted(session):
                self._session = session
                self._reply(self._client.confirm())
                self._sessions.hold(session, self._key_changed)
            case Denied():
                self._reply(self._client.error(protocol.AUTH_FAILED, close=True))
            case Unavailable(Cause.TOO_MANY_GUESSES, text):
                code, failed = protocol.AUTH_FAILED
                self._reply(self._client.error((code, f"{failed}: {text}"), close=True), WSCloseCode.TRY_AGAIN_LATER)
            case Unavailable():
                self._reply(self._client.error(protocol.INTERNAL, close=True), WSCloseCode.TRY_AGAIN_LATER)
            case _:
                assert_never(access)


async def serve_market_data(request: web.Request, *, public: bool) -> web.StreamResponse:
    """Begin one connection. The handshake's Content-Type chooses msgpack; otherwise JSON."""
    encoding = protocol.MSGPACK if request.content_type == "application/msgpack" else protocol.JSON
    opened = _opened(request.app, encoding, address_of(request), public=public)
    return await serve_socket(request, opened.voice, opened.speaker)


def enter(app: web.Application, asked: Handshake, address: str, *, public: bool) -> Opened | None:
    """The same by the front door, in JSON; not while the log is still being read."""
    market = app[STATE].gateway.market_consumer
    if "content-type" in asked.headers or market is None or not market.caught_up:
        return None
    return _opened(app, protocol.JSON, address, public=public)


def _opened(app: web.Application, encoding: protocol.Encoding, address: str, *, public: bool) -> Opened:
    sessions, hub = app[STATE].gateway.sessions, app[HUB]

    def speaker(out: Connection) -> MarketConversation:
        return MarketConversation(hub, sessions, MarketClient(encoding, authenticated=public), out, address)

    return Opened(hub.voice(encoding), speaker)
