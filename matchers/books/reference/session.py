"""The phases of the trading day: who may change them, what happens on the way. docs/rules.md, section 5; the tables are in order_tables.

On the way into continuous trading, and from a closing auction to its end, the book is uncrossed first. A price outside the auction range (collar, else
protection band) extends the auction once; then it trades at the best price inside the range, or not at all: orders that cross beyond it are CANCELED, so that continuous trading begins uncrossed. What takes part in the auction only leaves after
it, in entry order: market orders CANCELED, OPG and CLS orders EXPIRED. Then SECURITY_STATUS. Then what the new phase brings: carried orders are restated at
the start of the day; CLS orders that wait come into the closing auction by entry, and wait again if it is halted; pegs are parked outside continuous
trading; bands begin with it and stops that the last price has met are elected; at CLOSED everything but GTC and GTD expires, in entry order.
"""

from typing import Final

from matchers.books.reference.auction import auction_range, find_cross, uncross
from matchers.books.reference.bands import bands_timer, begin_bands, end_bands
from matchers.books.reference.book import Book, Order
from matchers.books.reference.matching import end
from matchers.books.reference.pegs import park_all
from matchers.books.reference.state import ShardState, Values
from matchers.books.reference.stops import elect
from matchers.rules.band_rules import PAUSE_NS
from matchers.rules.order_tables import CALL_PHASES, CARRIED, ENDS_IN, PHASE_CHANGES, RESUMES_TO
from matchers.state.canonical_hash import Place
from schemas.enums import BookCommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.field_rules import AUCTION_ONLY
from schemas.reject_reasons import Reason

_AFTER_CLOSE: Final = (Phase.POST_CLOSE, Phase.CLOSED)


def phase_reason(command: Values, book: Book) -> Reason:
    """Why the book does not go where a TRADING_SESSION_CHANGE, TRADING_HALT or TRADING_RESUME says, or NONE."""
    return PHASE_CHANGES[BookCommandKind(command["kind"]), book.phase, target_phase(command, book)]


def target_phase(command: Values, book: Book) -> Phase:
    """Where the command leads; a resume that names no phase leads where the table says."""
    if command["kind"] == BookCommandKind.TRADING_RESUME and command["phase"] == Phase.CLOSED:
        return RESUMES_TO.get(book.phase, Phase.CLOSED)
    return Phase(command["phase"])


def change_phase(s: ShardState, book: Book, to: Phase, reason: Reason, phase_end: int) -> None:
    """Go to the phase, or extend the auction that would end outside its range."""
    if book.phase == to:
        book.phase_end = phase_end
        s.row(ExecKind.SECURITY_STATUS, book, phase=to, reason=reason)
        return
    if book.phase == Phase.CLOSED:
        book.last_px = 0  # a new day; before an uncross that it may begin with
    if to == Phase.CONTINUOUS or (book.phase == Phase.CLOSING_AUCTION and to in _AFTER_CLOSE):
        if _extends(s, book):
            return
        _end_auction(s, book, to)
    before, book.phase, book.phase_end = book.phase, to, phase_end
    s.row(ExecKind.SECURITY_STATUS, book, phase=to, reason=reason)
    if before == Phase.CLOSED:
        _restate_carried(s, book)
    if before == Phase.CONTINUOUS:
        end_bands(book)
        park_all(s, book)
    if to in CALL_PHASES and before not in CALL_PHASES:
        book.indicative, book.extended = (0, 0, 0, 0), 0
    if to == Phase.CLOSING_AUCTION:
        book.extended = 0
        _admit_closing_orders(s, book)
    elif before == Phase.CLOSING_AUCTION and to not in _AFTER_CLOSE:
        _withdraw_closing_orders(s, book)
    if to == Phase.CONTINUOUS:
        begin_bands(s, book)
        if book.last_px:
            elect(s, book, book.last_px)
    if to == Phase.CLOSED:
        _end_day(s, book)


def live_orders(s: ShardState, book: Book) -> list[Order]:
    """The book's orders by entry."""
    return sorted((order for order in s.orders.values() if order.instrument == book.instrument), key=lambda one: one.entry)


def _extends(s: ShardState, book: Book) -> bool:
    """Extend the auction, once, if its price is outside the range."""
    cross = find_cross(book)
    low, high = auction_range(s, book)
    if not cross.price or low <= cross.price <= high or book.extended or not book.in_call:
        return False
    book.extended = 1
    book.phase_end = s.log_time + int(s.rules[book.instrument]["auction_extension_ns"])
    s.row(ExecKind.SECURITY_STATUS, book, phase=book.phase, reason=Reason.AUCTION_EXTENDED)
    return True


