"""Lists of orders: OCO, OTO and brackets: docs/rules.md, sections 2 to 4.

A list is consecutive NEW_ORDER rows of one frame with the same list_id, contingency_type, instrument and account: two rows, or three of a BRACKET. Rows that do
not make such a run, or whose orders do not fit together, are refused one by one with INVALID_LIST; if one order of a good run is refused, all are.
OCO: same side; each a limit order or a stop that can rest. OTO: any order that is not pegged and not for an auction, then one that waits for it. BRACKET:
an order, then the two that close its position, take-profit (limit) and stop-loss (a stop), on the other side and an OCO pair from the beginning.
"""

from typing import Final

from matchers.books.reference.state import Values
from matchers.rules.order_tables import AUCTION_ONLY, LEGS, STOP_TYPES, WORKING
from schemas.enums import BookCommandKind, ContingencyType, OrdType

_SAME: Final = ("list_id", "contingency_type", "instrument", "account")
_PAIRED: Final = STOP_TYPES | {OrdType.LIMIT}
_SECONDARY: Final = _PAIRED | {OrdType.MARKET}


def is_listed(command: Values) -> bool:
    """Whether a NEW_ORDER row says that it belongs to a list."""
    return bool(command["contingency_type"] or command["list_id"])


def list_at(rows: list[Values], at: int) -> list[Values]:
    """The rows of the list that begins at row `at`; empty if there is no good list."""
    first = rows[at]
    legs = rows[at : at + LEGS.get(first["contingency_type"], 0)]
    whole = len(legs) == LEGS.get(first["contingency_type"]) and bool(first["list_id"])
    alike = all(row["kind"] == BookCommandKind.NEW_ORDER and all(row[name] == first[name] for name in _SAME) for row in legs)
    distinct = len({row["order_id"] for row in legs}) == len(legs)
    return legs if whole and alike and distinct and _fits(legs) else []


def _fits(legs: list[Values]) -> bool:
    if legs[0]["contingency_type"] == ContingencyType.OCO:
        return legs[0]["side"] == legs[1]["side"] and all(_waits(leg, _PAIRED) for leg in legs)
    primary, *secondaries = legs
    if primary["ord_type"] == OrdType.PEGGED or primary["time_in_force"] in AUCTION_ONLY:
        return False
    if len(secondaries) == 1:
        return _waits(secondaries[0], _SECONDARY)
    take_profit, stop_loss = secondaries
    closing = take_profit["side"] == stop_loss["side"] != primary["side"]
    return closing and _waits(take_profit, frozenset({OrdType.LIMIT})) and _waits(stop_loss, STOP_TYPES)


def _waits(leg: Values, ord_types: frozenset[OrdType]) -> bool:
    return leg["ord_type"] in ord_types and leg["time_in_force"] in WORKING
