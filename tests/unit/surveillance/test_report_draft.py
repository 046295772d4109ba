"""Drafts of reports to authorities: who may do what in which state, four eyes, what is needed, and what is filled in from a case."""

import json
from typing import Any

import pytest
from support.records.alert_records import whole
from support.records.case_records import ANN, CARL, SUE, action
from support.records.watch_tape import INSTRUMENTS

from surveillance.cases.case import Case
from surveillance.cases.desk import Desk, decide
from surveillance.cases.refused import Refused
from surveillance.cases.report_draft import ReportDraft, act, allowed, content_digest
from surveillance.cases.report_facts import facts_of
from surveillance.cases.report_fields import FIELD_MAX, FORMS, STOR
from surveillance.cases.words import ReportAction, Status

DORA = "dora"
REPORT = "report-" + "0" * 32
FACTS = {"kind": "STOR", "case": "case-1", "case_version": "3", "field.instrument": "AAPL, Apple Inc."}
FULL = {f"field.{one.name}": "filled" for one in STOR.fields if one.needed}
ALERT = whole({
    "alert_id": "layering-1", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 7, "side": "BUY", "score": 0.9, "explanation": "said",
    "window_start": 1_800_000_000_000_000_000, "window_end": 1_800_000_005_250_000_000, "detected_at": 1_800_000_005_250_000_000, "source": "executions/0@7",
    "accounts": [7, 8], "steps": ["Four orders.", "A sale."], "rule_refs": ["FINRA 5210.03"], "counterfactual": "Below 4 nothing fires.", "occurrences": 2,
    "evidence": [{"role": "LAYER", "order_id": 41, "side": "BUY", "price": 17_999, "qty": 500, "traded_qty": 0, "placed_at": 1_800_000_000_000_000_000, "ended_at": 0,
                  "account": 7, "trd_match_id": 0, "seq": 3, "offset": 5}],
    "evidence_total": 3,
})  # fmt: skip


def report(name: str, actor: str = CARL, version: int = 1, **fields: Any) -> dict[str, Any]:
    """A record about REPORT, by somebody of compliance unless told otherwise."""
    roles = {ANN: ["analyst"], SUE: ["supervisor"]}.get(actor, ["compliance"])
    return action(name, actor, version, case_id=REPORT, roles=roles, **fields)


def made(*records: dict[str, Any], **facts: str) -> ReportDraft | Refused:
    """What comes of a draft and these records."""
    found = act(None, report("DRAFT_REPORT", version=0, facts={**FACTS, **facts}))
    for record in records:
        found = act(found if isinstance(found, ReportDraft) else None, record)
    return found


def refusal(found: ReportDraft | Refused) -> tuple[str, str]:
    """Its word, and the field that is wrong."""
    assert isinstance(found, Refused)
    return found.code, found.field


def test_the_life_of_a_report_by_two_people() -> None:
    """Made, filled in, released by another, returned, released again, filed; the digest is of the content alone."""
    draft = made(report("EDIT_REPORT", facts=FULL))
    assert isinstance(draft, ReportDraft)
    assert (draft.status, draft.workers, draft.missing) == ("DRAFT", (CARL,), ())
    released = act(draft, report("RELEASE_REPORT", DORA, 2))
    assert isinstance(released, ReportDraft)
    assert (released.status, released.released_by, released.digest) == ("RELEASED", DORA, content_digest(draft))
    assert refusal(act(released, report("EDIT_REPORT", CARL, 3, facts=FULL))) == ("WRONG_STATE", "")
    returned = act(released, report("RETURN_REPORT", CARL, 3))
    assert isinstance(returned, ReportDraft)
    assert (returned.status, returned.released_by, returned.digest) == ("DRAFT", "", "")
    again = act(returned, report("RELEASE_REPORT", DORA, 4))
    assert isinstance(again, ReportDraft)
    assert again.digest == released.digest
    filed = act(again, report("FILE_REPORT", CARL, 5, facts={"reference": " NCA-77 "}))
    assert isinstance(filed, ReportDraft)
    assert (filed.status, filed.reference, allowed(filed, DORA)) == ("FILED", "NCA-77", [])


