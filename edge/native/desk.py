"""What the socket and HTTP share of the native API in one edge process."""

from dataclasses import dataclass, field

from aiohttp import web

from edge.fanout.fan_out import FanOut
from edge.gateway.gateway import Gateway
from edge.http.metrics import HttpMetrics
from edge.native.hub import Hub
from edge.native.orders.guards import Guards
from edge.native.orders.owners import Owners
from edge.native.wire.problems import Problem


@dataclass
class Desk:
    """Made with the application."""

    gateway: Gateway
    hub: Hub
    guards: Guards
    owners: Owners
    market_only: bool = False
    """Of a fan-out worker: it has no orders and no accounts."""
    numbers: list[int] = field(default_factory=lambda: [0])
    """The newest connection's number."""

    def drain(self) -> None:
        """The process ends: nobody's orders are canceled for it, and everybody is told."""
        self.guards.close()
        self.hub.announce_shutdown()

    def need_accounts(self) -> None:
        """Raises Problem where there are none."""
        if self.market_only:
            raise Problem("not_here", "this address tells the market alone: orders and accounts are at the edge's own address")

    def next_number(self) -> int:
        """Of a new connection."""
        self.numbers[0] += 1
        return self.numbers[0]


def new_desk(gateway: Gateway, fan_out: FanOut, metrics: HttpMetrics, *, market_only: bool = False) -> Desk:
    """Follows the gateway's market and accounts from now on."""
    owners = Owners()
    hub = Hub(gateway, fan_out, metrics)
    gateway.follow_market(hub.publish)
    gateway.accounts.follow(hub.accounts)
    desk = Desk(gateway, hub, Guards(gateway, owners), owners, market_only)
    _watch(desk)
    return desk


def _watch(desk: Desk) -> None:
    """Gauges that are read when asked for."""
    hub, watch = desk.hub, desk.gateway.metrics.watch
    watch("native_sockets", "open WebSockets of the native API", lambda: len(hub.talks))
    watch("native_account_streams", "accounts whose events are kept to resume from", lambda: len(hub.accounts))
    watch("native_order_events_kept", "events of orders from which clients may resume", lambda: hub.accounts.kept)
    watch("native_resumed_total", "channels that went on behind a client's place", lambda: hub.resumed)
    watch("native_resume_refused_total", "channels that began with a snapshot instead", lambda: hub.not_resumed)
    watch("native_guards_fired_total", "times that orders were canceled for a sender that was gone", lambda: desk.guards.fired)


DESK = web.AppKey("native_desk", Desk)
