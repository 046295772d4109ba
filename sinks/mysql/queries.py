"""Reads of the system of record for the edge, the operator's commands and the reconciliation.

Every function takes a `Reader` (sinks.mysql.pool, such as `await MySql.connect(url, size_max)`) and raises ServiceUnavailable. Numbers are those of
the log: times ns, prices ticks, quantities lots, cash minor units.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from schemas.enums import AccountEventKind, OrdStatus
from sinks.mysql.pool import Reader
from sinks.mysql.schema import SCHEMA_VERSION

ORDERS_MAX: Final = 500
"""Alpaca's limit for one page of orders."""
ROWS_MAX: Final = 10_000
"""Limit for any other list."""
OPEN_STATUSES: Final = (int(OrdStatus.NEW), int(OrdStatus.PARTIALLY_FILLED), int(OrdStatus.PENDING_CANCEL), int(OrdStatus.PENDING_REPLACE))


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """A row of `orders`; `reason` says why it ended unfilled, `version` is the seq of the event that made this state."""

    order_id: int
    account: int
    instrument: int
    side: int
    ord_type: int
    time_in_force: int
    order_qty: int
    price: int
    ord_status: int
    leaves_qty: int
    cum_qty: int
    cum_cost: int
    reason: int
    submitted_at: int
    updated_at: int
    version: int
    cl_ord_id: str
    stop_px: int
    display_qty: int
    price_offset: int
    offset_type: int
    peg_price_type: int
    exec_inst: int
    expire_time: int
    contingency_type: int
    list_id: int


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """A row of `executions`: one side of a trade."""

    trd_match_id: int
    side: int
    order_id: int
    account: int
    instrument: int
    last_px: int
    last_qty: int
    aggressor: int
    cum_qty: int
    leaves_qty: int
    transact_time: int


@dataclass(frozen=True, slots=True)
class StoredTrade:
    """A row of `trades`."""

    trd_match_id: int
    instrument: int
    price: int
    qty: int
    aggressor_side: int
    order_id: int
    account: int
    contra_order_id: int
    contra_account: int
    rpt_seq: int
    transact_time: int


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """A row of `alerts`; evidence as in schemas/avro/alert.avsc."""

    alert_id: str
    pattern: str
    instrument: int
    account: int
    side: int
    score: float
    explanation: str
    window_start: int
    window_end: int
    detected_at: int
    source: str
    revision: int
    status: str
    revised_at: int
    severity: str
    occurrences: int
    episode_key: str
    evidence: list[dict[str, Any]]
    details: dict[str, Any]
    """Fields of alert.avsc that no query asks for; empty for alerts of version 0.2."""


@dataclass(frozen=True)
class OrderFilter:
    """Which orders of an account, as GET /v2/orders has it; times exclusive, None: no bound; `instruments` None: all."""

    status: str = "open"
    """"open", "closed" or "all"."""
    after: int | None = None
    until: int | None = None
    limit: int = 50
    newest_first: bool = True
    instruments: Sequence[int] | None = None
    side: int | None = None
    below_order_id: int | None = None
    above_order_id: int | None = None


@dataclass(frozen=True)
class Counts:
    """Rows of each table."""

    orders: int
    trades: int
    executions: int
    postings: int
    rejects: int
    alerts: int


@dataclass(frozen=True)
class Imbalances:
    """Values that must all be zero once the sink has caught up with both topics: see `imbalances`."""

    trades_without_two_executions: int
    executions_without_trade: int
    trades_whose_postings_do_not_cancel_out: int
    orders_whose_executions_do_not_add_up: int = field(default=0)


def columns_of(row: type[Any]) -> str:
    """The columns of a table that its dataclass names."""
    return ", ".join(one.name for one in fields(row))


_ORDER_COLUMNS: Final = columns_of(StoredOrder)
_SELECT_ORDERS: Final = f"SELECT {_ORDER_COLUMNS} FROM orders"  # noqa: S608  constant names; so below: values only ever go in as arguments
_STATUS: Final = {
    "open": f"ord_status IN {OPEN_STATUSES}",
    "closed": f"ord_status NOT IN {OPEN_STATUSES}",
    "all": "TRUE",
}


