"""A server that has diverged takes over a copy of another one's data, so that nothing of its own is left. MariaDB only.

The copy is loaded into a database beside the old one, and takes its place at the end: readers meet the old data or the new, never half of it.
Nothing of this is written to the server's log. Whoever is interrupted begins again; `take_copy` comes only with a whole copy.
"""

import re
from typing import Final

from sinks.mysql.replication import Administrator

DRAFT: Final = "_rebuild"
"""Added to the name of the database."""
LOCK_WAIT_S: Final = 10
_POSITION: Final = re.compile(rb"SET GLOBAL gtid_slave_pos='([-,0-9]*)';")
_ENDED: Final = b"-- Dump completed"
TAIL_BYTES: Final = 4_096
"""Of a dump, in which its position is."""
DUMP_OPTIONS: Final = ("--single-transaction", "--master-data=2", "--gtid", "--quick", "--skip-ssl", "--default-character-set=utf8mb4")
LOAD_OPTIONS: Final = ("--init-command=SET SESSION sql_log_bin = 0", "--skip-ssl", "--default-character-set=utf8mb4")

Reached = dict[tuple[str, int], int]
"""By topic and partition, the offset behind the last record that is stored."""


async def reached(server: Administrator, database: str) -> Reached:
    """How far a server is in the log; nowhere, where it has no tables. Raises ServiceUnavailable."""
    tables = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'sink_marks'"
    if not await server.rows(tables, (database,)):
        return {}
    rows = await server.rows(f"SELECT topic, part, next_offset FROM {database}.sink_marks WHERE sink = 'mysql' AND source = ''")  # noqa: S608  own names
    return {(row["topic"], row["part"]): row["next_offset"] for row in rows}


def lacks(primary: Reached, other: Reached) -> str:
    """Where the primary is behind the other in the log; "" if it is nowhere."""
    behind = [place for place in other if primary.get(place, 0) < other[place]]
    return ", ".join(f"{topic}/{part} at {primary.get((topic, part), 0):,} of {other[topic, part]:,}" for topic, part in sorted(behind))


def position_of(tail: bytes) -> str | None:
    """The GTID that a dump tells at its end; None if the dump is not whole."""
    found = _POSITION.findall(tail)
    return found[-1].decode() if found and _ENDED in tail else None


async def begin_copy(server: Administrator, database: str) -> None:
    """The server follows nobody, and has an empty database for the copy. Raises ServiceUnavailable."""
    await server.run(server.dialect.read_only)
    await server.run(server.dialect.stop)
    await server.run(server.dialect.forget)
    for statement in _unlogged(f"DROP DATABASE IF EXISTS {database}{DRAFT}", _create(database + DRAFT)):
        await server.run(statement)


async def take_copy(server: Administrator, database: str, gtid: str, application: str) -> None:
    """The copy takes the place of the data, and `gtid` that of the server's own position and log. Raises ServiceUnavailable."""
    draft = database + DRAFT
    found = await server.rows("SELECT table_name AS name FROM information_schema.tables WHERE table_schema = %s", (draft,))
    moves = ", ".join(f"{draft}.`{row['name']}` TO {database}.`{row['name']}`" for row in found)
    await server.end_connections(application)
    for statement in _unlogged(
        f"SET SESSION lock_wait_timeout = {LOCK_WAIT_S}",
        f"DROP DATABASE IF EXISTS {database}",
        _create(database),
        *([f"RENAME TABLE {moves}"] if moves else []),
        f"DROP DATABASE {draft}",
        "RESET MASTER",
    ):
        await server.run(statement)
    await server.run("SET GLOBAL gtid_slave_pos = %s", (gtid,))
    # as if its log had begun before: whoever follows it later from an earlier position must be refused
    await server.run("SET GLOBAL gtid_binlog_state = %s", (gtid,))


def _create(database: str) -> str:
    return f"CREATE DATABASE {database} CHARACTER SET utf8mb4"


def _unlogged(*statements: str) -> list[str]:
    return ["SET SESSION sql_log_bin = 0", *statements]
