"""The runner: each input once, duplicates dropped, bad input to the dead letters, and replay that gives the same bytes."""

import numpy as np
import pytest

from schemas.codec import FRAMES, BadBytes, Frame, Header, decode_frame, decode_record, encode_frame
from schemas.errors import StaleData
from schemas.limits import FRAME_ROWS_MAX
from streams.host.shard_runner import ROWS_PER_RECORD, Emitter, Record, ShardRunner, clamp_time
from streams.host.snapshots import SnapshotStore
from topics.catalogue import BOOK_COMMANDS, DEAD_LETTERS, EXECUTIONS
from topics.sources import sources_of


class Adder:
    """A small real processor: sums quantities, emits one execution a row."""

    def __init__(self, configuration: bytes = b"c") -> None:
        self.total = 0
        self.log_time = 0
        self._configuration = configuration

    sources = sources_of(BOOK_COMMANDS, 1, 2)

    def decode(self, record: Record) -> Frame:
        return decode_frame(record.value or b"", "book_command_frame")

    def apply(self, frame: Frame, emit: Emitter) -> None:
        self.total += int(frame.rows["order_qty"].sum())
        self.log_time = max(self.log_time, int(frame.rows["transact_time"].max(initial=0)))
        rows = np.zeros(len(frame.rows), FRAMES["execution_frame"].dtype)
        rows["kind"], rows["qty"] = 1, self.total
        emit.frame(EXECUTIONS, 1, "execution_frame", rows, log_time=self.log_time, first_seq=1)

    def snapshot(self):
        return {"total": np.array([self.total, self.log_time])}

    def restore(self, arrays) -> None:
        self.total, self.log_time = arrays["total"].tolist()

    def state_hash(self) -> bytes:
        return f"{self.total}/{self.log_time}".encode()

    def configuration(self) -> bytes:
        return self._configuration


def record(
    offset: int, qty: int = 1, source: str = "account.commands/0", source_offset: int | None = None, index: int = 0, rows: int = 1
) -> Record:
    """A book command frame at an offset."""
    commands = np.zeros(rows, FRAMES["book_command_frame"].dtype)
    commands["kind"], commands["order_qty"], commands["transact_time"] = 1, qty, offset
    header = Header(source, offset if source_offset is None else source_offset, index)
    return Record("book.commands", 1, offset, offset, None, encode_frame("book_command_frame", header, commands))


def test_an_input_below_the_next_offset_is_skipped():
    """Faust seeks back after each rebalance; what was applied stays applied once."""
    runner = ShardRunner(Adder())
    assert runner.feed(record(0, 5))
    assert runner.feed(record(0, 5)) == []
    assert runner.processor.total == 5


def test_a_frame_that_an_upstream_shard_sends_again_is_dropped():
    """A replaying shard sends the same frames at new offsets."""
    runner = ShardRunner(Adder())
    runner.feed(record(0, 5, source_offset=10))
    assert runner.feed(record(1, 5, source_offset=10)) == []
    assert runner.feed(record(2, 5, source_offset=10, index=1))
    assert runner.processor.total == 10
    assert runner.stats().duplicates == 1


def test_frames_of_different_sources_do_not_hide_each_other():
    """Each upstream partition has its own mark."""
    runner = ShardRunner(Adder())
    runner.feed(record(0, source="account.commands/0", source_offset=50))
    runner.feed(record(1, source="account.commands/1", source_offset=3))
    assert runner.processor.total == 2


def test_customers_frames_are_not_told_apart_by_number():
    """A producer that starts again numbers from 0; its orders are told apart by cl_ord_id."""
    runner = ShardRunner(Adder())
    runner.feed(record(0, source="my-producer", source_offset=0))
    runner.feed(record(1, source="my-producer", source_offset=0))
    assert runner.processor.total == 2


