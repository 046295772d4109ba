"""What the fast path does to plain orders and levels, all of it inlined: which commands are plain, sweeping, resting, taking out, the rows about levels."""

from typing import Any, Final

from matchers.books.kernel.layout import (
    BUCKETS,
    BY_ACCOUNT,
    HAS_EXTRA,
    LAST_TRADE,
    LEVEL_COUNT,
    LEVEL_QTY,
    LOG_TIME,
    POST_ONLY_SHIFT,
    PREVENTION_SHIFT,
    SHARD,
    TOP_BUY_PX,
    TOP_BUY_QTY,
    TOP_SELL_PX,
    TOP_SELL_QTY,
    WITH_LEVELS,
)
from matchers.books.kernel.memory import ONE, ZERO, give_order
from matchers.books.kernel.order_index import index_head, index_remove
from matchers.books.kernel.queues import drop_level, level_at, link_last, unlink
from matchers.books.kernel.rows import COUNT_SHIFT, SIDE_SHIFT, best_shown, key_of, write_row
from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U
from matchers.compiled.words import EXEC_LEVEL, EXEC_TOP
from schemas.limits import ORDER_ID_SHARD_SHIFT

_BYTE: Final = U(0xFF)
_TWO: Final = U(2)
_INST_SHIFT, _INSTRUCTION_SHIFT = U(40), U(48)
"""In the first word of a command."""
_BOTH: Final = U(0xFFFF)
"""exec_inst and self_match_prevention_instruction, from _INST_SHIFT on."""
_PLAIN_0: Final = U(0xFF00_00FF_0000_0000)
"""First word of a command: contingency_type, phase."""
_PLAIN_1: Final = U(0xFFFF)
"""Second word: peg_price_type, offset_type."""
_ACCOUNT, _IDENTITY = U(2), U(7)
"""Words of a command."""
_POST_ONLY_SHIFT, _PREVENTION_SHIFT = U(POST_ONLY_SHIFT), U(PREVENTION_SHIFT)
_POST_ONLY_MAX: Final = U(2)
_BY_ACCOUNT: Final = U(BY_ACCOUNT)
_TRADE_SHIFT: Final = U(ORDER_ID_SHARD_SHIFT)


@helper
def is_plain(s: Any, i: Any) -> Any:
    """Whether a command has no columns but those that an order's own row has room for; exec_inst and prevention are not looked at."""
    w = s.command_words
    rest = w[i, U(8)] | w[i, U(9)] | w[i, U(10)] | w[i, U(11)] | w[i, U(12)] | w[i, U(13)]
    return (w[i, ZERO] & _PLAIN_0) | (w[i, ONE] & _PLAIN_1) | rest == ZERO


@helper
def flags_of(s: Any, i: Any, book: Any) -> Any:
    """The byte `special` of the plain order of command i; a value with HAS_EXTRA if its own row has no room for all of it."""
    word = s.command_words[i, ZERO]
    exec_inst, instruction, identity = (word >> _INST_SHIFT) & _BYTE, (word >> _INSTRUCTION_SHIFT) & _BYTE, s.command_words[i, _IDENTITY]
    flags = exec_inst << _POST_ONLY_SHIFT
    if identity != ZERO:
        instruction = instruction if instruction != ZERO else U(book.prevention)
        flags |= U(BY_ACCOUNT) | (instruction << _PREVENTION_SHIFT)
    if exec_inst > _POST_ONLY_MAX or (identity != ZERO and identity != s.command_words[i, _ACCOUNT]):
        flags = U(HAS_EXTRA)
    return flags


@helper
def changes_prevention(s: Any, i: Any, flags: Any) -> Any:
    """Whether a replace says an instruction of either kind, or another self_match_prevention_id than the plain order has."""
    identity = s.command_words[i, _IDENTITY]
    kept = identity == ZERO or (flags & _BY_ACCOUNT != ZERO and identity == s.command_words[i, _ACCOUNT])
    return not kept or (s.command_words[i, ZERO] >> _INST_SHIFT) & _BOTH != ZERO


@helper
def is_beyond_bands(book: Any, side: Any, limit: Any) -> Any:
    """Whether a price band would cut the limit; side: 0 buys."""
    return book.band_high != 0 and (limit > U(book.band_high) if side == ZERO else limit < U(book.band_low))


@helper
def put_level(s: Any, at: Any, rpt_seq: Any, i: Any, instrument: Any, side_row: Any, price: Any, qty: Any, count: Any) -> None:
    """A LEVEL row."""
    head = U(EXEC_LEVEL) | (((side_row & ONE) + ONE) << SIDE_SHIFT)
    write_row(
        s, at, head, instrument | (count << COUNT_SHIFT), i, rpt_seq, ZERO, ZERO, ZERO, ZERO, ZERO, price, qty, ZERO, ZERO, ZERO, s.head[LOG_TIME]
    )  # fmt: skip


