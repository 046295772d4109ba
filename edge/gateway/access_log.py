"""Where it is recorded who signed in, who was refused and who changed something: lines of the process's log."""

from dataclasses import asdict

import structlog

from access.events import AccessEvent

log = structlog.get_logger(__name__)


class AccessLines:
    """An AccessLog (edge.gateway.people)."""

    async def record(self, event: AccessEvent) -> None:
        """Write a line."""
        log.info("access", **asdict(event))
