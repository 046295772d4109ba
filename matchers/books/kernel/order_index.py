"""Where an order is, by order_id: linear hashing, which grows by one bucket an insertion and so never stalls.

A bucket is BUCKET heads (u4 order rows, one cache line); the bucket is chosen by the upper bits of the order_id, the head in it by the low four,
so that the dense numbers that account shards give out share cache lines. Orders of a head are chained by order.hash_next. A link is a word: row (24 bits),
whether there may be more behind that row, and some bits of the hash, so that an order_id that is not there is seldom looked for in an order's row.
tree[BUCKETS] buckets are in use; those not yet split in this round are found by one bit less of the hash.
"""

from typing import Any, Final

from matchers.books.kernel.layout import BUCKETS, ORDERS, ORDERS_SLACK
from matchers.books.kernel.memory import ONE, ZERO
from matchers.compiled.compilation import helper, leading_zeros
from matchers.compiled.hash_index import U
from schemas.limits import ORDERS_PER_SHARD_MAX

BUCKETS_AT_FIRST: Final = 512
_BITS: Final = U(4)
_LOW: Final = U(15)
_GOLDEN: Final = U(0x9E3779B97F4A7C15)
_HASH_SHIFT: Final = U(32)
_ORDERS_PER_BUCKET: Final = U(8)
"""Two heads an order: chains are short, and an order costs 8 bytes here."""
_TOP: Final = U(63)
ROW_BITS: Final = U((1 << 24) - 1)
_MORE: Final = U(1 << 24)
_TAG_SHIFT: Final = U(25)
_TOP_BITS: Final = U(57)


@helper
def index_head(buckets: Any, order_id: Any) -> Any:
    """Where the chain of an order_id begins, in a table of so many buckets."""
    hashed = ((order_id >> _BITS) * _GOLDEN) >> _HASH_SHIFT
    round_begins = ONE << (_TOP - leading_zeros(buckets))  # highest power of two in `buckets`
    bucket = hashed & (round_begins + round_begins - ONE)
    bucket = bucket if bucket < buckets else bucket - round_begins
    return (bucket << _BITS) + (order_id & _LOW)


@helper
def _tag(order_id: Any) -> Any:
    """Bits of the hash that the bucket does not use, where a word has them; never 0, so that the word 0 matches none."""
    return ((((order_id >> _BITS) * _GOLDEN) >> _TOP_BITS) | ONE) << _TAG_SHIFT


@helper
def find_order(s: Any, order_id: Any) -> Any:
    """Row of the order, 0 if the shard does not know it."""
    return find_in_chain(s, index_head(s.tree[BUCKETS], order_id), order_id)


@helper
def find_in_chain(s: Any, head: Any, order_id: Any) -> Any:
    """Row of the order in this chain, 0 if it is not there."""
    word = U(s.index_heads[head])
    tag = _tag(order_id)
    while (word ^ tag) >> _TAG_SHIFT == ZERO or word & _MORE != ZERO:
        row = word & ROW_BITS
        if s.orders[row].order_id == order_id:
            return row
        word = U(s.orders[row].hash_next)
    return ZERO


@helper
def index_insert(s: Any, head: Any, row: Any) -> None:
    """Add an order to its chain."""
    before = U(s.index_heads[head])
    s.orders[row].hash_next = before
    s.index_heads[head] = _tag(s.orders[row].order_id) | (_MORE if before != ZERO else ZERO) | row


@helper
def index_remove(s: Any, head: Any, row: Any) -> None:
    """Take an order that is there out of its chain. What is before it may go on saying that there is more."""
    after = s.orders[row].hash_next
    at = U(s.index_heads[head]) & ROW_BITS
    if at == row:
        s.index_heads[head] = after
        return
    while U(s.orders[at].hash_next) & ROW_BITS != row:
        at = U(s.orders[at].hash_next) & ROW_BITS
    s.orders[at].hash_next = after


@helper
def index_needs_bucket(s: Any) -> Any:
    """Whether the table is to grow by a bucket before the next order comes."""
    return s.head[ORDERS] >= s.tree[BUCKETS] * _ORDERS_PER_BUCKET


@helper
def index_add_bucket(s: Any) -> None:
    """Split the next bucket: its orders go where one bit more of the hash says."""
    new = s.tree[BUCKETS]
    round_begins = ONE << (_TOP - leading_zeros(new))
    old = new - round_begins
    s.tree[BUCKETS] = new + ONE
    for low in range(_LOW + ONE):
        head = (old << _BITS) + low
        word = U(s.index_heads[head])
        s.index_heads[head] = 0
        while word != ZERO:
            row = word & ROW_BITS
            word = U(s.orders[row].hash_next)
            index_insert(s, index_head(new + ONE, s.orders[row].order_id), row)


assert ORDERS_PER_SHARD_MAX + ORDERS_SLACK < 1 << 24, "a row number has 24 bits"


def heads_for(orders_max: int) -> int:
    """How many heads are enough for so many orders."""
    return 16 * (max(orders_max // 8, BUCKETS_AT_FIRST) + 2)
