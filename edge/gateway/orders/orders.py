"""Orders as customers place, replace, cancel and read them, for every protocol.

A command is answered when its account shard has decided, which is after the log has it.

A new order that the book does not take in its phase (the market is closed or halted, no auction is near) is answered later. By what
the edge has heard, the book is about to refuse it: `place` waits for that and refuses it with the book's reason. If the book's word does
not come (PHASE_REFUSAL_S), the phase has changed, and the order is placed with `awaits_book`.

A replace is answered when the book has decided. If that takes longer than a decision may, the order is still in PENDING_REPLACE.

Open orders are read from memory, older ones from the system of record.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from edge.gateway.accounts.accounts import Accounts
from edge.gateway.accounts.pending_requests import Answer
from edge.gateway.accounts.view import AccountView, Order, OrderUpdate, order_of_row
from edge.gateway.limits import PHASE_REFUSAL_S
from edge.gateway.market.view import MarketView
from edge.gateway.metrics import Metrics
from edge.gateway.orders.customers import Customers, sells_short
from edge.gateway.orders.new_order import NewOrder
from edge.gateway.outcomes import Accepted, AlreadyDone, Outcome, OutcomeUnknown, Refused, ShortOfCash, ShortOfShares, Unavailable
from edge.gateway.stored.history import History, OrderFilter, recorded
from edge.gateway.stored.sink_lag import SinkLag
from schemas.enums import AccountEventKind, CommandKind, OrdStatus
from schemas.errors import ServiceUnavailable
from schemas.reject_reasons import Reason

T = TypeVar("T")

_TAKEN: Final = (AccountEventKind.ACCEPTED, AccountEventKind.DUPLICATE)
_OF_THE_PHASE: Final = (Reason.MARKET_CLOSED, Reason.NOT_IN_THIS_PHASE)
"""For these a new order is refused although the account shard has taken it; sent again, it is refused again."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was taken, and the other orders of its list."""

    order: Order
    legs: tuple[Order, ...]
    awaits_book: bool
    """The book was expected to refuse the order and has said nothing yet."""


class Canceled(NamedTuple):
    """One of many orders that were to be canceled, as it was before, and what became of that."""

    order: Order
    outcome: Outcome[None]


class _UntilDone:
    """A listener that waits for orders to be done."""

    def __init__(self, left: set[int]) -> None:
        self._left = left
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def leave(self, order_ids: Iterable[int]) -> None:
        """These are done."""
        self._left.difference_update(order_ids)
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def tell_nowait(self, update: OrderUpdate) -> None:
        """One of them, or another."""
        if update.order.is_done:
            self.leave([update.order.order_id])

    def restart_nowait(self) -> None:
        """Nobody will tell any more."""
        self.leave(tuple(self._left))


