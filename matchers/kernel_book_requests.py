"""New orders, cancels and replaces outside the fast path, as reference_book_shard and reference_replace have them."""

from typing import Any, Final

import numpy as np

from matchers.kernel_book_checks import price_outside_collar, quantity_reason, situation_reason, static_reason
from matchers.kernel_book_fast import is_plain
from matchers.kernel_book_memory import ONE, ZERO, state_at
from matchers.kernel_book_orders import detach, end, new_order, next_entry
from matchers.kernel_book_rows import book_of, note_tops, put_command_row, put_invalid, put_level_row, put_order_row, put_top_rows
from matchers.kernel_book_state import COMMAND_INDEX, STOPPED, STOPPED_NOT_KNOWN
from matchers.kernel_book_sweep import enter
from matchers.kernel_compile import helper, routine
from matchers.kernel_hash_index import U
from matchers.kernel_order_index import find_order
from matchers.kernel_words import (
    EXEC_CANCEL_REJECTED,
    EXEC_CANCELED,
    EXEC_NEW,
    EXEC_REJECTED,
    EXEC_REPLACED,
    PHASE_CLOSED,
    PHASE_CONTINUOUS,
    PHASE_POST_CLOSE,
    REASON_CANNOT_CHANGE,
    REASON_INVALID_PRICE,
    REASON_INVALID_QUANTITY,
    REASON_MARKET_CLOSED,
    REASON_PRICE_ABOVE_LIMIT,
    REASON_PRICE_OUTSIDE_COLLAR,
    REASON_REPLACED_TO_NOTHING,
    REASON_REQUESTED_BY_CUSTOMER,
    REASON_TOO_LATE_TO_CANCEL,
    REASON_UNKNOWN_ORDER,
    TIF_DAY,
    TIF_GTC,
    TIF_IOC,
    TYPE_LIMIT,
    TYPE_MARKET,
)
from schemas.enums import TIME_IN_FORCE_UNCHANGED
from schemas.limits import PRICE_TICKS_MAX

I: Final = np.int64
_BOOK_SHIFT: Final = U(2)


@routine
def settle(memory: Any, book: Any) -> None:
    """Bring a book to rest after a command, and close its rows: reference_book_shard._at_rest."""
    put_top_rows(memory, book)


@routine
def go_on(memory: Any, row: Any) -> None:
    """An order that the fast path has begun with goes on here; tops are noted already."""
    s = state_at(memory)
    book = U(s.orders[row].side_row) >> _BOOK_SHIFT
    enter(memory, row)
    settle(memory, book)


@helper
def _is_known(s: Any, i: Any, command: Any) -> Any:
    """Whether this kernel has all rules of a good order."""
    time_in_force = command.time_in_force
    known_time = time_in_force == TIF_DAY or time_in_force == TIF_GTC or time_in_force == TIF_IOC
    known_type = command.ord_type == TYPE_LIMIT or command.ord_type == TYPE_MARKET
    return known_time and known_type and is_plain(s, i) and s.books[book_of(s, U(command.instrument)) - ONE].plain != 0


@routine
def new_order_command(memory: Any) -> None:
    """A NEW_ORDER."""
    s = state_at(memory)
    i = s.call[COMMAND_INDEX]
    command = s.commands[i]
    if command.list_id != ZERO or command.contingency_type != 0:
        s.call[STOPPED] = STOPPED_NOT_KNOWN
        return
    if command.order_id == ZERO or find_order(s, command.order_id) != ZERO:
        put_invalid(memory)
        return
    reason = static_reason(memory)
    if reason == 0 and not _is_known(s, i, command):
        s.call[STOPPED] = STOPPED_NOT_KNOWN
        return
    if reason == 0:
        reason = situation_reason(memory)
    if reason != 0:
        put_command_row(memory, U(EXEC_REJECTED), U(reason))
        return
    book = book_of(s, U(command.instrument)) - ONE
    note_tops(memory, book)
    row = new_order(memory, book)
    put_order_row(memory, row, U(EXEC_NEW), ZERO, U(command.order_qty), ZERO)
    enter(memory, row)
    settle(memory, book)


@helper
def _found(s: Any, command: Any) -> Any:
    """(row, reason): the order that a cancel or replace is about, or why there is none."""
    row = find_order(s, command.order_id)
    if row == ZERO:
        return ZERO, I(REASON_TOO_LATE_TO_CANCEL)
    if s.orders[row].account != command.account:
        return ZERO, I(REASON_UNKNOWN_ORDER)
    return row, I(0)


@routine
def cancel(memory: Any) -> None:
    """A CANCEL."""
    s = state_at(memory)
    row, reason = _found(s, s.commands[s.call[COMMAND_INDEX]])
    if reason != 0:
        put_command_row(memory, U(EXEC_CANCEL_REJECTED), U(reason))
        return
    book = U(s.orders[row].side_row) >> _BOOK_SHIFT
    note_tops(memory, book)
    end(memory, row, U(EXEC_CANCELED), U(REASON_REQUESTED_BY_CUSTOMER))
    settle(memory, book)


