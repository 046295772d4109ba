"""Our changes to Faust's consumer: delivery without a race where nothing waits, and the version that they were written against."""

import asyncio
from importlib.metadata import version
from types import SimpleNamespace

import faust
import pytest
import pytest_asyncio
from aiokafka.errors import IllegalStateError, UnknownError
from faust.tables.recovery import RebalanceAgain, ServiceStopped
from faust.types import TP
from turns import message_of, turn_of

from schemas.errors import ServiceUnavailable
from streams.host.shard_runner import Record
from streams.transport.consumer import SEEK_AGAIN_S, FastConsumer, InOrderStream, InputOrder, consumer_class, turns_of
from streams.transport.recovery import ChangelogRecovery, ChangelogTables

INPUT = TP("book.commands", 0)


@pytest_asyncio.fixture
async def consumer() -> FastConsumer:
    """A consumer of a real app that was never started."""
    app = faust.App("unit", broker="aiokafka://127.0.0.1:1", loop=asyncio.get_running_loop())
    app.transport.Consumer = consumer_class(gulp_bytes=7, gulp_wait_ms=8)
    return app.consumer


def test_faust_and_aiokafka_are_the_versions_whose_internals_we_drive():
    """A newer version must be read again: streams.transport.consumer, streams.transport.recovery, streams.transport.app, streams.host.shard_host."""
    assert (version("faust-streaming"), version("aiokafka"), version("mode-streaming")) == ("0.15.3", "0.14.0", "0.7.1")


async def test_a_delivery_that_does_not_wait_is_done_at_once(consumer):
    """No task is made for it."""
    done = []

    async def deliver() -> None:
        done.append("delivered")

    tasks = asyncio.all_tasks()
    assert await consumer.wait_first(deliver(), consumer.suspend_flow.wait()) is None
    assert done == ["delivered"]
    assert asyncio.all_tasks() == tasks


async def test_a_delivery_that_has_to_wait_goes_on_when_it_can(consumer):
    """Its first step is not made twice, and what it waited for comes through."""
    steps = []
    room = asyncio.get_running_loop().create_future()

    async def deliver() -> None:
        steps.append("tried")
        steps.append(await room)
        await asyncio.sleep(0)
        steps.append("delivered")

    asyncio.get_running_loop().call_later(0.01, room.set_result, "room")
    await consumer.wait_first(deliver(), consumer.suspend_flow.wait())
    assert steps == ["tried", "room", "delivered"]


async def test_a_delivery_that_waits_gives_way_to_a_suspended_flow(consumer):
    """A rebalance must not hang behind a full buffer."""
    cancelled = asyncio.Event()

    async def deliver() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    asyncio.get_running_loop().call_later(0.01, consumer.suspend_flow.set)
    await asyncio.wait_for(consumer.wait_first(deliver(), consumer.suspend_flow.wait()), 10)
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_an_error_of_a_delivery_is_not_swallowed(consumer):
    """At once or later."""

    async def fails_at_once() -> None:
        raise LookupError

    async def fails_later() -> None:
        await asyncio.sleep(0.001)
        raise LookupError

    for deliver in (fails_at_once, fails_later):
        with pytest.raises(LookupError):
            await consumer.wait_first(deliver(), consumer.suspend_flow.wait())


async def test_the_gulp_is_the_apps_own(consumer):
    """One app's setting is not another's."""
    assert (consumer.gulp_bytes, consumer.gulp_wait_ms) == (7, 8)
    assert (FastConsumer.gulp_bytes, FastConsumer.gulp_wait_ms) == (1, 500)


def test_a_record_that_does_not_follow_is_not_delivered():
    """Repeats pass, what comes too early does not, however often it comes; going back is asked for once in a while."""
    order = InputOrder(425)
    assert not order.admits(446)
    assert order.goes_back(10.0)
    assert not order.goes_back(10.0 + SEEK_AGAIN_S / 2), "one seek is on its way"
    assert [order.admits(offset) for offset in (424, 425, 426, 426, 428)] == [True, True, True, True, False]
    for number in range(100):
        assert not order.admits(428)
        assert order.goes_back(20.0 + number)
    assert order.admits(427) and order.admits(428)


async def test_what_the_log_has_lost_is_not_waited_for(consumer):
    """The consumer goes to the first record that is there, and the role is given that: a shard stops, a sink goes on. A broker that does not say is asked again."""
    sought, answers = [], [ServiceUnavailable("away"), {INPUT: 40}]

    async def seek_wait(partitions: dict[TP, int]) -> None:
        sought.append(partitions)

    async def earliest_offsets(*_: TP) -> dict[TP, int]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    consumer.seek_wait, consumer.earliest_offsets = seek_wait, earliest_offsets
    order = InputOrder(7)
    consumer._order = {INPUT: order}
    assert not await consumer.is_next(INPUT, 50) and not sought
    order.sought_s = float("-inf")
    assert not await consumer.is_next(INPUT, 50)
    assert sought == [{INPUT: 40}]
    assert await consumer.is_next(INPUT, 40)
    assert not await consumer.is_next(INPUT, 42)


