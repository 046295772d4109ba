"""How an edge listens: what it gives clients that connect and then send or take nothing, and what it says of requests that are none."""

import logging
import socket
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from edge.fanout.limits import SEND_BUFFER_BYTES
from edge.gateway.limits import SHUTDOWN_GRACE_S
from edge.http.front_door import ENTRANCES, FrontDoor
from edge.http.limits import IDLE_S, UNTAKEN_MS_MAX

_server_log = logging.getLogger("edge.http.server")


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a line is about a fault of ours. One for each request that cannot be parsed, with its trace, would let strangers fill the disk."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class Runner(web.AppRunner):
    """aiohttp's, behind the front door if the application has entrances."""

    __slots__ = ("_door",)

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, **options)
        self._door: FrontDoor | None = None

    @property
    def server(self) -> Any:
        """What makes the protocol of a new connection; of a site nothing else is asked."""
        inside = super().server
        if inside is None or ENTRANCES not in self.app:
            return inside
        self._door = self._door or FrontDoor(self.app, inside)
        return self._door

    async def shutdown(self) -> None:
        """Nobody is waited for who has said nothing."""
        if self._door is not None:
            self._door.close()
        await super().shutdown()


def new_runner(app: web.Application) -> web.AppRunner:
    """Its connections end when no request is whole so long after they began, or after the answer before."""
    _server_log.addFilter(_is_ours)
    return Runner(app, access_log=None, logger=_server_log, shutdown_timeout=SHUTDOWN_GRACE_S, keepalive_timeout=IDLE_S)


async def listen(site: web.TCPSite) -> None:
    """Start the site. A client that takes nothing of its answers for UNTAKEN_MS_MAX is cut by the kernel, which would wait for ever.

    Options of the listening sockets are those of the connections that they take, so no connection costs a system call for them.
    """
    await site.start()
    server = site._server  # nothing public has its sockets
    assert server is not None
    for one in server.sockets:  # type: ignore[attr-defined]
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MS_MAX)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
