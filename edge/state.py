"""What the handlers of one edge process share."""

from dataclasses import dataclass, field

from aiohttp import web

from edge.accounts import Accounts
from edge.history import History, Stores
from edge.market_consumer import MarketConsumer
from edge.market_data_ws import MarketHub
from edge.market_view import MarketView
from edge.metrics import Metrics
from edge.reply_consumer import ReplyConsumer
from edge.sessions import Sessions
from edge.sink_lag import SinkLag
from edge.sockets import OutgoingSocket
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
