"""The rule of marks: repeats, bounds that are a function of the log, and every reader's use of it."""

from contextlib import suppress
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import generate_latest

from edge.gateway.metrics import Metrics
from edge.gateway.source_filter import SourceFilter
from schemas.codec import FRAMES, BadBytes, Header, decode_frame, decode_record, encode_frame
from schemas.enums import ExecKind
from schemas.instruments import load_instruments
from schemas.limits import FIRST_OFFSET_MAX, FRAMES_PER_INPUT_MAX, JUMP_SLACK_S, RECORDS_PER_S_MAX
from schemas.marks import Marks
from sinks.partition_marks import PartitionMarks
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.host.sink_feeder import input_of
from streams.host.snapshots import SnapshotStore
from streams.proofs.compare_outputs import Compared, RecordedOutputs
from streams.proofs.rebuild import AsItIs
from streams.roles.publish_market_data import PublishMarketData
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, DEAD_LETTERS, EDGE_REPLIES, EXECUTIONS, MARKET_DATA, TOPICS
from topics.sources import sources_of

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
SOURCE = "book.commands/0"
JUMP = RECORDS_PER_S_MAX * JUMP_SLACK_S
ABSURD = 1 << 62


def at(offset: int, index: int = 0, source: str = SOURCE) -> Header:
    """Of a shard's frame."""
    return Header(source, offset, index)


def begun(offset: int = 1_000) -> Marks:
    """One frame of the source is known."""
    marks = Marks()
    assert marks.take(at(offset), NOW)
    return marks


def test_a_frame_is_new_once_and_in_the_order_of_its_source():
    """By offset, then by index; each source for itself."""
    marks = Marks()
    places = [(1, 0), (1, 1), (1, 0), (0, 5), (2, 0), (2, 0)]
    assert [marks.take(at(*place), NOW) for place in places] == [True, True, False, False, True, False]
    assert marks.take(at(0, source="book.commands/1"), NOW)
    assert marks.suspicious == 0


@pytest.mark.parametrize(
    "place", [(ABSURD, 0), (-1, 0), (-(1 << 63), 0), (1_001, -1), (1_001, FRAMES_PER_INPUT_MAX), (1_000, (1 << 31) - 1)]
)
def test_a_place_that_its_source_cannot_have_is_refused_and_changes_nothing(place):
    """And told; the true frames behind it are taken as before."""
    marks = begun()
    before = dict(marks.state)
    with pytest.raises(BadBytes, match="WRONG_PLACE"):
        marks.take(at(*place), NOW + SECOND)
    assert marks.state == before
    assert (marks.refused[SOURCE], marks.jumps.total()) == (1, 0)
    assert marks.take(at(1_001), NOW + SECOND)


def test_a_source_may_have_read_what_a_shard_can_read_since_its_last_frame():
    """One record more is refused, and so it is however often one tries: forgeries lead a mark no further together than one of them."""
    marks = begun()
    most = 1_000 + JUMP + RECORDS_PER_S_MAX
    with pytest.raises(BadBytes):
        marks.take(at(most + 1), NOW + SECOND)
    assert marks.take(at(most), NOW + SECOND)
    assert marks.jumps[SOURCE] == 1
    with pytest.raises(BadBytes):
        marks.take(at(most + 1), NOW + SECOND)
    assert marks.take(at(most + RECORDS_PER_S_MAX), NOW + 2 * SECOND)


