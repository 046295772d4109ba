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


def test_a_wheel_that_stood_still_calls_nobody_too_early() -> None:
    """As after a process was stopped for minutes: a call that is made before the wheel turns again is several rounds ahead of it."""
    made: list[str] = []
    wheel = TimerWheel(0.125, 16, 0.0)
    wheel.after(1.0, lambda: made.append("old"), 0.0)
    wheel.after(5.0, lambda: made.append("new"), 300.0)
    wheel.turn(300.0)
    assert made == ["old"]
    wheel.turn(304.9)
    assert (made, len(wheel)) == (["old"], 1)
    wheel.turn(305.2)
    assert (made, len(wheel)) == (["old", "new"], 0)
