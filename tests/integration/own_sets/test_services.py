"""The real set in a home of its own: it answers, survives kills of its parts, and leaves nothing behind."""

import asyncio
import contextlib
import getpass
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import aiomysql
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from support.frozen_process import frozen

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from streams.services.local_set import URL_SETTINGS, LocalSet, StartFailed
from streams.services.state import ChildStatus, State
from streams.services.supervision import probes

pytestmark = pytest.mark.integration
WAIT_S = 600.0


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSet]:
    """A set of this module's own, as its tests kill parts of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTCRY_EDGE_PORT", "0")  # 8080 may be somebody's, and `doctor` would say so
        for name in ("KAFKA", "MYSQL", "REDIS", "ELASTICSEARCH"):
            patch.delenv(f"OUTCRY_{name}_URL", raising=False)
        local = LocalSet(Settings(home=tmp_path_factory.mktemp("killed")))
        with local.running():
            yield local


def when(condition: Callable[[], bool], what: str) -> None:
    """Return when the condition holds; fail after WAIT_S."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {WAIT_S:g} s: {what}"
        time.sleep(0.05)


def child(local: LocalSet, name: str) -> ChildStatus:
    """One line of the status."""
    status = local.status()
    assert status is not None
    return next(found for found in status.children if found.name == name)


def pids_of(local: LocalSet) -> list[int]:
    """All children that have a process."""
    status = local.status()
    assert status is not None
    return [found.pid for found in status.children if found.pid is not None]


