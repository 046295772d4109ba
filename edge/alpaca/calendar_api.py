"""GET /v2/clock and /v2/calendar: when the market is meant to trade, and whether it does now."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final

from aiohttp import web

from edge.alpaca.access import authenticate
from edge.http.answers import json_response
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
    date_type = request.query.get("date_type", "TRADING").upper()
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
    text = request.query.get(name)
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


ROUTES: Final = (web.get("/v2/clock", get_clock), web.get("/v2/calendar", get_calendar))
