"""The edge's application on a socket, without Kafka and stores: WebSockets that do not read, the analyst's key, stores that are away."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from support.served_edge import WAIT_S, FakeStores, Served, served, until

from edge.app import make_app, make_state
from edge.console.surveillance_api import check_analyst
from edge.gateway.history import AlertFilter
from edge.gateway.market_events import MarketEvent
from edge.gateway.market_view import MarketRow
from edge.http import sockets
from edge.http.errors import HttpError
from edge.http.limits import SOCKET_QUEUE_MESSAGES_MAX
from edge.http.sockets import OutgoingSocket
from schemas.enums import MarketDataKind
from schemas.settings import Settings

KEY = "clef-d'analyste"


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


async def clog(edge: Served, out: OutgoingSocket) -> None:
    """Publish until the client's and the server's buffers are full and messages begin to wait."""
    messages = prints(edge)
    payloads = 0
    while out.queued < 20:
        edge.hub.publish(messages)
        payloads += 1
        assert payloads < 1_000, "the buffers between take everything"
        await asyncio.sleep(0.002)


async def overflow(edge: Served, out: OutgoingSocket) -> int:
    """Publish one trade at a time, everybody else having time to take it, until the client is called slow; returns how often."""
    message = edge.gateway.market.symbols["AAPL"].trades[0]
    for count in range(1, SOCKET_QUEUE_MESSAGES_MAX + 2):
        queued = out.queued
        edge.hub.publish([message])
        if out.queued < queued:
            return count
        await asyncio.sleep(0)
    raise AssertionError("the queue has no bound")


async def test_a_client_that_reads_too_slowly_is_told_407_and_closed_and_others_are_not_held_up() -> None:
    """What waited is dropped, the error is the last word, the close code is 1008; who reads gets everything."""
    async with served() as here:
        async with here.client.ws_connect("/ws/public-prices") as slow:
            await subscribed(slow)
            (out,) = here.state.sockets
            await clog(here, out)
            async with here.client.ws_connect("/ws/public-prices") as quick:
                await subscribed(quick)
                published = await overflow(here, out)
                for _ in range(published):
                    assert json.loads((await asyncio.wait_for(quick.receive(), WAIT_S)).data)[0]["T"] == "t"
            heard = [json.loads(message.data) async for message in slow]
            assert heard[-1] == [{"T": "error", "code": 407, "msg": "slow client"}]
            assert slow.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
        await until(lambda: not here.state.sockets, "both connections are over")
        _, metrics, _ = await here.get("/metrics")
        assert 'outcry_edge_slow_sockets_total{stream="market_data"} 1.0' in metrics


async def test_a_client_that_never_reads_again_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes neither the error nor the close frame; its socket and its place are given back all the same."""
    monkeypatch.setattr(sockets, "FAREWELL_TIMEOUT_S", 0.05)
    async with served() as here, here.client.ws_connect("/ws/public-prices") as silent:
        await subscribed(silent)
        (out,) = here.state.sockets
        await clog(here, out)
        await overflow(here, out)
        await until(lambda: not here.state.sockets, "the connection is over")


# ---- the analyst's key


async def test_the_admin_key_opens_surveillance_as_a_header() -> None:
    """Page and lists; a wrong key, none, or bytes that are no text are 401 in JSON."""
    async with served(admin_key=KEY) as here:
        for path in ("/surveillance", "/surveillance/alerts"):
            assert (await here.get(path, headers={"X-Admin-Key": KEY}))[0] == 200
            for headers in ({}, {"X-Admin-Key": "wrong"}, {"X-Admin-Key": ""}, {"Cookie": f"outcry_admin={KEY}"}):
                status, body, _ = await here.get(path, headers=headers)
                assert (status, body["code"]) == (401, 40110000), headers
                assert "X-Admin-Key" in body["message"]
        assert (await here.get(f"/surveillance/alerts?key={KEY}"))[0] == 401, "in an address a key is taken by the page only"
        reader, writer = await asyncio.open_connection(here.client.host, here.client.port)
        writer.write(b"GET /surveillance HTTP/1.1\r\nHost: localhost\r\nX-Admin-Key: \xff\xfe\r\nConnection: close\r\n\r\n")
        assert b" 401 " in await asyncio.wait_for(reader.readline(), WAIT_S)
        writer.close()


