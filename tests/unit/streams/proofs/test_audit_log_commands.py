"""The commands around the audit log: keys, the policy, proofs of orders, trades and records, and the comparison with the log."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest
from click.testing import CliRunner
from support.memory_log import traded

from audit.keys import read_exchange_keys
from audit.log_store import LogStore, Position
from audit.one_file import one_file
from audit.policy import Policy
from audit.verifier import EXIT_UNCHECKED, EXIT_WRONG, main
from schemas.codec import decode_frame
from schemas.errors import OutcryError
from schemas.ids import order_uuid
from schemas.settings import Settings
from streams.host.seal_partition import SealedPartition
from streams.proofs import audit_keys, audit_prove, audit_records
from streams.proofs.audit import audit
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS
from topics.roles import AUDIT_LOG

pytestmark = pytest.mark.slow


@pytest.fixture
def log():
    """Of a finished session."""
    return traded().log


@pytest.fixture
def settings(tmp_path, log, monkeypatch):
    """With keys, and with an audit log of every partition, except for the last record of executions/1."""
    made = Settings(home=tmp_path)
    monkeypatch.setattr(audit_keys, "partition_counts", lambda settings, *topics: {topic.name: log.partitions(topic) for topic in topics})
    for module in (audit_prove, audit_records):
        monkeypatch.setattr(module, "Log", lambda settings: nullcontext(log))
    assert run(made, "keys", "create", "--name", "exchange.example/audit").exit_code == 0
    keys = read_exchange_keys(made.audit_keys_file)
    for topic in AUDIT_LOG.reads:
        for number in range(log.partitions(topic)):
            folder = made.audit_dir / topic.name / str(number)
            one = SealedPartition(topic.name, number, LogStore(folder, keys.origin(topic.name, number), keys, Position(0)))
            end = len(log.parts[topic.name, number]) - ((topic, number) == (EXECUTIONS, 1))
            for record in log.records(topic.name, number, 0, end):
                one.take(record, 0.0)
            one.commit()
    return made


def run(settings, *arguments):
    """One command; an OutcryError is raised, as the program's main function tells it."""
    return CliRunner().invoke(audit, [str(one) for one in arguments], obj=settings, catch_exceptions=True)


def first_of(log, topic, column):
    """The first value of a column that is not zero, with the partition and offset of its record."""
    for number in range(2):
        for record in log.parts[topic.name, number]:
            rows = decode_frame(record.value).rows
            if rows[column].any():
                return int(rows[column][rows[column] != 0][0]), number, record.offset
    raise AssertionError(f"no {column} in {topic.name}")


def verified(folder, name, *options):
    """Exit status of the stand-alone verifier for one proof."""
    return main(
        [
            "proof",
            str(folder / f"{name}.tlog-proof"),
            "--record",
            str(folder / f"{name}.record"),
            "--policy",
            str(folder / "policy"),
            *options,
        ]
    )


def test_every_event_of_an_order_is_proven_and_a_stranger_can_check_it(settings, log, tmp_path):
    """By number and by UUID: events, executions, and the commands that led to them; checked by the written file alone."""
    order_id, *_ = first_of(log, EXECUTIONS, "contra_order_id")
    out = tmp_path / "proofs"
    done = run(settings, "prove", "order", order_id, "--out", out, "--quiet")
    assert done.exit_code == 0, done.output
    names = sorted(path.name.removesuffix(".tlog-proof") for path in out.glob("*.tlog-proof"))
    assert {name.split("-")[0] for name in names} == {"account.commands", "account.events", "book.commands", "executions"}
    for name in names:
        command = [sys.executable, "-I", "verifier.py", "proof", f"{name}.tlog-proof", "--record", f"{name}.record", "--policy", "policy"]
        assert subprocess.run(command, cwd=out, check=False, capture_output=True).returncode == 0
    page = (out / "index.html").read_text()
    assert all(name in page for name in names)
    assert f"<td>order_id<td>{order_id}" in page
    assert "<td>kind<td>TRADE" in page
    assert (out / "verifier.py").read_text() == one_file()
    other = tmp_path / "by-uuid"
    assert run(settings, "prove", "order", order_uuid(order_id), "--out", other, "--quiet").exit_code == 0
    assert sorted(path.name for path in other.iterdir()) == sorted(path.name for path in out.iterdir())


def test_a_trade_is_proven_with_its_settlement_on_both_sides(settings, log, tmp_path):
    """The book's record, the account events, and their commands."""
    trade, *_ = first_of(log, EXECUTIONS, "trd_match_id")
    out = tmp_path / "proofs"
    done = run(settings, "prove", "trade", trade, "--out", out, "--quiet")
    assert done.exit_code == 0, done.output
    sides = set()
    for path in out.glob("account.events-*.record"):
        rows = decode_frame(path.read_bytes()).rows
        sides |= {int(account) for account in rows["account"][rows["trd_match_id"] == trade]}
    assert len(sides) == 2
    assert all(verified(out, path.stem) == 0 for path in out.glob("*.record"))


