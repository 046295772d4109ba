"""An edge's application on a socket for the unit tests: real HTTP and WebSockets, no Kafka, stores that a test fills."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from edge.alpaca.market_data_ws import HUB, MarketHub
from edge.app import make_app, make_state
from edge.gateway.gateway import Gateway
from edge.gateway.history import AlertFilter
from edge.gateway.market_consumer import MarketConsumer
from edge.gateway.sessions import KeyRecord
from edge.http.state import EdgeState
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings

WAIT_S = 120.0


class FakeStores:
    """The keys KEY1, KEY2, ... of accounts 1, 2, ... with the secrets secret-1, ...; no orders, no alerts. Or away."""

    def __init__(self, *, away: bool) -> None:
        self._away = away
        self.asked: list[AlertFilter] = []
        self.keys_asked = 0

    async def find_key(self, key_id: str) -> KeyRecord | None:
        """By its number."""
        self.keys_asked += 1
        number = key_id.removeprefix("KEY")
        if not number.isdigit():
            return None
        return KeyRecord(sha256(f"secret-{number}".encode()).digest(), int(number))

    async def alerts(self, wanted: AlertFilter) -> list[Any]:
        """None, and remember the question."""
        if self._away:
            raise ServiceUnavailable("MySQL at db.internal:3306/outcry refused the request")
        self.asked.append(wanted)
        return []

    async def ping(self) -> dict[str, bool]:
        """By name."""
        return {"mysql": not self._away, "redis": True}


@dataclass(frozen=True)
class Served:
    """A running application."""

    client: TestClient[Any, Any]
    state: EdgeState
    stores: FakeStores
    hub: MarketHub

    @property
    def gateway(self) -> Gateway:
        """Behind the protocols."""
        return self.state.gateway

    async def get(self, path: str, **options: Any) -> tuple[int, Any, Any]:
        """(status, body, headers), no redirect followed."""
        async with self.client.get(path, allow_redirects=False, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == "application/json" else text, response.headers


@asynccontextmanager
async def served(*, away: bool = False, caught_up: bool = True, **settings: Any) -> AsyncIterator[Served]:
    """An application with these settings."""
    stores: Any = FakeStores(away=away)
    state = make_state(Settings(**settings), stores, stores, stores)
    unread: Any = None  # a topic of no partitions: there is nothing to read, and nothing is read
    gateway = state.gateway
    gateway.market_consumer = MarketConsumer(unread, unread, [], gateway.market, gateway.tell_market)
    gateway.market_consumer.running = caught_up
    app = make_app(state)
    async with TestClient(TestServer(app)) as client:
        yield Served(client, state, stores, app[HUB])


async def until(condition: Callable[[], bool], what: str) -> None:
    """Until it holds."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.005)