async def test_an_agent_gets_nothing_after_a_revocation_until_the_consumer_is_at_what_is_committed(consumer):
    """Whatever is still on its way was read for the former assignment."""
    consumer._order = {INPUT: InputOrder(7)}
    assert await consumer.is_next(INPUT, 7)
    await consumer.on_partitions_revoked({INPUT})
    assert not await consumer.is_next(INPUT, 8)


async def test_an_input_that_comes_too_early_sends_the_consumer_back_to_the_one_that_is_missing(consumer):
    """Once, not for each that follows; then all come again and none is left out."""
    sought = []

    async def seek_wait(partitions: dict[TP, int]) -> None:
        sought.append(partitions)

    async def earliest_offsets(*_: TP) -> dict[TP, int]:
        return {INPUT: 0}

    consumer.seek_wait, consumer.earliest_offsets = seek_wait, earliest_offsets
    consumer._order = {INPUT: InputOrder(7)}
    came = [7, 9, 10, 11, 8, 9, 10]
    assert [offset for offset in came if await consumer.is_next(INPUT, offset)] == [7, 8, 9, 10]
    assert sought == [{INPUT: 8}]


async def test_a_member_that_aiokafka_gives_up_ends_the_role(consumer, monkeypatch):
    """Nobody reads during a rebalance, so nobody would take the error that aiokafka waits to be taken, and the role would wait for ever."""
    monkeypatch.setattr("streams.transport.consumer.MEMBERSHIP_EVERY_S", 0.001)
    loop = asyncio.get_running_loop()
    done, failed, open_ = (loop.create_future() for _ in range(3))
    done.set_result(None)
    failed.set_exception(LookupError("it is broken"))
    coordinator = SimpleNamespace(_pending_exception=None, _coordination_task=open_, _closing=open_, member_id="one")
    consumer._thread = SimpleNamespace(_ensure_consumer=lambda: SimpleNamespace(_coordinator=coordinator))
    staying = asyncio.create_task(FastConsumer._stay_member.fun(consumer))
    await asyncio.sleep(0.05)
    assert not staying.done()
    coordinator._pending_exception = UnknownError("the broker's disk is full")
    with pytest.raises(UnknownError):
        await asyncio.wait_for(staying, 10)
    coordinator._pending_exception, coordinator._coordination_task = None, failed
    with pytest.raises(LookupError, match="it is broken"):
        await asyncio.wait_for(FastConsumer._stay_member.fun(consumer), 10)
    coordinator._closing = done
    staying = asyncio.create_task(FastConsumer._stay_member.fun(consumer))
    await asyncio.sleep(0.05)
    assert not staying.done(), "it is being closed"
    staying.cancel()


async def test_a_role_that_does_not_become_a_member_again_ends(consumer, monkeypatch):
    """The supervisor starts it again; without that it would wait for its partitions for ever, and say that a rebalance is under way."""
    monkeypatch.setattr("streams.transport.consumer.MEMBERSHIP_EVERY_S", 0.001)
    open_ = asyncio.get_running_loop().create_future()
    coordinator = SimpleNamespace(_pending_exception=None, _coordination_task=open_, _closing=open_, member_id="")
    connecting = SimpleNamespace(_coordinator=None)
    consumer._thread = SimpleNamespace(_ensure_consumer=lambda: connecting)
    staying = asyncio.create_task(FastConsumer._stay_member.fun(consumer))
    await asyncio.sleep(0.05)
    connecting._coordinator = coordinator
    await asyncio.sleep(0.05)
    assert not staying.done(), "it is joining"
    monkeypatch.setattr("streams.transport.consumer.MEMBERLESS_MAX_S", 0.0)
    coordinator.member_id = "two"
    await asyncio.sleep(0.05)
    assert not staying.done(), "it has joined"
    coordinator.member_id = ""
    with pytest.raises(ServiceUnavailable, match="has been no member of its consumer group"):
        await asyncio.wait_for(staying, 10)


def records(*offsets: int, value: bytes = b"v") -> list[Record]:
    """Of one partition."""
    return [Record(*INPUT, offset, 10**9, b"k", value) for offset in offsets]


