"""One partition of a role, without any I/O: skip what was applied, decode or dead-letter, drop duplicates, apply, emit.

A role provides a `Processor` (its state machine, and how records become calls). Delivery is at least once; the runner makes the effect exactly
once, by the next input offset and the highest frame applied of each upstream shard. Both are part of the snapshot.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np

from schemas.codec import BadBytes, Frame, Header, Rows, encode_frame, encode_record
from schemas.errors import StaleData
from schemas.instruments import InstrumentTable
from schemas.marks import Marks
from streams.host.lost_records import lost_state_of, replay_is_not_whole
from streams.host.placement import Comparison, Placement, is_placement, placed
from streams.host.snapshots import Arrays, Snapshot
from topics.catalogue import DEAD_LETTERS, Topic
from topics.log_ends import another_end
from topics.record_codes import UNCHECKED, Proof
from topics.sources import UNPROVEN, Sources

ROWS_PER_RECORD: Final = 15_360
"""An output frame is cut at this many rows: 15,360 x (272 + 2 x 128) bytes of the widest row is 8.1 MB, within FRAME_BYTES_MAX."""
LETTER_BYTES_MAX: Final = 2 << 20
"""Of an input's key, and of its value, that a dead letter repeats: the broker takes inputs of 16 MiB, which no letter of FRAME_BYTES_MAX has room for."""
DETAIL_CHARACTERS_MAX: Final = 2_000
"""An error may quote what it found: a symbol of a MiB, say."""
ENGINE_VERSION: Final = 5
"""Raised with any change after which the same log would give other outputs; a snapshot of another version is refused."""

