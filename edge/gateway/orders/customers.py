"""What customers keep with the exchange: watchlists, and the configuration of their account, of which the edge holds orders against two words.

`suspend_trade` refuses new orders and replaces, `no_shorting` orders that would sell more than the account has. The edge asks for the configuration
of an account once in CONFIGURATION_TTL_S, for however many orders come meanwhile. While the store is away, one that was known goes on holding; with one that was not, nothing is sent.
A producer that writes to the log by itself is not held to them: what the exchange itself refuses is an operator's word (`outcry accounts`).
"""

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from edge.gateway.accounts.view import AccountView
from edge.gateway.limits import CONFIGURATION_TTL_S, CONFIGURATIONS_MAX
from edge.gateway.orders.new_order import NewOrder
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from edge.gateway.stored.history import Stores, recorded
from schemas.enums import Side
from schemas.errors import ServiceUnavailable
from sinks.mysql import customer_records
from sinks.mysql.customer_records import Watchlist

WATCHLISTS_MAX: Final = 200
"""Of one account."""
DEFAULTS: Final[dict[str, Any]] = {"suspend_trade": False, "no_shorting": False, "trade_confirm_email": "all"}
"""What an account may configure, and what holds until it does."""


@dataclass(slots=True)
class _Known:
    values: dict[str, Any]
    read_at_s: float


class Customers:
    """Of every account."""

    def __init__(self, stores: Stores, clock_s: Callable[[], float]) -> None:
        self._stores, self._clock_s = stores, clock_s
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._asking: dict[int, asyncio.Task[Accepted[dict[str, Any]] | Unavailable]] = {}

    async def configuration(self, account: int) -> Accepted[dict[str, Any]] | Unavailable:
        """All of it, as it was CONFIGURATION_TTL_S ago at the latest, or before the store went away."""
        known = self._known.get(account)
        if known is not None and self._clock_s() - known.read_at_s < CONFIGURATION_TTL_S:
            return Accepted(known.values)
        asking = self._asking.get(account)
        if asking is None:
            asking = self._asking[account] = asyncio.create_task(self._read(account), name="read-configuration")
            asking.add_done_callback(lambda _: self._asking.pop(account, None))
        # shielded: every order that comes meanwhile waits for the same answer
        return await asyncio.shield(asking)

    async def _read(self, account: int) -> Accepted[dict[str, Any]] | Unavailable:
        before = self._known.get(account)
        try:
            stored = await self._stores.ask(customer_records.configuration, account)
        except ServiceUnavailable:
            known = self._known.get(account)
            if known is None:
                return Unavailable(Cause.STORE_AWAY, "the account's configuration cannot be read at the moment (MySQL is not reachable)")
            known.read_at_s = self._clock_s()  # not asked again with every order
            return Accepted(known.values)
        known = self._known.get(account)
        if known is not None and known is not before:
            return Accepted(known.values)  # it was configured here meanwhile
        return Accepted(self._remember(account, stored))

    async def configure(self, account: int, changes: dict[str, Any]) -> Accepted[dict[str, Any]] | Unavailable:
        """Change some of it; all of it then. Here it counts at once, at other edges within CONFIGURATION_TTL_S."""
        stored = await recorded(
            self._stores.ask(customer_records.change_configuration, account, changes, time.time_ns()), "the account's configuration"
        )
        return Accepted(self._remember(account, stored.value)) if isinstance(stored, Accepted) else stored

    def _remember(self, account: int, stored: dict[str, Any]) -> dict[str, Any]:
        values = DEFAULTS | {name: value for name, value in stored.items() if name in DEFAULTS}
        self._known[account] = _Known(values, self._clock_s())
        self._known.move_to_end(account)
        if len(self._known) > CONFIGURATIONS_MAX:
            self._known.popitem(last=False)
        return values

    async def watchlists(self, account: int) -> Accepted[list[Watchlist]] | Unavailable:
        """All of the account, the oldest first."""
        return await recorded(self._stores.ask(customer_records.watchlists, account), "watchlists")

    async def put_watchlist(self, account: int, one: Watchlist) -> Accepted[str] | Unavailable:
        """Store it; "" or why not, see customer_records.put_watchlist."""
        return await recorded(self._stores.ask(customer_records.put_watchlist, account, one, WATCHLISTS_MAX), "watchlists")

    async def drop_watchlist(self, account: int, watchlist_id: str) -> Accepted[bool] | Unavailable:
        """False if the account has none of this id."""
        return await recorded(self._stores.ask(customer_records.drop_watchlist, account, watchlist_id), "watchlists")


def new_watchlist(name: str, instruments: tuple[int, ...]) -> Watchlist:
    """One that is not stored yet."""
    now = time.time_ns()
    return Watchlist(str(uuid.uuid4()), name, now, now, instruments)


def changed_watchlist(one: Watchlist, **changes: Any) -> Watchlist:
    """The same with another name or other instruments."""
    return replace(one, updated_at=time.time_ns(), **changes)


def sells_short(order: NewOrder, view: AccountView) -> bool:
    """Whether an order sells more than the account has and has not promised to others."""
    position = view.positions.get(order.instrument.number)
    free = position.free if position is not None and position.qty > 0 else 0
    return order.side == Side.SELL and order.qty > free
