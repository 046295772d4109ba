"""What many sockets want: events are collected until the next flush, then written once, and every subscriber gets the same bytes. No I/O.

A topic is of one encoding. Whether it may be conflated is the protocol's to say: `key` names what a newer event replaces within a tick, and `newest`
writes what holds now for a socket that was behind. A topic without them keeps every event, in order.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from edge.fanout.connection import Connection


class Topic:
    """`write` makes ready frames of events, or nothing; it is called once a flush, and only where somebody subscribes."""

    __slots__ = ("_key", "_waiting", "_write", "newest", "subscribers")

    def __init__(
        self,
        write: Callable[[Sequence[Any]], bytes],
        key: Callable[[Any], Hashable] | None = None,
        newest: Callable[[], bytes] | None = None,
    ) -> None:
        self._write, self._key = write, key
        self.newest = newest
        self.subscribers: set[Connection] = set()
        self._waiting: dict[Hashable, Any] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether events have been added since `take`."""
        return bool(self._waiting)

    def add(self, event: Any) -> bool:
        """An event for the next flush. True: it has replaced an older one."""
        if self._key is None:
            self._waiting[len(self._waiting)] = event
            return False
        key = self._key(event)
        replaced = self._waiting.pop(key, None) is not None  # popped, so that the order is that of the newest ones
        self._waiting[key] = event
        return replaced

    def take(self) -> bytes:
        """The ready frames of what waits."""
        events = list(self._waiting.values())
        self._waiting.clear()
        return self._write(events)
