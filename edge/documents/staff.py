"""The operations of analysts, supervisors and compliance officers for the OpenAPI document: those of edge.console that answer programs.

Summary and roles are those of the functions that answer. A test compares the operations with the routes.
"""

import inspect
import re
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from edge.console import cases_api, drafts_api, exports, links_api, search_api, surveillance_api, what_if_api
from edge.console.sign_in import roles_of_route
from edge.documents import native
from edge.documents.shapes import Schema, one_of
from surveillance.cases.report_draft import REFERENCE_MAX
from surveillance.cases.report_fields import FIELD_MAX, FORMS
from surveillance.cases.words import (
    ALERTS_MAX,
    COMMENT_MAX,
    SEVERITIES,
    Action,
    Outcome,
    ReasonCode,
    ReportAction,
    Status,
    SuppressionAction,
)
from surveillance.what_if import pattern_names

MODULES: Final = (surveillance_api, links_api, what_if_api, cases_api, exports, drafts_api, search_api)
SECURITY: Final = {
    "person": {
        "type": "http",
        "scheme": "bearer",
        "description": "An operator token: `outcry users token` makes one. Pages have a session instead.",
    }
}
_TEXT: Final[Schema] = {"type": "string"}
_COMMENT: Final[Schema] = {"type": "string", "maxLength": COMMENT_MAX}
_ALERTS: Final[Schema] = {"type": "array", "items": _TEXT, "maxItems": ALERTS_MAX}


def _whole(low: int, high: int, default: int | None = None) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high} | ({} if default is None else {"default": default})


_VERSION: Final = _whole(1, (1 << 31) - 2)
_FILTER: Final[dict[str, Schema]] = {
    "state": one_of(("open", "closed", "all", *Status)), "owner": _TEXT | {"description": "A name, or `me`."}, "severity": one_of(SEVERITIES), "pattern": _TEXT,
    "symbol": _TEXT, "account": _whole(0, 10**18 - 1), "overdue": one_of(("true", "false")), "suppressed": one_of(("true", "false")),
}  # fmt: skip
_PAGE: Final[dict[str, Schema]] = {
    "order": one_of(("risk", "newest", "due")), "limit": _whole(1, cases_api.QUEUE_MAX, 100), "offset": _whole(0, 10**18 - 1, 0),
}  # fmt: skip
PARAMETERS: Final[dict[tuple[str, str], dict[str, Schema]]] = {
    ("GET", "/surveillance/queue"): _FILTER | _PAGE,
    ("GET", "/surveillance/counts"): _FILTER,
    ("GET", "/surveillance/alerts"): {name: _FILTER[name] for name in ("pattern", "symbol", "account")} | {"limit": _whole(1, surveillance_api.ALERTS_PAGE_MAX, 100)},
    ("GET", "/surveillance/alerts/{alert_id}/links"): {
        "minutes": _whole(1, links_api.MINUTES_MAX, links_api.MINUTES_DEFAULT), "accounts": _whole(1, links_api.ACCOUNTS_MAX, links_api.ACCOUNTS_DEFAULT),
    },
    ("GET", "/surveillance/cases/{case_id}/export"): {"format": one_of(exports.FORMATS)},
    ("GET", "/surveillance/reports"): {"case": _TEXT},
    ("GET", "/surveillance/reports/{report_id}/export"): {"format": one_of(exports.FORMATS)},
    ("GET", "/surveillance/search"): native.SEARCH | {"account": _whole(0, 10**18 - 1)},
}  # fmt: skip
"""Of the query, by operation. An empty one counts as absent."""
BODIES: Final[dict[tuple[str, str], tuple[dict[str, Schema], tuple[str, ...]]]] = {
    ("POST", "/surveillance/what-ifs"): (
        {
            "pattern": one_of(pattern_names()),
            "parameters": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
            "from": _TEXT | {"description": "A date or an RFC 3339 time; a day before `to` if it is missing."}, "to": _TEXT | {"description": "The same; now."},
            "symbols": {"type": "array", "items": _TEXT, "maxItems": what_if_api.SYMBOLS_MAX},
        }, ("pattern", "parameters"),
    ),
    ("POST", "/surveillance/what-ifs/{run_id}/cancel"): ({}, ()),
    ("POST", "/surveillance/reports"): ({"kind": one_of(FORMS), "case": _TEXT, "comment": _COMMENT}, ("kind", "case", "comment")),
    ("POST", "/surveillance/reports/{report_id}/actions"): (
        {
            "action": one_of(one for one in ReportAction if one is not ReportAction.DRAFT_REPORT), "version": _VERSION, "comment": _COMMENT,
            "fields": {"type": "object", "additionalProperties": _TEXT | {"maxLength": FIELD_MAX}},
            "reference": _TEXT | {"maxLength": REFERENCE_MAX},
        }, ("action", "version"),
    ),
    ("POST", "/surveillance/cases"): ({"alerts": _ALERTS | {"minItems": 1}, "comment": _COMMENT}, ("alerts",)),
    ("POST", "/surveillance/cases/{case_id}/actions"): (
        {
            "action": one_of(one for one in Action if one is not Action.OPEN), "version": _VERSION, "comment": _COMMENT, "alerts": _ALERTS,
            "to": _TEXT | {"description": f"A person, a role, or {', '.join(Outcome)}."}, "reason": one_of(("", *ReasonCode)),
        }, ("action", "version"),
    ),
    ("POST", "/surveillance/suppressions"): (
        {"pattern": _TEXT, "symbol": _TEXT, "account": _whole(0, 1 << 62), "hours": _whole(1, 24 * 365), "comment": _COMMENT}, ("pattern", "hours", "comment"),
    ),
    ("POST", "/surveillance/suppressions/{suppression_id}/actions"): (
        {"action": one_of((SuppressionAction.APPROVE_SUPPRESSION, SuppressionAction.LIFT)), "version": _VERSION, "comment": _COMMENT}, ("action", "version", "comment"),
    ),
}  # fmt: skip
"""By operation: fields and which of them have to be there."""
STATUS: Final = {
    ("POST", "/surveillance/cases"): 201,
    ("POST", "/surveillance/suppressions"): 201,
    ("POST", "/surveillance/what-ifs"): 202,
    ("POST", "/surveillance/reports"): 201,
}
"""Where success is not 200."""
_ERRORS: Final = {
    "400": "The body cannot be read as JSON.",
    "401": "Nobody has signed in, or the token is not good.",
    "403": "Not for this person: the message names the role, the owner, or that a second person is needed.",
    "404": "There is none.",
    "409": "Somebody was first, or the case is in another state; `version` is the current one.",
    "422": "A parameter or field cannot be taken; the message, or `field`, names it.",
    "429": "Too many wrong tokens: wait `Retry-After` seconds.",
    "503": "It could not be recorded who asks, or a store is away: nothing was done or shown.",
}


