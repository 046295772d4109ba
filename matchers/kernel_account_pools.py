"""The account kernel's pools: finding rows, moving shares, keeping and forgetting done orders."""

from typing import Any, Final

import numpy as np

from matchers.account_rules import POSITION_COST_MAX
from matchers.kernel_account_layout import (
    ACCOUNTS_USED,
    DONE_COUNT,
    DONE_FIRST,
    DONE_LAST,
    DONE_MAX,
    FREE_ORDER,
    OPEN_ORDERS,
    ORDERS_USED,
    POSITIONS_USED,
)
from matchers.kernel_compile import helper, kernel
from matchers.kernel_hash_index import U, hash_of, hash_of_pair, index_insert, index_next, index_remove

_ZERO: Final = U(0)


@helper
def find_account(s: Any, account: Any) -> Any:
    """Row of the account, 0 if it is not known."""
    hashed = hash_of(account)
    row, at = index_next(s.account_index, hashed, hashed)
    while row != 0 and s.accounts[row].account != account:
        row, at = index_next(s.account_index, hashed, at)
    return row


@helper
def find_order(s: Any, order_id: Any) -> Any:
    """Row of the order, open or done; 0 if it is not known."""
    hashed = hash_of(order_id)
    row, at = index_next(s.order_index, hashed, hashed)
    while row != 0 and s.orders[row].order_id != order_id:
        row, at = index_next(s.order_index, hashed, at)
    return row


@helper
def find_cl_ord_id(s: Any, account_row: Any, low: Any, high: Any) -> Any:
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
def is_known(s: Any, instrument: Any) -> Any:
    """Whether there is such an instrument."""
    return instrument < s.rules.shape[0] and s.rules[instrument].known != 0


@helper
def share_of(amount: Any, part: Any, whole: Any) -> Any:
    """What amount * part // whole for 0 < part <= whole < 2^62, 0 <= amount < 2^62, without overflow."""
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
def move_shares(s: Any, account_row: Any, position_row: Any, instrument: Any, lots: Any, minor_per_lot: Any) -> Any:
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
        position.position_cost -= share_of(position.position_cost, -lots, position.position)
    position.position += lots
    return position_row


@helper
def finish(s: Any, order_row: Any, status: Any) -> None:
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
        queue_done(s, order_row)


@helper
def queue_done(s: Any, order_row: Any) -> None:
    """Put a done order behind the others that wait to be forgotten."""
    last = s.head[DONE_LAST]
    if last != 0:
        s.orders[last].next = order_row
    else:
        s.head[DONE_FIRST] = order_row
    s.head[DONE_LAST] = order_row
    s.head[DONE_COUNT] += 1


@helper
def forget(s: Any) -> None:
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
