"""Numbers in the explanations of alerts: rounded down, in integers, so that a replay writes the same text."""

from collections.abc import Callable
from typing import Final

from schemas.enums import Side

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