def operations() -> Iterable[web.RouteDef]:
    """The routes that answer programs: all but the pages."""
    return (one for module in MODULES for one in module.ROUTES if not one.handler.__name__.endswith("_page"))


def paths() -> dict[str, Any]:
    """Of the OpenAPI document."""
    found: dict[str, dict[str, Any]] = {}
    for one in operations():
        found.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return found


def _operation(one: web.RouteDef) -> dict[str, Any]:
    key = (one.method, one.path)
    places = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT | {"minLength": 1}} for name in re.findall(r"\{([^}]*)\}", one.path)
    ]
    asked = [{"name": name, "in": "query", "schema": schema, "allowEmptyValue": True} for name, schema in PARAMETERS.get(key, {}).items()]
    content: dict[str, Any] = {"application/json": {"schema": {}}}
    if one.path.endswith("/export"):
        content |= {kind: {"schema": {"type": "string"}} for kind in ("text/csv", "application/pdf")}
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{one.method.lower()}{one.path}").strip("_"), "tags": ["Surveillance"],
        "summary": (inspect.getdoc(one.handler) or "").split("\n", 1)[0].rstrip("."),
        "x-answer": f"for {', '.join(sorted(roles_of_route(one.handler)))}", "security": [{"person": []}], "parameters": [*places, *asked],
        "responses": {str(STATUS.get(key, 200)): {"description": "The answer.", "content": content}}
        | {status: {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}} for status, text in _ERRORS.items()},
    }  # fmt: skip
    if key in BODIES:
        properties, needed = BODIES[key]
        schema = {"type": "object", "properties": properties, "required": list(needed)}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described
