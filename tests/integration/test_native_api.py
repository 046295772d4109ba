"""The native API of the real exchange, spoken by a library that shares nothing with ours (websockets): orders, books, the edge's death, bad input."""

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import msgpack
import pytest
from support.native_edge import Follower, an_order
from support.served_edge import until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from edge.native.limits import BATCH_MAX, CHANNELS_PER_MESSAGE_MAX, SUBSCRIPTIONS_MAX
from outcry.client import ApiError, AsyncClient, Client, NewOrder
from outcry.client.words import Side
from schemas.instruments import load_instruments
from streams.process.record_keys import record_keys
from topics import OrderProducer
from topics.speakers import PRODUCER

INSTRUMENTS = load_instruments(None)
WAIT_S = 600.0
BOOKS = ("book.AAPL.10.raw", "book.AAPL.10.50ms", "book.AAPL.full.250ms")


class Bot:
    """A client: the pushes of its channels go to a Follower, which checks each; answers go to who asked."""

    def __init__(self, exchange: Any, who: int) -> None:
        self.exchange, self.key, self.follower = exchange, exchange.api_keys[who], Follower()
        self.epochs: dict[str, str] = {}
        self.told: list[dict[str, Any]] = []
        """What was neither an answer nor a push."""
        self._ids = 0

    @asynccontextmanager
    async def connected(self, *, logon: bool = True) -> AsyncIterator["Bot"]:
        """As soon as there is an edge."""
        url = self.exchange.edge_url.replace("http", "ws", 1) + "/ws/v1"
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                self.ws: ClientConnection = await connect(
                    url, subprotocols=[Subprotocol("outcry.v1.json")], compression=None, max_size=None
                )
                if logon:
                    answer = await self.ask("session.logon", key=self.key[0], secret=self.key[1])
                    if not answer["ok"] and answer["problem"]["retryable"]:  # it has not reached Kafka yet
                        await self.ws.close()
                        continue
                    assert answer["ok"], answer
                break
            except (OSError, ConnectionClosed, EOFError):
                assert time.monotonic() < deadline, "there is no edge"
        try:
            yield self
        finally:
            await self.ws.close()

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The answer; what comes before it is taken."""
        self._ids += 1
        await self.ws.send(json.dumps({"id": self._ids, "op": op, **fields}))
        while True:
            told = await self.next()
            if told.get("id") == self._ids and "ok" in told:
                return told

    async def next(self) -> dict[str, Any]:
        """The next message, taken."""
        told: dict[str, Any] = json.loads(await asyncio.wait_for(self.ws.recv(), WAIT_S))
        if "ch" in told:
            self.follower.take(told)
        elif "ok" not in told:
            self.told.append(told)
        return told

    async def begin(self, *names: str) -> None:
        """Subscribe."""
        self._note(await self.ask("subscribe", channels=list(names)))

    async def resume(self) -> dict[str, bool]:
        """Every channel behind its place; which were recovered."""
        places = [{"ch": name, "epoch": self.epochs[name], "seq": seq} for name, seq in self.follower.seqs.items()]
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = await self.ask("resume", channels=places)
            if answer["ok"]:
                self._note(answer)
                return {one["ch"]: one["recovered"] for one in answer["channels"]}
            assert answer["problem"]["retryable"], answer
            assert time.monotonic() < deadline, answer

    def _note(self, answer: dict[str, Any]) -> None:
        assert answer["ok"], answer
        self.epochs |= {one["ch"]: one["epoch"] for one in answer["channels"]}

    def fills(self) -> list[str]:
        """cl_ord_ids of the trades on the channel `orders`, in their order."""
        return [item["cl_ord_id"] for item in self.follower.items.get("orders", []) if item["exec_type"] == "trade"]

    async def read_until(self, condition: Any, what: str) -> None:
        """Take messages until it holds."""
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, what
            await self.next()


async def test_an_order_over_the_socket_is_filled_and_every_book_on_the_way_is_right(exchange: Any) -> None:
    """Placed, amended, matched by another account's; the books, the tape and the account agree, in both directions."""
    tag = uuid.uuid4().hex[:8]
    async with Bot(exchange, 6).connected() as seller, Bot(exchange, 7).connected() as buyer:
        await buyer.begin("trades.AAPL", "quotes.AAPL.raw", "orders", "account", "status.AAPL", *BOOKS)
        await seller.begin("orders")
        rested = await seller.ask("order.place", order=an_order(side="sell", price="183.00", order_qty="10", cl_ord_id=f"{tag}-s"))
        assert (rested["outcome"], rested["order"]["ord_status"]) == ("accepted", "new"), rested
        dry = await buyer.ask("order.place", validate=True, order=an_order(price="183.00", order_qty="4", cl_ord_id=f"{tag}-b"))
        assert dry["valid"], dry
        amended = await seller.ask("order.amend", cl_ord_id=f"{tag}-s", order_qty="4", price="182.50")
        assert (amended["order"]["order_id"], amended["order"]["price"]) == (rested["order"]["order_id"], "182.5"), amended
        bought = await buyer.ask("order.place", order=an_order(price="182.50", order_qty="4", cl_ord_id=f"{tag}-b"))
        assert bought["ok"], bought
        await buyer.read_until(lambda: f"{tag}-b" in buyer.fills(), "the buyer's fill")
        await seller.read_until(lambda: f"{tag}-s" in seller.fills(), "the seller's fill")
        fill = next(one for one in buyer.follower.items["orders"] if one["exec_type"] == "trade")
        assert (fill["last_px"], fill["last_qty"], fill["ord_status"], fill["liquidity"]) == ("182.5", "4", "filled", "taker")
        await buyer.read_until(
            lambda: any(one["trd_match_id"] == fill["trd_match_id"] for one in buyer.follower.items.get("trades.AAPL", [])),
            "the trade on the tape",
        )
        for side, price in (("sell", "183.00"), ("sell", "183.05"), ("buy", "181.00"), ("buy", "180.95")):
            assert (await seller.ask("order.place", order=an_order(side=side, price=price, order_qty="3", cl_ord_id=f"{tag}-{price}")))[
                "ok"
            ]
        await buyer.read_until(lambda: all("183.05" in buyer.follower.books[name]["a"] for name in BOOKS), "levels in every book")
        answers = (await seller.ask("order.cancel_all", symbol="AAPL", side="sell"))["orders"]
        assert {one["cl_ord_id"] for one in answers if one["ok"]} >= {f"{tag}-183.00", f"{tag}-183.05"}
        assert (await seller.ask("order.cancel_all"))["ok"]
        await buyer.read_until(lambda: all("183.05" not in buyer.follower.books[name]["a"] for name in BOOKS), "levels are gone")
        assert buyer.follower.checksums >= len(BOOKS) * 3
        assert buyer.follower.snapshots == dict.fromkeys(buyer.follower.seqs, 1)


