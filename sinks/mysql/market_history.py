"""Reads of past prices: bars, trades, auctions. As sinks.mysql.queries: every function takes a `MySql` and raises ServiceUnavailable; numbers are those of the log.

Every read is bounded: a page of bars reads BARS_READ_MAX minutes at the most, and a page of trades begins at a trade that the bars lead to.
"""

from dataclasses import dataclass
from typing import Final

from schemas.enums import Phase
from sinks.mysql.pool import Reader
from sinks.mysql.rows import MINUTE_NS

BARS_READ_MAX: Final = 100_000
"""Minutes of one instrument in one read: a year of trading days, ~0.2 s."""
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
"""A call phase is shorter."""

_CALL_PHASES: Final = tuple(map(int, (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION)))


@dataclass(frozen=True, slots=True)
class StoredBar:
    """A span of one instrument's trades, the busted ones left out. `notional`: ticks x lots."""

    started_at: int
    open_px: int
    high_px: int
    low_px: int
    close_px: int
    qty: int
    trades: int
    notional: int


@dataclass(frozen=True, slots=True)
class PastTrade:
    """A trade as the public saw it; `bust_reason` 0: it holds."""

    trd_match_id: int
    price: int
    qty: int
    aggressor_side: int
    transact_time: int
    bust_reason: int


@dataclass(frozen=True, slots=True)
class PastAuction:
    """What one call phase came to. `phase` is a Phase."""

    transact_time: int
    phase: int
    price: int
    qty: int


@dataclass(frozen=True, slots=True)
class BarPage:
    """Bars in the order asked for; `next_at`: what was not read begins (descending: ends) there, None if nothing is left."""

    bars: list[StoredBar]
    next_at: int | None


async def bars(db: Reader, instrument: int, width_ns: int, start: int, end: int, limit: int, *, ascending: bool = True) -> BarPage:
    """Bars of a width (a whole number of minutes, counted from 1970) that begin in start <= t < end, `limit` of them at the most."""
    order = "ASC" if ascending else "DESC"
    start -= start % width_ns
    minutes = (
        "SELECT started_at, high_px, low_px, qty, trades, notional FROM bars WHERE instrument = %s AND started_at >= %s AND started_at < %s "  # noqa: S608
        f"AND trades > 0 ORDER BY started_at {order} LIMIT {BARS_READ_MAX}"
    )
    rows = await db.fetch(
        "SELECT g.bucket, f.open_px, g.high_px, g.low_px, l.close_px, g.qty, g.trades, g.notional, g.minutes FROM ("  # noqa: S608
        f"SELECT started_at DIV {width_ns} AS bucket, MAX(high_px) AS high_px, MIN(low_px) AS low_px, SUM(qty) AS qty, SUM(trades) AS trades, "
        f"SUM(notional) AS notional, MIN(started_at) AS first_at, MAX(started_at) AS last_at, COUNT(*) AS minutes FROM ({minutes}) m GROUP BY bucket"
        ") g JOIN bars f ON f.instrument = %s AND f.started_at = g.first_at JOIN bars l ON l.instrument = %s AND l.started_at = g.last_at "
        f"ORDER BY g.bucket {order}",
        (instrument, start, end, instrument, instrument),
    )
    found = [StoredBar(int(row[0]) * width_ns, *map(int, row[1:8])) for row in rows]
    if sum(int(row[8]) for row in rows) >= BARS_READ_MAX:  # the last one may not be whole
        found.pop()
        rest = found[-1].started_at + width_ns if ascending else found[-1].started_at
        if len(found) <= limit:
            return BarPage(found, rest)
    if len(found) <= limit:
        return BarPage(found, None)
    found = found[:limit]
    return BarPage(found, found[-1].started_at + width_ns if ascending else found[-1].started_at)


async def closes_before(db: Reader, instruments: list[int], at: int) -> dict[int, int]:
    """The last price of each instrument before a minute; those that had not traded are left out."""
    closes = {}
    for instrument in instruments:
        rows = await db.fetch(
            "SELECT close_px FROM bars WHERE instrument = %s AND started_at < %s AND trades > 0 ORDER BY started_at DESC LIMIT 1",
            (instrument, at),
        )
        if rows:
            closes[instrument] = int(rows[0][0])
    return closes


