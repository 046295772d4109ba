"""docs/wire.md, proven by a stranger: a client in JavaScript, written from the page alone, trades on the running exchange and reads the log.

It needs Node and npm; where they are missing the tests are skipped, and say so.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.log_reader import read_partition

from schemas.codec import HEADER_FIELDS, decode_frame
from streams.operate.topics import topics
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS
from topics.key_files import read_keyring
from topics.speakers import PRODUCER

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="a client in another language: needs node and npm"),
]
CLIENT = Path(__file__).parent / "wire_client"
BUYER, SELLER = 3, 4


@pytest.fixture(scope="session")
def node_client(pytestconfig: pytest.Config) -> Path:
    """The client with its one dependency; installed once, kept in pytest's cache, made anew when any of its files changes."""
    sources = sorted(CLIENT.iterdir())
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    home = pytestconfig.cache.mkdir("wire_client") / wanted
    with (home.parent / f"{wanted}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once must not both fill it
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(CLIENT, home)
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=home, check=True, timeout=120)
            (home / "complete").touch()
    return home / "client.mjs"


@pytest.fixture(scope="session")
def session(exchange: Any, node_client: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client saw, and `frames`: every frame that it took, in order."""
    home = tmp_path_factory.mktemp("wire")
    (home / "wire.json").write_text(CliRunner().invoke(topics, ["describe"], obj=exchange.settings).output)
    folder = exchange.settings.record_keys_dir
    newest = max(read_keyring(folder).of(PRODUCER), key=lambda one: one.from_ns)  # others that use this exchange may have rotated it
    said = json.dumps({
        "buyer": BUYER, "seller": SELLER, "tag": f"stranger-{uuid.uuid4().hex[:8]}",
        "keyFile": str(folder / f"{newest.key_id}.json"),
    })  # fmt: skip
    done = subprocess.run(
        ["node", node_client, exchange.settings.kafka_url, home / "wire.json", said, home / "frames.ndjson"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["frames"] = [json.loads(line) for line in (home / "frames.ndjson").read_text().splitlines()]
    return found


def test_orders_in_frames_are_accepted_and_filled(session: dict[str, Any]) -> None:
    """Both sides see each trade, and the cash that moved is what the page's formula says."""
    assert session["buy"] == ["ACCEPTED"] + ["TRADE"] * 12 + ["REJECTED"], "the order again makes no event, its name with another body one"
    assert session["sells"] == [["ACCEPTED", "TRADE"]] * 12
    assert session["trades"] == 12
    assert session["cash"] == session["cost"] == str(-sum(3 * (18110 + n) * 100 for n in range(12)))


def test_a_single_order_as_text_is_accepted_and_canceled(session: dict[str, Any]) -> None:
    """No frame, no numbers."""
    assert session["single"] == ["ACCEPTED", "CANCEL_PENDING", "CANCELED"]


def test_what_is_refused_has_a_reason_and_what_is_no_record_is_a_dead_letter(session: dict[str, Any]) -> None:
    """By the names in wire.json."""
    assert session["zero"] == ["INVALID_QUANTITY"]
    assert session["other"] == ["DUPLICATE_CL_ORD_ID"]
    assert session["letter"] == ["NOT_SINGLE_OBJECT", "not a record"]


def test_every_frame_is_read_as_the_exchange_itself_reads_it(session: dict[str, Any], exchange: Any) -> None:
    """Every header and column of executions and account.events, from the beginning of the log, packed columns among them; and no record has a key."""
    taken: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for frame in session["frames"]:
        taken.setdefault((frame["topic"], frame["partition"]), []).append(frame)
    packed = 0
    for topic in (ACCOUNT_EVENTS, EXECUTIONS):
        for partition in range(2):
            mine = taken.pop((topic.name, partition), [])
            ours = _frames_once(exchange, topic, partition)
            assert len(mine) <= len(ours), f"{topic.name}/{partition}"
            for one, (frame, size) in zip(mine, ours, strict=False):  # the log may have grown since
                _assert_same(one, frame)
                packed += len(frame.rows) > 8 and size < len(frame.rows) * frame.rows.dtype.itemsize
            assert mine or topic == EXECUTIONS, f"{topic.name}/{partition} was not read"
    assert not taken
    assert packed, "no frame had packed columns"
    assert session["keys"] == 0


def _frames_once(exchange: Any, topic: Any, partition: int) -> list[Any]:
    """(frame, bytes) of each frame of a partition, without those that were written again."""
    found, marks = [], dict[str, tuple[int, int]]()
    for record in read_partition(exchange.settings, topic, partition):
        frame = decode_frame(record.value)
        mark = (frame.header.source_offset, frame.header.source_index)
        if mark > marks.get(frame.header.source, (-1, -1)):
            marks[frame.header.source] = mark
            found.append((frame, len(record.value)))
    return found


def _assert_same(one: dict[str, Any], frame: Any) -> None:
    assert one["name"] == frame.schema
    header = [one[field] for field in HEADER_FIELDS]
    ours = [getattr(frame.header, field) for field in HEADER_FIELDS[:-1]] + [len(frame.rows)]
    assert header == [value if isinstance(value, str) else str(value) for value in ours]
    for column in frame.rows.dtype.names:
        assert one[column] == [str(value) for value in frame.rows[column].tolist()], column
    if frame.cl_ord_id is not None:
        assert one["cl_ord_id"] == [text.decode() for text in frame.cl_ord_id.tolist()]