@helper
def sweep_plain(
    s: Any, at: Any, rpt_seq: Any, i: Any, instrument: Any, side_row: Any, head: Any, flags: Any, order_id: Any, account: Any, limit_key: Any,
    leaves: Any,
) -> Any:  # fmt: skip
    """Trade with the plain levels of `side_row` that are in reach. Gives (at, rpt_seq, leaves, last price; 0: no trade, whether it met something special).

    If that is in the middle of a level, call[LEVEL_QTY, LEVEL_COUNT] say what the level displayed before.
    """
    side = s.sides[side_row]
    book = s.books[side_row >> _TWO]
    last_px = ZERO
    special = False
    levels = s.call[WITH_LEVELS]
    trade_id = (s.head[SHARD] << _TRADE_SHIFT) | s.head[LAST_TRADE]
    trade_before = trade_id
    now = s.head[LOG_TIME]
    while leaves != ZERO and U(side.best_key) <= limit_key:
        level_row = U(side.best)
        level = s.levels[level_row]
        price = U(level.price)
        if level.apart != 0 or price < U(book.quiet_low) or price > U(book.quiet_high):
            special = True
            break
        row = U(level.first)
        begin = leaves
        count = U(level.order_count)
        while True:
            resting = s.orders[row]
            if resting.account == account and U(resting.special) & flags & _BY_ACCOUNT != ZERO:
                special = True
                break
            last_px = price
            resting_leaves = U(resting.leaves_qty)
            qty = min(resting_leaves, leaves)
            leaves -= qty
            left = resting_leaves - qty
            resting_id = resting.order_id
            trade_id += ONE
            rpt_seq += ONE
            write_row(
                s, at, head, instrument, i, rpt_seq, order_id, account, resting_id, resting.account, trade_id, price, qty, leaves, left, left, now
            )  # fmt: skip
            at += ONE
            if left != ZERO:
                resting.leaves_qty = left
                break
            after = U(resting.next)
            index_remove(s, index_head(s.tree[BUCKETS], resting_id), row)
            give_order(s, row)
            row = after
            count -= ONE
            if row == ZERO or leaves == ZERO:
                break
        level_qty = level.qty - (begin - leaves)
        if special:
            s.call[LEVEL_QTY], s.call[LEVEL_COUNT] = level.qty, U(level.order_count)
        if row == ZERO:
            drop_level(s, side_row, U(side.best_key), level_row)
        else:
            level.qty = level_qty
            level.order_count = count
            level.first = row
            s.orders[row].prev = 0
        if special:
            break
        if levels != ZERO:
            rpt_seq += ONE
            put_level(s, at, rpt_seq, i, instrument, side_row, price, level_qty, count)
            at += ONE
    s.head[LAST_TRADE] += trade_id - trade_before
    return at, rpt_seq, leaves, last_px, special


@helper
def take_out_plain(s: Any, side_row: Any, row: Any) -> Any:
    """Take a plain order out of its level. Gives (quantity, orders) left there."""
    order = s.orders[row]
    level_row = U(order.level)
    level = s.levels[level_row]
    unlink(s, level_row, row)
    qty, count = level.qty - U(order.leaves_qty), U(level.order_count) - ONE
    level.qty = qty
    level.order_count = count
    if count | U(level.apart) == ZERO:
        drop_level(s, side_row, key_of(side_row, U(level.price)), level_row)
    return qty, count


@helper
def rest_plain(s: Any, side_row: Any, row: Any, key: Any, price: Any, leaves: Any) -> Any:
    """Put a plain order behind the others of its price. Gives (quantity, orders) there."""
    level_row = level_at(s, side_row, key, price)
    level = s.levels[level_row]
    s.orders[row].leaves_qty = leaves
    link_last(s, level_row, row)
    s.orders[row].level = level_row
    qty, count = level.qty + leaves, U(level.order_count) + ONE
    level.qty = qty
    level.order_count = count
    return qty, count


@helper
def note_tops_plain(s: Any, side_row: Any) -> None:
    """note_tops of the general path."""
    buys = (side_row >> _TWO) << _TWO
    buy, sell = best_shown(s, buys), best_shown(s, buys + ONE)
    s.call[TOP_BUY_PX], s.call[TOP_BUY_QTY] = U(s.levels[buy].price), s.levels[buy].qty
    s.call[TOP_SELL_PX], s.call[TOP_SELL_QTY] = U(s.levels[sell].price), s.levels[sell].qty


@helper
def put_tops_plain(s: Any, at: Any, rpt_seq: Any, i: Any, instrument: Any, side_row: Any) -> Any:
    """put_top_rows of the general path. Gives (at, rpt_seq)."""
    buys = (side_row >> _TWO) << _TWO
    for side in range(_TWO):
        level = s.levels[best_shown(s, buys + side)]
        price, qty = U(level.price), level.qty
        if price != s.call[U(TOP_BUY_PX) + side + side] or qty != s.call[U(TOP_BUY_QTY) + side + side]:
            rpt_seq += ONE
            head = U(EXEC_TOP) | ((side + ONE) << SIDE_SHIFT)
            write_row(
                s, at, head, instrument | (U(level.order_count) << COUNT_SHIFT), i, rpt_seq, ZERO, ZERO, ZERO, ZERO, ZERO, price, qty, ZERO, ZERO, ZERO,
                s.head[LOG_TIME],
            )  # fmt: skip
            at += ONE
    return at, rpt_seq
