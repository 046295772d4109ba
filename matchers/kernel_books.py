"""Plain orders as kernels: limit and market orders for the day, carried or immediate, cancels, open and close. The rules are those of reference_book_shard.

At any other command the kernel stops, and book_shard goes on with all rules.

One call applies rows until the input ends or a pool has no room for what one more row may need; then the wrapper grows the pool and calls again.
u64 columns (ids) and i64 numbers are never mixed in one expression: numba would make a float of them.
"""

from typing import Any, Final

import numpy as np

from matchers.kernel_book_layout import (
    ALL_PLAIN,
    EXECUTIONS,
    FREE_LEVEL,
    FREE_ORDER,
    LEVELS_USED,
    LOG_TIME,
    NEED,
    NEED_ALL_RULES,
    NEED_EXECUTIONS,
    NEED_LEVELS,
    NEED_NODES,
    NEED_ORDERS,
    NEED_ROWS,
    NEXT_ROW,
    NODES_USED,
    ORDERS,
    ORDERS_USED,
    State,
)
from matchers.kernel_book_levels import (
    best_price_of,
    best_qty_of,
    book_of,
    drop_level,
    execution,
    find_order,
    put_level,
    put_top,
    take_out,
)
from matchers.kernel_book_matching import crosses, is_plain, new_order
from matchers.kernel_compile import borrowed, helper, kernel
from matchers.kernel_hash_index import U
from matchers.kernel_price_tree import NODES_PER_LEVEL_MAX
from matchers.kernel_words import (
    BOOK_CANCEL,
    BOOK_NEW_ORDER,
    BOOK_TIMER,
    BOOK_TRADING_SESSION_CHANGE,
    EXEC_CANCEL_REJECTED,
    EXEC_CANCELED,
    EXEC_EXPIRED,
    EXEC_RESTATED,
    EXEC_SECURITY_STATUS,
    EXEC_TIME,
    PHASE_CLOSED,
    PHASE_CONTINUOUS,
    REASON_END_OF_DAY,
    REASON_REQUESTED_BY_CUSTOMER,
    REASON_START_OF_DAY,
    REASON_TOO_LATE_TO_CANCEL,
    REASON_UNKNOWN_ORDER,
    SIDE_BUY,
    SIDE_SELL,
    TIF_DAY,
)
from schemas.limits import PRICE_TICKS_MAX

_ZERO: Final = U(0)


@helper
def _cancel(s: Any, command: Any, command_index: Any) -> None:
    order_row = find_order(s, command.order_id)
    if command.order_id == _ZERO or order_row == 0 or s.orders[order_row].account != command.account:
        row = execution(s, EXEC_CANCEL_REJECTED, command_index, book_of(s, command.instrument))
        row.instrument = command.instrument
        row.account = command.account
        row.order_id = command.order_id
        row.side = command.side
        row.reason = REASON_UNKNOWN_ORDER if order_row != 0 else REASON_TOO_LATE_TO_CANCEL
        return
    level_row = np.int64(s.orders[order_row].level)
    side_row = np.int64(s.levels[level_row].side_row)
    price, best_price, best_qty = s.levels[level_row].price, best_price_of(s, side_row), best_qty_of(s, side_row)
    take_out(s, order_row, EXEC_CANCELED, REASON_REQUESTED_BY_CUSTOMER, command_index)
    put_level(s, level_row, price, side_row, command_index)
    if s.levels[level_row].order_count == 0:
        drop_level(s, level_row)
    put_top(s, side_row, best_price, best_qty, command_index)


@helper
def _orders_by_entry(s: Any, book: Any, day: Any) -> Any:
    """Order rows of a book by entry: its DAY orders, or all others."""
    found = 0
    rows = np.empty(s.sides[2 * book].orders + s.sides[2 * book + 1].orders, np.int64)
    entries = np.empty(rows.shape[0], np.int64)
    for side_row in range(2 * book, 2 * book + 2):
        level_row = np.int64(s.sides[side_row].best)
        while level_row != 0:
            order_row = np.int64(s.levels[level_row].first)
            while order_row != 0:
                if (s.orders[order_row].time_in_force == TIF_DAY) == day:
                    rows[found] = order_row
                    entries[found] = s.orders[order_row].entry
                    found += 1
                order_row = np.int64(s.orders[order_row].next)
            level_row = np.int64(s.levels[level_row].worse)
    return rows[np.argsort(entries[:found])]


@helper
def _expire_day_orders(s: Any, book: Any, command_index: Any) -> None:
    """DAY orders leave in the order of their entry."""
    buy_price, buy_qty = best_price_of(s, 2 * book), best_qty_of(s, 2 * book)
    sell_price, sell_qty = best_price_of(s, 2 * book + 1), best_qty_of(s, 2 * book + 1)
    for order_row in _orders_by_entry(s, book, day=True):
        level_row = np.int64(s.orders[order_row].level)
        side_row, price = np.int64(s.levels[level_row].side_row), np.int64(s.levels[level_row].price)
        take_out(s, order_row, EXEC_EXPIRED, REASON_END_OF_DAY, command_index)
        put_level(s, level_row, price, side_row, command_index)
        if s.levels[level_row].order_count == 0:
            drop_level(s, level_row)
    put_top(s, 2 * book, buy_price, buy_qty, command_index)
    put_top(s, 2 * book + 1, sell_price, sell_qty, command_index)


@helper
def _restate_carried(s: Any, book: Any, command_index: Any) -> None:
    """A new day: orders that were carried over are restated in the order of their entry."""
    for order_row in _orders_by_entry(s, book, day=False):
        order = s.orders[order_row]
        level = s.levels[order.level]
        row = execution(s, EXEC_RESTATED, command_index, book)
        row.order_id = order.order_id
        row.account = order.account
        row.side = SIDE_BUY if level.side_row & 1 == 0 else SIDE_SELL
        row.ord_type = order.ord_type
        row.time_in_force = order.time_in_force
        row.price = level.price
        row.leaves_qty = order.leaves_qty
        row.display_qty = order.leaves_qty
        row.reason = REASON_START_OF_DAY


