"""How the book kernel keeps its state in memory: every row of every pool, described once.

Pools are reserved at their limits and taken page by page as they are touched (reserved_memory.py), so that nothing is ever copied to grow.
Row 0 of every pool is unused: 0 says "none", and zeroed memory is the empty state. Rows are named by u4 numbers. Free rows of a pool are a
LIFO list through the field named in FREE_LINKS, so that the row used next is the one touched last.

All words are unsigned, and kernels compute with u64 throughout: numba tests signed indices for wrap-around, and makes a float of i64 with u64.

* order: one cache line an order, resting or not (incoming, dormant, parked). What few orders need is in its `extra` row.
* level: a queue of orders linked by prev/next. Levels of limit prices and of stop prices hang in a price tree. As long as a price has special
  orders (icebergs, hidden, ...), displayed or not, its level has a second row, `apart`, in no tree: its queue is the hidden orders, its
  order_count the number of all special orders of the price. The fast path leaves such levels to the general one. Market orders that wait for an
  uncross have the first level of their side (books.reference.book.MARKET_LEVEL). Orders that wait for something else than a price (parked pegs,
  secondaries, closing orders, trailing stops without a stop_px) are in a queue of the book, `idle`, a level row in no tree. So every live order
  is in some queue between commands; one without, while it is matched, elected or repriced.
* side: one price tree. A book has SIDES of them: buys, sells (by price), buy stops, sell stops (by stop_px). A tree is ordered by *key*, the
  price where the lowest comes first (sells, buy stops), else its complement ~price (32 bits): the best is the lowest key everywhere, and no
  code but key_mask() asks for the direction.
* node: 64-way node of a price tree, three parallel arrays: node_bits (which digits), node_parent, node_child[64].
"""

from collections import namedtuple
from typing import Final

import numpy as np

from schemas.field_rules import LIST_ROWS_MAX

ORDER_ROW: Final = np.dtype(
    [
        # `special` comes first, then side, ord_type, time_in_force where commands and executions have them: one word is copied for three columns
        ("special", "u1"), ("side", "u1"), ("ord_type", "u1"), ("time_in_force", "u1"),
        ("side_row", "<u4"),  # SIDES * book + which
        ("order_id", "<u8"), ("account", "<u8"),
        ("entry", "<u8"),  # counter of the shard: the "time" of this order where its place in a queue does not say it
        ("price", "<u4"),  # the limit now, 0: none; where it rests is the level's price
        ("leaves_qty", "<u4"), ("order_qty", "<u4"),  # cum_qty = order_qty - leaves_qty
        ("level", "<u4"),  # of its price (of hidden orders too), or the book's idle queue; 0: none
        ("prev", "<u4"), ("next", "<u4"),  # in that queue
        ("hash_next", "<u4"),  # word of the order index
        ("extra", "<u4"),
    ],
    align=True,
)  # fmt: skip
assert ORDER_ROW.itemsize == 64, "an order is one cache line"

# bits of order.special. An order without HAS_EXTRA is plain: it rests, or is on its way, and is all that the fast path may touch
HAS_EXTRA, HIDDEN, BY_ACCOUNT = 1, 2, 4
PREVENTION_SHIFT, POST_ONLY_SHIFT = 3, 6
"""Of plain orders, so that what is common needs no `extra` row: BY_ACCOUNT says that self_match_prevention_id is the account, the three bits above it are its
instruction, the two topmost ones exec_inst (POST_ONLY, POST_ONLY_SLIDE)."""

ORDERS_SLACK: Final = 64
"""Rows beyond orders_max, for orders that are on their way and will not stay."""

