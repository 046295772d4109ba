"""Heartbeats of market data: a client that has asked for them notices a connection that is mute, and hears when the edge itself hears nothing."""

import json
from typing import Any

import aiohttp
import msgpack
import pytest
from support.served_edge import WAIT_S, Served, served

from edge.alpaca.market_data import hub
from edge.alpaca.market_data.subscriptions import JSON, MSGPACK, Encoding


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come as fast as the timer wheel turns."""
    monkeypatch.setattr(hub, "HEARTBEAT_EVERY_S", 0.01)


async def told(ws: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of its kind."""
    while True:
        message = await ws.receive(WAIT_S)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        text = message.type is aiohttp.WSMsgType.TEXT
        for one in json.loads(message.data) if text else msgpack.unpackb(message.data, timestamp=2):
            if one["T"] == kind:
                return one


async def begin(here: Served, encoding: Encoding = JSON, **wanted: Any) -> aiohttp.ClientWebSocketResponse:
    """A client that has subscribed to this."""
    headers = {"Content-Type": "application/msgpack"} if encoding is MSGPACK else {}
    ws = await here.client.ws_connect("/ws/public-prices", headers=headers)
    await ws.send_bytes(msgpack.packb({"action": "subscribe", **wanted})) if encoding is MSGPACK else await ws.send_json(
        {"action": "subscribe", **wanted}
    )
    return ws


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_who_asks_for_heartbeats_gets_them_though_nothing_trades(encoding: Encoding) -> None:
    """One after the other, each with its time; to the others nothing is added."""
    async with served() as here:
        ws, other = await begin(here, encoding, heartbeats=True), await begin(here, encoding, trades=["AAPL"])
        assert (await told(ws, "subscription"))["heartbeats"] is True
        assert "heartbeats" not in await told(other, "subscription")
        times = [(await told(ws, "heartbeat"))["t"] for _ in range(3)]
        assert times == sorted(set(times))
        assert [len(topic.subscribers) for key, topic in here.hub._topics.items() if key[1] == "heartbeats"] == [1]


async def test_a_heartbeat_says_whether_the_edge_hears_the_market() -> None:
    """It goes on beating: connecting again would not help the client."""
    async with served() as here:
        here.gateway.kafka_problem = ""
        ws = await begin(here, heartbeats=True)
        assert (await told(ws, "heartbeat"))["live"] is True
        here.gateway.kafka_problem = "no broker answers"
        while (await told(ws, "heartbeat"))["live"]:
            pass
        here.gateway.kafka_problem = ""
        while not (await told(ws, "heartbeat"))["live"]:
            pass


async def test_heartbeats_end_when_they_are_not_wanted_any_more_and_begin_again() -> None:
    """Also after everybody had left: the wheel that made them beat has stood still."""
    async with served() as here:
        for _ in range(2):
            ws = await begin(here, heartbeats=True)
            await told(ws, "heartbeat")
            await ws.send_json({"action": "unsubscribe", "heartbeats": True})
            while "heartbeats" in await told(ws, "subscription"):
                pass
            assert not here.hub._topics
            await ws.close()


@pytest.mark.parametrize("wrong", ["true", 1, ["*"], None])
async def test_a_wish_that_is_neither_true_nor_false_is_a_syntax_error_and_changes_nothing(wrong: object) -> None:
    """As with any other field."""
    async with served() as here:
        ws = await begin(here, trades=["AAPL"], heartbeats=wrong)
        assert (await told(ws, "error"))["code"] == 400
        await ws.send_json({"action": "subscribe", "trades": ["MSFT"]})
        assert (await told(ws, "subscription"))["trades"] == ["MSFT"]
