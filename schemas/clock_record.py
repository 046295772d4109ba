"""What a process says of its clock: one line of its drift log, and of the report `clocks`. No I/O."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from schemas.units import NANOS_PER_SECOND


class BadClockRecord(ValueError):
    """A line of a drift log that is none; the message says why."""


@dataclass(frozen=True)
class ClockRecord:
    """One comparison of a machine's clock with what it is kept by."""

    time_ns: int
    """Of the clock itself."""
    host: str
    process: str
    reference: str
    """"kernel": what the time service of this machine has told the kernel; otherwise the address that was asked."""
    offset_ns: int
    """How far the clock is ahead of the reference; below zero, behind it. 0 where it is not known."""
    error_ns: int
    """By how much offset_ns may be wrong, at most."""
    is_synchronised: bool
    """Whether a time service keeps the clock, or the reference answered and is synchronised itself."""
    trouble: str = ""
    """What is wrong, as a sentence; empty if nothing is."""

    @property
    def farthest_ns(self) -> int:
        """How far the clock may be from the reference."""
        return abs(self.offset_ns) + self.error_ns

    def line(self) -> str:
        """As JSON, with its line end."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of a line. Raises BadClockRecord."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadClockRecord(f"it is not JSON: {error}") from None
        if not isinstance(found, dict) or found.keys() != _TYPES.keys():
            raise BadClockRecord(f"it is not an object with {', '.join(_TYPES)}")
        for name, wanted in _TYPES.items():
            if type(found[name]) is not wanted:
                raise BadClockRecord(f"{name} is not of the type {wanted.__name__}")
        if found["error_ns"] < 0 or found["time_ns"] < 0 or max(map(abs, _numbers(found))) >= 1 << 63:
            raise BadClockRecord("a number of it is out of range")
        return cls(**found)


_TYPES = {
    "time_ns": int, "host": str, "process": str, "reference": str, "offset_ns": int, "error_ns": int, "is_synchronised": bool, "trouble": str,
}  # fmt: skip


def _numbers(found: dict[str, Any]) -> list[int]:
    return [found[name] for name, wanted in _TYPES.items() if wanted is int]


def trouble_of(offset_ns: int, error_ns: int, reference: str, allowed_ns: int, *, is_synchronised: bool) -> str:
    """What is wrong with a clock, as a sentence; empty if nothing is."""
    allowed = f"at most {seconds_text(allowed_ns)} is allowed (OUTCRY_CLOCK_OFFSET_MAX_US)"
    if not is_synchronised and reference == "kernel":
        return "no time service keeps this machine's clock: start chrony or ntpd, or name a server in OUTCRY_CLOCK_REFERENCE"
    if not is_synchronised:
        return f"{reference} says that it is not synchronised itself: name another server in OUTCRY_CLOCK_REFERENCE"
    if abs(offset_ns) > allowed_ns:
        direction = "ahead of" if offset_ns > 0 else "behind"
        return f"this machine's clock is {seconds_text(abs(offset_ns))} {direction} {reference}, {allowed}"
    if abs(offset_ns) + error_ns > allowed_ns:
        return f"this machine's clock may be {seconds_text(abs(offset_ns) + error_ns)} off by what {reference} says, {allowed}"
    return ""


def seconds_text(duration_ns: int) -> str:
    """For people, to the microsecond."""
    return f"{duration_ns / NANOS_PER_SECOND:.6f} s"
