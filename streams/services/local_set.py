"""Start, find and stop the set of a home; what `outcry up` and `outcry down` do, and what tests and the demo call.

with LocalSet(settings).running(services=("kafka", "valkey")) as settings:
    ...  # settings.kafka_url and settings.redis_url answer
"""

import asyncio
import json
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
from streams.services import platform_check, probes
from streams.services.descendants import descendants, kill_all
from streams.services.recipe import tail
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

URL_SETTINGS = {"kafka": "kafka_url", "mariadb": "mysql_url", "valkey": "redis_url", "elasticsearch": "elasticsearch_url"}
START_TIMEOUT_S = 600.0  # a first start fetches 300 MB
STOP_TIMEOUT_S = 200.0  # a first stop writes class caches, see java_runtime
HURRIED_STOP_S = 10.0  # when a person or the system has asked for an end: then everything is killed, and every service recovers from that
POLL_S = 0.05
RESTARTS_MAX = 4  # a child that ends so often before it was ever well will not get well by itself

Watch = Callable[[SetStatus], None]


class StartFailed(ServiceUnavailable):
    """Something of the set did not start; the message has its name, the reason, its last log lines and what to do."""


class LocalSet:
    """The set of one OUTCRY_HOME, whoever started it."""

    def __init__(self, settings: Settings, *, bound: bool = False) -> None:
        """settings: of which home; the addresses in it are not used. bound: what is started here ends with this process, even by kill -9 (Linux)."""
        self.settings = settings.model_copy(update={"home": settings.home.resolve(), "cache": settings.cache_dir.resolve()})
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
        """What the living supervisor says; None if nothing runs."""
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
        watch: Watch = lambda status: None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> bool:
        """Bring up services and roles, in addition to what runs; returns when everything answers.

        workers, replicas: how many of a role, where it is not one (see streams.worker_identity); what a former call has said stays.
        A service whose OUTCRY_*_URL is set in the environment is not started, only asked. Returns True if anything was started.
        Raises ServiceUnavailable if that server does not answer, StartFailed if something does not start; what this call had started is stopped then, also on KeyboardInterrupt.
        """
        external = external_urls(services)
        verify_external(external)
        own = tuple(name for name in services if URL_SETTINGS[name] not in external)
        if own:
            platform_check.require()
        before = read_wanted(self.settings.run_dir) if self.running_pid() else None
        if before is None and not own and not roles:
            return False
        wanted = _united(before, Wanted(own, roles, brokers, external, dict(workers), dict(replicas)))
        if before == wanted:
            self._wait_ready(wanted, watch, timeout_s)
            return False
        try:
            write_wanted(self.settings.run_dir, wanted)
            self._spawn() if before is None else self._tell()
            self._wait_ready(wanted, watch, timeout_s)
        except BaseException as why:
            self._undo(before, HURRIED_STOP_S if isinstance(why, KeyboardInterrupt) else STOP_TIMEOUT_S)
            raise
        return True

    def stop(self, *, watch: Watch = lambda status: None, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop everything, by force after `timeout_s`; returns when nothing is left. False if nothing ran."""
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
        """Kill the supervisor and everything that it has started; returns when it is gone. Safe at any time, also while `stop` waits."""
        if pid := self._supervisor():
            children = descendants(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            kill_all(children)

    def _supervisor(self) -> int | None:
        """Pid of the supervisor; also of one that was started just now and has not told it yet."""
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
    ) -> Iterator[Settings]:
        """Start, give the settings with the addresses, stop."""
        self.start(services, roles, brokers, workers=workers, replicas=replicas)
        try:
            yield self.connected_settings()
        finally:
            self.stop()

    def connected_settings(self) -> Settings:
        """The settings with the addresses of the running set."""
        path = self.settings.run_dir / "services.json"
        running = json.loads(path.read_text()) if path.exists() else {}
        return self.settings.model_copy(update={**running, **external_urls(SERVICES)})

    # -- how

    def _spawn(self) -> None:
        run_dir, log_dir = self.settings.run_dir, self.settings.log_dir
        log_dir.mkdir(parents=True, exist_ok=True)
        for stale in ("services.json", "status.json"):
            (run_dir / stale).unlink(missing_ok=True)
        with (log_dir / "supervisor.log").open("ab") as output:
            process = self._spawned = subprocess.Popen(  # noqa: S603 - our own argument vector, no shell
                [sys.executable, "-m", "streams.services.supervisor", *([str(os.getpid())] if self._bound else [])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(),
                start_new_session=True,  # outlives this terminal
            )
        while read_status(run_dir) is None:
            if process.poll() not in (None, 3):  # 3: another `outcry up` was quicker; wait for that one
                lines = "\n  ".join(tail(log_dir / "supervisor.log", 5))
                raise StartFailed(
                    f"the supervisor ended with exit code {process.returncode}:\n  {lines}\n  log: {log_dir / 'supervisor.log'}"
                )
            time.sleep(POLL_S)

    def _environment(self) -> dict[str, str]:
        """This process's environment, with every setting that was given in another way than by the running set's file."""
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
            if status is not None:
                watch(status)
                _raise_if_hopeless(status)
                ready = {child.name for child in status.children if child.state is State.READY}
                if ready >= set(wanted.names()):
                    return
            if time.monotonic() > deadline_s:
                waiting = [child for child in status.children if child.state is not State.READY] if status else []
                raise StartFailed(f"not ready after {timeout_s:g} s:\n" + "\n".join(map(describe_failure, waiting)))
            time.sleep(POLL_S)


def external_urls(services: tuple[str, ...]) -> dict[str, str]:
    """Addresses of servers that the environment names, by setting; not those of a running set."""
    settings = [URL_SETTINGS[name] for name in services]
    return {setting: url for setting in settings if (url := os.environ.get(PREFIX + setting.upper()))}


def verify_external(urls: dict[str, str]) -> None:
    """Ask each server. Raises ServiceUnavailable for the first that does not answer, naming its variable."""
    for setting, url in urls.items():
        try:
            # In a thread of its own: the caller may be inside an event loop (a test, the demo).
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, probes.ask(probes.PROBES[setting], url)).result()
        except ServiceUnavailable as error:
            raise ServiceUnavailable(
                f"{PREFIX}{setting.upper()} names {probes.without_password(url)}, which does not answer: {error}. "
                f"Start that server, or unset the variable to have one started here"
            ) from error


def _united(before: Wanted | None, more: Wanted) -> Wanted:
    """What runs and what is asked for."""
    if before is None:
        return more
    if before.services and "kafka" in before.services and "kafka" in more.services and before.brokers != more.brokers != 1:
        raise OutcryError(f"the running set has {before.brokers} Kafka broker(s); `outcry down` first to change that")
    services = tuple(name for name in SERVICES if name in {*before.services, *more.services})
    roles = tuple(dict.fromkeys([*before.roles, *more.roles]))
    brokers = before.brokers if "kafka" in before.services else more.brokers
    return replace(
        before, services=services, roles=roles, brokers=brokers, external={**before.external, **more.external},
        workers={**before.workers, **more.workers}, replicas={**before.replicas, **more.replicas},
    )  # fmt: skip


def _raise_if_hopeless(status: SetStatus) -> None:
    if status.error:
        raise StartFailed(status.error)
    failed = [c for c in status.children if c.state is State.FAILED or (not c.well and c.restarts >= RESTARTS_MAX)]
    if failed:
        raise StartFailed("\n".join(map(describe_failure, failed)))


def describe_failure(child: ChildStatus) -> str:
    """Which child, why, the last lines of its log, where the log is, what to do."""
    reason = child.message or child.last_exit or child.state
    lines = "".join(f"\n    {line}" for line in tail(Path(child.log), 5))
    return f"{child.name} does not start: {reason}{lines}\n  log: {child.log}\n  what to do: `outcry doctor` checks this machine"
