"""Kill what runs and wait until it serves again: a signal to a child of the set, and the conditions under which it is back.

`kill_each` is what `outcry demo --chaos` does. tests/chaos uses the same functions for more.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.errors import ServiceUnavailable
from streams.services.local_set import LocalSet
from streams.services.state import ChildStatus, State

RECOVERY_TIMEOUT_S: Final = 600.0
"""Only matters if something hangs: a busy machine takes a minute to start a program."""
PAUSE_S: Final = 1.0
POLL_S: Final = 0.05


@dataclass(frozen=True)
class Kill:
    """One role killed; `recovery_s` from the signal until its successor was ready."""

    role: str
    pid: int
    recovery_s: float


async def kill_each(local: LocalSet, roles: tuple[str, ...], report: Callable[[Kill], None]) -> None:
    """Kill the roles in turn, each once the one before is ready again. Raises ServiceUnavailable if one does not come back."""
    for role in roles:
        await asyncio.sleep(PAUSE_S)
        report(await kill(local, role))


async def kill(local: LocalSet, role: str) -> Kill:
    """SIGKILL one role and wait for its successor. Raises ServiceUnavailable after RECOVERY_TIMEOUT_S."""
    victim = await strike(local, role)
    assert victim.pid is not None
    took_s = await wait_for(
        lambda: is_replaced(local, victim), f"{role} was killed and is not ready again; log: {victim.log}", RECOVERY_TIMEOUT_S
    )
    return Kill(role, victim.pid, round(took_s, 2))


async def strike(local: LocalSet, name: str, number: signal.Signals = signal.SIGKILL) -> ChildStatus:
    """Signal a child; returns its status at that moment. Raises ServiceUnavailable if it does not run."""
    victim = await asyncio.to_thread(child_of, local, name)
    if victim is None or victim.pid is None:
        raise ServiceUnavailable(f"{name} does not run, so it cannot be killed")
    os.kill(victim.pid, number)
    return victim


async def wait_for(condition: Callable[[], bool], otherwise: str, timeout_s: float, poll_s: float = POLL_S) -> float:
    """Seconds until the condition held. It is called in a thread, so it may block. Raises ServiceUnavailable with the message `otherwise`."""
    began = time.monotonic()
    while True:
        held = await asyncio.to_thread(condition)
        took_s = time.monotonic() - began
        if held:
            return took_s
        if took_s > timeout_s:
            raise ServiceUnavailable(f"{otherwise} (after {timeout_s:g} s)")
        await asyncio.sleep(poll_s)


def is_replaced(local: LocalSet, victim: ChildStatus) -> bool:
    """Whether another process has replaced the victim and is ready."""
    child = child_of(local, victim.name)
    return child is not None and child.state is State.READY and child.pid != victim.pid


def child_of(local: LocalSet, name: str) -> ChildStatus | None:
    """The supervisor's status of a child; None if there is no such child, or no set."""
    status = local.status()
    return next((child for child in status.children if child.name == name), None) if status is not None else None