class Orders:
    """Every order of every account of one edge."""

    def __init__(
        self, accounts: Accounts, customers: Customers, market: MarketView, history: History, metrics: Metrics, decision_timeout_ms: int
    ) -> None:
        """decision_timeout_ms: how long `replace` waits for the book."""
        self._accounts, self._customers, self._market, self._history, self._metrics = accounts, customers, market, history, metrics
        self._book_wait_s = decision_timeout_ms / 1000
        self.sink_lag: SinkLag | None = None
        """None until Kafka has been reached."""

    async def place(self, account: int, order: NewOrder) -> Outcome[Placed]:
        """Place an order, or the orders of a list. The same cl_ord_id again returns the first order as it is now."""
        behind = self.sink_lag.refusal() if self.sink_lag is not None else None
        if behind is not None:
            return behind
        orders = (order, *order.legs)
        seen = await self._accounts.view(account)
        if not isinstance(seen, Accepted):
            return seen
        view = seen.value
        against = await self._own_refusal(account, order, view)
        if against is not None:
            return against
        started = time.perf_counter()
        answers = await self._accounts.decide_list(account, [one.columns() for one in orders])
        if not isinstance(answers, list):
            return self._noted(answers)
        self._metrics.decision.observe(time.perf_counter() - started)
        if answers[0].row.kind not in _TAKEN:
            return _list_refused(answers, orders)
        placed, *legs = [view.find(answer.row.order_id) or await self._recall(answer) for answer in answers]
        awaits_book = False
        if answers[0].row.kind == AccountEventKind.ACCEPTED and not placed.is_done and self._is_doubtful(order):
            await self._accounts.refusal_of_book(placed.order_id, PHASE_REFUSAL_S)
            now = await self._accounts.view(account)
            if isinstance(now, Accepted):  # otherwise the order was taken all the same
                placed = now.value.find(placed.order_id) or placed
            awaits_book = placed.ord_status == OrdStatus.NEW
        if placed.ord_status == OrdStatus.REJECTED and placed.reason in _OF_THE_PHASE:
            return Refused(Reason(placed.reason))
        return Accepted(Placed(placed, tuple(legs), awaits_book))

    async def replace(self, account: int, order: Order, changes: Mapping[str, int | bytes]) -> Outcome[Order]:
        """Replace columns of an order (a REPLACE's, by name); the order as it is then."""
        if order.is_done:
            return too_late(order)
        against = await self._own_refusal(account)
        if against is not None:
            return against
        answers = await self._accounts.replace(account, self._book_wait_s, order_id=order.order_id, **changes)
        if not isinstance(answers, tuple):
            return self._noted(answers)
        answer, decided = answers
        refused = decided if answer.row.kind == AccountEventKind.REPLACE_PENDING else answer.row
        if refused is not None and refused.kind == AccountEventKind.CANCEL_REJECTED:
            reason = Reason(refused.reason)
            return too_late(order) if reason == Reason.TOO_LATE_TO_CANCEL else Refused(reason)
        now = await self._accounts.view(account)
        if not isinstance(now, Accepted):  # something was sent, so it is not just unavailable
            return OutcomeUnknown(CommandKind.REPLACE)
        return Accepted(now.value.find(order.order_id) or order)

    async def cancel(self, account: int, order_id: int) -> Outcome[None]:
        """Ask to cancel one order: accepted once its shard has passed the wish on. The account's updates tell what became of it."""
        seen = await self._accounts.view(account)
        return await self._cancel(seen.value, order_id) if isinstance(seen, Accepted) else seen

    async def cancel_all(self, account: int) -> Accepted[list[Canceled]] | Refused | Unavailable:
        """Ask to cancel every open order, each with its own outcome, by order_id."""
        seen = await self._accounts.view(account)
        if not isinstance(seen, Accepted):
            return seen
        view = seen.value
        orders = sorted(view.open_orders.values(), key=lambda order: order.order_id)
        outcomes = await asyncio.gather(*(self._cancel(view, order.order_id) for order in orders))
        return Accepted([Canceled(*pair) for pair in zip(orders, outcomes, strict=True)])

    async def until_done(self, account: int, order_ids: list[int]) -> None:
        """Until these orders are done, or a decision's time has passed."""
        listener = _UntilDone(set(order_ids))
        self._accounts.listen(account, listener)
        try:
            seen = await self._accounts.view(account)
            if isinstance(seen, Accepted):
                listener.leave(order_id for order_id in order_ids if order_id not in seen.value.open_orders)
                await asyncio.wait([listener.done], timeout=self._book_wait_s)
        finally:
            self._accounts.stop_listening(account, listener)

    async def find(self, view: AccountView, order_id: int) -> Accepted[Order | None] | Unavailable:
        """The account's order of this id; None if it has none."""
        known = view.find(order_id)
        return Accepted(known) if known is not None else await _read(self._history.order(view.account, order_id))

    async def find_by_cl_ord_id(self, view: AccountView, cl_ord_id: str) -> Accepted[Order | None] | Unavailable:
        """The account's newest order of the client's own id; None if it has none."""
        known = view.find_by_cl_ord_id(cl_ord_id)
        return Accepted(known) if known is not None else await _read(self._history.order_by_cl_ord_id(view.account, cl_ord_id))

    async def page(self, view: AccountView, wanted: OrderFilter) -> Accepted[list[Order]] | Unavailable:
        """The account's orders by submission, `wanted.limit` at most."""
        found = {order.order_id: order for order in view.orders() if wanted.admits(order)}
        if wanted.status != "open" and (
            len(found) < wanted.limit or wanted.ascending or wanted.until_ns is not None or wanted.below_order_id is not None
        ):
            # asked only where memory may not hold the whole page; what memory knows is newer
            older = await _read(self._history.orders(view.account, wanted))
            if not isinstance(older, Accepted):
                return older
            found |= {order.order_id: order for order in older.value if view.find(order.order_id) is None}
        listed = sorted(found.values(), key=lambda order: (order.submitted_at, order.order_id), reverse=not wanted.ascending)
        return Accepted(listed[: wanted.limit])

    async def _own_refusal(
        self, account: int, order: NewOrder | None = None, view: AccountView | None = None
    ) -> Refused | Unavailable | None:
        """What the customer has forbidden to himself."""
        configured = await self._customers.configuration(account)
        if not isinstance(configured, Accepted):
            return configured
        if configured.value["suspend_trade"]:
            return Refused(Reason.ACCOUNT_SUSPENDED)
        if configured.value["no_shorting"] and order is not None and view is not None and sells_short(order, view):
            return Refused(Reason.SHORT_SALE_NOT_ALLOWED)
        return None

    async def _cancel(self, view: AccountView, order_id: int) -> Outcome[None]:
        answer = await self._accounts.decide(CommandKind.CANCEL, view.account, order_id=order_id)
        if not isinstance(answer, Answer):
            return self._noted(answer)
        if answer.row.kind == AccountEventKind.CANCEL_PENDING:
            return Accepted(None)
        if answer.row.reason == Reason.TOO_LATE_TO_CANCEL:
            known = view.find(order_id)
            return _in_status(known.ord_status if known else answer.row.ord_status)
        return Refused(Reason(answer.row.reason))

    def _is_doubtful(self, order: NewOrder) -> bool:
        return self._market.refuses_new(order.instrument.symbol, order.ord_type, order.time_in_force)

    async def _recall(self, answer: Answer) -> Order:
        """A duplicate of an order that is done and forgotten here: MySQL knows its times, the answer the rest."""
        try:
            found = await self._history.order(answer.row.account, answer.row.order_id)
        except ServiceUnavailable:
            found = None
        return found or order_of_row(answer.row, answer.cl_ord_id)

    def _noted(self, outcome: Unavailable | OutcomeUnknown) -> Unavailable | OutcomeUnknown:
        """The same, counted if it is a decision that did not come."""
        if isinstance(outcome, OutcomeUnknown):
            self._metrics.timeouts.inc()
        return outcome


def too_late(order: Order) -> Refused:
    """The refusal of any change of an order that is done."""
    return _in_status(order.ord_status)


def _in_status(ord_status: int) -> Refused:
    return Refused(Reason.TOO_LATE_TO_CANCEL, AlreadyDone(OrdStatus(ord_status)))


def _list_refused(answers: list[Answer], orders: tuple[NewOrder, ...]) -> Refused:
    """The refusal of the order for which the whole list was refused, with the amounts where money or shares were missing."""
    at = next((at for at, answer in enumerate(answers) if answer.row.reason != Reason.LIST_REJECTED), 0)
    row, order = answers[at].row, orders[at]
    reason = Reason(row.reason)
    if reason == Reason.INSUFFICIENT_BUYING_POWER:
        return Refused(reason, ShortOfCash(row.cash - row.cash_held), at)
    if reason == Reason.INSUFFICIENT_SHARES:
        return Refused(reason, ShortOfShares(order.instrument, order.qty, row.position - row.position_held), at)
    return Refused(reason, where=at)


async def _read(asking: Awaitable[T]) -> Accepted[T] | Unavailable:
    return await recorded(asking, "older orders")
