"""Check a stored report: that its files are as they were made, and that every record of a CAT report keeps every rule. What was found is kept beside it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from reports.cat.checks import DayCheck
from reports.cat.codes import Finding
from reports.filed.stored import StoredFile, StoredReport, write_json
from schemas.errors import StaleData

if TYPE_CHECKING:
    from reports.cat.sound import SoundDay

CHECKS: Final = "checks.json"
FINDINGS_KEPT: Final = 20
"""The first ones, as sentences; of the others the number."""


@dataclass(frozen=True)
class Checked:
    """What was found in a report."""

    findings: int
    first: list[str]
    """At most FINDINGS_KEPT of them."""


def check(one: StoredReport) -> Iterator[str]:
    """What is wrong with a stored report, one sentence each."""
    if one.kind.is_cat and _is_sound(one):
        yield from _look_at(one, [file for file in one.files if file.supplements])
    else:
        yield from _look_at(one, one.files)


def _is_sound(one: StoredReport) -> bool:
    """Whether its files, without supplements, are surely as they were made, and nothing is to be found in their records."""
    records: SoundDay = import_module("reports.cat.sound").SoundDay(one.day.compact)  # pyarrow, which who only lists reports does without
    for file in one.files:
        if file.supplements:
            continue
        blocks, unpacker = one.blocks(file.name)
        if not all(map(records.take, blocks)) or unpacker.sha256 != file.sha256 or unpacker.findings:
            return False
    return records.finish()


def _look_at(one: StoredReport, files: list[StoredFile]) -> Iterator[str]:
    """Line by line."""
    day_check = DayCheck(one.day.compact)
    for file in files:
        digest, lines_check = sha256(), DayCheck(one.day.compact) if file.supplements else day_check
        lines, unpacker = one.lines(file.name)
        before = lines_check.records
        for line in lines:
            digest.update(line)
            if one.kind.is_cat:
                found = lines_check.take_alone(line) if file.supplements else lines_check.take(line)
                yield from (f"{file.name} {_from(finding, before)}" for finding in found)
        if digest.hexdigest() != file.sha256:
            yield f"{file.name}: its content is not what was made: digest {digest.hexdigest()[:16]}, not {file.sha256[:16]}"
        if unpacker is not None:
            yield from map(str, unpacker.findings)
    if one.kind.is_cat:
        yield from (f"{one.day}: {finding}" for finding in day_check.finish())


def _from(finding: Finding, before: int) -> Finding:
    """With the number of the line in its own file."""
    return Finding(finding.line - before, finding.code, finding.field, finding.text)


def check_and_keep(one: StoredReport) -> Checked:
    """Check, and keep what was found."""
    findings = check(one)
    first = list(islice(findings, FINDINGS_KEPT))
    found = Checked(len(first) + sum(1 for _ in findings), first)
    write_json(one.folder / CHECKS, {"files": _files(one), "findings": found.findings, "first": found.first})
    return found


def checked(one: StoredReport) -> Checked | None:
    """What was found when these files were checked; None where they were not. Raises StaleData for what cannot be read."""
    path = one.folder / CHECKS
    try:
        kept: dict[str, Any] = json.loads(path.read_text())
        return Checked(int(kept["findings"]), list(map(str, kept["first"]))) if kept["files"] == _files(one) else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StaleData(f"{path} cannot be read ({type(error).__name__} {error}): remove it, and it is made again") from None


def _files(one: StoredReport) -> dict[str, str]:
    """What the check is of: a supplement that comes later is not among them."""
    return {file.name: file.sha256 for file in one.files}
