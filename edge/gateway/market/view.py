"""Public prices as the edge knows them, and the events that tell them. No I/O.

Built from rows of market.data. Trades keep the dense sequence of their instrument (`seq`), so a client can see that none is missing
and resume behind the last it saw.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Final, NamedTuple

from edge.gateway.limits import (
    BARS_KEPT_PER_SYMBOL,
    BOOK_LEVELS_SHOWN,
    BUSTS_KEPT_PER_SYMBOL,
    QUOTES_KEPT_PER_SYMBOL,
    TRADES_KEPT_PER_SYMBOL,
)
from edge.gateway.market.days import MINUTE_NS, Days, Span, Totals
from edge.gateway.market.events import (
    Auction,
    Bands,
    BandUpdate,
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
from matchers.rules.order_tables import NEW_IN_PHASE
from schemas.codec import FRAMES
from schemas.enums import MarketDataKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason
from sinks.cached.kinds import Head


class MarketRow(NamedTuple):
    """A row of market_data_frame as Python integers, in the order of its columns."""

    kind: int
    side: int
    phase: int
    reason: int
    instrument: int
    order_count: int
    seq: int
    trd_match_id: int
    price: int
    qty: int
    bid_px: int
    bid_qty: int
    ask_px: int
    ask_qty: int
    open_px: int
    high_px: int
    low_px: int
    notional: int
    imbalance_qty: int
    transact_time: int


assert MarketRow._fields == FRAMES["market_data_frame"].dtype.names, "MarketRow must name the frame's columns in their order"

_CALL_PHASES: Final = (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION)
"""Orders are collected, and an uncross is to come."""
_BANDS_SUSPENDED: Final = (Phase.HALTED, Phase.CANCEL_ONLY, Phase.VOLATILITY_AUCTION)


@dataclass
class SymbolView:
    """What is known of one instrument; prices in ticks, quantities in lots. Level maps are price -> (qty, order_count)."""

    instrument: Instrument
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=TRADES_KEPT_PER_SYMBOL))
    bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=BARS_KEPT_PER_SYMBOL))
    quotes: deque[Quote] = field(default_factory=lambda: deque(maxlen=QUOTES_KEPT_PER_SYMBOL))
    days: Days = field(default_factory=Days)
    quote: Quote | None = None
    status: Status | None = None
    bands: Bands | None = None
    auction: Auction | None = None
    """Where the call phase that goes on would uncross; None in any other phase."""
    busts: deque[TradeBust] = field(default_factory=lambda: deque(maxlen=BUSTS_KEPT_PER_SYMBOL))
    levels: dict[int, dict[int, tuple[int, int]]] = field(default_factory=lambda: {Side.BUY: {}, Side.SELL: {}})
    whole_book: BookLevels | None = None
    """Made when somebody asks for it; None again when a level changes."""
    phase: int = Phase.CLOSED
    last_px: int = 0
    last_at: int = 0
    volume: int = 0
    seqs: dict[int, int] = field(default_factory=dict)
    updated_bars: int = 0
    """`seq` of the newest UpdatedBar."""
    daily_bars: int = 0
    """`seq` of the newest DailyBar."""

    def bar_of(self, span: Span, kind: type[Bar] = Bar, seq: int = 0) -> Bar:
        """A span of the instrument's trades as an event."""
        return kind(
            self.instrument,
            seq,
            span.started_at,
            span.open_px,
            span.high_px,
            span.low_px,
            span.close_px,
            span.qty,
            span.trades,
            span.notional,
        )

    def daily_bar(self) -> Bar | None:
        """The newest day with trades; None if there is none, or it is not known."""
        day = self.days.last
        return self.bar_of(day, DailyBar, self.daily_bars) if day is not None else None

    @property
    def previous_close(self) -> int:
        """Last price of the trading day before the newest, in ticks: of the reference price where that is not known."""
        day = self.days.previous
        return day.close_px if day is not None else int(self.instrument.reference_price / self.instrument.tick_size)

    def price_for(self, side: int) -> int:
        """About what it costs now to buy, or brings to sell: the best price of the other side, else the last one, else the reference price; ticks."""
        best = 0 if self.quote is None else self.quote.ask_px if side == Side.BUY else self.quote.bid_px
        return best or self.last_px or int(self.instrument.reference_price / self.instrument.tick_size)

    def book(self, depth: int) -> BookLevels:
        """The best `depth` levels a side, as of now."""
        bids = sorted(self.levels[Side.BUY].items(), reverse=True)[:depth]
        asks = sorted(self.levels[Side.SELL].items())[:depth]
        seq = self.seqs.get(MarketDataKind.LEVEL, 0)
        return BookLevels(self.instrument, seq, self.last_at, _levels(bids), _levels(asks), is_whole=True)

    def shared_book(self) -> BookLevels:
        """The best BOOK_LEVELS_SHOWN levels a side, as one event for everybody who begins with the book as it is."""
        if self.whole_book is None:
            self.whole_book = self.book(BOOK_LEVELS_SHOWN)
        return self.whole_book

    def trades_after(self, seq: int, most: int) -> tuple[list[Trade], int]:
        """(trades with a higher seq that are still kept, the newest `most`; how many others with a higher seq). Busted ones are among them; see `busts`."""
        kept = list(islice(takewhile(lambda trade: trade.seq > seq, reversed(self.trades)), most))[::-1]
        newest = self.seqs.get(MarketDataKind.TRADE, 0)
        return kept, max(0, newest - seq) - len(kept)


