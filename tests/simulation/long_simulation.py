"""Run many seeds of the simulation: `python tests/simulation/long_simulation.py --seeds 10000`, or one again with its story: `--seed N`.

Prints a line of counts at the end; each failing seed with its story as it is found. Exit status 1 if there was one.
"""

import argparse
import multiprocessing
import os
import time
from collections import Counter

from simulate import Run, simulate


def main() -> int:
    """Parse, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so long, whatever --seeds says; 0: do not")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="only this one, with its whole story")
    given = parser.parse_args()
    if given.seed is not None:
        run = simulate(given.seed)
        print("\n".join(run.story))
        print(f"log {run.digest}; " + ("wrong:\n" + "\n".join(run.broken) if run.broken else "all is as it must be"))
        return 1 if run.broken else 0
    return many(range(given.first, given.first + given.seeds), given.processes, given.minutes)


def many(seeds: range, processes: int, minutes: float) -> int:
    """Run the seeds in several processes, each seed in one."""
    started, counts, failed, done = time.monotonic(), Counter[str](), list[int](), 0
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for run in pool.imap_unordered(simulate, seeds, chunksize=8):
            done += 1
            counts += run.counts
            _tell(run, failed)
            if minutes and time.monotonic() - started > minutes * 60:
                pool.terminate()
                break
    seconds = time.monotonic() - started
    print(
        f"{done:,} seeds in {seconds:.0f} s, {len(failed)} failed {failed[:20]}; "
        + ", ".join(f"{kind} {n:,}" for kind, n in sorted(counts.items()))
    )
    return 1 if failed else 0


def _tell(run: Run, failed: list[int]) -> None:
    if run.broken:
        failed.append(run.seed)
        print(run, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
