"""Checks before anything is started: `outcry up` fails at once rather than after a minute, and `outcry doctor` reports the same."""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import OutcryError, StaleData
from schemas.instruments import BadInstruments, load_instruments
from schemas.settings import Settings
from streams.process.service_keys import certificates
from streams.services.recipes.recipe import private_directory
from surveillance.owners import BadOwnerSets, Owners
from topics.key_files import read_keyring

EDGE = "edge"
ROOM_MIN_BYTES = 16 << 20
"""With less, not even an existing set starts; a new one needs more, see `doctor`."""
OUR_DIRECTORIES = ("data", "log", "run", "demo", "keys")


@dataclass(frozen=True)
class Finding:
    """The result of one check. mend: what to do; None if it is good."""

    subject: str
    fact: str
    mend: str | None = None


class NotReadyToStart(OutcryError):
    """Problems that somebody must fix first. The message has all of them."""


def require(settings: Settings, new_roles: set[str]) -> None:
    """Raises NotReadyToStart unless the home is writable and what the new roles need is there."""
    findings = list(home(settings))
    if new_roles:
        findings += [*instruments(settings), *owner_sets(settings)]
    if EDGE in new_roles:
        findings += edge_port(settings)
    problems = [f"{one.subject}: {one.fact}\n    -> {one.mend}" for one in findings if one.mend is not None]
    if problems:
        raise NotReadyToStart("nothing was started:\n  " + "\n  ".join(problems))


def home(settings: Settings) -> Iterator[Finding]:
    """Make the directories of the home accessible to their owner only; the home itself too, if nothing else is in it."""
    place = settings.home
    try:
        own = not place.exists() or {path.name for path in place.iterdir()} <= set(OUR_DIRECTORIES)
        for directory in (*((place,) if own else ()), settings.run_dir, settings.log_dir, settings.data_dir):
            private_directory(directory)
        _write_something(settings.run_dir)
        free = shutil.disk_usage(place).free
    except OSError as error:
        mend = "free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it writable for this user"
        yield Finding(
            "home", f"cannot write in {place}: {error.strerror} ({error.filename})", f"{mend}, or set OUTCRY_HOME to another directory"
        )
        return
    if free < ROOM_MIN_BYTES:
        yield Finding("home", f"{free >> 20} MiB free in {place}", "free some space there, or set OUTCRY_HOME to another directory")


def _write_something(directory: Path) -> None:
    probe = directory / f".room.{os.getpid()}"
    try:
        probe.write_bytes(bytes(4_096))
    finally:
        probe.unlink(missing_ok=True)


def privacy(settings: Settings) -> Iterator[Finding]:
    """Whether other users can read the data of the set."""
    open_to_others = [
        path for path in (settings.data_dir, settings.run_dir, settings.log_dir) if path.exists() and path.stat().st_mode & 0o077
    ]
    if open_to_others:
        yield Finding(
            "privacy of data",
            f"other users can enter {', '.join(map(str, open_to_others))}",
            f"chmod 700 {' '.join(map(str, open_to_others))}",
        )


def record_keys(settings: Settings) -> Iterator[Finding]:
    """The keys by which records prove who has sent them; a home that has never run gets them from `outcry up`."""
    folder, subject = settings.record_keys_dir, "keys of records"
    try:
        count = len(read_keyring(folder).keys)
    except StaleData as error:
        yield Finding(subject, str(error), "mend the file, or restore it from your copy of the folder")
        return
    if count:
        yield Finding(subject, f"{count} in {folder}")
    elif (settings.data_dir / "kafka-cluster.json").exists():
        yield Finding(subject, f"none in {folder}: whoever can write to a topic is believed", "outcry keys init")


def service_keys(settings: Settings) -> Iterator[Finding]:
    """Certificates of a secure set; a home that has never been secure gets them from `outcry up --secure`."""
    folder, now, subject = settings.service_keys, datetime.now(UTC), "certificates"
    if not settings.secure and not folder.exists():
        return
    try:
        found = certificates(folder)
    except OutcryError as error:
        yield Finding(
            subject, str(error), "restore the file from your copy of the folder, or remove it: `outcry up --secure` makes another"
        )
        return
    for one in found:
        if (state := one.state(now)) not in ("valid", "to be renewed"):
            yield Finding(subject, f"{one.path} is {state}", "outcry keys certificates --renew")
    if found:
        yield Finding(subject, f"{len(found)} in {folder}; the first one ends on {min(one.ends for one in found):%Y-%m-%d}")


def instruments(settings: Settings) -> Iterator[Finding]:
    """The instrument list, which every role reads when it starts."""
    try:
        count = len(load_instruments(settings.instruments_file))
    except BadInstruments as error:
        yield Finding("instruments", str(error), "fix the file, or set OUTCRY_INSTRUMENTS_FILE to another one")
    else:
        yield Finding("instruments", f"{count} in {settings.instruments_file or 'the built-in list'}")


def owner_sets(settings: Settings) -> Iterator[Finding]:
    """The owner sets, which watch-trading reads when it starts."""
    path = settings.owner_sets_file
    if path is None:
        return
    try:
        Owners.of_toml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, BadOwnerSets) as error:
        yield Finding("owner sets", f"{path}: {error}", "fix the file, or set OUTCRY_OWNER_SETS_FILE to another one")
    else:
        yield Finding("owner sets", str(path))


def edge_port(settings: Settings) -> Iterator[Finding]:
    """The only port that is fixed; all others are chosen among free ones."""
    where = f"{settings.edge_host}:{settings.edge_port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.edge_host or None, settings.edge_port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        mend = "stop that program, or set OUTCRY_EDGE_PORT (0: any free one)" if taken else "set OUTCRY_EDGE_HOST and OUTCRY_EDGE_PORT"
        yield Finding("port of the edge", f"{where} {'is in use by another program' if taken else f'cannot be listened on: {error}'}", mend)
    else:
        yield Finding("port of the edge", f"{where} is free" if settings.edge_port else "a free one")
