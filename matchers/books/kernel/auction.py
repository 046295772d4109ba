"""Auctions in the book kernel: where a book would uncross, and the uncross. The rules are said in books.reference.auction.

The reference looks at every price. Here both sides are walked from their best price on, as an uncross would execute them, and one price farther: the volume is what
that executes, and it can be executed at every tick from the last sell price that it takes up to the last buy price. Beyond it remain bids (the best of
them the *next bid*) and offers above these (the *next offer*). Between the two nothing is left over; where no tick is between them, the least is left over
at one of the two. An order as good as the last that was looked at, or better, may move the uncross; worse ones do not, and then nobody looks again.
"""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.available import is_gone, new_stamp, sibling_of, stamp_sibling
from matchers.books.kernel.endings import after_fill
from matchers.books.kernel.layout import HIDDEN, LEVELS, NO_KEY, ORDERS
from matchers.books.kernel.level_tree import tree_find
from matchers.books.kernel.matching import fill, replenish
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.queues import after_in, first_in, next_level
from matchers.books.kernel.rows import BOOK_SHIFT, MARKET_BUY_PX, SIDE_SHIFT, is_market_px, key_of, put_level_row, put_row, shown_qty
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import EXEC_AUCTION_INDICATIVE, FLAG_UNCROSS, SIDE_BUY, SIDE_SELL
from schemas.limits import PRICE_TICKS_MAX

_HIDDEN: Final = U(HIDDEN)
_LOWEST, _HIGHEST = U(1), U(PRICE_TICKS_MAX)
_BUY, _SELL = U(SIDE_BUY), U(SIDE_SELL)
I: Final = np.int64


@helper
def auction_range(s: Any, book: Any) -> Any:
    """(low, high): prices at which an auction may trade, the collar, or the protection band where there is none."""
    rules = s.rules[book.instrument]
    percent = U(rules.collar_percent) if rules.collar_percent != 0 else U(rules.protection_percent)
    return price_range(U(book.reference_px), percent)


@helper
def price_range(reference_px: Any, percent: Any) -> Any:
    """Prices within `percent` of the reference, in whole ticks inside it."""
    width = reference_px * percent // U(100)
    return max(reference_px - width, _LOWEST), min(reference_px + width, _HIGHEST)


# -- where it would uncross


@routine
def _counted(memory: Any, level_row: Any, stamp: Any) -> Any:
    """Lots of a level that could execute, hidden and reserve included; without the second of an OCO pair."""
    s = state_at(memory)
    level = s.levels[level_row]
    if level.apart == 0:
        return level.qty
    total, row = ZERO, first_in(s, level_row)
    while row != ZERO:
        order, sibling = s.orders[row], sibling_of(s, row)
        later = False  # of two hidden orders at one price the older executes first, wherever it stands
        if sibling != ZERO and U(order.special) & _HIDDEN != ZERO:
            other = s.orders[sibling]
            later = U(other.special) & _HIDDEN != ZERO and U(other.level) == level_row and other.entry < order.entry
        if not later and not is_gone(s, row, stamp):
            total += U(order.leaves_qty)
            stamp_sibling(s, row, stamp)
        row = after_in(s, level_row, row)
    return total


@routine
def _step(memory: Any, side_row: Any, level_row: Any, stamp: Any, low: Any, high: Any) -> Any:
    """(level, price, lots) of the first level from this one on that executes in low..high, at the price nearest to its own there; 0: there is none."""
    s = state_at(memory)
    buys = side_row & ONE == ZERO
    while level_row != ZERO:
        price = U(s.levels[level_row].price)
        if price < low if buys else price > high:
            break
        qty = _counted(memory, level_row, stamp)
        if qty != ZERO:
            return level_row, min(price, high) if buys else max(price, low), qty
        level_row = next_level(s, side_row, level_row)
    return ZERO, ZERO, ZERO


@helper
def _after(s: Any, side_row: Any, level_row: Any) -> Any:
    return next_level(s, side_row, level_row) if level_row != ZERO else ZERO


