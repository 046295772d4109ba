"""Channels of the native API: each push has its place, books add up, and who comes back gets everything, or a snapshot, never a part."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from support.native_edge import Follower, NativeEdge, NativeSocket, an_order, native_edge
from support.served_edge import until

from edge.gateway.accounts.view import ReplyRow
from edge.native.channels.account_streams import AccountStreams
from schemas.enums import Phase

MARKET = ("trades.AAPL", "busts.AAPL", "bars.AAPL", "quotes.AAPL.raw", "quotes.AAPL.50ms", "status.AAPL", "auction.AAPL", "bands.AAPL")
BOOKS = tuple(f"book.AAPL.{depth}.{cadence}" for depth in ("1", "10", "full") for cadence in ("raw", "50ms"))


async def trade(ws: NativeSocket, other: NativeSocket, tag: str, qty: str = "1") -> None:
    """One trade of AAPL between two accounts."""
    assert (await ws.ask("order.place", order=an_order(cl_ord_id=f"s{tag}", side="sell", order_qty=qty)))["ok"]
    assert (await other.ask("order.place", order=an_order(cl_ord_id=f"b{tag}", order_qty=qty)))["ok"]


async def read_until(ws: NativeSocket, follower: Follower, name: str, seq: int) -> None:
    """Take pushes until the channel is there."""
    while follower.seqs.get(name, -1) < seq:
        follower.take(await ws.push())


async def settled(edge: NativeEdge, ws: NativeSocket, follower: Follower, names: Sequence[str]) -> None:
    """Take everything that there is: until each of the channels is where the edge's is."""
    hub = edge.desk.hub
    await until(lambda: not any(turns._waiting for turns in hub._turns.values()), "every cadence had its turn")
    channels = [hub._channels["msgpack" if ws.packed else "json", name] for name in names]
    await until(lambda: not any(channel.topic.is_waiting for channel in channels), "everything is flushed")
    for channel in channels:
        await read_until(ws, follower, channel.name, channel.last)


async def test_every_channel_begins_with_a_snapshot_and_each_push_follows_the_one_before() -> None:
    """Whatever the kind and cadence; and both encodings tell the same."""
    async with (
        native_edge() as edge,
        edge.socket(1) as seller,
        edge.socket(2) as buyer,
        edge.socket(1) as json,
        edge.socket(packed=True) as packed,
    ):
        one, two = Follower(), Follower()
        told = await json.ask("subscribe", channels=[*MARKET, *BOOKS, "orders", "account"])
        assert [each["ch"] for each in told["channels"]] == [*MARKET, *BOOKS, "orders", "account"]
        assert {each["epoch"] for each in told["channels"] if not each["ch"].startswith("book.")} == {"log-1"}
        assert (await packed.ask("subscribe", channels=[*MARKET, *BOOKS]))["ok"]
        for number in range(12):
            await trade(seller, buyer, str(number))
            await seller.ask("order.place", order=an_order(side="sell", price=f"{181 + number}.00", cl_ord_id=f"r{number}", order_qty="1"))
        await settled(edge, json, one, [*MARKET, *BOOKS])
        await read_until(json, one, "account", edge.desk.hub.accounts._streams[1].account.last)
        await settled(edge, packed, two, [*MARKET, *BOOKS])
        assert set(one.snapshots.values()) == {1}
        assert [item["seq"] for item in one.items["trades.AAPL"]] == list(range(1, 13))
        assert len(one.items["quotes.AAPL.50ms"]) <= len(one.items["quotes.AAPL.raw"])
        assert one.books == two.books
        assert one.items["trades.AAPL"] == two.items["trades.AAPL"]
        assert one.checksums >= 2 * len(BOOKS), "each book had its checksum, in its snapshot and in a push"
        fills = [item for item in one.items["orders"] if item["exec_type"] == "trade"]
        assert [(item["cl_ord_id"], item["last_px"], item["liquidity"]) for item in fills[:2]] == [
            ("s0", "180", "maker"),
            ("s1", "180", "maker"),
        ]
        assert one.items["account"][-1]["positions"][0]["symbol"] == "AAPL"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_checksum_of_each_book_push_is_that_of_the_clients_own_book(seed: int) -> None:
    """At every depth and cadence, through orders that come and go at random."""
    chosen = random.Random(seed)
    async with native_edge() as edge, edge.socket(1) as ws, edge.socket() as reader:
        follower, placed = Follower(), 0
        edge.served.state.fan_out._tick_s = 0.0  # otherwise the changes of one tick are one push
        await reader.ask("subscribe", channels=list(BOOKS))
        for _ in range(150):
            if chosen.random() < 0.7:
                placed += 1
                side = chosen.choice(("buy", "sell"))
                price = chosen.randint(17_970, 17_999) if side == "buy" else chosen.randint(18_001, 18_030)
                await ws.ask("order.place", order=an_order(side=side, price=f"{price / 100:.2f}", order_qty="1", cl_ord_id=f"{placed}"))
            elif placed:
                await ws.ask("order.cancel", cl_ord_id=str(chosen.randint(1, placed)))
        await settled(edge, reader, follower, BOOKS)
        assert follower.checksums > 100
        view = edge.served.gateway.market.symbols["AAPL"]
        assert {name: (len(book["b"]), len(book["a"])) for name, book in follower.books.items() if ".full." in name} == {
            name: (len(view.levels[1]), len(view.levels[2])) for name in BOOKS if ".full." in name
        }
        for book in follower.books.values():
            assert len(book["b"]) <= 10 or book in (follower.books["book.AAPL.full.raw"], follower.books["book.AAPL.full.50ms"])


