"""The account shard as kernels; the rules are those of reference_account_shard, whose order of checks and rows this follows.

One call applies rows until the input ends or a pool has no room for what one more row may need; then the wrapper grows the pool and calls again.
u64 columns (ids, masks) and i64 numbers are never mixed in one expression: numba would make a float of them.
"""

from typing import Any, Final

import numpy as np

from matchers.account_rules import POSITION_COST_MAX
from matchers.kernel_account_layout import (
    ACCOUNT_FAULT, ACCOUNTS_MAX, ACCOUNTS_USED, ASKING, BOOK_COMMANDS, CANCEL_FAULT, CASH_FAULT, DONE_COUNT, DONE_FIRST, DONE_LAST, DONE_MAX, EVENTS,
    FAULT, FREE_ORDER, INSTRUMENT_FAULT, KIND_FAULT, LAST_ORDER_NUMBER, LAST_SEQ, LOG_TIME, NEED, NEED_ACCOUNTS, NEED_ORDERS, NEED_POSITIONS,
    NEED_REPLIES, NEED_ROWS, NEXT_ROW, OPEN_ORDERS, OPEN_PER_ACCOUNT_MAX, ORDERS_MAX, ORDERS_USED, POSITIONS_USED, QUANTITY_FAULT, REPLIES,
    SHARD, SHARDS, TRADE_FAULT, UNKNOWN_ORDER_FAULT, WORST_PRICE_FAULT, State,
)  # fmt: skip
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
from matchers.kernel_compile import helper, kernel
from matchers.kernel_digest import text_digest, text_words
from matchers.kernel_hash_index import U, hash_of, hash_of_pair, index_insert, index_next, index_remove, mix
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, OrdStatus, OrdType, ReportKind, Side
from schemas.limits import CASH_MINOR_MAX, ORDER_ID_SHARD_SHIFT, POSITION_LOTS_MAX, PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_LIMIT: Final = int(OrdType.LIMIT)
_ZERO: Final = U(0)
_SETTLED_CASH_MAX: Final = 1 << 62

_NEW_ORDER, _CANCEL, _REGISTER_SESSION, _ACCOUNT_UPDATE = (
    int(CommandKind.NEW_ORDER), int(CommandKind.CANCEL), int(CommandKind.REGISTER_SESSION), int(CommandKind.ACCOUNT_UPDATE)
)  # fmt: skip
_ACCEPTED, _REJECTED, _DUPLICATE = int(AccountEventKind.ACCEPTED), int(AccountEventKind.REJECTED), int(AccountEventKind.DUPLICATE)
_CANCEL_PENDING, _CANCEL_REJECTED = int(AccountEventKind.CANCEL_PENDING), int(AccountEventKind.CANCEL_REJECTED)
_TRADE, _CANCELED, _EXPIRED = int(AccountEventKind.TRADE), int(AccountEventKind.CANCELED), int(AccountEventKind.EXPIRED)
_BOOK_REJECTED, _ACCOUNT_UPDATED = int(AccountEventKind.BOOK_REJECTED), int(AccountEventKind.ACCOUNT_UPDATED)
_ACCOUNT_UPDATE_REJECTED, _SESSION_REGISTERED = int(AccountEventKind.ACCOUNT_UPDATE_REJECTED), int(AccountEventKind.SESSION_REGISTERED)
_POSITION_STATE, _ORDER_STATE = int(AccountEventKind.POSITION_STATE), int(AccountEventKind.ORDER_STATE)
_SESSION_REJECTED = int(AccountEventKind.SESSION_REJECTED)
_BOOK_NEW, _BOOK_CANCEL = int(BookCommandKind.NEW_ORDER), int(BookCommandKind.CANCEL)
_R_TRADE, _R_CANCELED, _R_EXPIRED, _R_REJECTED, _R_CANCEL_REJECTED = (
    int(ReportKind.TRADE), int(ReportKind.CANCELED), int(ReportKind.EXPIRED), int(ReportKind.REJECTED), int(ReportKind.CANCEL_REJECTED)
)  # fmt: skip
_S_NEW, _S_PARTIAL, _S_FILLED = int(OrdStatus.NEW), int(OrdStatus.PARTIALLY_FILLED), int(OrdStatus.FILLED)
_S_CANCELED, _S_PENDING, _S_REJECTED, _S_EXPIRED = (
    int(OrdStatus.CANCELED), int(OrdStatus.PENDING_CANCEL), int(OrdStatus.REJECTED), int(OrdStatus.EXPIRED)
)  # fmt: skip

