"""The role `make-reports`: every day that is over is made once and checked, whatever went wrong before; trouble with one day is told and holds up no other."""

import asyncio
import errno
import json
import os
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from support.records.reported_day import DAY, SECOND, TEMPLATE, ReportExchange, TimedLog, reported_day, reported_exchange

from reports.catalogue import CAT, KINDS, SUMMARY
from reports.filed.checks import CHECKS
from reports.filed.notes import NOTES, Notes
from reports.filed.stored import require
from reports.filed.submissions import submit
from reports.report_day import ReportDay
from schemas.errors import OutcryError, StaleData
from schemas.market_hours import MarketCalendar
from schemas.settings import Settings
from streams.compliance import make_day as day_module
from streams.compliance import make_reports as module
from streams.compliance.make_day import AFTER_NS, Came, Outcome, make_day
from streams.compliance.make_reports import MakeReports, make_in_a_process, outcome_of
from streams.compliance.read_day import first_day
from topics.catalogue import EXECUTIONS

BEFORE = ReportDay(DAY.date - timedelta(days=1))
AFTER = ReportDay(DAY.date + timedelta(days=1))
"""A Saturday."""
NOW_NS = DAY.end_ns + AFTER_NS + 60 * SECOND
KILLED = 9


@cache
def whole_log() -> TimedLog:
    """Two days, a Saturday, and enough of the Sunday that it can be made. Nobody changes it."""
    x = reported_exchange()
    for day in (DAY, AFTER):
        x.at(day.end_ns + AFTER_NS + SECOND)
    return x.log


def log_until(time_ns: int) -> TimedLog:
    """As the log was then."""
    found = TimedLog()
    found.parts |= {place: [record for record in records if record.time_ns <= time_ns] for place, records in whole_log().parts.items()}
    return found


def finished() -> TimedLog:
    """When the second day can be made."""
    return log_until(NOW_NS)


class Clock:
    """Real time."""

    now_ns = NOW_NS

    def __call__(self):
        return self.now_ns


class Maker:
    """Makes days in this process; notes which, and fails where a test says so."""

    def __init__(self, settings, log, clock):
        self.settings, self.log, self.clock, self.asked, self.fails = settings, log, clock, [], {}

    async def __call__(self, day):
        self.asked.append(day)
        if day in self.fails:
            raise OutcryError(self.fails[day])
        return make_day(self.settings, self.log, day, self.clock())


@pytest.fixture
def clock():
    """After the second day."""
    return Clock()


@pytest.fixture
def settings(tmp_path):
    """With a reference."""
    reference = tmp_path / "reports.toml"
    reference.write_text(TEMPLATE)
    found = Settings(home=tmp_path / "home", reports_file=reference)
    found.reports_folder.mkdir(parents=True)
    return found


def role_of(settings, clock, make=None, log=None):
    """A process that has just started, and what makes its days."""
    log = finished() if log is None else log
    make = Maker(settings, log, clock) if make is None else make
    return MakeReports(settings, lambda: first_day(log), make, MarketCalendar.load(None), clock), make


async def looked(role):
    """One look."""
    await role.look(asyncio.Event())
    return role


def files_of(settings):
    """Every file of the reports, by its path."""
    return {path.relative_to(settings.reports_folder): path.read_bytes() for path in settings.reports_folder.rglob("*") if path.is_file()}


def gauge(name, **labels):
    """What Prometheus would read."""
    return REGISTRY.get_sample_value(name, labels)


async def test_days_that_were_missed_are_made_oldest_first_and_once(settings, clock):
    """A look that finds everything there makes nothing, after a restart neither."""
    role, make = role_of(settings, clock)
    await looked(role)
    assert make.asked == [BEFORE, DAY]
    assert sorted(path.name for path in (settings.reports_folder / str(DAY)).iterdir()) == sorted(KINDS)
    assert role.trouble == ""
    before = files_of(settings)
    await looked(role)
    again, make_again = role_of(settings, clock)
    await looked(again)
    assert (make.asked, make_again.asked) == ([BEFORE, DAY], [])
    assert files_of(settings) == before
    assert again.status()["days_made"] == 2


@pytest.mark.slow
def test_a_process_killed_at_any_step_leaves_work_that_gives_the_same_files(settings, tmp_path, monkeypatch):
    """Each step that the disk sees is the last one of a process of its own; whatever it leaves, the next one ends at the same bytes."""
    monkeypatch.setattr(day_module, "read_day", lambda *arguments, **words: reported_day())
    monkeypatch.setattr(day_module, "require_over", lambda *arguments, **words: None)
    monkeypatch.setattr(day_module, "KINDS", {one.name: one for one in (CAT, SUMMARY)})
    make_day(settings, finished(), DAY, NOW_NS)
    wanted = files_of(settings)
    step, kills = 0, 0
    while True:
        home = tmp_path / f"killed-{step}"
        other = settings.model_copy(update={"home": home})
        if not _die_at(step, other):
            break
        kills += 1
        make_day(other, finished(), DAY, NOW_NS)
        assert files_of(other) == wanted, f"killed at step {step}"
        step += 1
    assert kills > 20


