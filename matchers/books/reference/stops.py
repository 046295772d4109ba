"""Stop and trailing stop orders: dormant until a trade elects them: docs/rules.md, sections 3 and 4.

A trade at a price elects every dormant stop that it meets: buys whose stop_px is not above it, lowest first, then sells whose stop_px is not below it, highest
first, ties by entry. They queue behind those elected before and enter the book one at a time once the command's own matching is over.
A trailing stop's stop_px follows the best last price since its entry by its distance and only ever tightens; before the first trade of the day it has none.
Stops are elected in continuous trading only; what an uncross has met is elected when continuous trading begins.
"""

from bisect import insort

from matchers.books.reference.book import Book, Order
from matchers.books.reference.state import ShardState
from matchers.state.canonical_hash import Place
from schemas.enums import OffsetType, OrdType, Phase, Side
from schemas.limits import PRICE_TICKS_MAX
from schemas.units import BASIS_POINTS


def is_met(order: Order, last_px: int) -> bool:
    """Whether a trade at last_px (0: none yet) elects the stop."""
    if not last_px or not order.stop_px:
        return False
    return last_px >= order.stop_px if order.side == Side.BUY else last_px <= order.stop_px


def arm(s: ShardState, order: Order) -> bool:
    """Let the stop wait, or elect it at once if the last price meets it: then True, and it is to be triggered."""
    book = s.book_of(order)
    if order.is_trailing and book.last_px:
        _tighten_one(order, book.last_px)
    if book.phase == Phase.CONTINUOUS and is_met(order, book.last_px):
        become_active(order)
        return True
    order.place = Place.DORMANT
    if order.stop_px:
        insort(book.stops[order.side], order, key=_rank)
    if order.is_trailing:
        insort(book.trailing, order, key=lambda one: one.entry)
    return False


def _rank(order: Order) -> tuple[int, int]:
    return (order.stop_px if order.side == Side.BUY else -order.stop_px), order.entry


def tighten(book: Book, last_px: int) -> None:
    """Let trailing stops follow a trade."""
    for order in book.trailing:
        waiting = book.stops[order.side]
        if order.stop_px:
            waiting.remove(order)
        _tighten_one(order, last_px)
        if order.stop_px:
            insort(waiting, order, key=_rank)


def _tighten_one(order: Order, last_px: int) -> None:
    ticks = order.offset_type == OffsetType.TICKS
    if order.side == Side.SELL:
        stop_px = last_px - order.offset if ticks else last_px * (BASIS_POINTS - order.offset) // BASIS_POINTS
        if stop_px >= 1:
            order.stop_px = max(order.stop_px, stop_px)
    else:
        stop_px = last_px + order.offset if ticks else -(-last_px * (BASIS_POINTS + order.offset) // BASIS_POINTS)
        if stop_px <= PRICE_TICKS_MAX:
            order.stop_px = min(order.stop_px or stop_px, stop_px)


def elect(s: ShardState, book: Book, last_px: int) -> None:
    """Queue every stop that a trade at last_px meets."""
    for side in Side:
        waiting = book.stops[side]
        while waiting and is_met(waiting[0], last_px):
            order = waiting[0]
            s.detach(order)
            become_active(order)
            order.place = Place.QUEUED
            s.followups.append(order)


def become_active(order: Order) -> None:
    """The stop is elected for good: a MARKET or LIMIT order from now on."""
    if order.ord_type == OrdType.TRAILING_STOP_LIMIT:
        price = order.stop_px + order.price if order.side == Side.BUY else order.stop_px - order.price
        order.price = min(max(price, 1), PRICE_TICKS_MAX)
    order.ord_type = OrdType.MARKET if order.ord_type in (OrdType.STOP, OrdType.TRAILING_STOP) else OrdType.LIMIT
    order.stop_px = order.offset = order.offset_type = 0
