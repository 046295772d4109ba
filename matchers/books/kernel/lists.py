"""Lists of orders in the book kernel: which rows of a frame make an OCO, OTO or bracket; the rules are said in rules.list_rules."""

from typing import Any

from matchers.books.kernel.layout import COMMANDS
from matchers.books.kernel.memory import ONE, ZERO, state_at
from matchers.compiled.compilation import routine
from matchers.compiled.hash_index import U
from matchers.compiled.list_checks import is_of_list, list_rows, orders_fit
from matchers.compiled.words import BOOK_NEW_ORDER


@routine
def list_length(memory: Any, at: Any) -> Any:
    """How many rows the list has that begins at row `at`, each with a number of its own; 0 if there is no good list."""
    s = state_at(memory)
    first = s.commands[at]
    length = U(list_rows(first.contingency_type))
    if length == ZERO or first.list_id == ZERO or at + length > s.call[COMMANDS]:
        return ZERO
    for place in range(ONE, length):
        leg = s.commands[at + place]
        if not is_of_list(leg, first, BOOK_NEW_ORDER):
            return ZERO
        for earlier in range(place):
            if s.commands[at + earlier].order_id == leg.order_id:
                return ZERO
    return length if orders_fit(first, s.commands[at + ONE], s.commands[at + U(2)]) else ZERO  # a third that is not there is not looked at
