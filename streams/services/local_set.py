"""Start, find and stop the set of a home. `outcry up`, `outcry down`, tests and the demo use it.

with LocalSet(settings).running(services=("kafka", "valkey")) as settings:
    ...  # settings.kafka_url and settings.redis_url answer
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from schemas.errors import OutcryError, ServiceUnavailable
from schemas.settings import PREFIX, Settings
from sinks.mysql.servers import parse_servers
from streams.process import key_folder
from streams.process.service_keys import AUTHORITY
from streams.services import preflight
from streams.services.changed_settings import changed
from streams.services.recipes import platform_check
from streams.services.recipes.mariadb import SERVERS_FILE
from streams.services.recipes.recipe import read_json, tail
from streams.services.state import (
    SERVICES,
    ChildStatus,
    SetStatus,
    State,
    Wanted,
    read_status,
    read_wanted,
    supervisor_pid,
    write_wanted,
)
from streams.services.supervision import probes
from streams.services.supervision.child import disk_is_full
from streams.services.supervision.descendants import descendants, kill_all

URL_SETTINGS = {"kafka": "kafka_url", "mariadb": "mysql_url", "valkey": "redis_url", "elasticsearch": "elasticsearch_url"}
START_TIMEOUT_S = 600.0  # a first start fetches 300 MB
STOP_TIMEOUT_S = 120.0  # roles, stores and brokers stop one after the other, each within its own time
HURRIED_STOP_S = 10.0  # when a person or the system has asked for an end: then everything is killed, and every service recovers from that
SPAWN_TIMEOUT_S = 60.0  # of the supervisor alone
POLL_S = 0.05
RESTARTS_MAX = 4  # a child that ends so often before it was ever well will not get well by itself
FAILED_RESTARTS_MAX = (
    1  # one that says itself that a person has to mend something gets a second chance: its predecessor may still have been there
)

Watch = Callable[[SetStatus], None]


class StartFailed(ServiceUnavailable):
    """Part of the set did not start. The message has its name, the reason, its last log lines and what to do."""


class RolesFailed(StartFailed):
    """Roles do not start. Everything else keeps running. The roles are retried, less and less often."""


class LocalSet:
    """The set of one OUTCRY_HOME, whoever started it."""

    def __init__(self, settings: Settings, *, bound: bool = False) -> None:
        """settings: name the home; the addresses in them are not used. bound: what is started here ends with this process, even by kill -9 (Linux)."""
        self.settings = settings.model_copy(
            update={"home": settings.home.resolve(), "cache": settings.cache_dir.resolve(), **_stays_secure(settings)}
        )
        self._bound = bound
        self._spawned: subprocess.Popen[bytes] | None = None

    def running_pid(self) -> int | None:
        """Pid of the supervisor, None if nothing runs."""
        pid = supervisor_pid(self.settings.run_dir)
        deadline_s = time.monotonic() + 10
        while pid == 0 and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
            pid = supervisor_pid(self.settings.run_dir)
        return pid

    def status(self) -> SetStatus | None:
        """What the running supervisor says; None if nothing runs."""
        pid, status = self.running_pid(), read_status(self.settings.run_dir)
        return status if pid is not None and status is not None and status.pid == pid else None

    def start(
        self,
        services: tuple[str, ...] = SERVICES,
        roles: tuple[str, ...] = (),
        brokers: int = 1,
        *,
        workers: Mapping[str, int] = MappingProxyType({}),
        replicas: Mapping[str, int] = MappingProxyType({}),
        mysql_replicas: int = 0,
        watch: Watch = lambda status: None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> bool:
        """Bring up services and roles, in addition to what runs; returns when everything answers.

        workers, replicas: how many of a role, where not one (see streams.process.worker_identity). Values of earlier calls stay.
        mysql_replicas: MySQL servers beside the first, of a set that does not run yet. A home that has had some keeps as many.
        A service whose OUTCRY_*_URL is set in the environment is not started, only checked. Returns True if anything was started.
        Raises NotReadyToStart for problems that can be found beforehand, ServiceUnavailable if such a server does not answer, StartFailed if
        something does not start. Then, and on KeyboardInterrupt, what this call started is stopped. RolesFailed stops nothing else.
        """
        before = read_wanted(self.settings.run_dir) if self.running_pid() else None
        external = external_urls(services)
        own = tuple(name for name in services if URL_SETTINGS[name] not in external)
        if own or roles:
            preflight.require(self.settings, set(roles) - set(before.roles if before else ()))
        verify_external(external)
        if own:
            platform_check.require()
        if before is None and not own and not roles:
            return False
        mysql_replicas = self._mysql_replicas(mysql_replicas) if "mariadb" in own else 0
        if self.settings.secure and mysql_replicas:
            raise OutcryError("a secure set has one MySQL server: its replicas have no TLS between them yet; leave one of the two out")
        wanted = _united(before, Wanted(own, roles, brokers, external, dict(workers), dict(replicas), mysql_replicas, self.settings.region))
        if before == wanted:
            self._wait_ready(wanted, watch, timeout_s)
            return False
        try:
            if "kafka" in own and not self.settings.copies_from and not (self.settings.data_dir / "kafka-cluster.json").exists():
                key_folder.make_missing(self.settings.record_keys_dir, time.time_ns())
            write_wanted(self.settings.run_dir, wanted)
            self._spawn() if before is None else self._tell()
            self._wait_ready(wanted, watch, timeout_s)
        except RolesFailed:
            raise
        except BaseException as error:
            self._undo(before, HURRIED_STOP_S if isinstance(error, KeyboardInterrupt) else STOP_TIMEOUT_S)
            if isinstance(error, OSError):
                raise StartFailed(f"cannot write in {self.settings.home}: {error}") from error
            raise
        return True

    def drop(self, role: str, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop a role and leave it out from now on; returns when its processes are gone. False if the set does not have it. Raises ServiceUnavailable."""
        before = read_wanted(self.settings.run_dir) if self.running_pid() else None
        if before is None or role not in before.roles:
            return False
        gone = {str(one) for one in before.processes() if one.role == role}
        write_wanted(self.settings.run_dir, replace(before, roles=tuple(name for name in before.roles if name != role)))
        self._tell()
        deadline_s = time.monotonic() + timeout_s
        while (status := self.status()) is not None and gone & {child.name for child in status.children}:
            if time.monotonic() > deadline_s:
                raise ServiceUnavailable(f"{role} has not stopped within {timeout_s:g} s; see `outcry status`")
            time.sleep(POLL_S)
        return True

    def stop(self, *, watch: Watch = lambda status: None, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop everything, by force after `timeout_s`. Returns when nothing is left; False if nothing ran."""
        pid = self._supervisor()
        if not pid:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline_s = time.monotonic() + timeout_s
        while self._supervisor() is not None:
            if time.monotonic() > deadline_s:
                self.kill()
                deadline_s += timeout_s
            if (status := read_status(self.settings.run_dir)) is not None:
                with suppress(OSError):  # a terminal that is gone
                    watch(status)
            time.sleep(POLL_S)
        return True

    def kill(self) -> None:
        """Kill the supervisor and everything that it started. Returns when it is gone. Safe at any time, also while `stop` waits."""
        if pid := self._supervisor():
            children = descendants(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            kill_all(children)

    def _supervisor(self) -> int | None:
        """Pid of the supervisor, also of one that has just started and not yet announced itself."""
        if self._spawned is not None and self._spawned.poll() is None:
            return self._spawned.pid
        return self.running_pid()

    @contextmanager
    def running(
        self,
        services: tuple[str, ...] = SERVICES,
        roles: tuple[str, ...] = (),
        brokers: int = 1,
        *,
        workers: Mapping[str, int] = MappingProxyType({}),
        replicas: Mapping[str, int] = MappingProxyType({}),
        mysql_replicas: int = 0,
    ) -> Iterator[Settings]:
        """Start, give the settings with the addresses, stop."""
        try:
            self.start(services, roles, brokers, workers=workers, replicas=replicas, mysql_replicas=mysql_replicas)
        except RolesFailed:
            self.stop()
            raise
        try:
            yield self.connected_settings()
        finally:
            self.stop()

    def changed_settings(self) -> list[str]:
        """A sentence for each setting of the environment that differs from that of the running set, which does not see changes."""
        status = self.status()
        return changed(self.settings, status.settings) if status is not None else []

    def connected_settings(self) -> Settings:
        """The settings with the addresses of the running set."""
        path = self.settings.run_dir / "services.json"
        running = read_json(path) if path.exists() else {}
        return self.settings.model_copy(update={**running, **external_urls(SERVICES)})

    # -- how

    def _mysql_replicas(self, asked: int) -> int:
        """As many as the home has had, at least: a server that is left out misses what is written meanwhile, and may be the primary."""
        path = self.settings.data_dir / SERVERS_FILE
        return max(asked, len(parse_servers(path.read_text(), str(path)).replicas)) if path.exists() else asked

    def _spawn(self) -> None:
        run_dir, log_dir = self.settings.run_dir, self.settings.log_dir
        for stale in ("services.json", "status.json"):
            (run_dir / stale).unlink(missing_ok=True)
        with (log_dir / "supervisor.log").open("ab") as output:
            process = self._spawned = subprocess.Popen(  # noqa: S603 - our own argument vector, no shell
                [sys.executable, "-m", "streams.services.supervision.supervisor", *([str(os.getpid())] if self._bound else [])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(),
                start_new_session=True,  # outlives this terminal
            )
        deadline_s = time.monotonic() + SPAWN_TIMEOUT_S
        while read_status(run_dir) is None:
            if time.monotonic() > deadline_s:
                raise StartFailed(f"the supervisor has not reported for {SPAWN_TIMEOUT_S:g} s; log: {log_dir / 'supervisor.log'}")
            if process.poll() not in (None, 3):  # 3: another `outcry up` was quicker; wait for that one
                lines = "\n  ".join(tail(log_dir / "supervisor.log", 5))
                raise StartFailed(
                    f"the supervisor ended with exit code {process.returncode}:\n  {lines}\n  log: {log_dir / 'supervisor.log'}"
                )
            time.sleep(POLL_S)

    def _environment(self) -> dict[str, str]:
        """This process's environment, plus every setting that did not come from the running set's file."""
        given = {name: getattr(self.settings, name) for name in self.settings.model_fields_set if not name.endswith("_url")}
        given |= {"home": self.settings.home, "cache": self.settings.cache_dir}
        return {**os.environ, **{PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}}

    def _tell(self) -> None:
        pid = self.running_pid()
        if pid:
            os.kill(pid, signal.SIGHUP)

    def _undo(self, before: Wanted | None, timeout_s: float) -> None:
        if before is None:
            self.stop(timeout_s=timeout_s)
            return
        write_wanted(self.settings.run_dir, before)
        self._tell()

    def _wait_ready(self, wanted: Wanted, watch: Watch, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while True:
            status = read_status(self.settings.run_dir)
            if self.running_pid() is None:
                raise StartFailed(f"the supervisor has died; log: {self.settings.log_dir / 'supervisor.log'}")
            if disk_is_full(self.settings.run_dir):
                raise StartFailed(f"the disk of {self.settings.home} is full: free some space, or set OUTCRY_HOME to another directory")
            if status is not None:
                watch(status)
                _raise_if_hopeless(status)
                if _all_there(status, wanted):
                    return
            if time.monotonic() > deadline_s:
                waiting = [child for child in status.children if child.state is not State.READY] if status else []
                kind = RolesFailed if waiting and all(child.kind == "role" for child in waiting) else StartFailed
                raise kind(f"not ready after {timeout_s:g} s:\n" + "\n".join(map(describe_failure, waiting)))
            time.sleep(POLL_S)


def _stays_secure(settings: Settings) -> dict[str, bool]:
    """A home that has an authority is secure until somebody says otherwise: it must not become open to others because a word was left out."""
    return {"secure": True} if "secure" not in settings.model_fields_set and (settings.service_keys / AUTHORITY).exists() else {}


def external_urls(services: tuple[str, ...]) -> dict[str, str]:
    """Addresses of servers that the environment names, by setting; not those of a running set."""
    settings = [URL_SETTINGS[name] for name in services]
    return {setting: url for setting in settings if (url := os.environ.get(PREFIX + setting.upper()))}


def verify_external(urls: dict[str, str]) -> None:
    """Probe each server. Raises ServiceUnavailable for the first that does not answer, naming its variable."""
    for setting, url in urls.items():
        try:
            # In a thread of its own: the caller may be inside an event loop (a test, the demo).
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, probes.ask(probes.PROBES[setting], url)).result()
        except ServiceUnavailable as error:
            raise ServiceUnavailable(
                f"{PREFIX}{setting.upper()} names {probes.without_password(url)}, which does not answer: {error}. "
                f"Start that server, or unset the variable to start one here"
            ) from error


def _united(before: Wanted | None, more: Wanted) -> Wanted:
    """What runs plus what is requested."""
    if before is None:
        return more
    if before.services and "kafka" in before.services and "kafka" in more.services and before.brokers != more.brokers != 1:
        raise OutcryError(f"the running set has {before.brokers} Kafka broker(s); run `outcry down` first to change that")
    if "mariadb" in before.services and more.mysql_replicas > before.mysql_replicas:
        raise OutcryError(f"the running set has {before.mysql_replicas} MySQL replica(s); run `outcry down` first to add some")
    mysql_replicas = before.mysql_replicas if "mariadb" in before.services else more.mysql_replicas
    services = tuple(name for name in SERVICES if name in {*before.services, *more.services})
    roles = tuple(dict.fromkeys([*before.roles, *more.roles]))
    brokers = before.brokers if "kafka" in before.services else more.brokers
    return replace(
        before, services=services, roles=roles, brokers=brokers, external={**before.external, **more.external},
        workers={**before.workers, **more.workers}, replicas={**before.replicas, **more.replicas}, mysql_replicas=mysql_replicas,
    )  # fmt: skip


def _raise_if_hopeless(status: SetStatus) -> None:
    if status.error:
        raise StartFailed(status.error)
    failed = [child for child in status.children if child.kind != "role" and _is_hopeless(child)]
    if failed:
        raise StartFailed("\n".join(map(describe_failure, failed)))


def _all_there(status: SetStatus, wanted: Wanted) -> bool:
    """Whether everything is ready. Raises RolesFailed once everything is that can be."""
    missing = [child for child in status.children if child.state is not State.READY]
    if missing and all(child.kind == "role" and _is_hopeless(child) for child in missing):
        raise RolesFailed("\n".join(map(describe_failure, missing)))
    return {child.name for child in status.children if child.state is State.READY} >= set(wanted.names())


def _is_hopeless(child: ChildStatus) -> bool:
    if child.state is State.FAILED:  # in its preparation, or by its own word
        return child.restarts == 0 or child.restarts > FAILED_RESTARTS_MAX
    return not child.well and child.restarts >= RESTARTS_MAX


def describe_failure(child: ChildStatus) -> str:
    """Which child, why, where its log is; and the last log lines and what to do, unless the reason says so."""
    reason = child.message or child.last_exit or child.state
    if child.state is State.FAILED and child.restarts:
        return f"{child.name} does not start: {reason}\n  log: {child.log}"
    lines = "".join(f"\n    {line}" for line in tail(Path(child.log), 5))
    return f"{child.name} does not start: {reason}{lines}\n  log: {child.log}\n  what to do: `outcry doctor` checks this machine"