def test_a_proof_of_a_record_fails_with_any_other_record_or_policy(settings, log, tmp_path, capsys):
    """Exit statuses of the verifier: wrong, or not checked."""
    out = tmp_path / "proofs"
    assert run(settings, "prove", "record", "executions/0", 1, "--out", out, "--quiet").exit_code == 0
    assert verified(out, "executions-0-1") == 0
    (out / "executions-0-1.record").write_bytes(log.parts["executions", 0][0].value)
    assert verified(out, "executions-0-1") == EXIT_WRONG
    assert "its bytes are not those of executions/0 offset 1" in capsys.readouterr().out
    stranger = Settings(home=tmp_path / "stranger")
    run(stranger, "keys", "create", "--name", "exchange.example/audit")
    (out / "policy").write_text(run(stranger, "policy").output)
    assert verified(out, "executions-0-1") == EXIT_WRONG
    (out / "policy").unlink()
    assert verified(out, "executions-0-1") == EXIT_UNCHECKED


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("record", "executions/9", 0), "there is no partition executions/9"),
        (("record", "executions/0", 1_000_000), "has the offsets 0 to"),
        (("record", "executions", 0), "is not TOPIC/NUMBER"),
        (("record", "market.data/0", 0), "market.data/0 has"),
        (("order", "x"), "is no order id"),
        (("order", 5), "has no event of order 5"),
        (("trade", 5), "has no trade 5"),
    ],
)
def test_what_is_not_there_cannot_be_proven_and_is_said(settings, log, tmp_path, arguments, sentence):
    """And no file is written."""
    out = tmp_path / "proofs"
    done = run(settings, "prove", *arguments, "--out", out, "--quiet")
    assert done.exit_code != 0
    assert sentence in done.output + str(done.exception)
    assert not out.exists()


def test_a_record_that_no_checkpoint_has_yet_is_not_proven(settings, log, tmp_path):
    """The last one of executions/1."""
    end = len(log.parts[EXECUTIONS.name, 1])
    assert run(settings, "prove", "record", "executions/1", end - 2, "--out", tmp_path / "p", "--quiet").exit_code == 0
    done = run(settings, "prove", "record", "executions/1", end - 1, "--out", tmp_path / "q", "--quiet")
    assert isinstance(done.exception, OutcryError)
    assert "is not in the audit log yet" in str(done.exception)


def partitions(log):
    """How many partitions the audit log reads; each has a log and a key of its own."""
    return sum(log.partitions(topic) for topic in AUDIT_LOG.reads)


def test_a_log_of_the_exchange_that_was_changed_is_told_by_place(settings, log):
    """A record that was changed, and one that is gone at the end."""
    done = run(settings, "records", "--quiet")
    assert (done.exit_code, done.output.count("ok ")) == (0, partitions(log)), done.output
    log.change(ACCOUNT_EVENTS.name, 0, 1, account=(0, 9))
    log.parts[EXECUTIONS.name, 0].pop()
    part = log.parts["book.commands", 0]
    part[0] = replace(part[0], time_ns=part[0].time_ns + 1_000_000)
    done = run(settings, "records", "--quiet")
    assert (done.exit_code, done.output.count("WRONG ")) == (1, 3)
    assert "WRONG account.events/0 offset 1 is " in done.output
    assert "WRONG executions/0 has the offsets 0 to" in done.output
    assert "WRONG book.commands/0 offset 0 is " in done.output


def test_an_audit_log_that_was_changed_proves_nothing(settings, log, tmp_path):
    """The exchange notices before it hands the proof out."""
    path = settings.audit_dir / "executions" / "0" / "tile" / "entries"
    (bundle,) = path.rglob(f"{len(log.parts[EXECUTIONS.name, 0])}")
    bundle.write_bytes(bundle.read_bytes().replace(b'"offset":1,', b'"offset":7,'))
    done = run(settings, "prove", "record", "executions/0", 1, "--out", tmp_path / "p", "--quiet")
    assert "does not prove executions/0 offset 1" in str(done.exception)
    assert run(settings, "records", "--quiet").exit_code == 1


def test_keys_are_made_shown_rotated_and_retired(settings, log, tmp_path):
    """The policy has all public keys; no secret is ever printed."""
    secrets = settings.audit_keys_file.read_text()
    first = Policy.parse(run(settings, "policy").output)
    assert len(first.logs) == partitions(log) + 1
    again = run(settings, "keys", "create", "--name", "exchange.example/audit")
    assert "nothing is written over it" in str(again.exception)
    assert "one key only" in str(run(settings, "keys", "retire").exception)
    assert run(settings, "keys", "rotate").exit_code == 0
    assert len(Policy.parse(run(settings, "policy").output).logs) == 2 * (partitions(log) + 1)
    assert run(settings, "keys", "retire").exit_code == 0
    shown = run(settings, "keys", "show").output
    assert "key 1, made 2" in shown and "retired" in shown and "key 2" in shown
    assert not any(line.split('"')[3] in shown for line in secrets.splitlines() if '"secret"' in line)
    assert settings.audit_keys_file.stat().st_mode & 0o777 == 0o600


def test_the_file_of_witnesses_is_part_of_the_policy_and_checked(settings, tmp_path):
    """A line that cannot be read is named."""
    made = run(settings, "witness", "create", "--name", "witness.example/w", "--folder", tmp_path / "w")
    assert made.exit_code == 0
    vkey = made.output.split()[2]
    assert run(settings, "witness", "show", "--folder", tmp_path / "w").output.strip() == vkey
    assert "already" in str(run(settings, "witness", "create", "--name", "again", "--folder", tmp_path / "w").exception)
    witnesses = tmp_path / "witnesses"
    witnesses.write_text(f"witness w {vkey} http://127.0.0.1:1\nquorum w\n")
    with_witness = settings.model_copy(update={"audit_witnesses": witnesses})
    policy = Policy.parse(run(with_witness, "policy").output)
    assert (policy.quorum, policy.urls) == ("w", {"w": "http://127.0.0.1:1"})
    done = run(with_witness, "prove", "record", "executions/0", 1, "--out", tmp_path / "p", "--quiet")
    assert "cosigned by no witness yet" in done.output
    assert verified(tmp_path / "p", "executions-0-1") == EXIT_UNCHECKED
    witnesses.write_text("witness w\n")
    assert "line 1" in str(run(with_witness, "policy").exception)
