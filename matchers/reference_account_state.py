"""What the reference account shard keeps: accounts, positions, orders; their canonical form, snapshot and restore."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from matchers.shard_limits import ShardLimits
from matchers.snapshot_head import check_head, head_array, head_values
from matchers.state_hash import ACCOUNT_STATE, ORDER_STATE, POSITION_STATE, hash_arrays
from schemas.codec import Rows
from schemas.enums import OrdStatus
from schemas.ids import cl_ord_id_digest
from schemas.instruments import InstrumentTable

if TYPE_CHECKING:
    from matchers.reference_account_shard import AccountShard


@dataclass
class Position:
    """Shares of one account in one instrument, lots; cost in minor units."""

    account: int
    instrument: int
    position: int = 0
    position_held: int = 0
    position_cost: int = 0

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
    positions: list[Position] = field(default_factory=list)
    open_orders: dict[int, Order] = field(default_factory=dict)


@dataclass
class Order:
    """An accepted order, open (leaves_qty > 0) or done. Quantities in lots, price in ticks."""

    order_id: int
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
    ord_status: int = OrdStatus.NEW
    cancel_pending: bool = False
    """A cancel is under way: the book has not answered it yet. May outlive the order's being open."""
    cum_qty: int = 0
    cum_cost: int = 0

    def values(self) -> dict[str, int]:
        """The columns of an event row."""
        return {
            "order_id": self.order_id, "instrument": self.instrument, "side": self.side, "ord_type": self.ord_type,
            "time_in_force": self.time_in_force, "ord_status": self.ord_status, "order_qty": self.order_qty, "price": self.price,
            "leaves_qty": self.leaves_qty, "cum_qty": self.cum_qty, "cum_cost": self.cum_cost, "submitted_at": self.submitted_at,
        }  # fmt: skip


def _canonical(machine: AccountShard) -> dict[str, Rows]:
    accounts = [(a.account, a.cash, a.cash_held, a.edges) for a in machine.accounts.values()]
    positions = [(p.account, p.instrument, p.position, p.position_held, p.position_cost) for p in machine.positions.values()]
    orders = [
        (
            o.order_id, o.account.account, o.instrument, o.side, o.ord_type, o.time_in_force, o.ord_status, o.cancel_pending, o.price, o.hold_per_lot,
            o.order_qty, o.leaves_qty, o.cum_qty, o.cum_cost, o.submitted_at, o.cl_ord_id,
        )
        for _, o in sorted(machine.orders.items())
    ]  # fmt: skip
    return {
        "accounts": np.array(accounts, ACCOUNT_STATE),
        "positions": np.array(positions, POSITION_STATE),
        "orders": np.array(orders, ORDER_STATE),
        "done": np.array([order.order_id for order in machine.done], np.uint64),
        "counters": np.array([machine.last_order_number], np.uint64),
    }


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
    machine.last_order_number = int(arrays["counters"][0])
    for account in arrays["accounts"].tolist():
        machine.accounts[account[0]] = Account(*account)
    for position in arrays["positions"].tolist():
        machine.positions[position[0], position[1]] = kept = Position(*position)
        machine.accounts[kept.account].positions.append(kept)
    for row in arrays["orders"].tolist():
        (
            order_id,
            account,
            instrument,
            side,
            ord_type,
            time_in_force,
            status,
            pending,
            price,
            hold,
            qty,
            leaves,
            cum_qty,
            cum_cost,
            submitted,
            text,
        ) = row
        order = Order(
            order_id, machine.accounts[account], instrument, side, ord_type, time_in_force, qty, price, hold, leaves, submitted, text,
            status, bool(pending), cum_qty, cum_cost,
        )  # fmt: skip
        machine.orders[order_id] = machine.by_cl_ord_id[account, cl_ord_id_digest(text)] = order
        if leaves:
            machine.open_orders += 1
            order.account.open_orders[order_id] = order
    machine.done = deque(machine.orders[order_id] for order_id in arrays["done"].tolist())
