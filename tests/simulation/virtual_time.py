"""An event loop without a clock: where asyncio would wait, time goes on to the next timer. No socket, no thread; the same program runs the same way."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, Final

START_MS: Final = 1_800_000_000_000
"""Simulated time begins here, ms since 1970."""


class NothingWillHappen(Exception):
    """Every task waits, and no timer is set."""


class _NoSelector(selectors.BaseSelector):
    """Waits for nothing: moves the loop's time on by as much as it was to wait."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingWillHappen
        self.now += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise AssertionError("a simulation opens no files")

    unregister = register  # type: ignore[assignment]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with the time of `_NoSelector`."""

    def __init__(self) -> None:
        self._no_selector = _NoSelector()
        super().__init__(self._no_selector)
        self.set_exception_handler(lambda _loop, _context: None)  # tasks of killed processes end as they may; World.faults has what matters

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._no_selector.now

    def now_ns(self) -> int:
        """The time of day, in whole ms as Kafka has it."""
        return (START_MS + round(self.time() * 1000)) * 1_000_000

    def _make_self_pipe(self) -> None:
        """None: no thread and no signal wakes this loop."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """There is none."""
