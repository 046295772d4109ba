"""Reads of an account's ledger: its postings one by one (activities) and as sums over time (the worth of the account).

As sinks.mysql.queries: every function takes a `MySql` and raises ServiceUnavailable; numbers are those of the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.enums import AccountEventKind
from sinks.mysql.pool import Reader
from sinks.mysql.rows import CASH, SHARES

Place = tuple[int, int, int]
"""(transact_time, seq, leg): where a posting stands among those of its account."""
OUTSIDE_KINDS: Final = (int(AccountEventKind.ACCOUNT_UPDATED),)


@dataclass(frozen=True, slots=True)
class Activity:
    """A posting, with the execution that it is of: `order_id` 0 where it is of none. `amount`: minor units, or lots of the instrument (SHARES)."""

    shard: int
    seq: int
    leg: int
    kind: int
    instrument: int
    amount: int
    trd_match_id: int
    transact_time: int
    side: int
    order_id: int
    last_px: int
    last_qty: int
    cum_qty: int
    leaves_qty: int
    traded: int
    """Instrument of the execution, which a cash leg does not have."""

    @property
    def place(self) -> Place:
        """Among those of the account."""
        return self.transact_time, self.seq, self.leg


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which postings of an account: pairs (kind, leg); times exclusive, None: no bound; `behind`: only what follows it in the order asked for."""

    kinds: Sequence[tuple[int, int]]
    limit: int
    after: int | None = None
    until: int | None = None
    ascending: bool = False
    behind: Place | None = None
    incoming: bool = True
    outgoing: bool = True
    """Of cash from outside: what comes, what goes."""


async def activities(db: Reader, account: int, wanted: ActivityFilter) -> list[Activity]:
    """In the order of the account's log."""
    conditions: list[str] = ["p.account = %s", f"(p.kind, p.leg) IN ({', '.join(['(%s, %s)'] * len(wanted.kinds))})"]
    args: list[Any] = [account, *(value for pair in wanted.kinds for value in pair)]
    if not wanted.kinds:
        return []
    if {kind for kind, _ in wanted.kinds} <= set(OUTSIDE_KINDS):
        conditions.append("p.trd_match_id = 0")
    if not (wanted.incoming and wanted.outgoing):
        conditions.append(f"(p.kind <> {OUTSIDE_KINDS[0]} OR p.leg <> {CASH} OR p.amount {'>' if wanted.incoming else '<'} 0)")
    sign, order = (">", "ASC") if wanted.ascending else ("<", "DESC")
    for condition, value in (("p.transact_time > %s", wanted.after), ("p.transact_time < %s", wanted.until)):
        if value is not None:
            conditions.append(condition)
            args.append(value)
    if wanted.behind is not None:
        at, seq, leg = wanted.behind
        conditions.append(
            f"(p.transact_time {sign}= %s AND (p.transact_time {sign} %s OR p.seq {sign} %s OR (p.seq = %s AND p.leg {sign} %s)))"
        )
        args += [at, at, seq, seq, leg]
    rows = await db.fetch(
        "SELECT p.shard, p.seq, p.leg, p.kind, p.instrument, p.amount, p.trd_match_id, p.transact_time, COALESCE(e.side, 0), "  # noqa: S608
        "COALESCE(e.order_id, 0), COALESCE(e.last_px, 0), COALESCE(e.last_qty, 0), COALESCE(e.cum_qty, 0), COALESCE(e.leaves_qty, 0), "
        "COALESCE(e.instrument, 0) FROM postings p "
        # shares come in to the buyer and go out of the seller; of the other legs either side of the account's own tells the instrument
        f"LEFT JOIN executions e ON p.trd_match_id <> 0 AND e.trd_match_id = p.trd_match_id AND e.account = p.account "
        f"AND e.side = IF(p.leg = {SHARES}, IF(p.amount > 0, 1, 2), "
        "(SELECT MIN(o.side) FROM executions o WHERE o.trd_match_id = p.trd_match_id AND o.account = p.account)) "
        f"WHERE {' AND '.join(conditions)} ORDER BY p.transact_time {order}, p.shard {order}, p.seq {order}, p.leg {order} LIMIT %s",
        (*args, wanted.limit),
    )
    return [Activity(*map(int, row)) for row in rows]


async def time_of(db: Reader, account: int, posting: tuple[int, int, int]) -> int | None:
    """When something was posted, (shard, seq, leg); None if the account has no such posting."""
    rows = await db.fetch(
        "SELECT transact_time FROM postings WHERE shard = %s AND seq = %s AND leg = %s AND account = %s", (*posting, account)
    )
    return int(rows[0][0]) if rows else None


@dataclass(frozen=True, slots=True)
class Flow:
    """What was posted within one span: of cash (instrument 0, minor units) or of an instrument (lots)."""

    span: int
    instrument: int
    amount: int
    outside: int
    """What of it came from outside, less what went there."""
    came: int
    """What came from outside."""


async def flows(db: Reader, account: int, since: int, width_ns: int) -> list[Flow]:
    """Of each span of `width_ns` after `since` in which something was posted, in their order."""
    outside = f"kind = {OUTSIDE_KINDS[0]}"
    rows = await db.fetch(
        f"SELECT (transact_time - %s) DIV %s, instrument, SUM(amount), SUM(IF({outside}, amount, 0)), SUM(IF({outside} AND amount > 0, amount, 0)) "  # noqa: S608
        "FROM postings WHERE account = %s AND transact_time >= %s GROUP BY 1, 2 ORDER BY 1, 2",
        (since, width_ns, account, since),
    )
    return [Flow(*map(int, row)) for row in rows]
