"""The edge as a process against a real Kafka, MariaDB and Valkey: orders, streams, market data, bad input, services that go away.

Behind it stands the thin exchange of edge_session.py. The whole pipeline is tested in test_alpaca_py.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import aiohttp
import msgpack
import pytest
from edge_session import SHARDS, WAIT_S, Edge, Gate, ThinExchange, an_order, call, key_of, wait_for
from support.alert_records import whole
from support.book_session import MS, OWN, frames, session

from access.people import Role
from schemas.codec import Header, encode_frame
from schemas.enums import Phase
from schemas.ids import order_uuid
from schemas.instruments import load_instruments
from schemas.settings import Settings
from sinks import Input
from sinks.mysql.api_keys import insert_api_keys
from sinks.mysql.pool import MySql
from sinks.mysql.schema import apply_schema
from sinks.mysql.sink import MySqlSink
from streams.operate.topics import create_topics
from streams.operate.users import make_token, put_person
from streams.services.local_set import LocalSet
from surveillance.cases.desk import decide
from topics.catalogue import EXECUTIONS

pytestmark = pytest.mark.integration

CASH = 1_000_000 * 10_000
ACCOUNTS = range(1, 41)


@pytest.fixture(scope="module")
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A Kafka of their own: the edge's topics have fixed names, and other tests run whole exchanges on theirs."""
    local = LocalSet(Settings(home=tmp_path_factory.mktemp("edge"), account_shards=SHARDS, book_shards=SHARDS))
    with local.running(services=("kafka", "mariadb", "valkey")) as settings:
        create_topics(settings)
        yield settings


@pytest.fixture(scope="module")
async def thin(own_services: Settings) -> AsyncIterator[ThinExchange]:
    """The exchange behind the edge, open, with accounts that have money and shares, and their API keys."""
    db = await MySql.connect(own_services.mysql_url)
    await apply_schema(db)
    await insert_api_keys(db, [(f"KEY{n}", sha256(f"secret-{n}".encode()).hexdigest(), n) for n in (*ACCOUNTS, 99)])
    await db.close()
    exchange = ThinExchange(own_services)
    for account in ACCOUNTS:
        exchange.open_account(account, CASH, {1: 1_000, 2: 1_000})
    running = asyncio.create_task(exchange.run())
    await exchange.producer.start()
    await exchange.change_phase(Phase.CONTINUOUS)
    yield exchange
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


Gates = dict[str, Gate]


@pytest.fixture(scope="module")
async def gates(own_services: Settings) -> AsyncIterator[Gates]:
    """The ways from the edge to its stores, open."""
    made = {"mysql": Gate(own_services.mysql_url), "redis": Gate(own_services.redis_url)}
    for gate in made.values():
        await gate.open()
    yield made
    for gate in made.values():
        await gate.shut()


@pytest.fixture(scope="module")
async def analyst(own_services: Settings) -> str:
    """The token of somebody who may read alerts."""
    await asyncio.to_thread(put_person, own_services, "ann", "a few plain words", frozenset({Role.ANALYST}))
    return (await asyncio.to_thread(make_token, own_services, "ann", frozenset({Role.ANALYST}), read_only=True, days=1, label=""))[1]


@pytest.fixture(scope="module")
async def edge(own_services: Settings, thin: ThinExchange, gates: Gates) -> AsyncIterator[Edge]:
    """The edge, ready; its stores are behind gates."""
    process = Edge(own_services, OUTCRY_MYSQL_URL=gates["mysql"].url, OUTCRY_REDIS_URL=gates["redis"].url)
    try:
        await process.wait_until_ready()
        yield process
    finally:
        process.stop()


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


