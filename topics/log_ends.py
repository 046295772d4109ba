"""The messages about a log that has lost its end, the same for every reader. No I/O.

A reader has come to some offset. If the log ends before it, or has another record at the last offset that was read, records were lost that
somebody has acted on (an unclean election, a broker's disk, another cluster). Nobody may continue as if nothing had happened: new records get
offsets that were used before, and would be taken for records that were already read.
"""

from datetime import UTC, datetime
from typing import Final

REMEDY: Final = '`outcry recover` says what is lost and closes the gap, see docs/recovery.md, "A log that has lost its end"'


def lost_end(where: str, end: int, reader: str, next_offset: int) -> str:
    """The log of `where` (topic/partition) ends before what `reader` has read of it."""
    return f"{where} ends at {end:,}, but {reader} has come to {next_offset:,}: the log has lost its end. {REMEDY}"


def another_end(where: str, next_offset: int, known_ns: int, found_ns: int) -> str:
    """The log of `where` has another record than the one that was read last."""
    return (
        f"{where} has another record at {next_offset - 1:,} (of {_time(found_ns)}) than the one that was read (of {_time(known_ns)}): the log "
        f"has lost its end and gone on. {REMEDY}"
    )


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds") if ns else "no time"
