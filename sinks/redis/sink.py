"""Keep the last price, top of book, last bar, phase, auction and price bands of each symbol in Redis, each as one hash.

In:     market.data
Keys:   outcry:price:SYMBOL  outcry:quote:SYMBOL  outcry:bar:SYMBOL  outcry:status:SYMBOL  outcry:auction:SYMBOL  outcry:band:SYMBOL
Repeats: a hash has the `seq` of its market-data row (without gaps per instrument and kind). A script on the server replaces it atomically,
        and only by a newer one. So any order of arrival and any repetition ends in the same values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from redis.asyncio import Redis

from schemas.codec import Frame, Rows
from schemas.enums import MarketDataKind
from schemas.errors import ServiceUnavailable
from schemas.instruments import Instrument, InstrumentTable
from sinks.contract import Input, Reached, SinkStats
from sinks.redis.client import PREFIX, open_redis, translated

# Numbers of Lua are doubles, exact to 2^53: 9e15 rows of one instrument.
REPLACE_IF_NEWER: Final = """
local known = redis.call('HGET', KEYS[1], 'seq')
if known and tonumber(known) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[1], unpack(ARGV, 2))
return 1
"""


@dataclass(frozen=True)
class Hash:
    """What one kind of row is kept as: key, columns as they are, and columns that are also given as decimal text."""

    name: str
    columns: tuple[str, ...]
    prices: dict[str, str]
    """Name of the decimal -> column in ticks."""


HASHES: Final = {
    MarketDataKind.TRADE: Hash("price", ("price", "qty", "side", "trd_match_id", "transact_time"), {"price_decimal": "price"}),
    MarketDataKind.QUOTE: Hash(
        "quote",
        ("bid_px", "bid_qty", "ask_px", "ask_qty", "transact_time"),
        {"bid_decimal": "bid_px", "ask_decimal": "ask_px"},
    ),
    MarketDataKind.BAR: Hash(
        "bar",
        ("open_px", "high_px", "low_px", "price", "qty", "notional", "order_count", "transact_time"),
        {"open_decimal": "open_px", "high_decimal": "high_px", "low_decimal": "low_px", "close_decimal": "price"},
    ),
    MarketDataKind.STATUS: Hash("status", ("phase", "reason", "transact_time"), {}),
    MarketDataKind.AUCTION: Hash("auction", ("price", "qty", "side", "imbalance_qty", "transact_time"), {"price_decimal": "price"}),
    MarketDataKind.BAND: Hash("band", ("high_px", "low_px", "transact_time"), {"high_decimal": "high_px", "low_decimal": "low_px"}),
}
"""LEVEL is not kept: follow market.data for the depth of a book. Nor is TRADE_BUST: the price of a busted trade was seen."""


def key_of(name: str, symbol: str, prefix: str = PREFIX) -> str:
    """The key of a symbol's hash; name: that of one of HASHES."""
    return f"{prefix}{name}:{symbol}"


class RedisSink:
    """The newest public values; see sinks.contract for what it promises. `prefix`: of its keys."""

    def __init__(self, client: Redis, instruments: InstrumentTable, prefix: str = PREFIX) -> None:
        self._client, self._prefix = client, prefix
        self._instruments = instruments
        self._stats = SinkStats()

    @classmethod
    async def connect(cls, url: str, instruments: InstrumentTable) -> Self:
        """Connect. Raises ServiceUnavailable."""
        return cls(await open_redis(url), instruments)

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """Store the newest of each value in the batch, in one round trip."""
        if not batch:
            return
        newest = list(newest_rows([_rows(one) for one in batch]))
        written = 0
        try:
            if newest:
                written = await self._replace(newest)
        except ServiceUnavailable:
            self._stats = replace(self._stats, unavailable=self._stats.unavailable + 1)
            raise
        stats = self._stats
        self._stats = replace(
            stats,
            batches=stats.batches + 1,
            inputs=stats.inputs + len(batch),
            repeated=stats.repeated + len(newest) - written,
            rows=stats.rows + written,
        )

    async def reached(self) -> dict[tuple[str, int], Reached]:
        """Nothing: repeats are recognised by what is stored."""
        return {}

    async def flush(self) -> None:
        """Nothing: what write_batch stored can be read."""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def stats(self) -> SinkStats:
        """Counts so far."""
        return self._stats

    async def _replace(self, newest: Sequence[tuple[Hash, dict[str, int]]]) -> int:
        with translated(self._client):
            async with self._client.pipeline(transaction=False) as pipeline:
                for kept, row in newest:
                    instrument = self._instruments.by_number.get(row["instrument"])
                    assert instrument is not None, f"market data of instrument {row['instrument']}, which is not in the list of instruments"
                    key = key_of(kept.name, instrument.symbol, self._prefix)
                    pipeline.eval(REPLACE_IF_NEWER, 1, key, row["seq"], *fields_of(kept, row, instrument))
                return sum(await pipeline.execute())


def fields_of(kept: Hash, row: dict[str, int], instrument: Instrument) -> Iterator[str | int]:
    """Name and value, in turn, of a hash's fields (without seq)."""
    for column in kept.columns:
        yield column
        yield row[column]
    for name, column in kept.prices.items():
        yield name
        yield instrument.price_text(row[column])


def newest_rows(frames: Sequence[Rows]) -> Iterator[tuple[Hash, dict[str, int]]]:
    """The row with the highest seq of each instrument and kind that is kept, as Python integers by column."""
    rows: Any = np.concatenate(frames)
    for kind, kept in HASHES.items():
        of_kind = rows[rows["kind"] == kind]
        ordered = of_kind[np.lexsort((of_kind["seq"], of_kind["instrument"]))]
        last = np.flatnonzero(np.diff(ordered["instrument"], append=np.uint32(0)))
        names = ("instrument", "seq", *kept.columns)
        for values in zip(*(ordered[name][last].tolist() for name in names), strict=True):
            yield kept, dict(zip(names, values, strict=True))


def _rows(one: Input) -> Rows:
    assert isinstance(one.body, Frame) and one.body.schema == "market_data_frame", f"topic {one.topic} is not one that Redis stores"
    return one.body.rows
