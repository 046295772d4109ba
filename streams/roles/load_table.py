"""What `forecast-load` remembers: measured loads of minutes and where it is in the log, and every count with its reason. SQLite, one file.

It is a copy of what the log says: without the file, the role reads the log again. So it is no topic that others have to create, keep and prove.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from forecast.counts import Count
from schemas.errors import StaleData
from topics.offsets import Place

VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE minutes (minute INTEGER NOT NULL, kind TEXT NOT NULL, load REAL NOT NULL, PRIMARY KEY (minute, kind)) WITHOUT ROWID;
CREATE TABLE places (topic TEXT NOT NULL, part INTEGER NOT NULL, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, part)) WITHOUT ROWID;
CREATE TABLE counts (minute INTEGER NOT NULL, role TEXT NOT NULL, wanted INTEGER NOT NULL, forecast INTEGER NOT NULL, reactive INTEGER NOT NULL,
    p50 REAL NOT NULL, p95 REAL NOT NULL, confidence TEXT NOT NULL, scaling INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (minute, role)) WITHOUT ROWID;
"""


class LoadTable:
    """See the head of this module. Minutes are those of market time since 1970. All methods raise OSError where the disk takes nothing."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StaleData for one that is another program's, of another version, or damaged."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            version = int(self._database.execute("PRAGMA user_version").fetchone()[0])
            known = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == 0 and known == 0:
                self._database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            elif version != VERSION:
                raise StaleData(
                    f"{path}: version {version}; this program reads version {VERSION}: remove the file, it is made again from the log"
                )
        except sqlite3.DatabaseError as error:
            raise StaleData(f"{path}: {error}: remove the file, it is made again from the log") from None

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def places(self) -> dict[Place, int]:
        """Where reading goes on."""
        rows = self._database.execute("SELECT topic, part, next_offset FROM places").fetchall()
        return {(topic, number): offset for topic, number, offset in rows}

    def minutes(self) -> list[tuple[int, str, float]]:
        """(minute, kind, load per second), oldest first."""
        return list(self._database.execute("SELECT minute, kind, load FROM minutes ORDER BY minute, kind"))

    def add(self, minutes: Iterable[tuple[int, str, float]], places: Mapping[Place, int], keep_from: int) -> None:
        """Minutes that are over, and where their records end, at once or not at all. What is older than `keep_from` goes."""
        with closing(self._database.cursor()) as cursor:
            try:
                cursor.execute("BEGIN")
                cursor.executemany("INSERT OR REPLACE INTO minutes VALUES (?, ?, ?)", minutes)
                cursor.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", [(*place, at) for place, at in places.items()])
                cursor.execute("DELETE FROM minutes WHERE minute < ?", (keep_from,))
                cursor.execute("DELETE FROM counts WHERE minute < ?", (keep_from,))
                cursor.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    cursor.execute("ROLLBACK")
                raise OSError(f"{self._path}: {error}") from error

    def tell(self, minute: int, counts: Iterable[Count], scaling: bool) -> None:
        """What was wanted in a minute, and whether it was served for scaling or would only have been."""
        rows = [
            (minute, one.role, one.wanted, one.forecast, one.reactive, one.p50, one.p95, one.confidence, scaling, one.reason)
            for one in counts
        ]
        try:
            self._database.executemany("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise OSError(f"{self._path}: {error}") from error
