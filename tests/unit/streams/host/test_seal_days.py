"""A day's entries commit to every audit log as it was when the day ended; whoever changes one later is named by `outcry audit days`."""

import json
import shutil
from datetime import date

import pytest
from click.testing import CliRunner
from support.records.audit_logs import KEYS, Crashed, CrashingDisk, check_folder

from audit.keys import write_exchange_keys
from audit.log_store import LogStore, Position
from audit.policy import Policy
from audit.tiles import LogFiles
from audit.tree import GrowingTree, leaf_hash
from reports.report_day import ReportDay
from schemas.settings import Settings
from streams.host.seal_days import DAYS, SETTLED_MS, SealedDays, log_at
from streams.host.seal_partition import SealedPartition
from streams.host.shard_runner import Record
from streams.proofs.audit_days import audit_days

FIRST, SECOND = ReportDay(date(2026, 11, 27)), ReportDay(date(2026, 11, 28))
PLACES = (("executions", 0), ("alerts", 0))
END_MS = FIRST.end_ns // 1_000_000
TRUST = Policy.parse("".join(f"log {key}\n" for key in KEYS.public(KEYS.origin(DAYS, 0))) + "quorum none\n")


class Sealed:
    """Audit logs of two partitions, and the log of days, as of one process."""

    def __init__(self, settings, disk=None):
        def store(topic, number, disk=None):
            return LogStore(settings.audit_dir / topic / str(number), KEYS.origin(topic, number), KEYS, Position(0), disk)

        self.parts = {place: SealedPartition(*place, store(*place)) for place in PLACES}
        self.days = SealedDays(store(DAYS, 0, disk), self.parts)

    def take(self, place, *times_ms):
        """Records appended at these times."""
        one = self.parts[place]
        for time_ms in times_ms:
            one.take(Record(*place, one.next_offset, time_ms * 1_000_000, None, b"value %d" % one.next_offset), 0.0)
        one.commit()

    def ends(self):
        """As the broker says; everything was taken."""
        return {place: one.next_offset for place, one in self.parts.items()}

    def entries(self):
        """Of the log of days."""
        store = self.days.store
        size = store.committed.size
        return [json.loads(entry) for entry in LogFiles(str(store.folder)).bundle(0, size)] if size else []


@pytest.fixture
def settings(tmp_path):
    """With keys."""
    found = Settings(home=tmp_path)
    write_exchange_keys(found.audit_keys_file, KEYS, is_new=True)
    return found


@pytest.fixture
def sealed(settings):
    """A thousand entries before the end of the first day, two behind it; of alerts none yet."""
    made = Sealed(settings)
    made.take(PLACES[0], *range(END_MS - 1_000, END_MS + 2))
    return made


def said(settings):
    """Exit status and output of the command."""
    found = CliRunner().invoke(audit_days, [], obj=settings)
    return found.exit_code, found.output


