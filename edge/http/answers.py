"""What every HTTP answer has: a request id, errors in JSON, security and rate-limit headers, a metric."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from aiohttp import HttpVersion10, HttpVersion11, web, web_response

from edge.gateway.access.sessions import Session
from edge.gateway.limits import RATE_LIMIT_PER_MINUTE
from edge.http.errors import HttpError, no_route
from edge.http.limits import BODY_BYTES_MAX, BODY_TIMEOUT_S
from edge.http.state import gateway_of, state_of
from schemas.settings import Settings

log = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SESSION: Final = web.RequestKey("session", Session)
"""Whose request it is, for the headers of its answer."""
PLACE_HEADER: Final = "Outcry-Place"
PLACE_COOKIE: Final = "outcry_place"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Of requests that change nothing."""
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_COMMON: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # pages have their own
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_OVER_TLS: Final = {"Strict-Transport-Security": "max-age=31536000"}
"""A browser that was here over TLS comes back over TLS only, for a year."""
SERVER: Final = "open-outcry"
# what aiohttp calls itself, with its version and Python's, in every answer; also in its own to what it cannot parse, which no signal of ours sees
vars(web_response)["SERVER_SOFTWARE"] = SERVER
_LIMIT_TEXT: Final = str(RATE_LIMIT_PER_MINUTE)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON with the headers given."""
    return web.Response(body=_ENCODER.encode(value), status=status, headers=headers, content_type="application/json")


def error_response(error: HttpError) -> web.Response:
    """The error object."""
    return json_response(error.body(), error.status, error.headers)


def _of_http_exception(error: web.HTTPException) -> HttpError:
    """Aiohttp's own refusals in our form."""
    if isinstance(error, web.HTTPNotFound):
        return no_route()
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return HttpError(405, f"method {error.method} is not allowed here", headers={"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return body_too_large()
    return HttpError(error.status, error.reason or "request refused")


def body_too_large() -> HttpError:
    """413."""
    return HttpError(413, f"request body is larger than {BODY_BYTES_MAX} bytes")


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _check_version(request: web.Request) -> None:
    """Raises HttpError 505: aiohttp's parser also takes HTTP/0.9 and 2.0."""
    if request.version not in (HttpVersion10, HttpVersion11):
        raise HttpError(505, "HTTP/1.0 and HTTP/1.1 only", headers={"Connection": "close"})


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Wrap every handler; nothing leaves without passing here."""
    began = time.perf_counter()
    try:
        _check_version(request)
        response = await handler(request)
    except HttpError as error:
        response = error_response(error)
    except web.HTTPException as error:
        response = error_response(_of_http_exception(error)) if error.status >= 400 else error
    except Exception:  # a fault of ours: the client gets a number to quote, the log gets the trace
        log.exception("request_failed", method=request.method, path=request.path)
        response = error_response(HttpError(500, "internal server error"))
    state_of(request).metrics.count_request(request.method, _route_of(request), response.status, time.perf_counter() - began)
    return response


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal on_response_prepare: headers of every answer, WebSocket handshakes too."""
    headers = response.headers
    headers.setdefault("X-Request-ID", f"{random.getrandbits(128):032x}")
    for name, value in _COMMON.items():
        headers.setdefault(name, value)
    if over_tls(request):
        headers.update(_OVER_TLS)
    session = request.get(SESSION)
    if session is not None:
        headers["X-RateLimit-Limit"] = _LIMIT_TEXT
        headers["X-RateLimit-Remaining"] = str(int(session.bucket.tokens))
        _give_place(request, response, session.account)
        headers["X-RateLimit-Reset"] = str(math.ceil(time.time() + session.bucket.seconds_until_full()))


def common_headers(settings: Settings) -> dict[str, str]:
    """Those of an answer that aiohttp does not make, to a connection that is not TLS itself; `add_headers` has the same for the others."""
    return _COMMON | {"Server": SERVER} | (_OVER_TLS if _is_tls_outside(settings) else {})


def _is_tls_outside(settings: Settings) -> bool:
    return settings.edge_url.startswith("https://")


def _give_place(request: web.Request, response: web.StreamResponse, account: int) -> None:
    """Tell the client how far it has been told of the log, if there are replicas that may not be as far."""
    places = gateway_of(request).places
    token = places.token(account) if places.used else ""
    if token:
        response.headers[PLACE_HEADER] = token
        secure = "; Secure" if over_tls(request) else ""
        # by hand: this runs when aiohttp has written its own cookies already
        response.headers.add("Set-Cookie", f"{PLACE_COOKIE}={token}; Path=/v2; HttpOnly; SameSite=Strict{secure}")


def over_tls(request: web.Request) -> bool:
    """Whether clients reach this server over TLS: its own, or that of the proxy that OUTCRY_EDGE_URL names."""
    return request.secure or _is_tls_outside(gateway_of(request).settings)


async def read_body(request: web.Request) -> bytes:
    """The body within its bounds of size and time; raises HttpError 408 or 413."""
    try:
        if request.content.is_eof():
            return await request.read()
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except ConnectionError:
        raise HttpError(400, "the connection was lost while the body was read") from None
    except TimeoutError:
        raise HttpError(408, "the request's body did not arrive in time") from None
