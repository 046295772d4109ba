"""The commands of a book shard outside the fast path, as books.reference.shard has them."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.auction import price_range
from matchers.books.kernel.checks import situation_reason, static_reason
from matchers.books.kernel.endings import end
from matchers.books.kernel.layout import BOOKS, BUSTED, BUSTS_MAX, COMMAND_INDEX, LAST_TRADE, LOG_TIME, REASONS, SHARD, TAKEN
from matchers.books.kernel.lists import list_length
from matchers.books.kernel.matching import enter
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.books.kernel.order_index import find_order
from matchers.books.kernel.orders import NOWHERE, SECONDARY, is_stop, new_order, place_of
from matchers.books.kernel.phases import change_phase, is_frozen, live_orders
from matchers.books.kernel.queues import join_idle
from matchers.books.kernel.replace import replace_order, replace_reason
from matchers.books.kernel.rows import (
    BOOK_SHIFT,
    PHASE_SHIFT,
    REASON_SHIFT,
    SIDE_SHIFT,
    book_of,
    next_row,
    note_tops,
    put_command_row,
    put_invalid,
    put_order_row,
    put_refused,
    put_row,
    write_row,
)
from matchers.books.kernel.settle import activate, settle
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.list_checks import is_listed
from matchers.compiled.words import (
    BOOK_TRADING_RESUME,
    EXEC_CANCEL_REJECTED,
    EXEC_CANCELED,
    EXEC_NEW,
    EXEC_REJECTED,
    EXEC_SECURITY_STATUS,
    EXEC_TRADE_BUSTED,
    LIST_OCO,
    PHASE_CANCEL_ONLY,
    PHASE_CLOSED,
    PHASE_CONTINUOUS,
    PHASE_HALTED,
    PHASE_VOLATILITY_AUCTION,
    REASON_AUCTION_FROZEN,
    REASON_BUST_LIMIT,
    REASON_INVALID_COMMAND,
    REASON_INVALID_EXPIRE_TIME,
    REASON_INVALID_LIST,
    REASON_INVALID_PRICE,
    REASON_INVALID_SIDE,
    REASON_LIST_REJECTED,
    REASON_MASS_CANCEL,
    REASON_NOT_IN_THIS_PHASE,
    REASON_REQUESTED_BY_CUSTOMER,
    REASON_TOO_LATE_TO_CANCEL,
    REASON_TRADE_ALREADY_BUSTED,
    REASON_UNKNOWN_ORDER,
    REASON_UNKNOWN_SYMBOL,
    REASON_UNKNOWN_TRADE,
)
from matchers.rules.order_tables import RESUMES_TO
from schemas.enums import Phase
from schemas.limits import ORDER_ID_SHARD_SHIFT, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

I: Final = np.int64
_TRADE_SHIFT: Final = U(ORDER_ID_SHARD_SHIFT)
PHASES: Final = len(Phase)
REASONS_END: Final = max(Reason) + 1
_INVALID: Final = U(REASON_INVALID_COMMAND)
assert RESUMES_TO == {Phase.HALTED: Phase.VOLATILITY_AUCTION, Phase.CANCEL_ONLY: Phase.CONTINUOUS}, "_target_phase"


@routine
def go_on(memory: Any, row: Any) -> None:
    """An order that the fast path has begun with goes on here; tops are noted already."""
    s = state_at(memory)
    book = U(s.orders[row].side_row) >> BOOK_SHIFT
    enter(memory, row)
    settle(memory, book)


# -- new orders


@routine
def new_orders(memory: Any) -> None:
    """A NEW_ORDER, or the orders of a list."""
    s = state_at(memory)
    at = s.call[COMMAND_INDEX]
    legs = ONE
    if is_listed(s.commands[at]):
        legs = list_length(memory, at)
        if legs == ZERO:
            _rejected(memory, _INVALID if _is_known(s, s.commands[at]) else U(REASON_INVALID_LIST))
            return
        for place in range(legs):
            if s.commands[at + place].transact_time > I(s.head[LOG_TIME]):
                s.head[LOG_TIME] = U(s.commands[at + place].transact_time)
        s.call[TAKEN] = legs
    if _reasons(memory, at, legs):
        for place in range(legs):
            s.call[COMMAND_INDEX] = at + place
            reason = s.call[U(REASONS) + place]
            _rejected(memory, reason if reason != ZERO else U(REASON_LIST_REJECTED))
        return
    s.call[COMMAND_INDEX] = at
    book = book_of(s, U(s.commands[at].instrument)) - ONE
    note_tops(memory, book)
    if legs == ONE:
        row = new_order(memory, book)
        put_order_row(memory, row, U(EXEC_NEW), ZERO, U(s.orders[row].order_qty))
        activate(memory, row)
    else:
        _accept_list(memory, book, legs)
    settle(memory, book)


@helper
def _is_known(s: Any, command: Any) -> Any:
    """Whether the number of a new order is none, or that of a live order."""
    return command.order_id == ZERO or find_order(s, command.order_id) != ZERO


@routine
def _reasons(memory: Any, at: Any, legs: Any) -> Any:
    """Why each order is refused, into call[REASONS ...]; whether any is."""
    s = state_at(memory)
    refused, stops = False, ZERO
    for place in range(legs):
        s.call[COMMAND_INDEX] = at + place
        command = s.commands[at + place]
        reason = I(REASON_INVALID_COMMAND)
        if not _is_known(s, command):
            reason = static_reason(memory)
            if reason == 0:
                reason = situation_reason(memory, place, stops)
                if is_stop(command.ord_type):
                    stops += ONE
        s.call[U(REASONS) + place] = U(reason)
        refused = refused or reason != 0
    return refused


@routine
def _rejected(memory: Any, reason: Any) -> None:
    """The order at hand is refused."""
    if reason == _INVALID:
        put_invalid(memory)
    else:
        put_command_row(memory, U(EXEC_REJECTED), reason)


@routine
def _accept_list(memory: Any, book: Any, legs: Any) -> None:
    """All orders are known and linked, then they are told, then those that do not wait take their place or their chance."""
    s = state_at(memory)
    at = s.call[COMMAND_INDEX]
    for place in range(legs):
        s.call[COMMAND_INDEX] = at + place
        new_order(memory, book)
    first, second = find_order(s, s.commands[at].order_id), find_order(s, s.commands[at + ONE].order_id)
    third = find_order(s, s.commands[at + U(2)].order_id) if legs > U(2) else ZERO
    if s.commands[at].contingency_type == LIST_OCO:
        _pair(s, first, second)
    else:
        s.extras[s.orders[first].extra].secondary = second
        _make_wait(s, book, first, second)
        if third != ZERO:
            _make_wait(s, book, first, third)
            _pair(s, second, third)
    for place in range(legs):
        s.call[COMMAND_INDEX] = at + place
        row = find_order(s, s.commands[at + place].order_id)
        put_order_row(memory, row, U(EXEC_NEW), ZERO, U(s.orders[row].order_qty))
    for place in range(legs):
        s.call[COMMAND_INDEX] = at + place
        row = find_order(s, s.commands[at + place].order_id)
        if row != ZERO and place_of(s, row) == NOWHERE:
            activate(memory, row)


@helper
def _pair(s: Any, one: Any, other: Any) -> None:
    """What fills or ends one of them cancels the other."""
    s.extras[s.orders[one].extra].sibling = other
    s.extras[s.orders[other].extra].sibling = one


@helper
def _make_wait(s: Any, book: Any, primary: Any, row: Any) -> None:
    """A secondary waits until its primary is done."""
    extra = s.extras[s.orders[row].extra]
    extra.primary = primary
    extra.place = SECONDARY
    join_idle(s, book, row)


# -- cancel, replace


@helper
def _find(s: Any, command: Any) -> Any:
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
    row, reason = _find(s, s.commands[s.call[COMMAND_INDEX]])
    if reason == 0 and is_frozen(s, row):
        reason = I(REASON_AUCTION_FROZEN)
    if reason != 0:
        put_command_row(memory, U(EXEC_CANCEL_REJECTED), U(reason))
        return
    book = U(s.orders[row].side_row) >> BOOK_SHIFT
    note_tops(memory, book)
    end(memory, row, U(EXEC_CANCELED), U(REASON_REQUESTED_BY_CUSTOMER))
    settle(memory, book)


@routine
def replace(memory: Any) -> None:
    """A REPLACE."""
    s = state_at(memory)
    row, reason = _find(s, s.commands[s.call[COMMAND_INDEX]])
    if reason == 0:
        reason = replace_reason(memory, row)
    if reason != 0:
        put_command_row(memory, U(EXEC_CANCEL_REJECTED), U(reason))
        return
    book = U(s.orders[row].side_row) >> BOOK_SHIFT
    note_tops(memory, book)
    replace_order(memory, row)
    settle(memory, book)


@routine
def mass_cancel(memory: Any) -> None:
    """A MASS_CANCEL: by entry in each book; frozen orders stay, and are named."""
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    named = book_of(s, U(command.instrument))
    if command.instrument != 0 and named == ZERO:
        put_refused(memory, U(command.instrument), U(REASON_UNKNOWN_SYMBOL))
        return
    if command.side > 2:
        put_refused(memory, U(command.instrument), U(REASON_INVALID_SIDE))
        return
    first, end_row = (named - ONE, named) if command.instrument != 0 else (ZERO, s.call[BOOKS])
    for book in range(first, end_row):
        note_tops(memory, book)
        for row in live_orders(memory, book):
            order = s.orders[row]
            wanted = (command.account == ZERO or command.account == order.account) and (command.side == 0 or command.side == order.side)
            if order.order_id == ZERO or not wanted:
                continue
            if is_frozen(s, row):
                head = U(EXEC_CANCEL_REJECTED) | (U(order.side) << SIDE_SHIFT) | (U(REASON_AUCTION_FROZEN) << REASON_SHIFT)
                put_row(memory, book, head, ZERO, order.order_id, order.account, ZERO, ZERO, ZERO, ZERO)
            else:
                end(memory, row, U(EXEC_CANCELED), U(REASON_MASS_CANCEL))
        settle(memory, book)


# -- phases, instruments, trades


@helper
def _target_phase(command: Any, phase: Any) -> Any:
    """Where the command leads; a resume that names no phase leads where the table says."""
    to = I(command.phase)
    if command.kind == BOOK_TRADING_RESUME and to == PHASE_CLOSED:
        if phase == PHASE_HALTED:
            to = I(PHASE_VOLATILITY_AUCTION)
        elif phase == PHASE_CANCEL_ONLY:
            to = I(PHASE_CONTINUOUS)
    return to


@helper
def _is_reason(s: Any, reason: Any) -> Any:
    return reason < REASONS_END and s.reasons[reason] != 0


@routine
def phase_change(memory: Any) -> None:
    """TRADING_SESSION_CHANGE, TRADING_HALT, TRADING_RESUME of one instrument or of all; those that cannot say so."""
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    named = book_of(s, U(command.instrument))
    if command.phase >= PHASES or not _is_reason(s, command.reason):
        put_invalid(memory)
        return
    if command.instrument != 0 and named == ZERO:
        put_refused(memory, U(command.instrument), U(REASON_UNKNOWN_SYMBOL))
        return
    first, end_row = (named - ONE, named) if command.instrument != 0 else (ZERO, s.call[BOOKS])
    for book_row in range(first, end_row):
        book = s.books[book_row]
        to = _target_phase(command, book.phase)
        reason = s.change_table[(I(command.kind) * PHASES + I(book.phase)) * PHASES + to]
        if reason != 0:
            put_refused(memory, U(book.instrument), U(reason))
            continue
        note_tops(memory, book_row)
        change_phase(memory, book_row, to, U(command.reason), command.expire_time)
        settle(memory, book_row)


@routine
def instrument_update(memory: Any) -> None:
    """Reference data; the reference price changes only while the instrument is closed."""
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    named, reason = book_of(s, U(command.instrument)), 0
    if named == ZERO:
        reason = REASON_UNKNOWN_SYMBOL
    elif command.price != 0 and s.books[named - ONE].phase != PHASE_CLOSED:
        reason = REASON_NOT_IN_THIS_PHASE
    elif command.expire_time < 0:
        reason = REASON_INVALID_EXPIRE_TIME
    elif command.price < 0 or command.price > PRICE_TICKS_MAX // 2:
        reason = REASON_INVALID_PRICE
    if reason != 0:
        put_refused(memory, U(command.instrument), U(reason))
        return
    book = s.books[named - ONE]
    if command.price != 0:
        book.reference_px = U(command.price)
        set_collar(s, named - ONE)
    if command.expire_time != 0:
        book.session_close = command.expire_time
    head = U(EXEC_SECURITY_STATUS) | (U(book.phase) << PHASE_SHIFT)
    put_row(memory, named - ONE, head, ZERO, ZERO, ZERO, U(book.reference_px), ZERO, ZERO, ZERO)


@helper
def set_collar(s: Any, book_row: Any) -> None:
    """What a limit may be, by reference price and collar."""
    book = s.books[book_row]
    percent = U(s.rules[book.instrument].collar_percent)
    low, high = ONE, U(PRICE_TICKS_MAX)
    if percent != ZERO:
        low, high = price_range(U(book.reference_px), percent)
    book.price_low = low
    book.price_high = high


@routine
def trade_bust(memory: Any) -> None:
    """A TRADE_BUST: the trade never happened; prices, elections and orders stay as they are."""
    s = state_at(memory)
    command = s.commands[s.call[COMMAND_INDEX]]
    if not _is_reason(s, command.reason):
        put_invalid(memory)
        return
    trade, busted = command.trd_match_id, s.head[BUSTED]
    number = trade - (s.head[SHARD] << _TRADE_SHIFT)  # another shard's wraps around, and is above LAST_TRADE
    named, reason, at = book_of(s, U(command.instrument)), 0, ZERO
    while at < busted and s.busted[at] < trade:
        at += ONE
    if named == ZERO:
        reason = REASON_UNKNOWN_SYMBOL
    elif number == ZERO or number > s.head[LAST_TRADE]:
        reason = REASON_UNKNOWN_TRADE
    elif at < busted and s.busted[at] == trade:
        reason = REASON_TRADE_ALREADY_BUSTED
    elif busted >= s.call[BUSTS_MAX]:
        reason = REASON_BUST_LIMIT
    if reason != 0:
        put_refused(memory, U(command.instrument), U(reason))
        return
    place = busted
    while place > at:
        s.busted[place] = s.busted[place - ONE]
        place -= ONE
    s.busted[at] = trade
    s.head[BUSTED] = busted + ONE
    row, rpt_seq = next_row(s, named - ONE)
    write_row(
        s, row, U(EXEC_TRADE_BUSTED) | (U(command.reason) << REASON_SHIFT), U(command.instrument), s.call[COMMAND_INDEX], rpt_seq, ZERO, ZERO, ZERO,
        ZERO, trade, U(command.price), U(command.order_qty), ZERO, ZERO, ZERO, s.head[LOG_TIME],
    )  # fmt: skip
