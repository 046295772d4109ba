"""From an HTTP request to a WebSocket: the handshake is aiohttp's, the connection is then a fan-out's. Usual handshakes do not come here: edge.http.front_door.

A connection that stays with aiohttp costs a task, a reader with its queue, and the request for as long as it lives: 13 kB and more. So after the
handshake aiohttp is told that the connection has ended, and its transport goes to `edge.fanout`. Everything that aiohttp had for it is freed.
"""

import math
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from edge.fanout.connection import Speaker
from edge.fanout.conversations import Voice
from edge.fanout.fan_out import FanOut
from edge.http.errors import HttpError
from edge.http.limits import AUTHENTICATION_TIMEOUT_S
from edge.http.state import state_of

_SWITCHED: Final = 101


class _TakenOver(web.Response):
    """What a handler answers whose connection is not aiohttp's any more."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        raise ConnectionResetError("the connection has been taken over")


def refusal(fan_out: FanOut) -> HttpError | None:
    """Count one handshake; 503 where too many come at once."""
    wait_s = fan_out.admit()
    if wait_s == 0:
        return None
    return HttpError(503, "too many connections at once: try again", headers={"Retry-After": str(math.ceil(wait_s))})


async def serve_socket(request: web.Request, voice: Voice, speaker: Speaker, protocols: Sequence[str] = ()) -> web.StreamResponse:
    """Make the handshake and begin the conversation. Raises HTTPBadRequest where it is no handshake, HttpError 503 where too many come at once.

    protocols: those of which the answer names the first that the client has named too (Sec-WebSocket-Protocol).

    A client must not send before it has read our answer (RFC 6455, 4.1). Whatever one has sent with its handshake is dropped.
    """
    fan_out = state_of(request).fan_out
    if (error := refusal(fan_out)) is not None:
        raise error
    # no compression: prices are small, frames are shared, and deflating for every client would cost more than it saves
    await web.WebSocketResponse(compress=False, autoping=False, protocols=protocols).prepare(request)
    protocol = request.protocol
    transport = protocol.transport
    if transport is None:
        raise HttpError(400, "the connection was lost during the handshake")
    protocol.transport = None
    protocol.connection_lost(None)
    try:
        fan_out.adopt(transport, voice, speaker, AUTHENTICATION_TIMEOUT_S)
    except BaseException:  # a fault of ours: nobody else has the transport any more
        transport.abort()
        raise
    return _TakenOver(status=_SWITCHED)
