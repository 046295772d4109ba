"""The command `outcry replay` and `outcry book --replay`: files in and out, exit statuses, what goes where."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from matchers.research.engines import ENGINE_NAMES
from schemas.errors import OutcryError
from streams.__main__ import outcry
from streams.research.command_files import BadFile

ROOT = Path(__file__).parents[4]
FILE = "\n".join(line for line in (ROOT / "docs" / "replay.md").read_text().splitlines() if line.startswith('{"command"')) + "\n"
"""The example of the document."""


def run(*arguments, stdin=None):
    """The command in this process."""
    return CliRunner().invoke(outcry, [str(one) for one in arguments], input=stdin)


def fact(result, name):
    """A line of the summary."""
    return next(line.removeprefix(name).strip() for line in result.stderr.splitlines() if line.startswith(name))


@pytest.fixture
def path(tmp_path):
    """The document's example as a file."""
    path = tmp_path / "orders.ndjson"
    path.write_text(FILE)
    return path


def test_a_file_is_replayed_to_events_and_a_summary(path):
    """Events on standard output, the rest on standard error."""
    result = run("replay", path, "--engine", "reference")
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [
        (one["line"], one["cl_ord_id"], one["contra_cl_ord_id"], one["price"], one["qty"]) for one in events if one["event"] == "TRADE"
    ] == [(5, "c1", "a2", "180.1", "5")]
    assert fact(result, "commands") == "10 in 9 lines"
    assert fact(result, "trades") == "1"
    assert fact(result, "volume") == "AAPL 5"
    assert len(fact(result, "state hash")) == 32


def test_both_engines_print_the_same_events_and_the_same_state_hash(path):
    """So does a file that is split into frames otherwise."""
    found = [run("replay", path, "--engine", engine, "--frame-rows", rows) for engine in ENGINE_NAMES for rows in (1, 4096)]
    assert {result.exit_code for result in found} == {0}
    assert len({result.stdout for result in found}) == 1
    assert len({fact(result, "state hash") for result in found}) == 1


def test_standard_input_and_compressed_files_are_taken_and_written(path, tmp_path):
    """By their names."""
    plain = run("replay", path, "--engine", "reference").stdout
    assert run("replay", "-", "--engine", "reference", stdin=FILE).stdout == plain
    packed, out = tmp_path / "orders.ndjson.gz", tmp_path / "events.ndjson.gz"
    packed.write_bytes(gzip.compress(FILE.encode()))
    result = run("replay", packed, "--engine", "reference", "--events", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert gzip.decompress(out.read_bytes()).decode() == plain


def test_without_events_and_without_levels_only_that_is_missing(path):
    """The state hash does not depend on what is written."""
    whole, silent, bare = (run("replay", path, "--engine", "reference", *more) for more in ([], ["--no-events"], ["--no-levels"]))
    assert silent.stdout == ""
    assert len({fact(one, "state hash") for one in (whole, silent, bare)}) == 1
    assert fact(whole, "events") == fact(silent, "events")
    kinds = {json.loads(line)["event"] for line in bare.stdout.splitlines()}
    assert kinds.isdisjoint({"LEVEL", "TOP"}) and "TRADE" in kinds


def test_a_wrong_line_stops_the_replay_before_it(path):
    """File, line, field and why; what came before is applied; exit status 2."""
    lines = FILE.splitlines()
    path.write_text("\n".join([*lines[:2], "", lines[2].replace("180.20", "180.205"), *lines[3:]]))
    result = run("replay", path, "--engine", "reference")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}:4: price: 180.205 is not a multiple of 0.01 (AAPL)\n")
    assert {json.loads(line)["line"] for line in result.stdout.splitlines()} == {1, 2}
    assert "those before it are applied" in result.stderr


