"""The client of the native API, over an edge in memory and real sockets: words, errors, and connections that are cut."""

import asyncio
import random
from decimal import Decimal
from typing import Any, get_args
from zlib import crc32

import pytest
from support.native_edge import NativeEdge, native_edge
from support.served_edge import WAIT_S, until

from edge.gateway.access.sessions import KeyRecord
from edge.native.orders import requests
from outcry.client import ApiError, AsyncClient, Client, ConnectionEnded, NewOrder, OutcomeUnknown, Push, Rejected
from outcry.client.channels import Channels
from outcry.client.words import OrdType, Side, TimeInForce


def an_order(**more: Any) -> NewOrder:
    """A limit order for the day."""
    order: Any = {"symbol": "AAPL", "side": "buy", "ord_type": "limit", "time_in_force": "day", "order_qty": "1", "price": "180.00"}
    return order | more


def client_of(edge: NativeEdge, account: int) -> AsyncClient:
    """Logged on as the account."""
    return AsyncClient(edge.served.origin, f"KEY{account}", f"secret-{account}")


def cut(edge: NativeEdge) -> None:
    """Every connection, without a word."""
    for talk in tuple(edge.desk.hub.talks):
        talk.out.abort()


def test_the_clients_words_are_the_exchanges() -> None:
    """Otherwise type checkers would refuse what the exchange takes."""
    assert set(get_args(Side)) == set(requests.SIDES)
    assert set(get_args(OrdType)) == set(requests.ORD_TYPES)
    assert set(get_args(TimeInForce)) == set(requests.TIMES_IN_FORCE)
    taken = {"symbol", "order_qty", "side", "ord_type", "time_in_force"} | set(NewOrder.__optional_keys__)
    assert set(NewOrder.__required_keys__ | NewOrder.__optional_keys__) == taken


async def test_every_method_does_what_it_says() -> None:
    """Numbers are exact, whatever they come as."""
    async with native_edge() as edge, client_of(edge, 1) as client:
        dry = await client.check(**an_order(price=Decimal("179.99")))
        assert dry["worst_px"] == "179.99"
        placed = await client.place(**an_order(price=Decimal("179.99"), order_qty=3, cl_ord_id="a"))
        assert (placed["price"], placed["ord_status"], placed["order_qty"]) == ("179.99", "new", "3")
        assert (await client.amend(cl_ord_id="a", order_qty="2"))["order_qty"] == "2"
        assert [one["cl_ord_id"] for one in await client.open_orders()] == ["a"]
        assert (await client.cancel(order_id=placed["order_id"]))["cl_ord_id"] == "a"
        assert (await client.status(cl_ord_id="a"))["ord_status"] == "canceled"
        named = await client.place(**an_order())
        assert len(named["cl_ord_id"]) == 32
        answers = await client.batch([{"op": "order.place", "order": an_order(cl_ord_id="b")}, {"op": "order.cancel", "cl_ord_id": "none"}])
        assert [one["ok"] for one in answers] == [True, False]
        assert {one["cl_ord_id"] for one in await client.cancel_all(symbol="AAPL", side="buy")} == {named["cl_ord_id"], "b"}
        assert (await client.account())["account"] == 1
        await client.cancel_after(60_000)
        await client.cancel_after(0)


async def test_each_kind_of_failure_is_an_exception_of_its_own() -> None:
    """What was decided, what was never sent, a wrong key, a withdrawn one."""
    async with native_edge() as edge:
        async with client_of(edge, 1) as client:
            with pytest.raises(Rejected) as rejected:
                await client.place(**an_order(order_qty="600"))
            assert rejected.value.reason == "INSUFFICIENT_BUYING_POWER"
            with pytest.raises(ApiError, match="unknown_field") as unknown:
                await client.request("order.place", order=an_order(limit_price="1"))
            assert not unknown.value.retryable
            with pytest.raises(ApiError, match="unknown_channel"):
                await client.subscribe("trades.NOPE")
            edge.served.stores.keys_changed["KEY1"] = KeyRecord(b"other", 1, version=2)
            await edge.served.gateway.sessions.take_changes({"KEY1": 2})
            with pytest.raises(ConnectionEnded, match="4503"):
                await anext(aiter(client))
            with pytest.raises(ConnectionEnded):
                await client.place(**an_order())
        with pytest.raises(ApiError, match="denied"):
            async with AsyncClient(edge.served.origin, "KEY2", "wrong"):
                pass


async def test_a_client_whose_connection_is_cut_again_and_again_misses_nothing() -> None:
    """Each trade once and in its order, each book right, whatever moment it is cut at."""
    chosen = random.Random(5)
    async with native_edge() as edge, client_of(edge, 1) as seller, client_of(edge, 2) as client:
        await client.subscribe("trades.AAPL", "orders", "book.AAPL.10.raw", "quotes.AAPL.50ms")
        seen: list[Push] = []

        async def read() -> None:
            async for push in client:
                seen.append(push)

        reading = asyncio.create_task(read())
        for number in range(40):
            if chosen.random() < 0.3:
                cut(edge)
            for who, side in ((seller, "sell"), (client, "buy")):
                await placed_in_the_end(who, an_order(side=side, cl_ord_id=f"{side}{number}"))
        fills = [f"buy{number}" for number in range(40)]

        def told() -> list[str]:
            return [push.data["cl_ord_id"] for push in seen if push.data.get("exec_type") == "trade"]

        await until(lambda: len(told()) >= 40, "every fill")
        await until(lambda: seqs(seen, "trades.AAPL")[-1:] == [40], "every trade")
        reading.cancel()
        assert told() == fills
        assert seqs(seen, "trades.AAPL") == list(range(1, 41))
        assert client.reconnects > 5
        assert client.resubscribed == 0


