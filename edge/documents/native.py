"""What the native API's operations take and answer, as JSON schemas for both documents. Words and limits come from the tables of edge.native.

A test sends every operation and compares the fields that it asks for with those that are described here.
"""

import inspect
from typing import Any, Final

from access.api_keys import NETWORKS_MAX, Scope
from edge.documents.shapes import Schema, one_of
from edge.gateway.limits import SIGNED_WINDOW_MS_MAX
from edge.http.searches import FORMATS, LIMIT_DEFAULT, PARAMETERS
from edge.native import limits, search_api
from edge.native.channels.names import CONFLATED, PRIVATE, STREAMS
from edge.native.keys_api import KEY_OPERATIONS
from edge.native.orders import requests
from edge.native.orders.operations import OPERATIONS
from edge.native.orders.told import EXEC_TYPES
from edge.native.wire.closing import Close
from edge.native.wire.problems import KINDS as PROBLEMS
from schemas.field_rules import LIST_ROWS_MAX
from schemas.limits import CL_ORD_ID_MAX_BYTES
from sinks.elastic.search_places import PLACE_CHARACTERS_MAX
from sinks.elastic.search_words import COLUMNS, KINDS, PAGE_MAX, REASONS, SIDES, SORTS

_MAX63: Final = (1 << 63) - 1
_TIME: Final[Schema] = {"type": "integer", "minimum": 0, "description": "Microseconds since 1970."}
_FLAG: Final[Schema] = {"type": "boolean"}
NUMBER: Final[Schema] = {
    "description": "Exact: text, or in JSON a number, which is read by its digits.",
    "anyOf": [{"type": "string", "pattern": r"^-?[0-9]{1,24}(\.[0-9]{1,24})?$"}, {"type": "number"}],
}
_CL_ORD_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": CL_ORD_ID_MAX_BYTES, "pattern": "^[ -~]+$"}
_PUBLIC_KEY: Final[Schema] = {
    "type": "string", "minLength": 44, "maxLength": limits.PUBLIC_KEY_CHARACTERS_MAX, "description": "Ed25519: PEM, or 32 bytes in base64.",
}  # fmt: skip
_SIGNATURE: Final[Schema] = {"type": "string", "minLength": 88, "maxLength": 88, "description": "Ed25519: 64 bytes in base64."}
_WHICH: Final[dict[str, Schema]] = {"order_id": {"type": "string", "pattern": "^[0-9]{1,19}$"}, "cl_ord_id": _CL_ORD_ID}


def _object(properties: dict[str, Schema], *required: str, closed: bool = True) -> Schema:
    told: Schema = {"type": "object", "properties": properties}
    return told | ({"required": list(required)} if required else {}) | ({"additionalProperties": False} if closed else {})


def _list(items: Schema, most: int, least: int = 0) -> Schema:
    return {"type": "array", "items": items, "maxItems": most} | ({"minItems": least} if least else {})


def _order(*, with_legs: bool) -> Schema:
    numbers = ("order_qty", "price", "stop_px", "display_qty", "min_qty")
    properties: dict[str, Schema] = {
        "side": one_of(requests.SIDES), "ord_type": one_of(requests.ORD_TYPES), "time_in_force": one_of(requests.TIMES_IN_FORCE),
        **dict.fromkeys(numbers, NUMBER), "cl_ord_id": _CL_ORD_ID, "offset": NUMBER, "offset_type": one_of(requests.OFFSET_TYPES),
        "peg_price_type": one_of(requests.PEG_PRICE_TYPES), "exec_inst": _list(one_of(requests.EXEC_INSTS), len(requests.EXEC_INSTS)), "expire_time": _TIME,
        "self_match_prevention_id": {"type": "integer", "minimum": 0, "maximum": _MAX63},
        "self_match_prevention_instruction": one_of(requests.INSTRUCTIONS), "locate": _FLAG,
    }  # fmt: skip
    needed = ("side", "ord_type", "time_in_force", "order_qty")
    if not with_legs:
        return _object(properties, *needed)
    whole = {"symbol": {"type": "string", "maxLength": 32}, "contingency_type": one_of(requests.CONTINGENCY_TYPES)}
    return _object(whole | properties | {"legs": _list(_order(with_legs=False), LIST_ROWS_MAX - 1)}, "symbol", *needed)


