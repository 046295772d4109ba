"""Every bound of the system, with its unit and arithmetic. Reaching one rejects with a named reason or applies back-pressure."""

CL_ORD_ID_MAX_BYTES = 128
"""Alpaca's bound of client_order_id."""

PRICE_TICKS_MAX = 1 << 31
"""21 million currency units at a tick of 0.01."""

ORDER_QTY_LOTS_MAX = 10_000_000
"""Upper bound of every instrument's own limit. PRICE_TICKS_MAX x ORDER_QTY_LOTS_MAX x 100 minor units per tick = 2.1e18 < 2^63."""

TICK_MINOR_MAX = 100
"""Largest tick: 0.01. See ORDER_QTY_LOTS_MAX for why; a larger tick needs a smaller quantity limit."""

CASH_MINOR_MAX = 1 << 60
"""1.15e14 currency units; two such amounts still add up within 63 bits."""

POSITION_LOTS_MAX = 1 << 53
"""Exact in a JSON number, should one ever be made of it."""

LOT_FEE_MINOR_MAX = 1_000_000
"""Fee of one lot: 100 currency units. ORDER_QTY_LOTS_MAX x it = 1e13 minor units, which the arithmetic of ORDER_QTY_LOTS_MAX has room for."""

SHORT_MARGIN_PERCENT = 150
"""Of the reference price, held in cash for each lot sold short (Regulation T's initial margin)."""

FORGET_PER_ROW_MAX = 256
"""Done orders of earlier days that are forgotten with one row: 256 x ~0.3 us = 80 us, so that a new day makes no long pause."""

ORDERS_AT_ONCE_MAX = 1_000_000
"""Size of an account's token bucket; x 1 s, the longest interval between two orders, it is 1e15 ns."""

OPEN_ORDERS_PER_ACCOUNT_MAX = 10_000
"""Open orders of one account; a registered session gets them all in one reply: 10,000 x ~0.3 KB = 3 MB < FRAME_BYTES_MAX."""

ACCOUNTS_PER_SHARD_MAX = 16_000_000
ORDERS_PER_SHARD_MAX = 16_000_000
"""Open orders of one shard: 16M x 256 B = 4 GB."""

DONE_ORDERS_PER_SHARD_MAX = 1 << 20
"""Orders that are done and still known to their account shard, so that a repeated cl_ord_id gets its first answer:
1M x 256 B = 268 MB; 10 s of repeats at 100,000 orders/s a shard, hours at a demo's rate. The one done first is forgotten first."""

UPDATES_REMEMBERED_MAX = 65_536
"""Account updates whose content their shard still knows, so that one that is sent again is told from another one with its id:
65,536 x (24 B + 32 B of index) = 3.7 MB. Whether an id is old is known for ever, from the highest one of each account."""

REPLACED_IDS_MAX = 65_535
"""cl_ord_ids that orders had before a replace, or would have after one, and still answer to: 65,535 x (160 B + 32 B of index) = 12.6 MB.
A u2 of the order's row names the one that is under way."""

UPDATE_ID_AHEAD_NS_MAX = 60_000_000_000
"""How far an update's request_id may be ahead of log time (ns): a number at the end of its range would be an account's last update for ever."""

SESSIONS_AT_ONCE_MAX = 8
SESSION_INTERVAL_NS = 250_000_000
"""Registrations of an account that are answered with all of it: so many at once, four a second in the long run. 8 x 10,000 open orders x 400 B = 32 MB."""

FRAME_ROWS_MAX = 16_384
"""Commands in a frame: at ~200 B a row of outputs, 3.3 MB, within FRAME_BYTES_MAX with room for sweeps."""

FRAME_BYTES_MAX = 8 << 20
"""A Kafka record; the broker's message.max.bytes is twice that."""

RECORDS_PER_S_MAX = 20_000
"""Of its input that a shard can read: a worker takes 1,000 to 4,000 records per second (0.25 to 1 ms per record), however small they are."""

JUMP_SLACK_S = 60
"""Outputs may be so late one behind the other: a producer that does not get one acknowledged within 30 s stops (OUTPUT_ACK_TIMEOUT_S); twice that."""

FIRST_OFFSET_MAX = 1 << 32
"""Of the first frame of a source in a partition, before which nothing says how old the source's log is: 136 years of one tick of the clock
a second, 12 days at 4,000 records/s."""

FRAMES_PER_INPUT_MAX = 1 << 16
"""Output frames of one input in one partition: a mass cancel of ORDERS_PER_SHARD_MAX orders, 4 rows each, is 4,096 frames of 16,384 rows."""

EDGE_INSTANCES_MAX = 64
"""An account's registered edges are the bits of one u64."""

SHARDS_MAX = 1 << 10
"""Account shards, and book shards (OUTCRY_*_SHARDS)."""

ORDER_ID_SHARD_SHIFT = 44
"""order_id and trd_match_id = shard << 44 | dense number: SHARDS_MAX shards x 17.6e12 numbers."""

ICEBERG_TRANCHES_MAX = 500
"""display_qty x 500 >= order_qty: bounds the executions that one iceberg can make out of one order."""

STOPS_PER_BOOK_MAX = 65_536
"""Dormant stops of an instrument, trailing ones included. Each is elected once, so this bounds a cascade too: 65,536 x at most a few trades."""

PEGS_PER_BOOK_MAX = 4_096
"""Pegged orders of an instrument; a move of the reference touches them all: 4,096 x ~100 ns = 0.4 ms."""

BUSTS_PER_SHARD_MAX = 65_536
"""Busted trades that a book shard remembers, so that none is busted twice: 65,536 x 8 B = 512 KB."""

OFFSET_TICKS_MAX = 1 << 31
OFFSET_BASIS_POINTS_MAX = 9_999
"""A sell that trails by 100 % would have its stop at zero."""