_UNKNOWN_ACCOUNT, _UNKNOWN_SYMBOL = int(Reason.UNKNOWN_ACCOUNT), int(Reason.UNKNOWN_SYMBOL)
_INVALID_CL_ORD_ID, _DUPLICATE_CL_ORD_ID, _INVALID_SIDE = (
    int(Reason.INVALID_CL_ORD_ID),
    int(Reason.DUPLICATE_CL_ORD_ID),
    int(Reason.INVALID_SIDE),
)
_INVALID_QUANTITY, _QUANTITY_ABOVE_LIMIT = int(Reason.INVALID_QUANTITY), int(Reason.QUANTITY_ABOVE_LIMIT)
_INVALID_PRICE, _PRICE_ABOVE_LIMIT = int(Reason.INVALID_PRICE), int(Reason.PRICE_ABOVE_LIMIT)
_NOTIONAL_ABOVE_LIMIT, _INSUFFICIENT_BUYING_POWER = int(Reason.NOTIONAL_ABOVE_LIMIT), int(Reason.INSUFFICIENT_BUYING_POWER)
_INSUFFICIENT_SHARES, _OPEN_ORDER_LIMIT = int(Reason.INSUFFICIENT_SHARES), int(Reason.OPEN_ORDER_LIMIT)
_R_UNKNOWN_ORDER, _TOO_LATE_TO_CANCEL = int(Reason.UNKNOWN_ORDER), int(Reason.TOO_LATE_TO_CANCEL)
_CANCEL_ALREADY_PENDING, _REQUESTED_BY_CUSTOMER = int(Reason.CANCEL_ALREADY_PENDING), int(Reason.REQUESTED_BY_CUSTOMER)
_BELOW_ZERO, _AMOUNT_OUT_OF_RANGE = int(Reason.BELOW_ZERO), int(Reason.AMOUNT_OUT_OF_RANGE)
_ACCOUNT_LIMIT, _INVALID_COMMAND = int(Reason.ACCOUNT_LIMIT), int(Reason.INVALID_COMMAND)


@helper
def _find_account(s: Any, account: Any) -> Any:
    """Row of the account, 0 if it is not known."""
    hashed = hash_of(account)
    row, at = index_next(s.account_index, hashed, hashed)
    while row != 0 and s.accounts[row].account != account:
        row, at = index_next(s.account_index, hashed, at)
    return row


@helper
def _find_order(s: Any, order_id: Any) -> Any:
    """Row of the order, open or done; 0 if it is not known."""
    hashed = hash_of(order_id)
    row, at = index_next(s.order_index, hashed, hashed)
    while row != 0 and s.orders[row].order_id != order_id:
        row, at = index_next(s.order_index, hashed, at)
    return row


@helper
def _find_cl_ord_id(s: Any, account_row: Any, low: Any, high: Any) -> Any:
    """Row of the account's order with this digest, 0 if there is none."""
    hashed = hash_of_pair(low, U(account_row))
    row, at = index_next(s.cl_ord_id_index, hashed, hashed)
    while row != 0:
        order = s.orders[row]
        if order.digest_low == low and order.digest_high == high and order.account_row == account_row:
            return row
        row, at = index_next(s.cl_ord_id_index, hashed, at)
    return row