EXAMPLE_ORDER: Final = {
    "symbol": "AAPL", "side": "buy", "ord_type": "limit", "time_in_force": "day", "order_qty": "10", "price": "180.05", "cl_ord_id": "a-1",
}  # fmt: skip
_PLACE: Final = {
    "order": {"$ref": "#/components/schemas/NativeNewOrder"},
    "validate": _FLAG,
    "cancel_on_disconnect": {"type": ["boolean", "null"]},
}
_CHANGES: Final[dict[str, Schema]] = {
    "new_cl_ord_id": _CL_ORD_ID, **dict.fromkeys(("order_qty", "price", "stop_px", "display_qty", "offset"), NUMBER),
    "expire_time": _TIME, "exec_inst": _list(one_of(["hidden"]), len(requests.EXEC_INSTS)), "time_in_force": one_of(requests.TIMES_IN_FORCE),
}  # fmt: skip
_IN_BATCH: Final[Schema] = {
    "type": "object", "description": "`op` (order.place, order.amend or order.cancel) and its fields. A wrong one is refused by itself, in its own answer.",
    "examples": [{"op": "order.place", "order": EXAMPLE_ORDER}],
}  # fmt: skip
FIELDS: Final[dict[str, Schema]] = {
    "order.place": _object(_PLACE, "order"),
    "order.amend": _object(_WHICH | _CHANGES),
    "order.cancel": _object(_WHICH),
    "order.cancel_all": _object({"symbol": {"type": "string"}, "side": one_of(requests.SIDES), "key": _FLAG}),
    "order.batch": _object({"requests": _list(_IN_BATCH, limits.BATCH_MAX, 1)}, "requests"),
    "order.status": _object(_WHICH),
    "order.open": _object({}),
    "account.get": _object({}),
    "keys.create": _object(
        {
            "scopes": _list(one_of(map(str, Scope)), len(Scope), 1), "networks": _list({"type": "string"}, NETWORKS_MAX), "ends_at": _TIME,
            "label": {"type": "string", "minLength": 1, "maxLength": limits.LABEL_CHARACTERS_MAX}, "public_key": _PUBLIC_KEY,
        }, "scopes",
    ),
    "keys.list": _object({}),
    "keys.rotate": _object({"key": {"type": "string"}, "overlap_s": {"type": "integer", "minimum": 0, "maximum": limits.ROTATION_OVERLAP_S_MAX},
                            "public_key": _PUBLIC_KEY}, "key"),
    "keys.withdraw": _object({"key": {"type": "string"}}, "key"),
}  # fmt: skip
"""By operation, what it takes: over HTTP the body, over the socket beside `op` and `id`."""

_CHANNEL: Final[Schema] = {
    "type": "string",
    "description": "book.SYMBOL.DEPTH.CADENCE, quotes.SYMBOL.CADENCE, "
    + ", ".join(f"{kind}.SYMBOL" for kind in sorted((STREAMS | CONFLATED) - {"quotes"}))
    + f", {', '.join(sorted(PRIVATE))}. Depths: {', '.join(limits.DEPTHS)}; cadences: {', '.join(limits.CADENCES)}.",
}
_CHANNELS: Final = _object({"channels": _list(_CHANNEL, limits.CHANNELS_PER_MESSAGE_MAX, 1)}, "channels")
_PLACE_OF: Final = _object({"ch": _CHANNEL, "epoch": {"type": "string"}, "seq": {"type": "integer", "minimum": 0}}, "ch", "epoch", "seq")
SOCKET_FIELDS: Final[dict[str, Schema]] = {
    "session.logon": _object(
        {
            "key": {"type": "string"},
            "secret": {"type": "string"},
            "ts": _TIME,
            "signature": _SIGNATURE,
            "window_ms": {"type": "integer", "minimum": 1, "maximum": SIGNED_WINDOW_MS_MAX},
        },
        "key",
    ),
    "session.cancel_on_disconnect": _object(
        {"enabled": _FLAG, "grace_ms": {"type": "integer", "minimum": 0, "maximum": limits.GRACE_MS_MAX}}, "enabled"
    ),
    "session.cancel_after": _object({"timeout_ms": {"type": "integer", "minimum": 0, "maximum": limits.CANCEL_AFTER_MS_MAX}}, "timeout_ms"),
    "subscribe": _CHANNELS,
    "unsubscribe": _CHANNELS,
    "resume": _object({"channels": _list(_PLACE_OF, limits.CHANNELS_PER_MESSAGE_MAX, 1)}, "channels"),
    "ping": _object({}),
}
"""Of the operations that only the socket has."""

