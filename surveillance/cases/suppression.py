"""One suppression: alerts of a pattern, in a symbol and of an account if they are named, stay out of the queue until it expires. They are stored and counted.

Four eyes: who proposes one cannot approve it.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from surveillance.cases.refused import Refused, check_actor, check_comment, check_new_id, check_role, field_wrong, is_id, is_whole
from surveillance.cases.words import SENIOR, SUPPRESSION_NS_MAX, Refusal, SuppressionAction

PREFIX: Final = "suppression-"
PROPOSED, ACTIVE, LIFTED = "PROPOSED", "ACTIVE", "LIFTED"


@dataclass(frozen=True)
class Suppression:
    """Times in ns."""

    case_id: str
    """Its id; it stands in the same column of the log as that of a case."""
    version: int
    status: str
    pattern: str
    symbol: str
    """Empty: all."""
    account: int
    """0: all."""
    expires_at: int
    proposed_by: str
    comment: str
    begins_at: int = 0
    """When it was approved."""
    approved_by: str = ""
    ended_at: int = 0
    """When it was lifted."""

    def covers(self, pattern: str, symbol: str, accounts: frozenset[int], at: int) -> bool:
        """Whether an alert that was raised at this time is kept out of the queue."""
        end = min(self.expires_at, self.ended_at or self.expires_at)
        return (
            self.status != PROPOSED
            and self.begins_at <= at < end
            and self.pattern == pattern
            and self.symbol in ("", symbol)
            and (self.account == 0 or self.account in accounts)
        )

    def as_json(self) -> dict[str, Any]:
        """As from_json takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """What as_json gave."""
        return cls(**state)


def act(one: Suppression | None, record: dict[str, Any]) -> Suppression | Refused:
    """The suppression after an action, or why it stays as it is."""
    action = SuppressionAction(record["action"])
    if action == SuppressionAction.SUPPRESS:
        return _proposed(one, record)
    if one is None:
        return Refused(Refusal.UNKNOWN, f"there is no suppression {record['case_id']}")
    if record["version"] != one.version:
        return Refused(Refusal.CHANGED, f"it is at version {one.version}, not {record['version']}", version=one.version)
    if refused := check_actor(record) or check_role(record, SENIOR) or check_comment(record, needed=True):
        return refused
    if action == SuppressionAction.LIFT:
        if one.status == LIFTED:
            return Refused(Refusal.WRONG_STATE, "it is lifted already", version=one.version)
        return replace(one, version=one.version + 1, status=LIFTED, ended_at=max(record["at"], one.begins_at))
    if one.status != PROPOSED or record["at"] >= one.expires_at:
        return Refused(Refusal.WRONG_STATE, "only one that is proposed and has not expired can be approved", version=one.version)
    if record["actor"] == one.proposed_by:
        return Refused(Refusal.SAME_PERSON, "who proposed it cannot approve it")
    return replace(one, version=one.version + 1, status=ACTIVE, begins_at=record["at"], approved_by=record["actor"])


def _proposed(one: Suppression | None, record: dict[str, Any]) -> Suppression | Refused:
    if one is not None:
        return Refused(Refusal.CHANGED, f"it is there already, at version {one.version}", version=one.version)
    facts = record["facts"]
    if refused := check_actor(record) or check_role(record, SENIOR) or check_comment(record, needed=True):
        return refused
    if refused := check_new_id(record, PREFIX):
        return refused
    pattern, symbol = facts.get("pattern", ""), facts.get("symbol", "")
    if not is_id(pattern):
        return field_wrong("pattern", "must be the name of a pattern")
    if symbol and not is_id(symbol):
        return field_wrong("symbol", "must be a symbol, or empty for all")
    numbers = {}
    for name in ("account", "expires_at"):
        text = facts.get(name, "")
        if not is_whole(text):
            return field_wrong(name, "must be a whole number")
        numbers[name] = int(text)
    if not symbol and not numbers["account"]:
        return field_wrong("symbol", "or account must be named: a pattern as a whole is not suppressed")
    if not record["at"] < numbers["expires_at"] <= record["at"] + SUPPRESSION_NS_MAX:
        return field_wrong("expires_at", f"must be within {SUPPRESSION_NS_MAX // 86_400_000_000_000} days from now")
    return Suppression(
        record["case_id"], 1, PROPOSED, pattern, symbol, numbers["account"], numbers["expires_at"], record["actor"], record["comment"]
    )
