"""Everything that a process has started, directly or indirectly: an installer's own children do not die with it (see launch.py)."""

from contextlib import suppress

import psutil

KILLED_TIMEOUT_S = 10.0
"""The kernel's work after a kill."""


def descendants(pid: int) -> list[psutil.Process]:
    """Descendants of a live process; none of a dead one."""
    with suppress(psutil.Error):
        return list(psutil.Process(pid).children(recursive=True))
    return []


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill them; returns when they are gone."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, KILLED_TIMEOUT_S)
