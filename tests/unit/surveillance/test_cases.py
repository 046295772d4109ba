"""Cases and suppressions: who may do what in which state, what it needs, and what it changes."""

import re
from pathlib import Path

import pytest
from support.records.case_records import ANN, BOB, CARL, CASE, SECOND, SUE, action, opening

from surveillance.cases.case import RULES, Case, allowed
from surveillance.cases.desk import Desk, case_id_of, decide
from surveillance.cases.refused import Refused
from surveillance.cases.suppression import Suppression
from surveillance.cases.words import CLOSED, COMMENT_MAX, DECISION_NS, FIRST_LOOK_NS, Action, Refusal, Role, Status


def worked(*records, desk=None):
    """The case after these records, none of which is refused; each is made on the version before it."""
    desk = Desk() if desk is None else desk
    for record in records:
        current = desk.cases.get(CASE)
        made = desk.take({**record, "version": current.version if current else 0})
        assert isinstance(made, Case), made
    return desk.cases[CASE]


def refused(case, record):
    """Why the record is refused."""
    desk = Desk()
    if case is not None:
        desk.cases[CASE] = case
    made = desk.take(record)
    assert isinstance(made, Refused), made
    return made


def test_who_opens_a_case_has_it_and_looks_at_it():
    """The facts of its alert come along."""
    case = worked(opening())
    assert (case.version, case.status, case.owner, case.workers, case.alerts) == (1, Status.IN_REVIEW, ANN, (ANN,), ("alert-1",))
    assert (case.severity, case.pattern, case.rule_version, case.symbol) == ("MEDIUM", "LAYERING", "2", "AAPL")


def test_of_two_who_open_the_same_case_the_second_is_told_its_version():
    """The id is made of the episode, so both mean the same case."""
    assert case_id_of("layering-1") == case_id_of("layering-1") != case_id_of("layering-2")
    second = refused(worked(opening(ANN)), opening(BOB))
    assert (second.code, second.version) == (Refusal.CHANGED, 1)


def test_of_two_actions_on_one_version_the_second_changes_nothing():
    """It is told who was first and which version there is now."""
    desk = Desk()
    worked(opening(), desk=desk)
    assert isinstance(desk.take(action("NOTE", ANN, 1)), Case)
    late = desk.take(action("ASSIGN", SUE, 1, to=BOB))
    assert isinstance(late, Refused)
    assert (late.code, late.version) == (Refusal.CHANGED, 2)
    assert "ann was first" in late.text
    assert desk.cases[CASE].owner == ANN


def test_an_escalated_case_is_for_the_level_that_was_named():
    """And has no owner until somebody of that level takes it."""
    case = worked(opening(), action("ESCALATE", ANN, to="compliance"))
    assert (case.status, case.owner, case.level) == (Status.ESCALATED, "", "compliance")
    for who in (ANN, BOB, SUE):
        assert refused(case, action("TAKE", who, 2)).code == Refusal.ROLE_NEEDED
    assert worked(action("TAKE", CARL), desk=desk_with(case)).owner == CARL


def desk_with(case):
    """A desk with this case alone."""
    desk = Desk()
    desk.cases[CASE] = case
    return desk


@pytest.mark.parametrize(("severity", "outcome"), [("HIGH", "NO_ACTION"), ("MEDIUM", "FORMAL")])
def test_some_cases_are_closed_by_two(severity, outcome):
    """Neither the owner, nor another analyst, nor a supervisor who has worked on it."""
    case = worked(
        opening(severity=severity), action("ASSIGN", SUE, to=BOB), action("TAKE", BOB),
        action("CLOSE", BOB, to=outcome, reason="SUSPECTED_ABUSE"),
    )  # fmt: skip
    assert (case.status, case.closed_at) == (Status.CLOSING, 0)
    assert refused(case, action("CONFIRM", BOB, 4)).code == Refusal.ROLE_NEEDED
    assert refused(case, action("CONFIRM", SUE, 4)).code == Refusal.SAME_PERSON
    assert refused(case, action("RETURN", SUE, 4)).code == Refusal.SAME_PERSON
    closed = worked(action("CONFIRM", CARL), desk=desk_with(case))
    assert closed.status == f"CLOSED_{outcome}"
    assert (closed.outcome, closed.reason) == (outcome, "SUSPECTED_ABUSE")
    back = worked(action("RETURN", CARL), desk=desk_with(case))
    assert (back.status, back.outcome, back.owner) == (Status.IN_REVIEW, "", BOB)


