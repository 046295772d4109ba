"""Orders that are canceled when their sender is gone: cancel on disconnect, and the dead man's switch. Both are opt-in.

They live in this process: if it dies, nothing is canceled by it (docs/native-api.md says so to customers).
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from edge.gateway.access.sessions import Session
from edge.gateway.accounts.view import Order
from edge.gateway.gateway import Gateway
from edge.gateway.outcomes import Accepted
from edge.native.orders.operations import cancel_each
from edge.native.orders.owners import Owners

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Left:
    """A connection that was lost, whose orders wait for another one of its key."""

    numbers: frozenset[int]
    """Its own, and those that it had taken over."""
    account: int
    grace_ms: int
    timer: asyncio.TimerHandle = field(repr=False)


@dataclass(slots=True)
class _Switch:
    """A dead man's switch. `end`: what is called when its key is changed or withdrawn: a key that is no more cancels nothing."""

    session: Session
    timer: asyncio.TimerHandle = field(repr=False)
    end: Callable[[], None]


class Guards:
    """Of one edge."""

    def __init__(self, gateway: Gateway, owners: Owners) -> None:
        self._gateway, self._owners = gateway, owners
        self._left: dict[str, list[_Left]] = {}
        self._switches: dict[str, _Switch] = {}
        """By API key."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.fired = 0

    def lost(self, key_id: str, account: int, numbers: Iterable[int], grace_ms: int) -> None:
        """A connection that had asked for it was lost."""
        if self._is_closed:
            return
        mine = frozenset(numbers)
        timer = asyncio.get_running_loop().call_later(grace_ms / 1_000, self._give_up, key_id, mine)
        self._left.setdefault(key_id, []).append(_Left(mine, account, grace_ms, timer))

    def take_over(self, key_id: str) -> list[_Left]:
        """A new connection of the key has the orders of these lost ones from now on."""
        left = self._left.pop(key_id, [])
        for one in left:
            one.timer.cancel()
        return left

    def cancel_after(self, session: Session, timeout_ms: int) -> None:
        """Cancel every open order of the account unless this is called again within the time; 0: not any more. It ends with its key."""
        self._disarm(session.key_id)
        if timeout_ms:
            timer = asyncio.get_running_loop().call_later(timeout_ms / 1_000, self._fire, session)
            armed = self._switches[session.key_id] = _Switch(session, timer, partial(self._disarm, session.key_id))
            self._gateway.sessions.hold(session, armed.end)

    def _disarm(self, key_id: str) -> None:
        armed = self._switches.pop(key_id, None)
        if armed is not None:
            armed.timer.cancel()
            self._gateway.sessions.release(armed.session, armed.end)

    def close(self) -> None:
        """The process ends; what it would have canceled stays."""
        self._is_closed = True
        for timer in (*(one.timer for one in self._switches.values()), *(one.timer for left in self._left.values() for one in left)):
            timer.cancel()

    def _give_up(self, key_id: str, numbers: frozenset[int]) -> None:
        (mine,) = [one for one in self._left[key_id] if one.numbers == numbers]
        self._left[key_id].remove(mine)
        if not self._left[key_id]:
            del self._left[key_id]
        self._cancel(mine.account, lambda orders: self._owners.of_connections(orders, numbers))

    def _fire(self, session: Session) -> None:
        self._disarm(session.key_id)
        self._cancel(session.account, list)

    def _cancel(self, account: int, chosen: Callable[[Any], list[Order]]) -> None:
        self.fired += 1
        task = asyncio.create_task(self._cancel_now(account, chosen), name="guard")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel_now(self, account: int, chosen: Callable[[Any], list[Order]]) -> None:
        seen = await self._gateway.accounts.view(account)
        if not isinstance(seen, Accepted):
            log.warning("guard_could_not_cancel", account=account, outcome=repr(seen))
            return
        told = await cancel_each(self._gateway, account, chosen(seen.value.open_orders.values()))
        log.info("guard_canceled", account=account, orders=len(told), failed=sum(not one["ok"] for one in told))
