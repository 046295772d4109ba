"""GET /v2/account/portfolio/history: what the account was worth over time.

`timestamp` is the beginning of each span, `equity` the worth at its end. Profit is what the worth has grown by beyond what came from outside: in days since the
day before, within days since the day's beginning (`pnl_reset=per_day`) or since the first value. Values are there for trading days, within days for trading
hours (`intraday_reporting`: also `extended_hours`, 04:00 to 20:00, or `continuous` for every span).
"""

import re
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as day_time
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from edge.alpaca.access import account_of
from edge.alpaca.errors import value_of
from edge.alpaca.limits import HISTORY_POINTS_MAX
from edge.alpaca.query_fields import Query
from edge.gateway.market.calendar import MarketHours
from edge.gateway.market.days import MINUTE_NS, day_of, day_start_ns
from edge.gateway.stored.account_history import INSTRUMENTS_VALUED_MAX, TooManyInstruments, Worth
from edge.http.answers import json_response
from edge.http.client_data import quoted
from edge.http.state import gateway_of
from schemas.market_hours import NEW_YORK, ns_of
from schemas.units import MINOR_PER_UNIT

_HOUR_NS: Final = 60 * MINUTE_NS
_DAY_NS: Final = 24 * _HOUR_NS
_DAYS: Final = "1D"
_WIDTHS: Final = {"1Min": MINUTE_NS, "5Min": 5 * MINUTE_NS, "15Min": 15 * MINUTE_NS, "1H": _HOUR_NS, _DAYS: _HOUR_NS}
"""Days are made of hours: midnight in New York is on one, and a day may have 23 or 25."""
_PERIOD: Final = re.compile(r"([1-9]\d{0,3})([DWMA])", re.ASCII | re.IGNORECASE)
_PERIOD_DAYS: Final = {"D": 1, "W": 7}
_PERIOD_MONTHS: Final = {"M": 1, "A": 12}
_REPORTINGS: Final = ("market_hours", "extended_hours", "continuous")
_EXTENDED_OPEN, _EXTENDED_CLOSE = day_time(4), day_time(20)
_RESETS: Final = {"per_day": True, "no_reset": False}
_CASHFLOWS: Final = ("CSD", "CSW")


@dataclass(frozen=True)
class _Asked:
    timeframe: str
    since: int
    points: list[tuple[int, int]]
    """(beginning in ns, the span at whose end the worth is taken)."""
    resets: bool
    cashflows: tuple[str, ...]


async def get_portfolio_history(request: web.Request) -> web.Response:
    """Worth and profit."""
    gateway, view = gateway_of(request), await account_of(request)
    query = Query(request.query)
    asked = parse_history(query, gateway.hours, time.time_ns())
    if not asked.points:
        return json_response(_written(asked, Worth(0, [], [], [], [])))
    worth = await gateway.account_history.worth(view, asked.since, _WIDTHS[asked.timeframe], [span for _, span in asked.points])
    if isinstance(worth, TooManyInstruments):
        raise query.refused(
            f"the account has traded {worth.count} assets in this period, more than {INSTRUMENTS_VALUED_MAX}: ask for a shorter one"
        )
    return json_response(_written(asked, value_of(worth)))


def parse_history(query: Query, market: MarketHours, now: int) -> _Asked:
    """What is asked for; raises HttpError naming the parameter."""
    start, end = _bounds(query, now)
    days = (end - start) / _DAY_NS
    timeframe = query.word("timeframe", list(_WIDTHS), "1Min" if days < 7 else "15Min" if days < 30 else _DAYS)
    reporting = query.word("intraday_reporting", _REPORTINGS, "extended_hours" if query.flag("extended_hours") else "market_hours")
    resets = query.word("pnl_reset", _RESETS, "per_day")
    wanted = query.text("cashflow_types", "NONE").upper()
    cashflows = _CASHFLOWS if wanted == "ALL" else () if wanted == "NONE" else tuple(one for one in _CASHFLOWS if one in wanted.split(","))
    width = _WIDTHS[timeframe]
    since = day_start_ns(day_of(start)) if timeframe == _DAYS else start - start % width
    most = (end - since) // width + 1
    if most > HISTORY_POINTS_MAX * 24:
        raise _too_many(query, timeframe)
    points = _days(since, end, market) if timeframe == _DAYS else _within_days(since, end, width, market, reporting)
    if len(points) > HISTORY_POINTS_MAX:
        raise _too_many(query, timeframe)
    return _Asked(timeframe, since, points, resets, cashflows)


