"""One account as the edge sees it: cash, positions and orders, built from the rows of edge.replies. No I/O.

Rules
* Every row carries absolute values *after* its event, so applying one twice changes nothing.
* A snapshot (POSITION_STATE and ORDER_STATE rows, then SESSION_REGISTERED) replaces everything; what it does not name is no longer so.
* Open orders are all here. Done ones are kept newest first up to a limit; older ones are in MySQL.
* An order that the account shard refused never existed: no order, no update (the answer to the request says why).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from edge.gateway.limits import DONE_ORDERS_PER_VIEW_MAX
from schemas.codec import FRAMES
from schemas.enums import AccountEventKind as Kind
from schemas.enums import AccountStatus, ContingencyType, OrdStatus, OrdType
from schemas.field_rules import LIST_ROWS_MAX
from schemas.reject_reasons import Reason


class ReplyRow(NamedTuple):
    """A row of account_event_frame as Python integers, in the order of its columns."""

    kind: int
    side: int
    ord_type: int
    time_in_force: int
    ord_status: int
    aggressor: int
    reason: int
    instrument: int
    account: int
    order_id: int
    request_id: int
    seq: int
    order_qty: int
    price: int
    leaves_qty: int
    cum_qty: int
    cum_cost: int
    last_px: int
    last_qty: int
    trd_match_id: int
    rpt_seq: int
    cash_delta: int
    shares_delta: int
    cash: int
    cash_held: int
    position: int
    position_held: int
    position_cost: int
    submitted_at: int
    transact_time: int
    fee: int = 0
    stop_px: int = 0
    display_qty: int = 0
    offset: int = 0
    expire_time: int = 0
    list_id: int = 0
    exec_inst: int = 0
    contingency_type: int = 0
    peg_price_type: int = 0
    offset_type: int = 0
    account_word: int = 0


assert ReplyRow._fields == FRAMES["account_event_frame"].dtype.names, "ReplyRow must name the frame's columns in their order"

DONE_STATUSES: Final = frozenset(map(int, (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED)))


@dataclass(slots=True)
class Order:
    """An order's state now: lots, ticks, ns; times are 0 until they happen; `reason` is a Reason."""

    order_id: int
    account: int
    cl_ord_id: str
    instrument: int
    side: int
    ord_type: int
    time_in_force: int
    order_qty: int
    price: int
    leaves_qty: int
    cum_qty: int
    cum_cost: int
    ord_status: int
    submitted_at: int
    updated_at: int
    reason: int = 0
    filled_at: int = 0
    canceled_at: int = 0
    expired_at: int = 0
    failed_at: int = 0
    replaced_at: int = 0
    stop_px: int = 0
    display_qty: int = 0
    offset: int = 0
    offset_type: int = 0
    expire_time: int = 0
    exec_inst: int = 0
    peg_price_type: int = 0
    contingency_type: int = 0
    list_id: int = 0
    """order_id of the list's first order."""
    is_held: bool = False
    """It waits for the first order of its list."""
    is_elected: bool = False
    """A trailing stop that has its limit price now. Not known of one that was elected before this process saw it."""
    replace_pending: bool = False
    """A replace waits for its book."""

    @property
    def waits_for_first(self) -> bool:
        """Whether it is one of a list that waits until the first order is done."""
        return self.order_id != self.list_id and self.contingency_type in (ContingencyType.OTO, ContingencyType.BRACKET)

    @property
    def is_done(self) -> bool:
        """No further event can change it."""
        return self.ord_status in DONE_STATUSES


@dataclass(frozen=True, slots=True)
class Position:
    """Lots held, lots of it held for sell orders, and what it cost in minor units."""

    qty: int
    held: int
    cost: int

    @property
    def free(self) -> int:
        """Lots that an order can close: of a short position all, for nothing is held for buys."""
        return max(0, self.qty - self.held) if self.qty > 0 else -self.qty


