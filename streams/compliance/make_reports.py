"""Make the reports of every day that is over: after the close, and of days that were missed.

In:     executions, account.events, through a process for each day (streams.compliance.make_day); the clock; submissions and their answers
Out:    none on the log; the folder of the reports, and making.json there: days without anything to report, and why a day could not be made
State:  that folder. A day is done once each of its reports is there and was checked, so a crash at any moment leaves only work to be done again
On failure: a day that cannot be made is told (log, /readyz, metric, making.json) and tried again later, and the next one is made meanwhile.
        Trading does not wait for any of it: the process of a day runs at the lowest priority, and reads the log as anybody does
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
import uvloop
from prometheus_client import Counter, Gauge

from reports.catalogue import KINDS
from reports.filed.notes import Notes
from reports.filed.states import ReportState, state_of_report
from reports.filed.stored import days
from reports.report_day import ReportDay
from schemas.errors import OutcryError, StaleData
from schemas.market_hours import MarketCalendar
from schemas.settings import Settings
from streams.compliance.make_day import AFTER_NS, LOWEST_PRIORITY, Came, Outcome, is_settled, read_reference
from streams.compliance.read_day import first_day
from streams.host.read_log import Log
from streams.process.health import HealthServer
from streams.process.last_words import found_in
from streams.process.logging import configure_logging
from streams.services.recipes.recipe import dying_with_parent
from streams.transport.app import claim_for_cluster, claim_for_worker
from streams.transport.cluster import cluster_id
from topics.roles import MAKE_REPORTS

log = structlog.get_logger("outcry.streams")

LOOK_S: Final = 30.0
RETRY_FIRST_NS: Final = 60 * 1_000_000_000
RETRY_LAST_NS: Final = 3_600 * 1_000_000_000
"""A day that cannot be made is tried again after a minute, then after twice as long each time, up to this."""
MADE: Final = Counter("outcry_reports_made_total", "reports that were made", ["report"])
NOT_MADE: Final = Gauge("outcry_report_days_not_made", "days that are over and whose reports could not be made")
FINDINGS: Final = Gauge("outcry_report_findings", "what the checks found in the newest reports of all days", ["report"])
LATE: Final = Gauge("outcry_reports_late", "reports and corrections that were not handed over in time", ["report"])
DUE: Final = Gauge("outcry_report_due_seconds", "until the next report or correction must have been handed over; infinite without one")

Make = Callable[[ReportDay], Awaitable[Outcome]]
"""Makes a day. Raises OutcryError with the sentence that says why it could not."""


@dataclass
class _Trouble:
    """A day that could not be made."""

    sentence: str
    pause_ns: int
    again_ns: int


class MakeReports:
    """The role: see the head of this module."""

    def __init__(
        self, settings: Settings, begins: Callable[[], ReportDay | None], make: Make, calendar: MarketCalendar, now_ns: Callable[[], int]
    ) -> None:
        """begins: the first day of the log, None while it is empty; raises ServiceUnavailable. now_ns: real time. Raises StaleData."""
        self._settings, self._begins, self._make, self._calendar, self._now_ns = settings, begins, make, calendar, now_ns
        self._notes = Notes.load(settings)
        self._first: ReportDay | None = None
        self._settled: set[ReportDay] = set()
        self._troubles: dict[ReportDay, _Trouble] = {}
        self._waits = ""
        """Why the first day that is over by the clock is not over in the log."""
        self._done: set[tuple[ReportDay, str]] = set()
        """Reports that were taken, and in which nothing was found: how they stand does not change any more."""
        self.trouble = "starting"

    async def look(self, stop: asyncio.Event) -> None:
        """Make every day that is due, the oldest first, then measure. Raises nothing that a later look could do without."""
        try:
            self._first = self._first or await asyncio.to_thread(self._begins)
        except OutcryError as error:
            self.trouble = str(error)
            return
        self._waits = ""
        for day in self._due():
            if stop.is_set() or not await self._make_one(day):
                break  # log time does not go back: if this day is not over in the log, no later one is
        self._keep_notes()
        await asyncio.to_thread(self.measure)
        self.trouble = ""

    def _due(self) -> Iterator[ReportDay]:
        if self._first is None:
            return
        day, until_ns = self._first, self._now_ns() - AFTER_NS
        while day.end_ns <= until_ns:
            if self._is_due(day):
                yield day
            day = ReportDay(day.date + timedelta(days=1))

    def _is_due(self, day: ReportDay) -> bool:
        if day in self._settled or str(day) in self._notes.nothing:
            return False
        trouble = self._troubles.get(day)
        if trouble is not None:
            return self._now_ns() >= trouble.again_ns
        try:
            if is_settled(self._settings, day):
                self._settled.add(day)
                return False
        except OutcryError:
            return True  # making it says what is wrong
        return True

    async def _make_one(self, day: ReportDay) -> bool:
        """False for a day that is not over in the log."""
        began_ns = self._now_ns()
        try:
            outcome = await self._make(day)
        except OutcryError as error:
            self._fail(day, str(error))
            return True
        self._troubles.pop(day, None)
        if outcome.came == Came.NOT_OVER:
            self._waits = outcome.detail
            log.info("day is not over", day=str(day), detail=outcome.detail)
            return False
        if outcome.came == Came.NOTHING:
            self._notes.nothing.add(str(day))
            log.info("nothing to report", day=str(day))
        else:
            self._tell_made(day, outcome, self._now_ns() - began_ns)
        return True

    def _tell_made(self, day: ReportDay, outcome: Outcome, took_ns: int) -> None:
        self._settled.add(day)
        for name in outcome.new:
            MADE.labels(name).inc()
        log.info("reports are made", day=str(day), new=len(outcome.new), records=outcome.records, seconds=round(took_ns / 1e9, 1))
        if outcome.findings:
            log.error("reports have findings", day=str(day), findings=outcome.findings, first=outcome.first_finding)

    def _fail(self, day: ReportDay, sentence: str) -> None:
        before = self._troubles.get(day)
        pause_ns = RETRY_FIRST_NS if before is None else min(2 * before.pause_ns, RETRY_LAST_NS)
        self._troubles[day] = _Trouble(sentence, pause_ns, self._now_ns() + pause_ns)
        log.error("reports could not be made", day=str(day), detail=sentence, again_in_s=pause_ns // 1_000_000_000)

    def _keep_notes(self) -> None:
        self._notes.not_made = {str(day): one.sentence for day, one in sorted(self._troubles.items())}
        try:
            if Notes.load(self._settings) != self._notes:
                self._notes.keep(self._settings)
        except (OSError, StaleData) as error:
            log.warning("notes are not kept", detail=str(error))

    def measure(self) -> None:
        """Set the gauges from the files."""
        now = datetime.fromtimestamp(self._now_ns() / 1e9, UTC)
        found = list(self._states(now))
        NOT_MADE.set(len(self._troubles))
        for name in KINDS:
            mine = [one for one in found if one.kind.name == name]
            LATE.labels(name).set(sum(one.late for one in mine))
            FINDINGS.labels(name).set(sum(one.checked.findings for one in mine if one.checked is not None))
        dues = [one.due for one in found if one.is_open and one.due is not None]
        DUE.set(min(((due - now).total_seconds() for due in dues if due > now), default=float("inf")))

    def _states(self, now: datetime) -> Iterator[ReportState]:
        """How every report stands that may still change; a day that could not be made counts too."""
        for day in sorted({*days(self._settings), *self._troubles}):
            for kind in KINDS.values():
                if (day, kind.name) in self._done:
                    continue
                try:
                    one = state_of_report(self._settings, day, kind, self._calendar, now)
                except (OutcryError, OSError) as error:
                    log.warning("a report cannot be read", day=str(day), report=kind.name, detail=str(error))
                    continue
                is_taken = kind.due_days == 0 or 0 < one.files == one.acknowledged
                if one.made and is_taken and one.checked is not None and not one.checked.findings:
                    self._done.add((day, kind.name))
                yield one

    async def keep(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            await self.look(stop)
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                continue

    def status(self) -> dict[str, Any]:
        """Days that wait, and days that could not be made, each with its sentence."""
        return {
            "first_day": str(self._first or ""), "days_made": len(self._settled), "days_with_nothing": len(self._notes.nothing),
            "waiting": self._waits,
            "not_made": {str(day): one.sentence for day, one in sorted(self._troubles.items())},
        }  # fmt: skip


async def make_in_a_process(day: ReportDay) -> Outcome:
    """Make a day in a process of its own, which dies with this one. Raises OutcryError with what it said."""
    command = dying_with_parent([sys.executable, "-m", "streams.compliance.make_day", str(day)])
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        answer, said = await child.communicate()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    if child.returncode == 0:
        return outcome_of(answer)
    if child.returncode == -signal.SIGKILL:
        raise OutcryError(f"the process that made {day} was killed: is there enough memory?")
    raise OutcryError(found_in(said.decode(errors="replace").splitlines()) or f"the process that made {day} ended with {child.returncode}")


def outcome_of(answer: bytes) -> Outcome:
    """What the process of a day has printed."""
    found = json.loads(answer)
    return Outcome(**found | {"came": Came(found["came"])})


async def _main(settings: Settings) -> None:
    if settings.reports_file is None:
        read_reference(settings)  # says what to do; a file that is wrong is told for each day
    folder = settings.reports_folder
    folder.mkdir(parents=True, exist_ok=True)
    claim_for_worker(folder)
    claim_for_cluster(folder, cluster_id(settings))

    def begins() -> ReportDay | None:
        with Log(settings) as read:
            return first_day(read)

    role = MakeReports(settings, begins, make_in_a_process, MarketCalendar.load(settings.market_days_file), time.time_ns)
    health = HealthServer(settings, MAKE_REPORTS.name, lambda: role.trouble, role.status)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await health.start()
    keeping, stopping = asyncio.create_task(role.keep(stop)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([keeping, stopping], return_when=asyncio.FIRST_COMPLETED)
        keeping.cancel()
        stopping.cancel()
        (ended, _) = await asyncio.gather(keeping, stopping, return_exceptions=True)
    finally:
        await health.stop()
    if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
        raise ended


def run(settings: Settings) -> None:
    """Run the role until it is told to stop."""
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
    configure_logging(settings.log_level, MAKE_REPORTS.name)
    uvloop.run(_main(settings))
