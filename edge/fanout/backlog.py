"""What waits for a socket that is behind. No I/O."""

from collections import deque
from collections.abc import Callable

from edge.fanout import limits


class Backlog:
    """In order: frames that must not be lost and answers; then, of each topic that can be conflated, what holds at that time."""

    __slots__ = ("_answer_bytes", "_bytes", "_frames", "_newest", "drained", "is_blocked")

    def __init__(self) -> None:
        self._frames: deque[tuple[int, bool, Callable[[], bytes] | bytes]] = deque()
        """(bytes, whether it is an answer, the frame or what makes it)."""
        self._bytes = self._answer_bytes = 0
        self._newest: dict[Callable[[], bytes], None] = {}
        self.is_blocked = False
        """Whether the transport takes nothing."""
        self.drained = 0
        """How often it has taken something since."""

    def __len__(self) -> int:
        return len(self._frames) + len(self._newest)

    def add(self, frame: bytes) -> bool:
        """A frame that is shared with others. False: too much waits."""
        self._bytes += len(frame)
        self._frames.append((len(frame), False, frame))
        return self._bytes <= limits.BEHIND_BYTES_MAX

    def add_answer(self, size: int, make: Callable[[], bytes]) -> bool:
        """What the client has asked for, made when its turn comes. False: too much waits."""
        self._answer_bytes += size
        self._frames.append((size, True, make))
        return self._answer_bytes <= limits.ANSWER_BYTES_MAX

    def add_last(self, frame: bytes) -> None:
        """The close frame; no topic is written behind it."""
        self._newest.clear()
        self._frames.append((0, False, frame))

    def note(self, newest: Callable[[], bytes]) -> None:
        """What this makes is wanted once, when there is room."""
        self._newest[newest] = None

    def clear(self) -> None:
        """Nothing is wanted any more."""
        self._frames.clear()
        self._newest.clear()
        self._bytes = self._answer_bytes = 0

    def next_frame(self) -> bytes | None:
        """What is to be written next; None: nothing waits."""
        if self._frames:
            size, is_answer, frame = self._frames.popleft()
            if is_answer:
                self._answer_bytes -= size
            else:
                self._bytes -= size
            return frame if isinstance(frame, bytes) else frame()
        if self._newest:
            newest = next(iter(self._newest))
            del self._newest[newest]
            return newest()
        return None
