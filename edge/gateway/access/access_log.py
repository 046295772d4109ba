"""Where it is recorded who signed in, who was refused and who changed something: the topic access.events, which is kept for ever.

In:     events of edge.gateway.access.people
Out:    access.events, appended before what they are about is done
On failure: ServiceUnavailable, after RECORD_TIMEOUT_S at the latest; then it is not done.
"""

import asyncio
from dataclasses import asdict

from access.events import AccessEvent
from edge.gateway.limits import RECORD_TIMEOUT_S
from schemas.codec import encode_record
from schemas.errors import ServiceUnavailable
from topics.catalogue import ACCESS_EVENTS
from topics.sender import LogSender


class AccessRecords:
    """An AccessLog (edge.gateway.access.people)."""

    def __init__(self) -> None:
        self.sender: LogSender | None = None
        """None until Kafka has been reached."""

    async def record(self, event: AccessEvent) -> None:
        """Returns when the record is in the log. Raises ServiceUnavailable."""
        if self.sender is None:
            raise ServiceUnavailable("the exchange's log (Kafka) has not been reached")
        try:
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                await self.sender.append(ACCESS_EVENTS.name, 0, encode_record("access_event", asdict(event)))
        except TimeoutError:
            raise ServiceUnavailable(f"the exchange's log (Kafka) took no record within {RECORD_TIMEOUT_S:g} s") from None