async def test_a_trade_reaches_positions_the_stream_and_market_data_of_both_encodings(edge: Edge) -> None:
    """Two accounts trade; both see their own side, everybody sees the print, once."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(edge.url + "/stream") as stream,
        http.ws_connect(edge.url + "/v2/iex") as as_json,
        http.ws_connect(edge.url + "/v2/iex", headers={"Content-Type": "application/msgpack"}) as packed,
    ):
        await stream.send_json({"action": "authenticate", "data": {"key_id": "KEY5", "secret_key": "secret-5"}})
        assert json.loads((await stream.receive()).data)["data"] == {"status": "authorized", "action": "authenticate"}
        await stream.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        assert json.loads((await stream.receive()).data) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        for ws, encode, decode in ((as_json, json.dumps, json.loads), (packed, msgpack.packb, lambda data: msgpack.unpackb(data))):
            assert decode((await ws.receive()).data) == [{"T": "success", "msg": "connected"}]
            await _send(ws, encode({"action": "auth", "key": "KEY5", "secret": "secret-5"}))
            assert decode((await ws.receive()).data) == [{"T": "success", "msg": "authenticated"}]
            await _send(ws, encode({"action": "subscribe", "trades": ["MSFT"], "quotes": ["*"]}))
            assert decode((await ws.receive()).data)[0]["trades"] == ["MSFT"]
        await call(edge, 6, "POST", "/v2/orders", an_order(symbol="MSFT", side="sell", qty="10", limit_price="400.10"))
        _, bought, _ = await call(edge, 5, "POST", "/v2/orders", an_order(symbol="MSFT", qty="4", limit_price="401"))
        events = [json.loads((await asyncio.wait_for(stream.receive(), WAIT_S)).data)["data"] for _ in range(2)]
        assert [event["event"] for event in events] == ["new", "fill"]
        assert events[0]["order"]["id"] == events[1]["order"]["id"] == bought["id"]
        assert (events[1]["price"], events[1]["qty"], events[1]["position_qty"]) == ("400.1", "4", "1004")
        assert events[1]["order"]["filled_avg_price"] == "400.1"
        in_json = await _next_message(as_json, "t", json.loads)
        in_msgpack = await _next_message(packed, "t", msgpack.unpackb)
        assert (in_json["p"], in_json["s"], in_json["S"]) == (400.1, 4, "MSFT")
        assert in_msgpack["t"].to_unix_nano() > 0
        assert in_json["t"].endswith("Z")
        assert len(in_json["t"]) == len("2026-01-02T03:04:05.000000006Z")
        assert in_msgpack["i"] == in_json["i"]
    _, position, _ = await call(edge, 5, "GET", "/v2/positions/MSFT")
    assert (position["qty"], position["current_price"]) == ("1004", "400.10")
    assert (await call(edge, 5, "GET", "/v2/positions/TSLA"))[0] == 404
    await withdraw_all(edge, 6)


async def withdraw_all(edge: Edge, account: int) -> None:
    """Nothing of the account is left in the books that the tests share."""
    await call(edge, account, "DELETE", "/v2/orders")

    async def is_empty() -> bool:
        return bool((await call(edge, account, "GET", "/v2/orders"))[1] == [])

    await wait_for(is_empty, "every order of the account is canceled")


async def _send(ws: aiohttp.ClientWebSocketResponse, data: str | bytes) -> None:
    await (ws.send_str(data) if isinstance(data, str) else ws.send_bytes(data))


async def _next_message(ws: aiohttp.ClientWebSocketResponse, kind: str, decode: Any) -> dict[str, Any]:
    """The next message of a kind."""
    while True:
        received = await asyncio.wait_for(ws.receive(), WAIT_S)
        assert received.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), received
        for message in decode(received.data):
            if message["T"] == kind:
                found: dict[str, Any] = message
                return found


async def test_a_client_that_resumes_sees_every_trade_exactly_once(edge: Edge) -> None:
    """Trades of a time without connection come first, the live ones behind them, seq dense; what is not kept is told as a gap."""

    async def trade(count: int) -> None:
        for _ in range(count):
            await call(
                edge, 7, "POST", "/v2/orders", an_order(symbol="NVDA", side="sell", limit_price="120", symbol_=None) | {"symbol": "AAPL"}
            )
            await call(edge, 8, "POST", "/v2/orders", an_order(side="buy", limit_price="120"))

    seen: list[int] = []

    async def read(ws: aiohttp.ClientWebSocketResponse, count: int) -> None:
        while count:
            for message in json.loads((await asyncio.wait_for(ws.receive(), WAIT_S)).data):
                if message["T"] == "t":
                    seen.append(message["seq"])
                    count -= 1

    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(edge.url + "/ws/public-prices") as ws:
            await ws.send_json({"action": "subscribe", "trades": ["AAPL"]})
            await _next_message(ws, "subscription", json.loads)
            await trade(3)
            await read(ws, 3)
        await trade(4)
        async with http.ws_connect(edge.url + "/ws/public-prices") as ws:
            await ws.send_json({"action": "subscribe", "trades": ["AAPL"], "resume": {"AAPL": seen[-1]}})
            await trade(2)
            await read(ws, 6)
    assert seen == list(range(seen[0], seen[0] + 9))


async def test_market_data_speaks_alpacas_error_codes(edge: Edge) -> None:
    """Syntax, before authentication, wrong key, twice."""
    async with aiohttp.ClientSession() as http:

        async def ask(ws: aiohttp.ClientWebSocketResponse, text: str) -> Any:
            await ws.send_str(text)
            return json.loads((await asyncio.wait_for(ws.receive(), WAIT_S)).data)[0]

        async with http.ws_connect(edge.url + "/v2/iex") as ws:
            await ws.receive()
            assert (await ask(ws, "{"))["code"] == 400
            assert (await ask(ws, '{"action": "subscribe", "trades": ["AAPL"]}'))["code"] == 401
            assert (await ask(ws, '{"action": "auth", "key": "KEY1", "secret": "wrong"}'))["code"] == 402
            assert (await ws.receive()).type == aiohttp.WSMsgType.CLOSE
        async with http.ws_connect(edge.url + "/v2/iex") as ws:
            await ws.receive()
            assert (await ask(ws, '{"action": "auth", "key": "KEY1", "secret": "secret-1"}'))["msg"] == "authenticated"
            assert (await ask(ws, '{"action": "auth", "key": "KEY1", "secret": "secret-1"}'))["code"] == 403
            assert (await ask(ws, '{"action": "subscribe", "trades": "AAPL"}'))["code"] == 400
            await ws.send_str('{"action": "subscribe", "trades": ["AAPL"], "news": ["AAPL"]}')
            confirmed, absent = json.loads((await asyncio.wait_for(ws.receive(), WAIT_S)).data)
            assert (confirmed["trades"], absent["code"]) == (["AAPL"], 410), "the rest of the message holds"
            assert (await ask(ws, '{"action": "dance"}'))["code"] == 400


@asynccontextmanager
async def updates_of(edge: Edge, account: int) -> AsyncIterator[Any]:
    """A function that waits for the account's next trade_updates, as many as it is asked for: their data."""
    async with aiohttp.ClientSession() as http, http.ws_connect(edge.url + "/stream") as stream:
        await stream.send_json({"action": "auth", "key": f"KEY{account}", "secret": f"secret-{account}"})
        await stream.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        for _ in range(2):
            await asyncio.wait_for(stream.receive(), WAIT_S)

        async def next_updates(count: int) -> list[dict[str, Any]]:
            return [json.loads((await asyncio.wait_for(stream.receive(), WAIT_S)).data)["data"] for _ in range(count)]

        yield next_updates


