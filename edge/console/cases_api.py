"""Cases for analysts: the queue, cases and what is done with them, suppressions, the supervisor's overview.

A refusal says why as a word (`refusal`), for a program, and as a sentence (`message`), for a person. 409: somebody was first, or the case is in
another state; `version` is the current one. 403: `message` names the role, or the person. 422: `field` names the field.
"""

import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from access.people import Person, Role
from edge.console.alert_json import queue_row_json, whole_number
from edge.console.sign_in import PERSON, allowed
from edge.gateway.analysts.case_files import FIRST_LOOK, record_of
from edge.gateway.outcomes import Unavailable
from edge.http.answers import json_response, read_body
from edge.http.client_data import decode_json
from edge.http.errors import BAD_PARAMETER, HttpError, bad_parameter, code_of, not_found, read_value, unavailable
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339, rfc3339_or_none
from schemas.instruments import Instrument
from sinks.mysql.case_queries import QueueFilter, StoredAction
from surveillance.cases.case import Case
from surveillance.cases.case import allowed as allowed_actions
from surveillance.cases.desk import case_id_of
from surveillance.cases.overview import overview
from surveillance.cases.refused import Refused
from surveillance.cases.report_draft import ReportDraft
from surveillance.cases.suppression import Suppression
from surveillance.cases.words import CLOSED, SEVERITIES, Action, ReadAction, Refusal, Status, SuppressionAction

ANALYSTS: Final = (Role.ANALYST, Role.SUPERVISOR, Role.COMPLIANCE)
SENIORS: Final = (Role.SUPERVISOR, Role.COMPLIANCE)
QUEUE_MAX: Final = 500
VOLUME_DAYS: Final = 183
_DAY_NS: Final = 86_400_000_000_000
_STATUS_OF: Final = {
    Refusal.UNKNOWN_ACTION: 422, Refusal.UNKNOWN: 404, Refusal.ROLE_NEEDED: 403, Refusal.NOT_OWNER: 403, Refusal.SAME_PERSON: 403,
    Refusal.CHANGED: 409, Refusal.WRONG_STATE: 409, Refusal.FIELD: 422,
}  # fmt: skip
_GROUPS: Final = {
    "open": tuple(one for one in Status if one not in CLOSED), "closed": tuple(one for one in Status if one in CLOSED), "all": (),
}  # fmt: skip
_TIMES: Final = (
    "alerted_at",
    "opened_at",
    "updated_at",
    "paused_since",
    "closed_at",
    "due_at",
    "expires_at",
    "begins_at",
    "ended_at",
    "made_at",
    "released_at",
    "filed_at",
)


class RefusedError(HttpError):
    """A refusal of a case's rules over HTTP."""

    def __init__(self, refused: Refused) -> None:
        status = _STATUS_OF[refused.code]
        super().__init__(status, refused.text, code=BAD_PARAMETER if status == 422 else code_of(status))
        self._refused = refused

    def body(self) -> dict[str, int | str]:
        """The error object with the word, and what it is about."""
        body = super().body() | {"refusal": self._refused.code}
        if self._refused.field:
            body["field"] = self._refused.field
        if self._refused.version:
            body["version"] = self._refused.version
        return body


# ---- reading


@allowed(*ANALYSTS)
async def get_queue(request: web.Request) -> web.Response:
    """Alerts with their cases, filtered and in order; `total` is how many pass the filter."""
    wanted, now = _queue_filter(request), time.time_ns()
    gateway = gateway_of(request)
    rows, total = read_value(await gateway.case_files.queue(wanted))
    return json_response({"as_of": rfc3339(now), "total": total, "alerts": [queue_row_json(one, gateway.instruments, now) for one in rows]})


@allowed(*ANALYSTS)
async def get_counts(request: web.Request) -> web.Response:
    """How many alerts of the filter there are by state, severity and pattern; how many cases are mine, and how many are overdue."""
    gateway, person, now = gateway_of(request), request[PERSON], time.time_ns()
    counts = read_value(await gateway.case_files.counts(_queue_filter(request)))
    mine = [one for one in gateway.cases.desk.cases.values() if one.owner == person.name and one.status not in CLOSED]
    return json_response({**counts, "mine": len(mine), "mine_overdue": sum(1 for one in mine if one.is_overdue(now))})