@helper
def _share_of(amount: Any, part: Any, whole: Any) -> Any:
    """amount * part // whole for 0 < part <= whole < 2^62, 0 <= amount < 2^62, without overflow."""
    result = amount // whole * part
    rest = amount % whole
    if rest < (1 << 31) and part < (1 << 31):
        return result + rest * part // whole
    quotient = 0
    remainder = 0
    for bit in range(61, -1, -1):  # rest * part // whole, one bit of part at a time; everything stays below 2 * whole < 2^63
        quotient += quotient
        remainder += remainder
        if remainder >= whole:
            remainder -= whole
            quotient += 1
        if (part >> bit) & 1:
            remainder += rest
            if remainder >= whole:
                remainder -= whole
                quotient += 1
    return result + quotient


@helper
def _worst_px(s: Any, instrument: Any, side: Any, ord_type: Any, price: Any) -> Any:
    """Ticks: what the book may execute the order at, at worst."""
    if ord_type == _LIMIT:
        return price
    return s.rules[instrument].protection_high_px if side == _BUY else s.rules[instrument].protection_low_px


@helper
def _amount_refusal(s: Any, command: Any) -> Any:
    """Reason of checks 10 to 14, or 0."""
    rules = s.rules[command.instrument]
    if command.order_qty <= 0:
        return _INVALID_QUANTITY
    if command.order_qty > rules.order_qty_max:
        return _QUANTITY_ABOVE_LIMIT
    if command.price <= 0 if command.ord_type == _LIMIT else command.price != 0:
        return _INVALID_PRICE
    if command.price > PRICE_TICKS_MAX:
        return _PRICE_ABOVE_LIMIT
    worst_px = _worst_px(s, command.instrument, command.side, command.ord_type, command.price)
    if worst_px * command.order_qty * rules.lot_minor_per_tick > rules.notional_minor_max:
        return _NOTIONAL_ABOVE_LIMIT
    return 0


@helper
def _funds_refusal(s: Any, command: Any, account_row: Any, position_row: Any, hold_per_lot: Any) -> Any:
    """Reason of checks 15 to 17, or 0."""
    account = s.accounts[account_row]
    if command.side == _BUY and account.cash - account.cash_held < hold_per_lot * command.order_qty:
        return _INSUFFICIENT_BUYING_POWER
    if command.side == _SELL:
        if position_row == 0 or s.positions[position_row].position - s.positions[position_row].position_held < command.order_qty:
            return _INSUFFICIENT_SHARES
    if account.open_orders >= s.head[OPEN_PER_ACCOUNT_MAX] or s.head[OPEN_ORDERS] >= s.head[ORDERS_MAX]:
        return _OPEN_ORDER_LIMIT
    return 0


@helper
def _is_known(s: Any, instrument: Any) -> Any:
    return instrument < s.rules.shape[0] and s.rules[instrument].known != 0


@helper
def _same_body(order: Any, command: Any) -> Any:
    return (
        order.instrument == command.instrument and order.side == command.side and order.ord_type == command.ord_type
        and order.time_in_force == command.time_in_force and order.order_qty == command.order_qty and order.price == command.price
    )  # fmt: skip


@helper
def _refuse_order(s: Any, command: Any, account_row: Any, reason: Any, text: Any, row: Any, words: Any) -> None:
    event = event_row(s, _REJECTED)
    event.instrument = command.instrument
    event.side = command.side
    event.ord_type = command.ord_type
    event.time_in_force = command.time_in_force
    event.order_qty = command.order_qty
    event.price = command.price
    event.account = command.account
    event.reason = reason
    event.ord_status = _S_REJECTED
    put_text(s, text, row, words)
    position_row = find_position(s, account_row, command.instrument) if account_row != 0 else 0
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)


