"""Who asks, where a customer has signed in on the trading page: the session behind the browser's cookie."""

from aiohttp import web

from edge.gateway.access.sessions import Session
from edge.gateway.outcomes import Accepted, Denied
from edge.http.addresses import address_of
from edge.http.answers import SAFE_METHODS
from edge.http.browsers import CSRF_HEADER, POLL_HEADER, TRADER_COOKIE, has_csrf_token, is_own_page, word_in
from edge.http.errors import HttpError, unavailable
from edge.http.state import gateway_of


async def session_of_browser(request: web.Request) -> Session | None:
    """The customer's session; None if the browser has no cookie of one. Raises HttpError 401, 403, 429 or 503.

    What changes something comes from a page of this server and says so by CSRF_HEADER. A WebSocket comes from such a page too: browsers open them for pages of
    other sites, and no header can be added to them.
    """
    word = word_in(request, TRADER_COOKIE)
    if not word:
        return None
    changes = request.method not in SAFE_METHODS
    if (changes or "Upgrade" in request.headers) and not is_own_page(request):
        raise HttpError(403, "the request does not come from a page of this server")
    if changes and not has_csrf_token(request, TRADER_COOKIE):
        raise HttpError(403, f"the header {CSRF_HEADER} must have what GET /trade/session tells")
    found = await gateway_of(request).traders.of_word(word, address_of(request), at_work=POLL_HEADER not in request.headers)
    if isinstance(found, Accepted):
        return found.value
    if isinstance(found, Denied):
        raise HttpError(401, f"request is not authorized: {found.text or 'sign in at /trade/sign-in'}")
    raise unavailable(found)
