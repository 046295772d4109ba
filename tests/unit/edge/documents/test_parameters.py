"""The parameters that /openapi.json describes are those that the operations look at, and every word of a closed list is taken."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.edge_requests import Traded, traded

from edge.alpaca.query_fields import Query
from edge.documents.openapi import shape_of
from edge.documents.pages import openapi_document
from edge.documents.parameters import BODIES, QUERIES

DESCRIBED: dict[str, Any] = openapi_document()["paths"]
VALUES = {
    "date": "2026-01-05", "date-time": "2026-01-05T10:00:00Z", "uuid": "0de40000-0000-8000-8000-000000000001",
}  # fmt: skip
BY_NAME = {"end": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}", "period": "1D", "limit": "1", "qty": "1", "percentage": "1", "page_token": "", "client_order_id": "a-1", "name": "tech", "since": "2026-01-05",
           "until": "2026-01-06", "cashflow_types": "ALL"}  # fmt: skip
"""Where the schema does not say one."""
BESIDE = {"/v2/account/portfolio/history": {"period": "1D"}}
"""Otherwise it would be a month, which has too many minutes."""
REFUSED = {"/v3/clock": {"time"}}
"""Alpaca's parameters that are looked at to be refused."""


def values_of(parameter: dict[str, Any]) -> list[str]:
    """Good values: each word, or one."""
    schema = parameter["schema"]
    if "enum" in schema:
        return list(schema["enum"])
    if parameter["name"] in BY_NAME:
        return [BY_NAME[parameter["name"]]]
    if schema.get("type") == "integer":
        return [str(schema["maximum"])]
    return [VALUES[schema["format"]] if "format" in schema else schema["examples"][0]]


async def ask(edge: Traded, method: str, path: str, query: dict[str, str]) -> int:
    """The status, with good places in the path."""
    places = {"order_id": VALUES["uuid"], "watchlist_id": VALUES["uuid"]}
    for one in DESCRIBED[path][method.lower()]["parameters"]:
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", places.get(one["name"]) or values_of(one)[0])
    return (await edge.ask(method, path, body={} if method in ("PUT", "POST") else None, **query))[0]


@pytest.mark.slow
async def test_what_an_operation_looks_at_is_what_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each optional parameter by itself, beside those that must be there."""
    asked: set[str] = set()
    text = Query.text

    def noting(query: Query, name: str, default: str = "") -> str:
        asked.add(name)
        return text(query, name, default)

    monkeypatch.setattr(Query, "text", noting)
    async with traded() as edge:
        edge.stores.answers = defaultdict(list, edge.stores.answers)
        for (method, path), described in QUERIES.items():
            asked.clear()
            parameters = [one for one in DESCRIBED[path][method.lower()]["parameters"] if one["in"] == "query"]
            must = {one["name"]: values_of(one)[0] for one in parameters if one.get("required")}
            for one in parameters:
                for value in values_of(one):
                    status = await ask(edge, method, path, must | BESIDE.get(path, {}) | {one["name"]: value})
                    # what is there to be found, and whether a rule refuses an empty body, is of no interest
                    assert status not in (400, 422) or method != "GET", (path, one["name"], value, status)
            assert asked - REFUSED.get(path, set()) == set(described), path


async def test_a_parameter_that_must_be_there_is_asked_for_by_its_name() -> None:
    """And no other: without all the others the operation answers."""
    async with traded() as edge:
        edge.stores.answers = defaultdict(list, edge.stores.answers)
        for method, path in QUERIES:
            parameters = [one for one in DESCRIBED[path][method.lower()]["parameters"] if one["in"] == "query"]
            must = {one["name"]: values_of(one)[0] for one in parameters if one.get("required")}
            for name in must:
                status = await ask(edge, method, path, {key: value for key, value in must.items() if key != name})
                assert status in (400, 422), (method, path, name)
            if method == "GET":
                assert await ask(edge, method, path, must) not in (400, 422), path


def test_every_described_operation_is_one() -> None:
    """A path that was renamed is found."""
    known = {(method.upper(), path) for path, found in DESCRIBED.items() for method in found}
    assert set(QUERIES) | set(BODIES) <= known
    assert all(shape_of(path) for _, path in known)
