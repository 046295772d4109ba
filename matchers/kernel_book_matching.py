"""New orders in the book kernel: refuse, trade, rest; in the order of reference_book_shard."""

from typing import Any, Final

import numpy as np

from matchers.kernel_book_layout import FREE_ORDER, LAST_ENTRY, LAST_TRADE, ORDERS, ORDERS_MAX, ORDERS_USED, SHARD
from matchers.kernel_book_levels import (
    best_price_of,
    best_qty_of,
    drop_level,
    execution,
    fill_command,
    find_order,
    free_order,
    invalid,
    level_at,
    put_level,
    put_top,
)
from matchers.kernel_compile import helper
from matchers.kernel_hash_index import U, hash_of, index_insert
from matchers.kernel_words import (
    EXEC_CANCELED,
    EXEC_NEW,
    EXEC_REJECTED,
    EXEC_TRADE,
    PHASE_CLOSED,
    REASON_BOOK_FULL,
    REASON_IMMEDIATE_OR_CANCEL,
    REASON_INVALID_PRICE,
    REASON_INVALID_QUANTITY,
    REASON_INVALID_SIDE,
    REASON_MARKET_CLOSED,
    REASON_NO_LIQUIDITY,
    REASON_PRICE_ABOVE_LIMIT,
    REASON_PROTECTION_PRICE,
    REASON_QUANTITY_ABOVE_LIMIT,
    REASON_QUANTITY_BELOW_LIMIT,
    REASON_UNKNOWN_SYMBOL,
    SIDE_BUY,
    SIDE_SELL,
    TIF_DAY,
    TIF_GTC,
    TIF_IOC,
    TYPE_LIMIT,
    TYPE_MARKET,
)
from schemas.limits import ORDER_ID_SHARD_SHIFT, PRICE_TICKS_MAX

_ZERO: Final = U(0)


@helper
def is_plain(s: Any, command: Any, book: Any) -> Any:
    """Whether a NEW_ORDER is one that this kernel knows: a limit or market order without any instruction, in a plain book that is open or closed."""
    extras = (
        command.exec_inst
        | command.self_match_prevention_instruction
        | command.contingency_type
        | command.peg_price_type
        | command.offset_type
    )
    numbers = command.stop_px | command.display_qty | command.min_qty | command.offset | command.expire_time
    if extras != 0 or numbers != 0 or command.self_match_prevention_id != _ZERO or command.list_id != _ZERO:
        return False
    if command.ord_type != TYPE_MARKET and command.ord_type != TYPE_LIMIT:
        return False
    if command.time_in_force != TIF_DAY and command.time_in_force != TIF_GTC and command.time_in_force != TIF_IOC:
        return False
    return book < 0 or s.books[book].plain != 0


@helper
def _refusal(s: Any, command: Any, book: Any) -> Any:
    """The first check that a plain order fails, or 0; in the order of reference_order_checks."""
    if book < 0:
        return REASON_UNKNOWN_SYMBOL
    if command.side != SIDE_BUY and command.side != SIDE_SELL:
        return REASON_INVALID_SIDE
    reason = np.int64(s.combinations[command.ord_type, command.time_in_force])
    if reason != 0:
        return reason
    if command.order_qty <= 0:
        return REASON_INVALID_QUANTITY
    if command.order_qty < s.books[book].qty_min:
        return REASON_QUANTITY_BELOW_LIMIT
    if command.order_qty > s.books[book].qty_max:
        return REASON_QUANTITY_ABOVE_LIMIT
    if command.price < 0 or (command.price == 0 and command.ord_type == TYPE_LIMIT):
        return REASON_INVALID_PRICE
    if command.price > PRICE_TICKS_MAX:
        return REASON_PRICE_ABOVE_LIMIT
    if s.books[book].phase == PHASE_CLOSED:
        return REASON_MARKET_CLOSED
    if command.ord_type != TYPE_MARKET and command.time_in_force != TIF_IOC and s.head[ORDERS] >= s.head[ORDERS_MAX]:
        return REASON_BOOK_FULL
    return 0


@helper
def crosses(side: Any, price: Any, opposite_price: Any) -> Any:
    """Whether an order of `side` at `price` can trade at `opposite_price`."""
    return opposite_price <= price if side == SIDE_BUY else opposite_price >= price


