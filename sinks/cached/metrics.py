"""What the cache counts, for Prometheus."""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sinks.cached.entries import Wrong
from sinks.cached.reads import OUTCOMES, CachedReads


class CacheMetrics(Collector):
    """Of one process; nothing where there is no cache."""

    def __init__(self, reads: Callable[[], CachedReads | None]) -> None:
        self._reads = reads

    def collect(self) -> Iterable[Metric]:
        """When it is asked for."""
        reads = self._reads()
        if reads is None:
            return
        ended = CounterMetricFamily("outcry_edge_cache_reads", "reads of history, by how they ended", labels=["outcome"])
        for outcome in OUTCOMES:
            ended.add_metric([outcome], reads.outcomes[outcome])
        refused = CounterMetricFamily(
            "outcry_edge_cache_refused", "entries that are not as we write them, by what is wrong", labels=["why"]
        )
        for why in Wrong:
            refused.add_metric([why], reads.refused[why])
        yield ended
        yield refused
        yield CounterMetricFamily("outcry_edge_cache_behind", "entries whose readers had seen more", value=reads.behind)
        yield CounterMetricFamily("outcry_edge_cache_queries", "reads of history that reached MySQL", value=reads.queries)
        yield CounterMetricFamily("outcry_edge_cache_failures", "questions that Redis did not answer", value=reads.store.failures)
        yield GaugeMetricFamily("outcry_edge_cache_away", "1: Redis is left alone after a failure", value=float(reads.store.away))
        yield from reads.seconds.collect()
