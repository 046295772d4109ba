"""One case: its state, and the actions that change it. `act` is a function of the state and the record (schemas/avro/case_action.avsc).

Every action names the version of the case that its author saw. Who comes second finds another version and is refused, so two analysts never
overwrite one another: the order of the log decides.

Four eyes: a case of severity HIGH, and any that is closed FORMAL, waits in CLOSING until a supervisor or compliance agrees who has not worked on it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Self

from surveillance.cases.refused import Refused, check_actor, check_comment, check_new_id, check_role, field_wrong, is_id, is_name, is_whole
from surveillance.cases.words import (
    ALERTS_MAX,
    CLOSED,
    DECISION_NS,
    FIRST_LOOK_NS,
    SECOND_PERSON_SEVERITY,
    SENIOR,
    SEVERITIES,
    Action,
    Outcome,
    ReasonCode,
    Refusal,
    Role,
    Status,
)

PREFIX: Final = "case-"
"""Of the ids of cases; a suppression's is another, so that no id means two things."""
_ALL: Final = frozenset(Role)
_OWNED: Final = frozenset({Status.IN_REVIEW, Status.PENDING_INFO})
_LEVELS: Final = {"supervisor": Role.SUPERVISOR, "compliance": Role.COMPLIANCE}


@dataclass(frozen=True)
class Case:
    """Times in ns of log time; 0: not yet."""

    case_id: str
    version: int
    status: Status
    owner: str
    """Empty: nobody."""
    severity: str
    pattern: str
    rule_version: str
    symbol: str
    alerts: tuple[str, ...]
    alerted_at: int
    """When its first alert was raised."""
    opened_at: int
    updated_at: int
    level: str = ""
    """Who has to take an escalated case: supervisor or compliance."""
    workers: tuple[str, ...] = ()
    """All who have done something with it, in order."""
    paused_since: int = 0
    paused_ns: int = 0
    outcome: str = ""
    reason: str = ""
    closed_at: int = 0
    reopened: int = 0

    @property
    def due_at(self) -> int:
        """When it has to be decided, as far as that is known while the clock stands; ns."""
        return self.opened_at + DECISION_NS[self.severity] + self.paused_ns

    @property
    def first_look_due_at(self) -> int:
        """When it had to be opened."""
        return self.alerted_at + FIRST_LOOK_NS[self.severity]

    def is_overdue(self, now: int) -> bool:
        """Whether it should have been decided by now."""
        end = self.closed_at or self.paused_since or now
        return end > self.due_at

    def as_json(self) -> dict[str, Any]:
        """As from_json takes it, and what follows from it."""
        return {**asdict(self), "due_at": self.due_at}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """What as_json gave."""
        kept = {one.name: state[one.name] for one in fields(cls)}
        return cls(**{**kept, "status": Status(kept["status"]), "alerts": tuple(kept["alerts"]), "workers": tuple(kept["workers"])})


Check = Callable[[Case, dict[str, Any]], Refused | None]


@dataclass(frozen=True)
class Rule:
    """Of one action: in which states, by whom, with what."""

    states: frozenset[Status]
    roles: frozenset[Role]
    may: Check
    """Whether this person may; the role is checked before."""
    holds: Check
    """Whether its fields are what they must be."""
    comment: bool = True
    """Whether it needs one."""


def _anyone(case: Case, record: dict[str, Any]) -> Refused | None:
    return None


def _owner(case: Case, record: dict[str, Any]) -> Refused | None:
    if record["actor"] == case.owner:
        return None
    return Refused(Refusal.NOT_OWNER, f"{record['action']} is for its owner, {case.owner}")


def _owner_or_supervisor(case: Case, record: dict[str, Any]) -> Refused | None:
    return None if Role.SUPERVISOR in record["roles"] else _owner(case, record)


def _second(case: Case, record: dict[str, Any]) -> Refused | None:
    if record["actor"] in case.workers:
        return Refused(Refusal.SAME_PERSON, f"{record['action']} is for somebody who has not worked on the case")
    return None


def _owner_or_second(case: Case, record: dict[str, Any]) -> Refused | None:
    return None if record["actor"] == case.owner else check_role(record, SENIOR) or _second(case, record)


