"""Past prices page by page: /v2/stocks/{bars,trades,quotes,auctions}, of several symbols or of one, and the same at /v1beta3/crypto/{loc}/.

Pages go symbol by symbol, in the order of the alphabet, and within one by time. `feed`, `asof`, `adjustment` and `currency` are taken in Alpaca's words and change
nothing: there is one feed, in dollars, and there are no corporate actions. Quotes of the past are those that the edge keeps in memory, the newest of each symbol.
"""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from aiohttp import web

from edge.alpaca.errors import value_of
from edge.alpaca.limits import AUCTIONS_PAGE_MAX, DATA_PAGE_DEFAULT, DATA_PAGE_MAX
from edge.alpaca.market_data.messages import item_of, price_of, shares_of
from edge.alpaca.market_data.words import CLOSING_PHASES, CONDITIONS_OF_AUCTION, OPENING_PHASES
from edge.alpaca.query_fields import Query
from edge.gateway.gateway import Gateway
from edge.gateway.market.days import day_of, day_start_ns
from edge.gateway.stored.past_prices import Timeframe, Unit, Window
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.timestamps import rfc3339
from schemas.enums import Phase
from schemas.instruments import Instrument

_SORTS: Final = {"asc": True, "desc": False}
_FEEDS: Final = ("", "sip", "iex", "otc", "boats", "delayed_sip", "overnight")
_TIMEFRAME: Final = re.compile(r"(\d{1,2})([A-Za-z]{1,5})", re.ASCII)
_UNITS: Final = {"T": Unit.MINUTE, "H": Unit.HOUR, "D": Unit.DAY, "W": Unit.WEEK, "M": Unit.MONTH} | {
    unit.value.lower(): unit for unit in Unit
}
"""Letters are large, words are taken as they come: ccxt's are small."""
_COUNTS: Final = {Unit.MINUTE: range(1, 60), Unit.HOUR: range(1, 24), Unit.DAY: (1,), Unit.WEEK: (1,), Unit.MONTH: (1, 2, 3, 4, 6, 12)}

Page = tuple[list[dict[str, Any]], int | None]
"""Items, and the place behind which the next page begins; None: nothing is left."""


@dataclass(frozen=True)
class Asked:
    """One page: of which instruments (by the names that the client gave), of when, how much, from which place on."""

    query: Query
    kind: str
    instruments: dict[str, Instrument]
    window: Window
    limit: int
    timeframe: Timeframe | None = None


Reader = Callable[[Gateway, Instrument, Asked, int | None, int], Awaitable[Page]]
"""(gateway, instrument, what is asked, place, limit) -> a page of that instrument."""


def check_feed(query: Query) -> None:
    """What is taken and changes nothing; raises HttpError where it is no word of Alpaca's."""
    query.word("feed", _FEEDS)
    if query.text("currency", "USD") != "USD":
        raise query.refused("currency must be USD")
    query.time("asof", 0) if query.text("asof") not in ("", "-") else 0


def asked_of(query: Query, kind: str, instruments: dict[str, Instrument]) -> Asked:
    """The page that a query asks for; raises HttpError naming the parameter."""
    check_feed(query)
    now = time.time_ns()
    start, end = query.time("start", day_start_ns(day_of(now))), query.time("end", now)
    if start > end:
        raise query.refused("start must not be behind end")
    most = AUCTIONS_PAGE_MAX if kind == "auctions" else DATA_PAGE_MAX
    window = Window(start, end + 1, query.word("sort", _SORTS, "asc"))
    limit = min(query.whole("limit", DATA_PAGE_DEFAULT, DATA_PAGE_MAX), most)
    timeframe = timeframe_of(query) if kind == "bars" else None
    return Asked(query, kind, dict(sorted(instruments.items())), window, limit, timeframe)


def timeframe_of(query: Query) -> Timeframe:
    """Of a query for bars."""
    text = query.text("timeframe")
    if not text:
        raise query.refused("timeframe is required")
    found = _TIMEFRAME.fullmatch(text)
    unit = _UNITS.get(found[2] if len(found[2]) == 1 else found[2].lower()) if found else None
    if found is None or unit is None or int(found[1]) not in _COUNTS[unit]:
        raise query.refused(
            f"invalid timeframe {quoted(text)}: must be 1 to 59 Min, 1 to 23 Hour, 1Day, 1Week, or 1, 2, 3, 4, 6 or 12 Month"
        )
    return Timeframe(int(found[1]), unit)


