"""Days of an instrument: whole or not told, by New York's date, and made anew after a bust."""

from datetime import date

from edge.gateway.market.days import Days, Totals, day_of, day_start_ns
from edge.gateway.market.events import Bar, DailyBar, TradeBust, UpdatedBar
from edge.gateway.market.view import MarketRow, MarketView
from schemas.enums import MarketDataKind
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from sinks.mysql.market_history import HOUR_NS, StoredBar

MINUTE_NS = 60_000_000_000
MONDAY = day_start_ns(date(2026, 11, 30))
NOON = MONDAY + 12 * HOUR_NS


def of(totals: Totals | None) -> tuple[int, ...] | None:
    """Its numbers."""
    return None if totals is None else tuple(getattr(totals, name) for name in Totals.__slots__)


def test_a_day_begins_at_midnight_in_new_york_in_summer_and_in_winter() -> None:
    """The night on which the clocks change too."""
    assert day_start_ns(date(2026, 3, 9)) - day_start_ns(date(2026, 3, 8)) == 23 * HOUR_NS
    assert day_start_ns(date(2026, 11, 2)) - day_start_ns(date(2026, 11, 1)) == 25 * HOUR_NS
    assert (day_of(MONDAY), day_of(MONDAY - 1)) == (date(2026, 11, 30), date(2026, 11, 29))


def test_a_day_is_told_once_what_was_before_is_known() -> None:
    """What is stored and what came since are one day; the one before is Friday's."""
    days = Days()
    days.begin(NOON + 1)
    days.trade(105, 1, NOON + 2)  # before the next whole minute: the system of record has it
    days.trade(110, 2, NOON + MINUTE_NS)
    days.trade(90, 3, NOON + MINUTE_NS + 1)
    assert (days.last, days.previous) == (None, None)
    friday = StoredBar(day_start_ns(date(2026, 11, 27)) + 10 * HOUR_NS, 80, 82, 79, 81, 10, 4, 800)
    days.take_stored(
        [friday, StoredBar(NOON, 100, 106, 99, 105, 7, 3, 700), StoredBar(NOON + MINUTE_NS // 2, 105, 105, 104, 104, 1, 1, 104)]
    )
    assert of(days.last) == (MONDAY, 100, 110, 90, 90, 13, 6, 700 + 104 + 220 + 270)
    assert of(days.previous) == (day_start_ns(date(2026, 11, 27)), 80, 82, 79, 81, 10, 4, 800)
    days.trade(95, 1, NOON + 24 * HOUR_NS)
    assert of(days.last) == (MONDAY + 24 * HOUR_NS, 95, 95, 95, 95, 1, 1, 95)
    assert of(days.previous) == (MONDAY, 100, 110, 90, 90, 13, 6, 1_294)


def row(kind: MarketDataKind, **values: int) -> MarketRow:
    """Of AAPL."""
    return MarketRow(**dict.fromkeys(MarketRow._fields, 0) | {"kind": int(kind), "instrument": 1} | values)


def test_a_minute_tells_the_day_and_a_bust_tells_the_minute_anew() -> None:
    """And the day is not told until the system of record has been asked again."""
    view = MarketView(load_instruments(None))
    view.begin(NOON)
    aapl = view.symbols["AAPL"]
    aapl.days.take_stored([])
    for seq, (price, qty) in enumerate(((100, 5), (120, 1), (90, 2)), 1):
        view.apply([row(MarketDataKind.TRADE, seq=seq, price=price, qty=qty, trd_match_id=seq, side=1, transact_time=NOON + seq)])
    minute = row(
        MarketDataKind.BAR, seq=1, transact_time=NOON, open_px=100, high_px=120, low_px=90, price=90, qty=8, order_count=3, notional=800
    )
    told = view.apply([minute])
    assert [type(event) for event in told] == [Bar, DailyBar]
    assert (told[1].high_px, told[1].qty, told[1].at, told[1].seq) == (120, 8, MONDAY, 1)
    bust = row(
        MarketDataKind.TRADE_BUST, seq=1, price=120, qty=1, trd_match_id=2, reason=int(Reason.CLEARLY_ERRONEOUS), transact_time=NOON + 99
    )
    told = view.apply([bust])
    assert [type(event) for event in told] == [TradeBust, UpdatedBar]
    updated = told[1]
    assert isinstance(updated, UpdatedBar)
    assert (updated.at, updated.open_px, updated.high_px, updated.low_px, updated.close_px) == (NOON, 100, 100, 90, 90)
    assert (updated.qty, updated.trades, updated.notional) == (7, 2, 680)
    assert (aapl.bars[-1].high_px, aapl.days.last, aapl.daily_bar()) == (100, None, None)
    assert aapl.days.since_ns == NOON + MINUTE_NS