def _taker(case: Case, record: dict[str, Any]) -> Refused | None:
    if case.status == Status.ASSIGNED:
        return _owner(case, record)
    return check_role(record, {_LEVELS[case.level]}) if case.status == Status.ESCALATED else None


def _nothing(case: Case, record: dict[str, Any]) -> Refused | None:
    return None


def _to_person(case: Case, record: dict[str, Any]) -> Refused | None:
    if not is_name(record["to"]):
        return field_wrong("to", "must be the name of a person")
    return field_wrong("to", "has the case already") if record["to"] == case.owner else None


def _to_level(case: Case, record: dict[str, Any]) -> Refused | None:
    return None if record["to"] in _LEVELS else field_wrong("to", f"must be {' or '.join(_LEVELS)}")


def _decision(case: Case, record: dict[str, Any]) -> Refused | None:
    if record["to"] not in set(Outcome):
        return field_wrong("to", f"must be one of {', '.join(Outcome)}")
    return None if record["reason"] in set(ReasonCode) else field_wrong("reason", f"must be one of {', '.join(ReasonCode)}")


def _more_alerts(case: Case, record: dict[str, Any]) -> Refused | None:
    if not record["alerts"] or not all(map(is_id, record["alerts"])):
        return field_wrong("alerts", "must name one alert or more")
    if set(record["alerts"]) <= set(case.alerts):
        return field_wrong("alerts", "are in the case already")
    if len({*case.alerts, *record["alerts"]}) > ALERTS_MAX:
        return field_wrong("alerts", f"would be more than {ALERTS_MAX} in one case")
    return None


def _fewer_alerts(case: Case, record: dict[str, Any]) -> Refused | None:
    if not record["alerts"] or not set(record["alerts"]) <= set(case.alerts):
        return field_wrong("alerts", "must be alerts of the case")
    return field_wrong("alerts", "would be none: a case has one alert at least") if set(record["alerts"]) == set(case.alerts) else None


_UNDECIDED: Final = frozenset(Status) - CLOSED - {Status.CLOSING}
RULES: Final[dict[Action, Rule]] = {
    Action.TAKE: Rule(frozenset({Status.NEW, Status.ASSIGNED, Status.ESCALATED}), _ALL, _taker, _nothing, comment=False),
    Action.RELEASE: Rule(_OWNED | {Status.ASSIGNED}, _ALL, _owner, _nothing),
    Action.ASSIGN: Rule(_UNDECIDED, frozenset({Role.SUPERVISOR}), _anyone, _to_person),
    Action.NOTE: Rule(_UNDECIDED | {Status.CLOSING}, _ALL, _owner_or_supervisor, _nothing),
    Action.LINK: Rule(_OWNED, _ALL, _owner, _more_alerts, comment=False),
    Action.UNLINK: Rule(_OWNED, _ALL, _owner, _fewer_alerts),
    Action.ASK: Rule(frozenset({Status.IN_REVIEW}), _ALL, _owner, _nothing),
    Action.RESUME: Rule(frozenset({Status.PENDING_INFO}), _ALL, _owner, _nothing),
    Action.ESCALATE: Rule(frozenset({Status.IN_REVIEW}), _ALL, _owner, _to_level),
    Action.CLOSE: Rule(frozenset({Status.IN_REVIEW}), _ALL, _owner, _decision),
    Action.CONFIRM: Rule(frozenset({Status.CLOSING}), SENIOR, _second, _nothing),
    Action.RETURN: Rule(frozenset({Status.CLOSING}), _ALL, _owner_or_second, _nothing),
    Action.REOPEN: Rule(CLOSED, frozenset({Role.SUPERVISOR}), _anyone, _nothing),
}
"""OPEN is not here: it makes the case."""


def act(case: Case | None, record: dict[str, Any]) -> Case | Refused:
    """The case after an action, or why it stays as it is."""
    action = Action(record["action"])
    if action == Action.OPEN:
        return _opened(case, record)
    if case is None:
        return Refused(Refusal.UNKNOWN, f"there is no case {record['case_id']}")
    if record["version"] != case.version:
        who = f"{case.workers[-1]} was first" if case.workers else "it has changed"
        return Refused(Refusal.CHANGED, f"the case is at version {case.version}, not {record['version']}: {who}", version=case.version)
    refused = _may(case, record) or RULES[action].holds(case, record) or check_comment(record, needed=RULES[action].comment)
    return refused or _changed(case, action, record)