async def read_page(gateway: Gateway, asked: Asked, read: Reader) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """(items by symbol, token of the next page)."""
    place = asked.query.place(asked.kind, (str, int))
    names = list(asked.instruments)
    first = behind = None
    if place is not None:
        first, behind = place
        if first not in asked.instruments:
            raise asked.query.refused("invalid page_token: it belongs to another query")
        names = names[names.index(first) :]
    found: dict[str, list[dict[str, Any]]] = {}
    left = asked.limit
    for name in names:
        if not left:  # the page is full, and there may be something of this one
            return found, asked.query.token(asked.kind, (name, 0))
        items, next_place = await read(gateway, asked.instruments[name], asked, behind if name == first and behind else None, left)
        if items:
            found[name] = items
        left -= len(items)
        if next_place is not None:
            return found, asked.query.token(asked.kind, (name, next_place))
    return found, None


async def read_bars(gateway: Gateway, instrument: Instrument, asked: Asked, place: int | None, limit: int) -> Page:
    """The place is where what was not read begins, or ends."""
    window = asked.window
    if place is not None:
        window = replace(window, start=max(window.start, place)) if window.ascending else replace(window, end=min(window.end, place))
    assert asked.timeframe is not None, "bars have one"
    bars, next_at = value_of(await gateway.past.bars(instrument.symbol, asked.timeframe, window, limit))
    return [item_of(bar) for bar in bars], next_at


async def read_trades(gateway: Gateway, instrument: Instrument, asked: Asked, place: int | None, limit: int) -> Page:
    """The place is the last trd_match_id."""
    found = value_of(await gateway.past.trades(instrument.symbol, asked.window, limit + 1, place))
    items = [item_of(one.trade) | ({"u": "canceled"} if one.is_busted else {}) for one in found[:limit]]
    return items, found[limit - 1].trade.trd_match_id if len(found) > limit else None


async def read_quotes(gateway: Gateway, instrument: Instrument, asked: Asked, place: int | None, limit: int) -> Page:
    """The place is the last sequence."""
    found = gateway.past.quotes(instrument.symbol, asked.window, limit + 1, place)
    return [item_of(one) for one in found[:limit]], found[limit - 1].seq if len(found) > limit else None


async def read_auctions(gateway: Gateway, instrument: Instrument, asked: Asked, place: int | None, limit: int) -> Page:
    """Days with their opening and closing auctions; the place is the time of the last one."""
    window = asked.window
    if place is not None:
        window = replace(window, start=max(window.start, place + 1)) if window.ascending else replace(window, end=min(window.end, place))
    found = value_of(await gateway.past.auctions(instrument.symbol, window, limit + 1))
    days: dict[str, dict[str, Any]] = {}
    for one in found[:limit]:
        phase = Phase(one.phase)
        part = "o" if phase in OPENING_PHASES else "c" if phase in CLOSING_PHASES else ""
        if part:
            day = day_of(one.transact_time).isoformat()
            days.setdefault(day, {"d": day, "o": [], "c": []})[part].append({
                "c": CONDITIONS_OF_AUCTION[phase][-1], "p": price_of(instrument, one.price), "s": shares_of(instrument, one.qty),
                "t": rfc3339(one.transact_time), "x": "",
            })  # fmt: skip
    return list(days.values()), found[limit - 1].transact_time if len(found) > limit else None


READERS: Final[dict[str, Reader]] = {"bars": read_bars, "trades": read_trades, "quotes": read_quotes, "auctions": read_auctions}


async def answer_many(gateway: Gateway, query: Query, kind: str, instruments: dict[str, Instrument]) -> web.Response:
    """A page of several symbols."""
    found, token = await read_page(gateway, asked_of(query, kind, instruments), READERS[kind])
    return json_response({kind: found, "next_page_token": token})


async def answer_one(gateway: Gateway, query: Query, kind: str, name: str, instrument: Instrument) -> web.Response:
    """A page of one symbol."""
    found, token = await read_page(gateway, asked_of(query, kind, {name: instrument}), READERS[kind])
    return json_response({kind: found.get(name, []), "symbol": name, "next_page_token": token})