class OrderEvent(Enum):
    """What happened to an order, as its customer is told."""

    NEW = auto()
    """Taken; or, of an order of a list, no longer held."""
    HELD = auto()
    """Taken; it waits for the first order of its list."""
    PARTIAL_FILL = auto()
    FILL = auto()
    CANCELED = auto()
    EXPIRED = auto()
    REJECTED = auto()
    """By its book, after its account shard had taken it."""
    PENDING_CANCEL = auto()
    CANCEL_REJECTED = auto()
    PENDING_REPLACE = auto()
    REPLACED = auto()
    REPLACE_REJECTED = auto()
    RESTATED = auto()
    """Changed by the exchange, which nobody asked for."""
    TRIGGERED = auto()
    TRADE_BUSTED = auto()


class OrderUpdate(NamedTuple):
    """One event of an account's order; `order` is the state after it."""

    event: OrderEvent
    order: Order
    row: ReplyRow


# what an order takes over from each row about it
_COPIED: Final = (
    "leaves_qty", "cum_qty", "cum_cost", "order_qty", "price", "ord_type", "time_in_force", "stop_px", "display_qty", "offset", "offset_type",
    "expire_time", "exec_inst", "peg_price_type", "contingency_type", "list_id", "ord_status",
)  # fmt: skip


def order_of_row(row: ReplyRow, cl_ord_id: str) -> Order:
    """The order that a row speaks of, as far as the row tells."""
    order = Order(
        row.order_id, row.account, cl_ord_id, row.instrument, row.side, row.ord_type, row.time_in_force, row.order_qty, row.price,
        row.leaves_qty, row.cum_qty, row.cum_cost, row.ord_status, row.submitted_at or row.transact_time, row.transact_time, row.reason,
        replace_pending=row.ord_status == OrdStatus.PENDING_REPLACE,
    )  # fmt: skip
    for name in _COPIED:
        setattr(order, name, getattr(row, name))
    _stamp(order, row.transact_time)
    return order


# which time of the order its last status sets
_STAMPS: Final = {
    int(OrdStatus.FILLED): "filled_at",
    int(OrdStatus.CANCELED): "canceled_at",
    int(OrdStatus.EXPIRED): "expired_at",
    int(OrdStatus.REJECTED): "failed_at",
}


def _stamp(order: Order, time_ns: int) -> None:
    name = _STAMPS.get(order.ord_status)
    if name and not getattr(order, name):
        setattr(order, name, time_ns)


def ends_replace(row: ReplyRow) -> bool:
    """Whether a row about an order with a replace under way is the book's word on that replace (a trade or another one's end is not)."""
    if row.kind == Kind.CANCEL_REJECTED:
        # the account shard's own refusals, which another edge was given, leave the replace as it is
        of_the_shard = row.request_id or row.reason in (Reason.CANCEL_ALREADY_PENDING, Reason.REPLACE_ALREADY_PENDING)
        return not of_the_shard and row.ord_status != OrdStatus.PENDING_REPLACE
    return row.kind == Kind.REPLACED or (row.kind == Kind.CANCELED and row.reason == Reason.REPLACED_TO_NOTHING)


# kinds that are not here are no events of an order
_EVENTS: Final[dict[int, Callable[[Order], OrderEvent]]] = {
    int(Kind.ACCEPTED): lambda order: OrderEvent.HELD if order.is_held else OrderEvent.NEW,
    int(Kind.CANCEL_PENDING): lambda order: OrderEvent.PENDING_CANCEL,
    int(Kind.CANCEL_REJECTED): lambda order: OrderEvent.CANCEL_REJECTED,
    int(Kind.TRADE): lambda order: OrderEvent.PARTIAL_FILL if order.leaves_qty else OrderEvent.FILL,
    int(Kind.CANCELED): lambda order: OrderEvent.CANCELED,
    int(Kind.EXPIRED): lambda order: OrderEvent.EXPIRED,
    int(Kind.BOOK_REJECTED): lambda order: OrderEvent.REJECTED,
    int(Kind.REPLACE_PENDING): lambda order: OrderEvent.PENDING_REPLACE,
    int(Kind.REPLACED): lambda order: OrderEvent.REPLACED,
    int(Kind.RESTATED): lambda order: OrderEvent.RESTATED,
    int(Kind.TRIGGERED): lambda order: OrderEvent.TRIGGERED,
}

