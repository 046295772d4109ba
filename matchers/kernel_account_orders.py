"""Orders and cancels in the account kernel; rules 1 to 17 of reference_account_shard, in its order."""

from typing import Any, Final

import numpy as np

from matchers.kernel_account_layout import (
    ASKING,
    FREE_ORDER,
    LAST_ORDER_NUMBER,
    LOG_TIME,
    OPEN_ORDERS,
    OPEN_PER_ACCOUNT_MAX,
    ORDERS_MAX,
    ORDERS_USED,
    SHARD,
)
from matchers.kernel_account_pools import find_account, find_cl_ord_id, find_order, is_known
from matchers.kernel_account_rows import (
    answer,
    book_command,
    event_row,
    fill_order,
    find_position,
    position_of,
    publish,
    put_order_text,
    put_text,
)
from matchers.kernel_compile import helper
from matchers.kernel_digest import text_digest
from matchers.kernel_hash_index import U, hash_of, hash_of_pair, index_insert
from matchers.kernel_words import (
    BOOK_CANCEL,
    BOOK_NEW_ORDER,
    EVENT_ACCEPTED,
    EVENT_CANCEL_PENDING,
    EVENT_CANCEL_REJECTED,
    EVENT_DUPLICATE,
    EVENT_REJECTED,
    REASON_CANCEL_ALREADY_PENDING,
    REASON_DUPLICATE_CL_ORD_ID,
    REASON_INSUFFICIENT_BUYING_POWER,
    REASON_INSUFFICIENT_SHARES,
    REASON_INVALID_CL_ORD_ID,
    REASON_INVALID_PRICE,
    REASON_INVALID_QUANTITY,
    REASON_INVALID_SIDE,
    REASON_NOTIONAL_ABOVE_LIMIT,
    REASON_OPEN_ORDER_LIMIT,
    REASON_PRICE_ABOVE_LIMIT,
    REASON_QUANTITY_ABOVE_LIMIT,
    REASON_TOO_LATE_TO_CANCEL,
    REASON_UNKNOWN_ACCOUNT,
    REASON_UNKNOWN_ORDER,
    REASON_UNKNOWN_SYMBOL,
    SIDE_BUY,
    SIDE_SELL,
    STATUS_NEW,
    STATUS_PENDING_CANCEL,
    STATUS_REJECTED,
    TYPE_LIMIT,
)
from schemas.limits import ORDER_ID_SHARD_SHIFT, PRICE_TICKS_MAX

_ZERO: Final = U(0)


@helper
def _worst_px(s: Any, instrument: Any, side: Any, ord_type: Any, price: Any) -> Any:
    """Ticks: what the book may execute the order at, at worst."""
    if ord_type == TYPE_LIMIT:
        return price
    return s.rules[instrument].protection_high_px if side == SIDE_BUY else s.rules[instrument].protection_low_px


@helper
def _amount_refusal(s: Any, command: Any) -> Any:
    """Reason of checks 10 to 14, or 0."""
    rules = s.rules[command.instrument]
    if command.order_qty <= 0:
        return REASON_INVALID_QUANTITY
    if command.order_qty > rules.order_qty_max:
        return REASON_QUANTITY_ABOVE_LIMIT
    if command.price <= 0 if command.ord_type == TYPE_LIMIT else command.price != 0:
        return REASON_INVALID_PRICE
    if command.price > PRICE_TICKS_MAX:
        return REASON_PRICE_ABOVE_LIMIT
    worst_px = _worst_px(s, command.instrument, command.side, command.ord_type, command.price)
    if worst_px * command.order_qty * rules.lot_minor_per_tick > rules.notional_minor_max:
        return REASON_NOTIONAL_ABOVE_LIMIT
    return 0


@helper
def _funds_refusal(s: Any, command: Any, account_row: Any, position_row: Any, hold_per_lot: Any) -> Any:
    """Reason of checks 15 to 17, or 0."""
    account = s.accounts[account_row]
    if command.side == SIDE_BUY and account.cash - account.cash_held < hold_per_lot * command.order_qty:
        return REASON_INSUFFICIENT_BUYING_POWER
    position = s.positions[position_row]  # row 0, of an account that never had any, is all zeros
    if command.side == SIDE_SELL and position.position - position.position_held < command.order_qty:
        return REASON_INSUFFICIENT_SHARES
    if account.open_orders >= s.head[OPEN_PER_ACCOUNT_MAX] or s.head[OPEN_ORDERS] >= s.head[ORDERS_MAX]:
        return REASON_OPEN_ORDER_LIMIT
    return 0


