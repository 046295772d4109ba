"""Search of the real exchange over HTTP: an order is found once the sink has stored it, by its account only; pages, and places of others."""

import asyncio
import time
import uuid
from typing import Any

import aiohttp

WAIT_S = 600.0


async def ask(http: aiohttp.ClientSession, exchange: Any, who: int, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """(status, body) for the account's key."""
    key, secret, _ = exchange.api_keys[who]
    async with http.request(method, exchange.edge_url + path, headers={"X-API-Key": key, "X-API-Secret": secret}, **options) as response:
        return response.status, await response.json(content_type=None)


async def test_an_order_is_found_by_its_account_once_the_sink_has_it_and_by_nobody_else(exchange: Any) -> None:
    """Three orders placed and canceled: kinds, price, pages; another account finds none of them."""
    tag, own, other = uuid.uuid4().hex[:8], 3, 4
    order = {"symbol": "AAPL", "side": "buy", "ord_type": "limit", "time_in_force": "day", "order_qty": "7", "price": "1.25"}
    async with aiohttp.ClientSession() as http:
        for number in range(3):
            status, told = await ask(
                http, exchange, own, "POST", "/v1/order.place", json={"order": order | {"cl_ord_id": f"{tag}-{number}"}}
            )
            assert status == 200, told
            status, told = await ask(http, exchange, own, "POST", "/v1/order.cancel", json={"cl_ord_id": f"{tag}-{number}"})
            assert status == 200, told
        deadline, query = (
            time.monotonic() + WAIT_S,
            f"/v1/search?text={tag}&kind=ACCEPTED&symbol=AAPL&price=1.25..1.25&size=7..&ascending=true",
        )
        while True:
            status, found = await ask(http, exchange, own, "GET", query)
            if status == 200 and len(found["events"]) == 3:
                break
            assert status in (200, 503) and time.monotonic() < deadline, found
            await asyncio.sleep(0.25)
        assert [(one["cl_ord_id"], one["price"], one["size"], one["side"]) for one in found["events"]] == [
            (f"{tag}-{number}", "1.25", "7", "BUY") for number in range(3)
        ]
        assert {str(one["account"]) for one in found["events"]} == {str(exchange.api_keys[own][2])}
        seen, place = [], ""
        while place is not None:
            status, page = await ask(http, exchange, own, "GET", f"{query}&limit=1{f'&next={place}' if place else ''}")
            assert status == 200, page
            seen += page["events"]
            place = page["next"]
        assert seen == found["events"]
        assert (await ask(http, exchange, other, "GET", query))[1] == {"events": [], "next": None}
        _, first = await ask(http, exchange, own, "GET", f"{query}&limit=1")
        status, problem = await ask(http, exchange, other, "GET", f"{query}&next={first['next']}")
        assert (status, problem["field"]) == (422, "next")
