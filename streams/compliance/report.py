"""`outcry report`: make the regulatory reports of a day that is over, check, submit and correct them.

In:     executions, account.events; the audit logs on this machine; answers in the directory of a submission
Out:    OUTCRY_HOME/data/reports; the directory of a submission
On failure: a sentence and an exit status; a report appears whole or not at all, and one that was made is never changed
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Table

from reports.cat.events import CatEvents
from reports.cat.feedback import corrections
from reports.cat.fields import Record, csv_line, json_line
from reports.cat.files import FileName, Lines, parse_name
from reports.catalogue import CAT, KINDS, QUALITY, ReportKind
from reports.day_read import DayRead
from reports.filed.checks import FINDINGS_KEPT, check, check_and_keep
from reports.filed.drift_logs import clocks_of
from reports.filed.states import state_of_report, to_correct
from reports.filed.stored import StoredReport, days, only_maker, pack_file, require, store, store_month, stored
from reports.filed.submissions import submissions_of, submit
from reports.quality import month_lines
from reports.reference import TEMPLATE
from reports.report_day import ReportDay
from reports.tables import rows_of_csv
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.market_hours import MarketCalendar
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.compliance.make_day import read_reference
from streams.compliance.origins import audited
from streams.compliance.read_day import DayNotOver, read_day
from streams.host.read_log import Log

EXIT_WRONG: Final = 1
EXIT_NOT_OVER: Final = 3
EXIT_LATE: Final = 4


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
    known, digest = read_reference(settings)
    read = _read(ctx, settings, day, quiet=quiet)
    if read is None:
        return
    origins = audited(settings, read.origins)
    with only_maker(settings, day):
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
            read = read_day(log, day, load_instruments(settings.instruments_file), now_ns=time.time_ns(), quiet=quiet)
            return read.with_clocks(clocks_of(settings, day))
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
@click.option("--all", "every", is_flag=True, help=f"Show every finding, not only the first {FINDINGS_KEPT} of a report.")
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
        found = check_and_keep(one)
        for finding in check(one) if every and found.findings > len(found.first) else found.first:
            click.echo(finding)
        count += found.findings
        click.echo(f"{kind.name}: {sum(file.records for file in one.files):,} records in {len(one.files)} files checked")
    if count:
        click.echo(f"{count:,} findings")
        ctx.exit(EXIT_WRONG)


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
    wanted = [day] if day is not None else days(settings)
    rows = [state_of_report(settings, one, kind, calendar, now).as_json() for one in wanted for kind in KINDS.values()]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    else:
        _print(rows)
    if any(row["late"] for row in rows):
        ctx.exit(EXIT_LATE)


def _print(rows: list[dict[str, Any]]) -> None:
    console = Console()
    table = Table("day", "report", "records", "findings", "files", "submitted", "answers", "due", box=None, pad_edge=False)
    for row in rows:
        due = f"{datetime.fromisoformat(row['due']):%Y-%m-%d %H:%M}" if row["due"] else ""
        made = f"{row['records']:,}" if row["made"] else "not made"
        findings = "" if not row["made"] else "not checked" if row["findings"] is None else f"{row['findings']:,}"
        counts = (made, findings, str(row["files"]), str(row["submitted"]))
        table.add_row(row["day"], row["report"], *counts, row["answers"], f"{due} LATE" if row["late"] else due)
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
    with only_maker(settings_of(ctx), day):
        _correct(ctx, day, quiet=quiet)


def _correct(ctx: click.Context, day: ReportDay, *, quiet: bool) -> None:
    settings = settings_of(ctx)
    one = require(settings, day, CAT)
    wanted = to_correct(one, submissions_of(one))
    if not wanted:
        click.echo("nothing is to be corrected")
        return
    known, _ = read_reference(settings)
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
    file = pack_file(one.folder, name, Lines.together(map(json_line, records)), supplements=True)
    one.add(str(name), file)
    click.echo(f"{name}: {file.records:,} records; hand it over with `outcry report submit`")


def _content(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in ("actionType", "errorROEID")}
