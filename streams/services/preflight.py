"""What can be known to fail before anything is started: `outcry up` asks first, rather than after a minute, and `outcry doctor` tells the same."""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import OutcryError
from schemas.instruments import BadInstruments, load_instruments
from schemas.settings import Settings
from streams.services.recipes.recipe import private_directory

EDGE = "edge"
ROOM_MIN_BYTES = 16 << 20
"""Less, and not even an old set gets up; a new one needs more, see `doctor`."""
OUR_DIRECTORIES = ("data", "log", "run", "demo")


@dataclass(frozen=True)
class Finding:
    """One thing examined. mend: what to do; None when all is well."""

    subject: str
    fact: str
    mend: str | None = None


class NotReadyToStart(OutcryError):
    """Things that a person has to mend first; the message has all of them."""


def require(settings: Settings, new_roles: set[str]) -> None:
    """Raises NotReadyToStart unless the home can be written to and what the roles to be started need is there."""
    findings = list(home(settings))
    if new_roles:
        findings += instruments(settings)
    if EDGE in new_roles:
        findings += edge_port(settings)
    problems = [f"{one.subject}: {one.fact}\n    -> {one.mend}" for one in findings if one.mend is not None]
    if problems:
        raise NotReadyToStart("nothing was started:\n  " + "\n  ".join(problems))


def home(settings: Settings) -> Iterator[Finding]:
    """Make the directories of the home, and close them to others; the home itself too, where it is only ours."""
    place = settings.home
    try:
        own = not place.exists() or {path.name for path in place.iterdir()} <= set(OUR_DIRECTORIES)
        for directory in (*((place,) if own else ()), settings.run_dir, settings.log_dir, settings.data_dir):
            private_directory(directory)
        _write_something(settings.run_dir)
        free = shutil.disk_usage(place).free
    except OSError as error:
        mend = "free some room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it writable for this user"
        yield Finding(
            "home", f"cannot write in {place}: {error.strerror} ({error.filename})", f"{mend}, or set OUTCRY_HOME to another directory"
        )
        return
    if free < ROOM_MIN_BYTES:
        yield Finding("home", f"{free >> 20} MiB free in {place}", "free some room there, or set OUTCRY_HOME to another directory")


def _write_something(directory: Path) -> None:
    probe = directory / f".room.{os.getpid()}"
    try:
        probe.write_bytes(bytes(4_096))
    finally:
        probe.unlink(missing_ok=True)


def privacy(settings: Settings) -> Iterator[Finding]:
    """Whether others may look into what the set keeps."""
    open_to_others = [
        path for path in (settings.data_dir, settings.run_dir, settings.log_dir) if path.exists() and path.stat().st_mode & 0o077
    ]
    if open_to_others:
        yield Finding(
            "privacy of data", f"others may enter {', '.join(map(str, open_to_others))}", f"chmod 700 {' '.join(map(str, open_to_others))}"
        )


def instruments(settings: Settings) -> Iterator[Finding]:
    """The list that every role reads at its start."""
    try:
        count = len(load_instruments(settings.instruments_file))
    except BadInstruments as error:
        yield Finding("instruments", str(error), "mend the file, or set OUTCRY_INSTRUMENTS_FILE to another one")
    else:
        yield Finding("instruments", f"{count} in {settings.instruments_file or 'the built-in list'}")


def edge_port(settings: Settings) -> Iterator[Finding]:
    """The one port that is not chosen among free ones."""
    where = f"{settings.edge_host}:{settings.edge_port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.edge_host or None, settings.edge_port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        mend = "stop that program, or set OUTCRY_EDGE_PORT (0 takes a free one)" if taken else "set OUTCRY_EDGE_HOST and OUTCRY_EDGE_PORT"
        yield Finding("port of the edge", f"{where} {'is taken by another program' if taken else f'cannot be listened on: {error}'}", mend)
    else:
        yield Finding("port of the edge", f"{where} is free" if settings.edge_port else "a free one")
