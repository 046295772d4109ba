"""The canonical form of an account shard's state (see state_hash): what its 16-byte hash is over, whichever engine keeps it."""

from typing import Final

import numpy as np

from schemas.limits import CL_ORD_ID_MAX_BYTES

ACCOUNT_STATE: Final = np.dtype(
    [
        ("account", "<u8"), ("cash", "<i8"), ("cash_held", "<i8"), ("edges", "<u8"), ("status", "u1"), ("permissions", "u1"),
        ("order_minor_max", "<i8"), ("rate_interval_ns", "<i8"), ("rate_burst_ns", "<i8"), ("rate_until", "<i8"),
        ("last_update", "<u8"), ("sessions_until", "<i8"),
    ]
)  # fmt: skip
"""In the order in which the accounts were opened. edges: bit e = edge instance e is registered."""

POSITION_STATE: Final = np.dtype(
    [
        ("account", "<u8"), ("instrument", "<u4"), ("restricted", "u1"), ("position", "<i8"), ("position_held", "<i8"), ("position_cost", "<i8"),
        ("open_buys", "<i8"), ("open_shorts", "<i8"), ("lots_max", "<i8"),
    ]
)  # fmt: skip
"""In the order in which the positions came to be; one that has gone to zero stays."""

ORDER_STATE: Final = np.dtype(
    [
        ("order_id", "<u8"), ("body", "<u8"), ("account", "<u8"), ("instrument", "<u4"), ("side", "u1"), ("ord_type", "u1"), ("time_in_force", "u1"),
        ("ord_status", "u1"), ("cancel_pending", "u1"), ("replace_pending", "u1"), ("is_short", "u1"), ("is_active", "u1"), ("exec_inst", "u1"),
        ("contingency_type", "u1"), ("peg_price_type", "u1"), ("offset_type", "u1"), ("price", "<i8"), ("hold_per_lot", "<i8"),
        ("hold_max", "<i8"), ("order_qty", "<i8"), ("leaves_qty", "<i8"), ("cum_qty", "<i8"), ("cum_cost", "<i8"), ("submitted_at", "<i8"),
        ("stop_px", "<i8"), ("display_qty", "<i8"), ("offset", "<i8"), ("expire_time", "<i8"), ("list_id", "<u8"),
        ("oco_id", "<u8"), ("primary_id", "<u8"), ("next_qty", "<i8"), ("next_price", "<i8"), ("next_hold_per_lot", "<i8"),
        ("next_stop_px", "<i8"), ("next_display_qty", "<i8"), ("next_offset", "<i8"), ("next_expire_time", "<i8"), ("next_time_in_force", "u1"),
        ("next_exec_inst", "u1"), ("cl_ord_id", f"S{CL_ORD_ID_MAX_BYTES}"),
    ]
)  # fmt: skip
"""Open and done orders by order_id. next_*: what a replace that is under way asks for, else 0."""

UPDATE_STATE: Final = np.dtype([("account", "<u8"), ("request_id", "<u8"), ("body", "<u8")])
"""The account updates whose content is known, the one that is forgotten next first."""

REPLACED_ID_STATE: Final = np.dtype(
    [
        ("account", "<u8"), ("order_id", "<u8"), ("digest_low", "<u8"), ("digest_high", "<u8"), ("is_pending", "u1"),
        ("cl_ord_id", f"S{CL_ORD_ID_MAX_BYTES}"),
    ]
)  # fmt: skip
"""The ids that orders had before a replace, or (pending, with its text) would have after one; the one that is forgotten next first. Zeros: was refused."""

FACT_STATE: Final = np.dtype([("last_px", "<i8"), ("price_test_end", "<i8")])
"""By instrument number, 0 included: the last price of a trade of this shard's accounts; the first UTC day without the short sale price test."""
