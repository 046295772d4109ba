"""Self-match prevention in the book kernel: what happens where an order meets one of the same self_match_prevention_id."""

from typing import Any

from matchers.kernel_book_memory import ZERO, state_at
from matchers.kernel_book_orders import end
from matchers.kernel_book_rows import put_order_row
from matchers.kernel_compile import helper, routine
from matchers.kernel_hash_index import U
from matchers.kernel_words import (
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
    mine, other = U(s.orders[row].extra), U(s.orders[resting_row].extra)
    own = False
    if mine != ZERO and other != ZERO:
        identity = s.extras[mine].self_match_prevention_id
        own = identity != ZERO and identity == s.extras[other].self_match_prevention_id
    return own


@helper
def is_prevented(s: Any, row: Any, resting_row: Any) -> Any:
    """Whether the two must not trade with each other."""
    return is_own(s, row, resting_row) and instruction_of(s, row) != PREVENTION_NONE


@helper
def instruction_of(s: Any, row: Any) -> Any:
    """self_match_prevention_instruction of an order with an `extra` row."""
    return s.extras[s.orders[row].extra].self_match_prevention_instruction


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
    order.leaves_qty = U(order.leaves_qty) - qty
    order.order_qty = U(order.order_qty) - qty
    extra = s.extras[order.extra]
    shown = min(U(extra.shown_qty), U(order.leaves_qty))
    if order.level != 0:
        s.levels[order.level].qty -= U(extra.shown_qty) - shown
    extra.shown_qty = shown
    put_order_row(memory, row, U(EXEC_RESTATED), U(REASON_SELF_MATCH_PREVENTION), qty)