async def test_a_stop_is_dormant_until_a_trade_elects_it(edge: Edge) -> None:
    """A buy stop, elected by other accounts' trade, executes; the stream says triggered in between."""
    status, stop, _ = await call(edge, 17, "POST", "/v2/orders", an_order(type="stop", stop_price="200", limit_price=None))
    assert (status, stop["type"], stop["stop_price"], stop["limit_price"], stop["status"]) == (200, "stop", "200", None, "new")
    async with updates_of(edge, 17) as updates:
        await call(edge, 18, "POST", "/v2/orders", an_order(side="sell", qty="3", limit_price="200.5"))
        await call(edge, 19, "POST", "/v2/orders", an_order(qty="1", limit_price="200.5"))
        triggered, fill = await updates(2)
    assert (triggered["event"], fill["event"], fill["order"]["id"], fill["price"]) == ("triggered", "fill", stop["id"], "200.5")
    await withdraw_all(edge, 18)


async def test_a_bracket_is_held_then_at_work_and_ends_as_a_pair(edge: Edge) -> None:
    """Legs in the answer; held until the first is filled; the take-profit's fill cancels the stop-loss. Sent again it is the same list."""
    body = an_order(
        symbol="MSFT", qty="4", limit_price="405", order_class="bracket", client_order_id="br",
        take_profit={"limit_price": "415"}, stop_loss={"stop_price": "395", "limit_price": "394"},
    )  # fmt: skip
    async with updates_of(edge, 20) as updates:
        status, first, _ = await call(edge, 20, "POST", "/v2/orders", body)
        assert (status, first["order_class"], first["status"]) == (200, "bracket", "new"), first
        profit, loss = first["legs"]
        assert (profit["type"], profit["side"], profit["limit_price"], profit["status"]) == ("limit", "sell", "415", "held")
        assert (loss["type"], loss["stop_price"], loss["limit_price"], loss["status"]) == ("stop_limit", "395", "394", "held")
        assert [one["event"] for one in await updates(3)] == ["new", "held", "held"]
        assert (await call(edge, 20, "POST", "/v2/orders", body))[1] == first
        flat = (await call(edge, 20, "GET", "/v2/orders?direction=asc"))[1]
        assert [one["id"] for one in flat] == [first["id"], profit["id"], loss["id"]]
        assert (await call(edge, 20, "GET", "/v2/orders?nested=true"))[1] == [first]
        assert (await call(edge, 20, "GET", f"/v2/orders/{first['id']}?nested=true"))[1] == first
        await call(edge, 21, "POST", "/v2/orders", an_order(symbol="MSFT", side="sell", qty="4", limit_price="405"))
        woken = {(one["event"], one["order"]["id"]) for one in await updates(3)}
        assert woken == {("fill", first["id"]), ("new", profit["id"]), ("new", loss["id"])}
        await call(edge, 21, "POST", "/v2/orders", an_order(symbol="MSFT", qty="4", limit_price="415"))
        ended = {(one["event"], one["order"]["id"]): one.get("reason") for one in await updates(2)}
    assert ended == {("fill", profit["id"]): None, ("canceled", loss["id"]): "LINKED_ORDER"}


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


