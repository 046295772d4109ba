"""Orders over HTTP: what is answered, read, listed, replaced, canceled and refused."""

from typing import Any

import aiohttp
import pytest
from edge_session import Edge, ThinExchange, an_order, call, updates_of, wait_for, withdraw_all

from schemas.enums import Phase

pytestmark = pytest.mark.integration


async def test_an_order_is_answered_when_the_shard_has_it_and_can_be_read_listed_and_canceled(edge: Edge) -> None:
    """POST, GET by both ids, GET list, DELETE, and the money that is held meanwhile."""
    _, before, _ = await call(edge, 1, "GET", "/v2/account")
    status, order, headers = await call(edge, 1, "POST", "/v2/orders", an_order(qty=5.0, limit_price=10.05, client_order_id="first"))
    assert (status, order["status"], order["qty"], order["limit_price"], order["filled_qty"]) == (200, "new", "5", "10.05", "0")
    assert headers["X-Request-ID"] and int(headers["X-RateLimit-Remaining"]) > 0
    _, during, _ = await call(edge, 1, "GET", "/v2/account")
    assert float(before["buying_power"]) - float(during["buying_power"]) == pytest.approx(50.25)
    assert (await call(edge, 1, "GET", f"/v2/orders/{order['id']}"))[1] == order
    assert (await call(edge, 1, "GET", "/v2/orders:by_client_order_id?client_order_id=first"))[1] == order
    assert (await call(edge, 1, "GET", "/v2/orders"))[1] == [order]
    assert (await call(edge, 2, "GET", f"/v2/orders/{order['id']}"))[0] == 404, "nobody sees another account's order"
    assert (await call(edge, 2, "DELETE", f"/v2/orders/{order['id']}"))[0] == 404
    assert (await call(edge, 1, "DELETE", f"/v2/orders/{order['id']}"))[:2] == (204, None)

    async def is_canceled() -> bool:
        return bool((await call(edge, 1, "GET", f"/v2/orders/{order['id']}"))[1]["status"] == "canceled")

    await wait_for(is_canceled, "the order is canceled")
    status, body, _ = await call(edge, 1, "DELETE", f"/v2/orders/{order['id']}")
    assert (status, body["code"], body["reject_reason"]) == (422, 42210000, "TOO_LATE_TO_CANCEL")
    _, after, _ = await call(edge, 1, "GET", "/v2/account")
    assert after["buying_power"] == before["buying_power"]


async def test_the_same_client_order_id_returns_the_first_answer_and_another_body_is_refused(edge: Edge) -> None:
    """A client that saw no answer may ask again."""
    first = await call(edge, 3, "POST", "/v2/orders", an_order(client_order_id="again"))
    second = await call(edge, 3, "POST", "/v2/orders", an_order(client_order_id="again"))
    other = await call(edge, 3, "POST", "/v2/orders", an_order(client_order_id="again", qty="2"))
    assert first[0] == second[0] == 200
    assert first[1] == second[1]
    assert (other[0], other[1]["code"]) == (422, 40010001)
    assert "client_order_id must be unique" in other[1]["message"]


