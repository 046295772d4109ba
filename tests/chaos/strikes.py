"""Break one thing of the running set, see that it is broken, mend it, and wait until it serves again. Everything is undone on the way out, whatever happens.

Each wait is for a condition: a zombie sleeps until its group has dealt its partitions to others, a stopped broker until the cluster has fenced it, a full disk
lasts until the process has died of it, a frozen child until the supervisor has replaced it. Only what nobody notices by itself (a store that is silent, a slow
network), or what nobody could write down (a full home), lasts for a fixed time.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from fault_plan import EDGE, STORES, Fault, Kind
from own_machine import OwnMachine

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from streams.demo.chaos import child_of, is_replaced, strike, wait_for
from streams.demo.collect import end_offsets
from streams.services.local_set import URL_SETTINGS, LocalSet
from streams.services.state import ChildStatus, State, Wanted
from streams.services.supervision import fork_server, probes
from topics.catalogue import EXECUTIONS

RECOVERY_TIMEOUT_S: Final = 600.0
"""Far more than it takes on a quiet machine: two cores may be starting three programs and a broker, and the stores yield to everything else."""
NOTICED_TIMEOUT_S: Final = 600.0
POLL_S: Final = 0.25
SILENT_S: Final = 6.0
"""A store or the edge is stopped for so long: longer than a probe waits (3 s) and than an order waits for its decision (5 s)."""
FULL_S: Final = 15.0
"""The home is full for so long: longer than the supervisor needs to write about the worker that has just died."""
CUT_S: Final = 6.0
SLOW_S: Final = 12.0
ASK_TIMEOUT_S: Final = 30.0
MEMBER_SUFFIX: Final = 37
"""The broker makes a static member's id of its membership id, a dash and a UUID."""
DECIDING: Final = ("hold-funds", "match-orders")
SINK_OF: Final = {"mariadb": "persist-mysql", "valkey": "persist-redis", "elasticsearch": "persist-elasticsearch"}


