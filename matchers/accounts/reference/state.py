"""What the reference account shard keeps: accounts, positions, orders; their canonical form, snapshot and restore."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matchers.rules.account_rules import HOLD_ALL
from matchers.rules.limits import ShardLimits
from matchers.state.account_layouts import ACCOUNT_STATE, FACT_STATE, ORDER_STATE, POSITION_STATE, REPLACED_ID_STATE, UPDATE_STATE
from matchers.state.canonical_hash import hash_arrays
from matchers.state.snapshot_head import check_head, head_array, head_values
from schemas.codec import Rows
from schemas.enums import AccountStatus, OrdStatus
from schemas.ids import cl_ord_id_digest
from schemas.instruments import InstrumentTable

if TYPE_CHECKING:
    from matchers.accounts.reference.shard import AccountShard


@dataclass
class Position:
    """Shares of one account in one instrument, lots; cost in minor units."""

    account: int
    instrument: int
    restricted: int = 0
    position: int = 0
    """Below zero: sold short."""
    position_held: int = 0
    position_cost: int = 0
    open_buys: int = 0
    """Lots that open buys may still bring."""
    open_shorts: int = 0
    lots_max: int = 0
    """Largest position either way; 0: the instrument's."""

    def values(self) -> dict[str, int]:
        """The columns of an event row."""
        return {"position": self.position, "position_held": self.position_held, "position_cost": self.position_cost}


@dataclass
class Account:
    """Cash in minor units, held part included; `edges` is the mask of the edge instances that registered."""

    account: int
    cash: int = 0
    cash_held: int = 0
    edges: int = 0
    status: int = AccountStatus.ACTIVE
    permissions: int = 0
    order_minor_max: int = 0
    """Largest worst price x quantity of an order; 0: the instrument's."""
    rate_interval_ns: int = 0
    """Between two orders in the long run; 0: no limit."""
    rate_burst_ns: int = 0
    """How far rate_until may be ahead of log time."""
    rate_until: int = 0
    """The token bucket as one time: when it will be full again (generic cell rate algorithm)."""
    last_update: int = 0
    """Highest request_id of an update that was applied."""
    sessions_until: int = 0
    """The token bucket of registrations, as rate_until."""
    positions: list[Position] = field(default_factory=list)
    open_orders: dict[int, Order] = field(default_factory=dict)

    @property
    def available(self) -> int:
        """Cash that is not held."""
        return self.cash - self.cash_held


@dataclass(frozen=True)
class Terms:
    """What a replace asks for."""

    order_qty: int
    price: int
    hold_per_lot: int
    stop_px: int
    display_qty: int
    offset: int
    expire_time: int
    time_in_force: int
    exec_inst: int


@dataclass(eq=False)
class ReplacedId:
    """A cl_ord_id that an order had before a replace, or (pending) will have if its book grants one. Without order: it was not granted."""

    account: int
    order_id: int
    digest: tuple[int, int]
    text: bytes
    """Empty once it is not pending."""
    is_pending: bool = True

    def row(self) -> tuple[Any, ...]:
        """Its canonical row."""
        return (self.account, self.order_id, *self.digest, self.is_pending, self.text)

    def clear(self) -> None:
        """It was not granted."""
        self.account, self.order_id, self.digest, self.text, self.is_pending = 0, 0, (0, 0), b"", False


NO_TERMS: Final = Terms(*[0] * 9)


@dataclass(eq=False)
class Order:
    """An accepted order, open (leaves_qty > 0) or done. Quantities in lots, prices in ticks."""

    order_id: int
    body: int
    account: Account
    instrument: int
    side: int
    ord_type: int
    time_in_force: int
    order_qty: int
    price: int
    hold_per_lot: int
    leaves_qty: int
    submitted_at: int
    cl_ord_id: bytes
    exec_inst: int
    contingency_type: int
    peg_price_type: int
    offset_type: int
    stop_px: int
    display_qty: int
    offset: int
    expire_time: int
    list_id: int = 0
    is_short: bool = False
    """A short sale: holds cash instead of shares."""
    hold_max: int = HOLD_ALL
    """Lots that it holds for at most: what its primary has bought so far, if it sells that."""
    is_active: bool = False
    """A stop that was elected: its price is its limit."""
    ord_status: int = OrdStatus.NEW
    cancel_pending: bool = False
    """A cancel is under way: the book has not answered it yet. May outlive the order's being open."""
    replace_pending: bool = False
    """The same of a replace. One that is under way together with a cancel was asked first."""
    terms: Terms = NO_TERMS
    """What the replace under way asks for."""
    next_id: ReplacedId | None = None
    """The cl_ord_id that it asks for."""
    cum_qty: int = 0
    cum_cost: int = 0
    oco: Order | None = None
    primary: Order | None = None
    secondaries: list[Order] = field(default_factory=list)

    def values(self) -> dict[str, int]:
        """The columns of an event row."""
        return {name: getattr(self, name) for name in EVENT_FIELDS}

    @property
    def open_status(self) -> OrdStatus:
        """ord_status of an open order."""
        if self.cancel_pending:
            return OrdStatus.PENDING_CANCEL
        if self.replace_pending:
            return OrdStatus.PENDING_REPLACE
        return OrdStatus.PARTIALLY_FILLED if self.cum_qty else OrdStatus.NEW


