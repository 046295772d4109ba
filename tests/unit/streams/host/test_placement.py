"""Who writes the outputs of a shard: decided by records of its input, alike in every replica, whatever the senders did wrong."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.codec import FRAMES, Frame, Header, decode_frame, decode_record, encode_frame
from streams.host.placement import Placement, compare_record, move_record
from streams.host.shard_runner import Emitter, Record, ShardRunner
from streams.host.snapshots import Snapshot
from topics.catalogue import BOOK_COMMANDS, EXECUTIONS
from topics.roles import ROLES
from topics.sources import sources_of

NOBODY_MOVED = Placement()


class Adder:
    """A small real processor: sums quantities."""

    log_time = 0
    sources = sources_of(BOOK_COMMANDS, 1, 2)

    def __init__(self) -> None:
        self.total = 0

    def decode(self, record: Record) -> Frame:
        return decode_frame(record.value or b"", "book_command_frame")

    def apply(self, frame: Frame, emit: Emitter) -> None:
        self.total += int(frame.rows["order_qty"].sum())

    def snapshot(self):
        return {"total": np.array([self.total])}

    def restore(self, arrays) -> None:
        (self.total,) = arrays["total"].tolist()

    def state_hash(self) -> bytes:
        return b"%d" % self.total

    def configuration(self) -> bytes:
        return b""


def order(offset: int, qty: int) -> Record:
    """An input that is no placement."""
    rows = np.zeros(1, FRAMES["book_command_frame"].dtype)
    rows["kind"], rows["order_qty"] = 1, qty
    return at(offset, encode_frame("book_command_frame", Header("account.commands/0", offset), rows))


def at(offset: int, value: bytes, topic: str = BOOK_COMMANDS.name) -> Record:
    """A record of an input."""
    return Record(topic, 1, offset, offset, None, value)


def test_a_move_names_who_writes_from_its_offset_on():
    """Before the first one, all do."""
    runner = ShardRunner(Adder())
    assert runner.placement.writes("a") and runner.placement.writes("b")
    assert runner.feed(at(0, move_record(NOBODY_MOVED, "b", 0, "test"))) == []
    assert runner.placement == Placement(1, "b", since=0, written_to=0)
    assert not runner.placement.writes("a") and runner.placement.writes("b")
    assert runner.next_offset == 1


def test_of_two_moves_at_once_the_second_is_refused():
    """It names an epoch that is over. The dead letter says which one it is."""
    runner = ShardRunner(Adder())
    runner.feed(at(0, move_record(NOBODY_MOVED, "b", 0, "the first")))
    (letter,) = runner.feed(at(1, move_record(NOBODY_MOVED, "a", 0, "the second")))
    _, told = decode_record(letter.value)
    assert told["reason"] == "STALE_PLACEMENT"
    assert told["detail"].endswith("it ends epoch 0, but this is epoch 1: b, since offset 0: another move came first")
    assert runner.placement.writers == "b"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (move_record(NOBODY_MOVED, "z", 0, ""), "writers: 'z'"),
        (move_record(NOBODY_MOVED, "bb", 0, ""), "writers: 'bb'"),
        (move_record(NOBODY_MOVED, "b", 1, ""), "written_to: 1 is not an offset before this record's, 0"),
        (move_record(NOBODY_MOVED, "b", -1, ""), "written_to: -1"),
        (move_record(Placement(epoch=-1), "b", 0, ""), "it ends epoch -1"),
        (move_record(NOBODY_MOVED, "b", 0, "")[:-1], "not a whole shard_placement"),
    ],
)
def test_a_move_that_cannot_be_is_a_dead_letter(value, said):
    """And changes nothing."""
    runner = ShardRunner(Adder())
    (letter,) = runner.feed(at(0, value))
    assert said in decode_record(letter.value)[1]["detail"]
    assert runner.placement == NOBODY_MOVED


def test_replicas_are_compared_at_an_offset():
    """The hash is that of the state before the record, which changes nothing."""
    runner = ShardRunner(Adder())
    runner.feed(order(0, 5))
    assert runner.feed(at(1, compare_record(NOBODY_MOVED, "test"))) == []
    runner.feed(order(2, 7))
    assert runner.comparison is not None
    assert (runner.comparison.offset, runner.comparison.state_hash) == (1, b"5")
    assert runner.placement == NOBODY_MOVED


def test_a_snapshot_knows_who_writes():
    """A replica that starts from it goes on as it was; one of a version before knows of no move."""
    runner = ShardRunner(Adder())
    runner.feed(at(0, move_record(NOBODY_MOVED, "b", 0, "test")))
    snapshot = Snapshot(runner.processor.snapshot(), runner.meta())
    assert ShardRunner(Adder(), snapshot).placement == runner.placement
    before = replace(snapshot, meta={key: value for key, value in snapshot.meta.items() if key != "placement"})
    assert ShardRunner(Adder(), before).placement == NOBODY_MOVED


def test_shards_move_only_where_nobody_else_reads_their_input():
    """Readers of `executions` would take a placement for theirs."""
    assert {name for name, role in ROLES.items() if role.moves} == {"hold-funds", "match-orders"}
    runner = ShardRunner(Adder())
    (letter,) = runner.feed(at(0, move_record(NOBODY_MOVED, "b", 0, "test"), EXECUTIONS.name))
    assert decode_record(letter.value)[1]["reason"] == "WRONG_SCHEMA"
