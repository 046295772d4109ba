"""What the prices page begins with, without an API key: GET /public/prices and /public/prices/{symbol}; and the WebSocket routes."""

from typing import Any, Final

import msgspec
from aiohttp import web

from edge.alpaca.errors import value_of
from edge.alpaca.market_data_ws import serve_market_data
from edge.alpaca.trade_updates_ws import serve_stream
from edge.gateway.limits import BOOK_LEVELS_SHOWN
from edge.gateway.market_view import SymbolView
from edge.gateway.timestamps import rfc3339, rfc3339_or_none
from edge.http.answers import json_response
from edge.http.errors import not_found
from edge.http.state import gateway_of
from schemas.enums import Phase

TRADES_SHOWN: Final = 600
"""Trades in a page's first picture: enough for the running minute's bar and the list."""


def _summary(view: SymbolView) -> dict[str, Any]:
    quote, band, auction = (message.fields if message else {} for message in (view.quote, view.band, view.auction))
    return {
        "symbol": view.instrument.symbol,
        "name": view.instrument.name,
        "phase": Phase(view.phase).name.lower(),
        "upper_band": band.get("u"),
        "lower_band": band.get("d"),
        "auction_price": auction.get("p"),
        "auction_size": auction.get("s"),
        "last": view.decimal(view.last_px) if view.last_px else None,
        "reference": view.instrument.reference_price,
        "bid": quote.get("bp"),
        "bid_size": quote.get("bs"),
        "ask": quote.get("ap"),
        "ask_size": quote.get("as"),
        "volume": view.shares(view.volume),
        "updated_at": rfc3339_or_none(view.last_at),
        "tick_size": view.instrument.tick_size,
    }


async def get_prices(request: web.Request) -> web.Response:
    """Every symbol in short."""
    return json_response([_summary(view) for view in gateway_of(request).market.symbols.values()])


async def get_symbol(request: web.Request) -> web.Response:
    """One symbol: bars, last trades (oldest first, with `seq` to resume behind) and the book."""
    view = gateway_of(request).market.symbols.get(request.match_info["symbol"])
    if view is None:
        raise not_found("symbol not found")
    trades = list(view.trades)[-TRADES_SHOWN:]
    book = view.book(BOOK_LEVELS_SHOWN)
    body = {
        **_summary(view),
        "bars": [msgspec.Raw(message.json) for message in view.bars],
        "trades": [msgspec.Raw(message.json) for message in trades],
        "orderbook": {**book, "t": rfc3339(book["t"])},
    }
    return json_response(body)


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


ROUTES: Final = (
    web.get("/public/prices", get_prices),
    web.get("/public/prices/{symbol}", get_symbol),
    web.get("/ws/public-prices", public_prices_socket),
    web.get("/v2/iex", market_data_socket),
    web.get("/stream", stream_socket),
)
