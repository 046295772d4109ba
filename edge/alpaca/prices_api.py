"""What the prices page begins with, without an API key: GET /public/prices and /public/prices/{symbol}; and the WebSocket routes."""

import asyncio
import time
from typing import Any, Final

import msgspec
from aiohttp import web

from edge.alpaca.market_data_ws import serve_market_data
from edge.alpaca.trade_updates_ws import serve_stream
from edge.gateway.errors import not_found, unavailable
from edge.gateway.limits import BOOK_LEVELS_SHOWN, CAUGHT_UP_POLL_S, CAUGHT_UP_TIMEOUT_S
from edge.gateway.market_view import SymbolView
from edge.gateway.timestamps import rfc3339, rfc3339_or_none
from edge.http.answers import json_response
from edge.http.state import EdgeState, state_of
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
    state = state_of(request)
    return json_response([_summary(view) for view in state.market.symbols.values()])


async def get_symbol(request: web.Request) -> web.Response:
    """One symbol: bars, last trades (oldest first, with `seq` to resume behind) and the book."""
    view = state_of(request).market.symbols.get(request.match_info["symbol"])
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


async def _caught_up(state: EdgeState) -> None:
    """Wait until market.data has been read up to now; raises 503 if that takes too long.

    While an edge reads the past it tells nobody. A client that came in meanwhile would resume over a ring that is still being filled,
    and miss for good what lies between its subscription and the end of the reading.
    """
    deadline = time.monotonic() + CAUGHT_UP_TIMEOUT_S
    while state.market_consumer is None or not state.market_consumer.caught_up:
        if time.monotonic() > deadline:
            raise unavailable("market data is still being read from the log; connect again")
        await asyncio.sleep(CAUGHT_UP_POLL_S)


async def public_prices_socket(request: web.Request) -> web.StreamResponse:
    """The market-data WebSocket without a key; prices are public, orders are not."""
    state = state_of(request)
    await _caught_up(state)
    return await serve_market_data(request, state.hub, state.sessions, state.sockets, public=True)


async def market_data_socket(request: web.Request) -> web.StreamResponse:
    """Alpaca's market-data WebSocket."""
    state = state_of(request)
    await _caught_up(state)
    return await serve_market_data(request, state.hub, state.sessions, state.sockets, public=False)


async def stream_socket(request: web.Request) -> web.StreamResponse:
    """Alpaca's trade_updates WebSocket."""
    state = state_of(request)
    return await serve_stream(request, state.accounts, state.sessions, state.instruments, state.metrics, state.sockets)


ROUTES: Final = (
    web.get("/public/prices", get_prices),
    web.get("/public/prices/{symbol}", get_symbol),
    web.get("/ws/public-prices", public_prices_socket),
    web.get("/v2/iex", market_data_socket),
    web.get("/stream", stream_socket),
)
