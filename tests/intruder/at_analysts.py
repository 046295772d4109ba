"""Colleagues who ask for more than a case needs: whole graphs, runs without end, what only compliance may see."""

import asyncio
import sys
from typing import Any, Final

from at_topics import forged
from attack import stopped_by
from support.records.case_records import action
from support.served_edge import Served

from access.people import Role
from edge.console import links_api, sign_in
from edge.gateway.analysts import what_ifs
from edge.gateway.analysts.linked_accounts import LinkedAccounts
from edge.gateway.outcomes import Accepted
from surveillance import what_if
from surveillance.cases import report_draft
from surveillance.cases.desk import case_id_of
from surveillance.cases.refused import Refused
from surveillance.cases.report_draft import ReportDraft
from surveillance.cases.report_fields import STOR
from surveillance.linked_accounts import TradedPair, linked


class _Links:
    """Everybody has traded with account 7."""

    async def around(self, alert: dict[str, Any], span_ns: int, accounts_max: int) -> Accepted[LinkedAccounts]:
        """As many as are asked for."""
        trades = [TradedPair(7, number, 1, 1, 1) for number in range(100, 1_100)]
        return Accepted(LinkedAccounts(linked([7], trades, [], [], accounts_max), [], 0, 1, 0, owners_known=True, sign_ins_since=0))


@stopped_by((links_api, "    if not 1 <= found <= most:", "    if False:"))
async def draw_a_graph_of_all_accounts(one: Served) -> bool:
    """Around one alert."""
    links: Any = _Links()
    one.gateway.account_links = links
    path = "/surveillance/alerts/alert-1/links?accounts=100000"
    status, body, _ = await one.get(path, headers=one.stores.bearer(Role.ANALYST))
    return status == 200 and len(body["accounts"]) > 60


ROLES: Final = (sign_in, "    if roles.isdisjoint(person.roles):", "    if False:")


@stopped_by(ROLES)
async def read_a_stor_as_an_analyst(one: Served) -> bool:
    """By its address, which leaked."""
    report = await _drafted(one)
    status, body, _ = await one.get(f"/surveillance/reports/{report}", headers=one.stores.bearer(Role.ANALYST))
    return status == 200 and "fields" in body


@stopped_by(ROLES)
async def ask_whether_there_is_a_report(one: Served) -> bool:
    """About a case of one's own."""
    await _drafted(one)
    status, body, _ = await one.get("/surveillance/reports", headers=one.stores.bearer(Role.SUPERVISOR))
    return status == 200 and len(body) == 1


async def _drafted(one: Served) -> str:
    """A STOR on the case of alert-1; its id."""
    carl = {"Authorization": f"Bearer {one.stores.add_token(Role.COMPLIANCE, name='carl')}"}
    await one.post("/surveillance/cases", headers=carl, json={"alerts": ["alert-1"]})
    asked = {"kind": "STOR", "case": case_id_of("episode-1"), "comment": "because"}
    return str((await one.post("/surveillance/reports", headers=carl, json=asked))[1]["report"]["case_id"])


REPORT = "report-" + "0" * 32
FACTS = {"kind": "STOR", "case": "case-1", "case_version": "1"}
FULL = {f"field.{field.name}": "known" for field in STOR.fields}


def _reported(*records: dict[str, Any]) -> bool:
    """Whether the last of these is done."""
    found: ReportDraft | Refused | None = None
    for record in records:
        found = report_draft.act(found if isinstance(found, ReportDraft) else None, record)
    return isinstance(found, ReportDraft)


def _record(name: str, actor: str, version: int, role: str = "compliance", **facts: str) -> dict[str, Any]:
    return action(name, actor, version, case_id=REPORT, roles=[role], facts=facts)


forged("draft_a_report_as_a_supervisor", lambda: _reported(_record("DRAFT_REPORT", "sue", 0, "supervisor", **FACTS)),
       (report_draft, "    if refused := check_actor(record) or check_role(record, {Role.COMPLIANCE}):", "    if refused := check_actor(record):"))  # fmt: skip
