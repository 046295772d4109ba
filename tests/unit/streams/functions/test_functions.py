"""Functions on the stream: what a handler may not do, what becomes of its batches, and that its alerts are numbered without gaps and never twice."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.function_parts import INSTRUMENTS, START_NS, TOPIC, deploy, run_over, trades

from schemas.codec import decode_frame
from streams.functions.batches import Alert, handle
from streams.functions.deployed import BUILTINS, BadFunction, deployed
from streams.functions.events import EventRecord, event_record, kafka_event
from streams.functions.process import FunctionFailed, FunctionProcess
from streams.functions.store import FunctionStore

CHILD = Path(__file__).with_name("killed_function.py")
HANDLER = 'handler = "code.handler"\ntimeout_s = 20\nmemory_mb = 128\n'
CONTEXT = {"function_name": "f", "function_version": "1", "state": {}, "request_id": "r", "log_time_ns": 5, "timeout_s": 20}


# ---- what is deployed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "name a handler"), ('builtin = "nothing"', "there is no 'nothing'"), ('handler = "code"', "is not FILE.FUNCTION"), ("handler = [", "Invalid"),
        ('builtin = "price_move"\ntopic = "book.commands"', "topic: Input should be"), ('builtin = "price_move"\nkinds = ["X"]', "has no X; it has TRADE"),
        ('builtin = "price_move"\nbatch_size = 0', "batch_size: "), ('builtin = "price_move"\nretries = 3', "retries: Extra inputs"),
        ('handler = "missing.handler"', "missing.py"), ('builtin = "price_move"\n[environment]\nPYTHONPATH = "/"', "PYTHONPATH is not a name"),
        ('builtin = "price_move"\n[webhook]\nurl = "ftp://x"\nsecret_file = "s"', "webhook.url"),
        ('builtin = "price_move"\n[webhook]\nurl = "https://x/"\nsecret_file = "s"', "No such file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_refused_with_what_is_wrong(tmp_path, text, problem):
    """And the others of the folder are deployed."""
    deploy(tmp_path, "good")
    (tmp_path / "bad.toml").write_text(text)
    found = dict(deployed(tmp_path))
    assert isinstance(found["bad"], BadFunction)
    assert problem in str(found["bad"])
    assert found["good"].version


def test_the_version_follows_the_code_and_the_settings(tmp_path):
    """So an alert says what made it."""
    first = deploy(tmp_path, "f", HANDLER, "def handler(event, context): pass")
    assert deploy(tmp_path, "f", HANDLER, "def handler(event, context): pass").version == first.version
    assert deploy(tmp_path, "f", HANDLER, "def handler(event, context): return {}").version != first.version
    assert deploy(tmp_path, "f", HANDLER + "cool_down_s = 1\n", "def handler(event, context): pass").version != first.version


# ---- the process

FORBIDDEN = {
    "fork": "import os; os.fork()", "start a program": "import subprocess; subprocess.run(['/bin/true'])", "open a socket": "import socket; socket.socket()",
    "write a file": "open('/tmp/outcry-function', 'w')", "change a file": "import os; os.open(__file__, os.O_RDWR)",
    "remove a file": "import os; os.unlink(__file__)", "kill": "import os; os.kill(os.getppid(), 9)", "rename": "import os; os.rename(__file__, 'x.py')",
    "take a gigabyte": "bytearray(1 << 30)", "leave a large state": "context.state['x'] = 'y' * (2 << 20)", "return a set": "return {'x': {1}}",
    "return too much": "return 'x' * (7 << 20)", "raise": "raise ValueError('no')", "exit": "raise SystemExit(3)", "lose its state": "context.state = 5",
}  # fmt: skip


def test_what_a_handler_may_not_do_fails_and_harms_nobody(tmp_path):
    """One process answers all of these, and is well afterwards."""
    branches = "".join(f"    if event['do'] == {name!r}:\n        {body}\n" for name, body in FORBIDDEN.items())
    code = f"def handler(event, context):\n    context.state['asked'] = event['do']\n{branches}    return {{'random': context.random.random()}}\n"
    process = FunctionProcess(deploy(tmp_path, "f", HANDLER, code), tmp_path)
    try:
        for name in FORBIDDEN:
            with pytest.raises(FunctionFailed) as failed:
                process.invoke({"do": name}, CONTEXT)
            assert str(failed.value), name
            assert process.alive, name
        result, state = process.invoke({"do": "well"}, CONTEXT)
        assert state == {"asked": "well"}
        assert process.invoke({"do": "well"}, CONTEXT)[0] == result, "the generator is seeded by the request"
        assert Path(tmp_path / "code.py").exists()
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("while True: pass", "took more than 1 s"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
    ],
)
def test_a_handler_that_hangs_or_dies_is_killed_and_the_next_process_is_well(tmp_path, body, problem):
    """The message says what it was."""
    code = f"def handler(event, context):\n    if event.get('bad'):\n        {body}\n    return {{}}\n"
    function = deploy(tmp_path, "f", HANDLER.replace("20", "1"), code)
    process = FunctionProcess(function, tmp_path)
    with pytest.raises(FunctionFailed, match=problem):
        process.invoke({"bad": 1}, CONTEXT)
    assert not process.alive


def test_a_handler_that_cannot_be_loaded_says_why(tmp_path):
    """A syntax error, a name that is not there."""
    for code, problem in (
        ("def handler(", "SyntaxError"),
        ("x = 1", "AttributeError"),
        ("handler = 5", "not a function"),
        ("import nothing_here", "nothing_here"),
    ):
        with pytest.raises(FunctionFailed, match=problem):
            FunctionProcess(deploy(tmp_path, "f", HANDLER, code), tmp_path)


# ---- batches


def records_of(count):
    """Of one partition, a second apart."""
    return [EventRecord(TOPIC, 0, offset, START_NS + offset * 1_000_000_000, "", 2) for offset in range(count)]


def alert_about(offset, **more):
    """As a handler returns it."""
    return {"rule": "r", "symbol": "AAPL", "cause": {"topic": TOPIC, "partition": 0, "offset": offset, "row": 1}, **more}


@pytest.fixture
def function(tmp_path):
    """With two retries."""
    return deploy(tmp_path, "f", HANDLER, "def handler(event, context): pass")


def test_a_poison_record_is_named_and_all_others_are_handled_in_order(function):
    """For about twice the logarithm of the batch, and its retries."""
    seen = []

    def invoke(part, state):
        if any(one.offset == 37 for one in part):
            raise FunctionFailed("poison")
        seen.extend(one.offset for one in part)
        return {"alerts": [alert_about(one.offset) for one in part]}, {"count": state.get("count", 0) + len(part)}

    done = handle(function, records_of(100), {}, invoke, START_NS)
    assert seen == [offset for offset in range(100) if offset != 37]
    assert [(one.offset, why) for one, why in done.given_up] == [(37, "poison")]
    assert done.state == {"count": 99}
    assert len(done.alerts) == 99
    assert done.invocations <= 2 * 7 + 1 + 2


def test_a_failure_that_passes_is_tried_again_and_old_records_are_left_out(tmp_path):
    """Without bisecting the whole batch is retried; with a maximum age, what is older goes to the dead letters."""
    function = deploy(tmp_path, "f", HANDLER + "bisect_on_error = false\nmaximum_record_age_s = 50\n", "def handler(event, context): pass")
    tries = []

    def invoke(part, state):
        tries.append(len(part))
        if len(tries) < 3:
            raise FunctionFailed("not yet")
        return None, state

    done = handle(function, records_of(60), {}, invoke, START_NS + 60 * 1_000_000_000)
    assert tries == [50, 50, 50]
    assert [one.offset for one, _ in done.given_up] == list(range(10))


def test_partial_failures_are_tried_again_from_the_first_and_then_given_up(function):
    """What came before counts, its state and its alerts too."""
    asked = []

    def invoke(part, state):
        asked.append([one.offset for one in part])
        bad = [one.offset for one in part if one.offset == 5]
        failures = [{"itemIdentifier": {"partition": f"{TOPIC}-0", "offset": offset}} for offset in bad]
        return {"batchItemFailures": failures, "alerts": [alert_about(one.offset) for one in part]}, state

    done = handle(function, records_of(8), {}, invoke, START_NS)
    assert asked == [[0, 1, 2, 3, 4, 5, 6, 7], [5, 6, 7], [5, 6, 7], [6, 7]]
    assert [one.cause for one in done.alerts] == [f"{TOPIC}/0@{offset}+1" for offset in (0, 1, 2, 3, 4, 6, 7)]
    assert [one.offset for one, _ in done.given_up] == [5]


@pytest.mark.parametrize(
    "result",
    [
        5, {"batchItemFailures": 5}, {"batchItemFailures": [{"itemIdentifier": "5"}]},
        {"batchItemFailures": [{"itemIdentifier": {"partition": f"{TOPIC}-0", "offset": 99}}]}, {"alerts": [5]}, {"alerts": [{}]}, {"alerts": "x"},
        {"alerts": [alert_about(99)]}, {"alerts": [alert_about(0, rule="A B")]}, {"alerts": [alert_about(0, symbol=7)]},
        {"alerts": [alert_about(0, data=[])]}, {"alerts": [alert_about(0, data={"x": "y" * 9_000})]}, {"alerts": [alert_about(0)] * 1_001},
        {"alerts": [alert_about(0, cause={"topic": TOPIC, "partition": 0, "offset": 0, "row": 2})]}, {"alerts": [alert_about(0, message="x" * 2_000)]},
    ],
)  # fmt: skip
def test_a_result_that_cannot_be_is_a_failure(function, result):
    """The record is given up with a sentence."""
    done = handle(function, records_of(1), {}, lambda part, state: (result, state), START_NS)
    assert len(done.given_up) == 1
    assert done.alerts == []


# ---- events, alerts, replays


def test_an_event_is_as_aws_lambda_sends_it(tmp_path):
    """Partitions by name, records with base64; rows in words where they have some."""
    import base64
    import json

    function = deploy(tmp_path, settings='builtin = "price_move"\nkinds = ["TRADE"]\nsymbols = ["AAPL"]\n')
    record = trades(3)
    one = event_record(function, INSTRUMENTS, TOPIC, 0, 3, record.time_ns, decode_frame(record.value))
    event = kafka_event([one])
    assert event["eventSource"] == "SelfManagedKafka"
    (sent,) = event["records"][f"{TOPIC}-0"]
    assert set(sent) == {"topic", "partition", "offset", "timestamp", "timestampType", "key", "value", "headers"}
    (row,) = json.loads(base64.b64decode(sent["value"]))["rows"]
    assert (row["kind"], row["symbol"], row["side"]) == ("TRADE", "AAPL", "BUY")
    quiet = deploy(tmp_path, settings='builtin = "price_move"\nkinds = ["BAR"]\n')
    assert event_record(quiet, INSTRUMENTS, TOPIC, 0, 3, 0, decode_frame(record.value)) is None


def test_the_same_records_give_the_same_alerts_whatever_the_batches_are(tmp_path):
    """Ids, numbers and words; a replica's copies change nothing; numbers have no gap."""
    function = deploy(tmp_path / "functions")
    runs = [run_over(function, tmp_path / f"{batch}.sqlite", tmp_path, range(120), batch=batch)[0] for batch in (3, 50, 10_000)]
    assert len(runs[0]) > 20
    assert runs[0] == runs[1] == runs[2]
    assert [one.seq for one in runs[0]] == list(range(1, len(runs[0]) + 1))
    again, _ = run_over(function, tmp_path / "3.sqlite", tmp_path, range(120), batch=3)
    assert again == runs[0]


