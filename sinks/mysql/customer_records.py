"""What customers keep with the exchange: watchlists and the configuration of their account. Not of the log.

As sinks.mysql.queries: every function takes a `MySql` and raises ServiceUnavailable.
"""

import json
from dataclasses import dataclass
from typing import Any

from sinks.mysql.pool import MySql, Transaction


@dataclass(frozen=True, slots=True)
class Watchlist:
    """A named list of instruments, by number. Times in ns."""

    watchlist_id: str
    name: str
    created_at: int
    updated_at: int
    instruments: tuple[int, ...]


_SELECT = "SELECT watchlist_id, name, created_at, updated_at, instruments FROM watchlists WHERE account = %s"


async def watchlists(db: MySql, account: int) -> list[Watchlist]:
    """All of the account, the oldest first."""
    return [_watchlist(row) for row in await db.fetch(f"{_SELECT} ORDER BY created_at, watchlist_id", (account,))]


async def put_watchlist(db: MySql, account: int, one: Watchlist, most: int) -> str:
    """Store it, in the place of the one of its id if there is one. Returns "", or why not: "name" is taken by another one, or there are "most" already."""
    async with db.transaction() as transaction:
        known = await transaction.fetch("SELECT watchlist_id, name FROM watchlists WHERE account = %s FOR UPDATE", (account,))
        others = [name for watchlist_id, name in known if watchlist_id != one.watchlist_id]
        if one.name in others:
            return "name"
        if len(others) >= most:
            return "most"
        await transaction.execute(
            "INSERT INTO watchlists (watchlist_id, account, name, created_at, updated_at, instruments) VALUES (%s, %s, %s, %s, %s, %s) "
            "ON DUPLICATE KEY UPDATE name = VALUES(name), updated_at = VALUES(updated_at), instruments = VALUES(instruments)",
            (one.watchlist_id, account, one.name, one.created_at, one.updated_at, json.dumps(one.instruments)),
        )
    return ""


async def drop_watchlist(db: MySql, account: int, watchlist_id: str) -> bool:
    """False if the account has none of this id."""
    async with db.transaction() as transaction:
        return await transaction.execute("DELETE FROM watchlists WHERE account = %s AND watchlist_id = %s", (account, watchlist_id)) > 0


async def configuration(db: MySql, account: int) -> dict[str, Any]:
    """What differs from the defaults."""
    rows = await db.fetch("SELECT configuration FROM account_configurations WHERE account = %s", (account,))
    found: dict[str, Any] = json.loads(rows[0][0]) if rows else {}
    return found


async def change_configuration(db: MySql, account: int, changes: dict[str, Any], now_ns: int) -> dict[str, Any]:
    """Change some of it, whoever else changes another part at the same time; all that differs then."""
    async with db.transaction() as transaction:
        await transaction.execute(
            "INSERT INTO account_configurations (account, configuration, updated_at) VALUES (%s, '{}', %s) ON DUPLICATE KEY UPDATE account = account",
            (account, now_ns),
        )
        now = await _locked(transaction, account) | changes
        await transaction.execute(
            "UPDATE account_configurations SET configuration = %s, updated_at = %s WHERE account = %s", (json.dumps(now), now_ns, account)
        )
    return now


async def _locked(transaction: Transaction, account: int) -> dict[str, Any]:
    ((text,),) = await transaction.fetch("SELECT configuration FROM account_configurations WHERE account = %s FOR UPDATE", (account,))
    known: dict[str, Any] = json.loads(text)
    return known


def _watchlist(row: tuple[Any, ...]) -> Watchlist:
    watchlist_id, name, created_at, updated_at, instruments = row
    return Watchlist(watchlist_id, name, created_at, updated_at, tuple(json.loads(instruments)))
