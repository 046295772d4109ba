"""Regulatory reports for compliance staff: GET /reports (the page) and how the days stand, a day with its files and answers, and the files themselves.

Read from the folder that the role `make-reports` fills (OUTCRY_REPORTS_DIR); nothing is changed here. Who takes a file is recorded before it is served.
404: there is no such day, report or file, or no folder on this edge. 503: what is there cannot be read, with the reason.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web

from access.events import Act
from access.people import Role
from edge.console.alert_json import whole_number
from edge.console.pages import page
from edge.console.sign_in import PERSON, allowed
from edge.http.addresses import address_of
from edge.http.answers import json_response
from edge.http.errors import HttpError, bad_parameter, not_found
from edge.http.state import gateway_of
from reports.cat.files import parse_name
from reports.catalogue import KINDS, ReportKind
from reports.filed.notes import Notes
from reports.filed.states import ReportState, states_of_day
from reports.filed.stored import StoredFile, StoredReport, days, stored
from reports.filed.submissions import Submission, answers_of, submissions_of
from reports.report_day import ReportDay
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.market_hours import MarketCalendar
from schemas.settings import Settings

DAYS_SHOWN: Final = 30
DAYS_MAX: Final = 366
FAULTS_MAX: Final = 1_000
"""Rejected records of one answer that are listed; all are counted."""
_Value = TypeVar("_Value")


@allowed(Role.COMPLIANCE)
async def reports_page(request: web.Request) -> web.Response:
    """The page."""
    return page("reports.html")


@allowed(Role.COMPLIANCE)
async def get_days(request: web.Request) -> web.Response:
    """How the newest days stand; `before` goes back from a day, `limit` says how many. `next` is the `before` of the days behind them."""
    before = _day(request.query["before"]) if "before" in request.query else None
    limit = whole_number(request.query.get("limit", str(DAYS_SHOWN)), "limit")
    if not 1 <= limit <= DAYS_MAX:
        raise bad_parameter(f"limit must be from 1 to {DAYS_MAX}")
    return json_response(await _read(request, partial(_days, before=before, limit=limit)))


@allowed(Role.COMPLIANCE)
async def get_day(request: web.Request) -> web.Response:
    """A day: each report with what was found in it, its files with their digests, where they were handed over, and what was answered."""
    return json_response(await _read(request, partial(_one_day, day=_day(request.match_info["day"]))))


@allowed(Role.COMPLIANCE)
async def get_file(request: web.Request) -> web.StreamResponse:
    """A file of a report, as it was made, or its companion."""
    day, kind = _day(request.match_info["day"]), KINDS.get(request.match_info["report"])
    if kind is None:
        raise not_found(f"{request.match_info['report']!r} is no report: there are {', '.join(KINDS)}")
    path = await _read(request, partial(_file, day=day, kind=kind, name=request.match_info["file"]))
    person = request[PERSON]
    try:
        await gateway_of(request).people.record(Act.ACTED, person.known_as, address_of(request), f"GET {request.path}")
    except ServiceUnavailable:
        raise HttpError(503, "the file was not served: it could not be recorded who takes it", headers={"Retry-After": "1"}) from None
    return web.FileResponse(
        path, headers={"Content-Disposition": f'attachment; filename="{path.name}"', "Content-Type": "application/octet-stream"}
    )


def _day(text: str) -> ReportDay:
    try:
        return ReportDay.parse(text)
    except OutcryError as error:
        raise bad_parameter(str(error)) from None


async def _read(request: web.Request, read: Callable[[Settings], _Value]) -> _Value:
    """In a thread. Raises HttpError."""
    settings = gateway_of(request).settings
    if not settings.reports_folder.is_dir():
        raise not_found(
            f"this edge has no folder of reports: {settings.reports_folder} is not there; OUTCRY_REPORTS_DIR names the one that make-reports fills"
        )
    try:
        return await asyncio.to_thread(read, settings)
    except (OutcryError, OSError) as error:
        raise HttpError(503, f"the reports cannot be read: {error}") from None


def _days(settings: Settings, before: ReportDay | None, limit: int) -> dict[str, Any]:
    notes, now, calendar = Notes.load(settings), datetime.now(UTC), MarketCalendar.load(settings.market_days_file)
    known = {*days(settings), *map(ReportDay.parse, notes.not_made)}
    wanted = sorted((one for one in known if before is None or one < before), reverse=True)
    shown = [
        {"day": str(one), "not_made": notes.not_made.get(str(one), ""), "reports": [each.as_json() for each in states_of_day(settings, one, calendar, now)]}
        for one in wanted[:limit]
    ]  # fmt: skip
    return {"as_of": now.isoformat(timespec="seconds"), "days": shown, "next": shown[-1]["day"] if len(wanted) > limit else ""}


def _one_day(settings: Settings, day: ReportDay) -> dict[str, Any]:
    notes, now, calendar = Notes.load(settings), datetime.now(UTC), MarketCalendar.load(settings.market_days_file)
    if not (settings.reports_folder / str(day)).is_dir() and str(day) not in notes.not_made:
        nothing = str(day) in notes.nothing
        raise not_found(f"{day} has nothing to report: the market was closed" if nothing else f"there are no reports of {day}")
    found = [_report(settings, one) for one in states_of_day(settings, day, calendar, now)]
    return {"as_of": now.isoformat(timespec="seconds"), "day": str(day), "not_made": notes.not_made.get(str(day), ""), "reports": found}


def _report(settings: Settings, state: ReportState) -> dict[str, Any]:
    shown = state.as_json() | {
        "title": state.kind.title, "modelled_on": state.kind.modelled_on, "first_findings": state.checked.first if state.checked else [],
        "stored_files": [], "log": [],
    }  # fmt: skip
    if state.made and not state.trouble:
        one = stored(settings, state.day, state.kind)
        assert one is not None, "it was there a moment ago, and nothing of it is ever removed"
        sent = submissions_of(one)
        shown |= {"stored_files": [_stored_file(one, file, sent) for file in one.files], "log": one.manifest["log"]}
    return shown


def _stored_file(one: StoredReport, file: StoredFile, sent: list[Submission]) -> dict[str, Any]:
    mine = [each for each in sent if each.file == file.name]
    return {**asdict(file), "companion": _companion(one, file), "submissions": [_submission(each) for each in mine]}


def _companion(one: StoredReport, file: StoredFile) -> str:
    name = parse_name(file.name)
    return name.meta if one.kind.is_cat and name is not None else ""


def _submission(one: Submission) -> dict[str, Any]:
    answers = [
        {"stage": each.stage, "status": each.status, "codes": list(each.codes), "rejected": len(each.records),
         "records": [asdict(record) for record in each.records[:FAULTS_MAX]]}
        for each in answers_of(one)
    ]  # fmt: skip
    return {"target": one.target, "at": one.at, "sha256": one.sha256, "answers": answers}


def _file(settings: Settings, day: ReportDay, kind: ReportKind, name: str) -> Path:
    """Raises HttpError."""
    one = stored(settings, day, kind)
    if one is None:
        raise not_found(f"there is no {kind.name} report of {day}")
    if name not in {each for file in one.files for each in (file.name, _companion(one, file)) if each}:
        raise not_found(f"the {kind.name} report of {day} has no file {name!r}")
    return one.folder / name


ROUTES: Final = (
    web.get("/reports", reports_page),
    web.get("/reports/days", get_days),
    web.get("/reports/days/{day}", get_day),
    web.get("/reports/days/{day}/{report}/{file}", get_file),
)
