"""How far the system of record (MySQL) is behind the log: beyond a limit the edge takes no new orders, so that what waits to be stored stays bounded.

What is stored is what the consumer group of persist-mysql has committed, which it does behind the transaction of the rows. So the broker knows it, and a MySQL that is
away, or a sink that is dead or stopped, shows as a growing lag like a slow one. A group that has never committed does not exist: nothing is refused for it.
"""

import asyncio
from typing import Final

import structlog

from edge.gateway.limits import SINK_LAG_EVERY_S, SINK_LAG_TIMEOUT_S
from edge.gateway.outcomes import Cause, Unavailable
from schemas.errors import ServiceUnavailable
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS
from topics.offsets import Offsets, Place
from topics.roles import PERSIST_MYSQL

log = structlog.get_logger(__name__)

GROUP: Final = PERSIST_MYSQL.group
STORED: Final = (EXECUTIONS, ACCOUNT_EVENTS)
"""What an order makes; the alerts that it stores too are few."""
RETRY_AFTER_S: Final = 5


class SinkLag:
    """Asks the broker now and then; `refusal` costs one comparison. `records_max` 0: measured, and nothing refused."""

    def __init__(self, offsets: Offsets, places: list[Place], records_max: int) -> None:
        """`offsets`: of GROUP."""
        self._offsets, self._places, self._records_max = offsets, places, records_max
        self.records = 0

    async def run(self) -> None:
        """Until cancelled. A broker that does not answer leaves the last number: /readyz and the producer tell of it."""
        while True:
            try:
                async with asyncio.timeout(SINK_LAG_TIMEOUT_S):
                    records = await self._measure()
            except (ServiceUnavailable, TimeoutError) as error:
                log.warning("sink_lag_unknown", error=repr(error))
            else:
                if self._is_beyond(records) != self._is_beyond(self.records):
                    log.warning("new_orders", refused=self._is_beyond(records), records_behind=records, most=self._records_max)
                self.records = records
            await asyncio.sleep(SINK_LAG_EVERY_S)

    async def _measure(self) -> int:
        committed = await self._offsets.committed(self._places)
        if all(offset is None for offset in committed.values()):
            return 0
        ends = await self._offsets.ends(self._places)
        begins = await self._offsets.beginnings([place for place, offset in committed.items() if offset is None])
        return sum(max(0, ends[place] - (begins[place] if offset is None else offset)) for place, offset in committed.items())

    def _is_beyond(self, records: int) -> bool:
        return 0 < self._records_max < records

    def refusal(self) -> Unavailable | None:
        """The answer to a new order where the lag is beyond the limit; cancels are taken all the same."""
        if not self._is_beyond(self.records):
            return None
        text = f"the exchange's records are {self.records:,} behind; nothing was sent, cancels are taken"
        return Unavailable(Cause.STORE_BEHIND, text, RETRY_AFTER_S)
