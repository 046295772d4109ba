"""What a store gets of orders, traced: a span below the shard that told of the order, once the store has it, and none for a repeat."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.memory_log import Exchange

from schemas.codec import Frame
from schemas.enums import Side
from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks import Input, SinkStats
from streams.host import sink_feeder
from streams.host.sink_feeder import SinkFeeder, SinkRole, input_of, traced_sink
from streams.host.traced_sink import TracedSink
from streams.transport.app import TP
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, ALERTS, BOOK_COMMANDS, EXECUTIONS, MARKET_DATA, Topic
from topics.order_traces import OrderTraces, Span, span_id, trace_id

ROLE = "persist-mysql"


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    """One trade, of two orders."""
    made = Exchange()
    made.deposit((2, 4), 10**12, 10**6)
    made.open_market()
    made.order(2, Side.SELL, 5, 18_000, "resting", instrument=2)
    made.order(4, Side.BUY, 5, 18_000, "coming", instrument=2)
    return made


def inputs(exchange: Exchange, *topics: Topic) -> list[Input]:
    """As a sink gets them."""
    return [input_of(record) for topic in topics for record in exchange.log.parts[topic.name, 0]]


def traced() -> tuple[TracedSink, list[Span]]:
    """Of every order; the clock says 9."""
    spans: list[Span] = []
    return TracedSink(ROLE, OrderTraces(1), spans.append, lambda: 9), spans


def test_each_record_of_an_order_is_below_the_shard_that_has_told_of_it(exchange: Exchange) -> None:
    """Of both orders of a trade. The times are those of the batch."""
    sink, spans = traced()
    batch = inputs(exchange, EXECUTIONS, ACCOUNT_EVENTS)
    sink.stored(batch, 4)
    assert {(span.name, span.start_ns, span.end_ns) for span in spans} == {(ROLE, 4, 9)}
    sources = {(one.topic, one.offset): cast("Frame", one.body).header for one in batch}
    orders = {int(str(span.attributes["outcry.order_id"])) for span in spans}
    assert len(orders) == 2
    for span in spans:
        order = int(str(span.attributes["outcry.order_id"]))
        place = str(span.attributes["messaging.destination.name"]), int(span.attributes["messaging.kafka.offset"])
        made_of = sources[place]
        assert span.trace_id == trace_id(order)
        assert span.span_id == span_id(order, f"{place[0]}/0", place[1], ROLE)
        assert span.parent_id == span_id(order, made_of.source, made_of.source_offset)
    topics = [span.attributes["messaging.destination.name"] for span in spans]
    assert topics.count(EXECUTIONS.name) >= 3, "both come, and meet"
    assert topics.count(ACCOUNT_EVENTS.name) >= 4, "both are accepted, and filled"
    read = [(topic.name, offset) for topic in (ACCOUNT_COMMANDS, BOOK_COMMANDS) for offset in range(len(exchange.log.parts[topic.name, 0]))]
    assert {span.parent_id for span in spans} <= {span_id(order, f"{topic}/0", offset) for order in orders for topic, offset in read}


def test_what_the_store_had_already_and_what_is_about_no_order_has_no_span(exchange: Exchange) -> None:
    """A second delivery, a replica's copy at another offset, a frame that readers refuse, alerts, and prices, which name no order."""
    sink, spans = traced()
    batch = inputs(exchange, EXECUTIONS)
    sink.stored(batch, 4)
    first = len(spans)
    sink.stored(batch, 4)
    sink.stored([one._replace(offset=one.offset + 100) for one in batch], 4)
    frame = cast("Frame", batch[-1].body)
    sink.stored([batch[-1]._replace(body=replace(frame, header=replace(frame.header, source_offset=1 << 60)))], 4)
    sink.stored([Input(ALERTS.name, 0, 0, {"alert_id": "x"}), *inputs(exchange, MARKET_DATA)], 4)
    assert len(spans) == first > 0


class Store:
    """Away at first."""

    def __init__(self) -> None:
        self.asked = 0

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """The second time."""
        self.asked += 1
        if self.asked == 1:
            raise ServiceUnavailable("away")

    async def reached(self) -> dict[tuple[str, int], Any]:
        """Nothing yet."""
        return {}

    def stats(self) -> SinkStats:
        """None."""
        return SinkStats()


async def test_a_span_is_told_when_the_store_has_the_record_and_not_before(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away makes it longer."""
    monkeypatch.setattr(sink_feeder, "RETRY_FIRST_S", 0.0)
    store, (sink, spans), told = Store(), traced(), list[tuple[int, int]]()
    done = asyncio.Event()

    async def connect(_url: str, _instruments: Any) -> Any:
        return store

    async def ack(_event: Any) -> None:
        told.append((store.asked, len(spans)))
        done.set()

    feeder = SinkFeeder(cast("Any", None), Settings(), SinkRole(ROLE, (EXECUTIONS,), connect, "x", 0), traced=sink)
    batch = inputs(exchange, EXECUTIONS)
    message = SimpleNamespace(tp=TP(EXECUTIONS.name, 0), topic=EXECUTIONS.name, offset=0, records=[None] * len(batch))
    await feeder._waiting.put((SimpleNamespace(message=message), batch))
    writing = asyncio.create_task(feeder._write(SimpleNamespace(ack=ack)))
    try:
        await asyncio.wait_for(done.wait(), 60)
        while not spans:  # noqa: ASYNC110  told right behind the acknowledgement
            await asyncio.sleep(0)
    finally:
        writing.cancel()
    assert told == [(2, 0)]
    assert all(span.start_ns > 1_000_000_000 for span in spans), "the time of the wall at which the store was first asked"


def test_without_traces_there_is_nothing_to_call() -> None:
    """The default."""
    assert traced_sink(Settings(), ROLE) is None
