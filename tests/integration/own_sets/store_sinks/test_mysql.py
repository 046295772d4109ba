"""What a session of the exchange leaves in MySQL, whatever is delivered twice, torn or refused on the way; and tables of other versions."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sink_session import ACCOUNTS, ALERT, INSTRUMENTS, START, disturbed, play

from schemas.enums import AccountEventKind, ExecFlag, ExecKind, Side
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.reject_reasons import Reason
from sinks import Input
from sinks.elastic import queries as elastic_queries
from sinks.elastic.sink import ElasticSink
from sinks.mysql import api_keys as mysql_keys
from sinks.mysql import queries as mysql_queries
from sinks.mysql.pool import MySql
from sinks.mysql.queries import OrderFilter
from sinks.mysql.schema import ADDED_COLUMNS, apply_schema
from sinks.mysql.sink import MySqlSink

pytestmark = pytest.mark.integration


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


async def test_a_key_that_signs_keeps_its_public_key_and_is_followed_by_one_that_signs(mysql: MySql) -> None:
    """Both or neither: where the new one has none, the old one does not end."""
    public, nobodys = "ab" * 32, "11" * 32
    await mysql_keys.add_key(mysql, "SIGN1", nobodys, 71, "trade", "", ends_at=0, label="bot", keys_max=5, public_key=public)
    with pytest.raises(OutcryError, match="name the public key of the new one"):
        await mysql_keys.rotate_key(mysql, "SIGN1", 1, "SIGN2", nobodys, keys_max=5, account=71)
    (only,) = await mysql_keys.keys_of_account(mysql, 71)
    assert (only.public_key, only.ends_at, only.version) == (public, 0, 1)
    await mysql_keys.rotate_key(mysql, "SIGN1", 1, "SIGN2", nobodys, keys_max=5, account=71, public_key="cd" * 32)
    before, after = await mysql_keys.api_key(mysql, "SIGN1"), await mysql_keys.api_key(mysql, "SIGN2")
    assert before is not None
    assert after is not None
    assert (before.ends_at, before.public_key, after.public_key, after.scopes) == (1, public, "cd" * 32, "trade")


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
        await transaction.execute("ALTER TABLE api_keys DROP COLUMN public_key")
        await transaction.execute("DELETE FROM schema_version")
        await transaction.execute("INSERT INTO schema_version (version) VALUES (2)")
    assert not await mysql_queries.schema_is_current(mysql)
    await apply_schema(mysql, INSTRUMENTS)
    assert await mysql_queries.schema_is_current(mysql)
    assert (await mysql_queries.counts(mysql)).orders == before > 0
    stored = await mysql_queries.orders_by_ids(mysql, session.accounts.orders)
    assert {one.list_id for one in stored} == {0}
    assert {key.public_key for key in await mysql_keys.keys_of_account(mysql, 7)} <= {""}
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