def _die_at(step, settings):
    """Make the day in a forked process that ends, as by kill -9, before its file operation `step`; False if it came to its end."""
    pid = os.fork()
    if pid == 0:
        left = step

        def watched(function):
            def call(*arguments, **words):
                nonlocal left
                if left == 0:
                    os._exit(KILLED)
                left -= 1
                return function(*arguments, **words)

            return call

        for name in ("mkdir", "open", "rename", "replace", "write_text", "write_bytes"):
            setattr(Path, name, watched(getattr(Path, name)))
        os.fsync = watched(os.fsync)
        status = 1
        try:
            make_day(settings, finished(), DAY, NOW_NS)
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, KILLED)
    return status == KILLED


async def test_a_day_that_cannot_be_made_is_told_and_the_next_one_is_made(settings, clock):
    """It is tried again after a minute, then after two; once it works nothing is left of the trouble."""
    role, make = role_of(settings, clock)
    make.fails[BEFORE] = "the disk does not take the reports: [Errno 28] No space left on device"
    await looked(role)
    assert (settings.reports_folder / str(DAY) / "cat").is_dir()
    assert role.status()["not_made"] == {str(BEFORE): make.fails[BEFORE]}
    assert Notes.load(settings).not_made == {str(BEFORE): make.fails[BEFORE]}
    assert gauge("outcry_report_days_not_made") == 1
    for seconds, tries in ((59, 2), (61, 3), (61 + 119, 3), (61 + 121, 4)):
        clock.now_ns = NOW_NS + seconds * SECOND
        await looked(role)
        assert len(make.asked) == tries, seconds
    make.fails.clear()
    clock.now_ns += 300 * SECOND
    await looked(role)
    assert (role.status()["not_made"], Notes.load(settings).not_made, gauge("outcry_report_days_not_made")) == ({}, {}, 0)


async def test_a_reference_that_is_wrong_is_named_for_each_day(settings, clock):
    """The role stays up: once the file is right, the next try works."""
    settings.reports_file.write_text(TEMPLATE.replace('"Agency"', '"Agent"'))
    role, _ = role_of(settings, clock)
    await looked(role)
    assert set(role.status()["not_made"]) == {str(BEFORE), str(DAY)}
    assert "capacity must be Agency, Principal, RisklessPrincipal" in role.status()["not_made"][str(DAY)]
    settings.reports_file.unlink()
    clock.now_ns += 61 * SECOND
    await looked(role)
    assert "which OUTCRY_REPORTS_FILE names, cannot be read: No such file" in role.status()["not_made"][str(DAY)]
    settings.reports_file.write_text(TEMPLATE)
    clock.now_ns += 121 * SECOND
    await looked(role)
    assert role.status()["not_made"] == {}


async def test_findings_are_kept_counted_and_hold_up_nothing(settings, clock):
    """A file that was changed before it was checked."""
    role, _ = role_of(settings, clock)
    await looked(role)
    assert gauge("outcry_report_findings", report="summary") == 0
    path = settings.reports_folder / str(BEFORE) / "summary"
    (path / CHECKS).unlink()
    (csv,) = path.glob("*.csv")
    csv.write_bytes(csv.read_bytes() + b"x\n")
    again, make = role_of(settings, clock)
    await looked(again)
    assert make.asked == [BEFORE]
    assert gauge("outcry_report_findings", report="summary") == 1
    assert "its content is not what was made" in json.loads((path / CHECKS).read_text())["first"][0]
    await looked(again)
    assert make.asked == [BEFORE]


async def test_a_closed_day_with_nothing_to_report_is_read_once(settings, clock):
    """The Saturday behind the two days."""
    clock.now_ns = AFTER.end_ns + AFTER_NS + SECOND
    role, make = role_of(settings, clock, log=whole_log())
    await looked(role)
    assert make.asked == [BEFORE, DAY, AFTER]
    assert Notes.load(settings).nothing == {str(AFTER)}
    assert not (settings.reports_folder / str(AFTER)).exists()
    again, make = role_of(settings, clock, log=whole_log())
    await looked(again)
    assert make.asked == []


