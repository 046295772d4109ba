"""How an incoming order meets the book, outside the fast path: books.reference.matching by the same names."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.available import available
from matchers.books.kernel.bands import band_limited, note_trade
from matchers.books.kernel.endings import after_fill, end
from matchers.books.kernel.layout import COMMAND_INDEX, LAST_TRADE, LEVEL_COUNT, LEVEL_QTY, LOG_TIME, SHARD
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.orders import detach, exec_inst_of, note_move, rest
from matchers.books.kernel.prevention import is_own, is_prevented, prevent
from matchers.books.kernel.queues import first_in, join_level, leave_level
from matchers.books.kernel.rows import (
    BOOK_SHIFT,
    FLAGS_SHIFT,
    THREE_COLUMNS,
    displayed_qty,
    key_of,
    next_row,
    put_level_row,
    put_order_row,
    shown_qty,
    tranche,
    write_row,
)
from matchers.books.kernel.stops import elect, tighten
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    EXEC_CANCELED,
    EXEC_RESTATED,
    EXEC_TRADE,
    FLAG_SELF_MATCH,
    INST_POST_ONLY_ANY,
    INST_POST_ONLY_SLIDE,
    PHASE_CLOSING_AUCTION,
    PHASE_CONTINUOUS,
    PHASE_OPENING_AUCTION,
    PHASE_PRE_OPEN,
    PHASE_VOLATILITY_AUCTION,
    REASON_FILL_OR_KILL,
    REASON_ICEBERG_REPLENISHED,
    REASON_IMMEDIATE_OR_CANCEL,
    REASON_MARKET_TO_LIMIT,
    REASON_MIN_QTY_NOT_AVAILABLE,
    REASON_NO_LIQUIDITY,
    REASON_NOT_IN_THIS_PHASE,
    REASON_POST_ONLY_SLIDE,
    REASON_POST_ONLY_WOULD_TAKE,
    REASON_PRICE_BAND,
    REASON_PROTECTION_PRICE,
    TIF_FOK,
    TIF_IOC,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_MARKET_TO_LIMIT,
)
from schemas.limits import ORDER_ID_SHARD_SHIFT, PRICE_TICKS_MAX

_TRADE_SHIFT: Final = U(ORDER_ID_SHARD_SHIFT)
_CALL_PHASES: Final = 1 << PHASE_PRE_OPEN | 1 << PHASE_OPENING_AUCTION | 1 << PHASE_CLOSING_AUCTION | 1 << PHASE_VOLATILITY_AUCTION


@helper
def in_call(phase: Any) -> Any:
    """Orders rest without matching until an uncross."""
    return (_CALL_PHASES >> phase) & 1 != 0


@routine
def enter(memory: Any, row: Any) -> None:
    """Match the order, which is nowhere yet, and rest or cancel what is left of it."""
    s = state_at(memory)
    order = s.orders[row]
    book = s.books[U(order.side_row) >> BOOK_SHIFT]
    if book.phase != PHASE_CONTINUOUS:
        never_waits = order.ord_type == TYPE_MARKET_TO_LIMIT or (order.ord_type == TYPE_MARKET and not in_call(book.phase))
        if never_waits:
            end(memory, row, U(EXEC_CANCELED), U(REASON_NOT_IN_THIS_PHASE))
        else:
            rest(memory, row)
        return
    limit = limit_of(s, row)
    if order.special != 0:
        limit, reason = _conditions(memory, row, limit)
        if reason != ZERO:
            end(memory, row, U(EXEC_CANCELED), reason)
            return
    elif order.time_in_force == TIF_FOK and available(memory, row, limit, U(order.leaves_qty)) < U(order.leaves_qty):
        end(memory, row, U(EXEC_CANCELED), U(REASON_FILL_OR_KILL))
        return
    executed = U(order.order_qty) - U(order.leaves_qty)  # prevention may lower both
    sweep(memory, row, limit)
    if order.order_id != ZERO:
        _leave_rest(memory, row, limit, U(order.order_qty) - U(order.leaves_qty) != executed)


@routine
def _conditions(memory: Any, row: Any, limit: Any) -> Any:
    """(limit, reason): what an order that must not take, or only in such a quantity, may reach; why it is cancelled untouched, or 0."""
    s = state_at(memory)
    order = s.orders[row]
    exec_inst, min_qty = exec_inst_of(s, row), ZERO
    if order.extra != 0:
        min_qty = U(s.extras[order.extra].min_qty)
    if exec_inst & INST_POST_ONLY_ANY != 0 and would_take(s, row, limit):
        slid = slid_price(s, row)
        if exec_inst & INST_POST_ONLY_SLIDE == 0 or slid == ZERO:
            return limit, U(REASON_POST_ONLY_WOULD_TAKE)
        order.price = slid
        limit = slid
        put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_POST_ONLY_SLIDE), ZERO)
    if order.time_in_force == TIF_FOK:
        leaves = U(order.leaves_qty)
        return limit, ZERO if available(memory, row, limit, leaves) >= leaves else U(REASON_FILL_OR_KILL)
    if min_qty != ZERO and available(memory, row, limit, min_qty) < min_qty:
        return limit, U(REASON_MIN_QTY_NOT_AVAILABLE)
    return limit, ZERO


@helper
def limit_of(s: Any, row: Any) -> Any:
    """The worst price at which the order may execute now."""
    order = s.orders[row]
    side_row, limit = U(order.side_row), U(order.price)
    book = s.books[side_row >> BOOK_SHIFT]
    buys = side_row & ONE == ZERO
    if order.ord_type == TYPE_MARKET or order.ord_type == TYPE_MARKET_TO_LIMIT:
        if limit == ZERO:
            limit = U(book.price_high) if buys else U(book.price_low)
        best = U(s.sides[side_row ^ ONE].best)
        if order.ord_type == TYPE_MARKET_TO_LIMIT and best != ZERO:
            best_px = U(s.levels[best].price)
            limit = min(limit, best_px) if buys else max(limit, best_px)
    return band_limited(book, buys, limit)


@helper
def would_take(s: Any, row: Any, limit: Any) -> Any:
    """Whether the order would trade at once."""
    opposite = U(s.orders[row].side_row) ^ ONE
    return s.sides[opposite].best != 0 and U(s.sides[opposite].best_key) <= key_of(opposite, limit)


@helper
def slid_price(s: Any, row: Any) -> Any:
    """One tick away from the opposite best, which is there; 0 if there is no such price."""
    side_row = U(s.orders[row].side_row)
    best_px = U(s.levels[s.sides[side_row ^ ONE].best].price)
    price = best_px - ONE if side_row & ONE == ZERO else best_px + ONE
    return price if price <= U(PRICE_TICKS_MAX) else ZERO


# -- execution


@routine
def sweep(memory: Any, row: Any, limit: Any) -> None:
    """Trade with opposite levels, best first, each followed by its LEVEL row."""
    s = state_at(memory)
    order = s.orders[row]
    opposite = U(order.side_row) ^ ONE
    side = s.sides[opposite]
    limit_key = key_of(opposite, limit)
    pro_rata = s.books[opposite >> BOOK_SHIFT].pro_rata != 0
    while order.order_id != ZERO and order.leaves_qty != 0 and U(side.best_key) <= limit_key:
        key = U(side.best_key)
        level = s.levels[side.best]
        price, qty, count = U(level.price), level.qty, U(level.order_count)
        if s.call[LEVEL_COUNT] != ZERO:
            qty, count = s.call[LEVEL_QTY], s.call[LEVEL_COUNT]
            s.call[LEVEL_COUNT] = ZERO
        if pro_rata:
            _match_pro_rata(memory, row, opposite, key)
        else:
            _match_fifo(memory, row, opposite, key)
        qty_now, count_now = ZERO, ZERO
        if U(side.best_key) == key:
            qty_now, count_now = s.levels[side.best].qty, U(s.levels[side.best].order_count)
        if qty_now != qty or count_now != count:
            put_level_row(memory, opposite, price, qty_now, count_now)


@routine
def _match_fifo(memory: Any, row: Any, opposite: Any, key: Any) -> None:
    """In the order of the queues of the best level; an iceberg's next tranche is behind the displayed orders that are there."""
    s = state_at(memory)
    order, side = s.orders[row], s.sides[opposite]
    price = key_of(opposite, key)
    while order.order_id != ZERO and order.leaves_qty != 0 and U(side.best_key) == key:
        resting = first_in(s, U(side.best))
        if is_prevented(s, row, resting):
            prevent(memory, row, resting)
        else:
            trade(memory, row, resting, price, min(U(order.leaves_qty), on_offer(s, resting)))


