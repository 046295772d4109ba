"""The fast path: plain orders in continuous trading, where nothing but the order itself is to be thought of.

A book is `fast` if it is in continuous trading; a command is plain if it uses only columns that an order's own row has room for (post-only, and prevention by
account, among them); an order is plain if it has no `extra` row, a level if it has no `apart`. Whatever is not plain goes to the general path, which does the
same by the reference's rules one by one. A sweep that comes to a level with special orders, to an order of its own account, or to a price whose trades are not
quiet (they would elect stops, move trailing ones, count for price bands, or go by pro-rata), goes on there. In a `watched` book (pegs, price bands) a command
ends in books.kernel.settle.
What a command writes again and again is kept in local values: the number of the next row, the book's rpt_seq.
"""

from collections import namedtuple
from typing import Any, Final

from matchers.books.kernel.layout import BUCKETS, HAS_EXTRA, LAST_ENTRY, LOG_TIME, ORDERS, ORDERS_MAX, POST_ONLY_SHIFT, WITH_LEVELS
from matchers.books.kernel.memory import ONE, ZERO, give_order, take_order
from matchers.books.kernel.order_index import find_in_chain, index_add_bucket, index_head, index_insert, index_needs_bucket, index_remove
from matchers.books.kernel.plain import (
    changes_prevention,
    flags_of,
    is_beyond_bands,
    is_plain,
    note_tops_plain,
    put_level,
    put_tops_plain,
    rest_plain,
    sweep_plain,
    take_out_plain,
)
from matchers.books.kernel.rows import BOOK_SHIFT, REASON_SHIFT, SIDE_SHIFT, THREE_COLUMNS, book_of, key_of, write_row
from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U
from matchers.compiled.order_checks import bits_of
from matchers.compiled.words import (
    BOOK_CANCEL,
    BOOK_NEW_ORDER,
    BOOK_REPLACE,
    EXEC_CANCEL_REJECTED,
    EXEC_CANCELED,
    EXEC_NEW,
    EXEC_REPLACED,
    EXEC_TRADE,
    REASON_IMMEDIATE_OR_CANCEL,
    REASON_NO_LIQUIDITY,
    REASON_PROTECTION_PRICE,
    REASON_REQUESTED_BY_CUSTOMER,
    REASON_TOO_LATE_TO_CANCEL,
    TIF_IOC,
    TYPE_LIMIT,
    TYPE_MARKET,
)
from matchers.rules.order_tables import order_reason
from schemas.enums import TIME_IN_FORCE_UNCHANGED, ExecInst, OrdType, SelfMatchPrevention, TimeInForce
from schemas.field_rules import TIME_RULES, TYPE_RULES, Use

_BYTE: Final = U(0xFF)
_TYPE_SHIFT, _TIME_SHIFT, _INSTRUCTION_SHIFT, _HALF_SHIFT = U(16), U(24), U(48), U(32)
"""In the first word of a command, the last one in those of an order."""
_ACCOUNT, _ORDER_ID = U(2), U(3)
"""Words of a command."""
_POST_ONLY_SHIFT, _EXTRA, _PREVENTION_MAX = U(POST_ONLY_SHIFT), U(HAS_EXTRA), U(max(SelfMatchPrevention))
_TOO_LATE: Final = U(REASON_TOO_LATE_TO_CANCEL) << REASON_SHIFT
_REQUESTED: Final = U(REASON_REQUESTED_BY_CUSTOMER) << REASON_SHIFT
_UNCHANGED: Final = U(TIME_IN_FORCE_UNCHANGED)
_NEW, _CANCELS, _REPLACE = U(BOOK_NEW_ORDER), U(BOOK_CANCEL), U(BOOK_REPLACE)
DONE, NOT_FAST, GO_ON, SETTLE, MEETS, CLOSES = (U(number) for number in range(6))
"""What became of a command: all done; nothing done yet, the general path's; its order is to go on in the general path; all done but what follows. Within this
module also: its order is to meet the book; it is done up to its last rows."""