def test_a_case_of_less_weight_is_closed_by_its_owner():
    """At once."""
    case = worked(opening(), action("CLOSE", ANN, at_s=20, to="INFORMAL", reason="HEDGING"))
    assert (case.status, case.closed_at) == (Status.CLOSED_INFORMAL, 20 * SECOND)


def test_a_closed_case_takes_nothing_until_a_supervisor_opens_it_again():
    """With a reason."""
    case = worked(opening(), action("CLOSE", ANN, to="NO_ACTION", reason="IMMATERIAL"))
    for name in set(RULES) - {Action.REOPEN}:
        for who in (ANN, SUE, CARL):
            assert refused(case, action(name, who, 2)).code == Refusal.WRONG_STATE
    assert refused(case, action("REOPEN", ANN, 2)).code == Refusal.ROLE_NEEDED
    assert refused(case, action("REOPEN", SUE, 2, comment=" ")).field == "comment"
    again = worked(action("REOPEN", SUE), desk=desk_with(case))
    assert (again.status, again.owner, again.reopened, again.closed_at, again.outcome) == (Status.NEW, "", 1, 0, "")


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (action("CLOSE", ANN, 1, to="MAYBE", reason="HEDGING"), "to"),
        (action("CLOSE", ANN, 1, to="NO_ACTION", reason="bored"), "reason"),
        (action("CLOSE", ANN, 1, to="NO_ACTION", reason="HEDGING", comment=""), "comment"),
        (action("NOTE", ANN, 1, comment="x" * (COMMENT_MAX + 1)), "comment"),
        (action("NOTE", ANN, 1, comment="  "), "comment"),
        (action("ESCALATE", ANN, 1, to="the police"), "to"),
        (action("ASSIGN", SUE, 1, to=ANN), "to"),
        (action("ASSIGN", SUE, 1, to=" "), "to"),
        (action("LINK", ANN, 1), "alerts"),
        (action("LINK", ANN, 1, alerts=["alert-1"]), "alerts"),
        (action("LINK", ANN, 1, alerts=["é"]), "alerts"),
        (action("LINK", ANN, 1, alerts=[f"alert-{number}" for number in range(300)]), "alerts"),
        (action("UNLINK", ANN, 1, alerts=["alert-1"]), "alerts"),
        (action("UNLINK", ANN, 1, alerts=["alert-9"]), "alerts"),
        (action("NOTE", "x" * 65, 1, roles=["supervisor"]), "actor"),
    ],
)
def test_what_is_missing_or_wrong_is_named(record, field):
    """Its field."""
    why = refused(worked(opening()), record)
    assert (why.code, why.field) == (Refusal.FIELD, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"case_id": "é"}, "case_id"), ({"case_id": "suppression-1"}, "case_id"), ({"alerts": []}, "alerts"), ({"alerts": [""]}, "alerts"),
        ({"facts": {}}, "severity"), ({"facts": {"severity": "HIGH"}}, "pattern"), ({"actor": "\n"}, "actor"),
        ({"facts": {**opening()["facts"], "alerted_at": "-1"}}, "alerted_at"), ({"facts": {**opening()["facts"], "symbol": "é"}}, "symbol"),
    ],
)  # fmt: skip
def test_a_case_is_not_opened_with_what_no_store_can_keep(change, field):
    """A record of the topic may say anything."""
    assert refused(None, {**opening(), **change}).field == field


def test_the_clock_stands_while_an_answer_is_waited_for():
    """Also if the case is given back or to another meanwhile."""
    start = worked(opening())
    assert start.due_at == 10 * SECOND + DECISION_NS["MEDIUM"]
    assert start.first_look_due_at == 5 * SECOND + FIRST_LOOK_NS["MEDIUM"]
    for then in (action("RESUME", ANN, at_s=70), action("RELEASE", ANN, at_s=70), action("ASSIGN", SUE, at_s=70, to=BOB)):
        desk = Desk()
        waiting = worked(opening(), action("ASK", ANN, at_s=20), desk=desk)
        assert not waiting.is_overdue(waiting.due_at * 2)
        later = worked(then, desk=desk)
        assert (later.paused_ns, later.paused_since) == (50 * SECOND, 0)
        assert later.due_at == start.due_at + 50 * SECOND
        assert later.is_overdue(later.due_at + 1)
        assert not later.is_overdue(later.due_at)


def test_the_clock_of_a_case_never_goes_back():
    """Two edges have two clocks."""
    case = worked(opening(), action("ASK", ANN, at_s=50), action("RESUME", ANN, at_s=40))
    assert (case.updated_at, case.paused_ns) == (50 * SECOND, 0)


