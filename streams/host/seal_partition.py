"""Make the audit log of one partition: an entry for each record, in order, none left out. No Kafka.

The record before the next one is read again at each start: its digest says whether the log is still the one that was committed to.
"""

import json
from typing import Final

from audit.entries import digest_of, entry_of
from audit.findings import Unchecked, Wrong
from audit.log_store import LogStore, Position
from audit.tiles import TILE_WIDTH, LogFiles
from schemas.errors import StaleData
from streams.host.lost_records import lost_state_of
from streams.host.shard_runner import Record
from topics.log_ends import another_end

CHECKPOINT_ENTRIES: Final = 1_000
CHECKPOINT_EVERY_S: Final = 1.0
"""A checkpoint is made when so many entries wait for one, or the first of them has waited so long."""
_NS_PER_MS: Final = 1_000_000


class SealedPartition:
    """One partition and its log. Raises StaleData where the log's last entry is not of the record before its position."""

    def __init__(self, topic: str, partition: int, store: LogStore) -> None:
        _require_position(store)
        self.topic, self.partition, self.store = topic, partition, store
        self._known = store.position
        """Of what was appended; the store has the position of what was committed."""
        self._waiting_since: float | None = None

    @property
    def next_offset(self) -> int:
        """Of the record that comes next."""
        return self._known.next_offset

    @property
    def read_from(self) -> int:
        """Where to begin to read: one record before the next, where there is one."""
        return self.next_offset - 1 if self._known.last_sha256 else self.next_offset

    def take(self, record: Record, now_s: float) -> bool:
        """Append a record's entry; False for one that has one already. now_s: of a clock that never goes back.

        Raises StaleData where records are missing before it, or where the last one was another.
        """
        if record.offset < self.next_offset:
            if record.offset == self.next_offset - 1:
                self._require_same(record)
            return False
        if record.offset > self.next_offset:
            raise StaleData(
                f"{self.topic}/{self.partition} goes on at {record.offset:,}, but the audit log needs {self.next_offset:,} next: "
                "records between them are gone, and an audit log leaves nothing out"
            )
        time_ms = record.time_ns // _NS_PER_MS
        digest = digest_of(record.value)
        self.store.append(entry_of(self.topic, self.partition, record.offset, time_ms, record.value, digest))
        self._known = Position(record.offset + 1, time_ms, digest)
        if self._waiting_since is None:
            self._waiting_since = now_s
        return True

    def _require_same(self, record: Record) -> None:
        if digest_of(record.value) == self._known.last_sha256 or lost_state_of(record.value) is not None:
            return  # a filler of `outcry recover`: the log has lost what has its entry here, and says so itself
        raise StaleData(another_end(f"{self.topic}/{self.partition}", self.next_offset, self._known.last_ms * _NS_PER_MS, record.time_ns))

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for a checkpoint."""
        if self._waiting_since is None:
            return False
        return self.store.waiting >= CHECKPOINT_ENTRIES or now_s - self._waiting_since >= CHECKPOINT_EVERY_S

    def commit(self) -> None:
        """Sign what waits. Raises OSError, and may then be called again."""
        if self._waiting_since is not None:
            self.store.commit(self._known)
            self._waiting_since = None


def _require_position(store: LogStore) -> None:
    size = store.committed.size
    if not size:
        return
    try:
        number, at = divmod(size - 1, TILE_WIDTH)
        last = json.loads(LogFiles(str(store.folder)).bundle(number, size)[at])
        found = Position(last["offset"] + 1, last["time_ms"], last["sha256"])
    except (Wrong, Unchecked, ValueError, KeyError, TypeError) as error:
        raise StaleData(f"{store.folder}: its last entry cannot be read: {error}") from None
    if found != store.position:
        raise StaleData(
            f"{store.folder}: its last entry is of offset {found.next_offset - 1:,}, but its state goes on at {store.position.next_offset:,}"
        )
