"""How `outcry` and the supervisor communicate: what is wanted (`wanted.json`) and what is (`status.json`), both in run_dir.

Files rather than a socket: anything can read them, also after a crash, and their paths have no length limit. Both are replaced
atomically. `supervisor.lock` is locked while the supervisor lives and holds its pid, so whether it runs never depends on a pid
that another process may have.
"""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from schemas.errors import StaleData
from streams.process.files import write_atomically
from streams.process.worker_identity import WorkerId, workers_of
from streams.services.recipes.recipe import private_directory, read_json

SERVICES = ("kafka", "mariadb", "valkey", "elasticsearch")


class State(StrEnum):
    """What a child is doing.

    SILENT: it was ready and has stopped answering; it is killed if that lasts. FAILED: the next start will fail the same way until somebody
    fixes the cause. A role is retried all the same, less and less often, so that it starts by itself once that is done.
    """

    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    BACKING_OFF = "backing off"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Wanted:
    """The set that should run. services: which of SERVICES to start (the others are elsewhere or not needed)."""

    services: tuple[str, ...] = SERVICES
    roles: tuple[str, ...] = ()
    brokers: int = 1
    external: dict[str, str] = field(default_factory=dict)
    workers: dict[str, int] = field(default_factory=dict)
    """How many workers share the partitions of a role, where it is not one."""
    replicas: dict[str, int] = field(default_factory=dict)
    """How many active-active replicas a role has, where it is not one; each has as many workers."""
    mysql_replicas: int = 0
    """MySQL servers beside the first."""
    region: int = 1
    """Which one this is: its replicas have other letters than those of the others."""

    def processes(self) -> list[WorkerId]:
        """Every worker of every role."""
        return [one for role in self.roles for one in workers_of(role, self.workers.get(role, 1), self.replicas.get(role, 1), self.region)]

    def names(self) -> list[str]:
        """Names of all children, in the order in which they are shown."""
        more_brokers = [f"kafka-{node}" for node in range(2, self.brokers + 1)] if "kafka" in self.services else []
        more_servers = [f"mariadb-{node}" for node in range(2, self.mysql_replicas + 2)] if "mariadb" in self.services else []
        return [*self.services, *more_brokers, *more_servers, *(("topics", *map(str, self.processes())) if self.roles else ())]


@dataclass(frozen=True)
class ChildStatus:
    """One line of `outcry status`. since: when `state` began, ISO 8601. message: what it is doing, or why it last stopped."""

    name: str
    kind: str
    state: State = State.WAITING
    pid: int | None = None
    restarts: int = 0
    since: str = ""
    message: str = ""
    last_exit: str = ""
    address: str = ""
    log: str = ""
    well: bool = False  # has been ready at least once since it was wanted


@dataclass(frozen=True)
class SetStatus:
    """The whole set as the supervisor sees it."""

    pid: int
    since: str
    children: tuple[ChildStatus, ...]
    wanted: Wanted
    error: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    """With which it was started, see `changed_settings.described`."""


def now() -> str:
    """The wall clock for people, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_wanted(run_dir: Path, wanted: Wanted) -> None:
    """Write what should run. The supervisor reads it when it starts and on SIGHUP."""
    write_atomically(run_dir / "wanted.json", json.dumps(asdict(wanted), indent=1))


def read_wanted(run_dir: Path) -> Wanted:
    """What should run. Raises StaleData if the file is damaged."""
    path = run_dir / "wanted.json"
    try:
        return _wanted(read_json(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise StaleData(
            f"{path} is not what `outcry up` writes ({error!r}): run `outcry down`, remove the file, then run `outcry up`"
        ) from error


def status_text(status: SetStatus) -> str:
    """What is, as status.json has it."""
    return json.dumps(asdict(status), indent=1)


def read_status(run_dir: Path) -> SetStatus | None:
    """The status, if its file can be read. Whether the supervisor still lives is another question (`supervisor_pid`).

    A torn file counts as none: the supervisor rewrites it every few seconds.
    """
    try:
        found: dict[str, Any] = read_json(run_dir / "status.json")
        children = tuple(ChildStatus(**{**child, "state": State(child["state"])}) for child in found["children"])
        return SetStatus(found["pid"], found["since"], children, _wanted(found["wanted"]), found["error"], found.get("settings", {}))
    except (FileNotFoundError, NotADirectoryError, StaleData, KeyError, TypeError, ValueError, AttributeError):
        return None


def _wanted(found: dict[str, Any]) -> Wanted:
    # a file of a version that did not know of several workers has one of each
    return Wanted(
        tuple(found["services"]),
        tuple(found["roles"]),
        found["brokers"],
        found["external"],
        found.get("workers", {}),
        found.get("replicas", {}),
        found.get("mysql_replicas", 0),
        found.get("region", 1),
    )


def take_supervisor_lock(run_dir: Path) -> int | None:
    """Become the only supervisor of this home: an open file that must stay open, or None if there already is one."""
    private_directory(run_dir)
    handle = os.open(run_dir / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def supervisor_pid(run_dir: Path) -> int | None:
    """Pid of the running supervisor of this home; None if there is none (0 until it has written its pid)."""
    path = run_dir / "supervisor.lock"
    if not path.exists():
        return None
    with path.open() as handle:
        try:
            # Shared and non-blocking: two askers must not take each other for a supervisor.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(ValueError):
                return int(handle.read())
            return 0
    return None