class MarketView:
    """Every instrument's view; `apply` takes rows in the order of the log."""

    def __init__(self, instruments: InstrumentTable) -> None:
        self.symbols = {one.symbol: SymbolView(one) for one in instruments}
        self._by_number = {view.instrument.number: view for view in self.symbols.values()}
        self._appliers: dict[int, Callable[[SymbolView, MarketRow], MarketEvent]] = {
            int(MarketDataKind.TRADE): _trade,
            int(MarketDataKind.QUOTE): _quote,
            int(MarketDataKind.BAR): _bar,
            int(MarketDataKind.STATUS): _status,
            int(MarketDataKind.AUCTION): _auction,
            int(MarketDataKind.BAND): _bands,
            int(MarketDataKind.TRADE_BUST): _bust,
        }
        self.gaps = 0
        """Sequence numbers that never came; each is a fault somewhere before the edge, or older than what was read at start."""

    def begin(self, since_ns: int) -> None:
        """Rows from this time on will come; what was before is known to the system of record alone."""
        for view in self.symbols.values():
            view.days.begin(since_ns)

    @property
    def is_open(self) -> bool:
        """Whether any instrument trades continuously."""
        return any(view.phase == Phase.CONTINUOUS for view in self.symbols.values())

    def refuses_new(self, symbol: str, ord_type: int, time_in_force: int) -> bool:
        """Whether the book takes no such order in its phase; False where no phase has been told yet. The book may have gone on meanwhile."""
        view = self.symbols[symbol]
        return view.status is not None and NEW_IN_PHASE[Phase(view.phase), OrdType(ord_type), TimeInForce(time_in_force)] != Reason.NONE

    def told_of(self, instrument: int, end_ns: int) -> Head:
        """The newest trade before a time, and the newest bust. Where all trades that are kept are later ones, the first of them."""
        view = self._by_number[instrument]
        place = bisect_left(view.trades, end_ns, key=lambda trade: trade.at)
        trade = view.trades[max(0, place - 1)].trd_match_id if view.trades else 0
        return Head(trade, view.busts[-1].at if view.busts else 0)

    def apply(self, rows: Iterable[MarketRow]) -> list[MarketEvent]:
        """Take one frame's rows; returns the events for the clients, the level changes of an instrument as one."""
        events: list[MarketEvent] = []
        changed: dict[int, list[MarketRow]] = {}
        for row in rows:
            view = self._by_number.get(row.instrument)
            if view is None or not self._is_next(view, row):
                continue
            if row.kind == MarketDataKind.LEVEL:
                _set_level(view, row)
                changed.setdefault(row.instrument, []).append(row)
                continue
            applier = self._appliers.get(row.kind)
            if applier is None:
                continue
            event = applier(view, row)
            events.append(event)
            if isinstance(event, Bar | TradeBust):
                follows = _updated_bar(view, event) if isinstance(event, TradeBust) else _daily_bar(view)
                events += [follows] if follows is not None else []
        events += [_changed_levels(self._by_number[number], levels) for number, levels in changed.items()]
        return events

    def _is_next(self, view: SymbolView, row: MarketRow) -> bool:
        """False for a row that was here before; counts rows that are missing before this one."""
        known = view.seqs.get(row.kind)
        if known is not None and row.seq <= known:
            return False
        if known is not None:
            self.gaps += row.seq - known - 1
        view.seqs[row.kind] = row.seq
        return True


def _trade(view: SymbolView, row: MarketRow) -> Trade:
    view.last_px, view.last_at = row.price, row.transact_time
    view.volume += row.qty
    view.days.trade(row.price, row.qty, row.transact_time)
    trade = Trade(view.instrument, row.seq, row.transact_time, row.trd_match_id, row.price, row.qty, row.side, Phase(row.phase))
    view.trades.append(trade)
    return trade


