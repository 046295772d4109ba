"""New orders in the account kernel; the order of checks and rows is that of accounts.reference.orders. Lists of them: accounts.kernel.lists."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.checks import (
    body_digest,
    book_stop_px,
    is_without_limit,
    worst_px,
)
from matchers.accounts.kernel.funds import (
    count_order,
    funds_refusal,
    has_no_room,
    is_short_sale,
    is_too_fast,
    notional_refusal,
    position_refusal,
    restricted_refusal,
    short_refusal,
)
from matchers.accounts.kernel.holds import put_hold
from matchers.accounts.kernel.layout import (
    ASKING,
    FREE_ORDER,
    LAST_ORDER_NUMBER,
    LOG_TIME,
    OPEN_ORDERS,
    ORDERS_USED,
    SHARD,
)
from matchers.accounts.kernel.pools import find_account, find_cl_ord_id, is_known, position_made
from matchers.accounts.kernel.rows import answer, book_command, event_row, find_position, order_event, publish, put_text
from matchers.accounts.kernel.words import (
    ACCOUNT_ACTIVE,
    REASON_ACCOUNT_SUSPENDED,
    REASON_RATE_LIMIT,
)
from matchers.compiled.compilation import helper
from matchers.compiled.digest import text_digest
from matchers.compiled.hash_index import U, hash_of, hash_of_pair, index_insert
from matchers.compiled.order_checks import order_refusal
from matchers.compiled.words import (
    BOOK_NEW_ORDER,
    EVENT_ACCEPTED,
    EVENT_DUPLICATE,
    EVENT_REJECTED,
    REASON_DUPLICATE_CL_ORD_ID,
    REASON_INVALID_CL_ORD_ID,
    REASON_OPEN_ORDER_LIMIT,
    REASON_UNKNOWN_ACCOUNT,
    REASON_UNKNOWN_SYMBOL,
    SIDE_BUY,
    STATUS_NEW,
    STATUS_REJECTED,
    TYPE_PEGGED,
)
from matchers.rules.account_rules import HOLD_ALL
from schemas.limits import ORDER_ID_SHARD_SHIFT

_ZERO: Final = U(0)


@helper
def refuse_order(s: Any, command: Any, account_row: Any, reason: Any, text: Any, row: Any, words: Any) -> None:
    """A REJECTED event, with the columns as they came."""
    event = event_row(s, EVENT_REJECTED)
    event.instrument = command.instrument
    event.side = command.side
    event.ord_type = command.ord_type
    event.time_in_force = command.time_in_force
    event.order_qty = command.order_qty
    event.price = command.price
    event.account = command.account
    event.reason = reason
    event.ord_status = STATUS_REJECTED
    put_text(s, text, row, words)
    position_row = find_position(s, account_row, command.instrument) if account_row != 0 else 0
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)


@helper
def earlier_order(s: Any, account_row: Any, text: Any, row: Any, words: Any) -> Any:
    """(row of the account's order that has this cl_ord_id or 0, digest)."""
    low, high = text_digest(text, row, words)
    earlier = find_cl_ord_id(s, account_row, low, high) if account_row != 0 and words > 0 else np.int64(0)
    return earlier, low, high


@helper
def refusal(s: Any, command: Any, account_row: Any, position_row: Any, words: Any, earlier: Any) -> Any:
    """The checks of one order up to its price, or 0."""
    if account_row == 0:
        return REASON_UNKNOWN_ACCOUNT
    account = s.accounts[account_row]
    if account.status != ACCOUNT_ACTIVE:
        return REASON_ACCOUNT_SUSPENDED
    if not is_known(s, command.instrument):
        return REASON_UNKNOWN_SYMBOL
    if words == 0:
        return REASON_INVALID_CL_ORD_ID
    if earlier != 0:
        return REASON_DUPLICATE_CL_ORD_ID
    if is_too_fast(s, account):
        return REASON_RATE_LIMIT
    rules = s.rules[command.instrument]
    reason = order_refusal(s.order_table, command, rules.order_qty_min, rules.order_qty_max, s.head[LOG_TIME], in_book=False)
    if reason == 0:
        price = worst_px(command.ord_type, command.side, command.price, book_stop_px(command, rules), rules)
        reason = notional_refusal(account, rules, price, command.order_qty)
    if reason == 0:
        reason = restricted_refusal(s, rules, position_row)
    return reason


@helper
def _hold_per_lot(command: Any, rules: Any) -> Any:
    """account_rules.hold_per_lot of a new order."""
    if command.side != SIDE_BUY:
        return np.int64(0)
    price = worst_px(command.ord_type, command.side, command.price, book_stop_px(command, rules), rules)
    return price * rules.lot_minor_per_tick + rules.taker_fee_minor


@helper
def need_of_new(command: Any, rules: Any, is_short: Any, is_closing: Any) -> Any:
    """What a new order needs by itself, as accounts.kernel.holds.need_of has it."""
    lots = command.order_qty
    none = np.int64(0)
    if command.side == SIDE_BUY:
        return lots * _hold_per_lot(command, rules), none, lots, none
    if is_short:
        return lots * rules.short_margin_minor, none, none, lots
    return none, none if is_closing else lots, none, none


@helper
def needs_refusal(s: Any, command: Any, account_row: Any, position_row: Any, is_short: Any, need: Any, orders: Any) -> Any:
    """Whether the account has what `orders` new orders need in all, the last of which is this command's."""
    account = s.accounts[account_row]
    reason = position_refusal(s, s.rules[command.instrument], position_row, need[2], need[3])
    if reason == 0 and is_short:
        reason = short_refusal(s, account, command)
    if reason == 0:
        reason = funds_refusal(s, account_row, position_row, need[0], need[1])
    if reason == 0 and has_no_room(s, account, orders):
        reason = REASON_OPEN_ORDER_LIMIT
    return reason


@helper
def new_order(s: Any, command: Any, text: Any, row: Any, words: Any) -> None:
    """A NEW_ORDER command that stands alone; text: its cl_ord_id, of `words` valid words."""
    account_row = find_account(s, command.account)
    earlier, low, high = earlier_order(s, account_row, text, row, words)
    if earlier != 0 and is_known(s, command.instrument) and s.orders[earlier].body == body_digest(command):
        answer(s, EVENT_DUPLICATE, account_row, earlier, np.int64(s.orders[earlier].position_row), command.request_id)
        return
    position_row = find_position(s, account_row, command.instrument) if account_row != 0 else np.int64(0)
    reason = refusal(s, command, account_row, position_row, words, earlier)
    is_short = False
    need = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    if reason == 0:
        is_short = is_short_sale(s, position_row, command)
        need = need_of_new(command, s.rules[command.instrument], is_short, is_closing=False)
        reason = needs_refusal(s, command, account_row, position_row, is_short, need, 1)
    if reason != 0:
        refuse_order(s, command, account_row, reason, text, row, words)
        return
    if position_row == 0:
        position_row = position_made(s, account_row, command.instrument)
    order_row = place_order(s, command, account_row, position_row, is_short, _ZERO)
    index_order(s, order_row, text, row, words, low, high)
    put_hold(s, account_row, position_row, need[0], need[1], need[2], need[3])
    tell(s, command, order_row)


@helper
def place_order(s: Any, command: Any, account_row: Any, position_row: Any, is_short: Any, list_id: Any) -> Any:
    """Take an order row and fill it; the row."""
    head = s.head
    order_row = head[FREE_ORDER]
    if order_row != 0:
        head[FREE_ORDER] = s.orders[order_row].next
    else:
        order_row = head[ORDERS_USED]
        head[ORDERS_USED] += 1
    head[LAST_ORDER_NUMBER] += 1
    head[OPEN_ORDERS] += 1
    account = s.accounts[account_row]
    rules = s.rules[command.instrument]
    order = s.orders[order_row]
    order.order_id = U((head[SHARD] << ORDER_ID_SHARD_SHIFT) | head[LAST_ORDER_NUMBER])
    order.body = body_digest(command)
    order.price = command.price
    order.hold_per_lot = _hold_per_lot(command, rules)
    order.cum_cost = 0
    order.submitted_at = head[LOG_TIME]
    order.order_qty = command.order_qty
    order.leaves_qty = command.order_qty
    order.cum_qty = 0
    order.account_row = account_row
    order.position_row = position_row
    order.instrument = command.instrument
    order.side = command.side
    order.ord_type = command.ord_type
    order.time_in_force = command.time_in_force
    order.ord_status = STATUS_NEW
    order.cancel_pending = 0
    order.is_short = is_short
    order.is_active = 0
    order.exec_inst = command.exec_inst
    order.contingency_type = command.contingency_type
    order.peg_price_type = command.peg_price_type
    order.offset_type = command.offset_type
    order.hold_max = HOLD_ALL
    order.stop_px = book_stop_px(command, rules)
    order.display_qty = command.display_qty
    order.offset = command.offset
    order.expire_time = command.expire_time
    order.list_id = list_id
    order.prev = account.last_order
    order.next = 0
    if account.last_order != 0:
        s.orders[account.last_order].next = order_row
    else:
        account.first_order = order_row
    account.last_order = order_row
    account.open_orders += 1
    count_order(s, account)
    return order_row


@helper
def index_order(s: Any, order_row: Any, text: Any, row: Any, words: Any, low: Any, high: Any) -> None:
    """Let the order be found by its numbers."""
    order = s.orders[order_row]
    order.digest_low = low
    order.digest_high = high
    for at in range(words):
        s.order_text[order_row, at] = text[row, at]
    index_insert(s.order_index, hash_of(order.order_id), order_row)
    index_insert(s.cl_ord_id_index, hash_of_pair(low, U(order.account_row)), order_row)


@helper
def tell(s: Any, command: Any, order_row: Any) -> None:
    """The ACCEPTED event, and the order to its book."""
    order = s.orders[order_row]
    order_event(s, EVENT_ACCEPTED, order_row, 0, s.call[ASKING], command.request_id)
    given = book_command(s, BOOK_NEW_ORDER, order_row)
    given.ord_type = command.ord_type
    given.time_in_force = command.time_in_force
    given.exec_inst = command.exec_inst
    given.self_match_prevention_instruction = command.self_match_prevention_instruction
    given.contingency_type = command.contingency_type
    given.peg_price_type = command.peg_price_type
    given.offset_type = command.offset_type
    given.order_qty = command.order_qty
    given.price = command.price
    if is_without_limit(command.ord_type) or (command.ord_type == TYPE_PEGGED and command.side == SIDE_BUY):
        given.price = worst_px(command.ord_type, command.side, command.price, order.stop_px, s.rules[command.instrument])
    given.self_match_prevention_id = command.self_match_prevention_id
    given.stop_px = order.stop_px
    given.display_qty = command.display_qty
    given.min_qty = command.min_qty
    given.offset = command.offset
    given.expire_time = command.expire_time
    given.list_id = order.list_id