@helper
def _changes_fixed(s: Any, row: Any, command: Any) -> Any:
    """Fields that never change: 0 says nothing, the same value again does no harm."""
    order = s.orders[row]
    time_in_force, asked = I(order.time_in_force), I(command.time_in_force)
    return (
        (command.instrument != 0 and command.instrument != s.books[U(order.side_row) >> _BOOK_SHIFT].instrument)
        or (command.side != 0 and command.side != order.side)
        or (command.ord_type != 0 and command.ord_type != order.ord_type)
        or (asked != TIME_IN_FORCE_UNCHANGED and asked != time_in_force and asked != TIF_DAY and asked != TIF_GTC)
    )


@routine
def replace_reason(memory: Any, row: Any) -> Any:
    """The first check that the replace at hand fails, or 0."""
    s = state_at(memory)
    command, order = s.commands[s.call[COMMAND_INDEX]], s.orders[row]
    book = s.books[U(order.side_row) >> _BOOK_SHIFT]
    if book.phase == PHASE_CLOSED or book.phase == PHASE_POST_CLOSE:
        return I(REASON_MARKET_CLOSED)
    if _changes_fixed(s, row, command):
        return I(REASON_CANNOT_CHANGE)
    if command.order_qty < 0:
        return I(REASON_INVALID_QUANTITY)
    if command.order_qty <= I(order.order_qty) - I(order.leaves_qty):
        return I(0)
    reason = quantity_reason(book, command.order_qty)
    if reason != 0:
        return reason
    if command.price < 0:
        return I(REASON_INVALID_PRICE)
    if command.price > PRICE_TICKS_MAX:
        return I(REASON_PRICE_ABOVE_LIMIT)
    return I(REASON_PRICE_OUTSIDE_COLLAR) if price_outside_collar(book, command.price) else I(0)


@routine
def replace(memory: Any) -> None:
    """A REPLACE."""
    s = state_at(memory)
    i = s.call[COMMAND_INDEX]
    command = s.commands[i]
    row, reason = _found(s, command)
    if reason == 0:
        if not is_plain(s, i) or s.books[U(s.orders[row].side_row) >> _BOOK_SHIFT].phase > PHASE_CONTINUOUS:
            s.call[STOPPED] = STOPPED_NOT_KNOWN
            return
        reason = replace_reason(memory, row)
    if reason != 0:
        put_command_row(memory, U(EXEC_CANCEL_REJECTED), U(reason))
        return
    order = s.orders[row]
    book = U(order.side_row) >> _BOOK_SHIFT
    note_tops(memory, book)
    if U(command.order_qty) <= U(order.order_qty) - U(order.leaves_qty):
        end(memory, row, U(EXEC_CANCELED), U(REASON_REPLACED_TO_NOTHING))
    elif U(command.order_qty) <= U(order.order_qty) and (command.price == 0 or U(command.price) == U(order.price)):
        _amend_in_place(memory, row)
    else:
        _take_new_place(memory, row)
    settle(memory, book)


@helper
def _write_terms(s: Any, row: Any, command: Any) -> None:
    order = s.orders[row]
    cum_qty = U(order.order_qty) - U(order.leaves_qty)
    order.order_qty = U(command.order_qty)
    order.leaves_qty = U(command.order_qty) - cum_qty
    if command.time_in_force != TIME_IN_FORCE_UNCHANGED:
        order.time_in_force = command.time_in_force
    if command.price != 0:
        order.price = U(command.price)


@routine
def _amend_in_place(memory: Any, row: Any) -> None:
    s = state_at(memory)
    command, order = s.commands[s.call[COMMAND_INDEX]], s.orders[row]
    level = s.levels[U(order.level)]
    qty, count, leaves = level.qty, U(level.order_count), U(order.leaves_qty)
    _write_terms(s, row, command)
    level.qty = qty - (leaves - U(order.leaves_qty))
    put_order_row(memory, row, U(EXEC_REPLACED), ZERO, U(command.order_qty), U(order.leaves_qty))
    put_level_row(memory, U(order.side_row), U(order.price), level.qty, count, qty, count)


@routine
def _take_new_place(memory: Any, row: Any) -> None:
    s = state_at(memory)
    command, order = s.commands[s.call[COMMAND_INDEX]], s.orders[row]
    level = s.levels[U(order.level)]
    price, qty, count, leaves = U(level.price), level.qty, U(level.order_count), U(order.leaves_qty)
    detach(memory, row)
    _write_terms(s, row, command)
    order.entry = next_entry(s)
    put_order_row(memory, row, U(EXEC_REPLACED), ZERO, U(command.order_qty), ZERO)
    put_level_row(memory, U(order.side_row), price, qty - leaves, count - ONE, qty, count)
    enter(memory, row)


assert (PHASE_CLOSED, PHASE_CONTINUOUS) == (0, 1)
