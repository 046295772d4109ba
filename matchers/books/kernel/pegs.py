"""Pegged orders in the book kernel: books.reference.pegs by the same names; the rules are said there."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.matching import enter, slid_price, would_take
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.orders import NOWHERE, PARKED, RESTING, detach
from matchers.books.kernel.queues import join_chain, join_idle, next_level
from matchers.books.kernel.rows import BOOK_SHIFT, is_market_px, put_level_row, put_order_row
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    EXEC_RESTATED,
    INST_POST_ONLY_ANY,
    PEG_MIDPOINT,
    PEG_PRIMARY,
    PHASE_CONTINUOUS,
    REASON_PEG_PARKED,
    REASON_PEG_REPRICED,
    SIDE_BUY,
    TYPE_PEGGED,
)
from matchers.state.canonical_hash import PEG_STALE
from schemas.limits import PRICE_TICKS_MAX

I: Final = np.int64


@routine
def peg_target(memory: Any, row: Any, bid: Any, ask: Any) -> Any:
    """The price that the peg should have, 0: none. bid, ask: i64, 0: there is none."""
    s = state_at(memory)
    order = s.orders[row]
    extra = s.extras[order.extra]
    buys = order.side == SIDE_BUY
    if extra.peg_price_type == PEG_MIDPOINT:
        price = I(0) if bid == 0 or ask == 0 else (bid + ask) // 2 if buys else (bid + ask + 1) // 2
    else:
        price = bid if buys == (extra.peg_price_type == PEG_PRIMARY) else ask
    if price == 0:
        return ZERO
    price += extra.offset
    if extra.limit_px != 0:
        price = min(price, I(extra.limit_px)) if buys else max(price, I(extra.limit_px))
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    if book.band_high != 0:
        price = min(price, I(book.band_high)) if buys else max(price, I(book.band_low))
    return U(min(price, PRICE_TICKS_MAX)) if price >= 1 else ZERO


@helper
def _reference(s: Any, side_row: Any) -> Any:
    """Best price of a displayed limit order that is not pegged itself; i64, 0: there is none."""
    level_row = U(s.sides[side_row].best)
    price = I(0)
    while level_row != ZERO:
        level = s.levels[level_row]
        if not is_market_px(U(level.price)) and _has_other_than_pegs(s, level_row):
            price = I(level.price)
            break
        level_row = next_level(s, side_row, level_row)
    return price


@helper
def _has_other_than_pegs(s: Any, level_row: Any) -> Any:
    level = s.levels[level_row]
    if level.apart == 0:
        return True
    row = U(level.first)
    while row != ZERO and s.orders[row].ord_type == TYPE_PEGGED:
        row = U(s.orders[row].next)
    return row != ZERO


@routine
def peg_references(memory: Any, book_row: Any) -> Any:
    """(bid, ask) that pegs follow, i64."""
    s = state_at(memory)
    buys = book_row << BOOK_SHIFT
    return _reference(s, buys), _reference(s, buys + ONE)


@routine
def enter_peg(memory: Any, row: Any) -> None:
    """Enter a new peg, or one that a replace has taken out: the last of the book's list."""
    s = state_at(memory)
    order = s.orders[row]
    book_row = U(order.side_row) >> BOOK_SHIFT
    book = s.books[book_row]
    join_chain(s, row)
    book.pegs = U(book.pegs) + ONE
    target = ZERO
    if book.phase == PHASE_CONTINUOUS:
        bid, ask = peg_references(memory, book_row)
        if U(book.pegs) == ONE:  # no other peg has missed a move; this one is about to be priced
            book.peg_bid = bid
            book.peg_ask = ask
        target = peg_target(memory, row, bid, ask)
    if target != ZERO:
        _place(memory, row, target)
    else:
        order.price = 0
        _wait(s, book_row, row)


@helper
def _wait(s: Any, book_row: Any, row: Any) -> None:
    s.extras[s.orders[row].extra].place = PARKED
    join_idle(s, book_row, row)


@routine
def pegs_moved(memory: Any, book_row: Any) -> Any:
    """Reprice the pegs if the reference has moved; whether it had."""
    s = state_at(memory)
    book = s.books[book_row]
    if book.phase != PHASE_CONTINUOUS or book.pegs == 0:
        return False
    bid, ask = peg_references(memory, book_row)
    if bid == book.peg_bid and ask == book.peg_ask:
        return False
    book.peg_bid = bid
    book.peg_ask = ask
    rows, targets, moved = np.empty(book.pegs, np.uint64), np.empty(book.pegs, np.uint64), ZERO
    row = U(book.first_peg)
    while row != ZERO:
        target = peg_target(memory, row, bid, ask)
        if target != U(s.orders[row].price):
            rows[moved] = row
            targets[moved] = target
            moved += ONE
        row = U(s.extras[s.orders[row].extra].next)
    for at in range(moved):
        _take_out(memory, rows[at])
    for at in range(moved):
        if targets[at] != ZERO:
            _place(memory, rows[at], targets[at])
        else:
            _park(memory, rows[at])
    return True


@routine
def _take_out(memory: Any, row: Any) -> None:
    s = state_at(memory)
    price, qty, count = detach(memory, row)
    put_level_row(memory, U(s.orders[row].side_row), price, qty, count)


@routine
def park_all(memory: Any, book_row: Any) -> None:
    """Continuous trading ends: every resting peg is parked, in entry order."""
    s = state_at(memory)
    row = U(s.books[book_row].first_peg)
    while row != ZERO:
        if s.extras[s.orders[row].extra].place == RESTING:
            _take_out(memory, row)
            _park(memory, row)
        row = U(s.extras[s.orders[row].extra].next)
    s.books[book_row].peg_bid = PEG_STALE


@routine
def _park(memory: Any, row: Any) -> None:
    """A peg that is out of the book waits without a price."""
    s = state_at(memory)
    s.orders[row].price = 0
    put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_PEG_PARKED), ZERO)
    _wait(s, U(s.orders[row].side_row) >> BOOK_SHIFT, row)


@routine
def _place(memory: Any, row: Any, target: Any) -> None:
    """Enter at the target, or one tick away from the opposite best where a post-only peg would take."""
    s = state_at(memory)
    order = s.orders[row]
    order.price = target
    s.extras[order.extra].place = NOWHERE
    if s.extras[order.extra].exec_inst & INST_POST_ONLY_ANY != 0 and would_take(s, row, target):
        slid = slid_price(s, row)
        order.price = slid
        if slid == ZERO:
            _park(memory, row)
            return
    put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_PEG_REPRICED), ZERO)
    enter(memory, row)
