"""Compare what a replay says a shard must have written with what a partition of the log has. No I/O.

This accepts frames by the rule of schemas.marks, as every consumer does. So it compares the log as its readers see it: a frame behind a later one
counts as lost, a second copy must be byte-identical, and a forged frame that readers ignore is skipped and counted.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from schemas.codec import BadBytes, Frame, Header, decode_frame, decode_record, schema_of
from schemas.enums import AccountEventKind, ExecKind, MarketDataKind, ReportKind
from schemas.marks import Marks
from schemas.reject_reasons import Reason
from streams.host.identities import identity_of
from streams.host.shard_runner import Output, Record
from topics.catalogue import ALERTS, DEAD_LETTERS

REPEATS_MAX: Final = 200_000
"""Frames of which a digest is kept, to compare later copies with; ~200 B each = 40 MB. A restart repeats at most a snapshot interval: the longest
is 600 s, at the 250 frames/s that one worker applies 150,000 frames."""

Identity = tuple[int, int]
"""(source_offset, source_index). An alert has no index in it: it has that of its place among the alerts of one input."""
_KINDS: Final = {
    "execution_frame": ExecKind, "account_event_frame": AccountEventKind, "book_report_frame": ReportKind, "market_data_frame": MarketDataKind,
}  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """The first difference between log and replay."""

    topic: str
    partition: int
    offset: int | None
    """Of the recorded frame; None where there is none."""
    source: str
    source_offset: int
    """Of the input that makes it."""
    what: str
    row: int | None = None
    """In the frame, from 0."""

    def __str__(self) -> str:
        at = "nowhere" if self.offset is None else f"offset {self.offset:,}"
        row = "" if self.row is None else f", row {self.row}"
        return f"{self.topic}/{self.partition} {at}{row} (made of {self.source} offset {self.source_offset:,}): {self.what}"

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


class Differs(Exception):
    """Log and replay are not the same."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


@dataclass
class Compared:
    """How much was compared, in frames (dead letters count as frames) and rows."""

    frames: int = 0
    rows: int = 0
    repeats: int = 0
    in_flight: int = 0
    """Frames that the log does not have yet, of inputs whose outputs need not be durable yet."""
    expired: int = 0
    """Frames that the log no longer has, because its topic keeps records for a limited time."""
    unreadable: int = 0
    """Records of the output partitions that no reader of this version can read, whoever wrote them."""
    forged: int = 0
    """Records that every reader ignores: of a sender that is not proven, without rows, or with an offset that the shard cannot have reached."""
    by_topic: dict[str, int] = field(default_factory=dict)
    """Rows."""


class RecordedOutputs:
    """The frames of one source in one partition, compared one by one as the replay makes them."""

    def __init__(self, topic: str, partition: int, source: str, records: Iterator[Record], compared: Compared, *, cut: bool) -> None:
        """cut: the partition has lost its beginning to its retention time."""
        self._topic, self._partition, self._source = topic, partition, source
        self._records, self._compared, self._cut = records, compared, cut
        self._marks, self._floor = Marks(), (-1, -1)
        self._made, self._found = AlertPlaces(), AlertPlaces()
        self._digests: dict[Identity, bytes] = {}
        self._next: tuple[Identity, Record] | None = None

    def skip_below(self, source_offset: int) -> None:
        """Leave out what inputs below this offset made."""
        self._floor = (source_offset, -1)

    def expect(self, output: Output, durable: int) -> None:
        """Compare a frame that the replay made. `durable`: outputs of inputs below it must be in the log. Raises Differs."""
        identity, rows = self._identity_of(output)
        found = self._peek()
        if self._cut and not self._digests and (found is None or found[0] > identity):
            self._compared.expired += 1
            return
        if found is None:
            if identity[0] < durable:
                raise self._differs(None, identity, "it is not in the log")
            self._compared.in_flight += 1
            return
        there, record = found
        if there > identity:
            raise self._differs(None, identity, f"it is not in the log, but offset {record.offset:,} is, which was made after it")
        if there < identity:
            raise self._extra(found)
        if record.value != output.value:
            row, what = first_difference(record.value or b"", output.value)
            raise self._differs(record, identity, what, row)
        self._count(identity, output.value, rows)

    def finish(self, end: int) -> None:
        """Check that the log has no more frames of inputs below `end`. Raises Differs."""
        found = self._peek()
        if found is not None and found[0][0] < end:
            raise self._extra(found)

    def _count(self, identity: Identity, value: bytes, rows: int) -> None:
        self._compared.frames += 1
        self._compared.rows += rows
        self._compared.by_topic[self._topic] = self._compared.by_topic.get(self._topic, 0) + rows
        self._next = None
        self._digests[identity] = _digest(value)
        if len(self._digests) > REPEATS_MAX:
            del self._digests[next(iter(self._digests))]

    def _peek(self) -> tuple[Identity, Record] | None:
        """The next frame of the source that a reader would take, None at the end of the partition."""
        while self._next is None and (record := next(self._records, None)) is not None:
            header = self._own(record)
            if header is None:
                continue
            identity = header.source_offset, header.source_index
            try:
                is_new = self._marks.take(header, record.time_ns)
            except BadBytes:
                self._compared.forged += 1
                continue
            if is_new and identity > self._floor:
                self._next = identity, record
            elif (digest := self._digests.get(identity)) is not None:
                self._compared.repeats += 1
                if digest != _digest(record.value or b""):
                    raise self._differs(record, identity, "a second copy of a frame has other bytes than the first")
        return self._next

    def _own(self, record: Record) -> Header | None:
        """The identity of a record that our source made; None for others, for unreadable ones, and for those that nobody believes."""
        if record.proof.refusal is not None:
            self._compared.forged += 1
            return None
        try:
            if self._topic == DEAD_LETTERS.name:
                _, letter = decode_record(record.value or b"")
                source = f"{letter['topic']}/{letter['partition']}"
                return Header(source, letter["offset"]) if source == self._source else None
            if self._topic == ALERTS.name:
                name, alert = decode_record(record.value or b"")
                return self._found.header(alert) if name == "alert" and alert["source"].startswith(f"{self._source}@") else None
            found = identity_of(record.value)
        except BadBytes:
            self._compared.unreadable += 1
            return None
        if found is None or found[1].source != self._source:
            return None
        if found[2] < 1:
            self._compared.forged += 1
            return None
        return found[1]

    def _identity_of(self, output: Output) -> tuple[Identity, int]:
        """Of an output, and its rows."""
        if output.topic == DEAD_LETTERS.name:
            return (decode_record(output.value)[1]["offset"], 0), 1
        if output.topic == ALERTS.name:
            header = self._made.header(decode_record(output.value)[1])
            return (header.source_offset, header.source_index), 1
        found = identity_of(output.value)
        assert found is not None, f"an output to {output.topic} has no identity"
        return (found[1].source_offset, found[1].source_index), found[2]

    def _extra(self, found: tuple[Identity, Record]) -> Differs:
        return self._differs(found[1], found[0], "the log has it, the replay does not make it")

    def _differs(self, record: Record | None, identity: Identity, what: str, row: int | None = None) -> Differs:
        offset = None if record is None else record.offset
        if record is None and self._compared.unreadable:
            what += f" ({self._compared.unreadable:,} records there cannot be read: of another version?)"
        return Differs(Difference(self._topic, self._partition, offset, self._source, identity[0], f"frame {identity[1]}: {what}", row))


