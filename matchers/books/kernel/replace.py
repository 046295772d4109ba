"""Replacing an order in the book kernel: books.reference.replace by the same names; the rules are said there.

What the order is and what the command asks are the rows NOW and ASKED of `terms`.
"""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.checks import price_outside_collar, taking_reason
from matchers.books.kernel.endings import end
from matchers.books.kernel.expiry import note_expiry
from matchers.books.kernel.layout import ASKED, COMMAND_INDEX, HIDDEN, LOG_TIME, NOW
from matchers.books.kernel.matching import enter
from matchers.books.kernel.memory import ZERO, state_at
from matchers.books.kernel.orders import (
    CLOSING,
    DORMANT,
    RESTING,
    SECONDARY,
    blank_extra,
    detach,
    exec_inst_of,
    forget_peg,
    identity_of,
    is_trailing,
    next_entry,
    note_move,
    place_of,
)
from matchers.books.kernel.pegs import enter_peg
from matchers.books.kernel.phases import is_frozen
from matchers.books.kernel.prevention import instruction_of
from matchers.books.kernel.queues import join_idle
from matchers.books.kernel.rows import BOOK_SHIFT, is_market_px, put_level_row, put_order_row, tranche
from matchers.books.kernel.settle import triggered
from matchers.books.kernel.stops import arm
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.order_checks import (
    BITS_END,
    MOVABLE_STOPS,
    OFFSET,
    PRICED,
    WORKING_TIMES,
    can_rest,
    good_display,
    good_expiry,
    good_offset,
    good_tranches,
    is_one_of,
    order_reason,
    quantity_refusal,
)
from matchers.compiled.words import (
    EXEC_CANCELED,
    EXEC_REPLACED,
    INST_HIDDEN,
    INST_POST_ONLY_ANY,
    PHASE_CANCEL_ONLY,
    PHASE_CLOSED,
    PHASE_CONTINUOUS,
    PHASE_HALTED,
    PHASE_POST_CLOSE,
    REASON_AUCTION_FROZEN,
    REASON_CANNOT_CHANGE,
    REASON_INVALID_DISPLAY_QTY,
    REASON_INVALID_EXPIRE_TIME,
    REASON_INVALID_OFFSET,
    REASON_INVALID_PRICE,
    REASON_INVALID_QUANTITY,
    REASON_INVALID_STOP_PRICE,
    REASON_MARKET_CLOSED,
    REASON_PRICE_ABOVE_LIMIT,
    REASON_PRICE_OUTSIDE_COLLAR,
    REASON_REDUCE_ONLY,
    REASON_REPLACED_TO_NOTHING,
    TIF_GTD,
    TYPE_LIMIT,
    TYPE_PEGGED,
)
from matchers.rules.order_tables import REPLACE_IN_PHASE
from schemas.enums import TIME_IN_FORCE_UNCHANGED, Phase
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

I: Final = np.int64
_NOW, _ASKED = U(NOW), U(ASKED)
_HIDDEN: Final = U(HIDDEN)
assert {phase: reason for phase, reason in REPLACE_IN_PHASE.items() if reason} == {
    Phase.CLOSED: Reason.MARKET_CLOSED, Phase.POST_CLOSE: Reason.MARKET_CLOSED, Phase.HALTED: Reason.REDUCE_ONLY,
    Phase.CANCEL_ONLY: Reason.REDUCE_ONLY,
}, "replace_reason"  # fmt: skip


