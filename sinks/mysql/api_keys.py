"""API keys of customers in the system of record. Secrets are there as SHA-256 only. A key has a secret, or a public key: never both.

A key is never removed: it ends. Each change raises its version, and `changed_at` (by the clock of the server, us since 1970) tells edges which keys
to look up again. Every function raises ServiceUnavailable.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import OutcryError
from sinks.mysql.pool import MySql, Transaction
from sinks.mysql.schema import apply_schema

_ROWS_AT_ONCE: Final = 1_000
_NOW_US: Final = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)"
OVERLAP_US: Final = 10_000_000
"""A change is seen when its transaction ends, up to so long after its `changed_at`."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row of `api_keys`. scopes, networks: texts with commas; ends_at: ns since 1970, 0 for never; public_key: hexadecimal, or empty."""

    key_id: str
    secret_sha256: bytes
    account: int
    scopes: str
    networks: str
    ends_at: int
    version: int
    label: str
    created_at: int
    public_key: str = ""


_SELECT: Final = "SELECT key_id, secret_sha256, account, scopes, networks, ends_at, version, label, created_at, public_key FROM api_keys"


async def api_key(db: MySql, key_id: str) -> StoredKey | None:
    """The key, whether or not it has ended; or None."""
    if not key_id.isascii():
        return None
    rows = await db.fetch(f"{_SELECT} WHERE key_id = %s", (key_id,))
    return _key(rows[0]) if rows else None


async def keys_of_account(db: MySql, account: int) -> list[StoredKey]:
    """All keys that the account ever had, the newest first."""
    return [_key(row) for row in await db.fetch(f"{_SELECT} WHERE account = %s ORDER BY created_at DESC, key_id", (account,))]


async def add_key(
    db: MySql,
    key_id: str,
    digest: str,
    account: int,
    scopes: str,
    networks: str,
    *,
    ends_at: int,
    label: str,
    keys_max: int,
    public_key: str = "",
) -> None:
    """Store a new key; digest: SHA-256 of its secret as hexadecimal text, or of nothing that anybody knows where it has a public key. Raises OutcryError if the account has `keys_max` keys that have not ended."""
    async with db.transaction() as transaction:
        await _add(transaction, (key_id, digest, account, scopes, networks, ends_at, label, public_key), keys_max)


async def rotate_key(
    db: MySql, key_id: str, ends_at: int, new_id: str, digest: str, *, keys_max: int, account: int | None = None, public_key: str = ""
) -> StoredKey:
    """Store a new key with the rights of this one, which ends at this time; both or neither. Returns what it was.

    Raises OutcryError for one that is unknown, of another account or over, for one that signs where the new one would not, and as add_key does.
    """
    async with db.transaction() as transaction:
        before = await _locked(transaction, key_id, account)
        if before.ends_at and before.ends_at <= time.time_ns():
            raise OutcryError(f"API key {key_id} has ended: make a new one")
        if before.public_key and not public_key:
            raise OutcryError(f"requests of API key {key_id} are signed: name the public key of the new one")
        values = (new_id, digest, before.account, before.scopes, before.networks, before.ends_at, before.label, public_key)
        await _add(transaction, values, keys_max)
        await _end(transaction, before, ends_at)
    return before


async def end_key(db: MySql, key_id: str, ends_at: int, account: int | None = None) -> None:
    """It ends at this time, unless it ends earlier. Raises OutcryError for an unknown one, or one of another account."""
    async with db.transaction() as transaction:
        await _end(transaction, await _locked(transaction, key_id, account), ends_at)


async def limit_key(db: MySql, key_id: str, scopes: str, networks: str, account: int | None = None) -> None:
    """Change what it may do and from where. Raises OutcryError for an unknown one, or one of another account."""
    async with db.transaction() as transaction:
        await _locked(transaction, key_id, account)
        await transaction.execute(
            f"UPDATE api_keys SET scopes = %s, networks = %s, version = version + 1, changed_at = {_NOW_US} WHERE key_id = %s",  # noqa: S608
            (scopes, networks, key_id),
        )