async def test_the_edge_is_killed_twice_and_its_clients_resume_without_a_gap(exchange: Any) -> None:
    """While it is dead orders meet that came straight to the topic. Each `prev` fits, each fill is told once, and what could be replayed was."""
    tag, count = uuid.uuid4().hex[:8], 0
    seller, buyer = (exchange.api_keys[who][2] for who in (4, 5))
    bot = Bot(exchange, 5)
    with OrderProducer(exchange.settings.kafka_url, INSTRUMENTS, sign=record_keys(exchange.settings).signer(PRODUCER)) as producer:

        def trade(pairs: int) -> None:
            nonlocal count
            for number in range(count, count + pairs):
                for account, side in ((seller, "SELL"), (buyer, "BUY")):
                    producer.new_order(
                        account=account, cl_ord_id=f"{tag}-{number}", symbol="AAPL", side=side, ord_type="LIMIT", time_in_force="DAY",
                        order_qty="1", price="182.00",
                    )  # fmt: skip
            count += pairs
            producer.flush()

        def all_filled() -> bool:
            return len(bot.fills()) >= count

        async with bot.connected():
            await bot.begin("trades.AAPL", "bars.AAPL", "quotes.AAPL.raw", "orders", "account", *BOOKS)
            trade(20)
            await bot.read_until(all_filled, "fills before")
        for _ in range(2):
            async with bot.connected():
                recovered = await bot.resume()
                assert recovered["orders"], "the same edge goes on"
                trade(10)
                await bot.read_until(lambda: len(bot.fills()) > count - 5, "some of the fills, not all")
                os.kill(exchange.role_pid("edge"), signal.SIGKILL)
                with pytest.raises(ConnectionClosed):
                    await bot.read_until(lambda: False, "the edge is dead")
            trade(30)
            async with bot.connected():
                recovered = await bot.resume()
                assert (recovered["orders"], recovered["trades.AAPL"], recovered["bars.AAPL"]) == (True, True, True), recovered
                assert not any(recovered[name] for name in BOOKS), "levels of long ago are not read again: their books begin anew"
                trade(10)
                await bot.read_until(all_filled, "every fill")
        async with bot.connected():
            await bot.resume()
            trade(1)
            await bot.read_until(all_filled, "every fill")
    assert bot.fills() == [f"{tag}-{number}" for number in range(count)]
    tape = [item["seq"] for item in bot.follower.items["trades.AAPL"]]
    assert tape == list(range(tape[0], tape[0] + len(tape)))
    assert bot.follower.snapshots["orders"] == bot.follower.snapshots["trades.AAPL"] == 1, "nothing of these was left to a snapshot"
    assert bot.follower.checksums >= len(BOOKS) * 5
    async with bot.connected():
        assert (await bot.ask("order.open"))["orders"] == []


