"""The pages and what they are made of: files of edge/console/web, all from this server, no address of anybody else's in them."""

from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

from edge.http.errors import no_route

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
ASSETS: Final = ("style.css", "prices.js", "surveillance.js", "icon.svg")

# everything comes from here; no inline script or style, nobody may frame the pages
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _read(name: str) -> bytes:
    return (files("edge") / "console" / "web" / name).read_bytes()


def page(name: str) -> web.Response:
    """One file of edge/console/web with the headers of a page."""
    return web.Response(
        body=_read(name), content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8",
        headers={"Content-Security-Policy": _POLICY, "Cross-Origin-Opener-Policy": "same-origin"},
    )  # fmt: skip


async def prices_page(request: web.Request) -> web.Response:
    """Live prices."""
    return page("prices.html")


async def asset_file(request: web.Request) -> web.Response:
    """A stylesheet, script or picture of the pages; only names in ASSETS."""
    name = request.match_info["name"]
    if name not in ASSETS:
        raise no_route()
    return page(name)


ROUTES: Final = (web.get("/", prices_page), web.get("/web/{name}", asset_file))