@pytest.mark.parametrize("name", ReportAction)
@pytest.mark.parametrize("actor", [ANN, SUE])
def test_only_compliance_may_do_anything_and_others_do_not_learn_whether_there_is_one(name: str, actor: str) -> None:
    """The same refusal for a report that is there and one that is not."""
    record = report(name, actor, facts={**FACTS, **FULL})
    there, not_there = act(made(), record), act(None, record)  # type: ignore[arg-type]
    assert isinstance(there, Refused)
    assert there == not_there
    assert there.code == "ROLE_NEEDED"


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        ([report("EDIT_REPORT", facts=FULL), report("RELEASE_REPORT", CARL, 2)], ("SAME_PERSON", "")),
        ([report("EDIT_REPORT", DORA, facts=FULL), report("RELEASE_REPORT", DORA, 2)], ("SAME_PERSON", "")),
        ([report("RELEASE_REPORT", DORA)], ("FIELD", "submitter_name")),
        ([report("EDIT_REPORT", facts=FULL), report("RELEASE_REPORT", DORA, 2, comment=" ")], ("FIELD", "comment")),
        ([report("EDIT_REPORT", facts={})], ("FIELD", "fields")),
        ([report("EDIT_REPORT", facts={"field.nothing": "x"})], ("FIELD", "nothing")),
        ([report("EDIT_REPORT", facts={"field.period": "x" * (FIELD_MAX + 1)})], ("FIELD", "period")),
        ([report("EDIT_REPORT", version=2, facts=FULL)], ("CHANGED", "")),
        ([report("FILE_REPORT", facts={"reference": "x"})], ("WRONG_STATE", "")),
        ([report("WITHDRAW_REPORT"), report("EDIT_REPORT", version=2, facts=FULL)], ("WRONG_STATE", "")),
        ([report("EDIT_REPORT", facts=FULL), report("RELEASE_REPORT", DORA, 2), report("FILE_REPORT", CARL, 3, facts={"reference": " "})], ("FIELD", "reference")),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why_and_changes_nothing(records: list[dict[str, Any]], wrong: tuple[str, str]) -> None:
    """By the word and the field."""
    assert refusal(made(*records)) == wrong


@pytest.mark.parametrize(
    ("facts", "field"),
    [({"kind": "MEMO"}, "kind"), ({"case": ""}, "case"), ({"case_version": "x"}, "case_version"), ({"field.narrative": "x"}, "narrative")],
)
def test_a_report_is_of_a_known_kind_and_of_a_case(facts: dict[str, str], field: str) -> None:
    """And has the fields of its kind only."""
    assert refusal(made(**facts)) == ("FIELD", field)


def test_an_emptied_field_is_not_known_any_more() -> None:
    """It stays visibly empty."""
    draft = made(report("EDIT_REPORT", facts={"field.instrument": "  ", "field.period": "today"}))
    assert isinstance(draft, ReportDraft)
    assert draft.fields == {"period": "today"}


def test_a_store_that_folds_state_by_state_has_what_the_desk_has() -> None:
    """Through JSON; a case's state says nothing of its report."""
    desk, state = Desk(), None
    desk.cases["case-1"] = case = Case("case-1", 3, Status.IN_REVIEW, ANN, "HIGH", "LAYERING", "3", "AAPL", ("a",), 1, 1, 1)
    for record in (
        report("DRAFT_REPORT", version=0, facts=FACTS),
        report("EDIT_REPORT", facts=FULL),
        report("RELEASE_REPORT", CARL, 2),
        report("RELEASE_REPORT", DORA, 2),
    ):
        desk.take(record)
        after, _ = decide(json.loads(json.dumps(state)), record)
        state = state if after is None else after
    assert state == desk.reports[REPORT].as_json()
    assert state["status"] == "RELEASED"
    assert ReportDraft.from_json(json.loads(json.dumps(state))) == desk.reports[REPORT]
    assert desk.cases == {"case-1": case}


def test_facts_of_the_case_are_filled_in_and_nothing_else() -> None:
    """Accounts, instrument, period, orders, story; no name, birthday, address, or code that nobody has said."""
    facts = facts_of("STOR", [ALERT], INSTRUMENTS)
    assert set(facts) == {"acting_capacity", "instrument", "period", "orders", "nature", "reasons", "person_accounts"}
    assert facts["period"] == "2027-01-15 08:00:00.000 UTC to 2027-01-15 08:00:05.250 UTC"
    assert (facts["person_accounts"], facts["nature"]) == ("7, 8", "market manipulation: layering")
    first, rest = facts["orders"].split("\n")
    assert "account 7, buy 500 AAPL at 179.99, traded 0, 2027-01-15 08:00:00.000 UTC to open (layer)" in first
    assert rest.startswith("2 more orders and trades are not listed here")
    assert "1. Four orders.\n2. A sale.\nBelow 4 nothing fires.\nRules compared: FINRA 5210.03." in facts["reasons"]
    sar = facts_of("SAR", [ALERT], INSTRUMENTS)
    assert set(sar) == {"subject_accounts", "period", "products", "narrative", "activity"}


@pytest.mark.parametrize("kind", FORMS)
def test_however_many_orders_there_are_every_field_has_room(kind: str) -> None:
    """And the draft is taken."""
    many = [{**ALERT, "alert_id": f"layering-{number}", "evidence": ALERT["evidence"] * 64, "evidence_total": 64} for number in range(40)]
    facts = facts_of(kind, many, INSTRUMENTS)
    assert max(map(len, facts.values())) <= FIELD_MAX
    assert facts.keys() <= FORMS[kind].names
    draft = act(
        None,
        report(
            "DRAFT_REPORT",
            version=0,
            facts={"kind": kind, "case": "case-1", "case_version": "1", **{f"field.{name}": text for name, text in facts.items()}},
        ),
    )
    assert isinstance(draft, ReportDraft)
