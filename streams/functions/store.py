"""What a function has done, in one SQLite file: its place in the log, its state, its alerts, and their deliveries.

One transaction takes a batch's alerts, state and place together, so a kill at any moment loses no alert and numbers none twice. An alert that is there
already (by its id) is left out. Numbers of a rule's alerts are dense: whoever receives 7 after 5 asks for 6.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from schemas.errors import StaleData
from schemas.marks import Marks
from sinks.partition_marks import PartitionMarks
from streams.functions.batches import Alert

Place = tuple[str, int]
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS places (topic TEXT, part INTEGER, next_offset INTEGER, last_ns INTEGER, marks TEXT, PRIMARY KEY (topic, part));
CREATE TABLE IF NOT EXISTS state (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), body TEXT);
CREATE TABLE IF NOT EXISTS alerts (rule TEXT, seq INTEGER, alert_id TEXT UNIQUE, symbol TEXT, at_ns INTEGER, version TEXT, cause TEXT, message TEXT,
    data TEXT, PRIMARY KEY (rule, seq));
CREATE INDEX IF NOT EXISTS newest ON alerts (rule, symbol, at_ns);
CREATE TABLE IF NOT EXISTS queue (rule TEXT, seq INTEGER, attempt INTEGER, due_ns INTEGER, since_ns INTEGER, PRIMARY KEY (rule, seq));
CREATE TABLE IF NOT EXISTS deliveries (rule TEXT, seq INTEGER, attempt INTEGER, at_ns INTEGER, outcome TEXT, detail TEXT);
CREATE TABLE IF NOT EXISTS switched_off (url TEXT PRIMARY KEY, at_ns INTEGER);
"""


@dataclass(frozen=True)
class StoredAlert:
    """An alert with its number within its rule."""

    rule: str
    seq: int
    alert_id: str
    symbol: str
    at_ns: int
    version: str
    cause: str
    message: str
    data: dict[str, Any]


def _stored(row: Sequence[Any]) -> StoredAlert:
    rule, seq, alert_id, symbol, at_ns, version, cause, message, data = row[:9]
    return StoredAlert(rule, seq, alert_id, symbol, at_ns, version, cause, message, json.loads(data))


@dataclass(frozen=True)
class Due:
    """A delivery whose time has come: the oldest of its rule."""

    alert: StoredAlert
    attempt: int
    """Attempts before it."""
    since_ns: int
    """When it was asked for."""


