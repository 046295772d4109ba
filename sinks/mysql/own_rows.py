"""Rows of which MySQL is the only home: API keys, people, their tokens, and what customers keep. Everything else there is made of the log.

Another region copies them row by row (streams.regions.access_copy). Sessions of people are not among them: who was signed in there signs in here anew.
Every function raises ServiceUnavailable.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import StaleData
from sinks.mysql.pool import Reader, Transaction

ROWS_AT_ONCE: Final = 500
Row = tuple[Any, ...]
"""In the order of OwnTable.columns; binary columns as hexadecimal text."""


@dataclass(frozen=True)
class OwnTable:
    """One table. The first column is its key, before whose every value `before_first` comes."""

    name: str
    columns: tuple[str, ...]
    before_first: str | int = ""
    binary: tuple[str, ...] = ()
    stamped: Mapping[str, int] | None = None
    """Indexed columns that say when a row was made or changed, and how many of their units a second has; None: few rows, read whole each time."""
    shrinks: bool = False
    """Its rows can be deleted, and a name be given to another row. Others end."""

    @property
    def key(self) -> str:
        """Name of the key's column."""
        return self.columns[0]


TABLES: Final = (
    OwnTable("people", ("name", "password_hash", "totp_secret", "totp_step", "roles", "enabled", "attempts", "attempted_at", "created_at", "changed_at")),
    OwnTable("operator_tokens", ("token_id", "name", "digest", "roles", "read_only", "label", "created_at", "ends_at"), binary=("digest",)),
    OwnTable(
        "api_keys",
        ("key_id", "secret_sha256", "account", "created_at", "scopes", "networks", "ends_at", "version", "label", "changed_at", "public_key"),
        binary=("secret_sha256",), stamped={"created_at": 1_000_000_000, "changed_at": 1_000_000},
    ),
    OwnTable(
        "watchlists", ("watchlist_id", "account", "name", "created_at", "updated_at", "instruments"), stamped={"updated_at": 1_000_000_000}, shrinks=True,
    ),
    OwnTable("account_configurations", ("account", "configuration", "updated_at"), before_first=-1, stamped={"updated_at": 1_000_000_000}),
)  # fmt: skip


async def require_same_version(there: Reader, here: Reader) -> None:
    """Raises StaleData where the tables of two regions are of different versions of this program."""
    sql = "SELECT COALESCE(MAX(version), 0) FROM schema_version"
    ((theirs,),), ((ours,),) = await there.fetch(sql), await here.fetch(sql)
    if theirs != ours:
        raise StaleData(
            f"the MySQL tables of the other region are of version {theirs}, those here of version {ours}: let both regions run the same version"
        )


async def pages(db: Reader, table: OwnTable) -> AsyncIterator[tuple[list[Row], Any, bool]]:
    """All rows by key: (rows, the key before them, whether they are the last)."""
    after: Any = table.before_first
    while True:
        rows = await db.fetch(f"{_select(table)} WHERE {table.key} > %s ORDER BY {table.key} LIMIT {ROWS_AT_ONCE}", (after,))
        is_last = len(rows) < ROWS_AT_ONCE
        yield rows, after, is_last
        if is_last:
            return
        after = rows[-1][0]


async def changed_rows(db: Reader, table: OwnTable, since_s: float) -> list[Row]:
    """Of a table with stamps: rows made or changed since then, s since 1970 by the clock of whoever stamped them."""
    assert table.stamped is not None
    each = [f"({_select(table)} WHERE {column} >= %s)" for column in table.stamped]
    return await db.fetch(" UNION ".join(each), [int(since_s * units) for units in table.stamped.values()])


async def write_rows(transaction: Transaction, table: OwnTable, rows: Sequence[Row]) -> int:
    """As they are, over what is there of the same key, or of another unique one where the table shrinks; returns how many rows were written."""
    values = ", ".join("UNHEX(%s)" if column in table.binary else "%s" for column in table.columns)
    updates = f" ON DUPLICATE KEY UPDATE {', '.join(f'{column} = VALUES({column})' for column in table.columns)}"
    verb, ending = ("REPLACE", "") if table.shrinks else ("INSERT", updates)
    done = 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        done += await transaction.execute(
            f"{verb} INTO {table.name} ({', '.join(table.columns)}) VALUES {', '.join([f'({values})'] * len(some))}{ending}",
            [value for row in some for value in row],
        )
    return done


async def delete_others(transaction: Transaction, table: OwnTable, rows: Sequence[Row], after: Any, *, is_last: bool) -> int:
    """Delete what a page of the other region does not have, between the key before it and its last, or the end of the table."""
    conditions, values = [f"{table.key} > %s"], [after]
    if not is_last:
        conditions.append(f"{table.key} <= %s")
        values.append(rows[-1][0])
    if rows:
        conditions.append(f"{table.key} NOT IN ({', '.join(['%s'] * len(rows))})")
        values += [row[0] for row in rows]
    return await transaction.execute(f"DELETE FROM {table.name} WHERE {' AND '.join(conditions)}", values)  # noqa: S608  constants


def _select(table: OwnTable) -> str:
    return f"SELECT {', '.join(f'HEX({one})' if one in table.binary else one for one in table.columns)} FROM {table.name}"  # noqa: S608  constants
