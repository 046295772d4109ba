"""The edge's application on a socket, without Kafka and stores: WebSockets that do not read, alerts, stores that are away."""

import asyncio
import json

import aiohttp
import pytest
from support.served_edge import WAIT_S, Served, served, until

from access.people import Role
from edge.fanout import limits
from edge.fanout.connection import Connection
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.view import MarketRow
from edge.gateway.stored.history import AlertFilter
from schemas.enums import MarketDataKind

# ---- WebSockets


async def test_a_client_that_comes_while_the_log_is_being_read_waits_and_misses_no_trade() -> None:
    """Its resume looks at the ring when that is full: nothing of the past is told behind it."""
    async with served(caught_up=False) as edge:
        connecting = asyncio.create_task(edge.client.ws_connect("/ws/public-prices"))
        done, _ = await asyncio.wait([connecting], timeout=0.2)
        assert not done, "connected before the log was read"
        prints(edge)  # what the edge reads meanwhile: told to nobody
        assert edge.gateway.market_consumer is not None
        edge.gateway.market_consumer.running = True
        async with await asyncio.wait_for(connecting, WAIT_S) as ws:
            await ws.send_json({"action": "subscribe", "trades": ["AAPL"], "resume": {"AAPL": 400}})
            seqs: list[int] = []
            while not seqs or seqs[-1] < 1_000:
                seqs += [one["seq"] for one in json.loads((await asyncio.wait_for(ws.receive(), WAIT_S)).data) if one.get("T") == "t"]
            assert seqs == list(range(401, 1_001))


def prints(edge: Served) -> list[MarketEvent]:
    """A thousand trades of AAPL as events: ~150 KB together."""
    empty = dict.fromkeys(MarketRow._fields, 0)
    row = {**empty, "kind": int(MarketDataKind.TRADE), "instrument": 1, "price": 18_000, "qty": 1, "side": 1, "transact_time": 10**18}
    return edge.gateway.market.apply(MarketRow(**{**row, "seq": seq}) for seq in range(1, 1_001))


async def subscribed(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Wants all trades, and has been told so."""
    await ws.send_json({"action": "subscribe", "trades": ["*"]})
    while "subscription" not in (await asyncio.wait_for(ws.receive(), WAIT_S)).data:
        pass


async def overflow(edge: Served, out: Connection) -> int:
    """Publish a thousand trades at a time, everybody else having time to take them, until the client is called slow; returns how many trades."""
    trades, fan_out = prints(edge), edge.state.fan_out
    for count in range(1, 200):
        delivered = fan_out.delivered
        edge.hub.publish(trades)
        await until(lambda before=delivered: fan_out.delivered > before, "they are told")
        await asyncio.sleep(0)
        if out.is_ending:
            return count * len(trades)
    raise AssertionError("30 MB, and the client is not slow yet")


async def count_trades(ws: aiohttp.ClientWebSocketResponse, told: list[int]) -> None:
    """Their sequences, for ever: cancel it."""
    async for message in ws:
        told += [one["seq"] for one in json.loads(message.data)]


async def test_a_client_that_reads_too_slowly_is_told_407_and_closed_and_others_are_not_held_up() -> None:
    """What waited is dropped, the error is the last word, the close code is 1008; who reads gets everything."""
    async with served() as here:
        async with here.client.ws_connect("/ws/public-prices") as slow:
            await subscribed(slow)
            (out,) = here.state.sockets
            async with here.client.ws_connect("/ws/public-prices") as quick:
                await subscribed(quick)
                told: list[int] = []
                reading = asyncio.create_task(count_trades(quick, told))
                published = await overflow(here, out)
                await until(lambda: len(told) >= published, "who reads gets everything")
                assert told == list(range(1, 1_001)) * (published // 1_000)
                reading.cancel()
            heard = [json.loads(message.data) async for message in slow]
            assert heard[-1] == [{"T": "error", "code": 407, "msg": "slow client"}]
            assert slow.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
        await until(lambda: not here.state.sockets, "both connections are over")
        _, metrics, _ = await here.get("/metrics")
        assert 'outcry_edge_slow_sockets_total{stream="market_data"} 1.0' in metrics


async def test_a_client_that_never_reads_again_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes neither the error nor the close frame; its socket and its place are given back all the same."""
    monkeypatch.setattr(limits, "FAREWELL_TIMEOUT_S", 0.05)
    async with served() as here, here.client.ws_connect("/ws/public-prices") as silent:
        await subscribed(silent)
        (out,) = here.state.sockets
        await overflow(here, out)
        await until(lambda: not here.state.sockets, "the connection is over")
        assert here.state.fan_out.cut == 1


# ---- alerts


async def test_filters_of_alerts_reach_the_store_and_an_empty_one_is_none() -> None:
    """Numbers for names; what cannot be is 422 with its name."""
    async with served() as here:
        reader = here.stores.bearer(Role.ANALYST)
        for query in ("pattern=LAYERING&symbol=MSFT&account=7&limit=3", "pattern=&symbol=&account=", "account=0"):
            await here.get(f"/surveillance/alerts?{query}", headers=reader)
        assert here.stores.asked == [AlertFilter(3, "LAYERING", 2, 7), AlertFilter(100), AlertFilter(100, account=0)]
        for query in ("limit=0", "limit=501", "limit=x", "account=-1", "symbol=NOPE"):
            status, body, _ = await here.get(f"/surveillance/alerts?{query}", headers=reader)
            assert (status, body["code"]) == (422, 40010001), query
            assert query.split("=")[0] in body["message"]


async def test_an_edge_without_mysql_says_so_and_keeps_the_servers_address_to_itself() -> None:
    """503 with Retry-After, and /readyz names it as degraded; what is missing here is Kafka."""
    async with served(away=True) as here:
        reader = here.stores.bearer(Role.ANALYST)
        here.stores.people_away = False
        for message in (
            "alerts cannot be read at the moment (MySQL is not reachable)",
            "nobody can be identified at the moment (MySQL is not reachable)",
        ):
            status, body, headers = await here.get("/surveillance/alerts", headers=reader)
            assert (status, body["code"], headers["Retry-After"]) == (503, 50310000, "1")
            assert body["message"] == message
            here.stores.people_away = True
        status, body, _ = await here.get("/readyz")
        assert (status, body["degraded"]) == (503, ["mysql"])
        assert any("kafka" in lack for lack in body["missing"])
