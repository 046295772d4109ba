"""Order JSON, the table of refusals, timestamps, account JSON: the edge's pure parts, without services."""

from decimal import Decimal
from typing import Any

import pytest

from edge.alpaca.accounts.account_json import account_json, asset_json, position_json
from edge.alpaca.errors import ANSWERS, error_of
from edge.alpaca.order_words import EVENT_TEXT, STATUS_TEXT
from edge.alpaca.orders.order_json import average_price_text, order_json
from edge.alpaca.orders.order_queries import parse_order_query
from edge.alpaca.orders.order_requests import parse_new_order
from edge.gateway.accounts.view import AccountView, Order, OrderEvent, Position
from edge.gateway.market.view import MarketView
from edge.gateway.outcomes import (
    AlreadyDone,
    Cause,
    Denied,
    OutcomeUnknown,
    Refused,
    ShortOfCash,
    ShortOfShares,
    Unavailable,
)
from edge.gateway.stored.history import OrderFilter
from edge.http.errors import HttpError
from edge.http.timestamps import parse_time_ns, rfc3339
from schemas.enums import CommandKind, OrdStatus, OrdType, Side, TimeInForce
from schemas.ids import order_uuid
from schemas.instruments import load_instruments
from schemas.reject_reasons import SENTENCES, Reason

INSTRUMENTS = load_instruments(None)
GOOD = '{"symbol":"AAPL","qty":"5","side":"buy","type":"limit","time_in_force":"day","limit_price":"10.05","client_order_id":"a"}'


def parsed(text: str) -> Any:
    """The order in a body."""
    return parse_new_order(text.encode(), INSTRUMENTS)


def refused(text: str | bytes) -> HttpError:
    """The refusal of a body."""
    with pytest.raises(HttpError) as caught:
        parse_new_order(text.encode() if isinstance(text, str) else text, INSTRUMENTS)
    return caught.value


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_an_http_answer_whose_code_begins_with_its_status(reason: Reason) -> None:
    """The table is total, and each code is of the family of its status."""
    status, code = ANSWERS[reason]
    assert code // 100_000 == status or (status, code) == (422, 40010001)
    assert status in (403, 404, 422, 500, 503), "504 would make clients send an order again by themselves"
    error = error_of(Refused(reason))
    assert error.message
    assert error.body()["reject_reason"] == reason.name


OUTCOMES = [
    (Refused(Reason.INSUFFICIENT_BUYING_POWER, ShortOfCash(123_456)), 403, 40310000, "insufficient buying power (available: 12.3456)"),
    (
        Refused(Reason.INSUFFICIENT_SHARES, ShortOfShares(INSTRUMENTS.by_number[1], 5, 3)),
        403,
        40310000,
        "insufficient qty available for order (requested: 5, available: 3)",
    ),
    (Refused(Reason.INVALID_PRICE, where=1), 422, 40010001, f"{SENTENCES[Reason.INVALID_PRICE]} (order 2 of the list)"),
    (Refused(Reason.TOO_LATE_TO_CANCEL, AlreadyDone(OrdStatus.FILLED)), 422, 42210000, 'order is already in "filled" state'),
    (Refused(Reason.UNKNOWN_ORDER), 404, 40410000, SENTENCES[Reason.UNKNOWN_ORDER]),
    (Unavailable(Cause.LOG_AWAY, "not now"), 503, 50310000, "not now"),
    (Unavailable(Cause.TOO_MANY_GUESSES, "too many", 1.2), 429, 42910000, "too many"),
    (Unavailable(Cause.TOO_MANY_REQUESTS, "too many"), 429, 42910000, "too many"),
    (
        OutcomeUnknown(CommandKind.NEW_ORDER),
        503,
        50310000,
        "no decision in time: the order may or may not have been accepted; send it again with the same client_order_id, which returns the first "
        "answer and never makes a second order",
    ),
    (
        OutcomeUnknown(CommandKind.REPLACE),
        503,
        50310000,
        "no decision in time: the order may or may not be replaced; read it before you ask again",
    ),
    (OutcomeUnknown(CommandKind.CANCEL), 503, 50310000, "no decision in time: the order may or may not be canceled; ask again"),
    (Denied(), 401, 40110000, "request is not authorized: unknown API key or wrong secret"),
]


