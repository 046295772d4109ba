"""How the book kernel keeps its state in memory. Row 0 of every pool is unused, so that 0 says "none" and zeroed memory is the empty state."""

from collections import namedtuple
from typing import Final

import numpy as np

BOOK_ROW: Final = np.dtype(
    [("rpt_seq", "<i8"), ("last_px", "<i8"), ("peg_bid", "<i8"), ("qty_min", "<i8"), ("qty_max", "<i8"), ("instrument", "<u4"), ("phase", "u1"),
     ("plain", "u1")],
    align=True,
)  # fmt: skip
"""Books in the order of their instrument numbers. plain: no collar, no price bands, first in first out."""

SIDE_ROW: Final = np.dtype([("best", "<i4"), ("root", "<i4"), ("orders", "<i4")], align=True)
"""Row 2 * book: buys, 2 * book + 1: sells. best: level row; root: node of the price tree, always there."""

LEVEL_ROW: Final = np.dtype(
    [
        ("price", "<i8"), ("qty", "<i8"), ("order_count", "<i4"), ("first", "<i4"), ("last", "<i4"),  # orders in time priority
        ("better", "<i4"), ("worse", "<i4"),  # neighbours on the side; a free row's next free row is in worse
        ("side_row", "<i4"),
    ],
    align=True,
)  # fmt: skip

RESTING_ROW: Final = np.dtype(
    [
        ("order_id", "<u8"), ("account", "<u8"), ("entry", "<i8"),
        ("leaves_qty", "<i4"), ("order_qty", "<i4"),  # ORDER_QTY_LOTS_MAX < 2^31
        ("level", "<i4"), ("prev", "<i4"), ("next", "<i4"),  # free: next is the next free row
        ("ord_type", "u1"), ("time_in_force", "u1"),
    ],
    align=True,
)  # fmt: skip
"""48 bytes."""

# places in `head`, i64, which is part of the state
(
    LOG_TIME,
    LAST_SEQ,
    LAST_TRADE,
    LAST_ENTRY,
    ORDERS,
    ORDERS_USED,
    FREE_ORDER,
    LEVELS,
    LEVELS_USED,
    FREE_LEVEL,
    SHARD,
    ORDERS_MAX,
    ALL_PLAIN,
) = range(13)
HEAD_LENGTH: Final = 13

# places in `tree`, i64: the price tree is no part of the state, a restore grows another one from the levels
NODES_USED, FREE_NODE = range(2)

# places in `call`, i64: arguments and results of one call
NEXT_ROW, EXECUTIONS, NEED, NEED_ROWS, WITH_LEVELS = range(5)
CALL_LENGTH: Final = 5

NEED_ORDERS, NEED_LEVELS, NEED_NODES, NEED_EXECUTIONS, NEED_ALL_RULES = range(1, 6)
"""Why the kernel stopped; the last: at a command that is not plain."""

State = namedtuple(  # noqa: PYI024  numba takes only the plain kind
    "State", "head tree call books sides levels orders node_bits node_child order_index book_of combinations executions"
)
"""All arrays of a call. order_index: order_id -> order row. book_of: instrument number -> book, -1: not of this shard."""
