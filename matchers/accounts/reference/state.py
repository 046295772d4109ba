"""What the reference account shard keeps: accounts, positions, orders, and the rows of the call. Every rule works on an AccountState."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from matchers.rules.account_rules import HOLD_ALL
from matchers.rules.limits import ShardLimits
from schemas.enums import AccountStatus, OrdStatus

Values = dict[str, Any]


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


@dataclass
class AccountState:
    """All of a shard, and what the call at hand has said so far."""

    shard: int
    shards: int
    """0: not checked."""
    rules: dict[int, Values]
    """Of the instruments that are known, by number."""
    limits: ShardLimits
    last_px: list[int]
    """By instrument number, of the last trade of this shard's accounts; 0: none yet."""
    price_test_end: list[int]
    """First UTC day without the short sale price test, by instrument number."""
    log_time: int = 0
    last_seq: int = 0
    last_order_number: int = 0
    open_orders: int = 0
    fees_minor: int = 0
    accounts: dict[int, Account] = field(default_factory=dict)
    positions: dict[tuple[int, int], Position] = field(default_factory=dict)
    """By account and instrument."""
    orders: dict[int, Order] = field(default_factory=dict)
    by_cl_ord_id: dict[tuple[int, tuple[int, int]], Order] = field(default_factory=dict)
    done: deque[Order] = field(default_factory=deque)
    done_before_today: int = 0
    """The first so many of `done` were done before the day of log time."""
    updates: dict[tuple[int, int], int] = field(default_factory=dict)
    """Digest by account and request_id, in the order of their coming."""
    replaced_ids: deque[ReplacedId] = field(default_factory=deque)
    by_replaced_id: dict[tuple[int, tuple[int, int]], ReplacedId] = field(default_factory=dict)

    # -- the call at hand
    asking: int = 0
    """The bit of the edge that asks, 0: nobody."""
    first_seq: int = 1
    events: list[tuple[Values, bytes, bytes]] = field(default_factory=list)
    """Row, cl_ord_id, orig_cl_ord_id."""
    replies: list[tuple[Values, bytes, bytes, int]] = field(default_factory=list)
    """The same, and the mask of the edges that get it."""
    book_commands: list[Values] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Reports that cannot be true: their row, and why."""
