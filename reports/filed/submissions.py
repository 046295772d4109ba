"""Hand reports over to a directory, and follow what is answered there.

The directory stands for whatever carries files to the regulator: a mounted share, or one that a file transfer watches. A file appears under its name
only once it is whole, and its companion after it. Answers are files beside it (reports.cat.feedback).
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from reports.cat.feedback import ACCEPTED, STAGES, Feedback, parse_feedback
from reports.cat.files import parse_name
from reports.filed.stored import SUBMISSIONS, StoredFile, StoredReport, write_json
from schemas.errors import OutcryError, StaleData

_PART: Final = ".part"


@dataclass(frozen=True)
class Submission:
    """A file that was handed over."""

    file: str
    target: str
    at: str
    """ISO 8601, UTC."""
    sha256: str
    """Of the bytes as they were sent."""


def submissions_of(report: StoredReport) -> list[Submission]:
    """What was handed over, in order. Raises StaleData for a list that cannot be read."""
    path = report.folder / SUBMISSIONS
    try:
        return [Submission(**one) for one in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise StaleData(f"{path} cannot be read: {error}") from None


def submit(report: StoredReport, target: Path, now: datetime) -> list[Submission]:
    """Hand over what was not handed over there yet. Raises OutcryError where the target has another file of that name."""
    if not target.is_dir():
        raise OutcryError(f"{target} is no directory")
    done = submissions_of(report)
    sent = {one.file for one in done if one.target == str(target)}
    new = []
    for file in report.files:
        if file.name in sent:
            continue
        for name in _with_companion(report, file):
            _copy(report.folder / name, target / name)
        new.append(
            Submission(file.name, str(target), now.astimezone(UTC).isoformat(timespec="seconds"), _digest(report.folder / file.name))
        )
        write_json(report.folder / SUBMISSIONS, [asdict(one) for one in (*done, *new)])
    return new


def _with_companion(report: StoredReport, file: StoredFile) -> Iterator[str]:
    yield file.name
    name = parse_name(file.name)
    if report.kind.is_cat and name is not None:
        yield name.meta


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        if _digest(target) != _digest(source):
            raise OutcryError(f"{target} is there already and has other bytes: it was submitted by somebody else, or changed")
        return
    part = target.with_name(f"{target.name}{_PART}")
    shutil.copyfile(source, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        found = sha256()
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def answers_of(one: Submission) -> list[Feedback]:
    """What was answered to a file so far, in the order of the stages. Raises OutcryError for an answer that cannot be read, or is of another file."""
    name = parse_name(one.file)
    if name is None:
        return []
    found = []
    for stage in STAGES:
        path = Path(one.target) / f"{name.stem}.{stage}"
        if path.is_file():
            answer = parse_feedback(path.name, path.read_bytes())
            if answer.file_name != one.file:
                raise OutcryError(f"{path} is an answer to {answer.file_name}")
            found.append(answer)
    return found


def state_of(answers: list[Feedback]) -> str:
    """The newest answer in words; empty without one."""
    if not answers:
        return ""
    last = answers[-1]
    codes = [*last.codes, *sorted({one.code for one in last.records})]
    if last.status == ACCEPTED and not last.records:
        return f"{last.stage} accepted"
    return f"{last.stage} {last.status.lower()}, {len(last.records):,} records ({', '.join(codes)})"
