"""The role archive over a log in memory: it goes on where its files end, waits for its disk, and stops where the log is another one."""

import asyncio
from collections import defaultdict

import pytest
from support.records.archive_logs import SECOND_NS, START_NS, archive_until, files_of, frame_at

from audit.disk import Disk
from schemas.codec import encode_frame
from schemas.errors import StaleData
from schemas.settings import Settings
from sinks.parquet import files
from streams.host import groupless
from streams.roles.archive import Archive
from streams.services.commands import role_names
from topics.reader import PlacesLost
from topics.roles import ARCHIVE

pytestmark = pytest.mark.asyncio
PLACE = "executions", 0
PRICES = "market.data", 0


class Message:
    """As confluent_kafka's."""

    def __init__(self, place, offset, value):
        self._facts = place, offset, value

    def topic(self):
        return self._facts[0][0]

    def partition(self):
        return self._facts[0][1]

    def offset(self):
        return self._facts[1]

    def timestamp(self):
        return 1, (START_NS + self._facts[1] * SECOND_NS) // 1_000_000

    def key(self):
        return None

    def value(self):
        return self._facts[2]


class MemoryLogs:
    """As topics.reader.LogReader and topics.offsets.Offsets, of partitions that are lists."""

    def __init__(self, count):
        self.parts, self.low, self.next = defaultdict(list), defaultdict(int), {}
        self.append(count)

    def append(self, count):
        """More records of executions/0; every hundredth is no frame."""
        part = self.parts[PLACE]
        for offset in range(len(part), len(part) + count):
            body = frame_at(offset).body
            part.append(b"no frame" if offset % 100 == 50 else encode_frame(body.schema, body.header, body.rows))

    def go_to(self, starts):
        self.next = dict(starts)

    async def records(self, timeout_s):
        await asyncio.sleep(0)
        lost = {place for place, start in self.next.items() if not self.low[place] <= start <= len(self.parts[place])}
        if lost:
            raise PlacesLost(frozenset(lost))
        found = {}
        for place, start in self.next.items():
            end = min(len(self.parts[place]), start + 100)
            if end > start:
                found[place] = [Message(place, offset, self.parts[place][offset]) for offset in range(start, end)]
                self.next[place] = end
        return found

    def end(self, place):
        return len(self.parts[place])

    async def ends(self, places):
        return {place: len(self.parts[place]) for place in places}

    async def beginnings(self, places):
        return {place: self.low[place] for place in places}


@pytest.fixture(autouse=True)
def _small_files(monkeypatch):
    monkeypatch.setattr(files, "ROWS_MAX", 700)
    monkeypatch.setattr(groupless, "RETRY_S", 0.01)


def role_of(home, logs, disk=None, **settings):
    """As it is made at each start."""
    return Archive(Settings(home=home, **settings), {PLACE: 0, PRICES: 0}, logs, logs, disk or Disk())


async def until(condition):
    """Let the role work until something is true."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  what it waits for is in a thread
            await asyncio.sleep(0.005)


async def read_all(role, logs):
    """As by TERM, once it has read everything."""
    stop = asyncio.Event()
    running = asyncio.create_task(role.run(stop))
    await until(lambda: running.done() or (role.status()["lag_records"] == 0 and not role.not_ready()))
    stop.set()
    await running


async def test_it_goes_on_where_its_files_end_and_makes_the_same_files(tmp_path):
    """What waits for its file when it is stopped is read again."""
    logs = MemoryLogs(250)
    for _ in range(6):
        await read_all(role_of(tmp_path, logs), logs)
        logs.append(75)
    once = MemoryLogs(625)
    await read_all(role_of(tmp_path / "once", once), once)
    found = files_of(tmp_path / "data" / "archive")
    assert len(found) >= 5
    assert found == files_of(tmp_path / "once" / "data" / "archive")
    assert sum(one.rows for one in found) % 7 == 0


async def test_a_full_disk_is_waited_for_and_nothing_is_left_out(tmp_path):
    """Meanwhile the role says why it is not ready, and reads nothing more."""

    class FullDisk(Disk):
        full = True

        def write(self, path, data, mode=0o644):
            if self.full:
                raise OSError(28, "No space left on device")
            super().write(path, data, mode)

    logs, disk, stop = MemoryLogs(500), FullDisk(), asyncio.Event()
    role = role_of(tmp_path, logs, disk)
    running = asyncio.create_task(role.run(stop))
    await until(lambda: "No space left on device" in role.not_ready())
    at = logs.next[PLACE]
    await asyncio.sleep(0.05)
    assert logs.next[PLACE] == at
    disk.full = False
    await until(lambda: role.status()["lag_records"] == 0 and not role.not_ready())
    stop.set()
    await running
    straight = MemoryLogs(500)
    await read_all(role_of(tmp_path / "straight", straight), straight)
    assert files_of(tmp_path / "data" / "archive") == files_of(tmp_path / "straight" / "data" / "archive")


async def test_a_log_that_is_another_one_or_has_lost_its_end_or_beginning_stops_it(tmp_path, monkeypatch):
    """Each with a sentence."""
    monkeypatch.setattr(groupless, "END_WAIT_S", 0.05)
    logs = MemoryLogs(500)
    await read_all(role_of(tmp_path, logs), logs)
    end = files_of(tmp_path / "data" / "archive")[-1].next_offset
    short = MemoryLogs(end - 10)
    with pytest.raises(StaleData, match="has lost its end|but archive has come to"):
        await role_of(tmp_path, short).run(asyncio.Event())
    logs.low[PLACE] = end + 5
    with pytest.raises(StaleData, match="but the archive needs"):
        await role_of(tmp_path, logs).run(asyncio.Event())


async def test_market_data_that_kafka_no_longer_has_is_left_out(tmp_path):
    """It is kept for days only; the role begins with what is there."""
    logs = MemoryLogs(0)
    logs.parts[PRICES] = [b"no frame"] * 40
    logs.low[PRICES] = 30
    role = role_of(tmp_path, logs)
    await read_all(role, logs)
    assert role.status() == {"lag_records": 0, "waiting_rows": 0}


async def test_days_beyond_the_retention_are_removed(tmp_path, monkeypatch):
    """As each new file is made."""
    folder = tmp_path / "data" / "archive"
    day_ns = 86_400 * SECOND_NS
    archive_until(folder, Disk(), 6, lambda offset: frame_at(offset)._replace(time_ns=START_NS + (offset - 12) * day_ns)).commit()
    assert len(list((folder / "executions").iterdir())) == 6
    logs = MemoryLogs(0)
    logs.parts[PLACE] = [None] * 6
    logs.append(300)
    logs.low[PLACE] = 6
    role = role_of(tmp_path, logs, archive_days=2)
    await read_all(role, logs)
    assert len(list((folder / "executions").iterdir())) <= 2


async def test_the_role_is_started_by_name_only():
    """Trading does not need it."""
    assert ARCHIVE.name not in role_names()
    assert not ARCHIVE.critical