async def order_by_id(db: Reader, order_id: int, account: int | None = None) -> StoredOrder | None:
    """The order. With `account`, only if it belongs to that account."""
    rows = await db.fetch(f"{_SELECT_ORDERS} WHERE order_id = %s", (order_id,))
    found = [StoredOrder(*row) for row in rows]
    return next((one for one in found if account is None or one.account == account), None)


async def order_by_cl_ord_id(db: Reader, account: int, cl_ord_id: str) -> StoredOrder | None:
    """The newest order of the account with this cl_ord_id."""
    if not cl_ord_id.isascii():
        return None
    rows = await db.fetch(f"{_SELECT_ORDERS} WHERE account = %s AND cl_ord_id = %s ORDER BY order_id DESC LIMIT 1", (account, cl_ord_id))
    return StoredOrder(*rows[0]) if rows else None


async def orders_by_ids(db: Reader, order_ids: Iterable[int]) -> list[StoredOrder]:
    """The known ones of these orders, by order_id."""
    wanted = sorted(set(order_ids))[:ROWS_MAX]
    if not wanted:
        return []
    rows = await db.fetch(f"{_SELECT_ORDERS} WHERE order_id IN ({_marks(wanted)}) ORDER BY order_id", wanted)
    return [StoredOrder(*row) for row in rows]


async def orders_of_account(db: Reader, account: int, wanted: OrderFilter) -> list[StoredOrder]:
    """At most `limit` (and ORDERS_MAX) orders, by the time of their submission."""
    conditions: list[str] = ["account = %s", _STATUS[wanted.status]]
    args: list[Any] = [account]
    bounds = (
        ("submitted_at > %s", wanted.after), ("submitted_at < %s", wanted.until), ("side = %s", wanted.side),
        ("order_id < %s", wanted.below_order_id), ("order_id > %s", wanted.above_order_id),
    )  # fmt: skip
    for condition, value in bounds:
        if value is not None:
            conditions.append(condition)
            args.append(value)
    if wanted.instruments is not None:
        if not wanted.instruments:
            return []
        conditions.append(f"instrument IN ({_marks(wanted.instruments)})")
        args += wanted.instruments
    order = "DESC" if wanted.newest_first else "ASC"
    sql = f"{_SELECT_ORDERS} WHERE {' AND '.join(conditions)} ORDER BY submitted_at {order}, order_id {order} LIMIT %s"
    rows = await db.fetch(sql, (*args, min(wanted.limit, ORDERS_MAX)))
    return [StoredOrder(*row) for row in rows]


async def executions_of_order(db: Reader, order_id: int) -> list[StoredExecution]:
    """The order's fills, oldest first."""
    sql = f"SELECT {columns_of(StoredExecution)} FROM executions WHERE order_id = %s ORDER BY transact_time, trd_match_id LIMIT {ROWS_MAX}"  # noqa: S608
    return [StoredExecution(*row) for row in await db.fetch(sql, (order_id,))]


async def recent_trades(db: Reader, instrument: int, limit: int = 100) -> list[StoredTrade]:
    """The instrument's last trades, newest first."""
    sql = f"SELECT {columns_of(StoredTrade)} FROM trades WHERE instrument = %s ORDER BY trd_match_id DESC LIMIT %s"  # noqa: S608
    return [StoredTrade(*row) for row in await db.fetch(sql, (instrument, min(limit, ROWS_MAX)))]


async def list_alerts(
    db: Reader,
    limit: int = 100,
    *,
    before: int | None = None,
    account: int | None = None,
    instrument: int | None = None,
    pattern: str | None = None,
) -> list[StoredAlert]:
    """Alerts, newest first; `before`: detected earlier than that."""
    if pattern is not None and not pattern.isascii():
        return []  # the column is ASCII; comparing it with anything else is an error of the server's
    conditions: list[str] = ["TRUE"]
    args: list[Any] = []
    columns = (("detected_at <", before), ("account =", account), ("instrument =", instrument), ("pattern =", pattern))
    for condition, value in columns:
        if value is not None:
            conditions.append(f"{condition} %s")
            args.append(value)
    sql = f"SELECT {columns_of(StoredAlert)} FROM alerts WHERE {' AND '.join(conditions)} ORDER BY detected_at DESC, alert_id LIMIT %s"  # noqa: S608
    return [alert_of_row(row) for row in await db.fetch(sql, (*args, min(limit, ROWS_MAX)))]


