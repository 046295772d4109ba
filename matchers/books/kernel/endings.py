"""How an order ends in the book kernel, and what hangs on it. Named as in books.reference.matching.

Few orders hang on each other: two of an OCO pair (`sibling`), and secondaries (`secondary` of the primary is the first, its sibling the other) that wait for
their primary. An order has one kind of link only, so what ends with an order ends nothing further.
"""

from typing import Any

from matchers.books.kernel.layout import BUCKETS, QUEUE_END
from matchers.books.kernel.memory import ONE, ZERO, give_extra, give_order, state_at
from matchers.books.kernel.order_index import index_head, index_remove
from matchers.books.kernel.orders import QUEUED, detach, forget_peg, is_stop
from matchers.books.kernel.queues import leave_idle
from matchers.books.kernel.rows import BOOK_SHIFT, put_level_row, put_order_row
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import EXEC_CANCELED, EXEC_RESTATED, REASON_LINKED_ORDER, REASON_PRIMARY_NOT_FILLED, TYPE_PEGGED


@routine
def forget(memory: Any, row: Any) -> None:
    """The order, which is in no queue, is no more: out of the book's lists, the index and the pools."""
    s = state_at(memory)
    order = s.orders[row]
    index_remove(s, index_head(s.tree[BUCKETS], order.order_id), row)
    if order.extra != 0:
        extra = s.extras[order.extra]
        if order.ord_type == TYPE_PEGGED:
            forget_peg(s, row)
        if is_stop(order.ord_type):
            book = s.books[U(order.side_row) >> BOOK_SHIFT]
            book.stops = U(book.stops) - ONE
        primary = U(extra.primary)
        if primary != ZERO and s.extras[s.orders[primary].extra].secondary == row:
            s.extras[s.orders[primary].extra].secondary = extra.sibling
        give_extra(s, U(order.extra))
    give_order(s, row)


@routine
def _end_alone(memory: Any, row: Any, kind: Any, reason: Any) -> None:
    """end() of an order that no other hangs on any more."""
    s = state_at(memory)
    order = s.orders[row]
    side_row, qty = U(order.side_row), U(order.leaves_qty)
    price, level_qty, count = detach(memory, row)
    order.leaves_qty = 0
    put_order_row(memory, row, kind, reason, qty)
    put_level_row(memory, side_row, price, level_qty, count)
    forget(memory, row)


@routine
def end(memory: Any, row: Any, kind: Any, reason: Any) -> None:
    """Take a live order out of the market for good: its row, the LEVEL row, and what hangs on it."""
    s = state_at(memory)
    order = s.orders[row]
    sibling, secondary, filled = ZERO, ZERO, U(order.order_qty) - U(order.leaves_qty)
    if order.extra != 0:
        sibling, secondary = U(s.extras[order.extra].sibling), U(s.extras[order.extra].secondary)
    _end_alone(memory, row, kind, reason)
    _follow(memory, sibling, secondary, filled)


@routine
def after_fill(memory: Any, row: Any) -> None:
    """The other of an OCO pair goes; a filled order is done."""
    s = state_at(memory)
    order = s.orders[row]
    sibling, secondary, filled = ZERO, ZERO, U(order.order_qty)
    if order.extra != 0:
        sibling, secondary = U(s.extras[order.extra].sibling), U(s.extras[order.extra].secondary)
    if order.leaves_qty == 0:
        forget(memory, row)
        _follow(memory, sibling, secondary, filled)
    elif sibling != ZERO:
        s.extras[order.extra].sibling = 0
        _follow(memory, sibling, ZERO, filled)


@routine
def _follow(memory: Any, sibling: Any, secondary: Any, filled: Any) -> None:
    """Cancel the other of a pair that is broken, then trigger or cancel what waits for a primary that is no more; `filled`: lots of it."""
    s = state_at(memory)
    if sibling != ZERO:
        s.extras[s.orders[sibling].extra].sibling = 0
        _end_alone(memory, sibling, U(EXEC_CANCELED), U(REASON_LINKED_ORDER))
    if secondary == ZERO:
        return
    other = U(s.extras[s.orders[secondary].extra].sibling)
    for one in (secondary, other):
        if one != ZERO:
            s.extras[s.orders[one].extra].primary = 0
            if filled != ZERO:
                _queue_secondary(memory, one, filled)
            else:
                s.extras[s.orders[one].extra].sibling = 0
    if filled == ZERO:
        _end_alone(memory, secondary, U(EXEC_CANCELED), U(REASON_PRIMARY_NOT_FILLED))
        if other != ZERO:
            _end_alone(memory, other, U(EXEC_CANCELED), U(REASON_PRIMARY_NOT_FILLED))


@routine
def _queue_secondary(memory: Any, row: Any, filled: Any) -> None:
    """A secondary is triggered: its turn comes once the command's own matching is over; its quantity is at most the primary's."""
    s = state_at(memory)
    order = s.orders[row]
    if U(order.order_qty) > filled:
        surplus = U(order.order_qty) - filled
        order.order_qty = filled
        order.leaves_qty = filled
        put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_PRIMARY_NOT_FILLED), surplus)
    leave_idle(s, row)
    queue_followup(s, row)


@helper
def queue_followup(s: Any, row: Any) -> None:
    """Elected or triggered: it enters the book once the command's own matching is over."""
    order = s.orders[row]
    s.extras[order.extra].place = QUEUED
    s.queue[s.call[QUEUE_END]] = row
    s.call[QUEUE_END] += ONE
