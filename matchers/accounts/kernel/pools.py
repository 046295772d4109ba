"""The account kernel's pools: finding rows, what positions cost, log time, keeping and forgetting done orders."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.ahead import ask_next_forgotten
from matchers.accounts.kernel.layout import (
    ACCOUNTS_USED,
    DAY,
    DONE_BEFORE_TODAY,
    DONE_COUNT,
    DONE_FIRST,
    DONE_LAST,
    DONE_MAX,
    FREE_ORDER,
    LOG_TIME,
    OPEN_ORDERS,
    ORDERS_USED,
    POSITIONS_USED,
    REPLACED_IDS_USED,
    UPDATES_USED,
)
from matchers.compiled.compilation import helper, kernel, routine
from matchers.compiled.hash_index import U, hash_of, hash_of_pair, index_insert, index_next, index_refill, index_remove
from matchers.rules.account_rules import DAY_NS, POSITION_COST_MAX
from schemas.limits import FORGET_PER_ROW_MAX

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
    """Row of the account's order with this digest, also of one that had it before a replace or waits for it; 0 if there is none."""
    hashed = hash_of_pair(low, U(account_row))
    row, at = index_next(s.cl_ord_id_index, hashed, hashed)
    while row != 0:
        order = s.orders[row]
        if order.digest_low == low and order.digest_high == high and order.account_row == account_row:
            return row
        row, at = index_next(s.cl_ord_id_index, hashed, at)
    return _find_replaced_id(s, account_row, low, high) if s.head[REPLACED_IDS_USED] > 1 else row


@routine
def _find_replaced_id(s: Any, account_row: Any, low: Any, high: Any) -> Any:
    hashed = hash_of_pair(low, U(account_row))
    row, at = index_next(s.replaced_id_index, hashed, hashed)
    while row != 0:
        one = s.replaced_ids[row]
        if one.digest_low == low and one.digest_high == high and one.account_row == account_row:
            order_row = find_order(s, one.order_id)
            if order_row != 0:  # else it was forgotten
                return order_row
        row, at = index_next(s.replaced_id_index, hashed, at)
    return np.int64(0)


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
def position_made(s: Any, account_row: Any, instrument: Any) -> Any:
    """Row of a position that was not there."""
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
    return position_row


@helper
def _grown_cost(cost: Any, lots: Any, minor_per_lot: Any) -> Any:
    """Cost + lots * minor_per_lot, at most POSITION_COST_MAX."""
    room = POSITION_COST_MAX - cost
    return POSITION_COST_MAX if lots > room // minor_per_lot else cost + lots * minor_per_lot


@helper
def cost_after(position_cost: Any, position: Any, lots: Any, minor_per_lot: Any) -> Any:
    """See account_rules.cost_after."""
    if lots == 0:
        return position_cost
    size = abs(lots)
    if position == 0 or (position > 0) == (lots > 0):
        cost = _grown_cost(abs(position_cost), size, minor_per_lot)
        return cost if lots > 0 else -cost
    if size <= abs(position):
        return (
            position_cost - share_of(position_cost, size, position)
            if position > 0
            else position_cost + share_of(-position_cost, size, -position)
        )
    cost = _grown_cost(0, size - abs(position), minor_per_lot)
    return cost if lots > 0 else -cost


@helper
def finish(s: Any, order_row: Any, status: Any) -> None:
    """The order is no longer open; while a request is under way it cannot be forgotten."""
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
    if order.oco != 0:
        s.orders[order.oco].oco = 0
        order.oco = 0
    if order.primary != 0:
        _unlink_secondary(s, order_row)
    if order.secondary_1 != 0:
        s.orders[order.secondary_1].primary = 0
        order.secondary_1 = 0
    if order.secondary_2 != 0:
        s.orders[order.secondary_2].primary = 0
        order.secondary_2 = 0
    if order.cancel_pending == 0 and order.replace_pending == 0:
        queue_done(s, order_row)


@helper
def _unlink_secondary(s: Any, order_row: Any) -> None:
    primary = s.orders[s.orders[order_row].primary]
    if primary.secondary_1 == order_row:
        primary.secondary_1 = 0
    else:
        primary.secondary_2 = 0
    s.orders[order_row].primary = 0


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
    """Drop the orders that were done first: down to the limit, and some of those of earlier days."""
    count = 0
    while s.head[DONE_COUNT] > s.head[DONE_MAX] or (s.head[DONE_BEFORE_TODAY] > 0 and count < FORGET_PER_ROW_MAX):
        count += 1
        s.head[DONE_BEFORE_TODAY] = max(s.head[DONE_BEFORE_TODAY] - 1, 0)
        order_row = s.head[DONE_FIRST]
        order = s.orders[order_row]
        s.head[DONE_FIRST] = order.next
        ask_next_forgotten(s, s.head[DONE_FIRST])
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
def advance(s: Any, transact_time: Any) -> None:
    """Log time; with a new day the orders that are done count as of an earlier one."""
    if transact_time > s.head[LOG_TIME]:
        s.head[LOG_TIME] = transact_time
        day = transact_time // DAY_NS
        if day != s.head[DAY]:
            s.head[DAY] = day
            s.head[DONE_BEFORE_TODAY] = s.head[DONE_COUNT]


@kernel
def refill_indexes(
    head: Any, accounts: Any, positions: Any, orders: Any, updates: Any, replaced_ids: Any, account_index: Any, position_index: Any,
    order_index: Any, cl_ord_id_index: Any, update_index: Any, replaced_id_index: Any,
) -> None:  # fmt: skip
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
    for row in range(1, head[UPDATES_USED]):
        index_insert(update_index, hash_of_pair(updates[row].request_id, updates[row].account), row)
    for row in range(1, head[REPLACED_IDS_USED]):
        one = replaced_ids[row]
        if one.order_id != _ZERO:
            index_insert(replaced_id_index, hash_of_pair(one.digest_low, U(one.account_row)), row)


@kernel
def refill_index(old: Any, new: Any) -> None:
    """Fill an empty, larger index from the one whose place it takes."""
    index_refill(old, new)


@kernel
def done_order_ids(head: Any, orders: Any, out: Any) -> None:
    """order_id of the done orders, the one to be forgotten next first, into out u64[call DONE_COUNT]."""
    order_row = head[DONE_FIRST]
    for at in range(out.shape[0]):
        out[at] = orders[order_row].order_id
        order_row = np.int64(orders[order_row].next)
