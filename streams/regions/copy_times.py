"""How long a record is on its way into the copy, by topic and step, for /metrics of `copy-log`."""

from typing import Final

from prometheus_client import Histogram

_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)
LAG: Final = Histogram(
    "outcry_copy_lag_seconds", "from a record's append in the other region, by its broker's clock, to its append here", ["topic"], buckets=_BUCKETS_S
)  # fmt: skip
STEP: Final = Histogram(
    "outcry_copy_step_seconds", "of the way of a record: wait (here, for the input it names), append (until the broker here has it)",
    ["topic", "step"], buckets=_BUCKETS_S,
)  # fmt: skip


class CopyTimes:
    """Of one topic. Times are in seconds; `arrived`, `sent` and `done` are monotonic."""

    def __init__(self, topic: str) -> None:
        self._lag, self._wait, self._append = LAG.labels(topic), STEP.labels(topic, "wait"), STEP.labels(topic, "append")

    def note(self, arrived: float, sent: float, done: float, lag: float) -> None:
        """A record is in the copy. lag: of two machines' clocks, so it may be below 0 where they are apart."""
        self._wait.observe(sent - arrived)
        self._append.observe(done - sent)
        self._lag.observe(max(0.0, lag))
