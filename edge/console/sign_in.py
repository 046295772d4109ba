"""Who asks, on the pages and their routes: signing in and out, and `allowed`, which says who may call a route.

    @allowed(Role.ANALYST, Role.SUPERVISOR)
    async def close_case(request: web.Request) -> web.Response:
        person = request[PERSON]  # .name, .roles

A browser has a cookie that scripts cannot read and that no other site's page sends. A request that changes something needs two more things: it comes
from a page of this server (Origin, Sec-Fetch-Site), and it has the header X-CSRF-Token with what GET /session tells. A program sends its operator
token as `Authorization: Bearer TOKEN`; no page can be made to do that. What a person is not allowed is recorded, and so is every request that
changes something, before it is done.
"""

import hashlib
import hmac
import html
from collections.abc import Callable
from functools import wraps
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from aiohttp import web

from access.events import Act
from access.people import Person, Role
from edge.console.pages import html_page, text_of_page
from edge.gateway.limits import PERSON_SESSION_S
from edge.gateway.outcomes import Accepted, Denied
from edge.http.addresses import address_of, is_from_this_machine
from edge.http.answers import SAFE_METHODS, Handler, json_response, over_tls, read_body
from edge.http.errors import HttpError, bad_parameter, unavailable
from edge.http.state import gateway_of
from schemas.errors import ServiceUnavailable

PERSON: Final = web.RequestKey("person", Person)
"""Who asks, on a route with `allowed`."""
CSRF_HEADER: Final = "X-CSRF-Token"
POLL_HEADER: Final = "X-Poll"
"""Of requests that a page makes by itself: they do not keep a session from being idle."""
_COOKIE: Final = "outcry_session"
_COOKIE_OF_TLS: Final = "__Host-outcry_session"
"""A browser takes a cookie of this name over TLS only, from this host only and for all its paths."""
_FIELDS_MAX: Final = 8
_WRONG: Final = "Name, password or code is wrong."


def allowed(*roles: Role) -> Callable[[Handler], Handler]:
    """A route that only people with one of these roles may call. Raises HttpError 401, 403, 429 or 503; a page that is not open leads to the sign-in."""
    assert roles, "a route for nobody"

    def guard(handler: Handler) -> Handler:
        @wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                person = await _identify(request)
            except HttpError as error:
                if error.status == 401 and request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
                    return web.Response(status=303, headers={"Location": f"/sign-in?next={quote(request.path, safe='/')}"})
                raise
            await _admit(request, person, frozenset(roles))
            request[PERSON] = person
            return await handler(request)

        guarded.roles = frozenset(roles)  # type: ignore[attr-defined]
        return guarded

    return guard


def roles_of_route(handler: object) -> frozenset[Role]:
    """Who may call it; nobody in particular (everybody) if it was not given to `allowed`."""
    found: frozenset[Role] = getattr(handler, "roles", frozenset())
    return found


