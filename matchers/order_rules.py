"""Which orders an account shard can hold funds for: one total table for its reference and its kernel. What books take is in order_tables.py."""

from typing import Final

import numpy as np

from schemas.enums import OrdType, TimeInForce
from schemas.reject_reasons import Reason

COMBINATIONS: Final[dict[tuple[OrdType, TimeInForce], Reason]] = {
    (OrdType.LIMIT, TimeInForce.DAY): Reason.NONE,
    (OrdType.LIMIT, TimeInForce.GTC): Reason.NONE,
    (OrdType.LIMIT, TimeInForce.IOC): Reason.NONE,
    (OrdType.MARKET, TimeInForce.DAY): Reason.NONE,
    (OrdType.MARKET, TimeInForce.GTC): Reason.INVALID_COMBINATION,  # it never rests, so there is nothing to carry over
    (OrdType.MARKET, TimeInForce.IOC): Reason.NONE,
}
"""NONE: goes together. Other order types and times in force are refused until the account shard knows what to hold for them."""

_ORD_TYPES: Final = {ord_type for ord_type, _ in COMBINATIONS}
_TIMES_IN_FORCE: Final = {time_in_force for _, time_in_force in COMBINATIONS}


def combination_reason(ord_type: int, time_in_force: int) -> Reason:
    """Why the pair is refused (any u1 values), or NONE; the order type is judged first."""
    if ord_type not in _ORD_TYPES:
        return Reason.INVALID_ORD_TYPE
    if time_in_force not in _TIMES_IN_FORCE:
        return Reason.INVALID_TIME_IN_FORCE
    return COMBINATIONS[OrdType(ord_type), TimeInForce(time_in_force)]


def _table() -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    table = np.full((256, 256), Reason.INVALID_ORD_TYPE, np.uint16)
    for ord_type in _ORD_TYPES:
        table[ord_type] = [combination_reason(ord_type, time_in_force) for time_in_force in range(256)]
    table.setflags(write=False)
    return table


COMBINATION_TABLE: Final = _table()
"""Reason of every (ord_type, time_in_force) that two u1 columns can hold; what combination_reason says, for the kernels."""
