"""The edge in front of a shard that is late, or whose queue is long: refused at once, nothing lost, and back by itself."""

import asyncio

import pytest

from edge.gateway.accounts.command_frames import Command
from edge.gateway.accounts.command_producer import CommandProducer, QueueFull, ShardLate
from edge.gateway.limits import LATE_PROBE_S, QUEUED_COMMANDS_MAX, SHARD_LATE_S
from schemas.codec import decode_frame
from schemas.enums import CommandKind


class Log:
    """Stands where the Kafka producer is: takes frames, or holds them back until it is let."""

    def __init__(self):
        self.frames = []
        self.open = asyncio.Event()
        self.open.set()

    async def append(self, topic, partition, value):
        """As LogSender's."""
        await self.open.wait()
        self.frames.append((partition, decode_frame(value)))


class Clock:
    """Seconds that the test sets."""

    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return int(self.now_s * 1e9)


def command(number, account=0):
    """A cancel; which one does not matter."""
    return Command(CommandKind.CANCEL, account, number, 0)


async def sent(log, count):
    """Return when so many commands are in the log."""
    async with asyncio.timeout(120):
        while sum(len(frame.rows) for _, frame in log.frames) < count:  # noqa: ASYNC110  the producer's own task makes it true
            await asyncio.sleep(0.001)


async def test_a_late_shard_gets_a_probe_now_and_then_and_the_first_answer_ends_it():
    """Others are refused at once: nothing of theirs was sent."""
    log, clock = Log(), Clock()
    producer = CommandProducer(log, 2, "edge-0", 0, clock, lambda *_: None)
    producer.enqueue_nowait(command(1))
    await sent(log, 1)
    clock.now_s += SHARD_LATE_S - 0.01
    producer.enqueue_nowait(command(2))
    await sent(log, 2)
    clock.now_s += 0.02
    producer.enqueue_nowait(command(3))  # the probe
    with pytest.raises(ShardLate):
        producer.enqueue_nowait(command(4))
    producer.enqueue_nowait(command(5, account=1))  # of the other shard, which is well
    clock.now_s += LATE_PROBE_S
    producer.enqueue_nowait(command(6))
    with pytest.raises(ShardLate):
        producer.enqueue_nowait(command(7))
    producer.answered(0)
    producer.enqueue_nowait(command(8))
    await sent(log, 6)
    assert producer.stats().refused_late == 2
    assert {int(one) for _, frame in log.frames for one in frame.rows["request_id"]} == {1, 2, 3, 5, 6, 8}
    await producer.close(1)


async def test_a_shard_that_answers_is_never_late_however_long_the_edge_is_idle():
    """Lateness counts from a question without an answer, not from the last answer."""
    log, clock = Log(), Clock()
    producer = CommandProducer(log, 1, "edge-0", 0, clock, lambda *_: None)
    for number in range(5):
        producer.enqueue_nowait(command(number))
        await sent(log, number + 1)
        producer.answered(0)
        clock.now_s += 10 * SHARD_LATE_S
    assert producer.stats().refused_late == 0
    await producer.close(1)


async def test_a_queue_that_is_full_refuses_and_keeps_what_it_has():
    """While the log takes nothing, memory is bounded; once it does, all that was taken goes out in order."""
    log, clock = Log(), Clock()
    log.open.clear()
    producer = CommandProducer(log, 1, "edge-0", 0, clock, lambda *_: None)
    for number in range(QUEUED_COMMANDS_MAX):
        producer.enqueue_nowait(command(number))
    with pytest.raises(QueueFull):
        producer.enqueue_nowait(command(-1))
    log.open.set()
    await producer.close(20)
    ids = [int(one) for _, frame in log.frames for one in frame.rows["request_id"]]
    assert ids == list(range(QUEUED_COMMANDS_MAX))
