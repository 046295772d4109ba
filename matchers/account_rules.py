"""Arithmetic and text rules of the account shard that both engines state alike."""

from typing import Final

from schemas.limits import CASH_MINOR_MAX, CL_ORD_ID_MAX_BYTES

POSITION_COST_MAX: Final = CASH_MINOR_MAX
"""position_cost stays at this amount instead of growing beyond it; it is information, no money is counted by it."""


def is_valid_cl_ord_id(cl_ord_id: bytes) -> bool:
    """1 to 128 printable ASCII characters (space to tilde)."""
    return 1 <= len(cl_ord_id) <= CL_ORD_ID_MAX_BYTES and all(0x20 <= byte <= 0x7E for byte in cl_ord_id)


def cost_added(position_cost: int, lots: int, minor_per_lot: int) -> int:
    """position_cost after `lots` more at `minor_per_lot` each, at most POSITION_COST_MAX."""
    return min(position_cost + lots * minor_per_lot, POSITION_COST_MAX)


def cost_removed(position_cost: int, lots: int, position: int) -> int:
    """position_cost after `lots` of `position` are gone: each lot takes the average cost with it, rounded down in sum."""
    return position_cost - position_cost * lots // position
