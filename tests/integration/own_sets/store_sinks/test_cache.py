"""The cache in front of MySQL, on a real MariaDB and Valkey: never behind what its reader has seen, one read for all, and of no harm when it is away."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from edge_session import Gate
from sink_session import ACCOUNTS, START, Session, play

from edge.gateway.stored.history import OrderFilter
from edge.gateway.stored.stores import EdgeStores
from schemas.enums import ExecKind
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks.cached.entries import PREFIX
from sinks.cached.kinds import Head
from sinks.cached.warming import Progress
from sinks.mysql import market_history
from sinks.mysql.places import Place
from sinks.mysql.pool import MySql
from sinks.mysql.rows import MINUTE_NS
from sinks.mysql.sink import MySqlSink
from sinks.redis.client import open_redis
from streams.operate.cache import cache as cache_command
from streams.operate.cache_warming import Wish, warmed

pytestmark = pytest.mark.integration
ALL = OrderFilter(limit=500, status="all")
END = START + 10**13


@pytest.fixture(scope="module")
def session() -> Session:
    """With trades, cancels and a bust."""
    return play(5, turn_ns=11_000_000_000)


@pytest.fixture
async def cache(stores: Any) -> AsyncIterator[Any]:
    """A client of the cache's Redis, which is empty."""
    client = await open_redis(stores[1].cache_url)
    await client.flushdb()
    yield client
    await client.aclose()


