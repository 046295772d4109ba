"""The arrays of the book kernel by their addresses, and the pools' free lists.

Kernels pass one number, the address of a table of addresses (`memory`), to functions that are not inlined, and make a State of it there: passing
arrays would copy eight words an array at every call. The caller of the kernel keeps the arrays alive.
"""

from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from matchers.books.kernel import layout
from matchers.books.kernel.layout import (
    EXTRAS,
    EXTRAS_USED,
    FREE_EXTRA,
    FREE_LEVEL,
    FREE_ORDER,
    LEVELS,
    LEVELS_USED,
    ORDERS,
    ORDERS_USED,
    State,
)
from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U
from matchers.rules.band_rules import WINDOW_SECONDS
from matchers.rules.outputs import BOOK_COMMAND_DTYPE
from schemas.instruments import RULES_DTYPE

ZERO: Final = U(0)
ONE: Final = U(1)

_U8: Final = np.dtype(np.uint64)
_U4: Final = np.dtype(np.uint32)
_U2: Final = np.dtype(np.uint16)
_U1: Final = np.dtype(np.uint8)

ARRAYS: Final[dict[str, tuple[np.dtype[Any], int]]] = {
    "head": (_U8, 0), "tree": (_U8, 0), "call": (_U8, 0), "places": (_U8, 0),
    "books": (layout.BOOK_ROW, 0), "sides": (layout.SIDE_ROW, 0), "levels": (layout.LEVEL_ROW, 0), "orders": (layout.ORDER_ROW, 0),
    "extras": (layout.EXTRA_ROW, 0), "node_bits": (_U8, 0), "node_parent": (_U4, 0), "node_child": (_U4, 64), "index_heads": (_U4, 0),
    "queue": (_U4, 0), "book_of": (_U4, 0), "rules": (RULES_DTYPE, 0), "order_table": (_U2, 0), "phase_table": (_U2, 0),
    "executions": (_U8, layout.ROW_WORDS), "commands": (BOOK_COMMAND_DTYPE, 0), "command_words": (_U8, layout.ROW_WORDS),
    "order_words": (_U8, layout.ORDER_WORDS), "change_table": (_U2, 0), "reasons": (_U1, 0), "dues": (layout.DUE_ROW, 0), "busted": (_U8, 0),
    "seconds": (layout.SECOND_ROW, WINDOW_SECONDS), "terms": (layout.TERMS_ROW, 0),
}  # fmt: skip
"""dtype and second dimension (0: none) of each array of a State, in its order."""
VIEWS: Final = {"order_words": "orders", "command_words": "commands"}
"""Other views of the same memory."""
assert tuple(ARRAYS) == State._fields, "one address an array"


