"""Stores that go away, answers that do not come, somebody who guesses, and an edge that is started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from edge_session import WAIT_S, Edge, Gate, ThinExchange, an_order, call, key_of, wait_for

from schemas.ids import order_uuid
from schemas.settings import Settings

pytestmark = pytest.mark.integration


async def test_wrong_secrets_are_429_after_a_while_and_the_customer_goes_on(edge: Edge) -> None:
    """Hundreds of guesses at a key that is at work, from the customer's own address."""
    assert (await call(edge, 36, "GET", "/v2/account"))[0] == 200
    async with aiohttp.ClientSession(headers=key_of(36) | {"APCA-API-SECRET-KEY": "wrong"}) as http:
        answers = []
        for _ in range(200):
            async with http.get(edge.url + "/v2/account") as response:
                answers.append((response.status, response.headers.get("Retry-After")))
    assert {status for status, _ in answers} == {401, 429}
    assert sum(status == 401 for status, _ in answers) < 100
    assert all(after is not None for status, after in answers if status == 429)
    assert (await call(edge, 36, "GET", "/v2/account"))[0] == 200


async def test_a_decision_that_does_not_come_is_503_and_the_same_id_finds_the_order_later(edge: Edge, thin: ThinExchange) -> None:
    """Never 504, which clients repeat on their own; the order is made once."""
    await call(edge, 9, "GET", "/v2/account")
    thin.answering.clear()
    try:
        status, body, headers = await call(edge, 9, "POST", "/v2/orders", an_order(client_order_id="slow"))
    finally:
        thin.answering.set()
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "same client_order_id" in body["message"]
    status, order, _ = await call(edge, 9, "POST", "/v2/orders", an_order(client_order_id="slow"))
    assert (status, order["client_order_id"]) == (200, "slow")
    assert [one["id"] for one in (await call(edge, 9, "GET", "/v2/orders"))[1]] == [order["id"]]


EVERY_KIND: list[dict[str, Any]] = [
    {"type": "stop", "side": "sell", "limit_price": None, "stop_price": "150"},
    {"type": "stop_limit", "side": "sell", "limit_price": "149", "stop_price": "150"},
    {"type": "trailing_stop", "side": "sell", "limit_price": None, "trail_percent": "40", "stop_price": "90"},
    {"type": "trailing_stop_limit", "side": "sell", "limit_price": None, "trail_price": "50", "stop_price": "90", "limit_offset": "0.05"},
    {"type": "pegged", "limit_price": "1", "peg_price_type": "primary", "peg_offset": "-0.05"},
    {"qty": "100", "display_qty": "10"},
    {"qty": "100", "hidden": True},
    {"post_only": True},
    {"time_in_force": "gtd", "expire_time": "2040-01-01T00:00:00Z"},
    {"time_in_force": "cls"},
    {"order_class": "bracket", "take_profit": {"limit_price": "300"}, "stop_loss": {"stop_price": "0.50"}},
    {"order_class": "oco", "side": "sell", "limit_price": "300", "stop_loss": {"stop_price": "100"}},
]


async def test_a_restarted_edge_knows_open_orders_and_prices_again(own_services: Settings, thin: ThinExchange) -> None:
    """Views come back by registering, prices and the resume ring from market.data; TERM ends the process with status 0 and sockets with 1001."""
    first = Edge(own_services)
    await first.wait_until_ready()
    order = (await call(first, 11, "POST", "/v2/orders", an_order(client_order_id="survivor")))[1]
    for fields in EVERY_KIND:
        status, body, _ = await call(first, 11, "POST", "/v2/orders", an_order(**fields))
        assert status == 200, body
    listed = (await call(first, 11, "GET", "/v2/orders?nested=true"))[1]
    assert len(listed) == 1 + len(EVERY_KIND)
    async with aiohttp.ClientSession() as http, http.ws_connect(first.url + "/ws/public-prices") as ws:
        await ws.receive()
        loop = asyncio.get_running_loop()
        stopping = loop.run_in_executor(None, first.stop)
        assert (await asyncio.wait_for(ws.receive(), WAIT_S)).data == aiohttp.WSCloseCode.GOING_AWAY
        await ws.close()
        assert await stopping == 0
    assert not first.ready_file.exists()
    second = Edge(own_services)
    try:
        await second.wait_until_ready()
        assert (await call(second, 11, "GET", "/v2/orders?nested=true"))[1] == listed
        assert (await call(second, 11, "DELETE", f"/v2/orders/{order['id']}"))[0] == 204
        async with aiohttp.ClientSession() as http, http.get(second.url + "/public/prices/AAPL") as response:
            assert (await response.json())["phase"] == "continuous"
    finally:
        second.stop()