@allowed(*ANALYSTS)
async def get_related(request: web.Request) -> web.Response:
    """Other alerts of the same account, or of the same pattern and symbol, with the outcome of their cases."""
    gateway = gateway_of(request)
    rows = read_value(await gateway.case_files.related(request.match_info["alert_id"]))
    cases, now = gateway.cases.desk.cases, time.time_ns()
    return json_response([
        {**queue_row_json(one, gateway.instruments, now), **_outcome(cases.get(one.case_id))} for one in rows
    ])  # fmt: skip


@allowed(*ANALYSTS)
async def get_case(request: web.Request) -> web.Response:
    """A case with its alerts, its history, and what this person may do with it."""
    case = case_of(request)
    await note_read(request, ReadAction.READ_CASE, case.case_id, case.alerts)
    return json_response(await file_of(request, case))


@allowed(*SENIORS)
async def get_overview(request: web.Request) -> web.Response:
    """All cases by state, age, owner and rule; alerts a day by pattern and version; counts of the log up to now."""
    gateway, now = gateway_of(request), time.time_ns()
    volumes = read_value(await gateway.case_files.volumes(now - VOLUME_DAYS * _DAY_NS))
    return json_response({
        "as_of": rfc3339(now),
        **overview(gateway.cases.desk.cases.values(), now),
        "alerts_by_day": [
            {"day": rfc3339(day * _DAY_NS)[:10], "pattern": pattern, "rule_version": str(version), "alerts": alerts}
            for day, pattern, version, alerts in volumes
        ],
    })  # fmt: skip


@allowed(*ANALYSTS)
async def get_suppressions(request: web.Request) -> web.Response:
    """All of them, the newest first, with how many alerts each has kept out of the queue."""
    gateway, found = gateway_of(request), []
    for one in sorted(gateway.cases.desk.suppressions.values(), key=lambda one: (-one.expires_at, one.case_id)):
        found.append({**state_json(one), "alerts": read_value(await gateway.case_files.covered(one))})  # noqa: PERF401  one question at a time
    return json_response(found)


# ---- doing


@allowed(*ANALYSTS)
async def post_case(request: web.Request) -> web.Response:
    """Open a case for alerts: {"alerts": [...], "comment": "..."}. The first decides its id, severity and clocks."""
    body, gateway = await body_of(request), gateway_of(request)
    alert_ids = _texts(body, "alerts")
    if not alert_ids:
        raise RefusedError(Refused(Refusal.FIELD, "alerts must name one alert or more", field="alerts"))
    await _check_alerts(request, alert_ids)
    alert = read_value(await gateway.alert(alert_ids[0]))
    assert alert is not None
    facts = {
        "severity": alert["severity"] or SEVERITIES[0], "pattern": alert["pattern"], "rule_version": str(alert["detector_version"]),
        "symbol": gateway.instruments.by_number[alert["instrument"]].symbol, "alerted_at": str(alert["detected_at"]),
    }  # fmt: skip
    case_id = case_id_of(alert["episode_key"] or alert["alert_id"])
    made = await act(request, Action.OPEN, case_id, 0, comment=text_of(body, "comment"), alerts=alert_ids, facts=facts)
    assert isinstance(made, Case)
    return json_response(await file_of(request, made), 201)


@allowed(*ANALYSTS)
async def post_action(request: web.Request) -> web.Response:
    """Do something with a case: {"action": "CLOSE", "version": 3, "to": "NO_ACTION", "reason": "HEDGING", "comment": "..."}."""
    case, body = case_of(request), await body_of(request)
    action = text_of(body, "action")
    if action not in set(Action) - {Action.OPEN}:
        raise RefusedError(
            Refused(Refusal.UNKNOWN_ACTION, f"action must be one of {', '.join(sorted(set(Action) - {Action.OPEN}))}", "action")
        )
    alerts = _texts(body, "alerts")
    if action == Action.LINK:
        await _check_alerts(request, alerts)
    fields = {"comment": text_of(body, "comment"), "reason": text_of(body, "reason"), "to": text_of(body, "to"), "alerts": alerts}
    made = await act(request, action, case.case_id, version_of(body), **fields)
    assert isinstance(made, Case)
    return json_response(await file_of(request, made))


