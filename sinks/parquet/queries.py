"""SQL of others over the archive and the end of the log, by DuckDB: it reads the archive's files and nothing else, and ends in time.

The files, views and limits are set first. Then DuckDB's own access to files, extensions and the network is switched off and its configuration
locked (`enable_external_access`, `lock_configuration`), and one statement that only reads is run.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import pyarrow as pa

from schemas import enums
from schemas.errors import OutcryError
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason
from schemas.units import MINOR_PER_UNIT
from sinks.parquet.files import manifests
from sinks.parquet.tables import TABLES, Table

FETCH_ROWS: Final = 1_000
_WORDS: Final[Mapping[str, type[IntEnum]]] = {
    "side": enums.Side, "ord_type": enums.OrdType, "time_in_force": enums.TimeInForce, "ord_status": enums.OrdStatus, "phase": enums.Phase,
    "execution": enums.ExecKind, "event": enums.AccountEventKind, "market": enums.MarketDataKind, "reason": Reason,
}  # fmt: skip
"""word_of(number) of each is a macro `NAME_word`."""
_READS: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


class QueryRefused(OutcryError):
    """SQL that is wrong, does more than read, or wants more than its limits; the message says which."""


@dataclass(frozen=True)
class QueryLimits:
    """What a query may use."""

    seconds: float = 60.0
    memory_mb: int = 512
    threads: int = 2


def archived_files(folder: Path, table: Table) -> list[str]:
    """Paths of the files that manifests name, by day and partition."""
    return [str((day / one.name).resolve()) for day, manifest in manifests(folder, table) for one in manifest.files]


class QuerySession:
    """A context manager. tails: by table's name, rows that are in the log and not in the files (Arrow, of the table's schema)."""

    def __init__(self, folder: Path, instruments: InstrumentTable, tails: Mapping[str, Any], limits: QueryLimits) -> None:
        self._folder, self._instruments, self._tails, self._limits = folder, instruments, tails, limits

    def __enter__(self) -> Self:
        self._db = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
        try:
            self._set_up()
        except duckdb.Error as error:
            self._db.close()
            raise QueryRefused(f"the archive in {self._folder} cannot be read: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._db.close()

    def run(self, sql: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Names of the columns, and the rows. Raises QueryRefused, the iterator too."""
        try:
            statements = self._db.extract_statements(sql)
        except duckdb.Error as error:
            raise QueryRefused(str(error)) from error
        if len(statements) != 1 or statements[0].type not in _READS:
            raise QueryRefused("one statement that reads is allowed: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or EXPLAIN")
        rows = self._rows(sql)
        names: tuple[Any, ...] = next(rows)
        return list(names), rows

    def _rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """First the names of the columns."""
        timer = threading.Timer(self._limits.seconds, self._db.interrupt)
        timer.start()
        try:
            self._db.execute(sql)
            yield tuple(column[0] for column in self._db.description or ())
            while rows := self._db.fetchmany(FETCH_ROWS):
                yield from rows
        except duckdb.InterruptException:
            raise QueryRefused(
                f"the query took more than {self._limits.seconds:g} s: ask for less, or give it more with --timeout"
            ) from None
        except duckdb.OutOfMemoryException as error:
            raise QueryRefused(
                f"the query needs more than {self._limits.memory_mb} MB: ask for less, or give it more with --memory: {error}"
            ) from error
        except duckdb.Error as error:
            raise QueryRefused(str(error)) from error
        finally:
            timer.cancel()

    def _set_up(self) -> None:
        allowed: list[str] = []
        for table in TABLES:
            found = archived_files(self._folder, table)
            allowed += found
            self._db.register(f"tail_of_{table.name}", self._tails.get(table.name, table.schema.empty_table()))
            tail = f"SELECT {_columns(table)} FROM tail_of_{table.name}"  # noqa: S608  own names
            archived = f"SELECT {_columns(table)} FROM read_parquet({_list(found)}, hive_partitioning = false)"  # noqa: S608  own names
            self._db.execute(f"CREATE VIEW {table.name} AS {f'{archived} UNION ALL {tail}' if found else tail}")
        self._db.register("instruments", instruments_arrow(self._instruments))
        for name, words in _WORDS.items():
            cases = " ".join(f"WHEN {int(word)} THEN '{word.name}'" for word in words)
            self._db.execute(f"CREATE MACRO {name}_word(number) AS CASE number {cases} END")
        self._db.execute(f"CREATE MACRO money(minor) AS CAST(minor AS DECIMAL(28, 0)) / CAST({MINOR_PER_UNIT} AS DECIMAL(6, 0))")
        for statement in re.split(r";\n", files("sinks.parquet").joinpath("views.sql").read_text()):
            if re.sub(r"--.*", "", statement).strip():
                self._db.execute(statement)
        for name, value in (
            ("memory_limit", f"'{self._limits.memory_mb}MB'"), ("threads", str(self._limits.threads)), ("temp_directory", "''"),
            ("python_enable_replacements", "false"), ("allowed_paths", _list(allowed)), ("enable_external_access", "false"),
            ("lock_configuration", "true"),
        ):  # fmt: skip
            self._db.execute(f"SET {name} = {value}")


def instruments_arrow(instruments: InstrumentTable) -> Any:
    """The table `instruments`: what a tick and a lot are."""
    listed = list(instruments)
    steps = pa.decimal128(18, 9)
    return pa.table(
        {
            "instrument": pa.array([one.number for one in listed], pa.uint32()), "symbol": [one.symbol for one in listed],
            "name": [one.name for one in listed], "tick_size": pa.array([one.tick_size for one in listed], steps),
            "lot_size": pa.array([one.lot_size for one in listed], steps),
        }
    )  # fmt: skip


def _columns(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.schema.names)


def _list(paths: list[str]) -> str:
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"
