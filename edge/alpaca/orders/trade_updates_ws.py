"""GET /stream: Alpaca's WebSocket of an account's own orders.

A connection belongs to the account that authenticated on it first; another one needs a connection of its own. What it listens to is remembered with the
account that it was registered for, so that it is taken out there when it ends, whatever happened between.
"""

from typing import Any, assert_never

from aiohttp import WSCloseCode, web

from edge.alpaca.errors import error_of
from edge.alpaca.orders import trade_updates as wire
from edge.fanout.connection import Connection
from edge.fanout.conversations import Voice
from edge.fanout.frames import BINARY
from edge.gateway.access.sessions import Session
from edge.gateway.accounts.view import OrderUpdate
from edge.gateway.gateway import Gateway
from edge.gateway.outcomes import Accepted, Denied, Unavailable
from edge.http.addresses import address_of
from edge.http.client_data import decode_json
from edge.http.metrics import HttpMetrics
from edge.http.sockets import serve_socket
from edge.http.state import state_of
from edge.http.traders import session_of_browser

_SLOW = wire.error("slow client")


class StreamConversation:
    """One connection: authenticate, listen, then updates."""

    def __init__(self, out: Connection, gateway: Gateway, metrics: HttpMetrics, address: str, session: Session | None = None) -> None:
        """session: of a browser whose customer has signed in; it need not authenticate."""
        self._out = out
        self._accounts, self._sessions, self._instruments = gateway.accounts, gateway.sessions, gateway.instruments
        self._origins, self._metrics = gateway.origins, metrics
        self._address = address
        self._session = session
        self._listening_to: int | None = None
        """The account that this connection was registered for."""

    @property
    def authenticated(self) -> bool:
        """Whether it is known whose orders may be told."""
        return self._session is not None

    def begin(self) -> None:
        """The client speaks first."""
        if self._session is not None:
            self._sessions.hold(self._session, self._key_changed)
            if not self._session.may_read:
                self._end("this API key may only trade")

    def tell_nowait(self, update: OrderUpdate) -> None:
        """Queue an update."""
        self._metrics.updates_told += 1
        self._out.send_nowait(wire.trade_update(update, self._instruments))

    def restart_nowait(self) -> None:
        """Updates may have been missed."""
        self._out.end_nowait(WSCloseCode.SERVICE_RESTART)

    def too_late(self) -> None:
        """No authentication within its time."""
        self._end("authentication timeout")

    def too_many(self) -> None:
        """No room."""
        self._end("connection limit exceeded", WSCloseCode.TRY_AGAIN_LATER)

    def leave(self) -> None:
        """No more updates."""
        self._stop_listening()
        if self._session is not None:
            self._sessions.release(self._session, self._key_changed)

    def _key_changed(self) -> None:
        self._end("the API key was changed or withdrawn: authenticate again")

    def _stop_listening(self) -> None:
        if self._listening_to is not None:
            self._accounts.stop_listening(self._listening_to, self)
            self._listening_to = None

    def _end(self, message: str, code: int = WSCloseCode.POLICY_VIOLATION) -> None:
        self._out.send_nowait(wire.error(message))
        self._out.end_nowait(code)

    async def take(self, data: str | bytes) -> None:
        """One message of the client."""
        try:
            message = decode_json(data)
        except ValueError:
            self._out.send_nowait(wire.error("invalid syntax: message is not JSON"))
            return
        action = message.get("action") if isinstance(message, dict) else None
        if action in ("authenticate", "auth"):
            await self._authenticate(message, action)
        elif self._session is None:
            self._out.send_nowait(wire.authorization(action[:40] if isinstance(action, str) else "", authorized=False))
            self._out.end_nowait(WSCloseCode.POLICY_VIOLATION)
        elif action == "listen":
            await self._listen(message, self._session)
        else:
            self._out.send_nowait(wire.error("unknown action: authenticate, auth or listen"))

    async def _authenticate(self, message: dict[str, Any], action: str) -> None:
        if self._session is not None:
            self._out.send_nowait(wire.error("already authenticated: another account needs a connection of its own"))
            return
        data = message.get("data")
        fields = data if isinstance(data, dict) else message
        key = fields.get("key_id", fields.get("key"))
        secret = fields.get("secret_key", fields.get("secret"))
        access = await self._sessions.authenticate(
            key if isinstance(key, str) else "", secret if isinstance(secret, str) else "", self._address
        )
        if isinstance(access, Accepted) and not access.value.may_read:
            self._end("this API key may only trade")
            return
        self._out.send_nowait(wire.authorization(action, authorized=isinstance(access, Accepted)))
        match access:
            case Accepted(session):
                self._session = session
                self._origins.note(session.account, self._address, "Alpaca's API")
                self._sessions.hold(session, self._key_changed)
            case Denied():
                self._out.end_nowait(WSCloseCode.POLICY_VIOLATION)
            case Unavailable():
                self._out.end_nowait(WSCloseCode.TRY_AGAIN_LATER)
            case _:
                assert_never(access)

    async def _listen(self, message: dict[str, Any], session: Session) -> None:
        data = message.get("data")
        wanted = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(wanted, list):
            self._out.send_nowait(wire.error('listen needs {"data": {"streams": [...]}}'))
            return
        streams = [name for name in wire.STREAMS if name in wanted]
        seen = await self._accounts.view(session.account)
        if not isinstance(seen, Accepted):
            self._end(error_of(seen).message, WSCloseCode.TRY_AGAIN_LATER)
            return
        self._stop_listening()
        if streams and not self._out.is_ending:
            self._listening_to = session.account
            self._accounts.listen(session.account, self)
        self._out.send_nowait(wire.listening(streams))


async def serve_stream(request: web.Request) -> web.StreamResponse:
    """Begin one connection."""
    state, address, session = state_of(request), address_of(request), await session_of_browser(request)
    voice = Voice(BINARY, _SLOW, state.metrics.slow.labels("trade_updates").inc)
    return await serve_socket(request, voice, lambda out: StreamConversation(out, state.gateway, state.metrics, address, session))
