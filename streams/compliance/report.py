"""`outcry report`: make the regulatory reports of a day that is over, check, submit and correct them.

In:     executions, account.events; the audit logs on this machine; answers in the directory of a submission
Out:    OUTCRY_HOME/data/reports; the directory of a submission
On failure: a sentence and an exit status; a report appears whole or not at all, and one that was made is never changed
"""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Table

from reports.cat.checks import DayCheck, Finding
from reports.cat.events import CatEvents
from reports.cat.feedback import RecordError, corrections, rejected_lines
from reports.cat.fields import Record, csv_line, json_line
from reports.cat.files import FileName, parse_name
from reports.cat.words import ActionType
from reports.catalogue import CAT, CORRECTED_DAYS, KINDS, QUALITY, ReportKind
from reports.quality import month_lines
from reports.reference import TEMPLATE, Reference, parse_reference
from reports.report_day import ReportDay
from reports.tables import rows_of_csv
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.market_hours import MarketCalendar
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.compliance.origins import audited
from streams.compliance.read_day import DayNotOver, DayRead, read_day
from streams.compliance.stored import StoredReport, days, pack_file, require, store, store_month, stored
from streams.compliance.submissions import Submission, answers_of, state_of, submissions_of, submit
from streams.host.read_log import Log

EXIT_WRONG: Final = 1
EXIT_NOT_OVER: Final = 3
EXIT_LATE: Final = 4
FINDINGS_SHOWN: Final = 20


class _Day(click.ParamType):
    name = "DAY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ReportDay:
        if isinstance(value, ReportDay):
            return value
        try:
            return ReportDay.parse(value)
        except OutcryError as error:
            self.fail(str(error), param, ctx)


_day = click.option("--day", type=_Day(), required=True, help="The day in New York, YYYY-MM-DD.")
_names = click.option("--name", "names", type=click.Choice(list(KINDS)), multiple=True, help="This report only (default: all).")
_quiet = click.option("--quiet", is_flag=True, help="No progress.")


@click.group()
def report() -> None:
    """Make the regulatory reports of a day, check, submit and correct them.

    \b
    A day, after it is over:
      outcry report make --day 2026-11-30
      outcry report validate --day 2026-11-30
      outcry report submit --day 2026-11-30 --name cat --to /srv/cat/outbox
      outcry report list
    """


def _reference(settings: Settings) -> tuple[Reference, str]:
    """The reference and its digest. Raises OutcryError."""
    path = settings.reports_file
    if path is None:
        raise OutcryError(
            "reports need to know who reports and which member each account belongs to: write `outcry report reference` into a file, complete it, and "
            "name it in OUTCRY_REPORTS_FILE"
        )
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise OutcryError(f"{path}: not UTF-8 text: {error}") from error
    return parse_reference(text, str(path)), sha256(text.encode()).hexdigest()


@report.command("reference")
def reference() -> None:
    """Print a reference of members to begin with.

    \b
    Example:
      outcry report reference > reports.toml
    """
    click.echo(TEMPLATE, nl=False)


@report.command("make")
@_day
@_names
@_quiet
@click.pass_context
def make(ctx: click.Context, day: ReportDay, names: tuple[str, ...], quiet: bool) -> None:
    """Make the reports of a day that is over, and store them.

    Making a report again compares it with the one that is there. Exit status: 0 made or there already, 1 something is wrong, 3 the day is not over.

    \b
    Examples:
      outcry report make --day 2026-11-30
      outcry report make --day 2026-11-30 --name cat
    """
    settings = settings_of(ctx)
    known, digest = _reference(settings)
    read = _read(ctx, settings, day, quiet=quiet)
    if read is None:
        return
    origins = audited(settings, read.origins)
    for kind in _kinds(names):
        made, is_new = store(settings, kind, read, known, origins, digest)
        records = sum(one.records for one in made.files)
        click.echo(
            f"{kind.name}: {'made' if is_new else 'the same as before'}, {records:,} records in {len(made.files)} files, {made.folder}"
        )


