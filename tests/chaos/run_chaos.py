"""Break the real exchange while it trades, then prove that nothing was lost, doubled or changed: `make chaos`.

    python tests/chaos/run_chaos.py                                   # 100 faults
    python tests/chaos/run_chaos.py --faults 32                       # every kind once
    python tests/chaos/run_chaos.py --seed 7 --plan                   # what a run of this seed would do
    python tests/chaos/run_chaos.py --only "zombie role" --faults 10
    python tests/chaos/run_chaos.py --home /tmp/chaos --json chaos.json

It runs three brokers, two shards of each kind, two workers of hold-funds, two active-active replicas of match-orders, every sink and the edge. Traders
send orders over HTTP and to the topic throughout. The seed decides the faults and their order, a few at a time. What they meet depends on timing.
Exit status: 0 only if every fault ended, everything reconciles, and the exchange recovered from a lost end of its log; 1 otherwise; 130 interrupted.
Ctrl-C undoes everything and stops the set. If the run itself is killed, stop the set with `OUTCRY_HOME=HOME outcry down`; its network rules and disks
vanish with its last process.
"""

import asyncio
import io
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final, TextIO

import click
from chaos_session import ChaosSession, Outcome, Record
from fault_plan import EDGE, Cast, Fault, Kind, plan
from lost_tail import LostTail
from own_machine import INSIDE, OwnMachine, enter
from proofs import Proofs, own_ends, prove
from rich.console import Console
from rich.table import Table
from strikes import Strikes

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.demo.commands import demo_settings
from streams.demo.session import Options
from streams.demo.summary import show
from streams.services.commands import role_names
from streams.services.local_set import LocalSet
from streams.services.recipes import packages
from streams.services.state import SERVICES, Wanted

WORKERS: Final = {"hold-funds": 2}
REPLICAS: Final = {"match-orders": 2}
SMALL_DISKS_MIB: Final = {"hold-funds": 512, "match-orders": 512, "kafka-3": 8_192}
"""Children that get a small disk of their own. Memory is used for what is written only."""
HOME_MIB: Final = 24_576
"""Of the disk that the home itself lies on, where it is to be full too."""
SETTINGS: Final = {"account_shards": 2, "book_shards": 2}
TRADED_S: Final = 30.0
"""At least; the script of the manipulator is played in this time."""
DELIVERY_S: Final = 300.0
REST_S: Final = 900.0
"""At the end there is all the time that is needed: what would not come at all does not come later."""
LINE_EVERY_S: Final = 30.0
INTERRUPTED: Final = 130


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n"))
@click.option("--faults", "count", default=100, show_default=True, type=click.IntRange(1, 10_000), help="Number of faults.")
@click.option("--seed", type=int, default=None, help="Decides the plan; without it, one is drawn and printed.")
@click.option("--brokers", default=3, show_default=True, type=click.IntRange(3, 5))
@click.option("--lanes", default=3, show_default=True, type=click.IntRange(1, 8), help="Faults at a time, with different victims.")
@click.option("--minutes", default=60.0, show_default=True, help="Begin no further fault after this time.")
@click.option(
    "--only", multiple=True, type=click.Choice([str(kind) for kind in Kind]), metavar="KIND", help="Only these kinds; may be repeated."
)
@click.option("--rate", default=60.0, show_default=True, type=click.FloatRange(1, 5_000), help="Orders per second, all traders together.")
@click.option("--traders", default=24, show_default=True, type=click.IntRange(10, 1_000))
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where data and logs are kept; without it, they are kept only if something is wrong.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the final JSON line to this file.")
@click.option("--lost-tail/--no-lost-tail", default=True, show_default=True, help="At the end, cut off the end of a log and recover it.")
@click.option("--plan", "plan_only", is_flag=True, help="Print the plan and stop.")
@click.option(INSIDE, "inside", is_flag=True, hidden=True)
def main(
    count: int, seed: int | None, brokers: int, lanes: int, minutes: float, only: tuple[str, ...], rate: float, traders: int,
    home: Path | None, json_file: Path | None, lost_tail: bool, plan_only: bool, inside: bool,
) -> None:  # fmt: skip
    """See the module."""
    seed = int.from_bytes(os.urandom(3)) if seed is None else seed
    cast = cast_of(brokers)
    faults = plan(seed, count, cast, [Kind(one) for one in only])
    if plan_only:
        click.echo("\n".join(f"# {fault}" for fault in faults))
        return
    if not inside:
        _fetch_packages()  # there is no way out from inside
        enter([*sys.argv, f"--seed={seed}"])
    run = Run(home, seed, faults, OwnMachine(inside=inside), lost_tail=lost_tail)
    options = Options(TRADED_S, traders, seed, rate, chaos=True, delivery_timeout_s=DELIVERY_S, stalled_s=REST_S, line_every_s=LINE_EVERY_S)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = run.play(brokers, options, lanes, minutes)
    run.finish()
    line = json.dumps(run.document())
    click.echo(line)
    if json_file is not None:
        json_file.write_text(line + "\n")
    sys.exit(status)


