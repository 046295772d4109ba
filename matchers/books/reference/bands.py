"""Limit Up-Limit Down: price bands around a moving reference, limit states and trading pauses.

Source: Plan to Address Extraordinary Market Volatility (Rule 608), Amendment 18, as docs/rules.md, section 6, has it. Active in continuous trading where
the instrument has a tier. The reference begins with the opening (or reopening) price, else the previous close; afterwards it is the mean of the trades
of the last five minutes (rounded half up to a tick), looked at by TIMERs; it moves if the mean is 1 % or more away and at most every 30 s.
Bands are whole ticks, rounded half up. An incoming order executes up to its band and rests there; orders that a move leaves beyond their band are
restated to it, in entry order. A best bid at the upper band or a best offer at the lower one is a limit state; after 15 s of it a TIMER begins the
pause, a volatility auction of five minutes. Five minutes are 300 whole seconds of log time, the last one included.
"""

from matchers.books.reference.book import Book
from matchers.books.reference.state import ShardState
from matchers.rules.band_rules import DOUBLED_NS, LIMIT_STATE_NS, LOW_PRICED, LOW_PRICED_WIDTH, MOVE_EVERY_NS, THREE_UNITS, WINDOW_SECONDS
from schemas.enums import ExecKind, OrdType, Side
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason
from schemas.units import NANOS_PER_SECOND


def band_limited(book: Book, side: int, price: int) -> int:
    """The price, or the band that it is beyond."""
    if not book.band_high:
        return price
    return min(price, book.band_high) if side == Side.BUY else max(price, book.band_low)


def bands_of(reference: int, previous_close: int, tier: int, tick_minor: int, doubled: bool) -> tuple[int, int]:
    """(lower, upper) band, ticks. The width's category is by previous close; the lower band is at least one tick."""
    close_minor = previous_close * tick_minor
    times = 2 if doubled and (tier == 1 or close_minor <= THREE_UNITS) else 1
    percent = 5 if tier == 1 else 10
    if close_minor < LOW_PRICED:
        percent = 75
    elif close_minor <= THREE_UNITS:
        percent = 20
    percent *= times
    low = (reference * max(100 - percent, 0) * 2 + 100) // 200
    high = (reference * (100 + percent) * 2 + 100) // 200
    if close_minor < LOW_PRICED:
        width = times * LOW_PRICED_WIDTH // tick_minor
        low, high = max(low, reference - width), min(high, reference + width)
    return max(low, 1), min(high, PRICE_TICKS_MAX)


def note_trade(s: ShardState, book: Book, price: int) -> None:
    """Remember a trade for the reference price."""
    if not book.band_high:
        return
    second = s.log_time // NANOS_PER_SECOND
    total, trades = book.trades_by_second.get(second, (0, 0))
    book.trades_by_second[second] = total + price, trades + 1
    for old in [one for one in book.trades_by_second if one <= second - WINDOW_SECONDS]:
        del book.trades_by_second[old]


def begin_bands(s: ShardState, book: Book) -> None:
    """Continuous trading begins: a new reference, new bands."""
    if s.rules[book.instrument]["luld_tier"]:
        book.trades_by_second.clear()
        book.luld_reference, book.luld_moved_at = book.last_px or book.reference_px, s.log_time
        _set_bands(s, book)


def end_bands(book: Book) -> None:
    """No bands outside continuous trading."""
    book.trades_by_second.clear()
    book.luld_reference = book.luld_moved_at = book.band_low = book.band_high = book.limit_side = book.limit_since = 0


def bands_timer(s: ShardState, book: Book) -> bool:
    """Move reference and bands where it is time; whether a limit state has lasted long enough for a pause."""
    if not book.band_high:
        return False
    if book.limit_side and s.log_time - book.limit_since >= LIMIT_STATE_NS:
        return True
    if s.log_time - book.luld_moved_at >= MOVE_EVERY_NS:
        mean = _mean(s, book)
        if mean and abs(mean - book.luld_reference) * 100 >= book.luld_reference:
            book.luld_reference, book.luld_moved_at = mean, s.log_time
    _set_bands(s, book)
    return False


def _mean(s: ShardState, book: Book) -> int:
    """Mean price of the window, 0 without trades."""
    first = s.log_time // NANOS_PER_SECOND - WINDOW_SECONDS + 1
    window = [entry for second, entry in book.trades_by_second.items() if second >= first]
    trades = sum(count for _, count in window)
    return (2 * sum(total for total, _ in window) + trades) // (2 * trades) if trades else 0


def _set_bands(s: ShardState, book: Book) -> None:
    """Publish the bands if they are others than before, and bring orders beyond them back to them."""
    rules = s.rules[book.instrument]
    doubled = bool(book.session_close) and s.log_time >= book.session_close - DOUBLED_NS
    bands = bands_of(book.luld_reference, book.reference_px, int(rules["luld_tier"]), int(rules["tick_minor"]), doubled)
    if bands == (book.band_low, book.band_high):
        return
    book.band_low, book.band_high = bands
    s.row(ExecKind.PRICE_BAND, book, side=Side.BUY, price=book.band_high)
    s.row(ExecKind.PRICE_BAND, book, side=Side.SELL, price=book.band_low)
    resting = [order for side in book.sides.values() for level in side.levels.values() for order in level.orders()]
    beyond = [order for order in resting if order.ord_type != OrdType.PEGGED and band_limited(book, order.side, order.price) != order.price]
    for order in sorted(beyond, key=lambda one: one.entry):
        s.level_row_of(order, s.detach(order))
        order.price = band_limited(book, order.side, order.price)
        s.order_row(ExecKind.RESTATED, order, 0, Reason.PRICE_BAND)
        s.rest(order)
    book.peg_bid = -1


def watch_limit_state(s: ShardState, book: Book) -> None:
    """After a command: say when a limit state begins, and when it is left."""
    if not book.band_high:
        return
    bid, ask = book.sides[Side.BUY].top()[0], book.sides[Side.SELL].top()[0]
    side = Side.BUY if bid == book.band_high else Side.SELL if ask == book.band_low else 0
    if side == book.limit_side:
        return
    if book.limit_side:
        s.row(ExecKind.SECURITY_STATUS, book, phase=book.phase, side=book.limit_side, reason=Reason.LIMIT_STATE_LEFT)
    if side:
        s.row(ExecKind.SECURITY_STATUS, book, phase=book.phase, side=side, reason=Reason.LIMIT_STATE)
    book.limit_side, book.limit_since = side, s.log_time if side else 0