async def test_a_day_that_a_book_has_not_left_behind_waits_without_being_read(settings, clock, monkeypatch):
    """That is no failure. Neither is asked before its account shards had time to catch up."""
    log = log_until(DAY.end_ns + 2 * SECOND)
    clock.now_ns = DAY.end_ns + AFTER_NS - SECOND
    role, make = role_of(settings, clock, log=log)
    await looked(role)
    assert make.asked == [BEFORE]
    clock.now_ns = NOW_NS
    monkeypatch.setattr(day_module, "read_day", lambda *arguments, **words: pytest.fail("it was read"))
    await looked(role)
    assert "executions/0 has not come to 2027-01-16 00:10:00 New York time yet" in role.status()["waiting"]
    assert (role.status()["not_made"], gauge("outcry_report_days_not_made")) == ({}, 0)
    monkeypatch.undo()
    log.parts |= finished().parts
    await looked(role)
    assert (role.status()["waiting"], role.status()["days_made"]) == ("", 2)


async def test_what_is_due_and_what_is_late_is_measured(settings, clock, tmp_path):
    """By deadlines of the calendar; what was handed over is neither."""
    role, _ = role_of(settings, clock)
    clock.now_ns = int(datetime(2027, 1, 19, 6, 30, tzinfo=UTC).timestamp()) * SECOND
    await looked(role)
    assert gauge("outcry_report_due_seconds") == 6.5 * 3_600, "the Friday is due on Tuesday at 08:00 New York time: Monday is a holiday"
    assert gauge("outcry_reports_late", report="cat") == 1, "the Thursday was due on Friday"
    for day in (BEFORE, DAY):
        submit(require(settings, day, CAT), tmp_path, datetime.now(UTC))
    await looked(role)
    assert gauge("outcry_reports_late", report="cat") == 0
    assert gauge("outcry_report_due_seconds") == float("inf")


async def test_a_day_that_was_not_made_is_late_too(settings, clock):
    """Nothing has to be there for that."""
    role, make = role_of(settings, clock)
    make.fails = {BEFORE: "no", DAY: "no"}
    clock.now_ns += 30 * 86_400 * SECOND
    await looked(role)
    assert gauge("outcry_reports_late", report="cat") == 2


async def test_a_log_that_cannot_be_asked_is_told(settings, clock):
    """And asked again."""

    def away():
        raise OutcryError("Kafka is away")

    role = MakeReports(settings, away, Maker(settings, None, clock), MarketCalendar.load(None), clock)
    await looked(role)
    assert role.trouble == "Kafka is away"


def test_notes_that_cannot_be_read_are_named(settings, clock):
    """They are not taken for none."""
    (settings.reports_folder / NOTES).write_text("[]")
    with pytest.raises(StaleData, match="making.json cannot be read"):
        role_of(settings, clock)


def test_a_full_disk_has_its_sentence(settings, monkeypatch, capsys):
    """As the process of a day says it; nothing of the report is left."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(day_module, "Log", lambda settings: nullcontext(finished()))
    monkeypatch.setattr(day_module, "load_settings", lambda: settings)
    monkeypatch.setattr(day_module.time, "time_ns", lambda: NOW_NS)
    monkeypatch.setattr(day_module.os, "setpriority", lambda *arguments: None)
    monkeypatch.setattr(sys, "argv", ["make_day", str(DAY)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert day_module.main() == 1
    assert "the disk does not take the reports: [Errno 28] No space left on device" in capsys.readouterr().err
    assert list((settings.reports_folder / str(DAY)).iterdir()) == []
    assert day_module.main() == 0
    assert outcome_of(capsys.readouterr().out.encode()).new == list(KINDS)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import os; os.kill(os.getpid(), 9)", "is there enough memory"),
        ("import sys; print('outcry: the reference is wrong', file=sys.stderr); sys.exit(1)", "the reference is wrong"),
        ("import sys; sys.exit(7)", "ended with 7"),
    ],
)
async def test_how_the_process_of_a_day_ended_is_a_sentence(monkeypatch, program, sentence):
    """Killed, refused, or without a word."""
    monkeypatch.setattr(module, "dying_with_parent", lambda command: [sys.executable, "-c", program])
    with pytest.raises(OutcryError, match=sentence):
        await make_in_a_process(DAY)


def test_days_with_records_only_of_the_market_are_nothing():
    """Timers and phases are no orders."""
    x = ReportExchange()
    x.at(AFTER.start_ns - 3_600 * SECOND)
    x.at(AFTER.start_ns + 3_600 * SECOND)
    x.at(AFTER.end_ns + AFTER_NS + SECOND)
    assert x.log.parts[EXECUTIONS.name, 0]
    settings = Settings(reports_file=Path("unused"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_module, "read_reference", lambda settings: (None, ""))
        assert make_day(settings, x.log, AFTER, AFTER.end_ns + AFTER_NS + 2 * SECOND) == Outcome(Came.NOTHING)
