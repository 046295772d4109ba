"""Who traded with whom, for analysts: sums of trades by seller and buyer around a time. Every function raises ServiceUnavailable.

Bounded: of the trades of the span no more than TRADES_READ_MAX are looked at, the newest, and `since` says from which time on.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sinks.mysql.market_history import trade_bounds
from sinks.mysql.pool import Reader

TRADES_READ_MAX: Final = 200_000
"""Rows of `trades` of one question; ~0.2 s of the server."""
PAIRS_MAX: Final = 5_000


class TradeSpan(NamedTuple):
    """Trades of an instrument by their trd_match_ids, both ends included. `since`: ns; 0: none of the span was left out."""

    first: int
    last: int
    since: int


async def trade_span(db: Reader, instrument: int, start: int, end: int) -> TradeSpan | None:
    """Of start <= t < end, its newest TRADES_READ_MAX trades; None: there was no trade."""
    bounds = await trade_bounds(db, instrument, start, end)
    if bounds is None:
        return None
    first, last = bounds
    left_out = await db.fetch(
        "SELECT trd_match_id, transact_time FROM trades WHERE instrument = %s AND trd_match_id BETWEEN %s AND %s "
        "ORDER BY trd_match_id DESC LIMIT 1 OFFSET %s",
        (instrument, first, last, TRADES_READ_MAX),
    )
    return TradeSpan(int(left_out[0][0]) + 1, last, int(left_out[0][1])) if left_out else TradeSpan(first, last, 0)


async def traded_pairs(
    db: Reader, instrument: int, start: int, end: int, span: TradeSpan, accounts: Sequence[int], *, both: bool
) -> list[tuple[int, int, int, int, int]]:
    """(seller, buyer, trades, lots, ticks x lots), most lots first, without busted trades. both: both sides are of `accounts`, else one."""
    if not accounts:
        return []
    marks = ", ".join(["%s"] * len(accounts))
    rows = await db.fetch(
        "SELECT m.seller, m.buyer, COUNT(*), SUM(m.qty), SUM(m.notional) FROM ("  # noqa: S608  marks only
        "SELECT IF(t.aggressor_side = 2, t.account, t.contra_account) AS seller, IF(t.aggressor_side = 2, t.contra_account, t.account) AS buyer, "
        "t.qty, t.price * t.qty AS notional FROM trades t LEFT JOIN trade_busts b ON b.trd_match_id = t.trd_match_id "
        "WHERE t.instrument = %s AND t.trd_match_id BETWEEN %s AND %s AND t.transact_time >= %s AND t.transact_time < %s "
        f"AND b.trd_match_id IS NULL AND (t.account IN ({marks}) {'AND' if both else 'OR'} t.contra_account IN ({marks}))"
        f") m GROUP BY m.seller, m.buyer ORDER BY SUM(m.qty) DESC, m.seller, m.buyer LIMIT {PAIRS_MAX}",
        (instrument, span.first, span.last, start, end, *accounts, *accounts),
    )
    return [(int(seller), int(buyer), int(trades), int(qty), int(notional)) for seller, buyer, trades, qty, notional in rows]