_SECURITY: Final[list[dict[str, list[str]]]] = [
    {"nativeKey": [], "nativeSecret": []},
    {"basic": []},
    {"nativeKey": [], "nativeTime": [], "nativeSignature": []},
]
_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_SPAN: Final[Schema] = {
    "type": "string",
    "pattern": r"^[0-9.]*\.\.[0-9.]*$",
    "description": "LOW..HIGH, both included, one of them perhaps missing; needs one symbol.",
}
_DATE: Final[Schema] = {"type": "string", "description": "A date or an ISO 8601 time; UTC where it names no zone."}
SEARCH: Final[dict[str, Schema]] = {
    "symbol": {"type": "array", "items": _TEXT}, "kind": {"type": "array", "items": one_of(KINDS)}, "side": one_of(SIDES), "reason": one_of(REASONS),
    "from": _DATE, "to": _DATE | {"description": "Before this time."}, "price": _SPAN, "size": _SPAN,
    "text": _TEXT | {"maxLength": CL_ORD_ID_MAX_BYTES, "description": "An id of the exchange's, or the beginning of a client's own."},
    "sort": one_of(SORTS), "ascending": one_of(("false", "true")),
    "limit": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": LIMIT_DEFAULT},
    "next": _TEXT | {"maxLength": PLACE_CHARACTERS_MAX, "description": "Of the answer before: the page behind it."}, "format": one_of(FORMATS),
}  # fmt: skip
"""By parameter of GET /v1/search."""
assert tuple(SEARCH) == PARAMETERS
_EVENT: Final = _object({name: {"type": "integer"} if name in ("partition", "seq") else {} for name in COLUMNS}, *COLUMNS)

PROBLEM: Final = _object(
    {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}, "code": one_of(PROBLEMS),
        "retryable": _FLAG, "outcome": one_of(("rejected", "not_sent", "unknown")), "request_id": {"type": "string"}, "field": {"type": "string"},
        "reason": {"type": "string"}, "retry_after_s": {"type": "integer"},
    }, "type", "title", "status", "detail", "code", "retryable", "outcome", "request_id", closed=False,
)  # fmt: skip
ANSWER: Final = _object({"ok": {"const": True}, "outcome": {"const": "accepted"}}, "ok", "outcome", closed=False)


def schemas() -> dict[str, Schema]:
    """By name."""
    return {"NativeNewOrder": _order(with_legs=True) | {"examples": [EXAMPLE_ORDER]}, "NativeAnswer": ANSWER, "Problem": PROBLEM}


def paths() -> dict[str, Any]:
    """Of the OpenAPI document."""
    found: dict[str, Any] = {f"/v1/{op}": {"post": _operation(op)} for op in (*OPERATIONS, *KEY_OPERATIONS)}
    for name, told in (("limits", "Every limit"), ("problems", "Every code of a problem"), ("time", "The edge's clock")):
        answer = {"description": "The answer.", "content": {"application/json": {"schema": {"type": "object"}}}}
        get = {"operationId": f"get_v1_{name}", "tags": ["Native"], "summary": told, "security": [], "responses": {"200": answer}}
        found[f"/v1/{name}"] = {"get": get}
    return found | {"/v1/search": {"get": _search()}}


