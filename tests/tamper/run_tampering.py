"""Tamper with audit logs in every way that is known, and require that each is found and named; then look at honest logs, and require that nothing is found.

python tests/tamper/run_tampering.py --tamperings 1000 --honest 200 --seed 7
"""

import json
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from re import search

import click

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package `support`, when this is run by hand

from tampered_world import SIZES, make_world
from tamperings import KINDS


@dataclass
class Result:
    """What was done and what became of it."""

    by_kind: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    """Not found, or not named."""
    honest: int = 0
    honest_entries: int = 0
    false_alarms: list[str] = field(default_factory=list)


def tamper(seed: int, tamperings: int, honest: int, folder: Path) -> Result:
    """Each tampering in a world of its own; each honest world with processes that die at random steps."""
    result, number = Result(), 0
    while result.by_kind.total() < tamperings:
        rng = random.Random(f"{seed} {number}")
        act, size = KINDS[number % len(KINDS)], rng.choice(SIZES)
        number += 1
        with tempfile.TemporaryDirectory(dir=folder) as home:
            world = make_world(Path(home), size, rng, crashes=rng.random() < 0.3)
            before = world.found()
            done = act(world, rng)
            if done is None:
                continue
            result.by_kind[done.kind] += 1
            found = world.found()
            if before:
                result.false_alarms.append(f"seed {seed} number {number - 1}: {before}")
            if not any(search(done.named, one) for one in found):
                result.missed.append(f"seed {seed} number {number - 1}: {done.kind}, {done.where}, of {size} entries: {found}")
    for number in range(honest):
        rng = random.Random(f"honest {seed} {number}")
        with tempfile.TemporaryDirectory(dir=folder) as home:
            world = make_world(Path(home), rng.choice(SIZES), rng, crashes=True)
            result.honest += 1
            result.honest_entries += world.size
            if found := world.found():
                result.false_alarms.append(f"honest, seed {seed} number {number}: {found}")
    return result


def in_memory() -> str | None:
    """A file system in memory, where there is one: every file is synced, and a disk would take most of the time."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@click.command()
@click.option("--tamperings", type=click.IntRange(0), default=300, show_default=True, help="How many, over all kinds in turn.")
@click.option("--honest", type=click.IntRange(0), default=100, show_default=True, help="Honest logs whose processes die at random steps.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(tamperings: int, honest: int, seed: int) -> None:
    """Tamper, and print what was found. Exit status: 0 each was found and named, and no honest log was suspected; else 1."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        result = tamper(seed, tamperings, honest, Path(folder))
    for line in (*result.missed, *result.false_alarms):
        click.echo(f"WRONG {line}")
    for kind, count in sorted(result.by_kind.items()):
        click.echo(f"{count:>5}  {kind}")
    facts = {
        "tamperings": result.by_kind.total(), "kinds": len(result.by_kind), "missed": len(result.missed), "honest_logs": result.honest,
        "honest_entries": result.honest_entries, "false_alarms": len(result.false_alarms),
    }  # fmt: skip
    click.echo(json.dumps(facts))
    sys.exit(1 if result.missed or result.false_alarms else 0)


if __name__ == "__main__":
    main()