def _pointer(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return numba.types.voidptr(numba.types.uint64), generate


_pointer_to: Any = intrinsic(_pointer)


_carray: Any = vars(numba)["carray"]  # typed for the interpreter only
_LONG: Final = 1 << 40  # kernels test no bounds
_BOOK, _SIDE, _LEVEL, _ORDER, _EXTRA = layout.BOOK_ROW, layout.SIDE_ROW, layout.LEVEL_ROW, layout.ORDER_ROW, layout.EXTRA_ROW
_RULES, _COMMAND = RULES_DTYPE, BOOK_COMMAND_DTYPE
_DUE, _SECOND, _TERMS = layout.DUE_ROW, layout.SECOND_ROW, layout.TERMS_ROW
_WORD, _NUMBER, _SHORT, _BYTE = numba.uint64, numba.uint32, numba.uint16, numba.uint8
_SECONDS: Final = WINDOW_SECONDS
_ROW_WORDS: Final = layout.ROW_WORDS
_ORDER_WORDS: Final = layout.ORDER_WORDS


@helper
def state_at(memory: Any) -> Any:
    """The State whose arrays' addresses are at this address, in the order of ARRAYS."""
    table = _carray(_pointer_to(memory), (32,), _WORD)
    return State(
        _carray(_pointer_to(table[0]), (_LONG,), _WORD),
        _carray(_pointer_to(table[1]), (_LONG,), _WORD),
        _carray(_pointer_to(table[2]), (_LONG,), _WORD),
        _carray(_pointer_to(table[3]), (_LONG,), _WORD),
        _carray(_pointer_to(table[4]), (_LONG,), _BOOK),
        _carray(_pointer_to(table[5]), (_LONG,), _SIDE),
        _carray(_pointer_to(table[6]), (_LONG,), _LEVEL),
        _carray(_pointer_to(table[7]), (_LONG,), _ORDER),
        _carray(_pointer_to(table[8]), (_LONG,), _EXTRA),
        _carray(_pointer_to(table[9]), (_LONG,), _WORD),
        _carray(_pointer_to(table[10]), (_LONG,), _NUMBER),
        _carray(_pointer_to(table[11]), (_LONG, 64), _NUMBER),
        _carray(_pointer_to(table[12]), (_LONG,), _NUMBER),
        _carray(_pointer_to(table[13]), (_LONG,), _NUMBER),
        _carray(_pointer_to(table[14]), (_LONG,), _NUMBER),
        _carray(_pointer_to(table[15]), (_LONG,), _RULES),
        _carray(_pointer_to(table[16]), (_LONG,), _SHORT),
        _carray(_pointer_to(table[17]), (_LONG,), _SHORT),
        _carray(_pointer_to(table[18]), (_LONG, _ROW_WORDS), _WORD),
        _carray(_pointer_to(table[19]), (_LONG,), _COMMAND),
        _carray(_pointer_to(table[20]), (_LONG, _ROW_WORDS), _WORD),
        _carray(_pointer_to(table[21]), (_LONG, _ORDER_WORDS), _WORD),
        _carray(_pointer_to(table[22]), (_LONG,), _SHORT),
        _carray(_pointer_to(table[23]), (_LONG,), _BYTE),
        _carray(_pointer_to(table[24]), (_LONG,), _DUE),
        _carray(_pointer_to(table[25]), (_LONG,), _WORD),
        _carray(_pointer_to(table[26]), (_LONG, _SECONDS), _SECOND),
        _carray(_pointer_to(table[27]), (_LONG,), _TERMS),
    )


@helper
def address_at(memory: Any, number: Any) -> Any:
    """Address of one of the ARRAYS."""
    return _carray(_pointer_to(memory), (32,), _WORD)[number]


@helper
def take_order(s: Any) -> Any:
    """A free order row; its fields are what its last order left."""
    row = s.head[FREE_ORDER]
    if row != ZERO:
        s.head[FREE_ORDER] = U(s.orders[row].next)
    else:
        row = s.head[ORDERS_USED]
        s.head[ORDERS_USED] = row + ONE
    s.head[ORDERS] += ONE
    return row


@helper
def give_order(s: Any, row: Any) -> None:
    """An order row is free again. order_id 0 marks it."""
    order = s.orders[row]
    order.order_id = ZERO
    order.next = s.head[FREE_ORDER]
    s.head[FREE_ORDER] = row
    s.head[ORDERS] -= ONE


@helper
def take_extra(s: Any) -> Any:
    """A free extra row, not cleared."""
    row = s.head[FREE_EXTRA]
    if row != ZERO:
        s.head[FREE_EXTRA] = U(s.extras[row].next)
    else:
        row = s.head[EXTRAS_USED]
        s.head[EXTRAS_USED] = row + ONE
    s.head[EXTRAS] += ONE
    return row


@helper
def give_extra(s: Any, row: Any) -> None:
    """An extra row is free again."""
    s.extras[row].next = s.head[FREE_EXTRA]
    s.head[FREE_EXTRA] = row
    s.head[EXTRAS] -= ONE


@helper
def take_level(s: Any) -> Any:
    """A free level row; the caller sets all of its fields."""
    row = s.head[FREE_LEVEL]
    if row != ZERO:
        s.head[FREE_LEVEL] = U(s.levels[row].first)
    else:
        row = s.head[LEVELS_USED]
        s.head[LEVELS_USED] = row + ONE
    s.head[LEVELS] += ONE
    return row


@helper
def give_level(s: Any, row: Any) -> None:
    """A level row is free again; node 0 and order_count 0 mark it."""
    level = s.levels[row]
    level.first = s.head[FREE_LEVEL]
    level.node = 0
    s.head[FREE_LEVEL] = row
    s.head[LEVELS] -= ONE
