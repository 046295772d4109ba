"""One draft of a report to an authority (STOR, SAR): its state, and the actions that change it. A function of state and record, like a case.

Only compliance makes, changes, reads and releases one, and no record about it names a case in its `case_id`: so nobody else finds a trace of it in
a case's file, history, counts or exports. Four eyes: who releases it has not worked on it. What was released has a digest and is not changed any more.

    DRAFT --RELEASE_REPORT--> RELEASED --FILE_REPORT--> FILED        RELEASED --RETURN_REPORT--> DRAFT        DRAFT, RELEASED --WITHDRAW_REPORT--> WITHDRAWN
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from surveillance.cases.refused import Refused, check_actor, check_comment, check_new_id, check_role, field_wrong, is_id, is_whole
from surveillance.cases.report_fields import FIELD_MAX, FORMS
from surveillance.cases.words import Refusal, ReportAction, Role

PREFIX: Final = "report-"
FIELD: Final = "field."
"""What a record's facts are called that are fields of the report."""
DRAFT, RELEASED, FILED, WITHDRAWN = "DRAFT", "RELEASED", "FILED", "WITHDRAWN"
REFERENCE_MAX: Final = 200
_STATES: Final = {
    ReportAction.EDIT_REPORT: (DRAFT,), ReportAction.RELEASE_REPORT: (DRAFT,), ReportAction.RETURN_REPORT: (RELEASED,),
    ReportAction.FILE_REPORT: (RELEASED,), ReportAction.WITHDRAW_REPORT: (DRAFT, RELEASED),
}  # fmt: skip


@dataclass(frozen=True)
class ReportDraft:
    """Times in ns of log time; 0: not yet."""

    case_id: str
    """Its own id; it stands in the same column of the log as that of a case."""
    version: int
    status: str
    kind: str
    case: str
    """The case that it is about."""
    case_version: int
    """Of which it was filled."""
    fields: Mapping[str, str]
    """By name; one that is not there is not known."""
    made_at: int
    updated_at: int
    workers: tuple[str, ...]
    """Who has made or changed it."""
    released_by: str = ""
    released_at: int = 0
    digest: str = ""
    """SHA-256 of its content (`content_digest`), once released."""
    filed_at: int = 0
    reference: str = ""
    """What the authority calls it."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Needed fields that are empty."""
        return tuple(one.name for one in FORMS[self.kind].fields if one.needed and not self.fields.get(one.name, "").strip())

    def as_json(self) -> dict[str, Any]:
        """As from_json takes it, and what stores index it by."""
        return {**asdict(self), "fields": dict(self.fields), "pattern": self.kind}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """What as_json gave."""
        kept = {name: value for name, value in state.items() if name != "pattern"}
        return cls(**{**kept, "workers": tuple(kept["workers"])})


def content_digest(draft: ReportDraft) -> str:
    """SHA-256 over kind, case and fields as JSON, names in order, without spaces."""
    content = {"case": draft.case, "case_version": draft.case_version, "fields": dict(draft.fields), "kind": draft.kind}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def act(draft: ReportDraft | None, record: dict[str, Any]) -> ReportDraft | Refused:
    """The draft after an action, or why it stays as it is. The role comes first: nobody else learns whether there is one."""
    action = ReportAction(record["action"])
    if refused := check_actor(record) or check_role(record, {Role.COMPLIANCE}):
        return refused
    if action == ReportAction.DRAFT_REPORT:
        return _made(draft, record)
    if draft is None:
        return Refused(Refusal.UNKNOWN, f"there is no report {record['case_id']}")
    if record["version"] != draft.version:
        return Refused(
            Refusal.CHANGED, f"the report is at version {draft.version}, not {record['version']}: somebody was first", version=draft.version
        )
    refused = _may(draft, action, record["actor"]) or check_comment(record, needed=action != ReportAction.EDIT_REPORT)
    return refused or _changed(draft, action, record)


def allowed(draft: ReportDraft, actor: str) -> list[ReportAction]:
    """What somebody of compliance may do with it now."""
    return [action for action in _STATES if _may(draft, action, actor) is None]


def fields_of(facts: Mapping[str, str]) -> dict[str, str]:
    """The fields among a record's facts."""
    return {name.removeprefix(FIELD): text for name, text in facts.items() if name.startswith(FIELD)}


def _may(draft: ReportDraft, action: ReportAction, actor: str) -> Refused | None:
    if draft.status not in _STATES[action]:
        return Refused(
            Refusal.WRONG_STATE,
            f"{action} is for a report in {', '.join(_STATES[action])}; this one is {draft.status}",
            version=draft.version,
        )
    if action == ReportAction.RELEASE_REPORT and actor in draft.workers:
        return Refused(Refusal.SAME_PERSON, "RELEASE_REPORT is for somebody who has not worked on the report")
    return None


def _made(draft: ReportDraft | None, record: dict[str, Any]) -> ReportDraft | Refused:
    if draft is not None:
        return Refused(Refusal.CHANGED, f"the report is there already, at version {draft.version}", version=draft.version)
    facts = record["facts"]
    if refused := check_comment(record, needed=True) or check_new_id(record, PREFIX):
        return refused
    kind, case, version = facts.get("kind", ""), facts.get("case", ""), facts.get("case_version", "")
    if kind not in FORMS:
        return field_wrong("kind", f"must be one of {', '.join(FORMS)}")
    if not is_id(case):
        return field_wrong("case", "must be the id of a case")
    if not is_whole(version):
        return field_wrong("case_version", "must be a whole number")
    given = fields_of(facts)
    if refused := _wrong_field(kind, given):
        return refused
    at = record["at"]
    return ReportDraft(record["case_id"], 1, DRAFT, kind, case, int(version), _filled({}, given), at, at, (record["actor"],))


def _wrong_field(kind: str, given: Mapping[str, str]) -> Refused | None:
    for name, text in given.items():
        if name not in FORMS[kind].names:
            return field_wrong(name[:64], f"is no field of a {kind}")
        if len(text) > FIELD_MAX:
            return field_wrong(name, f"has {len(text):,} characters; at most {FIELD_MAX:,}")
    return None


def _filled(fields: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """An empty text takes a field away."""
    return {name: text for name, text in {**fields, **given}.items() if text.strip()}


def _changed(draft: ReportDraft, action: ReportAction, record: dict[str, Any]) -> ReportDraft | Refused:
    now, actor = max(record["at"], draft.updated_at), record["actor"]
    later = replace(draft, version=draft.version + 1, updated_at=now)
    match action:
        case ReportAction.EDIT_REPORT:
            given = fields_of(record["facts"])
            if not given:
                return field_wrong("fields", "must name one field or more")
            workers = draft.workers if actor in draft.workers else (*draft.workers, actor)
            return _wrong_field(draft.kind, given) or replace(later, fields=_filled(draft.fields, given), workers=workers)
        case ReportAction.RELEASE_REPORT:
            if draft.missing:
                return field_wrong(draft.missing[0], "must be filled in before the report is released")
            return replace(later, status=RELEASED, released_by=actor, released_at=now, digest=content_digest(draft))
        case ReportAction.RETURN_REPORT:
            return replace(later, status=DRAFT, released_by="", released_at=0, digest="")
        case ReportAction.FILE_REPORT:
            reference = record["facts"].get("reference", "")
            if not 0 < len(reference.strip()) <= REFERENCE_MAX:
                return field_wrong("reference", f"must be what the authority calls the report: 1 to {REFERENCE_MAX} characters")
            return replace(later, status=FILED, filed_at=now, reference=reference.strip())
        case _:
            return replace(later, status=WITHDRAWN)
