"""The role audit-log, over a log in memory: it reads on, waits for its disk, and stops where the log is not the one that it knows."""

import asyncio
import json
from collections import defaultdict

import pytest
from support.records.audit_logs import KEYS, check_folder, policy

from audit.disk import Disk
from audit.policy import Policy
from audit.tiles import LogFiles
from schemas.errors import StaleData
from schemas.settings import Settings
from streams.host import groupless
from streams.roles.audit_log import AuditLog, witnesses_of
from streams.services.commands import role_names
from topics.reader import PlacesLost
from topics.roles import AUDIT_LOG, ROLES

pytestmark = pytest.mark.asyncio
PLACE = "executions", 0


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
        return 1, 1_700_000_000_000 + self._facts[1]

    def key(self):
        return None

    def value(self):
        return self._facts[2]


class MemoryReader:
    """As topics.reader.LogReader and topics.offsets.Offsets, of partitions that are lists. low: the first offset that is kept."""

    def __init__(self):
        self.parts, self.next, self.low = defaultdict(list), {}, 0
        self.gulp = 1_000

    def append(self, count):
        """More records of executions/0."""
        part = self.parts[PLACE]
        part.extend(b"value %d" % offset for offset in range(len(part), len(part) + count))

    def go_to(self, starts):
        self.next = dict(starts)

    async def records(self, timeout_s):
        await asyncio.sleep(0)
        found, lost = {}, set()
        for place, start in self.next.items():
            if start < self.low or start > len(self.parts[place]):
                lost.add(place)
                continue
            end = min(len(self.parts[place]), start + self.gulp)
            if end > start:
                found[place] = [Message(place, offset, self.parts[place][offset]) for offset in range(start, end)]
                self.next[place] = end
        if lost:
            raise PlacesLost(frozenset(lost))
        return found

    def end(self, place):
        return len(self.parts[place])

    async def ends(self, places):
        return {place: len(self.parts[place]) for place in places}

    async def beginnings(self, places):
        return dict.fromkeys(places, self.low)


@pytest.fixture
def reader():
    """Of one partition with 2,500 records."""
    made = MemoryReader()
    made.append(2_500)
    return made


def role_of(tmp_path, reader):
    """As it is made at each start."""
    return AuditLog(Settings(home=tmp_path), KEYS, {PLACE: 0}, reader, reader)