def cast_of(brokers: int) -> Cast:
    """Who plays in a set of this script's shape."""
    wanted = Wanted(SERVICES, role_names(), brokers, {}, WORKERS, REPLICAS)
    workers = tuple(worker.name for worker in wanted.processes() if worker.role != EDGE)
    return Cast(workers, tuple(name for name in wanted.names() if name.startswith("kafka")), tuple(SMALL_DISKS_MIB))


def _fetch_packages() -> None:
    for name in ("kafka", "mariadb", "elasticsearch", "ecj"):
        packages.fetch(Settings().cache_dir, name)


class Comments(io.TextIOBase):
    """Writes every line behind a `# `: standard output is JSON lines but for these."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._line = out, ""

    def write(self, text: str) -> int:
        """Whole lines are passed on."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            print(f"# {line}", file=self._out, flush=True)
        return len(text)


class Run:
    """One run, from an empty home to the verdict."""

    def __init__(self, home: Path | None, seed: int, faults: list[Fault], machine: OwnMachine, *, lost_tail: bool) -> None:
        self._keep = home is not None
        self._home = (home or Path(tempfile.mkdtemp(prefix="outcry-chaos-"))).resolve()
        self._seed, self._faults, self._machine = seed, faults, machine
        self._console = Console(file=Comments(sys.stdout), width=150, highlight=False)
        self._session: ChaosSession | None = None
        self._proofs = Proofs()
        self._ends: Counter[tuple[str, str]] = Counter()
        self._seconds = 0.0
        self._lost_tail = lost_tail

    def play(self, brokers: int, options: Options, lanes: int, minutes: float) -> int:
        """Everything; the exit status."""
        if (self._home / "data").exists():
            raise click.UsageError(f"{self._home} has data of another run: remove it, or choose another --home")
        self._say(f"seed {self._seed}, {len(self._faults)} faults, home {self._home}")
        for fault in self._faults:
            self._say(str(fault))
        local = LocalSet(demo_settings(Settings(home=self._home, **SETTINGS), self._home))
        if any(fault.kind is Kind.FULL_HOME for fault in self._faults):
            self._machine.small_disk(self._home, HOME_MIB)
        for name, size_mib in SMALL_DISKS_MIB.items():
            self._machine.small_disk(local.settings.data_dir / (name if name.startswith("kafka") else f"tables/{name}"), size_mib)
        for reason in {self._machine.no_disk, self._machine.no_network} - {""}:
            self._say(f"some faults will be skipped: {reason}")
        began = time.monotonic()
        try:
            with local.running(SERVICES, role_names(), brokers, workers=WORKERS, replicas=REPLICAS) as settings:
                self._say(f"the exchange runs after {time.monotonic() - began:.0f} s")
                self._trade(ChaosSession(
                    settings, local, role_names(), options, self._console, self._home / "api-keys.json",
                    faults=self._faults, strikes=Strikes(local, settings, self._machine), lanes=lanes, minutes=minutes,
                ))  # fmt: skip
                if self._lost_tail and not self.problems():
                    tail = LostTail(local, role_names(), brokers, {"workers": WORKERS, "replicas": REPLICAS}, self._say)
                    try:
                        self._proofs.problems += tail.play()
                    except OutcryError as error:
                        self._proofs.problems.append(f"lost tail: {error}")
            for problem in self.problems():
                self._say(f"WRONG {problem}")
            return 1 if self.problems() else 0
        except KeyboardInterrupt:
            self._say("interrupted: everything is undone, nothing is proven")
            return INTERRUPTED
        finally:
            self._seconds = round(time.monotonic() - began, 1)
            self._machine.leave(keep=self._home if self._keep or self.problems() else None)

    def _trade(self, session: ChaosSession) -> None:
        self._session = session
        try:
            asyncio.run(session.play())
            self._say("replaying every shard, auditing the money")
            self._proofs = prove(session.settings)
        except OutcryError as error:
            self._proofs.problems.append(str(error))
        finally:
            session.summary.write(self._home / "summary.json")
            self._ends = own_ends(session.settings.log_dir)
        show(self._console, session.summary)
        self._show()

    def problems(self) -> list[str]:
        """Everything that is not as it must be."""
        session = self._session
        if session is None:
            return ["the exchange did not start"]
        failed = [f"{one.fault}: {one.reason}" for one in session.records if one.outcome is Outcome.FAILED]
        unfinished = [] if session.summary.checks else ["the session was not reconciled"]
        return [*failed, *unfinished, *session.summary.disagreements, *self._proofs.problems]

    def document(self) -> dict[str, Any]:
        """The run for programs."""
        records = self._session.records if self._session is not None else []
        summary = self._session.summary if self._session is not None else None
        return {
            "chaos": "run", "seed": self._seed, "faults": len(self._faults), "seconds": self._seconds,
            **{str(outcome): sum(one.outcome is outcome for one in records) for outcome in Outcome},
            "kinds": [figures(kind, records) for kind in Kind if any(one.fault.kind is kind for one in records)],
            "availability": summary.availability if summary else {},
            "orders_accepted": summary.orders_accepted if summary else 0, "trades": summary.trades if summary else 0,
            "facts_agree": sum(check.agrees for check in summary.checks) if summary else 0, "facts": len(summary.checks) if summary else 0,
            "shards_verified": sum(bool(one["same"]) for one in self._proofs.shards),
            "hashes_compared": sum(one["hashes_compared"] for one in self._proofs.shards),
            "money_agrees": self._proofs.money.get("agrees", False), "dead_letters": len(self._proofs.dead_letters),
            "own_ends": [{"name": name, "why": why, "times": times} for (name, why), times in self._ends.most_common()],
            "problems": self.problems(), "load_average": round(os.getloadavg()[0], 1),
        }  # fmt: skip

    def _show(self) -> None:
        assert self._session is not None
        table = Table("fault", "done", "skipped", "failed", "not reached", "serves again, p50 s", "max s", box=None, header_style="bold")
        for kind in Kind:
            row = figures(kind, self._session.records)
            table.add_row(*(str("" if value is None else value) for value in row.values()))
        self._console.print(table)
        for shard in self._proofs.shards:
            self._say(
                f"{shard['role']} {shard['source']}: {'same' if shard['same'] else 'DIFFERS'}, {shard['hashes_compared']} state hashes equal"
            )
        for (name, why), times in self._ends.most_common():
            self._say(f"ended by itself {times}x: {name}: {why}")

    def finish(self) -> None:
        """Remove the home, if nobody wants it and nothing is wrong."""
        if not self._keep and not self.problems():
            shutil.rmtree(self._home)

    def _say(self, text: str) -> None:
        print(f"# {text}", flush=True)


def figures(kind: Kind, records: list[Record]) -> dict[str, Any]:
    """One kind's row."""
    own = [one for one in records if one.fault.kind is kind]
    times = [one.recovery_s for one in own if one.outcome is Outcome.DONE]
    counts = {str(outcome): sum(one.outcome is outcome for one in own) for outcome in Outcome}
    return {
        "kind": str(kind), "done": counts["done"], "skipped": counts["skipped"], "failed": counts["failed"], "not reached": counts["not reached"],
        "recovery_s_p50": round(statistics.median(times), 1) if times else None, "recovery_s_max": round(max(times), 1) if times else None,
    }  # fmt: skip


if __name__ == "__main__":
    main()