def _fast_times(ord_type: OrdType) -> Any:
    """The times in force, as bits, for which the field rules let an order of this type say no more than a plain one does: a price, and post-only if it rests."""
    rule, fast = TYPE_RULES[ord_type], []
    for time in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC):
        rests = ord_type != OrdType.MARKET and time != TimeInForce.IOC
        instructions = (0, ExecInst.POST_ONLY, ExecInst.POST_ONLY_SLIDE) if rests else (0,)
        needs_more = Use.MUST in (rule.stop_px, rule.peg_price_type, rule.offset, TIME_RULES[time].expire_time)
        if not needs_more and not any(order_reason(ord_type, time, one) for one in instructions):
            fast.append(time)
    return U(bits_of(fast))


_LIMIT_TIMES, _MARKET_TIMES = _fast_times(OrdType.LIMIT), _fast_times(OrdType.MARKET)
assert TYPE_RULES[OrdType.LIMIT].price == Use.MUST, "the fast path takes limit orders by their price"

Entering = namedtuple(  # noqa: PYI024  numba takes only the plain kind
    "Entering", "row side_row columns flags price limit leaves order_qty entry immediate rpt_seq"
)
"""An order that meets the book: a new one (row 0), or one that a replace has taken out. All u64."""


@helper
def _nothing() -> Any:
    return Entering(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)


@helper
def fast_command(s: Any, i: Any, at: Any, place: Any) -> Any:
    """Apply command i if it is plain; place: index_head of its order_id. Gives (next row, what became of it, order row for GO_ON or book for SETTLE)."""
    kind = s.command_words[i, ZERO] & _BYTE
    row = find_in_chain(s, place, s.command_words[i, _ORDER_ID])
    what, entering = NOT_FAST, _nothing()
    if kind == _NEW:
        at, what, entering = _begin_new(s, i, at, row)
    elif kind == _CANCELS or kind == _REPLACE:
        if row == ZERO:
            return _put_too_late(s, i, at), DONE, ZERO
        order = s.orders[row]
        side_row = U(order.side_row)
        if (
            order.account == s.command_words[i, _ACCOUNT]
            and U(order.special) & _EXTRA == ZERO
            and s.books[side_row >> BOOK_SHIFT].fast != 0
        ):
            if kind == _CANCELS:
                at, rpt_seq = _cancel(s, i, at, place, row)
                return _close(s, i, at, side_row, rpt_seq)
            at, what, entering = _begin_replace(s, i, at, row)
            if what == CLOSES:
                return _close(s, i, at, side_row, entering.rpt_seq)
    if what != MEETS:
        return at, what, ZERO
    at, rpt_seq, row = _meet(s, i, at, entering)
    if row != ZERO:
        s.books[entering.side_row >> BOOK_SHIFT].rpt_seq = rpt_seq
        return at, GO_ON, row
    return _close(s, i, at, entering.side_row, rpt_seq)


@helper
def _close(s: Any, i: Any, at: Any, side_row: Any, rpt_seq: Any) -> Any:
    """The end of a command."""
    book = s.books[side_row >> BOOK_SHIFT]
    if book.watched != 0:
        book.rpt_seq = rpt_seq
        return at, SETTLE, side_row >> BOOK_SHIFT
    if s.call[WITH_LEVELS] != ZERO:
        at, rpt_seq = put_tops_plain(s, at, rpt_seq, i, U(book.instrument), side_row)
    book.rpt_seq = rpt_seq
    return at, DONE, ZERO


