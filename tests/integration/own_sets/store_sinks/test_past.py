"""What the edge reads of the past: bars, trades, auctions, activities; and what customers keep."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import pytest
from sink_session import ACCOUNTS, START, Session, disturbed, play

from schemas.enums import AccountEventKind, ExecFlag, ExecKind, Phase, Side
from sinks.mysql import account_history, customer_records, linked_trades, market_history
from sinks.mysql.account_history import ActivityFilter
from sinks.mysql.customer_records import Watchlist
from sinks.mysql.generation import BUILDING, building_statements
from sinks.mysql.market_history import StoredBar
from sinks.mysql.pool import MySql
from sinks.mysql.rows import CASH, FEE, MINUTE_NS, SHARES
from sinks.mysql.sink import MySqlSink

pytestmark = pytest.mark.integration


END = START + 10**13
TURN_NS = 11_000_000_000
_TRADE, _OUTSIDE, _BUST = (int(kind) for kind in (AccountEventKind.TRADE, AccountEventKind.ACCOUNT_UPDATED, AccountEventKind.TRADE_BUSTED))
EVERY_KIND = [(kind, leg) for kind in (_TRADE, _OUTSIDE, _BUST) for leg in (CASH, SHARES, FEE)]


@pytest.fixture(scope="module")
def session() -> Session:
    """Eleven minutes of trading, a busted trade, a closing auction."""
    return play(5, turn_ns=TURN_NS)


@pytest.fixture
async def stored(mysql: MySql, mysql_sink: MySqlSink, session: Session) -> MySql:
    """The session, as a rough delivery brings it."""
    for batch in disturbed(session.inputs, random.Random(1)):
        await mysql_sink.write_batch(batch)
    return mysql


def trades_of(session: Session, *, busted: bool) -> list[Any]:
    """In the order of the log."""
    rows = session.executions
    gone = set() if busted else set(rows["trd_match_id"][rows["kind"] == ExecKind.TRADE_BUSTED].tolist())
    return [row for row in rows[rows["kind"] == ExecKind.TRADE] if int(row["trd_match_id"]) not in gone]


def bars_of(session: Session, width_ns: int) -> list[StoredBar]:
    """By hand."""
    spans: dict[int, list[Any]] = defaultdict(list)
    for row in trades_of(session, busted=False):
        spans[int(row["transact_time"]) // width_ns * width_ns].append(row)
    made = []
    for start, rows in sorted(spans.items()):
        prices, qty = [int(row["price"]) for row in rows], [int(row["qty"]) for row in rows]
        notional = sum(price * lots for price, lots in zip(prices, qty, strict=True))
        made.append(StoredBar(start, prices[0], max(prices), min(prices), prices[-1], sum(qty), len(rows), notional))
    return made


@pytest.mark.parametrize("width", [1, 3, 5])
async def test_bars_are_those_of_the_trades_that_hold_whatever_is_delivered_twice(stored: MySql, session: Session, width: int) -> None:
    """In both directions, whole and by pages; the busted trade is in none."""
    width_ns, expected = width * MINUTE_NS, bars_of(session, width * MINUTE_NS)
    assert len(expected) > 1
    for ascending in (True, False):
        whole = await market_history.bars(stored, 1, width_ns, START, END, 1_000, ascending=ascending)
        assert whole == market_history.BarPage(expected if ascending else expected[::-1], None)
        seen, start, end = [], START, END
        while True:
            page = await market_history.bars(stored, 1, width_ns, start, end, 2, ascending=ascending)
            seen += page.bars
            if page.next_at is None:
                break
            start, end = (page.next_at, end) if ascending else (start, page.next_at)
        assert seen == whole.bars
    closes = await market_history.closes(stored, 1, START - START % width_ns, END, width_ns)
    assert [price for _, price in closes] == [one.close_px for one in expected]
    assert await market_history.closes_before(stored, [1, 2], END) == {1: expected[-1].close_px}


async def test_trades_are_read_by_time_and_by_page_and_tell_their_bust(stored: MySql, session: Session) -> None:
    """Also from the middle of a minute."""
    trades = trades_of(session, busted=True)
    numbers = [int(row["trd_match_id"]) for row in trades]
    for ascending in (True, False):
        seen: list[Any] = []
        while page := await market_history.trades(
            stored, 1, START, END, 7, ascending=ascending, behind=seen[-1].trd_match_id if seen else None
        ):
            seen += page
        assert [one.trd_match_id for one in seen] == (numbers if ascending else numbers[::-1])
        assert [one.trd_match_id for one in seen if one.bust_reason] == [numbers[0]]
    middle = int(trades[20]["transact_time"])
    behind = await market_history.trades(stored, 1, middle, END, 1_000)
    assert [one.trd_match_id for one in behind] == [int(row["trd_match_id"]) for row in trades if int(row["transact_time"]) >= middle]
    assert await market_history.trades(stored, 2, START, END, 10) == []


async def test_an_auction_has_the_price_and_the_volume_of_its_uncross(stored: MySql, session: Session) -> None:
    """The closing one, which is the only one."""
    uncrossed = [row for row in trades_of(session, busted=True) if row["flags"] & ExecFlag.UNCROSS]
    assert uncrossed
    (auction,) = await market_history.auctions(stored, 1, START, END, 10)
    assert (auction.phase, auction.price) == (int(Phase.CLOSING_AUCTION), int(uncrossed[0]["price"]))
    assert (auction.qty, auction.transact_time) == (sum(int(row["qty"]) for row in uncrossed), int(uncrossed[0]["transact_time"]))
    assert await market_history.auctions(stored, 1, START, auction.transact_time, 10) == []


async def test_activities_are_the_ledger_of_the_account_by_pages_and_their_sum_is_what_it_has(stored: MySql, session: Session) -> None:
    """In both directions, filtered by type, by time and by sign."""
    for account in ACCOUNTS:
        whole = await account_history.activities(stored, account, ActivityFilter(EVERY_KIND, 10_000, ascending=True))
        cash = sum(one.amount for one in whole if one.instrument == 0)
        shares = sum(one.amount for one in whole if one.instrument == 1)
        assert (cash, shares) == (session.accounts.accounts[account].cash, session.accounts.positions[account, 1].position)
        fills = [one for one in whole if one.kind == _TRADE and one.leg == SHARES]
        assert fills
        assert all(
            (one.traded, one.last_qty) == (1, abs(one.amount)) and one.order_id and one.side == (1 if one.amount > 0 else 2)
            for one in fills
        )
        for ascending in (True, False):
            seen: list[Any] = []
            while page := await account_history.activities(
                stored, account, ActivityFilter(EVERY_KIND, 9, ascending=ascending, behind=seen[-1].place if seen else None)
            ):
                seen += page
            assert seen == (whole if ascending else whole[::-1])
        outside = [(_OUTSIDE, CASH), (_OUTSIDE, SHARES)]
        assert len(await account_history.activities(stored, account, ActivityFilter(outside, 10))) == 2
        assert len(await account_history.activities(stored, account, ActivityFilter(outside, 10, incoming=False))) == 1, "no cash went"
        first, at = whole[0], whole[-1].transact_time
        assert await account_history.activities(stored, account, ActivityFilter(EVERY_KIND, 10, after=at)) == []
        assert await account_history.time_of(stored, account, (first.shard, first.seq, first.leg)) == first.transact_time
        assert await account_history.time_of(stored, account + 1, (first.shard, first.seq, first.leg)) is None
        flows = await account_history.flows(stored, account, START, MINUTE_NS)
        assert sum(flow.amount for flow in flows if flow.instrument == 0) == cash
        assert sum(flow.came for flow in flows if flow.instrument == 0) == 10_000_000_000
        assert [flow.span for flow in flows] == sorted(flow.span for flow in flows)


async def test_what_customers_keep_is_theirs_alone_and_survives_a_rebuild(mysql: MySql) -> None:
    """Names are unique within an account, lists are bounded, and two changes at once both hold."""
    one = Watchlist("00000000-0000-4000-8000-000000000001", "tech ❤", 5, 5, (3, 1))
    other = Watchlist("00000000-0000-4000-8000-000000000002", "tech ❤", 6, 6, ())
    assert await customer_records.put_watchlist(mysql, 1, one, 2) == ""
    assert await customer_records.put_watchlist(mysql, 1, other, 2) == "name"
    assert await customer_records.put_watchlist(mysql, 2, other, 2) == ""
    renamed = Watchlist(one.watchlist_id, "banks", 5, 7, (2,))
    assert await customer_records.put_watchlist(mysql, 1, renamed, 2) == ""
    assert await customer_records.watchlists(mysql, 1) == [renamed]
    assert await customer_records.put_watchlist(mysql, 1, Watchlist("x", "third", 8, 8, ()), 1) == "most"
    assert not await customer_records.drop_watchlist(mysql, 1, other.watchlist_id)
    assert await customer_records.drop_watchlist(mysql, 2, other.watchlist_id)
    assert await customer_records.watchlists(mysql, 2) == []
    assert await customer_records.configuration(mysql, 1) == {}
    changes = [{"suspend_trade": True}, {"no_shorting": True}]
    await asyncio.gather(*(customer_records.change_configuration(mysql, 1, change, 9) for change in changes))
    assert await customer_records.configuration(mysql, 1) == {"suspend_trade": True, "no_shorting": True}
    made = " ".join(building_statements())
    assert f"{BUILDING}bars" in made
    assert "watchlists" not in made
    assert "account_configurations" not in made


@pytest.mark.parametrize("most", [200_000, 20])
async def test_who_sold_to_whom_is_summed_whoever_was_the_aggressor(
    stored: MySql, session: Session, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: the busted trade is in none; of too many trades the newest are counted, and it is said from when on."""
    monkeypatch.setattr(linked_trades, "TRADES_READ_MAX", most)
    rows = [one for one in trades_of(session, busted=True) if int(one["instrument"]) == 1]
    since = int(rows[-most - 1]["transact_time"]) if len(rows) > most else 0
    held = {int(one["trd_match_id"]) for one in trades_of(session, busted=False)}
    expected: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows[-most:]:
        if int(row["trd_match_id"]) in held:
            own, other, qty = int(row["account"]), int(row["contra_account"]), int(row["qty"])
            found = expected[(own, other) if row["side"] == Side.SELL else (other, own)]
            found[0], found[1], found[2] = found[0] + 1, found[1] + qty, found[2] + qty * int(row["price"])
    span = await linked_trades.trade_span(stored, 1, START, END)
    assert span is not None
    assert span.since == since
    for accounts, both in (((1, 2), False), ((1, 2, 3), True), ((), True)):
        pairs = await linked_trades.traded_pairs(stored, 1, START, END, span, accounts, both=both)
        wanted = (
            {key: value for key, value in expected.items() if (all if both else any)(one in accounts for one in key)} if accounts else {}
        )
        assert {(seller, buyer): list(sums) for seller, buyer, *sums in pairs} == wanted
        assert [one[3] for one in pairs] == sorted((one[3] for one in pairs), reverse=True)
    assert await linked_trades.trade_span(stored, 1, 0, START) is None