@helper
def _same_body(order: Any, command: Any) -> Any:
    return (
        order.instrument == command.instrument and order.side == command.side and order.ord_type == command.ord_type
        and order.time_in_force == command.time_in_force and order.order_qty == command.order_qty and order.price == command.price
    )  # fmt: skip


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
def new_order(s: Any, command: Any, text: Any, row: Any, words: Any) -> None:
    """A NEW_ORDER command; text: its cl_ord_id, of `words` valid words."""
    account_row = find_account(s, command.account)
    if account_row == 0 or not is_known(s, command.instrument) or words == 0:
        reason = (
            REASON_UNKNOWN_ACCOUNT
            if account_row == 0
            else REASON_UNKNOWN_SYMBOL
            if not is_known(s, command.instrument)
            else REASON_INVALID_CL_ORD_ID
        )
        refuse_order(s, command, account_row, reason, text, row, words)
        return
    low, high = text_digest(text, row, words)
    earlier = find_cl_ord_id(s, account_row, low, high)
    if earlier != 0 and _same_body(s.orders[earlier], command):
        answer(s, EVENT_DUPLICATE, account_row, earlier, position_of(s, earlier), command.request_id)
        return
    reason = 0
    if earlier != 0:
        reason = REASON_DUPLICATE_CL_ORD_ID
    elif command.side != SIDE_BUY and command.side != SIDE_SELL:
        reason = REASON_INVALID_SIDE
    else:
        reason = int(s.combinations[command.ord_type, command.time_in_force])
    if reason == 0:
        reason = _amount_refusal(s, command)
    position_row = 0
    hold_per_lot = 0
    worst_px = 0
    if reason == 0:
        worst_px = _worst_px(s, command.instrument, command.side, command.ord_type, command.price)
        position_row = find_position(s, account_row, command.instrument)
        if command.side == SIDE_BUY:
            hold_per_lot = worst_px * s.rules[command.instrument].lot_minor_per_tick
        reason = _funds_refusal(s, command, account_row, position_row, hold_per_lot)
    if reason != 0:
        refuse_order(s, command, account_row, reason, text, row, words)
        return
    order_row = _place(s, command, account_row, position_row, hold_per_lot)
    order = s.orders[order_row]
    order.digest_low = low
    order.digest_high = high
    for at in range(words):
        s.order_text[order_row, at] = text[row, at]
    index_insert(s.order_index, hash_of(order.order_id), order_row)
    index_insert(s.cl_ord_id_index, hash_of_pair(low, U(account_row)), order_row)
    fill_order(event_row(s, EVENT_ACCEPTED), order)
    put_text(s, text, row, words)
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)
    book_command(s, BOOK_NEW_ORDER, order_row, order.order_qty, worst_px)


@helper
def _place(s: Any, command: Any, account_row: Any, position_row: Any, hold_per_lot: Any) -> Any:
    """Take an order row, fill it, place the hold; the row."""
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
    order = s.orders[order_row]
    order.order_id = U((head[SHARD] << ORDER_ID_SHARD_SHIFT) | head[LAST_ORDER_NUMBER])
    order.price = command.price
    order.hold_per_lot = hold_per_lot
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
    order.prev = account.last_order
    order.next = 0
    if account.last_order != 0:
        s.orders[account.last_order].next = order_row
    else:
        account.first_order = order_row
    account.last_order = order_row
    account.open_orders += 1
    if command.side == SIDE_BUY:
        account.cash_held += command.order_qty * hold_per_lot
    else:
        s.positions[position_row].position_held += command.order_qty
    return order_row


@helper
def cancel(s: Any, command: Any, text: Any, row: Any, words: Any) -> None:
    """A CANCEL command."""
    account_row = find_account(s, command.account)
    order_row = np.int64(0)
    reason = REASON_UNKNOWN_ACCOUNT if account_row == 0 else REASON_UNKNOWN_ORDER
    if account_row != 0 and command.order_id != _ZERO:
        order_row = find_order(s, command.order_id)
        if s.orders[order_row].account_row != account_row:
            order_row = np.int64(0)
    elif account_row != 0 and words > 0:
        low, high = text_digest(text, row, words)
        order_row = find_cl_ord_id(s, account_row, low, high)
    elif account_row != 0:
        reason = REASON_INVALID_CL_ORD_ID
    if order_row == 0:
        event = event_row(s, EVENT_CANCEL_REJECTED)
        event.account = command.account
        event.reason = reason
        event.order_id = command.order_id
        put_text(s, text, row, words)
        publish(s, account_row, 0, s.call[ASKING], command.request_id)
        return
    order = s.orders[order_row]
    granted = order.leaves_qty != 0 and order.cancel_pending == 0
    if granted:
        order.cancel_pending = 1
        order.ord_status = STATUS_PENDING_CANCEL
    event = event_row(s, EVENT_CANCEL_PENDING if granted else EVENT_CANCEL_REJECTED)
    fill_order(event, order)
    if not granted:
        event.reason = REASON_CANCEL_ALREADY_PENDING if order.leaves_qty != 0 else REASON_TOO_LATE_TO_CANCEL
    put_order_text(s, order_row)
    publish(s, account_row, position_of(s, order_row), s.call[ASKING], command.request_id)
    if granted:
        book_command(s, BOOK_CANCEL, order_row, 0, 0)