def _kinds(names: tuple[str, ...]) -> list[ReportKind]:
    return [kind for name, kind in KINDS.items() if not names or name in names]


def _read(ctx: click.Context, settings: Settings, day: ReportDay, *, quiet: bool) -> DayRead | None:
    """The day; None for one that is not over, which is said, and the command ends."""
    try:
        with Log(settings) as log:
            return read_day(log, day, load_instruments(settings.instruments_file), now_ns=time.time_ns(), quiet=quiet)
    except DayNotOver as error:
        click.echo(f"outcry: {error}", err=True)
        ctx.exit(EXIT_NOT_OVER)


@report.command("month")
@click.option("--month", "text", required=True, help="The month, YYYY-MM.")
@click.pass_context
def month(ctx: click.Context, text: str) -> None:
    """Make the report of execution quality of a month from those of its trading days.

    Exit status: 0 made or there already, 1 a day is missing, 3 the month is not over.

    \b
    Example:
      outcry report month --month 2026-11
    """
    settings = settings_of(ctx)
    first = ReportDay.parse(f"{text}-01")
    following = ReportDay.parse(f"{first.date.year + first.date.month // 12}-{first.date.month % 12 + 1:02}-01")
    if time.time_ns() < following.start_ns:
        click.echo(f"outcry: {text} is not over", err=True)
        ctx.exit(EXIT_NOT_OVER)
    calendar = MarketCalendar.load(settings.market_days_file)
    trading = [ReportDay(one.day) for one in calendar.days(first.date, following.date - timedelta(days=1))]
    found = {
        day: one for day in sorted({*trading, *days(settings)}) if first <= day < following and (one := stored(settings, day, QUALITY))
    }
    if missing := [str(day) for day in trading if day not in found]:
        raise OutcryError(f"{len(missing)} trading days of {text} have no report of execution quality: {', '.join(missing)}")
    lines = (line for one in found.values() for line in rows_of_csv(_sound_lines(one)))
    path, is_new = store_month(settings, text, month_lines(lines, load_instruments(settings.instruments_file)))
    click.echo(f"{QUALITY.name}: {'made' if is_new else 'the same as before'} of {len(found)} days, {path}")


def _sound_lines(one: StoredReport) -> Iterator[bytes]:
    """The lines of a report of one file. Raises OutcryError where it is not what was made."""
    for finding in check(one):
        raise OutcryError(finding)
    return one.lines(one.files[0].name)[0]


# ---- checks


@report.command("validate")
@_day
@_names
@click.option("--all", "every", is_flag=True, help=f"Show every finding, not only the first {FINDINGS_SHOWN}.")
@click.pass_context
def validate(ctx: click.Context, day: ReportDay, names: tuple[str, ...], every: bool) -> None:
    """Check stored reports: that their files are as they were made, and that every record of a CAT report keeps every rule.

    Exit status: 0 all is well, 1 there are findings, or a report is missing.

    \b
    Example:
      outcry report validate --day 2026-11-30 --name cat
    """
    settings = settings_of(ctx)
    count = 0
    for kind in _kinds(names):
        one = require(settings, day, kind)
        for finding in check(one):
            count += 1
            if every or count <= FINDINGS_SHOWN:
                click.echo(finding)
        click.echo(f"{kind.name}: {sum(file.records for file in one.files):,} records in {len(one.files)} files checked")
    if count:
        click.echo(f"{count:,} findings")
        ctx.exit(EXIT_WRONG)


def check(one: StoredReport) -> Iterator[str]:
    """What is wrong with a stored report, one sentence each."""
    day_check = DayCheck(one.day.compact)
    for file in one.files:
        digest, lines_check = sha256(), DayCheck(one.day.compact) if file.supplements else day_check
        lines, unpacker = one.lines(file.name)
        before = lines_check.records
        for line in lines:
            digest.update(line)
            if one.kind.is_cat:
                found = lines_check.take_alone(line) if file.supplements else lines_check.take(line)
                yield from (f"{file.name} {_from(finding, before)}" for finding in found)
        if digest.hexdigest() != file.sha256:
            yield f"{file.name}: its content is not what was made: digest {digest.hexdigest()[:16]}, not {file.sha256[:16]}"
        if unpacker is not None:
            yield from map(str, unpacker.findings)
    if one.kind.is_cat:
        yield from (f"{one.day}: {finding}" for finding in day_check.finish())


