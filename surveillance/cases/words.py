"""The words of cases: states, actions, roles, reasons, refusals, clocks. Each is written to the log as its name."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a person may be. One may be several."""

    ANALYST = "analyst"
    SUPERVISOR = "supervisor"
    COMPLIANCE = "compliance"


SENIOR: Final = frozenset({Role.SUPERVISOR, Role.COMPLIANCE})
"""Who agrees to what somebody else has decided."""


class Status(StrEnum):
    """Where a case is. An alert without a case is like a NEW one."""

    NEW = "NEW"
    """Nobody has it."""
    ASSIGNED = "ASSIGNED"
    """A supervisor gave it to somebody, who has not begun."""
    IN_REVIEW = "IN_REVIEW"
    PENDING_INFO = "PENDING_INFO"
    """Its owner waits for an answer; the clock stands still."""
    ESCALATED = "ESCALATED"
    """It waits for somebody of the level above."""
    CLOSING = "CLOSING"
    """Its owner has decided, and a second person has to agree."""
    CLOSED_NO_ACTION = "CLOSED_NO_ACTION"
    CLOSED_INFORMAL = "CLOSED_INFORMAL"
    CLOSED_FORMAL = "CLOSED_FORMAL"


CLOSED: Final = frozenset({Status.CLOSED_NO_ACTION, Status.CLOSED_INFORMAL, Status.CLOSED_FORMAL})


class Action(StrEnum):
    """What can be done with a case."""

    OPEN = "OPEN"
    TAKE = "TAKE"
    RELEASE = "RELEASE"
    ASSIGN = "ASSIGN"
    NOTE = "NOTE"
    LINK = "LINK"
    UNLINK = "UNLINK"
    ASK = "ASK"
    RESUME = "RESUME"
    ESCALATE = "ESCALATE"
    CLOSE = "CLOSE"
    CONFIRM = "CONFIRM"
    RETURN = "RETURN"
    REOPEN = "REOPEN"


class SuppressionAction(StrEnum):
    """What can be done with a suppression."""

    SUPPRESS = "SUPPRESS"
    APPROVE_SUPPRESSION = "APPROVE_SUPPRESSION"
    LIFT = "LIFT"


class ReportAction(StrEnum):
    """What can be done with a draft of a report to an authority; all of it by compliance alone."""

    DRAFT_REPORT = "DRAFT_REPORT"
    EDIT_REPORT = "EDIT_REPORT"
    RELEASE_REPORT = "RELEASE_REPORT"
    RETURN_REPORT = "RETURN_REPORT"
    FILE_REPORT = "FILE_REPORT"
    """It was handed to the authority, by a person: this system sends nothing."""
    WITHDRAW_REPORT = "WITHDRAW_REPORT"


class ReadAction(StrEnum):
    """Reads of evidence. They change nothing, and are never refused."""

    READ_ALERTS = "READ_ALERTS"
    READ_ALERT = "READ_ALERT"
    READ_BOOK = "READ_BOOK"
    READ_CASE = "READ_CASE"
    READ_LINKS = "READ_LINKS"
    """Of the accounts around an alert, and what links them."""
    EXPORT = "EXPORT"
    READ_REPORTS = "READ_REPORTS"
    READ_REPORT = "READ_REPORT"
    EXPORT_REPORT = "EXPORT_REPORT"
    WHAT_IF = "WHAT_IF"
    """What would have fired with another bound: that it was asked, and that the answer was read."""
    SEARCH = "SEARCH"
    """Of events of accounts in the audit trail."""


class Outcome(StrEnum):
    """What a CLOSE decides."""

    NO_ACTION = "NO_ACTION"
    INFORMAL = "INFORMAL"
    FORMAL = "FORMAL"


class ReasonCode(StrEnum):
    """Why a case is closed. It is the label from which a ranking may learn."""

    LEGITIMATE_MARKET_MAKING = "LEGITIMATE_MARKET_MAKING"
    HEDGING = "HEDGING"
    DATA_ERROR = "DATA_ERROR"
    DUPLICATE = "DUPLICATE"
    THRESHOLD_TOO_LOW = "THRESHOLD_TOO_LOW"
    IMMATERIAL = "IMMATERIAL"
    PART_OF_OTHER_CASE = "PART_OF_OTHER_CASE"
    SUSPECTED_ABUSE = "SUSPECTED_ABUSE"


class Refusal(StrEnum):
    """Why an action is refused."""

    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    UNKNOWN = "UNKNOWN"
    """There is no such case, or suppression."""
    ROLE_NEEDED = "ROLE_NEEDED"
    NOT_OWNER = "NOT_OWNER"
    SAME_PERSON = "SAME_PERSON"
    """The second person has to be one who has not worked on it."""
    CHANGED = "CHANGED"
    """Made on an older version; somebody else was first."""
    WRONG_STATE = "WRONG_STATE"
    FIELD = "FIELD"
    """A field that is missing, or is not what it must be."""


SEVERITIES: Final = ("LOW", "MEDIUM", "HIGH")
SECOND_PERSON_SEVERITY: Final = "HIGH"
"""A case of this severity is closed by two persons, whatever the outcome; one that is closed FORMAL always is."""

COMMENT_MAX: Final = 4_000
"""Characters of a comment, a question or a note."""
NAME_MAX: Final = 64
"""Characters of a person's name, and of an alert's or a case's id."""
ALERTS_MAX: Final = 200
"""Alerts of one case."""

_HOUR_NS: Final = 3_600_000_000_000
FIRST_LOOK_NS: Final = {"HIGH": 4 * _HOUR_NS, "MEDIUM": 24 * _HOUR_NS, "LOW": 72 * _HOUR_NS}
"""By severity, from the alert to the case that somebody has taken."""
DECISION_NS: Final = {"HIGH": 3 * 24 * _HOUR_NS, "MEDIUM": 10 * 24 * _HOUR_NS, "LOW": 30 * 24 * _HOUR_NS}
"""By severity, from the opening of the case to its closing. Stands still while it is PENDING_INFO."""
SUPPRESSION_NS_MAX: Final = 90 * 24 * _HOUR_NS
"""The longest that a suppression may last."""
