"""The one background process of a home: parent of every service and role, started by `outcry up` (python -m streams.services.supervision.supervisor).

`... supervisor PID`: it stops everything in order when process PID, which started it, ends in any way.

In:     run_dir/wanted.json (read at the start and on SIGHUP), the environment
Out:    run_dir/status.json, run_dir/services.json, log_dir/supervisor.log, a pid file per child
On failure: a child that exits or stops answering is restarted with back-off; what does not fit on a full disk is written later; if the
        supervisor dies, every child dies with it (see launch.py).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from schemas.errors import OutcryError, ServiceUnavailable
from schemas.logins import act_as
from schemas.settings import PREFIX, Settings, load_settings
from streams.process import service_keys
from streams.process.logging import configure_logging
from streams.process.worker_identity import WorkerId
from streams.services.changed_settings import described
from streams.services.recipes.kafka import Kafka
from streams.services.recipes.launch import end_with
from streams.services.recipes.mariadb import MariaDB
from streams.services.recipes.ports import choose
from streams.services.recipes.recipe import (
    STORE_NICENESS,
    Command,
    Place,
    Recipe,
    limit_log,
    private_directory,
    service_place,
)
from streams.services.state import ChildStatus, SetStatus, State, Wanted, now, read_wanted, status_text, take_supervisor_lock
from streams.services.supervision import probes
from streams.services.supervision.addresses import Addresses
from streams.services.supervision.certificate_keeper import CertificateKeeper
from streams.services.supervision.child import Child
from streams.services.supervision.cluster_admin import release_broker
from streams.services.supervision.descendants import descendants, kill_all
from streams.services.supervision.group_admin import release_member
from streams.services.supervision.published import PublishedFiles
from streams.services.supervision.replication_keeper import ReplicationKeeper
from streams.services.supervision.role_code import COMPILED_ROLES, RoleCode
from streams.services.supervision.role_files import remove_leavings, role_address
from streams.services.supervision.set_recipes import recipes_for
from streams.services.supervision.topics_step import TopicsStep, create_topics
from topics.kafka_clients import security_of
from topics.rights import ADMINISTRATOR
from topics.roles import ROLES

ROLE_STOP_TIMEOUT_S = 10.0
ROLE_NICENESS = {name: STORE_NICENESS for name, role in ROLES.items() if not role.critical}
HOUSEKEEPING_EVERY_S = 10.0
LOG_BYTES_MAX = 64 * 1024 * 1024
STATUS_DELAY_S = 0.02  # changes within this time are written together

log = structlog.get_logger("outcry.supervisor")


def outcry_command(*arguments: str) -> list[str]:
    """The argument vector of `outcry ...` with this Python."""
    return [sys.executable, "-m", "streams", *arguments]


class Supervisor:
    """Makes what runs match what is wanted.

    role_command: the program of a role. topics_work: see TopicsStep. warm_command: compiles kernels. forks: roles are forks of a fork server.
    """

    def __init__(
        self,
        settings: Settings,
        role_command: Callable[[WorkerId], list[str]] = lambda worker: outcry_command("worker", worker.role, *worker.options),
        topics_work: Callable[[str], Awaitable[None]] | None = None,
        warm_command: list[str] | None = None,
        *,
        forks: bool = False,
    ) -> None:
        """settings.home must be absolute: children run with the same environment."""
        self._settings = settings
        self._role_command = role_command
        self._code = RoleCode(settings, warm_command, len(outcry_command()) if forks else None)
        self._topics_work = topics_work or partial(create_topics, settings, outcry_command("topics", "create"))
        self._wanted = Wanted(services=())
        self._children: dict[str, Child] = {}
        self._workers: dict[str, WorkerId] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._since = now()
        self._error = ""
        self._described = described(settings)
        self._published = PublishedFiles(settings.run_dir)
        self._addresses = Addresses(self._published, settings.data_dir.resolve())
        self._write_pending = False
        self._stop = asyncio.Event()
        self._topics: TopicsStep | None = None
        self._mysql_urls: dict[str, str] = {}
        self._keeper: ReplicationKeeper | None = None
        self._certificates: CertificateKeeper | None = None

    # -- what the process does

    async def run(self) -> None:
        """Until TERM or INT: reconcile with wanted.json, now and on each HUP. Then stop all children in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reconcile)
        self.reconcile()
        try:
            while not self._stop.is_set():
                try:
                    await asyncio.wait_for(self._stop.wait(), HOUSEKEEPING_EVERY_S)
                except TimeoutError:
                    self._keep_house()
        finally:
            await self._stop_all()

    def _keep_house(self) -> None:
        """Keep logs below their limit; rewrite a status file that was torn or removed."""
        for path in self._settings.log_dir.glob("*.log"):
            limit_log(path, LOG_BYTES_MAX)
        self._write_status()

    def reconcile(self) -> None:
        """Start what is wanted and missing; stop roles and services that are no longer wanted. A failure becomes the set's error.

        Nothing is started while stopping.
        """
        if self._stop.is_set():
            return
        self._error = ""
        try:
            self._reconcile()
        except (OutcryError, OSError) as error:
            log.error("supervisor.cannot_reconcile", reason=str(error))  # noqa: TRY400 - the reason is the news, not our stack
            self._error = str(error)
        self._status_changed()

    def _reconcile(self) -> None:
        for directory in (self._settings.run_dir, self._settings.log_dir, self._settings.data_dir):
            private_directory(directory)
        self._wanted = read_wanted(self._settings.run_dir)
        log.info("supervisor.wanted", services=self._wanted.services, roles=self._wanted.roles, brokers=self._wanted.brokers)
        self._addresses.want(self._wanted)
        for name in set(self._children) - set(self._wanted.names()):
            self._spawn_task(self._drop(name))
        self._start_services()
        self._start_roles()

    # -- services

    def _start_services(self) -> None:
        keys = self._settings.service_keys if self._settings.secure else None
        if keys is not None:
            if made := service_keys.make_missing(keys):
                log.info("service_keys.made", names=made)
            if self._certificates is None:
                self._certificates = CertificateKeeper(lambda: self._settings.model_copy(update=self._addresses.settings))
                self._spawn_task(self._certificates.run(self._stop))
        recipes = [
            recipe
            for recipe in recipes_for(self._wanted, keys, kafka_optimized=self._settings.kafka_optimized)
            if recipe.name not in self._children
        ]
        ports = choose(self._settings.data_dir, [f"{recipe.name}.{port}" for recipe in recipes for port in recipe.port_names])
        for recipe in recipes:
            own = {port: ports[f"{recipe.name}.{port}"] for port in recipe.port_names}
            self._start_service(recipe, service_place(self._settings, recipe.name, own))
        if self._mysql_urls and self._keeper is None:
            self._keeper = ReplicationKeeper(
                self._settings.data_dir.resolve(),
                self._mysql_urls,
                self._ready_pid,
                self._addresses.mysql_changed,
                self._kill_service,
                MariaDB().programs(self._settings.cache_dir),
            )
            self._addresses.mysql_changed(self._keeper.begin())
            self._spawn_task(self._keeper.run(self._stop))

    def _ready_pid(self, name: str) -> int | None:
        child = self._children.get(name)
        return child.status.pid if child is not None and child.ready.is_set() else None

    async def _kill_service(self, name: str) -> None:
        """Have the process of a service killed; it is started again."""
        child = self._children.get(name)
        if child is not None:
            await child.kill("another server is primary now")

    def _start_service(self, recipe: Recipe, place: Place) -> None:
        loop = asyncio.get_running_loop()
        url = recipe.url(place)
        status = ChildStatus(recipe.name, "service", since=now(), address=probes.without_password(url), log=str(place.log))

        def report(text: str) -> None:
            loop.call_soon_threadsafe(lambda: child.set(child.status.state, message=text))

        is_one_of_many = isinstance(recipe, MariaDB) and recipe.replicas > 0
        if is_one_of_many:
            self._mysql_urls[recipe.name] = url

        async def probe(pid: int) -> str:
            await probes.PROBES[recipe.url_setting](url)
            if not is_one_of_many:
                self._addresses.add(recipe.url_setting, url)
            return probes.without_password(url)

        child = self._add(
            Child(
                status,
                command=lambda: recipe.command(place),
                prepare=lambda: asyncio.to_thread(recipe.prepare, place, report),
                probe=probe,
                changed=self._status_changed,
                pid_file=place.run / f"{recipe.name}.pid",
                after_exit=lambda: self._release_broker(recipe, place),
                alive=lambda: probes.ALIVE[recipe.url_setting](url),
            )
        )

    async def _release_broker(self, recipe: Recipe, place: Place) -> None:
        """Have a dead broker's partitions led by the others at once."""
        if not isinstance(recipe, Kafka) or recipe.brokers == 1:
            return
        try:
            await release_broker(recipe.other_controllers(place), recipe.node_id, security_of(recipe.url(place)))
        except ServiceUnavailable as error:
            log.warning("broker.not_released", name=recipe.name, reason=str(error))  # then its session has to end
        else:
            log.info("broker.released", name=recipe.name)

    # -- roles

    def _start_roles(self) -> None:
        if self._wanted.roles and self._topics is None:
            self._topics = TopicsStep(self._settings.log_dir / "topics.log", self._topics_work, self._status_changed)
            self._spawn_task(self._topics.run(self._services_ready, lambda: self._addresses.kafka))
        self._code.want(self._wanted.roles)
        for worker in self._wanted.processes():
            if worker.name not in self._children:
                self._start_role(worker)

    def _start_role(self, worker: WorkerId) -> None:
        role, run, log_path = worker.role, self._settings.run_dir, self._settings.log_dir / f"{worker.name}.log"
        self._workers[worker.name] = worker
        topics = self._topics
        assert topics is not None, "roles start after the topics"

        async def wait_for_topics() -> None:
            await topics.done.wait()
            if topics.status.state is State.FAILED:
                raise ServiceUnavailable("not started: the topics could not be created")

        async def prepare() -> None:
            if role in COMPILED_ROLES:
                await self._code.compiled()
            await wait_for_topics()

        async def probe(pid: int) -> str:
            address = role_address(run / f"{worker.name}.json", pid)
            await probes.role(address)
            if role == "edge":
                self._addresses.add("edge_url", address)
            return address

        child = self._add(
            Child(
                ChildStatus(worker.name, "role", since=now(), log=str(log_path)),
                command=lambda: Command(self._role_command(worker), ROLE_STOP_TIMEOUT_S, niceness=ROLE_NICENESS.get(role, 0)),
                prepare=prepare,
                probe=probe,
                changed=self._status_changed,
                pid_file=run / f"{worker.name}.pid",
                after_exit=lambda: self._release_member(worker),
                caught_up=probes.caught_up if self._is_spare(role) else None,
                alive=lambda: probes.http_lives(child.status.address),
                announced=run / f"{worker.name}.json",
                start=self._code.start,
            )
        )

    def _is_spare(self, role: str) -> bool:
        """Whether other replicas do the same work. A worker that shares its replica's partitions must not be slow: the others wait while it joins."""
        return self._wanted.replicas.get(role, 1) > 1 and self._wanted.workers.get(role, 1) == 1

    async def _release_member(self, worker: WorkerId) -> None:
        """Have the partitions of a dead worker reassigned at once if others of its replica can take them.

        A worker that is alone keeps its place in the group instead: it is back before the session ends.
        """
        if self._wanted.workers.get(worker.role, 1) > 1:
            await self._leave_group(worker)

    async def _leave_group(self, worker: WorkerId) -> None:
        if not (kafka_url := self._addresses.kafka):
            return
        try:
            await release_member(kafka_url, f"outcry-{worker.group}", worker.name)
        except ServiceUnavailable as error:
            log.warning("member.not_released", name=worker.name, reason=str(error))  # then its session has to end
        else:
            log.info("member.released", name=worker.name)

    async def _services_ready(self) -> None:
        """When every service of this set answers."""
        services = [child for child in self._children.values() if child.status.kind == "service"]
        await asyncio.gather(*(child.ready.wait() for child in services))

    # -- all children

    def _add(self, child: Child) -> Child:
        self._children[child.status.name] = child
        self._spawn_task(child.run())
        return child

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        """A task whose failure is a bug of the supervisor: everything stops rather than continue half supervised."""
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(ended: asyncio.Task[None]) -> None:
            self._tasks.discard(ended)
            if not ended.cancelled() and ended.exception() is not None:
                log.error("supervisor.fault", exc_info=ended.exception())
                self._error = f"fault in the supervisor: {ended.exception()!r}; log: {self._settings.log_dir / 'supervisor.log'}"
                self._stop.set()

        task.add_done_callback(done)

    async def _drop(self, name: str) -> None:
        await self._children[name].stop()
        del self._children[name]
        if (worker := self._workers.pop(name, None)) is not None:
            await self._leave_group(worker)  # a static member that stops keeps its place, for its next start; there will be none
        self._status_changed()

    async def _stop_all(self) -> None:
        """Roles first, so that they can still commit. Kafka last, so that everything that writes to it has ended. Nothing new begins."""
        log.info("supervisor.stopping")
        for child in self._children.values():
            child.start_no_more()
        groups: list[list[Child]] = [[], [], []]
        for name, child in self._children.items():
            groups[0 if child.status.kind != "service" else 2 if name.startswith("kafka") else 1].append(child)
        for group in groups:
            await asyncio.gather(*(child.stop() for child in group))
        self._code.stop()
        self._addresses.remove()
        self._write_status()
        log.info("supervisor.stopped")

    def _status_changed(self) -> None:
        if not self._write_pending:
            self._write_pending = True
            asyncio.get_running_loop().call_later(STATUS_DELAY_S, self._write_status)

    def _write_status(self) -> None:
        self._write_pending = False
        order = self._wanted.names()
        found = {name: child.status for name, child in self._children.items()}
        if self._topics is not None:
            found["topics"] = self._topics.status
        children = sorted(found.values(), key=lambda status: order.index(status.name) if status.name in order else len(order))
        status = SetStatus(os.getpid(), self._since, tuple(children), self._wanted, self._error, self._described)
        self._published.write("status.json", status_text(status))


