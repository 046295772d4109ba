"""What-ifs over a log: each partition with watches of its own, frames once, the bounds of a run; and the process that an edge starts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.memory_log import MemoryLog
from support.records.watch_tape import BUY, SECOND, SELL, START, Tape

from schemas.codec import Header, encode_frame
from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.research import what_if, what_if_command
from streams.research.what_if import Question, ask
from surveillance.what_if import BadParameter
from topics.catalogue import EXECUTIONS

ASKED = Question("LAYERING", {"orders_min": 3}, START, START + 500 * SECOND)


def layered(tape: Tape, at: float, account: int, orders: int) -> None:
    """So many orders at as many prices, a purchase, and their cancellation."""
    layers = [tape.new(at + number / 10, account, SELL, 18_010 + number, 500) for number in range(orders)]
    tape.meet(at + 1, account, 100, BUY, 18_000, 50)
    for one in layers:
        tape.end(at + 2, one)


def log_of(*tapes: Tape) -> MemoryLog:
    """A partition for each, a frame a row, every third frame written once more by another replica; and a record of nobody's."""
    log = MemoryLog()
    for partition, tape in enumerate(tapes):
        for offset, row in enumerate(np.split(tape.array(), len(tape.rows))):
            log.now_ns = int(row["transact_time"][0])
            value = encode_frame("execution_frame", Header(f"book.commands/{partition}", offset, 0, offset + 1), row)
            for _ in range(1 + (offset % 3 == 0)):
                log.append(EXECUTIONS.name, partition, value)
        log.append(EXECUTIONS.name, partition, b"noise")
        log.append(EXECUTIONS.name, partition, encode_frame("execution_frame", Header("account.commands/0", 1 << 40, 0, 1), row))
    return log


def two_books() -> MemoryLog:
    """Account 7 layers with three orders in one, account 8 with four in the other."""
    first, second = Tape(), Tape()
    layered(first, 1, 7, 3)
    layered(second, 5, 8, 4)
    return log_of(first, second)


class Opened:
    """A MemoryLog as a context."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log

    def __call__(self, _settings: Settings) -> Any:
        return self

    def __enter__(self) -> MemoryLog:
        return self.log

    def __exit__(self, *error: object) -> None:
        return None


def found(log: MemoryLog, question: Question = ASKED, told: list[tuple[int, int]] | None = None) -> dict[str, Any]:
    """The answer."""
    return ask(Settings(), question, lambda done, total: told.append((done, total)) if told is not None else None, Opened(log))  # type: ignore[arg-type]


def test_each_frame_counts_once_and_each_partition_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats, noise and what another shard forged are no rows; the progress ends with all."""
    monkeypatch.setattr(what_if, "_TELL_EVERY", 5)
    told: list[tuple[int, int]] = []
    log = two_books()
    answer = found(log, told=told)
    assert [one["accounts"] for one in answer["alerts"]["both"]] == [[8]]
    assert [one["accounts"] for one in answer["alerts"]["only_then"]] == [[7]]
    assert (answer["only_now"], answer["complete"]) == (0, True)
    rows = sum(len({record.value for record in log.parts[EXECUTIONS.name, partition]}) - 2 for partition in (0, 1))
    assert answer["rows"] == rows
    assert told[-1][0] == told[-1][1] == sum(len(log.parts[EXECUTIONS.name, partition]) for partition in (0, 1))
    assert len(told) > 3


def test_a_log_that_is_too_long_is_read_from_a_day_before_the_range_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a range that is too long is refused."""
    monkeypatch.setattr(what_if, "WARM_NS", 3 * SECOND)
    tape = Tape()
    layered(tape, 1, 7, 3)
    layered(tape, 100, 8, 3)
    log = log_of(tape)
    late = Question("LAYERING", {"orders_min": 3}, START + 90 * SECOND, START + 110 * SECOND)
    monkeypatch.setattr(what_if, "RECORDS_MAX", 20)
    answer = found(log, late)
    assert (answer["complete"], answer["only_then"]) == (False, 1)
    assert answer["records"] <= 20
    with pytest.raises(OutcryError, match="and one run reads 20: ask for less time"):
        found(log)


def test_what_cannot_be_asked_is_refused_before_anything_is_read() -> None:
    """Symbols, ranges, parameters."""
    log = two_books()
    with pytest.raises(OutcryError, match="symbol 'NOPE' is not known"):
        found(log, Question("LAYERING", {"orders_min": 3}, START, START + SECOND, ("NOPE",)))
    with pytest.raises(BadParameter, match="31 days apart"):
        found(log, Question("LAYERING", {"orders_min": 3}, START, START + 32 * 86_400 * SECOND))
    with pytest.raises(BadParameter, match="Resting orders on the layered side"):
        found(log, Question("LAYERING", {"orders_min": 0}, START, START + SECOND))


def test_the_process_of_an_edge_is_nice_bounded_and_says_why_it_failed(tmp_path: Path) -> None:
    """Without Kafka: one line of JSON."""
    asked = {
        "settings": Settings(home=tmp_path).model_dump(mode="json"),
        "question": {"pattern": "LAYERING", "parameters": {"orders_min": 3}, "begin": 1, "end": 2, "symbols": []},
    }
    run = [sys.executable, "-c", "import streams.research.what_if as one, os\ntry:\n    one.main()\nfinally:\n    os.write(2, f'nice {os.nice(0)} {one.resource.getrlimit(one.resource.RLIMIT_DATA)[0]}'.encode())"]  # fmt: skip
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(json.dumps(asked) + "\n")
        child.stdin.flush()
        answer, told = child.stdout.readline(), child.stderr.read()
    assert json.loads(answer)["failed"].startswith("Kafka: no address"), told
    assert f"nice 19 {what_if.MEMORY_BYTES_MAX}" in told


def test_the_process_ends_with_its_edge(tmp_path: Path) -> None:
    """Whose end of the pipe is closed, however it ends: here before anything could be answered."""
    run = [sys.executable, "-c", "import streams.research.what_if as one, time\none.ask = lambda *_: time.sleep(600)\none.main()"]
    asked = {
        "settings": Settings(home=tmp_path).model_dump(mode="json"),
        "question": {"pattern": "", "parameters": {}, "begin": 1, "end": 2, "symbols": []},
    }
    done = subprocess.run(run, input=json.dumps(asked) + "\n", capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_command_shows_parameters_and_tells_what_is_lost_and_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong words get a sentence."""
    shown = CliRunner().invoke(what_if_command.what_if, ["--pattern", "layering", "--list"])
    assert "orders_min = 4 (1 to 1,000,000): Resting orders on the layered side." in shown.output
    log = two_books()
    monkeypatch.setattr(what_if_command, "ask", lambda settings, question, tell: found(log, question))
    monkeypatch.setattr(what_if_command, "settings_of", lambda ctx: Settings())
    given = ["--pattern", "LAYERING", "--set", "orders_min=3", "--from", "1970-01-01", "--to", "1970-01-02"]
    told = CliRunner().invoke(what_if_command.what_if, given, catch_exceptions=False).output
    assert "1 alert: fires with both" in told
    assert "+ 1970-01-01T00:16:43" in told
    assert json.loads(CliRunner().invoke(what_if_command.what_if, [*given, "--json"]).output)["only_then"] == 1
    for wrong, message in ((["--set", "orders_min"], "write NAME=VALUE"), (["--from", "yesterday"], "is no time")):
        result = CliRunner().invoke(what_if_command.what_if, [*given, *wrong])
        assert message in str(result.exception)
