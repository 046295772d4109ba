"""Ports, packages, status files and the fetched packages' lock: what the local set rests on, without starting it."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from schemas.errors import OutcryError, StaleData
from streams.process.files import write_atomically
from streams.services.local_set import RESTARTS_MAX, StartFailed, _raise_if_hopeless, _united
from streams.services.recipes import packages, platform_check, ports
from streams.services.recipes.recipe import LAUNCH, STORE_NICENESS, check_made_by, mark_made_by, tail
from streams.services.state import (
    ChildStatus,
    SetStatus,
    State,
    Wanted,
    read_status,
    read_wanted,
    status_text,
    supervisor_pid,
    take_supervisor_lock,
    write_wanted,
)
from streams.services.supervision.supervisor import ROLE_NICENESS


def test_a_port_is_remembered_while_it_is_free(tmp_path: Path) -> None:
    """A restart on existing data keeps its addresses; a port that somebody else has taken meanwhile is given up."""
    first = ports.choose(tmp_path, ["kafka.client", "valkey.client"])
    assert len(set(first.values())) == 2
    assert ports.choose(tmp_path, ["valkey.client"]) == {"valkey.client": first["valkey.client"]}
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["kafka.client"]))
        other.listen()
        again = ports.choose(tmp_path, ["kafka.client", "valkey.client"])
    assert again["valkey.client"] == first["valkey.client"]
    assert again["kafka.client"] != first["kafka.client"]


def test_the_locked_packages_hold_the_broker_and_its_clients_of_one_version() -> None:
    """A resolver that mediates versions takes kafka-clients 3.9 with a 4.1 broker, which dies with NoSuchMethodError."""
    versions = {jar.coordinate.rpartition(":")[0]: jar.coordinate.rpartition(":")[2] for jar in packages.locked_set("kafka").jars}
    assert versions["org.apache.kafka:kafka_2.13"] == versions["org.apache.kafka:kafka-clients"] == "4.1.0"
    assert set(packages.COORDINATES) == set(json.loads(packages.LOCK_FILE.read_text()))


def test_every_locked_jar_is_of_a_coordinate_and_a_digest() -> None:
    """The lock file is complete: three parts of a coordinate, 64 hex digits."""
    for name in packages.COORDINATES:
        for jar in packages.locked_set(name).jars:
            assert jar.coordinate.count(":") == 2, jar
            assert len(bytes.fromhex(jar.sha256)) == 32, jar


def test_a_cache_directory_is_made_once_even_by_two_at_the_same_time(tmp_path: Path) -> None:
    """The second waits for the first and finds it whole."""
    made: list[Path] = []

    def make(directory: Path) -> None:
        made.append(directory)
        (directory / "file").write_text("whole")

    threads = [threading.Thread(target=packages.once, args=(tmp_path / "package", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (tmp_path / "package" / "file").read_text() == "whole"


def test_a_torn_cache_directory_is_made_again(tmp_path: Path) -> None:
    """A maker that fails leaves nothing under the final name."""

    def fail(directory: Path) -> None:
        (directory / "half").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        packages.once(tmp_path / "package", fail)
    assert not (tmp_path / "package").exists()
    packages.once(tmp_path / "package", lambda directory: (directory / "whole").touch())
    assert [path.name for path in (tmp_path / "package").iterdir()] == ["whole"]


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    """New: nobody made it. Same: fine. Other: a person decides."""
    assert not check_made_by(tmp_path, "kafka", "4.1.0")
    mark_made_by(tmp_path, "kafka", "4.1.0")
    assert check_made_by(tmp_path, "kafka", "4.1.0")
    with pytest.raises(StaleData, match=r"was made by kafka 4\.1\.0, this is kafka 4\.2\.0: move the directory away"):
        check_made_by(tmp_path, "kafka", "4.2.0")


def test_what_is_wanted_and_what_is_survive_their_files(tmp_path: Path) -> None:
    """Written and read again they are equal."""
    wanted = Wanted(("kafka",), ("edge",), 3, {"mysql_url": "mysql://elsewhere/outcry"})
    write_wanted(tmp_path, wanted)
    assert read_wanted(tmp_path) == wanted
    assert wanted.names() == ["kafka", "kafka-2", "kafka-3", "topics", "edge"]
    status = SetStatus(7, "now", (ChildStatus("kafka", "service", State.BACKING_OFF, 8, 2, "now", "m", "exit code 1"),), wanted, "e")
    (tmp_path / "status.json").write_text(status_text(status))
    assert read_status(tmp_path) == status


def test_only_one_supervisor_gets_the_lock_and_a_dead_one_is_not_believed(tmp_path: Path) -> None:
    """A pid in the file counts only while its process holds the lock."""
    assert supervisor_pid(tmp_path) is None
    lock = take_supervisor_lock(tmp_path)
    assert lock is not None
    assert take_supervisor_lock(tmp_path) is None
    assert supervisor_pid(tmp_path) == 0, "has not written its pid yet"
    os.pwrite(lock, b"123\n", 0)
    assert supervisor_pid(tmp_path) == 123
    os.close(lock)
    assert supervisor_pid(tmp_path) is None


def test_a_second_up_adds_to_what_runs() -> None:
    """Services and roles are united; the number of brokers cannot change under a running cluster."""
    before = Wanted(("kafka",), ("edge",))
    assert _united(None, before) == before
    assert _united(before, Wanted(("kafka", "valkey"), ("edge", "hold-funds"))) == Wanted(("kafka", "valkey"), ("edge", "hold-funds"))
    with pytest.raises(OutcryError, match="has 1 Kafka broker"):
        _united(before, Wanted(("kafka",), brokers=3))


def test_a_start_fails_with_the_reason_the_last_lines_and_the_log(tmp_path: Path) -> None:
    """Also for a child that comes back again and again without ever having been well."""
    log = tmp_path / "kafka.log"
    log.write_text("first\n\nBind failed: address in use\n")
    tired = ChildStatus("kafka", "service", State.BACKING_OFF, restarts=RESTARTS_MAX, message="exit code 1: Bind failed", log=str(log))
    with pytest.raises(StartFailed) as failure:
        _raise_if_hopeless(SetStatus(1, "", (tired,), Wanted()))
    for part in ("kafka does not start: exit code 1", "Bind failed: address in use", str(log), "outcry doctor"):
        assert part in str(failure.value)
    once_well = ChildStatus("kafka", "service", State.BACKING_OFF, restarts=RESTARTS_MAX, well=True)
    _raise_if_hopeless(SetStatus(1, "", (once_well,), Wanted()))


def test_the_tail_of_a_log_begins_where_it_is_told(tmp_path: Path) -> None:
    """Empty lines do not count; a log that was emptied meanwhile is read from its beginning; no log gives no lines."""
    log = tmp_path / "x.log"
    assert tail(log, 3) == []
    log.write_text("old\nnew one\n\nnew two\n")
    assert tail(log, 1) == ["new two"]
    assert tail(log, 9, since=4) == ["new one", "new two"]
    assert tail(log, 9, since=10_000) == ["old", "new one", "new two"]


def test_a_file_is_replaced_in_one_step_with_the_mode_asked_for(tmp_path: Path) -> None:
    """No draft stays behind; passwords are for the owner alone."""
    write_atomically(tmp_path / "secret", "one", mode=0o600)
    write_atomically(tmp_path / "secret", "two", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert (tmp_path / "secret").read_text() == "two"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_the_launcher_refuses_to_start_an_orphan() -> None:
    """Its parent died between fork and the death signal: then nobody would ever stop the program."""
    ended = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCH, "1", "0", sys.executable, "-c", "print('ran')"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "parent died" in ended.stderr
    assert ended.stdout == ""


def test_other_platforms_are_told_of_the_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the compose file."""
    assert platform_check.problem() is None
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OutcryError, match=r"docker/compose\.yaml"):
        platform_check.require()


def test_what_yields_keeps_half_of_the_weight_of_a_strangers_program() -> None:
    """Niceness counts against the whole machine: with a ninth a sink all but stood still beside a few busy programs."""
    assert all(niceness > 0 and 1.25**-niceness >= 0.5 for niceness in (STORE_NICENESS, *ROLE_NICENESS.values()))
