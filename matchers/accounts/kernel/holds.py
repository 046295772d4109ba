"""Holds in the account kernel: a function of the order, taken out before it changes and put in again behind; see accounts.reference.holds."""

from typing import Any

import numpy as np

from matchers.accounts.kernel.pools import cost_after
from matchers.compiled.compilation import helper
from matchers.compiled.words import SIDE_BUY
from matchers.rules.account_rules import HOLD_NOTHING
from schemas.limits import CASH_MINOR_MAX


@helper
def need_of(s: Any, order_row: Any) -> Any:
    """(cash, shares, lots that it may buy, lots that it may sell short) of an order by itself; row 0: nothing."""
    order = s.orders[order_row]
    leaves = np.int64(order.leaves_qty)
    cash = np.int64(0)
    shares = np.int64(0)
    buys = np.int64(0)
    shorts = np.int64(0)
    if leaves != 0 and order.hold_max != HOLD_NOTHING:
        next_leaves = np.int64(0)
        if order.replace_pending != 0:
            next_leaves = max(np.int64(order.next_qty) - np.int64(order.cum_qty), np.int64(0))
        lots = max(leaves, next_leaves)
        if order.side == SIDE_BUY:
            cash = leaves * order.hold_per_lot
            if next_leaves != 0:
                cash = max(cash, next_leaves * order.next_hold_per_lot)
            buys = lots
        elif order.is_short != 0:
            cash = lots * s.rules[order.instrument].short_margin_minor
            shorts = lots
        else:
            shares = min(lots, np.int64(order.hold_max))
    return cash, shares, buys, shorts


@helper
def pair_need(s: Any, order_row: Any) -> Any:
    """The same of an order and its OCO partner together."""
    cash, shares, buys, shorts = need_of(s, order_row)
    oco = s.orders[order_row].oco
    if oco != 0:
        other = need_of(s, oco)
        cash, shares, buys, shorts = max(cash, other[0]), max(shares, other[1]), max(buys, other[2]), max(shorts, other[3])
    return cash, shares, buys, shorts


@helper
def release(s: Any, order_row: Any) -> None:
    """Take out what the order and its partner hold; the order may change now."""
    cash, shares, buys, shorts = pair_need(s, order_row)
    put_hold(s, s.orders[order_row].account_row, s.orders[order_row].position_row, -cash, -shares, -buys, -shorts)


@helper
def hold(s: Any, order_row: Any) -> None:
    """Put in what they need."""
    cash, shares, buys, shorts = pair_need(s, order_row)
    put_hold(s, s.orders[order_row].account_row, s.orders[order_row].position_row, cash, shares, buys, shorts)


@helper
def put_hold(s: Any, account_row: Any, position_row: Any, cash: Any, shares: Any, buys: Any, shorts: Any) -> None:
    """Add to what is held."""
    position = s.positions[position_row]
    s.accounts[account_row].cash_held += cash
    position.open_buys += buys
    position.open_shorts += shorts
    if shares != 0:
        before = _collateral(s, position)
        position.position_held += shares
        s.accounts[account_row].cash_held += _collateral(s, position) - before


@helper
def _collateral(s: Any, position: Any) -> Any:
    """See account_rules.collateral."""
    short = position.position_held - position.position
    if short <= 0:
        return np.int64(0)
    margin = s.rules[position.instrument].short_margin_minor
    return np.int64(CASH_MINOR_MAX) if short > CASH_MINOR_MAX // margin else short * margin


@helper
def move_shares(s: Any, account_row: Any, position_row: Any, lots: Any, minor_per_lot: Any) -> None:
    """Post lots (negative: take) to the position at minor_per_lot each."""
    position = s.positions[position_row]
    before = _collateral(s, position)
    position.position_cost = cost_after(position.position_cost, position.position, lots, minor_per_lot)
    position.position += lots
    s.accounts[account_row].cash_held += _collateral(s, position) - before
