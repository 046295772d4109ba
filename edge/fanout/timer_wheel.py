"""One timer for everything that waits: a hashed wheel. No I/O; the clock is the caller's.

A waiting call costs one place in a list, and nothing until its slot comes round. It cannot be taken back: who is called looks whether it still
matters. So a hundred thousand sockets need one timer of the loop, not one each.
"""

from collections.abc import Callable

Call = Callable[[], None]


class TimerWheel:
    """`turn_s` is the exactness: calls come up to one turn late, never early. A delay of more than one round costs a look in each round."""

    def __init__(self, turn_s: float, slots: int, now_s: float) -> None:
        self._turn_s = turn_s
        self._slots: list[list[tuple[int, Call]]] = [[] for _ in range(slots)]
        """Of each slot: in which turn to call, and whom."""
        self._began_s = now_s
        self._turned = 0
        """Turns that have been made since the beginning."""

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def after(self, delay_s: float, call: Call, now_s: float) -> None:
        """Call once, when the delay is over."""
        turn = max(int((now_s + delay_s - self._began_s) / self._turn_s), self._turned) + 1
        self._slots[turn % len(self._slots)].append((turn, call))

    def turn(self, now_s: float) -> None:
        """Make the calls that are due. The wheel may have stood still for long: whoever comes meanwhile is more than one round ahead of it."""
        due = int((now_s - self._began_s) / self._turn_s)
        while self._turned < due:
            self._turned += 1
            place = self._turned % len(self._slots)
            waiting, self._slots[place] = self._slots[place], []
            self._slots[place] += [one for one in waiting if one[0] > self._turned]
            for turn, call in waiting:
                if turn <= self._turned:
                    call()