async def _identify(request: web.Request) -> Person:
    people, word = gateway_of(request).people, _word_of(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found = await people.of_token(token.strip(), address_of(request))
    elif word:
        found = await people.of_session(word, at_work=POLL_HEADER not in request.headers)
    else:
        found = Denied()
    if isinstance(found, Accepted):
        return found.value
    if isinstance(found, Denied):
        raise HttpError(401, "sign in at /sign-in, or send an operator token as `Authorization: Bearer TOKEN` (outcry users token)")
    raise unavailable(found)


async def _admit(request: web.Request, person: Person, roles: frozenset[Role]) -> None:
    """Raises HttpError 403 for what the person's roles, token or page do not allow, and 503 where an act cannot be recorded."""
    people, address, what = gateway_of(request).people, address_of(request), f"{request.method} {request.path}"
    changes = request.method not in SAFE_METHODS
    if roles.isdisjoint(person.roles):
        problem = f"this is for {', '.join(sorted(roles))} only"
    elif changes and person.read_only:
        problem = "the operator token may only read"
    elif changes and not person.token_id and not _is_own_page(request):
        problem = "the request does not come from a page of this server"
    elif changes and not person.token_id and not _has_csrf_token(request):
        problem = f"the header {CSRF_HEADER} must have what GET /session tells"
    else:
        if changes:
            try:
                await people.record(Act.ACTED, person.known_as, address, what)
            except ServiceUnavailable:
                raise HttpError(503, "nothing was done: it could not be recorded", headers={"Retry-After": "1"}) from None
        return
    await people.note(Act.FORBIDDEN, person.known_as, address, what, problem)
    raise HttpError(403, problem)


def _is_own_page(request: web.Request) -> bool:
    """Whether no page of another site has made the browser ask. A program that is no browser says nothing of it."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    ours = {request.host, urlsplit(gateway_of(request).settings.edge_url).netloc} - {""}
    return urlsplit(origin).netloc in ours


def _csrf_token(word: str) -> str:
    return hmac.digest(word.encode(), b"csrf", hashlib.sha256).hex()


def _has_csrf_token(request: web.Request) -> bool:
    given = request.headers.get(CSRF_HEADER, "")
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), _csrf_token(_word_of(request)).encode())


def _cookie_name(request: web.Request) -> str:
    return _COOKIE_OF_TLS if over_tls(request) else _COOKIE


def _word_of(request: web.Request) -> str:
    return request.cookies.get(_cookie_name(request), "")


# ---- routes


async def sign_in_page(request: web.Request) -> web.Response:
    """The form."""
    return _form(request.query.get("next", ""), "", 200)


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Name, password and code as a form; a cookie and the page that was wanted, or the form again with what is wrong."""
    if not _is_own_page(request):
        raise HttpError(403, "the request does not come from a page of this server")
    name, password, code, wanted = await _fields(request, "name", "password", "code", "next")
    found = await gateway_of(request).people.sign_in(
        name.strip().lower(), password, code, address_of(request), here=is_from_this_machine(request)
    )
    if isinstance(found, Denied):
        return _form(wanted, _WRONG, 401)
    if not isinstance(found, Accepted):
        error = unavailable(found)
        return _form(wanted, f"{error.message[0].upper()}{error.message[1:]}.", error.status, error.headers)
    response = web.Response(status=303, headers={"Location": _own_path(wanted)})
    response.set_cookie(
        _cookie_name(request),
        found.value.word,
        max_age=PERSON_SESSION_S,
        path="/",
        secure=over_tls(request),
        httponly=True,
        samesite="Strict",
    )
    return response


@allowed(*Role)
async def get_session(request: web.Request) -> web.Response:
    """Who has signed in, and the token that requests need which change something."""
    person = request[PERSON]
    return json_response({"name": person.name, "roles": sorted(person.roles), "csrf": _csrf_token(_word_of(request))})


@allowed(*Role)
async def sign_out(request: web.Request) -> web.Response:
    """End this session; with ?everywhere=1 all sessions of the person."""
    ended = await gateway_of(request).people.sign_out(
        request[PERSON], _word_of(request), address_of(request), everywhere=request.query.get("everywhere") == "1"
    )
    if not isinstance(ended, Accepted):
        raise unavailable(ended)
    response = json_response({"ended": ended.value})
    response.del_cookie(_cookie_name(request), path="/", secure=over_tls(request), httponly=True, samesite="Strict")
    return response


def _form(wanted: str, problem: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
    told = f'<p class="note error" role="alert">{html.escape(problem)}</p>' if problem else ""
    text = text_of_page("sign_in.html").replace("<!-- problem -->", told).replace("<!-- next -->", html.escape(_own_path(wanted)))
    return html_page(text, status, headers)


def _own_path(wanted: str) -> str:
    """A path of this server, so that nobody is led elsewhere after the sign-in."""
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if plain and wanted.startswith("/") and not wanted.startswith("//") else "/surveillance"


async def _fields(request: web.Request, *names: str) -> list[str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise HttpError(415, "send the form as application/x-www-form-urlencoded")
    try:
        given = parse_qs((await read_body(request)).decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise bad_parameter("the form cannot be read") from None
    return [given.get(name, [""])[0] for name in names]


ROUTES: Final = (
    web.get("/sign-in", sign_in_page),
    web.post("/sign-in", sign_in),
    web.get("/session", get_session),
    web.post("/sign-out", sign_out),
)
