"""`outcry audit elasticsearch`: compare every document of the audit trail with the log: what is missing, altered or additional is named.

In:     executions, account.events, alerts, from their first records; the audit-* indices, read in the order of the log; access.events, which says
        what was pruned and by whom
Out:    standard output
State:  a page of documents; nothing is written
On failure: each difference with its document and its place in the log; exit status 1
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import click
import orjson

from schemas.codec import BadBytes
from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from sinks.elastic.client import open_elasticsearch
from sinks.elastic.documents import documents
from sinks.elastic.queries import audit_documents, of_no_partition, of_partition
from sinks.elastic.retention import Prune, Recorded, Retention, day_of_index
from sinks.partition_marks import PartitionMarks
from streams.__main__ import settings_of
from streams.host.read_log import Log, Meter, place
from streams.host.sink_feeder import input_of
from streams.proofs.audit_trail import recorded_acts, told
from topics.catalogue import ACCOUNT_EVENTS, ALERTS, EXECUTIONS, Topic

EXIT_DIFFERS: Final = 1
SHOWN: Final = 20
STREAMS: Final = ((EXECUTIONS, "audit-executions"), (ACCOUNT_EVENTS, "audit-account-events"), (ALERTS, "audit-alerts"))
Document = tuple[tuple[int, str], tuple[str, dict[str, Any]]]
"""(offset of the record, id of the document), by which both sides are read in order; (index, source)."""


@dataclass
class Compared:
    """What was found of one partition."""

    partition: str
    documents: int = 0
    differences: int = 0
    first: list[str] = field(default_factory=list)
    pruned: Counter[int] = field(default_factory=Counter)
    """Documents that are not there because their days were pruned, by the offset of that act."""
    left: int = 0
    """Documents of pruned days that are there and as the log says."""

    def tell(self, what: str) -> None:
        """Count a difference, and keep the first ones."""
        self.differences += 1
        if len(self.first) < SHOWN:
            self.first.append(what)


def expected_documents(log: Log, topic: Topic, partition: int, end: int, instruments: InstrumentTable, meter: Meter) -> Iterator[Document]:
    """The documents that the log says there are, in order. As for the sink, a frame counts once and a record that cannot be read not at all."""
    marks = PartitionMarks()
    for record in log.records(topic.name, partition, log.whole(topic, partition).low, end):
        meter.add()
        try:
            one = input_of(record)
        except BadBytes:
            continue
        if not marks.takes(one):
            continue
        made = [(orjson.loads(document.action)["create"], document.source) for document in documents(one, instruments)]
        for action, source in sorted(made, key=lambda item: str(item[0]["_id"])):
            yield (record.offset, str(action["_id"])), (str(action["_index"]), orjson.loads(source))


async def compare(
    partition: str, expected: Iterator[Document], stored: AsyncIterator[Document], end: int, retention: Retention | None = None
) -> Compared:
    """Walk through both in the same order. Documents of records at `end` or behind came later and do not count."""
    found, pruned_by = Compared(partition), _by_index(retention or Retention())
    wanted, there = next(expected, None), await anext(stored, None)
    while wanted is not None or there is not None:
        if there is not None and there[0][0] >= end:
            there = None
        elif there is None or (wanted is not None and wanted[0] < there[0]):
            assert wanted is not None, "the loop ends without both"
            pruned = pruned_by(wanted[1][0])
            if pruned is None:
                found.tell(f"MISSING {wanted[0][1]} of {partition} offset {wanted[0][0]:,}")
            else:
                found.pruned[pruned.offset] += 1
            wanted = next(expected, None)
        elif wanted is None or there[0] < wanted[0]:
            found.tell(
                f"ADDITIONAL {there[0][1]} in {there[1][0]}: {partition} offset {there[0][0]:,}, of which it says that it is, made no such document"
            )
            there = await anext(stored, None)
        else:
            found.documents += 1
            found.left += pruned_by(wanted[1][0]) is not None
            difference = _difference(wanted[1], there[1])
            if difference:
                found.tell(f"ALTERED {wanted[0][1]} of {partition} offset {wanted[0][0]:,}: {difference}")
            wanted, there = next(expected, None), await anext(stored, None)
    return found


def _by_index(retention: Retention) -> Callable[[str], Recorded | None]:
    """Which act pruned what belongs into an index."""
    known: dict[str, Recorded | None] = {}

    def pruned_by(index: str) -> Recorded | None:
        if index not in known:
            day = day_of_index(index)
            known[index] = retention.pruned_by(day) if day is not None else None
        return known[index]

    return pruned_by


def _difference(wanted: tuple[str, dict[str, Any]], there: tuple[str, dict[str, Any]]) -> str:
    """The first field that differs. A rebuilt index has another name and the same alias, so only the stream and the day are compared."""
    (index, source), (own_index, own) = wanted, there
    if index not in own_index:
        return f"it is in {own_index} instead of {index}"
    names = sorted(name for name in source.keys() | own.keys() if source.get(name) != own.get(name))
    if not names:
        return ""
    return f"{names[0]} is {own.get(names[0], 'not there')}, the log says {source.get(names[0], 'that there is none')}"


async def reconcile(
    settings: Settings, log: Log, instruments: InstrumentTable, *, quiet: bool, retention: Retention | None = None
) -> list[Compared]:
    """Every partition, and documents that are of none. retention: nothing was pruned without one. Raises ServiceUnavailable, StaleData for a log without its beginning."""
    client = open_elasticsearch(settings.elasticsearch_url)
    try:
        ends = {(topic.name, number): log.whole(topic, number).high for topic, _ in STREAMS for number in range(log.partitions(topic))}
        found = []
        with Meter("comparing documents", sum(ends.values()), quiet=quiet) as meter:
            for topic, stream in STREAMS:
                partitions = [number for name, number in ends if name == topic.name]
                for number in partitions:
                    end = ends[topic.name, number]
                    stored = audit_documents(client, stream, of_partition(topic.name, number))
                    expected = expected_documents(log, topic, number, end, instruments, meter)
                    found.append(await compare(place(topic.name, number), expected, stored, end, retention))
                stray = audit_documents(client, stream, of_no_partition(topic.name, partitions))
                found.append(await compare(f"no partition of {topic.name}", iter(()), stray, sys.maxsize))
        return found
    finally:
        await client.close()


@click.command("elasticsearch")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def elasticsearch(ctx: click.Context, quiet: bool) -> None:
    """Compare every document of the audit trail in Elasticsearch with the log.

    An administrator can change or delete documents; the log and its audit log say what they were. `outcry audit records` shows that the log itself is
    what was committed to. Documents that the role has not stored yet are missing: let it catch up first. Days that `outcry audit trail prune` took are
    told as pruned, with who did it. Exit status: 0 every document is as the log says, and there is no other; 1 there are differences.

    \\b
    Example:
      outcry audit elasticsearch
    """
    settings = settings_of(ctx)
    if not settings.elasticsearch_url:
        raise ServiceUnavailable("Elasticsearch has no address: OUTCRY_ELASTICSEARCH_URL is not set; run `outcry up`")
    with Log(settings) as log:
        acts = list(recorded_acts(log))
        retention = Retention.of(acts)
        compared = asyncio.run(reconcile(settings, log, load_instruments(settings.instruments_file), quiet=quiet, retention=retention))
    for one in compared:
        if not one.documents and not one.differences and one.partition.startswith("no partition"):
            continue
        for line in one.first:
            click.echo(line)
        if one.differences > len(one.first):
            click.echo(f"... and {one.differences - len(one.first):,} more of {one.partition}")
        click.echo(
            f"{'WRONG' if one.differences else 'ok'} {one.partition}: {one.documents:,} documents compared, {one.differences:,} differences"
        )
    for line in _told_of_pruned(compared, acts):
        click.echo(line)
    ctx.exit(EXIT_DIFFERS if any(one.differences for one in compared) else 0)


def _told_of_pruned(compared: list[Compared], acts: list[Recorded]) -> Iterator[str]:
    """What is not there because it was pruned, and what should not be there any more."""
    pruned, left = sum((one.pruned for one in compared), Counter[int]()), sum(one.left for one in compared)
    for one in acts:
        if isinstance(one.act, Prune) and pruned[one.offset]:
            yield f"PRUNED {pruned[one.offset]:,} documents of days before {one.act.before}, {told(one)}"
    if left:
        yield f"note: {left:,} documents of pruned days are still there, or there again: `outcry audit trail prune` deletes them unless they are on hold"