SET_ASIDE: Final = "SET_ASIDE"
"""Reason of the dead letter of an input that operators have set aside."""
NOTHING_SET_ASIDE: Final[Mapping[int, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Record:
    """An input: one Kafka record."""

    topic: str
    partition: int
    offset: int
    time_ns: int
    key: bytes | None
    value: bytes | None
    proof: Proof = UNCHECKED
    """Who has sent it, or why nobody believes it."""


@dataclass(frozen=True)
class Output:
    """A record to be sent, always to an explicit partition."""

    topic: str
    partition: int
    value: bytes


class Emitter:
    """Collects the outputs of one input and gives each its identity: (source, input offset, index for that target)."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._indices: Counter[tuple[str, int]] = Counter()
        self.outputs: list[Output] = []
        self.letters = 0
        self.kept: list[Rows] | None = None
        """The rows of every frame, for who wants to look at them before the next input (streams.host.traced_shard)."""

    def frame(
        self, topic: Topic, partition: int, schema: str, rows: Rows, *, log_time: int, first_seq: int = 0, text: Rows | None = None,
        orig: Rows | None = None,
    ) -> None:  # fmt: skip
        """Emit rows as one frame, or as several if there are too many for one. `first_seq`: of rows[0]; 0 if rows have none.

        `text`, `orig`: their cl_ord_id and orig_cl_ord_id.
        """
        assert schema in topic.schemas, f"{schema} does not belong in {topic.name}"
        source = f"{self._record.topic}/{self._record.partition}"
        if self.kept is not None:
            self.kept.append(rows)
        for start in range(0, len(rows), ROWS_PER_RECORD):
            part = slice(start, start + ROWS_PER_RECORD)
            index = self._indices[topic.name, partition]
            self._indices[topic.name, partition] += 1
            header = Header(source, self._record.offset, index, first_seq + start if first_seq else 0, log_time)
            value = encode_frame(schema, header, rows[part], None if text is None else text[part], None if orig is None else orig[part])
            self.outputs.append(Output(topic.name, partition, value))

    def record(self, topic: Topic, partition: int, schema: str, value: dict[str, Any]) -> None:
        """Emit one record that is not a frame; it carries its own identity."""
        self.outputs.append(Output(topic.name, partition, encode_record(schema, value)))

    def dead_letter(self, error: BadBytes) -> None:
        """Emit the input, or the refused part of it, as a dead letter."""
        self.letters += 1
        self.record(DEAD_LETTERS, 0, "dead_letter", dead_letter(self._record, error))


class Processor(Protocol):
    """A role's logic on one partition: deterministic, no I/O."""

    @property
    def log_time(self) -> int:
        """Log time of the shard, ns."""
        ...

    @property
    def sources(self) -> Sources:
        """The sources that write to the partition."""
        ...

    def decode(self, record: Record) -> Frame:
        """The frame in a record. Raises BadBytes for anything that this role does not accept."""
        ...

    def apply(self, frame: Frame, emit: Emitter) -> None:
        """Apply a frame to the state and emit what follows from it."""
        ...

    def snapshot(self) -> Arrays:
        """The state as named arrays."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Restore the state."""
        ...

    def state_hash(self) -> bytes:
        """16 bytes that are equal exactly when the state is."""
        ...

    def configuration(self) -> bytes:
        """Bytes that change with any setting on which outputs depend (instruments, numbers of shards)."""
        ...


class Traced(Protocol):
    """Looks on while frames are applied."""

    def apply(self, processor: Processor, record: Record, frame: Frame, emit: Emitter) -> None:
        """`processor.apply`, and no other effect on it or on what it emits."""
        ...


@dataclass(frozen=True)
class RunnerStats:
    """Counts since start."""

    records: int
    rows: int
    duplicates: int
    dead_letters: int
    suspicious: int
    """Records whose sender is not proven, frames that were refused for their place in their source's log or accepted with an alarm."""
    next_offset: int
    log_time: int


class ShardRunner:
    """Runs one processor over one partition, in offset order."""

    def __init__(
        self, processor: Processor, snapshot: Snapshot | None = None, set_aside: Mapping[int, str] = NOTHING_SET_ASIDE, traced: Traced | None = None
    ) -> None:  # fmt: skip
        """`set_aside`: inputs that operators have set aside, see streams.host.set_aside. Raises StaleData for a snapshot that knows of others."""
        self.processor = processor
        self._set_aside, self._traced = set_aside, traced
        self.next_offset = 0
        self.last_ns = 0
        """Append time of the record before next_offset, by which a log is known again that has lost its end and grown a new one; 0: none was read."""
        self.marks = Marks()
        self.placement = Placement()
        """Who writes the outputs, as of next_offset."""
        self.comparison: Comparison | None = None
        """The newest one since this process has opened the shard."""
        self._sources = processor.sources
        self._records = self._rows = self._duplicates = self._dead_letters = 0
        if snapshot is not None:
            self._restore(snapshot)

    def feed(self, record: Record) -> list[Output]:
        """Apply one input; the records that must be sent because of it. An input below next_offset is skipped: it was applied.

        Raises StaleData where another record stands in the place of the last one that was applied, or of one that is lost but was never applied here.
        """
        if record.offset < self.next_offset:
            if record.offset == self.next_offset - 1 and record.time_ns != self.last_ns and lost_state_of(record.value) is None:
                raise StaleData(another_end(f"{record.topic}/{record.partition}", self.next_offset, self.last_ns, record.time_ns))
            self._duplicates += 1
            return []
        emit = Emitter(record)
        try:
            if is_placement(record.topic, record.value) and record.offset not in self._set_aside:
                self._place(record)
            else:
                self._apply(record, emit)
        except BadBytes as error:
            if error.reason in UNPROVEN:
                self.marks.unproven[error.reason] += 1
            state_next = lost_state_of(record.value) if record.proof.is_operators else None
            if state_next is None:
                emit.dead_letter(error)
            elif record.offset < state_next:
                where = f"{record.topic}/{record.partition}"
                raise StaleData(replay_is_not_whole(where, record.offset, state_next)) from error
        self._dead_letters += emit.letters
        self.next_offset, self.last_ns = record.offset + 1, record.time_ns
        return emit.outputs

    def _apply(self, record: Record, emit: Emitter) -> None:
        frame = self._decode(record)
        if self._is_new(frame.header, record.time_ns):
            if self._traced is None:
                self.processor.apply(frame, emit)
            else:
                self._traced.apply(self.processor, record, frame, emit)
            self._records += 1
            self._rows += len(frame.rows)
        else:
            self._duplicates += 1

    def _place(self, record: Record) -> None:
        """A placement is no business of the state machine: it makes no outputs and is not part of the state."""
        record.proof.require()
        following = placed(self.placement, record.value or b"", record.offset)
        if following is None:
            self.comparison = Comparison(record.offset, self.processor.state_hash())
        else:
            self.placement = following

    def _decode(self, record: Record) -> Frame:
        if record.offset in self._set_aside:
            raise BadBytes(SET_ASIDE, self._set_aside[record.offset])
        record.proof.require()
        frame = self.processor.decode(record)
        record.proof.require_right(record.topic, frame, record.time_ns)
        return frame

    def _is_new(self, header: Header, time_ns: int) -> bool:
        """Whether a frame was not applied yet. Customers' frames have no marks: their orders are told apart by cl_ord_id. Raises BadBytes."""
        return not self._sources.is_shard(header) or self.marks.take(header, time_ns)

    def meta(self, *, hashed: bool = True) -> dict[str, Any]:
        """What a snapshot notes beside the state; `hashed`: the state's hash too, which looks at all of it."""
        return {
            "set_aside": self._set_aside_so_far(),
            "engine_version": ENGINE_VERSION, "configuration": self.processor.configuration(), "next_offset": self.next_offset,
            "last_ns": self.last_ns, "marks": {source: list(mark) for source, mark in self.marks.state.items()}, "state_hash": self.processor.state_hash() if hashed else None,
            "placement": self.placement.kept(),
        }  # fmt: skip

    def _restore(self, snapshot: Snapshot) -> None:
        meta = snapshot.meta
        if meta["engine_version"] != ENGINE_VERSION:
            raise StaleData(f"the snapshot is of engine version {meta['engine_version']}, this is {ENGINE_VERSION}")
        if meta["configuration"] != self.processor.configuration():
            raise StaleData(
                "instruments or numbers of shards are not those of the snapshot, or of watch-trading the detectors' rules; put them back, or start with an "
                "empty log (watch-trading alone: delete its tables, and it reads the log again)"
            )
        self.processor.restore(snapshot.arrays)
        if meta["state_hash"] is not None:
            assert self.processor.state_hash() == meta["state_hash"], "restored state differs from the snapshot's own hash"
        self.next_offset, self.last_ns = meta["next_offset"], meta["last_ns"]
        if meta.get("set_aside", []) != self._set_aside_so_far():
            raise StaleData(
                f"the snapshot, which ends at {self.next_offset:,}, was made with other inputs set aside ({meta.get('set_aside', [])}) than the list "
                f"has ({self._set_aside_so_far()}): one was set aside after it had been applied; start from a snapshot before it, or from the log"
            )
        self.placement = Placement(*meta.get("placement", ()))
        self.marks = Marks({source: (offset, index, even_ns) for source, (offset, index, even_ns) in meta["marks"].items()})

    def _set_aside_so_far(self) -> list[int]:
        return sorted(offset for offset in self._set_aside if offset < self.next_offset)

    def stats(self) -> RunnerStats:
        """Counts since start, for metrics."""
        return RunnerStats(
            self._records,
            self._rows,
            self._duplicates,
            self._dead_letters,
            self.marks.suspicious,
            self.next_offset,
            self.processor.log_time,
        )


def dead_letter(record: Record, error: BadBytes) -> dict[str, Any]:
    """A dead_letter record that says all about an input that could not be taken; of one that is too long for a record about it, the beginning."""
    detail = error.detail[:DETAIL_CHARACTERS_MAX]
    for what, data in (("key", record.key), ("value", record.value)):
        if data is not None and len(data) > LETTER_BYTES_MAX:
            detail += f"; of the {what}'s {len(data)} bytes the first {LETTER_BYTES_MAX} are here"
    return {
        "topic": record.topic, "partition": record.partition, "offset": record.offset, "reason": error.reason, "detail": detail,
        "key": _beginning(record.key), "value": _beginning(record.value), "record_time": record.time_ns // 1_000_000,
    }  # fmt: skip


def _beginning(data: bytes | None) -> bytes | None:
    return None if data is None else data[:LETTER_BYTES_MAX]


def configuration_digest(instruments: InstrumentTable, *numbers: int) -> bytes:
    """16 bytes over the instruments, the shard's number and what else its outputs depend on: a snapshot of another configuration is refused."""
    text = "".join(f"{number}/" for number in numbers).encode() + instruments.digest
    return hashlib.blake2b(text, digest_size=16).digest()


def clamp_time(rows: Rows, record: Record, tolerance_ns: int = 1_000_000_000) -> None:
    """Pull transact_time that is in the broker's future back to the record's own time.

    Log time is the maximum of what was seen, so one forged year 2200 would stop time for everybody. The bound is the broker's
    append time (message.timestamp.type=LogAppendTime), which is in the log, so replay decides the same.
    """
    np.minimum(rows["transact_time"], record.time_ns + tolerance_ns, out=rows["transact_time"])
