"""The pages and what they are made of: files of edge/console/web, all from this server, no address of anybody else's in them."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

from edge.http.errors import no_route

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
VENDORED: Final = ("vendor/lightweight-charts-5.2.1/lightweight-charts.standalone.production.js",)
"""Files of other projects: where they are from, with digests and licences, is in web/vendor/manifest.json. Their names have a version, so browsers keep them."""
ASSETS: Final = (
    "style.css",
    "prices.js",
    "session.js",
    "surveillance.js",
    "alert_view.js",
    "case_view.js",
    "book_replay.js",
    "replay_chart.js",
    "linked_accounts.js",
    "what_if.js",
    "drafts.js",
    "team.js",
    "reports.js",
    "find.js",
    "page_parts.js",
    "elements.js",
    "status.js",
    "docs.js",
    "audit/audit.js",
    "audit/proof.js",
    "trade/trade.css",
    "trade/trade.js",
    "trade/account.js",
    "trade/charts.js",
    "trade/dialogs.js",
    "trade/feed.js",
    "trade/fields.js",
    "trade/market.js",
    "trade/session.js",
    "trade/ticket.js",
    "trade/words.js",
    "icon.svg",
)

# everything comes from here; no inline script or style, nobody may frame the pages
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@cache
def _read(name: str) -> bytes:
    return (files("edge") / "console" / "web" / name).read_bytes()


_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers say `Origin: null` when a form of ours is sent
}


def page(name: str) -> web.Response:
    """One file of edge/console/web with the headers of a page."""
    return web.Response(body=_read(name), content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8", headers=_HEADERS)


def text_of_page(name: str) -> str:
    """A page that is to be filled in."""
    return _read(name).decode()


def html_page(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A page that was filled in, with the headers of a page."""
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers={**_HEADERS, **(headers or {})})


async def prices_page(request: web.Request) -> web.Response:
    """Live prices."""
    return page("prices.html")


async def audit_page(request: web.Request) -> web.Response:
    """Checks proofs of the audit log in the browser."""
    return page("audit/audit.html")


async def asset_file(request: web.Request) -> web.Response:
    """A stylesheet, script or picture of the pages; only names in ASSETS."""
    name = request.match_info["name"]
    if name not in ASSETS and name not in VENDORED:
        raise no_route()
    response = page(name)
    if name in VENDORED:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


ROUTES: Final = (web.get("/", prices_page), web.get("/audit", audit_page), web.get("/web/{name:.+}", asset_file))