class FunctionStore:
    """A context manager; one writer at a time, which SQLite sees to."""

    def __init__(self, path: Path) -> None:
        """Raises StaleData for a file that is none of ours."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise StaleData(f"{path} cannot be used: {error}; move it away, and the function begins anew") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def places(self) -> dict[Place, PartitionMarks]:
        """Where the function goes on."""
        found = self._db.execute("SELECT topic, part, next_offset, last_ns, marks FROM places").fetchall()
        return {
            (topic, part): PartitionMarks(next_offset, last_ns, Marks({source: tuple(mark) for source, mark in json.loads(marks).items()}), "the function")
            for topic, part, next_offset, last_ns, marks in found
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """What the handler left."""
        found = self._db.execute("SELECT body FROM state").fetchone()
        state: dict[str, Any] = json.loads(found[0]) if found else {}
        return state

    def commit(
        self, places: Mapping[Place, PartitionMarks], state: dict[str, Any], alerts: Sequence[Alert], *, cool_down_ns: int, queued_ns: int
    ) -> list[StoredAlert]:
        """Take it all, or nothing. queued_ns: when, for the webhook; 0: there is none. Returns the alerts that are new."""
        taken = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for one in alerts:
                stored = self._take(one, cool_down_ns)
                if stored is not None:
                    taken.append(stored)
                    if queued_ns:
                        self._db.execute("INSERT INTO queue VALUES (?, ?, 0, ?, ?)", (stored.rule, stored.seq, queued_ns, queued_ns))
            self._db.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (json.dumps(state),))
            for (topic, part), marks in places.items():
                self._db.execute(
                    "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?)",
                    (topic, part, marks.next_offset, marks.last_ns, json.dumps(marks.marks.state)),
                )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return taken

    def _take(self, one: Alert, cool_down_ns: int) -> StoredAlert | None:
        if self._db.execute("SELECT 1 FROM alerts WHERE alert_id = ?", (one.alert_id,)).fetchone():
            return None
        if cool_down_ns:
            (last_ns,) = self._db.execute("SELECT max(at_ns) FROM alerts WHERE rule = ? AND symbol = ?", (one.rule, one.symbol)).fetchone()
            if last_ns is not None and one.at_ns - last_ns < cool_down_ns:
                return None
        (seq,) = self._db.execute("SELECT coalesce(max(seq), 0) + 1 FROM alerts WHERE rule = ?", (one.rule,)).fetchone()
        self._db.execute(
            "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (one.rule, seq, one.alert_id, one.symbol, one.at_ns, one.version, one.cause, one.message, json.dumps(one.data)),
        )
        return StoredAlert(one.rule, seq, one.alert_id, one.symbol, one.at_ns, one.version, one.cause, one.message, one.data)

    def alerts(self, rule: str = "", after: int = 0, limit: int = 1_000) -> list[StoredAlert]:
        """Of a rule (empty: of all) behind a number, in order."""
        found = self._db.execute(
            "SELECT rule, seq, alert_id, symbol, at_ns, version, cause, message, data FROM alerts WHERE (? = '' OR rule = ?) AND seq > ? "
            "ORDER BY rule, seq LIMIT ?",
            (rule, rule, after, limit),
        )
        return [_stored(row) for row in found]

    # ---- deliveries

    def due(self, now_ns: int) -> list[Due]:
        """The oldest waiting delivery of each rule, if its time has come: the next waits for the one before."""
        found = self._db.execute(
            "SELECT a.rule, a.seq, a.alert_id, a.symbol, a.at_ns, a.version, a.cause, a.message, a.data, q.attempt, q.since_ns "
            "FROM queue q JOIN alerts a ON a.rule = q.rule AND a.seq = q.seq "
            "WHERE q.seq = (SELECT min(seq) FROM queue o WHERE o.rule = q.rule) AND q.due_ns <= ? ORDER BY q.due_ns",
            (now_ns,),
        ).fetchall()
        return [Due(_stored(row), row[9], row[10]) for row in found]

    def note_delivery(self, one: Due, at_ns: int, outcome: str, detail: str, again_ns: int | None) -> None:
        """An attempt and what came of it. again_ns: when the next one is due; None: it was the last."""
        alert = one.alert
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(
            "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?)", (alert.rule, alert.seq, one.attempt + 1, at_ns, outcome, detail[:500])
        )
        if again_ns is None:
            self._db.execute("DELETE FROM queue WHERE rule = ? AND seq = ?", (alert.rule, alert.seq))
        else:
            self._db.execute(
                "UPDATE queue SET attempt = ?, due_ns = ? WHERE rule = ? AND seq = ?", (one.attempt + 1, again_ns, alert.rule, alert.seq)
            )
        self._db.execute("COMMIT")

    def deliveries(self, limit: int = 1_000) -> Iterable[tuple[str, int, int, int, str, str]]:
        """(rule, number, attempt, time in ns, outcome, detail), the newest first."""
        return self._db.execute("SELECT * FROM deliveries ORDER BY at_ns DESC, rowid DESC LIMIT ?", (limit,)).fetchall()

    def waiting(self) -> int:
        """Alerts that are not delivered yet."""
        (count,) = self._db.execute("SELECT count(*) FROM queue").fetchone()
        return int(count)

    def send_again(self, rule: str, first: int, last: int, now_ns: int) -> int:
        """Queue alerts of a rule once more, under their ids; how many there are."""
        return self._db.execute(
            "INSERT OR REPLACE INTO queue SELECT rule, seq, 0, ?, ? FROM alerts WHERE rule = ? AND seq BETWEEN ? AND ?",
            (now_ns, now_ns, rule, first, last),
        ).rowcount

    def switch_off(self, url: str, now_ns: int) -> None:
        """The receiver is gone (410): nothing is sent there any more."""
        self._db.execute("INSERT OR IGNORE INTO switched_off VALUES (?, ?)", (url, now_ns))

    def is_off(self, url: str) -> bool:
        """Whether a receiver has said so."""
        return self._db.execute("SELECT 1 FROM switched_off WHERE url = ?", (url,)).fetchone() is not None