REFUSED = [
    ({"qty": "1000001", "limit_price": "20.00"}, 422, 40010001, "qty"),
    ({"qty": "90000", "limit_price": "100.00"}, 403, 40310000, "insufficient buying power"),
    ({"side": "sell", "qty": "1001"}, 403, 40310000, "available: 1000"),
    ({"symbol": "NOPE"}, 422, 40010001, 'asset "NOPE" not found'),
    ({"symbol": None}, 422, 40010001, "symbol is required"),
    ({"qty": "0"}, 422, 40010001, "qty must be > 0"),
    ({"qty": "-1"}, 422, 40010001, "qty must be > 0"),
    ({"qty": "1.5"}, 422, 40010001, "fractional"),
    ({"qty": "NaN"}, 422, 40010001, "qty must be a decimal number"),
    ({"qty": True}, 422, 40010001, "qty must be a number"),
    ({"qty": None, "notional": "100"}, 422, 40010001, "notional"),
    ({"limit_price": "10.001"}, 422, 42210000, "sub-penny"),
    ({"limit_price": None}, 422, 40010001, "limit orders require limit price"),
    ({"type": "market"}, 422, 40010001, "market orders require no stop or limit price"),
    ({"type": "stop"}, 422, 40010001, "limit_price does not go with stop orders"),
    ({"time_in_force": "gtx"}, 422, 40010001, 'invalid time_in_force "gtx"'),
    ({"qty": "1000", "display_qty": "1"}, 422, 40010001, "display_qty must be"),
    ({"min_qty": "2"}, 422, 40010001, "min_qty must be"),
    ({"time_in_force": "ioc", "post_only": True}, 422, 42210000, "not allowed for this order type"),
    ({"post_only": True, "post_only_slide": True}, 422, 42210000, "contradict each other"),
    ({"time_in_force": "gtd", "expire_time": "2020-01-01"}, 422, 40010001, "expire_time must be in the future"),
    (
        {"type": "trailing_stop", "limit_price": None, "trail_percent": "1", "time_in_force": "opg"},
        422,
        42210000,
        "not allowed for this order type",
    ),
    ({"symbol": "NVDA", "side": "sell", "locate": True, "limit_price": "100"}, 403, 40310000, "may not sell short"),
    (
        {"order_class": "oto", "type": "pegged", "limit_price": None, "peg_price_type": "primary", "stop_loss": {"stop_price": "1"}},
        422,
        40010001,
        "do not form a list",
    ),
    (
        {"order_class": "oto", "qty": "90000", "limit_price": "100", "take_profit": {"limit_price": "101"}},
        403,
        40310000,
        "insufficient buying power",
    ),
    (
        {"order_class": "oto", "qty": "1000", "limit_price": "100", "take_profit": {"limit_price": "101", "client_order_id": "taken"}},
        422,
        40010001,
        "must be unique: it belongs to another order (order 2 of the list)",
    ),
    (
        {"type": "market", "limit_price": None, "time_in_force": "gtd", "expire_time": "2099-01-01"},
        422,
        42210000,
        "time_in_force is not allowed for",
    ),
    ({"client_order_id": "x" * 129}, 422, 40010001, "client_order_id"),
    ({"order_class": "bracket"}, 422, 40010001, "bracket orders require take_profit and stop_loss"),
    ({"order_class": "mleg"}, 422, 40010001, "order_class"),
]


@pytest.mark.parametrize(("changes", "status", "code", "text"), REFUSED, ids=[str(case[0]) for case in REFUSED])
async def test_a_refusal_names_what_is_wrong_and_changes_nothing(
    edge: Edge, changes: dict[str, Any], status: int, code: int, text: str
) -> None:
    """Alpaca's code and a precise message; the account is as before."""
    assert (await call(edge, 4, "POST", "/v2/orders", an_order(client_order_id="taken")))[0] == 200
    before = (await call(edge, 4, "GET", "/v2/account"))[1]
    got, body, _ = await call(edge, 4, "POST", "/v2/orders", an_order(**changes))
    assert (got, body["code"]) == (status, code), body
    assert text in body["message"]
    after = (await call(edge, 4, "GET", "/v2/account"))[1]
    assert (after["cash"], after["buying_power"]) == (before["cash"], before["buying_power"])


BAD_BODIES = [
    (b"{", 400),
    (b"", 400),
    (b'{"qty": NaN}', 400),
    (b'{"qty": 1e999, "symbol": "AAPL"}', 422),
    (b"[]", 422),
    (b"7", 422),
    (b"\xff\xfe", 400),
]


@pytest.mark.parametrize(("data", "status"), BAD_BODIES)
async def test_a_body_that_is_no_order_is_refused_in_json(edge: Edge, data: bytes, status: int) -> None:
    """400 where it is not JSON, 422 where it is something else."""
    got, body, _ = await call(edge, 4, "POST", "/v2/orders", data=data)
    assert got == status
    assert isinstance(body["code"], int)


async def test_an_oversized_body_an_unknown_path_and_a_wrong_key_get_json_errors(edge: Edge) -> None:
    """413, 404, 405, 401."""
    assert (await call(edge, 4, "POST", "/v2/orders", data=b"x" * 70_000))[0] == 413
    assert (await call(edge, 4, "GET", "/v2/nothing"))[1] == {"code": 40400000, "message": "endpoint not found"}
    assert (await call(edge, 4, "PUT", "/v2/orders"))[0] == 405
    status, body, headers = await call(edge, 77, "GET", "/v2/account")
    assert (status, body["code"]) == (401, 40110000)
    assert headers["X-Request-ID"]
    status, body, _ = await call(edge, 99, "GET", "/v2/account")
    assert (status, body["reject_reason"]) == (403, "UNKNOWN_ACCOUNT"), "a key of an account that was never opened"


