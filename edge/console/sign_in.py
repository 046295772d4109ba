"""Who asks, on the pages and their routes: signing in and out, and `allowed`, which says who may call a route.

    @allowed(Role.ANALYST, Role.SUPERVISOR)
    async def close_case(request: web.Request) -> web.Response:
        person = request[PERSON]  # .name, .roles

A browser has a cookie that scripts cannot read and that no other site's page sends. A request that changes something needs two more things: it comes
from a page of this server (Origin, Sec-Fetch-Site), and it has the header X-CSRF-Token with what GET /session tells. A program sends its operator
token as `Authorization: Bearer TOKEN`; no page can be made to do that. What a person is not allowed is recorded, and so is every request that
changes something, before it is done.
"""

import html
from collections.abc import Callable
from functools import wraps
from typing import Final
from urllib.parse import quote

from aiohttp import web

from access.events import Act
from access.people import Person, Role
from edge.console.pages import html_page, text_of_page
from edge.gateway.limits import PERSON_SESSION_S
from edge.gateway.outcomes import Accepted, Denied
from edge.http.addresses import address_of, is_from_this_machine
from edge.http.answers import SAFE_METHODS, Handler, json_response
from edge.http.browsers import (
    CSRF_HEADER,
    POLL_HEADER,
    csrf_token,
    delete_cookie,
    form_fields,
    has_csrf_token,
    is_own_page,
    own_path,
    set_cookie,
    word_in,
)
from edge.http.errors import HttpError, unavailable
from edge.http.state import gateway_of
from schemas.errors import ServiceUnavailable

PERSON: Final = web.RequestKey("person", Person)
"""Who asks, on a route with `allowed`."""
COOKIE: Final = "outcry_session"
_HOME: Final = "/surveillance"
"""Where nothing else was wanted."""
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
    people, word = gateway_of(request).people, word_in(request, COOKIE)
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
    elif changes and not person.token_id and not is_own_page(request):
        problem = "the request does not come from a page of this server"
    elif changes and not person.token_id and not has_csrf_token(request, COOKIE):
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


# ---- routes


async def sign_in_page(request: web.Request) -> web.Response:
    """The form."""
    return _form(request.query.get("next", ""), "", 200)


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Name, password and code as a form; a cookie and the page that was wanted, or the form again with what is wrong."""
    if not is_own_page(request):
        raise HttpError(403, "the request does not come from a page of this server")
    name, password, code, wanted = await form_fields(request, "name", "password", "code", "next")
    found = await gateway_of(request).people.sign_in(
        name.strip().lower(), password, code, address_of(request), here=is_from_this_machine(request)
    )
    if isinstance(found, Denied):
        return _form(wanted, _WRONG, 401)
    if not isinstance(found, Accepted):
        error = unavailable(found)
        return _form(wanted, f"{error.message[0].upper()}{error.message[1:]}.", error.status, error.headers)
    response = web.Response(status=303, headers={"Location": own_path(wanted, _HOME)})
    set_cookie(request, response, COOKIE, found.value.word, PERSON_SESSION_S)
    return response


@allowed(*Role)
async def get_session(request: web.Request) -> web.Response:
    """Who has signed in, and the token that requests need which change something."""
    person = request[PERSON]
    return json_response({"name": person.name, "roles": sorted(person.roles), "csrf": csrf_token(word_in(request, COOKIE))})


@allowed(*Role)
async def sign_out(request: web.Request) -> web.Response:
    """End this session; with ?everywhere=1 all sessions of the person."""
    ended = await gateway_of(request).people.sign_out(
        request[PERSON], word_in(request, COOKIE), address_of(request), everywhere=request.query.get("everywhere") == "1"
    )
    if not isinstance(ended, Accepted):
        raise unavailable(ended)
    response = json_response({"ended": ended.value})
    delete_cookie(request, response, COOKIE)
    return response


def _form(wanted: str, problem: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
    told = f'<p class="note error" role="alert">{html.escape(problem)}</p>' if problem else ""
    text = text_of_page("sign_in.html").replace("<!-- problem -->", told).replace("<!-- next -->", html.escape(own_path(wanted, _HOME)))
    return html_page(text, status, headers)


ROUTES: Final = (
    web.get("/sign-in", sign_in_page),
    web.post("/sign-in", sign_in),
    web.get("/session", get_session),
    web.post("/sign-out", sign_out),
)