@pytest.mark.parametrize("cut", range(0, 14, 3))
async def test_who_resumes_after_any_message_has_everything_once(cut: int) -> None:
    """Trades, orders and bars; what happened in between is replayed, in its order."""
    async with native_edge() as edge, edge.socket(1) as seller, edge.socket(2) as buyer:
        follower = Follower()
        async with edge.socket(1) as ws:
            assert (await ws.ask("subscribe", channels=["trades.AAPL", "orders"]))["ok"]
            for number in range(4):
                await trade(seller, buyer, f"x{number}")
            for _ in range(cut):
                follower.take(await ws.push())
        for number in range(4):
            await trade(seller, buyer, f"y{number}")
        async with edge.socket(1) as ws:
            places = [{"ch": name, "epoch": "log-1", "seq": seq} for name, seq in follower.seqs.items()]
            if places:
                told = await ws.ask("resume", channels=places)
                assert all(each["recovered"] for each in told["channels"])
            new = [name for name in ("trades.AAPL", "orders") if name not in follower.seqs]
            if new:
                await ws.ask("subscribe", channels=new)
            await trade(seller, buyer, "z")
            await read_until(ws, follower, "trades.AAPL", 9)
            await read_until(ws, follower, "orders", edge.desk.hub.accounts._streams[1].orders.last)
            if not new:
                assert [item["seq"] for item in follower.items["trades.AAPL"]] == list(range(1, 10))
                fills = [item["cl_ord_id"] for item in follower.items["orders"] if item["exec_type"] == "trade"]
                assert fills == [f"s{tag}" for tag in ("x0", "x1", "x2", "x3", "y0", "y1", "y2", "y3", "z")]


async def test_what_cannot_be_replayed_whole_is_a_declared_snapshot() -> None:
    """Another log, a place that never was, one that is forgotten."""
    async with native_edge() as edge, edge.socket(1) as seller, edge.socket(2) as buyer, edge.socket(1) as ws:
        for number in range(3):
            await trade(seller, buyer, str(number))
        edge.served.gateway.market.symbols["AAPL"].trades.popleft()
        for epoch, seq in (("log-0", 3), ("log-1", 4), ("log-1", 0)):
            told = await ws.ask("resume", channels=[{"ch": "trades.AAPL", "epoch": epoch, "seq": seq}])
            assert told["channels"] == [{"ch": "trades.AAPL", "epoch": "log-1", "seq": 3, "recovered": False}], (epoch, seq)
            whole = await ws.push()
            assert (whole["snapshot"], whole["seq"], [item["seq"] for item in whole["items"]]) == (True, 3, [2, 3])
        told = await ws.ask("resume", channels=[{"ch": "trades.AAPL", "epoch": "log-1", "seq": 1}])
        assert told["channels"][0]["recovered"]
        assert [(item["prev"], item["seq"]) for item in await ws.pushes(2)] == [(1, 2), (2, 3)]
        told = await ws.ask("resume", channels=[{"ch": "orders", "epoch": "log-1", "seq": 1}])
        assert not told["channels"][0]["recovered"], "events of before the first subscription were not kept"
        assert (await ws.push())["orders"] == []


async def test_another_process_says_that_it_does_not_know_an_accounts_events() -> None:
    """It has registered the account later than the client's place, so the client gets a snapshot."""
    async with native_edge() as edge, edge.socket(1) as seller, edge.socket(2) as buyer, edge.socket(1) as ws:
        await ws.ask("subscribe", channels=["orders"])
        place = (await ws.push())["seq"]
        await trade(seller, buyer, "a")
        edge.desk.hub.accounts._streams.clear()
        edge.served.gateway.accounts._views.clear()
        async with edge.socket(1) as again:
            told = await again.ask("resume", channels=[{"ch": "orders", "epoch": "log-1", "seq": place}])
            assert told["channels"][0]["recovered"] is False
            assert (await again.push())["snapshot"]