class Edges:
    """Stores of edges, as many as a test wants; each has been told of the log up to `seq`."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._made, self.seq = settings, list[EdgeStores](), 0
        self.head = Head(0, 0)

    def one(self, **changed: Any) -> EdgeStores:
        """Another one."""
        made = EdgeStores(self._settings.model_copy(update=changed))
        made.place_of, made.head_of = lambda _: Place(0, self.seq), lambda _instrument, _end: self.head
        self._made.append(made)
        return made

    async def close(self) -> None:
        """All."""
        for one in self._made:
            await one.close()


@pytest.fixture
async def edges(stores: Any, cache: Any, mysql: MySql) -> AsyncIterator[Edges]:
    """On an empty database and an empty cache."""
    made = Edges(stores[1])
    yield made
    await made.close()


async def mark(mysql: MySql) -> int:
    """How far the sink has come."""
    rows = await mysql.fetch("SELECT last_seq FROM sink_marks WHERE topic = 'account.events' AND source = ''")
    return int(rows[0][0]) if rows else 0


async def versions(stores: EdgeStores, account: int) -> dict[int, int]:
    """Of each order, the filled quantity and the status as one number that grows."""
    return {one.order_id: one.cum_qty * 100 + int(one.ord_status) for one in await stores.orders(account, ALL)}


def done(stores: EdgeStores) -> dict[str, int]:
    """What its cache has counted."""
    assert stores.cache is not None
    return dict(stores.cache.outcomes)


async def until_kept(cache: Any, entries: int) -> None:
    """Entries are written behind the answer, and locks given back."""
    async with asyncio.timeout(30):
        while len(await cache.keys(f"{PREFIX}*")) != entries or await cache.keys(f"{PREFIX}lock:*"):  # noqa: ASYNC110  another process has them
            await asyncio.sleep(0.01)


async def test_an_answer_is_never_behind_what_its_reader_has_seen_and_is_without_places(
    stores: Any, mysql: MySql, mysql_sink: MySqlSink, edges: Edges, session: Session
) -> None:
    """Two edges read all accounts while the log is stored: with places nothing is stale, without them something is, or this would prove nothing."""
    two, blind, direct = [edges.one(), edges.one()], edges.one(), edges.one(cache_url="")
    blind.place_of = lambda _: Place(0, -1)
    stale = {"placed": 0, "blind": 0}
    for number, one in enumerate(session.inputs):
        await mysql_sink.write_batch([one])
        if number % 3:
            continue
        edges.seq = await mark(mysql)
        for account in ACCOUNTS:
            known = await versions(direct, account)
            stale["blind"] += await versions(blind, account) != known  # first: whoever knows a place brings the entry up to it
            for reader in two:
                stale["placed"] += await versions(reader, account) != known
    assert stale["placed"] == 0
    assert stale["blind"] > 0
    assert sum(done(one).get("hit", 0) + done(one).get("waited", 0) for one in two) > 0
    assert sum(one.cache.behind for one in two if one.cache) > 0, "some entries were too old for their readers"


async def test_a_thousand_who_ask_for_one_cold_key_make_one_query(
    mysql_sink: MySqlSink, edges: Edges, session: Session, cache: Any
) -> None:
    """In a process all share a read; of two processes the other one waits for its entry."""
    await mysql_sink.write_batch(session.inputs)
    two = [edges.one(), edges.one()]
    for one in two:
        await one.mysql.primary()
        assert one.cache is not None
        await one.cache.store.client()
    answers = await asyncio.gather(*(versions(two[number % 2], 1) for number in range(1_000)))
    assert all(one == answers[0] for one in answers) and answers[0]
    assert sum(one.cache.queries for one in two if one.cache) == 1
    assert sum(done(one).get("joined", 0) for one in two) == 998
    await until_kept(cache, 1)


async def test_who_goes_away_takes_nobody_along(mysql_sink: MySqlSink, edges: Edges, session: Session) -> None:
    """The first of all who wait is cancelled; the others get their answer."""
    await mysql_sink.write_batch(session.inputs)
    stores = edges.one()
    tasks = [asyncio.create_task(versions(stores, 1)) for _ in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(one == answers[1] and one for one in answers[1:])


async def test_an_entry_that_no_edge_has_written_is_a_miss_and_counted(
    mysql_sink: MySqlSink, edges: Edges, session: Session, cache: Any
) -> None:
    """Another account's entry put in its place, one bit changed, noise, an empty one, an older version's."""
    await mysql_sink.write_batch(session.inputs)
    stores = edges.one()
    mine, others = await versions(stores, 1), await versions(stores, 2)
    assert mine != others
    await until_kept(cache, 2)
    names = await cache.keys(f"{PREFIX}*")
    whole = {name: await cache.get(name) for name in names}
    for name, other in zip(names, reversed(names), strict=True):
        raw = whole[name]
        for forged in (whole[other], raw[:40] + bytes([raw[40] ^ 1]) + raw[41:], b"\x01" + bytes(200), b"{}", b"", b"\x00" + raw[1:]):
            for one in names:
                await cache.set(one, forged if one == name else whole[one])
            assert (await versions(stores, 1), await versions(stores, 2)) == (mine, others)
            await until_kept(cache, 2)
    assert stores.cache is not None
    assert set(stores.cache.refused) == {"foreign", "cut", "version"} and stores.cache.refused.total() == 12


async def test_an_old_entry_that_somebody_puts_back_is_seen_by_its_place(
    mysql: MySql, mysql_sink: MySqlSink, edges: Edges, session: Session, cache: Any
) -> None:
    """It is genuine, and behind."""
    stores, half = edges.one(), len(session.inputs) // 2
    await mysql_sink.write_batch(session.inputs[:half])
    edges.seq = await mark(mysql)
    early = await versions(stores, 1)
    await until_kept(cache, 1)
    (name,) = await cache.keys(f"{PREFIX}*")
    old = await cache.get(name)
    await mysql_sink.write_batch(session.inputs[half:])
    edges.seq = await mark(mysql)
    late = await versions(stores, 1)
    await until_kept(cache, 1)
    await cache.set(name, old)
    assert await versions(stores, 1) == late != early


async def test_without_redis_reads_go_to_mysql_and_nobody_hears_of_it(
    mysql_sink: MySqlSink, edges: Edges, session: Session, stores: Any
) -> None:
    """Shut, then silent, then open again: the answers are the same, none is an error, and a silent one is asked once."""
    await mysql_sink.write_batch(session.inputs)
    gate = Gate(stores[1].cache_url)
    await gate.open()
    reader = edges.one(cache_url=gate.url)
    known = await versions(reader, 1)
    await gate.shut()
    for _ in range(20):
        assert await versions(reader, 1) == known
    await gate.open()
    await gate.silence()
    assert reader.cache is not None
    reader.cache.store._away_until_s = 0.0
    failures = reader.cache.store.failures
    answers = await asyncio.gather(*(versions(reader, account) for account in ACCOUNTS for _ in range(10)))
    assert answers[0] == known and len(answers) == 80
    assert reader.cache.store.failures - failures <= len(ACCOUNTS), "one question an account was under way, and then Redis was left alone"
    await gate.open()
    async with asyncio.timeout(30):
        while not done(reader).get("hit", 0):
            assert await versions(reader, 1) == known
            await asyncio.sleep(0.05)
    await gate.shut()


async def test_without_mysql_what_is_kept_is_answered_and_the_rest_is_unavailable(
    mysql: MySql, mysql_sink: MySqlSink, edges: Edges, session: Session, stores: Any, cache: Any
) -> None:
    """As far as its place allows."""
    await mysql_sink.write_batch(session.inputs)
    edges.seq = await mark(mysql)
    gate = Gate(stores[1].mysql_url)
    await gate.open()
    reader = edges.one(mysql_url=gate.url)
    known = await versions(reader, 1)
    await until_kept(cache, 1)
    await gate.shut()
    assert await versions(reader, 1) == known
    with pytest.raises(ServiceUnavailable):
        await reader.orders(2, ALL)
    edges.seq += 1
    with pytest.raises(ServiceUnavailable):
        await reader.orders(1, ALL)


async def test_an_entry_that_is_no_longer_fresh_is_answered_and_read_again_by_one(
    mysql_sink: MySqlSink, edges: Edges, session: Session, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stale while it is revalidated: its place still covers what was seen."""
    await mysql_sink.write_batch(session.inputs)
    stores = edges.one()
    monkeypatch.setattr("sinks.cached.reads.FRESH_MS", 0)
    known = await versions(stores, 1)
    await until_kept(cache, 1)
    (name,) = await cache.keys(f"{PREFIX}*")
    first = await cache.get(name)
    monkeypatch.undo()
    assert await versions(stores, 1) == known
    async with asyncio.timeout(30):
        while await cache.get(name) == first:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
    assert await versions(stores, 1) == known
    assert done(stores) == {"miss": 1, "stale": 1, "hit": 1}


