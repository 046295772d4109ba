"""Alpaca's market-data API for stocks: GET /v2/stocks/..., /v1beta1/screener/... What is asked for is answered in past_api and newest_api."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.limits import MOST_ACTIVES_MAX, MOVERS_MAX
from edge.alpaca.market_data.newest_api import LATEST, last_updated, latest, most_actives, movers, snapshots
from edge.alpaca.market_data.past_api import READERS, answer_many, answer_one, check_feed
from edge.alpaca.market_data.words import QUOTE_CONDITIONS, TRADE_CONDITIONS
from edge.alpaca.query_fields import Query, bad_request
from edge.alpaca.request_fields import find_instrument
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.state import gateway_of
from schemas.instruments import Instrument

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TOPS: Final = {"volume": "volume", "trades": "trade_count"}
_TAPES: Final = ("A", "B", "C")
_EXCHANGES: Final = {"": "Open Outcry"}
"""Alpaca's clients know a closed list of letters, none of which is ours."""


async def _query(request: web.Request) -> Query:
    await authenticate(request)
    return Query(request.query, bad_request)


def _named(request: web.Request, query: Query) -> tuple[str, Instrument]:
    """The symbol that the path names."""
    name = request.match_info["symbol"]
    found = find_instrument(name, gateway_of(request).instruments)
    if found is None:
        raise query.refused(f"invalid symbol: {quoted(name)}")
    return name, found


def _past(kind: str) -> Handler:
    async def many(request: web.Request) -> web.StreamResponse:
        query, gateway = await _query(request), gateway_of(request)
        return await answer_many(gateway, query, kind, query.instruments("symbols", gateway.instruments, must=True))

    return many


def _past_of_one(kind: str) -> Handler:
    async def one(request: web.Request) -> web.StreamResponse:
        query = await _query(request)
        return await answer_one(gateway_of(request), query, kind, *_named(request, query))

    return one


def _latest(kind: str) -> Handler:
    async def many(request: web.Request) -> web.StreamResponse:
        query, gateway = await _query(request), gateway_of(request)
        check_feed(query)
        return json_response({kind: await latest(gateway, kind, query.instruments("symbols", gateway.instruments, must=True))})

    return many


def _latest_of_one(kind: str) -> Handler:
    async def one(request: web.Request) -> web.StreamResponse:
        query = await _query(request)
        check_feed(query)
        name, instrument = _named(request, query)
        found = await latest(gateway_of(request), kind, {name: instrument})
        return json_response({"symbol": name, LATEST[kind]: found.get(name)})

    return one


async def get_snapshots(request: web.Request) -> web.Response:
    """Of several symbols."""
    query, gateway = await _query(request), gateway_of(request)
    check_feed(query)
    return json_response(await snapshots(gateway, query.instruments("symbols", gateway.instruments, must=True)))


async def get_snapshot(request: web.Request) -> web.Response:
    """Of one symbol."""
    query = await _query(request)
    check_feed(query)
    name, instrument = _named(request, query)
    found: dict[str, Any] = (await snapshots(gateway_of(request), {name: instrument}))[name]
    return json_response({"symbol": name} | found)


async def get_conditions(request: web.Request) -> web.Response:
    """The codes that trades and quotes here have, with their names."""
    query = await _query(request)
    query.word("tape", _TAPES)
    kind = request.match_info["ticktype"]
    if kind not in ("trade", "quote"):
        raise query.refused(f"invalid ticktype {quoted(kind)}: must be trade or quote")
    return json_response(TRADE_CONDITIONS if kind == "trade" else QUOTE_CONDITIONS)


async def get_exchanges(request: web.Request) -> web.Response:
    """The one exchange."""
    await _query(request)
    return json_response(_EXCHANGES)


async def get_movers(request: web.Request) -> web.Response:
    """Of stocks; there is nothing else here that moves."""
    query, gateway = await _query(request), gateway_of(request)
    kind = request.match_info["market_type"]
    if kind not in ("stocks", "crypto"):
        raise query.refused(f"invalid market_type {quoted(kind)}: must be stocks or crypto")
    top = query.whole("top", 10, MOVERS_MAX)
    found = movers(gateway, top) if kind == "stocks" else {"gainers": [], "losers": []}
    return json_response(found | {"market_type": kind, "last_updated": last_updated(gateway)})


async def get_most_actives(request: web.Request) -> web.Response:
    """By volume or by number of trades."""
    query, gateway = await _query(request), gateway_of(request)
    by, top = query.word("by", _TOPS, "volume"), query.whole("top", 10, MOST_ACTIVES_MAX)
    return json_response({"most_actives": most_actives(gateway, by, top), "last_updated": last_updated(gateway)})


ROUTES: Final = (
    *(web.get(f"/v2/stocks/{kind}", _past(kind)) for kind in READERS),
    *(web.get(f"/v2/stocks/{{symbol}}/{kind}", _past_of_one(kind)) for kind in READERS),
    *(web.get(f"/v2/stocks/{kind}/latest", _latest(kind)) for kind in LATEST),
    *(web.get(f"/v2/stocks/{{symbol}}/{kind}/latest", _latest_of_one(kind)) for kind in LATEST),
    web.get("/v2/stocks/snapshots", get_snapshots),
    web.get("/v2/stocks/{symbol}/snapshot", get_snapshot),
    web.get("/v2/stocks/meta/conditions/{ticktype}", get_conditions),
    web.get("/v2/stocks/meta/exchanges", get_exchanges),
    web.get("/v1beta1/screener/{market_type}/movers", get_movers),
    web.get("/v1beta1/screener/stocks/most-actives", get_most_actives),
)