@helper
def _read_terms(s: Any, row: Any, command: Any) -> None:
    """The terms as they are, and as the command wants them."""
    order, now, asked = s.orders[row], s.terms[_NOW], s.terms[_ASKED]
    now.order_qty = I(order.order_qty)
    now.limit = I(order.price)
    now.stop_px = 0
    now.offset = 0
    now.display_qty = 0
    now.expire_time = 0
    now.time_in_force = I(order.time_in_force)
    now.hidden = I(U(order.special) & _HIDDEN)
    if order.extra != 0:
        extra = s.extras[order.extra]
        if order.ord_type == TYPE_PEGGED:
            now.limit = I(extra.limit_px)
        now.stop_px = I(extra.stop_px)
        now.offset = extra.offset
        now.display_qty = I(extra.display_qty)
        now.expire_time = extra.expire_time
    time_in_force = I(command.time_in_force)
    asked.time_in_force = now.time_in_force if time_in_force == TIME_IN_FORCE_UNCHANGED else time_in_force
    asked.hidden = I(HIDDEN) if command.exec_inst & INST_HIDDEN != 0 or (now.hidden != 0 and command.display_qty == 0) else I(0)
    display_qty = command.display_qty if command.display_qty != 0 else now.display_qty
    asked.display_qty = I(0) if asked.hidden != 0 else display_qty
    asked.order_qty = command.order_qty
    asked.limit = command.price if command.price != 0 else now.limit
    asked.stop_px = command.stop_px if command.stop_px != 0 else now.stop_px
    asked.offset = command.offset if command.offset != 0 else now.offset
    kept_expiry = now.expire_time if asked.time_in_force == TIF_GTD else I(0)
    asked.expire_time = command.expire_time if command.expire_time != 0 else kept_expiry


@routine
def replace_reason(memory: Any, row: Any) -> Any:
    """The first check that the replace at hand fails, or 0. Leaves the terms for replace_order."""
    s = state_at(memory)
    command, order = s.commands[s.call[COMMAND_INDEX]], s.orders[row]
    book_row = U(order.side_row) >> BOOK_SHIFT
    book, asked = s.books[book_row], s.terms[_ASKED]
    if book.phase == PHASE_CLOSED or book.phase == PHASE_POST_CLOSE:
        return I(REASON_MARKET_CLOSED)
    if is_frozen(s, row):
        return I(REASON_AUCTION_FROZEN)
    _read_terms(s, row, command)
    if _changes_fixed(s, row, command):
        return I(REASON_CANNOT_CHANGE)
    if asked.order_qty < 0:
        return I(REASON_INVALID_QUANTITY)
    if asked.order_qty <= I(order.order_qty) - I(order.leaves_qty):
        return I(0)
    reason = quantity_refusal(asked.order_qty, I(book.qty_min), I(book.qty_max))
    if reason == 0:
        reason = _price_reason(book, order, command)
    if reason == 0:
        reason = _terms_reason(s, row, command)
    if reason == 0 and (book.phase == PHASE_HALTED or book.phase == PHASE_CANCEL_ONLY) and not _only_reduces(s):
        reason = I(REASON_REDUCE_ONLY)
    exec_inst = exec_inst_of(s, row)
    if reason == 0 and exec_inst & INST_POST_ONLY_ANY != 0 and book.phase == PHASE_CONTINUOUS:
        moves = order.ord_type == TYPE_LIMIT and place_of(s, row) == RESTING and not _keeps_priority(s, row)
        if moves:
            reason = taking_reason(s, book_row, order.side == 1, U(asked.limit), exec_inst)
    return reason


@helper
def _changes_fixed(s: Any, row: Any, command: Any) -> Any:
    """Fields that never change: 0 says nothing, the same value again does no harm."""
    order, asked = s.orders[row], s.terms[_ASKED]
    peg_price_type, offset_type, exec_inst, identity = I(0), I(0), exec_inst_of(s, row), identity_of(s, row)
    if order.extra != 0:
        peg_price_type, offset_type = I(s.extras[order.extra].peg_price_type), I(s.extras[order.extra].offset_type)
    ord_type = I(order.ord_type)
    return (
        (command.instrument != 0 and command.instrument != s.books[U(order.side_row) >> BOOK_SHIFT].instrument)
        or (command.side != 0 and command.side != order.side)
        or (command.ord_type != 0 and command.ord_type != ord_type)
        or (command.peg_price_type != 0 and command.peg_price_type != peg_price_type)
        or (command.offset_type != 0 and command.offset_type != offset_type)
        or (command.self_match_prevention_id != ZERO and command.self_match_prevention_id != identity)
        or (command.self_match_prevention_instruction != 0 and I(command.self_match_prevention_instruction) != instruction_of(s, row))
        or command.min_qty != 0
        or I(command.exec_inst) & ~(INST_HIDDEN | exec_inst) != 0
        or (asked.time_in_force != I(order.time_in_force) and not _may_become(s, order, asked.time_in_force))
        or (command.stop_px != 0 and not is_one_of(ord_type, MOVABLE_STOPS))
        or (command.price != 0 and not is_one_of(ord_type, PRICED))
        or (command.offset != 0 and not is_one_of(ord_type, OFFSET))
    )


