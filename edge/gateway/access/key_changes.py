"""Hear of API keys that were changed or withdrawn, wherever that was done, and have this edge forget them.

In:     MySQL, asked every KEY_CHANGES_EVERY_S; the first time for all changes since which the session cache may have older entries
On failure: while MySQL is away nothing can be withdrawn there either; the next answer has all changes since the last one.
"""

import asyncio
from typing import Protocol

import structlog

from edge.gateway.access.sessions import Sessions
from edge.gateway.limits import KEY_CHANGES_EVERY_S
from schemas.errors import ServiceUnavailable

log = structlog.get_logger(__name__)


class ChangedKeys(Protocol):
    """Where changes are looked up."""

    async def changed_keys(self, since_us: int | None) -> tuple[int, dict[str, int]]:
        """(what to ask with next, version by key id). Raises ServiceUnavailable."""


class KeyChanges:
    """`run` ends only by cancellation or a fault."""

    def __init__(self, store: ChangedKeys, sessions: Sessions) -> None:
        self._store, self._sessions = store, sessions
        self._since_us: int | None = None
        self._away = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(KEY_CHANGES_EVERY_S)

    async def ask(self) -> None:
        """Once."""
        try:
            self._since_us, versions = await self._store.changed_keys(self._since_us)
        except ServiceUnavailable as error:
            if not self._away:
                log.warning("key_changes_unknown", error=str(error))
            self._away = True
        else:
            self._away = False
            await self._sessions.take_changes(versions)
        self._sessions.end_what_is_over()
