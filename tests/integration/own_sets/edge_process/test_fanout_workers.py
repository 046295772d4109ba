"""Fan-out workers beside an edge: one port, one reader of the log, and nothing missing when a worker dies, stands still, is drained, or all stop."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import psutil
import pytest
from edge_session import Edge, ThinExchange, wait_for

from outcry.client import ApiError, AsyncClient
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.services.supervision import probes

INSTRUMENT = 5
"""Nobody else trades it here."""
SYMBOL = next(one.symbol for one in load_instruments(None) if one.number == INSTRUMENT)
CLIENTS = 12
"""So few that all are at one of two workers: once in 2,000 runs, and then a test waits in vain and says so."""


class Client:
    """Listens to the trades of SYMBOL until it is told to leave; comes back, and resumes, whenever it is sent away or cut off."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seqs: list[int] = []
        self.closed: list[int | None] = []
        """Close codes; None: without one."""
        self.listens = False
        self.task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                with suppress(aiohttp.ClientError):
                    async with http.ws_connect(self._url + "/ws/public-prices") as ws:
                        await ws.send_json(
                            {"action": "subscribe", "trades": [SYMBOL], "resume": {SYMBOL: self.seqs[-1] if self.seqs else 0}}
                        )
                        await self._listen(ws)
                    self.listens = False
                    self.closed.append(ws.close_code if ws.close_code != aiohttp.WSCloseCode.ABNORMAL_CLOSURE else None)
                await asyncio.sleep(0.02)

    async def _listen(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            for one in json.loads(message.data):
                self.listens |= one["T"] == "subscription"
                assert one["T"] != "gap", one
                if one["T"] == "t":
                    self.seqs.append(one["seq"])

    async def leave(self) -> None:
        """For good."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Fleet:
    """An edge with two workers, and clients of both."""

    def __init__(self, edge: Edge, thin: ThinExchange, url: str) -> None:
        self.edge, self._thin, self.url = edge, thin, url
        self.told = 0
        self.clients: list[Client] = []

    async def readiness(self) -> Any:
        """What the edge says of its workers."""
        async with aiohttp.ClientSession() as http, http.get(self.edge.url + "/readyz") as response:
            return (await response.json())["fan_out"]

    async def metric(self, name: str) -> dict[str, float]:
        """By worker."""
        async with aiohttp.ClientSession() as http, http.get(self.edge.url + "/metrics") as response:
            found = re.findall(rf'^outcry_edge_fanout_worker_{name}{{worker="(\d)"}} (\S+)', await response.text(), re.MULTILINE)
        return {worker: float(value) for worker, value in found}

    async def all_fed(self) -> bool:
        """Both workers, by the edge."""
        return await self.metric("fed") == {"0": 1, "1": 1}

    async def settle(self) -> None:
        """Both workers are fed and have clients, and every client listens."""
        await wait_for(self.all_fed, "both workers are fed")
        await wait_for(lambda: all(one.listens for one in self.clients), "all clients listen")

        async def both_have_some() -> bool:
            sockets = await self.metric("sockets")
            return len(sockets) == 2 and min(sockets.values()) > 0 and sum(sockets.values()) == len(self.clients)

        await wait_for(both_have_some, "both workers have clients")

    async def tell(self, count: int) -> None:
        """So many more trades."""
        await self._thin.tell_trades(INSTRUMENT, range(self.told + 1, self.told + count + 1))
        self.told += count

    async def all_have_heard(self, clients: list[Client]) -> None:
        """All trades, each once, in order."""
        await wait_for(lambda: all(one.seqs[-1:] == [self.told] for one in clients), "they have heard the newest trade")
        for one in clients:
            assert one.seqs == list(range(1, self.told + 1))

    def workers(self) -> list[psutil.Process]:
        """Their processes."""
        return [child for child in psutil.Process(self.edge.process.pid).children() if "edge.fanout_worker" in child.cmdline()]


@pytest.fixture
async def fleet(own_services: Settings, thin: ThinExchange) -> AsyncIterator[Fleet]:
    """Settled."""
    edge = Edge(own_services, OUTCRY_EDGE_FANOUT_WORKERS="2", OUTCRY_EDGE_FANOUT_PORT="0")
    made = None
    try:
        await edge.wait_until_ready()
        made = Fleet(edge, thin, f"http://127.0.0.1:{json.loads(edge.ready_file.read_text())['fan_out_port']}")
        await wait_for(made.all_fed, "both workers are fed")
        made.clients = [Client(made.url) for _ in range(CLIENTS)]
        await made.settle()
        yield made
    finally:
        for client in made.clients if made is not None else ():
            await client.leave()
        if edge.process.poll() is None:
            edge.stop()


async def test_workers_share_a_port_are_fed_by_one_reader_and_lose_nothing_whatever_happens_to_them(fleet: Fleet) -> None:
    """One life of them: served, killed, stopped by a signal, drained, and ended with their edge."""
    await fleet.tell(20)
    await fleet.all_have_heard(fleet.clients)
    await _they_are_fed_and_shown(fleet)
    await _they_speak_the_native_api(fleet)
    await _one_is_killed(fleet)
    await _one_stands_still(fleet)
    await _one_is_drained(fleet)
    await _the_edge_stops(fleet)


async def _they_are_fed_and_shown(fleet: Fleet) -> None:
    async def is_shown() -> bool:
        return min((await fleet.metric("fed_records_total")).values()) >= 20

    await wait_for(is_shown, "both tell that the feed brought it")
    assert await fleet.readiness() == {"workers": 2, "ready": 2, "websockets": CLIENTS}
    assert f"2 of 2 fan-out workers ready with {CLIENTS} WebSockets" in await probes.role(fleet.edge.url)
    async with aiohttp.ClientSession() as http:
        for path, status in (("/readyz", 200), ("/v2/account", 404), ("/metrics", 404)):
            async with http.get(fleet.url + path) as response:
                assert response.status == status, "market data and nothing else"


async def _they_speak_the_native_api(fleet: Fleet) -> None:
    """Channels of the market; orders and accounts are not there."""
    async with AsyncClient(fleet.url) as client:
        await client.subscribe(f"trades.{SYMBOL}", f"book.{SYMBOL}.10.50ms")
        await fleet.tell(20)
        seqs: list[int] = []
        async with asyncio.timeout(60):
            async for push in client:
                if push.channel == f"trades.{SYMBOL}":
                    seqs += [one["seq"] for one in push.data["items"]] if push.snapshot else [push.seq]
                if seqs[-1:] == [fleet.told]:
                    break
        assert seqs == list(range(1, fleet.told + 1))
        for op, fields in (("order.open", {}), ("subscribe", {"channels": ["orders"]})):
            with pytest.raises(ApiError) as caught:
                await client.request(op, **fields)
            assert caught.value.code == "not_here"
    await fleet.all_have_heard(fleet.clients)


async def _one_is_killed(fleet: Fleet) -> None:
    os.kill(fleet.workers()[0].pid, signal.SIGKILL)
    await fleet.tell(20)
    await fleet.all_have_heard(fleet.clients)
    assert any(None in one.closed for one in fleet.clients), "some were cut off"
    await _spread(fleet)
    assert sorted((await fleet.metric("starts_total")).values()) == [1, 2]


async def _spread(fleet: Fleet) -> None:
    """A worker that is new has no clients yet: half of them connect again."""
    await wait_for(fleet.all_fed, "the new one is fed")
    for number in range(0, CLIENTS, 2):
        await fleet.clients[number].leave()
        fleet.clients[number] = Client(fleet.url)
    await fleet.settle()
    await fleet.all_have_heard(fleet.clients)


async def _one_stands_still(fleet: Fleet) -> None:
    """Its clients wait, and only they."""
    stopped, port = fleet.workers()[0], int(fleet.url.rpartition(":")[2])
    its = [one for one in stopped.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port]
    stopped.suspend()
    try:
        await fleet.tell(50)

        def who_has_heard() -> list[Client]:
            return [one for one in fleet.clients if one.seqs[-1:] == [fleet.told]]

        served = CLIENTS - len(its)
        await wait_for(lambda: len(who_has_heard()) >= served, "the clients of the other one have heard all of it")
        assert len(who_has_heard()) == served < CLIENTS
    finally:
        stopped.resume()
    await fleet.all_have_heard(fleet.clients)


async def _one_is_drained(fleet: Fleet) -> None:
    """By TERM: its clients are sent away, and come back to the other one."""
    for one in fleet.clients:
        one.closed.clear()
    fleet.workers()[0].terminate()
    await fleet.tell(20)
    await fleet.all_have_heard(fleet.clients)
    sent_away = [one for one in fleet.clients if one.closed]
    assert sent_away
    assert {code for one in sent_away for code in one.closed} == {aiohttp.WSCloseCode.SERVICE_RESTART}
    await wait_for(fleet.all_fed, "it is started again")


async def _the_edge_stops(fleet: Fleet) -> None:
    for one in fleet.clients:
        one.closed.clear()
    workers = fleet.workers()
    assert await asyncio.to_thread(fleet.edge.stop) == 0
    assert not any(worker.is_running() for worker in workers), "they end with their edge"
    await wait_for(lambda: all(one.closed for one in fleet.clients), "all clients are sent away")
    assert {one.closed[0] for one in fleet.clients} == {aiohttp.WSCloseCode.SERVICE_RESTART}