def _end_auction(s: ShardState, book: Book, to: Phase) -> None:
    """Uncross, and take out what was for the auction only."""
    cross = find_cross(book)
    low, high = auction_range(s, book)
    if cross.price and not low <= cross.price <= high:
        cross = find_cross(book, low, high)
    if cross.price:
        uncross(s, book, cross.price)
    leaving = TimeInForce.OPG if to == Phase.CONTINUOUS else TimeInForce.CLS
    for order in live_orders(s, book):
        if order.order_id not in s.orders or order.place != Place.RESTING:
            continue
        if order.time_in_force in AUCTION_ONLY and order.time_in_force == leaving:
            end(s, order, ExecKind.EXPIRED, Reason.NOT_FILLED_IN_AUCTION)
        elif order.ord_type == OrdType.MARKET:
            end(s, order, ExecKind.CANCELED, Reason.NOT_FILLED_IN_AUCTION)
    if to == Phase.CONTINUOUS:
        _cancel_beyond(s, book, high)


def _cancel_beyond(s: ShardState, book: Book, high: int) -> None:
    """What still crosses does so wholly beyond the range, where nothing may trade: the side that is priced out of the range goes, best first."""
    buys, sells = book.sides[Side.BUY], book.sides[Side.SELL]
    while buys.best is not None and sells.best is not None and buys.best >= sells.best:
        out = buys if sells.best > high else sells
        end(s, out.levels[out.best or 0].orders()[0], ExecKind.CANCELED, Reason.PRICE_OUTSIDE_COLLAR)


def _restate_carried(s: ShardState, book: Book) -> None:
    """A new day: carried orders are restated by entry."""
    for order in live_orders(s, book):
        if order.time_in_force in CARRIED:
            s.order_row(ExecKind.RESTATED, order, 0, Reason.START_OF_DAY)


def _end_day(s: ShardState, book: Book) -> None:
    """Everything that is not carried expires."""
    for order in live_orders(s, book):
        if order.order_id in s.orders and order.time_in_force not in CARRIED:
            end(s, order, ExecKind.EXPIRED, Reason.END_OF_DAY)


def _admit_closing_orders(s: ShardState, book: Book) -> None:
    for order in live_orders(s, book):
        if order.place == Place.CLOSING:
            s.rest(order)


def _withdraw_closing_orders(s: ShardState, book: Book) -> None:
    """The closing auction is halted: its orders wait for the next one."""
    for order in live_orders(s, book):
        if order.time_in_force == TimeInForce.CLS and order.place == Place.RESTING:
            s.level_row_of(order, s.detach(order))
            order.place = Place.CLOSING


def expire_dated(s: ShardState, book: Book) -> None:
    """A TIMER: GTD orders whose time has come leave, by expire_time, then entry."""
    due = [order for order in live_orders(s, book) if order.time_in_force == TimeInForce.GTD and order.expire_time <= s.log_time]
    for order in sorted(due, key=lambda one: (one.expire_time, one.entry)):
        if order.order_id in s.orders:
            end(s, order, ExecKind.EXPIRED, Reason.EXPIRE_TIME_REACHED)


def session_timer(s: ShardState, book: Book) -> None:
    """A TIMER: price bands, then the end of a call phase."""
    if bands_timer(s, book):
        change_phase(s, book, Phase.VOLATILITY_AUCTION, Reason.LULD_PAUSE, s.log_time + PAUSE_NS)
    elif book.in_call and book.phase_end and s.log_time >= book.phase_end:
        change_phase(s, book, ENDS_IN[book.phase], Reason.AUCTION_ENDED, 0)


def is_frozen(s: ShardState, book: Book, order: Order) -> bool:
    """Whether an auction order can no longer be cancelled or replaced."""
    no_cancel_ns = int(s.rules[book.instrument]["no_cancel_ns"])
    auction = {TimeInForce.OPG: Phase.OPENING_AUCTION, TimeInForce.CLS: Phase.CLOSING_AUCTION}.get(TimeInForce(order.time_in_force))
    return auction == book.phase and bool(book.phase_end and no_cancel_ns) and s.log_time >= book.phase_end - no_cancel_ns
