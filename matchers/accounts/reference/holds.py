"""Holds: what each open order keeps from being spent, and what a short position keeps.

A hold is never stored by itself: it is a function of what the shard knows of the order, so it cannot drift. Whoever changes an order takes its hold out,
changes the order, and puts the hold in again (`held_anew`).
 Buy: hold_per_lot (worst price and the larger fee) x lots. Sale of shares: the lots. Short sale: short_margin_minor x lots in cash.
 While a replace is under way, the larger of what the order needs now and what it would need.
 OCO pair: the larger of the two. A fill of one, also partial, makes the book cancel the other before anything else happens, so never do both execute: with
 the report of the fill the other holds nothing any more, although its CANCELED is still to come.
 What sells the shares that its primary buys (OTO, BRACKET) holds what the primary has bought so far: the shares pass from the trade straight into the hold.
 Nothing can sell them in between, and the book triggers no more than was bought. All other orders of lists hold in full from the beginning.
A position that is short once the held lots are gone keeps short_margin_minor a lot held in cash (`collateral`); sales of short lots bring cash that is available.
Buys that cover hold in full like any buy: simple and safe, and the proceeds of the short sale pay for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from matchers.accounts.reference.state import Account, AccountState, Order, Position
from matchers.rules.account_rules import HOLD_NOTHING, collateral, cost_after
from schemas.enums import Side


@dataclass(frozen=True)
class Need:
    """What orders keep: cash in minor units, shares in lots; and the lots by which they could move the position."""

    cash: int = 0
    shares: int = 0
    buys: int = 0
    shorts: int = 0

    def __add__(self, other: "Need") -> "Need":
        return Need(self.cash + other.cash, self.shares + other.shares, self.buys + other.buys, self.shorts + other.shorts)

    def either(self, other: "Need") -> "Need":
        """Of two of which only one can happen."""
        return Need(max(self.cash, other.cash), max(self.shares, other.shares), max(self.buys, other.buys), max(self.shorts, other.shorts))


def need_of(s: AccountState, order: Order) -> Need:
    """What the order by itself needs; nothing once it is done."""
    if not order.leaves_qty or order.hold_max == HOLD_NOTHING:
        return Need()
    next_leaves = max(order.terms.order_qty - order.cum_qty, 0) if order.replace_pending else 0
    lots = max(order.leaves_qty, next_leaves)
    if order.side == Side.BUY:
        return Need(cash=max(order.leaves_qty * order.hold_per_lot, next_leaves * order.terms.hold_per_lot), buys=lots)
    if order.is_short:
        return Need(cash=lots * s.rules[order.instrument]["short_margin_minor"], shorts=lots)
    return Need(shares=min(lots, order.hold_max))


def pair_need(s: AccountState, order: Order) -> Need:
    """The same of an order and its OCO partner together."""
    return need_of(s, order).either(need_of(s, order.oco)) if order.oco else need_of(s, order)


@contextmanager
def held_anew(s: AccountState, order: Order) -> Iterator[None]:
    """Around a change of the order, or of its partner."""
    _put(s, order, pair_need(s, order), -1)
    yield
    _put(s, order, pair_need(s, order), +1)


def hold(s: AccountState, order: Order, need: Need) -> None:
    """Add what a new order adds to what is held."""
    _put(s, order, need, +1)


def position_of(s: AccountState, account: Account, instrument: int) -> Position:
    """The position, made if it was not there."""
    position = s.positions.get((account.account, instrument))
    if position is None:
        position = s.positions[account.account, instrument] = Position(account.account, instrument)
        account.positions.append(position)
    return position


def _put(s: AccountState, order: Order, need: Need, sign: int) -> None:
    account, position = order.account, position_of(s, order.account, order.instrument)
    account.cash_held += sign * need.cash
    with _collateral_anew(s, account, position):
        position.position_held += sign * need.shares
    position.open_buys += sign * need.buys
    position.open_shorts += sign * need.shorts


@contextmanager
def _collateral_anew(s: AccountState, account: Account, position: Position) -> Iterator[None]:
    margin = s.rules[position.instrument]["short_margin_minor"]
    account.cash_held -= collateral(position.position - position.position_held, margin)
    yield
    account.cash_held += collateral(position.position - position.position_held, margin)


def move_shares(s: AccountState, account: Account, instrument: int, lots: int, minor_per_lot: int) -> None:
    """Post `lots` (negative: take) to the position at `minor_per_lot` each."""
    position = position_of(s, account, instrument)
    with _collateral_anew(s, account, position):
        position.position_cost = cost_after(position.position_cost, position.position, lots, minor_per_lot)
        position.position += lots