async def test_a_replaced_order_keeps_its_id_and_is_answered_as_the_book_has_it(edge: Edge, thin: ThinExchange) -> None:
    """New terms in the answer and in the stream; the hold follows; what is refused names its reason and changes nothing."""
    _, order, _ = await call(edge, 30, "POST", "/v2/orders", an_order(qty="5", limit_price="100", client_order_id="rep"))
    path = f"/v2/orders/{order['id']}"
    await call(edge, 30, "POST", "/v2/orders", an_order(symbol="MSFT", side="sell", qty="1", limit_price="499", client_order_id="other"))
    async with updates_of(edge, 30) as updates:
        status, changed, _ = await call(edge, 30, "PATCH", path, {"qty": "7", "limit_price": 101.5})
        assert (status, changed["id"], changed["client_order_id"]) == (200, order["id"], "rep"), changed
        assert (changed["qty"], changed["limit_price"], changed["status"]) == ("7", "101.5", "new")
        assert changed["replaced_at"]
        assert [one["event"] for one in await updates(2)] == ["pending_replace", "replaced"]
        _, account, _ = await call(edge, 30, "GET", "/v2/account")
        assert account["cash_held"] == "710.50"
        for body, wanted in (
            ({"limit_price": "100", "qty": "90000"}, (403, 40310000, "INSUFFICIENT_BUYING_POWER")),
            ({"stop_price": "100"}, (422, 42210000, "CANNOT_CHANGE")),
            ({}, (422, 40010001, None)),
            ({"client_order_id": "x" * 129}, (422, 40010001, None)),
            ({"client_order_id": "other"}, (422, 40010001, "DUPLICATE_CL_ORD_ID")),
        ):
            status, error, _ = await call(edge, 30, "PATCH", path, body)
            assert (status, error["code"], error.get("reject_reason")) == wanted, error
        status, named, _ = await call(edge, 30, "PATCH", path, {"client_order_id": "rep-2", "qty": "6"})
        assert (status, named["id"], named["client_order_id"], named["qty"]) == (200, order["id"], "rep-2", "6"), named
        told = (await updates(4))[2:]  # behind what the book refused above
        assert [(one["event"], one["order"]["client_order_id"]) for one in told] == [("pending_replace", "rep"), ("replaced", "rep-2")]
        assert (await call(edge, 30, "GET", "/v2/orders:by_client_order_id?client_order_id=rep-2"))[1]["id"] == order["id"]
        again = await call(edge, 30, "POST", "/v2/orders", an_order(qty="5", limit_price="100", client_order_id="rep"))
        assert (again[0], again[1]["id"], again[1]["client_order_id"]) == (200, order["id"], "rep-2"), (
            "the first order again, not a second one"
        )
        assert (await call(edge, 31, "PATCH", path, {"qty": "1"}))[0] == 404, "nobody replaces another account's order"
        assert (await call(edge, 30, "DELETE", path))[0] == 204

        async def is_canceled() -> bool:
            return bool((await call(edge, 30, "GET", path))[1]["status"] == "canceled")

        await wait_for(is_canceled, "the order is canceled")
    status, error, _ = await call(edge, 30, "PATCH", path, {"qty": "1"})
    assert (status, error["message"]) == (422, 'order is already in "canceled" state')


async def test_an_order_that_cannot_be_done_at_once_ends_with_its_reason(edge: Edge) -> None:
    """FOK, minimum, post-only: accepted, then ended by the book, and the stream says why."""
    await call(edge, 32, "POST", "/v2/orders", an_order(symbol="MSFT", side="sell", qty="2", limit_price="408"))
    taking: dict[str, Any] = {"symbol": "MSFT", "qty": "5", "limit_price": "408"}
    kinds: dict[str, dict[str, Any]] = {
        "FILL_OR_KILL": {"time_in_force": "fok"}, "MIN_QTY_NOT_AVAILABLE": {"min_qty": "3"}, "POST_ONLY_WOULD_TAKE": {"post_only": True},
    }  # fmt: skip
    async with updates_of(edge, 33) as updates:
        for reason, fields in kinds.items():
            status, order, _ = await call(edge, 33, "POST", "/v2/orders", an_order(**taking, **fields))
            assert status == 200, order
            new, ended = await updates(2)
            assert (new["event"], ended["event"] in ("canceled", "rejected"), ended["reason"]) == ("new", True, reason)
            assert ended["order"]["reject_reason"] == reason
    assert (await call(edge, 33, "GET", "/v2/orders"))[1] == []
    await withdraw_all(edge, 32)


