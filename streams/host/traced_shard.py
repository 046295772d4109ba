"""Makes spans of what a shard does with orders: see topics.order_traces. Only where traces are wanted; otherwise nothing here is called."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.codec import Frame, Rows
from schemas.enums import AccountEventKind
from streams.host.shard_runner import Emitter, Processor, Record
from topics.order_traces import Hop, OrderTraces, Span
from topics.roles import HOLD_FUNDS, MATCH_ORDERS

_DECIDED: Final = (AccountEventKind.ACCEPTED, AccountEventKind.REJECTED)
_FOLLOWED: Final = (HOLD_FUNDS.name, MATCH_ORDERS.name)
"""Each is the only role that reads its topic, and frames name its records as those that they follow from."""
SETTLE: Final = "settle"


@dataclass(frozen=True)
class TracedShard:
    """Of one role. tell: takes spans, and never waits. clock_ns: the wall's."""

    role: str
    traces: OrderTraces
    tell: Callable[[Span], None]
    clock_ns: Callable[[], int] = time.time_ns

    def apply(self, processor: Processor, record: Record, frame: Frame, emit: Emitter) -> None:
        """Apply the frame; the span of each traced order begins before and ends after it."""
        began = self.clock_ns()
        made: list[Rows] = []
        emit.kept = made
        processor.apply(frame, emit)
        name = SETTLE if frame.schema == "book_report_frame" else self.role
        reader = "" if self.role in _FOLLOWED else self.role
        hop = Hop(name, record.topic, record.partition, record.offset, began, self.clock_ns(), reader)
        for span in self.traces.spans(hop, frame, made):
            self.tell(span)
        if self.role == HOLD_FUNDS.name and frame.header.reply_partition < 0:
            for span in self._roots(hop, made):
                self.tell(span)

    def _roots(self, hop: Hop, made: Iterable[Rows]) -> Iterator[Span]:
        """Of orders that came past every edge: there is nobody else to tell them."""
        for rows in made:
            if "submitted_at" in (rows.dtype.names or ()):
                decided = rows[np.isin(rows["kind"], _DECIDED)]
                stamps = dict(zip(decided["order_id"].tolist(), decided["submitted_at"].tolist(), strict=True))
                for order_id in self.traces.chosen([decided["order_id"]]):
                    yield self.traces.root(order_id, stamps[order_id] or hop.start_ns, hop.end_ns, {"outcry.door": hop.topic})
