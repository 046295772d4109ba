"""A second set of the tables that are made from the log, beside the live ones in the same database, and the switch to it.

Tables of the new generation have the prefix `rebuild_`, replaced ones `former_`. What is not made from the log (API keys) stays where it is.

The switch is safe while the live sink writes. First it removes the live sink_marks, with which each of the sink's transactions begins: under a
lock that waits for the last of them, and only if the new generation is at least as far. From then on the sink cannot write, and retries. Then all
tables are renamed in one atomic statement, and the sink continues with the new marks. A crash between the two steps leaves the sink waiting, never
a gap, and the next rebuild continues from there.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Self

from schemas.errors import OutcryError, StaleData
from schemas.instruments import InstrumentTable
from sinks.mysql.case_rows import Decide
from sinks.mysql.pool import MySql, Transaction
from sinks.mysql.schema import SCHEMA_VERSION, WRITE_INSTRUMENT, apply_schema, statements
from sinks.mysql.sink import SINK, MySqlSink, prefixed

BUILDING: Final = "rebuild_"
FORMER: Final = "former_"
MARKS: Final = "sink_marks"
NOT_OF_THE_LOG: Final = frozenset(
    {"account_configurations", "api_keys", "operator_tokens", "people", "people_sessions", "schema_version", "watchlists"}
)
_ORIGIN: Final = f"{BUILDING}origin"
_CREATE: Final = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")

Offsets = dict[tuple[str, int], int]


class NotEmpty(OutcryError):
    """There are rows where the rebuild would write. The message says whose, and what to do."""


class MySqlGeneration:
    """The new tables while they are filled. Every method raises ServiceUnavailable."""

    def __init__(self, db: MySql, decide: Decide | None = None) -> None:
        self._db = db
        self.sink = MySqlSink(db, BUILDING, decide)

    @classmethod
    async def connect(
        cls, url: str, instruments: InstrumentTable, log_id: str, decide: Decide | None = None, *, restart: bool, drop_former: bool
    ) -> Self:
        """Connect and make the tables, or find those of an interrupted rebuild of the same log.

        Raises StaleData for tables of another version, or a rebuild of another log; NotEmpty if an earlier rebuild's former tables are there.
        """
        db = await MySql.connect(url, size_max=2)
        try:
            await apply_schema(db, instruments)
            made = cls(db, decide)
            await made._prepare(instruments, f"{log_id} version {SCHEMA_VERSION}", restart=restart, drop_former=drop_former)
        except BaseException:
            await db.close()
            raise
        return made

    async def close(self) -> None:
        """Close the connections. What was stored stays."""
        await self._db.close()

    async def offsets(self) -> Offsets:
        """(topic, partition) -> next offset that the new tables need."""
        async with self._db.transaction() as transaction:
            return await _offsets(transaction, BUILDING + MARKS)

    async def live_offsets(self) -> Offsets:
        """The same for the tables in use."""
        async with self._db.transaction() as transaction:
            present = await _tables(transaction)
            return await _offsets(transaction, MARKS if MARKS in present else FORMER + MARKS)

    async def switch(self, *, whatever: bool) -> bool:
        """Put the new tables into use. False if the live ones are further by now: store what is missing, then try again.

        whatever: switch even if they are further. The former tables stay as former_*.
        """
        async with self._db.transaction() as transaction:
            present = await _tables(transaction)
            if MARKS in present and not await _fence(transaction, whatever=whatever):
                return False
            new = {name.removeprefix(BUILDING) for name in present if name.startswith(BUILDING)} - {_ORIGIN.removeprefix(BUILDING)}
            live = {name for name in present if not name.startswith((BUILDING, FORMER))} - NOT_OF_THE_LOG - {MARKS}
            renames = [f"{name} TO {FORMER}{name}" for name in sorted(live)] + [f"{BUILDING}{name} TO {name}" for name in sorted(new)]
            await transaction.execute(f"RENAME TABLE {', '.join(renames)}")
            await transaction.execute(f"DROP TABLE {_ORIGIN}")
        return True

    async def drop_former(self) -> None:
        """Drop the tables that were replaced."""
        async with self._db.transaction() as transaction:
            await _drop(transaction, FORMER)

    async def _prepare(self, instruments: InstrumentTable, origin: str, *, restart: bool, drop_former: bool) -> None:
        async with self._db.transaction() as transaction:
            present = await _tables(transaction)
            switching = MARKS not in present
            if switching and BUILDING + MARKS not in present:
                raise StaleData(
                    f"MySQL has neither {MARKS} nor {BUILDING}{MARKS}: these are not the tables of an exchange; use another database"
                )
            if not switching and any(name.startswith(FORMER) for name in present):
                if not drop_former:
                    raise NotEmpty(
                        f"MySQL still has the tables that an earlier rebuild replaced, {FORMER}*: look at them, then use --drop-former"
                    )
                await _drop(transaction, FORMER)
            if restart and not switching:
                await _drop(transaction, BUILDING)
            await transaction.execute(
                f"CREATE TABLE IF NOT EXISTS {_ORIGIN} (origin VARCHAR(200) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB"
            )
            known = [text for (text,) in await transaction.fetch(f"SELECT origin FROM {_ORIGIN}")]  # noqa: S608  own name
            if known and known != [origin]:
                raise StaleData(f"MySQL has a half-made rebuild of another log or version ({known[0]}, now {origin}): use --restart")
            if not known:
                await transaction.execute(f"INSERT INTO {_ORIGIN} (origin) VALUES (%s)", (origin,))  # noqa: S608  own name
            for statement in building_statements():
                await transaction.execute(statement)
            for one in instruments:
                values = (one.number, one.symbol, one.name, one.tick_size, one.lot_size)
                await transaction.execute(prefixed(WRITE_INSTRUMENT, BUILDING), values)


def building_statements() -> list[str]:
    """The statements that make the tables of a new generation."""
    made = []
    for statement in statements((files("sinks") / "mysql" / "schema.sql").read_text()):
        found = _CREATE.match(statement)
        assert found is not None, f"schema.sql has a statement that makes no table: {statement[:60]}"
        if found[1] not in NOT_OF_THE_LOG:
            made.append(_CREATE.sub(rf"CREATE TABLE IF NOT EXISTS {BUILDING}\1", statement, count=1))
    return made


def behind(live: Mapping[tuple[str, int], int], new: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """The partitions of which the live tables have stored more, with their next offset."""
    return {where: offset for where, offset in live.items() if offset > new.get(where, 0)}


async def _fence(transaction: Transaction, *, whatever: bool) -> bool:
    """Remove the live marks if the new ones are as far. Then no sink can write until the switch is done."""
    await transaction.execute(f"LOCK TABLES {MARKS} WRITE, {BUILDING}{MARKS} READ")
    try:
        if not whatever and behind(await _offsets(transaction, MARKS), await _offsets(transaction, BUILDING + MARKS)):
            return False
        await transaction.execute(f"ALTER TABLE {MARKS} RENAME TO {FORMER}{MARKS}")
        return True
    finally:
        await transaction.execute("UNLOCK TABLES")


async def _tables(transaction: Transaction) -> set[str]:
    return {name for (name,) in await transaction.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")}


async def _offsets(transaction: Transaction, table: str) -> Offsets:
    rows = await transaction.fetch(f"SELECT topic, part, next_offset FROM {table} WHERE source = '' AND sink = %s", (SINK,))  # noqa: S608  own name
    return {(topic, part): next_offset for topic, part, next_offset in rows}


async def _drop(transaction: Transaction, prefix: str) -> None:
    names = sorted(name for name in await _tables(transaction) if name.startswith(prefix))
    if names:
        await transaction.execute(f"DROP TABLE {', '.join(names)}")
