"""Signing in over HTTP: the form, the cookie, the guard of the routes; and what other sites, proxies and strangers cannot do."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import web
from argon2 import PasswordHasher
from support.people_store import PASSWORD
from support.served_edge import Served, served

from access import passwords
from access.people import Role
from access.second_factor import code_at, new_secret
from edge.console import cases_api, ops_api, pages, sign_in, status_api, surveillance_api
from edge.console.sign_in import PERSON, allowed, roles_of_route
from edge.http.browsers import CSRF_HEADER

PUBLIC = {"/", "/audit", "/web/{name:.+}", "/healthz", "/readyz", "/metrics", "/sign-in"}
"""Routes of the pages that everybody may call."""
SECRET = new_secret()


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that cost nothing."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords.nobodys_hash.cache_clear()
    yield
    passwords.nobodys_hash.cache_clear()


async def signed_in(edge: Served, name: str = "ann", *roles: Role, **headers: str) -> tuple[int, Any, Any]:
    """Somebody without a second factor, on this machine."""
    if name not in edge.stores.people:
        edge.stores.add(name, *(roles or (Role.ANALYST,)))
    return await edge.post("/sign-in", data={"name": name, "password": PASSWORD, "code": "", "next": "/surveillance"}, headers=headers)


async def cookie_of(edge: Served, name: str = "ann", *roles: Role) -> dict[str, str]:
    """The header of a browser that has signed in."""
    status, _, headers = await signed_in(edge, name, *roles)
    assert status == 303
    edge.client.session.cookie_jar.clear()
    return {"Cookie": headers["Set-Cookie"].split(";")[0]}


def test_every_route_of_the_pages_is_public_by_name_or_for_some_roles() -> None:
    """A route that somebody forgets to guard fails here."""
    routes = [route for module in (ops_api, status_api, pages, sign_in, surveillance_api, cases_api) for route in module.ROUTES]
    assert {route.path for route in routes if not roles_of_route(route.handler)} == PUBLIC
    for route in (*surveillance_api.ROUTES, *cases_api.ROUTES):
        assert Role.OPERATOR not in roles_of_route(route.handler)


async def test_the_form_makes_a_cookie_that_scripts_and_other_sites_cannot_use() -> None:
    """And leads to the page that was wanted; the word in it is stored nowhere."""
    async with served() as edge:
        status, _, headers = await signed_in(edge)
        assert (status, headers["Location"]) == (303, "/surveillance")
        cookie = SimpleCookie(headers["Set-Cookie"])["outcry_session"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Strict", "/", "")
        assert cookie.value not in str(edge.stores.opened)
        assert (await edge.get("/surveillance", headers={"Cookie": f"outcry_session={cookie.value}"}))[0] == 200


async def test_over_tls_the_cookie_goes_over_tls_only() -> None:
    """Where OUTCRY_EDGE_URL says so: also behind a proxy. One that a page without TLS has set is none."""
    async with served(edge_url="https://exchange.example") as edge:
        _, _, headers = await signed_in(edge)
        assert headers["Set-Cookie"].startswith("__Host-outcry_session=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= set(headers["Set-Cookie"].split("; "))
        word = headers["Set-Cookie"].split(";")[0].partition("=")[2]
        edge.client.session.cookie_jar.clear()
        assert (await edge.get("/session", headers={"Cookie": f"outcry_session={word}"}))[0] == 401
        assert (await edge.get("/session", headers={"Cookie": f"__Host-outcry_session={word}"}))[0] == 200


async def test_a_wrong_sign_in_is_the_form_again_with_a_sentence() -> None:
    """401, no cookie, nothing of what was typed but the page that was wanted; and 429 with Retry-After when there are too many."""
    async with served() as edge:
        edge.stores.add("ann", Role.ANALYST)
        tries = [
            await edge.post("/sign-in", data={"name": "ann", "password": f"<b>guess {n}</b>", "next": '/surveillance"><script>'})
            for n in range(7)
        ]
        assert [status for status, _, _ in tries] == [401] * 5 + [429] * 2
        for status, text, headers in tries:
            assert "Set-Cookie" not in headers
            assert "guess" not in text
            assert "<script>" not in text
            assert 'role="alert"' in text
            assert ("Retry-After" in headers) is (status == 429)
            assert "script-src 'self'" in headers["Content-Security-Policy"]
            assert headers["Referrer-Policy"] == "same-origin", "browsers would send the form with `Origin: null`"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\r\nX: y"])
async def test_nobody_is_led_elsewhere_after_the_sign_in(wanted: str) -> None:
    """Only to a path of this server."""
    async with served() as edge:
        edge.stores.add("ann", Role.ANALYST)
        _, _, headers = await edge.post("/sign-in", data={"name": "ann", "password": PASSWORD, "next": wanted})
        assert headers["Location"] == "/surveillance"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}],
)
async def test_no_other_sites_page_signs_anybody_in_or_out(headers: dict[str, str]) -> None:
    """Neither with its own account, nor with a cookie that a browser should send and its page cannot read."""
    async with served() as edge:
        assert (await signed_in(edge, **headers))[0] == 403
        mine = await cookie_of(edge)
        _, session, _ = await edge.get("/session", headers=mine)
        told = {CSRF_HEADER: session["csrf"]}
        status, body, _ = await edge.post("/sign-out", headers=mine | told | headers)
        assert (status, "page of this server" in body["message"]) == (403, True)
        assert (await edge.get("/session", headers=mine))[0] == 200


async def test_a_change_needs_the_token_that_only_own_pages_can_read() -> None:
    """Not without, not with another session's; with it the session is over."""
    async with served() as edge:
        mine, others = await cookie_of(edge), await cookie_of(edge, "bob")
        _, session, _ = await edge.get("/session", headers=mine)
        _, foreign, _ = await edge.get("/session", headers=others)
        assert (session["name"], session["roles"]) == ("ann", ["analyst"])
        for wrong in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: foreign["csrf"]}):
            assert (await edge.post("/sign-out", headers=mine | wrong))[0] == 403
        status, _, headers = await edge.post("/sign-out", headers=mine | {CSRF_HEADER: session["csrf"], "Origin": edge.origin})
        assert (status, "Max-Age=0" in headers["Set-Cookie"]) == (200, True)
        assert (await edge.get("/session", headers=mine))[0] == 401
        assert (await edge.get("/session", headers=others))[0] == 200


