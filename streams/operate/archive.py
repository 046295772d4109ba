"""`outcry archive`: look at the archive, check its files, remove old days."""

import sys
from collections import Counter
from datetime import date

import click

from audit.disk import Disk
from streams.__main__ import settings_of
from streams.transport.app import claim_for_worker


@click.group()
def archive() -> None:
    """The columnar archive that the role `archive` writes; `outcry query` asks it."""


@archive.command("show")
@click.pass_context
def show(ctx: click.Context) -> None:
    """Show what the archive has, by table and day.

    \b
    Examples:
      outcry archive show
    """
    from sinks.parquet.files import manifests
    from sinks.parquet.tables import TABLES

    folder = settings_of(ctx).archive_folder
    click.echo(f"{'table':<16}{'day':<12}{'files':>7}{'rows':>14}{'bytes':>16}")
    for table in TABLES:
        days: dict[str, Counter[str]] = {}
        for _, manifest in manifests(folder, table):
            for one in manifest.files:
                days.setdefault(manifest.day, Counter()).update(files=1, rows=one.rows, bytes=one.bytes)
        for day, sums in sorted(days.items()):
            click.echo(f"{table.name:<16}{day:<12}{sums['files']:>7,}{sums['rows']:>14,}{sums['bytes']:>16,}")


@archive.command("verify")
@click.pass_context
def verify(ctx: click.Context) -> None:
    """Read every file and compare its values with the digest in its manifest. Exit code 1 if any differs.

    \b
    Examples:
      outcry archive verify
    """
    from sinks.parquet.files import faults
    from sinks.parquet.tables import TABLES

    folder, checked, wrong = settings_of(ctx).archive_folder, 0, 0
    for name, problem in faults(folder, TABLES):
        checked += 1
        if problem:
            wrong += 1
            click.echo(f"BAD {name}: {problem}")
    click.echo(f"{checked:,} files in {folder}, {wrong} of them wrong")
    sys.exit(1 if wrong else 0)


@archive.command("prune")
@click.option("--before", metavar="DAY", required=True, help="Remove days before this one, such as 2026-11-27.")
@click.pass_context
def prune(ctx: click.Context, before: str) -> None:
    """Remove old days for good, but never the newest of a partition. The role must not run; it does this by itself with OUTCRY_ARCHIVE_DAYS.

    \b
    Examples:
      outcry archive prune --before 2026-11-27
    """
    from sinks.parquet.files import ArchivedPartition, newest_manifests
    from sinks.parquet.tables import TABLES

    try:
        first = date.fromisoformat(before)
    except ValueError:
        raise click.BadParameter(f"{before!r} is not a day such as 2026-11-27", param_hint="--before") from None
    folder = settings_of(ctx).archive_folder
    claim_for_worker(folder)
    for table in TABLES:
        for number, manifest in newest_manifests(folder, table).items():
            ArchivedPartition(folder, table, number, Disk(), manifest).forget_before(first)
