"""New orders of customers, alone or in a list: accepted, all or none, with a hold and a number, and sent to their book."""

from typing import Final

from matchers.accounts.reference.checks import (
    count_order,
    funds_refusal,
    has_no_room,
    is_short_sale,
    position_refusal,
    refusal,
    short_refusal,
)
from matchers.accounts.reference.holds import Need, hold, pair_need
from matchers.accounts.reference.journal import answer, book_command, event, refuse
from matchers.accounts.reference.replaced_ids import earlier
from matchers.accounts.reference.state import Account, AccountState, Order, Values
from matchers.rules.account_rules import body_digest, book_px, book_stop_px, hold_per_lot, worst_px
from schemas.enums import AccountEventKind, BookCommandKind, ContingencyType, Side
from schemas.ids import cl_ord_id_digest
from schemas.limits import ORDER_ID_SHARD_SHIFT
from schemas.reject_reasons import Reason

_ORDERED: Final = (
    "instrument", "side", "ord_type", "time_in_force", "order_qty", "price", "exec_inst", "contingency_type", "peg_price_type", "offset_type",
    "display_qty", "offset", "expire_time",
)  # fmt: skip
_PASSED_ON: Final = (
    "exec_inst", "self_match_prevention_instruction", "contingency_type", "peg_price_type", "offset_type", "self_match_prevention_id",
    "display_qty", "min_qty", "offset", "expire_time",
)  # fmt: skip
Legs = list[tuple[Values, bytes]]


def new_orders(s: AccountState, legs: Legs) -> None:
    """One order or a list: all are accepted or none is."""
    commands = [command for command, _ in legs]
    if all(_is_known_pair(s, command) and _is_repeated(s, command, text) for command, text in legs):
        for command, text in legs:
            order = earlier(s, command, text)
            assert order is not None
            answer(s, AccountEventKind.DUPLICATE, order.account, command, order.values(), order.cl_ord_id)
        return
    reasons = [refusal(s, command, text) for command, text in legs]
    texts = [text for _, text in legs]
    for at, text in enumerate(texts):
        if not reasons[at] and text in texts[:at]:
            reasons[at] = Reason.DUPLICATE_CL_ORD_ID
    orders: list[Order] = []
    if not any(reasons):
        orders, reasons = _with_funds(s, s.accounts[commands[0]["account"]], legs)
    if any(reasons):
        for (command, text), reason in zip(legs, reasons, strict=True):
            refuse_order(s, command, text, reason or Reason.LIST_REJECTED)
        return
    _accept(s, orders, legs)


def _is_known_pair(s: AccountState, command: Values) -> bool:
    """Whether account and instrument are known."""
    return command["account"] in s.accounts and command["instrument"] in s.rules


def _is_repeated(s: AccountState, command: Values, text: bytes) -> bool:
    """Whether this is an accepted order once more."""
    found = earlier(s, command, text)
    return found is not None and found.body == body_digest(command)


def refuse_order(s: AccountState, command: Values, text: bytes, reason: Reason) -> None:
    """A REJECTED event, with the columns as they came."""
    refuse(s, AccountEventKind.REJECTED, s.accounts.get(command["account"]), command, reason, command, text)


def _with_funds(s: AccountState, account: Account, legs: Legs) -> tuple[list[Order], list[Reason]]:
    """The orders, linked, each with the reason why the list needs too much from it on."""
    orders: list[Order] = []
    reasons: list[Reason] = []
    for at, (command, text) in enumerate(legs):
        order = _order_of(s, account, command, text)
        order.is_short = is_short_sale(s, account, command, at == 0)
        orders.append(order)
        _link(orders)
        need = _list_need(s, orders)
        instrument = order.instrument
        room = Reason.OPEN_ORDER_LIMIT if has_no_room(s, account, at + 1) else Reason.NONE
        reasons.append(
            position_refusal(s, account, instrument, need)
            or (short_refusal(s, account, command) if order.is_short else Reason.NONE)
            or funds_refusal(s, account, instrument, need)
            or room
        )
    return orders, reasons


def _order_of(s: AccountState, account: Account, command: Values, text: bytes) -> Order:
    """The order of a command that is good by itself; it has no number yet."""
    rules = s.rules[command["instrument"]]
    return Order(
        order_id=0, body=body_digest(command), account=account, leaves_qty=command["order_qty"], submitted_at=s.log_time, cl_ord_id=text,
        hold_per_lot=hold_per_lot(command["side"], worst_px(command, rules), rules), stop_px=book_stop_px(command, rules),
        **{name: command[name] for name in _ORDERED},
    )  # fmt: skip


def _list_need(s: AccountState, orders: list[Order]) -> Need:
    """What the orders of one list need in all: each pair counts once."""
    total = Need()
    for order in orders:
        if order.oco is None or order.oco not in orders[: orders.index(order)]:
            total += pair_need(s, order)
    return total


def _accept(s: AccountState, orders: list[Order], legs: Legs) -> None:
    need = _list_need(s, orders)
    for order, (command, text) in zip(orders, legs, strict=True):
        s.last_order_number += 1
        order.order_id = (s.shard << ORDER_ID_SHARD_SHIFT) | s.last_order_number
        order.list_id = orders[0].order_id if len(orders) > 1 else 0
        s.orders[order.order_id] = order.account.open_orders[order.order_id] = order
        s.by_cl_ord_id[command["account"], cl_ord_id_digest(text)] = order
        s.open_orders += 1
        count_order(s, order.account)
    hold(s, orders[0], need)
    for order, (command, text) in zip(orders, legs, strict=True):
        event(s, AccountEventKind.ACCEPTED, order.account, order.values(), text, command)
        rules = s.rules[order.instrument]
        book_command(
            s, BookCommandKind.NEW_ORDER, order, ord_type=order.ord_type, time_in_force=order.time_in_force, order_qty=order.order_qty,
            price=book_px(command, rules), stop_px=order.stop_px, list_id=order.list_id, **{name: command[name] for name in _PASSED_ON},
        )  # fmt: skip


def _link(orders: list[Order]) -> None:
    """Link the newest order of a list to those before it."""
    newest, first = orders[-1], orders[0]
    if newest is first:
        return
    if newest.contingency_type == ContingencyType.OCO or len(orders) == 3:
        newest.oco, orders[-2].oco = orders[-2], newest
    if newest.contingency_type != ContingencyType.OCO:
        newest.primary = first
        first.secondaries.append(newest)
        if (first.side, newest.side) == (Side.BUY, Side.SELL):
            newest.hold_max = 0
