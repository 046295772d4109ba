"""What is told over WebSockets: an account's own orders, and market data in both encodings."""

import asyncio
import json
from typing import Any

import aiohttp
import msgpack
import pytest
from edge_session import WAIT_S, Edge, an_order, call, updates_of, withdraw_all

pytestmark = pytest.mark.integration


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
