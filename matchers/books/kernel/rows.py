"""Execution rows of the book kernel. A row is written as ROW_WORDS whole words, every one each time: buffers are used again and again.

Columns side, ord_type and time_in_force are at the same bytes of an execution, a command and an order, so that one word is copied for the three.
"""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.layout import (
    BUYS,
    COMMAND_INDEX,
    EXECUTIONS,
    EXECUTIONS_MAX,
    HIDDEN,
    LOG_TIME,
    NUMBER_MAX,
    ORDER_ROW,
    SELLS,
    SIDES,
    STOPPED,
    STOPPED_NO_ROOM,
    TOP_BUY_PX,
    TOP_BUY_QTY,
    TOP_SELL_PX,
    TOP_SELL_QTY,
    WITH_LEVELS,
)
from matchers.books.kernel.level_tree import tree_after
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    EXEC_CANCEL_REJECTED,
    EXEC_LEVEL,
    EXEC_REJECTED,
    EXEC_TOP,
    REASON_INVALID_COMMAND,
    TIF_FOK,
    TIF_IOC,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_PEGGED,
)
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, EXECUTION_DTYPE
from matchers.state.canonical_hash import Place
from schemas.limits import PRICE_TICKS_MAX

_WORD_OF_COLUMN: Final = {
    "kind": 0, "instrument": 1, "command_index": 2, "rpt_seq": 3, "order_id": 4, "account": 5, "contra_order_id": 6, "contra_account": 7,
    "trd_match_id": 8, "price": 9, "qty": 10, "leaves_qty": 11, "contra_leaves_qty": 12, "display_qty": 13, "transact_time": 14,
}  # fmt: skip
for _column, _word in _WORD_OF_COLUMN.items():
    assert EXECUTION_DTYPE.fields is not None and EXECUTION_DTYPE.fields[_column][1] == 8 * _word, f"{_column} is not word {_word}"
for _dtype in (BOOK_COMMAND_DTYPE, ORDER_ROW, EXECUTION_DTYPE):
    assert _dtype.fields is not None and [_dtype.fields[name][1] for name in ("side", "ord_type", "time_in_force")] == [1, 2, 3]
assert (
    EXECUTION_DTYPE.fields is not None
    and EXECUTION_DTYPE.fields["phase"][1] == 4
    and EXECUTION_DTYPE.fields["flags"][1] == 5
    and EXECUTION_DTYPE.fields["reason"][1] == 6
)

THREE_COLUMNS: Final = U(0xFFFF_FF00)
"""Bits of side, ord_type and time_in_force in the first word of an execution, a command or an order."""
SIDE_SHIFT: Final = U(8)
PHASE_SHIFT: Final = U(32)
FLAGS_SHIFT: Final = U(40)
REASON_SHIFT: Final = U(48)
COUNT_SHIFT: Final = U(32)
"""Of order_count in the word of the instrument."""
BOOK_SHIFT: Final = U(2)
"""Of a book's number in that of its sides."""
assert SIDES == 4, "BOOK_SHIFT"
_SIDE_BITS: Final = U(0xFF00)
_NOWHERE, _RESTING, _CLOSING = int(Place.NOWHERE), int(Place.RESTING), int(Place.CLOSING)
MARKET_BUY_PX: Final = U(PRICE_TICKS_MAX + 1)
"""Price of the level where market buys wait; that of sells is 0."""


@helper
def write_row(
    s: Any, at: Any, head: Any, instrument: Any, command_index: Any, rpt_seq: Any, order_id: Any, account: Any, contra_order_id: Any,
    contra_account: Any, trd_match_id: Any, price: Any, qty: Any, leaves_qty: Any, contra_leaves_qty: Any, display_qty: Any, transact_time: Any,
) -> None:  # fmt: skip
    """Row `at` of the call's executions. head: kind | THREE_COLUMNS | phase | flags | reason; instrument: with order_count above it. All u64."""
    rows = s.executions
    rows[at, U(0)] = head
    rows[at, U(1)] = instrument
    rows[at, U(2)] = command_index
    rows[at, U(3)] = rpt_seq
    rows[at, U(4)] = order_id
    rows[at, U(5)] = account
    rows[at, U(6)] = contra_order_id
    rows[at, U(7)] = contra_account
    rows[at, U(8)] = trd_match_id
    rows[at, U(9)] = price
    rows[at, U(10)] = qty
    rows[at, U(11)] = leaves_qty
    rows[at, U(12)] = contra_leaves_qty
    rows[at, U(13)] = display_qty
    rows[at, U(14)] = transact_time