def _search() -> dict[str, Any]:
    found = _object({"events": _list(_EVENT, PAGE_MAX), "next": {"type": ["string", "null"]}}, "events", "next")
    return {
        "operationId": "get_v1_search", "tags": ["Native"], "summary": _summary(search_api.get_search, "search"), "x-answer": "served",
        "security": _SECURITY, "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in SEARCH.items()],
        "responses": {
            "200": {
                "description": "What was found. The header Link has the address of the next page.",
                "content": {"application/json": {"schema": found}, "text/csv": {"schema": {"type": "string"}}},
            },
            **_problems(),
        },
    }  # fmt: skip


def _summary(run: object, otherwise: str) -> str:
    return (inspect.getdoc(run) or otherwise).split("\n", 1)[0].rstrip(".")


def _problems() -> dict[str, Any]:
    """Answers by status."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {
            "description": "; ".join(f"{code}: {kind.title}" for code, kind in PROBLEMS.items() if kind.status == status),
            "content": content,
        }
        for status in sorted({kind.status for kind in PROBLEMS.values()})
    }


def _operation(op: str) -> dict[str, Any]:
    run = OPERATIONS[op].run if op in OPERATIONS else KEY_OPERATIONS[op]
    return {
        "operationId": f"post_v1_{op.replace('.', '_')}", "tags": ["Native"], "summary": _summary(run, op),
        "x-answer": "served",
        "security": _SECURITY,
        "requestBody": {"required": bool(FIELDS[op].get("required")), "content": {"application/json": {"schema": FIELDS[op]}}},
        "responses": {
            "200": {"description": "Done, or passed on to the book.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NativeAnswer"}}}},
            **_problems(),
        },
    }  # fmt: skip


def messages() -> dict[str, Any]:
    """Of the AsyncAPI document."""
    return {"nativeRequest": _request(), "nativeTold": _told()}


def _request() -> dict[str, Any]:
    fields = {op: FIELDS[op] for op in OPERATIONS} | SOCKET_FIELDS
    alternatives = []
    for op, schema in fields.items():
        properties = {"id": {"type": ["integer", "string", "null"], "maxLength": limits.ID_CHARACTERS_MAX}, "op": {"const": op}}
        alternatives.append({"type": "object", "title": op, "required": ["op", *schema.get("required", ())], "additionalProperties": False,
                             "properties": properties | schema["properties"]})  # fmt: skip
    subscribe = {"id": 3, "op": "subscribe", "channels": ["book.AAPL.10.50ms", "trades.AAPL"]}
    return {
        "title": "What a client asks",
        "payload": {"oneOf": alternatives},
        "examples": [{"payload": subscribe}, {"payload": {"id": 2, "op": "order.place", "order": EXAMPLE_ORDER}}],
    }


def _told() -> dict[str, Any]:
    answer = _object(
        {"id": {}, "ok": {"type": "boolean"}, "outcome": {"type": "string"}, "problem": PROBLEM}, "id", "ok", "outcome", closed=False
    )
    push = _object(
        {"ch": _CHANNEL, "seq": {"type": "integer"}, "prev": {"type": ["integer", "null"]}, "snapshot": {"const": True}, "cs": {"type": "integer"},
         "exec_type": one_of(EXEC_TYPES.values())}, "ch", "seq", "prev", closed=False,
    )  # fmt: skip
    event = _object({"event": one_of(("hello", "heartbeat", "serverShutdown", "closing"))}, "event", closed=False)
    codes = ", ".join(f"{int(code)} {code.name.lower()}" for code in Close)
    return {
        "title": "What it is told",
        "description": f"Answers by `id`, pushes of channels, events. Close codes: {codes}; up to 4499 come back.",
        "payload": {"oneOf": [{**answer, "title": "answer"}, {**push, "title": "push"}, {**event, "title": "event"}]},
    }
