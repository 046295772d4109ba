"""What the handlers of one edge process share."""

from dataclasses import dataclass, field

from aiohttp import web

from edge.alpaca.market_data_ws import MarketHub
from edge.gateway.accounts import Accounts
from edge.gateway.history import History, Stores
from edge.gateway.market_consumer import MarketConsumer
from edge.gateway.market_view import MarketView
from edge.gateway.metrics import Metrics
from edge.gateway.reply_consumer import ReplyConsumer
from edge.gateway.sessions import Sessions
from edge.gateway.sink_lag import SinkLag
from edge.http.sockets import OutgoingSocket
from schemas.instruments import InstrumentTable
from schemas.settings import Settings


@dataclass
class EdgeState:
    """Set up by edge.app; consumers are None until Kafka has been reached."""

    settings: Settings
    instruments: InstrumentTable
    metrics: Metrics
    accounts: Accounts
    sessions: Sessions
    history: History
    stores: Stores
    market: MarketView
    hub: MarketHub
    sockets: set[OutgoingSocket] = field(default_factory=set)
    replies: ReplyConsumer | None = None
    market_consumer: MarketConsumer | None = None
    sink_lag: SinkLag | None = None
    kafka_problem: str = "not connected yet"
    """Why Kafka cannot be used; empty when it can."""
    stopping: bool = False


STATE = web.AppKey("state", EdgeState)


def state_of(request: web.Request) -> EdgeState:
    """The process's state."""
    return request.app[STATE]
