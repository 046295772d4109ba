"""What is measured of HTTP and WebSockets, in the gateway's registry."""

from prometheus_client import Counter

from edge.gateway.metrics import Metrics


class HttpMetrics:
    """One instance an edge process."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = Counter("outcry_edge_requests", "HTTP requests answered", ["method", "route", "status"], registry=metrics.registry)
        self.updates_told = 0
        # plain numbers, read when asked for: these count far more often than anything else
        metrics.watch("trade_update_messages_total", "trade updates queued for WebSockets", lambda: self.updates_told)
        self.slow = Counter(
            "outcry_edge_slow_sockets", "WebSockets closed because they did not read", ["stream"], registry=metrics.registry
        )
        self._requests_by: dict[tuple[str, str, int], Counter] = {}

    def count_request(self, method: str, route: str, status: int) -> None:
        """Count one answer; `route` is the pattern, never the path."""
        key = method, route, status
        counter = self._requests_by.get(key)
        if counter is None:
            counter = self._requests_by[key] = self.requests.labels(method, route, str(status))
        counter.inc()