def test_a_day_is_sealed_once_it_is_over_and_every_log_has_come_to_its_end(sealed, settings):
    """One checkpoint a day; the roots are those of the entries before midnight, whatever came later."""
    assert "no day is over yet" in said(settings)[1]
    assert sealed.days.due(END_MS + SETTLED_MS - 1) is None
    assert sealed.days.due(END_MS + SETTLED_MS) == FIRST
    behind = sealed.ends() | {PLACES[1]: 7}
    assert not sealed.days.seal(FIRST, behind), "seven alerts were not read yet: they may be of the day"
    assert sealed.days.seal(FIRST, sealed.ends())
    alerts, executions = sealed.entries()
    assert (alerts["log"], alerts["size"], executions["log"], executions["size"]) == ("alerts/0", 0, "executions/0", 1_000)
    tree = GrowingTree()
    files = LogFiles(str(sealed.parts[PLACES[0]].store.folder))
    for bundle in range(4):
        for entry in files.bundle(bundle, 1_002)[: max(0, 1_000 - 256 * bundle)]:
            tree.append(leaf_hash(entry))
    assert executions["root"] == tree.root().hex()
    assert sealed.days.due(END_MS + SETTLED_MS) is None
    assert sealed.days.due(SECOND.end_ns // 1_000_000 + SETTLED_MS) == SECOND
    assert check_folder(sealed.days.store.folder, TRUST).size == 2, "the verifier of strangers takes it as a log like any other"
    assert said(settings) == (0, "2026-11-27: 2 logs with 1,000 entries are as signed\n")


def test_days_without_records_are_sealed_too_and_a_restart_goes_on(sealed, settings):
    """So the days have no gap."""
    sealed.days.seal(FIRST, sealed.ends())
    again = Sealed(settings)
    late_ms = SECOND.end_ns // 1_000_000 + SETTLED_MS
    assert again.days.due(late_ms) == SECOND
    again.days.seal(SECOND, again.ends())
    assert [(one["offset"], one["day"], one["size"]) for one in again.entries()] == [
        (0, "2026-11-27", 0), (1, "2026-11-27", 1_000), (2, "2026-11-28", 0), (3, "2026-11-28", 1_002)
    ]  # fmt: skip
    assert said(settings)[0] == 0


def test_a_process_that_dies_while_it_seals_leaves_the_same_day_to_the_next(sealed, settings):
    """At every step of its disk."""
    shutil.rmtree(sealed.days.store.folder)
    at, died = 0, 0
    while True:
        shutil.rmtree(settings.audit_dir / DAYS, ignore_errors=True)
        Sealed(settings)
        disk = CrashingDisk()
        one = Sealed(settings, disk)
        disk.at = len(disk.steps) + at
        try:
            one.days.seal(FIRST, one.ends())
        except Crashed:
            died += 1
        else:
            break
        next_one = Sealed(settings)
        if next_one.days.due(END_MS + SETTLED_MS) == FIRST:
            next_one.days.seal(FIRST, next_one.ends())
        assert [one["size"] for one in next_one.entries()] == [0, 1_000], f"step {at}"
        check_folder(next_one.days.store.folder, TRUST)
        at += 1
    assert died > 4


def test_a_full_disk_is_waited_for(sealed, monkeypatch):
    """The entries are made once."""

    def full(*arguments, **words):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sealed.days.store._disk, "write", full)
        with pytest.raises(OSError, match="No space"):
            sealed.days.seal(FIRST, sealed.ends())
    assert sealed.days.due(END_MS + SETTLED_MS) == FIRST
    assert sealed.days.seal(FIRST, sealed.ends())
    assert len(sealed.entries()) == 2


def test_a_log_that_was_made_anew_from_other_records_is_named(sealed, settings):
    """It is signed with the right key, and still not what the day says."""
    sealed.days.seal(FIRST, sealed.ends())
    shutil.rmtree(sealed.parts[PLACES[0]].store.folder)
    forged = Sealed(settings)
    forged.take(PLACES[0], *range(END_MS - 999, END_MS + 3))
    code, output = said(settings)
    assert code == 1
    assert "WRONG 2026-11-27: executions/0 had 1,000 entries" in output
    assert "it was changed" in output
    shutil.rmtree(forged.parts[PLACES[0]].store.folder)
    Sealed(settings).take(PLACES[0], *range(END_MS - 1_000, END_MS - 1))
    assert "and has 999 now: its end was cut off" in said(settings)[1]
    shutil.rmtree(settings.audit_dir / "executions")
    assert "and cannot be read" in said(settings)[1]


def test_the_log_of_days_itself_cannot_be_changed(sealed, settings):
    """A bit of an entry."""
    sealed.days.seal(FIRST, sealed.ends())
    (bundle,) = (path for path in (sealed.days.store.folder / "tile" / "entries").rglob("*") if path.is_file())
    bundle.write_bytes(bundle.read_bytes().replace(b'"size":1000', b'"size":1001'))
    found = CliRunner().invoke(audit_days, [], obj=settings)
    assert "the log of days is not as it was signed" in str(found.exception)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257])
def test_the_size_at_a_time_is_that_of_the_entries_before_it(tmp_path, size):
    """Before, at, and behind every entry."""
    one = Sealed(Settings(home=tmp_path))
    one.take(PLACES[0], *range(1_000, 1_000 + size))
    files = LogFiles(str(one.parts[PLACES[0]].store.folder))
    assert [log_at(files, size, 1_000 + at)[0] for at in (-1, 0, 1, size - 1, size, size + 9)] == [0, 0, 1, size - 1, size, size]
