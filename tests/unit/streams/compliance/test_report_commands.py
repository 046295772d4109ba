"""`outcry report`: reports are made of days that are over, stored once, checked, handed over, answered and corrected."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from click.testing import CliRunner
from support.records.reported_day import DAY, SECOND, TEMPLATE, reported_exchange

from audit.keys import read_exchange_keys
from audit.log_store import LogStore, Position
from reports.filed.stored import only_maker
from reports.report_day import ReportDay
from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from streams.compliance import report as module
from streams.compliance.report import EXIT_LATE, EXIT_NOT_OVER, EXIT_WRONG, report
from streams.host.seal_partition import SealedPartition
from streams.proofs import audit_keys
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS

FILE = f"OUTCRY_{DAY.compact}_OrderEvents_000001"
AFTER_NS = DAY.end_ns + 60 * SECOND


class Clock:
    """datetime.now of the commands."""

    now_is = datetime.fromtimestamp(AFTER_NS // SECOND, UTC)

    def __getattr__(self, name):
        return getattr(datetime, name)

    def now(self, zone):
        """Whatever a test says."""
        return self.now_is.astimezone(zone)


@pytest.fixture
def exchange():
    """After the day."""
    return reported_exchange()


@pytest.fixture
def clock():
    """A minute after the day."""
    return Clock()


@pytest.fixture
def settings(tmp_path, exchange, clock, monkeypatch):
    """With a reference."""
    monkeypatch.setattr(module, "Log", lambda settings: nullcontext(exchange.log))
    monkeypatch.setattr(module.time, "time_ns", lambda: AFTER_NS)
    monkeypatch.setattr(module, "datetime", clock)
    reference = tmp_path / "reports.toml"
    reference.write_text(TEMPLATE)
    (tmp_path / "outbox").mkdir()
    return Settings(home=tmp_path / "home", reports_file=reference)


def run(settings, *arguments):
    """One command; an OutcryError is raised, as the program's main function tells it."""
    found = CliRunner().invoke(report, [str(one) for one in arguments], obj=settings)
    if isinstance(found.exception, OutcryError):
        raise found.exception
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def made(settings):
    """The folder of the CAT report."""
    assert run(settings, "make", "--day", DAY, "--quiet").exit_code == 0
    return settings.reports_folder / str(DAY) / "cat"


def test_a_report_is_made_once_and_the_same_again(settings):
    """Its manifest says where in the log it comes from."""
    folder = made(settings)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {f"{FILE}.json.gz", f"{FILE}.meta", "report.json"}
    again = run(settings, "make", "--day", DAY, "--quiet")
    assert "the same as before" in again.output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    manifest = json.loads(before["report.json"])
    assert manifest["modelled_on"] == "CAT Participants v1.7.1 (2018-09)"
    assert [one["partition"] for one in manifest["log"]] == ["executions/0", "executions/1", "account.events/0", "account.events/1"]
    assert manifest["files"][0]["records"] == 58