def seqs(seen: list[Push], channel: str) -> list[int]:
    """Of what was told one by one."""
    return [push.seq for push in seen if push.channel == channel and not push.snapshot]


async def placed_in_the_end(client: AsyncClient, order: NewOrder) -> None:
    """As docs/native-api.md says: whoever does not know what became of an order sends it again."""
    while True:
        try:
            await client.place(**order)
            return
        except ApiError as error:
            if not error.retryable:
                raise


async def test_a_request_that_the_connection_took_with_it_is_unknown_and_one_without_a_connection_was_not_sent() -> None:
    """The difference decides whether it may be sent again under another id."""
    async with native_edge() as edge, client_of(edge, 1) as client:
        await client.account()
        edge.served.gateway.accounts.producer = Silent()  # type: ignore[assignment]
        asking = asyncio.create_task(client.place(**an_order(cl_ord_id="x")))
        await until(lambda: bool(client._link._waiting), "it is sent")
        cut(edge)
        with pytest.raises(OutcomeUnknown) as unknown:
            await asking
        assert (unknown.value.code, unknown.value.cl_ord_id) == ("connection_lost", "x")
        client._link._ws = None
        with pytest.raises(ApiError, match="nothing was sent") as nothing:
            await client._link.ask("ping", {})
        assert not isinstance(nothing.value, OutcomeUnknown)


class Silent:
    """Takes commands and sends none."""

    def enqueue_nowait(self, command: Any) -> None:
        """It waits for ever."""

    def answered(self, account: int) -> None:
        """Nothing was."""


async def test_cancel_on_disconnect_holds_for_later_connections() -> None:
    """The client asks for it again."""
    async with native_edge() as edge, client_of(edge, 1) as client:
        await client.cancel_on_disconnect(grace_ms=60_000)
        cut(edge)
        await until(lambda: client.reconnects == 1 and len(edge.desk.hub.talks) == 1, "it is back")
        await client.place(**an_order(cl_ord_id="a"))
        owner = next(iter(edge.desk.owners._owners.values()))
        assert owner.with_connection


def push(seq: int, prev: int | None, **more: Any) -> dict[str, Any]:
    """Of a channel."""
    return {"ch": "trades.AAPL", "seq": seq, "prev": prev, **({"snapshot": True} if prev is None else {}), **more}


def test_a_push_that_does_not_fit_is_not_handed_on_and_its_channel_is_asked_for_once() -> None:
    """Until the snapshot has come."""
    channels = Channels()
    channels.add(["trades.AAPL"])
    channels.note([{"ch": "trades.AAPL", "epoch": "e"}])
    assert channels.take(push(1, 0)) == (None, False), "nothing is handed on before the snapshot"
    taken, again = channels.take(push(4, None))
    assert taken is not None
    assert (taken.seq, taken.snapshot, again) == (4, True, False)
    assert channels.known() == [{"ch": "trades.AAPL", "epoch": "e", "seq": 4}]
    assert channels.take(push(6, 5)) == (None, True)
    assert channels.take(push(7, 6)) == (None, False)
    assert (channels.new(), channels.known()) == (["trades.AAPL"], [])
    taken, _ = channels.take(push(9, None))
    assert taken is not None
    channels.remove(["trades.AAPL"])
    assert channels.take(push(10, 9)) == (None, False)


def test_a_book_with_a_wrong_checksum_is_asked_for_anew() -> None:
    """Its copy is not handed on."""
    channels = Channels()
    channels.add(["book.AAPL.10.raw"])
    book = {"ch": "book.AAPL.10.raw", "b": [["180.05", "3"]], "a": [], "cs": 0}
    assert channels.take(push(4, None, **book)) == (None, False), "asked for already"
    right = crc32(b"180053")
    taken, again = channels.take(push(4, None, **book | {"cs": right}))
    assert not again
    assert taken is not None
    assert taken.book is not None
    assert taken.book.best_bids() == [("180.05", "3")]
    assert channels.take(push(5, 4, **book)) == (None, True)


async def test_the_client_without_asyncio_does_the_same() -> None:
    """In a thread, with a loop of its own."""

    def trade(url: str) -> tuple[list[str], int]:
        with Client(url, "KEY1", "secret-1") as seller, Client(url, "KEY2", "secret-2") as buyer:
            buyer.subscribe("orders")
            assert buyer.next_push(WAIT_S).snapshot
            seller.place(**an_order(side="sell", cl_ord_id="s"))
            buyer.place(**an_order(cl_ord_id="b"))
            told = [buyer.next_push(WAIT_S).data["exec_type"] for _ in range(2)]
            with pytest.raises(TimeoutError):
                buyer.next_push(0.01)
            with pytest.raises(Rejected):
                seller.place(**an_order(order_qty="600"))
            buyer.unsubscribe("orders")
            return told, len(seller.open_orders())

    async with native_edge() as edge:
        assert await asyncio.to_thread(trade, edge.served.origin) == (["new", "trade"], 0)
