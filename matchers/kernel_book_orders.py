"""Orders outside the fast path: how one is made, comes to rest, leaves its queue, and ends. Named as in reference_shard_state and reference_matching."""

from typing import Any, Final

from matchers.kernel_book_memory import ONE, ZERO, give_extra, give_order, state_at, take_order
from matchers.kernel_book_queues import drop_level, is_empty, level_at, link_last, unlink
from matchers.kernel_book_rows import THREE_COLUMNS, key_of, put_level_row, put_order_row
from matchers.kernel_book_state import BUCKETS, COMMAND_INDEX, LAST_ENTRY, SIDES
from matchers.kernel_compile import helper, routine
from matchers.kernel_hash_index import U
from matchers.kernel_order_index import index_add_bucket, index_head, index_insert, index_needs_bucket, index_remove

_SIDE_SHIFT: Final = U(8)
_BYTE: Final = U(0xFF)
_HALF: Final = U(32)
_SIDES: Final = U(SIDES)


@helper
def next_entry(s: Any) -> Any:
    """A new time priority."""
    entry = s.head[LAST_ENTRY] + ONE
    s.head[LAST_ENTRY] = entry
    return entry


@helper
def write_order(s: Any, row: Any, columns: Any, side_row: Any, order_id: Any, account: Any, entry: Any, price: Any, order_qty: Any) -> None:
    """All of a plain order that is in no queue yet, but hash_next. columns: see THREE_COLUMNS."""
    words = s.order_words
    words[row, U(0)] = columns | (side_row << _HALF)
    words[row, U(1)] = order_id
    words[row, U(2)] = account
    words[row, U(3)] = entry
    words[row, U(4)] = price | (order_qty << _HALF)
    words[row, U(5)] = order_qty
    words[row, U(7)] = ZERO


@helper
def add_order(s: Any) -> Any:
    """A row for a new order, and a place for it in the index."""
    if index_needs_bucket(s):
        index_add_bucket(s)
    return take_order(s)


@routine
def new_order(memory: Any, book: Any) -> Any:
    """Row of the order of the command at hand, accepted: known, with its time priority, in no queue yet."""
    s = state_at(memory)
    i = s.call[COMMAND_INDEX]
    command = s.commands[i]
    columns = s.command_words[i, ZERO] & THREE_COLUMNS
    row = add_order(s)
    side = ((columns >> _SIDE_SHIFT) & _BYTE) - ONE
    order_id = command.order_id
    write_order(s, row, columns, book * _SIDES + side, order_id, command.account, next_entry(s), U(command.price), U(command.order_qty))
    index_insert(s, index_head(s.tree[BUCKETS], order_id), row)
    return row


@helper
def shown_qty(s: Any, row: Any) -> Any:
    """What the market sees of an order, lots: all of a plain order that stands in a level."""
    order = s.orders[row]
    shown = U(order.leaves_qty) if order.level != 0 else ZERO
    if order.extra != 0:
        shown = U(s.extras[order.extra].shown_qty)
    return shown


@routine
def rest(memory: Any, row: Any) -> None:
    """Put the order into its level, behind the others, with its LEVEL row."""
    s = state_at(memory)
    order = s.orders[row]
    side_row, price = U(order.side_row), U(order.price)
    level_row = level_at(s, side_row, key_of(side_row, price), price)
    level = s.levels[level_row]
    qty, count = level.qty, U(level.order_count)
    link_last(s, level_row, row)
    level.qty = qty + U(order.leaves_qty)
    level.order_count = count + ONE
    put_level_row(memory, side_row, price, level.qty, count + ONE, qty, count)


@routine
def detach(memory: Any, row: Any) -> None:
    """Take the order out of its queue; it stays alive. The level goes with its last order. The caller's row comes next, then level_row_of."""
    s = state_at(memory)
    order = s.orders[row]
    level_row = U(order.level)
    if level_row == ZERO:
        return
    level = s.levels[level_row]
    unlink(s, level_row, row)
    level.qty -= U(order.leaves_qty)
    level.order_count -= 1
    order.level = 0
    if is_empty(s, level_row):
        side_row = U(order.side_row)
        drop_level(s, side_row, key_of(side_row, U(level.price)), level_row)


@routine
def forget(memory: Any, row: Any) -> None:
    """The order is no more: out of the index and the pools."""
    s = state_at(memory)
    order = s.orders[row]
    index_remove(s, index_head(s.tree[BUCKETS], order.order_id), row)
    if order.extra != 0:
        give_extra(s, U(order.extra))
    give_order(s, row)


@routine
def end(memory: Any, row: Any, kind: Any, reason: Any) -> None:
    """Take a live order out of the market for good: its row, the LEVEL row."""
    s = state_at(memory)
    order = s.orders[row]
    qty, level_row, side_row = U(order.leaves_qty), U(order.level), U(order.side_row)
    price, before_qty, before_count = ZERO, ZERO, ZERO
    if level_row != ZERO:
        level = s.levels[level_row]
        price, before_qty, before_count = U(level.price), level.qty, U(level.order_count)
        detach(memory, row)
    order.leaves_qty = 0
    put_order_row(memory, row, kind, reason, qty, ZERO)
    if level_row != ZERO:
        put_level_row(memory, side_row, price, before_qty - qty, before_count - ONE, before_qty, before_count)
    forget(memory, row)
