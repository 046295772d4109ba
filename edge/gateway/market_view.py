"""Public prices as the edge knows them, and the messages that tell them. No I/O.

Built from rows of market.data. Trades keep the dense sequence of their instrument (`seq`), so a client can see that none is missing
and resume behind the last it saw. Prices in JSON are exact decimals; msgpack has only binary floats, so there they are the nearest one.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple

import msgpack
import msgspec

from edge.gateway.limits import BARS_KEPT_PER_SYMBOL, BOOK_LEVELS_SHOWN, BUSTS_KEPT_PER_SYMBOL, TRADES_KEPT_PER_SYMBOL
from edge.gateway.market_words import (
    CONDITIONS_OF_AUCTION,
    NON_FIRM_QUOTE,
    REASON_CODE,
    REGULAR_QUOTE,
    REGULAR_TRADE,
    luld_indicator,
    status_words,
)
from edge.gateway.timestamps import rfc3339
from matchers.rules.order_tables import NEW_IN_PHASE
from schemas.codec import FRAMES
from schemas.enums import MarketDataKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import SENTENCES, Reason


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

CHANNELS: Final = ("trades", "quotes", "bars", "orderbooks", "statuses", "lulds", "imbalances")
_TAKER: Final = {int(Side.BUY): "B", int(Side.SELL): "S"}
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass
class Message:
    """One message of one channel. `fields` has Decimals for prices and ns in "t"; each encoding is made once, when first wanted."""

    channel: str
    symbol: str
    fields: dict[str, Any]
    seq: int = 0

    @cached_property
    def json(self) -> bytes:
        """The JSON object."""
        return _ENCODER.encode({**self.fields, "t": rfc3339(self.fields["t"])})

    @cached_property
    def packed(self) -> bytes:
        """The msgpack map; "t" is a Timestamp extension."""
        seconds, nanos = divmod(self.fields["t"], 1_000_000_000)
        packed: bytes = msgpack.packb({**self.fields, "t": msgpack.Timestamp(seconds, nanos)}, default=float)
        return packed


@dataclass
class SymbolView:
    """What is known of one instrument; prices in ticks, quantities in lots. Level maps are price -> (qty, order_count)."""

    instrument: Instrument
    trades: deque[Message] = field(default_factory=lambda: deque(maxlen=TRADES_KEPT_PER_SYMBOL))
    bars: deque[Message] = field(default_factory=lambda: deque(maxlen=BARS_KEPT_PER_SYMBOL))
    quote: Message | None = None
    status: Message | None = None
    band: Message | None = None
    auction: Message | None = None
    """Where the call phase that goes on would uncross; None in any other phase."""
    busts: deque[Message] = field(default_factory=lambda: deque(maxlen=BUSTS_KEPT_PER_SYMBOL))
    levels: dict[int, dict[int, tuple[int, int]]] = field(default_factory=lambda: {Side.BUY: {}, Side.SELL: {}})
    whole_book: Message | None = None
    """Made when somebody asks for it; None again when a level changes."""
    phase: int = Phase.CLOSED
    last_px: int = 0
    last_at: int = 0
    volume: int = 0
    seqs: dict[int, int] = field(default_factory=dict)

    def decimal(self, ticks: int) -> Decimal:
        """A price in ticks as an exact decimal."""
        return self.instrument.tick_size * ticks

    def shares(self, lots: int) -> int | Decimal:
        """A quantity in lots as a number of shares."""
        exact = self.instrument.lot_size * lots
        return int(exact) if exact == exact.to_integral_value() else exact

    def book(self, depth: int) -> dict[str, Any]:
        """The best `depth` levels a side as an orderbook message that replaces what a client has ("r": true)."""
        bids = sorted(self.levels[Side.BUY].items(), reverse=True)[:depth]
        asks = sorted(self.levels[Side.SELL].items())[:depth]
        return {
            "T": "o", "S": self.instrument.symbol, "b": [self._level(px, qty) for px, (qty, _) in bids],
            "a": [self._level(px, qty) for px, (qty, _) in asks], "t": self.last_at, "r": True,
        }  # fmt: skip

    def _level(self, px: int, lots: int) -> dict[str, Any]:
        return {"p": self.decimal(px), "s": self.shares(lots)}

    def book_message(self) -> Message:
        """The best BOOK_LEVELS_SHOWN levels a side, as one message for everybody who begins with the book as it is."""
        if self.whole_book is None:
            self.whole_book = Message("orderbooks", self.instrument.symbol, self.book(BOOK_LEVELS_SHOWN))
        return self.whole_book

    def trades_after(self, seq: int, most: int) -> tuple[list[Message], int]:
        """(trades with a higher seq that are still kept, the newest `most`; how many others with a higher seq). Busted ones are among them; see `busts`."""
        kept = list(islice(takewhile(lambda message: message.seq > seq, reversed(self.trades)), most))[::-1]
        newest = self.seqs.get(MarketDataKind.TRADE, 0)
        return kept, max(0, newest - seq) - len(kept)


class MarketView:
    """Every instrument's view; `apply` takes rows in the order of the log."""

    def __init__(self, instruments: InstrumentTable) -> None:
        self.symbols = {one.symbol: SymbolView(one) for one in instruments}
        self._by_number = {view.instrument.number: view for view in self.symbols.values()}
        self._appliers = {
            int(MarketDataKind.TRADE): self._trade,
            int(MarketDataKind.QUOTE): self._quote,
            int(MarketDataKind.BAR): self._bar,
            int(MarketDataKind.STATUS): self._status,
            int(MarketDataKind.AUCTION): self._auction,
            int(MarketDataKind.BAND): self._band,
            int(MarketDataKind.TRADE_BUST): self._bust,
        }
        self.gaps = 0
        """Sequence numbers that never came; each is a fault somewhere before the edge, or older than what was read at start."""

    @property
    def is_open(self) -> bool:
        """Whether any instrument trades continuously."""
        return any(view.phase == Phase.CONTINUOUS for view in self.symbols.values())

    def refuses_new(self, symbol: str, ord_type: int, time_in_force: int) -> bool:
        """Whether the book takes no such order in its phase; False where no phase has been told yet. The book may have gone on meanwhile."""
        view = self.symbols[symbol]
        return view.status is not None and NEW_IN_PHASE[Phase(view.phase), OrdType(ord_type), TimeInForce(time_in_force)] != Reason.NONE

    def apply(self, rows: Iterable[MarketRow]) -> list[Message]:
        """Take one frame's rows; returns the messages for the clients, the level changes of an instrument as one."""
        messages: list[Message] = []
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
            if applier is not None:
                messages.append(applier(view, row))
        messages += [_orderbook(self._by_number[number], levels) for number, levels in changed.items()]
        return messages

    def _is_next(self, view: SymbolView, row: MarketRow) -> bool:
        """False for a row that was here before; counts rows that are missing before this one."""
        known = view.seqs.get(row.kind)
        if known is not None and row.seq <= known:
            return False
        if known is not None:
            self.gaps += row.seq - known - 1
        view.seqs[row.kind] = row.seq
        return True

    def _trade(self, view: SymbolView, row: MarketRow) -> Message:
        view.last_px, view.last_at = row.price, row.transact_time
        view.volume += row.qty
        fields = {
            "T": "t", "S": view.instrument.symbol, "i": row.trd_match_id, "x": "", "p": view.decimal(row.price), "s": view.shares(row.qty),
            "c": CONDITIONS_OF_AUCTION.get(Phase(row.phase), REGULAR_TRADE), "t": row.transact_time, "z": "C", "seq": row.seq,
            "tks": _TAKER.get(row.side, ""),
        }  # fmt: skip
        message = Message("trades", view.instrument.symbol, fields, row.seq)
        view.trades.append(message)
        return message

    def _quote(self, view: SymbolView, row: MarketRow) -> Message:
        fields = {
            "T": "q", "S": view.instrument.symbol, "bx": "", "bp": view.decimal(row.bid_px), "bs": view.shares(row.bid_qty), "ax": "",
            "ap": view.decimal(row.ask_px), "as": view.shares(row.ask_qty), "z": "C", "t": row.transact_time, "seq": row.seq,
            "c": REGULAR_QUOTE if view.phase == Phase.CONTINUOUS else NON_FIRM_QUOTE,
        }  # fmt: skip
        view.last_at = max(view.last_at, row.transact_time)
        view.quote = Message("quotes", view.instrument.symbol, fields, row.seq)
        return view.quote

    def _bar(self, view: SymbolView, row: MarketRow) -> Message:
        average = (view.instrument.tick_size * row.notional / row.qty) if row.qty else view.decimal(row.price)
        fields = {
            "T": "b", "S": view.instrument.symbol, "o": view.decimal(row.open_px), "h": view.decimal(row.high_px),
            "l": view.decimal(row.low_px), "c": view.decimal(row.price), "v": view.shares(row.qty), "n": row.order_count,
            "vw": round(average, 6), "t": row.transact_time, "seq": row.seq,
        }  # fmt: skip
        message = Message("bars", view.instrument.symbol, fields, row.seq)
        view.bars.append(message)
        return message

    def _status(self, view: SymbolView, row: MarketRow) -> Message:
        view.phase, reason = row.phase, Reason(row.reason)
        if row.phase not in CONDITIONS_OF_AUCTION:
            view.auction = None
        code, text = status_words(row.phase, row.reason)
        fields = {
            "T": "s", "S": view.instrument.symbol, "sc": code, "sm": text, "rc": REASON_CODE.get(reason, ""), "rm": SENTENCES[reason],
            "t": row.transact_time, "z": "C", "phase": Phase(row.phase).name.lower(), "reason": reason.name if reason else "", "seq": row.seq,
        }  # fmt: skip
        view.status = Message("statuses", view.instrument.symbol, fields, row.seq)
        return view.status

    def _auction(self, view: SymbolView, row: MarketRow) -> Message:
        """Alpaca tells the price only; volume and imbalance are ours."""
        fields = {
            "T": "i", "S": view.instrument.symbol, "p": view.decimal(row.price), "z": "C", "t": row.transact_time, "s": view.shares(row.qty),
            "imbalance": view.shares(row.imbalance_qty), "side": _TAKER.get(row.side, "") if row.imbalance_qty else "", "seq": row.seq,
        }  # fmt: skip
        view.last_at = max(view.last_at, row.transact_time)
        view.auction = Message("imbalances", view.instrument.symbol, fields, row.seq)
        return view.auction

    def _band(self, view: SymbolView, row: MarketRow) -> Message:
        before = view.band.fields["i"] if view.band else ""
        fields = {
            "T": "l", "S": view.instrument.symbol, "u": view.decimal(row.high_px), "d": view.decimal(row.low_px),
            "i": luld_indicator(before, view.phase, has_bands=bool(row.high_px or row.low_px)), "t": row.transact_time, "z": "C", "seq": row.seq,
        }  # fmt: skip
        view.band = Message("lulds", view.instrument.symbol, fields, row.seq)
        return view.band

    def _bust(self, view: SymbolView, row: MarketRow) -> Message:
        """In the channel of the trades, as at Alpaca: who has a trade must hear that it is gone. Bars stay as they were."""
        view.volume -= row.qty
        fields = {
            "T": "x", "S": view.instrument.symbol, "i": row.trd_match_id, "x": "", "p": view.decimal(row.price), "s": view.shares(row.qty),
            "a": "E" if row.reason == Reason.CLEARLY_ERRONEOUS else "C", "t": row.transact_time, "z": "C", "seq": row.seq,
        }  # fmt: skip
        message = Message("trades", view.instrument.symbol, fields, row.seq)
        view.busts.append(message)
        return message


def _set_level(view: SymbolView, row: MarketRow) -> None:
    levels = view.levels[row.side]
    view.whole_book = None
    if row.qty:
        levels[row.price] = row.qty, row.order_count
    else:
        levels.pop(row.price, None)


def _orderbook(view: SymbolView, rows: list[MarketRow]) -> Message:
    """The levels of one frame that changed, the last word for each; size 0 takes a level away."""
    last = {(row.side, row.price): row for row in rows}
    sides: dict[int, list[dict[str, Any]]] = {Side.BUY: [], Side.SELL: []}
    for (side, price), row in last.items():
        sides[side].append({"p": view.decimal(price), "s": view.shares(row.qty)})
    at = max(row.transact_time for row in rows)
    view.last_at = max(view.last_at, at)
    fields = {"T": "o", "S": view.instrument.symbol, "b": sides[Side.BUY], "a": sides[Side.SELL], "t": at, "r": False, "seq": rows[-1].seq}
    return Message("orderbooks", view.instrument.symbol, fields, rows[-1].seq)
