"""Market events as Alpaca's messages, in JSON and msgpack. No I/O.

Prices in JSON are exact decimals; msgpack has only binary floats, so there they are the nearest one.
"""

from decimal import Decimal
from typing import Any, Final, assert_never

import msgpack
import msgspec

from edge.alpaca.market_data.words import (
    CONDITIONS_OF_AUCTION,
    CROSS_TRADE,
    LULD_INDICATOR,
    NON_FIRM_QUOTE,
    REASON_CODE,
    REGULAR_QUOTE,
    REGULAR_TRADE,
    status_words,
)
from edge.gateway.market.events import (
    Auction,
    Bands,
    Bar,
    BookLevels,
    DailyBar,
    Level,
    MarketEvent,
    Quote,
    Status,
    Trade,
    TradeBust,
    UpdatedBar,
)
from edge.http.timestamps import rfc3339
from schemas.enums import Side
from schemas.instruments import Instrument
from schemas.reject_reasons import SENTENCES, Reason

CHANNELS: Final = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "orderbooks", "statuses", "lulds", "imbalances")
_CHANNEL_OF: Final[dict[type[MarketEvent], str]] = {
    Trade: "trades",
    TradeBust: "trades",  # as at Alpaca: who has a trade must hear that it is gone
    Quote: "quotes",
    Bar: "bars",
    UpdatedBar: "updatedBars",
    DailyBar: "dailyBars",
    BookLevels: "orderbooks",
    Status: "statuses",
    Bands: "lulds",
    Auction: "imbalances",
}
_TYPE_OF_BAR: Final[dict[type[Bar], str]] = {Bar: "b", UpdatedBar: "u", DailyBar: "d"}
_TAKER: Final = {int(Side.BUY): "B", int(Side.SELL): "S"}
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_JSON, _MSGPACK = "alpaca json", "alpaca msgpack"


def channel_of(event: MarketEvent) -> str:
    """The channel that tells the event."""
    return _CHANNEL_OF[type(event)]


def json_of(event: MarketEvent) -> bytes:
    """The JSON object."""
    data = event.encoded.get(_JSON)
    if data is None:
        data = event.encoded[_JSON] = _ENCODER.encode({**fields_of(event), "t": rfc3339(event.at)})
    return data


def packed_of(event: MarketEvent) -> bytes:
    """The msgpack map; "t" is a Timestamp extension."""
    data = event.encoded.get(_MSGPACK)
    if data is None:
        seconds, nanos = divmod(event.at, 1_000_000_000)
        data = msgpack.packb({**fields_of(event), "t": msgpack.Timestamp(seconds, nanos)}, default=float)
        event.encoded[_MSGPACK] = data
    return data


def item_of(event: MarketEvent) -> dict[str, Any]:
    """The same as an item of a list or of a symbol: without the type of message, the symbol and the place in the stream."""
    return {name: value for name, value in fields_of(event).items() if name not in ("T", "S", "seq", "r")} | {"t": rfc3339(event.at)}


def price_of(instrument: Instrument, ticks: int) -> Decimal:
    """A price in ticks as an exact decimal."""
    return instrument.tick_size * ticks


def shares_of(instrument: Instrument, lots: int) -> int | Decimal:
    """A quantity in lots as a number of shares."""
    exact = instrument.lot_size * lots
    return int(exact) if exact == exact.to_integral_value() else exact


def fields_of(event: MarketEvent) -> dict[str, Any]:
    """The message's fields, Decimals for prices and ns in "t"."""
    match event:
        case Trade():
            return _trade(event)
        case Quote():
            return _quote(event)
        case BookLevels():
            return _book(event)
        case Bar():
            return _bar(event)
        case Status():
            return _status(event)
        case Bands():
            return _bands(event)
        case Auction():
            return _auction(event)
        case TradeBust():
            return _bust(event)
        case _:
            assert_never(event)


