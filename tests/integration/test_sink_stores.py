"""The three sinks on real stores: what a session of the exchange leaves in them, whatever is delivered twice, torn or refused on the way."""

import asyncio
import hashlib
import json
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sink_session import ACCOUNTS, INSTRUMENTS, START, Session, disturbed, market_data, play
from support.alert_records import whole
from support.case_records import ANN, SECOND, SUE, action, opening
from support.memory_log import traded

from schemas.codec import BadBytes
from schemas.enums import AccountEventKind, ExecFlag, ExecKind, MarketDataKind, Phase, Side
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from sinks import Input
from sinks.elastic import queries as elastic_queries
from sinks.elastic.client import open_elasticsearch
from sinks.elastic.indices import EXECUTIONS as AUDIT_EXECUTIONS
from sinks.elastic.sink import ElasticSink
from sinks.mysql import account_history, case_queries, customer_records, market_history
from sinks.mysql import api_keys as mysql_keys
from sinks.mysql import queries as mysql_queries
from sinks.mysql.account_history import ActivityFilter
from sinks.mysql.customer_records import Watchlist
from sinks.mysql.generation import BUILDING, building_statements
from sinks.mysql.market_history import StoredBar
from sinks.mysql.pool import MySql
from sinks.mysql.queries import OrderFilter
from sinks.mysql.rows import CASH, FEE, MINUTE_NS, SHARES
from sinks.mysql.schema import ADDED_COLUMNS, apply_schema
from sinks.mysql.sink import MySqlSink
from sinks.redis import prices as redis_prices
from sinks.redis.client import open_redis
from sinks.redis.sessions import CachedKey, SessionCache
from sinks.redis.sink import RedisSink
from sinks.redis.trader_sessions import TraderSession, TraderSessionCache
from streams.host.sink_feeder import input_of
from streams.proofs.audit_elastic import reconcile
from streams.services.local_set import LocalSet
from surveillance.cases.desk import Desk, decide
from surveillance.cases.refused import Refused
from surveillance.cases.words import FIRST_LOOK_NS
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS

pytestmark = pytest.mark.integration

TABLES = (
    "orders", "trades", "trade_busts", "bars", "phases", "executions", "postings", "rejects", "alerts", "cases", "case_alerts", "case_actions", "api_keys", "watchlists",
    "account_configurations", "sink_marks",
)  # fmt: skip
END = START + 10**13
TURN_NS = 11_000_000_000
_TRADE, _OUTSIDE, _BUST = (int(kind) for kind in (AccountEventKind.TRADE, AccountEventKind.ACCOUNT_UPDATED, AccountEventKind.TRADE_BUSTED))
EVERY_KIND = [(kind, leg) for kind in (_TRADE, _OUTSIDE, _BUST) for leg in (CASH, SHARES, FEE)]
ALERT = whole({
    "alert_id": "layering-00ff", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 3, "side": "BUY", "score": 0.97,
    "explanation": "It's \\ \"quoted\"; and – typographic", "window_start": START, "window_end": START + 5, "detected_at": START + 5,
    "source": "executions/0@7",
    "evidence": [
        {"role": "LAYER", "order_id": 1, "side": "BUY", "price": 17_999, "qty": 5, "traded_qty": 0, "placed_at": START, "ended_at": 0},
        {"role": "EXECUTION", "order_id": 2, "side": "SELL", "price": 18_000, "qty": 5, "traded_qty": 5, "placed_at": START, "ended_at": START + 1},
    ],
})  # fmt: skip


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalSet, Settings]]:
    """Stores of their own: these tests empty tables and stop servers."""
    local = LocalSet(Settings(home=tmp_path_factory.mktemp("stores")))
    with local.running(services=("mariadb", "valkey", "elasticsearch")) as settings:
        yield local, settings


@pytest.fixture
async def mysql(stores: tuple[LocalSet, Settings]) -> AsyncIterator[MySql]:
    """The database, empty."""
    db = await MySql.connect(stores[1].mysql_url)
    await apply_schema(db, INSTRUMENTS)
    async with db.transaction() as transaction:
        for table in TABLES:
            await transaction.execute(f"DELETE FROM {table}")
    yield db
    await db.close()


@pytest.fixture
async def mysql_sink(stores: tuple[LocalSet, Settings], mysql: MySql) -> AsyncIterator[MySqlSink]:
    """A sink on the empty database."""
    sink = await MySqlSink.connect(stores[1].mysql_url, INSTRUMENTS)
    yield sink
    await sink.close()


@pytest.fixture
async def elastic(stores: tuple[LocalSet, Settings]) -> AsyncIterator[Any]:
    """An Elasticsearch client; no audit index is there."""
    client = open_elasticsearch(stores[1].elasticsearch_url)
    for index in await client.indices.get(index="audit-*"):
        await client.indices.delete(index=index)
    yield client
    await client.close()