def _too_many(query: Query, timeframe: str) -> Exception:
    return query.refused(f"timeframe {timeframe} has more than {HISTORY_POINTS_MAX} values in this period: take a longer one")


def _bounds(query: Query, now: int) -> tuple[int, int]:
    if query.text("start") and query.text("end") and query.text("period"):
        raise query.refused("start, end and period cannot all be sent: two of them say it")
    period = query.text("period", "1M")
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise query.refused(f"invalid period {quoted(period)}: must be a number and D, W, M or A")
    count, unit = int(found[1]), found[2].upper()
    last = query.time("date_end", 0)
    end = query.time("end", last + _DAY_NS - 1 if last else now)
    if query.text("start"):
        start = query.time("start", 0)
        end = min(end, _shifted(start, count, unit)) if query.text("period") else end
    else:
        start = _shifted(end, -count, unit)
    if start > end:
        raise query.refused("start must be before end")
    return start, min(end, now)


def _shifted(at: int, count: int, unit: str) -> int:
    if unit in _PERIOD_DAYS:
        return max(0, at + count * _PERIOD_DAYS[unit] * _DAY_NS)
    day = day_of(at)
    months = day.year * 12 + day.month - 1 + count * _PERIOD_MONTHS[unit]
    if not 1970 * 12 <= months < 2200 * 12:
        return 0 if count < 0 else at
    moved = date(months // 12, months % 12 + 1, min(day.day, 28))
    return day_start_ns(moved) + (at - day_start_ns(day)) % _DAY_NS


def _days(since: int, end: int, market: MarketHours) -> list[tuple[int, int]]:
    days = (one.day for one in market.days(day_of(since), day_of(end)))
    return [(day_start_ns(day), (day_start_ns(day + timedelta(days=1)) - since) // _HOUR_NS - 1) for day in days]


def _within_days(since: int, end: int, width: int, market: MarketHours, reporting: str) -> list[tuple[int, int]]:
    every = [(since + span * width, span) for span in range((end - since) // width + 1)]
    if reporting == "continuous":
        return every
    points = []
    for one in market.days(day_of(since), day_of(end)):
        opens, closes = one.open_at, one.close_at
        if reporting == "extended_hours":
            opens, closes = (datetime.combine(one.day, at, NEW_YORK) for at in (_EXTENDED_OPEN, _EXTENDED_CLOSE))
        first, last = -((since - ns_of(opens)) // width), (ns_of(closes) - 1 - since) // width
        points += every[max(0, first) : max(0, last + 1)]
    return points


def _written(asked: _Asked, worth: Worth) -> dict[str, Any]:
    profit, base_of = [], []
    base, grown = worth.base, 0
    day: date | None = None
    before = worth.base
    for (begin, _), equity, outside in zip(asked.points, worth.equity, worth.outside, strict=True):
        if asked.timeframe == _DAYS or (asked.resets and day_of(begin) != day):
            base, grown, day = before, 0, day_of(begin)
        grown += outside
        profit.append(equity - base - grown)
        base_of.append(base + grown)
        before = equity
    cash = {"CSD": worth.cash_in, "CSW": worth.cash_out}
    return {
        "timestamp": [begin // 1_000_000_000 for begin, _ in asked.points],
        "equity": [_dollars(one) for one in worth.equity],
        "profit_loss": [_dollars(one) for one in profit],
        "profit_loss_pct": [round(Decimal(one) / whole, 6) if whole else None for one, whole in zip(profit, base_of, strict=True)],
        "base_value": _dollars(worth.base),
        "base_value_asof": day_of(asked.since - 1).isoformat(),
        "timeframe": asked.timeframe,
        "cashflow": {name: [_dollars(one) for one in cash[name]] for name in asked.cashflows},
    }


def _dollars(amount: int) -> Decimal:
    return Decimal(amount) / MINOR_PER_UNIT


ROUTES: Final = (web.get("/v2/account/portfolio/history", get_portfolio_history),)