def test_a_turn_is_what_has_arrived_cut_where_it_is_long_or_something_is_missing(monkeypatch):
    """Within one, records follow on one another; nothing is left out and the order stays."""
    monkeypatch.setattr("streams.transport.consumer.TURN_RECORDS_MAX", 3)
    monkeypatch.setattr("streams.transport.consumer.TURN_BYTES_MAX", 10)

    def cut(found: list[Record]) -> list[list[int]]:
        return [[one.offset() for one in turn] for turn in turns_of([message_of(record) for record in found])]

    assert cut(records(4, 5)) == [[4, 5]]
    assert cut(records(4, 5, 7, 8, 9, 10, 11)) == [[4, 5], [7, 8, 9], [10, 11]]
    assert cut(records(1, 2, 3, value=b"123456")) == [[1, 2], [3]]
    assert cut(records(1, 2, value=bytes(100))) == [[1], [2]]
    assert cut([]) == []


async def test_a_turn_is_given_out_once_whole_and_acknowledged_record_by_record(consumer):
    """So that Faust commits behind its last record, and not before all turns before it are acknowledged."""
    consumer.app.topics.acks_enabled_for = lambda topic: True
    first, second = turn_of(records(7, 8)), turn_of(records(9, 10, 11))
    consumer._order = {INPUT: InputOrder(7, sought_s=float("inf"))}
    assert not await consumer.is_next(INPUT, second.offset, len(second.records)), "it does not follow yet"
    assert await consumer.is_next(INPUT, first.offset, len(first.records))
    assert await consumer.is_next(INPUT, second.offset, len(second.records))
    assert await consumer.is_next(INPUT, 10, 3), "a part of it is a repeat, and the role knows repeats"
    assert consumer._order[INPUT].expected == 13
    consumer._committed_offset[INPUT] = 7
    for turn in (first, second):
        turn.incref()
    assert second.ack(consumer)
    assert consumer._new_offset(INPUT) is None
    assert first.ack(consumer)
    assert consumer._new_offset(INPUT) == 12


async def test_a_full_buffer_leaves_no_partition_out_of_the_next_fetch(consumer):
    """Faust would sleep for a second where no other is left."""
    consumer._set_active_tps({INPUT})
    consumer.on_buffer_full(INPUT)
    assert consumer._get_active_partitions() == {INPUT}


async def test_faust_itself_drops_nothing_as_old(consumer):
    """It notes what it delivered last also when the consumer has meanwhile gone back, and would then drop what is missing."""
    consumer._read_offset[INPUT] = 9
    consumer._read_offset.update({INPUT: 9})
    assert consumer._read_offset[INPUT] is None


async def test_an_app_that_is_told_to_uses_our_streams_and_tables():
    """Faust takes them from its settings."""
    app = faust.App(
        "unit", broker="aiokafka://127.0.0.1:1", loop=asyncio.get_running_loop(), Stream=InOrderStream, TableManager=ChangelogTables
    )
    assert isinstance(app.stream(app.channel()), InOrderStream)
    assert isinstance(app.tables, ChangelogTables)
    assert isinstance(app.tables.recovery, ChangelogRecovery)


class Positions:
    """As much of aiokafka's consumer as an assignment needs."""

    def __init__(self) -> None:
        self.paused: set[TP] = set()
        self.at: dict[TP, int] = {}
        self._coordinator = SimpleNamespace(generation=1)

    def pause(self, *tps: TP) -> None:
        self.paused.update(tps)

    def seek(self, tp: TP, offset: int) -> None:
        self.at[tp] = offset


async def test_aiokafka_fetches_nothing_and_has_a_position_all_the_same(consumer, monkeypatch):
    """Else it asks a broker for one, and commits nothing on it until it has been told: for minutes, where another broker leads it now."""
    changelog, kafka, told = TP(consumer.app.Table("books").changelog_topic_name, 0), Positions(), []

    async def assigned(tps: set[TP], generation: int) -> None:
        told.append(tps)

    monkeypatch.setattr(consumer._thread, "_ensure_consumer", lambda: kafka)
    monkeypatch.setattr(consumer._thread, "on_partitions_assigned", assigned)
    await consumer.RebalanceListener(consumer._thread).on_partitions_assigned([INPUT, changelog])
    assert (kafka.paused, kafka.at, told) == ({INPUT, changelog}, {INPUT: 0, changelog: 0}, [{INPUT, changelog}])


async def test_a_recovery_whose_assignment_was_taken_back_begins_anew_with_the_next(consumer):
    """Aiokafka says so while the committed offsets are asked for; it once ended the role."""
    recovery = ChangelogTables(consumer.app).recovery
    ends = [IllegalStateError("No current assignment"), RebalanceAgain(), None, ServiceStopped()]
    began = []

    async def signalled(_: object) -> bool:
        return False

    async def recover(generation: int) -> None:
        began.append(generation)
        if (end := ends.pop(0)) is not None:
            raise end

    recovery.wait_for_stopped, recovery._recover, recovery._wait = signalled, recover, lambda coroutine: coroutine
    await asyncio.wait_for(type(recovery)._restart_recovery.fun(recovery), 10)
    assert len(began) == 4 and not ends