def allowed(case: Case, actor: str, roles: frozenset[str]) -> list[Action]:
    """What this person may do with the case now."""
    asked = {"actor": actor, "roles": roles, "case_id": case.case_id}
    return [action for action in RULES if _may(case, {**asked, "action": action}) is None]


def _may(case: Case, record: dict[str, Any]) -> Refused | None:
    rule = RULES[Action(record["action"])]
    if case.status not in rule.states:
        states = ", ".join(sorted(rule.states))
        return Refused(
            Refusal.WRONG_STATE, f"{record['action']} is for a case in {states}; this one is {case.status}", version=case.version
        )
    return check_actor(record) or check_role(record, rule.roles) or rule.may(case, record)


def _opened(case: Case | None, record: dict[str, Any]) -> Case | Refused:
    if case is not None:
        return Refused(Refusal.CHANGED, f"the case is open already, at version {case.version}", version=case.version)
    facts = record["facts"]
    if refused := check_actor(record) or check_role(record, _ALL) or check_comment(record, needed=False):
        return refused
    if refused := check_new_id(record, PREFIX):
        return refused
    if not 1 <= len(record["alerts"]) <= ALERTS_MAX or not all(map(is_id, record["alerts"])):
        return field_wrong("alerts", f"must name 1 to {ALERTS_MAX} alerts")
    if facts.get("severity") not in SEVERITIES:
        return field_wrong("severity", f"must be one of {', '.join(SEVERITIES)}")
    for name in ("pattern", "rule_version", "symbol"):
        if not is_id(facts.get(name, "")):
            return field_wrong(name, "must be that of the alert")
    alerted_at = facts.get("alerted_at", "")
    if not is_whole(alerted_at):
        return field_wrong("alerted_at", "must be the time of the alert in ns")
    return Case(
        record["case_id"], 1, Status.IN_REVIEW, record["actor"], facts["severity"], facts["pattern"],
        facts["rule_version"], facts["symbol"],
        tuple(dict.fromkeys(record["alerts"])), int(alerted_at), record["at"], record["at"], workers=(record["actor"],),
    )  # fmt: skip


def _changed(case: Case, action: Action, record: dict[str, Any]) -> Case:
    now, actor = max(record["at"], case.updated_at), record["actor"]
    workers = case.workers if actor in case.workers else (*case.workers, actor)
    case = replace(case, version=case.version + 1, updated_at=now, workers=workers)
    if case.status == Status.PENDING_INFO and action in (Action.RESUME, Action.RELEASE, Action.ASSIGN):
        case = replace(case, paused_since=0, paused_ns=case.paused_ns + now - case.paused_since)
    match action:
        case Action.TAKE:
            return replace(case, status=Status.IN_REVIEW, owner=actor, level="")
        case Action.RELEASE:
            return replace(case, status=Status.NEW, owner="")
        case Action.ASSIGN:
            return replace(case, status=Status.ASSIGNED, owner=record["to"], level="")
        case Action.LINK:
            return replace(case, alerts=tuple(dict.fromkeys((*case.alerts, *record["alerts"]))))
        case Action.UNLINK:
            return replace(case, alerts=tuple(one for one in case.alerts if one not in record["alerts"]))
        case Action.ASK:
            return replace(case, status=Status.PENDING_INFO, paused_since=now)
        case Action.RESUME:
            return replace(case, status=Status.IN_REVIEW)
        case Action.ESCALATE:
            return replace(case, status=Status.ESCALATED, owner="", level=record["to"])
        case Action.CLOSE:
            case = replace(case, outcome=record["to"], reason=record["reason"])
            if record["to"] == Outcome.FORMAL or case.severity == SECOND_PERSON_SEVERITY:
                return replace(case, status=Status.CLOSING)
            return _closed(case, now)
        case Action.CONFIRM:
            return _closed(case, now)
        case Action.RETURN:
            return replace(case, status=Status.IN_REVIEW, outcome="", reason="")
        case Action.REOPEN:
            return replace(case, status=Status.NEW, owner="", outcome="", reason="", closed_at=0, reopened=case.reopened + 1)
    return case  # a NOTE


def _closed(case: Case, now: int) -> Case:
    return replace(case, status=Status(f"CLOSED_{case.outcome}"), closed_at=now)
