"""How far a worker is behind the ends of its inputs: what /metrics and `outcry status` show of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import faust
from faust.types import TP
from prometheus_client import Gauge

LAG_EVERY_S: Final = 2.0
"""One request to each leader; a graph of lag needs no more."""
INPUT_LAG: Final = Gauge(
    "outcry_input_lag_records", "records between what was applied and the end of the input", ["role", "topic", "partition"]
)


async def lag_of(app: faust.App, assigned: Sequence[TP], position: Callable[[TP], int | None]) -> dict[TP, int]:
    """Records behind the end, by partition. `position`: the next offset to apply; None (nothing applied yet) counts from what is committed."""
    if not assigned or app.rebalancing:
        return {}
    ends = await app.consumer.highwaters(*assigned)
    committed: Mapping[TP, int | None] = app.consumer._committed_offset  # type: ignore[attr-defined]  # Faust's note; asking costs a request
    behind = {}
    for tp in assigned:
        at = position(tp)
        if at is None:
            at = committed.get(tp)
        behind[tp] = max(0, (ends.get(tp) or 0) - (at or 0))
    return behind