async def test_the_client_of_the_wheel_goes_on_over_the_death_of_the_edge(exchange: Any) -> None:
    """Both of its kinds, without a word of the program: every fill once, every book right, and an order that was under way is placed once."""
    tag, (seller, buyer) = uuid.uuid4().hex[:8], (exchange.api_keys[who] for who in (4, 5))
    fills: list[str] = []
    tape: list[int] = []

    async def read(client: AsyncClient) -> None:
        async for push in client:
            if push.data.get("exec_type") == "trade":
                fills.append(push.data["cl_ord_id"])
            elif push.channel == "trades.AAPL" and not push.snapshot:
                tape.append(push.seq)

    def sell(numbers: range) -> None:
        """With the client for programs without asyncio, in a thread; until each order is placed."""
        with Client(exchange.edge_url, seller[0], seller[1]) as client:
            for number in numbers:
                placed = False
                while not placed:
                    try:
                        client.place(**an_order_of(tag, number, "sell"))
                        placed = True
                    except ApiError as error:
                        if not error.retryable:
                            raise

    async with AsyncClient(exchange.edge_url, buyer[0], buyer[1]) as client:
        await client.subscribe("orders", "trades.AAPL", "book.AAPL.10.raw", "book.AAPL.full.50ms")
        reading = asyncio.create_task(read(client))
        selling = asyncio.create_task(asyncio.to_thread(sell, range(40)))
        for number in range(40):
            if number == 15:
                os.kill(exchange.role_pid("edge"), signal.SIGKILL)
            placed = False
            while not placed:
                try:
                    await client.place(**an_order_of(tag, number, "buy"))
                    placed = True
                except ApiError as error:
                    if not error.retryable:
                        raise
        await selling
        await until(lambda: len(fills) >= 40, "every fill")
        reading.cancel()
        assert sorted(fills) == sorted(f"{tag}-{number}" for number in range(40))
        assert tape == list(range(tape[0], tape[0] + len(tape)))
        assert (client.reconnects > 0, client.resubscribed) == (True, 0)
        assert await client.open_orders() == []


def an_order_of(tag: str, number: int, side: Side) -> NewOrder:
    """One share at a price of its own test."""
    return {
        "symbol": "AAPL", "side": side, "ord_type": "limit", "time_in_force": "day", "order_qty": 1, "price": Decimal("182.25"),
        "cl_ord_id": f"{tag}-{number}",
    }  # fmt: skip


