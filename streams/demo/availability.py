"""What clients have of the edge: how many of their requests are answered, and for how long nobody is.

The objective is that of the alerts (docker/prometheus/rules.yaml): of all orders sent over HTTP 99.99 % are answered, with whatever decision.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

SOON_S: Final = 1.0
"""A second in which somebody asked, and no answer came so soon, was out of service."""


@dataclass
class Availability:
    """Counts by the second in which a request was sent; one that is sent again is another request. Seconds without requests say nothing."""

    sent: Counter[int] = field(default_factory=Counter)
    soon: Counter[int] = field(default_factory=Counter)
    answered: int = 0

    def took(self, sent_s: float, seconds: float, *, answered: bool) -> None:
        """A request that was sent at `sent_s`, a monotonic time, and was answered, or given up, after so long."""
        self.sent[int(sent_s)] += 1
        self.answered += answered
        if answered and seconds <= SOON_S:
            self.soon[int(sent_s)] += 1

    def outages(self) -> Iterator[int]:
        """Seconds of each time out of service, in their order."""
        length = 0
        for second in sorted(self.sent):
            if not self.soon[second]:
                length += 1
            elif length:
                yield length
                length = 0
        if length:
            yield length

    def figures(self) -> dict[str, Any]:
        """For programs: requests, the share of them that was answered, seconds in which somebody asked, and those out of service."""
        sent, lengths = self.sent.total(), list(self.outages())
        return {
            "requests": sent, "answered": round(self.answered / sent, 6) if sent else None, "seconds": len(self.sent), "seconds_out": sum(lengths),
            "outages": len(lengths), "longest_outage_s": max(lengths, default=0),
        }  # fmt: skip


def line_of(figures: dict[str, Any]) -> str:
    """For people."""
    if not figures.get("requests"):
        return "no requests"
    return (
        f"{figures['answered']:.4%} of {figures['requests']:,} requests answered; out of service {figures['seconds_out']} of {figures['seconds']} s, "
        f"the longest time {figures['longest_outage_s']} s"
    )
