"""Session changes and time in the book kernel: reference_trading_session for books that are closed or in continuous trading."""

from typing import Any, Final

import numpy as np

from matchers.kernel_book_memory import ONE, ZERO, state_at
from matchers.kernel_book_orders import end, shown_qty
from matchers.kernel_book_queues import next_level
from matchers.kernel_book_requests import settle
from matchers.kernel_book_rows import PHASE_SHIFT, book_of, key_of, note_tops, put_order_row, put_row, put_shard_row
from matchers.kernel_book_state import ALL_PLAIN, BOOKS, COMMAND_INDEX, ORDERS, STOPPED, STOPPED_NOT_KNOWN
from matchers.kernel_compile import routine
from matchers.kernel_hash_index import U
from matchers.kernel_words import (
    EXEC_EXPIRED,
    EXEC_RESTATED,
    EXEC_SECURITY_STATUS,
    EXEC_TIME,
    PHASE_CLOSED,
    PHASE_CONTINUOUS,
    REASON_END_OF_DAY,
    REASON_START_OF_DAY,
    TIF_DAY,
)

_BOOK_SHIFT: Final = U(2)


@routine
def live_orders(memory: Any, book: Any) -> Any:
    """Order rows of a book by entry."""
    s = state_at(memory)
    rows = np.empty(s.head[ORDERS], np.uint64)
    entries = np.empty(s.head[ORDERS], np.uint64)
    found = ZERO
    side_row = book << _BOOK_SHIFT
    while side_row <= (book << _BOOK_SHIFT) + ONE:
        level_row = U(s.sides[side_row].best)
        while level_row != ZERO:
            row = U(s.levels[level_row].first)
            while row != ZERO:
                rows[found] = row
                entries[found] = s.orders[row].entry
                found += ONE
                row = U(s.orders[row].next)
            level_row = next_level(s, level_row, key_of(side_row, U(s.levels[level_row].price)))
        side_row += ONE
    return rows[np.argsort(entries[:found])]


@routine
def _begin_day(memory: Any, book: Any) -> None:
    """A new day: no last price, carried orders are restated by entry."""
    s = state_at(memory)
    s.books[book].last_px = 0
    for row in live_orders(memory, book):
        if s.orders[row].time_in_force != TIF_DAY:
            put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_START_OF_DAY), ZERO, shown_qty(s, row))


@routine
def _end_day(memory: Any, book: Any) -> None:
    """Everything that is not carried expires, by entry."""
    s = state_at(memory)
    for row in live_orders(memory, book):
        if s.orders[row].time_in_force == TIF_DAY:
            end(memory, row, U(EXEC_EXPIRED), U(REASON_END_OF_DAY))


@routine
def change_phase(memory: Any, book: Any, to: Any) -> None:
    """Go to CLOSED or CONTINUOUS, with what that brings."""
    s = state_at(memory)
    before = s.books[book].phase
    s.books[book].phase = to
    s.books[book].fast = 1 if to == PHASE_CONTINUOUS else 0
    note_tops(memory, book)
    put_row(memory, book, U(EXEC_SECURITY_STATUS) | (U(to) << PHASE_SHIFT), ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    if before != to:
        if to == PHASE_CLOSED:
            s.books[book].peg_bid = -1
            _end_day(memory, book)
        else:
            _begin_day(memory, book)
    settle(memory, book)


@routine
def session_change(memory: Any) -> None:
    """A TRADING_SESSION_CHANGE of one instrument or of all."""
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    named = book_of(s, U(command.instrument))
    known = (command.phase == PHASE_CLOSED or command.phase == PHASE_CONTINUOUS) and command.expire_time == 0 and command.reason == 0
    if not known or (command.instrument != 0 and named == ZERO) or s.head[ALL_PLAIN] == ZERO:
        s.call[STOPPED] = STOPPED_NOT_KNOWN
        return
    book = ZERO
    while book < s.call[BOOKS]:
        if command.instrument == 0 or book + ONE == named:
            change_phase(memory, book, command.phase)
        book += ONE


@routine
def timer(memory: Any) -> None:
    """A TIMER: one TIME row; plain orders have nothing that time brings about."""
    put_shard_row(memory, U(EXEC_TIME))