# rows that speak of the account's money but of no order that exists
_NO_ORDER: Final = frozenset(map(int, (Kind.REJECTED, Kind.ACCOUNT_UPDATED, Kind.ACCOUNT_UPDATE_REJECTED)))


@dataclass(slots=True, weakref_slot=True)
class AccountView:
    """The account's state; feed it rows in the order of the log."""

    account: int
    cash: int = 0
    cash_held: int = 0
    status: int = AccountStatus.ACTIVE
    """As far as this process was told: a registration does not say it."""
    seq: int = 0
    """Of the newest event of its shard that it has; of an event of another account, if the shard said so when it was registered."""
    positions: dict[int, Position] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    done_orders: OrderedDict[int, Order] = field(default_factory=OrderedDict)
    _ids: dict[str, int] = field(default_factory=dict)
    _arriving_positions: dict[int, Position] = field(default_factory=dict)
    _arriving_orders: list[tuple[ReplyRow, str]] = field(default_factory=list)

    def apply(self, row: ReplyRow, cl_ord_id: str) -> OrderUpdate | None:
        """Take one row; returns what the account must be told, if anything."""
        kind = row.kind
        self.seq = max(self.seq, row.seq)
        if kind == Kind.POSITION_STATE:
            self._arriving_positions[row.instrument] = Position(row.position, row.position_held, row.position_cost)
            return None
        if kind == Kind.ORDER_STATE:
            self._arriving_orders.append((row, cl_ord_id))
            return None
        if kind == Kind.SESSION_REGISTERED:
            self._replace(row)
            self.status = row.account_word
            return None
        if kind == Kind.SESSION_REJECTED:
            return None
        self._post(row)
        if kind == Kind.ACCOUNT_STATUS_CHANGED:
            self.status = row.account_word
            return None
        if kind == Kind.TRADE_BUSTED:  # the row names the order and says nothing of its state, which stays
            busted = self.find(row.order_id)
            return OrderUpdate(OrderEvent.TRADE_BUSTED, busted, row) if busted else None
        if kind in _NO_ORDER or not row.order_id or not row.submitted_at:
            return None  # a refused cancel may name an order that does not exist or is not this account's; then it has no submission
        if kind == Kind.DUPLICATE and row.ord_status in DONE_STATUSES and self.find(row.order_id) is None:
            return None  # an old order that was forgotten here: MySQL tells its times better than this row
        known = self.find(row.order_id)
        was_held, was_replacing = known is not None and known.is_held, known is not None and known.replace_pending
        order = self._upsert(row, cl_ord_id)
        if kind == Kind.CANCEL_REJECTED and row.request_id:
            return None  # who asked has it as the answer; only a cancel that was granted and then refused by the book is news
        if kind == Kind.CANCEL_REJECTED and was_replacing and ends_replace(row):
            return OrderUpdate(OrderEvent.REPLACE_REJECTED, order, row)
        if kind == Kind.TRIGGERED and was_held:
            return OrderUpdate(OrderEvent.NEW, order, row)
        event = _EVENTS.get(kind)
        return OrderUpdate(event(order), order, row) if event else None

    def list_of(self, order: Order) -> list[Order]:
        """The other orders of the list that this one begins, in their order; empty for any other order."""
        if not order.list_id or order.list_id != order.order_id:
            return []
        # the orders of a list are numbered one after the other
        found = (self.find(order.order_id + place) for place in range(1, LIST_ROWS_MAX))
        return [one for one in found if one is not None and one.list_id == order.list_id]

    def find(self, order_id: int) -> Order | None:
        """By order_id; None if it is not in memory."""
        return self.open_orders.get(order_id) or self.done_orders.get(order_id)

    def find_by_cl_ord_id(self, cl_ord_id: str) -> Order | None:
        """By the client's id; None if it is not in memory."""
        order_id = self._ids.get(cl_ord_id)
        return None if order_id is None else self.find(order_id)

    def orders(self) -> Iterator[Order]:
        """Every order in memory, in no particular order."""
        yield from self.open_orders.values()
        yield from self.done_orders.values()

    def _is_held(self, order: Order) -> bool:
        """Whether it waits for an order that is still open."""
        return order.waits_for_first and order.list_id in self.open_orders

    def _post(self, row: ReplyRow) -> None:
        """Money and shares after the event."""
        self.cash, self.cash_held = row.cash, row.cash_held
        if not row.instrument:
            return
        if row.position or row.position_held:
            self.positions[row.instrument] = Position(row.position, row.position_held, row.position_cost)
        else:
            self.positions.pop(row.instrument, None)

    def _upsert(self, row: ReplyRow, cl_ord_id: str) -> Order:
        order = self.find(row.order_id)
        if order is None:
            order = order_of_row(row, cl_ord_id)
            order.is_held = self._is_held(order)
            self._file(order)
            return order
        self._follow(order, row)
        if cl_ord_id and cl_ord_id != order.cl_ord_id:  # the replace gave it another; it is read by that one from now on
            if self._ids.get(order.cl_ord_id) == order.order_id:
                del self._ids[order.cl_ord_id]
            order.cl_ord_id = cl_ord_id
        if row.kind != Kind.DUPLICATE:
            order.updated_at, order.reason = row.transact_time, 0 if row.kind == Kind.CANCEL_REJECTED else row.reason
        _stamp(order, row.transact_time)
        self._file(order)
        return order

    def _follow(self, order: Order, row: ReplyRow) -> None:
        """Take over the row's columns, and what kind of row it is."""
        if row.kind == Kind.TRIGGERED and row.ord_type == OrdType.TRAILING_STOP_LIMIT and row.price != order.price:
            order.is_elected = True
        for name in _COPIED:
            setattr(order, name, getattr(row, name))
        if row.kind == Kind.REPLACED:
            order.replaced_at = row.transact_time
        if row.kind == Kind.TRIGGERED or order.is_done:
            order.is_held = False
        if row.kind == Kind.REPLACE_PENDING:
            order.replace_pending = True
        elif ends_replace(row):
            order.replace_pending = False

    def _file(self, order: Order) -> None:
        """Put the order where its status says; forget the oldest done one beyond the limit."""
        self._ids[order.cl_ord_id] = order.order_id
        if not order.is_done:
            self.open_orders[order.order_id] = order
            return
        self.open_orders.pop(order.order_id, None)
        self.done_orders[order.order_id] = order
        if len(self.done_orders) > DONE_ORDERS_PER_VIEW_MAX:
            _, oldest = self.done_orders.popitem(last=False)
            if self._ids.get(oldest.cl_ord_id) == oldest.order_id:
                del self._ids[oldest.cl_ord_id]

    def _replace(self, row: ReplyRow) -> None:
        """The snapshot is whole: it is the account now."""
        self.cash, self.cash_held = row.cash, row.cash_held
        self.positions, self._arriving_positions = self._arriving_positions, {}
        arriving, self._arriving_orders = self._arriving_orders, []
        self.open_orders = {}
        self._ids = {order.cl_ord_id: order.order_id for order in self.done_orders.values()}
        for state, cl_ord_id in arriving:
            order = order_of_row(state, cl_ord_id)
            order.updated_at = order.submitted_at  # the row's own time is that of the registration; an open order's last change is not kept
            self._file(order)
        for order in self.open_orders.values():
            order.is_held = self._is_held(order)
