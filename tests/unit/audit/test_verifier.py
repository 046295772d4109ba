"""What strangers run: one file, without any of our packages, and every finding with its own exit status."""

import ast
import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support.records.audit_logs import (
    KEYS,
    ORIGIN,
    WITNESS,
    cosign,
    entry,
    grow,
    is_right,
    open_log,
    open_witness,
    policy,
    policy_text,
    position,
    value,
)

from audit.notes import Checkpoint, Note
from audit.one_file import one_file
from audit.policy import Policy
from audit.proofs import Proof
from audit.tiles import LogFiles
from audit.tree import inclusion_path
from audit.verifier import EXIT_UNCHECKED, EXIT_WRONG, main
from audit.whole_log import check_log


@pytest.fixture
def mirror(tmp_path):
    """A log of 700 entries, cosigned at 600, with the policy of somebody who wants the witness."""
    folder, witness = tmp_path / "log", open_witness(tmp_path / "witness")
    log = open_log(folder)
    grow(log, 300)
    (tmp_path / "early").write_bytes(bytes(log.note))
    grow(log, 600)
    assert cosign(log, witness).status == 200
    grow(log, 700)
    (tmp_path / "policy").write_text(policy_text(is_witnessed=True))
    (tmp_path / "policy-of-log-only").write_text(policy_text())
    return tmp_path


def write_proof(folder, index, checkpoint):
    """The proof of an entry against a checkpoint, and its record."""
    size = Checkpoint.parse(Note.parse(checkpoint).text).size
    path = inclusion_path(LogFiles(str(folder / "log")).nodes(size), index, size)
    (folder / "one.tlog-proof").write_bytes(bytes(Proof(index, path, checkpoint, entry(index))))
    (folder / "one.record").write_bytes(value(index))


def run(*arguments):
    """Its exit status."""
    return main([str(one) for one in arguments])