@helper
def _session_change(s: Any, command: Any, command_index: Any) -> None:
    """To CLOSED or CONTINUOUS, between which this kernel goes."""
    named = book_of(s, command.instrument)
    for book in range(s.books.shape[0]):
        if command.instrument != 0 and book != named:
            continue
        before = s.books[book].phase
        s.books[book].phase = command.phase
        execution(s, EXEC_SECURITY_STATUS, command_index, book).phase = command.phase
        if command.phase == before:
            continue
        if command.phase == PHASE_CLOSED:
            s.books[book].peg_bid = -1
            _expire_day_orders(s, book, command_index)
        else:
            s.books[book].last_px = 0
            _restate_carried(s, book, command_index)


@helper
def _is_known(s: Any, command: Any, book: Any) -> Any:
    """Whether this kernel knows the command whole."""
    if command.kind == BOOK_NEW_ORDER:
        return is_plain(s, command, book)
    if command.kind == BOOK_TRADING_SESSION_CHANGE:
        known = (command.phase == PHASE_CLOSED or command.phase == PHASE_CONTINUOUS) and command.expire_time == 0 and command.reason == 0
        return known and (command.instrument == 0 or book >= 0) and s.head[ALL_PLAIN] != 0
    return command.kind == BOOK_CANCEL or command.kind == BOOK_TIMER


@helper
def _executions_needed(s: Any, command: Any) -> Any:
    """At most how many rows the command makes."""
    if command.kind == BOOK_TRADING_SESSION_CHANGE:
        return 2 * s.head[ORDERS] + 3 * s.books.shape[0] + 1
    if command.kind != BOOK_NEW_ORDER or command.order_qty <= 0 or (command.side != SIDE_BUY and command.side != SIDE_SELL):
        return 4
    book = book_of(s, command.instrument)
    if book < 0:
        return 4
    opposite = 2 * book + 1 if command.side == SIDE_BUY else 2 * book
    bound = 5 + 2 * min(np.int64(s.sides[opposite].orders), command.order_qty)
    if s.call[EXECUTIONS] + bound <= s.executions.shape[0]:
        return bound
    needed = 5  # NEW, CANCELED or the order's own LEVEL, two TOP, the level it ends in; then a TRADE an order, a LEVEL a level
    leaves_qty = command.order_qty
    level_row = np.int64(s.sides[opposite].best)
    limit = np.int64(command.price)
    if limit == 0:
        limit = np.int64(PRICE_TICKS_MAX) if command.side == SIDE_BUY else np.int64(1)
    while leaves_qty > 0 and level_row != 0 and crosses(command.side, limit, s.levels[level_row].price):
        needed += 1 + s.levels[level_row].order_count
        leaves_qty -= s.levels[level_row].qty
        level_row = np.int64(s.levels[level_row].worse)
    return needed


@helper
def _needs_room(s: Any, command: Any) -> Any:
    """Whether the row might not find room; says in `call` of what."""
    need = 0
    if s.head[FREE_ORDER] == 0 and s.head[ORDERS_USED] >= s.orders.shape[0]:
        need = NEED_ORDERS
    elif s.head[FREE_LEVEL] == 0 and s.head[LEVELS_USED] >= s.levels.shape[0]:
        need = NEED_LEVELS
    elif s.tree[NODES_USED] + NODES_PER_LEVEL_MAX > s.node_bits.shape[0]:
        need = NEED_NODES
    else:
        rows = s.call[EXECUTIONS] + _executions_needed(s, command)
        if rows > s.executions.shape[0]:
            need = NEED_EXECUTIONS
            s.call[NEED_ROWS] = rows
    s.call[NEED] = need
    return need != 0


@helper
def _apply_row(s: Any, command: Any, row: Any) -> Any:
    """Apply one command; False: it was not, for a reason that is in call[NEED]."""
    book = book_of(s, command.instrument)
    if not _is_known(s, command, book):
        s.call[NEED] = NEED_ALL_RULES
        return False
    if _needs_room(s, command):
        return False
    s.head[LOG_TIME] = max(s.head[LOG_TIME], command.transact_time)
    if command.kind == BOOK_NEW_ORDER:
        new_order(s, command, row, book)
    elif command.kind == BOOK_CANCEL:
        _cancel(s, command, row)
    elif command.kind == BOOK_TRADING_SESSION_CHANGE:
        _session_change(s, command, row)
    else:
        execution(s, EXEC_TIME, row, -1)
    return True


@kernel
def apply_book_commands(
    rows: Any, head: Any, tree: Any, call: Any, books: Any, sides: Any, levels: Any, orders: Any, node_bits: Any, node_child: Any, order_index: Any,
    book_of: Any, combinations: Any, executions: Any,
) -> None:  # fmt: skip
    """Apply book_command_frame rows from call[NEXT_ROW] on. Stops early with call[NEED] set."""
    s = State(
        borrowed(head), borrowed(tree), borrowed(call), borrowed(books), borrowed(sides), borrowed(levels), borrowed(orders),
        borrowed(node_bits), borrowed(node_child), borrowed(order_index), borrowed(book_of), borrowed(combinations), borrowed(executions),
    )  # fmt: skip
    call, rows = s.call, borrowed(rows)
    for row in range(call[NEXT_ROW], rows.shape[0]):
        call[NEXT_ROW] = row
        if not _apply_row(s, rows[row], row):
            return
    call[NEXT_ROW] = rows.shape[0]
