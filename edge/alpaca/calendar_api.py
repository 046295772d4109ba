"""GET /v2/clock and /v2/calendar, and the same of /v3: when the market is meant to trade, and whether it does now."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.alpaca.query_fields import Query
from edge.gateway.market.view import MarketView
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.errors import HttpError, bad_parameter
from edge.http.state import gateway_of
from edge.http.timestamps import parse_time_ns
from schemas.market_hours import END_OF_DAY, OPEN, PRE_OPEN, CalendarEnds, TradingDay

_LONGEST_BREAK: Final = timedelta(days=14)
"""Between two trading days; NYSE's was four days since the table begins."""


async def get_clock(request: web.Request) -> web.Response:
    """Whether the books trade now, and when the calendar opens and closes them next."""
    gateway = gateway_of(request)
    await authenticate(request)
    try:
        following = {"next_open": gateway.hours.next_open().isoformat(), "next_close": gateway.hours.next_close().isoformat()}
    except CalendarEnds as error:
        raise HttpError(503, str(error)) from error
    return json_response({"timestamp": gateway.hours.now().isoformat(), "is_open": gateway.market.is_open, **following})


async def get_calendar(request: web.Request) -> web.Response:
    """Trading days, oldest first. The last one of the calendar is left out: nobody knows when it settles."""
    gateway = gateway_of(request)
    await authenticate(request)
    first, last = _day_of(request, "start"), _day_of(request, "end")
    date_type = Query(request.query).text("date_type", "TRADING").upper()
    if date_type not in ("TRADING", "SETTLEMENT"):
        raise bad_parameter("date_type must be TRADING or SETTLEMENT")
    margin = _LONGEST_BREAK if date_type == "SETTLEMENT" else timedelta()
    days = gateway.hours.days(_moved(first, -margin), _moved(last, _LONGEST_BREAK))
    found = []
    for one, settles in pairwise(days):
        judged = settles.day if date_type == "SETTLEMENT" else one.day
        if (first is None or judged >= first) and (last is None or judged <= last):
            found.append(_day_json(one, settles))
    return json_response(found)


def _moved(day: date | None, by: timedelta) -> date | None:
    try:
        return None if day is None else day + by
    except OverflowError:
        return day


def _day_of(request: web.Request, name: str) -> date | None:
    text = Query(request.query).text(name)
    if not text:
        return None
    time_ns = parse_time_ns(text)
    if time_ns is None:
        raise bad_parameter(f"{name} must be a date or an RFC 3339 time")
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).date()


def _day_json(one: TradingDay, settles: TradingDay) -> dict[str, str]:
    return {
        "date": one.day.isoformat(), "open": OPEN.strftime("%H:%M"), "close": one.closes.strftime("%H:%M"),
        "session_open": PRE_OPEN.strftime("%H%M"), "session_close": (one.close_at + END_OF_DAY).strftime("%H%M"),
        "settlement_date": settles.day.isoformat(),
    }  # fmt: skip


# ---- the same as /v3 asks for it, of one of several markets


_MARKETS: Final = ("", "NYSE", "XNYS", "IEX", "IEXG", "NASDAQ", "XNAS")
"""Whose days are ours; each is answered as this exchange."""


async def get_clocks(request: web.Request) -> web.Response:
    """The clocks of the markets that the request names; without any, this exchange's."""
    gateway, query = gateway_of(request), Query(request.query)
    await authenticate(request)
    named = query.names("markets")
    for name in named:
        _market_in(name, query)
    if query.text("time"):
        raise query.refused("time is not supported: the clock tells what the books do now")
    try:
        opens, closes = gateway.hours.next_open(), gateway.hours.next_close()
    except CalendarEnds as error:
        raise HttpError(503, str(error)) from error
    now = gateway.hours.now()
    clock = {
        "timestamp": now.isoformat(), "is_market_day": any(True for _ in gateway.hours.days(now.date(), now.date())),
        "next_market_open": opens.isoformat(), "next_market_close": closes.isoformat(), "phase": _phase(gateway.market),
        "phase_until": (closes if gateway.market.is_open else opens).isoformat(),
    }  # fmt: skip
    return json_response({"clocks": [clock | {"market": _market_json(name)} for name in named or ["NYSE"]]})


def _phase(market: MarketView) -> str:
    return "core" if market.is_open else "closed"


async def get_market_calendar(request: web.Request) -> web.Response:
    """Trading days of a market, from `start` to `end`: without them, of the next week."""
    gateway, query = gateway_of(request), Query(request.query)
    await authenticate(request)
    name = _market_in(request.match_info["market"], query)
    zone = query.word("timezone", {"": None, "UTC": UTC})
    today = gateway.hours.now().date()
    first = _day_of(request, "start") or today
    last = _day_of(request, "end") or first + timedelta(days=7)

    def at(moment: datetime) -> str:
        return (moment if zone is None else moment.astimezone(zone)).isoformat()

    days = [
        {"date": one.day.isoformat(), "core_start": at(one.open_at), "core_end": at(one.close_at)}
        for one in gateway.hours.days(first, last)
    ]
    return json_response({"market": _market_json(name), "calendar": days})


def _market_in(name: str, query: Query) -> str:
    if name.upper() not in _MARKETS or not name:
        raise query.refused(f"invalid market {quoted(name)}: must be one of {', '.join(_MARKETS[1:])}")
    return name.upper()


def _market_json(name: str) -> dict[str, str]:
    return {"name": "Open Outcry", "acronym": name, "mic": "", "bic": "", "timezone": "America/New_York"}


ROUTES: Final = (
    web.get("/v2/clock", get_clock),
    web.get("/v2/calendar", get_calendar),
    web.get("/v3/clock", get_clocks),
    web.get("/v3/calendar/{market}", get_market_calendar),
)
