"""The book kernel's rows and pools: executions, price levels, resting orders."""

from typing import Any, Final

import numpy as np

from matchers.kernel_book_layout import (
    EXECUTIONS,
    FREE_LEVEL,
    FREE_ORDER,
    LAST_SEQ,
    LEVELS,
    LEVELS_USED,
    LOG_TIME,
    ORDERS,
    ORDERS_USED,
    WITH_LEVELS,
)
from matchers.kernel_compile import helper, kernel
from matchers.kernel_hash_index import U, hash_of, index_insert, index_next, index_remove
from matchers.kernel_price_tree import tree_above, tree_below, tree_find, tree_insert, tree_remove
from matchers.kernel_words import EXEC_LEVEL, EXEC_REJECTED, EXEC_TOP, REASON_INVALID_COMMAND, SIDE_BUY, SIDE_SELL

_ZERO: Final = U(0)


@helper
def execution(s: Any, kind: Any, command_index: Any, book: Any) -> Any:
    """The next row, with what every row carries; book -1: of no instrument of the shard."""
    row = s.executions[s.call[EXECUTIONS]]
    s.call[EXECUTIONS] += 1
    s.head[LAST_SEQ] += 1
    row.kind = kind
    row.command_index = command_index
    row.transact_time = s.head[LOG_TIME]
    if book >= 0:
        s.books[book].rpt_seq += 1
        row.rpt_seq = U(s.books[book].rpt_seq)
        row.instrument = s.books[book].instrument
    return row


@helper
def fill_command(row: Any, command: Any) -> None:
    """The command's order in a row."""
    row.instrument = command.instrument
    row.order_id = command.order_id
    row.account = command.account
    row.side = command.side
    row.ord_type = command.ord_type
    row.time_in_force = command.time_in_force
    row.price = command.price


@helper
def find_order(s: Any, order_id: Any) -> Any:
    """Row of the resting order, 0 if it does not rest."""
    hashed = hash_of(order_id)
    row, at = index_next(s.order_index, hashed, hashed)
    while row != 0 and s.orders[row].order_id != order_id:
        row, at = index_next(s.order_index, hashed, at)
    return row


@helper
def book_of(s: Any, instrument: Any) -> Any:
    """Book of the instrument, -1 if this shard has none."""
    return np.int64(s.book_of[instrument]) if instrument < s.book_of.shape[0] else np.int64(-1)


@helper
def put_level(s: Any, level: Any, price: Any, side_row: Any, command_index: Any) -> None:
    """A LEVEL row; the price is given because a level that went has none."""
    if s.call[WITH_LEVELS] == 0:
        return
    row = execution(s, EXEC_LEVEL, command_index, side_row >> 1)
    row.side = SIDE_BUY if side_row & 1 == 0 else SIDE_SELL
    row.price = price
    row.qty = s.levels[level].qty
    row.order_count = s.levels[level].order_count


@helper
def best_price_of(s: Any, side_row: Any) -> Any:
    """Ticks; 0 when the side is empty."""
    return s.levels[s.sides[side_row].best].price


@helper
def best_qty_of(s: Any, side_row: Any) -> Any:
    """Lots; 0 when the side is empty."""
    return s.levels[s.sides[side_row].best].qty


@helper
def put_top(s: Any, side_row: Any, price_before: Any, qty_before: Any, command_index: Any) -> None:
    """A TOP row if price or quantity of the best level are others than before. Level row 0 is all zeros: the empty side's."""
    best = s.levels[s.sides[side_row].best]
    if (best.price == price_before and best.qty == qty_before) or s.call[WITH_LEVELS] == 0:
        return
    row = execution(s, EXEC_TOP, command_index, side_row >> 1)
    row.side = SIDE_BUY if side_row & 1 == 0 else SIDE_SELL
    row.price = best.price
    row.qty = best.qty
    row.order_count = best.order_count


@helper
def drop_level(s: Any, level: Any) -> None:
    """Take an empty level out of its side."""
    gone = s.levels[level]
    side = s.sides[gone.side_row]
    if gone.better != 0:
        s.levels[gone.better].worse = gone.worse
    else:
        side.best = gone.worse
    if gone.worse != 0:
        s.levels[gone.worse].better = gone.better
    tree_remove(s.tree, s.node_bits, s.node_child, side.root, gone.price)
    gone.price = 0
    gone.better = 0
    gone.worse = s.head[FREE_LEVEL]
    s.head[FREE_LEVEL] = level
    s.head[LEVELS] -= 1


