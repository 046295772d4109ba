"""How the account kernel keeps its state in memory. Row 0 of every pool is unused, so that 0 says "none" and zeroed memory is the empty state."""

from collections import namedtuple
from typing import Final

import numpy as np

ACCOUNT_ROW: Final = np.dtype(
    [
        ("account", "<u8"), ("cash", "<i8"), ("cash_held", "<i8"), ("edges", "<u8"),
        ("open_orders", "<i4"), ("first_order", "<i4"), ("last_order", "<i4"),  # open orders in the order of acceptance
        ("positions", "<i4"), ("first_position", "<i4"), ("last_position", "<i4"),
        ("order_minor_max", "<i8"), ("rate_interval_ns", "<i8"), ("rate_burst_ns", "<i8"), ("rate_until", "<i8"),
        ("last_update", "<u8"), ("sessions_until", "<i8"),
        ("status", "u1"), ("permissions", "u1"),
    ],
    align=True,
)  # fmt: skip
"""112 bytes."""

POSITION_ROW: Final = np.dtype(
    [
        ("position", "<i8"), ("position_held", "<i8"), ("position_cost", "<i8"), ("open_buys", "<i8"), ("open_shorts", "<i8"),
        ("lots_max", "<i8"), ("account_row", "<i4"), ("instrument", "<u4"), ("next", "<i4"), ("restricted", "u1"),
    ],
    align=True,
)  # fmt: skip
"""64 bytes."""

ORDER_ROW: Final = np.dtype(
    [
        ("order_id", "<u8"), ("digest_low", "<u8"), ("digest_high", "<u8"), ("body", "<u8"),
        ("price", "<i8"), ("hold_per_lot", "<i8"), ("cum_cost", "<i8"), ("submitted_at", "<i8"),
        ("order_qty", "<i4"), ("leaves_qty", "<i4"), ("cum_qty", "<i4"),  # ORDER_QTY_LOTS_MAX < 2^31
        ("account_row", "<i4"), ("position_row", "<i4"), ("instrument", "<u4"),
        ("prev", "<i4"), ("next", "<i4"),  # open: the account's list; done: next is the one done after it; free: the next free row
        ("side", "u1"), ("ord_type", "u1"), ("time_in_force", "u1"), ("ord_status", "u1"), ("cancel_pending", "u1"), ("replace_pending", "u1"),
        ("is_short", "u1"), ("is_active", "u1"), ("exec_inst", "u1"), ("contingency_type", "u1"), ("peg_price_type", "u1"), ("offset_type", "u1"),
        ("hold_max", "<i4"), ("oco", "<i4"), ("primary", "<i4"), ("secondary_1", "<i4"), ("secondary_2", "<i4"),  # order rows
        # what a plain order has none of
        ("stop_px", "<i8"), ("display_qty", "<i8"), ("offset", "<i8"), ("expire_time", "<i8"), ("list_id", "<u8"),
        ("next_price", "<i8"), ("next_hold_per_lot", "<i8"), ("next_stop_px", "<i8"), ("next_display_qty", "<i8"), ("next_offset", "<i8"),
        ("next_expire_time", "<i8"), ("next_qty", "<i4"), ("next_time_in_force", "u1"), ("next_exec_inst", "u1"),
        ("next_id", "<u2"),  # row of replaced_ids, 0: none is under way
    ],
    align=True,
)  # fmt: skip
"""224 bytes, the first 128 hot; its text is the same row of order_text, u64[rows, 16]. next_*: what a replace under way asks for."""

UPDATE_ROW: Final = np.dtype([("account", "<u8"), ("request_id", "<u8"), ("body", "<u8")])
REPLACED_ID_ROW: Final = np.dtype(
    [("order_id", "<u8"), ("digest_low", "<u8"), ("digest_high", "<u8"), ("account_row", "<i4"), ("is_pending", "u1")], align=True
)
"""Both are rings of as many rows as the limits say: the row behind the newest is the oldest. The text of a pending id is the same row of
replaced_id_text, u64[rows, 16]. A replaced id of order_id 0 was not granted."""

FACT_ROW: Final = np.dtype([("last_px", "<i8"), ("price_test_end", "<i8")])
"""By instrument number."""

# places in `head`, i64, which is part of the state
LOG_TIME, LAST_SEQ, LAST_ORDER_NUMBER, ACCOUNTS_USED, POSITIONS_USED, ORDERS_USED, FREE_ORDER, OPEN_ORDERS = range(8)
DONE_FIRST, DONE_LAST, DONE_COUNT, DONE_BEFORE_TODAY, FEES_MINOR, DAY = range(8, 14)
SHARD, SHARDS, ACCOUNTS_MAX, ORDERS_MAX, OPEN_PER_ACCOUNT_MAX, DONE_MAX = range(14, 20)
UPDATES_USED, UPDATES_AT, UPDATES_MAX, REPLACED_IDS_USED, REPLACED_IDS_AT, REPLACED_IDS_MAX = range(20, 26)
HEAD_LENGTH: Final = 26
"""*_USED: rows of the pool that were ever used, row 0 included. *_AT: the newest row of a ring. DAY: the UTC day of LOG_TIME."""

# places in `call`, i64: arguments and results of one call
NEXT_ROW, EVENTS, REPLIES, BOOK_COMMANDS, EVENT_WORDS, REPLY_WORDS, ASKING, NEED, NEED_ROWS, REFUSED = range(10)
EVENT_ORIG_WORDS, REPLY_ORIG_WORDS = range(10, 12)
CALL_LENGTH: Final = 12
"""REFUSED: reports that cannot be true, see account_rules.REPORT_FAULTS."""

# what a kernel that stops before a row is in need of
NEED_ACCOUNTS, NEED_POSITIONS, NEED_ORDERS, NEED_OUTPUTS = range(1, 5)

State = namedtuple(  # noqa: PYI024  numba takes only the plain kind
    "State",
    "head call accounts positions orders order_text account_index position_index order_index cl_ord_id_index rules facts order_table "
    "events event_text event_orig replies reply_text reply_orig reply_mask book_commands updates update_index replaced_ids replaced_id_text "
    "replaced_id_index",
)
"""All arrays of a call. The indexes are compiled.hash_index tables: account -> row, (account row, instrument) -> row, order_id -> row,
(account row, digest) -> order row, (request_id, account) -> row of updates, (account row, digest) -> row of replaced_ids. order_table: order_tables.ORDER_TABLE, flat."""
