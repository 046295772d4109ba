"""Alert records (schemas/avro/alert.avsc), made from what detectors find."""

import hashlib
from typing import Any

from schemas.enums import Side
from schemas.instruments import InstrumentTable
from surveillance.contract import Evidence, Finding


def alert_source(topic: str, partition: int, offset: int) -> str:
    """The alert's field `source`: which frame completed the pattern."""
    return f"{topic}/{partition}@{offset}"


def alert_record(finding: Finding, now: int, source: str, instruments: InstrumentTable) -> dict[str, Any]:
    """The record of a finding that was complete at log time `now`, ns."""
    instrument = instruments.by_number[finding.instrument]
    return {
        "alert_id": _alert_id(finding),
        "pattern": finding.pattern,
        "instrument": finding.instrument,
        "symbol": instrument.symbol,
        "account": finding.account,
        "side": Side(finding.side).name,
        "score": finding.score_permille / 1000,
        "explanation": finding.explain(instrument),
        "window_start": finding.window_start,
        "window_end": now,
        "detected_at": now,
        "source": source,
        "evidence": [_evidence(one) for one in finding.evidence],
    }


def _alert_id(finding: Finding) -> str:
    digest = hashlib.blake2b(repr((finding.pattern, *finding.identity)).encode(), digest_size=10)
    return f"{finding.pattern.lower()}-{digest.hexdigest()}"


def _evidence(one: Evidence) -> dict[str, Any]:
    return {
        "role": one.role, "order_id": one.order_id, "side": Side(one.side).name, "price": one.price, "qty": one.qty,
        "traded_qty": one.traded_qty, "placed_at": one.placed_at, "ended_at": one.ended_at,
    }  # fmt: skip
