"""Browsers: cookies that stand for somebody, and requests that only a page of this server can make.

A cookie here cannot be read by scripts and is not sent by pages of other sites (SameSite=Strict). A request that changes something needs two more things: it
comes from a page of this server (Origin, Sec-Fetch-Site), and it has the header X-CSRF-Token, made of the cookie, which pages ask for.
"""

import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from edge.http.answers import over_tls, read_body
from edge.http.errors import HttpError, bad_parameter
from edge.http.state import gateway_of

CSRF_HEADER: Final = "X-CSRF-Token"
POLL_HEADER: Final = "X-Poll"
"""Of requests that a page makes by itself: they do not keep a session from being idle."""
TRADER_COOKIE: Final = "outcry_trader"
"""Of a customer on the trading page."""
_TLS_PREFIX: Final = "__Host-"
"""A browser takes a cookie of such a name over TLS only, from this host only and for all its paths."""
_FIELDS_MAX: Final = 8


def word_in(request: web.Request, cookie: str) -> str:
    """What the browser has in the cookie; empty without one."""
    return request.cookies.get(_name(request, cookie), "")


def set_cookie(request: web.Request, response: web.StreamResponse, cookie: str, word: str, seconds: int) -> None:
    """Give the browser the word for so long."""
    response.set_cookie(_name(request, cookie), word, max_age=seconds, path="/", secure=over_tls(request), httponly=True, samesite="Strict")


def delete_cookie(request: web.Request, response: web.StreamResponse, cookie: str) -> None:
    """Take it away."""
    response.del_cookie(_name(request, cookie), path="/", secure=over_tls(request), httponly=True, samesite="Strict")


def _name(request: web.Request, cookie: str) -> str:
    return f"{_TLS_PREFIX}{cookie}" if over_tls(request) else cookie


def csrf_token(word: str) -> str:
    """What a page of whoever has this word sends as CSRF_HEADER."""
    return hmac.digest(word.encode(), b"csrf", hashlib.sha256).hex()


def has_csrf_token(request: web.Request, cookie: str) -> bool:
    """Whether it was sent."""
    given = request.headers.get(CSRF_HEADER, "")
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), csrf_token(word_in(request, cookie)).encode())


def is_own_page(request: web.Request) -> bool:
    """Whether no page of another site has made the browser ask. A program that is no browser says nothing of it."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    ours = {request.host, urlsplit(gateway_of(request).settings.edge_url).netloc} - {""}
    return urlsplit(origin).netloc in ours


def own_path(wanted: str, home: str) -> str:
    """A path of this server, so that nobody is led elsewhere after the sign-in; else `home`."""
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if plain and wanted.startswith("/") and not wanted.startswith("//") else home


async def form_fields(request: web.Request, *names: str) -> list[str]:
    """The fields of a form, empty where there is none. Raises HttpError 408, 413, 415 or 422."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise HttpError(415, "send the form as application/x-www-form-urlencoded")
    try:
        given = parse_qs((await read_body(request)).decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise bad_parameter("the form cannot be read") from None
    return [given.get(name, [""])[0] for name in names]
