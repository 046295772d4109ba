"""Make every report of one day, check them, and say how it went: what the role `make-reports` runs for each day, in a process of its own.

In:     executions, account.events; the audit logs on this machine; the reference that OUTCRY_REPORTS_FILE names
Out:    the folder of the reports; one JSON object on standard output
State:  none. A report that is there is made again and compared, so it does not matter where an earlier process died
On failure: a sentence and the exit status of any command. What the day uses of memory goes with the process
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

from reports.catalogue import KINDS
from reports.day_read import AuditedOrigin, DayRead
from reports.facts import MARGIN_NS
from reports.filed.checks import Checked, check_and_keep, checked
from reports.filed.drift_logs import clocks_of
from reports.filed.stored import StoredReport, only_maker, store, stored
from reports.reference import Reference, parse_reference
from reports.report_day import ReportDay
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.market_hours import MarketCalendar
from schemas.settings import Settings, load_settings
from streams.compliance.origins import audited
from streams.compliance.read_day import DayNotOver, read_day, require_over
from streams.host.read_log import Log
from streams.process.last_words import say

LOWEST_PRIORITY: Final = 19
"""Niceness: trading comes first."""
AFTER_NS: Final = MARGIN_NS
"""A day is made so long after it is over: account shards may be so far behind the books, and what they say of the day belongs to it."""


class Came(StrEnum):
    """What came of a day."""

    MADE = "made"
    NOTHING = "nothing"
    """The market was closed and nothing happened: there is nothing to report."""
    NOT_OVER = "not over"


@dataclass
class Outcome:
    """How a day went."""

    came: Came
    new: list[str] = field(default_factory=list)
    """Reports that were not there before."""
    records: int = 0
    findings: int = 0
    first_finding: str = ""
    detail: str = ""
    """Why a day is not over."""


def read_reference(settings: Settings) -> tuple[Reference, str]:
    """The reference and its digest. Raises OutcryError."""
    path = settings.reports_file
    if path is None:
        raise OutcryError(
            "reports need to know who reports and which member each account belongs to: write `outcry report reference` into a file, complete it, and "
            "name it in OUTCRY_REPORTS_FILE"
        )
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise OutcryError(f"{path}: not UTF-8 text: {error}") from error
    except OSError as error:
        raise OutcryError(f"{path}, which OUTCRY_REPORTS_FILE names, cannot be read: {error.strerror}") from error
    return parse_reference(text, str(path)), sha256(text.encode()).hexdigest()


def is_settled(settings: Settings, day: ReportDay) -> bool:
    """Whether every report of a day is there, and was checked. Raises StaleData for what cannot be read."""
    found = (stored(settings, day, kind) for kind in KINDS.values())
    return all(one is not None and checked(one) is not None for one in found)


def make_day(settings: Settings, log: Log, day: ReportDay, now_ns: int) -> Outcome:
    """Make and check all that is missing of a day. Raises OutcryError, OSError; what was stored before stays."""
    known, digest = read_reference(settings)
    try:
        require_over(log, day, now_ns=now_ns, after_ns=AFTER_NS)
        read = read_day(log, day, load_instruments(settings.instruments_file), now_ns=now_ns, quiet=True)
    except DayNotOver as error:
        return Outcome(Came.NOT_OVER, detail=str(error))
    if read.has_nothing and not _is_trading_day(settings, day):
        return Outcome(Came.NOTHING)
    read = read.with_clocks(clocks_of(settings, day))
    origins = audited(settings, read.origins)
    outcome = Outcome(Came.MADE)
    with only_maker(settings, day):
        for one, is_new, found in store_and_check(settings, read, known, origins, digest):
            outcome.new += [one.kind.name] if is_new else []
            outcome.records += sum(file.records for file in one.files)
            outcome.findings += found.findings
            outcome.first_finding = outcome.first_finding or next(iter(found.first), "")
    return outcome


def store_and_check(
    settings: Settings, read: DayRead, known: Reference, origins: list[AuditedOrigin], digest: str
) -> Iterator[tuple[StoredReport, bool, Checked]]:
    """Every report, whether it is new, and what was found in it. For the only maker of the day. Raises as store.

    The largest one comes first, and is checked in another thread while the others are made: most of that is outside of Python's lock.
    """
    with ThreadPoolExecutor(1, "check") as checking:
        found = []
        for kind in KINDS.values():
            one, is_new = store(settings, kind, read, known, origins, digest)
            found.append((one, is_new, checking.submit(check_and_keep, one)))
        for one, is_new, checked_one in found:
            yield one, is_new, checked_one.result()


def _is_trading_day(settings: Settings, day: ReportDay) -> bool:
    """Where the calendar does not reach, every day is: an empty report is better than none."""
    calendar = MarketCalendar.load(settings.market_days_file)
    return not calendar.first <= day.date <= calendar.last or calendar.on(day.date) is not None


def main() -> int:
    """Make the day that the command line names; the exit status."""
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
    settings = load_settings()
    try:
        with Log(settings) as log:
            outcome = make_day(settings, log, ReportDay.parse(sys.argv[1]), time.time_ns())
    except OutcryError as error:
        return say(error)
    except OSError as error:
        return say(OutcryError(f"the disk does not take the reports: {error}"))
    print(json.dumps(asdict(outcome)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