def test_a_shard_that_is_well_never_alarms_whatever_it_reads_for_nobody():
    """Silent for days while its own log grew at full speed; then frame by frame; a clock of a new leader that is behind counts for nothing."""
    marks = begun()
    days = 3 * 86_400
    assert marks.take(at(1_000 + RECORDS_PER_S_MAX * days), NOW + days * SECOND)
    for step in range(1, 100):
        assert marks.take(at(1_000 + RECORDS_PER_S_MAX * days + step), NOW + days * SECOND - step * SECOND // 10)
    assert marks.suspicious == 0


def test_the_first_frame_of_a_source_may_be_of_an_old_log_and_no_more():
    """An idle exchange ticks for months before somebody trades."""
    with pytest.raises(BadBytes):
        Marks().take(at(FIRST_OFFSET_MAX), NOW)
    marks = Marks()
    assert marks.take(at(30 * 86_400), NOW)
    assert marks.jumps.total() == 1


def test_a_reader_that_begins_in_the_middle_knows_how_far_the_sources_are():
    """It reads older records too; what is beyond the ends that it was told is refused."""
    marks = Marks(since_ns=NOW)
    marks.at_most(SOURCE, 500)
    with pytest.raises(BadBytes):
        marks.take(at(500 + JUMP), NOW)
    assert marks.take(at(400), NOW - 3_600 * SECOND)
    assert marks.take(at(600), NOW + SECOND)
    assert (marks.refused.total(), marks.jumps.total()) == (1, 0)


def test_only_shards_that_write_to_a_partition_may_be_named_there():
    """By the catalogue: the topic that feeds it, the same number where a shard writes to its own, and numbers that the cluster has."""
    for topic in TOPICS:
        for source in ("executions/7", "book.commands/00", "account.commands/9999", "book.commands/x", "market.data/0"):
            allowed = sources_of(topic, 0, 2)
            if topic.feed is None:
                continue
            with pytest.raises(BadBytes, match="WRONG_SOURCE"):
                allowed.is_shard(at(0, source=source))
    assert sources_of(ACCOUNT_COMMANDS, 0, 2).is_shard(at(0, source="book.commands/1"))
    assert not sources_of(ACCOUNT_COMMANDS, 0, 2).is_shard(at(0, source="a/b"))
    assert sources_of(EXECUTIONS, 1).is_shard(at(0, source="book.commands/1"))
    for topic, source in ((EXECUTIONS, "book.commands/0"), (MARKET_DATA, "executions/0"), (EXECUTIONS, "producer")):
        with pytest.raises(BadBytes, match="WRONG_SOURCE"):
            sources_of(topic, 1).is_shard(at(0, source=source))


# ---- readers


def frame(schema: str, header: Header, rows: int = 1, **values: int) -> bytes:
    """Of a shard."""
    made = np.zeros(rows, FRAMES[schema].dtype)
    made["kind"] = 1
    for name, value in values.items():
        made[name] = value
    return encode_frame(schema, header, made)


def execution(header: Header, rows: int = 1) -> bytes:
    """The time of a book shard."""
    return frame("execution_frame", header, rows, kind=ExecKind.TIME)


FORGERIES = {
    "without rows": execution(at(ABSURD), 0),
    "without rows, in bounds": execution(at(5), 0),
    "beyond its log": execution(at(ABSURD)),
    "negative": execution(at(-5)),
    "index": execution(at(3, FRAMES_PER_INPUT_MAX)),
    "of another partition's shard": execution(at(3, source="book.commands/1")),
    "of no such shard": execution(at(3, source="book.commands/9999")),
    "of a name that is none": execution(at(3, source="book.commands/00")),
    "of another topic": execution(at(3, source="account.commands/0")),
    "of a customer": execution(at(3, source="somebody")),
}  # fmt: skip


class Shard:
    """A real publisher of market data, fed from a partition."""

    def __init__(self, snapshot: Any = None) -> None:
        self.runner = ShardRunner(PublishMarketData(0, load_instruments(None)), snapshot)

    def feed(self, value: bytes, time_ns: int = NOW) -> list[Output]:
        """At the next offset."""
        return self.runner.feed(Record(EXECUTIONS.name, 0, self.runner.next_offset, time_ns, None, value))


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_frame_is_a_dead_letter_of_the_shard_and_hides_no_true_one(forgery):
    """An empty frame of offset 2^62 hid every later one, and every role was ready."""
    shard = Shard()
    shard.feed(execution(at(1)))
    before = dict(shard.runner.marks.state)
    (letter,) = shard.feed(FORGERIES[forgery])
    assert letter.topic == DEAD_LETTERS.name
    assert decode_record(letter.value)[1]["reason"] in ("NO_ROWS", "WRONG_PLACE", "WRONG_SOURCE")
    assert shard.runner.marks.state == before
    shard.feed(execution(at(2)))
    assert shard.runner.marks.state[SOURCE][:2] == (2, 0)
    assert shard.runner.stats().duplicates == 0


def test_a_replay_from_any_snapshot_refuses_the_same_frames():
    """The bound's own state is in the snapshot; times and places at its edge."""
    inputs = [(execution(at(1)), NOW)]
    for step in range(12):
        inputs.append((execution(at(1 + JUMP * (1 + step // 3) + RECORDS_PER_S_MAX * step)), NOW + step * SECOND))
    straight = Shard()
    expected = [straight.feed(value, time_ns) for value, time_ns in inputs]
    refused = [bool(outputs) and outputs[0].topic == DEAD_LETTERS.name for outputs in expected]
    assert 0 < sum(refused) < len(refused)
    for crash in range(1, len(inputs)):
        first = Shard()
        for value, time_ns in inputs[:crash]:
            first.feed(value, time_ns)
        stored = dict(SnapshotStore().changes(first.runner.processor.snapshot(), first.runner.meta()))
        again = Shard(SnapshotStore().load(stored.get))
        assert [again.feed(value, time_ns) for value, time_ns in inputs[crash:]] == expected[crash:]
        assert again.runner.marks.state == straight.runner.marks.state


def test_stores_audit_and_rebuild_leave_forged_frames_out_and_take_the_true_ones():
    """Each by the same rule."""
    partition = [execution(at(1)), *FORGERIES.values(), execution(at(2)), execution(at(2))]
    stored, rebuilt = PartitionMarks(), AsItIs()
    taken, again, reasons = [], [], []
    for offset, value in enumerate(partition):
        try:
            one = input_of(Record(EXECUTIONS.name, 0, offset, NOW, None, value))
            if stored.take(one):
                taken.append(offset)
        except BadBytes as error:
            reasons.append(error.reason)
        with suppress(BadBytes):
            again += [one.offset for one in rebuilt.read(Record(EXECUTIONS.name, 0, offset, NOW, None, value))]
    assert taken == [0, len(partition) - 2]
    assert again == [0, len(partition) - 2, len(partition) - 1]
    assert reasons == ["NO_ROWS"] * 2 + ["WRONG_PLACE"] * 3 + ["WRONG_SOURCE"] * 5


def test_verify_passes_forged_frames_over_and_counts_them():
    """What readers see is compared; a frame that they take is a difference, as ever."""
    true = [execution(at(offset)) for offset in (1, 2)]
    forged = [FORGERIES[name] for name in ("without rows", "without rows, in bounds", "beyond its log", "negative", "index")]
    records = [Record(EXECUTIONS.name, 0, offset, NOW, None, value) for offset, value in enumerate([true[0], *forged, true[1]])]
    compared = Compared()
    outputs = RecordedOutputs(EXECUTIONS.name, 0, SOURCE, iter(records), compared, cut=False)
    for value in true:
        outputs.expect(Output(EXECUTIONS.name, 0, value), durable=3)
    outputs.finish(3)
    assert (compared.frames, compared.forged) == (2, len(forged))


def test_an_edge_ignores_forged_frames_counts_them_and_shows_the_count():
    """503 until the edge was restarted, and a public price that stood still."""
    sources = SourceFilter(sources_of(EDGE_REPLIES, 0, 1))
    sources.begin({"account.commands/0": 1_000}, NOW)
    for header in (
        at(ABSURD, source="account.commands/0"),
        at(1, source="account.commands/7"),
        at(1_000 + JUMP, source="account.commands/0"),
    ):
        assert not sources.is_new(header, NOW)
    assert sources.is_new(at(1_001, source="account.commands/0"), NOW)
    assert (sources.suspicious, sources.dropped) == (3, 0)
    metrics = Metrics()
    metrics.watch_sources([sources, cast("SourceFilter", SourceFilter(sources_of(MARKET_DATA, 0)))])
    told = generate_latest(metrics.registry).decode()
    assert 'outcry_suspicious_frames_total{role="edge",source="account.commands/0",what="refused"} 2.0' in told
    assert 'outcry_suspicious_frames_total{role="edge",source="",what="stranger"} 1.0' in told


def test_no_reader_decodes_a_frame_without_rows():
    """Whatever its schema."""
    for schema, kind in FRAMES.items():
        with pytest.raises(BadBytes, match="NO_ROWS"):
            decode_frame(encode_frame(schema, Header("x"), np.zeros(0, kind.dtype)))
    assert BOOK_COMMANDS.feed is not None
