"""Bad inputs at every door, a million of them: no door may raise anything but its own refusal, take for ever, or keep what it was given.

    python tests/fuzz/run_fuzz.py                                          # 1,000,000 inputs over all doors
    python tests/fuzz/run_fuzz.py --inputs 20000 --seed 7
    python tests/fuzz/run_fuzz.py --only order --inputs 100000             # one door (or several: --only again)
    python tests/fuzz/run_fuzz.py --only order --seed 7 --at 4711          # the one input that a report names

An input is a good one after some changes. One that gets an answer which nobody had yet counts as good from then on, so later ones go on from there.
Exit status: 0 no defect; 1 a door raised, hung or grew. A defect is told with the command that shows it again.
"""

import os
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import click
from mutations import mutated
from targets import Target, targets

HANG_S: Final = 60
"""For one input, on however busy a machine."""
GROWTH_MIB_MAX: Final = 256
"""Of the process, from a tenth of a door's inputs to its last."""
GOOD_MAX: Final = 256
DEFECTS_MAX: Final = 20
"""Of a door: then it is left."""
TELL_EVERY_S: Final = 10.0


class Hung(Exception):
    """One input took longer than HANG_S."""


@dataclass
class Defect:
    """An input that a door could not take."""

    target: str
    at: int
    what: str
    trace: str
    data: bytes


@dataclass
class Found:
    """What became of a door's inputs."""

    name: str
    inputs: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    defects: list[Defect] = field(default_factory=list)
    slowest_s: float = 0.0
    seconds: float = 0.0
    grown_mib: float = 0.0


def memory_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


def attack(target: Target, inputs: int, seed: int, *, only_at: int | None = None, tell: bool = False) -> Found:
    """Give a door so many inputs. only_at: ask it nothing but this one; answers of those before are as they were, as they decide what is tried later."""
    draw, good, found, known = random.Random(f"{seed}/{target.name}"), list(target.good), Found(target.name), set[str]()
    began_s = told_s = time.monotonic()
    settled_mib = 0.0
    for at in range(inputs):
        data = mutated(draw, good)
        if at == inputs // 10:
            settled_mib = memory_mib()
        answer = _ask(target, at, data, found, traced=only_at == at)
        if answer is not None and answer not in known:
            known.add(answer)
            if len(good) < GOOD_MAX:
                good.append(data)
        if len(found.defects) >= DEFECTS_MAX or only_at == at:
            break
        if tell and time.monotonic() - told_s > TELL_EVERY_S:
            told_s = time.monotonic()
            print(f"# {target.name}: {at:,} of {inputs:,}", file=sys.stderr)
    found.seconds, found.grown_mib = time.monotonic() - began_s, memory_mib() - settled_mib
    return found


def _ask(target: Target, at: int, data: bytes, found: Found, *, traced: bool) -> str | None:
    """The door's answer; None for a defect, which is noted."""
    began_s = time.monotonic()
    signal.alarm(HANG_S)
    try:
        answer = target.ask(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # whatever it is: that is what is looked for
        found.defects.append(Defect(target.name, at, f"{type(error).__name__}: {error}"[:300], traceback.format_exc(limit=-4), data))
        answer = None
    finally:
        signal.alarm(0)
    found.inputs += 1
    found.slowest_s = max(found.slowest_s, time.monotonic() - began_s)
    if answer is not None:
        found.answers[answer] += 1
    if traced:
        print(f"# {len(data):,} bytes: {data[:2_000]!r}\n# {answer or found.defects[-1].trace}")
    return answer


def _hang(_signal: int, _frame: FrameType | None) -> None:
    raise Hung(f"no answer within {HANG_S} s")


def problems_of(found: Sequence[Found], seed: int, inputs: int) -> list[str]:
    """A line for each kind of defect of a door, with the command that shows it again."""
    lines = []
    for one in found:
        for defect in {defect.what[:60]: defect for defect in reversed(one.defects)}.values():
            again = f'python tests/fuzz/run_fuzz.py --only "{one.name}" --seed {seed} --inputs {inputs} --at {defect.at}'
            lines.append(f"{one.name}: {defect.what}\n{defect.trace}    {again}")
        if one.grown_mib > GROWTH_MIB_MAX:
            lines.append(f"{one.name}: the process has grown by {one.grown_mib:.0f} MiB in {one.inputs:,} inputs")
    return lines


def table(found: Sequence[Found]) -> str:
    """For people."""
    head = f"{'door':<24}{'inputs':>10}{'taken':>10}{'defects':>9}{'us each':>9}{'slowest ms':>12}{'grown MiB':>11}  answers"
    lines = [head]
    for one in found:
        taken = one.answers["taken"] + one.answers["kept"]
        each_us = 1e6 * one.seconds / max(1, one.inputs)
        lines.append(
            f"{one.name:<24}{one.inputs:>10,}{taken:>10,}{len(one.defects):>9}{each_us:>9.0f}{1e3 * one.slowest_s:>12.1f}{one.grown_mib:>11.1f}  {len(one.answers)}"
        )
    total = sum(one.inputs for one in found)
    lines.append(
        f"{total:,} inputs, {sum(len(one.defects) for one in found)} defects, peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MiB"
    )
    return "\n".join(lines)


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.option("--inputs", default=1_000_000, show_default=True, type=click.IntRange(1), help="Over all doors.")
@click.option("--seed", default=1, show_default=True, type=int)
@click.option("--only", multiple=True, metavar="DOOR", help="These doors alone.")
@click.option("--at", "only_at", type=click.IntRange(0), help="Show what becomes of this input of the door.")
def main(inputs: int, seed: int, only: tuple[str, ...], only_at: int | None) -> None:
    """See the head of this file."""
    known = targets()
    if unknown := set(only) - {one.name for one in known}:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: the doors are {', '.join(one.name for one in known)}")
    if only_at is not None and len(only) != 1:
        raise click.BadParameter("--at needs one --only")
    chosen = [one for one in known if not only or one.name in only]
    signal.signal(signal.SIGALRM, _hang)
    found = [attack(one, max(1, inputs // len(chosen)), seed, only_at=only_at, tell=True) for one in chosen]
    print(table(found))
    problems = problems_of(found, seed, inputs)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
