"""Makes spans of what a store gets of orders: see topics.order_traces. Only where traces are wanted; otherwise nothing here is called."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.codec import BadBytes, Frame
from schemas.marks import Marks
from sinks import Input
from topics.offsets import Place
from topics.order_traces import Hop, OrderTraces, Span


@dataclass(frozen=True)
class TracedSink:
    """Of one persist role. tell: takes spans, and never waits. clock_ns: the wall's."""

    role: str
    traces: OrderTraces
    tell: Callable[[Span], None]
    clock_ns: Callable[[], int] = time.time_ns
    _marks: defaultdict[Place, Marks] = field(default_factory=lambda: defaultdict(Marks))

    def stored(self, batch: Sequence[Input], began_ns: int) -> None:
        """The batch is in the store. A span for each record that is about a traced order and no repeat, from where the store was asked to where it had all."""
        ended_ns = self.clock_ns()
        for one in batch:
            if isinstance(one.body, Frame) and self._is_new(one, one.body):
                hop = Hop(self.role, one.topic, one.partition, one.offset, began_ns, ended_ns, self.role)
                for span in self.traces.spans(hop, one.body):
                    self.tell(span)

    def _is_new(self, one: Input, frame: Frame) -> bool:
        """To this process: what the store has had from one before has another span of the same ids."""
        try:
            return self._marks[one.topic, one.partition].take(frame.header, one.time_ns)
        except BadBytes:
            return False
