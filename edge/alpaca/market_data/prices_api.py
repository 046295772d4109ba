"""What the prices page begins with, without an API key: GET /public/prices and /public/prices/{symbol}; and the WebSocket routes."""

from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from edge.alpaca.errors import value_of
from edge.alpaca.market_data.market_data_ws import enter, serve_market_data
from edge.alpaca.market_data.messages import json_of, price_of, shares_of
from edge.alpaca.orders.trade_updates_ws import serve_stream
from edge.gateway.limits import BOOK_LEVELS_SHOWN
from edge.gateway.market.view import SymbolView
from edge.http.answers import json_response
from edge.http.errors import not_found
from edge.http.front_door import Entrance
from edge.http.state import gateway_of
from edge.http.timestamps import rfc3339_or_none
from schemas.enums import Phase

TRADES_SHOWN: Final = 600
"""Trades in a page's first picture: enough for the running minute's bar and the list."""


def _summary(view: SymbolView) -> dict[str, Any]:
    one, quote, bands, auction = view.instrument, view.quote, view.bands, view.auction
    return {
        "symbol": one.symbol,
        "name": one.name,
        "phase": Phase(view.phase).name.lower(),
        "upper_band": price_of(one, bands.high_px) if bands else None,
        "lower_band": price_of(one, bands.low_px) if bands else None,
        "auction_price": price_of(one, auction.price) if auction else None,
        "auction_size": shares_of(one, auction.qty) if auction else None,
        "last": price_of(one, view.last_px) if view.last_px else None,
        "reference": one.reference_price,
        "bid": price_of(one, quote.bid_px) if quote else None,
        "bid_size": shares_of(one, quote.bid_qty) if quote else None,
        "ask": price_of(one, quote.ask_px) if quote else None,
        "ask_size": shares_of(one, quote.ask_qty) if quote else None,
        "volume": shares_of(one, view.volume),
        "updated_at": rfc3339_or_none(view.last_at),
        "tick_size": one.tick_size,
    }


def _whole(view: SymbolView) -> dict[str, Any]:
    return {
        **_summary(view),
        "bars": [msgspec.Raw(json_of(bar)) for bar in view.bars],
        "trades": [msgspec.Raw(json_of(trade)) for trade in list(view.trades)[-TRADES_SHOWN:]],
        "orderbook": msgspec.Raw(json_of(view.book(BOOK_LEVELS_SHOWN))),
    }


async def get_prices(request: web.Request) -> web.Response:
    """Every symbol in short."""
    return json_response([_summary(view) for view in gateway_of(request).market.symbols.values()])


async def get_symbol(request: web.Request) -> web.Response:
    """One symbol: bars, last trades (oldest first, with `seq` to resume behind) and the book."""
    view = gateway_of(request).market.symbols.get(request.match_info["symbol"])
    if view is None:
        raise not_found("symbol not found")
    return json_response(_whole(view))


async def public_prices_socket(request: web.Request) -> web.StreamResponse:
    """The market-data WebSocket without a key; prices are public, orders are not."""
    value_of(await gateway_of(request).market_caught_up())
    return await serve_market_data(request, public=True)


async def market_data_socket(request: web.Request) -> web.StreamResponse:
    """Alpaca's market-data WebSocket."""
    value_of(await gateway_of(request).market_caught_up())
    return await serve_market_data(request, public=False)


async def stream_socket(request: web.Request) -> web.StreamResponse:
    """Alpaca's trade_updates WebSocket."""
    return await serve_stream(request)


_PUBLIC: Final = "/ws/public-prices"
_NAMES: Final = ("/v2/iex", "/v2/sip", "/v1beta2/crypto")
"""The same stream under every name by which Alpaca's clients look for theirs."""
MARKET_SOCKETS: Final = (
    web.get(_PUBLIC, public_prices_socket),
    *(web.get(path, market_data_socket) for path in (*_NAMES, "/v1beta3/crypto/{loc}")),
)
"""Those that a fan-out worker serves too."""
ENTRANCES: Final[dict[str, Entrance]] = {
    _PUBLIC: partial(enter, public=True),
    **dict.fromkeys(_NAMES, partial(enter, public=False)),
}
"""Most of them by the front door."""
ROUTES: Final = (
    web.get("/public/prices", get_prices),
    web.get("/public/prices/{symbol}", get_symbol),
    *MARKET_SOCKETS,
    web.get("/stream", stream_socket),
)