async def test_the_key_in_the_pages_address_becomes_a_cookie_that_scripts_cannot_read() -> None:
    """Redirected to the address without it; the cookie is not the key and opens page and lists; a wrong key makes none."""
    async with served(admin_key=KEY) as here:
        status, _, headers = await here.get("/surveillance", params={"key": "wrong"})
        assert (status, "Set-Cookie" in headers) == (401, False)
        status, _, headers = await here.get("/surveillance", params={"key": KEY})
        assert (status, headers["Location"]) == (303, "/surveillance")
        cookie, *attributes = headers["Set-Cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/surveillance"} <= set(attributes)
        assert KEY not in cookie
        here.client.session.cookie_jar.clear()
        for path in ("/surveillance", "/surveillance/alerts"):
            assert (await here.get(path, headers={"Cookie": cookie}))[0] == 200
            assert (await here.get(path, headers={"Cookie": cookie[:-1] + "x"}))[0] == 401


async def test_without_a_key_surveillance_is_for_browsers_of_this_machine() -> None:
    """A name that only resolves to this machine is refused, so no other site's page can read through the browser."""
    async with served() as here:
        for host in ("localhost", "127.0.0.1:8080", "[::1]"):
            assert (await here.get("/surveillance/alerts", headers={"Host": host}))[0] == 200, host
        for host in ("exchange.example", "10.0.0.5:8080", "localhost.example"):
            status, body, _ = await here.get("/surveillance/alerts", headers={"Host": host})
            assert (status, body["code"]) == (403, 40310000), host
            assert "OUTCRY_ADMIN_KEY" in body["message"]


@pytest.mark.parametrize(("peer", "may"), [("127.0.0.1", True), ("::1", True), ("203.0.113.5", False), ("", False)])
async def test_without_a_key_a_peer_elsewhere_is_refused_whatever_host_it_names(peer: str, may: bool) -> None:
    """The address of the connection counts."""
    stores: Any = FakeStores(away=False)
    request = make_mocked_request(
        "GET", "/surveillance", {"Host": "localhost"}, app=make_app(make_state(Settings(), stores, stores, stores))
    )
    from_peer = request.clone(remote=peer, host="localhost")
    if may:
        check_analyst(from_peer)
        return
    with pytest.raises(HttpError) as caught:
        check_analyst(from_peer)
    assert caught.value.status == 403


async def test_filters_of_alerts_reach_the_store_and_an_empty_one_is_none() -> None:
    """Numbers for names; what cannot be is 422 with its name."""
    async with served() as here:
        await here.get("/surveillance/alerts?pattern=LAYERING&symbol=MSFT&account=7&limit=3")
        await here.get("/surveillance/alerts?pattern=&symbol=&account=")
        await here.get("/surveillance/alerts?account=0")
        assert here.stores.asked == [AlertFilter(3, "LAYERING", 2, 7), AlertFilter(100), AlertFilter(100, account=0)]
        for query in ("limit=0", "limit=501", "limit=x", "account=-1", "symbol=NOPE"):
            status, body, _ = await here.get(f"/surveillance/alerts?{query}")
            assert (status, body["code"]) == (422, 40010001), query
            assert query.split("=")[0] in body["message"]


async def test_an_edge_without_mysql_says_so_and_keeps_the_servers_address_to_itself() -> None:
    """503 with Retry-After, and /readyz names it as degraded; what is missing here is Kafka."""
    async with served(away=True) as here:
        status, body, headers = await here.get("/surveillance/alerts")
        assert (status, body["code"], headers["Retry-After"]) == (503, 50310000, "1")
        assert body["message"] == "alerts cannot be read at the moment (MySQL is not reachable)"
        status, body, _ = await here.get("/readyz")
        assert (status, body["degraded"]) == (503, ["mysql"])
        assert any("kafka" in lack for lack in body["missing"])
