"""Drafts of reports to authorities (STOR, SAR) from cases, for compliance alone: made from the facts of a case, filled in, released by a second person.

Whoever is not of compliance gets 403 for every address here, whether there is a draft or not. Nothing is sent to anybody: a person files a report, and
says so. Every read is in the log before it is shown, under the report's own id and never under that of a case.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec
from aiohttp import web

from access.people import Role
from edge.console.cases_api import RefusedError, act, action_json, body_of, note_read, state_json, text_of, version_of
from edge.console.exports import PDFS, as_file, csv_of, format_of
from edge.console.pages import page
from edge.console.pdf import part
from edge.console.sign_in import PERSON, allowed
from edge.gateway.stored.stores import alert_record
from edge.http.answers import json_response
from edge.http.errors import HttpError, not_found, read_value
from edge.http.state import gateway_of
from surveillance.cases.refused import Refused
from surveillance.cases.report_draft import DRAFT, FIELD, PREFIX, WITHDRAWN, ReportDraft, content_digest
from surveillance.cases.report_draft import allowed as allowed_actions
from surveillance.cases.report_facts import facts_of
from surveillance.cases.report_fields import FORMS
from surveillance.cases.words import ReadAction, Refusal, ReportAction

LISTED_MAX: Final = 500
_ACTIONS: Final = frozenset(ReportAction) - {ReportAction.DRAFT_REPORT}
_CSV: Final = ("section", "field", "title", "needed", "text")


@allowed(Role.COMPLIANCE)
async def drafts_page(request: web.Request) -> web.StreamResponse:
    """The page."""
    return page("drafts.html")


@allowed(Role.COMPLIANCE)
async def get_drafts(request: web.Request) -> web.Response:
    """All reports, the newest first, without their texts; `case`: only those about it."""
    case = request.query.get("case", "")
    found = [one for one in gateway_of(request).cases.desk.reports.values() if case in ("", one.case)]
    await note_read(request, ReadAction.READ_REPORTS, "", (), case=case)
    newest = sorted(found, key=lambda one: (-one.made_at, one.case_id))[:LISTED_MAX]
    return json_response([{**_head(one), "missing": len(one.missing)} for one in newest])


@allowed(Role.COMPLIANCE)
async def post_draft(request: web.Request) -> web.Response:
    """Make one from a case: {"kind": "STOR", "case": "case-...", "comment": "..."}. Facts of the case are filled in; what is not known stays empty."""
    body, gateway = await body_of(request), gateway_of(request)
    kind, case = text_of(body, "kind"), gateway.cases.desk.cases.get(text_of(body, "case"))
    if kind not in FORMS:
        raise RefusedError(Refused(Refusal.FIELD, f"kind must be one of {', '.join(FORMS)}", field="kind"))
    if case is None:
        raise RefusedError(Refused(Refusal.FIELD, "case: there is no such case", field="case"))
    rows = read_value(await gateway.case_files.alerts(case.alerts))
    fields = facts_of(kind, [alert_record(one.alert) for one in rows], gateway.instruments) if rows else {}
    facts = {
        "kind": kind,
        "case": case.case_id,
        "case_version": str(case.version),
        **{f"{FIELD}{name}": text for name, text in fields.items()},
    }
    made = await act(request, ReportAction.DRAFT_REPORT, f"{PREFIX}{uuid4().hex}", 0, comment=text_of(body, "comment"), facts=facts)
    return json_response(await _file(request, made), 201)


@allowed(Role.COMPLIANCE)
async def get_draft(request: web.Request) -> web.Response:
    """A report with its fields by section, its history, and what this person may do with it."""
    draft = _draft(request)
    await note_read(request, ReadAction.READ_REPORT, draft.case_id, ())
    return json_response(await _file(request, draft))


@allowed(Role.COMPLIANCE)
async def post_draft_action(request: web.Request) -> web.Response:
    """Do something with one: {"action": "EDIT_REPORT", "version": 1, "fields": {"entity_name": "..."}}; others have a `comment`, FILE_REPORT a `reference`."""
    draft, body = _draft(request), await body_of(request)
    action, fields = text_of(body, "action"), body.get("fields", {})
    if action not in _ACTIONS:
        raise RefusedError(Refused(Refusal.UNKNOWN_ACTION, f"action must be one of {', '.join(sorted(_ACTIONS))}", "action"))
    if not isinstance(fields, dict) or not all(isinstance(one, str) for one in fields.values()):
        raise RefusedError(Refused(Refusal.FIELD, "fields must be an object of names and texts", field="fields"))
    facts = {f"{FIELD}{name}": text for name, text in fields.items()}
    if action == ReportAction.FILE_REPORT:
        facts = {"reference": text_of(body, "reference")}
    made = await act(request, action, draft.case_id, version_of(body), comment=text_of(body, "comment"), facts=facts)
    return json_response(await _file(request, made))


@allowed(Role.COMPLIANCE)
async def get_draft_export(request: web.Request) -> web.Response:
    """A report as JSON, CSV or PDF with the SHA-256 of its content; one that is not released says so. Who takes it is in the log first."""
    draft, form = _draft(request), format_of(request)
    digest = content_digest(draft)
    content = {**_head(draft), "content_sha256": digest, "fields": _fields(draft)}
    if form == "pdf":
        data = await PDFS.make(_document(draft, digest))
    elif form == "json":
        data = msgspec.json.encode({**content, "sha256": hashlib.sha256(msgspec.json.encode(content)).hexdigest()})
    else:
        data = csv_of(_CSV, ([one["section"], one["name"], one["title"], one["needed"], one["text"]] for one in content["fields"]))
    await note_read(request, ReadAction.EXPORT_REPORT, draft.case_id, (), format=form, sha256=digest)
    return as_file(data, form, f"{draft.kind.lower()}-{draft.case_id}-v{draft.version}")


def _draft(request: web.Request) -> ReportDraft:
    gateway = gateway_of(request)
    found = gateway.cases.desk.reports.get(request.match_info["report_id"])
    if found is not None:
        return found
    if not gateway.cases.caught_up:
        raise HttpError(503, "reports are still being read from the log; try again", headers={"Retry-After": "1"})
    raise not_found("there is no such report")


async def _file(request: web.Request, draft: Any) -> dict[str, Any]:
    assert isinstance(draft, ReportDraft)
    actions = read_value(await gateway_of(request).case_files.actions(draft.case_id))
    return {
        "report": _head(draft), "fields": _fields(draft), "missing": list(draft.missing), "allowed": allowed_actions(draft, request[PERSON].name),
        "history": [_without_texts(action_json(one)) for one in actions],
    }  # fmt: skip


def _head(draft: ReportDraft) -> dict[str, Any]:
    """Everything but the texts. `not_released`: what has to be said with every copy."""
    head = {name: value for name, value in state_json(draft).items() if name not in ("fields", "pattern")}
    form = FORMS[draft.kind]
    return {**head, "title": form.title, "modelled_on": form.modelled_on, "not_released": _banner(draft)}


def _banner(draft: ReportDraft) -> str:
    return {DRAFT: "Draft, not released", WITHDRAWN: "Withdrawn"}.get(draft.status, "")


def _fields(draft: ReportDraft) -> list[dict[str, Any]]:
    """In the order of the form. `known`: somebody or something has filled it in; an empty text is not known."""
    return [
        {"section": one.section, "name": one.name, "title": one.title, "hint": one.hint, "needed": one.needed, "known": one.name in draft.fields,
         "text": draft.fields.get(one.name, "")}
        for one in FORMS[draft.kind].fields
    ]  # fmt: skip


def _without_texts(entry: dict[str, Any]) -> dict[str, Any]:
    """What was filled in is said by the names of the fields: the texts are in the report."""
    facts = {name: "" if name.startswith(FIELD) else text for name, text in entry["facts"].items()}
    return {**entry, "facts": facts}


def _document(draft: ReportDraft, digest: str) -> dict[str, Any]:
    form, sections = FORMS[draft.kind], dict.fromkeys(one.section for one in FORMS[draft.kind].fields)
    parts = [part("The report", facts=_about(draft))]
    for section in sections:
        fields = [one for one in form.fields if one.section == section]
        short = [(one.title, draft.fields.get(one.name, "(not known)")) for one in fields if not _is_long(draft.fields.get(one.name, ""))]
        parts.append(part(section, facts=short))
        parts += [part(one.title, text=draft.fields[one.name]) for one in fields if _is_long(draft.fields.get(one.name, ""))]
    return {
        "title": form.title, "subtitle": f"Modelled on {form.modelled_on}", "banner": _banner(draft).upper(), "digest": digest, "parts": parts,
    }  # fmt: skip


def _about(draft: ReportDraft) -> Sequence[tuple[str, Any]]:
    released = f"{draft.released_by}, {state_json(draft)['released_at']}" if draft.released_by else "no"
    return (
        ("Report", f"{draft.case_id}, version {draft.version}, {draft.status.lower()}"), ("About", f"{draft.case}, version {draft.case_version}"),
        ("Worked on by", ", ".join(draft.workers)), ("Released by", released), ("Reference of the authority", draft.reference or "none yet"),
    )  # fmt: skip


def _is_long(text: str) -> bool:
    return "\n" in text or len(text) > 300


ROUTES: Final = (
    web.get("/surveillance/drafts", drafts_page),
    web.get("/surveillance/reports", get_drafts),
    web.post("/surveillance/reports", post_draft),
    web.get("/surveillance/reports/{report_id}", get_draft),
    web.post("/surveillance/reports/{report_id}/actions", post_draft_action),
    web.get("/surveillance/reports/{report_id}/export", get_draft_export),
)
