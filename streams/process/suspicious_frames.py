"""The alarm about records whose sender is not proven, and frames that claim an impossible place in its log: /metrics, /readyz and `outcry status` show it."""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from schemas.marks import Marks


class SuspiciousFrames(Collector):
    """Counts of a role's marks, by partition of its input and source, read when they are shown."""

    def __init__(self, role: str, marks: Callable[[], Iterable[tuple[str, int, Marks]]]) -> None:
        """marks: (topic, partition, marks) of what is assigned now."""
        self._role, self._marks = role, marks

    def collect(self) -> Iterable[CounterMetricFamily]:
        """`what`: refused, jump (taken all the same), or why the sender of a record is not believed (topics.record_codes)."""
        family = CounterMetricFamily(
            "outcry_suspicious_frames", "records refused for their sender or their place in its log, or taken with an alarm",
            labels=["role", "topic", "partition", "source", "what"],
        )  # fmt: skip
        for topic, partition, marks in self._marks():
            for what, counts in (("refused", marks.refused), ("jump", marks.jumps)):
                for source, count in counts.items():
                    family.add_metric([self._role, topic, str(partition), source, what], count)
            for reason, count in marks.unproven.items():
                family.add_metric([self._role, topic, str(partition), "", reason], count)
        yield family

    def total(self) -> int:
        """All of them."""
        return sum(marks.suspicious for _, _, marks in self._marks())

    def register(self) -> None:
        """In /metrics of this process."""
        REGISTRY.register(self)
