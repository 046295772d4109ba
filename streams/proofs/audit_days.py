"""`outcry audit days`: compare every day's entry, which is one over all audit logs, with the logs.

In:     the audit logs on this machine, the keys
Out:    standard output
On failure: the first log that is not as a day says, named; exit status 1
"""

import json
from itertools import groupby
from typing import Any

import click

from audit.findings import Unchecked, Wrong
from audit.keys import read_exchange_keys
from audit.notes import Checkpoint, Note
from audit.policy import Policy
from audit.whole_log import EntryOrder, check_log
from reports.report_day import ReportDay
from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.seal_days import DAYS, log_at
from streams.proofs.audit_records import newest_checkpoint

_NS_PER_MS = 1_000_000


def signed_days(settings: Settings) -> list[dict[str, Any]]:
    """The entries of the log of days, which is whole and signed with our keys. Raises Wrong, Unchecked, OutcryError."""
    files, note, _ = newest_checkpoint(settings, DAYS, 0)
    keys = read_exchange_keys(settings.audit_keys_file)
    trust = Policy.parse("".join(f"log {key}\n" for key in keys.public(keys.origin(DAYS, 0))) + "quorum none\n")
    _, checkpoint = trust.log_signed(bytes(note), "checkpoint")
    cosigned = settings.audit_dir / DAYS / "0" / "checkpoint.cosigned"
    seen = [(cosigned.name, Checkpoint.parse(Note.parse(cosigned.read_bytes()).text))] if cosigned.is_file() else []
    found: list[dict[str, Any]] = []
    order = EntryOrder()

    def take(index: int, entry: bytes) -> None:
        order(index, entry)
        found.append(json.loads(entry))

    check_log(files, checkpoint, seen, take)
    return found


def difference(settings: Settings, one: dict[str, Any]) -> str:
    """How a log is not as its entry of a day says, in a sentence; "" if it is."""
    end_ms = ReportDay.parse(one["day"]).end_ns // _NS_PER_MS
    topic, _, number = one["log"].rpartition("/")
    said = f"{one['day']}: {one['log']} had {one['size']:,} entries with root {one['root'][:16]}"
    try:
        files, _, checkpoint = newest_checkpoint(settings, topic, int(number))
        if checkpoint.size < one["size"]:
            return f"{said}, and has {checkpoint.size:,} now: its end was cut off"
        size, root = log_at(files, checkpoint.size, end_ms)
    except (Wrong, Unchecked, OutcryError) as error:
        return f"{said}, and cannot be read: {error}"
    if (size, root) != (one["size"], one["root"]):
        return f"{said}, and now has {size:,} with root {root[:16]} of before the end of that day: it was changed"
    return ""


@click.command("days")
@click.pass_context
def audit_days(ctx: click.Context) -> None:
    """Compare the audit logs with what was signed of them at the end of each day.

    For each day that is over, the log days/0 has the size and root of every audit log. Exit status: 0 every log is as every day says, 1 one is not.

    \b
    Example:
      outcry audit days
    """
    settings = settings_of(ctx)
    try:
        days = signed_days(settings)
    except (Wrong, Unchecked) as error:
        raise OutcryError(f"the log of days is not as it was signed: {error}") from None
    wrong = 0
    for day, group in groupby(days, lambda one: one["day"]):
        entries = list(group)
        found = [sentence for one in entries if (sentence := difference(settings, one))]
        wrong += len(found)
        for sentence in found:
            click.echo(f"WRONG {sentence}")
        if not found:
            click.echo(f"{day}: {len(entries)} logs with {sum(one['size'] for one in entries):,} entries are as signed")
    if not days:
        click.echo("no day is over yet: the first entry is made a minute after midnight in New York")
    if wrong:
        ctx.exit(1)
