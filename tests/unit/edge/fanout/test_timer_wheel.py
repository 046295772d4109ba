"""The timer wheel: every call once, not before its time and at most one turn after it."""

import random

from edge.fanout.timer_wheel import TimerWheel


def test_every_call_is_made_once_in_its_turn() -> None:
    """However unevenly the wheel is turned, and calls that come from calls."""
    chances, made, now = random.Random(3), [], 100.0
    wheel, due = TimerWheel(0.125, 512, now), {}

    def call(number: int) -> None:
        made.append((number, now))
        if number < 1_000:
            wheel.after(30.0, lambda: call(number + 1_000), now)
            due[number + 1_000] = now + 30.0

    for number in range(1_000):
        due[number] = now + (delay := chances.uniform(0, 60))
        wheel.after(delay, lambda number=number: call(number), now)
    while len(wheel):
        now += chances.choice((0.01, 0.125, 0.3))
        wheel.turn(now)
    assert all(0 <= at - due[number] <= 0.125 + 0.3 + 1e-9 for number, at in made)
    assert sorted(number for number, _ in made) == list(range(2_000))
