"""The book shard as kernels: the loop over a frame's commands, what goes the fast path and what the general one, and what a restore builds.

The rules are those of books.reference.shard. The loop takes commands by chunks: first it computes for each where its order_id is in the index and asks the
cache for it, then for the order rows found there, then it applies them one by one; so most of the time an order is there when its turn comes.
"""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.expiry import fill_dues
from matchers.books.kernel.fast import DONE, GO_ON, SETTLE, fast_command
from matchers.books.kernel.layout import (
    BOOK_ROW,
    BOOKS,
    BUCKETS,
    BUY_STOPS,
    COMMAND_INDEX,
    COMMANDS,
    EXECUTIONS,
    EXECUTIONS_SOON,
    LEVEL_ROW,
    LOG_TIME,
    NEXT_ROW,
    ORDER_ROW,
    ORDERS,
    ORDERS_USED,
    SIDE_ROW,
    SIDES,
    STOPPED,
    STOPPED_SOON,
    TAKEN,
)
from matchers.books.kernel.level_tree import tree_insert
from matchers.books.kernel.memory import ARRAYS, ONE, ZERO, address_at, state_at
from matchers.books.kernel.order_index import ROW_BITS, index_add_bucket, index_head, index_insert, index_needs_bucket
from matchers.books.kernel.orders import RESTING, place_of
from matchers.books.kernel.phases import timer
from matchers.books.kernel.queues import after_in, first_in, next_level
from matchers.books.kernel.requests import (
    cancel,
    go_on,
    instrument_update,
    mass_cancel,
    new_orders,
    phase_change,
    replace,
    set_collar,
    trade_bust,
)
from matchers.books.kernel.rows import BOOK_SHIFT, book_of, key_of, put_invalid
from matchers.books.kernel.settle import settle
from matchers.compiled.compilation import helper, kernel, routine
from matchers.compiled.hash_index import U
from matchers.compiled.prefetch import LINE, prefetch
from matchers.compiled.words import (
    BOOK_CANCEL,
    BOOK_INSTRUMENT_UPDATE,
    BOOK_MASS_CANCEL,
    BOOK_NEW_ORDER,
    BOOK_REPLACE,
    BOOK_TIMER,
    BOOK_TRADE_BUST,
    BOOK_TRADING_HALT,
    BOOK_TRADING_RESUME,
    BOOK_TRADING_SESSION_CHANGE,
)
from matchers.rules.outputs import BOOK_COMMAND_DTYPE

CHUNK: Final = 32
"""Commands looked ahead; more than the cache can fetch at once, few enough to stay in it."""
_CHUNK: Final = U(CHUNK)
_NAMES: Final = tuple(ARRAYS)
_INDEX_HEADS, _ORDERS, _COMMANDS = (_NAMES.index(name) for name in ("index_heads", "orders", "commands"))
_BOOKS, _SIDES, _LEVELS = (_NAMES.index(name) for name in ("books", "sides", "levels"))
_BOOK_BYTES, _LEVEL_BYTES = U(BOOK_ROW.itemsize), U(LEVEL_ROW.itemsize)
_INSTRUMENT_SHIFT: Final = U(32)
_MANY: Final = U(1 << 15)
"""Orders that do not fit into a core's own cache: 2 MB of rows."""
_COMMAND_BYTES: Final = U(BOOK_COMMAND_DTYPE.itemsize)
_ORDER_SHIFT: Final = U(6)
_HEAD_SHIFT: Final = U(2)
_ORDER_ID: Final = U(3)
_TIME: Final = U(6)
_STOPS_TOO: Final = U(BUY_STOPS)


@routine
def general_command(memory: Any) -> None:
    """The command at hand by the rules one by one."""
    s = state_at(memory)
    kind = s.commands[s.call[COMMAND_INDEX]].kind
    if kind == BOOK_NEW_ORDER:
        new_orders(memory)
    elif kind == BOOK_CANCEL:
        cancel(memory)
    elif kind == BOOK_REPLACE:
        replace(memory)
    elif kind == BOOK_TIMER:
        timer(memory)
    elif kind == BOOK_MASS_CANCEL:
        mass_cancel(memory)
    elif kind == BOOK_TRADING_SESSION_CHANGE or kind == BOOK_TRADING_HALT or kind == BOOK_TRADING_RESUME:
        phase_change(memory)
    elif kind == BOOK_TRADE_BUST:
        trade_bust(memory)
    elif kind == BOOK_INSTRUMENT_UPDATE:
        instrument_update(memory)
    else:
        put_invalid(memory)


@helper
def look_ahead(s: Any, memory: Any, places: Any, begin: Any, end: Any) -> None:
    """places[k] = index head of the order_id of command begin + k; heads and order rows are on their way into the cache."""
    heads, orders = address_at(memory, _INDEX_HEADS), address_at(memory, _ORDERS)
    later = address_at(memory, _COMMANDS) + (begin + _CHUNK) * _COMMAND_BYTES
    buckets = s.tree[BUCKETS]
    for i in range(begin, end):
        place = index_head(buckets, s.command_words[i, _ORDER_ID])
        places[i - begin] = place
        prefetch(heads + (place << _HEAD_SHIFT))
        prefetch(later)
        prefetch(later + LINE)
        later += _COMMAND_BYTES
    for i in range(begin, end):
        prefetch(orders + ((U(s.index_heads[places[i - begin]]) & ROW_BITS) << _ORDER_SHIFT))


