"""Requests of a customer to an edge's application in the tests: with a key, over HTTP, with or without an exchange behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Final

from aiohttp.test_utils import TestClient, TestServer

from edge.app import make_app
from edge.gateway.access.sessions import KeyRecord
from edge.gateway.gateway import Gateway
from edge.http.metrics import HttpMetrics
from edge.http.state import EdgeState
from schemas.enums import Phase
from support.exchange_in_memory import Exchange, Records, trading

KEY: Final = {"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": "secret-1"}
"""Of account 1."""
OTHER_KEY: Final = {"APCA-API-KEY-ID": "KEY2", "APCA-API-SECRET-KEY": "secret-2"}


class Traded:
    """An edge over an exchange in memory: accounts 1 and 2 with 10,000.00 and 50 shares of AAPL each."""

    def __init__(self, client: TestClient[Any, Any], gateway: Gateway, exchange: Exchange, stores: Records) -> None:
        self.client, self.gateway, self.exchange, self.stores = client, gateway, exchange, stores

    async def ask(self, method: str, path: str, body: Any = None, key: dict[str, str] | None = None, **query: str) -> tuple[int, Any]:
        """(status, body) of a request of account 1, or of another key."""
        async with self.client.request(method, path, json=body, params=query, headers=KEY if key is None else key) as response:
            return response.status, await response.json() if response.content_type == "application/json" else await response.text()

    async def place(self, side: str, qty: int, price: str, key: dict[str, str] | None = None, **more: Any) -> Any:
        """A limit order of AAPL for the day; its object."""
        order = {"symbol": "AAPL", "qty": qty, "side": side, "type": "limit", "time_in_force": "day", "limit_price": price, **more}
        status, placed = await self.ask("POST", "/v2/orders", order, key)
        assert status == 200, placed
        return placed


@asynccontextmanager
async def traded(phase: Phase = Phase.CONTINUOUS, **settings: Any) -> AsyncIterator[Traded]:
    """A running one."""
    async with trading(phase, **settings) as (gateway, exchange, stores):

        async def find_key(key_id: str, _version_min: int) -> KeyRecord | None:
            number = key_id.removeprefix("KEY")
            return KeyRecord(sha256(f"secret-{number}".encode()).digest(), int(number)) if number.isdigit() else None

        vars(stores)["find_key"] = find_key
        app = make_app(EdgeState(gateway, HttpMetrics(gateway.metrics)))
        async with TestClient(TestServer(app)) as client:
            yield Traded(client, gateway, exchange, stores)