def absolute(settings: Settings) -> Settings:
    """The same settings with an absolute home, whatever the working directory of a reader."""
    keys = settings.service_keys_dir.resolve() if settings.service_keys_dir is not None else None
    return settings.model_copy(update={"home": settings.home.resolve(), "cache": settings.cache_dir.resolve(), "service_keys_dir": keys})


def main() -> int:
    """Take the lock and become the supervisor. Exit code 3: another supervisor runs in this home."""
    settings = absolute(load_settings())
    os.environ[PREFIX + "HOME"] = str(settings.home)
    act_as(ADMINISTRATOR)
    lock = take_supervisor_lock(settings.run_dir)
    if lock is None:
        return 3
    configure_logging(
        "INFO", "supervisor", silenced=["aiokafka"]
    )  # a word on each refused connection; what nobody answers is in the status
    remove_leavings(settings.run_dir)

    async def supervise() -> None:
        supervisor = Supervisor(settings, warm_command=outcry_command("warm"), forks=sys.platform == "linux")
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0)  # its signal handlers are in place: only now may others learn the pid
        if len(sys.argv) > 1:
            end_with(int(sys.argv[1]), signal.SIGTERM)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        await running
        kill_all(descendants(os.getpid()))  # a thread may still fetch, lay out or initialise something, which is done again if it was torn
        os._exit(0)

    asyncio.run(supervise())
    return 0


if __name__ == "__main__":
    sys.exit(main())
