"""People who work on the exchange, and what each may do. Customers are not among them: they have API keys."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.errors import OutcryError

_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,63}")


class Role(StrEnum):
    """What a person works as; somebody may have several."""

    OPERATOR = "operator"
    """Runs the exchange: sessions, accounts, API keys."""
    ANALYST = "analyst"
    """Reads alerts and works on cases."""
    SUPERVISOR = "supervisor"
    """Decides what analysts propose."""
    COMPLIANCE = "compliance"
    """Reads everything that was decided, and reports."""


@dataclass(frozen=True)
class Person:
    """Somebody who has shown who they are, with the roles that count for this request."""

    name: str
    roles: frozenset[Role]
    token_id: str = ""
    """The operator token that a program showed in the person's name; empty: the person has signed in."""
    read_only: bool = False
    """The token may not change anything."""

    @property
    def known_as(self) -> str:
        """For records: the name, and the token if it was one."""
        return f"{self.name} (token {self.token_id})" if self.token_id else self.name


def is_name(text: str) -> bool:
    """Whether a person can have this name: a lower-case letter, then letters, digits, `.`, `_` and `-`, 64 together. One spelling, one person."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str) -> None:
    """Raises OutcryError."""
    if not is_name(text):
        raise OutcryError(
            f"{text!r} cannot be a person's name: it begins with a lower-case letter and has at most 64 of a-z, 0-9, dot, _ and -"
        )


def roles_of(text: str) -> frozenset[Role]:
    """Roles as they are stored: names with commas. One that this version does not know is none."""
    known = {str(role) for role in Role}
    return frozenset(Role(name) for name in text.split(",") if name in known)


def text_of(roles: Iterable[Role]) -> str:
    """Roles as they are stored."""
    return ",".join(sorted(set(roles)))
