"""The archive's files: each row once, whatever is killed when, and the same files from the same log."""

import json
import random
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from support.records.archive_logs import EXECUTIONS, SECOND_NS, START_NS, archive_until, digest_of_log, files_of, frame_at, read_columns

from audit.disk import Disk
from schemas.errors import StaleData
from sinks.parquet import files
from sinks.parquet.files import FILE_NS, ArchivedPartition, day_of, faults, first_day_kept, newest_manifests
from sinks.parquet.tables import BY_TOPIC, TABLES, Taken, arrow_of, columns_of, columns_of_arrow, digest_of

CHILD = Path(__file__).with_name("killed_archive.py")
END = 298
"""The record before it is no repeat, so the last file ends here."""


KILLS = 4


class CrashError(BaseException):
    """The process is gone: nothing of it runs any more."""


class CrashingDisk(Disk):
    """Dies before, within or behind its nth step."""

    def __init__(self, step):
        self.left = step

    def _step(self):
        self.left -= 1
        if self.left < 0:
            raise CrashError

    def _write_draft(self, draft, data, mode):
        self._step()
        draft.write_bytes(data[: len(data) // 2])
        self._step()
        super()._write_draft(draft, data, mode)
        self._step()

    def _rename(self, draft, path):
        super()._rename(draft, path)
        self._step()

    def remove(self, path):
        self._step()
        super().remove(path)


@pytest.fixture
def small_files(monkeypatch):
    """A file has about 100 rows."""
    monkeypatch.setattr(files, "ROWS_MAX", 100)


def same_as_the_log(folder, end):
    """Every file has the rows of its part of the log, and together they have all of them."""
    found = files_of(folder)
    assert found[0].first_offset == 0
    assert found[-1].next_offset == end
    for one, behind in zip(found, [*found[1:], None], strict=True):
        assert behind is None or one.next_offset == behind.first_offset or one.next_offset + 1 == behind.first_offset
        assert (one.digest, one.rows) == digest_of_log(one.first_offset, one.next_offset)
    checked = dict(faults(folder, TABLES))
    assert len(checked) == len(found)
    assert set(checked.values()) == {""}


def test_rows_and_digests_are_those_of_the_log_and_repeats_are_left_out(tmp_path, small_files):
    """A replica's copy of a frame is in the log twice and in the archive once."""
    archive_until(tmp_path, Disk(), END).commit()
    same_as_the_log(tmp_path, END)
    rows = sum(one.rows for one in files_of(tmp_path))
    assert rows == 7 * sum(offset % 10 != 9 for offset in range(END))
    (day, _), *_ = files.manifests(tmp_path, EXECUTIONS)
    for one in files_of(tmp_path):
        columns = read_columns(day / one.name)
        assert digest_of(EXECUTIONS, columns) == one.digest
        assert (np.diff(columns["log_offset"]) >= 0).all()


def test_a_file_ends_by_the_log_alone(tmp_path, small_files, monkeypatch):
    """At so many rows, ten minutes behind its first record, and at midnight: wherever the process was stopped between."""
    archive_until(tmp_path / "once", Disk(), END)
    for end in (*range(0, END, 7), END):
        archive_until(tmp_path / "often", Disk(), end)
    assert files_of(tmp_path / "often") == files_of(tmp_path / "once")
    monkeypatch.setattr(files, "ROWS_MAX", 1_000_000)
    one = ArchivedPartition(tmp_path / "slow", EXECUTIONS, 0, Disk(), None)
    assert not one.ends_before(START_NS)
    one.take(frame_at(0))
    assert not one.ends_before(START_NS + FILE_NS - 1)
    assert one.ends_before(START_NS + FILE_NS)
    midnight_ns = (START_NS // (86_400 * SECOND_NS) + 1) * 86_400 * SECOND_NS
    late = frame_at(1)._replace(time_ns=midnight_ns - 1)
    one = ArchivedPartition(tmp_path / "late", EXECUTIONS, 0, Disk(), None)
    one.take(late)
    assert one.ends_before(midnight_ns)
    assert not one.ends_before(midnight_ns - 1)


def test_a_crash_at_any_step_loses_no_row_and_doubles_none(tmp_path, small_files):
    """Half a file, a file that no manifest names, a manifest that is not there yet: the next process goes on at the manifest's offset."""
    whole = tmp_path / "whole"
    archive_until(whole, Disk(), 48)
    steps = 0
    while True:
        folder = tmp_path / str(steps)
        try:
            archive_until(folder, CrashingDisk(steps), 48)
        except CrashError:
            archive_until(folder, Disk(), 48)
            assert files_of(folder) == files_of(whole), f"killed at step {steps}"
            assert set(dict(faults(folder, TABLES)).values()) == {""}
            left = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix not in (".parquet", ".json")]
            assert left == []
            assert len(list(folder.rglob("*.parquet"))) == len(files_of(folder))
            steps += 1
        else:
            break
    assert steps > 12


def test_a_crash_while_it_cleans_up_is_survived_too(tmp_path, small_files):
    """The file that no manifest names is still there."""
    with pytest.raises(CrashError):
        archive_until(tmp_path, CrashingDisk(7), 90)
    with pytest.raises(CrashError):
        archive_until(tmp_path, CrashingDisk(0), 90)
    archive_until(tmp_path, Disk(), 90).commit()
    same_as_the_log(tmp_path, 90)


@pytest.mark.slow
def test_kills_at_any_moment_lose_nothing(tmp_path):
    """A process of its own, killed by the kernel wherever it is, and started again."""
    chance, end, kills = random.Random(50), 1_998, 0
    while True:
        with subprocess.Popen([sys.executable, CHILD, tmp_path, str(end)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"started\n"
            try:
                child.wait(chance.uniform(0.01, 0.6) if kills < KILLS else None)
            except subprocess.TimeoutExpired:
                child.kill()
                kills += 1
            else:
                break
    assert kills == KILLS
    found = files_of(tmp_path)
    assert found[-1].next_offset == end
    assert sum(one.rows for one in found) == 7 * sum(offset % 10 != 9 for offset in range(end))
    assert digest_of(EXECUTIONS, _joined(tmp_path, found)) == digest_of_log(0, end)[0]


def _joined(folder, found):
    paths = [next(folder.rglob(one.name)) for one in found]
    parts = [read_columns(path) for path in paths]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_text_is_kept_byte_by_byte():
    """Customers' ids are ASCII; a producer may have sent anything."""
    table, record = BY_TOPIC["account.events"], frame_at(0)
    from schemas.codec import FRAMES, Frame

    rows = np.zeros(4, FRAMES["account_event_frame"].dtype)
    rows["account"] = [2, 1, 2, 1]
    texts = np.array([b"abc", b"", b"\xff\xfe", b"z" * 40])
    taken = [Taken(Frame("account_event_frame", record.body.header, rows, texts), 0, 5, START_NS)]
    columns = columns_of(table, taken)
    back = columns_of_arrow(table, arrow_of(table, files.sorted_columns(table, columns)))
    assert back["cl_ord_id"].tolist() == texts.tolist()
    assert back["orig_cl_ord_id"].tolist() == [b""] * 4
    assert digest_of(table, back) == digest_of(table, columns)
    changed = {**columns, "cl_ord_id": np.array([b"ab", b"c", b"\xff\xfe", b"z" * 40])}
    assert digest_of(table, changed) != digest_of(table, columns)


def test_a_file_that_was_changed_or_is_gone_is_named(tmp_path, small_files):
    """By `outcry archive verify`."""
    archive_until(tmp_path, Disk(), END)
    (day, _), *_ = files.manifests(tmp_path, EXECUTIONS)
    first, second, third = (day / one.name for one in files_of(tmp_path)[:3])
    other = second.read_bytes()
    first.write_bytes(other)
    second.unlink()
    third.write_bytes(other[:100])
    told = {name.rpartition("/")[2]: problem for name, problem in faults(tmp_path, TABLES) if problem}
    assert set(told) == {first.name, second.name, third.name}
    assert "other values" in told[first.name] or "rows" in told[first.name]
    assert "cannot be read" in told[second.name]
    assert "cannot be read" in told[third.name]


@pytest.mark.parametrize(
    "text", ["", "{", '{"format": 2}', '{"format": 1}', "[]", '{"format": 1, "topic": "x", "partition": 0, "day": "d", "files": [1]}']
)
def test_a_manifest_that_cannot_be_is_named(tmp_path, text):
    """It is not taken for an empty archive."""
    path = tmp_path / "executions" / "day=2026-11-27" / "0.manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(StaleData, match=r"0\.manifest\.json"):
        newest_manifests(tmp_path, EXECUTIONS)


def test_another_log_is_not_archived_behind_this_one(tmp_path, small_files):
    """The record before the next one has another append time."""
    archive_until(tmp_path, Disk(), END).commit()
    one = ArchivedPartition(tmp_path, EXECUTIONS, 0, Disk(), newest_manifests(tmp_path, EXECUTIONS)[0])
    one.take(frame_at(END - 1))
    with pytest.raises(StaleData, match="another record at 297 than the one that the archive has stored"):
        one.take(frame_at(END - 1)._replace(time_ns=1))


def test_old_days_are_removed_but_never_the_newest(tmp_path, small_files):
    """Its manifest says where to go on."""
    day_ns = 86_400 * SECOND_NS

    def a_day_each(offset):
        return frame_at(offset)._replace(time_ns=START_NS + offset * day_ns)

    one = archive_until(tmp_path, Disk(), 8, a_day_each)
    one.commit()
    one.forget_before(date.fromisoformat(day_of(START_NS + 5 * day_ns)))
    kept = sorted(path.name for path in (tmp_path / "executions").iterdir())
    assert kept == [f"day={day_of(START_NS + number * day_ns)}" for number in (5, 6, 7)]
    one.forget_before(date(2099, 1, 1))
    assert [path.name for path in (tmp_path / "executions").iterdir()] == kept[-1:]
    assert newest_manifests(tmp_path, EXECUTIONS)[0].next_offset == 8
    assert first_day_kept(1, START_NS).isoformat() == day_of(START_NS)
    assert json.loads(next(tmp_path.rglob("*.json")).read_text())["marks"]
