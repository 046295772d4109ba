"""GET /ws/v1: the WebSocket of the native API. The encoding is chosen by Sec-WebSocket-Protocol; without one it is JSON."""

from typing import Final

from aiohttp import web

from edge.http.addresses import address_of
from edge.http.front_door import Opened
from edge.http.handshakes import Handshake
from edge.http.sockets import serve_socket
from edge.native.conversation import Conversation
from edge.native.desk import DESK
from edge.native.wire.encodings import BY_PROTOCOL, JSON

PATH: Final = "/ws/v1"


async def serve(request: web.Request) -> web.StreamResponse:
    """Begin one connection."""
    opened = _opened(request.app, request.headers.get("Sec-WebSocket-Protocol", ""), address_of(request))
    return await serve_socket(request, opened.voice, opened.speaker, [opened.protocol] if opened.protocol else [])


def enter(app: web.Application, asked: Handshake, address: str) -> Opened | None:
    """The same by the front door."""
    return _opened(app, asked.headers.get("sec-websocket-protocol", ""), address)


def _opened(app: web.Application, offered: str, address: str) -> Opened:
    desk = app[DESK]
    chosen = next((name for name in map(str.strip, offered.split(",")) if name in BY_PROTOCOL), "")
    encoding = BY_PROTOCOL.get(chosen, JSON)
    return Opened(desk.hub.voice(encoding), lambda out: Conversation(desk, out, encoding, address), chosen)


ROUTES: Final = (web.get(PATH, serve),)
ENTRANCES: Final = {PATH: enter}
