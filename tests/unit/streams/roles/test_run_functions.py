"""The role run-functions over a log in memory: it follows its folder, goes on where it was, and keeps a broken function to itself."""

import asyncio
import json
from collections import defaultdict
from typing import Any, ClassVar

import pytest
from support.function_parts import TOPIC, deploy, trades

from schemas.codec import decode_record
from schemas.settings import Settings
from streams.functions.store import FunctionStore
from streams.host.read_log import Bounds
from streams.operate import functions as operate_functions
from streams.operate.functions import replayed
from streams.roles import run_functions
from streams.roles.run_functions import RunFunctions
from streams.services.commands import role_names
from topics.roles import RUN_FUNCTIONS

pytestmark = pytest.mark.asyncio
BROKEN = "def handler(event, context):\n    raise ValueError('always')\n"


class Log:
    """Reader, offsets and sender of a log in memory."""

    def __init__(self, *_: Any) -> None:
        self.next: dict[Any, int] = {}
        self.letters: list[dict[str, Any]] = []

    records_of: ClassVar[dict[Any, list[Any]]] = defaultdict(list)

    async def start(self) -> None:
        """Nothing."""

    async def stop(self) -> None:
        """Nothing."""

    def go_to(self, starts):
        self.next = dict(starts)

    async def records(self, timeout_s):
        await asyncio.sleep(0.01)
        found = {}
        for place, start in self.next.items():
            if len(self.records_of[place]) > start >= 0:
                found[place] = [Message(one) for one in self.records_of[place][start:]]
                self.next[place] = len(self.records_of[place])
        return found

    def end(self, place):
        return len(self.records_of[place])

    async def ends(self, places):
        return {place: len(self.records_of[place]) for place in places}

    async def beginnings(self, places):
        return dict.fromkeys(places, 0)

    async def append(self, topic, partition, value):
        self.letters.append(decode_record(value)[1])


class Message:
    """As confluent_kafka's."""

    def __init__(self, record):
        self._record = record

    def topic(self):
        return self._record.topic

    def partition(self):
        return self._record.partition

    def offset(self):
        return self._record.offset

    def timestamp(self):
        return 1, self._record.time_ns // 1_000_000

    def key(self):
        return None

    def value(self):
        return self._record.value


@pytest.fixture
def log(monkeypatch):
    """Of 60 records of market data."""
    Log.records_of.clear()
    Log.records_of[TOPIC, 0] = [trades(offset) for offset in range(60)]
    monkeypatch.setattr(run_functions, "LogReader", Log)
    monkeypatch.setattr(run_functions, "LOOK_S", 0.05)
    monkeypatch.setattr(run_functions, "partition_counts", lambda settings, topic: {topic.name: 1})
    return Log()


async def until(condition):
    """Let the role work until something is true."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  what it waits for is in threads and processes
            await asyncio.sleep(0.02)


async def test_it_follows_its_folder_and_a_broken_function_harms_no_other(tmp_path, log, monkeypatch):
    """A good one, one whose handler always fails, one that cannot be read; then a new version, and records that come later."""
    folder = tmp_path / "functions"
    deploy(folder, settings='builtin = "price_move"\nstart = "earliest"\n')
    deploy(folder, "broken", 'handler = "code.handler"\nstart = "earliest"\nmaximum_retry_attempts = 0\ntimeout_s = 20\n', BROKEN)
    (folder / "unread.toml").write_text("builtin = 5")
    role, stop = RunFunctions(Settings(home=tmp_path), log, log), asyncio.Event()
    keeping = asyncio.create_task(role.keep(stop))

    def of(name) -> Any:
        return role.status()["functions"].get(name, {})

    await until(lambda: of("moves").get("alerts", 0) > 5 and len(log.letters) == 54)
    assert "unread.toml" in role.status()["refused"]["unread"]
    assert role.not_ready() == ""
    assert {letter["reason"] for letter in log.letters} == {"FUNCTION_FAILED"}
    assert [letter["offset"] for letter in log.letters] == [offset for offset in range(60) if offset % 10 != 9]
    first = of("moves")["version"]
    deploy(folder, settings='builtin = "price_move"\nstart = "earliest"\n[environment]\nMOVE_PERCENT = "2"\n')
    await until(lambda: of("moves").get("version", first) != first)
    Log.records_of[TOPIC, 0] += [trades(offset) for offset in range(60, 120)]
    await until(lambda: of("moves").get("alerts", 0) > 2)
    (folder / "broken.toml").unlink()
    await until(lambda: not of("broken"))
    stop.set()
    await keeping
    with FunctionStore(tmp_path / "data" / "functions" / "moves.sqlite") as store:
        found = store.alerts(limit=10_000)
    assert [one.seq for one in found] == list(range(1, len(found) + 1))
    assert len({one.version for one in found}) == 2
    assert len({one.alert_id for one in found}) == len(found)


async def test_a_replay_of_the_recorded_topic_gives_the_same_alerts(tmp_path, log, monkeypatch):
    """As what ran: ids, numbers, words."""

    class Recorded:
        def __init__(self, settings):
            self.all = Log.records_of

        def __enter__(self):
            return self

        def __exit__(self, *_):
            """Nothing."""

        def partitions(self, topic):
            return 1

        def bounds(self, topic, partition):
            return Bounds(0, len(self.all[topic, partition]))

        def records(self, topic, partition, start, end):
            return iter(self.all[topic, partition][start:end])

    monkeypatch.setattr(operate_functions, "Log", Recorded)
    function = deploy(tmp_path / "functions", settings='builtin = "price_move"\nstart = "earliest"\n')
    role, stop = RunFunctions(Settings(home=tmp_path), log, log), asyncio.Event()
    keeping = asyncio.create_task(role.keep(stop))
    await until(lambda: role.status()["functions"].get("moves", {}).get("alerts", 0) > 5)
    stop.set()
    await keeping
    again = [json.loads(line) for line in await asyncio.to_thread(lambda: list(replayed(Settings(home=tmp_path), function)))]
    with FunctionStore(tmp_path / "data" / "functions" / "moves.sqlite") as store:
        assert [(one["rule"], one["seq"], one["alert_id"]) for one in again] == [
            (one.rule, one.seq, one.alert_id) for one in store.alerts()
        ]


async def test_the_role_is_started_by_name_only():
    """Trading does not need it."""
    assert RUN_FUNCTIONS.name not in role_names()
    assert not RUN_FUNCTIONS.critical