# ---- alerts


def an_alert(number: int, pattern: str, instrument: int, account: int) -> dict[str, Any]:
    """A record of alert.avsc, detected `number` seconds after another."""
    at = 1_800_000_000_000_000_000 + number * 1_000_000_000
    layer = {
        "role": "LAYER",
        "order_id": 40 + number,
        "side": "SELL",
        "price": 18_005,
        "qty": 30,
        "traded_qty": 0,
        "placed_at": at - 9,
        "ended_at": 0,
    }
    trade = {**layer, "role": "EXECUTION", "order_id": 41 + number, "side": "BUY", "traded_qty": 30, "ended_at": at}
    return whole({
        "alert_id": f"alert-{number}", "pattern": pattern, "instrument": instrument, "symbol": "", "account": account, "side": "SELL",
        "score": 0.5 + number / 100, "explanation": f"it's \"{number}\" – see there", "window_start": at - 9, "window_end": at,
        "detected_at": at, "source": f"executions/0@{number}", "evidence": [layer, trade],
    })  # fmt: skip


async def test_alerts_are_listed_newest_first_filtered_and_read_one_by_one(own_services: Settings, edge: Edge, analyst: str) -> None:
    """Rows as the sink stores them; filters combine; limit counts what has passed them."""
    rows = [("LAYERING", 1, 3), ("LAYERING", 2, 3), ("SPOOFING", 1, 3), ("LAYERING", 1, 4), ("SPOOFING", 2, 5)]
    sink = await MySqlSink.connect(own_services.mysql_url, load_instruments(None))
    await sink.write_batch([Input("alerts", 0, n, an_alert(n, *row)) for n, row in enumerate(rows)])
    await sink.close()

    async def ids(query: str) -> list[int]:
        status, body, _ = await call(edge, 1, "GET", f"/surveillance/alerts?{query}", token=analyst)
        assert status == 200, body
        return [int(one["alert_id"].removeprefix("alert-")) for one in body]

    cases = {
        "": [4, 3, 2, 1, 0], "limit=2": [4, 3], "pattern=LAYERING": [3, 1, 0], "symbol=AAPL": [3, 2, 0], "account=3": [2, 1, 0],
        "pattern=LAYERING&symbol=AAPL&account=3": [0], "pattern=LAYERING&limit=1": [3], "account=77": [], "pattern=layering": [],
        "pattern=%C3%A9": [], "pattern=&symbol=&account=": [4, 3, 2, 1, 0],
    }  # fmt: skip
    assert {query: await ids(query) for query in cases} == cases
    listed = (await call(edge, 1, "GET", "/surveillance/alerts?limit=1&account=4", token=analyst))[1]
    status, alert, _ = await call(edge, 1, "GET", "/surveillance/alerts/alert-3", token=analyst)
    assert (status, [alert]) == (200, listed)
    assert (alert["symbol"], alert["side"], alert["score"], alert["explanation"]) == ("AAPL", "sell", 0.53, 'it\'s "3" – see there')
    assert alert["detected_at"] == "2027-01-15T08:00:03.000000000Z"
    layer, trade = alert["evidence"]
    assert (layer["order_id"], layer["price"], layer["qty"], layer["ended_at"]) == (order_uuid(43), "180.05", "30", None)
    assert (trade["role"], trade["traded_qty"], trade["ended_at"]) == ("EXECUTION", "30", alert["detected_at"])
    for unknown in ("alert-99", "%C3%A9", "'%20OR%20''='"):
        status, body, _ = await call(edge, 1, "GET", f"/surveillance/alerts/{unknown}", token=analyst)
        assert (status, body["code"]) == (404, 40410000), unknown


