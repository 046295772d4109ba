"""Search over HTTP: whose events, which parameters, places in pages, how many at once; for customers and for analysts."""

import asyncio
import csv
import io
import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.records.trail_in_memory import TrailInMemory, event
from support.served_edge import Served, served, until

from access.people import Role
from edge.documents.pages import openapi_document
from edge.gateway.limits import SEARCHES_MAX, SEARCHES_OF_ASKER_MAX
from schemas.codec import decode_record
from sinks.elastic.search_places import place_text
from sinks.elastic.search_words import COLUMNS, Wanted

EVENTS = [*(event(seq, 1 + seq % 2) for seq in range(1, 13)), event(20, 1, kind="REJECTED", reason="UNKNOWN_ORDER", cl_ord_id="=1+1")]
"""Of the accounts 1 and 2 in turn; the last one is account 1's."""


def key(number: int) -> dict[str, str]:
    """Headers of an account's key."""
    return {"X-API-Key": f"KEY{number}", "X-API-Secret": f"secret-{number}"}


@asynccontextmanager
async def searched() -> AsyncIterator[tuple[Served, TrailInMemory]]:
    """An edge before a trail."""
    async with served() as edge:
        yield edge, TrailInMemory(EVENTS).stand_behind(edge.gateway)


async def found(edge: Served, query: str, number: int = 1) -> Any:
    """The answer to a customer's search; a problem document is decoded too."""
    status, body, headers = await edge.get(f"/v1/search{query}", headers=key(number))
    return status, json.loads(body) if isinstance(body, str) and body.startswith("{") else body, headers