@pytest.mark.parametrize("name", BUILTINS)
def test_every_builtin_takes_every_row_of_its_topic(tmp_path, name):
    """Those of other kinds too, and makes an alert that is one or none."""
    function = deploy(tmp_path / "functions", settings=f'builtin = "{name}"\n[environment]\nMIN_TRADES = "3"\nDEVIATION_PERCENT = "1"\n')
    found, given_up = run_over(function, tmp_path / "f.sqlite", tmp_path, range(60))
    assert given_up == []
    assert {one.rule for one in found} <= {name}
    assert found or name not in ("price_move", "vwap_deviation")


@pytest.mark.slow
def test_kills_at_any_moment_lose_no_alert_and_number_none_twice(tmp_path):
    """A process of its own, and its function's."""
    chance, kills = random.Random(18), 0
    while True:
        with subprocess.Popen([sys.executable, CHILD, tmp_path, "400"], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"started\n"
            try:
                child.wait(chance.uniform(0.3, 1.0) if kills < 2 else None)
            except subprocess.TimeoutExpired:
                child.kill()
                kills += 1
            else:
                break
    straight, _ = run_over(deploy(tmp_path / "functions"), tmp_path / "straight.sqlite", tmp_path, range(400))
    with FunctionStore(tmp_path / "moves.sqlite") as store:
        assert store.alerts(limit=100_000) == straight


def test_a_rule_is_silent_for_its_cool_down_and_an_id_is_taken_once(tmp_path):
    """By log time, each symbol for itself."""

    def alert(number, symbol="AAPL"):
        return Alert(f"{number}", "r", symbol, "", {}, "", START_NS + number * 1_000_000_000, "1")

    with FunctionStore(tmp_path / "f.sqlite") as store:
        taken = store.commit(
            {}, {}, [alert(0), alert(5), alert(5, "MSFT"), alert(12), alert(0)], cool_down_ns=10_000_000_000, queued_ns=time.time_ns()
        )
        assert [(one.alert_id, one.seq) for one in taken] == [("0", 1), ("5", 2), ("12", 3)]
        assert store.commit({}, {"x": 1}, [alert(12)], cool_down_ns=0, queued_ns=0) == []
        assert store.state() == {"x": 1}
        assert (store.waiting(), [one.seq for one in store.alerts("r", after=1)]) == (3, [2, 3])