@allowed(*SENIORS)
async def post_suppression(request: web.Request) -> web.Response:
    """Propose one: {"pattern": "LAYERING", "symbol": "AAPL", "account": 7, "hours": 24, "comment": "..."}. Another person has to approve it."""
    body = await body_of(request)
    symbol = text_of(body, "symbol")
    if symbol:
        _instrument(request, symbol)
    hours = _number(body, "hours", 1, 24 * 365)
    facts = {
        "pattern": text_of(body, "pattern"), "symbol": symbol, "account": str(_number(body, "account", 0, 1 << 62, default=0)),
        "expires_at": str(time.time_ns() + hours * 3_600_000_000_000),
    }  # fmt: skip
    key = f"suppression-{uuid4().hex}"
    made = await act(request, SuppressionAction.SUPPRESS, key, 0, comment=text_of(body, "comment"), facts=facts)
    assert isinstance(made, Suppression)
    return json_response(state_json(made), 201)


@allowed(*SENIORS)
async def post_suppression_action(request: web.Request) -> web.Response:
    """Approve or lift one: {"action": "LIFT", "version": 2, "comment": "..."}."""
    body, key = await body_of(request), request.match_info["suppression_id"]
    action = text_of(body, "action")
    if action not in (SuppressionAction.APPROVE_SUPPRESSION, SuppressionAction.LIFT):
        raise RefusedError(Refused(Refusal.UNKNOWN_ACTION, "action must be APPROVE_SUPPRESSION or LIFT", "action"))
    made = await act(request, action, key, version_of(body), comment=text_of(body, "comment"))
    assert isinstance(made, Suppression)
    return json_response(state_json(made))


async def note_read(request: web.Request, action: ReadAction, case_id: str, alerts: tuple[str, ...], **asked: str) -> None:
    """Have it in the log that this person reads evidence. Raises HttpError 503 where that cannot be: then nothing may be shown."""
    person = request[PERSON]
    record = record_of(action, case_id, 0, person.name, person.roles, alerts=list(alerts), facts=asked)
    read_value(await gateway_of(request).cases.note_read(record))


async def act(request: web.Request, action: str, case_id: str, version: int, **fields: Any) -> Case | Suppression | ReportDraft:
    """Do it in the person's name. Raises HttpError for a refusal, and where the log is away."""
    person: Person = request[PERSON]
    outcome = await gateway_of(request).cases.act(record_of(action, case_id, version, person.name, person.roles, **fields))
    if isinstance(outcome, Refused):
        raise RefusedError(outcome)
    if isinstance(outcome, Unavailable):
        raise unavailable(outcome)
    return outcome.value


# ---- as JSON


async def file_of(request: web.Request, case: Case) -> dict[str, Any]:
    """The whole file of a case as JSON, and what this person may do with it."""
    gateway, person, now = gateway_of(request), request[PERSON], time.time_ns()
    alerts = read_value(await gateway.case_files.alerts(case.alerts))
    actions = read_value(await gateway.case_files.actions(case.case_id))
    return {
        "case": {**state_json(case), "overdue": case.is_overdue(now), "first_look_due_at": rfc3339(case.first_look_due_at)},
        "allowed": allowed_actions(case, person.name, person.roles),
        "alerts": [queue_row_json(one, gateway.instruments, now) for one in alerts],
        "history": [action_json(one) for one in actions],
    }


def state_json(state: Case | Suppression | ReportDraft) -> dict[str, Any]:
    """With times as people read them."""
    return {name: rfc3339_or_none(value) if name in _TIMES else value for name, value in state.as_json().items()}


def action_json(one: StoredAction) -> dict[str, Any]:
    """A record of the log about a case, a suppression or a report."""
    body = one.body
    return {
        "offset": one.log_offset, "at": rfc3339(body["at"]), "refusal": one.refusal,
        **{name: body[name] for name in ("action", "actor", "roles", "version", "to", "reason", "comment", "alerts", "facts")},
    }  # fmt: skip


def _outcome(case: Case | None) -> dict[str, str]:
    return {"outcome": case.outcome if case else "", "reason": case.reason if case else ""}


# ---- what was asked


def case_of(request: web.Request) -> Case:
    """That the address names. Raises HttpError 404, and 503 where it is not known yet."""
    gateway, key = gateway_of(request), request.match_info["case_id"]
    case = gateway.cases.desk.cases.get(key)
    if case is not None:
        return case
    if not gateway.cases.caught_up:
        raise HttpError(503, "cases are still being read from the log; try again", headers={"Retry-After": "1"})
    raise not_found("case not found")