async def until(condition):
    """Let the role work until something is true."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  what it waits for is in a thread
            await asyncio.sleep(0.01)


async def stopped(running, stop):
    """As by TERM."""
    stop.set()
    await running


async def test_what_was_read_is_signed_when_the_role_is_told_to_stop(tmp_path, reader):
    """And the next start goes on behind it."""
    for size in (2_500, 2_600):
        role, stop = role_of(tmp_path, reader), asyncio.Event()
        running = asyncio.create_task(role.run(stop))
        await until(lambda: reader.next.get(PLACE) == len(reader.parts[PLACE]))
        await stopped(running, stop)
        assert check_folder(role.stores[0].folder).size == size
        assert role.not_ready() == ""
        assert role.status() == {"lag_records": 0, "entries": size}
        reader.append(100)


async def test_a_full_disk_is_waited_for_and_nothing_is_left_out(tmp_path, reader, monkeypatch):
    """Meanwhile the role is not ready, says why, and reads nothing more."""
    monkeypatch.setattr(groupless, "RETRY_S", 0.01)
    write, full, refused = Disk.write, True, []

    def write_or_not(disk, path, data, mode=0o644):
        if full and path.name == "state.json":
            refused.append(path)
            raise OSError(28, "No space left on device")
        write(disk, path, data, mode)

    role, stop = role_of(tmp_path, reader), asyncio.Event()
    monkeypatch.setattr(Disk, "write", write_or_not)
    running = asyncio.create_task(role.run(stop))
    await until(lambda: "No space left on device" in role.not_ready())
    at, tries = reader.next[PLACE], len(refused)
    assert role.stores[0].committed.size == 0
    reader.append(500)
    await until(lambda: len(refused) > tries + 3)
    assert reader.next[PLACE] == at
    full = False
    await until(lambda: role.stores[0].committed.size == 3_000 and not role.not_ready())
    await stopped(running, stop)
    assert check_folder(role.stores[0].folder).size == 3_000


async def test_a_log_that_has_lost_its_end_stops_the_role_once_the_broker_had_time(tmp_path, reader, monkeypatch):
    """A new leader may lag for a moment: then it is waited for."""
    monkeypatch.setattr(groupless, "RETRY_S", 0.01)
    role, stop = role_of(tmp_path, reader), asyncio.Event()
    running = asyncio.create_task(role.run(stop))
    await until(lambda: reader.next.get(PLACE) == 2_500)
    kept = reader.parts[PLACE][2_000:]
    del reader.parts[PLACE][2_000:]
    await until(lambda: "does not have what is needed next" in role.not_ready())
    reader.parts[PLACE].extend(kept)
    reader.append(10)
    await until(lambda: reader.next.get(PLACE) == 2_510)
    await stopped(running, stop)
    assert check_folder(role.stores[0].folder).size == 2_510
    del reader.parts[PLACE][2_000:]
    monkeypatch.setattr(groupless, "END_WAIT_S", 0.05)
    with pytest.raises(StaleData, match=r"executions/0 ends at 2,000, but audit-log has come to 2,510"):
        await role_of(tmp_path, reader).run(asyncio.Event())


async def test_a_log_that_has_lost_its_beginning_stops_the_role(tmp_path, reader):
    """An audit log leaves nothing out."""
    role, stop = role_of(tmp_path, reader), asyncio.Event()
    running = asyncio.create_task(role.run(stop))
    await until(lambda: reader.next.get(PLACE) == 2_500)
    await stopped(running, stop)
    reader.append(1_000)
    reader.low = 3_000
    with pytest.raises(StaleData, match="begins at 3,000, but the audit log needs 2,499 next"):
        await role_of(tmp_path, reader).run(asyncio.Event())


async def test_a_log_with_another_record_stops_the_role(tmp_path, reader):
    """It was cut and has gone on: only the digest of the last record tells."""
    role, stop = role_of(tmp_path, reader), asyncio.Event()
    running = asyncio.create_task(role.run(stop))
    await until(lambda: reader.next.get(PLACE) == 2_500)
    await stopped(running, stop)
    reader.parts[PLACE][2_499] = b"another"
    reader.append(10)
    with pytest.raises(StaleData, match="another record at 2,499"):
        await role_of(tmp_path, reader).run(asyncio.Event())


async def test_the_file_of_witnesses_is_read_or_refused(tmp_path):
    """Without one nobody cosigns; a log's own lines are allowed in it."""
    assert witnesses_of(Settings(home=tmp_path)) == Policy(quorum="none")
    path = tmp_path / "witnesses"
    path.write_text("\n".join([*(f"log {key}" for key in policy().logs), "quorum none\n"]))
    assert witnesses_of(Settings(home=tmp_path, audit_witnesses=path)).logs == policy().logs
    path.write_text("witness w\nquorum w\n")
    with pytest.raises(StaleData, match=r"OUTCRY_AUDIT_WITNESSES: .*line 1"):
        witnesses_of(Settings(home=tmp_path, audit_witnesses=path))


async def test_the_role_reads_what_is_kept_for_ever_and_is_started_by_name_only():
    """Derived records of short life have no log of their own."""
    assert [topic.name for topic in AUDIT_LOG.reads] == [
        "account.commands", "book.commands", "executions", "account.events", "party.facts", "alerts", "cases", "set.aside", "access.events",
    ]  # fmt: skip
    assert ROLES["audit-log"].optional
    assert "audit-log" in set(role_names(with_optional=True)) - set(role_names())


@pytest.mark.slow
async def test_days_that_are_over_are_sealed_by_the_role(tmp_path, reader):
    """Its records are of 2023: it seals the days since then, ten at a time."""
    role, stop = role_of(tmp_path, reader), asyncio.Event()
    running = asyncio.create_task(role.run(stop))
    days = role.stores[-1]
    await until(lambda: days.committed.size)
    await stopped(running, stop)
    first = json.loads(LogFiles(str(days.folder)).bundle(0, days.committed.size)[0])
    assert (first["day"], first["log"]) == ("2023-11-14", "executions/0")
