"""The trading page and how customers sign in to it: with an API key, which becomes a session.

Why a key and not a password: the key is what a customer has and what says whose account it is, what it may do (read or trade) and from where. It is withdrawn within a
second, and wrong secrets are counted already. The secret passes once over this form; the browser keeps a cookie that no script can read, and a read-only key
gives a page that only reads. The page then asks /v2 and /stream as every client does (edge.http.traders lets its cookie count there).
"""

import html
from typing import Final

from aiohttp import web

from edge.console.order_forms import order_forms
from edge.console.pages import html_page, page, text_of_page
from edge.gateway.limits import PERSON_SESSION_S
from edge.gateway.outcomes import Accepted, Denied
from edge.http.addresses import address_of
from edge.http.answers import SESSION, json_response
from edge.http.browsers import TRADER_COOKIE, csrf_token, delete_cookie, form_fields, is_own_page, own_path, set_cookie, word_in
from edge.http.errors import HttpError, unavailable
from edge.http.state import gateway_of
from edge.http.traders import session_of_browser

_HOME: Final = "/trade"
_SIGN_IN: Final = "/trade/sign-in"


async def trading_page(request: web.Request) -> web.StreamResponse:
    """The page, or the way to the sign-in."""
    try:
        session = await session_of_browser(request)
    except HttpError as error:
        if error.status != 401:
            raise
        session = None
    return page("trade/trade.html") if session is not None else web.Response(status=303, headers={"Location": _SIGN_IN})


async def trader_sign_in_page(request: web.Request) -> web.Response:
    """The form."""
    return _form(request.query.get("next", ""), "", 200)


async def trader_sign_in(request: web.Request) -> web.StreamResponse:
    """Key id and secret as a form; a cookie and the page, or the form again with what is wrong."""
    if not is_own_page(request):
        raise HttpError(403, "the request does not come from a page of this server")
    key_id, secret, wanted = await form_fields(request, "key_id", "secret", "next")
    gateway = gateway_of(request)
    found = await gateway.traders.sign_in(key_id.strip(), secret.strip(), address_of(request))
    if isinstance(found, Denied):
        problem = found.text or "the key or its secret is wrong"
        return _form(wanted, f"{problem[0].upper()}{problem[1:]}.", 401)
    if not isinstance(found, Accepted):
        error = unavailable(found)
        return _form(wanted, f"{error.message[0].upper()}{error.message[1:]}.", error.status, error.headers)
    await gateway.customers.configuration(found.value.session.account)  # known from now on, as for a key (edge.alpaca.access)
    response = web.Response(status=303, headers={"Location": own_path(wanted, _HOME)})
    set_cookie(request, response, TRADER_COOKIE, found.value.word, PERSON_SESSION_S)
    return response


async def get_trader_session(request: web.Request) -> web.Response:
    """Whose account it is, what the key may do, and the token that requests need which change something."""
    session = await session_of_browser(request)
    if session is None:
        raise HttpError(401, f"sign in at {_SIGN_IN}")
    request[SESSION] = session
    return json_response(
        {
            "account": str(session.account),
            "key_id": session.key_id,
            "scopes": sorted(session.scopes),
            "csrf": csrf_token(word_in(request, TRADER_COOKIE)),
        }
    )


async def trader_sign_out(request: web.Request) -> web.Response:
    """End the session; the cookie goes."""
    session = await session_of_browser(request)
    if session is None:
        raise HttpError(401, f"sign in at {_SIGN_IN}")
    ended = await gateway_of(request).traders.sign_out(word_in(request, TRADER_COOKIE), session, address_of(request))
    if not isinstance(ended, Accepted):
        raise unavailable(ended)
    response = json_response({"ended": 1})
    delete_cookie(request, response, TRADER_COOKIE)
    return response


async def get_order_forms(request: web.Request) -> web.Response:
    """Types, times and lists of orders with their fields and meanings."""
    return json_response(order_forms())


async def market_page(request: web.Request) -> web.Response:
    """All symbols at a glance."""
    return page("trade/market.html")


def _form(wanted: str, problem: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
    told = f'<p class="note error" role="alert">{html.escape(problem)}</p>' if problem else ""
    text = text_of_page("trade/sign_in.html").replace("<!-- problem -->", told)
    return html_page(text.replace("<!-- next -->", html.escape(own_path(wanted, _HOME))), status, headers)


ROUTES: Final = (
    web.get("/trade", trading_page),
    web.get("/market", market_page),
    web.get(_SIGN_IN, trader_sign_in_page),
    web.post(_SIGN_IN, trader_sign_in),
    web.get("/trade/session", get_trader_session),
    web.post("/trade/sign-out", trader_sign_out),
    web.get("/trade/order-forms", get_order_forms),
)
