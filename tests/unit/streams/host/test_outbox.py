"""What a replica does with outputs that another one writes: hold them, let go of what is written, send the rest in order when it is its turn."""

import asyncio

import pytest

from streams.host import outbox as outbox_module
from streams.host.outbox import Outbox
from streams.host.shard_runner import Output


class Broker:
    """Takes outputs; acknowledges them when told to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.waiting: list[asyncio.Future[None]] = []

    async def send(self, output: Output) -> asyncio.Future[None]:
        self.taken.append(output.value)
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def acknowledge(self) -> None:
        for one in self.waiting:
            if not one.done():
                one.set_result(None)


async def filled(broker: Broker, *, writes: bool) -> Outbox:
    """The outputs of inputs 0 to 4, one each."""
    outbox = Outbox(broker.send)
    for offset in range(5):
        await outbox.put(offset, [Output("executions", 0, b"%d" % offset)], float(offset), writes=writes)
    return outbox


async def test_a_writer_sends_at_once_and_a_follower_holds() -> None:
    """An input without outputs is held by nobody."""
    broker = Broker()
    outbox = await filled(broker, writes=True)
    assert broker.taken == [b"0", b"1", b"2", b"3", b"4"]
    assert (outbox.held, outbox.held_since) == (0, None)
    silent = Broker()
    outbox = await filled(silent, writes=False)
    await outbox.put(5, [], 5.0, writes=False)
    assert (silent.taken, outbox.held, outbox.held_since) == ([], 5, 0.0)


async def test_what_is_written_is_let_go_and_the_rest_is_sent_in_order() -> None:
    """From the offset on up to which the log has everything."""
    broker = Broker()
    outbox = await filled(broker, writes=False)
    outbox.cover(2)
    assert (outbox.held, outbox.held_since) == (3, 2.0)
    await outbox.send_held(3)
    assert (broker.taken, outbox.held) == ([b"3", b"4"], 0)


async def test_a_snapshot_waits_for_outputs_that_another_writes() -> None:
    """Were it durable before them, and the writer dead, nobody would make them again."""
    broker, gone = Broker(), asyncio.Event()
    outbox = await filled(broker, writes=False)
    waiting = asyncio.create_task(outbox.until_written(outbox.take(), 3, gone))
    outbox.cover(2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done(), "input 2 is before the snapshot"
    outbox.cover(3)
    await waiting
    assert outbox.held == 2


async def test_a_snapshot_waits_until_what_was_held_is_acknowledged() -> None:
    """Also what this replica began to send while it waited."""
    broker, gone = Broker(), asyncio.Event()
    outbox = await filled(broker, writes=False)
    waiting = asyncio.create_task(outbox.until_written(outbox.take(), 5, gone))
    await asyncio.sleep(0)
    await outbox.send_held(0)
    for _ in range(5):
        await asyncio.sleep(0)
    assert broker.taken == [b"0", b"1", b"2", b"3", b"4"]
    assert not waiting.done()
    broker.acknowledge()
    await waiting


async def test_a_partition_that_goes_is_not_waited_for() -> None:
    """Its next owner begins at the snapshot before."""
    outbox, gone = await filled(Broker(), writes=False), asyncio.Event()
    gone.set()
    await outbox.until_written(outbox.take(), 5, gone)


async def test_a_comparison_waits_for_all_that_was_sent_before_it() -> None:
    """Also for what a snapshot waits for."""
    broker, gone = Broker(), asyncio.Event()
    outbox = await filled(broker, writes=True)
    snapshot = asyncio.create_task(outbox.until_written(outbox.take(), 5, gone))
    compared = asyncio.create_task(outbox.until_acknowledged())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not compared.done() and not snapshot.done()
    broker.acknowledge()
    await asyncio.gather(compared, snapshot)


async def test_memory_is_bounded_by_sending_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else sends them: a second copy does no harm."""
    monkeypatch.setattr(outbox_module, "HELD_BYTES_MAX", 3)
    broker = Broker()
    outbox = await filled(broker, writes=False)
    assert (broker.taken, outbox.held) == ([b"0", b"1"], 3)


async def test_what_belongs_into_a_copy_is_never_sent_however_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shard waits until the copy has it, or until its partition is gone."""
    monkeypatch.setattr(outbox_module, "HELD_BYTES_MAX", 2)
    broker = Broker()
    for ends in (lambda outbox: outbox.cover(1), lambda outbox: outbox.close()):
        outbox = Outbox(broker.send, {"executions"})
        for offset in range(2):
            await outbox.put(offset, [Output("executions", 0, b"x")], 0.0, writes=False)
        waiting = asyncio.create_task(outbox.put(2, [Output("executions", 0, b"x")], 0.0, writes=False))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        ends(outbox)
        await asyncio.wait_for(waiting, 5)
    assert broker.taken == []


async def test_what_is_in_no_copy_is_sent_by_a_follower_too() -> None:
    """Nobody else writes it here. A snapshot waits for both."""
    broker, gone = Broker(), asyncio.Event()
    outbox = Outbox(broker.send, {"party.facts"})
    await outbox.put(0, [Output("alerts", 0, b"alert"), Output("party.facts", 0, b"fact")], 0.0, writes=False)
    await outbox.put(1, [Output("alerts", 0, b"another")], 0.0, writes=False)
    assert (broker.taken, outbox.held) == ([b"alert", b"another"], 1)
    waiting = asyncio.create_task(outbox.until_written(outbox.take(), 2, gone))
    for end in (broker.acknowledge, lambda: outbox.cover(1)):
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        end()
    await asyncio.wait_for(waiting, 5)


async def test_when_the_copy_ends_who_waited_for_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would cover what is held any more."""
    monkeypatch.setattr(outbox_module, "HELD_BYTES_MAX", 1)
    broker = Broker()
    outbox = Outbox(broker.send, {"executions"})
    await outbox.put(0, [Output("executions", 0, b"0")], 0.0, writes=False)
    waiting = asyncio.create_task(outbox.put(1, [Output("executions", 0, b"1")], 0.0, writes=False))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    outbox.end_copy()
    await asyncio.wait_for(waiting, 5)
    assert (broker.taken, outbox.held) == ([b"0"], 1)
