"""Alerts as JSON: prices, quantities and times as people read them. No I/O."""

from typing import Any, Final

from edge.gateway.stored.stores import alert_record
from edge.http.errors import bad_parameter
from edge.http.timestamps import rfc3339_or_none
from schemas.ids import account_uuid, order_uuid
from schemas.instruments import Instrument, InstrumentTable
from sinks.mysql.case_queries import QueueRow
from surveillance.cases.words import CLOSED

_AS_THEY_ARE: Final = (
    "alert_id", "episode_key", "pattern", "account", "score", "severity", "status", "revision", "occurrences", "explanation", "source", "rule_refs",
    "features", "counterfactual", "detector_version", "config_digest", "reference_digest",
)  # fmt: skip
_OF_QUEUE: Final = ("alert_id", "pattern", "account", "score", "severity", "status", "revision", "occurrences")


def whole_number(text: str, name: str) -> int:
    """Of a query; raises HttpError 422 naming it."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise bad_parameter(f"{name} must be a whole number")
    return int(text)


def alert_json(alert: dict[str, Any], instruments: InstrumentTable) -> dict[str, Any]:
    """A record of alert.avsc with prices, quantities and times as people read them; ids also as the API shows them.

    An alert of version 0.2 has no steps, accounts and severity: then they are its explanation, its account, and empty.
    """
    instrument = instruments.by_number[alert["instrument"]]
    accounts = alert["accounts"] or [alert["account"]]
    return {
        **{name: alert[name] for name in _AS_THEY_ARE},
        "symbol": instrument.symbol,
        "account_id": account_uuid(alert["account"]),
        "accounts": accounts,
        "account_ids": [account_uuid(one) for one in accounts],
        "side": alert["side"].lower(),
        "steps": alert["steps"] or [alert["explanation"]],
        "window_start": rfc3339_or_none(alert["window_start"]),
        "window_end": rfc3339_or_none(alert["window_end"]),
        "detected_at": rfc3339_or_none(alert["detected_at"]),
        "revised_at": rfc3339_or_none(alert["revised_at"] or alert["detected_at"]),
        "evidence_total": max(alert["evidence_total"], len(alert["evidence"])),
        "evidence": [
            _evidence_json(one, instruments.by_number.get(one.get("instrument") or 0, instrument), one.get("place") or alert["source"])
            for one in alert["evidence"]
        ],
    }


def _evidence_json(evidence: dict[str, Any], instrument: Instrument, source: str) -> dict[str, Any]:
    """instrument: whose order or trade it is; source: the record, or the partition, where it is. `seq` and `offset` are None where the alert does not say them: version 0.2."""
    topic, _, partition = source.partition("@")[0].rpartition("/")
    return {
        "role": evidence["role"],
        "order_id": order_uuid(evidence["order_id"]),
        "order_number": evidence["order_id"],
        "account": evidence.get("account") or None,
        "trade_id": evidence.get("trd_match_id") or None,
        "symbol": instrument.symbol,
        "side": str(evidence["side"]).lower(),
        "price": instrument.price_text(evidence["price"]),
        "qty": instrument.qty_text(evidence["qty"]),
        "traded_qty": instrument.qty_text(evidence["traded_qty"]),
        "placed_at": rfc3339_or_none(evidence["placed_at"]),
        "ended_at": rfc3339_or_none(evidence["ended_at"]),
        "topic": topic,
        "partition": int(partition) if partition.isdigit() else None,
        "offset": evidence["offset"] if evidence.get("offset", -1) >= 0 else None,
        "seq": evidence.get("seq") or None,
    }


def queue_row_json(row: QueueRow, instruments: InstrumentTable, now: int) -> dict[str, Any]:
    """An alert without its evidence, with its case: `state`, `owner`, `case_id` (None: no case yet). now: ns."""
    alert = alert_record(row.alert)
    is_open = row.status not in CLOSED
    return {
        **{name: alert[name] for name in _OF_QUEUE},
        "accounts": alert["accounts"] or [alert["account"]],
        "symbol": instruments.by_number[alert["instrument"]].symbol,
        "side": alert["side"].lower(),
        "summary": (alert["steps"] or [alert["explanation"]])[0],
        "detected_at": rfc3339_or_none(alert["detected_at"]),
        "revised_at": rfc3339_or_none(alert["revised_at"] or alert["detected_at"]),
        "state": row.status,
        "owner": row.owner,
        "case_id": row.case_id or None,
        "version": row.version,
        "due_at": rfc3339_or_none(row.due_at) if is_open else None,
        "overdue": is_open and row.status != "PENDING_INFO" and 0 < row.due_at < now,
    }


def book_json(replay: dict[str, Any], instrument: Instrument) -> dict[str, Any]:
    """A BookReplays.around with prices, quantities and times as people read them."""

    def levels(found: list[list[Any]]) -> list[dict[str, Any]]:
        return [
            {"side": side, "price": instrument.price_text(price), "qty": instrument.qty_text(qty), "orders": orders}
            for side, price, qty, orders in found
        ]

    def orders(found: list[list[Any]]) -> list[dict[str, Any]]:
        return [
            {"order_id": order_uuid(number), "side": side, "price": instrument.price_text(price), "qty": instrument.qty_text(qty), "account": account}
            for number, side, price, qty, account in found
        ]  # fmt: skip

    def event(one: dict[str, Any]) -> dict[str, Any]:
        named = {"order_id": order_uuid(one["order_id"])} if "order_id" in one else {}
        return {**one, **named, "price": instrument.price_text(one["price"]), "qty": instrument.qty_text(one["qty"])}

    return {
        **{name: replay[name] for name in ("accounts", "topic", "partition", "complete", "full")},
        "symbol": instrument.symbol,
        "begin": rfc3339_or_none(replay["begin"]),
        "end": rfc3339_or_none(replay["end"]),
        "start": {"levels": levels(replay["start"]["levels"]), "own": orders(replay["start"]["own"])},
        "steps": [
            {"offset": one["offset"], "seq": one["seq"], "at": rfc3339_or_none(one["at"]), "events": [event(each) for each in one["events"]],
             "levels": levels(one["levels"]), "own": orders(one["own"])}
            for one in replay["steps"]
        ],
    }  # fmt: skip
