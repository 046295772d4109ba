"""The canonical form of a shard's state, and its 16-byte hash.

The hash is over what a shard *is*, not how it keeps it: reference, kernel, replay and restore must agree. Left out are log_time and the
counters of rows sent (seq, rpt_seq): a refused command moves these and nothing else, and that it moves nothing else is what the hash can show.
The counters of order_id, trd_match_id and entry are in: they move with accepted orders, trades and resting orders only.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from schemas.codec import Rows
from schemas.limits import CL_ORD_ID_MAX_BYTES

ACCOUNT_STATE: Final = np.dtype([("account", "<u8"), ("cash", "<i8"), ("cash_held", "<i8"), ("edges", "<u8")])
"""In the order in which the accounts were opened. edges: bit e = edge instance e is registered."""

POSITION_STATE: Final = np.dtype(
    [("account", "<u8"), ("instrument", "<u4"), ("position", "<i8"), ("position_held", "<i8"), ("position_cost", "<i8")]
)
"""In the order in which the positions came to be; one that has gone to zero stays."""

ORDER_STATE: Final = np.dtype(
    [
        ("order_id", "<u8"), ("account", "<u8"), ("instrument", "<u4"), ("side", "u1"), ("ord_type", "u1"), ("time_in_force", "u1"),
        ("ord_status", "u1"), ("cancel_pending", "u1"), ("price", "<i8"), ("hold_per_lot", "<i8"), ("order_qty", "<i8"), ("leaves_qty", "<i8"),
        ("cum_qty", "<i8"), ("cum_cost", "<i8"), ("submitted_at", "<i8"), ("cl_ord_id", f"S{CL_ORD_ID_MAX_BYTES}"),
    ]
)  # fmt: skip
"""Open and done orders by order_id."""

BOOK_STATE: Final = np.dtype([("instrument", "<u4"), ("phase", "u1")])
"""By instrument number."""

RESTING_STATE: Final = np.dtype(
    [
        ("order_id", "<u8"), ("account", "<u8"), ("entry", "<u8"), ("instrument", "<u4"), ("side", "u1"), ("ord_type", "u1"), ("time_in_force", "u1"),
        ("price", "<i8"), ("order_qty", "<i8"), ("leaves_qty", "<i8"),
    ]
)  # fmt: skip
"""By instrument number, buys then sells, best price first, then time priority."""


def hash_arrays(arrays: Mapping[str, Rows]) -> bytes:
    """16 bytes over names, types, lengths and contents of canonical arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.descr} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.digest()
