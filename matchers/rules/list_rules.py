"""Lists of orders: OCO, OTO and brackets: docs/rules.md, sections 2 to 4.

A list is consecutive NEW_ORDER rows of one frame with the same list_id, contingency_type, instrument and account: as many rows as LIST_ROWS says. Rows that do
not make such a run, or whose orders do not fit together, are refused one by one with INVALID_LIST; if one order of a good run is refused, all are.
OCO: same side; each a limit order or a stop that can rest. OTO: any order that is not pegged and not for an auction, then one that waits for it. BRACKET:
an order, then the two that close its position, take-profit (limit) and stop-loss (a stop), on the other side and an OCO pair from the beginning.
In compiled code: matchers.compiled.list_checks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matchers.rules.order_tables import STOP_TYPES
from schemas.enums import ContingencyType, OrdType
from schemas.field_rules import AUCTION_ONLY, LIST_ROWS, WORKING

Values = Mapping[str, Any]
_SAME: Final = ("list_id", "contingency_type", "instrument", "account")
PAIRED: Final = STOP_TYPES | {OrdType.LIMIT}
"""Types that may be one of an OCO pair."""
SECONDARY: Final = PAIRED | {OrdType.MARKET}
"""Types that may wait for the first order of an OTO list."""


def is_listed(command: Values) -> bool:
    """Whether a NEW_ORDER row says that it belongs to a list."""
    return bool(command["contingency_type"] or command["list_id"])


def list_rows_at(rows: Sequence[Values], at: int, new_order: int) -> int:
    """How many rows the list has that begins at row `at`; 0 if there is no good list. `new_order`: the kind of row that orders are."""
    first = rows[at]
    legs = rows[at : at + LIST_ROWS.get(first["contingency_type"], 0)]
    whole = bool(legs) and len(legs) == LIST_ROWS[first["contingency_type"]] and bool(first["list_id"])
    alike = all(row["kind"] == new_order and all(row[name] == first[name] for name in _SAME) for row in legs)
    return len(legs) if whole and alike and _fits(legs) else 0


def _fits(legs: Sequence[Values]) -> bool:
    """Whether the orders make a list of their kind."""
    if legs[0]["contingency_type"] == ContingencyType.OCO:
        return legs[0]["side"] == legs[1]["side"] and all(_waits(leg, PAIRED) for leg in legs)
    primary, *secondaries = legs
    if primary["ord_type"] == OrdType.PEGGED or primary["time_in_force"] in AUCTION_ONLY:
        return False
    if len(secondaries) == 1:
        return _waits(secondaries[0], SECONDARY)
    take_profit, stop_loss = secondaries
    closing = take_profit["side"] == stop_loss["side"] != primary["side"]
    return closing and _waits(take_profit, frozenset({OrdType.LIMIT})) and _waits(stop_loss, STOP_TYPES)


def _waits(leg: Values, ord_types: frozenset[OrdType]) -> bool:
    return leg["ord_type"] in ord_types and leg["time_in_force"] in WORKING
