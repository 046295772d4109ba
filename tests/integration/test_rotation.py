"""Keys are replaced and withdrawn while customers trade: nobody else notices, and what was withdrawn opens nothing any more."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from support.log_reader import read_partition

from schemas.codec import decode_record
from schemas.settings import Settings
from streams.operate.accounts import accounts
from streams.operate.keys import AHEAD_S_MIN, keys
from streams.process.record_keys import record_keys
from topics import OrderProducer
from topics.catalogue import DEAD_LETTERS
from topics.key_files import AHEAD_NS, read_keyring
from topics.sources import UNPROVEN
from topics.speakers import PRODUCER, SPEAKERS

pytestmark = pytest.mark.integration
OVERLAP_S = 4
WAIT_S = 300.0
EVERY_S = 0.05
Key = tuple[str, str]


@dataclass
class Customer:
    """Somebody who asks all the time. An order that gets no answer in time is sent again under its name, as a client should."""

    url: str
    key: Key
    trades: bool = True
    statuses: list[int] = field(default_factory=list)
    asked_again: int = 0
    denied_after: float | None = None
    """When the first request that was denied had been sent, by the clock of the loop."""

    async def run(self) -> None:
        """Until cancelled, or denied."""
        headers = {"APCA-API-KEY-ID": self.key[0], "APCA-API-SECRET-KEY": self.key[1]}
        async with aiohttp.ClientSession(headers=headers) as client:
            while self.denied_after is None:
                await self._ask(client)
                await asyncio.sleep(EVERY_S)

    async def _ask(self, client: aiohttp.ClientSession) -> None:
        order = {"symbol": "MSFT", "side": "buy", "type": "limit", "time_in_force": "ioc", "qty": "1", "limit_price": "300.00",
                 "client_order_id": f"rotation-{uuid.uuid4()}"}  # fmt: skip
        sent = time.monotonic()
        while True:
            asked = client.post(f"{self.url}/v2/orders", json=order) if self.trades else client.get(f"{self.url}/v2/account")
            async with asked as answer:
                status = answer.status
            if status != 503:
                break
            self.asked_again += 1
        self.statuses.append(status)
        if status == 401:
            self.denied_after = sent


@asynccontextmanager
async def asking(*customers: Customer) -> AsyncIterator[None]:
    """All of them, inside the block; each has been answered before it begins."""
    tasks = [asyncio.create_task(one.run()) for one in customers]
    try:
        await until(lambda: all(one.statuses for one in customers), tasks)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Any, tasks: "Sequence[asyncio.Task[None]]" = ()) -> None:
    """It holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.02)


def outcry(settings: Settings, command: Any, *arguments: str) -> str:
    """What a command says."""
    done = CliRunner().invoke(command, list(arguments), obj=settings)
    if done.exception is not None:
        raise done.exception
    return done.output


def letters_of(settings: Settings) -> list[str]:
    """The reasons of all dead letters."""
    return [decode_record(record.value)[1]["reason"] for record in read_partition(settings, DEAD_LETTERS, 0)]


async def test_every_record_key_is_replaced_while_orders_flow(exchange: Any, told: list[str]) -> None:
    """Of each role, the operators and the producers: every order is answered, and no record of anybody is a dead letter.

    It goes on until the old keys have ended: what they sign then is not believed, so it is the new ones that are.
    """
    settings = exchange.settings
    folder = settings.record_keys_dir
    letters = len(letters_of(settings))
    customers = [Customer(exchange.edge_url, exchange.api_keys[who][:2]) for who in (4, 5)]
    async with asking(*customers):
        with OrderProducer(settings.kafka_url, sign=record_keys(settings).signer(PRODUCER)) as producer:
            for name in SPEAKERS:
                outcry(settings, keys, "rotate", name, "--after", str(AHEAD_S_MIN), "--overlap", str(OVERLAP_S))
            ended_ns = max(one.until_ns or 0 for one in read_keyring(folder).keys)
            posted = 0
            while time.time_ns() < ended_ns + AHEAD_NS:
                posted += 1
                producer.new_order(
                    account=7, cl_ord_id=f"rotation-{uuid.uuid4()}", symbol="MSFT", side="BUY", ord_type="LIMIT", time_in_force="IOC",
                    order_qty="1", price="300.00",
                )  # fmt: skip
                await asyncio.sleep(EVERY_S)
        asked = [len(one.statuses) for one in customers]
        await until(lambda: all(len(one.statuses) > count + 3 for one, count in zip(customers, asked, strict=True)))
    assert {status for one in customers for status in one.statuses} == {200}
    assert not UNPROVEN & set(letters_of(settings)[letters:])
    assert producer.stats().commands_failed == 0
    answered, again = sum(len(one.statuses) for one in customers), sum(one.asked_again for one in customers)
    told.append(
        f"rotation of {len(SPEAKERS)} record keys: {answered} orders over HTTP, {again} asked again; {posted} posted; no dead letter"
    )