def _trade(event: Trade) -> dict[str, Any]:
    one = event.instrument
    return {
        "T": "t", "S": one.symbol, "i": event.trd_match_id, "x": "", "p": price_of(one, event.price), "s": shares_of(one, event.qty),
        "c": CONDITIONS_OF_AUCTION.get(event.phase, REGULAR_TRADE if event.taker else CROSS_TRADE), "t": event.at, "z": "C", "seq": event.seq,
        "tks": _TAKER.get(event.taker, ""),
    }  # fmt: skip


def _quote(event: Quote) -> dict[str, Any]:
    one = event.instrument
    return {
        "T": "q", "S": one.symbol, "bx": "", "bp": price_of(one, event.bid_px), "bs": shares_of(one, event.bid_qty), "ax": "",
        "ap": price_of(one, event.ask_px), "as": shares_of(one, event.ask_qty), "z": "C", "t": event.at, "seq": event.seq,
        "c": REGULAR_QUOTE if event.is_firm else NON_FIRM_QUOTE,
    }  # fmt: skip


def _bar(event: Bar) -> dict[str, Any]:
    one = event.instrument
    average = (one.tick_size * event.notional / event.qty) if event.qty else price_of(one, event.close_px)
    return {
        "T": _TYPE_OF_BAR[type(event)], "S": one.symbol, "o": price_of(one, event.open_px), "h": price_of(one, event.high_px), "l": price_of(one, event.low_px),
        "c": price_of(one, event.close_px), "v": shares_of(one, event.qty), "n": event.trades, "vw": round(average, 6), "t": event.at,
        "seq": event.seq,
    }  # fmt: skip


def _status(event: Status) -> dict[str, Any]:
    code, text = status_words(event.phase, event.reason)
    return {
        "T": "s", "S": event.symbol, "sc": code, "sm": text, "rc": REASON_CODE.get(event.reason, ""), "rm": SENTENCES[event.reason],
        "t": event.at, "z": "C", "phase": event.phase.name.lower(), "reason": event.reason.name if event.reason else "", "seq": event.seq,
    }  # fmt: skip


def _auction(event: Auction) -> dict[str, Any]:
    """Alpaca tells the price only; volume and imbalance are ours."""
    one = event.instrument
    return {
        "T": "i", "S": one.symbol, "p": price_of(one, event.price), "z": "C", "t": event.at, "s": shares_of(one, event.qty),
        "imbalance": shares_of(one, event.imbalance_qty), "side": _TAKER.get(event.side, ""), "seq": event.seq,
    }  # fmt: skip


def _bands(event: Bands) -> dict[str, Any]:
    one = event.instrument
    return {
        "T": "l", "S": one.symbol, "u": price_of(one, event.high_px), "d": price_of(one, event.low_px), "i": LULD_INDICATOR[event.update],
        "t": event.at, "z": "C", "seq": event.seq,
    }  # fmt: skip


def _bust(event: TradeBust) -> dict[str, Any]:
    one = event.instrument
    return {
        "T": "x", "S": one.symbol, "i": event.trd_match_id, "x": "", "p": price_of(one, event.price), "s": shares_of(one, event.qty),
        "a": "E" if event.reason == Reason.CLEARLY_ERRONEOUS else "C", "t": event.at, "z": "C", "seq": event.seq,
    }  # fmt: skip


def _book(event: BookLevels) -> dict[str, Any]:
    """With "r" the levels replace what a client has; without it, size 0 takes a level away."""
    one = event.instrument
    fields = {
        "T": "o", "S": one.symbol, "b": [_level(one, level) for level in event.bids], "a": [_level(one, level) for level in event.asks],
        "t": event.at, "r": event.is_whole,
    }  # fmt: skip
    return fields if event.is_whole else fields | {"seq": event.seq}


def _level(one: Instrument, level: Level) -> dict[str, Any]:
    return {"p": price_of(one, level.price), "s": shares_of(one, level.qty)}
