"""All cases and suppressions: the fold over the topic `cases`. The same log gives the same desk, wherever it is read."""

import hashlib
from typing import Any

from surveillance.cases import case as cases
from surveillance.cases import report_draft as reports
from surveillance.cases import suppression as suppressions
from surveillance.cases.case import Case
from surveillance.cases.refused import Refused
from surveillance.cases.report_draft import ReportDraft
from surveillance.cases.suppression import Suppression
from surveillance.cases.words import Action, ReadAction, Refusal, ReportAction, SuppressionAction

_ACTIONS = frozenset(Action)
_SUPPRESSIONS = frozenset(SuppressionAction)
_REPORTS = frozenset(ReportAction)
_READS = frozenset(ReadAction)
Made = Case | Suppression | ReportDraft | Refused | None
"""What the fold makes of a record; None of a read."""


class Desk:
    """The state after what was taken so far."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.suppressions: dict[str, Suppression] = {}
        self.reports: dict[str, ReportDraft] = {}
        """For compliance alone."""

    def take(self, record: dict[str, Any]) -> Made:
        """What a record of the log has changed, or why it has changed nothing; None for a read."""
        after = self.after(record)
        if isinstance(after, Case):
            self.cases[after.case_id] = after
        elif isinstance(after, Suppression):
            self.suppressions[after.case_id] = after
        elif isinstance(after, ReportDraft):
            self.reports[after.case_id] = after
        return after

    def after(self, record: dict[str, Any]) -> Made:
        """What `take` would return; nothing is changed."""
        action, key = record["action"], record["case_id"]
        if action in _READS:
            return None
        if action in _ACTIONS:
            return cases.act(self.cases.get(key), record)
        if action in _SUPPRESSIONS:
            return suppressions.act(self.suppressions.get(key), record)
        if action in _REPORTS:
            return reports.act(self.reports.get(key), record)
        return Refused(Refusal.UNKNOWN_ACTION, f"{action!r} is no action")


def decide(state: dict[str, Any] | None, record: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """One step of the fold for a store that keeps states as JSON: the state after a record (None: it makes none), and the refusal ("": none).

    state: of the record's case_id; None: there is none.
    """
    desk, key = Desk(), record["case_id"]
    if state is not None and key.startswith(cases.PREFIX):
        desk.cases[key] = Case.from_json(state)
    elif state is not None and key.startswith(reports.PREFIX):
        desk.reports[key] = ReportDraft.from_json(state)
    elif state is not None:
        desk.suppressions[key] = Suppression.from_json(state)
    after = desk.take(record)
    if isinstance(after, Refused):
        return None, after.code
    return (None, "") if after is None else (after.as_json(), "")


def case_id_of(episode_key: str) -> str:
    """The id of the case that is opened for an alert: who opens another for the same one finds it."""
    return f"{cases.PREFIX}{hashlib.blake2b(episode_key.encode(), digest_size=8).hexdigest()}"