def test_wrong_lines_are_passed_over_if_asked_for(path):
    """The others are applied, exit status 1."""
    right = run("replay", path, "--engine", "reference")
    wrong = ["{", '["command"]', '{"command":"Timer"}', '{"command":"Timer","transact_time":1.5}', "\udcff"]
    path.write_text("\n".join([*wrong, FILE]), errors="surrogateescape")
    result = run("replay", path, "--engine", "reference", "--keep-going")
    assert result.exit_code == 1
    told = result.stderr.splitlines()[:5]
    assert [line.split(": ")[0] for line in told] == [f"{path}:{number}" for number in range(1, 6)]
    assert "transact_time: is missing" in told[2]
    assert "not applied 5 lines" in result.stderr
    assert fact(result, "state hash") == fact(right, "state hash")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["replay", "nowhere.ndjson", "--engine", "reference"], 1, "nowhere.ndjson: No such file or directory"),
        (["replay", "{file}", "--config", "nowhere.toml"], 1, "nowhere.toml"),
        (["replay", "{file}", "--engine", "reference", "--events", "/nowhere/out"], 1, "/nowhere/out: No such file or directory"),
        (["replay", "{file}", "--engine", "other"], 2, "'other' is not one of"),
        (["replay", "{file}", "--orderbook", "x"], 2, "--orderbook needs --format lobster"),
        (["replay", "{file}", "--no-events", "--events", "x"], 2, "contradict each other"),
        (["book", "NOPE", "--replay", "{file}"], 2, "'NOPE' is not in the instrument list; there are AAPL"),
        (["book", "AAPL", "--replay", "{file}", "--queue", "1.005"], 2, "1.005 is not a multiple of 0.01"),
        (["book", "AAPL", "--config", "x"], 2, "--config goes with --replay"),
        (["book", "AAPL", "--replay", "nowhere"], 1, "nowhere: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(path, arguments, status, words):
    """A known failure of the world, which `outcry` makes one line and status 1 of, or wrong usage."""
    result = run(*(one.format(file=path) for one in arguments))
    assert result.exit_code == status
    assert isinstance(result.exception, OutcryError | SystemExit)
    assert words in (str(result.exception) if status == 1 else result.stderr)


def test_a_packed_file_that_is_cut_off_is_told(tmp_path):
    """With the line where it ends."""
    packed = tmp_path / "cut.ndjson.gz"
    packed.write_bytes(gzip.compress(os.urandom(20_000).hex().encode())[:-200])
    result = run("replay", packed, "--engine", "reference")
    assert isinstance(result.exception, BadFile)
    assert f"{packed}: line 1: Compressed file ended" in str(result.exception)


def endless(*more, stdout=None):
    """A replay whose standard input we hold."""
    return subprocess.Popen(
        [sys.executable, "-m", "streams", "replay", "-", "--engine", "reference", "--frame-rows", "1", *map(str, more)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE,
    )  # fmt: skip


TIMER = b'{"command":"Timer","transact_time":1}\n'


def test_ctrl_c_ends_the_replay_with_what_it_has_done(tmp_path):
    """Events of the lines read are written, the summary tells, exit status 130."""
    events = tmp_path / "events.ndjson"
    child = endless("--events", events)
    child.stdin.write(TIMER * 5000)
    child.stdin.flush()
    deadline = time.monotonic() + 600
    while not (events.exists() and events.stat().st_size):
        assert child.poll() is None and time.monotonic() < deadline, "it writes nothing"
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    err = child.stderr.read().decode()
    assert (child.wait(timeout=600), "Traceback" in err) == (130, False), err
    child.stdin.close()
    applied = int(next(line for line in err.splitlines() if line.startswith("commands")).split()[1].replace(",", ""))
    assert applied == len(events.read_text().splitlines()), "one event a line"
    assert "state hash" in err


def test_a_reader_that_goes_away_ends_the_replay_quietly():
    """As in `outcry replay ... | head -1`."""
    child = endless(stdout=subprocess.PIPE)
    child.stdout.close()
    try:
        while child.poll() is None:
            child.stdin.write(TIMER * 5000)
            child.stdin.flush()
    except BrokenPipeError:
        pass
    err = child.stderr.read()
    assert (child.wait(timeout=600), err) == (141, b"")


def test_the_help_texts_have_examples():
    """And fit on a page."""
    for name in ("replay", "book"):
        result = run(name, "--help")
        assert result.exit_code == 0
        assert f"outcry {name} " in result.stdout.split("Examples:")[1]
        assert len(result.stdout.splitlines()) < 70