async def changed_keys(db: MySql, since_us: int | None, window_us: int) -> tuple[int, dict[str, int]]:
    """(what to ask with next, version by key id) of the keys changed since then; with None, within the last `window_us`."""
    ((now,),) = await db.fetch(f"SELECT {_NOW_US}")
    since = int(now) - window_us if since_us is None else since_us
    rows = await db.fetch("SELECT key_id, version FROM api_keys WHERE changed_at >= %s AND changed_at > 0", (since,))
    return int(now) - OVERLAP_US, dict(rows)


async def insert_api_keys(db: MySql, keys: Sequence[tuple[str, str, int]]) -> None:
    """Store (key_id, SHA-256 of the secret as hexadecimal text, account). An existing key with the same values stays.

    Raises OutcryError if a key_id exists with other values; then none of them is stored.
    """
    now = time.time_ns()
    async with db.transaction() as transaction:
        for start in range(0, len(keys), _ROWS_AT_ONCE):
            await _insert_keys(transaction, keys[start : start + _ROWS_AT_ONCE], now)


def open_api_keys(url: str, keys: Sequence[tuple[str, str, int]]) -> None:
    """`insert_api_keys` for the command line: connects by itself, and makes the tables if there are none."""
    asyncio.run(_open_api_keys(url, keys))


async def _open_api_keys(url: str, keys: Sequence[tuple[str, str, int]]) -> None:
    db = await MySql.connect(url, size_max=1)
    try:
        await apply_schema(db)
        await insert_api_keys(db, keys)
    finally:
        await db.close()


async def _insert_keys(transaction: Transaction, keys: Sequence[tuple[str, str, int]], now: int) -> None:
    values = {key_id: (bytes.fromhex(secret), account) for key_id, secret, account in keys}
    # as hexadecimal text: this pair of client libraries cannot escape bytes
    await transaction.execute(
        f"INSERT INTO api_keys (key_id, secret_sha256, account, created_at) VALUES {', '.join(['(%s, UNHEX(%s), %s, %s)'] * len(values))} "  # noqa: S608
        "ON DUPLICATE KEY UPDATE key_id = api_keys.key_id",
        [value for key_id, (secret, account) in values.items() for value in (key_id, secret.hex(), account, now)],
    )
    wanted = f"SELECT key_id, secret_sha256, account FROM api_keys WHERE key_id IN ({_marks(values)})"  # noqa: S608
    stored = await transaction.fetch(wanted, list(values))
    taken = [key_id for key_id, secret, account in stored if values[key_id] != (bytes(secret), account)]
    if taken:
        raise OutcryError(f"API key {taken[0]} already exists with another secret or account; none of the {len(keys)} keys were stored")


async def _add(transaction: Transaction, values: tuple[str, str, int, str, str, int, str, str], keys_max: int) -> None:
    now, account = time.time_ns(), values[2]
    sql = "SELECT key_id FROM api_keys WHERE account = %s AND (ends_at = 0 OR ends_at > %s) FOR UPDATE"
    if len(await transaction.fetch(sql, (account, now))) >= keys_max:
        raise OutcryError(f"account {account} has {keys_max} API keys already: withdraw one first")
    await transaction.execute(
        "INSERT INTO api_keys (key_id, secret_sha256, account, scopes, networks, ends_at, label, public_key, created_at) "
        "VALUES (%s, UNHEX(%s), %s, %s, %s, %s, %s, %s, %s)",
        (*values, now),
    )


async def _end(transaction: Transaction, before: StoredKey, ends_at: int) -> None:
    await transaction.execute(
        f"UPDATE api_keys SET ends_at = %s, version = version + 1, changed_at = {_NOW_US} WHERE key_id = %s",  # noqa: S608  constant
        (min(before.ends_at or ends_at, ends_at), before.key_id),
    )


async def _locked(transaction: Transaction, key_id: str, account: int | None) -> StoredKey:
    rows = await transaction.fetch(f"{_SELECT} WHERE key_id = %s FOR UPDATE", (key_id,)) if key_id.isascii() else []
    if not rows or account not in (None, rows[0][2]):
        raise OutcryError(f"there is no API key {key_id}")
    return _key(rows[0])


def _key(row: Sequence[Any]) -> StoredKey:
    return StoredKey(row[0], bytes(row[1]), *row[2:])


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("%s" for _ in values)
