"""The market around an event, one `Book` an instrument: touch, phase, last trades, and what every owner did lately.

A function of the rows of `executions` alone. Bounded: TRADES_KEPT trades a book, OWN_TRADES_KEPT of each of OWNERS_MAX owners, and at most OWNERS_MAX
owners a bucket; those beyond are left out. Prices in ticks, quantities in lots, times in ns of log time.
"""

from collections import deque
from typing import Any, Final, NamedTuple

from schemas.codec import Rows
from schemas.enums import Phase, Side
from surveillance.activity import BUCKET_NS, OWNERS_MAX, Windows
from surveillance.orders import other_side
from surveillance.owners import Owners
from surveillance.state_bytes import pack, unpack

TRADES_KEPT: Final = 1_024
"""Last trades of a book, ~250 B each: four seconds of them at 250 trades a second."""
OWN_TRADES_KEPT: Final = 4
"""Last trades of each of the OWNERS_MAX owners that traded last: in a busy market the book's own last trades are of a few seconds."""
SECONDS_KEPT: Final = 8
CLOSES_KEPT: Final = 60
"""Prices at the ends of buckets: half an hour."""


class Trade(NamedTuple):
    """One TRADE row. `side`: of the taker; in an uncross nobody takes, and it is the side of order_id. owner, contra_owner: see surveillance.owners."""

    time: int
    instrument: int
    price: int
    qty: int
    side: int
    order_id: int
    account: int
    contra_order_id: int
    contra_account: int
    trd_match_id: int
    owner: int
    contra_owner: int
    uncross: int
    tick: int  # 1 above the price before it, -1 below, 0 at it
    seq: int
    offset: int

    def party(self, *, maker: bool) -> tuple[int, int, int]:
        """(order_id, account, side) of one of the two."""
        return (self.contra_order_id, self.contra_account, other_side(self.side)) if maker else (self.order_id, self.account, self.side)


def follow(median: int, value: int) -> int:
    """A median that is followed by steps of 1/64 ("frugal streaming", Ma, Muthukrishnan and Sandler 2013): integers, no memory of the values."""
    step = 1 + (median >> 6)
    if value > median:
        return median + min(step, value - median)
    return median - min(step, median - value)