@helper
def _new_order(s: Any, command: Any, text: Any, row: Any, words: Any) -> None:
    account_row = _find_account(s, command.account)
    if account_row == 0 or not _is_known(s, command.instrument) or words == 0:
        reason = _UNKNOWN_ACCOUNT if account_row == 0 else _UNKNOWN_SYMBOL if not _is_known(s, command.instrument) else _INVALID_CL_ORD_ID
        _refuse_order(s, command, account_row, reason, text, row, words)
        return
    low, high = text_digest(text, row, words)
    earlier = _find_cl_ord_id(s, account_row, low, high)
    if earlier != 0 and _same_body(s.orders[earlier], command):
        answer(s, _DUPLICATE, account_row, earlier, position_of(s, earlier), command.request_id)
        return
    reason = 0
    if earlier != 0:
        reason = _DUPLICATE_CL_ORD_ID
    elif command.side != _BUY and command.side != _SELL:
        reason = _INVALID_SIDE
    else:
        reason = np.int64(s.combinations[command.ord_type, command.time_in_force])
    if reason == 0:
        reason = _amount_refusal(s, command)
    position_row = 0
    hold_per_lot = 0
    worst_px = 0
    if reason == 0:
        worst_px = _worst_px(s, command.instrument, command.side, command.ord_type, command.price)
        position_row = find_position(s, account_row, command.instrument)
        if command.side == _BUY:
            hold_per_lot = worst_px * s.rules[command.instrument].lot_minor_per_tick
        reason = _funds_refusal(s, command, account_row, position_row, hold_per_lot)
    if reason != 0:
        _refuse_order(s, command, account_row, reason, text, row, words)
        return
    order_row = _place(s, command, account_row, position_row, hold_per_lot)
    order = s.orders[order_row]
    order.digest_low = low
    order.digest_high = high
    for at in range(words):
        s.order_text[order_row, at] = text[row, at]
    index_insert(s.order_index, hash_of(order.order_id), order_row)
    index_insert(s.cl_ord_id_index, hash_of_pair(low, U(account_row)), order_row)
    fill_order(event_row(s, _ACCEPTED), order)
    put_text(s, text, row, words)
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)
    book_command(s, _BOOK_NEW, order_row, order.order_qty, worst_px)


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
    order.ord_status = _S_NEW
    order.cancel_pending = 0
    order.prev = account.last_order
    order.next = 0
    if account.last_order != 0:
        s.orders[account.last_order].next = order_row
    else:
        account.first_order = order_row
    account.last_order = order_row
    account.open_orders += 1
    if command.side == _BUY:
        account.cash_held += command.order_qty * hold_per_lot
    else:
        s.positions[position_row].position_held += command.order_qty
    return order_row


@helper
def _cancel(s: Any, command: Any, text: Any, row: Any, words: Any) -> None:
    account_row = _find_account(s, command.account)
    order_row = np.int64(0)
    reason = _UNKNOWN_ACCOUNT if account_row == 0 else _R_UNKNOWN_ORDER
    if account_row != 0 and command.order_id != _ZERO:
        order_row = _find_order(s, command.order_id)
        if s.orders[order_row].account_row != account_row:
            order_row = np.int64(0)
    elif account_row != 0 and words > 0:
        low, high = text_digest(text, row, words)
        order_row = _find_cl_ord_id(s, account_row, low, high)
    elif account_row != 0:
        reason = _INVALID_CL_ORD_ID
    if order_row == 0:
        event = event_row(s, _CANCEL_REJECTED)
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
        order.ord_status = _S_PENDING
    event = event_row(s, _CANCEL_PENDING if granted else _CANCEL_REJECTED)
    fill_order(event, order)
    if not granted:
        event.reason = _CANCEL_ALREADY_PENDING if order.leaves_qty != 0 else _TOO_LATE_TO_CANCEL
    put_order_text(s, order_row)
    publish(s, account_row, position_of(s, order_row), s.call[ASKING], command.request_id)
    if granted:
        book_command(s, _BOOK_CANCEL, order_row, 0, 0)


