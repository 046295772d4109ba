"""Pour one MySQL server's data into another one's empty database, through this process, at the lowest priority: mariadb-dump | mariadb.

The dump is one consistent snapshot, takes no locks, and tells the GTID at which it was taken. Both programs die with this process.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from schemas.errors import ServiceUnavailable
from sinks.mysql.copies import DRAFT, DUMP_OPTIONS, LOAD_OPTIONS, TAIL_BYTES, position_of
from streams.services.recipes.recipe import dying_with_parent, tail

CHUNK_BYTES: Final = 1 << 16
STALL_S: Final = 300.0
"""Without a byte for so long, it is given up."""
NICENESS: Final = 19


@dataclass(frozen=True)
class Tools:
    """Where the two programs are, and the file for what they complain of."""

    directory: Path
    log: Path


async def copy_database(tools: Tools, source_url: str, target_url: str, copied: Callable[[int], None]) -> str:
    """Copy the database of one address into the draft beside that of the other; returns the GTID of the copy.

    copied: called with the bytes so far. Raises ServiceUnavailable where the copy did not become whole; then the draft has part of it.
    """
    database = urlsplit(source_url).path.strip("/")
    with tools.log.open("wb") as complaints:
        dump = await _started(tools.directory / "mariadb-dump", source_url, [*DUMP_OPTIONS, database], complaints)
        load = None
        try:
            load = await _started(tools.directory / "mariadb", target_url, [*LOAD_OPTIONS, database + DRAFT], complaints)
            end = await _pour(dump, load, copied)
            codes = await dump.wait(), await load.wait()
        except (TimeoutError, ConnectionError) as error:
            raise ServiceUnavailable(f"the copy broke off ({error or 'nothing came any more'}): {_words(tools.log)}") from error
        finally:
            for process in (dump, load):
                await _end(process)
    gtid = position_of(end)
    if codes != (0, 0) or gtid is None:
        raise ServiceUnavailable(f"the copy is not whole (exit codes {codes[0]} and {codes[1]}): {_words(tools.log)}")
    return gtid


async def _started(program: Path, url: str, options: list[str], complaints: IO[bytes]) -> asyncio.subprocess.Process:
    parts = urlsplit(url)
    who = [f"--user={unquote(parts.username or '')}", f"--host={parts.hostname}", f"--port={parts.port}", "--protocol=tcp"]
    return await asyncio.create_subprocess_exec(
        *dying_with_parent([str(program), "--no-defaults", *who, *options], NICENESS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=complaints,
        env={**os.environ, "MYSQL_PWD": unquote(parts.password or "")},  # not in the list of processes
        start_new_session=True,
    )


async def _pour(dump: asyncio.subprocess.Process, load: asyncio.subprocess.Process, copied: Callable[[int], None]) -> bytes:
    """Returns the end of what was poured."""
    assert dump.stdout is not None
    assert load.stdin is not None
    end, count = b"", 0
    while True:
        async with asyncio.timeout(STALL_S):
            chunk = await dump.stdout.read(CHUNK_BYTES)
            if not chunk:
                load.stdin.close()
                await load.wait()
                return end
            load.stdin.write(chunk)
            await load.stdin.drain()
        end, count = (end + chunk)[-TAIL_BYTES:], count + len(chunk)
        copied(count)


async def _end(process: asyncio.subprocess.Process | None) -> None:
    if process is not None and process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _words(log: Path) -> str:
    return " | ".join(tail(log, 3)) or "without a word"
