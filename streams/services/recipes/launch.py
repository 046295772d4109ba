"""Become a program that dies with its parent: `python -I -S launch.py PARENT_PID NICENESS PROGRAM ARGUMENT...`.

Linux sends the signal of PR_SET_PDEATHSIG when the parent dies, even by kill -9, so nothing that the supervisor started outlives it.
The setting survives exec but not fork. So it is made here, in the process that becomes the program, and not in a preexec_fn, which is
unsafe in a process with threads. KILL, not TERM: the supervisor is gone, so nobody could follow up, and every service recovers
from a kill (they are durable stores). This runs without site packages, so it must import only the standard library.
"""

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the death signal and the niceness, check that the parent still lives, become the program."""
    parent_pid, niceness, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    weigh(niceness)
    end_with(parent_pid, signal.SIGKILL)
    os.execvp(program[0], program)  # noqa: S606 - to become the program, with no shell between, is what this file is for


def weigh(niceness: int) -> None:
    """Take a niceness on top of the parent's, as a process and as a session."""
    if niceness:
        os.nice(niceness)
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:  # noqa: PTH123 - the standard library's least
            group.write(str(niceness))  # each of our children is a session, and Linux may weigh sessions rather than processes


def end_with(parent_pid: int, number: signal.Signals) -> None:
    """Have the kernel send us a signal when our parent dies. If it is already dead, exit. Linux only: elsewhere nothing is sent."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("launch: the parent died before the program started")


if __name__ == "__main__":
    main()
