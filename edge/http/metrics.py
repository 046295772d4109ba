"""What is measured of HTTP and WebSockets, in the gateway's registry."""

from typing import Final

from prometheus_client import Counter, Histogram

from edge.gateway.metrics import Metrics

_ANSWER_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""100 ms is what an order may take; a decision is given up after 5 s."""
_ORDERS: Final = "/v2/orders"
SWITCHED: Final = 101


class HttpMetrics:
    """One instance an edge process."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = Counter("outcry_edge_requests", "HTTP requests answered", ["method", "route", "status"], registry=metrics.registry)
        self.seconds = Histogram(
            "outcry_edge_request_seconds", "from a request's head to its answer", ["kind"], buckets=_ANSWER_S, registry=metrics.registry
        )
        self._seconds = {kind: self.seconds.labels(kind) for kind in ("orders", "reads", "other")}
        """Made before the first request: a series that begins at 1 shows no rate."""
        self.updates_told = 0
        # plain numbers, read when asked for: these count far more often than anything else
        metrics.watch("trade_update_messages_total", "trade updates queued for WebSockets", lambda: self.updates_told)
        self.slow = Counter(
            "outcry_edge_slow_sockets", "WebSockets closed because they did not read", ["stream"], registry=metrics.registry
        )
        self._requests_by: dict[tuple[str, str, int], Counter] = {}

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is the pattern, never the path. Of a WebSocket (101) no time is kept: it is open for hours."""
        if status != SWITCHED:
            self._seconds["reads" if method == "GET" else "orders" if route.startswith(_ORDERS) else "other"].observe(seconds)
        key = method, route, status
        counter = self._requests_by.get(key)
        if counter is None:
            counter = self._requests_by[key] = self.requests.labels(method, route, str(status))
        counter.inc()