async def test_a_producer_whose_key_is_retired_is_believed_no_more_and_all_others_are(exchange: Any) -> None:
    """Its records are dead letters from that moment on."""
    settings, name = exchange.settings, f"p{uuid.uuid4().hex[:8]}"
    outcry(settings, keys, "add", name, "--accounts", "8", "--after", str(AHEAD_S_MIN))
    customer = Customer(exchange.edge_url, exchange.api_keys[4][:2])
    folder = settings.record_keys_dir
    async with asking(customer):
        (key,) = read_keyring(folder).of(name)
        await until(lambda: time.time_ns() > key.from_ns + AHEAD_NS)
        letters = len(letters_of(settings))
        with OrderProducer(settings.kafka_url, key_file=folder / f"{name}-1.json") as producer:

            def post() -> None:
                producer.new_order(
                    account=8, cl_ord_id=f"rotation-{uuid.uuid4()}", symbol="MSFT", side="BUY", ord_type="LIMIT", time_in_force="IOC",
                    order_qty="1", price="300.00",
                )  # fmt: skip
                producer.flush()

            post()
            outcry(settings, keys, "retire", f"{name}-1", "--after", str(AHEAD_S_MIN))
            (key,) = read_keyring(folder).of(name)
            assert key.until_ns is not None
            await until(lambda: time.time_ns() > key.until_ns + AHEAD_NS)
            assert not UNPROVEN & set(letters_of(settings)[letters:])
            post()
            await until(lambda: bool(UNPROVEN & set(letters_of(settings)[letters:])))
    assert set(customer.statuses) == {200}


async def made_key(settings: Settings, *arguments: str) -> Key:
    """(id, secret) of what create or rotate prints."""
    words = (await asyncio.to_thread(outcry, settings, accounts, "keys", *arguments)).split()
    return words[words.index("key") + 1], words[words.index("secret") + 1]


async def test_api_keys_are_withdrawn_and_rotated_while_everybody_asks(exchange: Any, told: list[str]) -> None:
    """The withdrawn one is denied within a second, sockets too; a rotated one and its socket go on until its end; others have no failed request."""
    settings, account = exchange.settings, str(exchange.api_keys[6][2])
    stolen, old = [await made_key(settings, "create", account) for _ in range(2)]
    others = [Customer(exchange.edge_url, exchange.api_keys[who][:2], trades=who == 4) for who in (4, 5)]
    thief, bot = (Customer(exchange.edge_url, key, trades=False) for key in (stolen, old))
    async with (
        asking(thief, bot, *others), aiohttp.ClientSession() as client, logged_on(client, exchange.edge_url, stolen) as open_to_thief,
        logged_on(client, exchange.edge_url, old) as open_to_bot,
    ):  # fmt: skip
        await asyncio.to_thread(outcry, settings, accounts, "keys", "withdraw", stolen[0])
        withdrawn = time.monotonic()
        await until(lambda: thief.denied_after is not None)
        assert thief.denied_after is not None
        late_s = thief.denied_after - withdrawn
        assert await closed(open_to_thief) == 4503
        new = await made_key(settings, "rotate", old[0], "--overlap", "5")
        successor = Customer(exchange.edge_url, new, trades=False)
        async with asking(successor):
            rotated = time.monotonic()
            await until(lambda: bot.denied_after is not None)
            assert bot.denied_after is not None
            assert bot.denied_after - rotated > 3, "it works through its overlap"
            assert await closed(open_to_bot) == 4503
    assert set(successor.statuses) == {200}
    assert {status for one in others for status in one.statuses} == {200}
    asked = sum(len(one.statuses) for one in others)
    told.append(f"withdrawal of an API key: denied {max(late_s, 0):.2f} s later, while {asked} requests of others were answered")
    assert late_s < 5, "within a second, on a machine that is not busy"


@asynccontextmanager
async def logged_on(client: aiohttp.ClientSession, url: str, key: Key) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A socket of the native API."""
    async with client.ws_connect(f"{url}/ws/v1") as ws:
        await ws.send_json({"id": 1, "op": "session.logon", "key": key[0], "secret": key[1]})
        while True:
            told = json.loads((await ws.receive()).data)
            if told.get("id") == 1:
                assert told["ok"], told
                break
        yield ws


async def closed(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the server closes."""
    async with asyncio.timeout(WAIT_S):
        while (await ws.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            pass
    return ws.close_code
