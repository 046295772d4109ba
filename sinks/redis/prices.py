"""Read what RedisSink wrote: last price, top of book, last bar, phase, auction and price bands by symbol."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from sinks.redis.client import translated
from sinks.redis.sink import key_of

DECIMALS = frozenset({"price_decimal", "bid_decimal", "ask_decimal", "open_decimal", "high_decimal", "low_decimal", "close_decimal"})
Values = dict[str, int | str]
"""Columns of market_data_frame as integers (ticks, lots, ns), the fields of DECIMALS as decimal text."""


@dataclass(frozen=True)
class Newest:
    """Last trade, quote and bar by symbol; symbols without one are left out."""

    trades: dict[str, Values]
    quotes: dict[str, Values]
    bars: dict[str, Values]


async def newest(client: Redis, symbols: Sequence[str]) -> Newest:
    """All three."""
    return Newest(await last_prices(client, symbols), await quotes(client, symbols), await last_bars(client, symbols))


async def last_prices(client: Redis, symbols: Sequence[str]) -> dict[str, Values]:
    """Symbol -> seq, price, qty, side, trd_match_id, transact_time, price_decimal of its last trade; symbols without one are left out."""
    return await _read(client, "price", symbols)


async def quotes(client: Redis, symbols: Sequence[str]) -> dict[str, Values]:
    """Symbol -> seq, bid_px, bid_qty, ask_px, ask_qty, transact_time, bid_decimal, ask_decimal; a price of 0: that side is empty."""
    return await _read(client, "quote", symbols)


async def last_bars(client: Redis, symbols: Sequence[str]) -> dict[str, Values]:
    """Symbol -> seq, open_px, high_px, low_px, price (close), qty (volume), notional, order_count (trades), transact_time (start)."""
    return await _read(client, "bar", symbols)


async def statuses(client: Redis, symbols: Sequence[str]) -> dict[str, Values]:
    """Symbol -> seq, phase, reason, transact_time."""
    return await _read(client, "status", symbols)


async def auctions(client: Redis, symbols: Sequence[str]) -> dict[str, Values]:
    """Symbol -> seq, price (0: nowhere), qty, side, imbalance_qty, transact_time, price_decimal: the last indication, of an auction that may be over."""
    return await _read(client, "auction", symbols)


async def bands(client: Redis, symbols: Sequence[str]) -> dict[str, Values]:
    """Symbol -> seq, high_px, low_px (0: none), transact_time, high_decimal, low_decimal."""
    return await _read(client, "band", symbols)


async def _read(client: Redis, name: str, symbols: Sequence[str]) -> dict[str, Values]:
    """All in one round trip. Raises ServiceUnavailable."""
    with translated(client):
        async with client.pipeline(transaction=False) as pipeline:
            for symbol in symbols:
                pipeline.hgetall(key_of(name, symbol))
            answers = await pipeline.execute()
    return {symbol: _values(answer) for symbol, answer in zip(symbols, answers, strict=True) if answer}


def _values(answer: dict[bytes, bytes]) -> Values:
    fields = {name.decode(): value for name, value in answer.items()}
    return {name: value.decode() if name in DECIMALS else int(value) for name, value in fields.items()}
