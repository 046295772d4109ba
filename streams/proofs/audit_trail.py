"""`outcry audit trail`: how long the audit trail in Elasticsearch is kept, and what is on legal hold.

In:     access.events, from its first record: what operators did before
Out:    access.events: each act, before it is done; Elasticsearch: indices of pruned days are deleted
State:  none. What was recorded and not done yet is done by the next `prune`
On failure: a sentence, and exit status 1 for what the retention forbids; nothing is deleted that is not recorded as pruned
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import click

from schemas.codec import BadBytes, decode_record
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.settings import Settings
from sinks.elastic.client import open_elasticsearch
from sinks.elastic.retention import Act, BadAct, Hold, Lift, Prune, Recorded, Retention, act_of, act_text
from sinks.elastic.trail_days import delete_days, documents_by_day
from streams.__main__ import settings_of
from streams.host.access_record import record_act
from streams.host.read_log import Log, place
from topics.catalogue import ACCESS_EVENTS

_NS: Final = 1_000_000_000


def recorded_acts(log: Log) -> Iterator[Recorded]:
    """What operators did with the trail, in order. Raises StaleData for an act that cannot be read, and for a log without its beginning."""
    bounds = log.whole(ACCESS_EVENTS, 0)
    for record in log.records(ACCESS_EVENTS.name, 0, bounds.low, bounds.high):
        if not record.proof.is_operators:
            continue
        try:
            name, event = decode_record(record.value or b"")
        except BadBytes:
            continue
        try:
            act = act_of(event["what"]) if name == "access_event" and event["act"] == "ACTED" else None
        except BadAct as error:
            raise StaleData(
                f"{place(ACCESS_EVENTS.name, 0)} offset {record.offset:,}: {error}. It may be a hold, so nothing is deleted: use the version that wrote it"
            ) from None
        if act is not None:
            yield Recorded(act, record.offset, event["at_ns"], event["address"])


def retention_of(log: Log) -> Retention:
    """As it is now. Raises as recorded_acts."""
    return Retention.of(recorded_acts(log))


def act_on(settings: Settings, log: Log, act: Act, today: date, record: Callable[[Settings, str], int] = record_act) -> Retention:
    """Record an act; what holds then. Raises OutcryError for one that cannot be done: then nothing is recorded, or it has changed nothing."""
    try:
        retention_of(log).require(act, today - timedelta(days=settings.trail_days))
    except BadAct as error:
        raise OutcryError(f"nothing was done: {error}") from None
    offset = record(settings, act_text(act))
    after = list(recorded_acts(log))
    if isinstance(act, Hold) and Retention.of(after).holds.get(act.name, after[0]).offset != offset:
        raise OutcryError(f"nothing was done: somebody else has just placed or lifted a hold {act.name}; look at `outcry audit trail list`")
    return Retention.of(after)


def told(one: Recorded) -> str:
    """Who recorded it, when and where."""
    moment = datetime.fromtimestamp(one.at_ns // _NS, UTC)
    return f"by {one.by} at {moment:%Y-%m-%d %H:%M:%S} UTC ({place(ACCESS_EVENTS.name, 0)} offset {one.offset:,})"


async def prune_days(settings: Settings, retention: Retention) -> Counter[date]:
    """Delete what may go; documents by day. Raises ServiceUnavailable."""
    client = open_elasticsearch(settings.elasticsearch_url)
    try:
        return await delete_days(client, retention.may_go)
    finally:
        await client.close()


async def _documents(settings: Settings) -> Counter[date]:
    client = open_elasticsearch(settings.elasticsearch_url)
    try:
        return await documents_by_day(client)
    finally:
        await client.close()


def _today() -> date:
    return datetime.fromtimestamp(time.time(), UTC).date()


def _day(_: click.Context, __: click.Parameter, text: str | None) -> date | None:
    try:
        return None if text is None else datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007  a date has no zone
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day: use YYYY-MM-DD") from None


@click.group("trail")
def trail() -> None:
    """How long the audit trail in Elasticsearch is kept, and which days are on legal hold.

    Days are dates of log time in UTC. Each act is a record of access.events before it is done, so the audit log commits to it, and `outcry audit
    elasticsearch` tells a pruned day from one whose documents are missing.

    \b
    Example:
      outcry audit trail hold case-7 --from 2026-11-02 --to 2026-11-06 --reason "inquiry 7 of the regulator"
      outcry audit trail prune
    """


@trail.command("list")
@click.pass_context
def list_command(ctx: click.Context) -> None:
    """Holds, and the days that there are in Elasticsearch."""
    settings = settings_of(ctx)
    with Log(settings) as log:
        retention = retention_of(log)
    for recorded in retention.holds.values():
        hold: Any = recorded.act
        click.echo(f"HOLD {hold.name}: {hold.first} to {hold.last}, placed {told(recorded)}: {hold.reason}")
    for day, documents in asyncio.run(_documents(settings)).items():
        click.echo(f"{day}  {documents:>13,} documents{_state(retention, day)}")


def _state(retention: Retention, day: date) -> str:
    pruned, held = retention.pruned_by(day), retention.held_by(day)
    words = [f"on hold ({held})"] if held else []
    words += [f"pruned {told(pruned)}, and still there"] if pruned is not None else []
    return "".join(f", {word}" for word in words)


@trail.command("prune")
@click.option("--before", callback=_day, help="Days before this one, YYYY-MM-DD. Default: all that OUTCRY_TRAIL_DAYS lets go.")
@click.pass_context
def prune_command(ctx: click.Context, before: date | None) -> None:
    """Delete old days, except those on hold. Let a scheduler run it.

    It deletes indices in Elasticsearch and nothing else: the log keeps the events, and `outcry rebuild elasticsearch` leaves pruned days out.
    """
    settings = _settings_with_store(ctx)
    act = Prune(before or _today() - timedelta(days=settings.trail_days))
    with Log(settings) as log:
        retention = act_on(settings, log, act, _today())
    gone = asyncio.run(prune_days(settings, retention))
    for day, documents in gone.items():
        click.echo(f"{day}  {documents:>13,} documents deleted")
    click.echo(f"pruned: {len(gone):,} days before {act.before} had documents" + _kept(retention))


def _kept(retention: Retention) -> str:
    return f"; on hold: {', '.join(sorted(retention.holds))}" if retention.holds else ""


@trail.command("hold")
@click.argument("name")
@click.option("--from", "first", callback=_day, required=True, help="First day, YYYY-MM-DD.")
@click.option("--to", "last", callback=_day, required=True, help="Last day.")
@click.option("--reason", required=True, help="One line: the order or inquiry that it is for.")
@click.pass_context
def hold_command(ctx: click.Context, name: str, first: date, last: date, reason: str) -> None:
    """Keep these days until the hold is lifted, however old they become."""
    settings = settings_of(ctx)
    with Log(settings) as log:
        retention = act_on(settings, log, Hold(name, first, last, reason), _today())
    click.echo(f"hold {name}: {first} to {last} stay until it is lifted")
    span = (last - first).days + 1
    gone = [day for day in (first + timedelta(days=number) for number in range(span)) if retention.pruned_by(day) is not None]
    if gone:
        click.echo(
            f"WARNING: {len(gone):,} of these days were pruned before, {gone[0]} first: the log has them, Elasticsearch may not", err=True
        )


@trail.command("lift")
@click.argument("name")
@click.option("--reason", required=True, help="One line.")
@click.pass_context
def lift_command(ctx: click.Context, name: str, reason: str) -> None:
    """End a hold. Its days may be pruned from then on."""
    settings = settings_of(ctx)
    with Log(settings) as log:
        act_on(settings, log, Lift(name, reason), _today())
    click.echo(f"hold {name} is lifted")


def _settings_with_store(ctx: click.Context) -> Settings:
    settings = settings_of(ctx)
    if not settings.elasticsearch_url:
        raise ServiceUnavailable("Elasticsearch has no address: OUTCRY_ELASTICSEARCH_URL is not set; run `outcry up`")
    return settings
