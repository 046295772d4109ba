"""What a request can come to beside its answer."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A problem document of the exchange: nothing was done. `code` stays; `retryable`: the same request may succeed later."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}")
        self.problem = dict(problem)
        self.code = str(problem.get("code"))
        self.retryable = bool(problem.get("retryable"))


class Rejected(ApiError):
    """The exchange decided against it; `reason` is its word."""

    @property
    def reason(self) -> str:
        """Of docs/wire.md."""
        return str(self.problem.get("reason", ""))


class OutcomeUnknown(ApiError):
    """Sent, and no decision came. Ask `status` by `cl_ord_id`, or send the same order again with it: it is never placed twice."""

    cl_ord_id = ""
    """Of the order that was to be placed."""


class ConnectionEnded(Exception):
    """There will be no other connection: the exchange said not to come back, or the program does not read what it has subscribed to."""


NO_CONNECTION = frozenset({"not_connected", "connection_lost"})
"""Codes of this client itself."""


def not_sent(op: str) -> ApiError:
    """There was no connection."""
    return ApiError({"code": "not_connected", "detail": f"there is no connection for {op}: nothing was sent", "retryable": True})


def lost(op: str) -> OutcomeUnknown:
    """The connection was lost before the answer came."""
    return OutcomeUnknown({"code": "connection_lost", "detail": f"the connection was lost before the answer to {op}", "retryable": True})


def error_of(answer: Mapping[str, Any]) -> ApiError:
    """The error in an answer that is not ok."""
    kind = {"rejected": Rejected, "unknown": OutcomeUnknown}.get(str(answer.get("outcome")), ApiError)
    return kind(answer.get("problem", {}))
