"""What the handlers of one edge process share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from edge.fanout.connection import Connection
from edge.fanout.fan_out import FanOut
from edge.gateway.gateway import Gateway
from edge.http.limits import SOCKETS_MAX
from edge.http.metrics import HttpMetrics


@dataclass
class EdgeState:
    """The gateway, and what is of HTTP alone. Set up by edge.app."""

    gateway: Gateway
    metrics: HttpMetrics
    fan_out: FanOut = field(default_factory=lambda: FanOut(SOCKETS_MAX))
    serves_market_only: bool = False
    """Of a fan-out worker: there are no replies, no orders, no accounts."""
    stopping: bool = False
    workers: Callable[[], dict[str, int]] = dict
    """Of an edge with fan-out workers: how many there are (`workers`), are `ready`, and their `websockets`."""

    @property
    def sockets(self) -> set[Connection]:
        """Open WebSockets of all kinds."""
        return self.fan_out.sockets


STATE = web.AppKey("state", EdgeState)


def state_of(request: web.Request) -> EdgeState:
    """The process's state."""
    return request.app[STATE]


def gateway_of(request: web.Request) -> Gateway:
    """The process's gateway."""
    return request.app[STATE].gateway
