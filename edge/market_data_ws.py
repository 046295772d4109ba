"""GET /v2/iex (with API key) and /ws/public-prices (for our page): Alpaca's market-data WebSocket.

Each frame of market.data is encoded once per encoding and joined once per distinct subscription, then queued for every client that has it.
"""

import asyncio
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from edge import subscriptions as protocol
from edge.errors import ApiError
from edge.limits import AUTHENTICATION_TIMEOUT_S, MESSAGES_PER_ARRAY_MAX, SOCKETS_MAX
from edge.market_view import MarketView, Message
from edge.metrics import Metrics
from edge.sessions import Sessions
from edge.sockets import OutgoingSocket, new_websocket
from edge.subscriptions import Encoding, MarketClient, Reply, Subscription


class MarketHub:
    """Every market-data connection, grouped by what they want."""

    def __init__(self, view: MarketView, metrics: Metrics) -> None:
        self.view = view
        self.metrics = metrics
        self._groups: dict[tuple[str, Subscription], set[OutgoingSocket]] = {}
        self._encodings: dict[str, Encoding] = {one.name: one for one in (protocol.JSON, protocol.MSGPACK)}

    def publish(self, messages: list[Message]) -> None:
        """Send one frame's messages to whoever wants them."""
        for (encoding_name, wanted), sockets in self._groups.items():
            encoding = self._encodings[encoding_name]
            chosen = protocol.selected(messages, wanted)
            if not chosen:
                continue
            payload = encoding.join([encoding.of_message(message) for message in chosen])
            for socket in sockets:
                socket.send_nowait(payload)
            self.metrics.payloads_told += len(sockets)

    def move(self, socket: OutgoingSocket, client: MarketClient, before: Subscription) -> None:
        """The client wants something else now."""
        self.remove(socket, client.encoding, before)
        if client.wanted:
            self._groups.setdefault((client.encoding.name, client.wanted), set()).add(socket)

    def remove(self, socket: OutgoingSocket, encoding: Encoding, wanted: Subscription) -> None:
        """No more messages to the socket."""
        group = self._groups.get((encoding.name, wanted))
        if group is None:
            return
        group.discard(socket)
        if not group:
            del self._groups[encoding.name, wanted]


class _Connection:
    """One client: its protocol state, its socket, its place in the hub."""

    def __init__(self, hub: MarketHub, sessions: Sessions, client: MarketClient, out: OutgoingSocket) -> None:
        self.hub, self.sessions, self.client, self.out = hub, sessions, client, out

    def reply(self, reply: Reply) -> None:
        for start in range(0, len(reply.parts), MESSAGES_PER_ARRAY_MAX):
            self.out.send_nowait(self.client.encoding.join(reply.parts[start : start + MESSAGES_PER_ARRAY_MAX]))
        if reply.close:
            self.out.end_nowait(WSCloseCode.POLICY_VIOLATION)

    async def take(self, data: str | bytes) -> None:
        """One message of the client; everything behind the authentication happens without waiting, so no live message comes between."""
        message = self.client.decode(data)
        if message is None:
            self.reply(self.client.error(protocol.SYNTAX))
            return
        action = message.get("action")
        if action == "auth":
            await self._authenticate(message)
            return
        if not self.client.authenticated:
            self.reply(self.client.error(protocol.NOT_AUTHENTICATED))
            return
        before = self.client.wanted
        if action == "subscribe":
            self.reply(self.client.subscribe(message, self.hub.view))
        elif action == "unsubscribe":
            self.reply(self.client.unsubscribe(message))
        else:
            self.reply(self.client.error(protocol.SYNTAX))
        if self.client.wanted != before:
            self.hub.move(self.out, self.client, before)

    async def _authenticate(self, message: dict[str, Any]) -> None:
        if self.client.authenticated:
            self.reply(self.client.error(protocol.ALREADY_AUTHENTICATED))
            return
        key, secret = message.get("key"), message.get("secret")
        try:
            await self.sessions.authenticate(key if isinstance(key, str) else "", secret if isinstance(secret, str) else "")
        except ApiError as error:
            self.reply(self.client.error(protocol.INTERNAL if error.status >= 500 else protocol.AUTH_FAILED, close=True))
            return
        self.reply(self.client.confirm())

    def time_out(self) -> None:
        """Too late to authenticate."""
        if not self.client.authenticated:
            self.reply(self.client.error(protocol.AUTH_TIMEOUT, close=True))


async def serve_market_data(
    request: web.Request, hub: MarketHub, sessions: Sessions, sockets: set[OutgoingSocket], *, public: bool
) -> web.WebSocketResponse:
    """Run one connection to its end. The handshake's Content-Type chooses msgpack; otherwise JSON."""
    encoding = protocol.MSGPACK if request.content_type == "application/msgpack" else protocol.JSON
    client = MarketClient(encoding, authenticated=public)
    ws = new_websocket()
    await ws.prepare(request)
    slow = encoding.join(client.error(protocol.SLOW_CLIENT).parts)
    out = OutgoingSocket(ws, frames=encoding.frames, farewell=slow, on_slow=hub.metrics.slow.labels("market_data").inc)
    connection = _Connection(hub, sessions, client, out)
    sockets.add(out)
    if len(sockets) > SOCKETS_MAX:
        connection.reply(client.error(protocol.CONNECTION_LIMIT, close=True))
    else:
        connection.reply(client.greeting())
    timer = asyncio.get_running_loop().call_later(AUTHENTICATION_TIMEOUT_S, connection.time_out)
    try:
        async for message in ws:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await connection.take(message.data)
    finally:
        timer.cancel()
        hub.remove(out, encoding, client.wanted)
        sockets.discard(out)
        await out.finish()
    return ws
