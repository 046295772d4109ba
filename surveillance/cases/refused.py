"""What cannot be done, and why; and the checks of text that cases and suppressions share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from surveillance.cases.words import COMMENT_MAX, NAME_MAX, Refusal


@dataclass(frozen=True)
class Refused:
    """`field`: the one that is wrong. `version`: the current one of what was to be changed."""

    code: Refusal
    text: str
    field: str = ""
    version: int = 0


def field_wrong(name: str, text: str) -> Refused:
    """422 in words."""
    return Refused(Refusal.FIELD, f"{name} {text}", field=name)


def check_comment(record: dict[str, Any], *, needed: bool) -> Refused | None:
    """What is wrong with the comment."""
    comment = record["comment"]
    if needed and not comment.strip():
        return field_wrong("comment", "must say why")
    if len(comment) > COMMENT_MAX:
        return field_wrong("comment", f"has {len(comment):,} characters; at most {COMMENT_MAX:,}")
    return None


def is_name(text: str) -> bool:
    """Whether it can be the name of a person, or an id: printable, without spaces around it, not too long."""
    return 0 < len(text) <= NAME_MAX and text.isprintable() and text == text.strip()


def is_id(text: str) -> bool:
    """Whether it can be an id: a name of ASCII characters."""
    return text.isascii() and is_name(text)


def check_new_id(record: dict[str, Any], prefix: str) -> Refused | None:
    """Whether the record's case_id can be that of a new case or suppression: their ids begin differently."""
    if is_id(record["case_id"]) and record["case_id"].startswith(prefix):
        return None
    return field_wrong("case_id", f"must be an id that begins with {prefix}")


def is_whole(text: str) -> bool:
    """Whether it is a whole number as facts have it: digits, within 64 bits or nearly so."""
    return text.isascii() and text.isdigit() and len(text) <= 19


def check_actor(record: dict[str, Any]) -> Refused | None:
    """Whether the record says who."""
    return None if is_name(record["actor"]) else field_wrong("actor", "must be the name of a person")


def check_role(record: dict[str, Any], roles: Iterable[str]) -> Refused | None:
    """Whether the person has one of these roles."""
    wanted = sorted(roles)
    if set(wanted) & set(record["roles"]):
        return None
    return Refused(Refusal.ROLE_NEEDED, f"{record['action']} is for {' or '.join(wanted)}")