@routine
def find_cross(memory: Any, book_row: Any, low: Any, high: Any) -> Any:
    """Where the book would uncross among the ticks low..high: (price, volume, side of the surplus, surplus); price 0: nowhere."""
    s = state_at(memory)
    book, buys, sells, stamp = s.books[book_row], book_row << BOOK_SHIFT, (book_row << BOOK_SHIFT) + ONE, new_stamp(s)
    bid, bid_px, bid_qty = _step(memory, buys, U(s.sides[buys].best), stamp, low, high)
    ask, ask_px, ask_qty = _step(memory, sells, U(s.sides[sells].best), stamp, low, high)
    market = min(_market_qty(s, buys, MARKET_BUY_PX), _market_qty(s, sells, ZERO))
    volume, lowest, highest = ZERO, ZERO, ZERO
    while bid != ZERO and ask != ZERO and bid_px >= ask_px:
        qty = min(bid_qty, ask_qty)
        volume, lowest, highest = volume + qty, ask_px, bid_px
        bid_qty, ask_qty = bid_qty - qty, ask_qty - qty
        if bid_qty == ZERO:
            bid, bid_px, bid_qty = _step(memory, buys, _after(s, buys, bid), stamp, low, high)
        if ask_qty == ZERO:
            ask, ask_px, ask_qty = _step(memory, sells, _after(s, sells, ask), stamp, low, high)
    below, above = bid, ask  # the next prices beyond, and what is left at the next bid and the next offer
    below_px, above_px = ZERO, high + ONE
    while below != ZERO:
        below, below_px, qty = _step(memory, buys, _after(s, buys, below), stamp, low, high)
        if below_px != bid_px:
            break
        bid_qty += qty
    while above != ZERO:
        above, above_px, qty = _step(memory, sells, _after(s, sells, above), stamp, low, high)
        if above == ZERO:
            above_px = high + ONE
        if above_px != ask_px:
            break
        ask_qty += qty
    book.cross_buy = s.levels[below].price if below != ZERO else U(0)
    book.cross_sell = s.levels[above].price if above != ZERO else U(NO_KEY)
    if volume == ZERO:
        return ZERO, ZERO, ZERO, ZERO
    reference = U(book.last_px) if book.last_px != 0 else U(book.reference_px)
    calm_low = max(lowest, bid_px + ONE) if bid != ZERO else lowest
    calm_high = min(highest, ask_px - ONE) if ask != ZERO else highest
    if calm_low <= calm_high:
        return min(max(reference, calm_low), calm_high), volume, ZERO, ZERO
    bids = bid != ZERO and bid_px >= lowest
    asks = ask != ZERO and ask_px <= highest
    if bids and (not asks or bid_qty < ask_qty):
        price = bid_px
        if volume == market:  # market orders alone: nothing but the reference speaks for a price
            price = min(max(reference, max(lowest, below_px + ONE)), bid_px)
        return price, volume, _BUY, bid_qty
    if asks and (not bids or ask_qty < bid_qty):
        price = ask_px
        if volume == market:
            price = min(max(reference, ask_px), min(highest, above_px - ONE))
        return price, volume, _SELL, ask_qty
    price = min(max(reference, max(lowest, below_px + ONE)), min(highest, above_px - ONE))
    return price, volume, _BUY if price <= bid_px else _SELL, bid_qty


@helper
def _market_qty(s: Any, side_row: Any, price: Any) -> Any:
    """Lots of the market orders of a side."""
    best = U(s.sides[side_row].best)
    return s.levels[best].qty if best != ZERO and U(s.levels[best].price) == price else ZERO


@routine
def indicate(memory: Any, book_row: Any) -> None:
    """In a call phase: publish where the book would uncross, if that has changed."""
    s = state_at(memory)
    book = s.books[book_row]
    if book.cross_moved == 0:
        return
    book.cross_moved = 0
    price, volume, side, surplus = find_cross(memory, book_row, _LOWEST, _HIGHEST)
    if (
        I(price) != book.indicative_px
        or I(volume) != book.indicative_volume
        or side != U(book.indicative_side)
        or I(surplus) != book.indicative_imbalance
    ):
        book.indicative_px = I(price)
        book.indicative_volume = I(volume)
        book.indicative_side = side
        book.indicative_imbalance = I(surplus)
        put_row(memory, book_row, U(EXEC_AUCTION_INDICATIVE) | (side << SIDE_SHIFT), ZERO, ZERO, ZERO, price, volume, surplus, ZERO)


# -- the uncross