async def test_two_edges_agree_on_a_case_and_replay_the_book_from_the_log(own_services: Settings, edge: Edge, thin: ThinExchange) -> None:
    """The log decides: who opens second is told so by whichever edge, and an edge that starts later knows all of it."""
    offsets = [
        await thin.write(EXECUTIONS.name, 0, encode_frame("execution_frame", Header("book.commands/0", offset, first_seq=first_seq), rows))
        for offset, rows, first_seq, _ in frames(session())
    ]
    alert = {**an_alert(7, "LAYERING", 1, OWN), "window_start": 90 * MS, "window_end": 100 * MS, "source": f"executions/0@{offsets[-1]}"}
    sink = await MySqlSink.connect(own_services.mysql_url, load_instruments(None), decide)
    await sink.write_batch([Input("alerts", 0, 70, alert)])
    await sink.close()
    workers = {}
    for name in ("bob", "sue"):
        await asyncio.to_thread(put_person, own_services, name, "a few plain words", frozenset({Role.ANALYST}))
        workers[name] = (
            await asyncio.to_thread(make_token, own_services, name, frozenset({Role.ANALYST}), read_only=False, days=1, label="")
        )[1]
    opening = {"alerts": ["alert-7"], "comment": "odd"}
    status, file, _ = await call(edge, 1, "POST", "/surveillance/cases", opening, token=workers["bob"])
    assert (status, file["case"]["owner"]) == (201, "bob")
    status, book, _ = await call(edge, 1, "GET", "/surveillance/alerts/alert-7/book", token=workers["bob"])
    assert (status, book["complete"], book["full"]) == (200, offsets[0] == 0, False)
    assert len(book["steps"]) > 50
    assert {account for step in book["steps"] for event in step["events"] for account in event.get("own", [])} == {OWN}
    later = Edge(own_services)
    try:
        await later.wait_until_ready()
        at = f"/surveillance/cases/{file['case']['case_id']}"
        status, body, _ = await call(later, 1, "POST", "/surveillance/cases", opening, token=workers["sue"])
        assert (status, body["refusal"], body["version"]) == (409, "CHANGED", 1)
        note = {"action": "NOTE", "version": 1, "comment": "from another edge"}
        assert (await call(later, 1, "POST", f"{at}/actions", note, token=workers["bob"]))[0] == 200

        async def is_told() -> bool:
            return bool((await call(edge, 1, "POST", f"{at}/actions", note, token=workers["bob"]))[1].get("version") == 2)

        await wait_for(is_told, "the first edge has heard of it")
    finally:
        later.stop()


# ---- stores that go away


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
