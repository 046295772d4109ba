"""What an order could execute in the book kernel, for FOK and min_qty: books.reference.matching.available by the same names.

Of an OCO pair the one that comes first counts: it stamps the other, with the number of this count, as gone.
"""

from typing import Any

from matchers.books.kernel.layout import LAST_STAMP
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.orders import identity_of
from matchers.books.kernel.prevention import is_prevented, stops_incoming
from matchers.books.kernel.queues import after_in, first_in, next_level
from matchers.books.kernel.rows import BOOK_SHIFT, key_of, shown_qty
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U


@helper
def new_stamp(s: Any) -> Any:
    """The number of a new count; never 0."""
    stamp = (s.head[LAST_STAMP] + ONE) & U(0xFFFF_FFFF)
    stamp = stamp if stamp != ZERO else ONE
    s.head[LAST_STAMP] = stamp
    return stamp


@helper
def is_gone(s: Any, row: Any, stamp: Any) -> Any:
    """Whether the other of the pair came first in this count."""
    extra = U(s.orders[row].extra)
    return extra != ZERO and U(s.extras[extra].stamp) == stamp


@helper
def sibling_of(s: Any, row: Any) -> Any:
    """Row of the other of an OCO pair, 0: none."""
    extra = U(s.orders[row].extra)
    return U(s.extras[extra].sibling) if extra != ZERO else ZERO


@helper
def stamp_sibling(s: Any, row: Any, stamp: Any) -> None:
    """This one counts, the other of its pair does not."""
    sibling = sibling_of(s, row)
    if sibling != ZERO:
        s.extras[s.orders[sibling].extra].stamp = stamp


@routine
def available(memory: Any, row: Any, limit: Any, needed: Any) -> Any:
    """Lots that the order would execute, counted until `needed` are found.

    Hidden and reserve quantity counts. Left out: what self-match prevention would remove, everything behind an order of the same owner where the
    instruction stops the incoming one there, and the second of an OCO pair, which goes when the first is executed or removed.
    """
    s = state_at(memory)
    opposite = U(s.orders[row].side_row) ^ ONE
    limit_key = key_of(opposite, limit)
    pro_rata = s.books[opposite >> BOOK_SHIFT].pro_rata != 0
    stamp, total, stopped, alone = new_stamp(s), ZERO, False, identity_of(s, row) == ZERO
    level_row = U(s.sides[opposite].best)
    while level_row != ZERO and total < needed and not stopped and key_of(opposite, U(s.levels[level_row].price)) <= limit_key:
        if alone and s.levels[level_row].apart == 0:
            total += s.levels[level_row].qty
        elif pro_rata:
            found, stopped = _available_pro_rata(memory, row, level_row, stamp)
            total += found
        else:
            found, stopped = _available_fifo(memory, row, level_row, stamp, needed - total)
            total += found
        level_row = next_level(s, opposite, level_row)
    return total


@routine
def _available_fifo(memory: Any, row: Any, level_row: Any, stamp: Any, needed: Any) -> Any:
    """(lots, whether an own order ends it), until `needed` are found: displayed tranches in their order, then their reserves, then hidden orders."""
    s = state_at(memory)
    total, reserves = ZERO, ZERO
    resting = first_in(s, level_row)
    while resting != ZERO and total < needed:
        order = s.orders[resting]
        shown, leaves = shown_qty(s, resting), U(order.leaves_qty)
        if shown == ZERO:  # hidden orders begin: the reserves are executed before them
            total += reserves
            reserves = ZERO
        if is_prevented(s, row, resting):
            if stops_incoming(s, row):
                return total, True
            stamp_sibling(s, resting, stamp)
        elif not is_gone(s, resting, stamp):
            total += shown if shown != ZERO else leaves
            reserves += leaves - shown if shown != ZERO else ZERO
            stamp_sibling(s, resting, stamp)
        resting = after_in(s, level_row, resting)
    return total + reserves, False


@routine
def _available_pro_rata(memory: Any, row: Any, level_row: Any, stamp: Any) -> Any:
    """The same where own orders are met last. Of an OCO pair in one level the smaller counts: either may be executed first."""
    s = state_at(memory)
    total, stopped = ZERO, False
    resting = first_in(s, level_row)
    while resting != ZERO:
        if is_prevented(s, row, resting):
            stopped = stopped or stops_incoming(s, row)
        elif not is_gone(s, resting, stamp):
            leaves, sibling = U(s.orders[resting].leaves_qty), sibling_of(s, resting)
            if sibling != ZERO and U(s.orders[sibling].level) == level_row and not is_prevented(s, row, sibling):
                leaves = min(leaves, U(s.orders[sibling].leaves_qty))
            total += leaves
            stamp_sibling(s, resting, stamp)
        resting = after_in(s, level_row, resting)
    resting = first_in(s, level_row)
    while resting != ZERO:
        if is_prevented(s, row, resting):
            stamp_sibling(s, resting, stamp)
        resting = after_in(s, level_row, resting)
    return total, stopped
