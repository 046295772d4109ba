"""Alpaca's operations: the table is whole, the server has a route for each and for no other, and what is refused says why."""

import re

import pytest
from support.edge_requests import KEY
from support.served_edge import served

from edge.alpaca.operations import MARKET_DATA, ROUTES, TRADING, Answer, Operation
from edge.alpaca.routes import ROUTES as ALPACA_ROUTES

OURS = {
    "GET /public/prices", "GET /public/prices/{}", "GET /ws/public-prices", "GET /v2/iex", "GET /v2/sip", "GET /v1beta2/crypto",
    "GET /v1beta3/crypto/{}", "GET /stream",
}  # fmt: skip
"""Streams, which the descriptions do not name, and what our own pages ask for."""


def spoken(method: str, path: str) -> str:
    """Whatever a variable of a path is called."""
    return f"{method} {re.sub(r'{[^}]*}', '{}', path)}"


def test_the_table_has_every_operation_of_both_descriptions_once() -> None:
    """68 of the trading API 2.0.1, 50 of the market-data API 1.1."""
    for table, count in ((TRADING, 68), (MARKET_DATA, 50)):
        assert len({(one.method, one.path) for one in table}) == len(table) == count
        assert all(bool(one.why) != (one.answer is Answer.SERVED) for one in table)


def test_the_server_has_a_route_for_each_operation_and_for_nothing_else() -> None:
    """A new route is an operation of the table, or one of ours."""
    routes = {spoken(route.method, route.path) for route in ALPACA_ROUTES}
    assert routes - OURS == {spoken(one.method, one.path) for one in (*TRADING, *MARKET_DATA)}
    assert routes >= OURS
    refused = {spoken(route.method, route.path) for route in ROUTES}
    assert refused == {spoken(one.method, one.path) for one in (*TRADING, *MARKET_DATA) if one.answer is Answer.REFUSED}


@pytest.mark.parametrize(
    "operation", [one for one in (*TRADING, *MARKET_DATA) if one.answer is not Answer.SERVED], ids=lambda one: f"{one.method} {one.path}"
)
async def test_what_is_not_served_is_empty_or_refused_in_alpacas_form(operation: Operation) -> None:
    """403 with the reason, an empty list, or 404 for one of what there is none of; without a key 401."""
    path = re.sub(r"{[^}]*}", "X", operation.path)
    needed = {"ca_types": "dividend", "since": "2026-01-01", "until": "2026-01-31"} if path.endswith("announcements") else {}
    async with served() as edge:
        async with edge.client.request(operation.method, path, headers=KEY, params=needed) as response:
            body = await response.json()
        async with edge.client.request(operation.method, path, params=needed) as denied:
            assert denied.status == 401
    if operation.answer is Answer.REFUSED:
        assert (response.status, body) == (403, {"code": 40310000, "message": "forbidden.", "reject_reason": operation.why})
    elif operation.path.endswith("}"):
        assert (response.status, body["code"]) == (404, 40410000)
    else:
        assert response.status == 200
        assert not any(body.values() if isinstance(body, dict) else body)
