"""The crypto-shaped half of Alpaca's market-data API over the same shares: GET /v1beta3/crypto/{loc}/...

Clients that know Alpaca for its crypto (ccxt) read prices here, and depth, which Alpaca has for nothing else. A symbol is AAPL or AAPL/USD. As at Alpaca no key is needed:
prices are public. Requests without one are counted by address.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.market_data.newest_api import LATEST, latest, orderbooks, snapshots
from edge.alpaca.market_data.past_api import answer_many
from edge.alpaca.query_fields import Query, bad_request
from edge.alpaca.request_fields import find_instrument
from edge.gateway.access.rate_limits import Buckets
from edge.gateway.gateway import Gateway
from edge.http.addresses import address_of
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.errors import HttpError
from edge.http.state import gateway_of
from schemas.instruments import Instrument

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PLACES: Final = ("us", "us-1", "us-2", "eu-1", "bs-1")
_QUOTED_IN: Final = "/USD"
PUBLIC_REQUESTS_BURST: Final = 200
PUBLIC_REQUESTS_PER_S: Final = 200 / 60
"""Of one address without a key, as at Alpaca: 200 a minute."""
ADDRESSES_KEPT: Final = 20_000
"""Addresses that are counted, ~300 B each."""
BUCKETS: Final = web.AppKey("public_requests", Buckets)


def public_buckets() -> Buckets:
    """For one application."""
    return Buckets(PUBLIC_REQUESTS_BURST, PUBLIC_REQUESTS_PER_S, ADDRESSES_KEPT)


async def _query(request: web.Request) -> Query:
    """The query of who may ask; raises HttpError."""
    if "APCA-API-KEY-ID" in request.headers or "Authorization" in request.headers:
        await authenticate(request)
    else:
        buckets, address, now = request.app[BUCKETS], address_of(request), time.monotonic()
        if buckets.seconds_until_one(address, now) > 0:
            raise HttpError(429, "too many requests from this address: send an API key", headers={"Retry-After": "1"})
        buckets.take(address, now)
    query = Query(request.query, bad_request)
    if request.match_info["loc"] not in _PLACES:
        raise query.refused(f"invalid loc {quoted(request.match_info['loc'])}: must be one of {', '.join(_PLACES)}")
    return query


def _instruments(query: Query, gateway: Gateway) -> dict[str, Instrument]:
    found = {name: find_instrument(name.removesuffix(_QUOTED_IN), gateway.instruments) for name in query.names("symbols", must=True)}
    for name, instrument in found.items():
        if instrument is None:
            raise query.refused(f"Invalid symbol: {quoted(name)}")
    return {name: instrument for name, instrument in found.items() if instrument is not None}


def _past(kind: str) -> Handler:
    async def many(request: web.Request) -> web.StreamResponse:
        query, gateway = await _query(request), gateway_of(request)
        return await answer_many(gateway, query, kind, _instruments(query, gateway))

    return many


def _latest(kind: str) -> Handler:
    async def many(request: web.Request) -> web.StreamResponse:
        query, gateway = await _query(request), gateway_of(request)
        return json_response({kind: await latest(gateway, kind, _instruments(query, gateway))})

    return many


async def get_orderbooks(request: web.Request) -> web.Response:
    """Depth."""
    query, gateway = await _query(request), gateway_of(request)
    return json_response({"orderbooks": orderbooks(gateway, _instruments(query, gateway))})


async def get_snapshots(request: web.Request) -> web.Response:
    """Of several symbols."""
    query, gateway = await _query(request), gateway_of(request)
    return json_response({"snapshots": await snapshots(gateway, _instruments(query, gateway))})


_BASE: Final = "/v1beta3/crypto/{loc}"
ROUTES: Final = (
    *(web.get(f"{_BASE}/{kind}", _past(kind)) for kind in ("bars", "trades", "quotes")),
    *(web.get(f"{_BASE}/latest/{kind}", _latest(kind)) for kind in LATEST),
    web.get(f"{_BASE}/latest/orderbooks", get_orderbooks),
    web.get(f"{_BASE}/snapshots", get_snapshots),
)
