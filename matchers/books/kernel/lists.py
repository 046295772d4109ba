"""Lists of orders in the book kernel: which rows of a frame make an OCO, OTO or bracket. books.reference.lists by the same names; the rules are said there."""

from typing import Any, Final

import numpy as np

from matchers.books.kernel.layout import COMMANDS, LEGS_MAX
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.compiled.compilation import helper, routine
from matchers.compiled.hash_index import U
from matchers.compiled.words import (
    BOOK_NEW_ORDER,
    LIST_BRACKET,
    LIST_OCO,
    LIST_OTO,
    TIF_CLS,
    TIF_DAY,
    TIF_GTC,
    TIF_GTD,
    TIF_OPG,
    TYPE_LIMIT,
    TYPE_MARKET,
    TYPE_PEGGED,
    TYPE_STOP,
    TYPE_STOP_LIMIT,
    TYPE_TRAILING_STOP,
    TYPE_TRAILING_STOP_LIMIT,
)
from matchers.rules.order_tables import LEGS
from schemas.enums import ContingencyType

_STOPS: Final = 1 << TYPE_STOP | 1 << TYPE_STOP_LIMIT | 1 << TYPE_TRAILING_STOP | 1 << TYPE_TRAILING_STOP_LIMIT
_LIMIT: Final = 1 << TYPE_LIMIT
_PAIRED: Final = _STOPS | _LIMIT
_SECONDARY: Final = _PAIRED | 1 << TYPE_MARKET
_TYPES_END: Final = 62
assert {ContingencyType.OCO: 2, ContingencyType.OTO: 2, ContingencyType.BRACKET: LEGS_MAX} == LEGS, "list_length"
I: Final = np.int64


@helper
def is_listed(command: Any) -> Any:
    """Whether a NEW_ORDER row says that it belongs to a list."""
    return command.contingency_type != 0 or command.list_id != ZERO


@routine
def list_length(memory: Any, at: Any) -> Any:
    """How many rows the list has that begins at row `at`; 0 if there is no good list."""
    s = state_at(memory)
    first = s.commands[at]
    kind = first.contingency_type
    length = U(2) if kind == LIST_OCO or kind == LIST_OTO else U(3) if kind == LIST_BRACKET else ZERO
    if length == ZERO or first.list_id == ZERO or at + length > s.call[COMMANDS]:
        return ZERO
    for place in range(ONE, length):
        leg = s.commands[at + place]
        alike = leg.kind == BOOK_NEW_ORDER and leg.list_id == first.list_id and leg.contingency_type == kind
        if not alike or leg.instrument != first.instrument or leg.account != first.account:
            return ZERO
        for earlier in range(place):
            if s.commands[at + earlier].order_id == leg.order_id:
                return ZERO
    return length if _fits(s, at, kind) else ZERO


@helper
def _fits(s: Any, at: Any, kind: Any) -> Any:
    first, second, third = s.commands[at], s.commands[at + ONE], s.commands[at + U(2)]  # the third is only looked at where it is there
    if kind == LIST_OCO:
        return first.side == second.side and _waits(first, _PAIRED) and _waits(second, _PAIRED)
    if first.ord_type == TYPE_PEGGED or first.time_in_force == TIF_OPG or first.time_in_force == TIF_CLS:
        return False
    if kind == LIST_OTO:
        return _waits(second, _SECONDARY)
    return second.side == third.side and second.side != first.side and _waits(second, _LIMIT) and _waits(third, _STOPS)


@helper
def _waits(leg: Any, ord_types: Any) -> Any:
    time_in_force = leg.time_in_force
    working = time_in_force == TIF_DAY or time_in_force == TIF_GTC or time_in_force == TIF_GTD
    return working and leg.ord_type < _TYPES_END and (ord_types >> I(leg.ord_type)) & 1 != 0