class AlertPlaces:
    """Gives the alerts of one input the numbers 0, 1, ... in the order in which they first come, and a repeat the same number again."""

    def __init__(self) -> None:
        self._of: dict[int, dict[tuple[str, int], int]] = {}

    def header(self, alert: dict[str, Any]) -> Header:
        """Identity of an alert, as if it were a frame."""
        source, _, offset = alert["source"].partition("@")
        places = self._of.setdefault(int(offset), {})
        return Header(source, int(offset), places.setdefault((alert["alert_id"], alert["revision"]), len(places)))


def first_difference(recorded: bytes, replayed: bytes) -> tuple[int | None, str]:
    """(row, text) of the first difference between two records of one identity."""
    if schema_of(recorded) != schema_of(replayed):
        return None, f"recorded as {schema_of(recorded)}, replayed as {schema_of(replayed)}"
    try:
        old, new = decode_frame(recorded), decode_frame(replayed)
    except BadBytes as error:
        return None, _record_difference(
            recorded, replayed
        ) if error.reason == "WRONG_SCHEMA" else f"the recorded frame cannot be read: {error}"
    if old.header != new.header:
        return None, f"recorded with {old.header}, replayed with {new.header}"
    for row in range(min(len(old.rows), len(new.rows))):
        columns = [name for name in old.rows.dtype.names or () if old.rows[name][row] != new.rows[name][row]]
        words = [f"{name} is {old.rows[name][row]}, replayed {new.rows[name][row]}" for name in columns]
        if old.cl_ord_id is not None and new.cl_ord_id is not None and old.cl_ord_id[row] != new.cl_ord_id[row]:
            words.append(f"cl_ord_id is {old.cl_ord_id[row]!r}, replayed {new.cl_ord_id[row]!r}")
        if words:
            return row, f"{_kind_of(new, row)}: {'; '.join(words)}"
    if len(old.rows) != len(new.rows):
        return min(len(old.rows), len(new.rows)), f"recorded with {len(old.rows)} rows, replayed with {len(new.rows)}"
    return None, "the same rows in other bytes: recorded by another encoder"


def _kind_of(frame: Frame, row: int) -> str:
    kind, words = int(frame.rows["kind"][row]), _KINDS.get(frame.schema)
    name = words(kind).name if words is not None and kind in set(words) else f"kind {kind}"
    reason = int(frame.rows["reason"][row]) if "reason" in (frame.rows.dtype.names or ()) else 0
    return f"{name} ({Reason(reason).name})" if reason and reason in set(Reason) else name


def _record_difference(recorded: bytes, replayed: bytes) -> str:
    old, new = decode_record(recorded)[1], decode_record(replayed)[1]
    return "; ".join(f"{name} is {old[name]!r}, replayed {new[name]!r}" for name in old if old[name] != new[name])


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=8).digest()
