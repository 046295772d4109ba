"""The archive on the real log: the role's files and the end of the log together are what the books have decided."""

import asyncio

import pytest

from audit.disk import Disk
from schemas.enums import ExecKind, Phase
from schemas.instruments import load_instruments
from sinks.parquet import files
from sinks.parquet.files import faults, newest_manifests
from sinks.parquet.queries import QueryLimits, QuerySession
from sinks.parquet.tables import TABLES
from streams.demo.collect import read_log
from streams.host.groupless import open_log
from streams.operate.command_books import change_session
from streams.operate.query import read_tails
from streams.roles.archive import GULP_WAIT_MS, Archive
from topics.roles import ARCHIVE

pytestmark = pytest.mark.integration


async def test_files_and_the_end_of_the_log_are_the_whole_log(exchange, tmp_path, monkeypatch):
    """The role is stopped and started between; a query in between sees what both have, once."""
    monkeypatch.setattr(files, "ROWS_MAX", 20)
    settings = exchange.settings.model_copy(update={"archive_dir": tmp_path})
    for _ in range(2):
        await asyncio.to_thread(change_session, settings, Phase.CONTINUOUS)
        starts, reader, offsets = await open_log(settings, ARCHIVE, GULP_WAIT_MS)
        await reader.start()
        role, stop = Archive(settings, starts, reader, offsets, Disk()), asyncio.Event()
        running = asyncio.create_task(role.run(stop))
        async with asyncio.timeout(300):
            while role.not_ready() or role.status()["lag_records"] or not newest_manifests(tmp_path, TABLES[0]):
                assert not running.done()
                await asyncio.sleep(0.1)
        stop.set()
        await running
        await reader.stop()
        await offsets.close()
    assert set(dict(faults(tmp_path, TABLES)).values()) == {""}
    instruments, tails = load_instruments(settings.instruments_file), await asyncio.to_thread(read_tails, settings)
    with QuerySession(tmp_path, instruments, tails, QueryLimits()) as session:
        rows = f"SELECT count(*), count(DISTINCT (shard, shard_seq)), max(log_offset) FROM executions WHERE kind <> {int(ExecKind.TIME)}"
        ((ours, distinct, _),) = session.run(rows)[1]
        ((events,),) = session.run("SELECT count(DISTINCT (shard, seq)) FROM account_events WHERE seq > 0")[1]
    log = await asyncio.to_thread(read_log, settings)
    theirs = sum(int((one["kind"] != ExecKind.TIME).sum()) for one in log.executions)
    assert ours == distinct == theirs > 0
    assert events == sum(int((one["seq"] > 0).sum()) for one in log.events)