@helper
def _register_session(s: Any, command: Any) -> None:
    account_row = _find_account(s, command.account)
    if account_row == 0:
        reply = answer(s, _SESSION_REJECTED, 0, 0, 0, command.request_id)
        if reply >= 0:
            s.replies[reply].account = command.account
            s.replies[reply].reason = _UNKNOWN_ACCOUNT
        return
    if s.call[ASKING] < 0:
        return
    account = s.accounts[account_row]
    account.edges |= U(1) << U(s.call[ASKING])
    position_row = np.int64(account.first_position)
    while position_row != 0:
        if s.positions[position_row].position != 0:
            reply = answer(s, _POSITION_STATE, account_row, 0, position_row, command.request_id)
            s.replies[reply].instrument = s.positions[position_row].instrument
        position_row = np.int64(s.positions[position_row].next)
    order_row = np.int64(account.first_order)
    while order_row != 0:
        answer(s, _ORDER_STATE, account_row, order_row, position_of(s, order_row), command.request_id)
        order_row = np.int64(s.orders[order_row].next)
    reply = answer(s, _SESSION_REGISTERED, account_row, 0, 0, command.request_id)
    s.replies[reply].seq = U(s.head[LAST_SEQ])


@helper
def _update_refusal(s: Any, command: Any, account_row: Any, position_row: Any) -> Any:
    """Why an ACCOUNT_UPDATE is refused, or 0. Row 0 of the pools is all zeros."""
    account = s.accounts[account_row]
    position = s.positions[position_row]
    if command.account == _ZERO:
        return _UNKNOWN_ACCOUNT
    if s.head[SHARDS] != 0 and command.account % U(s.head[SHARDS]) != U(s.head[SHARD]):
        return _UNKNOWN_ACCOUNT
    if (command.instrument != 0 or command.order_qty != 0) and not _is_known(s, command.instrument):
        return _UNKNOWN_SYMBOL
    if account.cash - account.cash_held + min(command.cash, 0) < 0:
        return _BELOW_ZERO
    if position.position - position.position_held + min(command.order_qty, 0) < 0:
        return _BELOW_ZERO
    if command.cash > 0 and command.cash > CASH_MINOR_MAX - account.cash:
        return _AMOUNT_OUT_OF_RANGE
    if command.order_qty > 0 and command.order_qty > POSITION_LOTS_MAX - position.position:
        return _AMOUNT_OUT_OF_RANGE
    if account_row == 0 and s.head[ACCOUNTS_USED] - 1 >= s.head[ACCOUNTS_MAX]:
        return _ACCOUNT_LIMIT
    return 0


@helper
def _account_update(s: Any, command: Any) -> None:
    account_row = _find_account(s, command.account)
    position_row = find_position(s, account_row, command.instrument) if account_row != 0 else np.int64(0)
    reason = _update_refusal(s, command, account_row, position_row)
    if reason != 0:
        event = event_row(s, _ACCOUNT_UPDATE_REJECTED)
        event.account = command.account
        event.reason = reason
        event.instrument = command.instrument
        event.order_qty = command.order_qty
        publish(s, account_row, position_row, s.call[ASKING], command.request_id)
        return
    if account_row == 0:
        account_row = s.head[ACCOUNTS_USED]
        s.head[ACCOUNTS_USED] += 1
        s.accounts[account_row].account = command.account
        index_insert(s.account_index, hash_of(command.account), account_row)
    s.accounts[account_row].cash += command.cash
    if command.order_qty != 0:
        rules = s.rules[command.instrument]
        position_row = _move_shares(
            s, account_row, position_row, command.instrument, command.order_qty, rules.reference_px * rules.lot_minor_per_tick
        )
    event = event_row(s, _ACCOUNT_UPDATED)
    event.instrument = command.instrument
    event.cash_delta = command.cash
    event.shares_delta = command.order_qty
    publish(s, account_row, position_row, s.call[ASKING], command.request_id)


@helper
def _move_shares(s: Any, account_row: Any, position_row: Any, instrument: Any, lots: Any, minor_per_lot: Any) -> Any:
    """Post lots (negative: take) to the position, which is made if its row is 0; its row."""
    if position_row == 0:
        position_row = s.head[POSITIONS_USED]
        s.head[POSITIONS_USED] += 1
        account = s.accounts[account_row]
        s.positions[position_row].account_row = account_row
        s.positions[position_row].instrument = instrument
        if account.last_position != 0:
            s.positions[account.last_position].next = position_row
        else:
            account.first_position = position_row
        account.last_position = position_row
        account.positions += 1
        index_insert(s.position_index, hash_of_pair(U(account_row), U(instrument)), position_row)
    position = s.positions[position_row]
    if lots > 0:
        room = POSITION_COST_MAX - position.position_cost
        position.position_cost = POSITION_COST_MAX if lots > room // minor_per_lot else position.position_cost + lots * minor_per_lot
    else:
        position.position_cost -= _share_of(position.position_cost, -lots, position.position)
    position.position += lots
    return position_row