def gone(pid: int) -> bool:
    """No such process, or one that only waits to be buried."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


def outcry(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("OUTCRY_")}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        env={**env, "OUTCRY_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )


async def test_a_record_goes_through_kafka(local: LocalSet) -> None:
    """Acknowledged by all replicas, read back; a topic that nobody created does not come into being by a typing error."""
    url = local.connected_settings().kafka_url
    admin = AIOKafkaAdminClient(bootstrap_servers=url)
    await admin.start()
    await admin.create_topics([NewTopic("services-test", num_partitions=1, replication_factor=1)])
    producer, consumer = (
        AIOKafkaProducer(bootstrap_servers=url, acks="all"),
        AIOKafkaConsumer("services-test", bootstrap_servers=url, auto_offset_reset="earliest"),
    )
    await producer.start()
    await consumer.start()
    try:
        sent = await producer.send_and_wait("services-test", b"x" * 900_000, partition=0)
        received = await asyncio.wait_for(consumer.getone(), WAIT_S)
        assert (received.offset, len(received.value or b"")) == (sent.offset, 900_000)
        assert set(await admin.list_topics()) <= {"services-test", "__consumer_offsets"}
    finally:
        await consumer.stop()
        await producer.stop()
        await admin.close()


async def test_the_database_user_may_do_everything_in_its_own_schema_and_nothing_beside(local: LocalSet) -> None:
    """A table is made, filled and read; global rights and other schemas are refused."""
    url = urlsplit(local.connected_settings().mysql_url)
    connection = await aiomysql.connect(
        host=url.hostname, port=url.port, user=url.username, password=url.password, db=url.path[1:], autocommit=True
    )
    async with connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE services_test (id BIGINT PRIMARY KEY, word VARCHAR(20)) ENGINE=InnoDB")
        await cursor.executemany("INSERT INTO services_test VALUES (%s, %s)", [(1, "one"), (2, "zwölf")])
        await cursor.execute("SELECT word FROM services_test ORDER BY id")
        assert [word for (word,) in await cursor.fetchall()] == ["one", "zwölf"]
        await cursor.execute("SHOW GRANTS")
        grants = sorted(grant for (grant,) in await cursor.fetchall())
        assert [grant.split(" TO ")[0] for grant in grants] == ["GRANT ALL PRIVILEGES ON `outcry`.*", "GRANT USAGE ON *.*"]
        await cursor.execute("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_buffer_pool_size")
        assert await cursor.fetchone() == (1, 128 * 1024 * 1024)
        await cursor.execute("SELECT @@tmpdir")
        (temporary,) = await cursor.fetchone()
        assert Path(temporary) == (local.settings.data_dir / "mariadb" / "temporary").resolve(), "another server would empty a shared one"
        await cursor.execute("DROP TABLE services_test")
    connection.close()
    with pytest.raises(aiomysql.OperationalError):
        await aiomysql.connect(host=url.hostname, port=url.port, user="root", password="")


async def test_a_value_is_kept_in_redis(local: LocalSet) -> None:
    """Set, expiring, read; the append-only file is on."""
    client = Redis.from_url(local.connected_settings().redis_url, decode_responses=True)
    try:
        assert await client.set("services-test", "1", px=60_000)
        assert await client.get("services-test") == "1"
        assert (await client.config_get("appendonly"))["appendonly"] == "yes"
    finally:
        await client.aclose()


async def test_other_users_of_the_machine_get_no_further_than_the_ports(local: LocalSet) -> None:
    """Loopback only; Redis and MySQL want a password, and no account is without one; nobody else may enter the directories."""
    settings = local.connected_settings()
    redis, mysql = urlsplit(settings.redis_url), urlsplit(settings.mysql_url)
    stranger = Redis(host=str(redis.hostname), port=redis.port or 0)
    try:
        with pytest.raises(AuthenticationError):
            await stranger.set("outcry:session:x", "me")
    finally:
        await stranger.aclose()
    for user in ("root", "outcry", "", "mariadb.sys"):
        with pytest.raises(aiomysql.OperationalError):
            await aiomysql.connect(host=mysql.hostname, port=mysql.port, user=user, password="")
    root = await aiomysql.connect(unix_socket=str(settings.data_dir / "mariadb" / "rows" / "mariadb.sock"), user=getpass.getuser())
    async with root.cursor() as cursor:
        await cursor.execute(
            "SELECT user, host, plugin, authentication_string, account_locked FROM mysql.user LEFT JOIN (SELECT User u, Host h, "
            "JSON_VALUE(Priv, '$.account_locked') account_locked FROM mysql.global_priv) p ON u = user AND h = host"
        )
        for name, host, plugin, secret, locked in await cursor.fetchall():
            assert plugin == "unix_socket" or locked or len(secret) > 20 or secret == "invalid", (name, host, plugin)
    root.close()
    for pid in pids_of(local):
        for connection in psutil.Process(pid).net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::ffff:127.0.0.1"), connection
    for directory in (
        settings.home,
        settings.data_dir,
        *(path for path in settings.data_dir.iterdir() if path.is_dir()),
        settings.run_dir,
        settings.log_dir,
    ):
        assert directory.stat().st_mode & 0o077 == 0, directory
    for name in ("services.json", "status.json"):
        assert (settings.run_dir / name).stat().st_mode & 0o077 == 0


async def test_a_document_is_found_in_elasticsearch(local: LocalSet) -> None:
    """Created once, refused the second time, found by search; GET / tells the version as clients want it."""
    url = local.connected_settings().elasticsearch_url
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert (await answer.json())["version"]["number"] == "9.5.3"
        for status in (201, 409):
            async with session.put(f"{url}/services-test/_create/1?refresh=true", json={"word": "order"}) as answer:
                assert answer.status == status
        async with session.get(f"{url}/services-test/_search?q=word:order") as answer:
            assert (await answer.json())["hits"]["total"]["value"] == 1


def test_the_command_line_shows_a_set_that_something_else_started(local: LocalSet) -> None:
    """Status and doctor find it by the home alone, probe it, and exit 0; no output holds the password."""
    shown = outcry(local.settings.home, "status", "--json")
    document = json.loads(shown.stdout)
    assert shown.returncode == 0, shown.stdout
    assert document["well"] is True
    assert {found["name"]: found["state"] for found in document["children"]} == dict.fromkeys(
        ["kafka", "mariadb", "valkey", "valkey-cache", "elasticsearch"], "ready"
    )
    assert document["answers"]["mariadb"] == "11.4.5-MariaDB"
    examined = outcry(local.settings.home, "doctor")
    assert examined.returncode == 0, examined.stdout
    assert "no problems found" in examined.stdout
    password = urlsplit(local.connected_settings().mysql_url).password
    assert password is not None
    table = outcry(local.settings.home, "status")
    assert table.returncode == 0
    assert not any(password in text for text in (shown.stdout, examined.stdout, table.stdout))


def test_a_second_up_finds_the_running_set(local: LocalSet) -> None:
    """It says so, starts nothing, and is quick."""
    before = pids_of(local)
    again = outcry(local.settings.home, "up")
    assert again.returncode == 0, again.stderr
    assert "was already up" in again.stdout
    assert pids_of(local) == before


@pytest.mark.parametrize("name", ["valkey", "valkey-cache", "mariadb", "kafka", "elasticsearch"])
def test_a_killed_service_is_restarted_at_its_address_and_the_status_says_so(local: LocalSet, name: str) -> None:
    """Kill -9, then: another process, ready, same address, one more restart, the signal named."""
    before = child(local, name)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    when(lambda: child(local, name).restarts == before.restarts + 1, f"{name} is restarted")
    when(lambda: child(local, name).state is State.READY, f"{name} is ready again")
    after = child(local, name)
    assert after.pid not in (None, before.pid)
    assert after.address == before.address
    assert after.last_exit.startswith("killed by SIGKILL")
    supervisor_log = (local.settings.log_dir / "supervisor.log").read_text()
    line = [line for line in supervisor_log.splitlines() if "child.exited" in line and f" name={name} " in line][-1]
    assert "killed by SIGKILL" in line
    assert "restart_in_s=" in line


@pytest.mark.parametrize("name", ["valkey", "mariadb", "kafka", "elasticsearch"])
def test_each_service_answers_whether_it_lives(local: LocalSet, name: str) -> None:
    """While it does; stopped, it does not, though its port still takes connections."""
    settings = local.connected_settings()
    setting = URL_SETTINGS[name]
    asyncio.run(probes.ask(probes.ALIVE[setting], getattr(settings, setting), WAIT_S))
    pid = child(local, name).pid
    assert pid is not None
    with frozen(pid), pytest.raises(ServiceUnavailable, match="no answer within"):
        asyncio.run(probes.ask(probes.ALIVE[setting], getattr(settings, setting), 1.0))
    asyncio.run(probes.ask(probes.ALIVE[setting], getattr(settings, setting), WAIT_S))


def test_a_service_that_hangs_is_said_to_be_silent_and_restarted(local: LocalSet) -> None:
    """SIGSTOP: it does not exit, and would answer nobody any more."""
    before = child(local, "valkey")
    assert before.pid is not None
    os.kill(before.pid, signal.SIGSTOP)
    when(lambda: child(local, "valkey").state is State.SILENT, "valkey is said to be silent")
    assert outcry(local.settings.home, "status").returncode == 1
    when(lambda: child(local, "valkey").restarts == before.restarts + 1, "valkey is restarted")
    when(lambda: child(local, "valkey").state is State.READY, "valkey is ready again")
    assert child(local, "valkey").last_exit.startswith("did not answer for ")


def test_settings_that_a_running_set_does_not_know_of_are_told(local: LocalSet) -> None:
    """By every command that shows the set; one that has them as they were says nothing."""
    same = outcry(local.settings.home, "status", OUTCRY_BOOK_SHARDS="1")
    assert "does not use these settings" not in same.stdout + same.stderr
    for command in (("status",), ("up",)):
        told = outcry(local.settings.home, *command, OUTCRY_BOOK_SHARDS="4")
        assert told.returncode == 0
        assert "OUTCRY_BOOK_SHARDS is 4 here, but the running set was started with 1" in told.stderr
    assert "OUTCRY_BOOK_SHARDS is 4 here" in outcry(local.settings.home, "doctor", OUTCRY_BOOK_SHARDS="4").stdout


def test_a_role_with_a_damaged_table_takes_nothing_along_and_comes_up_once_it_is_moved_away(tmp_path: Path) -> None:
    """`up` says which directory, and exits with 1; the broker and the other role run. Then nobody has to start anything."""
    local = LocalSet(Settings(home=tmp_path))
    with local.running(("kafka",), ("publish-market-data",)):
        pass
    (manifest,) = (tmp_path / "data" / "tables" / "publish-market-data").glob("**/*.db/MANIFEST*")
    manifest.write_bytes(b"garbage")
    try:
        up = outcry(tmp_path, "up", "--service", "kafka", "--role", "publish-market-data", "--role", "match-orders")
        assert up.returncode == 1
        assert f"publish-market-data does not start: the table {manifest.parent} is damaged" in up.stderr
        assert "match-orders does not start" not in up.stderr
        assert "is up, except for some roles" in up.stdout
        assert child(local, "publish-market-data").state is State.FAILED
        assert (child(local, "kafka").state, child(local, "match-orders").state) == (State.READY, State.READY)
        manifest.parent.rename(tmp_path / "damaged")
        when(lambda: child(local, "publish-market-data").state is State.READY, "the role is ready")
        running = local.running_pid()
        assert running is not None
        assert (tmp_path / "run" / "match-orders.json").exists()
        pid = child(local, "match-orders").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        when(lambda: child(local, "match-orders").restarts == 1, "its end was seen")
    finally:
        local.stop()
    assert not (tmp_path / "run" / "match-orders.json").exists(), "an address of a role that is gone"


def test_a_supervisor_whose_command_was_killed_goes_on_and_can_be_stopped(tmp_path: Path) -> None:
    """`outcry up` dies while it waits: what it has started comes up all the same, is found, and goes down."""
    env = {**os.environ, "OUTCRY_HOME": str(tmp_path)}
    command = subprocess.Popen(
        [sys.executable, "-m", "streams", "up", "--service", "kafka"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    local = LocalSet(Settings(home=tmp_path))
    when((tmp_path / "run" / "kafka.pid").exists, "Kafka has been started")
    command.kill()
    command.wait()
    when(lambda: child(local, "kafka").state is State.READY, "Kafka is ready")
    pids = pids_of(local)
    assert local.stop()
    assert all(gone(pid) for pid in pids)


def test_a_kill_of_the_supervisor_leaves_nothing_running_and_its_data_is_used_again(tmp_path: Path) -> None:
    """Kill -9: the kernel ends the children; status says that nothing runs; doctor names the leavings; up works on the same data."""
    local = LocalSet(Settings(home=tmp_path))
    local.start(("valkey", "mariadb"))
    try:
        children, address = pids_of(local), child(local, "mariadb").address
        supervisor = local.running_pid()
        assert supervisor is not None
        assert len(children) == 3, "MariaDB, Valkey and the Valkey of the cache"
        os.kill(supervisor, signal.SIGKILL)
        when(lambda: all(gone(pid) for pid in children), "the children are gone")
        when(lambda: local.status() is None, "the supervisor is gone too")
        assert outcry(tmp_path, "status").returncode == 1
        examined = outcry(tmp_path, "doctor")
        assert examined.returncode == 1
        assert "left over from a crash" in examined.stdout
        assert local.start(("valkey", "mariadb"))
        assert child(local, "mariadb").address == address
        children = pids_of(local)
    finally:
        local.stop()
    assert all(gone(pid) for pid in children)


def test_up_and_down_by_command_leave_nothing(tmp_path: Path) -> None:
    """Plain lines when not a terminal; after down no process, no address, and a second down says that nothing ran."""
    up = outcry(tmp_path, "up", "--service", "valkey")
    assert up.returncode == 0, up.stderr
    assert "valkey" in up.stderr
    assert "is up" in up.stdout
    pids = pids_of(LocalSet(Settings(home=tmp_path)))
    down = outcry(tmp_path, "down")
    assert down.returncode == 0, down.stderr
    assert all(gone(pid) for pid in pids)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["status.json", "supervisor.lock", "wanted.json"]
    assert "was not running" in outcry(tmp_path, "down").stdout


def test_a_server_named_by_the_environment_is_used_and_not_started(local: LocalSet, tmp_path: Path) -> None:
    """All four elsewhere: nothing is started; one that does not answer is an error that names its variable."""
    settings = local.connected_settings()
    elsewhere = {f"OUTCRY_{name.upper()}": getattr(settings, name) for name in ("kafka_url", "mysql_url", "redis_url", "elasticsearch_url")}
    up = outcry(tmp_path, "up", **elsewhere)
    assert up.returncode == 0, up.stderr
    assert LocalSet(Settings(home=tmp_path)).running_pid() is None
    assert up.stdout.count("answers at") == 4
    assert "mysql answers at mysql://outcry@127.0.0.1:" in up.stdout
    wrong = outcry(tmp_path, "up", "--service", "valkey", OUTCRY_REDIS_URL="redis://127.0.0.1:1/0")
    assert wrong.returncode == 1
    assert "OUTCRY_REDIS_URL names redis://127.0.0.1:1/0, which does not answer" in wrong.stderr
    assert LocalSet(Settings(home=tmp_path)).running_pid() is None, "what the failed `up` started is stopped"


def test_a_service_that_cannot_start_is_named_with_its_log_and_nothing_is_left(tmp_path: Path) -> None:
    """Valkey with a data directory that is not its own to write: here a file in place of its append-only directory."""
    (tmp_path / "data" / "valkey").mkdir(parents=True)
    (tmp_path / "data" / "valkey" / "appendonlydir").write_text("in the way")
    local = LocalSet(Settings(home=tmp_path))
    with pytest.raises(StartFailed) as failure:
        local.start(("valkey",))
    assert "valkey does not start: exit code 1" in str(failure.value)
    assert str(tmp_path / "log" / "valkey.log") in str(failure.value)
    assert local.running_pid() is None


def test_an_interrupted_up_stops_what_it_started(tmp_path: Path) -> None:
    """Ctrl-C while Kafka starts: exit code 130, nothing runs."""
    env = {**os.environ, "OUTCRY_HOME": str(tmp_path)}
    command = subprocess.Popen(
        [sys.executable, "-m", "streams", "up", "--service", "kafka"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    pid_file = tmp_path / "run" / "kafka.pid"
    when(pid_file.exists, "Kafka has been started")
    pid = int(pid_file.read_text())
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=WAIT_S) == 130
    assert gone(pid)
    assert LocalSet(Settings(home=tmp_path)).running_pid() is None


async def test_three_brokers_form_one_cluster_that_replicates(tmp_path: Path) -> None:
    """A topic with three replicas keeps accepting records when one broker is killed."""
    local = LocalSet(Settings(home=tmp_path))
    with local.running(("kafka",), brokers=3) as settings:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_url)
        await admin.start()
        cluster = await admin.describe_cluster()
        assert len(cluster["brokers"]) == 3
        await admin.create_topics(
            [NewTopic("replicated", num_partitions=1, replication_factor=3, topic_configs={"min.insync.replicas": "2"})]
        )
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_url, acks="all")
        await producer.start()
        await producer.send_and_wait("replicated", b"before", partition=0)
        victim = child(local, "kafka-2").pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        assert (await producer.send_and_wait("replicated", b"after", partition=0)).offset == 1
        await producer.stop()
        when(lambda: child(local, "kafka-2").restarts == 1 and child(local, "kafka-2").state is State.READY, "the broker is back")
