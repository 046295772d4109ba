"""The book shard as kernels; the rules are those of reference_book_shard, whose order of checks and rows this follows.

One call applies rows until the input ends or a pool has no room for what one more row may need; then the wrapper grows the pool and calls again.
u64 columns (ids) and i64 numbers are never mixed in one expression: numba would make a float of them.
"""

from typing import Any, Final

import numpy as np

from matchers.kernel_book_layout import (
    EXECUTIONS, FREE_LEVEL, FREE_ORDER, LAST_ENTRY, LAST_SEQ, LAST_TRADE, LEVELS, LEVELS_USED, LOG_TIME, NEED, NEED_EXECUTIONS, NEED_LEVELS,
    NEED_NODES, NEED_ORDERS, NEED_ROWS, NEXT_ROW, NODES_USED, ORDERS, ORDERS_MAX, ORDERS_USED, SHARD, State,
)  # fmt: skip
from matchers.kernel_compile import helper, kernel
from matchers.kernel_hash_index import U, hash_of, index_insert, index_next, index_remove
from matchers.kernel_price_tree import NODES_PER_LEVEL_MAX, tree_above, tree_below, tree_find, tree_insert, tree_remove
from schemas.enums import BookCommandKind, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.limits import ORDER_ID_SHARD_SHIFT, ORDER_QTY_LOTS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_MARKET: Final = int(OrdType.MARKET)
_DAY, _IOC = int(TimeInForce.DAY), int(TimeInForce.IOC)
_CLOSED: Final = int(Phase.CLOSED)
_PHASE_MAX: Final = max(int(phase) for phase in Phase)
_ZERO: Final = U(0)
assert set(Phase) == set(range(_PHASE_MAX + 1)), "phases are numbered without gaps"

_NEW_ORDER, _CANCEL = int(BookCommandKind.NEW_ORDER), int(BookCommandKind.CANCEL)
_SESSION_CHANGE, _TIMER = int(BookCommandKind.TRADING_SESSION_CHANGE), int(BookCommandKind.TIMER)
_X_NEW, _X_TRADE, _X_CANCELED, _X_EXPIRED = int(ExecKind.NEW), int(ExecKind.TRADE), int(ExecKind.CANCELED), int(ExecKind.EXPIRED)
_X_REJECTED, _X_CANCEL_REJECTED, _X_LEVEL = int(ExecKind.REJECTED), int(ExecKind.CANCEL_REJECTED), int(ExecKind.LEVEL)
_X_TOP, _X_STATUS, _X_TIME = int(ExecKind.TOP), int(ExecKind.SECURITY_STATUS), int(ExecKind.TIME)
_INVALID_COMMAND, _UNKNOWN_SYMBOL, _INVALID_SIDE = int(Reason.INVALID_COMMAND), int(Reason.UNKNOWN_SYMBOL), int(Reason.INVALID_SIDE)
_INVALID_QUANTITY, _QUANTITY_ABOVE_LIMIT = int(Reason.INVALID_QUANTITY), int(Reason.QUANTITY_ABOVE_LIMIT)
_INVALID_PRICE, _PRICE_ABOVE_LIMIT = int(Reason.INVALID_PRICE), int(Reason.PRICE_ABOVE_LIMIT)
_MARKET_CLOSED, _BOOK_FULL, _NO_LIQUIDITY = int(Reason.MARKET_CLOSED), int(Reason.BOOK_FULL), int(Reason.NO_LIQUIDITY)
_IMMEDIATE_OR_CANCEL, _PROTECTION_PRICE = int(Reason.IMMEDIATE_OR_CANCEL), int(Reason.PROTECTION_PRICE)
_REQUESTED_BY_CUSTOMER, _END_OF_DAY = int(Reason.REQUESTED_BY_CUSTOMER), int(Reason.END_OF_DAY)
_UNKNOWN_ORDER, _TOO_LATE_TO_CANCEL = int(Reason.UNKNOWN_ORDER), int(Reason.TOO_LATE_TO_CANCEL)


@helper
def _execution(s: Any, kind: Any, command_index: Any, book: Any) -> Any:
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
def _fill_command(row: Any, command: Any) -> None:
    row.instrument = command.instrument
    row.order_id = command.order_id
    row.account = command.account
    row.side = command.side
    row.ord_type = command.ord_type
    row.time_in_force = command.time_in_force
    row.price = command.price


