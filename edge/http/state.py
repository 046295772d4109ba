"""What the handlers of one edge process share."""

from dataclasses import dataclass, field

from aiohttp import web

from edge.gateway.gateway import Gateway
from edge.http.metrics import HttpMetrics
from edge.http.sockets import OutgoingSocket


@dataclass
class EdgeState:
    """The gateway, and what is of HTTP alone. Set up by edge.app."""

    gateway: Gateway
    metrics: HttpMetrics
    sockets: set[OutgoingSocket] = field(default_factory=set)
    stopping: bool = False


STATE = web.AppKey("state", EdgeState)


def state_of(request: web.Request) -> EdgeState:
    """The process's state."""
    return request.app[STATE]


def gateway_of(request: web.Request) -> Gateway:
    """The process's gateway."""
    return request.app[STATE].gateway
