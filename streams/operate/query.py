"""`outcry query`: SQL over the archive and the end of the log."""

import csv
import json
import sys
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table as Grid

from schemas.codec import BadBytes, Frame
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.read_log import Log
from streams.host.sink_feeder import input_of
from topics.sources import topic_named

TAIL_ROWS_MAX: Final = 2_000_000
"""About 600 MB. More is a matter for the role `archive`."""
SHOWN_ROWS_MAX: Final = 1_000_000


class TailTooLong(OutcryError):
    """The log has more rows behind the archive than a query takes into memory."""


@click.command()
@click.argument("sql")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True, help="json: an object a line."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there instead of standard output.")
@click.option("--rows", type=click.IntRange(1, SHOWN_ROWS_MAX), default=1_000, show_default=True, help="Most rows that are given.")
@click.option("--archive-only", is_flag=True, help="Without the end of the log, which the archive does not have yet; needs no Kafka.")
@click.option("--timeout", type=click.FloatRange(0.01, 3_600), default=60, show_default=True, help="Seconds.")
@click.option("--memory", type=click.IntRange(64, 65_536), default=512, show_default=True, help="MB.")
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Processor cores.")
@click.pass_context
def query(
    ctx: click.Context, sql: str, form: str, output: Path | None, rows: int, archive_only: bool, timeout: float, memory: int, threads: int
) -> None:  # fmt: skip
    """Run one SQL statement that reads, over the archive and the end of the log.

    Tables and views: trades, orders, postings, quotes, bars(width), instruments; executions, account_events and market_data with every column
    of the log. docs/archive.md describes them. The statement cannot read other files or the network, and ends by its limits.

    \b
    Examples:
      outcry query "SELECT symbol, count(*) AS trades, sum(qty) AS shares FROM trades GROUP BY symbol"
      outcry query "FROM bars(INTERVAL '5 minutes') WHERE symbol = 'AAPL'"
      outcry query --format csv --output orders.csv "FROM orders WHERE account = 1001"
    """
    from sinks.parquet.queries import QueryLimits, QuerySession

    settings = settings_of(ctx)
    tails = {} if archive_only else read_tails(settings)
    limits = QueryLimits(timeout, memory, threads)
    with QuerySession(settings.archive_folder, load_instruments(settings.instruments_file), tails, limits) as session:
        names, found = session.run(sql)
        shown = list(islice(found, rows))
        more = next(found, None) is not None
    text = FORMS[form](names, shown)
    try:
        output.write_text(text) if output is not None else sys.stdout.write(text)
    except OSError as error:
        raise OutcryError(f"{output}: cannot be written: {error}") from error
    if more:
        click.echo(f"outcry: only the first {rows:,} rows; ask for more with --rows", err=True)


def read_tails(settings: Settings) -> dict[str, Any]:
    """By table, the rows behind the newest files, as Arrow. Raises ServiceUnavailable, TailTooLong."""
    from sinks.parquet.files import marks_of, newest_manifests
    from sinks.parquet.tables import TABLES, Taken, arrow_of, columns_of

    tails, rows = {}, 0
    with Log(settings) as log:
        for table in TABLES:
            known, taken = newest_manifests(settings.archive_folder, table), list[Taken]()
            for partition in range(log.partitions(topic_named(table.topic))):
                marks, bounds = marks_of(known.get(partition)), log.bounds(table.topic, partition)
                if bounds is None:
                    continue
                for record in log.records(table.topic, partition, max(bounds.low, marks.next_offset), bounds.high):
                    try:
                        one = input_of(record)
                    except BadBytes:
                        continue
                    if isinstance(one.body, Frame) and marks.takes(one):
                        taken.append(Taken(one.body, partition, one.offset, one.time_ns))
                        rows += len(one.body.rows)
                        if rows > TAIL_ROWS_MAX:
                            raise TailTooLong(
                                f"the log has more than {TAIL_ROWS_MAX:,} rows that are not archived: run the role archive, or use --archive-only"
                            )
            tails[table.name] = arrow_of(table, columns_of(table, taken))
    return tails


def as_table(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    """For a person."""
    grid = Grid(box=None, pad_edge=False)
    for at, name in enumerate(names):
        is_number = any(isinstance(row[at], int | float | Decimal) and not isinstance(row[at], bool) for row in rows)
        grid.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*("" if value is None else str(plain(value)) for value in row))
    console = Console(width=10_000, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(grid)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def as_csv(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    """RFC 4180 with a head; nothing for NULL."""
    lines: list[str] = []

    class _Lines:
        def write(self, text: str) -> None:
            lines.append(text)

    writer = csv.writer(_Lines())
    writer.writerow(names)
    writer.writerows([["" if value is None else plain(value) for value in row] for row in rows])
    return "".join(lines)


def as_json(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    """JSON lines; decimals as text, so that they stay exact."""
    return "".join(f"{json.dumps(dict(zip(names, map(plain, row), strict=True)), default=str)}\n" for row in rows)


FORMS: Final = {"table": as_table, "csv": as_csv, "json": as_json}


def plain(value: Any) -> Any:
    """Decimals without trailing zeros, times as ISO 8601."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value.isoformat() if isinstance(value, datetime | date) else value
