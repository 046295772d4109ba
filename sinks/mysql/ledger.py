"""Money and shares according to MySQL at one moment, and how far of the log that is: for audits."""

from dataclasses import dataclass
from typing import Final

from schemas.enums import AccountEventKind
from sinks.mysql.pool import MySql, Transaction
from sinks.mysql.sink import SINK

TIMEOUT_S: Final = 1_800.0
"""For all sums together. They read every posting, about a million per second."""
UNSETTLED_MAX: Final = 1_000_000
"""A thousand times what is in flight at 100,000 trades per second."""
_TRADE: Final = int(AccountEventKind.TRADE)

# Of each, what must not be there: the account, order and trade of the first one.
_CONTRADICTIONS: Final = {
    "a side that is not that of its trade": (
        "SELECT e.account, e.order_id, e.trd_match_id FROM executions e JOIN trades t ON t.trd_match_id = e.trd_match_id "
        "WHERE e.last_px <> t.price OR e.last_qty <> t.qty OR e.instrument <> t.instrument ORDER BY e.trd_match_id LIMIT 1"
    ),
    "shares of a trade that do not sum to zero": (
        f"SELECT MIN(account), 0, trd_match_id FROM postings WHERE kind = {_TRADE} AND instrument <> 0 "  # noqa: S608
        "GROUP BY trd_match_id HAVING SUM(amount) <> 0 AND COUNT(*) = 2 ORDER BY trd_match_id LIMIT 1"
    ),
    "an order that was filled by another quantity than its executions": (
        "SELECT o.account, o.order_id, 0 FROM orders o JOIN (SELECT order_id, SUM(last_qty) AS lots FROM executions GROUP BY order_id) e "
        "ON e.order_id = o.order_id WHERE e.lots <> o.cum_qty ORDER BY o.order_id LIMIT 1"
    ),
}


@dataclass(frozen=True)
class Contradiction:
    """Rows of MySQL that cannot all be true."""

    what: str
    account: int
    order_id: int
    trd_match_id: int


@dataclass(frozen=True)
class StoredMoney:
    """Everything at one moment. Amounts in minor units and lots; instrument 0 is cash."""

    offsets: dict[tuple[str, int], int]
    """(topic, partition) -> the first offset that is not included."""
    balances: dict[tuple[int, int], int]
    """(account, instrument) -> sum of its postings, where it is not zero."""
    deposited: dict[int, int]
    """By instrument: postings from and to outside."""
    orders: dict[int, int]
    """Orders by account."""
    open_orders: dict[int, tuple[int, int, int]]
    """order_id -> (account, leaves_qty, cum_qty)."""
    filled: dict[int, tuple[int, int, int]]
    """By account: sides of trades, lots, ticks x lots."""
    trades: dict[int, tuple[int, int, int]]
    """By instrument: trades, lots, ticks x lots."""
    unsettled: frozenset[int]
    """Trades without two sides, by trd_match_id: in flight, if the log has them too. At most UNSETTLED_MAX."""
    contradictions: tuple[Contradiction, ...]


async def read_money(url: str) -> StoredMoney:
    """Read it. Raises ServiceUnavailable."""
    db = await MySql.connect(url, size_max=1)
    try:
        async with db.snapshot(TIMEOUT_S) as at:
            offsets = await at.fetch("SELECT topic, part, next_offset FROM sink_marks WHERE source = '' AND sink = %s", (SINK,))
            balances = await at.fetch(
                "SELECT account, instrument, SUM(amount) FROM postings GROUP BY account, instrument HAVING SUM(amount) <> 0"
            )
            deposited = await at.fetch(
                "SELECT instrument, SUM(amount) FROM postings WHERE kind = %s GROUP BY instrument", (int(AccountEventKind.ACCOUNT_UPDATED),)
            )
            orders = await at.fetch("SELECT account, COUNT(*) FROM orders GROUP BY account")
            open_orders = await at.fetch("SELECT order_id, account, leaves_qty, cum_qty FROM orders WHERE leaves_qty > 0")
            filled = await at.fetch("SELECT account, COUNT(*), SUM(last_qty), SUM(last_px * last_qty) FROM executions GROUP BY account")
            trades = await at.fetch("SELECT instrument, COUNT(*), SUM(qty), SUM(price * qty) FROM trades GROUP BY instrument")
            unsettled = await at.fetch(
                "SELECT t.trd_match_id FROM trades t LEFT JOIN executions e ON e.trd_match_id = t.trd_match_id "
                "GROUP BY t.trd_match_id HAVING COUNT(e.trd_match_id) <> 2 LIMIT %s",
                (UNSETTLED_MAX,),
            )
            contradictions = await _contradictions(at)
    finally:
        await db.close()
    return StoredMoney(
        {(topic, part): offset for topic, part, offset in offsets},
        {(account, instrument): int(amount) for account, instrument, amount in balances},
        {instrument: int(amount) for instrument, amount in deposited},
        dict(orders),
        {order_id: (account, leaves, cum) for order_id, account, leaves, cum in open_orders},
        {account: (count, int(lots), int(notional)) for account, count, lots, notional in filled},
        {instrument: (count, int(lots), int(notional)) for instrument, count, lots, notional in trades},
        frozenset(trade for (trade,) in unsettled),
        contradictions,
    )


async def _contradictions(at: Transaction) -> tuple[Contradiction, ...]:
    found = [(what, await at.fetch(sql)) for what, sql in _CONTRADICTIONS.items()]
    return tuple(Contradiction(what, int(account), int(order_id), int(trade)) for what, rows in found for account, order_id, trade in rows)
