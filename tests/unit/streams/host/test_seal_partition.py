"""Every record of a partition gets its entry, in order, and a log that is not the one that was committed to is not gone on with."""

import json

import pytest
from support.records.audit_logs import KEYS, ORIGIN, START, check_folder, open_log

from audit.log_store import LogStore, Position
from audit.tiles import LogFiles
from schemas.errors import StaleData
from streams.host.lost_records import lost_record
from streams.host.seal_partition import CHECKPOINT_ENTRIES, CHECKPOINT_EVERY_S, SealedPartition
from streams.host.shard_runner import Record


def record(offset, value=None):
    """One of executions/0; by default its value names it."""
    return Record("executions", 0, offset, 1_700_000_000_000_000_000 + offset * 1_000_000, None, value or b"value %d" % offset)


def sealed(folder):
    """The partition with its log."""
    return SealedPartition("executions", 0, open_log(folder))


def test_a_checkpoint_is_due_after_a_second_or_a_thousand_entries(tmp_path):
    """Whichever comes first, counted from the first entry that waits."""
    one = sealed(tmp_path)
    assert not one.is_due(99.0)
    one.take(record(0), 100.0)
    one.take(record(1), 100.9)
    assert not one.is_due(100.0 + CHECKPOINT_EVERY_S - 0.01)
    assert one.is_due(100.0 + CHECKPOINT_EVERY_S)
    one.commit()
    assert not one.is_due(1_000.0)
    for offset in range(2, 1 + CHECKPOINT_ENTRIES):
        one.take(record(offset), 200.0)
    assert not one.is_due(200.0)
    one.take(record(1 + CHECKPOINT_ENTRIES), 200.0)
    assert one.is_due(200.0)
    one.commit()
    assert check_folder(tmp_path).size == 2 + CHECKPOINT_ENTRIES


def test_what_waits_when_the_process_dies_is_made_again_from_the_log(tmp_path):
    """The same entries, whatever the batches were."""
    one = sealed(tmp_path / "killed")
    other = sealed(tmp_path / "calm")
    for offset in range(10):
        one.take(record(offset), 0.0)
        other.take(record(offset), 0.0)
    one.commit()
    for offset in range(10, 20):
        one.take(record(offset), 1.0)
    again = sealed(tmp_path / "killed")
    assert (again.next_offset, again.read_from) == (10, 9)
    for offset in range(9, 30):
        assert again.take(record(offset), 2.0) == (offset >= 10)
    for offset in range(10, 30):
        other.take(record(offset), 2.0)
    again.commit()
    other.commit()
    assert check_folder(tmp_path / "killed") == check_folder(tmp_path / "calm")


def test_records_that_come_again_have_their_entry_already(tmp_path):
    """A reader that goes back repeats what was read."""
    one = sealed(tmp_path)
    for offset in (0, 1, 2, 0, 1, 2, 3):
        one.take(record(offset), 0.0)
    one.commit()
    entries = LogFiles(str(tmp_path)).bundle(0, 4)
    assert [json.loads(entry)["offset"] for entry in entries] == [0, 1, 2, 3]


def test_a_gap_is_not_passed_over(tmp_path):
    """An audit log that leaves something out would be worth nothing."""
    one = sealed(tmp_path)
    one.take(record(0), 0.0)
    with pytest.raises(StaleData, match="goes on at 2, but the audit log needs 1 next"):
        one.take(record(2), 0.0)


def test_a_log_that_lost_its_end_and_went_on_is_recognised_by_the_record_before(tmp_path):
    """By its digest; where operators have filled the gap, the filler is taken for what it says."""
    one = sealed(tmp_path)
    for offset in range(5):
        one.take(record(offset), 0.0)
    one.commit()
    with pytest.raises(StaleData, match="another record at 4"):
        sealed(tmp_path).take(record(4, b"another"), 0.0)
    again = sealed(tmp_path)
    assert not again.take(record(4, lost_record("executions", 0, 4, 4, "lost")), 0.0)
    assert again.take(record(5), 0.0)


def test_a_partition_that_begins_later_has_its_entries_from_there(tmp_path):
    """Entry 0 says where."""
    one = SealedPartition("executions", 0, LogStore(tmp_path, ORIGIN, KEYS, Position(700)))
    assert one.read_from == 700
    one.take(record(700), 0.0)
    one.commit()
    assert SealedPartition("executions", 0, LogStore(tmp_path, ORIGIN, KEYS, START)).read_from == 700
    assert json.loads(LogFiles(str(tmp_path)).bundle(0, 1)[0])["offset"] == 700