async def test_what_the_book_does_not_take_in_its_phase_is_refused_by_post(edge: Edge, thin: ThinExchange) -> None:
    """With the book's reason, and again if it is sent again; the stream tells it too, and nothing stays open."""
    async with updates_of(edge, 34) as updates:
        for _ in range(2):
            opening = an_order(symbol="MSFT", time_in_force="opg", client_order_id="at the open")
            status, error, _ = await call(edge, 34, "POST", "/v2/orders", opening)
            assert (status, error["reject_reason"]) == (403, "NOT_IN_THIS_PHASE")
        assert [update["event"] for update in await updates(2)] == ["new", "rejected"]
    await thin.change_phase(Phase.CLOSED)

    async def is_open() -> bool:
        return bool((await call(edge, 34, "GET", "/v2/clock"))[1]["is_open"])

    async def is_closed() -> bool:
        return not await is_open()

    await wait_for(is_closed, "the edge has heard that the market is closed")
    for order in (an_order(symbol="MSFT"), an_order(symbol="MSFT", time_in_force="gtc")):
        status, error, _ = await call(edge, 34, "POST", "/v2/orders", order)
        assert (status, error["reject_reason"]) == (403, "MARKET_CLOSED")
    assert (await call(edge, 34, "GET", "/v2/orders"))[1] == []
    await thin.change_phase(Phase.CONTINUOUS)
    await wait_for(is_open, "the edge has heard that the market is open")
    status, order, _ = await call(edge, 34, "POST", "/v2/orders", an_order(symbol="MSFT"))
    assert (status, order["status"]) == (200, "new")
    await withdraw_all(edge, 34)


async def test_a_market_order_as_alpacas_clients_send_it_trades(edge: Edge) -> None:
    """Good till canceled, by Basic authentication, with the price that the book has."""
    await call(edge, 36, "POST", "/v2/orders", an_order(symbol="MSFT", side="sell", qty="2", limit_price="409"))
    auth = aiohttp.encode_basic_auth("KEY35", "secret-35")
    body = an_order(symbol="MSFT", qty="2", type="market", limit_price=None)
    async with updates_of(edge, 35) as updates, aiohttp.ClientSession(headers={"Authorization": auth}) as http:
        async with http.post(edge.url + "/v2/orders", json=body) as response:
            order = await response.json()
            assert (response.status, order["type"], order["time_in_force"]) == (200, "market", "day"), order
        assert [one["event"] for one in await updates(2)] == ["new", "fill"]


async def test_cancel_all_answers_207_with_a_status_for_each(edge: Edge) -> None:
    """Every open order of the account, nobody else's."""
    placed = [(await call(edge, 10, "POST", "/v2/orders", an_order()))[1]["id"] for _ in range(3)]
    status, results, _ = await call(edge, 10, "DELETE", "/v2/orders")
    assert status == 207
    assert sorted((one["id"], one["status"]) for one in results) == sorted((order_id, 200) for order_id in placed)

    async def none_open() -> bool:
        return bool((await call(edge, 10, "GET", "/v2/orders"))[1] == [])

    await wait_for(none_open, "all orders are canceled")
    closed = (await call(edge, 10, "GET", "/v2/orders?status=closed&direction=asc"))[1]
    assert [one["id"] for one in closed] == placed
    assert len((await call(edge, 10, "GET", "/v2/orders?status=all&limit=2"))[1]) == 2


async def test_lists_assets_and_the_clock_are_filtered_and_checked(edge: Edge) -> None:
    """Parameters that cannot be are 422 with their name."""
    for query in ("status=x", "limit=0", "limit=501", "limit=a", "direction=up", "after=yesterday", "side=x"):
        status, body, _ = await call(edge, 1, "GET", f"/v2/orders?{query}")
        assert (status, body["code"]) == (422, 40010001), query
        assert query.split("=")[0] in body["message"]
    assets = (await call(edge, 1, "GET", "/v2/assets?status=active"))[1]
    assert [one["symbol"] for one in assets] == sorted(one["symbol"] for one in assets)
    assert (await call(edge, 1, "GET", "/v2/assets?asset_class=us_option"))[1] == []
    assert (await call(edge, 1, "GET", f"/v2/assets/{assets[0]['id']}"))[1] == assets[0]
    clock = (await call(edge, 1, "GET", "/v2/clock"))[1]
    assert clock["is_open"] is True
    assert clock["next_close"] > clock["timestamp"]