EXTRA_ROW: Final = np.dtype(
    [
        ("self_match_prevention_id", "<u8"), ("expire_time", "<i8"), ("offset", "<i8"),
        ("stamp", "<u4"), ("stop_px", "<u4"),  # stamp: the count in which its sibling came first, see books.kernel.available
        ("display_qty", "<u4"), ("shown_qty", "<u4"),  # lots of a tranche as asked for (0: all); lots that are on display now
        ("min_qty", "<u4"),  # of stops, judged at election
        ("limit_px", "<u4"),  # of a PEGGED order
        ("sibling", "<u4"), ("primary", "<u4"), ("secondary", "<u4"),  # order rows: OCO; OTO and BRACKET (first of the secondaries)
        ("prev", "<u4"), ("next", "<u4"),  # order rows: the book's pegs, or its trailing stops, by entry
        ("place", "u1"), ("exec_inst", "u1"), ("self_match_prevention_instruction", "u1"), ("peg_price_type", "u1"), ("offset_type", "u1"),
    ],
    align=True,
)  # fmt: skip
"""A free row's next free row is in `next`. place: state_hash.Place; an order without `extra` rests, or is being matched."""

LEVEL_ROW: Final = np.dtype(
    [
        ("qty", "<u8"),  # displayed lots (stop levels: 0)
        ("price", "<u4"),
        ("order_count", "<u4"), ("first", "<u4"), ("last", "<u4"),  # a free row's next free row is in first
        ("apart", "<u4"),  # level row of the special orders of this price, 0: there are none
        ("node", "<u4"),  # leaf of the price tree that it hangs in, 0: in none
    ],
    align=True,
)  # fmt: skip
assert LEVEL_ROW.itemsize == 32, "two levels are one cache line"

SIDE_ROW: Final = np.dtype([("best", "<u4"), ("best_key", "<u4"), ("root", "<u4"), ("anchor", "<u4")], align=True)
"""best: level row of the lowest key, also if only hidden orders are there; 0 and best_key NO_KEY: the tree is empty. root: node, never 0.
anchor: height of the tree (1 to 6 nodes) in its low three bits, and above them the high bits of all keys that are in reach of the root."""
NO_KEY: Final = 0xFFFF_FFFF
SIDES: Final = 4
BUYS, SELLS, BUY_STOPS, SELL_STOPS = range(SIDES)

BOOK_ROW: Final = np.dtype(
    [
        ("rpt_seq", "<u8"), ("instrument", "<u4"), ("last_px", "<u4"),  # last price of this day
        ("fast", "u1"),  # plain orders may take the fast path; with `watched` they end in books.kernel.settle, which sets both
        ("watched", "u1"), ("phase", "u1"), ("pro_rata", "u1"), ("prevention", "u1"), ("limit_side", "u1"), ("indicative_side", "u1"),
        ("cross_moved", "u1"),  # the place where it would uncross is to be looked for again
        ("price_low", "<u4"), ("price_high", "<u4"),  # what a limit may be: the collar, else 1 and PRICE_TICKS_MAX
        ("qty_min", "<u4"), ("qty_max", "<u4"),
        ("quiet_low", "<u4"), ("quiet_high", "<u4"),  # trades from .. to elect nothing, move no trailing stop, are first in first out, not in bands
        ("band_low", "<u4"), ("band_high", "<u4"),  # 0: no bands
        ("pegs", "<u4"), ("stops", "<u4"),  # how many: pegs, parked ones included; stops that are not elected, trailing ones included
        # the second cache line begins here
        ("reference_px", "<u4"), ("idle", "<u4"),  # level row
        ("first_peg", "<u4"), ("last_peg", "<u4"), ("first_trailing", "<u4"), ("last_trailing", "<u4"),  # order rows by entry
        ("trail_low", "<u4"), ("trail_high", "<u4"),  # trades from .. to move no trailing stop
        ("cross_buy", "<u4"), ("cross_sell", "<u4"),  # buys below and sells above do not move the place of the uncross
        ("peg_bid", "<i8"), ("peg_ask", "<i8"), ("phase_end", "<i8"), ("session_close", "<i8"),  # as in books.reference.book.Book
        ("luld_reference", "<i8"), ("luld_moved_at", "<i8"), ("limit_since", "<i8"),
        ("indicative_px", "<i8"), ("indicative_volume", "<i8"), ("indicative_imbalance", "<i8"),
        ("window", "<u4"),  # row of `seconds`, 0: none
        ("extended", "u1"),
    ],
    align=True,
)  # fmt: skip
"""Books by instrument number; the first cache line is what plain orders need."""

SECOND_ROW: Final = np.dtype([("second", "<i8"), ("price_sum", "<i8"), ("trades", "<i8")])
"""Trades of a second, at second % WINDOW_SECONDS of the book's window; older ones are overwritten when their place is needed."""