@helper
def _finish(s: Any, order_row: Any, status: Any) -> None:
    """The order is no longer open; while a cancel of it is under way it cannot be forgotten."""
    order = s.orders[order_row]
    account = s.accounts[order.account_row]
    order.ord_status = status
    if order.prev != 0:
        s.orders[order.prev].next = order.next
    else:
        account.first_order = order.next
    if order.next != 0:
        s.orders[order.next].prev = order.prev
    else:
        account.last_order = order.prev
    order.prev = 0
    order.next = 0
    account.open_orders -= 1
    s.head[OPEN_ORDERS] -= 1
    if order.cancel_pending == 0:
        _queue_done(s, order_row)


@helper
def _queue_done(s: Any, order_row: Any) -> None:
    last = s.head[DONE_LAST]
    if last != 0:
        s.orders[last].next = order_row
    else:
        s.head[DONE_FIRST] = order_row
    s.head[DONE_LAST] = order_row
    s.head[DONE_COUNT] += 1


@helper
def _forget(s: Any) -> None:
    """Drop the orders that were done first, down to the limit."""
    while s.head[DONE_COUNT] > s.head[DONE_MAX]:
        order_row = s.head[DONE_FIRST]
        order = s.orders[order_row]
        s.head[DONE_FIRST] = order.next
        if order.next == 0:
            s.head[DONE_LAST] = 0
        s.head[DONE_COUNT] -= 1
        index_remove(s.order_index, hash_of(order.order_id), order_row)
        index_remove(s.cl_ord_id_index, hash_of_pair(order.digest_low, U(order.account_row)), order_row)
        order.order_id = _ZERO
        order.account_row = 0
        for at in range(s.order_text.shape[1]):
            s.order_text[order_row, at] = _ZERO
        order.next = s.head[FREE_ORDER]
        s.head[FREE_ORDER] = order_row


@helper
def _trade(s: Any, report: Any, order_row: Any) -> Any:
    """Turn hold into postings; a fault, or 0."""
    order = s.orders[order_row]
    lots = report.last_qty
    if (
        lots <= 0
        or lots > order.leaves_qty
        or report.leaves_qty != order.leaves_qty - lots
        or report.last_px <= 0
        or report.last_px > PRICE_TICKS_MAX
    ):
        return TRADE_FAULT
    minor_per_lot = report.last_px * s.rules[order.instrument].lot_minor_per_tick
    amount = minor_per_lot * lots
    account = s.accounts[order.account_row]
    position_row = position_of(s, order_row)
    sign = 1
    if order.side == _BUY:
        if minor_per_lot > order.hold_per_lot:
            return WORST_PRICE_FAULT
        account.cash_held -= lots * order.hold_per_lot
    else:
        sign = -1
        s.positions[position_row].position_held -= lots
    account.cash -= sign * amount
    position_row = _move_shares(s, np.int64(order.account_row), position_row, order.instrument, sign * lots, minor_per_lot)
    order.position_row = position_row
    if account.cash_held > account.cash or account.cash > _SETTLED_CASH_MAX:
        return CASH_FAULT
    order.leaves_qty -= lots
    order.cum_qty += lots
    order.cum_cost += report.last_px * lots
    if order.leaves_qty == 0:
        _finish(s, order_row, _S_FILLED)
    elif order.cancel_pending == 0:
        order.ord_status = _S_PARTIAL
    event = event_row(s, _TRADE)
    fill_order(event, order)
    event.cash_delta = -sign * amount
    event.shares_delta = sign * lots
    event.last_px = report.last_px
    event.last_qty = lots
    event.aggressor = report.aggressor
    event.trd_match_id = report.trd_match_id
    event.rpt_seq = report.rpt_seq
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), position_row, -1, _ZERO)
    return 0