@pytest.mark.parametrize(("outcome", "status", "code", "message"), OUTCOMES)
def test_every_outcome_has_alpacas_status_code_and_message(outcome: Any, status: int, code: int, message: str) -> None:
    """Word for word: clients read them. 429 and 503 say when to come again, rounded up."""
    error = error_of(outcome)
    assert (error.status, error.code, error.message) == (status, code, message)
    wait_s = "2" if isinstance(outcome, Unavailable) and outcome.retry_after_s > 1 else "1"
    assert error.headers == ({"Retry-After": wait_s} if status in (429, 503) else {})
    assert error.body().get("reject_reason", "") == (outcome.reason.name if isinstance(outcome, Refused) else "")


def test_a_store_that_is_behind_is_named_as_the_reason() -> None:
    """An operator's client can tell it from a broker that is away."""
    body = error_of(Unavailable(Cause.STORE_BEHIND, "behind", 5)).body()
    assert body == {"code": 50310000, "message": "behind", "reject_reason": "STORE_BEHIND"}


def test_every_order_status_and_event_has_alpacas_word() -> None:
    """An unknown word would break the SDK."""
    assert set(STATUS_TEXT) == {int(status) for status in OrdStatus}
    assert set(EVENT_TEXT) == set(OrderEvent)


@pytest.mark.parametrize(
    ("qty", "price"),
    [("5", "10.05"), ('"5"', '"10.05"'), ("5.0", "10.05"), ("5e0", "1.005e1"), ('"5.000"', '"10.0500"'), ("0.5e1", '"+10.05"')],
)
def test_a_number_is_read_exactly_however_it_is_written(qty: str, price: str) -> None:
    """10.05 is 1005 ticks; as a binary float it would not be."""
    order = parsed(GOOD.replace('"5"', qty).replace('"10.05"', price))
    assert (order.qty, order.price) == (5, 1005)
    assert (order.side, order.ord_type, order.time_in_force) == (Side.BUY, OrdType.LIMIT, TimeInForce.DAY)
    assert order.cl_ord_id == b"a"


def test_an_order_without_client_order_id_gets_a_uuid_and_null_means_absent() -> None:
    """As at Alpaca."""
    order = parsed(GOOD.replace('"client_order_id":"a"', '"client_order_id":null,"stop_price":null,"extended_hours":false,"unknown":[1]'))
    assert len(order.cl_ord_id) == 36
    assert order.cl_ord_id != parsed(GOOD.replace('"client_order_id":"a"', '"x":1')).cl_ord_id


def test_a_symbol_may_be_given_as_asset_id() -> None:
    """As at Alpaca."""
    assert parsed(GOOD.replace("AAPL", "a55e0000-0000-8000-8000-000000000002")).instrument.symbol == "MSFT"


BAD_NUMBERS = [
    "NaN", "Infinity", "-Infinity", "1_0", " 5", "5 ", "0x5", "", "five", "1e99", "9" * 25, "1" + "0" * 30, "\u0665", "1.0000000000000000000000001", "+-1",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_NUMBERS)
@pytest.mark.parametrize("field", ["qty", "limit_price"])
def test_a_text_that_is_no_plain_decimal_number_is_refused(field: str, text: str) -> None:
    """Python's Decimal would take several of these."""
    error = refused(GOOD.replace(f'"{field}":"5"', f'"{field}":"{text}"').replace(f'"{field}":"10.05"', f'"{field}":"{text}"'))
    assert error.status == 422
    assert field in error.message


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b'{"qty":NaN}', 400), (b'{"qty":Infinity}', 400), (b"\xff", 400), (b"null", 422), (b'"x"', 422), (b"[" * 5_000, 400),
     (b'{"qty":' + b"9" * 5_000 + b"}", 400)],
)  # fmt: skip
def test_bytes_that_are_no_order_object_are_refused(body: bytes, status: int) -> None:
    """400 where JSON ends, 422 behind it; never an exception of ours."""
    error = refused(body)
    assert error.status in {status, 422}
    assert error.status == status or b"9999" in body


def test_a_price_off_the_grid_names_the_tick() -> None:
    """Alpaca's words."""
    error = refused(GOOD.replace("10.05", "10.051"))
    assert (error.code, "0.01" in error.message, "sub-penny" in error.message) == (42210000, True, True)


