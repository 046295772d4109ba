"""People, their sessions and tokens in the system of record: what the edge asks, and what `outcry users` changes.

Every function raises ServiceUnavailable. Digests are SHA-256 as hexadecimal text, times ns, roles names with commas. Whatever makes somebody
less trusted (another password, other roles, disabled) ends their sessions in the same transaction; roles and tokens are read at each request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from schemas.errors import OutcryError
from sinks.mysql.pool import MySql, Transaction

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

SESSIONS_OF_PERSON_MAX: Final = 20
"""The one that began first ends for the next."""


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A row of `people`. totp_secret: empty without a second factor; totp_step: time step of the code that was used last."""

    name: str
    password_hash: str
    totp_secret: str
    totp_step: int
    roles: str
    enabled: bool
    attempts: int
    """To sign in, since the last that succeeded."""
    attempted_at: int
    created_at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session with what its person is now."""

    name: str
    roles: str
    enabled: bool
    began_at: int
    seen_at: int


@dataclass(frozen=True, slots=True)
class StoredToken:
    """An operator token with what its person is now. Its own roles are those it was made with."""

    token_id: str
    name: str
    digest: str
    roles: str
    persons_roles: str
    enabled: bool
    read_only: bool
    label: str
    created_at: int
    ends_at: int
    """When it expires or was withdrawn, whichever is first."""


def _columns(row: type[Any]) -> str:
    return ", ".join(one.name for one in fields(row))


_SELECT_PEOPLE: Final = f"SELECT {_columns(StoredPerson)} FROM people"  # noqa: S608  constant names; so below
_SELECT_TOKENS: Final = (
    "SELECT t.token_id, t.name, LOWER(HEX(t.digest)), t.roles, p.roles, p.enabled, t.read_only, t.label, t.created_at, t.ends_at "
    "FROM operator_tokens t JOIN people p ON p.name = t.name"
)


async def people(db: MySql) -> list[StoredPerson]:
    """Everybody, by name."""
    return [_read(StoredPerson, row) for row in await db.fetch(f"{_SELECT_PEOPLE} ORDER BY name")]


async def person(db: MySql, name: str) -> StoredPerson | None:
    """Somebody, or None."""
    rows = await db.fetch(f"{_SELECT_PEOPLE} WHERE name = %s", (name,))
    return _read(StoredPerson, rows[0]) if rows else None


async def add_person(db: MySql, name: str, password_hash: str, totp_secret: str, roles: str, now: int) -> None:
    """Raises OutcryError if there is somebody of this name."""
    async with db.transaction() as transaction:
        added = await transaction.execute(
            "INSERT INTO people (name, password_hash, totp_secret, roles, created_at, changed_at) VALUES (%s, %s, %s, %s, %s, %s) "
            "ON DUPLICATE KEY UPDATE name = people.name",
            (name, password_hash, totp_secret, roles, now, now),
        )
        if not added:
            raise OutcryError(f"there is already somebody of the name {name}")


async def change_person(db: MySql, name: str, now: int, **columns: str | int) -> int:
    """Set columns of StoredPerson and end the person's sessions; returns how many. Raises OutcryError for an unknown name."""
    known = {one.name for one in fields(StoredPerson)} - {"name", "created_at"}
    assert columns.keys() <= known, columns
    async with db.transaction() as transaction:
        await _require(transaction, name)
        assignments = "".join(f", {column} = %s" for column in columns)
        await transaction.execute(f"UPDATE people SET changed_at = %s{assignments} WHERE name = %s", (now, *columns.values(), name))  # noqa: S608
        return await _end_sessions(transaction, name)


async def end_sessions(db: MySql, name: str) -> int:
    """Sign somebody out everywhere; returns how many sessions that were. Raises OutcryError for an unknown name."""
    async with db.transaction() as transaction:
        await _require(transaction, name)
        return await _end_sessions(transaction, name)


async def claim_attempt(db: MySql, name: str, attempts: int, now: int) -> bool:
    """Count an attempt to sign in before it is looked at, if nobody has tried since `attempts` was read: so guesses cannot come side by side."""
    async with db.transaction() as transaction:
        sql = "UPDATE people SET attempts = attempts + 1, attempted_at = %s WHERE name = %s AND attempts = %s"
        return await transaction.execute(sql, (now, name, attempts)) == 1


