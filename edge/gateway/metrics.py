"""What the gateway measures, as Prometheus metrics of one registry, to which protocols add their own."""

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from edge.gateway.source_filter import SourceFilter

_LATENCY_S: Final = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """One instance an edge process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decision = Histogram(
            "outcry_edge_decision_seconds", "from reading a command to its shard's decision", buckets=_LATENCY_S, registry=self.registry
        )
        self.update_delay = Histogram(
            "outcry_edge_reply_delay_seconds", "from the shard's log time to the reply here", buckets=_LATENCY_S, registry=self.registry
        )
        self.timeouts = Counter("outcry_edge_decision_timeouts", "commands without a decision in time", registry=self.registry)
        self.replies = Counter("outcry_edge_reply_rows", "rows read from edge.replies", registry=self.registry)
        self._sources: Sequence[SourceFilter] = ()
        self.registry.register(_SuspiciousFrames(lambda: self._sources))

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(f"outcry_edge_{name}", text, registry=self.registry).set_function(read)

    def watch_sources(self, sources: Sequence[SourceFilter]) -> None:
        """Whose alarms are told."""
        self._sources = sources

    @property
    def suspicious_frames(self) -> int:
        """Of all sources."""
        return sum(one.suspicious for one in self._sources)


class _SuspiciousFrames(Collector):
    """The workers' counter of the same name (streams.process.suspicious_frames), as the edge's readers see it."""

    def __init__(self, sources: Callable[[], Sequence[SourceFilter]]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[CounterMetricFamily]:
        """When it is asked for."""
        family = CounterMetricFamily(
            "outcry_suspicious_frames", "records refused for their sender or their place in its log, or taken with an alarm",
            labels=["role", "source", "what"],
        )  # fmt: skip
        counts = Counts[tuple[str, str]]()
        for sources in self._sources():
            counts["", "stranger"] += sources.strangers
            for what, by_source in (("refused", sources.marks.refused), ("jump", sources.marks.jumps)):
                counts.update({(source, what): count for source, count in by_source.items()})
            counts.update({("", reason): count for reason, count in sources.marks.unproven.items()})
        for (source, what), count in counts.items():
            family.add_metric(["edge", source, what], count)
        yield family
