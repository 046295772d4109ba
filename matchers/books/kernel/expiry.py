"""When GTD orders expire: a binary heap by expire_time, so that a TIMER looks at those only whose time has come.

What becomes of an order does not touch the heap: an entry counts if its order is live and still has that expire_time. When more than half of the entries cannot
count, the heap is filled anew; so does a restore, for it is no part of the state.
"""

from typing import Any, Final

from matchers.books.kernel.layout import DUES, ORDERS, ORDERS_USED
from matchers.books.kernel.memory import ONE, ZERO
from matchers.books.kernel.order_index import find_order
from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U
from matchers.compiled.words import TIF_GTD

_SLACK: Final = U(1024)
DUES_SLACK: Final = 4096
"""Room of the heap beyond twice the orders."""


@helper
def _counts(s: Any, at: Any) -> Any:
    """Row of the order of an entry, 0 if it does not count."""
    row = find_order(s, s.dues[at].order_id)
    expires = row != ZERO and s.orders[row].time_in_force == TIF_GTD and s.extras[s.orders[row].extra].expire_time == s.dues[at].expire_time
    return row if expires else ZERO


@helper
def _sink(s: Any, at: Any, length: Any) -> None:
    """Bring an entry down to where it belongs."""
    expire_time, order_id = s.dues[at].expire_time, s.dues[at].order_id
    while True:
        child = at + at + ONE
        if child >= length:
            break
        if child + ONE < length and s.dues[child + ONE].expire_time < s.dues[child].expire_time:
            child += ONE
        if s.dues[child].expire_time >= expire_time:
            break
        s.dues[at].expire_time = s.dues[child].expire_time
        s.dues[at].order_id = s.dues[child].order_id
        at = child
    s.dues[at].expire_time = expire_time
    s.dues[at].order_id = order_id


@helper
def note_expiry(s: Any, row: Any) -> None:
    """A live order expires at its expire_time."""
    length = s.tree[DUES]
    if length >= s.head[ORDERS] + s.head[ORDERS] + _SLACK:
        fill_dues(s)
        return
    expire_time = s.extras[s.orders[row].extra].expire_time
    at = length
    while at != ZERO:
        parent = (at - ONE) >> ONE
        if s.dues[parent].expire_time <= expire_time:
            break
        s.dues[at].expire_time = s.dues[parent].expire_time
        s.dues[at].order_id = s.dues[parent].order_id
        at = parent
    s.dues[at].expire_time = expire_time
    s.dues[at].order_id = s.orders[row].order_id
    s.tree[DUES] = length + ONE


@helper
def fill_dues(s: Any) -> None:
    """The heap anew: one entry for each live GTD order."""
    length = ZERO
    for row in range(ONE, s.head[ORDERS_USED]):
        order = s.orders[row]
        if order.order_id != ZERO and order.time_in_force == TIF_GTD:
            s.dues[length].expire_time = s.extras[order.extra].expire_time
            s.dues[length].order_id = order.order_id
            length += ONE
    s.tree[DUES] = length
    at = length >> ONE
    while at != ZERO:
        at -= ONE
        _sink(s, at, length)


@helper
def is_due(s: Any, now: Any) -> Any:
    """Whether the heap has an entry whose time has come; now: i64 ns."""
    return s.tree[DUES] != ZERO and s.dues[ZERO].expire_time <= now


@helper
def take_due(s: Any) -> Any:
    """Take the first entry out. Gives the row of its order, 0 if it does not count."""
    row = _counts(s, ZERO)
    length = s.tree[DUES] - ONE
    s.tree[DUES] = length
    s.dues[ZERO].expire_time = s.dues[length].expire_time
    s.dues[ZERO].order_id = s.dues[length].order_id
    if length != ZERO:
        _sink(s, ZERO, length)
    return row


assert U(1) == ONE
