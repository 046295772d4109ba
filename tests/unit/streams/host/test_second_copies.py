"""What two active-active replicas publish, read in any interleaving, is to every reader what one of them publishes."""

import random

import numpy as np
import pytest

from edge.gateway.source_filter import SourceFilter
from schemas.codec import FRAMES, Header, decode_frame, encode_frame
from schemas.enums import BookCommandKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from sinks.elastic.documents import documents
from sinks.partition_marks import PartitionMarks
from streams.host.shard_runner import Record, ShardRunner
from streams.host.sink_feeder import input_of
from streams.roles.match_orders import MatchOrders
from streams.roles.publish_market_data import PublishMarketData
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS
from topics.sources import sources_of

INSTRUMENTS = load_instruments(None)
START_NS = 1_700_000_000_000_000_000
FRAME = "book_command_frame"


def commands(rng: random.Random, count: int) -> list[bytes]:
    """The log of a book shard: the market opens, then orders of a few accounts that meet now and then."""
    log = []
    for number in range(count):
        rows = np.zeros(rng.randint(1, 4), FRAMES[FRAME].dtype)
        rows["transact_time"] = START_NS + number * 1_000_000
        source = f"{ACCOUNT_COMMANDS.name}/0"
        if number == 0:
            rows = rows[:1]
            rows["kind"], rows["phase"] = BookCommandKind.TRADING_SESSION_CHANGE, Phase.CONTINUOUS
            source = "operator"
        else:
            rows["kind"], rows["ord_type"], rows["time_in_force"] = BookCommandKind.NEW_ORDER, OrdType.LIMIT, TimeInForce.GTC
            rows["instrument"] = 1
            for at in range(len(rows)):
                rows["side"][at], rows["order_qty"][at] = rng.choice(list(Side)), rng.randint(1, 20)
                rows["price"][at], rows["account"][at] = 18_000 + rng.randint(-3, 3), rng.randint(1, 5)
                rows["order_id"][at] = number * 10 + at
        log.append(encode_frame(FRAME, Header(source, number), rows))
    return log


def published(log: list[bytes]) -> list[bytes]:
    """The frames of executions that a replica makes of the log, in order."""
    runner = ShardRunner(MatchOrders(0, INSTRUMENTS, 1, 1))
    outputs = []
    for offset, value in enumerate(log):
        outputs += runner.feed(Record(BOOK_COMMANDS.name, 0, offset, START_NS + offset * 1_000_000, None, value))
    return [one.value for one in outputs if one.topic == EXECUTIONS.name]


def interleaved(rng: random.Random, frames: list[bytes], replicas: int) -> list[bytes]:
    """Each replica's frames in their order, some sent again after a restart, in one partition."""
    places = [0] * replicas
    mixed = []
    while min(places) < len(frames):
        replica = rng.choice([number for number, place in enumerate(places) if place < len(frames)])
        burst = rng.randint(1, 8)
        mixed += frames[places[replica] : places[replica] + burst]
        places[replica] += burst
        if rng.random() < 0.1:
            places[replica] = max(0, places[replica] - rng.randint(1, 12))  # it died and began at its snapshot
    return mixed


def market_view(partition: list[bytes]) -> tuple[bytes, bytes]:
    """State and rows of the publisher of market data over a partition of executions."""
    runner = ShardRunner(PublishMarketData(0, INSTRUMENTS))
    rows = []
    for offset, value in enumerate(partition):
        for output in runner.feed(Record(EXECUTIONS.name, 0, offset, START_NS, None, value)):
            rows.append(decode_frame(output.value).rows.tobytes())
    return runner.processor.state_hash(), b"".join(rows)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("replicas", [2, 3])
def test_every_reader_takes_each_frame_once_and_in_order(seed, replicas):
    """Shards, the edge, MySQL and Elasticsearch; the seed makes the books, the interleaving and the restarts."""
    rng = random.Random(seed)
    log = commands(rng, 60)
    alone = published(log)
    assert alone == published(log), "replicas agree to the byte"
    mixed = interleaved(rng, alone, replicas)
    assert len(mixed) >= replicas * len(alone) > 100

    edge = SourceFilter(sources_of(EXECUTIONS, 0))
    assert [value for value in mixed if edge.is_new(decode_frame(value).header, START_NS)] == alone

    inputs = [input_of(Record(EXECUTIONS.name, 0, offset, START_NS, None, value)) for offset, value in enumerate(mixed)]
    mysql = PartitionMarks()
    assert [mixed[one.offset] for one in inputs if mysql.take(one)] == alone

    assert market_view(mixed) == market_view(alone)

    def stored(partition):
        audit = {}
        for offset, value in enumerate(partition):
            for document in documents(input_of(Record(EXECUTIONS.name, 0, offset, START_NS, None, value)), INSTRUMENTS):
                audit.setdefault(document.action, document.source.replace(b'"offset":%d,' % offset, b""))  # create: the first one stays
        return audit

    assert stored(mixed) == stored(alone)