Gates = dict[str, Gate]


@asynccontextmanager
async def away(gates: Gates, how: str, *names: str) -> AsyncIterator[None]:
    """These stores are shut ("shut") or hang ("silence") within the block."""
    try:
        for name in names:
            await getattr(gates[name], how)()
        yield
    finally:
        for name in names:
            await gates[name].open()


async def degraded(edge: Edge) -> tuple[int, list[str]]:
    """What /readyz says."""
    status, body, _ = await call(edge, 1, "GET", "/readyz")
    return status, body["degraded"]


@pytest.mark.parametrize(("how", "account"), [("shut", 12), ("silence", 13)])
async def test_orders_go_on_while_mysql_and_redis_are_away(edge: Edge, gates: Gates, analyst: str, how: str, account: int) -> None:
    """Who is known trades on and is answered by the shard; what only MySQL knows is 503 that says so, soon; all comes back by itself."""
    await call(edge, account, "GET", "/v2/account")
    async with away(gates, how, "mysql", "redis"):
        status, order, _ = await call(edge, account, "POST", "/v2/orders", an_order(client_order_id="meanwhile"))
        assert (status, order["status"]) == (200, "new")
        assert (await call(edge, account, "GET", "/v2/orders"))[1] == [order]
        too_dear = await call(edge, account, "POST", "/v2/orders", an_order(qty="90000", limit_price="100.00"))
        assert too_dear[1]["reject_reason"] == "INSUFFICIENT_BUYING_POWER"
        assert (await call(edge, account, "DELETE", f"/v2/orders/{order['id']}"))[0] == 204

        async def is_canceled() -> bool:
            return bool((await call(edge, account, "GET", f"/v2/orders/{order['id']}"))[1]["status"] == "canceled")

        await wait_for(is_canceled, "the order is canceled")
        assert await degraded(edge) == (200, ["mysql", "redis"]), "ready, but less than whole"
        asked = {
            "/v2/orders?status=closed": (account, "older orders cannot be read"),
            f"/v2/orders/{order_uuid(987_654)}": (account, "older orders cannot be read"),
            "/v2/orders:by_client_order_id?client_order_id=unheard": (account, "older orders cannot be read"),
            "/v2/positions": (account + 10, "API keys cannot be looked up"),
            "/surveillance/alerts": (account, "nobody can be identified"),
        }
        async with asyncio.timeout(WAIT_S / 2):
            answers = await asyncio.gather(
                *(call(edge, who, "GET", path, token=analyst if "surveillance" in path else "") for path, (who, _) in asked.items())
            )
        for (path, (_, text)), (status, body, headers) in zip(asked.items(), answers, strict=True):
            assert (status, body["code"], headers["Retry-After"]) == (503, 50310000, "1"), (path, body)
            assert body["message"] == f"{text} at the moment (MySQL is not reachable)"

    async def is_whole() -> bool:
        return await degraded(edge) == (200, [])

    await wait_for(is_whole, "both stores are back")
    closed = (await call(edge, account, "GET", "/v2/orders?status=closed"))[1]
    assert [one["client_order_id"] for one in closed] == ["meanwhile"]
    assert (await call(edge, account + 10, "GET", "/v2/positions"))[0] == 200


@pytest.mark.parametrize(("how", "account"), [("shut", 14), ("silence", 15)])
async def test_without_redis_a_new_key_only_takes_the_longer_way(edge: Edge, gates: Gates, how: str, account: int) -> None:
    """The cache is no part of the truth: MySQL answers."""
    async with away(gates, how, "redis"):
        assert (await call(edge, account, "POST", "/v2/orders", an_order(client_order_id="uncached")))[0] == 200
        assert await degraded(edge) == (200, ["redis"])
