"""What the supervisor must know about a service: how to prepare it, start it, and check whether it answers.

A recipe is a small class per service (kafka, mariadb, valkey, elasticsearch). `prepare` runs in a thread and may take minutes on a
first start; `command` is pure; `probe` makes a real request. Nothing here knows about processes.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from schemas.errors import ServiceUnavailable, StaleData
from schemas.settings import Settings
from streams.process.files import write_atomically

LAUNCH = str(Path(__file__).with_name("launch.py"))
PREPARE_TIMEOUT_S = 120
PRIVATE = 0o700

STORE_NICENESS = 3
"""On a small machine the stores behind the log yield to what an order waits for. They then get fewer and larger batches, at less cost per row.

Half the weight of others (526 of 1,024), not the ninth that 10 would be (110): niceness counts against every program of the machine. Beside a few
busy programs a sink with a ninth almost stops; see bench_catch_up.
"""


@dataclass(frozen=True)
class Made:
    """A file that a tool makes from another one while the program runs, at the lowest priority, and where it is then moved to.

    If the tool fails, `of` is removed: something is wrong with it. If it is interrupted, it starts again at the next start.
    """

    argv: list[str]
    written: Path
    place: Path
    of: Path


@dataclass(frozen=True)
class Command:
    """A program to run. leaves: a file that it writes at a regular stop, and where the file is then moved to. niceness: see os.nice."""

    argv: list[str]
    stop_timeout_s: float = 10.0
    leaves: tuple[Path, Path] | None = None
    makes: Made | None = None
    niceness: int = 0


@dataclass(frozen=True)
class Place:
    """Where one service lives: directories (absolute) and its ports by purpose."""

    cache: Path
    data: Path
    run: Path
    log: Path
    ports: dict[str, int]


class Recipe(Protocol):
    """One service of the local set."""

    @property
    def name(self) -> str:
        """Names its data directory and its log."""

    @property
    def version(self) -> str:
        """Checked against the version that made the data."""

    @property
    def port_names(self) -> tuple[str, ...]:
        """Purposes for which it needs a port."""

    @property
    def url_setting(self) -> str:
        """The setting by which clients find it."""

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Fetch, unpack and initialise what is missing. Raises OutcryError."""

    def command(self, place: Place) -> Command:
        """The program to run."""

    def url(self, place: Place) -> str:
        """The value of `url_setting` while this service runs."""


def dying_with_parent(argv: list[str], niceness: int = 0) -> list[str]:
    """The same program, killed by the kernel when this process dies."""
    return [sys.executable, "-I", "-S", LAUNCH, str(os.getpid()), str(niceness), *argv]


def run_tool(argv: list[str], what: str, log: Path, env: dict[str, str] | None = None) -> None:
    """Run a program to its end, its output appended to the log. Raises ServiceUnavailable with the last lines if it fails."""
    with log.open("ab") as output:
        try:
            code = subprocess.run(  # noqa: S603 - our own argument vectors, no shell
                dying_with_parent(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                timeout=PREPARE_TIMEOUT_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise ServiceUnavailable(f"{what} did not end within {PREPARE_TIMEOUT_S} s; log: {log}") from error
    if code != 0:
        raise ServiceUnavailable(f"{what} failed with exit code {code}: {' | '.join(tail(log, 3))}; log: {log}")


def tail(path: Path, lines: int, since: int = 0) -> list[str]:
    """The last non-empty lines of a log, of what was written after the byte offset `since`; empty when there is no log."""
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(since, size - 65_536) if since <= size else 0)
            text = handle.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def check_made_by(data: Path, name: str, version: str) -> bool:
    """True if the data directory was initialised by this version, False if it is new.

    Raises StaleData if another version made it: a downgrade destroys data, and an upgrade should be somebody's decision.
    """
    mark = data / "made-by.json"
    if not mark.exists():
        return False
    made_by = read_json(mark)
    if made_by != {"service": name, "version": version}:
        raise StaleData(
            f"{data} was made by {made_by['service']} {made_by['version']}, this is {name} {version}: "
            f"move the directory away (its data is lost to the local set) or use the version that made it"
        )
    return True


def mark_made_by(data: Path, name: str, version: str) -> None:
    """Record which version initialised the data directory. Written last, so that an interrupted initialisation is repeated."""
    write_atomically(data / "made-by.json", json.dumps({"service": name, "version": version}))


def private_directory(path: Path) -> None:
    """Make it, or restrict an existing one, so that only its owner can enter. Raises OSError if it belongs to another user."""
    path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(PRIVATE)


def read_json(path: Path) -> Any:
    """The content of a small JSON file of ours. Raises StaleData if it is torn, FileNotFoundError if it is not there."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:  # not JSON, not text
        raise StaleData(f"{path} is damaged ({error}): restore it, or move it away and start again") from error


def password(place: Place) -> str:
    """The password of a service's only user, or of the exchange where there are others, generated once; only the owner can read it."""
    return secret_of(place.data, "password")


def secret_of(data: Path, name: str) -> str:
    """A secret in the data directory of a service, as `password`."""
    path = data / name
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(18), mode=0o600)
    return path.read_text()


def limit_log(path: Path, bytes_max: int) -> None:
    """Keep a log and one older copy below the limit; programs append, so truncating under them is safe. Without room there is no copy."""
    older = path.with_suffix(".log.1")
    with suppress(OSError):
        if path.stat().st_size <= bytes_max:
            return
        try:
            shutil.copyfile(path, older)
        except OSError:
            older.unlink(missing_ok=True)
        os.truncate(path, 0)


def service_place(settings: Settings, name: str, ports: dict[str, int]) -> Place:
    """The directories of one service below OUTCRY_HOME, made if missing."""
    place = Place(
        cache=settings.cache_dir.resolve(),
        data=settings.data_dir.resolve() / name,
        run=settings.run_dir.resolve(),
        log=settings.log_dir.resolve() / f"{name}.log",
        ports=ports,
    )
    place.cache.mkdir(parents=True, exist_ok=True)
    for directory in (place.data, place.run, place.log.parent):
        private_directory(directory)
    return place
