"""`outcry topics`: create the topics of the catalogue, list what the broker has against it."""

from collections.abc import Mapping

import click
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # admin re-exports it, but does not say so to type checkers
from rich.console import Console
from rich.table import Column, Table

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.cluster import metadata
from topics.catalogue import TOPICS

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
            config={**topic.config(), "min.insync.replicas": str(settings.insync_copies_min)},
        )
        for topic in TOPICS
        if topic.name not in existing
    ]
    if not wanted:
        return []
    admin = AdminClient({"bootstrap.servers": settings.kafka_url})  # must outlive its futures
    futures = admin.create_topics(wanted, operation_timeout=30)
    for name, future in futures.items():
        try:
            future.result(timeout=30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was quicker: as good as ours
                raise TopicCreationFailed(f"topic {name}: {error.args[0].str()}") from error
    return sorted(futures)


@click.group()
def topics() -> None:
    """The log's topics: create them, or compare the broker with the catalogue."""


@topics.command()
@click.pass_context
def create(ctx: click.Context) -> None:
    """Create the topics that are missing.

    \b
    Example:
      OUTCRY_BOOK_SHARDS=4 outcry topics create
    """
    made = create_topics(settings_of(ctx))
    click.echo(f"created {', '.join(made)}" if made else "every topic is there already")


@topics.command(name="list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List the catalogue beside what the broker has."""
    found = metadata(settings_of(ctx)).topics
    counts = {name: str(len(topic.partitions)) for name, topic in found.items()}
    console = Console()
    console.print(topics_table(counts, console.width))


def topics_table(counts: Mapping[str, str], width: int) -> Table:
    """The catalogue. counts: number of partitions on the broker by name; width: columns of the terminal, few of which leave room for two columns."""
    if width >= WIDE:
        table = Table("topic", "partitions", "partition is", "written by", "carries", "purpose")
        for topic in TOPICS:
            count = counts.get(topic.name, "missing")
            table.add_row(topic.name, count, topic.partition_of, topic.written_by, ", ".join(topic.schemas), topic.purpose)
        return table
    table = Table(Column("topic", no_wrap=True), Column("what it is", overflow="fold"), box=None, pad_edge=False)
    for topic in TOPICS:
        facts = [
            topic.purpose, f"partitions: {counts.get(topic.name, 'missing')}, one is {topic.partition_of}", f"written by: {topic.written_by}",
            f"carries: {', '.join(topic.schemas)}",
        ]  # fmt: skip
        table.add_row(topic.name, "\n".join(facts))
    return table
