"""The account shard as kernels; the rules are those of accounts.reference.shard, whose order of checks and rows this follows.

One call applies rows until the input ends or a pool has no room for what one more row may need; then the wrapper grows the pool and calls again.
u64 columns (ids, masks) and i64 numbers are never mixed in one expression: numba would make a float of them.
"""

from typing import Any

import numpy as np

from matchers.accounts.kernel.ahead import CHUNK, look_ahead_at_commands, look_ahead_at_reports
from matchers.accounts.kernel.layout import (
    ACCOUNTS_USED,
    BOOK_COMMANDS,
    EVENTS,
    FREE_ORDER,
    NEED,
    NEED_ACCOUNTS,
    NEED_ORDERS,
    NEED_OUTPUTS,
    NEED_POSITIONS,
    NEED_ROWS,
    NEXT_ROW,
    ORDERS_USED,
    POSITIONS_USED,
    REFUSED,
    REPLIES,
    State,
)
from matchers.accounts.kernel.lists import list_length, new_list
from matchers.accounts.kernel.orders import new_order, refuse_order
from matchers.accounts.kernel.pools import advance, find_account, find_order, forget
from matchers.accounts.kernel.reports import cancel_rejected, replaced, restated, taken_out, trade, trade_busted, triggered
from matchers.accounts.kernel.requests import cancel, has_text, replace
from matchers.accounts.kernel.updates import account_limits, account_status, account_update, register_session
from matchers.accounts.kernel.words import COMMAND_ACCOUNT_LIMITS, COMMAND_ACCOUNT_STATUS, COMMAND_REPLACE
from matchers.compiled.compilation import borrowed, helper, kernel
from matchers.compiled.digest import text_words
from matchers.compiled.words import (
    COMMAND_ACCOUNT_UPDATE,
    COMMAND_CANCEL,
    COMMAND_NEW_ORDER,
    COMMAND_REGISTER_SESSION,
    REASON_INVALID_COMMAND,
    REPORT_CANCEL_REJECTED,
    REPORT_CANCELED,
    REPORT_EXPIRED,
    REPORT_REJECTED,
    REPORT_REPLACED,
    REPORT_RESTATED,
    REPORT_TRADE,
    REPORT_TRADE_BUSTED,
    REPORT_TRIGGERED,
)
from matchers.rules.account_rules import ACCOUNT_FAULT, INSTRUMENT_FAULT, KIND_FAULT, REASON_FAULT, UNKNOWN_ORDER_FAULT
from schemas.field_rules import LIST_ROWS_MAX
from schemas.reject_reasons import Reason


@helper
def is_full(used: Any, pool: Any, index: Any) -> Any:
    """Whether one more row than `used` would have no place, or leave less than half of the index empty."""
    return used >= pool.shape[0] or 2 * used >= index.shape[0]


@helper
def _needs_room(s: Any, command: Any) -> Any:
    """Whether the row might not find room; says in `call` of what. A list is several rows, but judged with its first."""
    legs = LIST_ROWS_MAX if command.contingency_type != 0 else 1
    events = legs
    replies = 2 * legs
    if command.kind == COMMAND_REGISTER_SESSION:
        account = s.accounts[find_account(s, command.account)]
        replies = 2 + account.open_orders + account.positions
    elif command.kind == COMMAND_ACCOUNT_STATUS:
        events = 1 + s.accounts[find_account(s, command.account)].open_orders
        replies = 2 * events
    need = 0
    if is_full(s.head[ACCOUNTS_USED], s.accounts, s.account_index):
        need = NEED_ACCOUNTS
    elif is_full(s.head[POSITIONS_USED], s.positions, s.position_index):
        need = NEED_POSITIONS
    elif (legs > 1 or s.head[FREE_ORDER] == 0) and is_full(s.head[ORDERS_USED] + legs - 1, s.orders, s.order_index):
        need = NEED_ORDERS
    elif (
        s.call[REPLIES] + replies > s.replies.shape[0]
        or s.call[EVENTS] + events > s.events.shape[0]
        or s.call[BOOK_COMMANDS] + events > s.book_commands.shape[0]
    ):
        need = NEED_OUTPUTS
        s.call[NEED_ROWS] = max(events, replies)
    s.call[NEED] = need
    return need != 0


