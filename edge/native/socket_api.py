"""GET /ws/v1: the WebSocket of the native API. The encoding is chosen by Sec-WebSocket-Protocol; without one it is JSON."""

from typing import Final

from aiohttp import web

from edge.http.addresses import address_of
from edge.http.sockets import serve_socket
from edge.native.conversation import Conversation
from edge.native.desk import DESK
from edge.native.wire.encodings import BY_PROTOCOL, JSON


async def serve(request: web.Request) -> web.StreamResponse:
    """Begin one connection."""
    desk, address = request.app[DESK], address_of(request)
    offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    chosen = [name for name in offered if name in BY_PROTOCOL][:1]
    encoding = BY_PROTOCOL[chosen[0]] if chosen else JSON
    return await serve_socket(request, desk.hub.voice(encoding), lambda out: Conversation(desk, out, encoding, address), chosen)


ROUTES: Final = (web.get("/ws/v1", serve),)
