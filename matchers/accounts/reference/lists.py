"""Which rows of a frame make a list of orders; as the book has it in books.reference.lists."""

from typing import Final

from matchers.accounts.reference.state import Values
from matchers.rules.order_tables import AUCTION_ONLY, LEGS, STOP_TYPES, WORKING
from schemas.enums import CommandKind, ContingencyType, OrdType

_SAME: Final = ("list_id", "contingency_type", "instrument", "account")
_PAIRED: Final = STOP_TYPES | {OrdType.LIMIT}
_SECONDARY: Final = _PAIRED | {OrdType.MARKET}


def list_at(rows: list[Values], at: int) -> list[Values]:
    """The rows of the list that begins at row `at`; empty if there is no good list."""
    first = rows[at]
    wanted = LEGS.get(first["contingency_type"], 0)
    legs = rows[at : at + wanted]
    alike = all(row["kind"] == CommandKind.NEW_ORDER and all(row[name] == first[name] for name in _SAME) for row in legs)
    return legs if wanted and len(legs) == wanted and first["list_id"] and alike and _fits(legs) else []


def _fits(legs: list[Values]) -> bool:
    """Whether the orders make a list of their kind; as the book has it in books.reference.lists."""
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