@helper
def _sweep(s: Any, command: Any, command_index: Any, book: Any, opposite: Any, limit: Any) -> Any:
    """Trade with opposite levels, best first, in time priority, each followed by its LEVEL row; the leaves_qty."""
    leaves_qty = command.order_qty
    level_row = np.int64(s.sides[opposite].best)
    while leaves_qty > 0 and level_row != 0 and crosses(command.side, limit, s.levels[level_row].price):
        level = s.levels[level_row]
        order_row = np.int64(level.first)
        while order_row != 0 and leaves_qty > 0:
            resting = s.orders[order_row]
            after = np.int64(resting.next)
            qty = min(leaves_qty, np.int64(resting.leaves_qty))
            leaves_qty -= qty
            resting.leaves_qty -= qty
            level.qty -= qty
            s.head[LAST_TRADE] += 1
            row = execution(s, EXEC_TRADE, command_index, book)
            fill_command(row, command)
            row.price = level.price
            row.qty = qty
            row.leaves_qty = leaves_qty
            row.contra_order_id = resting.order_id
            row.contra_account = resting.account
            row.contra_leaves_qty = resting.leaves_qty
            row.display_qty = resting.leaves_qty
            row.trd_match_id = U((s.head[SHARD] << ORDER_ID_SHARD_SHIFT) | s.head[LAST_TRADE])
            if resting.leaves_qty == 0:
                level.order_count -= 1
                s.sides[opposite].orders -= 1
                free_order(s, order_row)
                order_row = after
        s.books[book].last_px = level.price
        level.first = order_row
        put_level(s, level_row, level.price, opposite, command_index)
        if order_row != 0:
            s.orders[order_row].prev = 0
        else:
            level.last = 0
            drop_level(s, level_row)
            level_row = np.int64(s.sides[opposite].best)
    return leaves_qty


@helper
def _rest(s: Any, command: Any, leaves_qty: Any, side_row: Any) -> Any:
    """Put what is left behind the others of its price; the level's row."""
    level_row = level_at(s, side_row, command.price)
    order_row = s.head[FREE_ORDER]
    if order_row != 0:
        s.head[FREE_ORDER] = s.orders[order_row].next
    else:
        order_row = s.head[ORDERS_USED]
        s.head[ORDERS_USED] += 1
    s.head[ORDERS] += 1
    order, level = s.orders[order_row], s.levels[level_row]
    order.order_id = command.order_id
    order.account = command.account
    order.entry = s.head[LAST_ENTRY]
    order.leaves_qty = leaves_qty
    order.order_qty = command.order_qty
    order.level = level_row
    order.ord_type = command.ord_type
    order.time_in_force = command.time_in_force
    order.prev = level.last
    order.next = 0
    if level.last != 0:
        s.orders[level.last].next = order_row
    else:
        level.first = order_row
    level.last = order_row
    level.qty += leaves_qty
    level.order_count += 1
    s.sides[side_row].orders += 1
    index_insert(s.order_index, hash_of(command.order_id), order_row)
    return level_row


@helper
def new_order(s: Any, command: Any, command_index: Any, book: Any) -> None:
    """A NEW_ORDER command that is plain."""
    if command.order_id == _ZERO or find_order(s, command.order_id) != 0:
        invalid(s, command_index)
        return
    reason = _refusal(s, command, book)
    row = execution(s, EXEC_REJECTED if reason != 0 else EXEC_NEW, command_index, book)
    fill_command(row, command)
    row.qty = command.order_qty
    if reason != 0:
        row.reason = reason
        return
    row.leaves_qty = command.order_qty
    s.head[LAST_ENTRY] += 1
    buys, sells = 2 * book, 2 * book + 1
    own, opposite = (buys, sells) if command.side == SIDE_BUY else (sells, buys)
    buy_price, buy_qty, sell_price, sell_qty = best_price_of(s, buys), best_qty_of(s, buys), best_price_of(s, sells), best_qty_of(s, sells)
    limit = np.int64(command.price)
    if limit == 0:  # a market order without a protection price
        limit = np.int64(PRICE_TICKS_MAX) if command.side == SIDE_BUY else np.int64(1)
    leaves_qty = _sweep(s, command, command_index, book, opposite, limit)
    if leaves_qty > 0 and (command.ord_type == TYPE_MARKET or command.time_in_force == TIF_IOC):
        row = execution(s, EXEC_CANCELED, command_index, book)
        fill_command(row, command)
        row.qty = leaves_qty
        row.reason = REASON_IMMEDIATE_OR_CANCEL
        if command.ord_type == TYPE_MARKET:
            row.reason = REASON_PROTECTION_PRICE if s.sides[opposite].best != 0 else REASON_NO_LIQUIDITY
    elif leaves_qty > 0:
        put_level(s, _rest(s, command, leaves_qty, own), command.price, own, command_index)
    put_top(s, buys, buy_price, buy_qty, command_index)
    put_top(s, sells, sell_price, sell_qty, command_index)