@helper
def _find_order(s: Any, order_id: Any) -> Any:
    """Row of the resting order, 0 if it does not rest."""
    hashed = hash_of(order_id)
    row, at = index_next(s.order_index, hashed, hashed)
    while row != 0 and s.orders[row].order_id != order_id:
        row, at = index_next(s.order_index, hashed, at)
    return row


@helper
def _book_of(s: Any, instrument: Any) -> Any:
    return np.int64(s.book_of[instrument]) if instrument < s.book_of.shape[0] else np.int64(-1)


@helper
def _level_row(s: Any, level: Any, price: Any, side_row: Any, command_index: Any) -> None:
    row = _execution(s, _X_LEVEL, command_index, side_row >> 1)
    row.side = _BUY if side_row & 1 == 0 else _SELL
    row.price = price
    row.qty = s.levels[level].qty
    row.order_count = s.levels[level].order_count


@helper
def _best_price(s: Any, side_row: Any) -> Any:
    return s.levels[s.sides[side_row].best].price


@helper
def _best_qty(s: Any, side_row: Any) -> Any:
    return s.levels[s.sides[side_row].best].qty


@helper
def _top_row(s: Any, side_row: Any, price_before: Any, qty_before: Any, command_index: Any) -> None:
    """A TOP row if price or quantity of the best level are others than before. Level row 0 is all zeros: the empty side's."""
    best = s.levels[s.sides[side_row].best]
    if best.price == price_before and best.qty == qty_before:
        return
    row = _execution(s, _X_TOP, command_index, side_row >> 1)
    row.side = _BUY if side_row & 1 == 0 else _SELL
    row.price = best.price
    row.qty = best.qty
    row.order_count = best.order_count


@helper
def _drop_level(s: Any, level: Any) -> None:
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
def _level_at(s: Any, side_row: Any, price: Any) -> Any:
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
def _free_order(s: Any, order_row: Any) -> None:
    """Forget an order that is out of its level."""
    order = s.orders[order_row]
    index_remove(s.order_index, hash_of(order.order_id), order_row)
    order.order_id = _ZERO
    order.next = s.head[FREE_ORDER]
    s.head[FREE_ORDER] = order_row
    s.head[ORDERS] -= 1


@helper
def _take_out(s: Any, order_row: Any, kind: Any, reason: Any, command_index: Any) -> None:
    """Remove a resting order, with its row; its level stays, even if it is empty."""
    order = s.orders[order_row]
    level = s.levels[order.level]
    row = _execution(s, kind, command_index, level.side_row >> 1)
    row.order_id = order.order_id
    row.account = order.account
    row.side = _BUY if level.side_row & 1 == 0 else _SELL
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
    _free_order(s, order_row)


@helper
def _refusal(s: Any, command: Any, book: Any) -> Any:
    """The first check that the order fails, or 0."""
    if command.order_id == _ZERO or _find_order(s, command.order_id) != 0:
        return _INVALID_COMMAND
    if book < 0:
        return _UNKNOWN_SYMBOL
    if command.side != _BUY and command.side != _SELL:
        return _INVALID_SIDE
    reason = np.int64(s.combinations[command.ord_type, command.time_in_force])
    if reason != 0:
        return reason
    if command.order_qty <= 0:
        return _INVALID_QUANTITY
    if command.order_qty > ORDER_QTY_LOTS_MAX:
        return _QUANTITY_ABOVE_LIMIT
    if command.price <= 0:
        return _INVALID_PRICE
    if command.price > PRICE_TICKS_MAX:
        return _PRICE_ABOVE_LIMIT
    if s.books[book].phase == _CLOSED:
        return _MARKET_CLOSED
    if command.ord_type != _MARKET and command.time_in_force != _IOC and s.head[ORDERS] >= s.head[ORDERS_MAX]:
        return _BOOK_FULL
    return 0


@helper
def _crosses(side: Any, price: Any, opposite_price: Any) -> Any:
    return opposite_price <= price if side == _BUY else opposite_price >= price


@helper
def _sweep(s: Any, command: Any, command_index: Any, book: Any, opposite: Any) -> Any:
    """Trade with opposite levels, best first, in time priority.

    Gives (leaves_qty, level, partly): the levels before `level` (0: all of the side) are empty and still there, `level` was taken from if `partly`.
    """
    partly = False
    leaves_qty = command.order_qty
    level_row = np.int64(s.sides[opposite].best)
    while leaves_qty > 0 and level_row != 0 and _crosses(command.side, command.price, s.levels[level_row].price):
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
            row = _execution(s, _X_TRADE, command_index, book)
            _fill_command(row, command)
            row.price = level.price
            row.qty = qty
            row.leaves_qty = leaves_qty
            row.contra_order_id = resting.order_id
            row.contra_account = resting.account
            row.contra_leaves_qty = resting.leaves_qty
            row.trd_match_id = U((s.head[SHARD] << ORDER_ID_SHARD_SHIFT) | s.head[LAST_TRADE])
            if resting.leaves_qty == 0:
                level.order_count -= 1
                s.sides[opposite].orders -= 1
                _free_order(s, order_row)
                order_row = after
        level.first = order_row
        partly = order_row != 0
        if partly:
            s.orders[order_row].prev = 0
        else:
            level.last = 0
            level_row = np.int64(level.worse)
    return leaves_qty, level_row, partly


