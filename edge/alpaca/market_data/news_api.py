"""News: GET /v1beta1/news. What operators publish are headlines about instruments (`outcry news publish`); they have no content, picture or address."""

import time
from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.errors import value_of
from edge.alpaca.limits import NEWS_PAGE_DEFAULT, NEWS_PAGE_MAX
from edge.alpaca.query_fields import Query, bad_request
from edge.gateway.stored.past_news import News
from edge.gateway.stored.past_prices import Window
from edge.http.answers import json_response
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339

SOURCE: Final = "Open Outcry"
_SORTS: Final = {"asc": True, "desc": False}


def _article(one: News) -> dict[str, Any]:
    return {
        "id": one.number,
        "headline": one.headline,
        "author": SOURCE,
        "created_at": rfc3339(one.public_at),
        "updated_at": rfc3339(one.told_at),
        "summary": "",
        "content": "",
        "url": None,
        "images": [],
        "symbols": [instrument.symbol for instrument in one.instruments],
        "source": SOURCE,
    }


async def get_news(request: web.Request) -> web.Response:
    """A page by `updated_at`, the newest first: the last ten of all time, unless `start` or `end` says otherwise."""
    await authenticate(request)
    gateway, query = gateway_of(request), Query(request.query, bad_request)
    start, end = query.time("start", 0), query.time("end", time.time_ns())
    if start > end:
        raise query.refused("start must not be behind end")
    window = Window(start, end + 1, query.word("sort", _SORTS, "desc"))
    limit = query.whole("limit", NEWS_PAGE_DEFAULT, NEWS_PAGE_MAX)
    instruments = query.instruments("symbols", gateway.instruments)
    query.flag("include_content")
    place = query.place("news", (int,))
    if query.flag("exclude_contentless"):
        return json_response({"news": [], "next_page_token": None})
    found = value_of(await gateway.news.articles(list(instruments.values()), window, limit + 1, place[0] if place else None))
    told = sorted({one.told_at for one in found}, reverse=not window.ascending)
    shown = [one for one in found if one.told_at in told[:limit]]
    token = query.token("news", (told[limit - 1],)) if len(told) > limit else None
    return json_response({"news": [_article(one) for one in shown], "next_page_token": token})


ROUTES: Final = (web.get("/v1beta1/news", get_news),)
