"""Seal days: a log of its own with an entry for each audit log and day, which has its size and root when the day ended in New York. No Kafka.

All entries of a day are committed together. So one signed and cosigned checkpoint a day covers all logs, and whoever has it can later show that any of them
was changed. A day is sealed once every partition is known to have come to the end of it. Entries say nothing of when they were made, so they are the
same whenever they are made again.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from audit.log_store import LogStore, Position
from audit.tiles import TILE_WIDTH, LogFiles
from audit.tree import root_of
from reports.report_day import ReportDay
from streams.host.seal_partition import SealedPartition
from topics.offsets import Place

DAYS: Final = "days"
"""In place of a topic: its log is days/0, and an entry's `offset` is its number."""
SETTLED_MS: Final = 60_000
"""So long after its end a day is sealed: the clocks of brokers differ by less."""
_NS_PER_MS: Final = 1_000_000


def log_at(files: LogFiles, size: int, end_ms: int) -> tuple[int, str]:
    """(entries, root as hex) of a log of `size` entries as it was before a time: how many were appended earlier. Raises Wrong, Unchecked."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if time_of(files, size, middle) < end_ms:
            low = middle + 1
        else:
            high = middle
    return low, (root_of(files.nodes(size), 0, low) if low else sha256().digest()).hex()


def time_of(files: LogFiles, size: int, index: int) -> int:
    """When the record of an entry was appended, ms."""
    entry: dict[str, Any] = json.loads(files.bundle(index // TILE_WIDTH, size)[index % TILE_WIDTH])
    return int(entry["time_ms"])


def entry_of_day(number: int, day: ReportDay, log: str, size: int, root: str) -> bytes:
    """One line of JSON. log: topic/partition."""
    fields = {"v": 1, "topic": DAYS, "partition": 0, "offset": number, "day": str(day), "log": log, "size": size, "root": root}
    return json.dumps(fields, separators=(",", ":")).encode()


class SealedDays:
    """The log of days of one exchange."""

    def __init__(self, store: LogStore, partitions: Mapping[Place, SealedPartition]) -> None:
        self.store, self._partitions = store, partitions
        self._waits: Position | None = None
        """Of entries that were appended and that no disk has taken yet."""

    def due(self, now_ms: int) -> ReportDay | None:
        """The oldest day that is over and has no entries; None without one. Raises Wrong, Unchecked."""
        day = self._next()
        return day if day is not None and now_ms >= _end_ms(day) + SETTLED_MS else None

    def _next(self) -> ReportDay | None:
        if self.store.position.last_ms:
            return ReportDay.of(self.store.position.last_ms * _NS_PER_MS)
        sizes = [(one.store, one.store.committed.size) for one in self._partitions.values()]
        begun = [time_of(LogFiles(str(store.folder)), size, 0) for store, size in sizes if size]
        return ReportDay.of(min(begun) * _NS_PER_MS) if begun else None

    def seal(self, day: ReportDay, ends: Mapping[Place, int]) -> bool:
        """Add the entries of the day that is due; False while a log has not come to the end of it. ends: where each partition ended after the day was over.

        Raises OSError, and may then be called again; Wrong, Unchecked.
        """
        if self._waits is None:
            end_ms = _end_ms(day)
            if not all(_is_past(one.store.position, end_ms, ends[place]) for place, one in self._partitions.items()):
                return False
            first = self.store.position.next_offset
            entries = [
                entry_of_day(
                    number, day, f"{topic}/{partition}", *log_at(LogFiles(str(one.store.folder)), one.store.committed.size, end_ms)
                )
                for number, ((topic, partition), one) in enumerate(sorted(self._partitions.items(), key=lambda item: item[0]), first)
            ]
            for entry in entries:
                self.store.append(entry)
            self._waits = Position(first + len(entries), end_ms, sha256(entries[-1]).hexdigest())
        self.store.commit(self._waits)
        self._waits = None
        return True


def _is_past(position: Position, end_ms: int, end: int) -> bool:
    return position.next_offset >= end or position.last_ms >= end_ms


def _end_ms(day: ReportDay) -> int:
    return day.end_ns // _NS_PER_MS
