"""The drift logs of clocks: what the processes of this home, or of a folder that they share, have written of their clocks."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from reports.report_day import ReportDay
from schemas.clock_record import BadClockRecord, ClockRecord
from schemas.errors import StaleData
from schemas.settings import Settings


def clocks_of(settings: Settings, day: ReportDay) -> tuple[ClockRecord, ...]:
    """Every comparison of the day, by process. Raises StaleData for a line that is none, OSError."""
    names = {f"{day.date + timedelta(days=later)}.ndjson" for later in (0, 1)}  # files are by UTC day: one of New York ends in the next
    paths = sorted(path for path in settings.clocks_folder.glob("*/*.ndjson") if path.name in names)
    return tuple(one for path in paths for one in _records(path) if day.start_ns <= one.time_ns < day.end_ns)


def newest_of(settings: Settings) -> dict[str, ClockRecord]:
    """By process, the last comparison that it recorded. Raises StaleData, OSError."""
    found = {}
    for folder in sorted(settings.clocks_folder.glob("*")):
        paths = sorted(folder.glob("*.ndjson"))
        records = list(_records(paths[-1])) if paths else []
        if records:
            found[folder.name] = records[-1]
    return found


def _records(path: Path) -> Iterator[ClockRecord]:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(
        lines[:-1], 1
    ):  # behind the last line end is nothing, or what a process that died or a full disk has left
        try:
            yield ClockRecord.parse(line.decode())
        except (BadClockRecord, UnicodeDecodeError) as error:
            raise StaleData(f"{path} line {number}: {error}: move the file away, and its clock has no record of that day") from None
