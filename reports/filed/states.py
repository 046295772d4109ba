"""How reports stand: made, checked, handed over, answered, due, late. From their files, and from the answers in the directory of each submission."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from reports.cat.feedback import ACCEPTED, Feedback, RecordError, rejected_lines
from reports.cat.fields import Record
from reports.cat.files import parse_name
from reports.cat.words import ActionType
from reports.catalogue import CORRECTED_DAYS, KINDS, ReportKind
from reports.filed.checks import Checked, checked
from reports.filed.stored import StoredReport, folder_of, stored
from reports.filed.submissions import Submission, answers_of, state_of, submissions_of
from reports.report_day import ReportDay
from schemas.errors import OutcryError
from schemas.market_hours import MarketCalendar
from schemas.settings import Settings


@dataclass
class ReportState:
    """One report of a day."""

    day: ReportDay
    kind: ReportKind
    due: datetime | None = None
    """When what is open must have been done: the report, or its corrections. None: nobody waits for it."""
    late: bool = False
    made: bool = False
    files: int = 0
    records: int = 0
    checked: Checked | None = None
    """None: these files were not checked yet."""
    submitted: int = 0
    """Files that were handed over somewhere."""
    acknowledged: int = 0
    """Files of which the newest answer is that they were taken, without a record to correct."""
    to_correct: int = 0
    """Records that were rejected, and are in no later file yet."""
    answers: str = ""
    """The newest answer to each file, in words."""
    trouble: str = ""
    """Why the files of it cannot be read."""

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done by `due`."""
        return self.due is not None and (bool(self.to_correct) or not self.made or self.submitted < self.files)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "day": str(self.day), "report": self.kind.name, "made": self.made, "files": self.files, "records": self.records,
            "findings": None if self.checked is None else self.checked.findings, "submitted": self.submitted, "acknowledged": self.acknowledged,
            "to_correct": self.to_correct, "answers": self.answers, "due": self.due.isoformat() if self.due else "", "late": self.late,
        } | ({"trouble": self.trouble} if self.trouble else {})  # fmt: skip


def state_of_report(settings: Settings, day: ReportDay, kind: ReportKind, calendar: MarketCalendar, now: datetime) -> ReportState:
    """How it stands. Raises StaleData, OutcryError for files or answers that cannot be read."""
    found = ReportState(day, kind, kind.due(day, calendar))
    one = stored(settings, day, kind)
    if one is not None:
        _look(found, one, submissions_of(one))
        if found.to_correct and found.due is not None:
            found.due = kind.at(day.trading_days_later(CORRECTED_DAYS, calendar))
    found.late = found.is_open and found.due is not None and now > found.due
    return found


def states_of_day(settings: Settings, day: ReportDay, calendar: MarketCalendar, now: datetime) -> list[ReportState]:
    """Every report of a day. What cannot be read is said in `trouble`."""
    found = []
    for kind in KINDS.values():
        try:
            found.append(state_of_report(settings, day, kind, calendar, now))
        except (OutcryError, OSError) as error:
            due = kind.due(day, calendar)
            is_made = folder_of(settings, day, kind).is_dir()
            found.append(ReportState(day, kind, due, due is not None and now > due, is_made, trouble=str(error)))
    return found


def _look(found: ReportState, one: StoredReport, sent: list[Submission]) -> None:
    answers = {each.file: answers_of(each) for each in sent}
    found.made, found.files, found.records = True, len(one.files), sum(file.records for file in one.files)
    found.checked = checked(one)
    found.submitted = len(answers)
    found.acknowledged = sum(_is_taken(each) for each in answers.values())
    found.to_correct = len(to_correct(one, sent))
    said = [f"{_number(name)}{state_of(each)}" for name, each in answers.items() if each]
    if found.to_correct:
        said.append(f"{found.to_correct:,} records to correct")
    found.answers = "; ".join(said)


def _is_taken(answers: list[Feedback]) -> bool:
    return bool(answers) and answers[-1].status == ACCEPTED and not answers[-1].records


def _number(file: str) -> str:
    """The number of a file, before what is said of it."""
    name = parse_name(file)
    return "" if name is None else f"{name.sequence:06} "


def to_correct(one: StoredReport, sent: Iterable[Submission]) -> dict[str, tuple[tuple[ActionType, RecordError], Record]]:
    """By firmROEID, what was asked of a record, and the record: those that no later file has."""
    asked: dict[str, tuple[tuple[ActionType, RecordError], Record]] = {}
    by_file = {submission.file: rejected_lines(answers_of(submission)) for submission in sent}
    if not any(by_file.values()):
        return asked
    for file in one.files:
        rejected = by_file.get(file.name, {})
        if not rejected and not file.supplements:
            continue
        for number, line in enumerate(one.lines(file.name)[0], 1):
            if number in rejected or file.supplements:
                record = orjson.loads(line)
                asked.pop(record["firmROEID"], None)
                if number in rejected:
                    asked[record["firmROEID"]] = rejected[number], record
    return asked
