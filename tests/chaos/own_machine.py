"""A machine of the run's own: Linux namespaces with their own loopback network and mounts, so that what is broken is nobody else's.

`enter` begins the program again inside of them (util-linux's `unshare`; as root, or as any user where the kernel lets users have namespaces). Its rules and
disks are gone when the last process of the run ends, however it ends: nothing has to be undone by hand. Where namespaces are not allowed the run goes
on outside, and `OwnMachine` says why it has no small disks and no network to break.

A network that is cut: packets to and from a port go to a queue that sends one byte per second and has room for one packet. A slow one: to a queue of a low rate.
Both are `htb` with a `u32` filter by port, which kernels have that lack `netem`. A full disk: a tmpfs whose size is set to what it has.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

INSIDE: Final = "--inside"
MIB: Final = 1 << 20
Limits = tuple[str, str, int]
SLOW: Final = ("4mbit", "10k", 1_000)
CUT: Final = ("8bit", "1", 1)
"""Rate, burst (bytes that may go at once), packets that wait."""
BYTES_SPARE: Final = 256 << 10
"""Left to the filesystem when it is filled, because it may grow between the question and the answer; less than any file here grows by."""


def enter(argv: Sequence[str]) -> None:
    """Become `argv` inside namespaces of its own; returns where that is not possible."""
    tool = shutil.which("unshare")
    for user in ([], ["--user", "--map-root-user"]) if tool else []:
        command = [str(tool), "--net", "--mount", *user]
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            sys.stdout.flush()
            os.execv(command[0], [*command, sys.executable, *argv, INSIDE])


class OwnMachine:
    """Small disks and a network to break. `no_disk`, `no_network`: why there is none; "" where there is."""

    def __init__(self, *, inside: bool) -> None:
        self._sizes: dict[Path, int] = {}
        reason = "" if inside else "needs namespaces of its own (root, or user namespaces, and util-linux's unshare)"
        self.no_disk = self.no_network = reason
        if inside:
            self.no_network = _reason([["ip", "link", "set", "lo", "up"], *_queue(SLOW, (9,)), _NO_QUEUE])

    def small_disk(self, path: Path, size_mib: int) -> None:
        """Give a directory that has nothing in it yet a filesystem of its own."""
        path.mkdir(parents=True, exist_ok=True)
        self.no_disk = self.no_disk or _reason([["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(path)]])
        if not self.no_disk:
            self._sizes[path] = size_mib * MIB

    @contextmanager
    def full(self, path: Path) -> Iterator[None]:
        """As long as this lasts, nothing more can be written to the small disk that is mounted at `path`."""
        found = os.statvfs(path)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        try:
            _resize(path, used + BYTES_SPARE)
            yield
        finally:
            _resize(path, self._sizes[path])

    @contextmanager
    def cut(self, ports: Sequence[int]) -> Iterator[None]:
        """As long as this lasts, nobody reaches these ports, and nothing comes from them."""
        with self._queued(CUT, ports):
            yield

    @contextmanager
    def slow(self, ports: Sequence[int]) -> Iterator[None]:
        """As long as this lasts, everything to and from these ports shares the rate of SLOW."""
        with self._queued(SLOW, ports):
            yield

    @contextmanager
    def _queued(self, how: Limits, ports: Sequence[int]) -> Iterator[None]:
        try:
            for command in _queue(how, ports):
                _run(command)
            yield
        finally:
            _run(_NO_QUEUE)

    def leave(self, keep: Path | None = None) -> None:
        """Take the small disks away, with what is on them, so that the directory around them can be removed.

        `keep`: of the small disk that is mounted there, what it has itself is copied to the directory below it.
        """
        kept = os.open(keep, os.O_RDONLY | os.O_DIRECTORY) if keep in self._sizes and keep is not None else None
        for path in sorted(self._sizes, reverse=True):  # what is mounted within another one first
            _run(["umount", "--lazy", str(path)])
        self._sizes.clear()
        if kept is not None and keep is not None:
            shutil.copytree(f"/proc/self/fd/{kept}", keep, symlinks=True, dirs_exist_ok=True, ignore=_no_files)
            os.close(kept)


_NO_QUEUE: Final = ["tc", "qdisc", "del", "dev", "lo", "root"]


def _queue(how: Limits, ports: Sequence[int]) -> list[list[str]]:
    """Commands that send what has one of these TCP ports as source or destination through a queue; all else goes as ever."""
    rate, burst, packets = how
    return [
        ["tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb"],
        ["tc", "class", "add", "dev", "lo", "parent", "1:", "classid", "1:10", "htb", "rate", rate, "burst", burst, "cburst", burst, "quantum", "1514"],
        ["tc", "qdisc", "add", "dev", "lo", "parent", "1:10", "pfifo", "limit", str(packets)],
        *(["tc", "filter", "add", "dev", "lo", "parent", "1:", "protocol", "ip", "u32", "match", "ip", "protocol", "6", "0xff",
           "match", "ip", end, str(port), "0xffff", "flowid", "1:10"] for port in ports for end in ("sport", "dport")),
    ]  # fmt: skip


def _no_files(directory: str, names: list[str]) -> list[str]:
    """Sockets and the like cannot be copied."""
    paths = [Path(directory) / name for name in names]
    return [path.name for path in paths if not (path.is_symlink() or path.is_file() or path.is_dir())]


def _resize(path: Path, size: int) -> None:
    # without the options that the mount has: in a user's namespace some of them have numbers that nobody may set there
    _run(["mount", "--options-source", "disable", "-o", f"remount,size={size}", str(path)])


def _run(command: list[str]) -> None:
    """Raises OSError with what the tool said, or that there is no such tool."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _reason(commands: list[list[str]]) -> str:
    """Why these commands cannot be run here; "" when they were."""
    try:
        for command in commands:
            _run(command)
    except OSError as error:
        return str(error)
    return ""
