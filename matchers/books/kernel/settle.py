"""What follows from a command in the book kernel: orders take their place or their chance, and a book comes to rest. books.reference.shard._at_rest."""

from typing import Any, Final

from matchers.books.kernel.auction import indicate
from matchers.books.kernel.bands import watch_limit_state
from matchers.books.kernel.layout import QUEUE_END, QUEUE_FIRST
from matchers.books.kernel.matching import enter, in_call
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.orders import CLOSING, NOWHERE, QUEUED, is_stop, next_entry
from matchers.books.kernel.pegs import enter_peg, pegs_moved
from matchers.books.kernel.queues import join_idle
from matchers.books.kernel.rows import BOOK_SHIFT, put_order_row, put_top_rows
from matchers.books.kernel.stops import arm, set_quiet
from matchers.compiled.compilation import routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import EXEC_TRIGGERED, PHASE_CLOSING_AUCTION, PHASE_CONTINUOUS, TIF_CLS, TYPE_PEGGED

_NOWHERE: Final = NOWHERE


@routine
def triggered(memory: Any, row: Any) -> None:
    """An order that waited is active: its new time priority and its row."""
    s = state_at(memory)
    s.orders[row].entry = next_entry(s)
    put_order_row(memory, row, U(EXEC_TRIGGERED), ZERO, U(s.orders[row].leaves_qty))


@routine
def activate(memory: Any, row: Any) -> None:
    """An accepted or triggered order, which is nowhere, takes its place, or its chance."""
    s = state_at(memory)
    order = s.orders[row]
    book_row = U(order.side_row) >> BOOK_SHIFT
    if is_stop(order.ord_type):
        if arm(memory, row):
            triggered(memory, row)
            enter(memory, row)
    elif order.ord_type == TYPE_PEGGED:
        enter_peg(memory, row)
    elif order.time_in_force == TIF_CLS and s.books[book_row].phase != PHASE_CLOSING_AUCTION:
        s.extras[order.extra].place = CLOSING
        join_idle(s, book_row, row)
    else:
        enter(memory, row)


@routine
def _work_off(memory: Any) -> None:
    """The follow-ups of the command at hand, one at a time, those that they bring about included."""
    s = state_at(memory)
    while s.call[QUEUE_FIRST] != s.call[QUEUE_END]:
        row = U(s.queue[s.call[QUEUE_FIRST]])
        s.call[QUEUE_FIRST] += ONE
        order = s.orders[row]
        if order.order_id != ZERO and s.extras[order.extra].place == QUEUED:
            s.extras[order.extra].place = _NOWHERE
            triggered(memory, row)
            activate(memory, row)
    s.call[QUEUE_FIRST] = ZERO
    s.call[QUEUE_END] = ZERO


@routine
def settle(memory: Any, book_row: Any) -> None:
    """Bring a book to rest after what a command did to it, and close its rows."""
    s = state_at(memory)
    book = s.books[book_row]
    _work_off(memory)
    while pegs_moved(memory, book_row):
        _work_off(memory)
    if book.band_high != 0:
        watch_limit_state(memory, book_row)
    if in_call(book.phase):
        indicate(memory, book_row)
    put_top_rows(memory, book_row)
    set_quiet(s, book_row)
    book.fast = 1 if book.phase == PHASE_CONTINUOUS and book.limit_side == 0 else 0
    book.watched = 1 if book.pegs != 0 or book.band_high != 0 else 0
