"""Self-match prevention in the book kernel: what happens where an order meets one of the same self_match_prevention_id."""

from typing import Any

import numpy as np

from matchers.books.kernel.endings import end
from matchers.books.kernel.layout import PREVENTION_SHIFT
from matchers.books.kernel.memory import ZERO, state_at
from matchers.books.kernel.orders import identity_of
from matchers.books.kernel.rows import put_order_row, shown_qty
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    EXEC_CANCELED,
    EXEC_RESTATED,
    PREVENTION_CANCEL_BOTH,
    PREVENTION_CANCEL_NEWEST,
    PREVENTION_CANCEL_OLDEST,
    PREVENTION_DECREMENT_AND_CANCEL,
    PREVENTION_NONE,
    REASON_SELF_MATCH_PREVENTION,
)


@helper
def is_own(s: Any, row: Any, resting_row: Any) -> Any:
    """Whether both have the same self_match_prevention_id."""
    identity = identity_of(s, row)
    return identity != ZERO and identity == identity_of(s, resting_row)


@helper
def is_prevented(s: Any, row: Any, resting_row: Any) -> Any:
    """Whether the two must not trade with each other."""
    return is_own(s, row, resting_row) and instruction_of(s, row) != PREVENTION_NONE


@helper
def instruction_of(s: Any, row: Any) -> Any:
    """self_match_prevention_instruction of an order, i64."""
    order = s.orders[row]
    instruction = np.int64((U(order.special) >> U(PREVENTION_SHIFT)) & U(7))
    if order.extra != 0:
        instruction = np.int64(s.extras[order.extra].self_match_prevention_instruction)
    return instruction


@helper
def stops_incoming(s: Any, row: Any) -> Any:
    """Whether the incoming order does not get past an order of its owner whole."""
    instruction = instruction_of(s, row)
    return (
        instruction == PREVENTION_CANCEL_NEWEST or instruction == PREVENTION_CANCEL_BOTH or instruction == PREVENTION_DECREMENT_AND_CANCEL
    )


@routine
def prevent(memory: Any, row: Any, resting_row: Any) -> None:
    """Two orders of one owner meet; the incoming order's instruction says what goes."""
    s = state_at(memory)
    instruction = instruction_of(s, row)
    if instruction == PREVENTION_DECREMENT_AND_CANCEL:
        qty = min(U(s.orders[row].leaves_qty), U(s.orders[resting_row].leaves_qty))
        _decrement(memory, resting_row, qty)
        _decrement(memory, row, qty)
        return
    if instruction == PREVENTION_CANCEL_OLDEST or instruction == PREVENTION_CANCEL_BOTH:
        end(memory, resting_row, U(EXEC_CANCELED), U(REASON_SELF_MATCH_PREVENTION))
    if instruction == PREVENTION_CANCEL_NEWEST or instruction == PREVENTION_CANCEL_BOTH:
        end(memory, row, U(EXEC_CANCELED), U(REASON_SELF_MATCH_PREVENTION))


@routine
def _decrement(memory: Any, row: Any, qty: Any) -> None:
    s = state_at(memory)
    order = s.orders[row]
    if U(order.leaves_qty) == qty:
        end(memory, row, U(EXEC_CANCELED), U(REASON_SELF_MATCH_PREVENTION))
        return
    before = shown_qty(s, row)
    order.leaves_qty = U(order.leaves_qty) - qty
    order.order_qty = U(order.order_qty) - qty
    shown = min(before, U(order.leaves_qty))
    if order.level != 0:
        s.levels[order.level].qty -= before - shown
    if order.extra != 0:
        s.extras[order.extra].shown_qty = shown
    put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_SELF_MATCH_PREVENTION), qty)