async def post(exchange: Any, who: int, op: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    """(status, body) over HTTP."""
    key_id, secret, _ = exchange.api_keys[who]
    headers = {"X-API-Key": key_id, "X-API-Secret": secret}
    async with aiohttp.ClientSession(headers=headers) as http, http.post(f"{exchange.edge_url}/v1/{op}", json=fields) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_key_that_may_only_read_is_told_so_and_a_withdrawn_one_loses_its_socket(exchange: Any) -> None:
    """Made, rotated and withdrawn over HTTP by the customer."""
    status, made = await post(exchange, 7, "keys.create", scopes=["read"], label="watcher")
    assert status == 200, made
    bot = Bot(exchange, 7)
    bot.key = made["key"], made["secret"], 0
    async with bot.connected():
        await bot.begin("orders")
        for op in ("order.place", "order.cancel", "order.amend", "order.cancel_all", "order.batch", "session.cancel_after"):
            refused = await bot.ask(op, order={}, cl_ord_id="a")
            assert (refused["outcome"], refused["problem"]["code"]) == ("not_sent", "wrong_scope"), op
        status, _ = await post(exchange, 7, "keys.withdraw", key=made["key"])
        assert status == 200
        withdrawn = time.monotonic()
        with pytest.raises(ConnectionClosed) as closed:
            await bot.read_until(lambda: False, "it ends")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4503
        assert bot.told[-1] == {"event": "closing", "code": 4503, "reason": "key_changed", "come_back": False}
        assert time.monotonic() - withdrawn < 30
    async with Bot(exchange, 7).connected(logon=False) as again:
        denied = await again.ask("session.logon", key=made["key"], secret=made["secret"])
        assert denied["problem"]["code"] == "denied"
        assert (await again.ask("subscribe", channels=["orders"]))["problem"]["code"] == "not_logged_on"


BAD = (
    ("{", "invalid_message"), ('{"op": NaN}', "invalid_message"), ("[]", "invalid_message"), ('{"id": 1, "op": "order.steal"}', "unknown_op"),
    ('{"op": "ping", "speed": 9}', "unknown_field"), ('{"id": [1], "op": "ping"}', "invalid_field"), ('{"op": "subscribe"}', "invalid_field"),
    ('{"op": "subscribe", "channels": ["book.AAPL.11.raw"]}', "unknown_channel"), ('{"op": "subscribe", "channels": ["trades.NOPE"]}', "unknown_channel"),
    ('{"op": "resume", "channels": [{"ch": "trades.AAPL", "epoch": "x", "seq": -1}]}', "invalid_field"),
    ('{"op": "unsubscribe", "channels": ["trades.AAPL"]}', "not_subscribed"), ('{"op": "order.status", "cl_ord_id": "never-was"}', "not_found"),
    ('{"op": "order.place", "order": {"symbol": "AAPL", "limit_price": "1"}}', "invalid_field"), ('{"op": ' + "[" * 20_000 + "]" * 20_000 + "}", "invalid_message"),
    ('{"op": "order.place", "order": ' + json.dumps(an_order(order_qty="9" * 10_000)) + "}", "invalid_field"),
    (json.dumps({"op": "order.place", "order": an_order(time_in_froce="day")}), "unknown_field"),
    (json.dumps({"op": "order.batch", "requests": [{}] * (BATCH_MAX + 1)}), "limit_reached"),
    (json.dumps({"op": "subscribe", "channels": ["x"] * (CHANNELS_PER_MESSAGE_MAX + 1)}), "limit_reached"),
)  # fmt: skip
BOMBS = (
    (b"\xdd\xff\xff\xff\xff", "invalid_message"), (b"\xdf\xff\xff\xff\xff", "invalid_message"), (b"\xc6\xff\xff\xff\xff", "invalid_message"),
    (b"\x91" * 60_000, "invalid_message"), (b"\xc1", "invalid_message"), (b"\x81\x90\x01", "invalid_message"),
    (msgpack.packb({"op": "order.place", "order": an_order(price=180.5)}), "not_logged_on"),
)  # fmt: skip


async def test_bad_input_gets_its_own_error_and_nobody_else_notices(exchange: Any) -> None:
    """Malformed, deep, oversized, bombs, too many subscriptions: by socket in both encodings, and over HTTP."""
    url = exchange.edge_url.replace("http", "ws", 1) + "/ws/v1"
    async with Bot(exchange, 6).connected() as bot, Bot(exchange, 7).connected() as other:
        await other.begin("trades.AAPL")
        for text, code in BAD:
            await bot.ws.send(text)
            told = await bot.next()
            while "ok" not in told:
                told = await bot.next()
            assert (told["ok"], told["problem"]["code"], told["outcome"] == "accepted") == (False, code, False), text[:60]
        names = [
            f"{kind}.{one.symbol}.{cadence}" for kind in ("quotes",) for one in INSTRUMENTS for cadence in ("raw", "50ms", "250ms", "1s")
        ]
        names += [f"book.{one.symbol}.{depth}.raw" for one in INSTRUMENTS for depth in ("1", "10", "25", "100", "full")]
        taken, refused = 0, None
        for start in range(0, len(names), 100):
            answer = await bot.ask("subscribe", channels=names[start : start + 100])
            refused = refused or (None if answer["ok"] else answer["problem"]["code"])
            taken += 100 * answer["ok"]
        assert taken <= SUBSCRIPTIONS_MAX
        assert refused == ("limit_reached" if len(names) > SUBSCRIPTIONS_MAX else None)
        async with connect(url, subprotocols=[Subprotocol("outcry.v1.msgpack")]) as packed:
            assert packed.subprotocol == "outcry.v1.msgpack"
            assert msgpack.unpackb(await packed.recv())["event"] == "hello"
            for data, code in BOMBS:
                await packed.send(data)
                while "ok" not in (told := msgpack.unpackb(await packed.recv())):
                    pass
                assert told["problem"]["code"] == code, data[:20]
        await bot.ws.send("x" * (65 << 10))
        with pytest.raises(ConnectionClosed) as closed:
            await bot.read_until(lambda: False, "it is closed")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert (await other.ask("ping"))["ok"]
    for op, fields, expected in (
        ("order.steal", {}, (404, "unknown_op")), ("order.place", {"order": an_order(qty="1")}, (422, "unknown_field")),
        ("order.status", {"cl_ord_id": "never-was"}, (404, "not_found")), ("keys.create", {"scopes": ["all"]}, (422, "invalid_field")),
    ):  # fmt: skip
        status, body = await post(exchange, 6, op, **fields)
        assert (status, body["code"]) == expected, body