@routine
def look_farther(memory: Any, begin: Any, end: Any) -> None:
    """What stands around the orders that look_ahead has found, and the books of new ones: worth it where these are too many for the cache."""
    s = state_at(memory)
    books, sides, levels, orders = (address_at(memory, U(_BOOKS)), address_at(memory, U(_SIDES)), address_at(memory, U(_LEVELS)), address_at(memory, U(_ORDERS)))  # fmt: skip
    for i in range(begin, end):
        row = U(s.index_heads[s.places[i - begin]]) & ROW_BITS
        book = book_of(s, s.command_words[i, ONE] >> _INSTRUMENT_SHIFT) - ONE
        if row != ZERO:
            order = s.orders[row]
            book = U(order.side_row) >> BOOK_SHIFT
            prefetch(levels + U(order.level) * _LEVEL_BYTES)
            prefetch(orders + (U(order.prev) << _ORDER_SHIFT))
            prefetch(orders + (U(order.next) << _ORDER_SHIFT))
        if book != ~ZERO:
            prefetch(books + book * _BOOK_BYTES)
            prefetch(sides + book * LINE)


@kernel
def apply_book_commands(memory: Any) -> None:
    """Apply commands call[NEXT_ROW] to call[COMMANDS]. Stops early with call[STOPPED] set, before the command that call[NEXT_ROW] says then."""
    s = state_at(memory)
    places = s.places
    at, i, end = s.call[EXECUTIONS], s.call[NEXT_ROW], s.call[COMMANDS]
    while i < end:
        begin, chunk_end, buckets = i, min(i + _CHUNK, end), s.tree[BUCKETS]
        look_ahead(s, memory, places, i, chunk_end)
        if s.head[ORDERS] > _MANY:
            look_farther(memory, i, chunk_end)
        while i < chunk_end:
            if at >= s.call[EXECUTIONS_SOON]:
                s.call[STOPPED] = STOPPED_SOON
                break
            if np.int64(s.command_words[i, _TIME]) > np.int64(s.head[LOG_TIME]):
                s.head[LOG_TIME] = s.command_words[i, _TIME]
            place = places[i - begin]
            if s.tree[BUCKETS] != buckets:
                place = index_head(s.tree[BUCKETS], s.command_words[i, _ORDER_ID])
            at, what, row = fast_command(s, i, at, place)
            if what != DONE:
                s.call[EXECUTIONS] = at
                s.call[COMMAND_INDEX] = i
                s.call[TAKEN] = ONE
                if what == GO_ON:
                    go_on(memory, row)
                elif what == SETTLE:
                    settle(memory, row)
                else:
                    general_command(memory)
                at = s.call[EXECUTIONS]
                i += s.call[TAKEN]
                if s.call[STOPPED] != ZERO:
                    break
            else:
                i += ONE
        if s.call[STOPPED] != ZERO:
            break
    s.call[EXECUTIONS] = at
    s.call[NEXT_ROW] = i


@kernel
def orders_in_priority(memory: Any, out: Any) -> Any:
    """Row of every resting order into out u64[n]: book, buys then sells, best price first, displayed before hidden. Gives how many there are."""
    s = state_at(memory)
    count = ZERO
    for side_row in range(s.call[BOOKS] << BOOK_SHIFT):
        if side_row & _STOPS_TOO != ZERO:
            continue
        level_row = U(s.sides[side_row].best)
        while level_row != ZERO:
            row = first_in(s, level_row)
            while row != ZERO:
                out[count] = row
                count += ONE
                row = after_in(s, level_row, row)
            level_row = next_level(s, side_row, level_row)
    return count


@kernel
def begin_books(memory: Any) -> None:
    """What limits may be, in all books."""
    s = state_at(memory)
    for book in range(s.call[BOOKS]):
        set_collar(s, book)


@kernel
def rebuild(memory: Any) -> None:
    """Fill the empty order index, the empty price trees and the empty heap of expiries from the pools."""
    s = state_at(memory)
    while index_needs_bucket(s):
        index_add_bucket(s)
    for row in range(ONE, s.head[ORDERS_USED]):
        order = s.orders[row]
        if order.order_id == ZERO:
            continue
        index_insert(s, index_head(s.tree[BUCKETS], order.order_id), row)
        level_row, side_row = U(order.level), U(order.side_row)
        if place_of(s, row) != RESTING:
            side_row += _STOPS_TOO  # or an idle queue, which hangs in no tree
        if order.prev == 0 and level_row != U(s.books[U(order.side_row) >> BOOK_SHIFT].idle) and first_in(s, level_row) == row:
            side, key = s.sides[side_row], key_of(side_row, U(s.levels[level_row].price))
            tree_insert(s, side, key, level_row)
            if key < U(side.best_key):
                side.best_key = key
                side.best = level_row
    fill_dues(s)


assert 1 << int(_ORDER_SHIFT) == ORDER_ROW.itemsize and SIDES * SIDE_ROW.itemsize == int(LINE)