async def alert_with_orders(db: Reader, alert_id: str) -> tuple[StoredAlert, list[StoredOrder]] | None:
    """One alert and the orders that its evidence names, as they are now."""
    if not alert_id.isascii():
        return None
    rows = await db.fetch(f"SELECT {columns_of(StoredAlert)} FROM alerts WHERE alert_id = %s", (alert_id,))  # noqa: S608
    if not rows:
        return None
    alert = alert_of_row(rows[0])
    return alert, await orders_by_ids(db, (one["order_id"] for one in alert.evidence))


async def counts(db: Reader) -> Counts:
    """Rows of each table."""
    names = [one.name for one in fields(Counts)]
    (row,) = await db.fetch("SELECT " + ", ".join(f"(SELECT COUNT(*) FROM {name})" for name in names))  # noqa: S608
    return Counts(*row)


async def posting_sums(db: Reader) -> dict[tuple[AccountEventKind, int], int]:
    """(kind, instrument) -> sum of all postings; instrument 0 is cash. Trades sum to zero, updates to the deposits."""
    rows = await db.fetch("SELECT kind, instrument, SUM(amount) FROM postings GROUP BY kind, instrument")
    return {(AccountEventKind(kind), instrument): int(total) for kind, instrument, total in rows}


async def balances(db: Reader) -> dict[tuple[int, int], int]:
    """(account, instrument) -> sum of its postings that is not zero; instrument 0 is cash."""
    rows = await db.fetch("SELECT account, instrument, SUM(amount) FROM postings GROUP BY account, instrument HAVING SUM(amount) <> 0")
    return {(account, instrument): int(total) for account, instrument, total in rows}


async def last_trades(db: Reader) -> dict[int, StoredTrade]:
    """The last trade of each instrument."""
    names = ", ".join(f"t.{one.name}" for one in fields(StoredTrade))
    sql = (
        f"SELECT {names} FROM trades t JOIN (SELECT MAX(trd_match_id) AS last FROM trades GROUP BY instrument) l ON t.trd_match_id = l.last"  # noqa: S608
    )
    return {trade.instrument: trade for trade in (StoredTrade(*row) for row in await db.fetch(sql))}


async def imbalances(db: Reader) -> Imbalances:
    """Trades that are not settled on both sides, settlements of no trade, ledgers that do not cancel out, fills that do not add up."""
    trade = int(AccountEventKind.TRADE)
    queries = (
        "SELECT COUNT(*) FROM trades t WHERE (SELECT COUNT(*) FROM executions e WHERE e.trd_match_id = t.trd_match_id) <> 2",
        "SELECT COUNT(*) FROM executions e WHERE NOT EXISTS (SELECT 1 FROM trades t WHERE t.trd_match_id = e.trd_match_id)",
        f"SELECT COUNT(*) FROM (SELECT trd_match_id FROM postings WHERE kind = {trade} "  # noqa: S608
        f"GROUP BY trd_match_id, instrument HAVING SUM(amount) <> 0 OR COUNT(*) <> 2) unbalanced",
        "SELECT COUNT(*) FROM orders o JOIN (SELECT order_id, SUM(last_qty) AS lots FROM executions GROUP BY order_id) e "
        "ON e.order_id = o.order_id WHERE e.lots <> o.cum_qty",
    )
    found = [(await db.fetch(sql))[0][0] for sql in queries]
    return Imbalances(*found)


async def next_offsets(db: Reader) -> dict[tuple[str, int], int]:
    """(topic, partition) -> the first offset that the sink has not stored yet."""
    rows = await db.fetch("SELECT topic, part, next_offset FROM sink_marks WHERE source = ''")
    return {(topic, part): next_offset for topic, part, next_offset in rows}


async def schema_is_current(db: Reader) -> bool:
    """True if the tables are of this version (for readiness checks)."""
    known = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'schema_version'"
    if not (await db.fetch(known))[0][0]:
        return False
    return bool((await db.fetch("SELECT COALESCE(MAX(version), 0) FROM schema_version"))[0][0] == SCHEMA_VERSION)


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("%s" for _ in values)


def alert_of_row(row: tuple[Any, ...]) -> StoredAlert:
    """The values of columns_of(StoredAlert)."""
    return StoredAlert(*(*row[:-2], json.loads(row[-2]), json.loads(row[-1])))