@helper
def _rest(s: Any, command: Any, leaves_qty: Any, side_row: Any) -> Any:
    """Put what is left behind the others of its price; the level's row."""
    level_row = _level_at(s, side_row, command.price)
    order_row = s.head[FREE_ORDER]
    if order_row != 0:
        s.head[FREE_ORDER] = s.orders[order_row].next
    else:
        order_row = s.head[ORDERS_USED]
        s.head[ORDERS_USED] += 1
    s.head[ORDERS] += 1
    s.head[LAST_ENTRY] += 1
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
def _new_order(s: Any, command: Any, command_index: Any) -> None:
    book = _book_of(s, command.instrument)
    reason = _refusal(s, command, book)
    if reason == _INVALID_COMMAND:
        _invalid(s, command_index)
        return
    row = _execution(s, _X_REJECTED if reason != 0 else _X_NEW, command_index, book)
    _fill_command(row, command)
    row.qty = command.order_qty
    if reason != 0:
        row.reason = reason
        return
    row.leaves_qty = command.order_qty
    buys, sells = 2 * book, 2 * book + 1
    own, opposite = (buys, sells) if command.side == _BUY else (sells, buys)
    buy_price, buy_qty, sell_price, sell_qty = _best_price(s, buys), _best_qty(s, buys), _best_price(s, sells), _best_qty(s, sells)
    leaves_qty, ended_at, partly = _sweep(s, command, command_index, book, opposite)
    rested_at = np.int64(0)
    if leaves_qty > 0 and (command.ord_type == _MARKET or command.time_in_force == _IOC):
        row = _execution(s, _X_CANCELED, command_index, book)
        _fill_command(row, command)
        row.qty = leaves_qty
        row.reason = _IMMEDIATE_OR_CANCEL
        if command.ord_type == _MARKET:
            row.reason = _PROTECTION_PRICE if ended_at != 0 else _NO_LIQUIDITY
    elif leaves_qty > 0:
        rested_at = _rest(s, command, leaves_qty, own)
    emptied = np.int64(s.sides[opposite].best)
    while emptied != ended_at:
        _level_row(s, emptied, s.levels[emptied].price, opposite, command_index)
        _drop_level(s, emptied)
        emptied = np.int64(s.sides[opposite].best)
    if partly:
        _level_row(s, ended_at, s.levels[ended_at].price, opposite, command_index)
    if rested_at != 0:
        _level_row(s, rested_at, command.price, own, command_index)
    _top_row(s, buys, buy_price, buy_qty, command_index)
    _top_row(s, sells, sell_price, sell_qty, command_index)


@helper
def _invalid(s: Any, command_index: Any) -> None:
    _execution(s, _X_REJECTED, command_index, -1).reason = _INVALID_COMMAND


@helper
def _cancel(s: Any, command: Any, command_index: Any) -> None:
    order_row = _find_order(s, command.order_id)
    if command.order_id == _ZERO or order_row == 0 or s.orders[order_row].account != command.account:
        row = _execution(s, _X_CANCEL_REJECTED, command_index, _book_of(s, command.instrument))
        row.instrument = command.instrument
        row.account = command.account
        row.order_id = command.order_id
        row.side = command.side
        row.reason = _UNKNOWN_ORDER if order_row != 0 else _TOO_LATE_TO_CANCEL
        return
    level_row = np.int64(s.orders[order_row].level)
    side_row = np.int64(s.levels[level_row].side_row)
    price, best_price, best_qty = s.levels[level_row].price, _best_price(s, side_row), _best_qty(s, side_row)
    _take_out(s, order_row, _X_CANCELED, _REQUESTED_BY_CUSTOMER, command_index)
    _level_row(s, level_row, price, side_row, command_index)
    if s.levels[level_row].order_count == 0:
        _drop_level(s, level_row)
    _top_row(s, side_row, best_price, best_qty, command_index)