@helper
def _may_become(s: Any, order: Any, time_in_force: Any) -> Any:
    """Whether a replace may give the order this time in force."""
    both_work = time_in_force < BITS_END and is_one_of(I(order.time_in_force), WORKING_TIMES) and is_one_of(time_in_force, WORKING_TIMES)
    return both_work and order_reason(s.order_table, I(order.ord_type), time_in_force, I(0)) == 0


@helper
def _price_reason(book: Any, order: Any, command: Any) -> Any:
    price = command.price
    reason = I(0)
    if price < 0:
        reason = I(REASON_INVALID_PRICE)
    elif price > PRICE_TICKS_MAX:
        reason = I(REASON_PRICE_ABOVE_LIMIT)
    elif not is_trailing(order.ord_type) and price_outside_collar(book, price):
        reason = I(REASON_PRICE_OUTSIDE_COLLAR)
    return reason


@helper
def _terms_reason(s: Any, row: Any, command: Any) -> Any:
    """stop_px, display_qty, offset, expire_time."""
    order, asked = s.orders[row], s.terms[_ASKED]
    if command.stop_px < 0 or command.stop_px > PRICE_TICKS_MAX:
        return I(REASON_INVALID_STOP_PRICE)
    if not _is_good_display(order, command, asked):
        return I(REASON_INVALID_DISPLAY_QTY)
    offset_type = I(s.extras[order.extra].offset_type) if order.extra != 0 else I(0)
    if not good_offset(I(order.ord_type), offset_type, asked.offset):
        return I(REASON_INVALID_OFFSET)
    return I(0) if good_expiry(asked.expire_time, asked.time_in_force, I(s.head[LOG_TIME])) else I(REASON_INVALID_EXPIRE_TIME)


@helper
def _is_good_display(order: Any, command: Any, asked: Any) -> Any:
    """What the replace names, as at entry; what it leaves must not make too many tranches of the new total."""
    named = command.display_qty
    if (named != 0 or asked.hidden != 0) and not can_rest(I(order.ord_type), I(order.time_in_force)):
        return False
    if named != 0:
        return command.exec_inst & INST_HIDDEN == 0 and good_display(named, asked.order_qty)
    return asked.display_qty == 0 or good_tranches(asked.display_qty, asked.order_qty)


@helper
def _only_reduces(s: Any) -> Any:
    now, asked = s.terms[_NOW], s.terms[_ASKED]
    same = (
        now.time_in_force == asked.time_in_force
        and now.limit == asked.limit
        and now.stop_px == asked.stop_px
        and now.offset == asked.offset
        and now.hidden == asked.hidden
        and now.expire_time == asked.expire_time
    )
    return same and asked.order_qty <= now.order_qty and _display_size(asked) <= _display_size(now)


@helper
def _display_size(terms: Any) -> Any:
    """How much is displayed at a time, for comparisons."""
    size = terms.display_qty if terms.display_qty != 0 else terms.order_qty
    return size if terms.hidden == 0 else I(0)


@helper
def _keeps_priority(s: Any, row: Any) -> Any:
    """Dormant stops have no priority to lose but their place among equal stop_px, which is by entry."""
    now, asked = s.terms[_NOW], s.terms[_ASKED]
    same_stop = asked.stop_px == now.stop_px and asked.offset == now.offset
    if asked.order_qty > now.order_qty or asked.limit != now.limit or asked.hidden != now.hidden:
        return same_stop and place_of(s, row) == DORMANT
    return same_stop and not (asked.display_qty != now.display_qty and _display_size(asked) > _display_size(now))


