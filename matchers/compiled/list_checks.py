"""Which rows make a list of orders: matchers.rules.list_rules, compiled, for both kernels."""

from typing import Any, Final

from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U
from matchers.compiled.order_checks import BITS_END, I64, STOPS, WORKING_TIMES, bits_of, is_one_of
from matchers.compiled.words import LIST_BRACKET, LIST_OCO, LIST_OTO, TYPE_LIMIT, TYPE_PEGGED
from matchers.rules.list_rules import PAIRED, SECONDARY
from schemas.enums import ContingencyType
from schemas.field_rules import AUCTION_ONLY, LIST_ROWS

_ZERO: Final = U(0)
_LIMIT: Final = 1 << TYPE_LIMIT
_PAIRED: Final = bits_of(PAIRED)
_SECONDARY: Final = bits_of(SECONDARY)
_AUCTION_ONLY: Final = bits_of(AUCTION_ONLY)
_OCO_ROWS, _OTO_ROWS, _BRACKET_ROWS = (LIST_ROWS[kind] for kind in (ContingencyType.OCO, ContingencyType.OTO, ContingencyType.BRACKET))
assert (_OCO_ROWS, _OTO_ROWS, _BRACKET_ROWS) == (2, 2, 3) and len(LIST_ROWS) == 3, "orders_fit knows them one by one"


@helper
def list_rows(kind: Any) -> Any:
    """field_rules.LIST_ROWS; 0: there is no such kind of list."""
    return _OCO_ROWS if kind == LIST_OCO else _OTO_ROWS if kind == LIST_OTO else _BRACKET_ROWS if kind == LIST_BRACKET else 0


@helper
def is_listed(command: Any) -> Any:
    """Whether a NEW_ORDER row says that it belongs to a list."""
    return command.contingency_type != 0 or command.list_id != _ZERO


@helper
def is_of_list(leg: Any, first: Any, new_order: Any) -> Any:
    """Whether a row is an order (`new_order`: the kind of row that orders are) of the same list as the first."""
    alike = leg.kind == new_order and leg.list_id == first.list_id and leg.contingency_type == first.contingency_type
    return alike and leg.instrument == first.instrument and leg.account == first.account


@helper
def orders_fit(first: Any, second: Any, third: Any) -> Any:
    """Whether the orders make a list of their kind; the third is only looked at of a BRACKET."""
    if first.contingency_type == LIST_OCO:
        return first.side == second.side and _waits(first, _PAIRED) and _waits(second, _PAIRED)
    if first.ord_type == TYPE_PEGGED or (first.time_in_force < BITS_END and is_one_of(I64(first.time_in_force), _AUCTION_ONLY)):
        return False
    if first.contingency_type == LIST_OTO:
        return _waits(second, _SECONDARY)
    return second.side == third.side and second.side != first.side and _waits(second, _LIMIT) and _waits(third, STOPS)


@helper
def _waits(leg: Any, ord_types: Any) -> Any:
    known = leg.ord_type < BITS_END and leg.time_in_force < BITS_END
    return known and is_one_of(I64(leg.ord_type), ord_types) and is_one_of(I64(leg.time_in_force), WORKING_TIMES)
