"""Records of the topic `cases`, made short."""

from typing import Any

from schemas.codec import decode_record, encode_record

SECOND = 1_000_000_000
CASE = "case-1"
ANN, BOB, SUE, CARL = "ann", "bob", "sue", "carl"
"""Two analysts, a supervisor, and one of compliance."""
ROLES = {ANN: ["analyst"], BOB: ["analyst"], SUE: ["supervisor"], CARL: ["compliance"]}
FACTS = {"severity": "MEDIUM", "pattern": "LAYERING", "rule_version": "2", "symbol": "AAPL", "alerted_at": str(5 * SECOND)}


def action(name: str, actor: str, version: int = 0, at_s: int = 10, **fields: Any) -> dict[str, Any]:
    """A record as readers of the topic have it. Unless told otherwise it is about CASE, and says why."""
    record = {
        "action": name, "case_id": CASE, "version": version, "actor": actor, "roles": ROLES.get(actor, []), "at": at_s * SECOND,
        "comment": "because", **fields,
    }  # fmt: skip
    return decode_record(encode_record("case_action", record))[1]


def opening(actor: str = ANN, **facts: str) -> dict[str, Any]:
    """An OPEN with one alert."""
    return action("OPEN", actor, alerts=["alert-1"], facts={**FACTS, **facts})
