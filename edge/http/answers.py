"""What every HTTP answer has: a request id, JSON errors with Alpaca's codes, security and rate-limit headers, a metric."""

import asyncio
import base64
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from aiohttp import HttpVersion10, HttpVersion11, web, web_response

from edge.gateway.errors import HTTP_VERSION, INTERNAL, MALFORMED, METHOD_NOT_ALLOWED, TOO_LARGE, TOO_MANY, ApiError, no_route
from edge.gateway.limits import BODY_BYTES_MAX, BODY_TIMEOUT_S, RATE_LIMIT_PER_MINUTE
from edge.gateway.sessions import Session
from edge.http.addresses import address_of
from edge.http.state import state_of

log = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SESSION: Final = web.RequestKey("session", Session)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_COMMON: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
# what aiohttp calls itself, with its version and Python's, in every answer; also in its own to what it cannot parse, which no signal of ours sees
vars(web_response)["SERVER_SOFTWARE"] = "open-outcry"
_LIMIT_TEXT: Final = str(RATE_LIMIT_PER_MINUTE)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON with the headers given."""
    return web.Response(body=_ENCODER.encode(value), status=status, headers=headers, content_type="application/json")


def error_response(error: ApiError) -> web.Response:
    """Alpaca's error object."""
    return json_response(error.body(), error.status, error.headers)


def _of_http_exception(error: web.HTTPException) -> ApiError:
    """Aiohttp's own refusals in our form."""
    if isinstance(error, web.HTTPNotFound):
        return no_route()
    if isinstance(error, web.HTTPMethodNotAllowed):
        return ApiError(
            405, METHOD_NOT_ALLOWED, f"method {error.method} is not allowed here", {"Allow": ", ".join(sorted(error.allowed_methods))}
        )
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return body_too_large()
    return ApiError(error.status, error.status * 100_000 + 10_000, error.reason or "request refused")


def body_too_large() -> ApiError:
    """413."""
    return ApiError(413, TOO_LARGE, f"request body is larger than {BODY_BYTES_MAX} bytes")


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _check_version(request: web.Request) -> None:
    """Raises ApiError 505: aiohttp's parser also takes HTTP/0.9 and 2.0."""
    if request.version not in (HttpVersion10, HttpVersion11):
        raise ApiError(505, HTTP_VERSION, "HTTP/1.0 and HTTP/1.1 only", {"Connection": "close"})


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Wrap every handler; nothing leaves without passing here."""
    try:
        _check_version(request)
        response = await handler(request)
    except ApiError as error:
        response = error_response(error)
    except web.HTTPException as error:
        response = error_response(_of_http_exception(error)) if error.status >= 400 else error
    except Exception:  # a fault of ours: the client gets a number to quote, the log gets the trace
        log.exception("request_failed", method=request.method, path=request.path)
        response = error_response(ApiError(500, INTERNAL, "internal server error"))
    state_of(request).metrics.count_request(request.method, _route_of(request), response.status)
    return response


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal on_response_prepare: headers of every answer, WebSocket handshakes too."""
    headers = response.headers
    headers["X-Request-ID"] = f"{random.getrandbits(128):032x}"
    for name, value in _COMMON.items():
        headers.setdefault(name, value)
    session = request.get(SESSION)
    if session is not None:
        headers["X-RateLimit-Limit"] = _LIMIT_TEXT
        headers["X-RateLimit-Remaining"] = str(int(session.bucket.tokens))
        headers["X-RateLimit-Reset"] = str(math.ceil(time.time() + session.bucket.seconds_until_full()))


async def authenticate(request: web.Request) -> Session:
    """Who asks, by Alpaca's two headers or else by Basic authentication; raises ApiError 401, 429 or 503."""
    headers, sessions = request.headers, state_of(request).sessions
    key_id, secret = headers.get("APCA-API-KEY-ID", ""), headers.get("APCA-API-SECRET-KEY", "")
    if not key_id and not secret:
        key_id, secret = _basic(headers.get("Authorization", ""))
    session = sessions.recall(key_id, secret) or await sessions.authenticate(key_id, secret, address_of(request))
    request[SESSION] = session
    if not session.bucket.take(time.monotonic()):
        raise ApiError(429, TOO_MANY, "too many requests", {"Retry-After": "1"})
    return session


def _basic(header: str) -> tuple[str, str]:
    """(key id, secret) of an Authorization header; two empty ones where it is not Basic."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        key_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return key_id, secret


async def read_body(request: web.Request) -> bytes:
    """The body within its bounds of size and time; raises ApiError 408 or 413."""
    try:
        if request.content.is_eof():
            return await request.read()
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except ConnectionError:
        raise ApiError(400, MALFORMED, "the connection was lost while the body was read") from None
    except TimeoutError:
        raise ApiError(408, 40810000, "the request's body did not arrive in time") from None
