"""Questions to a store, each within its time."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog

from edge.gateway.limits import PING_TIMEOUT_S
from schemas.errors import ServiceUnavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")


async def within(timeout_s: float, who: str, asking: Awaitable[T]) -> T:
    """The answer; raises ServiceUnavailable if it takes longer.

    Who asks does not wait for the question to be withdrawn: where a server is silent, aiomysql's pool holds its lock while it connects, and
    a cancelled waiter of an asyncio.Condition comes back only once it has that lock.
    """
    task = asyncio.ensure_future(asking)
    try:
        done, _ = await asyncio.wait([task], timeout=timeout_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    task.cancel()
    _withdrawn.add(task)
    task.add_done_callback(_forget)
    raise ServiceUnavailable(f"{who} does not answer within {timeout_s:g} s")


_withdrawn: set["asyncio.Future[Any]"] = set()
"""Questions that nobody waits for any more; kept until they have ended."""


def _forget(task: "asyncio.Future[Any]") -> None:
    _withdrawn.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not complain of it


async def answers(asking: Awaitable[None]) -> bool:
    """Whether a store answers within PING_TIMEOUT_S."""
    try:
        await within(PING_TIMEOUT_S, "the store", asking)
    except ServiceUnavailable as error:
        log.debug("store_away", error=str(error))
        return False
    return True