def _from(finding: Finding, before: int) -> Finding:
    """With the number of the line in its own file."""
    return Finding(finding.line - before, finding.code, finding.field, finding.text)


@report.command("show")
@_day
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, a field after the other without a header, instead of JSON.")
@click.option("--order", "order_id", metavar="NUMBER", help="Events of this order only.")
@click.option("--symbol", metavar="SYMBOL", help="Events of this instrument only.")
@click.pass_context
def show(ctx: click.Context, day: ReportDay, as_csv: bool, order_id: str | None, symbol: str | None) -> None:
    """Print the records of a stored CAT report.

    \b
    Examples:
      outcry report show --day 2026-11-30 --symbol AAPL | head
      outcry report show --day 2026-11-30 --order 17592186044417 --csv
    """
    one = require(settings_of(ctx), day, CAT)
    out = click.get_binary_stream("stdout")
    for file in one.files:
        for line in one.lines(file.name)[0]:
            record = orjson.loads(line)
            if (symbol is None or record["symbol"] == symbol) and (order_id is None or order_id in _orders_of(record)):
                out.write(csv_line(record) if as_csv else line)


def _orders_of(record: Record) -> set[str | None]:
    sides = (record.get(name, {}) for name in ("buyDetails", "sellDetails"))
    return {record.get("orderID"), *(side.get("orderID") for side in sides)}


# ---- handing over


@report.command("submit")
@_day
@click.option("--name", "name", type=click.Choice(list(KINDS)), required=True, help="The report.")
@click.option("--to", "target", type=click.Path(file_okay=False, path_type=Path), required=True, help="The directory.")
@click.pass_context
def submit_command(ctx: click.Context, day: ReportDay, name: str, target: Path) -> None:
    """Hand a report over to a directory: what was not handed over there yet, supplements too.

    A CAT report with findings is not handed over.

    \b
    Example:
      outcry report submit --day 2026-11-30 --name cat --to /srv/cat/outbox
    """
    one = require(settings_of(ctx), day, KINDS[name])
    findings = list(check(one))
    if findings:
        raise OutcryError(
            f"the {name} report of {day} has {len(findings):,} findings, the first: {findings[0]}; see `outcry report validate`"
        )
    sent = submit(one, target, datetime.now(UTC))
    for submission in sent:
        click.echo(f"{submission.file} is in {target}")
    if not sent:
        click.echo("everything was handed over before")


@report.command("list")
@click.option("--day", type=_Day(), help="This day only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a report.")
@click.pass_context
def list_command(ctx: click.Context, day: ReportDay | None, as_json: bool) -> None:
    """List reports: what was made and submitted, what was answered, and what is due when.

    Exit status: 0, or 4 if a report or a correction is late.

    \b
    Examples:
      outcry report list
      outcry report list --day 2026-11-30 --json
    """
    settings, now = settings_of(ctx), datetime.now(UTC)
    calendar = MarketCalendar.load(settings.market_days_file)
    rows = [row for one in ([day] if day is not None else days(settings)) for row in _rows(settings, one, calendar, now)]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    else:
        _print(rows)
    if any(row["late"] for row in rows):
        ctx.exit(EXIT_LATE)


