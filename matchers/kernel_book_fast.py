"""The fast path: plain orders in continuous trading, where nothing but the order itself is to be thought of.

A book is `fast` if it is in continuous trading; a command is plain if it uses only columns that an order's own row has room for (post-only, and prevention by
account, among them); an order is plain if it has no `extra` row, a level if it has no `apart`. Whatever is not plain goes to the general path, which does the
same by the reference's rules one by one. A sweep that comes to a level with special orders, to an order of its own account, or to a price whose trades are not
quiet (they would elect stops, move trailing ones, count for price bands, or go by pro-rata), goes on there. In a `watched` book (pegs, price bands) a command
ends in kernel_book_settle.
What a command writes again and again is kept in local values: the number of the next row, the book's rpt_seq.
"""

from typing import Any, Final

from matchers.kernel_book_memory import ONE, ZERO, give_order, take_order
from matchers.kernel_book_queues import drop_level, level_at, link_last, unlink
from matchers.kernel_book_rows import (
    COUNT_SHIFT,
    REASON_SHIFT,
    SIDE_SHIFT,
    THREE_COLUMNS,
    best_shown,
    book_of,
    key_of,
    write_row,
)
from matchers.kernel_book_state import (
    BUCKETS,
    BY_ACCOUNT,
    HAS_EXTRA,
    LAST_ENTRY,
    LAST_TRADE,
    LEVEL_COUNT,
    LEVEL_QTY,
    LOG_TIME,
    ORDERS,
    ORDERS_MAX,
    POST_ONLY_SHIFT,
    PREVENTION_SHIFT,
    SHARD,
    SIDES,
    TOP_BUY_PX,
    TOP_BUY_QTY,
    TOP_SELL_PX,
    TOP_SELL_QTY,
    WITH_LEVELS,
)
from matchers.kernel_compile import helper
from matchers.kernel_hash_index import U
from matchers.kernel_order_index import find_in_chain, index_add_bucket, index_head, index_insert, index_needs_bucket, index_remove
from matchers.kernel_words import (
    BOOK_CANCEL,
    BOOK_NEW_ORDER,
    BOOK_REPLACE,
    EXEC_CANCEL_REJECTED,
    EXEC_CANCELED,
    EXEC_LEVEL,
    EXEC_NEW,
    EXEC_REPLACED,
    EXEC_TOP,
    EXEC_TRADE,
    REASON_IMMEDIATE_OR_CANCEL,
    REASON_NO_LIQUIDITY,
    REASON_PROTECTION_PRICE,
    REASON_REQUESTED_BY_CUSTOMER,
    REASON_TOO_LATE_TO_CANCEL,
    TIF_DAY,
    TIF_GTC,
    TIF_IOC,
    TYPE_LIMIT,
    TYPE_MARKET,
)
from schemas.enums import TIME_IN_FORCE_UNCHANGED, SelfMatchPrevention
from schemas.limits import ORDER_ID_SHARD_SHIFT

_BYTE: Final = U(0xFF)
_HALF: Final = U(0xFFFF_FFFF)
_TYPE_SHIFT: Final = U(16)
_TIME_SHIFT: Final = U(24)
_TWO: Final = U(2)
_LEVEL_SHIFT: Final = U(32)
_TOO_LATE: Final = U(REASON_TOO_LATE_TO_CANCEL) << REASON_SHIFT
_REQUESTED: Final = U(REASON_REQUESTED_BY_CUSTOMER) << REASON_SHIFT
_SIDES: Final = U(SIDES)
_PLAIN_0: Final = U(0xFF00_00FF_0000_0000)
"""First word of a command: contingency_type, phase."""
_INST_SHIFT, _INSTRUCTION_SHIFT = U(40), U(48)
_ACCOUNT, _IDENTITY = U(2), U(7)
_POST_ONLY_SHIFT, _PREVENTION_SHIFT = U(POST_ONLY_SHIFT), U(PREVENTION_SHIFT)
_POST_ONLY_MAX: Final = U(2)
_EXTRA, _BY_ACCOUNT = U(HAS_EXTRA), U(BY_ACCOUNT)
_PREVENTION_MAX: Final = U(max(SelfMatchPrevention))
_PLAIN_1: Final = U(0xFFFF)
"""Second word: peg_price_type, offset_type."""
_TIMES: Final = U(1 << TIF_DAY | 1 << TIF_GTC | 1 << TIF_IOC)
_UNCHANGED: Final = U(TIME_IN_FORCE_UNCHANGED)
_TRADE_SHIFT: Final = U(ORDER_ID_SHARD_SHIFT)
DONE, NOT_FAST, GO_ON, SETTLE = U(0), U(1), U(2), U(3)
"""What became of a command: all done; nothing done yet, the general path's; the order is to go on in the general path; all done but what follows."""
_NEW, _CANCEL, _REPLACE = U(BOOK_NEW_ORDER), U(BOOK_CANCEL), U(BOOK_REPLACE)


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
    """Whether a replace says an instruction, or another self_match_prevention_id than the plain order has."""
    identity = s.command_words[i, _IDENTITY]
    kept = identity == ZERO or (flags & _BY_ACCOUNT != ZERO and identity == s.command_words[i, _ACCOUNT])
    return not kept or (s.command_words[i, ZERO] >> _INST_SHIFT) & _BYTE != ZERO


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


