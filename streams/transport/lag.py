"""How far a worker is behind the ends of its inputs: what /metrics and `outcry status` show of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import faust
from faust.types import TP
from prometheus_client import Gauge

LAG_EVERY_S: Final = 2.0
INPUT_LAG: Final = Gauge(
    "outcry_input_lag_records", "records between what was applied and the end of the input", ["role", "topic", "partition"]
)


def lag_of(app: faust.App, assigned: Iterable[TP], position: Callable[[TP], int | None]) -> dict[TP, int]:
    """Records behind the end, by partition. `position`: the next offset to apply; None (nothing applied yet) counts from what is committed.

    The end is what the last answer to a fetch said of it: asking the broker for it would take one of the two places in which Faust's consumer
    thread works off its calls, and the next records would wait for the answer. A partition of which nothing was heard yet is left out.
    """
    committed: Mapping[TP, int | None] = app.consumer._committed_offset  # type: ignore[attr-defined]  # Faust's own note, as above
    behind = {}
    for tp in assigned:
        end = None if app.rebalancing else app.consumer.highwater(tp)
        at = position(tp)
        if end is not None:
            behind[tp] = max(0, end - (at if at is not None else committed.get(tp) or 0))
    return behind