DUE_ROW: Final = np.dtype([("expire_time", "<i8"), ("order_id", "<u8")])
"""A GTD order that may expire; orders that are gone or have another expiry stay until their time has come, see books.kernel.expiry."""

TERMS_ROW: Final = np.dtype(
    [
        ("order_qty", "<i8"), ("limit", "<i8"), ("stop_px", "<i8"), ("offset", "<i8"), ("display_qty", "<i8"), ("expire_time", "<i8"),
        ("time_in_force", "<i8"), ("hidden", "<i8"),
    ]
)  # fmt: skip
"""books.reference.replace.Terms."""
NOW, ASKED = 0, 1

# places in `head`, u64, part of the state
LOG_TIME, LAST_SEQ, LAST_TRADE, LAST_ENTRY, SHARD, ORDERS_MAX, ORDERS, ORDERS_USED, FREE_ORDER = range(9)
EXTRAS, EXTRAS_USED, FREE_EXTRA, LEVELS, LEVELS_USED, FREE_LEVEL = range(9, 15)
BUSTED, LAST_STAMP = 15, 16
HEAD_LENGTH: Final = 24

# places in `tree`, u64: the price trees and the order index are no part of the state, a restore builds others
NODES_USED, FREE_NODE, BUCKETS, DUES = range(4)
"""BUCKETS: of the order index, see books.kernel.order_index. DUES: rows of `dues`."""
TREE_LENGTH: Final = 4

# places in `call`, u64: arguments and results of one call
EXECUTIONS, EXECUTIONS_SOON, EXECUTIONS_MAX, WITH_LEVELS, COMMANDS, COMMAND_INDEX, NEXT_ROW, STOPPED, TAKEN = range(9)
"""EXECUTIONS_SOON: no further command once so many rows are there. STOPPED: why the kernel stopped before the end of the frame, see below. TAKEN: rows of the
frame that the command at hand took, more than one for a list."""
TOP_BUY_PX, TOP_BUY_QTY, TOP_SELL_PX, TOP_SELL_QTY = range(9, 13)
"""Best displayed levels of the book at hand before the command."""
BOOKS, NUMBER_MAX, STOPS_MAX, PEGS_MAX, BUSTS_MAX = range(13, 18)
"""How many books there are; the highest instrument number that book_of has; limits."""
QUEUE_FIRST, QUEUE_END, LEVEL_QTY, LEVEL_COUNT, REASONS = range(18, 23)
"""Follow-ups of the command at hand in `queue`; what a level displayed before the fast path left it, in the middle of a sweep, to the general path (0: it did
not); reasons of the orders of the list at hand, LIST_ROWS_MAX of them."""
CALL_LENGTH: Final = 32
assert REASONS + LIST_ROWS_MAX <= CALL_LENGTH, "room for the reasons"

STOPPED_SOON, STOPPED_NO_ROOM = 1, 2
"""There are EXECUTIONS_SOON rows; a command made more than EXECUTIONS_MAX."""

State = namedtuple(  # noqa: PYI024  numba takes only the plain kind
    "State",
    "head tree call places books sides levels orders extras node_bits node_parent node_child index_heads queue book_of rules order_table phase_table"
    " executions commands command_words order_words change_table reasons dues busted seconds terms",
)
"""All arrays of a call, made from their addresses by books.kernel.memory.state_at.

places: scratch of the command loop. index_heads: u4, the order index. queue: u4 order rows, follow-ups of the running command. book_of: instrument number -> book + 1, 0: not of this
shard. rules: RULES_DTYPE by instrument number. executions: u64[rows, ROW_WORDS]. command_words, order_words: commands and orders as u64 words.
order_table, phase_table, change_table: order_tables; reasons: u1, 1 at every Reason. dues: a heap. busted: trd_match_id, ascending. terms: of the replace at hand.
"""
ROW_WORDS: Final = 15
"""An execution and a command are 15 u64 words each."""
ORDER_WORDS: Final = ORDER_ROW.itemsize // 8

FREE_LINKS: Final = {"orders": "next", "extras": "next", "levels": "first", "nodes": "child 0"}
