"""The rows that the account kernel writes: events, answers, copies for registered edges, book commands."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.layout import (
    ASKING,
    BOOK_COMMANDS,
    EVENT_ORIG_WORDS,
    EVENT_WORDS,
    EVENTS,
    LAST_SEQ,
    LOG_TIME,
    REPLIES,
    REPLY_ORIG_WORDS,
    REPLY_WORDS,
)
from matchers.compiled.compilation import helper
from matchers.compiled.hash_index import U, hash_of_pair, index_next

_ZERO: Final = U(0)


@helper
def find_position(s: Any, account_row: Any, instrument: Any) -> Any:
    """Row of the account's position, 0 if it never had one."""
    hashed = hash_of_pair(U(account_row), U(instrument))
    row, at = index_next(s.position_index, hashed, hashed)
    while row != 0 and (s.positions[row].account_row != account_row or s.positions[row].instrument != instrument):
        row, at = index_next(s.position_index, hashed, at)
    return row


@helper
def event_row(s: Any, kind: Any) -> Any:
    """The next event row, zeros but for kind; publish() finishes it."""
    event = s.events[s.call[EVENTS]]
    event.kind = kind
    return event


@helper
def fill_order(row: Any, order: Any) -> None:
    """The order's columns."""
    row.side = order.side
    row.ord_type = order.ord_type
    row.time_in_force = order.time_in_force
    row.ord_status = order.ord_status
    row.instrument = order.instrument
    row.order_id = order.order_id
    row.order_qty = order.order_qty
    row.price = order.price
    row.leaves_qty = order.leaves_qty
    row.cum_qty = order.cum_qty
    row.cum_cost = order.cum_cost
    row.submitted_at = order.submitted_at
    row.stop_px = order.stop_px
    row.display_qty = order.display_qty
    row.offset = order.offset
    row.expire_time = order.expire_time
    row.list_id = order.list_id
    row.exec_inst = order.exec_inst
    row.contingency_type = order.contingency_type
    row.peg_price_type = order.peg_price_type
    row.offset_type = order.offset_type


@helper
def _fill_account(s: Any, row: Any, account_row: Any, position_row: Any) -> None:
    """What every row carries: the account's amounts after the event, and log time."""
    row.transact_time = s.head[LOG_TIME]
    if account_row != 0:
        account = s.accounts[account_row]
        row.account = account.account
        row.cash = account.cash
        row.cash_held = account.cash_held
    if position_row != 0:
        position = s.positions[position_row]
        row.position = position.position
        row.position_held = position.position_held
        row.position_cost = position.position_cost


@helper
def put_text(s: Any, text: Any, row: Any, words: Any) -> None:
    """A command's valid text (words 0: none) beside the event row that is being written."""
    at = s.call[EVENTS]
    for word in range(words):
        s.event_text[at, word] = text[row, word]
    s.call[EVENT_WORDS] = max(s.call[EVENT_WORDS], words)


@helper
def _words_of(order_text: Any, order_row: Any) -> Any:
    words = 0
    while words < order_text.shape[1] and order_text[order_row, words] != _ZERO:
        words += 1
    return words


@helper
def put_order_text(s: Any, order_row: Any) -> None:
    """The order's text beside the event row that is being written."""
    put_text(s, s.order_text, order_row, _words_of(s.order_text, order_row))


@helper
def _copy_event(s: Any, at: Any, request_id: Any, mask: Any) -> None:
    """The event row `at` as a reply."""
    reply = s.call[REPLIES]
    s.replies[reply] = s.events[at]
    s.replies[reply].request_id = request_id
    s.reply_mask[reply] = mask
    for word in range(s.call[EVENT_WORDS]):
        s.reply_text[reply, word] = s.event_text[at, word]
    words = _words_of(s.event_text, at)
    s.call[REPLY_WORDS] = max(s.call[REPLY_WORDS], words)
    for word in range(s.call[EVENT_ORIG_WORDS]):
        if s.event_orig[at, word] != _ZERO:
            s.reply_orig[reply, word] = s.event_orig[at, word]
            s.call[REPLY_ORIG_WORDS] = max(s.call[REPLY_ORIG_WORDS], word + 1)
    s.call[REPLIES] += 1


@helper
def publish(s: Any, account_row: Any, position_row: Any, asking: Any, request_id: Any) -> None:
    """Finish the event row; answer the asking edge (-1: none) with its request_id, copy to the other edges of the account."""
    at = s.call[EVENTS]
    s.head[LAST_SEQ] += 1
    event = s.events[at]
    event.seq = U(s.head[LAST_SEQ])
    event.request_id = request_id
    _fill_account(s, event, account_row, position_row)
    others = s.accounts[account_row].edges
    if asking >= 0:
        bit = U(1) << U(asking)
        others &= ~bit
        _copy_event(s, at, request_id, bit)
    if others != _ZERO:
        _copy_event(s, at, _ZERO, others)
    s.call[EVENTS] += 1


@helper
def answer(s: Any, kind: Any, account_row: Any, order_row: Any, position_row: Any, request_id: Any) -> Any:
    """A row for the asking edge only, with the order's columns if order_row is not 0; its number, -1 if nobody asks."""
    if s.call[ASKING] < 0:
        return -1
    at = s.call[REPLIES]
    reply = s.replies[at]
    reply.kind = kind
    reply.request_id = request_id
    if order_row != 0:
        fill_order(reply, s.orders[order_row])
        words = _words_of(s.order_text, order_row)
        for word in range(words):
            s.reply_text[at, word] = s.order_text[order_row, word]
        s.call[REPLY_WORDS] = max(s.call[REPLY_WORDS], words)
    _fill_account(s, reply, account_row, position_row)
    s.reply_mask[at] = U(1) << U(s.call[ASKING])
    s.call[REPLIES] += 1
    return at


@helper
def book_command(s: Any, kind: Any, order_row: Any) -> Any:
    """The next row for the order's book shard, with what names the order."""
    order = s.orders[order_row]
    command = s.book_commands[s.call[BOOK_COMMANDS]]
    command.kind = kind
    command.side = order.side
    command.instrument = order.instrument
    command.account = s.accounts[order.account_row].account
    command.order_id = order.order_id
    command.transact_time = s.head[LOG_TIME]
    s.call[BOOK_COMMANDS] += 1
    return command


@helper
def order_event(s: Any, kind: Any, order_row: Any, reason: Any, asking: Any, request_id: Any) -> None:
    """An event row about an order as it is now."""
    order = s.orders[order_row]
    event = event_row(s, kind)
    fill_order(event, order)
    event.reason = reason
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), np.int64(order.position_row), asking, request_id)
