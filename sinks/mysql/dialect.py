"""What MariaDB and MySQL 8 call the positions of replication (GTIDs): one class, two tables of words.

Of these servers MariaDB 10.11 and 11.4 were run. MySQL's words are from its reference manual (8.4, "Functions Used with GTIDs", "SHOW REPLICA STATUS").
"""

import re
from dataclasses import dataclass
from typing import Any, Final

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_MARIADB_GTID: Final = re.compile(r"(\d+)-(\d+)-(\d+)")
_DIVERGED: Final = (1950, 1032, 1062)
"""A transaction that would be out of order behind one of the server's own; a row that is not there, or there already."""
_NOT_IN_LOG: Final = 1236, ("not in the master's binlog", "binlog files have been purged", "is missing the GTID")
"""The source has read the replica's position, and cannot go on from there. The number has other meanings too."""
_MYSQL_INTERVAL: Final = re.compile(r":(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class ReplicaThreads:
    """What a replica says of its replication. source: host:port, empty if it replicates from nobody."""

    source: str = ""
    receives: bool = False
    applies: bool = False
    received: str = ""
    """GTID up to which it has received the primary's log."""
    error: str = ""
    code: int = 0
    """The number of the error; 0 if there is none."""

    @property
    def diverged(self) -> bool:
        """Only a new copy of the data helps: it has what its source does not have, or lacks what nobody can send any more."""
        code, texts = _NOT_IN_LOG
        return self.code in _DIVERGED or (self.code == code and any(text in self.error for text in texts))

    @property
    def runs(self) -> bool:
        """Both threads do."""
        return self.receives and self.applies


@dataclass(frozen=True, slots=True)
class GtidDialect:
    """The statements of one make."""

    name: str
    position: str
    """An expression: the position up to which this server has applied, whatever it is."""
    written: str
    """An expression: the position up to which this server's own log goes."""
    wait: str
    """Takes a position and seconds."""
    waited: frozenset[Any]
    """What `wait` answers when the server is there."""
    status: str
    stop: str
    stop_receiving: str
    start: str
    forget: str
    read_only: str
    writable: str

    def number(self, gtid: str) -> int:
        """How many transactions lie before a position; it grows with every one."""
        if self.name == "MariaDB":
            return sum(int(seq) for _, _, seq in _MARIADB_GTID.findall(gtid))
        return sum(int(last or first) - int(first) + 1 for first, last in _MYSQL_INTERVAL.findall(gtid))

    def point_to(self, host: str, port: int, user: str, password: str) -> tuple[str, tuple[Any, ...]]:
        """The statement, and its values, by which a stopped replica takes another source."""
        if self.name == "MariaDB":
            # since 11.4 it wants TLS, which servers on one machine do without
            plain = ", MASTER_SSL = 0" if host in _LOOPBACK else ""
            return (
                "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s, MASTER_PASSWORD = %s, "
                f"MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1, MASTER_USE_GTID = slave_pos{plain}",
                (host, port, user, password),
            )
        return (
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s, SOURCE_PASSWORD = %s, "
            "SOURCE_CONNECT_RETRY = 1, SOURCE_HEARTBEAT_PERIOD = 1, SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1",
            (host, port, user, password),
        )

    def threads(self, rows: list[dict[str, Any]]) -> ReplicaThreads:
        """From the answer to `status`."""
        if not rows:
            return ReplicaThreads()
        row = rows[0]
        maria = self.name == "MariaDB"
        source, io, sql = (
            ("Master", "Slave_IO_Running", "Slave_SQL_Running") if maria else ("Source", "Replica_IO_Running", "Replica_SQL_Running")
        )
        received = row.get("Gtid_IO_Pos" if maria else "Retrieved_Gtid_Set") or ""
        return ReplicaThreads(
            f"{row[f'{source}_Host']}:{row[f'{source}_Port']}",
            row[io] == "Yes",
            row[sql] == "Yes",
            str(received).replace("\n", ""),
            str(row.get("Last_SQL_Error") or row.get("Last_IO_Error") or ""),
            int(row.get("Last_SQL_Errno") or row.get("Last_IO_Errno") or 0),
        )


MARIADB: Final = GtidDialect(
    "MariaDB", "@@gtid_current_pos", "@@gtid_binlog_pos", "SELECT MASTER_GTID_WAIT(%s, %s)", frozenset({0}), "SHOW ALL SLAVES STATUS",
    "STOP SLAVE", "STOP SLAVE IO_THREAD", "START SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0",
)  # fmt: skip
MYSQL: Final = GtidDialect(
    "MySQL", "@@GLOBAL.gtid_executed", "@@GLOBAL.gtid_executed", "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", frozenset({0}), "SHOW REPLICA STATUS",
    "STOP REPLICA", "STOP REPLICA IO_THREAD", "START REPLICA", "RESET REPLICA ALL", "SET GLOBAL super_read_only = 1", "SET GLOBAL read_only = 0",
)  # fmt: skip


def dialect_of(version: str) -> GtidDialect:
    """By the text of `SELECT VERSION()`: each make refuses the other's functions."""
    return MARIADB if "mariadb" in version.lower() else MYSQL