@helper
def _begin_new(s: Any, i: Any, at: Any, row: Any) -> Any:
    """A NEW_ORDER up to its NEW row. Gives (at, MEETS or NOT_FAST, Entering)."""
    word, command = s.command_words[i, ZERO], s.commands[i]
    book_row = book_of(s, U(command.instrument)) - ONE
    side, ord_type, time_in_force = ((word >> SIDE_SHIFT) & _BYTE) - ONE, (word >> _TYPE_SHIFT) & _BYTE, (word >> _TIME_SHIFT) & _BYTE
    if book_row == ~ZERO or row != ZERO or command.order_id == ZERO or side > ONE or not is_plain(s, i):
        return at, NOT_FAST, _nothing()
    book = s.books[book_row]
    price, order_qty = U(command.price), U(command.order_qty)
    limit, flags, side_row = price, flags_of(s, i, book), (book_row << BOOK_SHIFT) + side
    market = ord_type == U(TYPE_MARKET)
    if market and price == ZERO:
        limit = U(book.price_high) if side == ZERO else U(book.price_low)
    immediate = market or time_in_force == U(TIF_IOC)
    if (
        (not market and (ord_type != U(TYPE_LIMIT) or price == ZERO))
        or (market and book.band_high != 0)
        or book.fast == 0
        or time_in_force > U(TIF_IOC)
        or ((_MARKET_TIMES if market else _LIMIT_TIMES) >> time_in_force) & ONE == ZERO
        or limit < U(book.price_low)
        or limit > U(book.price_high)
        or is_beyond_bands(book, side, limit)
        or order_qty < U(book.qty_min)
        or order_qty > U(book.qty_max)
        or (word >> _INSTRUCTION_SHIFT) & _BYTE > _PREVENTION_MAX
        or s.head[ORDERS] >= s.head[ORDERS_MAX]
        or (flags != ZERO and _is_not_fast(s, flags, side_row, limit, immediate))
    ):
        return at, NOT_FAST, _nothing()
    entry, rpt_seq, columns = s.head[LAST_ENTRY] + ONE, book.rpt_seq + ONE, word & THREE_COLUMNS
    s.head[LAST_ENTRY] = entry
    if s.call[WITH_LEVELS] != ZERO:
        note_tops_plain(s, side_row)
    write_row(
        s, at, columns | U(EXEC_NEW), U(command.instrument), i, rpt_seq, command.order_id, command.account, ZERO, ZERO, ZERO, price, order_qty, order_qty,
        ZERO, ZERO if immediate else order_qty, s.head[LOG_TIME],
    )  # fmt: skip
    at += ONE
    return (
        at,
        MEETS,
        Entering(ZERO, side_row, columns, flags, price, limit, order_qty, order_qty, entry, ONE if immediate else ZERO, rpt_seq),
    )


@helper
def _is_not_fast(s: Any, flags: Any, side_row: Any, limit: Any, immediate: Any) -> Any:
    """What exec_inst and prevention may have against the fast path: another identity than the account, post-only of an order that is not to rest."""
    return flags & _EXTRA != ZERO or (flags >> _POST_ONLY_SHIFT != ZERO and (immediate or _would_take(s, side_row, limit)))


@helper
def _would_take(s: Any, side_row: Any, limit: Any) -> Any:
    return U(s.sides[side_row ^ ONE].best_key) <= key_of(side_row ^ ONE, limit)


@helper
def _cancel(s: Any, i: Any, at: Any, place: Any, row: Any) -> Any:
    """A CANCEL. Gives (at, rpt_seq)."""
    order = s.orders[row]
    side_row, columns, leaves, price = U(order.side_row), s.order_words[row, ZERO] & THREE_COLUMNS, U(order.leaves_qty), U(order.price)
    book = s.books[side_row >> BOOK_SHIFT]
    rpt_seq, levels = book.rpt_seq + ONE, s.call[WITH_LEVELS] != ZERO
    if levels:
        note_tops_plain(s, side_row)
    qty, count = take_out_plain(s, side_row, row)
    write_row(
        s, at, columns | U(EXEC_CANCELED) | _REQUESTED, U(book.instrument), i, rpt_seq, order.order_id, order.account, ZERO, ZERO, ZERO, price, leaves, ZERO,
        ZERO, ZERO, s.head[LOG_TIME],
    )  # fmt: skip
    index_remove(s, place, row)
    give_order(s, row)
    at += ONE
    if levels:
        rpt_seq += ONE
        put_level(s, at, rpt_seq, i, U(book.instrument), side_row, price, qty, count)
        at += ONE
    return at, rpt_seq