def test_the_one_file_needs_none_of_our_packages(mirror):
    """Run in isolated mode, where the packages are not to be found; all four commands."""
    file = mirror / "elsewhere" / "verifier.py"
    file.parent.mkdir()
    file.write_text(one_file())
    assert not [
        node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom) and "audit" in (node.module or "")
    ]
    write_proof(mirror, 5, (mirror / "log" / "checkpoint.cosigned").read_bytes())
    hide = "import sys; sys.modules |= dict.fromkeys(('audit', 'schemas', 'topics', 'streams')); import runpy; sys.argv = sys.argv[1:]; "
    for arguments in (
        ["proof", mirror / "one.tlog-proof", "--record", mirror / "one.record"],
        ["checkpoint", mirror / "log" / "checkpoint.cosigned"],
        ["consistency", mirror / "early", mirror / "log" / "checkpoint", "--log", mirror / "log"],
        ["log", mirror / "log", "--seen", mirror / "early"],
    ):
        command = [sys.executable, "-I", "-c", hide + "runpy.run_path(sys.argv[0], run_name='__main__')", file, *arguments]
        done = subprocess.run([*map(str, command), "--policy", str(mirror / "policy")], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        assert "this trusts: " in done.stdout
    assert "the first 600 entries are cosigned by w at 2023-11-14T22:13:20Z" in done.stdout
    assert "it has grown from the 300 entries" in done.stdout


def test_no_two_parts_of_the_one_file_have_a_name_in_common():
    """One would silently take the place of the other."""
    names = Counter()
    for node in ast.parse(one_file()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names[name] += 1
            case ast.Assign(targets=[ast.Name(id=name)]):
                names[name] += 1
    assert len(names) > 40
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize(
    ("tamper", "status", "sentence"),
    [
        (lambda files: None, 0, "ok "),
        (lambda files: (files / "one.record").write_bytes(b"another"), EXIT_WRONG, "its bytes are not those of executions/0 offset 5"),
        (lambda files: (files / "one.record").unlink(), EXIT_UNCHECKED, "No such file"),
        (lambda files: (files / "policy").unlink(), EXIT_UNCHECKED, "No such file"),
        (lambda files: (files / "policy").write_text("quorum none\n"), EXIT_UNCHECKED, "log VKEY"),
        (lambda files: _edit(files, b"index 5", b"index 6"), EXIT_WRONG, "entry 6 does not lead to the root"),
        (lambda files: _edit(files, b"\n600\n", b"\n601\n"), EXIT_WRONG, "is not of this text"),
        (lambda files: _edit(files, b"extra ", b"extra AAAA"), EXIT_WRONG, "does not lead to the root"),
        (lambda files: _edit(files, b"index 5", b"index 05"), EXIT_WRONG, "without leading zeros"),
        (lambda files: _drop_cosignature(files), EXIT_UNCHECKED, "asks for w to cosign, and has none"),
    ],
)
def test_a_proof_is_right_or_wrong_or_cannot_be_checked(mirror, capsys, tamper, status, sentence):
    """Three answers, three exit statuses; what is missing proves nothing wrong."""
    write_proof(mirror, 5, (mirror / "log" / "checkpoint.cosigned").read_bytes())
    tamper(mirror)
    found = run("proof", mirror / "one.tlog-proof", "--policy", mirror / "policy", "--record", mirror / "one.record")
    assert (found, sentence in (said := capsys.readouterr().out)) == (status, True), said


def _edit(files, old, new):
    data = (files / "one.tlog-proof").read_bytes()
    assert data.count(old) == 1
    (files / "one.tlog-proof").write_bytes(data.replace(old, new))


def _drop_cosignature(files):
    lines = (files / "one.tlog-proof").read_text().split("\n")
    (files / "one.tlog-proof").write_text("\n".join(line for line in lines if WITNESS.name not in line))


def test_a_log_that_is_not_cosigned_is_whole_but_not_vouched_for(mirror, capsys):
    """An honest log whose witness was always down is no lie; who trusts the log alone may accept it."""
    (mirror / "log" / "checkpoint.cosigned").unlink()
    assert run("log", mirror / "log", "--policy", mirror / "policy") == EXIT_UNCHECKED
    assert "the log is whole, but no checkpoint of it is cosigned" in capsys.readouterr().out
    assert run("log", mirror / "log", "--policy", mirror / "policy-of-log-only") == 0


def test_a_log_shorter_than_a_checkpoint_that_was_seen_is_told(mirror, capsys):
    """The commonest hole of such logs: the tail is cut off, and everything still fits."""
    (mirror / "seen").write_bytes((mirror / "log" / "checkpoint").read_bytes())
    (mirror / "log" / "checkpoint").write_bytes((mirror / "log" / "checkpoint.cosigned").read_bytes())
    assert run("log", mirror / "log", "--policy", mirror / "policy") == 0
    assert run("log", mirror / "log", "--policy", mirror / "policy", "--seen", mirror / "seen") == EXIT_WRONG
    assert "the log has 600 entries, but 700 were signed and seen" in capsys.readouterr().out
    arguments = ["consistency", mirror / "seen", mirror / "log" / "checkpoint", "--log", mirror / "log", "--policy", mirror / "policy"]
    assert run(*arguments) == EXIT_WRONG
    assert "the end was cut off" in capsys.readouterr().out


def test_a_fork_is_told_by_whoever_has_seen_the_other_branch(mirror, capsys):
    """Signed by the log itself."""
    other = KEYS.sign(Checkpoint(ORIGIN, 600, bytes(32)))
    (mirror / "seen").write_bytes(bytes(other))
    assert run("log", mirror / "log", "--policy", mirror / "policy", "--seen", mirror / "seen") == EXIT_WRONG
    assert "two signed checkpoints of 600 entries differ" in capsys.readouterr().out
    (mirror / "seen").write_bytes(bytes(KEYS.sign(Checkpoint(ORIGIN, 599, bytes(32)))))
    assert run("log", mirror / "log", "--policy", mirror / "policy", "--seen", mirror / "seen") == EXIT_WRONG
    assert "the log was rewritten" in capsys.readouterr().out
    assert (
        run("consistency", mirror / "seen", mirror / "log" / "checkpoint", "--log", mirror / "log", "--policy", mirror / "policy")
        == EXIT_WRONG
    )


def test_what_cannot_be_reached_is_not_called_wrong(mirror, capsys):
    """A folder that is not there, an address where nobody listens, a policy in another format; and wrong usage is status 2."""
    for log in (mirror / "nowhere", "http://127.0.0.1:9/executions/0"):
        assert run("log", log, "--policy", mirror / "policy") == EXIT_UNCHECKED
    (mirror / "policy").write_bytes(b"\xff\xfe")
    assert run("log", mirror / "log", "--policy", mirror / "policy") == EXIT_UNCHECKED
    assert "COULD NOT CHECK" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run("log")
    assert ended.value.code == 2


def test_the_public_test_log_is_whole():
    """transparency-dev/tessera, testdata/log: entries, tiles and the signed root of another implementation."""
    log = json.loads((Path(__file__).parent / "vectors" / "tessera_log.json").read_text())

    class InMemory(LogFiles):
        def __init__(self):
            self.files = {path: base64.b64decode(data) for path, data in log["files"].items()}

        def read(self, path):
            return self.files[path]

    trust = Policy.parse(f"log {log['vkey']}\nquorum none\n")
    for text in log["checkpoints"]:
        checkpoint = trust.cosigned(text.encode(), "checkpoint")[0]
        check_log(InMemory(), checkpoint, [])
        seen = [(f"at {one}", trust.cosigned(one.encode(), "seen")[0]) for one in log["checkpoints"][: checkpoint.size + 1]]
        check_log(InMemory(), checkpoint, seen)
    changed = InMemory()
    changed.files["tile/entries/000.p/15"] = changed.files["tile/entries/000.p/15"].replace(b"seven", b"sevin")
    assert changed.files != InMemory().files
    assert not is_right(lambda: check_log(changed, checkpoint, []))


@pytest.mark.slow
def test_a_log_of_three_levels_of_tiles_is_checked_quickly(tmp_path, capsys):
    """How quickly is printed, not asserted: the machine is shared. That nothing is wrong is asserted. 256 x 256 entries are two levels."""
    entries = int(os.environ.get("AUDIT_LOG_ENTRIES", "140000"))
    log = open_log(tmp_path)
    for offset in range(entries):
        log.append(entry(offset))
        if offset % 20_000 == 19_999 or offset == entries - 1:
            log.commit(position(offset + 1))
    assert list((tmp_path / "tile" / "2").rglob("*")), "a third level"
    started = time.perf_counter()
    check_log(LogFiles(str(tmp_path)), policy().cosigned((tmp_path / "checkpoint").read_bytes(), "checkpoint")[0], [])
    with capsys.disabled():
        print(f"\n{entries:,} entries checked in {time.perf_counter() - started:.1f} s")
