"""The audit log on a running exchange: its role and its witness are killed while orders come, and a stranger finds every record cosigned."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.log_reader import eventually

from audit.notes import Checkpoint, Note
from audit.one_file import one_file
from audit.verifier import EXIT_WRONG
from schemas.enums import Phase, Side, TimeInForce
from schemas.errors import ServiceUnavailable
from schemas.instruments import load_instruments
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.host.read_log import Log
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.process.last_words import NEEDS_A_PERSON
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from topics import OrderProducer
from topics.roles import AUDIT_LOG
from topics.speakers import PRODUCER

pytestmark = pytest.mark.integration
INSTRUMENTS = load_instruments(None)
NAME = "exchange.example/audit"


def outcry(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    environment = {**os.environ, "OUTCRY_HOME": str(home)}
    environment.pop("OUTCRY_KAFKA_URL", None)
    command = [sys.executable, "-m", "streams", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def done(home: Path, *arguments: object) -> str:
    """What it printed; it must have worked."""
    found = outcry(home, *arguments)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@contextmanager
def witness(folder: Path, logs: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address."""
    command = [sys.executable, "-m", "streams", "audit", "witness", "serve", "--folder", folder, "--logs", logs, "--port", port]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            assert process.wait(60) in (0, -signal.SIGKILL)


def orders(settings: Settings, first: int, count: int) -> None:
    """That trade with one another."""
    one = INSTRUMENTS.by_number[1]
    price = one.price_text(one.price_to_ticks(one.reference_price))
    with OrderProducer(settings.kafka_url, INSTRUMENTS, sign=record_keys(settings).signer(PRODUCER)) as producer:
        for number in range(first, first + count):
            producer.new_order(account=1 + number % 2, cl_ord_id=f"o-{number}", symbol=one.symbol, side=(Side.BUY, Side.SELL)[number % 2],
                               order_qty=1, price=price, time_in_force=TimeInForce.DAY)  # fmt: skip


