"""The account shard as kernels; the rules are those of reference_account_shard, whose order of checks and rows this follows.

One call applies rows until the input ends or a pool has no room for what one more row may need; then the wrapper grows the pool and calls again.
u64 columns (ids, masks) and i64 numbers are never mixed in one expression: numba would make a float of them.
"""

from typing import Any

from matchers.kernel_account_layout import (
    ACCOUNT_FAULT,
    ACCOUNTS_USED,
    FAULT,
    FREE_ORDER,
    INSTRUMENT_FAULT,
    KIND_FAULT,
    LOG_TIME,
    NEED,
    NEED_ACCOUNTS,
    NEED_ORDERS,
    NEED_POSITIONS,
    NEED_REPLIES,
    NEED_ROWS,
    NEXT_ROW,
    ORDERS_USED,
    POSITIONS_USED,
    REPLIES,
    UNKNOWN_ORDER_FAULT,
    State,
)
from matchers.kernel_account_orders import cancel, new_order, refuse_order
from matchers.kernel_account_pools import find_account, find_order, forget
from matchers.kernel_account_reports import cancel_rejected, taken_out, trade
from matchers.kernel_account_updates import account_update, register_session
from matchers.kernel_compile import borrowed, helper, kernel
from matchers.kernel_digest import text_words
from matchers.kernel_words import (
    COMMAND_ACCOUNT_UPDATE,
    COMMAND_CANCEL,
    COMMAND_NEW_ORDER,
    COMMAND_REGISTER_SESSION,
    REASON_INVALID_COMMAND,
    REPORT_CANCEL_REJECTED,
    REPORT_CANCELED,
    REPORT_EXPIRED,
    REPORT_REJECTED,
    REPORT_TRADE,
)


@helper
def _needs_room(s: Any, command: Any) -> Any:
    """Whether the row might not find room; says in `call` of what."""
    replies = 2
    if command.kind == COMMAND_REGISTER_SESSION:
        account = s.accounts[find_account(s, command.account)]
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
        borrowed(head), borrowed(call), borrowed(accounts), borrowed(positions), borrowed(orders), borrowed(order_text),
        borrowed(account_index), borrowed(position_index), borrowed(order_index), borrowed(cl_ord_id_index), borrowed(rules),
        borrowed(combinations), borrowed(events), borrowed(event_text), borrowed(replies), borrowed(reply_text), borrowed(reply_mask),
        borrowed(book_commands),
    )  # fmt: skip
    head, call, rows, text = s.head, s.call, borrowed(rows), borrowed(text)
    for row in range(call[NEXT_ROW], rows.shape[0]):
        command = rows[row]
        call[NEXT_ROW] = row
        if _needs_room(s, command):
            return
        head[LOG_TIME] = max(head[LOG_TIME], command.transact_time)
        words = text_words(text, row)
        if command.kind == COMMAND_NEW_ORDER:
            new_order(s, command, text, row, words)
        elif command.kind == COMMAND_CANCEL:
            cancel(s, command, text, row, words)
        elif command.kind == COMMAND_REGISTER_SESSION:
            register_session(s, command)
        elif command.kind == COMMAND_ACCOUNT_UPDATE:
            account_update(s, command)
        else:
            refuse_order(s, command, find_account(s, command.account), REASON_INVALID_COMMAND, text, row, words)
    call[NEXT_ROW] = rows.shape[0]


@kernel
def apply_reports(
    rows: Any, text: Any, head: Any, call: Any, accounts: Any, positions: Any, orders: Any, order_text: Any, account_index: Any, position_index: Any,
    order_index: Any, cl_ord_id_index: Any, rules: Any, combinations: Any, events: Any, event_text: Any, replies: Any, reply_text: Any,
    reply_mask: Any, book_commands: Any,
) -> None:  # fmt: skip
    """Apply book_report_frame rows from call[NEXT_ROW] on. Stops early with call[NEED] or call[FAULT] set."""
    s = State(
        borrowed(head), borrowed(call), borrowed(accounts), borrowed(positions), borrowed(orders), borrowed(order_text),
        borrowed(account_index), borrowed(position_index), borrowed(order_index), borrowed(cl_ord_id_index), borrowed(rules),
        borrowed(combinations), borrowed(events), borrowed(event_text), borrowed(replies), borrowed(reply_text), borrowed(reply_mask),
        borrowed(book_commands),
    )  # fmt: skip
    head, call, rows = s.head, s.call, borrowed(rows)
    for row in range(call[NEXT_ROW], rows.shape[0]):
        report = rows[row]
        call[NEXT_ROW] = row
        if head[POSITIONS_USED] >= positions.shape[0]:
            call[NEED] = NEED_POSITIONS
            return
        head[LOG_TIME] = max(head[LOG_TIME], report.transact_time)
        order_row = find_order(s, report.order_id)
        fault = 0
        if order_row == 0:
            fault = UNKNOWN_ORDER_FAULT
        elif accounts[orders[order_row].account_row].account != report.account:
            fault = ACCOUNT_FAULT
        elif orders[order_row].instrument != report.instrument:
            fault = INSTRUMENT_FAULT
        elif report.kind == REPORT_TRADE:
            fault = trade(s, report, order_row)
        elif report.kind == REPORT_CANCELED or report.kind == REPORT_EXPIRED or report.kind == REPORT_REJECTED:
            fault = taken_out(s, report, order_row)
        elif report.kind == REPORT_CANCEL_REJECTED:
            fault = cancel_rejected(s, report, order_row)
        else:
            fault = KIND_FAULT
        if fault != 0:
            call[FAULT] = fault
            return
        forget(s)
    call[NEXT_ROW] = rows.shape[0]
