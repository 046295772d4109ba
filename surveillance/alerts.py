"""Alert records (schemas/avro/alert.avsc), made from what detectors find."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from schemas.enums import Side
from schemas.instruments import InstrumentTable
from surveillance.contract import Evidence, Finding, Rule
from surveillance.wording import counterfactual

EXPLAINED_MAX: Final = 1 << 14
"""Characters of an explanation; the stores have room for four times as many bytes."""


@dataclass(frozen=True)
class Place:
    """Where rows come from: the record of the log, and the number that the book shard gave the first of its rows (0: not known)."""

    topic: str = "executions"
    partition: int = 0
    offset: int = 0
    first_seq: int = 0

    @property
    def text(self) -> str:
        """The alert's field `source`: which frame completed the pattern."""
        return f"{self.topic}/{self.partition}@{self.offset}"


def first_record(
    finding: Finding, detector: Rule, now: int, where: Place, accounts: tuple[int, ...], instruments: InstrumentTable, digest: str
) -> dict[str, Any]:
    """The record of an episode that begins with a finding at log time `now`, ns: revision 1. `digest`: of the configuration."""
    instrument = instruments.by_number[finding.instrument]
    steps = finding.steps(instrument)
    key = (finding.pattern, *finding.identity)
    return {
        "alert_id": f"{finding.pattern.lower()}-{_digest(*key, detector.version, digest)}",
        "episode_key": f"{finding.pattern.lower()}-{_digest(*key)}",
        "pattern": finding.pattern,
        "instrument": finding.instrument,
        "symbol": instrument.symbol,
        "account": finding.account,
        "accounts": list(accounts),
        "side": Side(finding.side).name,
        "score": finding.score_permille / 1000,
        "severity": severity(finding.score_permille),
        "explanation": " ".join(steps)[:EXPLAINED_MAX],
        "steps": list(steps),
        "window_start": finding.window_start,
        "window_end": now,
        "detected_at": now,
        "revised_at": now,
        "revision": 1,
        "status": "OPEN",
        "occurrences": 1,
        "source": where.text,
        "rule_refs": list(detector.rule_refs),
        "features": {one.name.replace(" ", "_"): one.value for one in finding.measures},
        "counterfactual": counterfactual(finding.measures, instrument),
        "detector_version": detector.version,
        "config_digest": digest,
        "reference_digest": "",
        "evidence": [evidence_record(one) for one in finding.evidence],
        "evidence_total": len(finding.evidence),
    }


def severity(score_permille: int) -> str:
    """LOW, MEDIUM or HIGH."""
    return "LOW" if score_permille < 500 else "MEDIUM" if score_permille < 750 else "HIGH"


def evidence_record(one: Evidence) -> dict[str, Any]:
    """As the schema has it."""
    return {
        "role": one.role, "order_id": one.order_id, "side": Side(one.side).name, "price": one.price, "qty": one.qty,
        "traded_qty": one.traded_qty, "placed_at": one.placed_at, "ended_at": one.ended_at, "account": one.account,
        "trd_match_id": one.trd_match_id, "seq": one.seq, "offset": one.offset, "place": one.place, "instrument": one.instrument,
    }  # fmt: skip


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=10).hexdigest()
