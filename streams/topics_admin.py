"""`outcry topics`: create the topics of the catalogue, list what the broker has against it, describe the wire format."""

import json

import click
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # admin re-exports it, but does not say so to type checkers
from rich.console import Console
from rich.table import Table

from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.cluster import metadata
from topics.catalogue import TOPICS
from topics.description import describe


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
    """The log's topics: create them, compare the broker with the catalogue, or describe what is in them."""


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
    table = Table("topic", "partitions", "partition is", "written by", "carries", "purpose")
    for topic in TOPICS:
        count = str(len(found[topic.name].partitions)) if topic.name in found else "missing"
        table.add_row(topic.name, count, topic.partition_of, topic.written_by, ", ".join(topic.schemas), topic.purpose)
    Console().print(table)


@topics.command(name="describe")
@click.pass_context
def describe_(ctx: click.Context) -> None:
    """Print the wire format as JSON: topics, schemas, numbers of enumerations and instruments.

    All that a client in another language needs, without our sources; docs/wire.md explains it. No broker is asked.

    \b
    Example:
      outcry topics describe > wire.json
    """
    click.echo(json.dumps(describe(load_instruments(settings_of(ctx).instruments_file)), indent=1))