@helper
def _taken_out(s: Any, report: Any, order_row: Any) -> Any:
    """Release the rest of the hold; a fault, or 0."""
    order = s.orders[order_row]
    if order.leaves_qty == 0 or report.last_qty != order.leaves_qty:
        return QUANTITY_FAULT
    if report.reason == _REQUESTED_BY_CUSTOMER and order.cancel_pending == 0:
        return CANCEL_FAULT
    position_row = position_of(s, order_row)
    if order.side == _BUY:
        s.accounts[order.account_row].cash_held -= order.leaves_qty * order.hold_per_lot
    else:
        s.positions[position_row].position_held -= order.leaves_qty
    order.leaves_qty = 0
    if report.reason == _REQUESTED_BY_CUSTOMER:
        order.cancel_pending = 0
    if report.kind == _R_CANCELED:
        _finish(s, order_row, _S_CANCELED)
        event = event_row(s, _CANCELED)
    elif report.kind == _R_EXPIRED:
        _finish(s, order_row, _S_EXPIRED)
        event = event_row(s, _EXPIRED)
    else:
        _finish(s, order_row, _S_REJECTED)
        event = event_row(s, _BOOK_REJECTED)
    fill_order(event, order)
    event.reason = report.reason
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), position_row, -1, _ZERO)
    return 0


@helper
def _cancel_rejected(s: Any, report: Any, order_row: Any) -> Any:
    """The order is as it was before the cancel; a fault, or 0."""
    order = s.orders[order_row]
    if order.cancel_pending == 0:
        return CANCEL_FAULT
    order.cancel_pending = 0
    if order.leaves_qty != 0:
        order.ord_status = _S_PARTIAL if order.cum_qty != 0 else _S_NEW
    else:
        _queue_done(s, order_row)
    event = event_row(s, _CANCEL_REJECTED)
    fill_order(event, order)
    event.reason = report.reason
    put_order_text(s, order_row)
    publish(s, np.int64(order.account_row), position_of(s, order_row), -1, _ZERO)
    return 0


@helper
def _needs_room(s: Any, command: Any) -> Any:
    """Whether the row might not find room; says in `call` of what."""
    replies = 2
    if command.kind == _REGISTER_SESSION:
        account = s.accounts[_find_account(s, command.account)]
        replies = 2 + account.open_orders + account.positions
    need = 0
    if s.head[ACCOUNTS_USED] >= s.accounts.shape[0]:
        need = NEED_ACCOUNTS
    elif s.head[POSITIONS_USED] >= s.positions.shape[0]:
        need = NEED_POSITIONS
    elif s.head[FREE_ORDER] == 0 and s.head[ORDERS_USED] >= s.orders.shape[0]:
        need = NEED_ORDERS
    elif s.call[REPLIES] + replies > s.replies.shape[0]:
        need = NEED_REPLIES
        s.call[NEED_ROWS] = s.call[REPLIES] + replies
    s.call[NEED] = need
    return need != 0


