"""Lists of orders in the account kernel: all are accepted, or none is. Rare, so these are called rather than inlined."""

from typing import Any, Final

import numpy as np

from matchers.accounts.kernel.checks import (
    body_digest,
)
from matchers.accounts.kernel.funds import (
    is_short_sale,
)
from matchers.accounts.kernel.holds import put_hold
from matchers.accounts.kernel.layout import (
    LAST_ORDER_NUMBER,
    SHARD,
)
from matchers.accounts.kernel.orders import earlier_order, index_order, need_of_new, needs_refusal, place_order, refusal, refuse_order, tell
from matchers.accounts.kernel.pools import find_account, find_cl_ord_id, is_known, position_made
from matchers.accounts.kernel.rows import answer, find_position
from matchers.compiled.compilation import helper, routine
from matchers.compiled.digest import text_digest, text_words
from matchers.compiled.hash_index import U
from matchers.compiled.list_checks import is_of_list, list_rows, orders_fit
from matchers.compiled.words import (
    COMMAND_NEW_ORDER,
    EVENT_DUPLICATE,
    LIST_OCO,
    REASON_DUPLICATE_CL_ORD_ID,
    REASON_INVALID_LIST,
    REASON_LIST_REJECTED,
    SIDE_BUY,
    SIDE_SELL,
)
from schemas.field_rules import LIST_ROWS_MAX
from schemas.limits import ORDER_ID_SHARD_SHIFT

_ZERO: Final = U(0)


@routine
def list_length(rows: Any, row: Any) -> Any:
    """How many rows the list has that begins here; 0 if it is none. See rules.list_rules."""
    first = rows[row]
    legs = list_rows(first.contingency_type)
    if legs == 0 or first.list_id == _ZERO or row + legs > rows.shape[0]:
        return 0
    for at in range(row + 1, row + legs):
        if not is_of_list(rows[at], first, COMMAND_NEW_ORDER):
            return 0
    third = rows[row + legs - 1]  # where there is none, it is not looked at
    return legs if orders_fit(first, rows[row + 1], third) else 0


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
    reasons = np.zeros(LIST_ROWS_MAX, np.int64)
    for at in range(legs):
        words = text_words(text, row + at)
        earlier, _, _ = earlier_order(s, account_row, text, row + at, words)
        reasons[at] = refusal(s, rows[row + at], account_row, position_row, words, earlier)
        for before in range(at):
            if reasons[at] == 0 and _same_text(text, row + at, row + before):
                reasons[at] = REASON_DUPLICATE_CL_ORD_ID
    is_short = False
    total = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    if not reasons.any():
        is_short = is_short_sale(s, position_row, first)
        for at in range(legs):
            total = _list_need(rows, row, at + 1, s.rules[first.instrument], is_short)
            reasons[at] = needs_refusal(s, rows[row + at], account_row, position_row, is_short and at == 0, total, at + 1)
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
        tell(s, rows[row + at], find_cl_ord_id(s, account_row, low, high))


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
        earlier, _, _ = earlier_order(s, account_row, text, row + at, words)
        if earlier == 0 or s.orders[earlier].body != body_digest(rows[row + at]):
            return False
    for at in range(legs):
        earlier, _, _ = earlier_order(s, account_row, text, row + at, text_words(text, row + at))
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
    cash, shares, buys, shorts = need_of_new(rows[row], rules, is_short, is_closing=False)
    if legs == 1:
        return cash, shares, buys, shorts
    need = need_of_new(rows[row + 1], rules, is_short=False, is_closing=_is_closing(rows, row, 1))
    if kind == LIST_OCO:
        return max(cash, need[0]), max(shares, need[1]), max(buys, need[2]), max(shorts, need[3])
    if legs == 3:
        third = need_of_new(rows[row + 2], rules, is_short=False, is_closing=_is_closing(rows, row, 2))
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
        order_row = place_order(s, rows[row + at], account_row, position_row, is_short and at == 0, list_id)
        index_order(s, order_row, text, row + at, words, low, high)
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