@kernel
def apply_commands(
    rows: Any, text: Any, orig: Any, head: Any, call: Any, accounts: Any, positions: Any, orders: Any, order_text: Any, account_index: Any, position_index: Any,
    order_index: Any, cl_ord_id_index: Any, rules: Any, facts: Any, order_table: Any, events: Any, event_text: Any, event_orig: Any, replies: Any,
    reply_text: Any, reply_orig: Any, reply_mask: Any, book_commands: Any, updates: Any, update_index: Any, replaced_ids: Any, replaced_id_text: Any,
    replaced_id_index: Any,
) -> None:  # fmt: skip
    """Apply order_command_frame rows from call[NEXT_ROW] on; text, orig: u64[rows, words], orig maybe of no rows. Stops early with call[NEED] set."""
    s = State(
        borrowed(head), borrowed(call), borrowed(accounts), borrowed(positions), borrowed(orders), borrowed(order_text),
        borrowed(account_index), borrowed(position_index), borrowed(order_index), borrowed(cl_ord_id_index), borrowed(rules), borrowed(facts),
        borrowed(order_table), borrowed(events), borrowed(event_text), borrowed(event_orig), borrowed(replies), borrowed(reply_text),
        borrowed(reply_orig), borrowed(reply_mask), borrowed(book_commands), borrowed(updates), borrowed(update_index),
        borrowed(replaced_ids), borrowed(replaced_id_text), borrowed(replaced_id_index),
    )  # fmt: skip
    call, rows, text, orig = s.call, borrowed(rows), borrowed(text), borrowed(orig)
    row = call[NEXT_ROW]
    seen = row
    while row < rows.shape[0]:
        if row >= seen:
            seen = min(row + CHUNK, rows.shape[0])
            look_ahead_at_commands(s, rows, text, row, seen)
        command = rows[row]
        call[NEXT_ROW] = row
        if _needs_room(s, command):
            return
        advance(s, command.transact_time)
        words = text_words(text, row)
        legs = 1
        if command.kind == COMMAND_NEW_ORDER:
            if command.contingency_type != 0 or command.list_id != 0:
                in_list = list_length(rows, row)
                for leg in range(1, in_list):
                    advance(s, rows[row + leg].transact_time)
                new_list(s, rows, text, row, in_list)
                legs = max(in_list, 1)
            else:
                new_order(s, command, text, row, words)
        elif command.kind == COMMAND_CANCEL:
            if has_text(orig, row):
                cancel(s, command, orig, row, text_words(orig, row))
            else:
                cancel(s, command, text, row, words)
        elif command.kind == COMMAND_REPLACE:
            replace(s, command, text, orig, row, words)
        elif command.kind == COMMAND_REGISTER_SESSION:
            register_session(s, command)
        elif command.kind == COMMAND_ACCOUNT_UPDATE:
            account_update(s, command)
        elif command.kind == COMMAND_ACCOUNT_STATUS:
            account_status(s, command)
        elif command.kind == COMMAND_ACCOUNT_LIMITS:
            account_limits(s, command)
        else:
            refuse_order(s, command, find_account(s, command.account), REASON_INVALID_COMMAND, text, row, words)
        forget(s)
        row += legs
    call[NEXT_ROW] = rows.shape[0]


_IS_REASON = np.array([number in set(Reason) for number in range(max(Reason) + 1)])


@helper
def is_reason(number: Any) -> Any:
    """Whether there is such a Reason."""
    return number < len(_IS_REASON) and _IS_REASON[number]


@helper
def _report_fault(s: Any, report: Any, order_row: Any) -> Any:
    """Why the report is about no order of this shard, or 0."""
    if order_row == 0:
        return UNKNOWN_ORDER_FAULT
    if s.accounts[s.orders[order_row].account_row].account != report.account:
        return ACCOUNT_FAULT
    return INSTRUMENT_FAULT if s.orders[order_row].instrument != report.instrument else 0


@kernel
def apply_reports(
    rows: Any, faults: Any, orig: Any, head: Any, call: Any, accounts: Any, positions: Any, orders: Any, order_text: Any, account_index: Any, position_index: Any,
    order_index: Any, cl_ord_id_index: Any, rules: Any, facts: Any, order_table: Any, events: Any, event_text: Any, event_orig: Any, replies: Any,
    reply_text: Any, reply_orig: Any, reply_mask: Any, book_commands: Any, updates: Any, update_index: Any, replaced_ids: Any, replaced_id_text: Any,
    replaced_id_index: Any,
) -> None:  # fmt: skip
    """Apply book_report_frame rows from call[NEXT_ROW] on. Stops early with call[NEED] set. Rows that cannot be true are left out: their faults[row] is set."""
    s = State(
        borrowed(head), borrowed(call), borrowed(accounts), borrowed(positions), borrowed(orders), borrowed(order_text),
        borrowed(account_index), borrowed(position_index), borrowed(order_index), borrowed(cl_ord_id_index), borrowed(rules), borrowed(facts),
        borrowed(order_table), borrowed(events), borrowed(event_text), borrowed(event_orig), borrowed(replies), borrowed(reply_text),
        borrowed(reply_orig), borrowed(reply_mask), borrowed(book_commands), borrowed(updates), borrowed(update_index),
        borrowed(replaced_ids), borrowed(replaced_id_text), borrowed(replaced_id_index),
    )  # fmt: skip
    head, call, rows, faults = s.head, s.call, borrowed(rows), borrowed(faults)
    seen = call[NEXT_ROW]
    for row in range(call[NEXT_ROW], rows.shape[0]):
        if row >= seen:
            seen = min(row + CHUNK, rows.shape[0])
            look_ahead_at_reports(s, rows, row, seen)
        report = rows[row]
        call[NEXT_ROW] = row
        if is_full(head[POSITIONS_USED], s.positions, s.position_index):
            call[NEED] = NEED_POSITIONS
            return
        fault = REASON_FAULT if report.reason != 0 and not is_reason(report.reason) else 0
        if fault != 0:
            pass
        elif report.kind == REPORT_TRADE_BUSTED:
            trade_busted(s, report)
        else:
            order_row = find_order(s, report.order_id)
            fault = _report_fault(s, report, order_row)
            if fault != 0:
                pass
            elif report.kind == REPORT_TRADE:
                fault = trade(s, report, order_row)
            elif report.kind == REPORT_CANCELED or report.kind == REPORT_EXPIRED or report.kind == REPORT_REJECTED:
                fault = taken_out(s, report, order_row)
            elif report.kind == REPORT_CANCEL_REJECTED:
                fault = cancel_rejected(s, report, order_row)
            elif report.kind == REPORT_REPLACED:
                fault = replaced(s, report, order_row)
            elif report.kind == REPORT_RESTATED:
                fault = restated(s, report, order_row)
            elif report.kind == REPORT_TRIGGERED:
                fault = triggered(s, report, order_row)
            else:
                fault = KIND_FAULT
        if fault != 0:
            faults[row] = fault
            call[REFUSED] += 1
        else:
            forget(s)
    call[NEXT_ROW] = rows.shape[0]
