"""Past and newest prices: bars, trades and auctions from the system of record, quotes from memory, the newest of each from memory or the price cache.

Bars of days, weeks and months are New York's; a week begins on Monday. Those of minutes and hours are counted from 1970.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from itertools import islice
from typing import Final, NamedTuple

from edge.gateway.limits import DAYS_LOOKED_BACK
from edge.gateway.market.days import MINUTE_NS, Totals, day_of, day_start_ns
from edge.gateway.market.events import Bar, Quote, Trade
from edge.gateway.market.view import MarketView, SymbolView
from edge.gateway.outcomes import Accepted, Unavailable
from edge.gateway.stored.history import Stores, recorded
from schemas.enums import Phase
from schemas.errors import ServiceUnavailable
from sinks.cached.kinds import uncached
from sinks.mysql import market_history
from sinks.mysql.market_history import DAY_NS, HOUR_NS, BarPage, PastAuction, StoredBar
from sinks.redis.prices import Newest, Values

HOURS_READ_MAX: Final = 20_000
"""Hours behind a page of days, weeks or months: at least two years."""
_STORED_BARS: Final = uncached(market_history.bars)
"""For a day that is told whole or not at all: trades are counted on from where these end."""


class Unit(Enum):
    """What the length of a bar is counted in."""

    MINUTE = "Min"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


@dataclass(frozen=True)
class Timeframe:
    """The length of a bar."""

    count: int
    unit: Unit

    @property
    def width_ns(self) -> int:
        """Of minutes and hours; 0 of the others, whose length changes."""
        return self.count * {Unit.MINUTE: MINUTE_NS, Unit.HOUR: HOUR_NS}.get(self.unit, 0)

    def first_day(self, day: date) -> date:
        """Of the bar that a day is in."""
        match self.unit:
            case Unit.WEEK:
                return day - timedelta(days=day.weekday())
            case Unit.MONTH:
                month = day.year * 12 + day.month - 1
                month -= month % self.count
                return date(month // 12, month % 12 + 1, 1)
            case _:
                return day

    def next_day(self, first: date) -> date:
        """The first day of the bar behind the one that begins on `first`."""
        match self.unit:
            case Unit.WEEK:
                return first + timedelta(days=7)
            case Unit.MONTH:
                month = first.year * 12 + first.month - 1 + self.count
                return date(month // 12, month % 12 + 1, 1)
            case _:
                return first + timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """start <= t < end in ns, and in which order."""

    start: int
    end: int
    ascending: bool = True


class PastTrade(NamedTuple):
    """A trade of the past; its phase is not known (CLOSED) where an auction made it. `seq` is 0."""

    trade: Trade
    is_busted: bool


class Last(NamedTuple):
    """The newest of one instrument, None where there is none."""

    trade: Trade | None
    quote: Quote | None
    bar: Bar | None


class PastPrices:
    """Every instrument's."""

    def __init__(self, stores: Stores, market: MarketView) -> None:
        self._stores, self._market = stores, market

    async def bars(
        self, symbol: str, timeframe: Timeframe, window: Window, limit: int
    ) -> Accepted[tuple[list[Bar], int | None]] | Unavailable:
        """(bars that begin within the window, where what was not read begins or, descending, ends: None if nothing is left)."""
        view = self._market.symbols[symbol]
        read = self._fixed if timeframe.width_ns else self._calendar
        page = await recorded(read(view, timeframe, window, limit), "past prices")
        if not isinstance(page, Accepted):
            return page
        return Accepted(([view.bar_of(one) for one in page.value.bars], page.value.next_at))

    async def _fixed(self, view: SymbolView, timeframe: Timeframe, window: Window, limit: int) -> BarPage:
        width = timeframe.width_ns
        start = window.start + -window.start % width
        return await self._stores.read(
            market_history.bars, None, view.instrument.number, width, start, max(start, window.end), limit, ascending=window.ascending
        )

    async def _calendar(self, view: SymbolView, timeframe: Timeframe, window: Window, limit: int) -> BarPage:
        """Hours, put together: midnight in New York is on an hour. A bar that begins before the window is left out, as a whole."""
        first = timeframe.first_day(day_of(window.start))
        if day_start_ns(first) < window.start:
            first = timeframe.next_day(first)
        last = timeframe.first_day(day_of(window.end - 1))
        start, end = day_start_ns(first), day_start_ns(timeframe.next_day(last))
        page = await self._stores.read(
            market_history.bars, None, view.instrument.number, HOUR_NS, start, max(start, end), HOURS_READ_MAX, ascending=window.ascending
        )
        made: dict[int, Totals] = {}
        for hour in page.bars if window.ascending else reversed(page.bars):
            begin = day_start_ns(timeframe.first_day(day_of(hour.started_at)))
            if begin in made:
                made[begin].add(hour)
            else:
                made[begin] = Totals.of(hour, begin)
        starts = sorted(made, reverse=not window.ascending)
        if page.next_at is not None:  # the last one may not be whole
            starts = starts[:-1]
        chosen, left = starts[:limit], page.next_at is not None or len(starts) > limit
        bars = [StoredBar(*(getattr(made[begin], name) for name in StoredBar.__slots__)) for begin in chosen]
        if not left or not chosen:
            return BarPage(bars, None)
        behind = chosen[-1] if not window.ascending else day_start_ns(timeframe.next_day(day_of(chosen[-1])))
        return BarPage(bars, behind)

    async def trades(self, symbol: str, window: Window, limit: int, behind: int | None) -> Accepted[list[PastTrade]] | Unavailable:
        """Trades of the window, behind a trd_match_id if one is given."""
        instrument = self._market.symbols[symbol].instrument
        asked = self._stores.read(
            market_history.trades, None, instrument.number, window.start, window.end, limit, ascending=window.ascending, behind=behind
        )
        found = await recorded(asked, "past trades")
        if not isinstance(found, Accepted):
            return found
        return Accepted([
            PastTrade(Trade(instrument, 0, one.transact_time, one.trd_match_id, one.price, one.qty, one.aggressor_side, Phase.CLOSED), one.bust_reason > 0)
            for one in found.value
        ])  # fmt: skip

    def quotes(self, symbol: str, window: Window, limit: int, behind: int | None) -> list[Quote]:
        """Those that are kept, behind a `seq` if one is given."""
        kept = self._market.symbols[symbol].quotes
        chosen = (one for one in (kept if window.ascending else reversed(kept)) if window.start <= one.at < window.end)
        if behind is not None:
            chosen = (one for one in chosen if (one.seq > behind if window.ascending else one.seq < behind))
        return list(islice(chosen, limit))

    async def auctions(self, symbol: str, window: Window, limit: int) -> Accepted[list[PastAuction]] | Unavailable:
        """What call phases that ended within the window came to."""
        number = self._market.symbols[symbol].instrument.number
        asked = self._stores.read(market_history.auctions, None, number, window.start, window.end, limit, ascending=window.ascending)
        return await recorded(asked, "past auctions")

    async def newest(self, symbols: list[str]) -> dict[str, Last]:
        """The newest trade, quote and minute of each symbol: from memory, and where that has none from the price cache."""
        views = {symbol: self._market.symbols[symbol] for symbol in symbols}
        found = {
            symbol: Last(view.trades[-1] if view.trades else None, view.quote, view.bars[-1] if view.bars else None)
            for symbol, view in views.items()
        }
        missing = [symbol for symbol, last in found.items() if None in last]
        if not missing:
            return found
        cached = await self._stores.newest_prices(missing)
        return found | {symbol: _completed(found[symbol], views[symbol], cached) for symbol in missing}

    async def load_days(self) -> bool:
        """Read the days of the instruments that are not known whole, as far as the system of record has them; False if some are still missing."""
        views = [view for view in self._market.symbols.values() if not view.days.is_known]
        if not views:
            return True
        try:
            until = await self._stores.read(market_history.stored_until, None)
            for view in [one for one in views if one.days.since_ns <= until]:
                since = view.days.since_ns
                page = await self._stores.read(
                    _STORED_BARS,
                    None,
                    view.instrument.number,
                    HOUR_NS,
                    since - DAYS_LOOKED_BACK * DAY_NS,
                    since,
                    HOURS_READ_MAX,
                    ascending=False,
                )
                if view.days.since_ns == since:  # otherwise a trade was busted meanwhile
                    view.days.take_stored(reversed(page.bars))
        except ServiceUnavailable:
            return False
        return all(view.days.is_known for view in views)


def _completed(known: Last, view: SymbolView, cached: Newest) -> Last:
    """What is missing, from the cache."""
    one, symbol = view.instrument, view.instrument.symbol

    def numbers(values: Values, *names: str) -> list[int]:
        return [int(values[name]) for name in names]

    trade, quote, bar = known
    if trade is None and symbol in cached.trades:
        seq, at, match, price, qty, side = numbers(cached.trades[symbol], "seq", "transact_time", "trd_match_id", "price", "qty", "side")
        trade = Trade(one, seq, at, match, price, qty, side, Phase.CLOSED)
    if quote is None and symbol in cached.quotes:
        seq, at, bid_px, bid_qty, ask_px, ask_qty = numbers(
            cached.quotes[symbol], "seq", "transact_time", "bid_px", "bid_qty", "ask_px", "ask_qty"
        )
        quote = Quote(one, seq, at, bid_px, bid_qty, ask_px, ask_qty, is_firm=False)
    if bar is None and symbol in cached.bars:
        columns = ("seq", "transact_time", "open_px", "high_px", "low_px", "price", "qty", "order_count", "notional")
        bar = Bar(one, *numbers(cached.bars[symbol], *columns))
    return Last(trade, quote, bar)
