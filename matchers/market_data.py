"""What the public sees of a book shard: trades, top of book, levels, phases, auctions, bands and one-minute bars, from its executions.

Quotes, levels, indicative auction prices and bands are conflated per input frame (only the newest of each is told); trades, busts and phases
never are. An indicative price whose call phase the same frame has ended is not told. Bands hold in continuous trading only: its end takes them away.
A bar closes when log time passes the end of its minute, whether by a trade or by the books' TIME rows; a minute without a trade has no bar.
A busted trade stays in its bar.

The view is kept in plain Python integers: numpy scalars cost ten times as much where rows are handled one by one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Self

import numpy as np

from schemas.codec import FRAMES, Rows
from schemas.enums import ExecFlag, ExecKind, MarketDataKind, Phase, Side

MINUTE_NS: Final = 60_000_000_000
_ROW: Final = FRAMES["market_data_frame"].dtype
_COLUMNS: Final = _ROW.names or ()
_TRADE, _TOP, _LEVEL, _STATUS = (int(kind) for kind in (ExecKind.TRADE, ExecKind.TOP, ExecKind.LEVEL, ExecKind.SECURITY_STATUS))
_TIME, _AUCTION, _BAND = (int(kind) for kind in (ExecKind.TIME, ExecKind.AUCTION_INDICATIVE, ExecKind.PRICE_BAND))
_BUST: Final = int(ExecKind.TRADE_BUSTED)
_BUY: Final = int(Side.BUY)
_CONTINUOUS: Final = int(Phase.CONTINUOUS)
_UNCROSS: Final = int(ExecFlag.UNCROSS)
_CALL_PHASES: Final = frozenset(
    int(phase) for phase in (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION)
)
_READ: Final = (
    "kind", "instrument", "side", "price", "qty", "leaves_qty", "order_count", "phase", "flags", "reason", "trd_match_id", "transact_time",
)  # fmt: skip
# by kind; np.isin itself costs 25 us a call
_PUBLIC: Final = np.isin(np.arange(256), (_TRADE, _TOP, _LEVEL, _STATUS, _TIME, _AUCTION, _BAND, _BUST))


@dataclass(slots=True)
class Board:
    """One instrument: quote and bands now, its last call phase, the bar that is being built (trade_count 0: none), the sequences told so far."""

    bid_px: int = 0
    bid_qty: int = 0
    ask_px: int = 0
    ask_qty: int = 0
    upper_px: int = 0
    lower_px: int = 0
    call_phase: int = 0
    bar_start: int = 0
    open_px: int = 0
    high_px: int = 0
    low_px: int = 0
    close_px: int = 0
    volume: int = 0
    notional: int = 0
    trade_count: int = 0
    trade_seq: int = 0
    quote_seq: int = 0
    bar_seq: int = 0
    level_seq: int = 0
    status_seq: int = 0
    auction_seq: int = 0
    band_seq: int = 0
    bust_seq: int = 0


Told = dict[str, int]
"""A row of market_data_frame by column; absent ones are zero."""


_NUMBERS: Final = attrgetter(*(one.name for one in fields(Board)))
"""Of a board, in order: dataclasses.astuple would copy each."""


class MarketData:
    """The public view of the instruments of one book shard."""

    def __init__(self, instrument_count: int) -> None:
        """`instrument_count`: highest instrument number + 1."""
        self._boards = [Board() for _ in range(instrument_count)]
        self.log_time = 0

    def apply(self, executions: Rows) -> Rows:
        """Rows of market_data_frame that follow from rows of execution_frame, in an order that a reader can apply as it comes."""
        told: list[Told] = []
        quotes: dict[int, int] = {}
        levels: dict[tuple[int, int, int], Told] = {}
        auctions: dict[int, Told] = {}
        bands: dict[int, Told] = {}
        public = executions[_PUBLIC[executions["kind"]]]
        columns = (public[name].tolist() for name in _READ)
        for kind, number, side, price, qty, left, order_count, phase, flags, reason, trd_match_id, now in zip(*columns, strict=True):
            if now > self.log_time:
                self._close_bars(now, told)
                self.log_time = now
            board = self._boards[number]
            if kind == _LEVEL:
                levels[number, side, price] = {"side": side, "price": price, "qty": qty, "order_count": order_count, "transact_time": now}
            elif kind == _TOP:
                _set_top(board, side, price, qty)
                quotes[number] = now
            elif kind == _TRADE:
                _add_to_bar(board, price, qty, now)
                board.trade_seq += 1
                uncross = flags & _UNCROSS
                told.append(_head(MarketDataKind.TRADE, number, board.trade_seq, now)
                            | {"side": 0 if uncross else side, "phase": board.call_phase if uncross else 0}
                            | {"price": price, "qty": qty, "trd_match_id": trd_match_id})  # fmt: skip
            elif kind == _STATUS:
                if phase in _CALL_PHASES:
                    board.call_phase = phase
                else:
                    auctions.pop(number, None)
                if phase != _CONTINUOUS and (board.upper_px or board.lower_px):
                    board.upper_px = board.lower_px = 0
                    bands[number] = {"reason": reason, "transact_time": now}
                board.status_seq += 1
                told.append(_head(MarketDataKind.STATUS, number, board.status_seq, now) | {"phase": phase, "reason": reason})
            elif kind == _AUCTION:
                auctions[number] = {"price": price, "qty": qty, "side": side, "imbalance_qty": left, "transact_time": now}
            elif kind == _BAND:
                _set_band(board, side, price)
                bands[number] = {"reason": reason, "transact_time": now}
            elif kind == _BUST:
                board.bust_seq += 1
                told.append(_head(MarketDataKind.TRADE_BUST, number, board.bust_seq, now)
                            | {"price": price, "qty": qty, "trd_match_id": trd_match_id, "reason": reason})  # fmt: skip
        self._tell_bands(bands, told)
        self._tell_levels(levels, told)
        self._tell_quotes(quotes, told)
        self._tell_auctions(auctions, told)
        return np.array([tuple(row.get(name, 0) for name in _COLUMNS) for row in told], _ROW)

    def _tell_bands(self, bands: dict[int, Told], told: list[Told]) -> None:
        for number, band in bands.items():
            board = self._boards[number]
            board.band_seq += 1
            told.append(
                _head(MarketDataKind.BAND, number, board.band_seq, 0) | {"high_px": board.upper_px, "low_px": board.lower_px} | band
            )

    def _tell_auctions(self, auctions: dict[int, Told], told: list[Told]) -> None:
        for number, auction in auctions.items():
            board = self._boards[number]
            board.auction_seq += 1
            told.append(_head(MarketDataKind.AUCTION, number, board.auction_seq, 0) | auction)

    def _tell_levels(self, levels: dict[tuple[int, int, int], Told], told: list[Told]) -> None:
        for (number, _, _), level in levels.items():
            board = self._boards[number]
            board.level_seq += 1
            told.append(_head(MarketDataKind.LEVEL, number, board.level_seq, 0) | level)

    def _tell_quotes(self, quotes: dict[int, int], told: list[Told]) -> None:
        for number, now in quotes.items():
            board = self._boards[number]
            board.quote_seq += 1
            told.append(_head(MarketDataKind.QUOTE, number, board.quote_seq, now)
                        | {"bid_px": board.bid_px, "bid_qty": board.bid_qty, "ask_px": board.ask_px, "ask_qty": board.ask_qty})  # fmt: skip

    def _close_bars(self, now: int, told: list[Told]) -> None:
        for number, board in enumerate(self._boards):
            if board.trade_count and board.bar_start + MINUTE_NS <= now:
                board.bar_seq += 1
                told.append(
                    _head(MarketDataKind.BAR, number, board.bar_seq, board.bar_start)
                    | {"open_px": board.open_px, "high_px": board.high_px, "low_px": board.low_px, "price": board.close_px}
                    | {"qty": board.volume, "notional": board.notional, "order_count": board.trade_count}
                )
                board.volume = board.notional = board.trade_count = 0

    def snapshot(self) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
        """The state as named arrays: one row an instrument, one column a field of Board."""
        return {"boards": np.array([_NUMBERS(board) for board in self._boards], "<i8"), "log_time": np.array([self.log_time], "<i8")}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> Self:
        """The state of a snapshot."""
        self = cls(0)
        assert arrays["boards"].shape[1] == len(fields(Board)), "a snapshot of other columns; ENGINE_VERSION should have caught it"
        self._boards = [Board(*row) for row in arrays["boards"].tolist()]
        self.log_time = int(arrays["log_time"][0])
        return self

    def state_hash(self) -> bytes:
        """16 bytes over every instrument's board and the log time."""
        return hashlib.blake2b(b"".join(array.tobytes() for array in self.snapshot().values()), digest_size=16).digest()


def _head(kind: MarketDataKind, number: int, seq: int, time_ns: int) -> Told:
    return {"kind": kind, "instrument": number, "seq": seq, "transact_time": time_ns}


def _set_top(board: Board, side: int, price: int, qty: int) -> None:
    if side == _BUY:
        board.bid_px, board.bid_qty = price, qty
    else:
        board.ask_px, board.ask_qty = price, qty


def _set_band(board: Board, side: int, price: int) -> None:
    """A buy may not trade above the upper band, a sell not below the lower one."""
    if side == _BUY:
        board.upper_px = price
    else:
        board.lower_px = price


def _add_to_bar(board: Board, price: int, qty: int, now: int) -> None:
    if not board.trade_count:
        board.bar_start, board.open_px, board.high_px, board.low_px = now - now % MINUTE_NS, price, price, price
    board.high_px, board.low_px, board.close_px = max(board.high_px, price), min(board.low_px, price), price
    board.volume += qty
    board.notional += price * qty
    board.trade_count += 1