class Strikes:
    """Calls each kind of fault by its name. `settings`: with the addresses of the running set."""

    def __init__(self, local: LocalSet, settings: Settings, machine: OwnMachine) -> None:
        self._local, self._settings, self._machine = local, settings, machine
        self._admin = AdminClient({"bootstrap.servers": settings.kafka_url, "log_level": 0})
        ports = json.loads((settings.data_dir / "ports.json").read_text())
        self._ports = {name: [port for key, port in ports.items() if key.split(".")[0] == name] for name in self._brokers()}
        self._groups = {worker.name: f"outcry-{worker.group}" for worker in self._wanted().processes()}
        kill, stop = self._kill, self._stop
        self._kinds: dict[Kind, Callable[..., Awaitable[float]]] = {
            Kind.KILL_ROLE: kill, Kind.KILL_EDGE: kill, Kind.KILL_BROKER: kill, Kind.KILL_STORE: kill, Kind.KILL_ROLE_AND_BROKER: kill,
            Kind.KILL_ALL_ROLES: self._kill_all_roles,
            Kind.ZOMBIE_ROLE: self._zombie, Kind.STOP_BROKER: self._stop_broker, Kind.STOP_STORE: stop, Kind.STOP_EDGE: stop,
            Kind.FULL_DISK_ROLE: self._full_disk, Kind.FULL_DISK_BROKER: self._full_disk, Kind.FULL_HOME: self._full_home,
            Kind.FROZEN_ROLE: self._frozen, Kind.FROZEN_STORE: self._frozen, Kind.FROZEN_BROKER: self._frozen,
            Kind.NETWORK_CUT: self._cut, Kind.NETWORK_SLOW: self._slow,
        }  # fmt: skip

    def impossible(self, kind: Kind) -> str:
        """Why this machine cannot do it; "" when it can."""
        if kind in (Kind.FULL_DISK_ROLE, Kind.FULL_DISK_BROKER, Kind.FULL_HOME):
            return self._machine.no_disk
        return self._machine.no_network if kind in (Kind.NETWORK_CUT, Kind.NETWORK_SLOW) else ""

    async def __call__(self, fault: Fault) -> float:
        """Do it; seconds from its end (of a kill: from the kill) until the victims served again. Raises ServiceUnavailable."""
        return await self._kinds[fault.kind](*fault.victims)

    async def all_well(self) -> float:
        """Seconds until every child serves, every partition has all its copies, and every role is in its group."""
        return max(await asyncio.gather(*(self._until_served(name) for name in self.everybody())))

    def everybody(self) -> list[str]:
        """Names of all children."""
        return [name for name in self._wanted().names() if name != "topics"]

    # ---- kinds

    async def _kill(self, *names: str) -> float:
        """SIGKILL to all of them at once."""
        victims = [await self._strike(name, signal.SIGKILL) for name in names]
        return max(await asyncio.gather(*(self._until_served(victim.name, victim) for victim in victims)))

    async def _kill_all_roles(self, _name: str) -> float:
        """SIGKILL to the process whose forks all roles are: the kernel kills them with it."""
        roles = {worker.name for worker in self._wanted().processes()}
        victims = [await self._running(name) for name in sorted(roles)]
        supervisor = psutil.Process(self._local.running_pid())
        (server,) = [one for one in supervisor.children() if " ".join(one.cmdline()).strip() == fork_server.TITLE]
        server.kill()
        return max(await asyncio.gather(*(self._until_served(victim.name, victim) for victim in victims)))

    async def _zombie(self, name: str) -> float:
        """Asleep until its group has given it up; then it wakes, believing that it owns what others own now."""
        victim = await self._strike(name, signal.SIGSTOP)
        try:
            await self._until(
                lambda: name not in self._members(name), f"{name} sleeps, and its group has not given it up", NOTICED_TIMEOUT_S
            )
        finally:
            _wake(victim)
        return await self._until_served(name)

    async def _stop_broker(self, name: str) -> float:
        """Asleep until the others have fenced it."""
        victim = await self._strike(name, signal.SIGSTOP)
        try:
            await self._until(lambda: _node(name) not in self._live_brokers(), f"{name} sleeps, and nobody has noticed", NOTICED_TIMEOUT_S)
        finally:
            _wake(victim)
        return await self._until_served(name)

    async def _stop(self, name: str) -> float:
        """Silent for a while; connections to it stay open."""
        victim = await self._strike(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(SILENT_S)
        finally:
            _wake(victim)
        return await self._until_served(name)

    async def _full_disk(self, name: str) -> float:
        """Nothing more can be written, until it has died of it; a worker, whose table is soon opened, twice: it has met the full disk at its start too."""
        before, deaths = await self._running(name), 1 if name in self._ports else 2
        with self._machine.full(self.directory(name)):
            otherwise = f"the disk of {name} is full, and it has not stopped"
            await self._until(lambda: self._child(name).restarts >= before.restarts + deaths, otherwise, RECOVERY_TIMEOUT_S)
        return await self._until_served(name, before)

    async def _full_home(self, name: str) -> float:
        """Nothing more can be written anywhere, by the supervisor neither, while it has a dead worker to replace; then there is space, and nobody helps."""
        supervisor = self._local.running_pid()
        victim = await self._strike(name, signal.SIGKILL)
        with self._machine.full(self._settings.home):
            await asyncio.sleep(FULL_S)
        if self._local.running_pid() != supervisor:
            raise ServiceUnavailable(
                "the home was full, and the supervisor has ended; log: " + str(self._settings.log_dir / "supervisor.log")
            )
        await self._until_served(name, victim)
        return await self.all_well()

    async def _frozen(self, name: str) -> float:
        """Asleep for good: the supervisor has to find out, and to start another one."""
        victim = await self._strike(name, signal.SIGSTOP)
        try:
            otherwise = f"{name} is frozen, and nobody has started another one"
            await self._until(lambda: self._child(name).pid not in (None, victim.pid), otherwise, RECOVERY_TIMEOUT_S)
        finally:
            _wake(victim)
        return await self._until_served(name, victim)

    async def _cut(self, name: str) -> float:
        return await self._network(self._machine.cut(self._ports[name]), name, CUT_S)

    async def _slow(self, name: str) -> float:
        return await self._network(self._machine.slow(self._ports[name]), name, SLOW_S)

    async def _network(self, trouble: AbstractContextManager[None], name: str, seconds: float) -> float:
        with trouble:
            await asyncio.sleep(seconds)
        return await self._until_served(name)

    # ---- what is

    def directory(self, name: str) -> Path:
        """Where a worker has its tables, a broker its log."""
        return self._settings.data_dir / (name if name in self._ports else f"tables/{name}")

    async def _strike(self, name: str, number: signal.Signals) -> ChildStatus:
        """The victim may be on its way up from an earlier blow: any process of it will do. One that has just ended by itself is replaced, and then struck."""
        while True:
            await self._running(name)
            try:
                return await strike(self._local, name, number)
            except (ProcessLookupError, ServiceUnavailable):
                await asyncio.sleep(POLL_S)

    async def _running(self, name: str) -> ChildStatus:
        await self._until(lambda: self._child(name).pid is not None, f"{name} is not started again", RECOVERY_TIMEOUT_S)
        return self._child(name)

    async def _until_served(self, name: str, victim: ChildStatus | None = None) -> float:
        """Seconds until the child serves; `victim`: the process that must be another one by then. What orders wait for does when every book shard decides."""
        began = time.monotonic()
        otherwise = f"{name} does not serve again; log: {self._child(name).log}"
        await self._until(lambda: self._serves(name, victim), otherwise, RECOVERY_TIMEOUT_S)
        if name in self._ports or name.startswith(DECIDING):
            await self._until(self._deciding(), otherwise, RECOVERY_TIMEOUT_S)
        return time.monotonic() - began

    async def _until(self, condition: Callable[[], bool], otherwise: str, timeout_s: float) -> float:
        """wait_for; a question that gets no answer now is asked again."""

        def held() -> bool:
            try:
                return condition()
            except (KafkaError, KafkaException, OSError, ServiceUnavailable):
                return False

        return await wait_for(held, otherwise, timeout_s, POLL_S)

    def _serves(self, name: str, victim: ChildStatus | None) -> bool:
        if self._child(name).state is not State.READY or (victim is not None and not is_replaced(self._local, victim)):
            return False
        if name in self._ports:
            return self._in_sync()
        if name in STORES:
            url = getattr(self._settings, URL_SETTINGS[name])
            asyncio.run(probes.ask(probes.PROBES[URL_SETTINGS[name]], url))
            return self._ready(SINK_OF[name])
        return self._ready(name) and (name == EDGE or name in self._members(name))

    def _ready(self, role: str) -> bool:
        """By its own word, now."""
        with urlopen(self._child(role).address + "/readyz", timeout=ASK_TIMEOUT_S) as answer:
            return answer.status == 200

    def _members(self, worker: str) -> set[str]:
        """Who is in the worker's group; nobody is for certain while partitions are dealt."""
        return asyncio.run(members_of(self._settings.kafka_url, self._groups[worker]))

    def _in_sync(self) -> bool:
        """Whether every broker lives and every partition has all its copies."""
        found = self._admin.list_topics(timeout=ASK_TIMEOUT_S)
        partitions = [partition for topic in found.topics.values() for partition in topic.partitions.values()]
        return len(found.brokers) == len(self._ports) and all(len(one.isrs) == len(one.replicas) for one in partitions)

    def _deciding(self) -> Callable[[], bool]:
        """Whether every book shard has decided something since this was first asked."""
        first: dict[tuple[str, int], int] = {}

        def grown() -> bool:
            ends = end_offsets(self._settings, EXECUTIONS)
            first.update({key: end for key, end in ends.items() if key not in first})
            return all(end > first[key] for key, end in ends.items())

        return grown

    def _live_brokers(self) -> set[int]:
        return set(self._admin.list_topics(timeout=ASK_TIMEOUT_S).brokers)

    def _child(self, name: str) -> ChildStatus:
        found = child_of(self._local, name)
        if found is None:
            raise ServiceUnavailable(f"{name} is no part of the set")
        return found

    def _brokers(self) -> list[str]:
        return [name for name in self._wanted().names() if name.split("-")[0] == "kafka"]

    def _wanted(self) -> Wanted:
        status = self._local.status()
        assert status is not None
        return status.wanted


async def members_of(kafka_url: str, group: str) -> set[str]:
    """Static membership ids of a group that has dealt its partitions. Raises ServiceUnavailable, KafkaError.

    Not asked by librdkafka: while brokers come and go, its DescribeGroups can abort the process (rd_kafka_enq_once_del_source_return).
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url, request_timeout_ms=int(ASK_TIMEOUT_S * 1000))
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            await admin.start()
            (answer,) = await admin.describe_consumer_groups([group])
    finally:
        await admin.close()
    ((error, _, state, _, _, members, *_),) = answer.groups
    if error or state not in ("Stable", "Empty"):
        raise ServiceUnavailable(f"{group}: state {state!r}, error {error}")
    return {member[0][:-MEMBER_SUFFIX] for member in members}


def _node(broker: str) -> int:
    """The node id: kafka, kafka-2, kafka-3 are 1, 2, 3."""
    return int(broker.partition("-")[2] or 1)


def _wake(victim: ChildStatus) -> None:
    """SIGCONT; a victim that is gone (the supervisor was told to stop) needs none."""
    assert victim.pid is not None
    with suppress(ProcessLookupError):
        os.kill(victim.pid, signal.SIGCONT)