@helper
def _begin_replace(s: Any, i: Any, at: Any, row: Any) -> Any:
    """A REPLACE up to its REPLACED row. Gives (at, CLOSES, MEETS or NOT_FAST, Entering); CLOSES: the order has kept its priority."""
    word, command, order = s.command_words[i, ZERO], s.commands[i], s.orders[row]
    side_row, columns, leaves, old_price = U(order.side_row), s.order_words[row, ZERO] & THREE_COLUMNS, U(order.leaves_qty), U(order.price)
    book, flags, levels = s.books[side_row >> BOOK_SHIFT], U(order.special), s.call[WITH_LEVELS] != ZERO
    executed, order_qty, price = U(order.order_qty) - leaves, U(command.order_qty), U(command.price)
    limit = price if price != ZERO else old_price
    if (
        not is_plain(s, i)
        or _changes_fixed(s, i, word & THREE_COLUMNS, columns, flags, U(book.instrument))
        or (flags >> _POST_ONLY_SHIFT != ZERO and _would_take(s, side_row, limit))
        or order_qty <= executed
        or order_qty < U(book.qty_min)
        or order_qty > U(book.qty_max)
        or (price != ZERO and (price < U(book.price_low) or price > U(book.price_high)))
        or is_beyond_bands(book, side_row & ONE, limit)
    ):
        return at, NOT_FAST, _nothing()
    if levels:
        note_tops_plain(s, side_row)
    rpt_seq, new_leaves, entry = book.rpt_seq + ONE, order_qty - executed, s.head[LAST_ENTRY] + ONE
    keeps = limit == old_price and new_leaves <= leaves
    order.order_qty = order_qty
    if keeps:
        level = s.levels[U(order.level)]
        qty, count = level.qty - (leaves - new_leaves), U(level.order_count)
        level.qty = qty
        order.leaves_qty = new_leaves
    else:
        qty, count = take_out_plain(s, side_row, row)
        s.head[LAST_ENTRY] = entry
        order.entry = entry
        order.price = limit
    write_row(
        s, at, columns | U(EXEC_REPLACED), U(book.instrument), i, rpt_seq, order.order_id, order.account, ZERO, ZERO, ZERO, limit, order_qty, new_leaves,
        ZERO, new_leaves, s.head[LOG_TIME],
    )  # fmt: skip
    at += ONE
    if levels and not (keeps and new_leaves == leaves):
        rpt_seq += ONE
        put_level(s, at, rpt_seq, i, U(book.instrument), side_row, old_price, qty, count)
        at += ONE
    entering = Entering(row, side_row, columns, flags, limit, limit, new_leaves, order_qty, entry, ZERO, rpt_seq)
    return at, CLOSES if keeps else MEETS, entering


@helper
def _changes_fixed(s: Any, i: Any, named: Any, columns: Any, flags: Any, instrument: Any) -> Any:
    """Whether a replace says anything of what never changes, but as it is; or another time in force, which the general path judges."""
    command = s.commands[i]
    other = named ^ columns
    return (
        changes_prevention(s, i, flags)
        or (other >> _TIME_SHIFT != ZERO and named >> _TIME_SHIFT != _UNCHANGED)
        or (other & U(0xFF00) != ZERO and named & U(0xFF00) != ZERO)
        or (other & U(0xFF0000) != ZERO and named & U(0xFF0000) != ZERO)
        or (command.instrument != 0 and U(command.instrument) != instrument)
    )


