"""Colleagues: what one person may not do to a case alone, evidence that nobody is to know was read, reports, files for spreadsheets."""

from pathlib import Path
from typing import Any

from at_topics import forged
from attack import edge, folder, stopped_by
from support.records import case_records
from support.records.case_records import ANN, BOB, SUE, action, opening
from support.served_edge import Served

from access.people import Role
from edge.console import cases_api, exports, reports_api
from reports.report_day import ReportDay
from schemas.errors import OutcryError
from surveillance.cases import case as cases
from surveillance.cases import suppression
from surveillance.cases.case import Case, act
from surveillance.cases.refused import Refused


def _after(*records: dict[str, Any]) -> bool:
    """Whether the last of these is done."""
    found: Case | Refused | None = act(None, opening(ANN))
    for record in records:
        found = act(found if isinstance(found, Case) else None, record)
    return not isinstance(found, Refused)


CLOSE = action("CLOSE", ANN, 1, to="FORMAL", reason="SUSPECTED_ABUSE")
forged("confirm_ones_own_decision", lambda: _after(CLOSE, action("CONFIRM", ANN, 2, roles=["supervisor"])),
       (cases, '    if record["actor"] in case.workers:', "    if False:"))  # fmt: skip
forged("decide_a_case_of_somebody_else", lambda: _after(action("CLOSE", BOB, 1, to="NO_ACTION", reason="HEDGING")),
       (cases, '    if record["actor"] == case.owner:\n        return None\n    return Refused', "    return None\n    return Refused"))  # fmt: skip
forged("assign_cases_as_an_analyst", lambda: _after(action("ASSIGN", BOB, 1, to=BOB)),
       (cases, "    return check_actor(record) or check_role(record, rule.roles) or rule.may(case, record)", "    return check_actor(record) or rule.may(case, record)"))  # fmt: skip
forged("reopen_a_case_as_an_analyst", lambda: _after(action("CLOSE", ANN, 1, to="NO_ACTION", reason="HEDGING"), action("REOPEN", ANN, 2)),
       (cases, "    return check_actor(record) or check_role(record, rule.roles) or rule.may(case, record)", "    return check_actor(record) or rule.may(case, record)"))  # fmt: skip
forged("decide_on_what_somebody_has_changed_meanwhile", lambda: _after(action("NOTE", ANN, 1), action("CLOSE", ANN, 1, to="NO_ACTION", reason="HEDGING")),
       (cases, '    if record["version"] != case.version:', "    if False:"))  # fmt: skip
forged("change_a_case_that_is_closed", lambda: _after(action("CLOSE", ANN, 1, to="NO_ACTION", reason="HEDGING"), action("NOTE", ANN, 2)),
       (cases, "    if case.status not in rule.states:", "    if False:"))  # fmt: skip
forged("close_a_case_without_saying_why", lambda: _after(action("CLOSE", ANN, 1, to="NO_ACTION", reason="")),
       (cases, '    return None if record["reason"] in set(ReasonCode) else', "    return None if True else"))  # fmt: skip

PROPOSAL = action("SUPPRESS", SUE, case_id="suppression-" + "0" * 32, facts={
    "pattern": "LAYERING", "symbol": "AAPL", "account": "7", "expires_at": str(3_600 * case_records.SECOND)})  # fmt: skip


def _suppressed(proposal: dict[str, Any], *records: dict[str, Any]) -> bool:
    found: Any = suppression.act(None, proposal)
    for record in records:
        found = suppression.act(found, record)
    return not isinstance(found, Refused)


forged("approve_ones_own_suppression", lambda: _suppressed(PROPOSAL, action("APPROVE_SUPPRESSION", SUE, 1, case_id=PROPOSAL["case_id"])),
       (suppression, '    if record["actor"] == one.proposed_by:', "    if False:"))  # fmt: skip
forged("suppress_alerts_for_ever", lambda: _suppressed(PROPOSAL | {"facts": PROPOSAL["facts"] | {"expires_at": str(1 << 62)}}),
       (suppression, '    if not record["at"] < numbers["expires_at"] <= record["at"] + SUPPRESSION_NS_MAX:', "    if False:"))  # fmt: skip
forged("suppress_a_whole_pattern", lambda: _suppressed(PROPOSAL | {"facts": PROPOSAL["facts"] | {"symbol": "", "account": "0"}}),
       (suppression, '    if not symbol and not numbers["account"]:', "    if False:"))  # fmt: skip
forged("suppress_alerts_as_an_analyst", lambda: _suppressed(PROPOSAL | {"actor": ANN, "roles": ["analyst"]}),
       (suppression, "    facts = record[\"facts\"]\n    if refused := check_actor(record) or check_role(record, SENIOR) or check_comment", "    facts = record[\"facts\"]\n    if refused := check_actor(record) or check_comment"))  # fmt: skip


@stopped_by((cases_api, "    read_value(await gateway_of(request).cases.note_read(record))", "    pass"), door=edge)
async def read_evidence_while_nobody_can_record_it(one: Served) -> bool:
    """The log is away."""
    one.cases.away = True
    return (await one.get("/surveillance/alerts", headers=one.stores.bearer(Role.ANALYST)))[0] == 200


@stopped_by((exports, 'writer.writerow([f"\'{cell}" if cell.startswith(("=", "+", "-", "@", "\\t", "\\r")) else cell for cell in cells])', "writer.writerow(cells)"),
            door=folder)  # fmt: skip
async def put_a_formula_into_a_colleagues_spreadsheet(_: object) -> bool:
    """By a comment on a case."""
    row = dict.fromkeys(exports.CSV_COLUMNS, "") | {"comment": '=HYPERLINK("http://evil.example")'}
    return b"'=" not in exports.as_csv([row])


@stopped_by(
    (
        reports_api,
        "    if name not in {each for file in one.files for each in (file.name, _companion(one, file)) if each}:",
        "    if False:",
    ),
    door=folder,
)
async def fetch_a_file_beside_a_report(path: Path) -> bool:
    """By its path."""

    class Report:
        files = ()
        folder = path

    before = reports_api.stored
    reports_api.stored = lambda *_: Report()  # type: ignore[assignment]
    kind: Any = next(iter(reports_api.KINDS.values()))
    settings: Any = None
    try:
        return bool(reports_api._file(settings, ReportDay.parse("2026-11-27"), kind, "../secret"))
    except Exception:
        return False
    finally:
        reports_api.stored = before


forged("name_a_day_that_is_a_path", lambda: _day("../../etc"), (reports_api, "        return ReportDay.parse(text)", "        return text"))


def _day(text: str) -> bool:
    try:
        return str(reports_api._day(text)) == text
    except (OutcryError, reports_api.HttpError):
        return False
