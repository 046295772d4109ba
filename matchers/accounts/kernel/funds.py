"""Why the account kernel refuses what an order needs of its account: accounts.reference.checks, compiled."""

from typing import Any

import numpy as np

from matchers.accounts.kernel.layout import LOG_TIME, OPEN_ORDERS, OPEN_PER_ACCOUNT_MAX, ORDERS_MAX
from matchers.accounts.kernel.words import (
    PERMISSION_SHORT_SALE,
    REASON_POSITION_LIMIT,
    REASON_RESTRICTED,
    REASON_SHORT_SALE_NOT_ALLOWED,
    REASON_SHORT_SALE_PRICE_TEST,
)
from matchers.compiled.compilation import helper
from matchers.compiled.words import (
    LIST_OCO,
    REASON_INSUFFICIENT_BUYING_POWER,
    REASON_INSUFFICIENT_SHARES,
    REASON_NOTIONAL_ABOVE_LIMIT,
    SIDE_SELL,
    TYPE_LIMIT,
)
from matchers.rules.account_rules import DAY_NS


@helper
def is_too_fast(s: Any, account: Any) -> Any:
    """Whether the token bucket is empty."""
    return account.rate_interval_ns != 0 and account.rate_until - s.head[LOG_TIME] > account.rate_burst_ns


@helper
def count_order(s: Any, account: Any) -> None:
    """Take a token."""
    if account.rate_interval_ns != 0:
        account.rate_until = max(account.rate_until, s.head[LOG_TIME]) + account.rate_interval_ns


@helper
def notional_refusal(account: Any, rules: Any, price: Any, order_qty: Any) -> Any:
    """Worst price x quantity against the instrument's limit and the account's own."""
    most = rules.notional_minor_max
    if account.order_minor_max != 0:
        most = min(most, account.order_minor_max)
    return REASON_NOTIONAL_ABOVE_LIMIT if price * order_qty * rules.lot_minor_per_tick > most else 0


@helper
def restricted_refusal(s: Any, rules: Any, position_row: Any) -> Any:
    """The exchange's list, then the account's."""
    return REASON_RESTRICTED if rules.restricted != 0 or s.positions[position_row].restricted != 0 else 0


@helper
def position_refusal(s: Any, rules: Any, position_row: Any, buys: Any, shorts: Any) -> Any:
    """What the position could become if all its open orders of one side executed. Row 0 is all zeros."""
    position = s.positions[position_row]
    most = rules.position_lots_max
    if position.lots_max != 0:
        most = min(most, position.lots_max)
    if buys != 0 and position.position + position.open_buys + buys > most:
        return REASON_POSITION_LIMIT
    if shorts != 0 and position.open_shorts + shorts - position.position > most:
        return REASON_POSITION_LIMIT
    return 0


@helper
def funds_refusal(s: Any, account_row: Any, position_row: Any, cash: Any, shares: Any) -> Any:
    """Whether cash and shares are there."""
    account = s.accounts[account_row]
    position = s.positions[position_row]
    if cash > max(account.cash - account.cash_held, 0):
        return REASON_INSUFFICIENT_BUYING_POWER
    if shares > max(position.position - position.position_held, 0):
        return REASON_INSUFFICIENT_SHARES
    return 0


@helper
def price_test_refusal(s: Any, instrument: Any, ord_type: Any, price: Any) -> Any:
    """Regulation SHO rule 201."""
    fact = s.facts[instrument]
    tested = s.head[LOG_TIME] // DAY_NS < fact.price_test_end
    return REASON_SHORT_SALE_PRICE_TEST if tested and (ord_type != TYPE_LIMIT or price <= fact.last_px) else 0


@helper
def short_refusal(s: Any, account: Any, command: Any) -> Any:
    """Of a sale without shares whose shares are located."""
    if account.permissions & PERMISSION_SHORT_SALE == 0:
        return REASON_SHORT_SALE_NOT_ALLOWED
    return price_test_refusal(s, command.instrument, command.ord_type, command.price)


@helper
def is_short_sale(s: Any, position_row: Any, command: Any) -> Any:
    """Of an order that stands alone or is the first of its list."""
    if command.locate == 0 or command.side != SIDE_SELL or command.contingency_type == LIST_OCO:
        return False
    position = s.positions[position_row]
    return bool(position.position <= position.position_held)


@helper
def has_no_room(s: Any, account: Any, orders: Any) -> Any:
    """Too many open orders already for so many more."""
    too_many = np.int64(account.open_orders) + orders > s.head[OPEN_PER_ACCOUNT_MAX]
    return too_many or s.head[OPEN_ORDERS] + orders > s.head[ORDERS_MAX]
