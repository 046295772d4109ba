"""`outcry region`: follow another region with a copy of its log, take over from it, and see what only it has. docs/regions.md."""

import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from schemas.logins import act_as
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.access_record import record_command
from streams.host.read_log import Log
from streams.operate.shard_places import workers_here
from streams.regions.access_copy import take_login
from streams.regions.copier import newest_is_signed
from streams.regions.parting import Report, compare
from streams.regions.take_over import FOLLOWERS, TakeOver, ends_of, require_complete
from streams.services.local_set import LocalSet
from streams.services.progress import Progress
from topics.kafka_clients import native_client
from topics.own_log import LogOwner, NotOurs
from topics.rights import ADMINISTRATOR
from topics.roles import COPY_LOG, EDGE, REGIONS_MAX, ROLES

SHOWN_MAX: Final = 20
FOLLOWING: Final = tuple(name for name, role in ROLES.items() if (not role.optional and role is not EDGE) or role is COPY_LOG)
"""What runs in a region that follows: everything but what appends for itself."""


@click.group()
def region() -> None:
    """A second region: a copy of the log, shards that follow it, and a take-over.

    \b
    Example, in a home of its own:
      outcry region follow 10.0.0.1:9092 --keys keys-of-the-exchange
      outcry region take-over                    when the first one is lost
      outcry up --role edge                      customers come here now
    """


@region.command()
@click.argument("kafka", metavar="KAFKA")
@click.option("--number", type=click.IntRange(2, REGIONS_MAX), default=2, show_default=True, help="Of this region; each has its own.")
@click.option(
    "--keys", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The record keys of the exchange (its data/record-keys)."
)
@click.option(
    "--mysql",
    metavar="URL",
    help="MySQL of the other region, mysql://user:password@host:port/database: who may sign in there may here too.",
)
@click.pass_context
def follow(ctx: click.Context, kafka: str, number: int, keys: Path | None, mysql: str | None) -> None:
    """Start the services and roles of a region that copies the log of the one whose Kafka is at KAFKA, and follows it.

    Its shards are warm, and its stores, prices and alerts are those of the copy. It takes no orders before it takes over. Numbers of shards
    (OUTCRY_ACCOUNT_SHARDS, OUTCRY_BOOK_SHARDS) and instruments must be those of the other region.
    """
    known = settings_of(ctx)
    from_mysql = _checked("copies_mysql_from", mysql, "--mysql") if mysql is not None else known.copies_mysql_from
    settings = known.model_copy(
        update={"copies_from": _checked("copies_from", kafka, "KAFKA"), "copies_mysql_from": from_mysql, "region": number}
    )
    take_keys(settings, keys)
    take_login(settings)
    local = LocalSet(settings)
    with Progress("starting") as progress:
        started = local.start(roles=FOLLOWING, watch=progress)
    if not from_mysql:
        click.echo(
            "without --mysql API keys and people of the other region are not copied: nobody could sign in here after a take-over", err=True
        )
    click.echo(
        f"the set in {local.settings.home} {'follows' if started else 'already follows'} {kafka}; `outcry region status` shows how far it is"
    )


def _checked(setting: str, address: str, hint: str) -> str:
    """As the setting of that name takes it. Raises click's error for what is none."""
    try:
        return str(getattr(Settings.model_validate({setting: address}), setting))
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise click.BadParameter(f"{address!r} {why}", param_hint=hint) from error


def take_keys(settings: Settings, keys: Path | None) -> None:
    """Everybody who reads a record must know its sender by the same key. Raises NotOurs."""
    folder = settings.record_keys_dir
    if keys is not None and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(keys, folder)
        folder.chmod(0o700)
    if not folder.exists() and _is_signed(settings):
        raise NotOurs(
            "the records of the other region have codes: give --keys, the folder of its record keys, or nobody here would believe them"
        )


def _is_signed(settings: Settings) -> bool:
    """Whether newest records of the other region have codes. Raises ServiceUnavailable."""
    other = settings.model_copy(update={"kafka_url": settings.copies_from})
    return any(newest_is_signed(native_client(other.kafka_url), place, end) for place, end in ends_of(other).items() if end)