def _rows(settings: Settings, day: ReportDay, calendar: MarketCalendar, now: datetime) -> Iterator[dict[str, Any]]:
    for kind in KINDS.values():
        one = stored(settings, day, kind)
        due = kind.due(day, calendar)
        row: dict[str, Any] = {
            "day": str(day), "report": kind.name, "made": one is not None, "files": 0, "records": 0, "submitted": 0, "answers": "",
            "due": due.isoformat() if due else "", "late": False,
        }  # fmt: skip
        if one is not None:
            sent = submissions_of(one)
            answers = {submission.file: state_of(answers_of(submission)) for submission in sent}
            row |= {
                "files": len(one.files), "records": sum(file.records for file in one.files), "submitted": len({each.file for each in sent}),
                "answers": "; ".join(f"{_number(name)}{state}" for name, state in answers.items() if state),
            }  # fmt: skip
            if due is not None and (to_correct := sorted(_to_correct(one, sent))):
                due = kind.at(day.trading_days_later(CORRECTED_DAYS, calendar))
                row |= {"due": due.isoformat(), "answers": f"{row['answers']}; {len(to_correct):,} records to correct"}
                row["late"] = now > due
            elif due is not None:
                row["late"] = now > due and row["submitted"] < row["files"]
        elif due is not None:
            row["late"] = now > due
        yield row


def _number(file: str) -> str:
    """The number of a file, before what is said of it."""
    name = parse_name(file)
    return "" if name is None else f"{name.sequence:06} "


def _print(rows: list[dict[str, Any]]) -> None:
    console = Console()
    table = Table("day", "report", "records", "files", "submitted", "answers", "due", box=None, pad_edge=False)
    for row in rows:
        due = f"{datetime.fromisoformat(row['due']):%Y-%m-%d %H:%M}" if row["due"] else ""
        made = f"{row['records']:,}" if row["made"] else "not made"
        table.add_row(
            row["day"], row["report"], made, str(row["files"]), str(row["submitted"]), row["answers"], f"{due} LATE" if row["late"] else due
        )
    (console if console.is_terminal else Console(width=160)).print(table)


# ---- corrections


@report.command("correct")
@_day
@_quiet
@click.pass_context
def correct(ctx: click.Context, day: ReportDay, quiet: bool) -> None:
    """Make a supplement of a CAT report: the records that were rejected, as log and reference make them now.

    Complete the reference first. A record that would be sent again as it was is refused. Exit status: as of `make`.

    \b
    Example:
      outcry report correct --day 2026-11-30
    """
    settings = settings_of(ctx)
    one = require(settings, day, CAT)
    wanted = _to_correct(one, submissions_of(one))
    if not wanted:
        click.echo("nothing is to be corrected")
        return
    known, _ = _reference(settings)
    read = _read(ctx, settings, day, quiet=quiet)
    if read is None:
        return
    records = list(corrections({roe_id: asked for roe_id, (asked, _) in wanted.items()}, CatEvents(read.facts, known).records()))
    same = [record["firmROEID"] for record in records if _content(record) == _content(wanted[record["firmROEID"]][1])]
    missing = wanted.keys() - {record["firmROEID"] for record in records}
    if missing or same:
        what = "would be sent again as it was: correct the reference first" if same else "is made by the log no longer"
        raise OutcryError(f"{(same or sorted(missing))[0]} {what}; {len(same) + len(missing):,} records in all")
    sequence = 1 + max(name.sequence for file in one.files if (name := parse_name(file.name)) is not None)
    name = FileName(known.reporter, day.compact, sequence)
    file = pack_file(one.folder, name, map(json_line, records), supplements=True)
    one.add(str(name), file)
    click.echo(f"{name}: {file.records:,} records; hand it over with `outcry report submit`")


def _content(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in ("actionType", "errorROEID")}


def _to_correct(one: StoredReport, sent: Iterable[Submission]) -> dict[str, tuple[tuple[ActionType, RecordError], Record]]:
    """By firmROEID, what was asked of a record, and the record: those that no later file has."""
    asked: dict[str, tuple[tuple[ActionType, RecordError], Record]] = {}
    by_file = {submission.file: rejected_lines(answers_of(submission)) for submission in sent}
    for file in one.files:
        rejected = by_file.get(file.name, {})
        if not rejected and not file.supplements:
            continue
        for number, line in enumerate(one.lines(file.name)[0], 1):
            if number in rejected or file.supplements:
                record = orjson.loads(line)
                asked.pop(record["firmROEID"], None)
                if number in rejected:
                    asked[record["firmROEID"]] = rejected[number], record
    return asked
