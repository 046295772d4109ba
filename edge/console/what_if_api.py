"""What-if for analysts: which bounds can be moved, a run over the stored log with one of them moved, its progress, its answer, its end.

A run is a process of its own and notifies nobody. That it was asked, with what, is in the log before it begins, and so is each reading of its answer.
Runs are of the person who asked, and of this edge: they are in memory, and gone when it ends. 422: `message` has the range and the table's sentence.
"""

import time
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web

from edge.console.cases_api import ANALYSTS, body_of, note_read
from edge.console.pages import page
from edge.console.sign_in import PERSON, allowed
from edge.gateway.analysts.what_ifs import DONE, WhatIfRun
from edge.http.answers import json_response
from edge.http.errors import bad_parameter, not_found, read_value
from edge.http.state import gateway_of
from edge.http.timestamps import parse_time_ns, rfc3339, rfc3339_or_none
from surveillance.cases.desk import case_id_of
from surveillance.cases.words import ReadAction
from surveillance.what_if import BadParameter, changed, check_range, parameters_of, pattern_names

SYMBOLS_MAX: Final = 100
_DAY_NS: Final = 86_400_000_000_000
_FIELDS: Final = frozenset({"pattern", "parameters", "from", "to", "symbols"})


@allowed(*ANALYSTS)
async def what_if_page(request: web.Request) -> web.StreamResponse:
    """The page."""
    return page("what_if.html")


@allowed(*ANALYSTS)
async def get_patterns(request: web.Request) -> web.Response:
    """The patterns, and of each the bounds that can be moved: value of now, range, unit, and what it is."""
    return json_response([{"pattern": one, "parameters": [asdict(each) for each in parameters_of(one)]} for one in pattern_names()])


@allowed(*ANALYSTS)
async def get_what_ifs(request: web.Request) -> web.Response:
    """The runs of this person, the newest first, without their answers."""
    mine = [one for one in gateway_of(request).what_ifs.runs.values() if one.person == request[PERSON].name]
    return json_response([_run_json(one) for one in reversed(mine)])


@allowed(*ANALYSTS)
async def post_what_if(request: web.Request) -> web.Response:
    """Begin a run: {"pattern": "LAYERING", "parameters": {"orders_min": 3}, "from": "2026-11-30", "to": "2026-12-01", "symbols": ["AAPL"]}. One of a person at a time."""
    gateway, question = gateway_of(request), await _question(request)
    asked = {
        "pattern": question["pattern"], "parameters": ", ".join(f"{name}={value}" for name, value in question["parameters"].items()),
        "from": rfc3339(question["begin"]), "to": rfc3339(question["end"]), "symbols": ", ".join(question["symbols"]),
    }  # fmt: skip
    await note_read(request, ReadAction.WHAT_IF, "", (), **asked)
    run = read_value(gateway.what_ifs.start(request[PERSON].name, question))
    return json_response(_run_json(run), 202)


@allowed(*ANALYSTS)
async def get_what_if(request: web.Request) -> web.Response:
    """A run: how far it is, and its answer once it is there: alerts of both, of the bounds of now only, of the others only, with the state of their cases."""
    run = _run(request)
    if run.state != DONE:
        return json_response(_run_json(run))
    await note_read(request, ReadAction.WHAT_IF, "", (), run=run.run_id)
    return json_response({**_run_json(run), "result": _result_json(request, run.result)})


@allowed(*ANALYSTS)
async def post_what_if_cancel(request: web.Request) -> web.Response:
    """End a run before it is over."""
    run = _run(request)
    await gateway_of(request).what_ifs.cancel(run)
    return json_response(_run_json(run))


def _run(request: web.Request) -> WhatIfRun:
    run = gateway_of(request).what_ifs.runs.get(request.match_info["run_id"])
    if run is None or run.person != request[PERSON].name:
        raise not_found("there is no such what-if of yours on this edge")
    return run


async def _question(request: web.Request) -> dict[str, Any]:
    """Raises HttpError."""
    body = await body_of(request)
    if unknown := sorted(body.keys() - _FIELDS):
        raise bad_parameter(f"{unknown[0][:64]} is not known: there are {', '.join(sorted(_FIELDS))}")
    pattern, parameters, symbols = body.get("pattern", ""), body.get("parameters", {}), body.get("symbols", [])
    if not isinstance(pattern, str) or not isinstance(parameters, dict):
        raise bad_parameter("pattern must be text, and parameters an object of names and whole numbers")
    if not isinstance(symbols, list) or not all(isinstance(one, str) for one in symbols) or len(symbols) > SYMBOLS_MAX:
        raise bad_parameter(f"symbols must be a list of {SYMBOLS_MAX} texts at the most")
    known = gateway_of(request).instruments.by_symbol
    if unknown := [one for one in symbols if one not in known]:
        raise bad_parameter(f"symbols: {unknown[0][:32]!r} is not known")
    end = _time(body, "to", time.time_ns())
    begin = _time(body, "from", end - _DAY_NS)
    try:
        changed(pattern, parameters)
        check_range(begin, end)
    except BadParameter as error:
        raise bad_parameter(str(error)) from None
    return {"pattern": pattern, "parameters": parameters, "begin": begin, "end": end, "symbols": symbols}


def _time(body: dict[str, Any], name: str, default: int) -> int:
    text = body.get(name) or ""
    found = parse_time_ns(text) if isinstance(text, str) and text else default if text == "" else None
    if found is None:
        raise bad_parameter(f"{name} must be a date or an RFC 3339 time")
    return found


def _run_json(run: WhatIfRun) -> dict[str, Any]:
    asked = run.question
    return {
        "run_id": run.run_id, "state": run.state, "done": run.done, "records": run.records or None, "problem": run.problem,
        "asked_at": rfc3339(run.asked_at), "ended_at": rfc3339_or_none(run.ended_at), "pattern": asked["pattern"], "parameters": asked["parameters"],
        "from": rfc3339(asked["begin"]), "to": rfc3339(asked["end"]), "symbols": asked["symbols"],
    }  # fmt: skip


def _result_json(request: web.Request, result: dict[str, Any]) -> dict[str, Any]:
    cases = gateway_of(request).cases.desk.cases

    def shown(alert: dict[str, Any]) -> dict[str, Any]:
        case = cases.get(case_id_of(alert["episode_key"]))
        times = {name: rfc3339(alert[name]) for name in ("window_start", "window_end", "detected_at")}
        return {**alert, **times, "case": {"case_id": case.case_id, "state": case.status, "reason": case.reason} if case else None}

    return {**result, "alerts": {name: [shown(one) for one in found] for name, found in result["alerts"].items()}}


ROUTES: Final = (
    web.get("/surveillance/what-if", what_if_page),
    web.get("/surveillance/what-ifs", get_what_ifs),
    web.post("/surveillance/what-ifs", post_what_if),
    web.get("/surveillance/what-ifs/patterns", get_patterns),
    web.get("/surveillance/what-ifs/{run_id}", get_what_if),
    web.post("/surveillance/what-ifs/{run_id}/cancel", post_what_if_cancel),
)
