"""Counts from which the demand of an open is predicted. Each question is bounded: by instrument, or by a piece of the ledger.

As sinks.mysql.queries: every function takes a Reader and raises ServiceUnavailable.
"""

import json
from collections import Counter
from typing import Final

from sinks.mysql.pool import Reader

WATCHLISTS_READ_MAX: Final = 100_000
PIECE: Final = 20_000
"""Events of one shard in one question: ~20 ms."""


async def trades_since(db: Reader, instrument: int, since_ns: int) -> int:
    """Trades of an instrument in minutes that began at or after a time."""
    ((trades,),) = await db.fetch(
        "SELECT COALESCE(SUM(trades), 0) FROM bars WHERE instrument = %s AND started_at >= %s", (instrument, since_ns)
    )
    return int(trades)


async def watched(db: Reader) -> Counter[int]:
    """On how many watchlists each instrument is; of the WATCHLISTS_READ_MAX first ones by their random ids."""
    rows = await db.fetch(f"SELECT instruments FROM watchlists ORDER BY watchlist_id LIMIT {WATCHLISTS_READ_MAX}")  # noqa: S608  a constant
    return Counter(number for (text,) in rows for number in set(json.loads(text)))


async def last_events(db: Reader) -> dict[int, int]:
    """By account shard, the seq of the last event that is stored."""
    rows = await db.fetch("SELECT part, last_seq FROM sink_marks WHERE sink = 'mysql' AND topic = 'account.events' AND source = ''")
    return {int(shard): int(seq) for shard, seq in rows}


async def active_accounts(db: Reader, shard: int, first_seq: int, end_seq: int) -> Counter[int]:
    """Postings by account among some events of a shard, first_seq <= seq < end_seq."""
    rows = await db.fetch(
        "SELECT account, COUNT(*) FROM postings WHERE shard = %s AND seq >= %s AND seq < %s GROUP BY account", (shard, first_seq, end_seq)
    )
    return Counter({int(account): int(count) for account, count in rows})