@helper
def _meet(s: Any, i: Any, at: Any, e: Any) -> Any:
    """The order sweeps what it reaches, and what is left rests or is cancelled. Gives (at, rpt_seq, order row if it is to go on in the general path, else 0)."""
    book, command = s.books[e.side_row >> BOOK_SHIFT], s.commands[i]
    instrument, opposite = U(book.instrument), e.side_row ^ ONE
    limit_key = key_of(opposite, e.limit)
    rpt_seq, leaves, special = e.rpt_seq, e.leaves, False
    if U(s.sides[opposite].best_key) <= limit_key:
        at, rpt_seq, leaves, last_px, special = sweep_plain(
            s,
            at,
            rpt_seq,
            i,
            instrument,
            opposite,
            e.columns | U(EXEC_TRADE),
            e.flags,
            command.order_id,
            command.account,
            limit_key,
            leaves,
        )
        if last_px != ZERO:
            book.last_px = last_px
    row = e.row
    if leaves == ZERO:
        if row != ZERO:
            index_remove(s, index_head(s.tree[BUCKETS], command.order_id), row)
            give_order(s, row)
        return at, rpt_seq, ZERO
    if e.immediate != ZERO and not special:
        reason = U(REASON_IMMEDIATE_OR_CANCEL)
        if (e.columns >> _TYPE_SHIFT) & _BYTE == U(TYPE_MARKET):
            reason = U(REASON_NO_LIQUIDITY) if s.sides[opposite].best == 0 else U(REASON_PROTECTION_PRICE)
        rpt_seq += ONE
        write_row(
            s, at, e.columns | U(EXEC_CANCELED) | (reason << REASON_SHIFT), instrument, i, rpt_seq, command.order_id, command.account, ZERO, ZERO, ZERO,
            e.price, leaves, ZERO, ZERO, ZERO, s.head[LOG_TIME],
        )  # fmt: skip
        return at + ONE, rpt_seq, ZERO
    if row == ZERO:
        row = _new_row(s, command, e, leaves)
    if special:
        s.orders[row].leaves_qty = leaves
        s.orders[row].level = 0
        return at, rpt_seq, row
    qty, count = rest_plain(s, e.side_row, row, key_of(e.side_row, e.limit), e.limit, leaves)
    if s.call[WITH_LEVELS] != ZERO:
        rpt_seq += ONE
        put_level(s, at, rpt_seq, i, instrument, e.side_row, e.limit, qty, count)
        at += ONE
    return at, rpt_seq, ZERO


@helper
def _new_row(s: Any, command: Any, e: Any, leaves: Any) -> Any:
    """A row for what is left of a new order, known by its number."""
    if index_needs_bucket(s):
        index_add_bucket(s)
    row, words = take_order(s), s.order_words
    words[row, U(0)] = e.columns | e.flags | (e.side_row << _HALF_SHIFT)
    words[row, U(1)] = command.order_id
    words[row, U(2)] = command.account
    words[row, U(3)] = e.entry
    words[row, U(4)] = e.price | (leaves << _HALF_SHIFT)
    words[row, U(5)] = e.order_qty
    words[row, U(7)] = ZERO
    index_insert(s, index_head(s.tree[BUCKETS], command.order_id), row)
    return row


@helper
def _put_too_late(s: Any, i: Any, at: Any) -> Any:
    """CANCEL_REJECTED: the order is not live here, whatever the phase. Gives the next row."""
    command = s.commands[i]
    instrument = U(command.instrument)
    rpt_seq = ZERO
    book = book_of(s, instrument)
    if book != ZERO:
        rpt_seq = s.books[book - ONE].rpt_seq + ONE
        s.books[book - ONE].rpt_seq = rpt_seq
    head = (s.command_words[i, ZERO] & U(0xFF00)) | U(EXEC_CANCEL_REJECTED) | _TOO_LATE
    write_row(
        s, at, head, instrument, i, rpt_seq, command.order_id, command.account, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, s.head[LOG_TIME]
    )  # fmt: skip
    return at + ONE
