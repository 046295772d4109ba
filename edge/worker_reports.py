"""What a fan-out worker tells the edge's process each second, and what the edge shows of it. No I/O.

A worker cannot be asked over its port, which all of them share. So it writes a line of JSON to its standard output, and the edge's /readyz and
/metrics tell of all. A worker that has written nothing for SILENT_S does not serve either, and is replaced.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

REPORT_EVERY_S: Final = 1.0
REPORT_BYTES_MAX: Final = 4_096
"""A line as long as that is written whole or not at all (PIPE_BUF); one has ~300 bytes."""


@dataclass(frozen=True, slots=True)
class Report:
    """A worker as it is, and what it has counted since its start: whole numbers but for cpu_s."""

    ready: float = 0
    """1: it has what the log has; so with `fed`."""
    fed: float = 0
    sockets: float = 0
    subscribed: float = 0
    behind: float = 0
    lag: float = 0
    resident_bytes: float = 0
    fed_records: float = 0
    delivered: float = 0
    conflated: float = 0
    evicted: float = 0
    cut: float = 0
    silent: float = 0
    refused: float = 0
    cpu_s: float = 0

    def line(self) -> bytes:
        """As it is written."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Report | None":
        """None where the line is no report."""
        try:
            found = json.loads(line)
            return cls(**{one.name: float(found[one.name]) for one in fields(cls)})
        except (ValueError, KeyError, TypeError):
            return None


_SHOWN: Final[Mapping[str, str]] = {
    "ready": "1 while the worker has what the log has",
    "fed": "1 while its market data comes from the edge's process, 0 while it reads the log",
    "sockets": "open WebSockets",
    "subscribed": "WebSockets with a subscription to Alpaca's stream",
    "behind": "WebSockets that take less than they are told",
    "lag": "records of market.data not read yet",
    "resident_bytes": "memory of the process",
}
_COUNTED: Final[Mapping[str, str]] = {
    "fed_records": "records of market.data that came from the edge's process",
    "delivered": "events of a flush, times the WebSockets that they were for",
    "conflated": "prices that a newer one has replaced before they were written",
    "evicted": "slow clients that were told so and let go",
    "cut": "WebSockets cut because they did not take the farewell",
    "silent": "WebSockets cut because the peer did not answer a ping",
    "refused": "handshakes refused because too many came at once",
    "cpu_s": "processor time of the process, s",
}


class WorkersCollector(Collector):
    """outcry_edge_fanout_worker_*, by number of the worker."""

    def __init__(self, reports: Callable[[], Mapping[int, Report]], starts: Callable[[], Mapping[int, int]]) -> None:
        """reports: the newest of each worker that runs; starts: how often each was started."""
        self._reports, self._starts = reports, starts

    def collect(self) -> Iterable[Metric]:
        """When it is asked for."""
        reports = self._reports()
        for kinds, family in ((_SHOWN, GaugeMetricFamily), (_COUNTED, CounterMetricFamily)):
            for name, text in kinds.items():
                yield _family(family, name, text, {number: getattr(one, name) for number, one in reports.items()})
        yield _family(CounterMetricFamily, "starts", "how often the worker was started", self._starts())


def _family(kind: type[GaugeMetricFamily | CounterMetricFamily], name: str, text: str, values: Mapping[int, float]) -> Metric:
    family = kind(f"outcry_edge_fanout_worker_{name}", text, labels=["worker"])
    for number, value in sorted(values.items()):
        family.add_metric([str(number)], value)
    return family
