"""Parameters of a query: each is taken exactly or refused by its name; page tokens belong to their query."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.alpaca.query_fields import Query, bad_request
from edge.http.errors import HttpError
from schemas.instruments import load_instruments

TABLE = load_instruments(None)


@pytest.mark.parametrize(
    ("values", "ask", "answer"),
    [
        ({}, lambda q: q.whole("limit", 50, 500), 50),
        ({"limit": "500"}, lambda q: q.whole("limit", 50, 500), 500),
        ({"nested": "True"}, lambda q: q.flag("nested"), True),
        ({}, lambda q: q.flag("nested"), False),
        ({"start": "2026-01-02"}, lambda q: q.time("start", 0), 1767312000_000000000),
        ({"start": "2026-01-02T00:00:00 00:00"}, lambda q: q.time("start", 0), 1767312000_000000000),
        ({"symbols": "AAPL, MSFT,AAPL,"}, lambda q: q.names("symbols"), ["AAPL", "MSFT"]),
        ({"symbols": "AAPL"}, lambda q: [one.number for one in q.instruments("symbols", TABLE).values()], [1]),
        ({"sort": "desc"}, lambda q: q.word("sort", {"asc": 1, "desc": 2}), 2),
        ({}, lambda q: q.word("sort", ("asc", "desc"), "asc"), "asc"),
        ({"qty": "1.50"}, lambda q: q.decimal_text("qty"), "1.50"),
    ],
)  # fmt: skip
def test_what_is_right_is_taken(values: dict[str, str], ask: Callable[[Query], Any], answer: Any) -> None:
    """Also as Python's clients write it: True, and a plus sign that nobody escaped."""
    assert ask(Query(values)) == answer


@pytest.mark.parametrize(
    ("values", "ask", "says"),
    [
        ({"limit": "0"}, lambda q: q.whole("limit", 50, 500), "invalid limit"),
        ({"limit": "501"}, lambda q: q.whole("limit", 50, 500), "from 1 to 500"),
        ({"limit": "9" * 5_000}, lambda q: q.whole("limit", 50, 500), "invalid limit"),
        ({"limit": "-1"}, lambda q: q.whole("limit", 50, 500), "invalid limit"),
        ({"limit": "٣"}, lambda q: q.whole("limit", 50, 500), "invalid limit"),
        ({"nested": "yes"}, lambda q: q.flag("nested"), "nested must be true or false"),
        ({"start": "yesterday"}, lambda q: q.time("start", 0), "Invalid format for parameter start"),
        ({"start": "2400-01-01"}, lambda q: q.time("start", 0), "Invalid format for parameter start"),
        ({}, lambda q: q.names("symbols", must=True), "symbols is required"),
        ({"symbols": ",".join(f"S{n}" for n in range(101))}, lambda q: q.names("symbols"), "more than 100 names"),
        ({"symbols": "NOPE"}, lambda q: q.instruments("symbols", TABLE), 'invalid symbol: "NOPE"'),
        ({"sort": "up"}, lambda q: q.word("sort", ("asc", "desc"), "asc"), "invalid sort"),
        ({}, lambda q: q.word("tape", ("A", "B")), "tape is required"),
        ({"qty": "1e999"}, lambda q: q.decimal_text("qty"), "invalid qty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_its_name(values: dict[str, str], ask: Callable[[Query], Any], says: str) -> None:
    """With 422 in the trading API, with 400 in the market-data API."""
    for query, status in ((Query(values), 422), (Query(values, bad_request), 400)):
        with pytest.raises(HttpError) as refused:
            ask(query)
        assert refused.value.status == status
        assert says in refused.value.message


def test_a_page_token_leads_back_to_its_place_however_much_is_asked_for() -> None:
    """The rest of the query must be the same."""
    values = {"symbols": "AAPL", "timeframe": "1Min", "limit": "10"}
    token = Query(values).token("bars", ("AAPL", 17))
    assert Query(values | {"page_token": token, "limit": "20"}).place("bars", (str, int)) == ["AAPL", 17]
    assert Query(values).place("bars", (str, int)) is None


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: "!",
        lambda token: token[:-2],
        lambda token: token + "AAAA",
        lambda token: "A" * 10_000,
        lambda token: base64.urlsafe_b64encode(b"[" * 100).decode(),
        lambda token: base64.urlsafe_b64encode(json.dumps({"a": 1}).encode()).decode(),
        lambda token: base64.urlsafe_b64encode(json.dumps([1, "AAPL", 17]).encode()).decode(),
        lambda token: Query({"symbols": "AAPL"}).token("bars", ("AAPL", 17, 1)),
        lambda token: Query({"symbols": "AAPL"}).token("bars", ("AAPL", "17")),
        lambda token: Query({"symbols": "AAPL"}).token("bars", ("AAPL", -1)),
        lambda token: Query({"symbols": "AAPL"}).token("bars", ("AAPL", 1 << 63)),
        lambda token: Query({"symbols": "AAPL"}).token("trades", ("AAPL", 17)),
        lambda token: Query({"symbols": "MSFT"}).token("bars", ("AAPL", 17)),
    ],
)
def test_a_token_that_was_made_up_or_is_of_another_query_is_refused(forge: Callable[[str], str]) -> None:
    """By its name."""
    token = forge(Query({"symbols": "AAPL"}).token("bars", ("AAPL", 17)))
    with pytest.raises(HttpError, match="invalid page_token"):
        Query({"symbols": "AAPL", "page_token": token}).place("bars", (str, int))
