"""Numbers in the explanations of alerts: rounded down, in integers, so that a replay writes the same text."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from schemas.enums import Side
from schemas.instruments import Instrument


class Measured(Protocol):
    """A measure beside its bound: surveillance.contract.Measure."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> int: ...  # noqa: D102
    @property
    def bound(self) -> int: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def at_least(self) -> bool: ...  # noqa: D102


VERBS: Final = {int(Side.BUY): ("buy", "bought"), int(Side.SELL): ("sell", "sold")}
"""Present and past, by side."""


def span(text: Callable[[int], str], values: list[int]) -> str:
    """The lowest to the highest of some values, or the one."""
    low, high = text(min(values)), text(max(values))
    return low if low == high else f"{low} to {high}"


def counted(number: int, noun: str) -> str:
    """A number of things: 1 trade, 2 trades."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def seconds(duration_ns: int) -> str:
    """A duration with milliseconds."""
    milliseconds = duration_ns // 1_000_000
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d} s"


def percent(part: int, whole: int) -> str:
    """A share with one decimal."""
    return f"{tenths(part * 100, whole)} %"


def tenths(part: int, whole: int) -> str:
    """A quotient with one decimal."""
    found = part * 10 // whole
    return f"{found // 10}.{found % 10}"


def measured(value: int, unit: str, instrument: Instrument) -> str:
    """A number with its unit, see surveillance.contract.Measure."""
    if unit == "ns":
        return seconds(value)
    if unit == "lots":
        return instrument.qty_text(value)
    if unit == "ticks":
        return counted(value, "tick")
    if unit == "percent":
        return f"{value} %"
    return counted(value, "time") if unit == "times" else str(value)


def counterfactual(measures: Sequence[Measured], instrument: Instrument) -> str:
    """What would not have fired: the three measures that are nearest to their bounds, in one sentence."""
    nearest = sorted(measures, key=lambda one: abs(one.value - one.bound) * 1000 // max(one.bound, 1))[:3]
    parts = [
        f"{one.name} {'below' if one.at_least else 'above'} {measured(one.bound, one.unit, instrument)} "
        f"(seen: {measured(one.value, one.unit, instrument)})"
        for one in nearest
    ]
    if not parts:
        return ""
    return f"It would not have fired with {' or '.join([', '.join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)}."