async def test_sign_out_everywhere_ends_all_sessions_of_the_person() -> None:
    """Of no other."""
    async with served() as edge:
        first, second, other = [await cookie_of(edge, name) for name in ("ann", "ann", "bob")]
        _, session, _ = await edge.get("/session", headers=first)
        assert (await edge.post("/sign-out?everywhere=1", headers=first | {CSRF_HEADER: session["csrf"]}))[1] == {"ended": 2}
        assert [(await edge.get("/session", headers=one))[0] for one in (first, second, other)] == [401, 401, 200]


async def test_a_page_that_is_not_open_leads_a_browser_to_the_sign_in_and_tells_a_program() -> None:
    """303 with the way back, or 401 in JSON."""
    async with served() as edge:
        status, _, headers = await edge.get("/surveillance?x=1", headers={"Accept": "text/html,*/*"})
        assert (status, headers["Location"]) == (303, "/sign-in?next=/surveillance")
        for path in ("/surveillance", "/surveillance/alerts", "/surveillance/alerts/x", "/session"):
            for tried in (
                {},
                {"Cookie": "outcry_session=x"},
                {"Authorization": "Bearer x"},
                {"X-Admin-Key": "k"},
                {"Authorization": "Basic eDp5"},
            ):
                status, body, _ = await edge.get(f"{path}?key=k", headers=tried)
                assert (status, body["code"]) == (401, 40110000)


async def test_roles_decide_what_is_open() -> None:
    """Whoever only operates reads no alerts; a token has no more than its roles."""
    async with served() as edge:
        for role in Role:
            wanted = 403 if role is Role.OPERATOR else 200
            assert (await edge.get("/surveillance/alerts", headers=await cookie_of(edge, role.value, role)))[0] == wanted
            assert (await edge.get("/surveillance/alerts", headers=edge.stores.bearer(role, name=f"robot-{role}")))[0] == wanted


async def test_a_second_factor_is_asked_where_there_is_one_and_always_elsewhere() -> None:
    """Through a proxy or by a name that only resolves to this machine, the password alone opens nothing."""
    async with served() as edge:
        edge.stores.add("eve", Role.ANALYST, totp_secret=SECRET)
        edge.stores.add("ann", Role.ANALYST)
        form = {"name": "eve", "password": PASSWORD}
        assert (await edge.post("/sign-in", data=form))[0] == 401
        now = edge.gateway.people._clock_ns() // 1_000_000_000
        assert (await edge.post("/sign-in", data=form | {"code": code_at(SECRET, now // 30)}))[0] == 303
        edge.client.session.cookie_jar.clear()
        form["name"] = "ann"
        for elsewhere in ({"Host": "evil.example"}, {"X-Forwarded-For": "203.0.113.7"}, {"Via": "1.1 proxy"}, {"Forwarded": "for=1.2.3.4"}):
            assert (await edge.post("/sign-in", data=form, headers=elsewhere))[0] == 401
        assert (await edge.post("/sign-in", data=form))[0] == 303


async def test_a_form_that_is_none_is_refused() -> None:
    """Another kind, too many fields, bytes that are no text."""
    async with served() as edge:
        assert (await edge.post("/sign-in", json={"name": "ann"}))[0] == 415
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await edge.post("/sign-in", data=b"&".join(b"x%d=1" % n for n in range(99)), headers=kind))[0] == 422
        assert (await edge.post("/sign-in", data=b"name=\xff", headers=kind))[0] == 422


async def test_an_act_is_recorded_before_it_is_done_and_not_done_otherwise() -> None:
    """With who, from where and what; so is a refusal. A token that may only read changes nothing."""
    done: list[str] = []

    @allowed(Role.SUPERVISOR)
    async def close(request: web.Request) -> web.Response:
        done.append(request[PERSON].known_as)
        return web.Response()

    async with served(routes=[web.post("/cases/7/close", close)]) as edge:
        events = edge.record_events()
        assert (await edge.post("/cases/7/close", headers=edge.stores.bearer(Role.SUPERVISOR)))[0] == 200
        assert (await edge.post("/cases/7/close", headers=edge.stores.bearer(Role.SUPERVISOR, read_only=True)))[0] == 403
        assert (await edge.post("/cases/7/close", headers=edge.stores.bearer(Role.ANALYST, name="eve")))[0] == 403
        assert [(event.act.value, event.what, event.address) for event in events] == [
            ("ACTED", "POST /cases/7/close", "127.0.0.1"),
            ("FORBIDDEN", "POST /cases/7/close", "127.0.0.1"),
            ("FORBIDDEN", "POST /cases/7/close", "127.0.0.1"),
        ]
        assert len(done) == 1
        assert done[0] == events[0].person
        assert done[0].startswith("robot (token ")
        edge.record_events(away=True)
        status, body, _ = await edge.post("/cases/7/close", headers=edge.stores.bearer(Role.SUPERVISOR))
        assert (status, "could not be recorded" in body["message"], len(done)) == (503, True, 1)