@kernel
def apply_commands(
    rows: Any, text: Any, head: Any, call: Any, accounts: Any, positions: Any, orders: Any, order_text: Any, account_index: Any, position_index: Any,
    order_index: Any, cl_ord_id_index: Any, rules: Any, combinations: Any, events: Any, event_text: Any, replies: Any, reply_text: Any,
    reply_mask: Any, book_commands: Any,
) -> None:  # fmt: skip
    """Apply order_command_frame rows from call[NEXT_ROW] on; text: u64[rows, words]. Stops early with call[NEED] set."""
    s = State(
        head, call, accounts, positions, orders, order_text, account_index, position_index, order_index, cl_ord_id_index, rules, combinations,
        events, event_text, replies, reply_text, reply_mask, book_commands,
    )  # fmt: skip
    for row in range(call[NEXT_ROW], rows.shape[0]):
        command = rows[row]
        call[NEXT_ROW] = row
        if _needs_room(s, command):
            return
        head[LOG_TIME] = max(head[LOG_TIME], command.transact_time)
        words = text_words(text, row)
        if command.kind == _NEW_ORDER:
            _new_order(s, command, text, row, words)
        elif command.kind == _CANCEL:
            _cancel(s, command, text, row, words)
        elif command.kind == _REGISTER_SESSION:
            _register_session(s, command)
        elif command.kind == _ACCOUNT_UPDATE:
            _account_update(s, command)
        else:
            _refuse_order(s, command, _find_account(s, command.account), _INVALID_COMMAND, text, row, words)
    call[NEXT_ROW] = rows.shape[0]


@kernel
def apply_reports(
    rows: Any, text: Any, head: Any, call: Any, accounts: Any, positions: Any, orders: Any, order_text: Any, account_index: Any, position_index: Any,
    order_index: Any, cl_ord_id_index: Any, rules: Any, combinations: Any, events: Any, event_text: Any, replies: Any, reply_text: Any,
    reply_mask: Any, book_commands: Any,
) -> None:  # fmt: skip
    """Apply book_report_frame rows from call[NEXT_ROW] on. Stops early with call[NEED] or call[FAULT] set."""
    s = State(
        head, call, accounts, positions, orders, order_text, account_index, position_index, order_index, cl_ord_id_index, rules, combinations,
        events, event_text, replies, reply_text, reply_mask, book_commands,
    )  # fmt: skip
    for row in range(call[NEXT_ROW], rows.shape[0]):
        report = rows[row]
        call[NEXT_ROW] = row
        if head[POSITIONS_USED] >= positions.shape[0]:
            call[NEED] = NEED_POSITIONS
            return
        head[LOG_TIME] = max(head[LOG_TIME], report.transact_time)
        order_row = _find_order(s, report.order_id)
        fault = 0
        if order_row == 0:
            fault = UNKNOWN_ORDER_FAULT
        elif accounts[orders[order_row].account_row].account != report.account:
            fault = ACCOUNT_FAULT
        elif orders[order_row].instrument != report.instrument:
            fault = INSTRUMENT_FAULT
        elif report.kind == _R_TRADE:
            fault = _trade(s, report, order_row)
        elif report.kind == _R_CANCELED or report.kind == _R_EXPIRED or report.kind == _R_REJECTED:
            fault = _taken_out(s, report, order_row)
        elif report.kind == _R_CANCEL_REJECTED:
            fault = _cancel_rejected(s, report, order_row)
        else:
            fault = KIND_FAULT
        if fault != 0:
            call[FAULT] = fault
            return
        _forget(s)
    call[NEXT_ROW] = rows.shape[0]


@kernel
def refill_indexes(
    head: Any, accounts: Any, positions: Any, orders: Any, account_index: Any, position_index: Any, order_index: Any, cl_ord_id_index: Any
) -> None:
    """Fill empty index tables from the pools."""
    for row in range(1, head[ACCOUNTS_USED]):
        index_insert(account_index, hash_of(accounts[row].account), row)
    for row in range(1, head[POSITIONS_USED]):
        index_insert(position_index, hash_of_pair(U(positions[row].account_row), U(positions[row].instrument)), row)
    for row in range(1, head[ORDERS_USED]):
        order = orders[row]
        if order.order_id != _ZERO:
            index_insert(order_index, hash_of(order.order_id), row)
            index_insert(cl_ord_id_index, hash_of_pair(order.digest_low, U(order.account_row)), row)


@kernel
def done_order_ids(head: Any, orders: Any, out: Any) -> None:
    """order_id of the done orders, the one to be forgotten next first, into out u64[call DONE_COUNT]."""
    order_row = head[DONE_FIRST]
    for at in range(out.shape[0]):
        out[at] = orders[order_row].order_id
        order_row = np.int64(orders[order_row].next)
