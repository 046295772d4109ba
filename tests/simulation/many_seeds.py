"""Many seeds on all cores: worker processes that load the kernels once, and what all the seeds together have seen."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Self

from protections import without
from simulate import Run, simulate

SEEDS_AT_ONCE: Final = 8
"""That a worker takes: some 3 s of work."""
PROCESSES: Final = os.cpu_count() or 1


@dataclass
class Tally:
    """Of runs."""

    seeds: int = 0
    failed: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, run: Run) -> None:
        """One more."""
        self.seeds += 1
        self.counts += run.counts
        if run.broken:
            self.failed.append(run.seed)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"seeds": self.seeds, "failed": self.failed, **dict(sorted(self.counts.items()))}

    def __str__(self) -> str:
        told = ", ".join(f"{kind} {number:,}" for kind, number in sorted(self.counts.items()))
        return f"{self.seeds:,} seeds, {len(self.failed)} failed; {told}"


class Workers:
    """A pool; a context manager."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._processes = processes
        self._pool = multiprocessing.get_context("spawn").Pool(processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def runs(self, seeds: Iterable[int]) -> Iterator[Run]:
        """Each as soon as it is done; whoever has seen enough need not take them all."""
        return self._pool.imap_unordered(_simulate, seeds, chunksize=SEEDS_AT_ONCE)

    def first_to_notice(self, protection: str, seeds: range) -> int | None:
        """A seed that fails without this protection."""
        for batch in _growing(seeds, 2 * self._processes):
            for run in self._pool.map(partial(_simulate_without, protection), batch, chunksize=1):
                if run.broken:
                    return run.seed
        return None


def _growing(seeds: range, at_once: int) -> Iterator[range]:
    """The first alone, as it often is enough; then twice as many each time, up to `at_once`."""
    size = 1
    while seeds:
        yield seeds[:size]
        seeds, size = seeds[size:], min(2 * size, at_once)


def _simulate(seed: int) -> Run:
    return _told(simulate, seed)


def _simulate_without(protection: str, seed: int) -> Run:
    with without(protection):
        return _told(simulate, seed)


def _told(run: Callable[[int], Run], seed: int) -> Run:
    """Without the story of a run in which nothing is wrong: nobody reads it, and it is the most of what would be sent."""
    found = run(seed)
    return found if found.broken else replace(found, story=())