@helper
def on_offer(s: Any, row: Any) -> Any:
    """Lots of a resting order that execute before the next one's turn: what it displays, or all of a hidden order."""
    shown = shown_qty(s, row)
    return shown if shown != ZERO else U(s.orders[row].leaves_qty)


@routine
def _match_pro_rata(memory: Any, row: Any, opposite: Any, key: Any) -> None:
    """In rounds: each displayed order gets floor(incoming x its share), what is left goes by time; then hidden orders by time, own ones last.

    An iceberg that displays a new tranche is in the next round.
    """
    s = state_at(memory)
    order, side = s.orders[row], s.sides[opposite]
    price = key_of(opposite, key)
    while order.order_id != ZERO and order.leaves_qty != 0 and U(side.best_key) == key:
        level = s.levels[side.best]
        if _share_round(memory, row, U(side.best), price):
            continue
        hidden = U(s.levels[level.apart].first)
        while hidden != ZERO and is_prevented(s, row, hidden):
            hidden = U(s.orders[hidden].next)
        if hidden != ZERO:
            trade(memory, row, hidden, price, min(U(order.leaves_qty), U(s.orders[hidden].leaves_qty)))
        else:
            prevent(memory, row, first_in(s, U(side.best)))


@routine
def _share_round(memory: Any, row: Any, level_row: Any, price: Any) -> Any:
    """One round among the displayed orders of a level; False if all of them are own ones."""
    s = state_at(memory)
    level = s.levels[level_row]
    rows = np.empty(level.order_count, np.uint64)
    parts = np.empty(level.order_count, np.uint64)
    found, total = ZERO, ZERO
    resting = U(level.first)
    while resting != ZERO:
        if not is_prevented(s, row, resting):
            rows[found] = resting
            parts[found] = shown_qty(s, resting)
            total += parts[found]
            found += ONE
        resting = U(s.orders[resting].next)
    if found == ZERO:
        return False
    qty = min(U(s.orders[row].leaves_qty), total)
    left = qty
    for at in range(found):
        left -= qty * parts[at] // total
    for at in range(found):
        part = qty * parts[at] // total
        more = min(left, parts[at] - part)
        left -= more
        parts[at] = part + more
    for at in range(found):
        if parts[at] != ZERO and s.orders[rows[at]].order_id != ZERO:
            trade(memory, row, rows[at], price, parts[at])
    return True


