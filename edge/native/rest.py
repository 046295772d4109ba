"""The operations of the native API over HTTP: POST /v1/{operation} with the fields of the socket's message, and what is the same for everybody by GET.

Errors are RFC 9457 problem documents (application/problem+json). The API key is in the headers X-API-Key and X-API-Secret, or Basic authentication;
a signed request has X-Timestamp, X-Signature and perhaps X-Window instead of the secret.
"""

import math
import re
import uuid
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from access.api_keys import Scope
from edge.gateway.access.sessions import Session, Sessions
from edge.gateway.access.signed_requests import Signed
from edge.gateway.limits import SIGNED_WINDOW_MS_DEFAULT, SIGNED_WINDOW_MS_MAX
from edge.http.addresses import address_of
from edge.http.answers import SESSION, read_body
from edge.http.client_data import decode_json, quoted
from edge.http.errors import HttpError
from edge.http.limits import BODY_BYTES_MAX
from edge.native import limits, logon
from edge.native.desk import DESK
from edge.native.keys_api import KEY_OPERATIONS
from edge.native.orders.operations import OPERATIONS, Asked, require
from edge.native.wire.fields import Fields
from edge.native.wire.problems import KINDS, Problem, invalid, value_of

log = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.Response]]
BODY_LATE: Final = 408
_SIGNED_HEADERS: Final = ("X-Signature", "X-Timestamp", "X-Window")
_DIGITS: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_ENCODE: Final = msgspec.json.Encoder().encode


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=_ENCODE(value), status=status, content_type="application/json")


def _problem(problem: Problem, request_id: str) -> web.Response:
    headers = {"X-Request-ID": request_id}
    if problem.retry_after_s or problem.kind.retryable:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    body = _ENCODE(problem.document(request_id))
    return web.Response(body=body, status=problem.kind.status, content_type="application/problem+json", headers=headers)


def answered(handler: Handler) -> Handler:
    """The handler with its problems as documents."""

    async def answer(request: web.Request) -> web.Response:
        request_id = uuid.uuid4().hex
        try:
            response = await handler(request)
        except Problem as problem:
            return _problem(problem, request_id)
        except web.HTTPRequestEntityTooLarge:
            return _problem(Problem("too_large", f"the body is larger than {BODY_BYTES_MAX} bytes"), request_id)
        except HttpError as error:  # the body could not be read
            return _problem(Problem("body_late" if error.status == BODY_LATE else "invalid_message", error.message), request_id)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("native_request_failed", path=request.path)
            return _problem(Problem("internal", "internal server error", outcome="unknown"), request_id)
        response.headers["X-Request-ID"] = request_id
        return response

    return answer


async def who_asks(request: web.Request, body: bytes) -> Session:
    """By the request's headers; a signature covers the body too. Raises Problem."""
    sessions = request.app[DESK].gateway.sessions
    if any(name in request.headers for name in _SIGNED_HEADERS):
        session = await logon.by_signature(request.app[DESK].gateway, _signed(request, body), address_of(request))
    else:
        session = await _by_secret(request, sessions)
    request[SESSION] = session
    request.app[DESK].gateway.origins.note(session.account, address_of(request), "the native API")
    too_many = sessions.admit(session)
    if too_many is not None:
        value_of(too_many)
    return session


async def _by_secret(request: web.Request, sessions: Sessions) -> Session:
    key, secret = request.headers.get("X-API-Key", ""), request.headers.get("X-API-Secret", "")
    if not key and not secret:
        key, secret = _basic(request.headers.get("Authorization", ""))
    if not key:
        raise Problem("not_logged_on", "send X-API-Key and X-API-Secret, or sign the request")
    return sessions.recall(key, secret) or await logon.by_secret(sessions, key, secret, address_of(request))


def _signed(request: web.Request, body: bytes) -> Signed:
    """What was signed, by the headers. Raises Problem."""
    headers = request.headers
    missing = [name for name in ("X-API-Key", "X-Timestamp", "X-Signature") if not headers.get(name)]
    if missing:
        raise Problem("not_logged_on", f"a signed request needs {missing[0]} too", field=missing[0])
    for name in ("X-API-Secret", "Authorization"):
        if name in headers:
            raise invalid(name, "has no place beside X-Signature: send one of the two")
    ts_us, window_ms = _whole(headers["X-Timestamp"]), _whole(headers.get("X-Window", str(SIGNED_WINDOW_MS_DEFAULT)))
    if ts_us is None or ts_us > logon.TS_US_MAX:
        raise invalid("X-Timestamp", f"must be microseconds since 1970, not {quoted(headers['X-Timestamp'])}")
    if window_ms is None or not 0 < window_ms <= SIGNED_WINDOW_MS_MAX:
        raise invalid("X-Window", f"must be from 1 to {SIGNED_WINDOW_MS_MAX} ms, not {quoted(headers['X-Window'])}")
    signature = logon.signature_in("X-Signature", headers["X-Signature"])
    return Signed(request.method, request.raw_path, headers["X-API-Key"], ts_us, window_ms, signature, body)


def _whole(text: str) -> int | None:
    """Digits as a number. One with a sign, spaces or a leading zero would be another text than the one that is signed."""
    return int(text) if _DIGITS.fullmatch(text) else None


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        key, _, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return key, secret


@answered
async def post_operation(request: web.Request) -> web.Response:
    """Any of OPERATIONS, or of KEY_OPERATIONS."""
    name = request.match_info["operation"]
    operation, of_keys = OPERATIONS.get(name), KEY_OPERATIONS.get(name)
    if operation is None and of_keys is None:
        raise Problem("unknown_op", f"{quoted(name)} is none of {', '.join((*OPERATIONS, *KEY_OPERATIONS))}")
    body = await read_body(request)
    session = await who_asks(request, body)
    require(session, operation.scope if operation is not None else Scope.TRADE)
    desk, fields = request.app[DESK], fields_of(body)
    if of_keys is not None:
        told = await of_keys(desk.gateway.api_keys, session, address_of(request), fields)
    elif operation is not None:
        told = await operation.run(Asked(desk.gateway, desk.owners, session, fields))
    return _json({"ok": True, "outcome": "accepted"} | told)


def fields_of(body: bytes) -> Fields:
    """The JSON object of a body. Raises Problem."""
    try:
        values = decode_json(body or b"{}")
    except ValueError as error:
        raise Problem("invalid_message", f"the body cannot be read as JSON: {str(error)[:200]}") from None
    if not isinstance(values, dict):
        raise Problem("invalid_message", "the body must be a JSON object")
    return Fields(values)


@answered
async def get_limits(_request: web.Request) -> web.Response:
    """Every limit."""
    return _json(limits.told())


@answered
async def get_problems(_request: web.Request) -> web.Response:
    """Every code of a problem."""
    return _json({code: {"status": kind.status, "retryable": kind.retryable, "title": kind.title} for code, kind in KINDS.items()})


@answered
async def get_time(_request: web.Request) -> web.Response:
    """The edge's clock, microseconds since 1970."""
    return _json({"ts": logon.now_us()})


ROUTES: Final = (
    web.get("/v1/limits", get_limits),
    web.get("/v1/problems", get_problems),
    web.get("/v1/time", get_time),
    web.post(r"/v1/{operation:[a-z]+\.[a-z_]+}", post_operation),
)
