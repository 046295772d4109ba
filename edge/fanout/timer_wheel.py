"""One timer for everything that waits: a hashed wheel. No I/O; the clock is the caller's.

A waiting call costs one place in a list, and nothing until its slot comes round. It cannot be taken back: who is called looks whether it still
matters. So a hundred thousand sockets need one timer of the loop, not one each.
"""

from collections.abc import Callable

Call = Callable[[], None]


class TimerWheel:
    """`turn_s` is the exactness: calls come up to one turn late, never early. Delays are at most slots - 2 turns."""

    def __init__(self, turn_s: float, slots: int, now_s: float) -> None:
        self._turn_s = turn_s
        self._slots: list[list[Call]] = [[] for _ in range(slots)]
        self._began_s = now_s
        self._turned = 0
        """Turns that have been made since the beginning."""

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def after(self, delay_s: float, call: Call, now_s: float) -> None:
        """Call once, when the delay is over."""
        turn = int((now_s + delay_s - self._began_s) / self._turn_s) + 1
        assert turn - self._turned < len(self._slots), "a delay that goes round the wheel"
        self._slots[max(turn, self._turned + 1) % len(self._slots)].append(call)

    def turn(self, now_s: float) -> None:
        """Make the calls that are due."""
        due = int((now_s - self._began_s) / self._turn_s)
        while self._turned < due:
            self._turned += 1
            place = self._turned % len(self._slots)
            calls, self._slots[place] = self._slots[place], []
            for call in calls:
                call()