@helper
def _take_row(s: Any) -> Any:
    """Number of the next row. Beyond EXECUTIONS_MAX the last one is written again and again; the call fails then."""
    at = s.call[EXECUTIONS]
    if at >= s.call[EXECUTIONS_MAX]:
        s.call[STOPPED] = STOPPED_NO_ROOM
        return at - ONE
    s.call[EXECUTIONS] = at + ONE
    return at


@helper
def next_row(s: Any, book: Any) -> Any:
    """(row, rpt_seq) of the next row about a book, outside the fast path."""
    at = _take_row(s)
    rpt_seq = s.books[book].rpt_seq + ONE
    s.books[book].rpt_seq = rpt_seq
    return at, rpt_seq


@routine
def put_row(
    memory: Any, book: Any, head: Any, count: Any, order_id: Any, account: Any, price: Any, qty: Any, leaves_qty: Any, display_qty: Any
) -> None:
    """A row about a book that is no TRADE; count: order_count."""
    s = state_at(memory)
    at, rpt_seq = next_row(s, book)
    write_row(
        s, at, head, U(s.books[book].instrument) | (count << COUNT_SHIFT), s.call[COMMAND_INDEX], rpt_seq, order_id, account, ZERO, ZERO, ZERO,
        price, qty, leaves_qty, ZERO, display_qty, s.head[LOG_TIME],
    )  # fmt: skip


@helper
def shown_qty(s: Any, row: Any) -> Any:
    """What its level displays of an order, lots: all of a plain order that stands in a level."""
    order = s.orders[row]
    shown = U(order.leaves_qty) if order.level != 0 else ZERO
    if order.extra != 0:
        shown = U(s.extras[order.extra].shown_qty)
    return shown


@helper
def displayed_qty(s: Any, row: Any) -> Any:
    """books.reference.book.Order.displayed_qty: what a row about the order says that the market sees of it."""
    order = s.orders[row]
    qty = U(order.leaves_qty)
    place: Any = _RESTING if order.level != 0 else _NOWHERE
    if order.extra != 0:
        extra = s.extras[order.extra]
        place = np.int64(extra.place)
        qty = U(extra.shown_qty) if place == _RESTING else tranche(s, row)
    limited = (order.ord_type == TYPE_LIMIT or order.ord_type == TYPE_PEGGED) and order.price != 0
    immediate = order.time_in_force == TIF_IOC or order.time_in_force == TIF_FOK
    seen = place == _RESTING or place == _NOWHERE or place == _CLOSING
    return qty if limited and seen and not immediate else ZERO


@helper
def tranche(s: Any, row: Any) -> Any:
    """What an order with an `extra` row displays when it comes to rest: display_qty, or all that is left if that is less."""
    order = s.orders[row]
    shown = U(order.leaves_qty)
    display_qty = U(s.extras[order.extra].display_qty)
    if display_qty != ZERO and display_qty < shown:
        shown = display_qty
    if U(order.special) & U(HIDDEN) != ZERO:
        shown = ZERO
    return shown


@routine
def put_order_row(memory: Any, row: Any, kind: Any, reason: Any, qty: Any) -> None:
    """A row about a live order, as it is now."""
    s = state_at(memory)
    order = s.orders[row]
    head = (s.order_words[row, ZERO] & THREE_COLUMNS) | kind | (reason << REASON_SHIFT)
    put_row(
        memory, U(order.side_row) >> BOOK_SHIFT, head, ZERO, order.order_id, order.account, U(order.price), qty, U(order.leaves_qty),
        displayed_qty(s, row),
    )  # fmt: skip


@routine
def put_command_row(memory: Any, kind: Any, reason: Any) -> None:
    """The order, cancel or replace at hand is refused: a row with its instrument, be it of this shard or not. CANCEL_REJECTED has fewer columns than REJECTED."""
    s = state_at(memory)
    row = s.call[COMMAND_INDEX]
    command = s.commands[row]
    at, rpt_seq = _next_row_of(s, U(command.instrument))
    columns, price, qty = s.command_words[row, ZERO] & THREE_COLUMNS, U(command.price), U(command.order_qty)
    if kind == U(EXEC_CANCEL_REJECTED):
        columns, price, qty = columns & _SIDE_BITS, ZERO, ZERO
    write_row(
        s, at, columns | kind | (reason << REASON_SHIFT), U(command.instrument), row, rpt_seq, command.order_id, command.account, ZERO, ZERO, ZERO,
        price, qty, ZERO, ZERO, ZERO, s.head[LOG_TIME],
    )  # fmt: skip


