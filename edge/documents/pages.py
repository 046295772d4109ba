"""GET /docs: the two documents for people; /openapi.json and /asyncapi.json: for programs."""

from functools import cache
from importlib.metadata import version
from typing import Any, Final

from aiohttp import web

from edge.alpaca.routes import ROUTES as ALPACA_ROUTES
from edge.console.pages import page
from edge.documents.asyncapi import asyncapi
from edge.documents.openapi import openapi
from edge.http.answers import json_response


@cache
def openapi_document() -> dict[str, Any]:
    """Made once."""
    return openapi(ALPACA_ROUTES, version("open-outcry"))


@cache
def asyncapi_document() -> dict[str, Any]:
    """Made once."""
    return asyncapi(version("open-outcry"))


async def get_openapi(request: web.Request) -> web.Response:
    """OpenAPI 3.1."""
    return json_response(openapi_document())


async def get_asyncapi(request: web.Request) -> web.Response:
    """AsyncAPI 3.0."""
    return json_response(asyncapi_document())


async def docs_page(request: web.Request) -> web.Response:
    """The page."""
    return page("docs.html")


ROUTES: Final = (web.get("/docs", docs_page), web.get("/openapi.json", get_openapi), web.get("/asyncapi.json", get_asyncapi))
