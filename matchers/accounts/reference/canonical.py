"""The canonical state of the reference account shard: to arrays, for the hash and for snapshots, and back."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from matchers.accounts.reference.state import Account, AccountState, Order, Position, ReplacedId, Terms, Values
from matchers.state.account_layouts import ACCOUNT_STATE, FACT_STATE, ORDER_STATE, POSITION_STATE, REPLACED_ID_STATE, UPDATE_STATE
from schemas.codec import Rows
from schemas.ids import cl_ord_id_digest

_TERMS: Final = {
    "next_qty": "order_qty", "next_price": "price", "next_hold_per_lot": "hold_per_lot", "next_stop_px": "stop_px",
    "next_display_qty": "display_qty", "next_offset": "offset", "next_expire_time": "expire_time", "next_time_in_force": "time_in_force",
    "next_exec_inst": "exec_inst",
}  # fmt: skip
_LINKS: Final = ("oco_id", "primary_id")


def canonical_state(s: AccountState) -> dict[str, Rows]:
    """The arrays of account_layouts.py."""
    ids = [(one.account, one.order_id, *one.digest, one.is_pending, one.text) for one in s.replaced_ids]
    return {
        "accounts": _rows(ACCOUNT_STATE, s.accounts.values()),
        "positions": _rows(POSITION_STATE, s.positions.values()),
        "orders": np.array([_order_row(order) for _, order in sorted(s.orders.items())], ORDER_STATE),
        "done": np.array([order.order_id for order in s.done], np.uint64),
        "facts": np.array(list(zip(s.last_px, s.price_test_end, strict=True)), FACT_STATE),
        "updates": np.array([(*key, body) for key, body in s.updates.items()], UPDATE_STATE),
        "replaced_ids": np.array(ids, REPLACED_ID_STATE),
        "counters": np.array([s.last_order_number, s.done_before_today, s.fees_minor], np.int64),
    }


def load_state(s: AccountState, arrays: Mapping[str, Rows]) -> None:
    """Fill an empty shard from the arrays of canonical_state."""
    s.last_order_number, s.done_before_today, s.fees_minor = arrays["counters"].tolist()
    for row in arrays["accounts"].tolist():
        s.accounts[row[0]] = Account(*row)
    for row in arrays["positions"].tolist():
        s.positions[row[0], row[1]] = kept = Position(*row)
        s.accounts[kept.account].positions.append(kept)
    s.last_px, s.price_test_end = arrays["facts"]["last_px"].tolist(), arrays["facts"]["price_test_end"].tolist()
    rows = [dict(zip(ORDER_STATE.names or (), row, strict=True)) for row in arrays["orders"].tolist()]
    for row in rows:
        _load_order(s, row)
    for row in rows:
        order = s.orders[row["order_id"]]
        order.oco = s.orders.get(row["oco_id"])
        if row["primary_id"]:
            order.primary = s.orders[row["primary_id"]]
            order.primary.secondaries.append(order)
    s.updates = {(account, request_id): body for account, request_id, body in arrays["updates"].tolist()}
    for account, order_id, low, high, is_pending, text in arrays["replaced_ids"].tolist():
        one = ReplacedId(account, order_id, (low, high), text, bool(is_pending))
        s.replaced_ids.append(one)
        if order_id:
            s.by_replaced_id[account, one.digest] = one
        if one.is_pending:
            s.orders[order_id].next_id = one
    s.done = deque(s.orders[order_id] for order_id in arrays["done"].tolist())


def _load_order(s: AccountState, row: Values) -> None:
    plain = {name: value for name, value in row.items() if name not in _TERMS and name not in _LINKS}
    terms = Terms(**{field: row[name] for name, field in _TERMS.items()})
    flags = {name: bool(row[name]) for name in ("cancel_pending", "replace_pending", "is_short", "is_active")}
    order = Order(**plain | {"account": s.accounts[row["account"]], "terms": terms} | flags)
    s.orders[order.order_id] = s.by_cl_ord_id[row["account"], cl_ord_id_digest(order.cl_ord_id)] = order
    if order.leaves_qty:
        s.open_orders += 1
        order.account.open_orders[order.order_id] = order


def _order_row(order: Order) -> tuple[Any, ...]:
    made = {"account": order.account.account, **{name: getattr(order.terms, field) for name, field in _TERMS.items()}}
    made |= {"oco_id": order.oco.order_id if order.oco else 0, "primary_id": order.primary.order_id if order.primary else 0}
    return tuple(made[name] if name in made else getattr(order, name) for name in ORDER_STATE.names or ())


def _rows(dtype: np.dtype[np.void], objects: Iterable[Any]) -> Rows:
    return np.array([tuple(getattr(one, name) for name in dtype.names or ()) for one in objects], dtype)
