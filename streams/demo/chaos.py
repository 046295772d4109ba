"""Kill every role of the running set, one after another, with SIGKILL, and see how long each needs to serve again."""

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

RECOVERY_TIMEOUT_S: Final = 60.0
PAUSE_S: Final = 1.0
POLL_S: Final = 0.05


@dataclass(frozen=True)
class Kill:
    """One role killed; `recovery_s` from the signal until its successor was ready."""

    role: str
    pid: int
    recovery_s: float


async def kill_each(local: LocalSet, roles: tuple[str, ...], report: Callable[[Kill], None]) -> None:
    """Kill the roles in turn, each when the one before is ready again. Raises ServiceUnavailable if one does not come back."""
    for role in roles:
        await asyncio.sleep(PAUSE_S)
        report(await kill(local, role))


async def kill(local: LocalSet, role: str) -> Kill:
    """SIGKILL one role and wait for its successor. Raises ServiceUnavailable after RECOVERY_TIMEOUT_S."""
    victim = await asyncio.to_thread(_child, local, role)
    if victim is None or victim.pid is None:
        raise ServiceUnavailable(f"{role} does not run, so it cannot be killed")
    began = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    while time.monotonic() - began < RECOVERY_TIMEOUT_S:
        await asyncio.sleep(POLL_S)
        child = await asyncio.to_thread(_child, local, role)
        if child is not None and child.state is State.READY and child.pid != victim.pid:
            return Kill(role, victim.pid, round(time.monotonic() - began, 2))
    raise ServiceUnavailable(f"{role} was killed and is not ready again after {RECOVERY_TIMEOUT_S:g} s; log: {victim.log}")


def _child(local: LocalSet, role: str) -> ChildStatus | None:
    status = local.status()
    return next((child for child in status.children if child.name == role), None) if status is not None else None