def an_order(**changes: Any) -> Order:
    """A resting order."""
    values: dict[str, Any] = {
        "order_id": 7, "account": 1, "cl_ord_id": "a", "instrument": 1, "side": 1, "ord_type": 2, "time_in_force": 0, "order_qty": 5,
        "price": 1005, "leaves_qty": 5, "cum_qty": 0, "cum_cost": 0, "ord_status": 0, "submitted_at": 1_000_000_001, "updated_at": 2_000_000_000,
    }  # fmt: skip
    return Order(**{**values, **changes})


def test_an_order_is_written_as_alpaca_writes_it() -> None:
    """Decimal texts, nanosecond times, nulls where there is nothing."""
    written = order_json(an_order(), INSTRUMENTS)
    assert written["id"] == order_uuid(7)
    assert (written["qty"], written["limit_price"], written["filled_qty"], written["filled_avg_price"]) == ("5", "10.05", "0", None)
    assert written["submitted_at"] == "1970-01-01T00:00:01.000000001Z"
    assert (written["status"], written["type"], written["time_in_force"], written["side"]) == ("new", "limit", "day", "buy")
    assert order_json(an_order(price=0, ord_type=1), INSTRUMENTS)["limit_price"] is None


def test_an_average_price_is_exact_to_nine_decimals() -> None:
    """Three shares for 10.00, 10.00 and 10.01."""
    assert average_price_text(3_001, 3, INSTRUMENTS.by_number[1]) == "10.003333333"
    assert average_price_text(2_000, 2, INSTRUMENTS.by_number[1]) == "10"
    assert average_price_text(0, 0, INSTRUMENTS.by_number[1]) is None


def test_times_keep_their_nanoseconds() -> None:
    """There and back; dates and zones too."""
    for nanos in (0, 1, 1_700_000_000_123_456_789):
        assert parse_time_ns(rfc3339(nanos)) == nanos
    assert parse_time_ns("1970-01-02") == 86_400 * 10**9
    assert parse_time_ns("1970-01-01T01:00:00+01:00") == 0
    assert parse_time_ns("yesterday") is None
    assert parse_time_ns("2024-13-01") is None


def test_an_order_query_becomes_a_filter() -> None:
    """Every parameter; unknown symbols alone match nothing."""
    query = {"status": "all", "limit": "10", "after": "1970-01-02", "direction": "asc", "symbols": "AAPL,NOPE", "side": "sell"}
    wanted = parse_order_query(query, INSTRUMENTS)
    assert wanted == OrderFilter(10, 86_400 * 10**9, ascending=True, instruments=frozenset({1}), side=2, status="all")
    assert not wanted.admits(an_order(side=2))
    assert wanted.admits(an_order(side=2, submitted_at=86_400 * 10**9 + 1))
    assert parse_order_query({"symbols": ""}, INSTRUMENTS).admits(an_order())
    for nothing in ({"symbols": "NOPE"}, {"symbols": ","}, {"until": "1970-01-01"}):
        assert not parse_order_query({**nothing, "status": "all"}, INSTRUMENTS).admits(an_order(submitted_at=1))


def test_account_and_position_are_marked_at_the_reference_before_the_first_trade() -> None:
    """Two shares that cost 300.00, at 180.00."""
    view, market = AccountView(3, cash=1_000_000, cash_held=250_000), MarketView(INSTRUMENTS)
    view.positions[1] = Position(2, 1, 3_000_000)
    account = account_json(view, market)
    assert (account["cash"], account["buying_power"], account["equity"], account["long_market_value"]) == (
        "100.00",
        "75.00",
        "460.00",
        "360.00",
    )
    position = position_json(view.positions[1], market.symbols["AAPL"])
    assert (position["qty"], position["qty_available"], position["avg_entry_price"], position["unrealized_pl"]) == (
        "2",
        "1",
        "150",
        "60.00",
    )
    assert Decimal(position["unrealized_plpc"]) == Decimal("0.2")


def test_an_asset_tells_its_steps() -> None:
    """And an exchange that the SDK's closed list has."""
    asset = asset_json(INSTRUMENTS.by_number[1])
    assert (asset["symbol"], asset["class"], asset["exchange"], asset["price_increment"]) == ("AAPL", "us_equity", "", "0.01")