def test_a_report_that_would_be_another_one_now_is_refused(settings):
    """What was submitted stays."""
    folder = made(settings)
    before = (folder / "report.json").read_bytes()
    settings.reports_file.write_text(TEMPLATE.replace('"MEMBER1"', '"MEMBER2"'))
    with pytest.raises(StaleData, match="reference, the instruments or the log have changed"):
        run(settings, "make", "--day", DAY, "--quiet")
    assert (folder / "report.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir() if path.name.endswith("making")] == []


def test_two_makers_of_one_day_are_kept_apart(settings):
    """The second one says so and changes nothing; another day can be made meanwhile, and the day itself afterwards."""
    folder = made(settings)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with only_maker(settings, DAY), only_maker(settings, ReportDay(DAY.date + timedelta(days=1))):
        for command in ("make", "correct"):
            with pytest.raises(OutcryError, match=f"another process is making reports of {DAY}: wait"):
                run(settings, command, "--day", DAY, "--quiet")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert "the same as before" in run(settings, "make", "--day", DAY, "--quiet").output


def test_a_day_that_is_not_over_has_no_report(settings, exchange, monkeypatch):
    """Neither by the clock, nor while a book has not left it behind."""
    monkeypatch.setattr(module.time, "time_ns", lambda: DAY.end_ns - 1)
    found = run(settings, "make", "--day", DAY, "--quiet")
    assert (found.exit_code, "is not over: it ends at midnight" in found.output) == (EXIT_NOT_OVER, True)
    monkeypatch.setattr(module.time, "time_ns", lambda: AFTER_NS)
    exchange.log.parts[EXECUTIONS.name, 1].pop()
    found = run(settings, "make", "--day", DAY, "--quiet")
    assert found.exit_code == EXIT_NOT_OVER
    assert "executions/1 has come to 2027-01-15 16:00:00 New York time" in found.output
    assert not settings.reports_folder.exists()


def test_a_log_that_lost_a_record_of_the_day_gives_no_report(settings, exchange):
    """The numbers of the rows say that something is gone."""
    exchange.log.take_away(EXECUTIONS.name, 1, 20)
    with pytest.raises(StaleData, match="are not in the log"):
        run(settings, "make", "--day", DAY, "--quiet")


def test_reports_need_a_reference(settings):
    """The template is one."""
    with pytest.raises(OutcryError, match="OUTCRY_REPORTS_FILE"):
        run(Settings(home=settings.home), "make", "--day", DAY, "--quiet")
    assert run(settings, "reference").output == TEMPLATE


def test_the_manifest_has_the_entries_of_the_audit_log(settings, exchange, monkeypatch):
    """And the root of the tree that ends with the day, whatever came after it."""
    monkeypatch.setattr(audit_keys, "partition_counts", lambda settings, *topics: {one.name: 2 for one in topics})
    run_keys = CliRunner().invoke(audit_keys.keys, ["create", "--name", "exchange.example/audit"], obj=settings)
    assert run_keys.exit_code == 0, run_keys.output
    keys = read_exchange_keys(settings.audit_keys_file)
    sealed = []
    for topic in (EXECUTIONS, ACCOUNT_EVENTS):
        for number in range(2):
            folder = settings.audit_dir / topic.name / str(number)
            one = SealedPartition(topic.name, number, LogStore(folder, keys.origin(topic.name, number), keys, Position(0)))
            sealed.append((one, exchange.log.parts[topic.name, number]))
    with pytest.raises(OutcryError, match="has not come to record"):
        run(settings, "make", "--day", DAY, "--quiet")
    for one, records in sealed:
        for record in records:
            one.take(record, 0.0)
        one.commit()
    manifest = json.loads((made(settings) / "report.json").read_text())
    books = manifest["log"][1]
    assert (books["first_entry"], books["last_entry"]) == (books["first_offset"], books["last_offset"])
    assert len(books["root"]) == 64


def test_a_file_that_was_changed_is_found(settings):
    """By its digest, and by what its companion says."""
    folder = made(settings)
    assert run(settings, "validate", "--day", DAY).exit_code == 0
    path = folder / f"{FILE}.json.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = run(settings, "validate", "--day", DAY)
    assert found.exit_code == EXIT_WRONG
    assert "its content is not what was made" in found.output
    assert "INT." in found.output
    with pytest.raises(OutcryError, match="findings, the first"):
        run(settings, "submit", "--day", DAY, "--name", "cat", "--to", settings.home.parent / "outbox")
    summary = folder.parent / "summary" / f"summary-{DAY}.csv"
    summary.write_text(summary.read_text().replace("180", "181"))
    assert "summary-2027-01-15.csv: its content" in run(settings, "validate", "--day", DAY, "--name", "summary").output


def test_records_can_be_shown(settings):
    """Of an order or a symbol, as JSON or CSV."""
    made(settings)
    lines = run(settings, "show", "--day", DAY, "--order", "4").output.splitlines()
    assert [orjson.loads(line)["type"] for line in lines] == ["EOA", "EOT"]
    assert run(settings, "show", "--day", DAY, "--order", "4", "--csv").output.startswith("NEW,,20270115_AAPL_82,EOA,OUTCRY,")
    assert run(settings, "show", "--day", DAY, "--symbol", "MSFT").output == ""


def test_a_report_is_handed_over_once_and_late_if_it_is_not(settings, clock):
    """The list says so, and its exit status too."""
    made(settings)
    outbox = settings.home.parent / "outbox"
    assert run(settings, "list").exit_code == 0
    clock.now_is += timedelta(days=7)
    late = run(settings, "list", "--json")
    assert late.exit_code == EXIT_LATE
    assert json.loads(late.output.splitlines()[0])["due"] == "2027-01-19T08:00:00-05:00"
    assert "LATE" in run(settings, "list", "--day", DAY).output
    assert run(settings, "submit", "--day", DAY, "--name", "cat", "--to", outbox).exit_code == 0
    assert sorted(path.name for path in outbox.iterdir()) == [f"{FILE}.json.gz", f"{FILE}.meta"]
    assert "handed over before" in run(settings, "submit", "--day", DAY, "--name", "cat", "--to", outbox).output
    assert run(settings, "list").exit_code == 0


def test_a_target_with_another_file_of_that_name_is_refused(settings):
    """Nothing is overwritten."""
    made(settings)
    outbox = settings.home.parent / "outbox"
    (outbox / f"{FILE}.meta").write_text("{}")
    with pytest.raises(OutcryError, match="is there already and has other bytes"):
        run(settings, "submit", "--day", DAY, "--name", "cat", "--to", outbox)
    with pytest.raises(OutcryError, match="is no directory"):
        run(settings, "submit", "--day", DAY, "--name", "cat", "--to", outbox / "none")


def answer(settings, stage, errors=(), status="Accepted", file=FILE):
    """Put an answer beside the file."""
    text = json.dumps({"fileName": f"{file}.json.gz", "status": status, "errors": list(errors)})
    (settings.home.parent / "outbox" / f"{file}.{stage}").write_text(text)


def test_rejected_records_are_corrected_by_a_supplement(settings, clock):
    """Once the reference is right; the supplement is a file of its own with the next number, and is checked and handed over too."""
    made(settings)
    outbox = settings.home.parent / "outbox"
    run(settings, "submit", "--day", DAY, "--name", "cat", "--to", outbox)
    answer(settings, "ack")
    assert "ack accepted" in run(settings, "list").output
    assert "nothing is to be corrected" in run(settings, "correct", "--day", DAY, "--quiet").output
    answer(settings, "ingestion", [{"recordNumber": 3, "errorROEID": 17, "code": "2098"}], "Rejected")
    answer(settings, "linkage", [{"recordNumber": 4, "errorROEID": 18, "code": "3000"}], "Rejected")
    assert "2 records to correct" in run(settings, "list").output
    with pytest.raises(OutcryError, match="would be sent again as it was"):
        run(settings, "correct", "--day", DAY, "--quiet")
    settings.reports_file.write_text(TEMPLATE.replace('member = "MEMBER1"', 'member = "MEMBER9"'))
    found = run(settings, "correct", "--day", DAY, "--quiet")
    assert "000002.json.gz: 2 records" in found.output
    assert "nothing is to be corrected" in run(settings, "correct", "--day", DAY, "--quiet").output
    assert run(settings, "validate", "--day", DAY, "--name", "cat").exit_code == 0
    run(settings, "submit", "--day", DAY, "--name", "cat", "--to", outbox)
    assert (outbox / f"OUTCRY_{DAY.compact}_OrderEvents_000002.json.gz").is_file()
    lines = [orjson.loads(line) for line in run(settings, "show", "--day", DAY).output.splitlines()][-2:]
    assert [(one["actionType"], one.get("errorROEID"), one["member"]) for one in lines] == [
        ("RPR", 17, "MEMBER9"),
        ("COR", None, "MEMBER9"),
    ]
    clock.now_is += timedelta(days=30)
    assert run(settings, "list").exit_code == 0
    answer(
        settings,
        "ingestion",
        [{"recordNumber": 1, "errorROEID": 19, "code": "2098"}],
        "Rejected",
        f"OUTCRY_{DAY.compact}_OrderEvents_000002",
    )
    assert run(settings, "list").exit_code == EXIT_LATE


def test_a_manifest_that_cannot_be_read_is_named(settings):
    """It is not taken for a report that was never made."""
    folder = made(settings)
    (folder / "report.json").write_text("{")
    with pytest.raises(StaleData, match="report.json cannot be read"):
        run(settings, "validate", "--day", DAY)
    with pytest.raises(OutcryError, match="there is no cat report of 2027-01-14"):
        run(settings, "validate", "--day", "2027-01-14")
    assert run(settings, "make", "--day", "yesterday").exit_code == 2


def test_a_month_needs_every_trading_day(settings, tmp_path, monkeypatch):
    """Here all but one of its days are closed."""
    closed = [f"2027-01-{day:02}" for day in range(1, 32) if day != 15]
    (tmp_path / "days.toml").write_text(f"closed = {json.dumps(closed)}")
    settings = settings.model_copy(update={"market_days_file": tmp_path / "days.toml"})
    assert run(settings, "month", "--month", "2027-01").exit_code == EXIT_NOT_OVER
    monkeypatch.setattr(module.time, "time_ns", lambda: AFTER_NS + 31 * 86_400 * SECOND)
    with pytest.raises(OutcryError, match="1 trading days of 2027-01 have no report of execution quality: 2027-01-15"):
        run(settings, "month", "--month", "2027-01")
    made(settings)
    assert "made of 1 days" in run(settings, "month", "--month", "2027-01").output
    assert "the same as before of 1 days" in run(settings, "month", "--month", "2027-01").output
    path = settings.reports_folder / "months" / "quality-2027-01.csv"
    path.write_text(path.read_text() + "x")
    with pytest.raises(StaleData, match="other days"):
        run(settings, "month", "--month", "2027-01")
    assert run(settings, "list").exit_code == 0
    with pytest.raises(OutcryError, match="use YYYY-MM-DD"):
        run(settings, "month", "--month", "2027-13")