def kill_role(local: LocalSet, name: str) -> None:
    """Kill -9; returns when another process is ready in its place."""
    status = local.status()
    assert status is not None
    pid = next(child.pid for child in status.children if child.name == name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    def pid_now() -> int | None:
        found = local.status()
        return next((child.pid for child in found.children if child.name == name and child.state == "ready"), None) if found else None

    eventually(pid_now, lambda found: found not in (None, pid))


def cosigned_sizes(settings: Settings) -> dict[str, int]:
    """Entries that are cosigned, by topic/partition."""
    found = {}
    for path in settings.audit_dir.rglob("checkpoint.cosigned"):
        note = Note.parse(path.read_bytes())
        found["/".join(path.parent.parts[-2:])] = Checkpoint.parse(note.text).size
    return found


def ends(settings: Settings) -> dict[str, int]:
    """Records of each partition that has any."""
    with Log(settings) as log:
        found = {
            f"{topic.name}/{number}": log.bounds(topic.name, number) for topic in AUDIT_LOG.reads for number in range(log.partitions(topic))
        }
    return {place: bounds.high for place, bounds in found.items() if bounds is not None and bounds.high}


def address_of(settings: Settings) -> str:
    """Where the role serves the logs now."""
    found = json.loads((settings.run_dir / "audit-log.json").read_text())
    return f"http://127.0.0.1:{found['port']}/audit"


def test_every_record_is_cosigned_whatever_is_killed_and_a_stranger_can_check_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Role and witness die by kill -9 while orders come; a witness that is away delays only cosignatures; a role without its log stops."""
    monkeypatch.delenv("OUTCRY_KAFKA_URL", raising=False)
    home, stranger = tmp_path / "exchange", tmp_path / "stranger"
    home.mkdir()
    stranger.mkdir()
    assert "there is no key file" in outcry(home, "worker", "audit-log").stderr
    done(home, "audit", "keys", "create", "--name", NAME)
    line = done(home, "audit", "witness", "create", "--name", "witness.example/w", "--folder", tmp_path / "witness")
    with LocalSet(Settings(home=home)).running(("kafka",), ("hold-funds", "match-orders")) as settings:
        logs = tmp_path / "logs"
        logs.write_text(done(home, "audit", "policy"))
        change_session(settings, Phase.CONTINUOUS)
        open_accounts(settings, [Opening(account, 1_000_000 * MINOR_PER_UNIT, {1: 1_000}) for account in (1, 2)])
        with witness(tmp_path / "witness", logs) as (process, address):
            port = int(address.rpartition(":")[2])
            witnesses = tmp_path / "witnesses"
            witnesses.write_text(line.replace("NAME", "w").replace("http://HOST:PORT", address) + "quorum w\n")
            monkeypatch.setenv("OUTCRY_AUDIT_WITNESSES", str(witnesses))
            stranger.joinpath("policy").write_text(done(home, "audit", "policy"))
            orders(settings, 0, 200)
            settings_now = {"OUTCRY_AUDIT_WITNESSES": str(witnesses), "OUTCRY_HOME": str(home)}
            with role_audit_log(settings_now) as role:
                eventually(lambda: cosigned_sizes(settings), lambda found: found.get("executions/0", 0) > 0)
                process.kill()
                orders(settings, 200, 200)
                before = cosigned_sizes(settings)
                assert role.poll() is None
        sizes = {}
        for kills in range(3):
            with role_audit_log(settings_now) as role:
                orders(settings, 400 + 100 * kills, 100)
                eventually(lambda: sealed_sizes(settings), lambda found, seen=dict(sizes): found != seen)
                sizes = sealed_sizes(settings)
                role.kill()
        assert cosigned_sizes(settings) == before, "the witness was away all the time"
        with witness(tmp_path / "witness", logs, port), role_audit_log(settings_now):
            change_session(settings, Phase.CLOSED)
            eventually(
                lambda: (cosigned_sizes(settings), ends(settings)),
                lambda found: all(found[0].get(one, 0) >= end - 5 for one, end in found[1].items()),
            )
            check_as_a_stranger(settings, stranger, address_of(settings))
            assert "WRONG" not in done(home, "audit", "records", "--quiet")
            done(home, "audit", "prove", "record", "executions/0", 3, "--out", tmp_path / "proofs", "--quiet")
            assert (
                verified(
                    stranger,
                    "proof",
                    tmp_path / "proofs" / "executions-0-3.tlog-proof",
                    "--record",
                    tmp_path / "proofs" / "executions-0-3.record",
                )
                == 0
            )
        shutil.move(settings.audit_dir / "executions" / "0" / "state.json", tmp_path / "lost")
        refused = outcry(home, "worker", "audit-log")
        assert (refused.returncode, "state.json is gone" in refused.stderr) == (NEEDS_A_PERSON, True)
        shutil.rmtree(tmp_path / "witness" / "logs")
        (tmp_path / "witness" / "witness").unlink()
        refused = outcry(home, "audit", "witness", "serve", "--folder", tmp_path / "witness", "--logs", logs)
        assert "it would cosign a fork" in refused.stderr


@contextmanager
def role_audit_log(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The role as a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "OUTCRY_KAFKA_URL"} | environment
    with subprocess.Popen([sys.executable, "-m", "streams", "worker", "audit-log"], env=environment, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(60) in (0, -signal.SIGKILL)


def sealed_sizes(settings: Settings) -> dict[str, int]:
    """Entries that are signed, by topic/partition."""
    found = {}
    for path in settings.audit_dir.rglob("checkpoint"):
        found["/".join(path.parent.parts[-2:])] = Checkpoint.parse(Note.parse(path.read_bytes()).text).size
    return found


def verified(folder: Path, *arguments: object) -> int:
    """Exit status of the verifier that the exchange serves, run where none of our packages is found."""
    command = [sys.executable, "-I", "verifier.py", *map(str, arguments), "--policy", "policy"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode


def check_as_a_stranger(settings: Settings, folder: Path, address: str) -> None:
    """Over HTTP; then a copy with one bit changed."""
    with urllib.request.urlopen(f"{address}/verifier.py", timeout=20) as answer:
        folder.joinpath("verifier.py").write_bytes(answer.read())
    assert folder.joinpath("verifier.py").read_text() == one_file()
    with urllib.request.urlopen(address, timeout=20) as answer:
        listed = json.loads(answer.read())
    checked = [one["log"] for one in listed if one["entries"]]
    assert {"account.commands/0", "account.events/0", "book.commands/0", "executions/0"} <= set(checked)
    for one in checked:
        eventually(lambda one=one: verified(folder, "log", f"{address}/{one}"), lambda status: status == 0)
    copy = folder / "copy"
    shutil.copytree(settings.audit_dir / "executions" / "0", copy)
    assert verified(folder, "log", "copy") == 0
    path = max((copy / "tile" / "entries").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert verified(folder, "log", "copy") == EXIT_WRONG


def test_the_supervisor_runs_the_role_when_it_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its keys it says what to do; with them it is ready, and is restarted."""
    monkeypatch.delenv("OUTCRY_KAFKA_URL", raising=False)
    local = LocalSet(Settings(home=tmp_path))
    with pytest.raises(ServiceUnavailable, match="outcry audit keys create"), local.running(("kafka",), ("audit-log",)):
        pass
    done(tmp_path, "audit", "keys", "create", "--name", NAME)
    with local.running(("kafka",), ("audit-log",)) as settings:
        kill_role(local, "audit-log")
        with urllib.request.urlopen(address_of(settings), timeout=20) as answer:
            assert {one["log"] for one in json.loads(answer.read())} >= {"executions/0", "set.aside/0"}
