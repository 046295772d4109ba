"""Makes spans of what the edge does with orders: see topics.order_traces. Only where traces are wanted; otherwise nothing here is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.gateway.accounts.command_frames import Command
from edge.gateway.accounts.pending_requests import Answer
from schemas.codec import Frame
from schemas.enums import CommandKind
from topics.catalogue import ACCOUNT_COMMANDS
from topics.order_traces import Hop, OrderTraces, Span

PUSH: Final = "push"


@dataclass(frozen=True)
class TracedOrders:
    """Of one edge. tell: takes spans, and never waits. clock_ns: the wall's, by which commands are stamped."""

    traces: OrderTraces
    tell: Callable[[Span], None]
    clock_ns: Callable[[], int]

    def answered(self, commands: Sequence[Command], answers: Sequence[Answer]) -> None:
        """The roots of new orders: from the stamp of the command to its answer. Before the answer nobody knows the order's number."""
        now = self.clock_ns()
        for command, answer in zip(commands, answers, strict=True):
            if command.kind == CommandKind.NEW_ORDER and self.traces.is_chosen(answer.row.order_id):
                about = {"outcry.door": "edge", "messaging.destination.name": ACCOUNT_COMMANDS.name, "outcry.cl_ord_id": answer.cl_ord_id}
                self.tell(self.traces.root(answer.row.order_id, command.transact_time, now, about))

    def pushed(self, frame: Frame, topic: str, partition: int, offset: int, began_ns: int) -> None:
        """What a frame of replies says was told: to who asked, and to the sockets that listen, which write it within their next flush."""
        for span in self.traces.spans(Hop(PUSH, topic, partition, offset, began_ns, self.clock_ns(), PUSH), frame):
            self.tell(span)
