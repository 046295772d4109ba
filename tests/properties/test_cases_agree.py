"""Cases under random work: nothing forbidden happens, and a store that folds state by state has what one that reads the whole log has."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.records.case_records import ANN, BOB, CARL, CASE, SUE, action, opening

from surveillance.cases.case import RULES, Case, allowed
from surveillance.cases.desk import Desk, decide
from surveillance.cases.refused import Refused
from surveillance.cases.words import CLOSED, Action, Refusal, Status

WHO = st.sampled_from([ANN, BOB, SUE, CARL, "olga"])
TO = st.sampled_from(["", ANN, BOB, "supervisor", "compliance", "NO_ACTION", "INFORMAL", "FORMAL"])
RECORDS = st.lists(
    st.builds(
        lambda name, who, off, step, to, comment, number, severity: {
            **(opening(who, severity=severity) if name == "OPEN" else action(name, who, to=to, reason="HEDGING", comment=comment)),
            "off": off, "step": step, "alerts": [f"alert-{number}"],
        },
        st.sampled_from([*Action, "READ_CASE", "BURN"]), WHO, st.sampled_from([0, 0, 0, 0, -1, 1]), st.integers(-5, 50), TO,
        st.sampled_from(["because", "because", ""]), st.integers(1, 4), st.sampled_from(["LOW", "HIGH"]),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
NEXT = {
    "TAKE": {"IN_REVIEW"}, "RELEASE": {"NEW"}, "ASSIGN": {"ASSIGNED"}, "ASK": {"PENDING_INFO"}, "RESUME": {"IN_REVIEW"}, "ESCALATE": {"ESCALATED"},
    "CLOSE": {"CLOSING", *CLOSED}, "CONFIRM": CLOSED, "RETURN": {"IN_REVIEW"}, "REOPEN": {"NEW"}, "OPEN": {"IN_REVIEW"},
}  # fmt: skip
"""Where each action leads; the others stay where they are."""


def stamped(record: dict[str, Any], desk: Desk, now: int) -> dict[str, Any]:
    """The record on the version that there is, or beside it, at a time that may go back."""
    case = desk.cases.get(CASE)
    version = 0 if record["action"] == "OPEN" or case is None else case.version + record["off"]
    return {**{name: value for name, value in record.items() if name not in ("off", "step")}, "version": version, "at": now}


@settings(deadline=None, max_examples=200)
@given(RECORDS)
def test_nothing_forbidden_happens_and_replay_is_the_same(records: list[dict[str, Any]]) -> None:
    """Step by step: rights, states, versions, four eyes, clocks."""
    desk, now, tape = Desk(), 100, []
    stored: dict[str, Any] | None = None
    for made_up in records:
        now += made_up["step"]
        record = stamped(made_up, desk, now)
        tape.append(record)
        before = desk.cases.get(CASE)
        after = desk.take(record)
        state, refusal = decide(json.loads(json.dumps(stored)), record)
        stored = stored if state is None else state
        assert refusal == (after.code if isinstance(after, Refused) else "")
        if isinstance(after, Case):
            followed(before, record, after)
        elif isinstance(after, Refused):
            assert desk.cases.get(CASE) is before
            denied(before, record, after)
    replayed = Desk()
    for record in tape:
        replayed.take(record)
    assert replayed.cases == desk.cases
    assert stored == (desk.cases[CASE].as_json() if desk.cases else None)
    assert not desk.cases or Case.from_json(json.loads(json.dumps(stored))) == desk.cases[CASE]


def followed(before: Case | None, record: dict[str, Any], after: Case) -> None:
    """What was taken was allowed."""
    name, actor, roles = record["action"], record["actor"], frozenset(record["roles"])
    assert roles & {"analyst", "supervisor", "compliance"}
    assert after.status in NEXT.get(name, {before.status if before else Status.NEW})
    if before is None:
        assert name == "OPEN"
        return
    assert after.version == before.version + 1 == record["version"] + 1
    assert Action(name) in allowed(before, actor, roles)
    assert before.status in RULES[Action(name)].states
    assert before.status not in CLOSED or name == "REOPEN"
    assert (after.paused_ns, after.updated_at) >= (before.paused_ns, before.updated_at)
    assert after.alerts
    if after.status in CLOSED and (after.severity == "HIGH" or after.outcome == "FORMAL"):
        assert name == "CONFIRM"
        assert actor not in before.workers
        assert roles & {"supervisor", "compliance"}


def denied(before: Case | None, record: dict[str, Any], why: Refused) -> None:
    """What was refused was not allowed, or was wrong in itself."""
    if before is not None and record["version"] == before.version and record["action"] in RULES:
        may = Action(record["action"]) in allowed(before, record["actor"], frozenset(record["roles"]))
        assert may is (why.code == Refusal.FIELD)


@given(st.permutations([ANN, SUE]), st.sampled_from(["NOTE", "ASSIGN"]))
def test_of_two_at_once_one_gets_the_version_of_the_other(order: list[str], other: str) -> None:
    """Whoever is second in the log."""
    desk = Desk()
    desk.take(opening())
    doing = {ANN: action("NOTE", ANN, 1), SUE: action(other, SUE, 1, to=BOB)}
    first, second = (desk.take(doing[who]) for who in order)
    assert isinstance(first, Case)
    assert isinstance(second, Refused)
    assert (second.code, second.version) == (Refusal.CHANGED, 2)