@region.command("take-over")
@click.option("--abandon", is_flag=True, help="Give up what the other region has and the copy has not, though it answers.")
@click.option("--copier-has-ended", is_flag=True, help="Say that copy-log does not run, where it is not in this machine's set.")
@click.option("--from", "kafka", metavar="KAFKA", help="The other region's Kafka (default: OUTCRY_COPIES_FROM of the running set).")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds to wait for the shards.")
@click.pass_context
def take_over(ctx: click.Context, abandon: bool, copier_has_ended: bool, kafka: str | None, timeout_s: float) -> None:
    """Make the copy this region's own log, and have its shards write it.

    Without --abandon the other region must be away, or have stopped with nothing left to copy (a planned move loses nothing). What it
    had accepted and not copied is lost to this region; `outcry region compare` lists it as soon as the other region's Kafka answers.

    \b
    The other region must not go on trading. It stops by itself if it reaches this one (OUTCRY_COPIED_TO); make sure that it does.
    """
    act_as(ADMINISTRATOR)  # nobody else may change what a topic is
    settings, began_s = settings_of(ctx), time.monotonic()
    local, owner = LocalSet(settings), LogOwner(settings.kafka_url)
    run = TakeOver(settings, {role.name: workers_here(settings.run_dir, role) for role in FOLLOWERS}, timeout_s, click.echo)
    if not owner.is_copy() and not any(seen.epoch == 0 or not seen.writes for found in run.followers().values() for seen in found):
        click.echo("this region has its own log, and its shards write it: there is nothing to take over")
        return
    other = kafka or _copied_from(local)
    if not abandon and not other:
        raise NotOurs("which region the log is a copy of is not known here: say --from KAFKA, or --abandon what it has more")
    if other and not abandon:
        require_complete(settings, other)
    run.followers()
    if not local.drop(COPY_LOG.name) and not copier_has_ended:
        status = local.status()
        if status is None or COPY_LOG.name not in {child.name for child in status.children}:
            raise NotOurs("copy-log is not in the set of this home: make sure that none runs, then say --copier-has-ended")
    record_command(ctx)
    for one in run.run():
        click.echo(f"{one.role} {one.shard}: {one.writers} writes from offset {one.at:,} on (epoch {one.epoch})")
    click.echo(f"this region has taken over after {time.monotonic() - began_s:.1f} s; `outcry up --role edge` lets customers in")


def _copied_from(local: LocalSet) -> str:
    status = local.status()
    return local.settings.copies_from or (status.settings.get("copies_from", "") if status is not None else "")


@region.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status_(ctx: click.Context, as_json: bool) -> None:
    """Show whether this region's log is its own, how far the copy is behind, and who writes each shard."""
    settings = settings_of(ctx)
    copy = LogOwner(settings.kafka_url).is_copy()
    run = TakeOver(settings, {role.name: workers_here(settings.run_dir, role) for role in FOLLOWERS}, 1.0, click.echo)
    shards = {f"{role.name} {shard}": [asdict(one) for one in seen] for (role, shard), seen in run.followers().items()}
    if as_json:
        click.echo(json.dumps({"log": "copy" if copy else "own", "shards": shards}))
        return
    click.echo("the log is a copy of another region's" if copy else "the log is this region's own")
    for name, seen in shards.items():
        for one in seen:
            does = "writes" if one["writes"] else "follows"
            click.echo(f"{name}: {one['worker']} {does}, epoch {one['epoch']}, next offset {one['next_offset']:,}")


@region.command("compare")
@click.option("--with", "kafka", metavar="KAFKA", required=True, help="The other region's Kafka.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every order.")
@click.pass_context
def compare_(ctx: click.Context, kafka: str, as_json: bool) -> None:
    """Find where the logs of two regions parted, and list the orders that only the other one has. It changes nothing.

    Exit code 1 where the other region has something that this one has not.

    \b
    Example:
      outcry region compare --with 10.0.0.1:9092 --json > unknown-orders.json
    """
    settings = settings_of(ctx)
    with Log(settings) as here, Log(settings.model_copy(update={"kafka_url": kafka})) as there:
        report = compare(here, there, sorted(ends_of(settings)))
    click.echo(json.dumps(asdict(report) | {"lost": report.lost}) if as_json else told(report))
    if report.lost:
        sys.exit(1)


def told(report: Report) -> str:
    """The report for people."""
    lines = [
        f"{one.place[0]}/{one.place[1]}: {one.common:,} in common, {one.there:,} only there, {one.here:,} only here"
        for one in report.partitions
        if one.there or one.here
    ]
    unknown = [one for one in report.orders if not one.sent_again]
    lines += [
        f"unknown here: {one.kind} {one.cl_ord_id} of account {one.account} (account.commands/{one.partition} offset {one.offset:,} there)"
        for one in unknown[:SHOWN_MAX]
    ]
    if len(unknown) > SHOWN_MAX:
        lines.append(f"... and {len(unknown) - SHOWN_MAX:,} more: --json has them all")
    lines.append(
        f"{report.lost:,} records are only there: {len(report.orders):,} commands of customers, of which {len(report.orders) - len(unknown):,} were "
        f"sent again here, and {report.trades_there:,} trades that did not happen here"
        if report.lost
        else "the other region has nothing that this one has not"
    )
    return "\n".join(lines)
