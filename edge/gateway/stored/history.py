"""What the edge reads from the system of record: done orders that it has forgotten, and alerts. The contract; MySQL stands behind it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from edge.gateway.accounts.view import Order
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from schemas.errors import ServiceUnavailable
from sinks.mysql.case_queries import QueueFilter, QueueRow, StoredAction, Window
from sinks.mysql.pool import MySql, Reader
from sinks.redis.prices import Newest

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class OrderFilter:
    """Which orders of an account; times exclusive. None is no bound; `instruments` empty is none of them."""

    limit: int
    after_ns: int | None = None
    until_ns: int | None = None
    ascending: bool = False
    instruments: frozenset[int] | None = None
    side: int | None = None
    status: str = "closed"
    """"open", "closed" or "all"."""
    below_order_id: int | None = None
    above_order_id: int | None = None

    def admits(self, order: Order) -> bool:
        """Whether the order is one of those (the limit aside)."""
        return not (
            (self.status != "all" and (self.status == "closed") != order.is_done)
            or (self.after_ns is not None and order.submitted_at <= self.after_ns)
            or (self.until_ns is not None and order.submitted_at >= self.until_ns)
            or (self.instruments is not None and order.instrument not in self.instruments)
            or (self.side is not None and order.side != self.side)
            or (self.below_order_id is not None and order.order_id >= self.below_order_id)
            or (self.above_order_id is not None and order.order_id <= self.above_order_id)
        )


@dataclass(frozen=True)
class AlertFilter:
    """Which alerts, newest first; None is no bound."""

    limit: int
    pattern: str | None = None
    instrument: int | None = None
    account: int | None = None


class CaseHistory(Protocol):
    """The functions of sinks.mysql.case_queries. Every method raises ServiceUnavailable while the store cannot be asked."""

    async def queue(self, wanted: QueueFilter) -> tuple[list[QueueRow], int]:
        """Alerts with their cases, and how many pass the filter in all."""

    async def queue_counts(self, wanted: QueueFilter) -> dict[str, dict[str, int]]:
        """By status, severity and pattern."""

    async def alert_volumes(self, since_ns: int) -> list[tuple[int, str, int, int]]:
        """(day, pattern, version of its rule, alerts)."""

    async def covered(self, window: Window) -> int:
        """How many alerts a suppression has kept out of the queue."""

    async def alerts_named(self, alert_ids: Sequence[str]) -> list[QueueRow]:
        """These alerts."""

    async def related_alerts(self, alert_id: str) -> list[QueueRow]:
        """Of the same account, or pattern and instrument."""

    async def actions_of_case(self, case_id: str) -> list[StoredAction]:
        """All records about a case or suppression."""


class History(CaseHistory, Protocol):
    """Every method raises ServiceUnavailable while the store cannot be asked."""

    async def orders(self, account: int, wanted: OrderFilter) -> list[Order]:
        """Orders by submission time, at most `limit`."""

    async def order(self, account: int, order_id: int) -> Order | None:
        """One order of the account."""

    async def order_by_cl_ord_id(self, account: int, cl_ord_id: str) -> Order | None:
        """The newest order of the account with this id."""

    async def alerts(self, wanted: AlertFilter) -> list[dict[str, Any]]:
        """Alerts as records of alert.avsc."""

    async def alert(self, alert_id: str) -> dict[str, Any] | None:
        """One alert."""


class Stores(Protocol):
    """The stores as a whole, for readiness and the end of the process."""

    async def ask(self, query: Callable[Concatenate[MySql, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """One query of sinks.mysql, within STORE_TIMEOUT_S. Raises ServiceUnavailable."""

    async def read(
        self, query: Callable[Concatenate[Reader, P], Awaitable[T]], account: int | None, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As ask, for a query that only reads: from a replica, if there are some, that has what `account` has been told of (None: whatever is public)."""

    async def newest_prices(self, symbols: Sequence[str]) -> Newest:
        """What the price cache has of each symbol; nothing while it is away."""

    async def ping(self) -> dict[str, bool]:
        """Whether each store answers within PING_TIMEOUT_S, by its name."""

    async def close(self) -> None:
        """Let go of all connections."""


async def recorded(asking: Awaitable[T], what: str) -> Accepted[T] | Unavailable:
    """The answer of a History to a question about `what`, which people are told cannot be read where the store is away."""
    try:
        return Accepted(await asking)
    except ServiceUnavailable:
        return Unavailable(Cause.STORE_AWAY, f"{what} cannot be read at the moment (MySQL is not reachable)")