def test_nobody_without_a_role_does_anything():
    """An operator has none of these."""
    case = worked(opening())
    for name in RULES:
        record = action(name, ANN, 1, roles=["operator"], to=BOB)
        assert refused(case, record).code in (Refusal.ROLE_NEEDED, Refusal.WRONG_STATE)
    assert allowed(case, ANN, frozenset({"operator"})) == []
    assert refused(None, {**opening(), "roles": []}).code == Refusal.ROLE_NEEDED
    assert refused(None, action("BURN", ANN)).code == Refusal.UNKNOWN_ACTION
    assert refused(None, action("NOTE", ANN)).code == Refusal.UNKNOWN


def test_every_state_has_a_way_on_and_every_action_a_state():
    """The table is total: no case is stuck, and no action is for nothing."""
    for status in Status:
        assert any(status in rule.states for rule in RULES.values()), status
    assert set(RULES) == set(Action) - {Action.OPEN}
    assert all(rule.states and rule.roles <= set(Role) for rule in RULES.values())
    assert set(Status) >= CLOSED


def test_the_page_says_in_which_states_each_action_is_possible():
    """docs/cases.md, for people who do not read the table in the code."""
    page = (Path(__file__).parents[3] / "docs" / "cases.md").read_text()
    rows = {name: set(states.split(", ")) for name, states in re.findall(r"^\| ([A-Z]+) \| ([A-Z_, ]+) \|", page, re.MULTILINE)}
    assert rows == {action.value: {status.value for status in rule.states} for action, rule in RULES.items()}


def proposal(**facts):
    """A suppression that is asked for by a supervisor."""
    said = {"pattern": "LAYERING", "symbol": "AAPL", "account": "7", "expires_at": str(100 * SECOND), **facts}
    return action("SUPPRESS", SUE, case_id="suppression-1", facts=said)


def test_a_suppression_works_from_its_approval_by_another_until_it_expires_or_is_lifted():
    """It covers its pattern, symbol and account alone."""
    desk = Desk()

    def covered(at_s, pattern="LAYERING", symbol="AAPL", accounts=(7, 8)):
        return desk.suppressions["suppression-1"].covers(pattern, symbol, frozenset(accounts), at_s * SECOND)

    assert isinstance(desk.take(proposal()), Suppression)
    assert not covered(20)
    own = desk.take(action("APPROVE_SUPPRESSION", SUE, 1, case_id="suppression-1"))
    assert isinstance(own, Refused)
    assert own.code == Refusal.SAME_PERSON
    assert isinstance(desk.take(action("APPROVE_SUPPRESSION", CARL, 1, 15, case_id="suppression-1")), Suppression)
    assert [covered(at) for at in (14, 15, 99, 100)] == [False, True, True, False]
    assert [covered(20, pattern="SPOOFING"), covered(20, symbol="MSFT"), covered(20, accounts=(8,))] == [False] * 3
    assert isinstance(desk.take(action("LIFT", SUE, 2, 50, case_id="suppression-1")), Suppression)
    assert [covered(at) for at in (14, 15, 49, 50)] == [False, True, True, False]
    again = desk.take(action("LIFT", SUE, 3, 60, case_id="suppression-1"))
    assert isinstance(again, Refused)
    assert again.code == Refusal.WRONG_STATE


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (proposal(pattern=""), "pattern"), (proposal(symbol="", account="0"), "symbol"), (proposal(account="x"), "account"),
        (proposal(expires_at=str(10 * SECOND)), "expires_at"), (proposal(expires_at="9" * 18), "expires_at"), (proposal(expires_at=""), "expires_at"),
        ({**proposal(), "comment": ""}, "comment"), ({**proposal(), "case_id": "case-1"}, "case_id"),
    ],
)  # fmt: skip
def test_a_suppression_has_a_reason_an_end_and_a_narrow_key(record, field):
    """A pattern as a whole is never silenced."""
    assert refused(None, record).field == field


def test_a_suppression_is_for_supervisors():
    """And for compliance."""
    assert refused(None, {**proposal(), "roles": ["analyst"]}).code == Refusal.ROLE_NEEDED


def test_a_read_changes_nothing():
    """And is never refused."""
    assert Desk().take(action("READ_ALERT", "anybody", roles=[], case_id="", alerts=["alert-1"])) is None
    assert decide(None, action("EXPORT", ANN)) == (None, "")
