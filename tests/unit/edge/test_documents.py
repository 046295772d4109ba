"""The API's own description: valid by the specifications, complete by the tables of the code, and true of what a running edge answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.edge_requests import OTHER_KEY, traded

from edge.alpaca.operations import MARKET_DATA, TRADING, Answer
from edge.alpaca.routes import ROUTES
from edge.documents.asyncapi import MARKET_TYPES
from edge.documents.openapi import shape_of
from edge.documents.pages import asyncapi_document, openapi_document

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
    assert set(described) == {(one.method, one.path) for one in (*TRADING, *MARKET_DATA)}
    for one in (*TRADING, *MARKET_DATA):
        success = [status for status in described[one.method, one.path]["responses"] if status.startswith("2")]
        assert bool(success) == (one.answer is not Answer.REFUSED), one
    assert len({one["operationId"] for one in described.values()}) == len(described)


def test_every_summary_is_that_of_the_function_that_answers() -> None:
    """A renamed path would lose it."""
    known = {(route.method, shape_of(route.path)): (route.handler.__doc__ or "").strip().split("\n")[0].rstrip(".") for route in ROUTES}
    for path, found in OPENAPI["paths"].items():
        for method, one in found.items():
            if one["x-answer"] == "served":
                assert one["summary"] == known[method.upper(), shape_of(path)]


def test_every_channel_is_a_route() -> None:
    """Under the address that it tells."""
    served = {shape_of(route.path) for route in ROUTES}
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


@pytest.mark.parametrize(("path", "document"), [("/openapi.json", OPENAPI), ("/asyncapi.json", ASYNCAPI)])
async def test_the_documents_are_served(path: str, document: dict[str, Any]) -> None:
    """As they were made, to everybody; and a page that shows them."""
    async with traded() as edge:
        assert await edge.ask("GET", path, key={}) == (200, json.loads(json.dumps(document)))
        status, page = await edge.ask("GET", "/docs", key={})
        assert status == 200
        assert "/web/docs.js" in page
