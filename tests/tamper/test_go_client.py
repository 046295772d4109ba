"""Other people's verifiers accept our audit logs: Go's own note and tlog packages, and transparency-dev/merkle.

They need Go, and its module proxy or a cache of it; where either is missing the tests are skipped, and say so.
"""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from support.records.audit_logs import KEYS, ORIGIN, cosign, entry, grow, open_log, open_witness

from audit.proofs import Proof
from audit.tiles import LogFiles
from audit.tree import consistency_path, inclusion_path

CLIENT = Path(__file__).parent / "go_client"
pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="verifiers of others: needs Go")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Built once."""
    program = tmp_path_factory.mktemp("go") / "client"
    built = subprocess.run(["go", "build", "-o", program, "."], cwd=CLIENT, capture_output=True, text=True, check=False)
    if built.returncode and ("dial tcp" in built.stderr or "proxy" in built.stderr.lower()):
        pytest.skip(f"verifiers of others: their modules cannot be fetched: {built.stderr[-200:]}")
    assert built.returncode == 0, built.stderr
    return program


def _files(folder, size, old):
    """What the client takes, of a log that grew from `old` to `size` entries and was cosigned."""
    log = open_log(folder / "log")
    grow(log, old)
    (folder / "old").write_bytes(bytes(log.note))
    grow(log, size)
    assert cosign(log, open_witness(folder / "witness")).status == 200
    read = LogFiles(str(folder / "log")).nodes(size)
    index = (size * 2) // 3
    (folder / "proof").write_bytes(bytes(Proof(index, inclusion_path(read, index, size), bytes(log.cosigned()), entry(index))))
    (folder / "entries").write_text("".join(base64.b64encode(entry(at)).decode() + "\n" for at in range(size)))
    (folder / "growth").write_text("".join(base64.b64encode(one).decode() + "\n" for one in consistency_path(read, old, size)))
    return [folder / "log" / "checkpoint", *(folder / name for name in ("entries", "proof", "old", "growth"))]


def _run(client, files):
    return subprocess.run([client, str(KEYS.public(ORIGIN)[0]), *files], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("size", "old"), [(1, 1), (2, 1), (255, 254), (256, 255), (257, 256), (700, 300), (1_025, 512)])
def test_others_accept_our_log(tmp_path, client, size, old):
    """Signature, whole tree, a proof, growth; the cosignature beside ours does not disturb them."""
    done = _run(client, _files(tmp_path, size, old))
    assert (done.returncode, done.stdout) == (0, f"ok {size} entries, entry {size * 2 // 3} of {size}, grown from {old}\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("log/checkpoint", lambda data: data.replace(b"\n700\n", b"\n701\n")),
        ("entries", lambda data: data[1000:]),
        ("proof", lambda data: data.replace(b"index 466", b"index 467")),
        ("old", lambda data: data.replace(b"\n300\n", b"\n301\n")),
        ("growth", lambda data: data[45:]),
    ],
)
def test_others_refuse_a_log_that_was_changed(tmp_path, client, name, change):
    """So that accepting means something."""
    files = _files(tmp_path, 700, 300)
    before = (tmp_path / name).read_bytes()
    assert change(before) != before
    (tmp_path / name).write_bytes(change(before))
    assert _run(client, files).returncode == 1
