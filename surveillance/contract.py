"""The contract of a detector: it looks for one pattern, receives events about orders, and returns findings.

A detector overrides the events that it wants; the watch calls no others. It is a function of these calls alone: no clock, no
random number, integers only. A finding has everything that an alert needs, so the watch knows no pattern.

To add a pattern: a module in surveillance/detectors with a subclass of `Detector`, and its name in surveillance.detectors.DETECTORS.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.codec import Rows
from schemas.instruments import Instrument
from surveillance.orders import OrderTracker, TrackedOrder

Arrays = Mapping[str, Rows]


@dataclass(frozen=True)
class Evidence:
    """One order or trade behind a finding: ticks, lots, ns. Fields as in schemas/avro/alert.avsc."""

    role: str
    order_id: int
    side: int
    price: int
    qty: int
    traded_qty: int
    placed_at: int
    ended_at: int


@dataclass(frozen=True)
class Finding:
    """A pattern that is complete."""

    pattern: str
    instrument: int
    account: int
    side: int
    identity: tuple[int, ...]
    """Numbers from the evidence, nothing from the transport: the same log gives the same alert id, however it is divided into frames."""
    score_permille: int
    window_start: int
    """ns; the window ends when the pattern is complete."""
    explain: Callable[[Instrument], str]
    """The explanation for an analyst, with prices and quantities as the instrument writes them."""
    evidence: tuple[Evidence, ...]


class Detector:
    """One pattern over one book shard. Times are log time in ns, quantities lots, prices ticks. The tracker gets every event first."""

    name: ClassVar[str]
    """Prefix of the detector's arrays in a snapshot."""

    def __init__(self, tracker: OrderTracker) -> None:
        self.tracker = tracker

    def advance(self, now: int) -> Iterable[Finding]:
        """Log time is `now`."""
        return ()

    def placed(self, order: TrackedOrder, now: int) -> Iterable[Finding]:
        """A new order."""
        return ()

    def executed(self, order: TrackedOrder, price: int, qty: int, now: int) -> Iterable[Finding]:
        """The order traded `qty` lots at `price`. Called for both sides of a trade."""
        return ()

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> Iterable[Finding]:
        """The order left the market or was reduced. `canceled_qty`: lots canceled by its owner, else 0."""
        return ()

    def forgotten(self, order: TrackedOrder) -> None:
        """The tracker had to forget the order: it can no longer be evidence."""

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """Restore the state of a snapshot. The detector is new, its tracker already restored."""


MakeDetector = Callable[[OrderTracker], Detector]


def wants(detector: Detector, event: str) -> bool:
    """Whether the detector overrides an event."""
    return getattr(type(detector), event) is not getattr(Detector, event)


def prefixed(detector: Detector) -> dict[str, Rows]:
    """A detector's arrays under names that no other uses."""
    return {f"{detector.name}.{name}": array for name, array in detector.snapshot().items()}


def own_arrays(detector: Detector, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a detector in a snapshot of the whole watch, by their own names."""
    prefix = f"{detector.name}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
