"""Would an order be taken? The shards' own rules over what the edge knows, in the shards' order; nothing is sent.

Not judged: what only the book knows (who is on the other side, its room), rates, an account's own limits. Of a list only the first order's funds are judged.
"""

import time
from typing import Any

from edge.gateway.accounts.view import AccountView
from edge.gateway.gateway import Gateway
from edge.gateway.orders.new_order import NewOrder
from edge.native.wire.problems import rejected
from matchers.rules.account_rules import hold_per_lot, worst_px
from matchers.rules.list_rules import list_rows_at
from matchers.rules.order_rules import order_refusal
from matchers.rules.order_tables import NEW_IN_PHASE
from schemas.enums import AccountStatus, CommandKind, Phase, Side
from schemas.reject_reasons import Reason
from schemas.units import minor_to_text


def check(gateway: Gateway, view: AccountView, order: NewOrder) -> dict[str, Any]:
    """What it would hold. Raises Problem with the reason for which it would be refused."""
    rules = gateway.instruments.rules[order.instrument.number]
    rows = [
        one.columns() | {"kind": CommandKind.NEW_ORDER, "account": view.account, "list_id": int(bool(order.legs))}
        for one in (order, *order.legs)
    ]
    if view.status != AccountStatus.ACTIVE:
        raise rejected(Reason.ACCOUNT_SUSPENDED)
    for place, row in enumerate(rows):
        known = view.find_by_cl_ord_id(row["cl_ord_id"].decode())
        if known is not None:
            raise rejected(Reason.DUPLICATE_CL_ORD_ID, order_id=str(known.order_id))
        reason = order_refusal(row, rules, time.time_ns()) or _notional(row, rules)
        if reason:
            raise rejected(reason, **({"order": place} if place else {}))
    if rules["restricted"]:
        raise rejected(Reason.RESTRICTED)
    if (order.contingency_type or order.legs) and list_rows_at(rows, 0, CommandKind.NEW_ORDER) != len(rows):
        raise rejected(Reason.INVALID_LIST)
    _phase(gateway, order)
    return {
        "valid": True,
        "worst_px": order.instrument.price_text(worst_px(rows[0], rules)),
        "hold": minor_to_text(_funds(view, order, rows[0], rules)),
    }


def _notional(row: dict[str, Any], rules: Any) -> Reason:
    notional = worst_px(row, rules) * row["order_qty"] * int(rules["lot_minor_per_tick"])
    return Reason.NOTIONAL_ABOVE_LIMIT if notional > rules["notional_minor_max"] else Reason.NONE


def _phase(gateway: Gateway, order: NewOrder) -> None:
    known = gateway.market.symbols[order.instrument.symbol]
    if known.status is not None:
        reason = Reason(NEW_IN_PHASE[Phase(known.phase), order.ord_type, order.time_in_force])
        if reason:
            raise rejected(reason, phase=Phase(known.phase).name.lower())


def _funds(view: AccountView, order: NewOrder, row: dict[str, Any], rules: Any) -> int:
    """Minor units that it would hold. Raises Problem where cash or shares are missing."""
    need = hold_per_lot(order.side, worst_px(row, rules), rules) * order.qty
    position = view.positions.get(order.instrument.number)
    free = max(position.qty - position.held, 0) if position is not None else 0
    if order.side == Side.BUY and need > max(view.cash - view.cash_held, 0):
        raise rejected(Reason.INSUFFICIENT_BUYING_POWER, needed=minor_to_text(need), available=minor_to_text(view.cash - view.cash_held))
    if order.side == Side.SELL and order.qty > free and not order.locate:
        text = order.instrument.qty_text
        raise rejected(Reason.INSUFFICIENT_SHARES, requested=text(order.qty), available=text(free))
    return need
