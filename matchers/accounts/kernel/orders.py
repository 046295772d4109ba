"""New orders in the account kernel, alone or in a list; the order of checks and rows is that of accounts.reference.orders."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.checks import (
    body_digest,
    book_stop_px,
    is_stop,
    is_without_limit,
    order_refusal,
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
    LIST_BRACKET,
    LIST_OCO,
    LIST_OTO,
    REASON_ACCOUNT_SUSPENDED,
    REASON_INVALID_LIST,
    REASON_LIST_REJECTED,
    REASON_RATE_LIMIT,
)
from matchers.compiled.compilation import helper, routine
from matchers.compiled.digest import text_digest, text_words
from matchers.compiled.hash_index import U, hash_of, hash_of_pair, index_insert
from matchers.compiled.words import (
    BOOK_NEW_ORDER,
    COMMAND_NEW_ORDER,
    EVENT_ACCEPTED,
    EVENT_DUPLICATE,
    EVENT_REJECTED,
    REASON_DUPLICATE_CL_ORD_ID,
    REASON_INVALID_CL_ORD_ID,
    REASON_OPEN_ORDER_LIMIT,
    REASON_UNKNOWN_ACCOUNT,
    REASON_UNKNOWN_SYMBOL,
    SIDE_BUY,
    SIDE_SELL,
    STATUS_NEW,
    STATUS_REJECTED,
    TIF_CLS,
    TIF_DAY,
    TIF_GTC,
    TIF_GTD,
    TIF_OPG,
    TYPE_LIMIT,
    TYPE_MARKET,
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
def _earlier(s: Any, account_row: Any, text: Any, row: Any, words: Any) -> Any:
    """(row of the account's order that has this cl_ord_id or 0, digest)."""
    low, high = text_digest(text, row, words)
    earlier = find_cl_ord_id(s, account_row, low, high) if account_row != 0 and words > 0 else np.int64(0)
    return earlier, low, high


@helper
def _refusal(s: Any, command: Any, account_row: Any, position_row: Any, words: Any, earlier: Any) -> Any:
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
    reason = order_refusal(s.order_table, command, rules, s.head[LOG_TIME])
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
def _need(command: Any, rules: Any, is_short: Any, is_closing: Any) -> Any:
    """What a new order needs by itself, as accounts.kernel.holds.need_of has it."""
    lots = command.order_qty
    none = np.int64(0)
    if command.side == SIDE_BUY:
        return lots * _hold_per_lot(command, rules), none, lots, none
    if is_short:
        return lots * rules.short_margin_minor, none, none, lots
    return none, none if is_closing else lots, none, none


@helper
def _needs_refusal(s: Any, command: Any, account_row: Any, position_row: Any, is_short: Any, need: Any, orders: Any) -> Any:
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
    earlier, low, high = _earlier(s, account_row, text, row, words)
    if earlier != 0 and is_known(s, command.instrument) and s.orders[earlier].body == body_digest(command):
        answer(s, EVENT_DUPLICATE, account_row, earlier, np.int64(s.orders[earlier].position_row), command.request_id)
        return
    position_row = find_position(s, account_row, command.instrument) if account_row != 0 else np.int64(0)
    reason = _refusal(s, command, account_row, position_row, words, earlier)
    is_short = False
    need = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    if reason == 0:
        is_short = is_short_sale(s, position_row, command)
        need = _need(command, s.rules[command.instrument], is_short, is_closing=False)
        reason = _needs_refusal(s, command, account_row, position_row, is_short, need, 1)
    if reason != 0:
        refuse_order(s, command, account_row, reason, text, row, words)
        return
    if position_row == 0:
        position_row = position_made(s, account_row, command.instrument)
    order_row = _place(s, command, account_row, position_row, is_short, _ZERO)
    _index(s, order_row, text, row, words, low, high)
    put_hold(s, account_row, position_row, need[0], need[1], need[2], need[3])
    _tell(s, command, order_row)


@helper
def _place(s: Any, command: Any, account_row: Any, position_row: Any, is_short: Any, list_id: Any) -> Any:
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
def _index(s: Any, order_row: Any, text: Any, row: Any, words: Any, low: Any, high: Any) -> None:
    """Let the order be found by its numbers."""
    order = s.orders[order_row]
    order.digest_low = low
    order.digest_high = high
    for at in range(words):
        s.order_text[order_row, at] = text[row, at]
    index_insert(s.order_index, hash_of(order.order_id), order_row)
    index_insert(s.cl_ord_id_index, hash_of_pair(low, U(order.account_row)), order_row)


@helper
def _tell(s: Any, command: Any, order_row: Any) -> None:
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


# -- lists: rare, so these are called rather than inlined


@helper
def _waits(leg: Any, with_market: Any) -> Any:
    """Whether the order may be one of a pair, or (with_market) a secondary."""
    working = leg.time_in_force in (TIF_DAY, TIF_GTC, TIF_GTD)
    return working and (leg.ord_type == TYPE_LIMIT or is_stop(leg.ord_type) or (with_market and leg.ord_type == TYPE_MARKET))


@routine
def list_length(rows: Any, row: Any) -> Any:
    """How many rows the list has that begins here; 0 if it is none. See accounts.reference.orders.list_at."""
    first = rows[row]
    kind = first.contingency_type
    legs = 3 if kind == LIST_BRACKET else 2
    if kind not in (LIST_OCO, LIST_OTO, LIST_BRACKET) or first.list_id == _ZERO or row + legs > rows.shape[0]:
        return 0
    for at in range(row + 1, row + legs):
        leg = rows[at]
        alike = leg.list_id == first.list_id and leg.contingency_type == kind and leg.instrument == first.instrument
        if leg.kind != COMMAND_NEW_ORDER or not alike or leg.account != first.account:
            return 0
    second = rows[row + 1]
    if kind == LIST_OCO:
        return 2 if first.side == second.side and _waits(first, with_market=False) and _waits(second, with_market=False) else 0
    if first.ord_type == TYPE_PEGGED or first.time_in_force in (TIF_OPG, TIF_CLS):
        return 0
    if kind == LIST_OTO:
        return 2 if _waits(second, with_market=True) else 0
    third = rows[row + 2]
    fits = second.side == third.side and second.side != first.side and second.ord_type == TYPE_LIMIT and is_stop(third.ord_type)
    return 3 if fits and _waits(second, with_market=False) and _waits(third, with_market=False) else 0


@routine
def new_list(s: Any, rows: Any, text: Any, row: Any, legs: Any) -> None:
    """The orders of a list: all are accepted, or none is. legs 0: rows that make no list."""
    first = rows[row]
    account_row = find_account(s, first.account)
    if legs == 0:
        refuse_order(s, first, account_row, REASON_INVALID_LIST, text, row, text_words(text, row))
        return
    if _is_repeated(s, rows, text, row, legs, account_row):
        return
    position_row = find_position(s, account_row, first.instrument) if account_row != 0 else np.int64(0)
    reasons = np.zeros(3, np.int64)
    for at in range(legs):
        words = text_words(text, row + at)
        earlier, _, _ = _earlier(s, account_row, text, row + at, words)
        reasons[at] = _refusal(s, rows[row + at], account_row, position_row, words, earlier)
        for before in range(at):
            if reasons[at] == 0 and _same_text(text, row + at, row + before):
                reasons[at] = REASON_DUPLICATE_CL_ORD_ID
    is_short = False
    total = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    if not reasons.any():
        is_short = is_short_sale(s, position_row, first)
        for at in range(legs):
            total = _list_need(rows, row, at + 1, s.rules[first.instrument], is_short)
            reasons[at] = _needs_refusal(s, rows[row + at], account_row, position_row, is_short and at == 0, total, at + 1)
    if reasons.any():
        for at in range(legs):
            reason = reasons[at] if reasons[at] != 0 else REASON_LIST_REJECTED
            refuse_order(s, rows[row + at], account_row, reason, text, row + at, text_words(text, row + at))
        return
    if position_row == 0:
        position_row = position_made(s, account_row, first.instrument)
    _place_list(s, rows, text, row, legs, account_row, position_row, is_short)
    put_hold(s, account_row, position_row, total[0], total[1], total[2], total[3])
    for at in range(legs):
        low, high = text_digest(text, row + at, text_words(text, row + at))
        _tell(s, rows[row + at], find_cl_ord_id(s, account_row, low, high))


@helper
def _same_text(text: Any, one: Any, other: Any) -> Any:
    for at in range(text.shape[1]):  # noqa: SIM110  compiled code has no generators
        if text[one, at] != text[other, at]:
            return False
    return True


@helper
def _is_repeated(s: Any, rows: Any, text: Any, row: Any, legs: Any, account_row: Any) -> Any:
    """Answer a list that was accepted before, order by order; whether it was."""
    if account_row == 0 or not is_known(s, rows[row].instrument):
        return False
    for at in range(legs):
        words = text_words(text, row + at)
        earlier, _, _ = _earlier(s, account_row, text, row + at, words)
        if earlier == 0 or s.orders[earlier].body != body_digest(rows[row + at]):
            return False
    for at in range(legs):
        earlier, _, _ = _earlier(s, account_row, text, row + at, text_words(text, row + at))
        answer(s, EVENT_DUPLICATE, account_row, earlier, np.int64(s.orders[earlier].position_row), rows[row + at].request_id)
    return True


@helper
def _is_closing(rows: Any, row: Any, at: Any) -> Any:
    """Whether order `at` of the list sells what the first one buys."""
    closing = rows[row].side == SIDE_BUY and rows[row + at].side == SIDE_SELL
    return at > 0 and rows[row].contingency_type != LIST_OCO and closing


@helper
def _list_need(rows: Any, row: Any, legs: Any, rules: Any, is_short: Any) -> Any:
    """What the first `legs` orders of a list need in all: a pair counts once."""
    kind = rows[row].contingency_type
    cash, shares, buys, shorts = _need(rows[row], rules, is_short, is_closing=False)
    if legs == 1:
        return cash, shares, buys, shorts
    need = _need(rows[row + 1], rules, is_short=False, is_closing=_is_closing(rows, row, 1))
    if kind == LIST_OCO:
        return max(cash, need[0]), max(shares, need[1]), max(buys, need[2]), max(shorts, need[3])
    if legs == 3:
        third = _need(rows[row + 2], rules, is_short=False, is_closing=_is_closing(rows, row, 2))
        need = max(need[0], third[0]), max(need[1], third[1]), max(need[2], third[2]), max(need[3], third[3])
    return cash + need[0], shares + need[1], buys + need[2], shorts + need[3]


@helper
def _place_list(s: Any, rows: Any, text: Any, row: Any, legs: Any, account_row: Any, position_row: Any, is_short: Any) -> None:
    list_id = U((s.head[SHARD] << ORDER_ID_SHARD_SHIFT) | (s.head[LAST_ORDER_NUMBER] + 1))
    first = np.int64(0)
    before = np.int64(0)
    for at in range(legs):
        words = text_words(text, row + at)
        low, high = text_digest(text, row + at, words)
        order_row = _place(s, rows[row + at], account_row, position_row, is_short and at == 0, list_id)
        _index(s, order_row, text, row + at, words, low, high)
        order = s.orders[order_row]
        if at == 0:
            first = order_row
        elif rows[row].contingency_type == LIST_OCO or at == 2:
            order.oco = before
            s.orders[before].oco = order_row
        if at > 0 and rows[row].contingency_type != LIST_OCO:
            order.primary = first
            if at == 1:
                s.orders[first].secondary_1 = order_row
            else:
                s.orders[first].secondary_2 = order_row
        if _is_closing(rows, row, at):
            order.hold_max = 0
        before = order_row
