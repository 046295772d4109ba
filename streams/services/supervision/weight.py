"""How much of the processor a child gets beside others: little while it only prepares to help, its full share afterwards.

Only reversible changes are made: an unprivileged process may raise another's niceness but never lower it again. The weight of a session
(autogroup, on most desktops and servers) can be restored by anybody, the niceness of processes by root or within RLIMIT_NICE.
"""

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

YIELDING: Final = 12
"""A weight of 70 where a normal process has 1,024: a fifteenth of a contested processor, all of an idle one."""
_NICE_LIMIT: Final = 20
"""RLIMIT_NICE counts down from niceness 20: with a limit of 20 a process may go back to 0."""


def set_niceness(pid: int, niceness: int) -> None:
    """Of the child that leads session and process group `pid`, with all its threads, on top of our own. Changes that are not permitted are skipped."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
    if _may_go_back():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, pid, os.getpriority(os.PRIO_PROCESS, 0) + niceness)


def _may_go_back() -> bool:
    return os.geteuid() == 0 or (hasattr(resource, "RLIMIT_NICE") and resource.getrlimit(resource.RLIMIT_NICE)[0] >= _NICE_LIMIT)