class Book:
    """One instrument as the rows so far say it is."""

    __slots__ = (
        "best", "bucket_end", "closes", "indicative_px", "indicative_qty", "instrument", "last_px", "lately", "level_qty", "newest", "order_qty", "phase",
        "trade_qty", "trades", "windows",
    )  # fmt: skip

    def __init__(self, instrument: int) -> None:
        self.instrument = instrument
        self.phase = int(Phase.CLOSED)
        self.best = [0, 0, 0]  # by Side: price, 0 if empty
        self.last_px = self.indicative_px = self.indicative_qty = 0
        self.level_qty = self.trade_qty = self.order_qty = 0  # followed medians; 0: none seen
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self.newest: dict[int, deque[Trade]] = {}  # by owner, who traded last at the end
        self.lately: deque[list[int]] = deque(maxlen=SECONDS_KEPT)  # [second, its last price] of those with trades
        self.closes: deque[int] = deque(maxlen=CLOSES_KEPT)
        self.bucket_end = 0
        self.windows = Windows()

    def middle(self) -> int:
        """Between the best prices, rounded down: it does not jump from bid to ask with every trade. The last price while a side is empty."""
        bid, ask = self.best[Side.BUY], self.best[Side.SELL]
        return (bid + ask) // 2 if bid and ask else self.last_px

    def move_per_bucket(self) -> int:
        """Mean absolute move from one close to the next, in 1/1000 tick; 0 while there are fewer than four closes."""
        closes = self.closes
        if len(closes) < 4:
            return 0
        return sum(abs(closes[n] - closes[n - 1]) for n in range(1, len(closes))) * 1000 // (len(closes) - 1)

    def price_before(self, second: int) -> int:
        """The last price before a second of log time began; the oldest that is known if that is later, 0 if none is."""
        for known, price in reversed(self.lately):
            if known < second:
                return price
        return self.lately[0][1] if self.lately else 0

    def note(self, trade: Trade) -> None:
        """Take a trade."""
        self.trades.append(trade)
        self._note_of(trade.owner, trade)
        if trade.contra_owner != trade.owner:
            self._note_of(trade.contra_owner, trade)
        self.last_px = trade.price
        second = trade.time // 1_000_000_000
        if self.lately and self.lately[-1][0] == second:
            self.lately[-1][1] = trade.price
        else:
            self.lately.append([second, trade.price])
        self.trade_qty = follow(self.trade_qty, trade.qty) if self.trade_qty else trade.qty

    def _note_of(self, owner: int, trade: Trade) -> None:
        newest = self.newest
        kept = newest.pop(owner, None)
        if kept is None:
            kept = deque(maxlen=OWN_TRADES_KEPT)
            if len(newest) >= OWNERS_MAX:
                del newest[next(iter(newest))]
        kept.append(trade)
        newest[owner] = kept

    def state(self) -> list[Any]:
        """As lists."""
        return [
            self.instrument, self.phase, self.best, self.last_px, self.indicative_px, self.level_qty, self.trade_qty, self.order_qty,
            [tuple(trade) for trade in self.trades], list(self.closes), self.bucket_end, list(self.lately), self.windows.state(),
            [[owner, [tuple(trade) for trade in kept]] for owner, kept in self.newest.items()], self.indicative_qty,
        ]  # fmt: skip

    @classmethod
    def of_state(cls, state: list[Any]) -> "Book":
        """The book of `state`."""
        book = cls(state[0])
        book.phase, book.best, book.last_px, book.indicative_px = state[1:5]
        book.level_qty, book.trade_qty, book.order_qty, trades, closes, book.bucket_end, lately, windows, newest, book.indicative_qty = (
            state[5:]
        )
        book.trades.extend(Trade(*one) for one in trades)
        book.closes.extend(closes)
        book.lately.extend(lately)
        book.windows = Windows.of_state(windows)
        book.newest = {owner: deque((Trade(*one) for one in kept), maxlen=OWN_TRADES_KEPT) for owner, kept in newest}
        return book


class Market:
    """The books of one shard. `owners`: who is one party, and whose customers are whose."""

    def __init__(self, owners: Owners | None = None) -> None:
        self.owners = owners or Owners()
        self.books: dict[int, Book] = {}
        self.next_close = 0
        """When the next bucket of any book ends; 0: no book has one."""

    def book(self, instrument: int) -> Book:
        """The instrument's book; made at its first row."""
        book = self.books.get(instrument)
        if book is None:
            book = self.books[instrument] = Book(instrument)
        return book

    def touch_bucket(self, book: Book, now: int) -> None:
        """Something happened in the book: a bucket is open from now on."""
        if not book.bucket_end:
            book.bucket_end = (now // BUCKET_NS + 1) * BUCKET_NS
            self.next_close = min(self.next_close or book.bucket_end, book.bucket_end)

    def close_buckets(self, now: int) -> list[Book]:
        """Close every bucket that ended by `now`. Returns the books that had one."""
        closed = []
        for book in self.books.values():
            if book.bucket_end and book.bucket_end <= now:
                behind = (now - book.bucket_end) // BUCKET_NS
                book.windows.close(behind)
                if book.last_px:
                    book.closes.append(book.middle())
                book.bucket_end = 0 if book.windows.is_empty() else book.bucket_end + (behind + 1) * BUCKET_NS
                closed.append(book)
        self.next_close = min((book.bucket_end for book in self.books.values() if book.bucket_end), default=0)
        return closed

    def snapshot(self) -> Rows:
        """The whole state as bytes of JSON."""
        return pack([book.state() for book in self.books.values()])

    def restore(self, array: Rows) -> None:
        """Restore the state of a snapshot into this new market."""
        for state in unpack(array):
            book = Book.of_state(state)
            self.books[book.instrument] = book
        self.next_close = min((book.bucket_end for book in self.books.values() if book.bucket_end), default=0)