def test_bytes_that_cannot_be_read_become_a_dead_letter_and_the_next_input_is_applied():
    """With topic, partition, offset, reason and the bytes untouched."""
    runner = ShardRunner(Adder())
    (letter,) = runner.feed(Record("book.commands", 1, 0, 3_000_000, b"k", b"rubbish"))
    assert (letter.topic, letter.partition) == (DEAD_LETTERS.name, 0)
    _, told = decode_record(letter.value)
    assert told["reason"] == "NOT_SINGLE_OBJECT"
    assert (told["topic"], told["partition"], told["offset"], told["value"], told["key"]) == ("book.commands", 1, 0, b"rubbish", b"k")
    assert runner.feed(record(1))
    assert runner.stats().dead_letters == 1


def test_outputs_name_the_input_that_made_them():
    """(topic/partition, offset, index) is the identity by which consumers drop duplicates."""
    (output,) = ShardRunner(Adder()).feed(record(7))
    header = decode_frame(output.value).header
    assert (header.source, header.source_offset, header.source_index, header.created_at) == ("book.commands/1", 7, 0, 7)


def test_many_rows_become_several_records_with_dense_sequence_and_index(monkeypatch):
    """No record is beyond what Kafka takes."""
    assert ROWS_PER_RECORD <= FRAME_ROWS_MAX
    monkeypatch.setattr("streams.host.shard_runner.ROWS_PER_RECORD", 100)  # an input of the largest frame could not make this one's rows
    outputs = ShardRunner(Adder()).feed(record(0, rows=110))
    frames = [decode_frame(output.value) for output in outputs]
    assert [len(frame.rows) for frame in frames] == [100, 10]
    assert [(frame.header.source_index, frame.header.first_seq) for frame in frames] == [(0, 1), (1, 101)]


def test_restored_from_a_snapshot_it_continues_with_the_same_bytes():
    """Crash at any input: snapshot, replay, byte-identical outputs."""
    inputs = [record(offset, qty=offset % 7, source_offset=offset - offset % 3) for offset in range(20)]
    straight = ShardRunner(Adder())
    expected = [straight.feed(one) for one in inputs]
    for crash in range(20):
        before = ShardRunner(Adder())
        for one in inputs[:crash]:
            before.feed(one)
        stored = dict(SnapshotStore().changes(before.processor.snapshot(), before.meta()))
        after = ShardRunner(Adder(), SnapshotStore().load(stored.get))
        replayed = [after.feed(one) for one in inputs]
        assert replayed[:crash] == [[]] * crash
        assert replayed[crash:] == expected[crash:]
        assert after.processor.state_hash() == straight.processor.state_hash()


def test_a_snapshot_without_a_hash_is_restored_and_one_with_a_wrong_hash_is_not():
    """The hash is left out where it would cost too much; where there is one, it is checked."""
    runner = ShardRunner(Adder())
    runner.feed(record(0, qty=3))
    for hashed, noted in ((False, None), (True, b"other")):
        stored = dict(SnapshotStore().changes(runner.processor.snapshot(), runner.meta(hashed=hashed) | {"state_hash": noted}))
        snapshot = SnapshotStore().load(stored.get)
        if noted is None:
            assert ShardRunner(Adder(), snapshot).processor.total == 3
        else:
            with pytest.raises(AssertionError, match="restored state differs"):
                ShardRunner(Adder(), snapshot)


def test_a_snapshot_of_another_configuration_is_refused():
    """Changed instruments or numbers of shards would fork the state from its log."""
    stored = dict(SnapshotStore().changes(Adder().snapshot(), ShardRunner(Adder()).meta()))
    with pytest.raises(StaleData, match="instruments or numbers of shards"):
        ShardRunner(Adder(b"other"), SnapshotStore().load(stored.get))


def test_a_time_from_the_future_is_pulled_back_to_the_brokers():
    """One forged year 2200 must not stop time for everybody; a late clock is left alone."""
    rows = np.zeros(2, FRAMES["book_command_frame"].dtype)
    rows["transact_time"] = [1 << 62, 5]
    clamp_time(rows, Record("t", 0, 0, 1_000, None, None), tolerance_ns=10)
    assert rows["transact_time"].tolist() == [1_010, 5]


def test_decode_refuses_what_is_not_for_this_role():
    """BadBytes is the only exception that a decoder may raise."""
    with pytest.raises(BadBytes):
        Adder().decode(Record("t", 0, 0, 0, None, None))