def _quote(view: SymbolView, row: MarketRow) -> Quote:
    view.last_at = max(view.last_at, row.transact_time)
    is_firm = view.phase == Phase.CONTINUOUS
    view.quote = Quote(view.instrument, row.seq, row.transact_time, row.bid_px, row.bid_qty, row.ask_px, row.ask_qty, is_firm)
    view.quotes.append(view.quote)
    return view.quote


def _bar(view: SymbolView, row: MarketRow) -> Bar:
    bar = Bar(
        view.instrument, row.seq, row.transact_time, row.open_px, row.high_px, row.low_px, row.price, row.qty, row.order_count, row.notional
    )
    view.bars.append(bar)
    return bar


def _status(view: SymbolView, row: MarketRow) -> Status:
    view.phase = row.phase
    if row.phase not in _CALL_PHASES:
        view.auction = None
    view.status = Status(view.instrument, row.seq, row.transact_time, Phase(row.phase), Reason(row.reason))
    return view.status


def _auction(view: SymbolView, row: MarketRow) -> Auction:
    view.last_at = max(view.last_at, row.transact_time)
    side = row.side if row.imbalance_qty else 0
    view.auction = Auction(view.instrument, row.seq, row.transact_time, row.price, row.qty, row.imbalance_qty, side)
    return view.auction


def _bands(view: SymbolView, row: MarketRow) -> Bands:
    before = view.bands.update if view.bands else BandUpdate.OUTSIDE_HOURS
    if not (row.high_px or row.low_px):
        update = BandUpdate.SUSPENDED if view.phase in _BANDS_SUSPENDED else BandUpdate.OUTSIDE_HOURS
    elif before is BandUpdate.OUTSIDE_HOURS:
        update = BandUpdate.OPENING
    else:
        update = BandUpdate.REOPENING if before is BandUpdate.SUSPENDED else BandUpdate.INTRADAY
    view.bands = Bands(view.instrument, row.seq, row.transact_time, row.low_px, row.high_px, update)
    return view.bands


def _daily_bar(view: SymbolView) -> Bar | None:
    """After each minute."""
    if view.days.last is None:
        return None
    view.daily_bars += 1
    return view.daily_bar()


def _updated_bar(view: SymbolView, bust: TradeBust) -> Bar | None:
    """The told minute of a busted trade without it; None where the minute is not over, nothing of it is left, or not all of its trades are kept."""
    trade = next((one for one in reversed(view.trades) if one.trd_match_id == bust.trd_match_id), None)
    if trade is None:
        return None
    start = trade.at - trade.at % MINUTE_NS
    place = next((place for place, bar in enumerate(view.bars) if bar.at == start), None)
    if place is None or (view.trades[0].at >= start and len(view.trades) == view.trades.maxlen):
        return None
    busted = {one.trd_match_id for one in view.busts}
    left = [one for one in view.trades if start <= one.at < start + MINUTE_NS and one.trd_match_id not in busted]
    if not left:
        return None
    prices, view.updated_bars = [one.price for one in left], view.updated_bars + 1
    span = Totals(
        start,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(one.qty for one in left),
        len(left),
        sum(one.price * one.qty for one in left),
    )
    view.bars[place] = view.bar_of(span, seq=view.bars[place].seq)
    return view.bar_of(span, UpdatedBar, view.updated_bars)


def _bust(view: SymbolView, row: MarketRow) -> TradeBust:
    """Bars and the day are made anew without it."""
    view.volume -= row.qty
    view.days.begin(row.transact_time)
    bust = TradeBust(view.instrument, row.seq, row.transact_time, row.trd_match_id, row.price, row.qty, Reason(row.reason))
    view.busts.append(bust)
    return bust


def _levels(side: list[tuple[int, tuple[int, int]]]) -> tuple[Level, ...]:
    return tuple(Level(price, qty) for price, (qty, _) in side)


def _set_level(view: SymbolView, row: MarketRow) -> None:
    levels = view.levels[row.side]
    view.whole_book = None
    if row.qty:
        levels[row.price] = row.qty, row.order_count
    else:
        levels.pop(row.price, None)


def _changed_levels(view: SymbolView, rows: list[MarketRow]) -> BookLevels:
    """The levels of one frame that changed, the last word for each."""
    last = {(row.side, row.price): row.qty for row in rows}
    bids, asks = (tuple(Level(price, qty) for (of, price), qty in last.items() if of == side) for side in (Side.BUY, Side.SELL))
    at = max(row.transact_time for row in rows)
    view.last_at = max(view.last_at, at)
    return BookLevels(view.instrument, rows[-1].seq, at, bids, asks)
