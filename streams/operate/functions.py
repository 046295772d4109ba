"""`outcry functions`: check what is deployed, replay a function over the recorded log, look at alerts and deliveries."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.settings import Settings
from sinks.partition_marks import PartitionMarks
from streams.__main__ import settings_of
from streams.functions.deployed import BadFunction, Function, deployed, read_function
from streams.functions.process import FunctionFailed, FunctionProcess
from streams.functions.runner import FunctionRunner
from streams.functions.store import FunctionStore
from streams.functions.webhooks import alert_json
from streams.host.read_log import Log
from streams.host.shard_runner import Record
from topics.sources import topic_named


@click.group()
def functions() -> None:
    """Functions on the stream, which the role run-functions runs: NAME.toml files in OUTCRY_FUNCTIONS_DIR. See docs/functions.md."""


@functions.command("check")
@click.pass_context
def check(ctx: click.Context) -> None:
    """Read every file and load every handler. Exit code 1 if one cannot be.

    \b
    Examples:
      outcry functions check
    """
    settings, bad = settings_of(ctx), 0
    found = list(deployed(settings.functions_folder))
    for name, one in found:
        problem = str(one) if isinstance(one, BadFunction) else _load_problem(one, settings)
        bad += bool(problem)
        click.echo(f"BAD  {name}: {problem}" if problem or isinstance(one, BadFunction) else f"ok   {name} {one.version}")
    click.echo(f"{len(found)} functions in {settings.functions_folder}, {bad} of them bad")
    sys.exit(1 if bad else 0)


def _load_problem(function: Function, settings: Settings) -> str:
    try:
        FunctionProcess(function, settings.log_dir).stop()
    except FunctionFailed as error:
        return str(error)
    return ""


@functions.command("replay")
@click.argument("name")
@click.option(
    "--from-offset",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of each partition; or its first record, if that is later.",
)
@click.pass_context
def replay(ctx: click.Context, name: str, from_offset: int) -> None:
    """Run a function over the recorded topic, from an empty state, and print the alerts it would have made as JSON lines.

    It delivers nothing and changes nothing. The same records give the same alerts, with the same ids and numbers.

    \b
    Examples:
      outcry functions replay moves
      outcry functions replay moves > today.jsonl
    """
    settings = settings_of(ctx)
    function = read_function(settings.functions_folder / f"{name}.toml")
    for line in replayed(settings, function, from_offset):
        click.echo(line)


def replayed(settings: Settings, function: Function, from_offset: int = 0) -> Iterator[str]:
    """The alerts of a run over the log as JSON lines. Raises ServiceUnavailable, and OutcryError for a handler that cannot be loaded."""
    topic = topic_named(function.settings.topic)

    def tell(record: Record, why: str) -> None:
        click.echo(f"outcry: {record.topic}/{record.partition}@{record.offset} is given up: {why}", err=True)

    without = function.settings.model_copy(update={"webhook": None, "maximum_record_age_s": -1})
    with tempfile.TemporaryDirectory() as folder, FunctionStore(Path(folder) / "replay.sqlite") as store, Log(settings) as log:
        runner = FunctionRunner(
            Function(function.name, without, function.source, function.function, function.version), store,
            load_instruments(settings.instruments_file), settings.log_dir, tell,
        )  # fmt: skip
        try:
            if not runner.start():
                raise OutcryError(f"{function.name}: {runner.trouble}")
            for partition in range(log.partitions(topic)):
                bounds = log.bounds(topic.name, partition)
                if bounds is None:
                    continue
                start = max(bounds.low, from_offset)
                runner.places[topic.name, partition] = PartitionMarks(start, store="the replay")
                for record in log.records(topic.name, partition, start, bounds.high):
                    runner.take(record)
                    if runner.waiting >= function.settings.batch_size:
                        yield from (json.dumps(alert_json(one)) for one in runner.run_due())
            yield from (json.dumps(alert_json(one)) for one in runner.run_due())
        finally:
            runner.stop()


@contextmanager
def _store_of(settings: Settings, name: str) -> Iterator[FunctionStore]:
    path = settings.data_dir / "functions" / f"{name}.sqlite"
    if not path.exists():
        raise OutcryError(f"function {name} has not run in {settings.home}: there is no {path}")
    with FunctionStore(path) as store:
        yield store


@functions.command("alerts")
@click.argument("name")
@click.option("--rule", default="", help="Of this rule only.")
@click.option("--after", type=click.IntRange(min=0), default=0, show_default=True, help="Behind this number.")
@click.pass_context
def alerts(ctx: click.Context, name: str, rule: str, after: int) -> None:
    """Print stored alerts as JSON lines, by rule and number.

    \b
    Examples:
      outcry functions alerts moves
      outcry functions alerts moves --rule price_move --after 17
    """
    with _store_of(settings_of(ctx), name) as store:
        for one in store.alerts(rule, after):
            click.echo(json.dumps(alert_json(one)))


@functions.command("deliveries")
@click.argument("name")
@click.pass_context
def deliveries(ctx: click.Context, name: str) -> None:
    """Show the attempts to deliver alerts, the newest first.

    \b
    Examples:
      outcry functions deliveries moves
    """
    with _store_of(settings_of(ctx), name) as store:
        for rule, seq, attempt, at_ns, outcome, detail in store.deliveries():
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns // 1_000_000_000))
            click.echo(f"{at}  {rule} {seq}  attempt {attempt}  {outcome}: {detail}")
        click.echo(f"{store.waiting()} wait")


@functions.command("resend")
@click.argument("name")
@click.option("--rule", required=True, help="Of this rule.")
@click.option("--first", type=click.IntRange(min=1), required=True, help="First number.")
@click.option("--last", type=click.IntRange(min=1), help="Last number (default: the first).")
@click.pass_context
def resend(ctx: click.Context, name: str, rule: str, first: int, last: int | None) -> None:
    """Deliver alerts once more, under the same ids.

    \b
    Examples:
      outcry functions resend moves --rule price_move --first 17 --last 20
    """
    with _store_of(settings_of(ctx), name) as store:
        count = store.send_again(rule, first, last or first, time.time_ns())
    click.echo(f"{count} alerts are queued")
