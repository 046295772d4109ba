"""`outcry topics`: create the topics of the catalogue, compare the broker with it, describe the wire format."""

import json
from collections.abc import Mapping

import click
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # admin re-exports it, but does not say so to type checkers
from rich.console import Console
from rich.table import Column, Table

from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.logins import act_as
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.access_record import record_command
from streams.operate.kafka_rights import grant
from streams.transport.cluster import metadata
from topics.catalogue import COPIED, TOPICS
from topics.description import describe
from topics.kafka_clients import native_client
from topics.own_log import COPIES
from topics.rights import ADMINISTRATOR, LOGINS
from topics.speakers import written_by

CREATED_WITHIN_S = 120  # the broker of a busy machine takes its time
WIDE = 160  # columns from which on a row of the catalogue has room


class TopicCreationFailed(OutcryError):
    """The broker refused to create a topic."""


def create_topics(settings: Settings) -> list[str]:
    """Create what is missing and return its names; existing topics are left as they are.

    Raises ServiceUnavailable or TopicCreationFailed (which names the topic and the broker's reason).
    """
    existing = metadata(settings).topics
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions(settings),
            replication_factor=settings.replication_factor,
            config={
                **topic.config(),
                **(COPIES if settings.copies_from and topic in COPIED else {}),
                "min.insync.replicas": str(settings.insync_copies_min),
            },
        )
        for topic in TOPICS
        if topic.name not in existing
    ]
    if not wanted:
        return []
    admin = AdminClient(native_client(settings.kafka_url))  # must outlive its futures
    futures = admin.create_topics(wanted, operation_timeout=CREATED_WITHIN_S, request_timeout=CREATED_WITHIN_S)
    for name, future in futures.items():
        try:
            future.result()  # ends: the request has a time-out
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was quicker: as good as ours
                raise TopicCreationFailed(f"topic {name}: {error.args[0].str()}") from error
    return sorted(futures)


@click.group()
def topics() -> None:
    """The log's topics: create them, compare the broker with the catalogue, or describe what is in them."""


@topics.command()
@click.pass_context
def create(ctx: click.Context) -> None:
    """Create the topics that are missing. With OUTCRY_SECURE, give each login its password and its rights.

    \b
    Example:
      OUTCRY_BOOK_SHARDS=4 outcry topics create
    """
    act_as(ADMINISTRATOR)
    settings = settings_of(ctx)
    made = create_topics(settings)
    click.echo(f"created {', '.join(made)}" if made else "every topic already exists")
    if settings.secure:
        added, taken = grant(settings)
        click.echo(f"rights of {len(LOGINS)} logins: {added} added, {taken} taken away")


@topics.command("set-aside")
@click.argument("topic", type=click.Choice(["account.commands", "book.commands", "executions", "party.facts"]))
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@click.option("--reason", required=True, help="Why; it is written to the dead letter.")
@click.option(
    "--role", type=click.Choice(["publish-market-data", "watch-trading"]), help="For executions: which of its readers stops there."
)
@click.pass_context
def set_aside(ctx: click.Context, topic: str, partition: int, offset: int, reason: str, role: str | None) -> None:
    """Make a shard skip an input at which it stops, now and in every replay.

    The shard is replayed first: an input that the engine can apply, or that the shard has passed, is refused. Workers of the role find
    the entry when they restart; the input goes to dead.letters. `outcry verify` follows the same list.

    \b
    Example:
      outcry topics set-aside account.commands 0 123456 --reason "a report that no book has made, see ticket 7"
    """
    from streams.proofs.set_aside_input import set_aside_input

    if (topic == "executions") != (role is not None):
        raise click.UsageError("executions need --role, because two roles read them; other topics have one reader")
    record_command(ctx)
    why = set_aside_input(settings_of(ctx), topic, role, partition, offset, reason)
    click.echo(f"{topic}/{partition} offset {offset} is set aside; the engine's error: {why}")


@topics.command(name="list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List the topics of the catalogue, and what the broker has."""
    found = metadata(settings_of(ctx)).topics
    counts = {name: str(len(topic.partitions)) for name, topic in found.items()}
    console = Console()
    console.print(topics_table(counts, console.width))


def topics_table(counts: Mapping[str, str], width: int) -> Table:
    """The catalogue. counts: partitions on the broker, by name. width: columns of the terminal; a narrow one shows only two columns."""
    if width >= WIDE:
        table = Table("topic", "partitions", "partition is", "written by", "carries", "purpose")
        for topic in TOPICS:
            count = counts.get(topic.name, "missing")
            table.add_row(topic.name, count, topic.partition_of, written_by(topic), ", ".join(topic.schemas), topic.purpose)
        return table
    table = Table(Column("topic", no_wrap=True), Column("what it is", overflow="fold"), box=None, pad_edge=False)
    for topic in TOPICS:
        facts = [
            topic.purpose, f"partitions: {counts.get(topic.name, 'missing')}, one is {topic.partition_of}", f"written by: {written_by(topic)}",
            f"carries: {', '.join(topic.schemas)}",
        ]  # fmt: skip
        table.add_row(topic.name, "\n".join(facts))
    return table


@topics.command(name="describe")
@click.pass_context
def describe_(ctx: click.Context) -> None:
    """Print the wire format as JSON: topics, schemas, numbers of enumerations and instruments.

    This is all that a client in another language needs; docs/wire.md explains it. It needs no broker.

    \b
    Example:
      outcry topics describe > wire.json
    """
    click.echo(json.dumps(describe(load_instruments(settings_of(ctx).instruments_file)), indent=1))
