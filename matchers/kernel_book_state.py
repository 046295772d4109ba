"""How the book kernel keeps its state in memory: every row of every pool, described once.

Pools are reserved at their limits and taken page by page as they are touched (reserved_memory.py), so that nothing is ever copied to grow.
Row 0 of every pool is unused: 0 says "none", and zeroed memory is the empty state. Rows are named by u4 numbers. Free rows of a pool are a
LIFO list through the field named in FREE_LINKS, so that the row used next is the one touched last.

All words are unsigned, and kernels compute with u64 throughout: numba tests signed indices for wrap-around, and makes a float of i64 with u64.

* order: one cache line an order, resting or not (incoming, dormant, parked). What few orders need is in its `extra` row.
* level: a queue of orders linked by prev/next. Levels of limit prices and of stop prices hang in a price tree, displayed orders in the level,
  hidden ones and none else in a second level row (`hidden`) that is in no tree. Queues that have no price (market orders waiting for an
  uncross, orders waiting for the close, parked pegs) are level rows as well, named by the book row.
* side: one price tree. A book has SIDES of them: buys, sells (by price), buy stops, sell stops (by stop_px).
* node: 64-way node of a price tree, three parallel arrays: node_bits (which digits), node_parent, node_child[64].
"""

from collections import namedtuple
from typing import Final

import numpy as np

ORDER_ROW: Final = np.dtype(
    [
        # `special` comes first, then side, ord_type, time_in_force where commands and executions have them: one word is copied for three columns
        ("special", "u1"), ("side", "u1"), ("ord_type", "u1"), ("time_in_force", "u1"),
        ("side_row", "<u4"),  # SIDES * book + which
        ("order_id", "<u8"), ("account", "<u8"),
        ("entry", "<u8"),  # counter of the shard: the "time" of this order where its place in a queue does not say it
        ("price", "<u4"),  # the limit now, 0: none; where it rests is the level's price
        ("leaves_qty", "<u4"), ("order_qty", "<u4"),  # cum_qty = order_qty - leaves_qty
        ("level", "<u4"),  # the queue that it stands in, 0: none
        ("prev", "<u4"), ("next", "<u4"),  # in that queue
        ("hash_next", "<u4"),  # order index
        ("extra", "<u4"),
    ],
    align=True,
)  # fmt: skip
assert ORDER_ROW.itemsize == 64, "an order is one cache line"

SPECIAL: Final = 1
"""order.special: the fast path may not touch this order: it has an `extra` row, or does not rest."""

EXTRA_ROW: Final = np.dtype(
    [
        ("self_match_prevention_id", "<u8"), ("expire_time", "<i8"), ("offset", "<i8"),
        ("stop_px", "<u4"), ("peak_px", "<u4"),  # peak: best last price since entry, of trailing stops
        ("display_qty", "<u4"), ("shown_qty", "<u4"),  # lots of a tranche (0: no iceberg); lots of the tranche that is on display now
        ("min_qty", "<u4"),  # of stops, judged at election
        ("limit_px", "<u4"),  # PEGGED: the limit; TRAILING_STOP_LIMIT: distance of the limit from the stop
        ("sibling", "<u4"), ("primary", "<u4"), ("secondary", "<u4"),  # order rows: OCO; OTO and BRACKET (first of the secondaries)
        ("prev", "<u4"), ("next", "<u4"),  # order rows: the book's pegs, or its trailing stops, by entry
        ("life", "u1"), ("exec_inst", "u1"), ("self_match_prevention_instruction", "u1"), ("contingency_type", "u1"),
        ("peg_price_type", "u1"), ("offset_type", "u1"),
    ],
    align=True,
)  # fmt: skip
"""80 bytes. A free row's next free row is in `next`."""

# extra.life; an order without `extra` rests (or is being matched)
ACTIVE, DORMANT_STOP, DORMANT_SECONDARY, PARKED_PEG, WAITS_FOR_UNCROSS, WAITS_FOR_CLOSE, QUEUED = range(7)

