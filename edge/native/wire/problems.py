"""What went wrong, as RFC 9457 problem documents with codes that stay: over HTTP the body, over the socket the field `problem`. No I/O.

`outcome` says what became of the request: `rejected` (decided against), `not_sent` (nothing was done), `unknown` (sent, and no decision came).
"""

import math
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar, assert_never

from edge.gateway.outcomes import (
    Accepted,
    AlreadyDone,
    Cause,
    Denied,
    OutcomeUnknown,
    Refused,
    ShortOfCash,
    ShortOfShares,
    Unavailable,
)
from schemas.enums import CommandKind
from schemas.reject_reasons import SENTENCES, Reason
from schemas.units import minor_to_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """Of a code: its HTTP status and what it means."""

    status: int
    title: str

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (429, 503)


KINDS: Final[dict[str, Kind]] = {
    "invalid_message": Kind(400, "the message cannot be read"),
    "too_large": Kind(413, "the body is too large"),
    "body_late": Kind(408, "the body did not arrive in time"),
    "invalid_field": Kind(422, "a field cannot be taken"),
    "unknown_field": Kind(422, "a field does not exist"),
    "unknown_op": Kind(404, "there is no such operation"),
    "unknown_channel": Kind(404, "there is no such channel"),
    "not_here": Kind(421, "another address of the edge has that"),
    "not_subscribed": Kind(422, "the channel is not subscribed"),
    "not_found": Kind(404, "there is no such order or key"),
    "not_logged_on": Kind(401, "the request needs an API key"),
    "denied": Kind(401, "the API key is wrong"),
    "signature_wrong": Kind(401, "the signature is wrong"),
    "outside_window": Kind(401, "the signed request comes too early or too late"),
    "request_repeated": Kind(409, "the signed request has come before"),
    "wrong_scope": Kind(403, "the API key may not do that"),
    "already_logged_on": Kind(422, "the connection belongs to a key already"),
    "limit_reached": Kind(422, "a limit of /v1/limits is reached"),
    "rejected": Kind(422, "the exchange decided against it"),
    "too_many_requests": Kind(429, "too many requests"),
    "unavailable": Kind(503, "not now: nothing was done"),
    "outcome_unknown": Kind(503, "sent, and no decision came in time"),
    "internal": Kind(500, "a fault of the exchange"),
}
"""By code. A code is never renamed; new ones may come."""

_UNKNOWN: Final = {
    CommandKind.NEW_ORDER: "ask order.status by cl_ord_id, or send the same order again: it is never placed twice",
    CommandKind.REPLACE: "ask order.status before you amend again",
    CommandKind.CANCEL: "ask order.status, or cancel again",
}


class Problem(Exception):
    """An answer that is not what the client hoped for."""

    def __init__(self, code: str, detail: str, *, outcome: str = "not_sent", retry_after_s: float = 0.0, **facts: Any) -> None:
        super().__init__(detail)
        self.code, self.detail, self.outcome, self.retry_after_s, self.facts = code, detail, outcome, retry_after_s, facts

    @property
    def kind(self) -> Kind:
        """Of its code."""
        return KINDS[self.code]

    def document(self, request_id: str) -> dict[str, Any]:
        """RFC 9457; beyond it `code`, `retryable`, `outcome`, `request_id`, and facts such as `field` or `reason`."""
        kind = self.kind
        document = {
            "type": f"/v1/problems#{self.code}", "title": kind.title, "status": kind.status, "detail": self.detail, "code": self.code,
            "retryable": kind.retryable, "outcome": self.outcome, "request_id": request_id,
        }  # fmt: skip
        if self.retry_after_s:
            document["retry_after_s"] = math.ceil(self.retry_after_s)
        return document | self.facts


def invalid(field: str, detail: str) -> Problem:
    """A field that cannot be taken; the detail begins with its name."""
    return Problem("invalid_field", f"{field} {detail}", field=field)


def value_of(outcome: Accepted[T] | Refused | Unavailable | OutcomeUnknown | Denied) -> T:
    """What was asked for; raises Problem where the outcome is another."""
    if isinstance(outcome, Accepted):
        return outcome.value
    raise problem_of(outcome)


def problem_of(outcome: Refused | Unavailable | OutcomeUnknown | Denied) -> Problem:
    """Every outcome but the good one."""
    match outcome:
        case Refused():
            return _refused(outcome)
        case Unavailable(cause, text, retry_after_s):
            mine = cause in (Cause.TOO_MANY_GUESSES, Cause.TOO_MANY_REQUESTS)
            code = "too_many_requests" if mine else "unavailable"
            return Problem(code, text, retry_after_s=retry_after_s, cause=cause.name.lower())
        case OutcomeUnknown(kind):
            return Problem("outcome_unknown", f"no decision in time: {_UNKNOWN[kind]}", outcome="unknown", retry_after_s=1)
        case Denied(text):
            return Problem("denied", text or "unknown API key, or wrong secret")
        case _:
            assert_never(outcome)


def rejected(reason: Reason, **facts: Any) -> Problem:
    """The exchange's word, with its reason."""
    return Problem("rejected", SENTENCES[reason], outcome="rejected", reason=reason.name, **facts)


def _refused(outcome: Refused) -> Problem:
    facts: dict[str, Any] = {"order": outcome.where} if outcome.where else {}
    match outcome.what:
        case ShortOfCash(available):
            facts["available"] = minor_to_text(available)
        case ShortOfShares(instrument, requested, available):
            facts |= {"requested": instrument.qty_text(requested), "available": instrument.qty_text(available)}
        case AlreadyDone(ord_status):
            facts["ord_status"] = ord_status.name.lower()
        case None:
            pass
        case _:
            assert_never(outcome.what)
    if outcome.reason is Reason.UNKNOWN_ORDER:
        return Problem("not_found", SENTENCES[outcome.reason], outcome="rejected", reason=outcome.reason.name)
    return rejected(outcome.reason, **facts)


def not_logged_on() -> NoReturn:
    """Raises Problem."""
    raise Problem("not_logged_on", "session.logon first")
