"""GET /stream: Alpaca's WebSocket of an account's own orders."""

import asyncio
import json
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from edge import trade_updates as wire
from edge.account_view import TradeUpdate
from edge.accounts import Accounts
from edge.errors import ApiError
from edge.limits import AUTHENTICATION_TIMEOUT_S
from edge.metrics import Metrics
from edge.sessions import Session, Sessions
from edge.sockets import OutgoingSocket, new_websocket
from schemas.instruments import InstrumentTable

_SLOW = wire.error("slow client")


class StreamSocket:
    """One connection: authenticate, listen, then updates."""

    def __init__(self, out: OutgoingSocket, accounts: Accounts, sessions: Sessions, instruments: InstrumentTable, metrics: Metrics) -> None:
        self._out = out
        self._accounts = accounts
        self._sessions = sessions
        self._instruments = instruments
        self._metrics = metrics
        self.session: Session | None = None
        self._listening = False

    def tell_nowait(self, update: TradeUpdate) -> None:
        """Queue an update."""
        self._metrics.updates_told += 1
        self._out.send_nowait(wire.trade_update(update, self._instruments))

    def restart_nowait(self) -> None:
        """Updates may have been missed."""
        self._out.end_nowait(WSCloseCode.SERVICE_RESTART)

    def leave(self) -> None:
        """The connection has ended."""
        if self._listening and self.session is not None:
            self._accounts.stop_listening(self.session.account, self)

    async def take(self, data: str | bytes) -> None:
        """One message of the client."""
        try:
            message = json.loads(data)
        except ValueError:
            self._out.send_nowait(wire.error("invalid syntax: message is not JSON"))
            return
        action = message.get("action") if isinstance(message, dict) else None
        if action in ("authenticate", "auth"):
            await self._authenticate(message, action)
        elif self.session is None:
            self._out.send_nowait(wire.authorization(str(action), authorized=False))
            self._out.end_nowait(WSCloseCode.POLICY_VIOLATION)
        elif action == "listen":
            await self._listen(message, self.session)
        else:
            self._out.send_nowait(wire.error("unknown action: authenticate, auth or listen"))

    async def _authenticate(self, message: dict[str, Any], action: str) -> None:
        data = message.get("data")
        fields = data if isinstance(data, dict) else message
        key = fields.get("key_id", fields.get("key"))
        secret = fields.get("secret_key", fields.get("secret"))
        try:
            self.session = await self._sessions.authenticate(key if isinstance(key, str) else "", secret if isinstance(secret, str) else "")
        except ApiError as error:
            self._out.send_nowait(wire.authorization(action, authorized=False))
            self._out.end_nowait(WSCloseCode.TRY_AGAIN_LATER if error.status >= 500 else WSCloseCode.POLICY_VIOLATION)
            return
        self._out.send_nowait(wire.authorization(action, authorized=True))

    async def _listen(self, message: dict[str, Any], session: Session) -> None:
        data = message.get("data")
        wanted = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(wanted, list):
            self._out.send_nowait(wire.error('listen needs {"data": {"streams": [...]}}'))
            return
        streams = [name for name in wire.STREAMS if name in wanted]
        try:
            await self._accounts.view(session.account)
        except ApiError as error:
            self._out.send_nowait(wire.error(error.message))
            self._out.end_nowait(WSCloseCode.TRY_AGAIN_LATER)
            return
        if streams and not self._listening:
            self._listening = True
            self._accounts.listen(session.account, self)
        elif not streams:
            self.leave()
            self._listening = False
        self._out.send_nowait(wire.listening(streams))


async def serve_stream(
    request: web.Request,
    accounts: Accounts,
    sessions: Sessions,
    instruments: InstrumentTable,
    metrics: Metrics,
    sockets: set[OutgoingSocket],
) -> web.WebSocketResponse:
    """Run one connection to its end."""
    ws = new_websocket()
    await ws.prepare(request)
    out = OutgoingSocket(ws, frames=WSMsgType.BINARY, farewell=_SLOW, on_slow=metrics.slow.labels("trade_updates").inc)
    sockets.add(out)
    socket = StreamSocket(out, accounts, sessions, instruments, metrics)

    def give_up() -> None:
        if socket.session is None:
            out.send_nowait(wire.error("authentication timeout"))
            out.end_nowait(WSCloseCode.POLICY_VIOLATION)

    timer = asyncio.get_running_loop().call_later(AUTHENTICATION_TIMEOUT_S, give_up)
    try:
        async for message in ws:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await socket.take(message.data)
    finally:
        timer.cancel()
        socket.leave()
        sockets.discard(out)
        await out.finish()
    return ws