# -- the replace


@routine
def replace_order(memory: Any, row: Any) -> None:
    """Apply a replace that is not refused."""
    s = state_at(memory)
    order = s.orders[row]
    if s.terms[_ASKED].order_qty <= I(order.order_qty) - I(order.leaves_qty):
        end(memory, row, U(EXEC_CANCELED), U(REASON_REPLACED_TO_NOTHING))
    elif _keeps_priority(s, row):
        _amend_in_place(memory, row)
    else:
        _take_new_place(memory, row)


@helper
def _write_terms(s: Any, row: Any) -> None:
    order, asked = s.orders[row], s.terms[_ASKED]
    if order.extra == 0 and (asked.display_qty != 0 or asked.hidden != 0 or asked.expire_time != 0):
        blank_extra(s, row)
    cum_qty = U(order.order_qty) - U(order.leaves_qty)
    order.order_qty = U(asked.order_qty)
    order.leaves_qty = U(asked.order_qty) - cum_qty
    order.time_in_force = asked.time_in_force
    if order.extra != 0:
        extra = s.extras[order.extra]
        dated_anew = asked.time_in_force == TIF_GTD and extra.expire_time != asked.expire_time
        extra.expire_time = asked.expire_time
        if dated_anew:
            note_expiry(s, row)
        extra.stop_px = U(asked.stop_px)
        extra.offset = asked.offset
        extra.display_qty = U(asked.display_qty)
        extra.exec_inst = (I(extra.exec_inst) & ~INST_HIDDEN) | (INST_HIDDEN if asked.hidden != 0 else 0)
        order.special = (U(order.special) & ~_HIDDEN) | U(asked.hidden)
        if order.ord_type == TYPE_PEGGED:
            extra.limit_px = U(asked.limit)
    if order.ord_type != TYPE_PEGGED:
        order.price = U(asked.limit)


@routine
def _amend_in_place(memory: Any, row: Any) -> None:
    s = state_at(memory)
    order = s.orders[row]
    rests = place_of(s, row) == RESTING
    side_row, leaves = U(order.side_row), U(order.leaves_qty)
    _write_terms(s, row)
    less = leaves - U(order.leaves_qty)
    if order.extra != 0:
        extra = s.extras[order.extra]
        less = ZERO
        if rests:
            shown = min(U(extra.shown_qty), tranche(s, row))
            less = U(extra.shown_qty) - shown
            extra.shown_qty = shown
    put_order_row(memory, row, U(EXEC_REPLACED), ZERO, U(order.order_qty))
    if rests:
        level = s.levels[order.level]
        level.qty -= less
        note_move(s, side_row, U(level.price))
        if less != ZERO and not is_market_px(U(level.price)):
            put_level_row(memory, side_row, U(level.price), level.qty, U(level.order_count))


@routine
def _take_new_place(memory: Any, row: Any) -> None:
    s = state_at(memory)
    order = s.orders[row]
    book_row, place = U(order.side_row) >> BOOK_SHIFT, place_of(s, row)
    price, qty, count = detach(memory, row)
    if order.ord_type == TYPE_PEGGED:
        forget_peg(s, row)
        order.price = 0
    _write_terms(s, row)
    if place != DORMANT:
        order.entry = next_entry(s)
    waits = place == SECONDARY or place == CLOSING
    if waits:
        s.extras[order.extra].place = place
    put_order_row(memory, row, U(EXEC_REPLACED), ZERO, U(order.order_qty))
    put_level_row(memory, U(order.side_row), price, qty, count)
    if place == DORMANT:
        if arm(memory, row):
            triggered(memory, row)
            enter(memory, row)
    elif order.ord_type == TYPE_PEGGED:
        enter_peg(memory, row)
    elif place == RESTING:
        enter(memory, row)
    elif waits:
        join_idle(s, book_row, row)