@routine
def trade(memory: Any, row: Any, resting_row: Any, price: Any, qty: Any) -> None:
    """One execution in continuous trading, and what follows from it at once."""
    s = state_at(memory)
    resting = s.orders[resting_row]
    book = U(resting.side_row) >> BOOK_SHIFT
    fill(memory, row, resting_row, price, qty, ZERO)
    if s.books[book].band_high != 0:
        note_trade(s, book, price)
    if resting.extra != 0 and resting.level != 0:
        replenish(memory, resting_row)
    if s.books[book].stops != 0:
        elect(memory, book, price)
    after_fill(memory, row)
    after_fill(memory, resting_row)


@routine
def fill(memory: Any, row: Any, resting_row: Any, price: Any, qty: Any, flags: Any) -> None:
    """The TRADE row; an order that is filled leaves its level."""
    s = state_at(memory)
    order, resting = s.orders[row], s.orders[resting_row]
    book_row = U(order.side_row) >> BOOK_SHIFT
    book = s.books[book_row]
    if is_own(s, row, resting_row):
        flags |= U(FLAG_SELF_MATCH)
    _reduce(memory, row, qty)
    _reduce(memory, resting_row, qty)
    book.last_px = price
    s.head[LAST_TRADE] += ONE
    at, rpt_seq = next_row(s, book_row)
    write_row(
        s, at, (s.order_words[row, ZERO] & THREE_COLUMNS) | U(EXEC_TRADE) | (flags << FLAGS_SHIFT), U(book.instrument),
        s.call[COMMAND_INDEX], rpt_seq, order.order_id, order.account, resting.order_id, resting.account,
        (s.head[SHARD] << _TRADE_SHIFT) | s.head[LAST_TRADE], price, qty, U(order.leaves_qty), U(resting.leaves_qty), displayed_qty(s, resting_row),
        s.head[LOG_TIME],
    )  # fmt: skip
    if book.first_trailing != 0:
        tighten(memory, book_row, price)


@routine
def _reduce(memory: Any, row: Any, qty: Any) -> None:
    s = state_at(memory)
    order = s.orders[row]
    left = U(order.leaves_qty) - qty
    if order.level != 0:
        shown = qty
        if order.extra != 0:
            extra = s.extras[order.extra]
            shown = min(qty, U(extra.shown_qty))
            extra.shown_qty = U(extra.shown_qty) - shown
        s.levels[order.level].qty -= shown
        note_move(s, U(order.side_row), U(s.levels[order.level].price))
    order.leaves_qty = left
    if left == ZERO:
        detach(memory, row)


@routine
def replenish(memory: Any, row: Any) -> None:
    """An iceberg whose tranche is executed displays the next one, behind the displayed orders of its price."""
    s = state_at(memory)
    order = s.orders[row]
    shown = tranche(s, row)
    if s.extras[order.extra].shown_qty != 0 or shown == ZERO:
        return
    level_row = U(order.level)
    leave_level(s, level_row, row, ZERO)
    s.extras[order.extra].shown_qty = shown
    join_level(s, level_row, row, shown)
    put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_ICEBERG_REPLENISHED), ZERO)


# -- what is left


@routine
def _leave_rest(memory: Any, row: Any, limit: Any, traded: Any) -> None:
    """Rest what is left, or cancel it with its reason."""
    s = state_at(memory)
    order = s.orders[row]
    if order.ord_type == TYPE_MARKET or (order.ord_type == TYPE_MARKET_TO_LIMIT and not traded):
        empty = s.sides[U(order.side_row) ^ ONE].best == 0
        end(memory, row, U(EXEC_CANCELED), U(REASON_NO_LIQUIDITY) if empty else U(REASON_PROTECTION_PRICE))
    elif order.time_in_force == TIF_IOC:
        end(memory, row, U(EXEC_CANCELED), U(REASON_IMMEDIATE_OR_CANCEL))
    else:
        if order.ord_type == TYPE_MARKET_TO_LIMIT:
            order.ord_type = TYPE_LIMIT
            order.price = s.books[U(order.side_row) >> BOOK_SHIFT].last_px
            put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_MARKET_TO_LIMIT), ZERO)
        elif U(order.price) != limit:
            order.price = limit
            put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_PRICE_BAND), ZERO)
        rest(memory, row)
