"""What the plan processor answers to a file, and the corrections that follow from it. No I/O.

    NAME.ack            was it taken?                       {"fileName": ..., "status": "Accepted" or "Rejected", "errors": [...]}
    NAME.integrity      is it whole?                        the same
    NAME.ingestion      are its records sound?              the same
    NAME.linkage        do they fit those of others?        the same

NAME is the file's name without .json.gz. An error has a `code`; of a record it also has `recordNumber` (its line, from 1) and `errorROEID`, the number
under which the record is to be repaired. A record that was rejected at ingestion is sent again as a repair; one that was taken and does not fit is sent
again as a correction.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from reports.cat.fields import Record
from reports.cat.words import ActionType
from schemas.errors import OutcryError

STAGES: Final = ("ack", "integrity", "ingestion", "linkage")
"""In the order in which the answers come."""
ACCEPTED, REJECTED = "Accepted", "Rejected"


@dataclass(frozen=True, slots=True)
class RecordError:
    """A record that was not taken, or does not fit."""

    line: int
    code: str
    roe_id: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """One answer."""

    file_name: str
    stage: str
    status: str
    codes: tuple[str, ...]
    """Of the file as a whole."""
    records: tuple[RecordError, ...]


def parse_feedback(name: str, data: bytes) -> Feedback:
    """An answer from its file's name and content. Raises OutcryError."""
    stage = name.rpartition(".")[2]
    if stage not in STAGES:
        raise OutcryError(f"{name} is no answer to a report: its name ends with .{', .'.join(STAGES)}")
    try:
        found: dict[str, Any] = orjson.loads(data)
        status, errors = found["status"], found.get("errors", [])
        if status not in (ACCEPTED, REJECTED):
            raise OutcryError(f"{name}: status {status!r} is neither {ACCEPTED} nor {REJECTED}")
        records = [_record_error(one) for one in errors if "recordNumber" in one]
        codes = [str(one["code"]) for one in errors if "recordNumber" not in one]
        return Feedback(str(found["fileName"]), stage, status, tuple(codes), tuple(records))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutcryError(f"{name} is no answer to a report: {type(error).__name__} {error}") from None


def _record_error(one: Mapping[str, Any]) -> RecordError:
    line, roe_id = one["recordNumber"], one["errorROEID"]
    if type(line) is not int or type(roe_id) is not int or line < 1 or roe_id < 0:
        raise ValueError(f"recordNumber {line!r} and errorROEID {roe_id!r} are whole numbers")
    return RecordError(line, str(one["code"]), roe_id)


def rejected_lines(answers: Iterable[Feedback]) -> dict[int, tuple[ActionType, RecordError]]:
    """By line of the file, how it is to be sent again."""
    actions = {"ingestion": ActionType.REPAIR, "linkage": ActionType.CORRECT}
    found: dict[int, tuple[ActionType, RecordError]] = {}
    for answer in sorted(answers, key=lambda one: STAGES.index(one.stage)):
        for error in answer.records:
            if answer.stage in actions:
                found.setdefault(error.line, (actions[answer.stage], error))
    return found


def corrections(wanted: Mapping[str, tuple[ActionType, RecordError]], records: Iterable[Record]) -> Iterator[Record]:
    """The records to be sent again, as the log and the reference make them now. wanted: by firmROEID."""
    for record in records:
        asked = wanted.get(record["firmROEID"])
        if asked is None:
            continue
        action, error = asked
        changed: Record = {"actionType": action.value}
        if action == ActionType.REPAIR:
            changed["errorROEID"] = error.roe_id
        yield changed | {name: value for name, value in record.items() if name != "actionType"}
