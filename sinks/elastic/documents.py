"""Frames and alerts as audit documents with their index and id. Pure.

The audit has what the exchange decided: every row of `account.events`, and every row of `executions` except LEVEL, TOP, TIME and
AUCTION_INDICATIVE. Those four follow from the decisions (a replay makes them again, bit for bit), and they are most of the rows.

The id is topic, partition and the shard's sequence number: the same event always has the same id, whichever record carried it.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from schemas.codec import Frame, Rows
from schemas.enums import AccountEventKind, ExecFlag, ExecKind, OrdStatus, OrdType, Phase, Side, TimeInForce
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason
from sinks.contract import Input
from sinks.elastic.indices import ACCOUNT_EVENTS, ALERTS, EXECUTIONS, index_of

_ORDER: Final = ("order_id", "account", "side", "price")
_CHANGED: Final = (*_ORDER, "reason", "ord_type", "time_in_force", "qty", "leaves_qty", "display_qty")
_EXECUTION_FIELDS: Final[dict[int, tuple[str, ...]]] = {
    ExecKind.NEW: (*_ORDER, "ord_type", "time_in_force", "qty", "leaves_qty"),
    ExecKind.TRADE: (
        *_ORDER, "contra_order_id", "contra_account", "trd_match_id", "qty", "leaves_qty", "contra_leaves_qty", "display_qty", "flags",
    ),
    ExecKind.CANCELED: (*_ORDER, "reason", "qty"),
    ExecKind.EXPIRED: (*_ORDER, "reason", "qty"),
    ExecKind.REJECTED: (*_ORDER, "reason", "qty"),
    ExecKind.CANCEL_REJECTED: ("order_id", "account", "reason"),
    ExecKind.SECURITY_STATUS: ("phase", "reason"),
    ExecKind.REPLACED: _CHANGED,
    ExecKind.TRIGGERED: _CHANGED,
    ExecKind.RESTATED: _CHANGED,
    ExecKind.TRADE_BUSTED: ("trd_match_id", "price", "qty", "reason"),
    ExecKind.PRICE_BAND: ("side", "price", "reason"),
}  # fmt: skip
_STATE: Final = (
    "account", "order_id", "cl_ord_id", "side", "ord_type", "time_in_force", "ord_status", "order_qty", "price", "leaves_qty", "cum_qty",
    "cum_cost", "cash", "cash_held", "position", "position_held", "position_cost",
)  # fmt: skip
_REFUSED: Final = (*_STATE, "reason")
_UPDATE: Final = ("account", "cash_delta", "shares_delta", "cash", "cash_held", "position", "position_held", "position_cost")
_ACCOUNT_FIELDS: Final[dict[int, tuple[str, ...]]] = {
    AccountEventKind.ACCEPTED: (*_STATE, "submitted_at"),
    AccountEventKind.REJECTED: _REFUSED,
    AccountEventKind.CANCEL_PENDING: (*_STATE, "submitted_at"),
    AccountEventKind.CANCEL_REJECTED: _REFUSED,
    AccountEventKind.TRADE: (*_STATE, "submitted_at", "aggressor", "last_px", "last_qty", "trd_match_id", "cash_delta", "shares_delta"),
    AccountEventKind.CANCELED: (*_REFUSED, "submitted_at", "orig_cl_ord_id"),
    AccountEventKind.EXPIRED: (*_REFUSED, "submitted_at"),
    AccountEventKind.BOOK_REJECTED: (*_REFUSED, "submitted_at"),
    AccountEventKind.REPLACE_PENDING: (*_STATE, "submitted_at"),
    AccountEventKind.REPLACED: (*_STATE, "submitted_at", "orig_cl_ord_id"),
    AccountEventKind.RESTATED: (*_REFUSED, "submitted_at"),
    AccountEventKind.TRIGGERED: (*_STATE, "submitted_at"),
    AccountEventKind.TRADE_BUSTED: (*_UPDATE, "order_id", "side", "last_px", "last_qty", "trd_match_id", "reason"),
    AccountEventKind.ACCOUNT_STATUS_CHANGED: (*_UPDATE, "request_id"),
    AccountEventKind.ACCOUNT_LIMITS_CHANGED: (*_UPDATE, "request_id"),
    AccountEventKind.ACCOUNT_UPDATED: (*_UPDATE, "request_id"),
    AccountEventKind.ACCOUNT_UPDATE_REJECTED: (*_UPDATE, "request_id", "order_qty", "reason"),
}
_STREAMS: Final = {
    "execution_frame": (EXECUTIONS, ExecKind, _EXECUTION_FIELDS),
    "account_event_frame": (ACCOUNT_EVENTS, AccountEventKind, _ACCOUNT_FIELDS),
}
_ENUMS: Final = {
    "side": Side, "ord_type": OrdType, "time_in_force": TimeInForce, "ord_status": OrdStatus, "phase": Phase, "reason": Reason,
}  # fmt: skip
_NAMES: Final = {column: {int(one): one.name for one in enum} for column, enum in _ENUMS.items()}
_FLAGS: Final = [[flag.name for flag in ExecFlag if value & flag] for value in range(256)]
_PRICES: Final = ("price", "last_px")
_TIMES: Final = ("transact_time", "submitted_at")


class Document(NamedTuple):
    """One line of action and one of source, ready for a bulk request."""

    action: bytes
    source: bytes


def documents(one: Input, instruments: InstrumentTable, generation: str = "") -> Iterator[Document]:
    """The audit documents of one record of the log; `generation`: of their indices, see index_of."""
    if not isinstance(one.body, Frame):
        assert one.topic == "alerts", f"topic {one.topic} is not one that Elasticsearch stores"
        yield _alert_document(one, one.body, instruments, generation)
        return
    assert one.body.schema in _STREAMS, f"topic {one.topic} is not one that Elasticsearch stores"
    stream, kinds, plan = _STREAMS[one.body.schema]
    frame, header = one.body, one.body.header
    present = set(frame.rows["kind"].tolist())
    origin = {
        "topic": one.topic, "partition": one.partition, "offset": one.offset, "source": header.source, "source_offset": header.source_offset,
    }  # fmt: skip
    for kind, names in plan.items():
        if kind not in present:
            continue
        index = np.flatnonzero(frame.rows["kind"] == kind)
        constant = {**origin, "kind": kinds(kind).name}
        common = (header.first_seq + index, frame.rows["instrument"][index])
        columns = [_column(frame, name, index) for name in ("transact_time", *names)]
        for seq, instrument, *values in zip(*(column.tolist() for column in common), *columns, strict=True):
            document = {**constant, "seq": seq, "instrument": instrument, **dict(zip(("transact_time", *names), values, strict=True))}
            if (known := instruments.by_number.get(instrument)) is not None:
                document["symbol"], tick = known.symbol, float(known.tick_size)
                for price in _PRICES:
                    if price in document:
                        document[f"{price}_display"] = round(document[price] * tick, 10)
            yield _document(index_of(stream, values[0][:10], generation), f"{one.topic}-{one.partition}-{seq}", document)


def _column(frame: Frame, name: str, index: Rows) -> list[Any]:
    """One column of the rows `index`, as in the document: enumerations and flags as names, times as ISO 8601 with nanoseconds."""
    if name in ("cl_ord_id", "orig_cl_ord_id"):
        text = frame.cl_ord_id if name == "cl_ord_id" else frame.orig_cl_ord_id
        return [""] * len(index) if text is None else [one.decode("ascii", "replace") for one in text[index].tolist()]
    values = frame.rows[name][index]
    if name in _TIMES:
        return _iso(values)
    if name == "flags":
        return [_FLAGS[value] for value in values.tolist()]
    if name == "aggressor":
        return [bool(value) for value in values.tolist()]
    if name in _NAMES:
        words = _NAMES[name]
        return [words.get(value) or str(value) for value in values.tolist()]
    found: list[Any] = values.tolist()
    return found


def _iso(values: Rows) -> list[str]:
    text: list[str] = np.datetime_as_string(values.astype("M8[ns]"), unit="ns", timezone="UTC").tolist()
    return text


def _alert_document(one: Input, alert: dict[str, Any], instruments: InstrumentTable, generation: str) -> Document:
    """Every revision is a document of its own: what an analyst saw at a time can be seen again."""
    instrument = instruments.by_number.get(alert["instrument"])
    tick = float(instrument.tick_size) if instrument is not None else 0.0
    times = {name: _iso(np.array([alert[name]]))[0] for name in ("window_start", "window_end", "detected_at", "revised_at")}
    evidence = [
        {
            **item,
            "price_display": round(item["price"] * tick, 10),
            "placed_at": _iso(np.array([item["placed_at"]]))[0],
            "ended_at": _iso(np.array([item["ended_at"]]))[0] if item["ended_at"] else None,
        }
        for item in alert["evidence"]
    ]
    features = [{"name": name, "value": value} for name, value in sorted(alert["features"].items())]
    origin = {"topic": one.topic, "partition": one.partition, "offset": one.offset}
    document = {**alert, **times, "evidence": evidence, "features": features, **origin}
    name = alert["alert_id"] if alert["revision"] == 1 else f"{alert['alert_id']}-{alert['revision']}"
    return _document(index_of(ALERTS, times["detected_at"][:10], generation), name, document)


def _document(index: str, document_id: str, source: dict[str, Any]) -> Document:
    action = orjson.dumps({"create": {"_index": index, "_id": document_id}})
    return Document(action, orjson.dumps(source))
