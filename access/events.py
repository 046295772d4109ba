"""What is recorded of people: every sign-in, every refusal, every act that changes something."""

from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """What somebody did, or was kept from doing."""

    SIGNED_IN = "SIGNED_IN"
    SIGN_IN_REFUSED = "SIGN_IN_REFUSED"
    """Wrong name, password or code, or a person who may not come in; `detail` says which."""
    SIGNED_OUT = "SIGNED_OUT"
    """`detail` says whether it was from everywhere."""
    TOKEN_REFUSED = "TOKEN_REFUSED"  # noqa: S105  no password
    """An operator token that is unknown, over or withdrawn."""
    FORBIDDEN = "FORBIDDEN"
    """A person who is known asked for what their roles, token or page do not allow."""
    ACTED = "ACTED"
    """Something is about to be changed, or a report is taken: recorded before it is done, and not done where it cannot be recorded."""


@dataclass(frozen=True)
class AccessEvent:
    """One of them. at_ns: ns since 1970 by the clock of who records it."""

    at_ns: int
    act: Act
    person: str
    """As it was given; not of somebody who exists, if the sign-in was refused."""
    address: str
    """Where the request came from; of a command, the machine's name for its user."""
    what: str
    """Of an act: what was asked for, such as `POST /surveillance/cases/7/close`."""
    detail: str = ""