forged("release_ones_own_report", lambda: _reported(_record("DRAFT_REPORT", "carl", 0, **FACTS, **FULL), _record("RELEASE_REPORT", "carl", 1)),
       (report_draft, "    if action == ReportAction.RELEASE_REPORT and actor in draft.workers:", "    if False:"))  # fmt: skip
forged("release_a_report_with_holes", lambda: _reported(_record("DRAFT_REPORT", "carl", 0, **FACTS), _record("RELEASE_REPORT", "dora", 1)),
       (report_draft, "            if draft.missing:", "            if False:"))  # fmt: skip
_DONE: Final = (_record("DRAFT_REPORT", "carl", 0, **FACTS, **FULL), _record("RELEASE_REPORT", "dora", 1))
STATES: Final = (report_draft, "    if draft.status not in _STATES[action]:", "    if False:")
_LIE: Final = {next(iter(FULL)): "nothing"}
forged("change_a_report_after_its_release", lambda: _reported(*_DONE, _record("EDIT_REPORT", "carl", 2, **_LIE)), STATES)
forged("file_a_report_that_nobody_has_released", lambda: _reported(_DONE[0], _record("FILE_REPORT", "carl", 1, reference="FCA-1")), STATES)
forged("overwrite_what_a_colleague_has_changed_in_a_report",
       lambda: _reported(_DONE[0], _record("EDIT_REPORT", "dora", 1, **_LIE), _record("EDIT_REPORT", "carl", 1, **_LIE)),
       (report_draft, '    if record["version"] != draft.version:', "    if False:"))  # fmt: skip
forged("make_a_report_anew_over_one_that_is_there", lambda: _reported(_DONE[0], _record("DRAFT_REPORT", "dora", 0, **FACTS)),
       (report_draft, "    if draft is not None:", "    if False:"))  # fmt: skip
forged("fill_the_log_by_a_field_of_a_report", lambda: _reported(_record("DRAFT_REPORT", "carl", 0, **FACTS, **{next(iter(FULL)): "x" * 10**6})),
       (report_draft, "        if len(text) > FIELD_MAX:", "        if False:"))  # fmt: skip


def _moved(**values: int) -> bool:
    try:
        what_if.changed("LAYERING", values)
    except what_if.BadParameter:
        return False
    return True


forged("move_a_bound_of_memory", lambda: _moved(layers_max=999_999), (what_if, "        if one.name not in _FIXED\n", ""))
WAITS: Final = (sys.executable, "-c", "import sys; sys.stdin.read()")
ASKED: Final = {"pattern": "LAYERING", "parameters": {"orders_min": 3}}


@stopped_by(
    (what_ifs, "                async with asyncio.timeout(WHAT_IF_TIMEOUT_S):", "                async with asyncio.timeout(None):")
)
async def ask_for_a_what_if_without_end(one: Served) -> bool:
    """Nobody else gets one meanwhile."""
    before, what_ifs.WHAT_IF_TIMEOUT_S = what_ifs.WHAT_IF_TIMEOUT_S, 0.1  # type: ignore[misc]
    runs = one.gateway.what_ifs = what_ifs.WhatIfs(one.gateway.settings, WAITS)
    try:
        await one.post("/surveillance/what-ifs", headers=one.stores.bearer(Role.ANALYST), json=ASKED)
        (run,) = runs.runs.values()
        for _ in range(200):
            if run.is_over:
                return False
            await asyncio.sleep(0.01)
        return True
    finally:
        what_ifs.WHAT_IF_TIMEOUT_S = before  # type: ignore[misc]
        await runs.close()


@stopped_by((what_ifs, "        if any(one.person == person for one in unfinished):", "        if False:"))
async def begin_many_what_ifs(one: Served) -> bool:
    """And take every place."""
    runs = one.gateway.what_ifs = what_ifs.WhatIfs(one.gateway.settings, WAITS)
    mine = one.stores.bearer(Role.ANALYST)
    try:
        answers = [(await one.post("/surveillance/what-ifs", headers=mine, json=ASKED))[0] for _ in range(3)]
        return answers == [202] * 3
    finally:
        await runs.close()
