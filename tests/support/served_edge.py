"""An edge's application on a socket for the unit tests: real HTTP and WebSockets, no Kafka, stores and people that a test fills."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from access.events import AccessEvent
from edge.alpaca.market_data.hub import HUB, MarketHub
from edge.app import make_app, make_state
from edge.gateway.access.sessions import KeyRecord
from edge.gateway.gateway import Gateway
from edge.gateway.market.consumer import MarketConsumer
from edge.gateway.stored.history import AlertFilter
from edge.gateway.stored.stores import alert_record
from edge.http.listening import new_runner
from edge.http.state import EdgeState
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from support.case_store import AlertsInMemory, CaseLog
from support.people_store import PeopleInMemory
from support.stored_answers import StoredAnswers
from support.trader_store import TradersInMemory

WAIT_S = 120.0


class FakeStores(PeopleInMemory, AlertsInMemory, StoredAnswers, TradersInMemory):
    """The keys KEY1, KEY2, ... of accounts 1, 2, ... with the secrets secret-1, ...; no orders. Or away."""

    def __init__(self, *, away: bool) -> None:
        PeopleInMemory.__init__(self, away=away)
        AlertsInMemory.__init__(self)
        StoredAnswers.__init__(self)
        TradersInMemory.__init__(self)
        self.is_away = away
        self.asked: list[AlertFilter] = []
        self.keys_asked = 0
        self.keys_changed: dict[str, KeyRecord] = {}
        """What keys are that were changed."""
        self.signed_seen: dict[str, int] = {}
        """How long each signed request is kept, ms."""

    @staticmethod
    def first_version(number: int) -> KeyRecord:
        """Of a key that was never changed."""
        return KeyRecord(sha256(f"secret-{number}".encode()).digest(), number)

    async def changed_keys(self, since_us: int | None) -> tuple[int, dict[str, int]]:
        """All of them, each time."""
        return 0, {key_id: record.version for key_id, record in self.keys_changed.items()}

    async def find_key(self, key_id: str, version_min: int) -> KeyRecord | None:
        """By its number."""
        self.keys_asked += 1
        number = key_id.removeprefix("KEY")
        if key_id in self.keys_changed:
            return self.keys_changed[key_id]
        return self.first_version(int(number)) if number.isdigit() else None

    async def first_time(self, digest: str, keep_ms: int) -> bool:
        """As sinks.redis.sessions, for ever."""
        if self.is_away:
            raise ServiceUnavailable("Redis at cache.internal refused the request")
        is_first = digest not in self.signed_seen
        self.signed_seen.setdefault(digest, keep_ms)
        return is_first

    async def alerts(self, wanted: AlertFilter) -> list[Any]:
        """None, and remember the question."""
        if self.is_away:
            raise ServiceUnavailable("MySQL at db.internal:3306/outcry refused the request")
        self.asked.append(wanted)
        return []

    async def alert(self, alert_id: str) -> dict[str, Any] | None:
        """One that AlertsInMemory knows."""
        if self.is_away:
            raise ServiceUnavailable("MySQL at db.internal:3306/outcry refused the request")
        return alert_record(self.stored[alert_id]) if alert_id in self.stored else None

    async def ping(self) -> dict[str, bool]:
        """By name."""
        return {"mysql": not self.is_away, "redis": True}


class _Events:
    """An AccessLog."""

    def __init__(self, *, away: bool) -> None:
        self.events: list[AccessEvent] = []
        self._away = away

    async def record(self, event: AccessEvent) -> None:
        if self._away:
            raise ServiceUnavailable("away")
        self.events.append(event)


@dataclass(frozen=True)
class Served:
    """A running application."""

    client: TestClient[Any, Any]
    state: EdgeState
    stores: FakeStores
    hub: MarketHub
    cases: CaseLog
    """The topic `cases`."""

    @property
    def gateway(self) -> Gateway:
        """Behind the protocols."""
        return self.state.gateway

    @property
    def origin(self) -> str:
        """Of its own pages."""
        return f"http://{self.client.host}:{self.client.port}"

    def record_events(self, *, away: bool = False) -> list[AccessEvent]:
        """What People records from now on; away: it cannot."""
        log = _Events(away=away)
        self.gateway.people._access_log = self.gateway.traders._access_log = log
        return log.events

    async def get(self, path: str, **options: Any) -> tuple[int, Any, Any]:
        """(status, body, headers), no redirect followed."""
        return await self._ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> tuple[int, Any, Any]:
        """The same."""
        return await self._ask("POST", path, **options)

    async def _ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        async with self.client.request(method, path, allow_redirects=False, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == "application/json" else text, response.headers


class Listening(TestServer):
    """It listens as the edge does: connections come by the front door."""

    async def _make_runner(self, **options: Any) -> web.AppRunner:
        return new_runner(self.app)


@asynccontextmanager
async def served(
    *,
    away: bool = False,
    caught_up: bool = True,
    routes: Sequence[web.RouteDef] = (),
    worker_routes: Sequence[web.RouteDef] = (),
    **settings: Any,
) -> AsyncIterator[Served]:
    """An application with these settings, and more routes. worker_routes: a fan-out worker's, and no others."""
    stores: Any = FakeStores(away=away)
    state = make_state(Settings(**settings), stores, stores, stores, stores)
    unread: Any = None  # a topic of no partitions: there is nothing to read, and nothing is read
    gateway = state.gateway
    gateway.market_consumer = MarketConsumer(unread, unread, [], gateway.market, gateway.tell_market)
    gateway.market_consumer.running = caught_up
    case_log: Any = CaseLog(gateway.cases)
    gateway.cases.sender, gateway.cases.caught_up = case_log, True
    gateway.people._access_log = gateway.traders._access_log = _Events(away=False)
    stores.desk = gateway.cases.desk
    state.serves_market_only = bool(worker_routes)
    app = make_app(state, worker_routes) if worker_routes else make_app(state)
    app.add_routes(routes)
    async with TestClient(Listening(app)) as client:
        yield Served(client, state, stores, app[HUB], case_log)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Until it holds."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.005)