@helper
def level_at(s: Any, side_row: Any, price: Any) -> Any:
    """Row of the side's level at this price; made if it is not there."""
    side = s.sides[side_row]
    if side.best != 0 and s.levels[side.best].price == price:
        return np.int64(side.best)
    level = tree_find(s.node_bits, s.node_child, side.root, price)
    if level != 0:
        return level
    level = s.head[FREE_LEVEL]
    if level != 0:
        s.head[FREE_LEVEL] = s.levels[level].worse
    else:
        level = s.head[LEVELS_USED]
        s.head[LEVELS_USED] += 1
    s.head[LEVELS] += 1
    new = s.levels[level]
    better = (
        tree_above(s.node_bits, s.node_child, side.root, price)
        if side_row & 1 == 0
        else tree_below(s.node_bits, s.node_child, side.root, price)
    )
    worse = np.int64(s.levels[better].worse) if better != 0 else np.int64(side.best)
    tree_insert(s.tree, s.node_bits, s.node_child, side.root, price, level)
    new.price = price
    new.side_row = side_row
    new.better = better
    new.worse = worse
    if better != 0:
        s.levels[better].worse = level
    else:
        side.best = level
    if worse != 0:
        s.levels[worse].better = level
    return level


@helper
def free_order(s: Any, order_row: Any) -> None:
    """Forget an order that is out of its level."""
    order = s.orders[order_row]
    index_remove(s.order_index, hash_of(order.order_id), order_row)
    order.order_id = _ZERO
    order.next = s.head[FREE_ORDER]
    s.head[FREE_ORDER] = order_row
    s.head[ORDERS] -= 1


@helper
def take_out(s: Any, order_row: Any, kind: Any, reason: Any, command_index: Any) -> None:
    """Remove a resting order, with its row; its level stays, even if it is empty."""
    order = s.orders[order_row]
    level = s.levels[order.level]
    row = execution(s, kind, command_index, level.side_row >> 1)
    row.order_id = order.order_id
    row.account = order.account
    row.side = SIDE_BUY if level.side_row & 1 == 0 else SIDE_SELL
    row.ord_type = order.ord_type
    row.time_in_force = order.time_in_force
    row.price = level.price
    row.qty = order.leaves_qty
    row.reason = reason
    if order.prev != 0:
        s.orders[order.prev].next = order.next
    else:
        level.first = order.next
    if order.next != 0:
        s.orders[order.next].prev = order.prev
    else:
        level.last = order.prev
    level.qty -= order.leaves_qty
    level.order_count -= 1
    s.sides[level.side_row].orders -= 1
    free_order(s, order_row)


@helper
def invalid(s: Any, command_index: Any) -> None:
    """A row that is no command."""
    execution(s, EXEC_REJECTED, command_index, -1).reason = REASON_INVALID_COMMAND


@kernel
def orders_in_priority(sides: Any, levels: Any, orders: Any, out: Any) -> Any:
    """Row and side row of every resting order into out i64[n, 2]: book, buys then sells, best price first, time priority."""
    count = 0
    for side_row in range(sides.shape[0]):
        level_row = np.int64(sides[side_row].best)
        while level_row != 0:
            order_row = np.int64(levels[level_row].first)
            while order_row != 0:
                out[count, 0] = order_row
                out[count, 1] = side_row
                count += 1
                order_row = np.int64(orders[order_row].next)
            level_row = np.int64(levels[level_row].worse)
    return count


@kernel
def refill_order_index(head: Any, orders: Any, order_index: Any) -> None:
    """Fill an empty order index from the pool."""
    for row in range(1, head[ORDERS_USED]):
        if orders[row].order_id != _ZERO:
            index_insert(order_index, hash_of(orders[row].order_id), row)


@kernel
def refill_tree(tree: Any, levels: Any, sides: Any, node_bits: Any, node_child: Any, levels_used: Any) -> None:
    """Grow the empty price tree from the levels; the caller has made room for the worst case."""
    for level_row in range(1, levels_used):
        if levels[level_row].price != 0:
            tree_insert(tree, node_bits, node_child, sides[levels[level_row].side_row].root, levels[level_row].price, level_row)