async def closes(db: Reader, instrument: int, since: int, end: int, width_ns: int) -> list[tuple[int, int]]:
    """(span, last price in it) of each span of `width_ns` from `since` on in which it traded, up to `end`."""
    rows = await db.fetch(
        "SELECT g.span, l.close_px FROM (SELECT (started_at - %s) DIV %s AS span, MAX(started_at) AS last_at FROM "  # noqa: S608
        "(SELECT started_at FROM bars WHERE instrument = %s AND started_at >= %s AND started_at < %s AND trades > 0 "
        f"ORDER BY started_at DESC LIMIT {BARS_READ_MAX}) m GROUP BY span) g "
        "JOIN bars l ON l.instrument = %s AND l.started_at = g.last_at ORDER BY g.span",
        (since, width_ns, instrument, since, end, instrument),
    )
    return [(int(span), int(price)) for span, price in rows]


async def trades(
    db: Reader, instrument: int, start: int, end: int, limit: int, *, ascending: bool = True, behind: int | None = None
) -> list[PastTrade]:
    """Trades with start <= t < end; `behind`: only those that come after (descending: before) this trd_match_id."""
    bounds = await trade_bounds(db, instrument, start, end)
    if bounds is None:
        return []
    low, high = bounds
    if behind is not None:
        low, high = (max(low, behind + 1), high) if ascending else (low, min(high, behind - 1))
    order = "ASC" if ascending else "DESC"
    rows = await db.fetch(
        "SELECT t.trd_match_id, t.price, t.qty, t.aggressor_side, t.transact_time, COALESCE(b.reason, 0) FROM trades t "  # noqa: S608
        "LEFT JOIN trade_busts b ON b.trd_match_id = t.trd_match_id "
        "WHERE t.instrument = %s AND t.trd_match_id BETWEEN %s AND %s AND t.transact_time >= %s AND t.transact_time < %s "
        f"ORDER BY t.trd_match_id {order} LIMIT %s",
        (instrument, low, high, start, end, limit),
    )
    return [PastTrade(*row) for row in rows]


async def trade_bounds(db: Reader, instrument: int, start: int, end: int) -> tuple[int, int] | None:
    """The trd_match_ids between which the trades of this time are; they grow with time within an instrument."""
    rows = await db.fetch(
        "SELECT f.first_trade, l.last_trade FROM "
        "(SELECT first_trade FROM bars WHERE instrument = %s AND started_at >= %s AND started_at < %s ORDER BY started_at LIMIT 1) f, "
        "(SELECT last_trade FROM bars WHERE instrument = %s AND started_at >= %s AND started_at < %s ORDER BY started_at DESC LIMIT 1) l",
        (instrument, start - start % MINUTE_NS, end) * 2,
    )
    return (int(rows[0][0]), int(rows[0][1])) if rows else None


async def auctions(db: Reader, instrument: int, start: int, end: int, limit: int, *, ascending: bool = True) -> list[PastAuction]:
    """What call phases that ended in start <= t < end came to, `limit` at the most. One in which nothing traded is left out.

    The trades of an uncross have the time of the phase's end, and the minute's bar leads to them.
    """
    order = "ASC" if ascending else "DESC"
    rows = await db.fetch(
        "SELECT t.transact_time, p.phase, t.price, SUM(t.qty) FROM ("  # noqa: S608
        "SELECT phase, LEAD(transact_time) OVER (ORDER BY transact_time, rpt_seq) AS ended_at FROM phases "
        "WHERE instrument = %s AND transact_time >= %s AND transact_time < %s"
        f") p JOIN bars b ON b.instrument = %s AND b.started_at = p.ended_at - MOD(p.ended_at, {MINUTE_NS}) "
        "JOIN trades t ON t.instrument = b.instrument AND t.trd_match_id BETWEEN b.first_trade AND b.last_trade AND t.transact_time = p.ended_at "
        "LEFT JOIN trade_busts x ON x.trd_match_id = t.trd_match_id "
        f"WHERE p.phase IN {_CALL_PHASES} AND t.aggressor_side = 0 AND x.trd_match_id IS NULL AND p.ended_at >= %s AND p.ended_at < %s "
        f"GROUP BY t.transact_time, p.phase, t.price ORDER BY t.transact_time {order} LIMIT %s",
        (instrument, start - DAY_NS, end + DAY_NS, instrument, start, end, limit),
    )
    return [PastAuction(*map(int, row)) for row in rows]


async def stored_until(db: Reader) -> int:
    """Append time of the newest record of `executions` before which everything is stored, of the partition that is least far; 0 if nothing is."""
    rows = await db.fetch("SELECT COALESCE(MIN(mark_ns), 0) FROM sink_marks WHERE source = '' AND topic = 'executions'")
    return int(rows[0][0])