async def test_the_ring_of_an_accounts_events_is_bounded_and_its_end_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is behind it gets a snapshot."""
    monkeypatch.setattr("edge.native.channels.account_streams.ORDER_EVENTS_KEPT", 5)
    async with native_edge() as edge, edge.socket(1) as ws:
        await ws.ask("subscribe", channels=["orders"])
        for number in range(8):
            await ws.ask("order.place", order=an_order(order_qty="1", cl_ord_id=str(number)))
        seqs = [push["seq"] for push in await ws.pushes(9)]
        orders = edge.desk.hub.accounts._streams[1].orders
        assert orders.after(seqs[-7]) is None
        assert [row.seq for (row, _), _ in orders.after(seqs[-6]) or ()] == seqs[-5:]
        assert orders.after(seqs[-5] - 1) is None or seqs[-5] - 1 == seqs[-6], "a place at which the channel has never been"
        assert orders.after(seqs[-1]) == []
        assert edge.desk.hub.accounts.kept == 5


class Rows:
    """Keeps what an edge is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[ReplyRow, str]] = []

    def take_row(self, row: ReplyRow, cl_ord_id: str) -> None:
        self.rows.append((row, cl_ord_id))

    def take_past(self, row: ReplyRow, cl_ord_id: str) -> None:
        raise AssertionError

    def forget_all(self) -> None:
        raise AssertionError


@pytest.mark.parametrize("first", [0, 1, 5, 17])
async def test_an_edge_that_reads_its_log_of_replies_again_resumes_from_every_place_that_the_log_has(first: int) -> None:
    """Word for word what the edge before it told, wherever the log begins; from before that nothing is made up."""
    async with native_edge() as edge, edge.socket(1) as seller, edge.socket(2) as buyer, edge.socket(1) as ws:
        told = Rows()
        edge.served.gateway.accounts.follow(told)
        await ws.ask("subscribe", channels=["orders"])
        for number in range(8):
            await trade(seller, buyer, str(number))
        last = edge.desk.hub.accounts._streams[1].orders.last
        pushes = [await ws.push()]
        while pushes[-1]["seq"] < last:
            pushes.append(await ws.push())
        again = AccountStreams(edge.served.gateway.instruments)
        for row, cl_ord_id in told.rows[first:]:
            again.take_past(row, cl_ord_id)
        orders = again._streams[1].orders
        assert orders.last == last
        places = {push["seq"]: place for place, push in enumerate(pushes)}
        resumed = 0
        for seq in range(last + 2):
            found = orders.after(seq)
            if found is not None:
                resumed += 1
                assert [orders.push_of(one) for one in found] == pushes[places[seq] + 1 :], seq
        assert resumed > (len(pushes) - first) // 2


async def test_a_change_of_phase_is_told_and_a_later_subscription_begins_with_it() -> None:
    """Who comes in between is told what holds."""
    async with native_edge(Phase.CLOSED) as edge, edge.socket(1) as ws:
        follower = Follower()
        await ws.ask("subscribe", channels=["status.AAPL"])
        follower.take(await ws.push())
        edge.exchange.phase(Phase.OPENING_AUCTION)
        follower.take(await ws.push())
        assert follower.items["status.AAPL"][-1]["phase"] == "opening_auction"
        async with edge.socket() as late:
            await late.ask("subscribe", channels=["status.AAPL"])
            assert (await late.push())["phase"] == "opening_auction"


async def test_channels_without_anybody_are_forgotten() -> None:
    """Nothing is kept for, or computed for, nobody."""
    async with native_edge() as edge:
        async with edge.socket() as ws:
            await ws.ask("subscribe", channels=[*MARKET, *BOOKS])
            assert len(edge.desk.hub._channels) == len(MARKET) + len(BOOKS)
            await ws.ask("unsubscribe", channels=list(BOOKS))
            assert {name for _, name in edge.desk.hub._channels} == set(MARKET)
        async with edge.socket() as other:
            await other.ask("ping")
            hub = edge.desk.hub
            while len(hub.talks) > 1:
                await other.ask("ping")
            assert (hub._channels, hub._followers, [turns._waiting for turns in hub._turns.values()]) == ({}, {}, [{}, {}, {}])


@pytest.mark.parametrize(
    ("channels", "code"),
    [
        (["book.AAPL.11.raw"], "unknown_channel"), (["book.AAPL.10.raw", "trades.NOPE"], "unknown_channel"), (["book.AAPL"], "unknown_channel"),
        ([7], "unknown_channel"), ("trades.AAPL", "invalid_field"), ([], "invalid_field"), (["trades.AAPL"] * 2, "invalid_field"),
        (["orders"], "not_logged_on"), (["quotes.AAPL"], "unknown_channel"), ([None], "unknown_channel"), ([{"a": 1}], "unknown_channel"),
    ],
)  # fmt: skip
async def test_a_subscription_with_anything_wrong_changes_nothing(channels: Any, code: str) -> None:
    """All of it or none."""
    async with native_edge() as edge, edge.socket() as ws:
        told = await ws.ask("subscribe", channels=channels)
        assert (told["ok"], told["problem"]["code"]) == (False, code)
        assert not edge.desk.hub._channels
