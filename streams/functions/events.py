"""Records of the log as AWS Lambda's Kafka event has them: `value` is JSON in base64, an object with the rows that a function wants. No I/O."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas import enums
from schemas.codec import Frame
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason
from streams.functions.deployed import KINDS, Function

_WORDS: Final = {"side": enums.Side, "phase": enums.Phase, "ord_type": enums.OrdType, "time_in_force": enums.TimeInForce,
                 "ord_status": enums.OrdStatus, "reason": Reason}  # fmt: skip


@dataclass(frozen=True)
class EventRecord:
    """One record, ready for an event."""

    topic: str
    partition: int
    offset: int
    time_ns: int
    value: str
    """Base64."""
    rows: int

    @property
    def place(self) -> str:
        """As batchItemFailures and the event name the partition."""
        return f"{self.topic}-{self.partition}"


def event_record(
    function: Function, instruments: InstrumentTable, topic: str, partition: int, offset: int, time_ns: int, frame: Frame
) -> EventRecord | None:
    """The record with the rows that the function wants; None if it has none. Numbers are those of docs/wire.md, enumerations are words."""
    rows, settings = frame.rows, function.settings
    wanted = np.ones(len(rows), np.bool_)
    if settings.kinds:
        wanted &= np.isin(rows["kind"], [KINDS[settings.topic][kind] for kind in settings.kinds])
    if settings.symbols:
        wanted &= np.isin(
            rows["instrument"], [instruments.by_symbol[one].number for one in settings.symbols if one in instruments.by_symbol]
        )
    chosen = np.flatnonzero(wanted)
    if not len(chosen):
        return None
    names = rows.dtype.names or ()
    found = [dict(zip(names, row, strict=True)) for row in rows[chosen].tolist()]
    kinds = KINDS[settings.topic]
    for number, row in zip(chosen.tolist(), found, strict=True):
        row["kind"] = kinds(row["kind"]).name
        for name, words in _WORDS.items():
            if row.get(name):
                row[name] = words(row[name]).name
        known = instruments.by_number.get(row["instrument"])
        row["symbol"] = known.symbol if known is not None else ""
        if frame.cl_ord_id is not None:
            row["cl_ord_id"] = frame.cl_ord_id[number].decode("latin-1")
    text = json.dumps({"schema": frame.schema, "source": frame.header.source, "source_offset": frame.header.source_offset, "rows": found})
    return EventRecord(topic, partition, offset, time_ns, base64.b64encode(text.encode()).decode(), len(found))


def kafka_event(records: Sequence[EventRecord]) -> dict[str, Any]:
    """The event of a batch."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for one in records:
        parts.setdefault(one.place, []).append(
            {"topic": one.topic, "partition": one.partition, "offset": one.offset, "timestamp": one.time_ns // 1_000_000,
             "timestampType": "LOG_APPEND_TIME", "key": None, "value": one.value, "headers": []}
        )  # fmt: skip
    return {"eventSource": "SelfManagedKafka", "bootstrapServers": "", "records": parts}
