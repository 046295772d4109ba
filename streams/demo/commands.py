"""The command `outcry demo`."""

import asyncio
import shutil
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.demo.session import Options, Session
from streams.demo.summary import show
from streams.services.commands import role_names
from streams.services.local_set import LocalSet
from streams.services.ports import choose, is_free
from streams.services.progress import Progress
from streams.services.state import SERVICES

OWN_DIRECTORIES = ("data", "run", "log")
DISAGREEMENT, INTERRUPTED = 1, 130


@click.command()
@click.option("--seconds", type=click.FloatRange(2, 3_600), default=30, show_default=True, help="Length of the session.")
@click.option(
    "--traders",
    type=click.IntRange(10, 1_000),
    default=100,
    show_default=True,
    help="Simulated traders, half over HTTP, half to the topic.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Makes the session repeatable.")
@click.option(
    "--rate",
    type=click.FloatRange(1, 5_000),
    default=300,
    show_default=True,
    help="Orders a second, all traders together; cancels come on top.",
)
@click.option("--keep", is_flag=True, help="Leave everything running afterwards.")
@click.option("--chaos", is_flag=True, help="Kill -9 every role in turn during the session.")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="Data, logs, summary; emptied first.",
)
@click.pass_context
def demo(ctx: click.Context, seconds: float, traders: int, seed: int, rate: float, keep: bool, chaos: bool, home: Path) -> None:
    """Run a simulated trading session on the real exchange, then prove that every part of it agrees.

    Starts Kafka, MariaDB, Valkey, Elasticsearch and every role in a home of its own, lets traders trade, and compares the log with the
    databases and with what the clients saw. Exit code 0 only if all agree; the figures are in HOME/summary.json.

    \b
    Examples:
      outcry demo
      outcry demo --seconds 120 --rate 500 --seed 7
      outcry demo --chaos
      outcry demo --keep
    """
    sys.exit(run_demo(settings_of(ctx), home, Options(seconds, traders, seed, rate, chaos), keep=keep))


def run_demo(settings: Settings, home: Path, options: Options, *, keep: bool) -> int:
    """The whole demo; returns the exit code. Raises OutcryError when the exchange cannot be started or stops doing its part."""
    console = Console() if sys.stdout.isatty() else Console(width=160)
    local = LocalSet(demo_settings(settings, home))
    home = local.settings.home
    if local.running_pid() is not None:
        raise OutcryError(f"something runs in {home}: stop it with `OUTCRY_HOME={home} outcry down`, or choose another --home")
    empty(home)
    began = time.monotonic()
    with Progress("starting") as progress:
        local.start(SERVICES, role_names(), watch=progress)
    session = Session(local.connected_settings(), local, role_names(), options, console, home / "api-keys.json")
    session.summary.steps_s["start"] = round(time.monotonic() - began, 1)
    try:
        code = _play(session, home)
    finally:
        if not keep:
            with Progress("stopping") as progress:
                local.stop(watch=progress)
    if keep:
        _say_what_runs(console, session, home)
    console.print(f"summary: {home / 'summary.json'}", highlight=False, soft_wrap=True)
    return code


def _play(session: Session, home: Path) -> int:
    """The session; its summary is written whatever happens."""
    url = session.settings.edge_url
    session.console.print(f"web page: {url}/   alerts: {url}/surveillance", highlight=False, soft_wrap=True)
    try:
        asyncio.run(session.play())
    except KeyboardInterrupt:
        session.summary.interrupted = True
        session.console.print("interrupted: stopping without a reconciliation", highlight=False)
        return INTERRUPTED
    finally:
        session.summary.write(home / "summary.json")
    show(session.console, session.summary)
    return 0 if session.summary.reconciled else DISAGREEMENT


def demo_settings(settings: Settings, home: Path) -> Settings:
    """The settings of the demo's own set: its home, and an edge port that is free and stays the same when the edge is restarted."""
    home = home.resolve()
    port = settings.edge_port if settings.edge_port and is_free(settings.edge_port) else choose(home / "data", ["edge"])["edge"]
    return settings.model_copy(update={"home": home, "edge_port": port})


def empty(home: Path) -> None:
    """Remove what an earlier demo left: only the directories and files that a demo makes."""
    for name in OWN_DIRECTORIES:
        shutil.rmtree(home / name, ignore_errors=True)
    for name in ("summary.json", "api-keys.json"):
        (home / name).unlink(missing_ok=True)


def _say_what_runs(console: Console, session: Session, home: Path) -> None:
    url = session.settings.edge_url
    lines = [
        "left running:",
        f"  prices        {url}/",
        f"  surveillance  {url}/surveillance",
        f"  API keys      {session.keys_file}",
        f"  log           Kafka at {session.settings.kafka_url}",
        f"  stop it with  OUTCRY_HOME={home} outcry down",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