EVENT_FIELDS: Final = (
    "order_id", "instrument", "side", "ord_type", "time_in_force", "ord_status", "order_qty", "price", "leaves_qty", "cum_qty", "cum_cost",
    "submitted_at", "stop_px", "display_qty", "offset", "expire_time", "list_id", "exec_inst", "contingency_type", "peg_price_type", "offset_type",
)  # fmt: skip
_TERMS: Final = {
    "next_qty": "order_qty", "next_price": "price", "next_hold_per_lot": "hold_per_lot", "next_stop_px": "stop_px",
    "next_display_qty": "display_qty", "next_offset": "offset", "next_expire_time": "expire_time", "next_time_in_force": "time_in_force",
    "next_exec_inst": "exec_inst",
}  # fmt: skip
_LINKS: Final = ("oco_id", "primary_id")


def _order_row(order: Order) -> tuple[Any, ...]:
    made = {"account": order.account.account, **{name: getattr(order.terms, field) for name, field in _TERMS.items()}}
    made |= {"oco_id": order.oco.order_id if order.oco else 0, "primary_id": order.primary.order_id if order.primary else 0}
    return tuple(made[name] if name in made else getattr(order, name) for name in ORDER_STATE.names or ())


def _rows(dtype: np.dtype[np.void], objects: Any) -> Rows:
    return np.array([tuple(getattr(one, name) for name in dtype.names or ()) for one in objects], dtype)


def _canonical(machine: AccountShard) -> dict[str, Rows]:
    return {
        "accounts": _rows(ACCOUNT_STATE, machine.accounts.values()),
        "positions": _rows(POSITION_STATE, machine.positions.values()),
        "orders": np.array([_order_row(order) for _, order in sorted(machine.orders.items())], ORDER_STATE),
        "done": np.array([order.order_id for order in machine.done], np.uint64),
        "facts": np.array([(machine.last_px.get(n, 0), machine.price_test_end.get(n, 0)) for n in range(len(machine.instruments.rules))], FACT_STATE),
        "updates": np.array([(*key, body) for key, body in machine.updates.items()], UPDATE_STATE),
        "replaced_ids": np.array([one.row() for one in machine.replaced_ids], REPLACED_ID_STATE),
        "counters": np.array([machine.last_order_number, machine.done_before_today, machine.fees_minor], np.int64),
    }  # fmt: skip


def canonical_hash(machine: AccountShard) -> bytes:
    """The state hash, see state_hash.py."""
    return hash_arrays(_canonical(machine))


def snapshot(machine: AccountShard) -> dict[str, Rows]:
    """The canonical arrays and the counters that the hash leaves out."""
    head = head_array(machine.shard, machine.shards, machine.limits, machine.log_time, machine.last_seq)
    return _canonical(machine) | {"head": head, "instruments": np.frombuffer(machine.instruments.digest, np.uint8)}


def check_snapshot(shard: int, instruments: InstrumentTable, arrays: dict[str, Rows]) -> tuple[int, ShardLimits]:
    """(shards, limits) of a snapshot of this shard; raises StaleData."""
    return check_head(shard, instruments, arrays)


def restore_into(machine: AccountShard, arrays: dict[str, Rows]) -> None:
    """Fill a new machine."""
    machine.log_time, machine.last_seq = head_values(arrays)
    machine.last_order_number, machine.done_before_today, machine.fees_minor = arrays["counters"].tolist()
    for row in arrays["accounts"].tolist():
        machine.accounts[row[0]] = Account(*row)
    for row in arrays["positions"].tolist():
        machine.positions[row[0], row[1]] = kept = Position(*row)
        machine.accounts[kept.account].positions.append(kept)
    for number, (last_px, price_test_end) in enumerate(arrays["facts"].tolist()):
        machine.last_px[number], machine.price_test_end[number] = last_px, price_test_end
    rows = [dict(zip(ORDER_STATE.names or (), row, strict=True)) for row in arrays["orders"].tolist()]
    for row in rows:
        _restore_order(machine, row)
    for row in rows:
        order = machine.orders[row["order_id"]]
        order.oco = machine.orders.get(row["oco_id"])
        if row["primary_id"]:
            order.primary = machine.orders[row["primary_id"]]
            order.primary.secondaries.append(order)
    machine.updates = {(account, request_id): body for account, request_id, body in arrays["updates"].tolist()}
    for account, order_id, low, high, is_pending, text in arrays["replaced_ids"].tolist():
        one = ReplacedId(account, order_id, (low, high), text, bool(is_pending))
        machine.replaced_ids.append(one)
        if order_id:
            machine.by_replaced_id[account, one.digest] = one
        if one.is_pending:
            machine.orders[order_id].next_id = one
    machine.done = deque(machine.orders[order_id] for order_id in arrays["done"].tolist())


def _restore_order(machine: AccountShard, row: dict[str, Any]) -> None:
    plain = {name: value for name, value in row.items() if name not in _TERMS and name not in _LINKS}
    terms = Terms(**{field: row[name] for name, field in _TERMS.items()})
    flags = {name: bool(row[name]) for name in ("cancel_pending", "replace_pending", "is_short", "is_active")}
    order = Order(**plain | {"account": machine.accounts[row["account"]], "terms": terms} | flags)
    machine.orders[order.order_id] = machine.by_cl_ord_id[row["account"], cl_ord_id_digest(order.cl_ord_id)] = order
    if order.leaves_qty:
        machine.open_orders += 1
        order.account.open_orders[order.order_id] = order