async def _check_alerts(request: web.Request, alert_ids: list[str]) -> None:
    """Raises RefusedError for alerts that are not there."""
    found = read_value(await gateway_of(request).case_files.alerts(tuple(alert_ids)))
    unknown = sorted(set(alert_ids) - {one.alert.alert_id for one in found})
    if unknown:
        raise RefusedError(Refused(Refusal.FIELD, f"alerts: there is no alert {unknown[0][:80]!r}", field="alerts"))


def _queue_filter(request: web.Request) -> QueueFilter:
    """Of the query; an empty value is none. Raises HttpError 422 naming the parameter."""
    query, gateway = request.query, gateway_of(request)
    limit = whole_number(query.get("limit", "100"), "limit")
    if not 1 <= limit <= QUEUE_MAX:
        raise bad_parameter(f"limit must be 1 to {QUEUE_MAX}")
    state, owner = query.get("state") or "open", query.get("owner", "")
    symbol, account = query.get("symbol"), query.get("account")
    if state not in _GROUPS and state not in set(Status):
        raise bad_parameter(f"state must be one of {', '.join((*_GROUPS, *Status))}")
    pattern = query.get("pattern", "")
    if not pattern.isascii():
        raise bad_parameter("pattern is not known")
    return QueueFilter(
        limit,
        offset=whole_number(query.get("offset", "0"), "offset"),
        statuses=_GROUPS.get(state, (state,)),
        owner=request[PERSON].name if owner == "me" else owner,
        severity=_one_of(query, "severity", ("", *SEVERITIES)),
        pattern=pattern,
        instrument=_instrument(request, symbol).number if symbol else None,
        account=whole_number(account, "account") if account else None,
        overdue_at=time.time_ns() if _one_of(query, "overdue", ("", "true", "false")) == "true" else None,
        suppressed=_one_of(query, "suppressed", ("", "true", "false")) == "true",
        windows=gateway.case_files.windows(),
        order=_one_of(query, "order", ("risk", "newest", "due")),
        first_look=FIRST_LOOK,
    )


def _one_of(query: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    value = query.get(name, words[0])
    if value not in words:
        raise bad_parameter(f"{name} must be one of {', '.join(word for word in words if word)}")
    return value


def _instrument(request: web.Request, symbol: str) -> Instrument:
    found = gateway_of(request).instruments.by_symbol.get(symbol)
    if found is None:
        raise RefusedError(Refused(Refusal.FIELD, "symbol is not known", field="symbol"))
    return found


async def body_of(request: web.Request) -> dict[str, Any]:
    """A JSON object. Raises HttpError."""
    try:
        value = decode_json(await read_body(request))
    except ValueError as error:
        raise HttpError(400, f"request body format is invalid: {error}") from None
    if not isinstance(value, dict):
        raise bad_parameter("request body must be a JSON object")
    return value


def text_of(body: dict[str, Any], name: str) -> str:
    """Of a field that may be missing. Raises HttpError 422."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise RefusedError(Refused(Refusal.FIELD, f"{name} must be text", field=name))
    return value


def _texts(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RefusedError(Refused(Refusal.FIELD, f"{name} must be a list of texts", field=name))
    return value


def version_of(body: dict[str, Any]) -> int:
    """Raises HttpError 422."""
    return _number(body, "version", 1, (1 << 31) - 2)


def _number(body: dict[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RefusedError(Refused(Refusal.FIELD, f"{name} must be a whole number from {low} to {high}", field=name))
    return value


ROUTES: Final = (
    web.get("/surveillance/queue", get_queue),
    web.get("/surveillance/counts", get_counts),
    web.get("/surveillance/overview", get_overview),
    web.get("/surveillance/alerts/{alert_id}/related", get_related),
    web.post("/surveillance/cases", post_case),
    web.get("/surveillance/cases/{case_id}", get_case),
    web.post("/surveillance/cases/{case_id}/actions", post_action),
    web.get("/surveillance/suppressions", get_suppressions),
    web.post("/surveillance/suppressions", post_suppression),
    web.post("/surveillance/suppressions/{suppression_id}/actions", post_suppression_action),
)
