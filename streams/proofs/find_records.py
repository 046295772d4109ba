"""Find the records of the log that speak of an order or a trade, by reading the partitions where they can be.

The stores are quicker, but what is to be proven must not depend on them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from schemas.codec import FRAMES, BadBytes, Frame, Rows, decode_frame
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, ExecKind, ReportKind
from schemas.errors import OutcryError
from schemas.ids import order_id_of
from schemas.limits import ORDER_ID_SHARD_SHIFT
from streams.host.read_log import Log, Meter, place
from streams.host.shard_runner import Record
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS
from topics.partitioning import account_shard, book_shard
from topics.sources import names_shard

Match = Callable[[Rows], Any]
"""Which rows are meant, as an array of bool."""
_KINDS: Final = {
    "account_event_frame": AccountEventKind, "execution_frame": ExecKind, "order_command_frame": CommandKind,
    "book_command_frame": BookCommandKind, "book_report_frame": ReportKind,
}  # fmt: skip


@dataclass
class FoundRecord:
    """A record and its rows that are meant, readable: field by field, without zeros. By number of the row in the record."""

    record: Record
    rows: dict[int, dict[str, str]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """topic/partition offset."""
        return f"{place(self.record.topic, self.record.partition)} offset {self.record.offset:,}"


def order_number(text: str) -> int:
    """An order id as a number, or as the UUID that clients see. Raises OutcryError."""
    found = int(text) if text.isascii() and text.isdigit() else order_id_of(text)
    if found is None or found >= 1 << 64:
        raise OutcryError(f"{text!r} is no order id: a number, or the UUID that the exchange answered with")
    return found


def records_of_order(log: Log, order_id: int, meter: Meter) -> list[FoundRecord]:
    """What the account shard and the book decided about an order, and the commands that led to it. Raises OutcryError where there is nothing."""
    shard = order_id >> ORDER_ID_SHARD_SHIFT
    decided = list(_matching(log, ACCOUNT_EVENTS.name, shard, lambda rows: rows["order_id"] == order_id, meter))
    if not decided:
        raise OutcryError(f"{place(ACCOUNT_EVENTS.name, shard)} has no event of order {order_id}")
    instruments = {int(row["instrument"]) for one in decided for row in one.rows.values() if "instrument" in row}
    books = sorted({book_shard(one, log.partitions(EXECUTIONS)) for one in instruments})

    def is_of_order(rows: Rows) -> Any:
        return (rows["order_id"] == order_id) | (rows["contra_order_id"] == order_id)

    traded = [one for book in books for one in _matching(log, EXECUTIONS.name, book, is_of_order, meter)]
    return _with_sources(log, [*decided, *traded])


def records_of_trade(log: Log, trd_match_id: int, meter: Meter) -> list[FoundRecord]:
    """The book's decision, its settlement on both sides, and the commands that led to them. Raises OutcryError where there is nothing."""
    shard = trd_match_id >> ORDER_ID_SHARD_SHIFT
    traded = list(_matching(log, EXECUTIONS.name, shard, lambda rows: rows["trd_match_id"] == trd_match_id, meter))
    if not traded:
        raise OutcryError(f"{place(EXECUTIONS.name, shard)} has no trade {trd_match_id}")
    accounts = {int(row[name]) for one in traded for row in one.rows.values() for name in ("account", "contra_account") if name in row}
    shards = sorted({account_shard(one, log.partitions(ACCOUNT_EVENTS)) for one in accounts})
    settled = [
        one
        for number in shards
        for one in _matching(log, ACCOUNT_EVENTS.name, number, lambda rows: rows["trd_match_id"] == trd_match_id, meter)
    ]
    return _with_sources(log, [*traded, *settled])


def record_at(log: Log, topic: str, partition: int, offset: int) -> FoundRecord:
    """One record, with all of its rows. Raises OutcryError where there is none."""
    bounds = log.bounds(topic, partition)
    if bounds is None:
        raise OutcryError(f"there is no partition {place(topic, partition)}")
    if not bounds.low <= offset < bounds.high:
        raise OutcryError(f"{place(topic, partition)} has the offsets {bounds.low:,} to {bounds.high - 1:,}, not {offset:,}")
    (record,) = log.records(topic, partition, offset, offset + 1)
    frame = _frame(record)
    return FoundRecord(record, {} if frame is None else {at: readable(frame, at) for at in range(len(frame.rows))})


def readable(frame: Frame, row: int) -> dict[str, str]:
    """The fields of a row that are not zero, by their names on the wire."""
    fields = {name: str(frame.rows[name][row]) for name in FRAMES[frame.schema].dtype.names or () if frame.rows[name][row]}
    if "kind" in fields and frame.schema in _KINDS:
        kinds = _KINDS[frame.schema]
        number = int(fields["kind"])
        fields["kind"] = kinds(number).name if number in set(kinds) else fields["kind"]
    for name, text in (("cl_ord_id", frame.cl_ord_id), ("orig_cl_ord_id", frame.orig_cl_ord_id)):
        if text is not None and text[row]:
            fields[name] = text[row].decode(errors="replace")
    return fields


def _matching(log: Log, topic: str, partition: int, match: Match, meter: Meter) -> Iterator[FoundRecord]:
    bounds = log.bounds(topic, partition)
    if bounds is None:
        return
    for record in log.records(topic, partition, bounds.low, bounds.high):
        meter.add()
        frame = _frame(record)
        if frame is not None:
            rows = np.flatnonzero(match(frame.rows)).tolist()
            if rows:
                yield FoundRecord(record, {row: readable(frame, row) for row in rows})


def _frame(record: Record) -> Frame | None:
    try:
        record.proof.require()
        return decode_frame(record.value or b"")
    except BadBytes:
        return None


def _with_sources(log: Log, found: list[FoundRecord]) -> list[FoundRecord]:
    """With the commands that the found frames name as their sources, before them."""
    sources: set[tuple[str, int, int]] = set()
    for one in found:
        frame = _frame(one.record)
        assert frame is not None
        topic, _, number = frame.header.source.partition("/")
        if names_shard(frame.header.source) and number.isdigit():
            sources.add((topic, int(number), frame.header.source_offset))
    commands: list[FoundRecord] = []
    for name, partition, offset in sorted(sources):
        bounds = log.bounds(name, partition)
        if bounds is not None and bounds.low <= offset < bounds.high:
            commands.extend(FoundRecord(record) for record in log.records(name, partition, offset, offset + 1))
    return [*commands, *found]
