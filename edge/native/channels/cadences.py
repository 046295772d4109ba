"""When channels with a cadence speak: together, so long after one another at least. The first word after a quiet time does not wait."""

import asyncio
from collections.abc import Callable

from edge.gateway.market.events import MarketEvent
from edge.native.channels.live import MarketChannel


class Turns:
    """Of one cadence: one timer of the loop for all of its channels, and none while nothing waits. `publish` takes a channel's newest event."""

    def __init__(self, cadence_ms: int, publish: Callable[[MarketChannel, MarketEvent], None]) -> None:
        self._cadence_s, self._publish = cadence_ms / 1_000, publish
        self._waiting: dict[MarketChannel, MarketEvent] = {}
        self._spoke_at_s = 0.0
        self._is_due = False

    def add(self, channel: MarketChannel, event: MarketEvent) -> None:
        """The channel has this to tell at its turn."""
        self._waiting[channel] = event
        if not self._is_due:
            self._is_due = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._spoke_at_s + self._cadence_s), self._speak)

    def forget(self, channel: MarketChannel) -> None:
        """Nobody has it any more."""
        self._waiting.pop(channel, None)

    def _speak(self) -> None:
        self._is_due, self._spoke_at_s = False, asyncio.get_running_loop().time()
        waiting, self._waiting = self._waiting, {}
        for channel, event in waiting.items():
            self._publish(channel, event)