@helper
def put_too_late(s: Any, i: Any, at: Any, word: Any, order_id: Any) -> Any:
    """CANCEL_REJECTED: the order is not live here, whatever the phase. Gives the next row."""
    command = s.commands[i]
    instrument = U(command.instrument)
    rpt_seq = ZERO
    book = book_of(s, instrument)
    if book != ZERO:
        rpt_seq = s.books[book - ONE].rpt_seq + ONE
        s.books[book - ONE].rpt_seq = rpt_seq
    head = (word & U(0xFF00)) | U(EXEC_CANCEL_REJECTED) | _TOO_LATE
    write_row(
        s, at, head, instrument, i, rpt_seq, order_id, command.account, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, s.head[LOG_TIME]
    )  # fmt: skip
    return at + ONE


@helper
def fast_command(s: Any, i: Any, at: Any, place: Any) -> Any:
    """Apply command i if it is plain; place: index_head of its order_id. Gives (next row, DONE | NOT_FAST | GO_ON, order row for GO_ON)."""
    word = s.command_words[i, ZERO]
    command = s.commands[i]
    kind = word & _BYTE
    order_id = command.order_id
    account = command.account
    price = U(command.price)
    order_qty = U(command.order_qty)
    row = find_in_chain(s, place, order_id)
    levels = s.call[WITH_LEVELS] != ZERO
    now = s.head[LOG_TIME]
    immediate = False
    if kind == _NEW:
        book = book_of(s, U(command.instrument)) - ONE
        side = ((word >> SIDE_SHIFT) & _BYTE) - ONE
        ord_type = (word >> _TYPE_SHIFT) & _BYTE
        time_in_force = (word >> _TIME_SHIFT) & _BYTE
        if book == ~ZERO or row != ZERO or order_id == ZERO or side > ONE or not is_plain(s, i):
            return at, NOT_FAST, ZERO
        shard_book = s.books[book]
        limit = price
        flags = flags_of(s, i, shard_book)
        if ord_type == U(TYPE_MARKET):
            immediate = True
            if time_in_force == U(TIF_GTC) or shard_book.band_high != 0:
                return at, NOT_FAST, ZERO
            if price == ZERO:
                limit = U(shard_book.price_high) if side == ZERO else U(shard_book.price_low)
        elif ord_type != U(TYPE_LIMIT) or price == ZERO:
            return at, NOT_FAST, ZERO
        if (
            shard_book.fast == 0
            or time_in_force > U(TIF_IOC)
            or (_TIMES >> time_in_force) & ONE == ZERO
            or limit < U(shard_book.price_low)
            or limit > U(shard_book.price_high)
            or is_beyond_bands(shard_book, side, limit)
            or order_qty < U(shard_book.qty_min)
            or order_qty > U(shard_book.qty_max)
            or s.head[ORDERS] >= s.head[ORDERS_MAX]
        ):
            return at, NOT_FAST, ZERO
        immediate = immediate or time_in_force == U(TIF_IOC)
        side_row = (book << _TWO) + side
        if flags != ZERO and (
            flags & _EXTRA != ZERO
            or (word >> _INSTRUCTION_SHIFT) & _BYTE > _PREVENTION_MAX
            or (flags >> _POST_ONLY_SHIFT != ZERO and (immediate or U(s.sides[side_row ^ ONE].best_key) <= key_of(side_row ^ ONE, limit)))
        ):
            return at, NOT_FAST, ZERO
        leaves = order_qty
        columns = word & THREE_COLUMNS
        entry = s.head[LAST_ENTRY] + ONE
        s.head[LAST_ENTRY] = entry
        rpt_seq = shard_book.rpt_seq + ONE
        instrument = U(command.instrument)
        if levels:
            note_tops_plain(s, side_row)
        write_row(
            s, at, columns | U(EXEC_NEW), instrument, i, rpt_seq, order_id, account, ZERO, ZERO, ZERO, price, leaves, leaves, ZERO, ZERO, now
        )  # fmt: skip
        at += ONE
    elif kind == _CANCEL or kind == _REPLACE:
        order = s.orders[row]
        side_row = U(order.side_row)
        shard_book = s.books[side_row >> _TWO]
        if row == ZERO:
            return put_too_late(s, i, at, word, order_id), DONE, ZERO
        flags = U(order.special)
        if order.account != account or flags & _EXTRA != ZERO or shard_book.fast == 0:
            return at, NOT_FAST, ZERO
        instrument = U(shard_book.instrument)
        order_word = s.order_words[row, ZERO]
        columns = order_word & THREE_COLUMNS
        leaves = U(order.leaves_qty)
        old_price = U(order.price)
        limit = price if price != ZERO else old_price
        if kind == _REPLACE:
            executed = U(order.order_qty) - leaves
            named = word & THREE_COLUMNS
            if (
                not is_plain(s, i)
                or changes_prevention(s, i, flags)
                or (flags >> _POST_ONLY_SHIFT != ZERO and U(s.sides[side_row ^ ONE].best_key) <= key_of(side_row ^ ONE, limit))
                or order_qty <= executed
                or order_qty < U(shard_book.qty_min)
                or order_qty > U(shard_book.qty_max)
                or (price != ZERO and (price < U(shard_book.price_low) or price > U(shard_book.price_high)))
                or is_beyond_bands(shard_book, side_row & ONE, limit)
                or ((named ^ columns) >> _TIME_SHIFT != ZERO and named >> _TIME_SHIFT != _UNCHANGED)
                or ((named ^ columns) & U(0xFF00) != ZERO and named & U(0xFF00) != ZERO)
                or ((named ^ columns) & U(0xFF0000) != ZERO and named & U(0xFF0000) != ZERO)
                or (command.instrument != 0 and U(command.instrument) != instrument)
            ):
                return at, NOT_FAST, ZERO
            if levels:
                note_tops_plain(s, side_row)
            new_leaves = order_qty - executed
            if limit == old_price and new_leaves <= leaves:  # keeps its priority
                rpt_seq = shard_book.rpt_seq + ONE
                level = s.levels[U(order.level)]
                level.qty -= leaves - new_leaves
                order.leaves_qty = new_leaves
                order.order_qty = order_qty
                write_row(
                    s, at, columns | U(EXEC_REPLACED), instrument, i, rpt_seq, order_id, account, ZERO, ZERO, ZERO, limit, order_qty, new_leaves, ZERO,
                    new_leaves, now,
                )  # fmt: skip
                at += ONE
                if levels and new_leaves != leaves:
                    rpt_seq += ONE
                    put_level(s, at, rpt_seq, i, instrument, side_row, limit, level.qty, U(level.order_count))
                    at += ONE
                if shard_book.watched != 0:
                    shard_book.rpt_seq = rpt_seq
                    return at, SETTLE, side_row >> _TWO
                if levels:
                    at, rpt_seq = put_tops_plain(s, at, rpt_seq, i, instrument, side_row)
                shard_book.rpt_seq = rpt_seq
                return at, DONE, ZERO
            order.order_qty = order_qty
        elif levels:
            note_tops_plain(s, side_row)
        left_qty, left_count = take_out_plain(s, side_row, row)
        rpt_seq = shard_book.rpt_seq + ONE
        if kind == _CANCEL:
            index_remove(s, place, row)
            give_order(s, row)
            write_row(
                s, at, columns | U(EXEC_CANCELED) | _REQUESTED, instrument, i, rpt_seq, order_id, account, ZERO, ZERO, ZERO, old_price, leaves, ZERO, ZERO,
                ZERO, now,
            )  # fmt: skip
        else:
            leaves = order_qty - executed
            entry = s.head[LAST_ENTRY] + ONE
            s.head[LAST_ENTRY] = entry
            order.entry = entry
            order.price = limit
            write_row(
                s, at, columns | U(EXEC_REPLACED), instrument, i, rpt_seq, order_id, account, ZERO, ZERO, ZERO, limit, order_qty, leaves, ZERO, ZERO, now
            )  # fmt: skip
        at += ONE
        if levels:
            rpt_seq += ONE
            put_level(s, at, rpt_seq, i, instrument, side_row, old_price, left_qty, left_count)
            at += ONE
        if kind == _CANCEL:
            if shard_book.watched != 0:
                shard_book.rpt_seq = rpt_seq
                return at, SETTLE, side_row >> _TWO
            if levels:
                at, rpt_seq = put_tops_plain(s, at, rpt_seq, i, instrument, side_row)
            shard_book.rpt_seq = rpt_seq
            return at, DONE, ZERO
        price = limit
    else:
        return at, NOT_FAST, ZERO

    # the order meets the book: a new one (row 0), or one that a replace has taken out
    opposite = side_row ^ ONE
    limit_key = key_of(opposite, limit)
    special = False
    if U(s.sides[opposite].best_key) <= limit_key:
        at, rpt_seq, leaves, last_px, special = sweep_plain(
            s, at, rpt_seq, i, instrument, opposite, columns | U(EXEC_TRADE), flags, order_id, account, limit_key, leaves
        )
        if last_px != ZERO:
            shard_book.last_px = last_px
    if leaves == ZERO:
        if row != ZERO:
            index_remove(s, index_head(s.tree[BUCKETS], order_id), row)
            give_order(s, row)
    elif immediate and not special:
        reason = U(REASON_IMMEDIATE_OR_CANCEL)
        if (columns >> _TYPE_SHIFT) & _BYTE == U(TYPE_MARKET):
            reason = U(REASON_NO_LIQUIDITY) if s.sides[opposite].best == 0 else U(REASON_PROTECTION_PRICE)
        rpt_seq += ONE
        write_row(
            s, at, columns | U(EXEC_CANCELED) | (reason << REASON_SHIFT), instrument, i, rpt_seq, order_id, account, ZERO, ZERO, ZERO, price, leaves, ZERO,
            ZERO, ZERO, now,
        )  # fmt: skip
        at += ONE
    else:
        if row == ZERO:
            if index_needs_bucket(s):
                index_add_bucket(s)
            row = take_order(s)
            words = s.order_words
            words[row, U(0)] = columns | flags | (side_row << _LEVEL_SHIFT)
            words[row, U(1)] = order_id
            words[row, U(2)] = account
            words[row, U(3)] = entry
            words[row, U(4)] = price | (leaves << _LEVEL_SHIFT)
            words[row, U(5)] = order_qty
            words[row, U(7)] = ZERO
            index_insert(s, index_head(s.tree[BUCKETS], order_id), row)
        if special:
            s.orders[row].leaves_qty = leaves
            s.orders[row].level = 0
            shard_book.rpt_seq = rpt_seq
            return at, GO_ON, row
        qty, count = rest_plain(s, side_row, row, key_of(side_row, limit), limit, leaves)
        if levels:
            rpt_seq += ONE
            put_level(s, at, rpt_seq, i, instrument, side_row, limit, qty, count)
            at += ONE
    if shard_book.watched != 0:
        shard_book.rpt_seq = rpt_seq
        return at, SETTLE, side_row >> _TWO
    if levels:
        at, rpt_seq = put_tops_plain(s, at, rpt_seq, i, instrument, side_row)
    shard_book.rpt_seq = rpt_seq
    return at, DONE, ZERO
