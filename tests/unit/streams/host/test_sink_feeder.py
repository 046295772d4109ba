"""A store that is another server all at once, with less than was acknowledged: the feeder reads again what is missing."""

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.party_facts import ahead, stored

from schemas.codec import BadBytes
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks import Input, SinkStats, StoreMoved
from sinks.contract import Reached
from sinks.mysql.sink import PASSED_BY
from streams.host import sink_feeder
from streams.host.shard_runner import Record
from streams.host.sink_feeder import SinkFeeder, SinkRole, input_of
from streams.roles.persist_mysql import sink_role
from streams.transport.app import TP
from surveillance.accounts.facts import BOOK, NEWS
from topics.catalogue import ALERTS, EXECUTIONS, PARTY_FACTS

LOG: dict[TP, int] = {TP("alerts", 0): 180, TP("alerts", 1): 90}
"""Records of each partition."""


class Consumer:
    """Delivers turns of a few records in the order of the log, as FastConsumer: from where it was told last."""

    def __init__(self, draw: random.Random, begins: int = 0) -> None:
        self._draw, self._begins = draw, begins
        self.next = dict.fromkeys(LOG, begins)
        self.again = 0

    def read_again(self, tp: TP, offset: int) -> None:
        """Go back, or on."""
        self.again += 1
        self.next[tp] = offset

    async def earliest_offsets(self, tp: TP) -> dict[TP, int]:
        """The log begins there."""
        return {tp: self._begins}

    async def deliver(self, feeder: SinkFeeder) -> None:
        """For ever."""
        while True:
            tp = self._draw.choice(list(LOG))
            first = self.next[tp]
            count = min(LOG[tp] - first, 1 + self._draw.randrange(5))
            if count > 0:
                self.next[tp] = first + count
                message = SimpleNamespace(tp=tp, topic=tp.topic, offset=first, records=[None] * count)
                turn = SimpleNamespace(message=message), [Input(*tp, first + step, {}) for step in range(count)]
                await feeder._waiting.put(turn)
            await asyncio.sleep(0)


class Store:
    """Keeps what it is given in order, refuses gaps, and is replaced now and then by a server that lacks its newest records."""

    def __init__(self, draw: random.Random, moves: int) -> None:
        self._draw, self._moves = draw, moves
        self.has = dict.fromkeys(LOG, 0)

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """Whole, or not at all."""
        await asyncio.sleep(0)
        if self._moves and self._draw.random() < 0.1:
            self._moves -= 1
            for tp in LOG:
                self.has[tp] = max(0, self.has[tp] - self._draw.randrange(60))
            raise StoreMoved("it moved")
        if self._draw.random() < 0.05:
            raise ServiceUnavailable("it is away")
        for one in batch:
            tp = TP(one.topic, one.partition)
            assert one.offset <= self.has[tp], f"{tp} has {self.has[tp]} records and is given {one.offset}: a gap"
            self.has[tp] = max(self.has[tp], one.offset + 1)

    async def reached(self) -> dict[tuple[str, int], Reached]:
        """Of each partition."""
        return {(tp.topic, tp.partition): Reached(offset, 0) for tp, offset in self.has.items() if offset}

    async def flush(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    def stats(self) -> SinkStats:
        """None."""
        return SinkStats()


async def feed(consumer: Consumer, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the store has the whole log. A fault of the feeder is raised here."""
    faults: list[str] = []
    monkeypatch.setattr(sink_feeder, "fail_fast", lambda text, **_: faults.append(text))
    monkeypatch.setattr(sink_feeder, "RETRY_FIRST_S", 0.0)

    async def connect(_url: str, _instruments: Any) -> Store:
        return store

    async def ack(_event: Any) -> None:
        """Nobody counts."""

    role = SinkRole("persist-mysql", (ALERTS,), connect, "x", 0, may_fall_back=True)
    feeder = SinkFeeder(SimpleNamespace(consumer=consumer), Settings(), role)
    tasks = [asyncio.create_task(feeder._write(SimpleNamespace(ack=ack))), asyncio.create_task(consumer.deliver(feeder))]
    try:
        async with asyncio.timeout(20):
            while store.has != LOG and not faults and not any(task.done() for task in tasks):  # noqa: ASYNC110
                await asyncio.sleep(0)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert not faults, results
    assert store.has == LOG


@pytest.mark.parametrize("seed", range(20))
async def test_what_a_promoted_server_lacks_is_written_again_without_a_gap(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is on its way when the store moves, and however much it lacks."""
    draw = random.Random(seed)
    await feed(Consumer(draw), Store(draw, moves=5), monkeypatch)


async def test_a_role_that_starts_behind_what_its_store_has_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ended between the promotion and the rewriting: what is committed is beyond the store."""
    draw = random.Random(1)
    consumer, store = Consumer(draw), Store(draw, moves=0)
    store.has = {TP("alerts", 0): 40, TP("alerts", 1): 90}
    consumer.next = {TP("alerts", 0): 99, TP("alerts", 1): 89}
    await feed(consumer, store, monkeypatch)
    assert consumer.again == 1, "the partition that has everything is not read again"


def test_what_a_store_passes_by_is_not_decoded_and_the_rest_is() -> None:
    """Of half minutes and sign-ins only the place counts for MySQL, so that its mark goes on. A store that says nothing gets everything."""
    half, told = (next(stored(one) for one in ahead().records if one["kind"] == kind) for kind in (BOOK, NEWS))
    inputs = [input_of(Record(PARTY_FACTS.name, 0, at, 7, None, value), PASSED_BY) for at, value in enumerate([half, told, half[:12]])]
    assert [(one.offset, one.time_ns, one.body and cast("dict[str, Any]", one.body)["headline"]) for one in inputs] == [
        (0, 7, {}),
        (1, 7, "A takeover bid"),
        (2, 7, {}),
    ]
    with pytest.raises(BadBytes):
        input_of(Record(PARTY_FACTS.name, 0, 3, 7, None, told[:-1]), PASSED_BY)
    with pytest.raises(BadBytes):
        input_of(Record(EXECUTIONS.name, 0, 4, 7, None, half), PASSED_BY)
    assert cast("dict[str, Any]", input_of(Record(PARTY_FACTS.name, 0, 5, 7, None, half)).body)["sums"] is not None
    assert sink_role(Settings()).passed_by == PASSED_BY