async def open_session(db: MySql, digest: str, name: str, totp_step: int, address: str, now: int, began_after: int) -> bool:
    """Begin a session; False if the person is gone or the code of this step has been used meanwhile. Sessions that began before `began_after` are over and go."""
    async with db.transaction() as transaction:
        rows = await transaction.fetch("SELECT totp_secret, totp_step FROM people WHERE name = %s AND enabled FOR UPDATE", (name,))
        if not rows or (rows[0][0] and rows[0][1] >= totp_step):
            return False
        await transaction.execute("UPDATE people SET attempts = 0, totp_step = %s WHERE name = %s", (totp_step, name))
        await transaction.execute("DELETE FROM people_sessions WHERE began_at < %s", (began_after,))
        begun = await transaction.fetch("SELECT LOWER(HEX(digest)) FROM people_sessions WHERE name = %s ORDER BY began_at DESC", (name,))
        for (old,) in begun[SESSIONS_OF_PERSON_MAX - 1 :]:
            await transaction.execute("DELETE FROM people_sessions WHERE digest = UNHEX(%s)", (old,))
        await transaction.execute(
            "INSERT INTO people_sessions (digest, name, began_at, seen_at, address) VALUES (UNHEX(%s), %s, %s, %s, %s)",
            (digest, name, now, now, address),
        )
    return True


async def session(db: MySql, digest: str) -> StoredSession | None:
    """A session, or None if there is none (any more)."""
    rows = await db.fetch(
        "SELECT p.name, p.roles, p.enabled, s.began_at, s.seen_at FROM people_sessions s JOIN people p ON p.name = s.name "
        "WHERE s.digest = UNHEX(%s)",
        (digest,),
    )
    return _read(StoredSession, rows[0]) if rows else None


async def touch_session(db: MySql, digest: str, now: int) -> None:
    """Its person has done something."""
    async with db.transaction() as transaction:
        await transaction.execute("UPDATE people_sessions SET seen_at = %s WHERE digest = UNHEX(%s)", (now, digest))


async def end_session(db: MySql, digest: str) -> None:
    """Sign out."""
    async with db.transaction() as transaction:
        await transaction.execute("DELETE FROM people_sessions WHERE digest = UNHEX(%s)", (digest,))


async def add_token(
    db: MySql, token_id: str, digest: str, name: str, roles: str, *, read_only: bool, label: str, now: int, ends_at: int
) -> None:
    """Raises OutcryError if its person is unknown."""
    async with db.transaction() as transaction:
        await _require(transaction, name)
        await transaction.execute(
            "INSERT INTO operator_tokens (token_id, name, digest, roles, read_only, label, created_at, ends_at) "
            "VALUES (%s, %s, UNHEX(%s), %s, %s, %s, %s, %s)",
            (token_id, name, digest, roles, read_only, label, now, ends_at),
        )


async def token(db: MySql, token_id: str) -> StoredToken | None:
    """An operator token, whether or not it is over."""
    rows = await db.fetch(f"{_SELECT_TOKENS} WHERE t.token_id = %s", (token_id,))
    return _read(StoredToken, rows[0]) if rows else None


async def tokens(db: MySql) -> list[StoredToken]:
    """All of them, the newest first."""
    return [_read(StoredToken, row) for row in await db.fetch(f"{_SELECT_TOKENS} ORDER BY t.created_at DESC")]


async def withdraw_token(db: MySql, token_id: str, now: int) -> None:
    """From now on it opens nothing. Raises OutcryError for an unknown one."""
    async with db.transaction() as transaction:
        found = await transaction.fetch("SELECT 1 FROM operator_tokens WHERE token_id = %s", (token_id,))
        if not found:
            raise OutcryError(f"there is no token {token_id}")
        await transaction.execute("UPDATE operator_tokens SET ends_at = LEAST(ends_at, %s) WHERE token_id = %s", (now, token_id))


async def _require(transaction: Transaction, name: str) -> None:
    if not await transaction.fetch("SELECT 1 FROM people WHERE name = %s FOR UPDATE", (name,)):
        raise OutcryError(f"there is nobody of the name {name}")


async def _end_sessions(transaction: Transaction, name: str) -> int:
    return await transaction.execute("DELETE FROM people_sessions WHERE name = %s", (name,))


def _read(kind: type[T], row: Sequence[Any]) -> T:
    """A row of a query that names the fields in their order. MySQL has numbers for true and false."""
    values = {one.name: bool(value) if one.type is bool else value for one, value in zip(fields(kind), row, strict=True)}
    return kind(**values)