@helper
def _expire_day_orders(s: Any, book: Any, command_index: Any) -> None:
    """DAY orders leave in the order of their entry; then the price rows of what changed."""
    found = 0
    rows = np.empty(s.sides[2 * book].orders + s.sides[2 * book + 1].orders, np.int64)
    for side_row in range(2 * book, 2 * book + 2):
        level_row = np.int64(s.sides[side_row].best)
        while level_row != 0:
            order_row = np.int64(s.levels[level_row].first)
            while order_row != 0:
                if s.orders[order_row].time_in_force == _DAY:
                    rows[found] = order_row
                    found += 1
                    s.levels[level_row].changed = 1
                order_row = np.int64(s.orders[order_row].next)
            level_row = np.int64(s.levels[level_row].worse)
    buy_price, buy_qty = _best_price(s, 2 * book), _best_qty(s, 2 * book)
    sell_price, sell_qty = _best_price(s, 2 * book + 1), _best_qty(s, 2 * book + 1)
    entries = np.empty(found, np.int64)
    for at in range(found):
        entries[at] = s.orders[rows[at]].entry
    for at in np.argsort(entries):
        _take_out(s, rows[at], _X_EXPIRED, _END_OF_DAY, command_index)
    for side_row in range(2 * book, 2 * book + 2):
        level_row = np.int64(s.sides[side_row].best)
        while level_row != 0:
            after = np.int64(s.levels[level_row].worse)
            if s.levels[level_row].changed != 0:
                s.levels[level_row].changed = 0
                _level_row(s, level_row, s.levels[level_row].price, side_row, command_index)
                if s.levels[level_row].order_count == 0:
                    _drop_level(s, level_row)
            level_row = after
    _top_row(s, 2 * book, buy_price, buy_qty, command_index)
    _top_row(s, 2 * book + 1, sell_price, sell_qty, command_index)


@helper
def _session_change(s: Any, command: Any, command_index: Any) -> None:
    if command.phase > _PHASE_MAX:
        _invalid(s, command_index)
        return
    for book in range(s.books.shape[0]):
        s.books[book].phase = command.phase
        _execution(s, _X_STATUS, command_index, book).phase = command.phase
        if command.phase == _CLOSED:
            _expire_day_orders(s, book, command_index)


@helper
def _executions_needed(s: Any, command: Any) -> Any:
    """At most how many rows the command makes."""
    if command.kind == _SESSION_CHANGE:
        return s.head[ORDERS] + s.head[LEVELS] + 3 * s.books.shape[0] + 1
    if command.kind != _NEW_ORDER or command.order_qty <= 0 or (command.side != _BUY and command.side != _SELL):
        return 4
    book = _book_of(s, command.instrument)
    if book < 0:
        return 4
    opposite = 2 * book + 1 if command.side == _BUY else 2 * book
    bound = 5 + 2 * min(np.int64(s.sides[opposite].orders), command.order_qty)
    if s.call[EXECUTIONS] + bound <= s.executions.shape[0]:
        return bound
    needed = 5  # NEW, CANCELED or the order's own LEVEL, two TOP, the level it ends in; then a TRADE an order, a LEVEL a level
    leaves_qty = command.order_qty
    level_row = np.int64(s.sides[opposite].best)
    while leaves_qty > 0 and level_row != 0 and _crosses(command.side, command.price, s.levels[level_row].price):
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


@kernel
def apply_book_commands(
    rows: Any, head: Any, tree: Any, call: Any, books: Any, sides: Any, levels: Any, orders: Any, node_bits: Any, node_child: Any, order_index: Any,
    book_of: Any, combinations: Any, executions: Any,
) -> None:  # fmt: skip
    """Apply book_command_frame rows from call[NEXT_ROW] on. Stops early with call[NEED] set."""
    s = State(head, tree, call, books, sides, levels, orders, node_bits, node_child, order_index, book_of, combinations, executions)
    for row in range(call[NEXT_ROW], rows.shape[0]):
        command = rows[row]
        call[NEXT_ROW] = row
        if _needs_room(s, command):
            return
        head[LOG_TIME] = max(head[LOG_TIME], command.transact_time)
        if command.kind == _NEW_ORDER:
            _new_order(s, command, row)
        elif command.kind == _CANCEL:
            _cancel(s, command, row)
        elif command.kind == _SESSION_CHANGE:
            _session_change(s, command, row)
        elif command.kind == _TIMER:
            _execution(s, _X_TIME, row, -1)
        else:
            _invalid(s, row)
    call[NEXT_ROW] = rows.shape[0]


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
