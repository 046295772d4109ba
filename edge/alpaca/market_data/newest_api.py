"""Newest prices as JSON objects: latest trades, quotes, bars and order books, snapshots, movers and most-actives. The routes are in stocks_api and crypto_api."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from edge.alpaca.market_data.messages import item_of, price_of, shares_of
from edge.gateway.gateway import Gateway
from edge.gateway.market.view import SymbolView
from edge.gateway.stored.past_prices import Last
from edge.http.timestamps import rfc3339
from schemas.instruments import Instrument

BOOK_LEVELS_MAX: Final = 500
"""Levels a side of a latest order book: ~15 KB."""
LATEST: Final = {"trades": "trade", "quotes": "quote", "bars": "bar"}
"""Which of the newest there is, in the plural and in the singular."""
_PERCENT: Final = Decimal("0.01")


async def latest(gateway: Gateway, kind: str, instruments: dict[str, Instrument]) -> dict[str, dict[str, Any]]:
    """The newest trade, quote or bar by the client's name; an instrument without one is left out."""
    newest = await gateway.past.newest(sorted({one.symbol for one in instruments.values()}))
    found = {name: getattr(newest[one.symbol], LATEST[kind]) for name, one in instruments.items()}
    return {name: item_of(event) for name, event in found.items() if event is not None}


async def snapshots(gateway: Gateway, instruments: dict[str, Instrument]) -> dict[str, dict[str, Any]]:
    """By the client's name."""
    newest = await gateway.past.newest(sorted({one.symbol for one in instruments.values()}))
    return {name: _snapshot(gateway.market.symbols[one.symbol], newest[one.symbol]) for name, one in instruments.items()}


def _snapshot(view: SymbolView, newest: Last) -> dict[str, Any]:
    days = (view.days.last, view.days.previous)
    daily, previous = (view.bar_of(day) if day is not None else None for day in days)
    named = {
        "latestTrade": newest.trade, "latestQuote": newest.quote, "minuteBar": newest.bar, "dailyBar": daily, "prevDailyBar": previous,
    }  # fmt: skip
    return {name: item_of(event) if event is not None else None for name, event in named.items()}


def orderbooks(gateway: Gateway, instruments: dict[str, Instrument]) -> dict[str, dict[str, Any]]:
    """By the client's name."""
    return {name: item_of(gateway.market.symbols[one.symbol].book(BOOK_LEVELS_MAX)) for name, one in instruments.items()}


def _traded(gateway: Gateway) -> Iterable[SymbolView]:
    return (view for view in gateway.market.symbols.values() if view.days.last is not None)


def movers(gateway: Gateway, top: int) -> dict[str, list[dict[str, Any]]]:
    """Which prices have risen and fallen most since the trading day before."""
    moved = []
    for view in _traded(gateway):
        day, before = view.days.last, view.previous_close
        if day is not None and day.close_px != before:
            change = day.close_px - before
            moved.append((
                Decimal(100 * change) / before,
                {"symbol": view.instrument.symbol, "percent_change": (Decimal(100 * change) / before).quantize(_PERCENT),
                 "change": price_of(view.instrument, change), "price": price_of(view.instrument, day.close_px)},
            ))  # fmt: skip
    moved.sort(key=lambda one: one[0], reverse=True)
    return {
        "gainers": [one for percent, one in moved[:top] if percent > 0],
        "losers": [one for percent, one in reversed(moved[-top:]) if percent < 0],
    }


def most_actives(gateway: Gateway, by: str, top: int) -> list[dict[str, Any]]:
    """Which have traded most on their newest day."""
    days = [(view.instrument, view.days.last) for view in _traded(gateway)]
    found = [(one, day) for one, day in days if day is not None]
    # volumes of several instruments are compared in shares
    found.sort(key=lambda pair: (-(pair[1].trades if by == "trade_count" else pair[0].lot_size * pair[1].qty), pair[0].symbol))
    return [{"symbol": one.symbol, "volume": shares_of(one, day.qty), "trade_count": day.trades} for one, day in found[:top]]


def last_updated(gateway: Gateway) -> str:
    """When the market last moved."""
    return rfc3339(max((view.last_at for view in gateway.market.symbols.values()), default=0))