@routine
def put_refused(memory: Any, instrument: Any, reason: Any) -> None:
    """A command about no single order is refused."""
    s = state_at(memory)
    at, rpt_seq = _next_row_of(s, instrument)
    write_row(
        s, at, U(EXEC_REJECTED) | (reason << REASON_SHIFT), instrument, s.call[COMMAND_INDEX], rpt_seq, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO,
        ZERO, ZERO, ZERO, s.head[LOG_TIME],
    )  # fmt: skip


@helper
def _next_row_of(s: Any, instrument: Any) -> Any:
    """next_row of an instrument that may be none of this shard: then rpt_seq is 0."""
    book = book_of(s, instrument)
    if book != ZERO:
        return next_row(s, book - ONE)
    return _take_row(s), ZERO


@routine
def put_shard_row(memory: Any, head: Any) -> None:
    """A row about no instrument."""
    s = state_at(memory)
    at = _take_row(s)
    write_row(
        s, at, head, ZERO, s.call[COMMAND_INDEX], ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, s.head[LOG_TIME]
    )  # fmt: skip


@routine
def put_invalid(memory: Any) -> None:
    """A row that is no command."""
    put_shard_row(memory, U(EXEC_REJECTED) | (U(REASON_INVALID_COMMAND) << REASON_SHIFT))


@helper
def book_of(s: Any, instrument: Any) -> Any:
    """Book of an instrument number, plus 1; 0: none of this shard."""
    return U(s.book_of[instrument]) if instrument <= s.call[NUMBER_MAX] else ZERO


@routine
def put_level_row(memory: Any, side_row: Any, price: Any, qty: Any, count: Any) -> None:
    """The LEVEL row of a price that displays something else than before; price 0: there is nothing to tell."""
    s = state_at(memory)
    if price != ZERO and s.call[WITH_LEVELS] != ZERO:
        side = (side_row & ONE) + ONE
        put_row(memory, side_row >> BOOK_SHIFT, U(EXEC_LEVEL) | (side << SIDE_SHIFT), count, ZERO, ZERO, price, qty, ZERO, ZERO)


@helper
def best_shown(s: Any, side_row: Any) -> Any:
    """Level row of the best displayed limit price, 0 if nothing is displayed."""
    side = s.sides[side_row]
    level = U(side.best)
    while level != ZERO and (s.levels[level].order_count == 0 or _is_market(s, level)):
        level = tree_after(s, U(s.levels[level].node), key_of(side_row, U(s.levels[level].price)))
    return level


@helper
def _is_market(s: Any, level: Any) -> Any:
    return is_market_px(U(s.levels[level].price))


@helper
def is_market_px(price: Any) -> Any:
    """Whether a level is that of market orders: it has no LEVEL rows."""
    return price == ZERO or price == MARKET_BUY_PX


@helper
def key_of(side_row: Any, price: Any) -> Any:
    """The price as the price tree of a side orders it, and back again. Lowest first: sells and buy stops; else the 32-bit complement."""
    lowest_first = ((side_row + ONE) >> ONE) & ONE
    return price ^ ((lowest_first - ONE) & U(0xFFFF_FFFF))


assert (BUYS, SELLS) == (0, 1), "key_of"


@routine
def note_tops(memory: Any, book: Any) -> None:
    """Remember the best displayed levels of a book, before a command does anything."""
    s = state_at(memory)
    if s.call[WITH_LEVELS] != ZERO:
        buys, sells = best_shown(s, book << BOOK_SHIFT), best_shown(s, (book << BOOK_SHIFT) + ONE)
        s.call[TOP_BUY_PX], s.call[TOP_BUY_QTY] = U(s.levels[buys].price), s.levels[buys].qty
        s.call[TOP_SELL_PX], s.call[TOP_SELL_QTY] = U(s.levels[sells].price), s.levels[sells].qty


@routine
def put_top_rows(memory: Any, book: Any) -> None:
    """TOP rows of the sides whose best displayed price or quantity is not as note_tops found it. Level row 0 is all zeros: the empty side's."""
    s = state_at(memory)
    if s.call[WITH_LEVELS] == ZERO:
        return
    side = ZERO
    while side <= ONE:
        level = s.levels[best_shown(s, (book << BOOK_SHIFT) + side)]
        if U(level.price) != s.call[U(TOP_BUY_PX) + side + side] or level.qty != s.call[U(TOP_BUY_QTY) + side + side]:
            head = U(EXEC_TOP) | ((side + ONE) << SIDE_SHIFT)
            put_row(memory, book, head, U(level.order_count), ZERO, ZERO, U(level.price), level.qty, ZERO, ZERO)
        side += ONE


assert (TOP_BUY_QTY, TOP_SELL_PX, TOP_SELL_QTY) == (TOP_BUY_PX + 1, TOP_BUY_PX + 2, TOP_BUY_PX + 3) and TYPE_MARKET == 1
