"""How an incoming order meets the book, outside the fast path: reference_matching by the same names."""

from typing import Any, Final

from matchers.kernel_book_memory import ONE, ZERO, state_at
from matchers.kernel_book_orders import end, forget, rest
from matchers.kernel_book_queues import drop_level, is_empty, unlink
from matchers.kernel_book_rows import FLAGS_SHIFT, THREE_COLUMNS, key_of, next_row, put_level_row, write_row
from matchers.kernel_book_state import COMMAND_INDEX, LAST_TRADE, LOG_TIME, SHARD
from matchers.kernel_compile import helper, routine
from matchers.kernel_hash_index import U
from matchers.kernel_words import (
    EXEC_CANCELED,
    EXEC_TRADE,
    REASON_IMMEDIATE_OR_CANCEL,
    REASON_NO_LIQUIDITY,
    REASON_PROTECTION_PRICE,
    TIF_IOC,
    TYPE_MARKET,
)
from schemas.limits import ORDER_ID_SHARD_SHIFT

_BOOK_SHIFT: Final = U(2)
_TRADE_SHIFT: Final = U(ORDER_ID_SHARD_SHIFT)


@routine
def enter(memory: Any, row: Any) -> None:
    """Match the order, which is in no queue yet, and rest or cancel what is left of it."""
    s = state_at(memory)
    limit = limit_of(s, row)
    sweep(memory, row, limit)
    if s.orders[row].leaves_qty == 0:
        forget(memory, row)
    else:
        leave_rest(memory, row)


@helper
def limit_of(s: Any, row: Any) -> Any:
    """The worst price at which the order may execute now."""
    order = s.orders[row]
    limit = U(order.price)
    if order.ord_type == TYPE_MARKET and limit == ZERO:
        book = s.books[U(order.side_row) >> _BOOK_SHIFT]
        limit = U(book.price_high) if U(order.side_row) & ONE == ZERO else U(book.price_low)
    return limit


@routine
def sweep(memory: Any, row: Any, limit: Any) -> None:
    """Trade with opposite levels, best first, each followed by its LEVEL row."""
    s = state_at(memory)
    order = s.orders[row]
    opposite = U(order.side_row) ^ ONE
    side = s.sides[opposite]
    limit_key = key_of(opposite, limit)
    while order.leaves_qty != 0 and U(side.best_key) <= limit_key:
        level_row, key = U(side.best), U(side.best_key)
        level = s.levels[level_row]
        price, qty, count = U(level.price), level.qty, U(level.order_count)
        match_fifo(memory, row, level_row, price)
        qty_now, count_now = level.qty, U(level.order_count)
        if is_empty(s, level_row):
            drop_level(s, opposite, key, level_row)
        put_level_row(memory, opposite, price, qty_now, count_now, qty, count)


@routine
def match_fifo(memory: Any, row: Any, level_row: Any, price: Any) -> None:
    """In the order of the queue; the level stays, even if it is empty then."""
    s = state_at(memory)
    order, level = s.orders[row], s.levels[level_row]
    while order.leaves_qty != 0 and level.first != 0:
        resting = U(level.first)
        trade(memory, row, resting, price, min(U(order.leaves_qty), U(s.orders[resting].leaves_qty)))


@routine
def trade(memory: Any, row: Any, resting_row: Any, price: Any, qty: Any) -> None:
    """One execution in continuous trading, and what follows from it at once."""
    s = state_at(memory)
    resting = s.orders[resting_row]
    fill(memory, row, resting_row, price, qty, ZERO)
    if resting.leaves_qty == 0:
        forget(memory, resting_row)


@routine
def fill(memory: Any, row: Any, resting_row: Any, price: Any, qty: Any, flags: Any) -> None:
    """The TRADE row; a resting order that is filled leaves its queue."""
    s = state_at(memory)
    order, resting = s.orders[row], s.orders[resting_row]
    book = U(order.side_row) >> _BOOK_SHIFT
    leaves, left = U(order.leaves_qty) - qty, U(resting.leaves_qty) - qty
    order.leaves_qty = leaves
    resting.leaves_qty = left
    level_row = U(resting.level)
    s.levels[level_row].qty -= qty
    if left == ZERO:
        unlink(s, level_row, resting_row)
        resting.level = 0
        s.levels[level_row].order_count -= 1
    s.books[book].last_px = price
    s.head[LAST_TRADE] += ONE
    at, rpt_seq = next_row(s, book)
    write_row(
        s, at, (s.order_words[row, ZERO] & THREE_COLUMNS) | U(EXEC_TRADE) | (flags << FLAGS_SHIFT), U(s.books[book].instrument),
        s.call[COMMAND_INDEX], rpt_seq, order.order_id, order.account, resting.order_id, resting.account,
        (s.head[SHARD] << _TRADE_SHIFT) | s.head[LAST_TRADE], price, qty, leaves, left, left, s.head[LOG_TIME],
    )  # fmt: skip


@routine
def leave_rest(memory: Any, row: Any) -> None:
    """Rest what is left, or cancel it with its reason."""
    s = state_at(memory)
    order = s.orders[row]
    if order.ord_type == TYPE_MARKET:
        empty = s.sides[U(order.side_row) ^ ONE].best == 0
        end(memory, row, U(EXEC_CANCELED), U(REASON_NO_LIQUIDITY) if empty else U(REASON_PROTECTION_PRICE))
    elif order.time_in_force == TIF_IOC:
        end(memory, row, U(EXEC_CANCELED), U(REASON_IMMEDIATE_OR_CANCEL))
    else:
        rest(memory, row)
