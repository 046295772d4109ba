"""The command `outcry demo`."""

import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.demo.analyst import ANALYST_FILE
from streams.demo.interruption import Interrupted, interruptible, leave, run
from streams.demo.reconcile import Verdict
from streams.demo.session import Options, Session
from streams.demo.summary import show
from streams.services.commands import role_names
from streams.services.local_set import HURRIED_STOP_S, STOP_TIMEOUT_S, LocalSet
from streams.services.progress import Progress
from streams.services.recipes.ports import choose, is_free
from streams.services.state import SERVICES

OWN_DIRECTORIES = ("data", "run", "log")
SUMMARY_FILE: Final = "summary.json"
KEYS_FILE: Final = "api-keys.json"
EXIT_CODES: Final = {Verdict.AGREES: 0, Verdict.DISAGREES: 1, Verdict.NOT_CAUGHT_UP: 3}
INTERRUPTED: Final = 128
"""Plus the number of the signal."""


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
    help="Orders per second, all traders together; cancels are extra.",
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
    """Run a simulated trading session on the real exchange, then prove that all parts of it agree.

    Starts Kafka, MariaDB, Valkey, Elasticsearch and every role in a home of its own, lets traders trade, and compares the log with the
    databases and with what the clients saw. It waits as long as anything is still catching up. The figures are in HOME/summary.json.

    \b
    Exit codes:
      0    everything agrees
      1    something disagrees, or the exchange failed
      3    nothing disagrees, but something stopped catching up
      129, 130, 143    interrupted by HUP, INT or TERM; everything that was started is stopped

    \b
    Examples:
      outcry demo
      outcry demo --seconds 120 --rate 500 --seed 7
      outcry demo --chaos
      outcry demo --keep
    """
    code = run_demo(settings_of(ctx), home, Options(seconds, traders, seed, rate, chaos), keep=keep)
    if code > INTERRUPTED:
        leave(code)
    sys.exit(code)


def run_demo(settings: Settings, home: Path, options: Options, *, keep: bool) -> int:
    """The whole demo; returns the exit code. If interrupted, it returns once everything that it started is gone.

    Raises OutcryError if the exchange cannot be started or stops working.
    """
    console = Console() if sys.stdout.isatty() else Console(width=160)
    local = LocalSet(demo_settings(settings, home), bound=not keep)
    home = local.settings.home
    if local.running_pid() is not None:
        raise OutcryError(f"something runs in {home}: stop it with `OUTCRY_HOME={home} outcry down`, or choose another --home")
    empty(home)
    with interruptible(local) as signals:
        stays, timeout_s = False, STOP_TIMEOUT_S
        try:
            code = _start_and_play(local, options, console)
            signals.hold()
            stays = keep
        except Interrupted as why:
            code, timeout_s = why.exit_code, HURRIED_STOP_S
        finally:
            signals.hold()
            if not stays:
                with Progress("stopping") as progress:
                    local.stop(watch=progress, timeout_s=timeout_s)
    if code > INTERRUPTED:
        _say(console, "everything is stopped")
    elif keep:
        _say_what_runs(console, local, home)
    if (home / SUMMARY_FILE).exists():
        _say(console, f"summary: {home / SUMMARY_FILE}")
    return code


def _start_and_play(local: LocalSet, options: Options, console: Console) -> int:
    """Start the set and play the session. The summary is written whatever happens."""
    home, began = local.settings.home, time.monotonic()
    with Progress("starting") as progress:
        local.start(SERVICES, role_names(), watch=progress)
    session = Session(local.connected_settings(), local, role_names(), options, console, home / KEYS_FILE)
    session.summary.steps_s["start"] = round(time.monotonic() - began, 1)
    console.print(f"web page: {session.settings.edge_url}/", highlight=False, soft_wrap=True)
    try:
        run(session.play())
    except KeyboardInterrupt:
        session.summary.interrupted = True
        raise
    finally:
        session.summary.write(home / SUMMARY_FILE)
    show(console, session.summary)
    return EXIT_CODES[session.summary.verdict]


def _say(console: Console, text: str) -> None:
    """Print a line, if anybody still reads."""
    with suppress(OSError):
        console.print(text, highlight=False, soft_wrap=True)


def demo_settings(settings: Settings, home: Path) -> Settings:
    """The settings of the demo's own set: its home, and a free edge port that stays the same when the edge is restarted."""
    home = home.resolve()
    port = settings.edge_port if settings.edge_port and is_free(settings.edge_port) else choose(home / "data", ["edge"])["edge"]
    return settings.model_copy(update={"home": home, "edge_port": port})


def empty(home: Path) -> None:
    """Remove the directories and files of an earlier demo, and nothing else."""
    for name in OWN_DIRECTORIES:
        shutil.rmtree(home / name, ignore_errors=True)
    for name in (SUMMARY_FILE, KEYS_FILE, ANALYST_FILE):
        (home / name).unlink(missing_ok=True)


def _say_what_runs(console: Console, local: LocalSet, home: Path) -> None:
    settings = local.connected_settings()
    url = settings.edge_url
    lines = [
        "left running:",
        f"  prices        {url}/",
        f"  surveillance  {url}/surveillance (name and password: {home / ANALYST_FILE})",
        f"  API keys      {home / KEYS_FILE}",
        f"  log           Kafka at {settings.kafka_url}",
        f"  stop it with  OUTCRY_HOME={home} outcry down",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
