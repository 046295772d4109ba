"""Pegged orders: their price follows the book's best prices: docs/rules.md, section 3.

The reference ignores pegged orders and what is not displayed. Primary follows the own side's best, market the opposite side's, midpoint the middle, rounded
away from the market (buys down, sells up); `offset` ticks are added, then the order's own limit, the price band and the range of prices bound it. All pegs
that move are taken out first, then re-entered in entry order; a repricing loses time priority. A post-only peg that has to stand one tick off counts as
moving whenever the reference moves. Without a reference, or outside continuous trading, a peg is parked.
"""

from matchers.books.reference.bands import band_limited
from matchers.books.reference.book import Book, Order
from matchers.books.reference.matching import enter, slid_price, would_take
from matchers.books.reference.state import ShardState
from matchers.state.canonical_hash import PEG_STALE, Place
from schemas.enums import ExecInst, ExecKind, PegPriceType, Phase, Side
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason


def peg_target(book: Book, order: Order, bid: int, ask: int) -> int:
    """The price that the peg should have, 0: none."""
    buy = order.side == Side.BUY
    if order.peg_price_type == PegPriceType.MIDPOINT:
        price = 0 if not bid or not ask else (bid + ask) // 2 if buy else (bid + ask + 1) // 2
    else:
        price = bid if buy == (order.peg_price_type == PegPriceType.PRIMARY) else ask
    if not price:
        return 0
    price += order.offset
    if order.peg_limit:
        price = min(price, order.peg_limit) if buy else max(price, order.peg_limit)
    price = band_limited(book, order.side, price)
    return min(price, PRICE_TICKS_MAX) if price >= 1 else 0


def enter_peg(s: ShardState, order: Order) -> None:
    """Enter a new peg, or one that a replace has taken out."""
    book = s.book_of(order)
    if order not in book.pegs:
        book.pegs.append(order)
    if len(book.pegs) == 1 and book.phase == Phase.CONTINUOUS:
        book.peg_bid, book.peg_ask = _references(book)  # no other peg has missed a move; this one is about to be priced
    target = peg_target(book, order, *_references(book)) if book.phase == Phase.CONTINUOUS else 0
    if target:
        _place(s, order, target)
    else:
        order.price, order.place = 0, Place.PARKED


def pegs_moved(s: ShardState, book: Book) -> bool:
    """Reprice the pegs if the reference has moved; whether it had."""
    if book.phase != Phase.CONTINUOUS or not book.pegs:
        return False
    bid, ask = _references(book)
    if (bid, ask) == (book.peg_bid, book.peg_ask):
        return False
    book.peg_bid, book.peg_ask = bid, ask
    moved = [(order, target) for order in book.pegs if (target := peg_target(book, order, bid, ask)) != order.price]
    for order, _ in moved:
        s.level_row_of(order, s.detach(order))
    for order, target in moved:
        if target:
            _place(s, order, target)
        else:
            park(s, order)
    return True


def park_all(s: ShardState, book: Book) -> None:
    """Continuous trading ends: every resting peg is parked, in entry order."""
    for order in book.pegs:
        if order.place == Place.RESTING:
            s.level_row_of(order, s.detach(order))
            park(s, order)
    book.peg_bid = PEG_STALE


def park(s: ShardState, order: Order) -> None:
    """A peg that is out of the book waits without a price."""
    order.price, order.place = 0, Place.PARKED
    s.order_row(ExecKind.RESTATED, order, 0, Reason.PEG_PARKED)


def _place(s: ShardState, order: Order, target: int) -> None:
    """Enter at the target, or one tick away from the opposite best where a post-only peg would take."""
    book = s.book_of(order)
    order.price, order.place = target, Place.NOWHERE
    if order.exec_inst & (ExecInst.POST_ONLY | ExecInst.POST_ONLY_SLIDE) and would_take(book, order, target):
        order.price = slid_price(book, order)
        if not order.price:
            park(s, order)
            return
    s.order_row(ExecKind.RESTATED, order, 0, Reason.PEG_REPRICED)
    enter(s, order)


def _references(book: Book) -> tuple[int, int]:
    return book.sides[Side.BUY].peg_reference(), book.sides[Side.SELL].peg_reference()