async def test_a_customer_finds_their_own_events_and_nobody_elses() -> None:
    """As rows with decimal text, as the documents say; what is asked of Elasticsearch always has the account."""
    async with searched() as (edge, trail):
        status, body, _ = await found(edge, "?kind=trade")
        assert (status, [one["seq"] for one in body["events"]], body["next"]) == (200, [12, 10, 8, 6, 4, 2], None)
        assert {name: body["events"][0][name] for name in ("price", "size", "order_id", "account")} == {
            "price": "180.05", "size": "10", "order_id": str(1 << 60), "account": 1,
        }  # fmt: skip
        document = openapi_document()
        schema = document["paths"]["/v1/search"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert list(Draft202012Validator(schema).iter_errors(body)) == []
        assert {one["account"] for one in (await found(edge, "", 2))[1]["events"]} == {2}
        assert [one.account for one in trail.asked] == [1, 2]


async def test_pages_are_read_one_behind_the_other() -> None:
    """By `next`, or by the address in Link, whatever the limit and the format; every event once."""
    async with searched() as (edge, _):
        seen, query = [], "?limit=3&symbol=AAPL&symbol=MSFT"
        while query:
            status, body, headers = await found(edge, query)
            assert status == 200
            seen += [one["seq"] for one in body["events"]]
            link = headers.get("Link", "")
            assert bool(link) == (body["next"] is not None)
            query = link.removeprefix("</v1/search").partition(">")[0]
        assert seen == [20, 12, 10, 8, 6, 4, 2]
        place = (await found(edge, "?limit=3"))[1]["next"]
        status, text, headers = await found(edge, f"?format=csv&limit=500&next={place}")
        assert (status, headers["Content-Type"], "Link" in headers) == (200, "text/csv; charset=utf-8", False)
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [int(one["seq"]) for one in rows] == [8, 6, 4, 2] and tuple(rows[0]) == COLUMNS


async def test_a_spreadsheet_takes_no_id_for_a_formula() -> None:
    """An apostrophe stands before it."""
    async with searched() as (edge, _):
        assert "'=1+1" in (await found(edge, "?format=csv&limit=1"))[1]


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ("symbol=NOPE", "symbol", "'NOPE' is not a symbol of this exchange"),
        ("kind=SOLD", "kind", "'SOLD' is not one of"),
        ("side=up", "side", "'up' is not one of BUY, SELL"),
        ("reason=because", "reason", "is not one of"),
        ("from=yesterday", "from", "is not a time such as"),
        ("to=0001-01-01T00:00:00%2B14:00", "to", "is not within 1970 and 2262"),
        ("from=9999-12-31T23:59:59-14:00", "from", "is not within 1970 and 2262"),
        ("price=180..", "price", "needs one symbol"),
        ("symbol=AAPL&price=180.005..", "price", "AAPL"),
        ("symbol=AAPL&price=cheap", "price", "is not a range such as"),
        ("symbol=AAPL&size=9..3", "size", "ends below its beginning"),
        ("symbol=AAPL&size=0.5..", "size", "AAPL"),
        ("text=%00", "text", "characters that ids may have"),
        ("text=" + "x" * 129, "text", "at most 128 characters"),
        ("sort=luck", "sort", "is not one of time, price, size"),
        ("ascending=yes", "ascending", "is not one of false, true"),
        ("limit=0", "limit", "from 1 to 500"),
        ("limit=501", "limit", "from 1 to 500"),
        ("limit=%EF%BC%91", "limit", "from 1 to 500"),
        ("format=xml", "format", "is not one of json, csv"),
        ("text=", "text", "is empty"),
        ("limit=1&limit=2", "limit", "is there twice"),
        ("account=2", "account", "is no parameter of this search"),
        ("acount=2", "acount", "is no parameter of this search"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_its_name_and_nothing_is_asked(query: str, field: str, told: str) -> None:
    """Those of customers as problem documents; analysts may say the account, and get the same sentences."""
    async with searched() as (edge, trail):
        status, body, _ = await found(edge, f"?{query}")
        assert (status, body["field"], body["code"]) == (422, field, "unknown_field" if "no parameter" in told else "invalid_field")
        assert body["detail"].startswith(f"{field} ") and told in body["detail"]
        if field != "account":
            status, body, _ = await edge.get(f"/surveillance/search?{query}", headers=edge.stores.bearer(Role.ANALYST))
            assert status == 422 and body["message"].startswith(f"{field} ") and told in body["message"]
        assert trail.asked == []


def made_up(*values: Any) -> str:
    """A place that a client has put together."""
    return urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def forged() -> list[str]:
    """Places that nobody was given, and some that are somebody else's."""
    good = json.loads('["2027-01-15T08:00:00.000000008Z", 0, 8]')
    digest = json.loads(urlsafe_b64decode(place_text(Wanted(account=1), good) + "=="))[0]
    return [
        "x", "!!", "%C3%A9", "A" * 201, made_up(), made_up(digest), made_up(digest, 1, 2, 3), made_up(digest, *good, 5), made_up(digest, good[0], 0, 1 << 63),
        made_up(digest, good[0], *[True], 8), made_up(digest, good[0], None, 8), made_up(digest, "now", 0, 8), made_up(digest, "2027-13-15T08:00:00Z", 0, 8),
        made_up(digest, "1969-01-15T08:00:00Z", 0, 8), made_up(digest, "9999-01-15T08:00:00Z", 0, 8), made_up(digest, {"a": 1}, 0, 8), made_up(5, *good), made_up("0" * 16, *good),
        urlsafe_b64encode(b"[" * 140).decode(), urlsafe_b64encode(b"\xff\xfe").decode(), place_text(Wanted(account=2), good),
        place_text(Wanted(account=1, sort="price"), [5, 0, 8]), place_text(Wanted(account=1, ascending=True), good),
    ]  # fmt: skip


@pytest.mark.parametrize("place", forged())
async def test_a_place_that_was_not_given_is_a_mistake_with_a_name(place: str) -> None:
    """Never a fault, and never a question to Elasticsearch."""
    async with searched() as (edge, trail):
        status, body, _ = await found(edge, f"?next={place}")
        assert (status, body["field"], trail.asked) == (422, "next", []), body
        assert "is no place in a search" in body["detail"] or "is of another search" in body["detail"]


async def test_a_place_that_a_client_could_compute_leads_to_their_own_events_only() -> None:
    """The account is of the question, not of the place."""
    async with searched() as (edge, trail):
        place = place_text(Wanted(account=1), ["2262-01-01T00:00:00Z", 0, 0])
        assert {one["account"] for one in (await found(edge, f"?next={place}"))[1]["events"]} == {1}
        assert [one.account for one in trail.asked] == [1]


async def test_who_does_not_show_a_key_that_may_read_finds_nothing() -> None:
    """401."""
    async with searched() as (edge, trail):
        assert (await edge.get("/v1/search"))[0] == 401
        assert (await edge.get("/v1/search", headers={**key(1), "X-API-Secret": "wrong"}))[0] == 401
        assert trail.asked == []


async def test_without_elasticsearch_a_search_says_so_without_its_address_and_the_edge_stays_as_it_is() -> None:
    """503 with Retry-After, for both; /readyz says the same as before."""
    async with searched() as (edge, trail):
        before = (await edge.get("/readyz"))[1]["missing"]
        trail.is_away = True
        for path, headers in (("/v1/search", key(1)), ("/surveillance/search", edge.stores.bearer(Role.ANALYST))):
            status, body, told = await edge.get(path, headers=headers)
            assert (status, told["Retry-After"]) == (503, "1")
            assert "Elasticsearch is not reachable" in str(body) and "internal" not in str(body)
        assert (await edge.get("/readyz"))[1]["missing"] == before
        assert edge.gateway.searches.running == edge.gateway.staff_searches.running == 0


async def test_an_edge_that_nobody_searches_has_no_client_of_elasticsearch() -> None:
    """Its import takes memory and time; without an address, or with that of nobody, a search is answered with 503."""
    for url in ("", "http://127.0.0.1:9"):
        async with served(elasticsearch_url=url) as edge:
            assert edge.gateway.searches.trail._client is None  # type: ignore[attr-defined]
            status, body, _ = await found(edge, "")
            assert (status, body["code"], body["retryable"]) == (503, "unavailable", True)
            assert "127.0.0.1" not in body["detail"] and "OUTCRY" not in body["detail"]
            await edge.gateway.searches.trail.close()
    assert "sinks.elastic.search" in sys.modules


async def test_so_many_searches_run_at_once_and_the_next_is_answered_at_once() -> None:
    """One account has two places, all customers four, staff their own; each is free again when its search has ended."""
    async with searched() as (edge, trail):
        trail.answers.clear()
        running = [asyncio.create_task(found(edge, "", 1 + at // SEARCHES_OF_ASKER_MAX)) for at in range(SEARCHES_MAX)]
        await until(lambda: len(trail.asked) == SEARCHES_MAX, "all of them run")
        status, body, headers = await found(edge, "", 1)
        assert (status, body["code"], headers["Retry-After"]) == (429, "too_many_requests", "1")
        status, body, headers = await found(edge, "", 9)
        assert (status, body["cause"], headers["Retry-After"]) == (503, "searches_busy", "1")
        staff = asyncio.create_task(edge.get("/surveillance/search", headers=edge.stores.bearer(Role.ANALYST)))
        await until(lambda: len(trail.asked) == SEARCHES_MAX + 1, "an analyst has another place")
        assert (edge.gateway.searches.running, edge.gateway.searches.refused) == (SEARCHES_MAX, 2)
        trail.answers.set()
        assert [one[0] for one in await asyncio.gather(*running, staff)] == [200] * (SEARCHES_MAX + 1)
        assert edge.gateway.searches.running == 0
        assert (await found(edge, "", 9))[0] == 200


async def test_analysts_search_all_accounts_and_each_search_is_in_the_log() -> None:
    """With what was asked for; where it cannot be recorded nothing is shown, and other people may not search."""
    async with searched() as (edge, _):
        ann = edge.stores.bearer(Role.ANALYST, name="ann")
        status, body, _ = await edge.get("/surveillance/search?limit=500", headers=ann)
        assert (status, {one["account"] for one in body["events"]}) == (200, {1, 2})
        status, text, _ = await edge.get("/surveillance/search?account=2&kind=TRADE&kind=CANCELED&format=csv", headers=ann)
        assert (status, len(text.splitlines())) == (200, 7)
        assert edge.cases.records == [("SEARCH", "ann", "")] * 2
        facts = decode_record(edge.cases.values[-1])[1]["facts"]
        assert facts == {"account": "2", "kind": "TRADE, CANCELED", "format": "csv"}
        edge.cases.away = True
        status, body, _ = await edge.get("/surveillance/search", headers=ann)
        assert (status, "events" in body) == (503, False)
        for role in set(Role) - {Role.ANALYST, Role.SUPERVISOR, Role.COMPLIANCE}:
            for path in ("/surveillance/search", "/surveillance/find"):
                assert (await edge.get(path, headers=edge.stores.bearer(role, name=f"a-{role}")))[0] == 403
