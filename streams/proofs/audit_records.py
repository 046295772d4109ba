"""`outcry audit records`: compare every record of the log with its entry in the audit log.

In:     the topics, as far as the audit logs have come; the audit logs on this machine
Out:    standard output
On failure: each log's first record that is another one, named; exit status 1
"""

from collections.abc import Iterator

import click

from audit.entries import entry_of, offset_of
from audit.findings import Unchecked, Wrong
from audit.keys import read_exchange_keys
from audit.notes import Checkpoint, Note
from audit.tiles import TILE_WIDTH, LogFiles
from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.read_log import Log, Meter, place
from topics.roles import AUDIT_LOG

_NS_PER_MS = 1_000_000


def newest_checkpoint(settings: Settings, topic: str, partition: int) -> tuple[LogFiles, Note, Checkpoint]:
    """Of a partition's audit log on this machine. Raises OutcryError where there is none."""
    folder = settings.audit_dir / topic / str(partition)
    try:
        files = LogFiles(str(folder))
        note = Note.parse(files.read("checkpoint"))
    except (Unchecked, Wrong) as error:
        raise OutcryError(f"{place(topic, partition)} has no audit log in {folder} ({error}): does the role audit-log run here?") from None
    return files, note, Checkpoint.parse(note.text)


def first_difference(log: Log, files: LogFiles, checkpoint: Checkpoint, topic: str, partition: int, meter: Meter) -> str:
    """A sentence about the first record that is not the one of its entry; "" where all are. Raises Wrong for an entry that cannot be read."""
    if not checkpoint.size:
        return ""
    entries = _entries(files, checkpoint.size)
    first = next(entries)
    start = offset_of(first, "entry 0")
    where = place(topic, partition)
    bounds = log.bounds(topic, partition)
    if bounds is None or bounds.low > start or bounds.high < start + checkpoint.size:
        has = "is not there" if bounds is None else f"has the offsets {bounds.low:,} to {bounds.high - 1:,}"
        return f"{where} {has}, but its audit log has the entries of {start:,} to {start + checkpoint.size - 1:,}"
    expected = first
    done = 0
    for record in log.records(topic, partition, start, start + checkpoint.size):
        found = entry_of(topic, partition, record.offset, record.time_ns // _NS_PER_MS, record.value)
        if found != expected:
            return f"{where} offset {record.offset:,} is {found.decode()}, but entry {done:,} says {expected.decode(errors='replace')}"
        meter.add()
        done += 1
        expected = next(entries, b"")
    if done < checkpoint.size:
        return f"{where} has {done:,} of the {checkpoint.size:,} records that its audit log has"
    return ""


def _entries(files: LogFiles, size: int) -> Iterator[bytes]:
    for number in range(-(-size // TILE_WIDTH)):
        yield from files.bundle(number, size)


@click.command()
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def records(ctx: click.Context, quiet: bool) -> None:
    """Compare every record of the log with its entry in the audit log.

    The verifier shows that the audit log was not changed; this shows that the log of the exchange still is what the audit log says. Exit status: 0
    all records are those that were committed to, 1 one is not, or cannot be read.

    \b
    Example:
      outcry audit records
    """
    settings = settings_of(ctx)
    read_exchange_keys(settings.audit_keys_file)
    wrong = 0
    with Log(settings) as log:
        logs = [
            (topic.name, number, *newest_checkpoint(settings, topic.name, number))
            for topic in AUDIT_LOG.reads
            for number in range(log.partitions(topic))
        ]
        with Meter("comparing records", sum(checkpoint.size for *_, checkpoint in logs), quiet=quiet) as meter:
            for topic, number, files, _, checkpoint in logs:
                try:
                    difference = first_difference(log, files, checkpoint, topic, number, meter)
                except (Wrong, Unchecked) as error:
                    difference = f"{place(topic, number)}: {error}"
                wrong += bool(difference)
                click.echo(f"WRONG {difference}" if difference else f"ok {place(topic, number)}: {checkpoint.size:,} records")
    ctx.exit(1 if wrong else 0)