@pytest.fixture
async def redis(stores: tuple[LocalSet, Settings]) -> AsyncIterator[Any]:
    """A Redis client; the database is empty."""
    client = await open_redis(stores[1].redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.mark.parametrize("seed", [1, 2])
async def test_mysql_holds_what_the_shards_hold_whatever_is_delivered_twice(mysql_sink: MySqlSink, mysql: MySql, seed: int) -> None:
    """Orders, trades, ledger and rejects equal the machines' own state after a delivery full of repetitions."""
    session = play(seed)
    for batch in disturbed(session.inputs, random.Random(seed)):
        await mysql_sink.write_batch(batch)
    trades, kinds = session.executions[session.executions["kind"] == ExecKind.TRADE], session.events["kind"]
    assert len(trades) > 50
    refused = (AccountEventKind.REJECTED, AccountEventKind.CANCEL_REJECTED, AccountEventKind.ACCOUNT_UPDATE_REJECTED)
    counts = await mysql_queries.counts(mysql)
    assert (counts.orders, counts.trades, counts.executions) == (len(session.accounts.orders), len(trades), 2 * len(trades))
    assert counts.rejects == int(np.isin(kinds, refused).sum()) > 50
    async with mysql.transaction() as transaction:
        auctioned = await transaction.fetch("SELECT COUNT(*) FROM trades WHERE aggressor_side = 0")
        busted = await transaction.fetch("SELECT trd_match_id, reason FROM trade_busts")
    assert auctioned == [(int((trades["flags"] & ExecFlag.UNCROSS).astype(bool).sum()),)]
    assert busted == [(int(trades["trd_match_id"][0]), int(Reason.CLEARLY_ERRONEOUS))]
    assert await mysql_queries.imbalances(mysql) == mysql_queries.Imbalances(0, 0, 0, 0)
    stored = {one.order_id: one for one in await mysql_queries.orders_by_ids(mysql, session.accounts.orders)}
    for order_id, order in session.accounts.orders.items():
        row, values = stored[order_id], order.values()
        names = (
            "instrument", "side", "order_qty", "price", "ord_status", "leaves_qty", "cum_qty", "cum_cost", "submitted_at", "stop_px", "exec_inst",
            "list_id",
        )  # fmt: skip
        assert {name: getattr(row, name) for name in names} == {name: values[name] for name in names}
        assert (row.account, row.cl_ord_id) == (order.account.account, order.cl_ord_id.decode())
    expected = {(account, 0): one.cash for account, one in session.accounts.accounts.items()}
    expected |= {key: one.position for key, one in session.accounts.positions.items()}
    assert await mysql_queries.balances(mysql) == {key: amount for key, amount in expected.items() if amount}
    sums = await mysql_queries.posting_sums(mysql)
    assert sums[AccountEventKind.TRADE, 0] == sums[AccountEventKind.TRADE, 1] == 0
    assert sums[AccountEventKind.ACCOUNT_UPDATED, 0] == 10_000_000_000 * len(ACCOUNTS)
    last = (await mysql_queries.last_trades(mysql))[1]
    assert (last.trd_match_id, last.price) == (int(trades[-1]["trd_match_id"]), int(trades[-1]["price"]))


async def test_an_order_that_ended_unfilled_keeps_its_reason(mysql_sink: MySqlSink, mysql: MySql) -> None:
    """The reason is that of the end, not of a cancel that came too late; an order that was filled has none."""
    session = play(3)
    await mysql_sink.write_batch(session.inputs)
    ends = (AccountEventKind.CANCELED, AccountEventKind.EXPIRED, AccountEventKind.BOOK_REJECTED)
    reasons = {int(row["order_id"]): int(row["reason"]) for row in session.events if row["kind"] in ends}
    stored = await mysql_queries.orders_by_ids(mysql, session.accounts.orders)
    assert {one.order_id: one.reason for one in stored if one.reason} == reasons
    assert {Reason.END_OF_DAY, Reason.REQUESTED_BY_CUSTOMER, Reason.IMMEDIATE_OR_CANCEL} <= set(reasons.values())


async def test_two_workers_that_both_believe_to_own_a_partition_store_it_once(stores: Any, mysql_sink: MySqlSink, mysql: MySql) -> None:
    """A zombie and its successor write the same batches at the same time; marks locked in the transaction let each frame in once."""
    zombie = await MySqlSink.connect(stores[1].mysql_url, INSTRUMENTS)
    session = play(4)
    collisions: list[str] = []

    async def write(sink: MySqlSink) -> None:
        for start in range(0, len(session.inputs), 5):
            batch, taken = session.inputs[start : start + 5], False
            while not taken:
                try:
                    await sink.write_batch(batch)
                    taken = True
                except ServiceUnavailable as error:
                    collisions.append(str(error))

    await asyncio.gather(write(mysql_sink), write(zombie))
    await zombie.close()
    assert all("try again" in text for text in collisions)
    assert mysql_sink.stats().inputs + zombie.stats().inputs == 2 * len(session.inputs)
    assert mysql_sink.stats().repeated + zombie.stats().repeated == len(session.inputs)
    assert (await mysql_queries.counts(mysql)).trades == int((session.executions["kind"] == ExecKind.TRADE).sum())


async def test_a_batch_that_fails_half_way_leaves_nothing(mysql_sink: MySqlSink, mysql: MySql) -> None:
    """Rows and marks are one transaction: a fault of ours in the last input undoes the first."""
    session = play(5, turns=3)
    broken = Input("alerts", 0, 0, {**ALERT, "account": None})
    with pytest.raises(Exception, match="account"):
        await mysql_sink.write_batch([*session.inputs, broken])
    assert await mysql_queries.counts(mysql) == mysql_queries.Counts(0, 0, 0, 0, 0, 0)
    assert await mysql_queries.next_offsets(mysql) == {}
    await mysql_sink.write_batch(session.inputs)
    assert (await mysql_queries.next_offsets(mysql))["account.events", 0] == sum(one.topic == "account.events" for one in session.inputs)


async def test_the_lists_of_orders_are_filtered_as_alpaca_has_it(mysql_sink: MySqlSink, mysql: MySql) -> None:
    """Status, times (exclusive), side, instrument, direction and limit, against the same filter in Python."""
    session = play(6)
    await mysql_sink.write_batch(session.inputs[:-3])  # before the end of the day, so that some are open
    everything = [
        one for account in ACCOUNTS
        for one in await mysql_queries.orders_of_account(mysql, account, OrderFilter(status="all", limit=500, newest_first=False))
    ]  # fmt: skip
    assert len(everything) == len(session.accounts.orders)
    mine = [one for one in everything if one.account == 1]
    middle = mine[len(mine) // 2].submitted_at
    cases: list[tuple[OrderFilter, Callable[[Any], bool]]] = [
        (OrderFilter("open", limit=500), lambda one: one.leaves_qty > 0),
        (OrderFilter("closed", limit=500), lambda one: one.leaves_qty == 0),
        (OrderFilter("all", after=middle, limit=500), lambda one: one.submitted_at > middle),
        (OrderFilter("all", until=middle, limit=500), lambda one: one.submitted_at < middle),
        (OrderFilter("all", side=int(Side.SELL), limit=500), lambda one: one.side == Side.SELL),
        (OrderFilter("all", instruments=[2, 3], limit=500), lambda one: one.instrument in (2, 3)),
        (OrderFilter("all", instruments=[], limit=500), lambda one: False),
    ]
    for wanted, keeps in cases:
        expected = [one for one in reversed(mine) if keeps(one)]
        assert await mysql_queries.orders_of_account(mysql, 1, wanted) == expected
        assert await mysql_queries.orders_of_account(mysql, 1, replace(wanted, newest_first=False)) == expected[::-1]
        assert await mysql_queries.orders_of_account(mysql, 1, replace(wanted, limit=2)) == expected[:2]
    one = next(one for one in mine if one.cum_qty)
    assert await mysql_queries.order_by_id(mysql, one.order_id, account=1) == one
    assert await mysql_queries.order_by_id(mysql, one.order_id, account=2) is None
    assert await mysql_queries.order_by_cl_ord_id(mysql, 1, one.cl_ord_id) == one
    assert await mysql_queries.order_by_cl_ord_id(mysql, 1, one.cl_ord_id.upper()) is None
    assert sum(fill.last_qty for fill in await mysql_queries.executions_of_order(mysql, one.order_id)) == one.cum_qty
    assert len(await mysql_queries.recent_trades(mysql, 1, limit=3)) == 3


async def test_an_alert_comes_back_with_its_orders(mysql_sink: MySqlSink, mysql: MySql, elastic: Any, stores: Any) -> None:
    """Delivered again and out of order: the newest revision is in MySQL, word for word and with its orders, and each one in Elasticsearch."""
    session = play(7, turns=10)
    order_ids = list(session.accounts.orders)[:2]
    alert = {**ALERT, "evidence": [{**item, "order_id": number} for item, number in zip(ALERT["evidence"], order_ids, strict=True)]}
    revised = {**alert, "revision": 3, "score": 1.0, "occurrences": 7, "steps": ["again"], "features": {"orders": 5}}
    audit = await ElasticSink.connect(stores[1].elasticsearch_url, INSTRUMENTS)
    for sink in (mysql_sink, audit):
        await sink.write_batch(session.inputs)
        for offset, one in ((0, alert), (0, alert), (1, alert), (2, revised), (3, alert), (4, {**revised, "revision": 2, "score": 0.1})):
            await sink.write_batch([Input("alerts", 0, offset, one)])
    await audit.flush()
    found = await mysql_queries.alert_with_orders(mysql, ALERT["alert_id"])
    assert found is not None
    assert (found[0].revision, found[0].score, found[0].occurrences, found[0].details["steps"]) == (3, 1.0, 7, ["again"]), (
        "the newest stays"
    )
    assert (found[0].explanation, found[0].evidence) == (ALERT["explanation"], alert["evidence"])
    assert [one.order_id for one in found[1]] == order_ids
    assert await mysql_queries.list_alerts(mysql) == [found[0]]
    assert await mysql_queries.list_alerts(mysql, before=START) == []
    assert await mysql_queries.alert_with_orders(mysql, "none") is None
    assert await elastic_queries.alert_count(elastic) == 1
    assert [one["explanation"] for one in await elastic_queries.alerts_of_account(elastic, 3)] == [ALERT["explanation"]] * 3
    await audit.close()


async def test_api_keys_are_stored_once_and_never_changed(stores: Any, mysql: MySql) -> None:
    """The same key again is fine; another secret under its id is refused, and with it the whole call."""
    keys = [("AK1", "11" * 32, 7), ("ak1", "22" * 32, 8)]
    await asyncio.to_thread(mysql_keys.open_api_keys, stores[1].mysql_url, keys)
    await mysql_keys.insert_api_keys(mysql, keys)
    stored = await mysql_keys.api_key(mysql, "ak1")
    assert stored is not None
    assert (stored.secret_sha256, stored.account, stored.scopes, stored.networks) == (bytes.fromhex("22" * 32), 8, "read,trade", "")
    with pytest.raises(OutcryError, match="AK1 already exists"):
        await mysql_keys.insert_api_keys(mysql, [("AK2", "33" * 32, 9), ("AK1", "44" * 32, 7)])
    assert await mysql_keys.api_key(mysql, "AK2") is None
    assert await mysql_keys.api_key(mysql, "' OR ''='") is None


async def test_tables_of_version_2_get_what_they_lack_and_keep_their_rows(mysql_sink: MySqlSink, mysql: MySql) -> None:
    """Also if an earlier attempt was interrupted half way; orders stored before have zeros there, newer events fill them."""
    session = play(9, turns=3)
    await mysql_sink.write_batch(session.inputs)
    before = (await mysql_queries.counts(mysql)).orders
    async with mysql.transaction() as transaction:
        dropped = ", ".join(f"DROP COLUMN {name}" for name in tuple(ADDED_COLUMNS["orders"])[2:])
        await transaction.execute(f"ALTER TABLE orders {dropped}")
        await transaction.execute("ALTER TABLE sink_marks DROP COLUMN mark_ns")
        await transaction.execute(f"ALTER TABLE alerts {', '.join(f'DROP COLUMN {name}' for name in ADDED_COLUMNS['alerts'])}")
        await transaction.execute(
            "INSERT INTO alerts (alert_id, pattern, instrument, account, side, score, explanation, window_start, window_end, detected_at, source, evidence) "
            "VALUES ('old', 'LAYERING', 1, 3, 1, 0.5, 'said', 1, 2, 2, 'executions/0@1', '[]')"
        )
        await transaction.execute("DELETE FROM schema_version")
        await transaction.execute("INSERT INTO schema_version (version) VALUES (2)")
    assert not await mysql_queries.schema_is_current(mysql)
    await apply_schema(mysql, INSTRUMENTS)
    assert await mysql_queries.schema_is_current(mysql)
    assert (await mysql_queries.counts(mysql)).orders == before > 0
    stored = await mysql_queries.orders_by_ids(mysql, session.accounts.orders)
    assert {one.list_id for one in stored} == {0}
    old = await mysql_queries.alert_with_orders(mysql, "old")
    assert old is not None
    assert (old[0].explanation, old[0].revision, old[0].status, old[0].details) == ("said", 1, "CLOSED", {})


async def test_tables_of_a_newer_program_are_refused(mysql: MySql) -> None:
    """An older program must not write into tables that it does not know."""
    async with mysql.transaction() as transaction:
        await transaction.execute("INSERT INTO schema_version (version) VALUES (1000000)")
    try:
        with pytest.raises(StaleData, match="version 1000000"):
            await apply_schema(mysql, INSTRUMENTS)
    finally:
        async with mysql.transaction() as transaction:
            await transaction.execute("DELETE FROM schema_version WHERE version = 1000000")
    assert await mysql_queries.schema_is_current(mysql)


def case_inputs(*records: dict[str, Any]) -> list[Input]:
    """Records of `cases`."""
    return [Input("cases", 0, offset, record, START + offset) for offset, record in enumerate(records)]


@pytest.fixture
async def case_sink(stores: tuple[LocalSet, Settings], mysql: MySql) -> AsyncIterator[MySqlSink]:
    """A sink that knows the rules of cases."""
    sink = await MySqlSink.connect(stores[1].mysql_url, INSTRUMENTS, decide)
    yield sink
    await sink.close()


async def test_mysql_has_what_the_fold_over_cases_has(case_sink: MySqlSink, mysql: MySql) -> None:
    """Actions that were refused and strange ones too, whatever is delivered twice; no record stops the sink."""
    records = [
        opening(), action("NOTE", ANN, 1, comment="it's \\ \"quoted\" – €"), action("NOTE", SUE, 1, comment="too late"),
        action("LINK", ANN, 2, alerts=["alert-2"]), action("READ_ALERT", "bob", case_id="", alerts=["alert-2"]),
        action("NOTE", "x" * 500, 3, case_id="é" * 300), action("BURN" * 30, "\u2028", 3, case_id="case-1 "), action("CLOSE", ANN, 3),
        {**opening(), "case_id": "case-é"}, {**opening(), "case_id": "case-2", "alerts": ["alert-2", "alert-3"]}, action("UNLINK", ANN, 3, alerts=["alert-1"]),
        action("SUPPRESS", SUE, case_id="suppression-1", facts={"pattern": "LAYERING", "symbol": "AAPL", "account": "0", "expires_at": str(90 * SECOND)}),
        action("APPROVE_SUPPRESSION", "carl", 1, case_id="suppression-1"),
    ]  # fmt: skip
    inputs = case_inputs(*records)
    await case_sink.write_batch(inputs[:5])
    await case_sink.write_batch(inputs[3:])
    desk = Desk()
    refusals = [made.code if isinstance(made, Refused) else "" for made in map(desk.take, records)]
    stored = await mysql.fetch("SELECT log_offset, refusal, body FROM case_actions ORDER BY log_offset")
    assert [(offset, refusal, json.loads(body)) for offset, refusal, body in stored] == list(
        zip(range(len(records)), refusals, records, strict=True)
    )
    states = {key: json.loads(state) for key, state in await mysql.fetch("SELECT case_id, state FROM cases")}
    assert states == {key: json.loads(json.dumps(one.as_json())) for key, one in [*desk.cases.items(), *desk.suppressions.items()]}
    assert set(states) == {"case-1", "case-2", "suppression-1"}
    held = dict(await mysql.fetch("SELECT alert_id, case_id FROM case_alerts"))
    assert held == {"alert-2": "case-1", "alert-3": "case-2"}, "the newest linking decides"
    (note,) = [one for one in await case_queries.actions_of_case(mysql, "case-1") if one.body["comment"].startswith("it's")]
    assert (note.log_offset, note.refusal) == (1, "")


async def test_the_queue_is_filtered_counted_and_in_order(case_sink: MySqlSink, mysql: MySql) -> None:
    """Alerts without a case are new; suppressed ones stay out until they are asked for, or somebody has begun with them."""
    hour = 3_600 * SECOND
    alerts = [
        whole({**ALERT, "alert_id": f"alert-{n}", "score": score, "severity": severity, "detected_at": n * hour, "pattern": pattern, "account": account,
               "accounts": [account, 90 + n], "instrument": instrument, "detector_version": 2})
        for n, (score, severity, pattern, account, instrument) in enumerate(
            [(0.9, "HIGH", "LAYERING", 3, 1), (0.6, "MEDIUM", "LAYERING", 3, 2), (0.4, "LOW", "SPOOFING", 4, 1), (0.8, "HIGH", "SPOOFING", 5, 1)], 1)
    ]  # fmt: skip
    await case_sink.write_batch([Input("alerts", 0, n, alert) for n, alert in enumerate(alerts)])
    await case_sink.write_batch(case_inputs(
        {**opening(severity="HIGH"), "alerts": ["alert-1"], "at": hour}, {**opening("bob", severity="LOW"), "case_id": "case-2", "alerts": ["alert-3"], "at": hour},
        action("CLOSE", "bob", 1, case_id="case-2", to="NO_ACTION", reason="HEDGING"),
    ))  # fmt: skip
    first_look = tuple(FIRST_LOOK_NS.items())

    async def ids(**wanted: Any) -> list[int]:
        rows, total = await case_queries.queue(mysql, case_queries.QueueFilter(**{"limit": 10, "first_look": first_look, **wanted}))
        assert total >= len(rows)
        return [int(one.alert.alert_id.removeprefix("alert-")) for one in rows]

    window = case_queries.Window("LAYERING", 0, 3, 0, 9 * hour)
    other = case_queries.Window("SPOOFING", 1, 94, 0, 9 * hour)
    assert await ids() == [1, 4, 2, 3]
    assert await ids(order="newest", limit=2, offset=1) == [3, 2]
    assert await ids(order="due") == [4, 2, 1, 3]
    assert await ids(statuses=("NEW",)) == [4, 2]
    assert await ids(statuses=("IN_REVIEW",)) == await ids(owner="ann") == await ids(severity="HIGH", pattern="LAYERING") == [1]
    assert await ids(account=92) == await ids(instrument=2) == [2]
    assert await ids(overdue_at=9 * hour) == [4], "an alert has to be looked at, an open case decided; a closed one nothing"
    assert await ids(windows=(window, other)) == [1, 3], "a case that is there stays"
    assert await ids(windows=(window, other), suppressed=True) == [1, 4, 2]
    assert await ids(suppressed=True) == []
    counts = await case_queries.counts(mysql, case_queries.QueueFilter(10, first_look=first_look))
    assert counts == {
        "status": {"NEW": 2, "IN_REVIEW": 1, "CLOSED_NO_ACTION": 1},
        "severity": {"HIGH": 2, "MEDIUM": 1, "LOW": 1},
        "pattern": {"LAYERING": 2, "SPOOFING": 2},
    }
    assert await case_queries.covered(mysql, window) == 2
    assert await case_queries.volumes(mysql, 2 * hour) == [(0, "LAYERING", 2, 1), (0, "SPOOFING", 2, 2)]
    assert [one.alert.alert_id for one in await case_queries.related(mysql, "alert-1")] == ["alert-2"]
    assert await case_queries.related(mysql, "é") == await case_queries.alerts_named(mysql, ["é", "alert-9"]) == []
    (row,) = await case_queries.alerts_named(mysql, ["alert-3"])
    assert (row.case_id, row.status, row.owner, row.version) == ("case-2", "CLOSED_NO_ACTION", "bob", 2)


async def test_elasticsearch_has_each_decision_and_account_event_once(stores: Any, elastic: Any) -> None:
    """Counts by kind equal the log's after a delivery full of repetitions, and an order can be followed through both shards."""
    session = play(8)
    sink = await ElasticSink.connect(stores[1].elasticsearch_url, INSTRUMENTS)
    for batch in disturbed(session.inputs, random.Random(8)):
        await sink.write_batch(batch)
    await elastic_queries.refresh(elastic)
    derived = (ExecKind.LEVEL, ExecKind.TOP, ExecKind.TIME, ExecKind.AUCTION_INDICATIVE)
    expected = {ExecKind(kind).name: int((session.executions["kind"] == kind).sum()) for kind in set(session.executions["kind"].tolist())}
    assert await elastic_queries.execution_counts(elastic) == {
        name: count for name, count in expected.items() if ExecKind[name] not in derived
    }
    kinds = session.events["kind"].tolist()
    assert await elastic_queries.account_event_counts(elastic) == {AccountEventKind(kind).name: kinds.count(kind) for kind in set(kinds)}
    assert await elastic_queries.trade_count(elastic) == expected["TRADE"]
    assert sink.stats().rows == sum(expected[k] for k in expected if ExecKind[k] not in derived) + len(kinds)
    traded = next(row for row in session.events if row["kind"] == AccountEventKind.TRADE)
    history = await elastic_queries.order_events(elastic, int(traded["order_id"]))
    assert {"ACCEPTED", "NEW", "TRADE"} <= {one["kind"] for one in history}
    trade = next(one for one in history if one["kind"] == "TRADE" and "last_px" in one)
    assert (trade["last_px"], trade["last_px_display"]) == (int(traded["last_px"]), int(traded["last_px"]) / 100)
    await sink.close()


async def test_documents_that_somebody_changed_deleted_or_added_are_named(stores: Any, elastic: Any) -> None:
    """By the comparison with the log they came from; before that nothing is."""
    log, table = traded().log, load_instruments(None)
    sink = await ElasticSink.connect(stores[1].elasticsearch_url, table)
    for topic in (EXECUTIONS, ACCOUNT_EVENTS):
        for partition in range(log.partitions(topic)):
            for record in log.parts[topic.name, partition]:
                with suppress(BadBytes):
                    await sink.write_batch([input_of(record)])
    await sink.close()
    compared = await reconcile(stores[1], log, table, quiet=True)
    assert [one.first for one in compared] == [[]] * len(compared)
    assert sum(one.documents for one in compared) > 20
    hits = (await elastic.search(index="audit-executions-*", query={"term": {"kind": "TRADE"}}))["hits"]["hits"]
    altered, deleted = hits[0], hits[1]
    await elastic.update(index=altered["_index"], id=altered["_id"], doc={"price": 1})
    await elastic.delete(index=deleted["_index"], id=deleted["_id"])
    await elastic.index(index=altered["_index"], id="forged", document=altered["_source"])
    await elastic.index(index=altered["_index"], id="stray", document={**altered["_source"], "partition": 9})
    told = [line for one in await reconcile(stores[1], log, table, quiet=True) for line in one.first]
    assert len(told) == 4, told
    for words in (f"ALTERED {altered['_id']} of ", f"MISSING {deleted['_id']} of ", "ADDITIONAL forged in ", "ADDITIONAL stray in "):
        assert any(line.startswith(words) for line in told), (words, told)


async def test_a_document_that_the_index_refuses_stops_the_sink(stores: Any, elastic: Any) -> None:
    """An index that another program made, with another mapping: nothing is dropped silently."""
    sink = await ElasticSink.connect(stores[1].elasticsearch_url, INSTRUMENTS)
    day = str(np.datetime64(START, "ns").astype("M8[D]")).replace("-", ".")
    mappings = {"properties": {"symbol": {"type": "long"}}}
    await elastic.indices.create(index=f"{AUDIT_EXECUTIONS}-{day}", mappings=mappings)
    with pytest.raises(StaleData, match="audit-executions"):
        await sink.write_batch(play(9, turns=3).inputs)
    assert sink.stats().batches == 0
    await sink.close()


async def test_redis_ends_with_the_newest_values_in_any_order_of_arrival(stores: Any, redis: Any) -> None:
    """Batches shuffled and repeated: each hash is that of the highest sequence, whole."""
    sink = await RedisSink.connect(stores[1].redis_url, INSTRUMENTS)
    frames = [market_data(kind, 1 + 5 * n, 5, n) for n in range(10) for kind in MarketDataKind]
    rng = random.Random(10)
    for _ in range(5):
        rng.shuffle(frames)
        for start in range(0, len(frames), 7):
            await sink.write_batch(frames[start : start + 7])
    assert await redis_prices.last_prices(redis, ["AAPL", "MSFT", "TSLA"]) == {
        symbol: {
            "seq": 50, "price": 1_050, "qty": 0, "side": 0, "trd_match_id": 0, "transact_time": START + 50, "price_decimal": "10.5",
        }
        for symbol in ("AAPL", "MSFT")
    }  # fmt: skip
    quote = (await redis_prices.quotes(redis, ["AAPL"]))["AAPL"]
    assert (quote["seq"], quote["bid_px"], quote["bid_decimal"], quote["ask_px"]) == (50, 1_050, "10.5", 0)
    assert (await redis_prices.last_bars(redis, ["MSFT"]))["MSFT"]["close_decimal"] == "10.5"
    for newest in (redis_prices.statuses, redis_prices.auctions, redis_prices.bands):
        assert (await newest(redis, ["AAPL"]))["AAPL"]["seq"] == 50
    written = sink.stats().rows
    await sink.write_batch(frames)
    assert sink.stats().rows == written
    await sink.close()


async def test_a_session_is_cached_until_it_is_deleted_or_over(stores: Any, redis: Any) -> None:
    """Neither key id nor anything of the secret but its digest is in Redis."""
    cache = await SessionCache.connect(stores[1].redis_url, stores[1].mysql_url)
    key = CachedKey(bytes(range(32)), 12_345, "read,trade", "203.0.113.0/24", 7, 3)
    await cache.put("PKEXAMPLE", key, ttl_s=60)
    assert await cache.get("PKEXAMPLE") == key
    assert await cache.get("pkexample") is None
    (name,) = await redis.keys("*session*")
    assert b"PKEXAMPLE" not in name
    assert 0 < await redis.ttl(name) <= 60
    await cache.delete("PKEXAMPLE")
    assert await cache.get("PKEXAMPLE") is None
    await cache.close()


async def test_a_cached_session_that_no_edge_has_put_there_is_none(stores: Any, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made up as it once was stored, changed by a bit, taken from another key, of another log-in to MySQL, or kept beyond its time."""
    settings = stores[1]
    cache, stranger = (
        await SessionCache.connect(settings.redis_url, settings.mysql_url),
        await SessionCache.connect(settings.redis_url, "mysql://guessed@h/d"),
    )
    key = CachedKey(bytes(range(32)), 1, "read", "", 0, 1)
    await cache.put("PKMINE", key, ttl_s=60)
    (mine,) = await redis.keys("*session*")
    whole = await redis.get(mine)
    await cache.put("PKVICTIM", CachedKey(bytes(32), 2, "read", "", 0, 1), ttl_s=60)
    (victim,) = {*await redis.keys("*session*")} - {mine}
    for forged in (
        hashlib.sha256(b"secret").digest() + b"2",
        whole,
        b"",
        bytes(32) + whole[32:],
        *(_flipped(whole, at) for at in range(len(whole))),
    ):
        await redis.set(victim, forged)
        assert await cache.get("PKVICTIM") is None
    await stranger.put("PKVICTIM", key, ttl_s=60)
    assert await cache.get("PKVICTIM") is None
    assert await cache.get("PKMINE") == key
    await redis.persist(mine)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert await cache.get("PKMINE") is None
    await redis.delete(mine, victim)
    for one in (cache, stranger):
        await one.close()


async def test_a_session_of_the_trading_page_that_no_edge_has_made_is_none(stores: Any, redis: Any) -> None:
    """Kept while its customer works and until its end; made up, changed, of another word or of another log-in to MySQL it is none."""
    settings = stores[1]
    cache = await TraderSessionCache.connect(settings.redis_url, settings.mysql_url)
    stranger = await TraderSessionCache.connect(settings.redis_url, "mysql://guessed@h/d")
    mine, other = hashlib.sha256(b"word").hexdigest(), hashlib.sha256(b"other").hexdigest()
    session = TraderSession("PKMINE", int(time.time()) + 3_600)
    await cache.put(mine, session, 60)
    assert await cache.get(mine) == session
    (name,) = await redis.keys("*trader*")
    assert 0 < await redis.ttl(name) <= 60
    whole = await redis.get(name)
    for forged in (whole, b"", whole[32:], *(_flipped(whole, at) for at in range(len(whole)))):
        await redis.set(name.replace(mine.encode(), other.encode()), forged)
        assert await cache.get(other) is None
    await stranger.put(other, session, 60)
    assert await cache.get(other) is None
    await cache.put(other, TraderSession("PKMINE", int(time.time()) - 1), 60)
    assert await cache.get(other) is None
    await cache.delete(mine)
    assert await cache.get(mine) is None
    await redis.delete(name.replace(mine.encode(), other.encode()))
    for one in (cache, stranger):
        await one.close()


def _flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


@pytest.mark.parametrize("service", ["mariadb", "valkey", "elasticsearch"])
async def test_a_store_that_dies_is_named_and_the_same_batch_is_taken_when_it_is_back(
    stores: Any, service: str, mysql: MySql, elastic: Any
) -> None:
    """A kill -9 while batches are written: ServiceUnavailable says which one; repeated until taken, nothing is lost or doubled."""
    local, settings = stores
    sinks: dict[str, tuple[Any, str, str]] = {
        "mariadb": (MySqlSink, settings.mysql_url, "MySQL"),
        "valkey": (RedisSink, settings.redis_url, "Redis"),
        "elasticsearch": (ElasticSink, settings.elasticsearch_url, "Elasticsearch"),
    }
    kind, url, name = sinks[service]
    sink = await kind.connect(url, INSTRUMENTS)
    session = play(11)
    inputs = [market_data(MarketDataKind.TRADE, n, 1, n) for n in range(1, 60)] if service == "valkey" else session.inputs
    pid = next(child.pid for child in local.status().children if child.name == service)
    failures = []
    for number, one in enumerate(inputs):
        if number == 20:
            os.kill(pid, signal.SIGKILL)
        taken = False
        async with asyncio.timeout(600):
            while not taken:
                try:
                    await sink.write_batch([one])
                    taken = True
                except ServiceUnavailable as error:
                    failures.append(str(error))
                    await asyncio.sleep(0.05)
    assert failures and all(text.startswith(name) for text in failures)
    assert sink.stats().unavailable == len(failures)
    trades = int((session.executions["kind"] == ExecKind.TRADE).sum())
    if service == "mariadb":
        assert (await mysql_queries.counts(mysql)).trades == trades
        assert await mysql_queries.imbalances(mysql) == mysql_queries.Imbalances(0, 0, 0, 0)
    elif service == "elasticsearch":
        await elastic_queries.refresh(elastic)
        assert await elastic_queries.trade_count(elastic) == trades
    else:
        client = await open_redis(url)
        assert (await redis_prices.last_prices(client, ["AAPL"]))["AAPL"]["seq"] == 59
        await client.aclose()
    await sink.close()


@pytest.mark.parametrize(
    ("connect", "url", "says"),
    [
        (MySqlSink.connect, "mysql://u:p@127.0.0.1:1/outcry", "MySQL at 127.0.0.1:1.*outcry up"),
        (MySqlSink.connect, "", "MySQL has no usable address.*outcry up"),
        (RedisSink.connect, "redis://:secret@127.0.0.1:1/0", "Redis at 127.0.0.1:1.*outcry up"),
        (ElasticSink.connect, "http://127.0.0.1:1", "Elasticsearch.*127.0.0.1.*outcry up"),
    ],
)
async def test_a_store_that_is_not_there_is_named_with_what_to_do(connect: Any, url: str, says: str) -> None:
    """The message has the address, never the password."""
    with pytest.raises(ServiceUnavailable, match=says) as caught:
        await connect(url, INSTRUMENTS)
    assert "secret" not in str(caught.value)


# ---- what the edge reads of the past


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