LEVEL_ROW: Final = np.dtype(
    [
        ("qty", "<u8"),  # displayed lots (stop levels: 0)
        ("price", "<u4"),  # 0: a queue without a price
        ("order_count", "<u4"), ("first", "<u4"), ("last", "<u4"),  # a free row's next free row is in first
        ("hidden", "<u4"),  # level row of the hidden orders of this price, 0: there are none
        ("node", "<u4"),  # leaf of the price tree that it hangs in, 0: in none
    ],
    align=True,
)  # fmt: skip
assert LEVEL_ROW.itemsize == 32, "two levels are one cache line"

SIDE_ROW: Final = np.dtype([("best", "<u4"), ("root", "<u4"), ("prefix", "<u4"), ("height", "<u4")], align=True)
"""best: level row, also if only hidden orders are there. The tree holds prices with price >> 6 * height == prefix; root is never 0."""
SIDES: Final = 4
BUYS, SELLS, BUY_STOPS, SELL_STOPS = range(SIDES)

BOOK_ROW: Final = np.dtype(
    [
        ("rpt_seq", "<u8"),
        ("instrument", "<u4"), ("last_px", "<u4"),  # last price of this session
        ("fast", "u1"), ("phase", "u1"), ("matching_algorithm", "u1"), ("resume_phase", "u1"), ("extended", "u1"), ("limit_state", "u1"),
        ("session", "<u2"),
        ("reference_px", "<u4"), ("band_low_px", "<u4"), ("band_high_px", "<u4"),  # bands 0: none
        ("waiting_buys", "<u4"), ("waiting_sells", "<u4"),  # level rows: market orders of a call phase
        ("for_close", "<u4"), ("parked", "<u4"),  # level rows: orders that wait for the close; pegs without a reference
        ("first_peg", "<u4"), ("last_peg", "<u4"), ("first_trailing", "<u4"), ("last_trailing", "<u4"),  # order rows
        ("pegs", "<u4"), ("stops", "<u4"),  # how many, dormant ones and trailing ones included
        ("order_count", "<u4"),  # orders of this book in any state
        ("peg_best_buy", "<u4"), ("peg_best_sell", "<u4"),  # the reference that pegs stand at now
        ("phase_end", "<i8"), ("continuous_end", "<i8"),  # ns
    ],
    align=True,
)  # fmt: skip
"""Books by instrument number; the first cache line is what plain orders need."""

# places in `head`, u64, part of the state
LOG_TIME, LAST_SEQ, LAST_TRADE, LAST_ENTRY, SHARD, ORDERS_MAX, ORDERS, ORDERS_USED, FREE_ORDER = range(9)
EXTRAS, EXTRAS_USED, FREE_EXTRA, LEVELS, LEVELS_USED, FREE_LEVEL = range(9, 15)
HEAD_LENGTH: Final = 16

# places in `tree`, u64: the price trees and the order index are no part of the state, a restore builds others
NODES_USED, FREE_NODE, BUCKETS = range(3)
"""BUCKETS: of the order index, see kernel_order_index."""
TREE_LENGTH: Final = 4

# places in `call`, u64: arguments and results of one call
EXECUTIONS, EXECUTIONS_MAX, WITH_LEVELS, QUEUE_FIRST, QUEUE_END, COMMAND_INDEX, NEXT_ROW = range(7)
CALL_LENGTH: Final = 8

State = namedtuple(  # noqa: PYI024  numba takes only the plain kind
    "State",
    "head tree call books sides levels orders extras node_bits node_parent node_child index_heads queue book_of rules combinations"
    " executions commands command_words order_words",
)
"""All arrays of a call, made from their addresses by kernel_book_memory.state_at.

index_heads: u4, the order index. queue: u4 order rows, follow-ups of the running command. book_of: instrument number -> book + 1, 0: not of this
shard. rules: RULES_DTYPE by instrument number. executions: u64[rows, ROW_WORDS]. command_words, order_words: commands and orders as u64 words.
"""
ROW_WORDS: Final = 15
"""An execution and a command are 15 u64 words each."""
ORDER_WORDS: Final = ORDER_ROW.itemsize // 8

FREE_LINKS: Final = {"orders": "next", "extras": "next", "levels": "first", "nodes": "child 0"}
