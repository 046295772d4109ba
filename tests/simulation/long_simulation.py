"""Run many seeds of the simulation: `python tests/simulation/long_simulation.py --seeds 10000`, or one again with its story: `--seed N`.

Prints progress on lines that begin with '# ', each failing seed with its story when it is found, and at the end one line of JSON with all counts. Exit
status 1 if a seed failed.
"""

import argparse
import json
import time

from many_seeds import PROCESSES, Tally, Workers
from simulate import simulate

TELL_EVERY_S = 10.0


def main() -> int:
    """Parse, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10_000, help="number of seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after this time, whatever --seeds says; 0: no limit")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--seed", type=int, help="only this seed, with its whole story")
    given = parser.parse_args()
    if given.seed is not None:
        run = simulate(given.seed)
        print("\n".join(run.story))
        print(f"log {run.digest}; " + ("wrong:\n" + "\n".join(run.broken) if run.broken else "all is as it must be"))
        return 1 if run.broken else 0
    return many(range(given.first, given.first + given.seeds), given.processes, given.minutes)


def many(seeds: range, processes: int, minutes: float) -> int:
    """Run the seeds in several processes, each seed in one."""
    started, tally, told = time.monotonic(), Tally(), time.monotonic()
    with Workers(processes) as workers:
        for run in workers.runs(seeds):
            tally.add(run)
            now = time.monotonic()
            if run.broken:
                print("\n".join(f"# {line}" for line in str(run).splitlines()), flush=True)
            if now - told > TELL_EVERY_S:
                told = now
                print(f"# {tally.seeds:,} of {len(seeds):,} seeds in {now - started:.0f} s, {len(tally.failed)} failed", flush=True)
            if minutes and now - started > minutes * 60:
                break
    seconds = time.monotonic() - started
    print(json.dumps({"bench": "simulation", "first": seeds.start, "seconds": round(seconds, 1), "processes": processes} | tally.as_json()))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