@routine
def _executable(memory: Any, side_row: Any, price: Any) -> Any:
    """(rows, lots) in the order in which they execute; an iceberg comes twice, with what it displays and with its reserve."""
    s = state_at(memory)
    parts = s.head[ORDERS] + s.head[ORDERS]
    rows, qtys, entries = np.empty(parts, np.uint64), np.empty(parts, np.uint64), np.empty(parts, np.uint64)
    found, reached = ZERO, key_of(side_row, price)
    level_row = U(s.sides[side_row].best)
    while level_row != ZERO and key_of(side_row, U(s.levels[level_row].price)) <= reached:
        row = U(s.levels[level_row].first)
        while row != ZERO:
            rows[found] = row
            qtys[found] = shown_qty(s, row)
            found += ONE
            row = U(s.orders[row].next)
        if s.levels[level_row].apart != 0:
            behind = found
            row = first_in(s, level_row)
            while row != ZERO:
                rest = U(s.orders[row].leaves_qty) - shown_qty(s, row)
                if rest != ZERO:
                    rows[found] = row
                    qtys[found] = rest
                    entries[found] = s.orders[row].entry
                    found += ONE
                row = after_in(s, level_row, row)
            by_entry = np.argsort(entries[behind:found])
            rows[behind:found] = rows[behind:found][by_entry]
            qtys[behind:found] = qtys[behind:found][by_entry]
        level_row = next_level(s, side_row, level_row)
    return rows[:found], qtys[:found]


@routine
def _displayed(memory: Any, book_row: Any) -> Any:
    """(side rows, prices, lots, orders) of what the levels of a book display, buys then sells, best first; without market orders."""
    s = state_at(memory)
    most = s.head[LEVELS]
    sides, prices = np.empty(most, np.uint64), np.empty(most, np.uint64)
    qtys, counts = np.empty(most, np.uint64), np.empty(most, np.uint64)
    found = ZERO
    for side in (ZERO, ONE):
        side_row = (book_row << BOOK_SHIFT) + side
        level_row = U(s.sides[side_row].best)
        while level_row != ZERO:
            level = s.levels[level_row]
            if not is_market_px(U(level.price)):
                sides[found], prices[found], qtys[found], counts[found] = side_row, U(level.price), level.qty, U(level.order_count)
                found += ONE
            level_row = next_level(s, side_row, level_row)
    return sides[:found], prices[:found], qtys[:found], counts[:found]


@routine
def uncross(memory: Any, book_row: Any, price: Any) -> None:
    """Execute everything that can at the price, then the LEVEL rows: buys, then sells, best first."""
    s = state_at(memory)
    buys = book_row << BOOK_SHIFT
    sides, prices, qtys, counts = _displayed(memory, book_row)
    traded = _execute(memory, buys, price)
    for row in traded:
        if s.orders[row].order_id != ZERO and s.orders[row].extra != 0:
            replenish(memory, row)
    for at in range(len(prices)):
        level = s.levels[tree_find(s, s.sides[sides[at]], key_of(sides[at], prices[at]))]  # level row 0 is all zeros
        if level.qty != qtys[at] or U(level.order_count) != counts[at]:
            put_level_row(memory, sides[at], prices[at], level.qty, U(level.order_count))


@routine
def _execute(memory: Any, buys: Any, price: Any) -> Any:
    """The trades of an uncross. Gives the rows of the orders that traded, first come first."""
    s = state_at(memory)
    buy_rows, buy_qtys = _executable(memory, buys, price)
    sell_rows, sell_qtys = _executable(memory, buys + ONE, price)
    traded = np.empty(2 * (len(buy_rows) + len(sell_rows)), np.uint64)  # a trade uses up a part of one side at least
    found, buy, sell = 0, 0, 0
    while buy < len(buy_rows) and sell < len(sell_rows):
        buyer, seller = buy_rows[buy], sell_rows[sell]
        buyer_done = buy_qtys[buy] == ZERO or s.orders[buyer].order_id == ZERO
        seller_done = sell_qtys[sell] == ZERO or s.orders[seller].order_id == ZERO
        if buyer_done:
            buy += 1
        if seller_done:
            sell += 1
        if not buyer_done and not seller_done:
            qty = min(buy_qtys[buy], sell_qtys[sell])
            buy_qtys[buy] -= qty
            sell_qtys[sell] -= qty
            fill(memory, buyer, seller, price, qty, U(FLAG_UNCROSS))
            traded[found] = buyer
            traded[found + 1] = seller
            found += 2
            after_fill(memory, buyer)
            after_fill(memory, seller)
    return traded[:found]
