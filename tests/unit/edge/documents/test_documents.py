"""The API's own description: valid by the specifications, complete by the tables of the code, and true of what a running edge answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.edge_requests import OTHER_KEY, traded
from support.native_edge import native_edge

from edge.alpaca.operations import MARKET_DATA, TRADING, Answer
from edge.alpaca.routes import ROUTES
from edge.documents import staff
from edge.documents.asyncapi import MARKET_TYPES
from edge.documents.native import EXAMPLE_ORDER, FIELDS, SOCKET_FIELDS
from edge.documents.openapi import shape_of
from edge.documents.pages import asyncapi_document, openapi_document
from edge.native import rest, search_api, socket_api
from edge.native.keys_api import KEY_OPERATIONS
from edge.native.orders.operations import OPERATIONS
from edge.native.wire.fields import Fields

OPENAPI: dict[str, Any] = openapi_document()
ASYNCAPI: dict[str, Any] = asyncapi_document()
SCHEMA_OF_ASYNCAPI = Path(__file__).parent / "asyncapi" / "asyncapi-3.0.0.json"
"""Of the package @asyncapi/specs 6.11.1 (Apache-2.0)."""


def problems(name: str, value: Any) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}
    return [one.message for one in Draft202012Validator(schema).iter_errors(value)]


def test_openapi_is_valid() -> None:
    """By its specification."""
    assert [one.message for one in OpenAPIV31SpecValidator(OPENAPI).iter_errors()] == []


def test_asyncapi_is_valid() -> None:
    """By its published schema; a document that is not is found."""
    validator = Draft7Validator(json.loads(SCHEMA_OF_ASYNCAPI.read_text()))
    assert [one.message for one in validator.iter_errors(ASYNCAPI)] == []
    assert list(validator.iter_errors({**ASYNCAPI, "channels": []})) != []


def test_every_operation_of_the_tables_is_described_and_no_other() -> None:
    """With an answer of its own only where it is not refused; ids are unique."""
    described = {(method.upper(), path): one for path, found in OPENAPI["paths"].items() for method, one in found.items()}
    of_alpaca, own = (
        {(one.method, one.path) for one in (*TRADING, *MARKET_DATA)},
        {("POST", f"/v1/{op}") for op in (*OPERATIONS, *KEY_OPERATIONS)},
    )
    of_staff = {(route.method, route.path) for route in staff.operations()}
    assert set(described) == of_alpaca | own | of_staff | {
        ("GET", route.path) for route in (*rest.ROUTES, *search_api.ROUTES) if route.method == "GET"
    }
    assert {*staff.PARAMETERS, *staff.BODIES, *staff.STATUS} <= of_staff
    assert {key for key in of_staff if key[0] == "POST"} == set(staff.BODIES), "each that changes something says what it takes"
    for one in (*TRADING, *MARKET_DATA):
        success = [status for status in described[one.method, one.path]["responses"] if status.startswith("2")]
        assert bool(success) == (one.answer is not Answer.REFUSED), one
    assert len({one["operationId"] for one in described.values()}) == len(described)


def test_every_summary_is_that_of_the_function_that_answers() -> None:
    """A renamed path would lose it."""
    known = {(route.method, shape_of(route.path)): (route.handler.__doc__ or "").strip().split("\n")[0].rstrip(".") for route in ROUTES}
    for path, found in OPENAPI["paths"].items():
        for method, one in found.items():
            if one.get("x-answer") == "served" and not path.startswith("/v1/"):
                assert one["summary"] == known[method.upper(), shape_of(path)]


def test_every_channel_is_a_route() -> None:
    """Under the address that it tells."""
    served = {shape_of(route.path) for route in (*ROUTES, *socket_api.ROUTES)}
    for channel in ASYNCAPI["channels"].values():
        assert channel["address"].replace("crypto/us", "crypto/{}") in served


async def test_answers_of_a_running_edge_are_as_described() -> None:
    """The examples of the document, sent; and what is read afterwards."""
    async with traded() as edge:
        (example,) = OPENAPI["components"]["schemas"]["NewOrder"]["examples"]
        await edge.place("sell", 5, "150.00", OTHER_KEY)
        status, order = await edge.ask("POST", "/v2/orders", example | {"limit_price": "150.00"})
        assert (status, problems("Order", order)) == (200, [])
        (change,) = OPENAPI["components"]["schemas"]["ReplaceOrder"]["examples"]
        status, changed = await edge.ask("PATCH", f"/v2/orders/{order['id']}", change | {"limit_price": "149.00"})
        assert (status, problems("Order", changed)) == (200, [])
        assert problems("Account", (await edge.ask("GET", "/v2/account"))[1]) == []
        (position,) = (await edge.ask("GET", "/v2/positions"))[1]
        assert problems("Position", position) == []
        assert [problems("Asset", one) for one in (await edge.ask("GET", "/v2/assets"))[1] if problems("Asset", one)] == []
        for body in ({}, {**example, "side": "hold"}, {**example, "qty": "-1"}):
            status, error = await edge.ask("POST", "/v2/orders", body)
            assert (status, problems("Error", error)) == (422, [])
            assert str(status) in OPENAPI["paths"]["/v2/orders"]["post"]["responses"]


async def test_messages_of_the_streams_are_as_described() -> None:
    """Every type that a market in motion sends, and an update of an order."""
    market, update = (Draft202012Validator(ASYNCAPI["components"]["messages"][name]["payload"]) for name in ("marketData", "tradeUpdate"))
    async with traded() as edge:
        from edge.gateway.market.consumer import MarketConsumer

        consumer: Any = None
        edge.gateway.market_consumer = MarketConsumer(consumer, consumer, [], edge.gateway.market, edge.gateway.tell_market)
        edge.gateway.market_consumer.running = True
        asked = ASYNCAPI["components"]["messages"]["subscribe"]["examples"][0]["payload"]
        async with edge.client.ws_connect("/ws/public-prices") as socket, edge.client.ws_connect("/stream") as own:
            await own.send_json({"action": "auth", "key": "KEY1", "secret": "secret-1"})
            await own.send_json(ASYNCAPI["components"]["messages"]["listen"]["examples"][0]["payload"])
            for _ in range(2):
                assert list(update.iter_errors(json.loads((await own.receive()).data))) == []
            await socket.send_json(asked | {"quotes": ["AAPL"], "orderbooks": ["AAPL"], "statuses": ["AAPL"]})
            await edge.place("sell", 5, "150.00", OTHER_KEY)
            await edge.place("buy", 5, "150.00")
            seen: set[str] = set()
            while "t" not in seen:
                told = await socket.receive_json()
                assert list(market.iter_errors(told)) == []
                seen |= {one["T"] for one in told}
            assert {"success", "subscription", "o", "q", "t"} <= seen <= set(MARKET_TYPES)
            assert list(update.iter_errors(json.loads((await own.receive()).data))) == []


SENT: dict[str, dict[str, Any]] = {
    "session.logon": {"key": "KEY1", "secret": "secret-1"},
    "session.cancel_on_disconnect": {"enabled": True, "grace_ms": 1_000},
    "session.cancel_after": {"timeout_ms": 0},
    "subscribe": {"channels": ["book.AAPL.10.50ms", "trades.AAPL", "orders", "account", "status.AAPL"]},
    "resume": {"channels": [{"ch": "trades.AAPL", "epoch": "log-1", "seq": 0}]},
    "order.place": {"order": EXAMPLE_ORDER},
    "order.amend": {"cl_ord_id": "a-1", "order_qty": "8"},
    "order.status": {"cl_ord_id": "a-1"},
    "order.open": {},
    "account.get": {},
    "order.cancel": {"cl_ord_id": "a-1"},
    "order.cancel_all": {"symbol": "AAPL", "side": "buy", "key": True},
    "order.batch": {"requests": [{"op": "order.place", "order": EXAMPLE_ORDER | {"cl_ord_id": "a-2"}}]},
    "unsubscribe": {"channels": ["trades.AAPL"]},
    "ping": {},
    "keys.create": {"scopes": ["read"], "label": "watcher"},
    "keys.list": {},
    "keys.rotate": {"key": "KEY1"},
    "keys.withdraw": {"key": "KEY1"},
}
"""Every operation of the native API."""


def native(name: str) -> Draft202012Validator:
    """Of a message of the native socket."""
    return Draft202012Validator({**ASYNCAPI["components"]["messages"][name]["payload"], "components": ASYNCAPI["components"]})


async def test_the_fields_of_native_operations_are_those_that_the_code_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is sent, answered and told is as described."""
    asked: set[tuple[str, str]] = set()
    raw = Fields.raw

    def noting(fields: Fields, name: str) -> Any:
        asked.add((fields._where, name))
        return raw(fields, name)

    monkeypatch.setattr(Fields, "raw", noting)
    assert set(SENT) == set(FIELDS) | set(SOCKET_FIELDS)
    request, told = native("nativeRequest"), native("nativeTold")
    legged = EXAMPLE_ORDER | {
        "contingency_type": "oto",
        "cl_ord_id": "b-1",
        "legs": [{**EXAMPLE_ORDER, "side": "sell", "cl_ord_id": "b-2"}],
    }
    del legged["legs"][0]["symbol"]
    async with native_edge() as edge, edge.socket() as ws:
        for op, fields in SENT.items():
            asked.clear()
            if op in KEY_OPERATIONS:
                await edge.served.post(f"/v1/{op}", json=fields, headers={"X-API-Key": "KEY1", "X-API-Secret": "secret-1"})
            else:
                message = {"id": 1, "op": op, **fields}
                assert [one.message for one in request.iter_errors(message)] == [], op
                assert list(request.iter_errors(message | {"unknown": 1})) != [], op
                answer = await ws.ask(op, **fields)
                assert (answer["ok"], list(told.iter_errors(answer))) == (True, []), op
            described = (FIELDS.get(op) or SOCKET_FIELDS[op])["properties"]
            assert {name for where, name in asked if not where} - {"op"} >= set(described), op
            assert op == "order.batch" or {name for where, name in asked if not where} == set(described), op
        asked.clear()
        await ws.ask("order.place", order=legged)
        whole = OPENAPI["components"]["schemas"]["NativeNewOrder"]["properties"]
        assert {name for where, name in asked if where == "order."} == set(whole)
        assert {name for where, name in asked if where == "order.legs[0]."} == set(whole["legs"]["items"]["properties"])
        refused = await ws.ask("order.place", order=EXAMPLE_ORDER | {"price": "x"})
        assert (refused["ok"], list(told.iter_errors(refused))) == (False, [])
        assert [one for one in ws.kept if list(told.iter_errors(one))] == []
        assert {one["ch"] for one in ws.kept if "ch" in one} == set(SENT["subscribe"]["channels"])


@pytest.mark.parametrize(("path", "document"), [("/openapi.json", OPENAPI), ("/asyncapi.json", ASYNCAPI)])
async def test_the_documents_are_served(path: str, document: dict[str, Any]) -> None:
    """As they were made, to everybody; and a page that shows them."""
    async with traded() as edge:
        assert await edge.ask("GET", path, key={}) == (200, json.loads(json.dumps(document)))
        status, page = await edge.ask("GET", "/docs", key={})
        assert status == 200
        assert "/web/docs.js" in page
