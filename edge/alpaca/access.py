"""Who asks over HTTP: an API key and its secret, as Alpaca's clients send them, or the trading page, whose browser has the cookie of a session."""

import base64

from aiohttp import web

from edge.alpaca.errors import error_of, value_of
from edge.gateway.access.sessions import Session
from edge.gateway.accounts.view import AccountView
from edge.http.addresses import address_of
from edge.http.answers import PLACE_COOKIE, PLACE_HEADER, SAFE_METHODS, SESSION
from edge.http.errors import HttpError
from edge.http.state import gateway_of
from edge.http.traders import session_of_browser


async def authenticate(request: web.Request) -> Session:
    """Who asks, by Alpaca's two headers or else by Basic authentication; raises HttpError 401, 403, 429 or 503."""
    headers, sessions = request.headers, gateway_of(request).sessions
    key_id, secret = headers.get("APCA-API-KEY-ID", ""), headers.get("APCA-API-SECRET-KEY", "")
    if not key_id and not secret:
        key_id, secret = _basic(headers.get("Authorization", ""))
    session = await session_of_browser(request) if not key_id and not secret else sessions.recall(key_id, secret)
    if session is None:
        session = value_of(await sessions.authenticate(key_id, secret, address_of(request)))
        await gateway_of(request).customers.configuration(
            session.account
        )  # known from now on: who is known trades on while the store is away
    request[SESSION] = session
    gateway_of(request).origins.note(session.account, address_of(request), "Alpaca's API" if key_id else "the trading page")
    if gateway_of(request).places.used:
        _take_place(request, session.account)
    if request.method in SAFE_METHODS and not session.may_read:
        raise HttpError(403, "this API key may only trade")
    if request.method not in SAFE_METHODS and not session.may_trade:
        raise HttpError(403, "this API key may only read")
    too_many = sessions.admit(session)
    if too_many is not None:
        raise error_of(too_many)
    return session


async def account_of(request: web.Request) -> AccountView:
    """The live view of who asks; raises HttpError."""
    session = await authenticate(request)
    return value_of(await gateway_of(request).accounts.view(session.account))


def _take_place(request: web.Request, account: int) -> None:
    """What the client has seen elsewhere. Raises HttpError for a header that no edge has made; a cookie may be an old one, and is then ignored."""
    places = gateway_of(request).places
    header, cookie = request.headers.get(PLACE_HEADER), request.cookies.get(PLACE_COOKIE)
    if header and not places.bring(account, header):
        raise HttpError(400, f"{PLACE_HEADER} is not one that this exchange has given to the account: leave it out")
    if cookie:
        places.bring(account, cookie)


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
