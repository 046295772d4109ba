"""The OpenAPI 3.1 document of the HTTP API, from the tables of operations and the functions that answer: an operation says what its function's docstring says."""

import inspect
import re
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from edge.alpaca.operations import MARKET_DATA, TRADING, Answer, Operation
from edge.documents import native, staff
from edge.documents.parameters import BODIES, parameters_of
from edge.documents.shapes import schemas

_LIST_OF: Final = {("GET", "/v2/orders"): "Order", ("GET", "/v2/positions"): "Position", ("GET", "/v2/assets"): "Asset"}
_ONE: Final = {
    ("POST", "/v2/orders"): "Order", ("GET", "/v2/orders/{order_id}"): "Order", ("PATCH", "/v2/orders/{order_id}"): "Order", ("GET", "/v2/account"): "Account",
    ("GET", "/v2/orders:by_client_order_id"): "Order", ("GET", "/v2/positions/{symbol_or_asset_id}"): "Position", ("GET", "/v2/assets/{symbol_or_asset_id}"): "Asset",
    ("DELETE", "/v2/positions/{symbol_or_asset_id}"): "Order",
}  # fmt: skip
"""Whose answer has a schema of its own; the others are Alpaca's objects, as docs/alpaca.md tells."""
_BODIES: Final = {("POST", "/v2/orders"): "NewOrder", ("PATCH", "/v2/orders/{order_id}"): "ReplaceOrder"}
_STATUS: Final = {
    ("DELETE", "/v2/orders"): 207, ("DELETE", "/v2/positions"): 207, ("DELETE", "/v2/orders/{order_id}"): 204,
    ("DELETE", "/v2/watchlists/{watchlist_id}"): 204, ("DELETE", "/v2/watchlists:by_name"): 204,
}  # fmt: skip
"""Where success is not 200."""
_WITHOUT_BODY: Final = 204
_PUBLIC: Final = "/v1beta3/crypto/"
"""Needs no key."""
_ERRORS: Final = {
    "400": "The body cannot be read as JSON, or, by the market-data API, a parameter cannot be taken.",
    "401": "The key is unknown, its secret is wrong, or it may not be used from here.",
    "403": "Refused: the key may only read, or a rule of the exchange (`reject_reason`).",
    "404": "There is none.",
    "422": "A parameter cannot be taken, or a rule of the exchange refuses (`reject_reason`).",
    "429": "Too many requests, or too many wrong secrets: wait `Retry-After` seconds.",
    "503": "With `Retry-After`: nothing was sent, try again. Without: the outcome is not known, send the same `client_order_id` again.",
}


def openapi(routes: Iterable[web.RouteDef], version: str) -> dict[str, Any]:
    """The document. routes: those of Alpaca's API, as the server has them."""
    handlers = {(one.method, shape_of(one.path)): one.handler for one in routes}
    paths: dict[str, dict[str, Any]] = {}
    for tag, table in (("Trading", TRADING), ("Market data", MARKET_DATA)):
        for one in table:
            handler = handlers.get((one.method, shape_of(one.path)))
            paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, tag, handler)
    paths |= native.paths() | staff.paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Open Outcry",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Alpaca's trading and market-data API, as this exchange serves it, and the exchange's own. "
            "Open Outcry is not connected with Alpaca.",
        },
        "servers": [{"url": "/"}],
        "security": [{"keyId": [], "secret": []}, {"basic": []}],
        "tags": [
            {"name": "Trading"},
            {"name": "Market data"},
            {"name": "Native", "description": "The exchange's own API: see docs/native-api.md."},
            {"name": "Surveillance", "description": "For people who work on the exchange: see docs/cases.md."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas() | native.schemas(),
            "securitySchemes": {
                "keyId": {"type": "apiKey", "in": "header", "name": "APCA-API-KEY-ID"},
                "secret": {"type": "apiKey", "in": "header", "name": "APCA-API-SECRET-KEY"},
                "nativeKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "nativeSecret": {"type": "apiKey", "in": "header", "name": "X-API-Secret"},
                "nativeTime": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Timestamp",
                    "description": "When it was signed, us since 1970.",
                },
                "nativeSignature": {"type": "apiKey", "in": "header", "name": "X-Signature", "description": "See docs/native-api.md."},
                "basic": {"type": "http", "scheme": "basic", "description": "Key id and secret."},
                **staff.SECURITY,
            },
        },
    }


def shape_of(path: str) -> str:
    """A path whatever its places are called."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _operation(one: Operation, tag: str, handler: Any) -> dict[str, Any]:
    key, name = (one.method, one.path), re.sub(r"\W+", "_", f"{one.method.lower()}{one.path}").strip("_")
    refused = one.answer is Answer.REFUSED
    told = inspect.getdoc(handler) or one.why if not refused else f"Refused: {one.why}."
    described: dict[str, Any] = {
        "operationId": name,
        "tags": [tag],
        "summary": told.split("\n", 1)[0].rstrip("."),
        "x-answer": one.answer.value,
        "parameters": parameters_of(one.method, one.path, re.findall(r"\{([^}]*)\}", one.path)),
        "responses": {} if refused else {str(_STATUS.get(key, 200)): _success(key)},
    }
    if one.path.startswith(_PUBLIC):
        described["security"] = [{"keyId": [], "secret": []}, {"basic": []}, {}]
    described["responses"] |= {status: _error(text) for status, text in _ERRORS.items()}
    body = _reference(_BODIES[key]) if key in _BODIES else BODIES.get(key)
    if body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return described


def _success(key: tuple[str, str]) -> dict[str, Any]:
    if _STATUS.get(key) == _WITHOUT_BODY:
        return {"description": "Done, or passed on to the book."}
    schema: dict[str, Any] = {}
    if key in _LIST_OF:
        schema = {"type": "array", "items": _reference(_LIST_OF[key])}
    elif key in _ONE:
        schema = _reference(_ONE[key])
    return {"description": "The answer.", "content": {"application/json": {"schema": schema}}}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _reference("Error")}}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