async def test_bars_are_kept_until_a_trade_or_a_bust_is_told(
    mysql_sink: MySqlSink, edges: Edges, session: Session, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that lacks what this edge has told is read again, however young it is by the clock."""
    monkeypatch.setattr("sinks.cached.reads.LATE_MS", -1)  # what is public may be a second late; here it may not
    stores = edges.one()
    trades = [int(row["trd_match_id"]) for row in session.executions if row["kind"] == ExecKind.TRADE]
    busts = [int(row["transact_time"]) for row in session.executions if row["kind"] == ExecKind.TRADE_BUSTED]
    place = next(at for at, one in enumerate(session.inputs) if one.topic == "executions" and _has_bust(one))

    async def bars() -> Any:
        return await stores.read(market_history.bars, None, 1, MINUTE_NS, START - START % MINUTE_NS, END, 1_000)

    await mysql_sink.write_batch(session.inputs[:place])
    before = await bars()
    await until_kept(cache, 1)
    await mysql_sink.write_batch(session.inputs[place : place + 1])
    assert await bars() == before, "nobody has been told of the bust yet"
    edges.head = Head(0, busts[0])
    busted = await bars()
    assert busted != before
    await mysql_sink.write_batch(session.inputs[place + 1 :])
    edges.head = Head(trades[-1], busts[0])
    assert sum(one.qty for one in (await bars()).bars) > sum(one.qty for one in busted.bars)
    await until_kept(cache, 1)
    count = done(stores)["hit"]
    assert await bars() == await bars()
    assert done(stores)["hit"] == count + 2


def _has_bust(one: Any) -> bool:
    return bool((one.body.rows["kind"] == ExecKind.TRADE_BUSTED).any())


async def test_what_is_warmed_is_answered_without_mysql_and_a_run_goes_on_where_one_was_ended(
    stores: Any, mysql: MySql, mysql_sink: MySqlSink, edges: Edges, session: Session, cache: Any
) -> None:
    """A second run reads nothing again; one that is ended in between leaves the next one the rest. What it told is shown."""
    await mysql_sink.write_batch(session.inputs)
    settings, told = stores[1], list[Progress]()
    first = await warmed(settings, Wish(3, 5, 1_000), lambda progress: told.append(replace(progress)))
    assert (first.ended, first.read, first.there) == ("done", 2 * 1 + 2 * 5, 0), "one symbol has traded"
    assert told[-1] == first
    again = await warmed(settings, Wish(3, len(ACCOUNTS), 1_000), lambda _: None)
    assert (again.ended, again.there, again.read) == ("done", first.pages, 2 * (len(ACCOUNTS) - 5))
    edges.seq = await mark(mysql)
    reader = edges.one()
    for account in ACCOUNTS:
        assert await reader.orders(account, OrderFilter(limit=50)) == await edges.one(cache_url="").orders(account, OrderFilter(limit=50))
    assert done(reader) == {"hit": len(ACCOUNTS)}
    shown = await asyncio.to_thread(CliRunner().invoke, cache_command, ["show", "--json"], obj=settings, catch_exceptions=False)
    document = json.loads(shown.stdout)
    assert document["entries"] == {"bars": 2, "orders_of_account": len(ACCOUNTS), "activities": len(ACCOUNTS)}
    assert document["warming"] == vars(again) and document["policy"] == "allkeys-lfu"


async def test_warming_leaves_room_for_what_nobody_has_predicted(
    stores: Any, mysql_sink: MySqlSink, session: Session, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops, and says why."""
    await mysql_sink.write_batch(session.inputs)
    monkeypatch.setattr("sinks.cached.warming.WARM_MEMORY_SHARE", 0.0)
    progress = await warmed(stores[1], Wish(3, 5, 1_000), lambda _: None)
    assert progress.read == 0 and "of the cache's memory is used" in progress.ended
