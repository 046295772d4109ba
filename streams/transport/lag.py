"""How far a worker is behind the ends of its inputs, for /metrics and `outcry status`."""

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

    The end is taken from the last answer to a fetch. Asking the broker would use one of the two slots of Faust's consumer thread, and the next
    records would wait for the answer. A partition without an answer so far is left out.
    """
    committed: Mapping[TP, int | None] = app.consumer._committed_offset  # type: ignore[attr-defined]  # Faust's own note, as above
    behind = {}
    for tp in assigned:
        end = None if app.rebalancing else app.consumer.highwater(tp)
        at = position(tp)
        if end is not None:
            behind[tp] = max(0, end - (at if at is not None else committed.get(tp) or 0))
    return behind
