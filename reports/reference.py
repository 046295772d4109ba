"""Who reports, and which member each account belongs to: what the log does not say and regulators ask for. No I/O.

Read from a TOML list by a shell. Names of customers are not in it: an account has a member, and a member knows its customers.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from schemas.errors import OutcryError

CAPACITIES: Final = ("Agency", "Principal", "RisklessPrincipal")
NAME_CHARACTERS_MAX: Final = 40
TEMPLATE: Final = """\
# Who reports, and which member each account belongs to. OUTCRY_REPORTS_FILE names this file.
reporter = "OUTCRY"        # our name in the names of files
exchange = "OUTCRY"        # our name in events
otr_number_max = 0         # highest order-to-trade ratio allowed, by number of messages; 0: none
otr_volume_max = 0         # the same by volume

[default]                  # of every account that is not listed
member = "MEMBER1"         # the broker's identifier
clearing_number = "0001"
routing_party = "MEMBER1"  # who sends its orders to us
capacity = "Agency"        # Agency, Principal or RisklessPrincipal

# [[account]]
# number = 7
# member = "MEMBER2"
# capacity = "Principal"
# session = "FIX7"         # the connection on which its orders come; without it, each account is a session of its own
"""


class BadReference(OutcryError):
    """The reference of the reports is not valid; the message says which entry and why."""


@dataclass(frozen=True, slots=True)
class Member:
    """To whom an account belongs, as regulators know it."""

    member: str
    clearing_number: str
    routing_party: str
    capacity: str
    session: str = ""
    """Empty: each account is a session of its own, as its cl_ord_ids are."""


@dataclass(frozen=True)
class Reference:
    """The whole list."""

    reporter: str
    exchange: str
    default: Member
    accounts: Mapping[int, Member]
    otr_number_max: float = 0.0
    otr_volume_max: float = 0.0

    def member_of(self, account: int) -> Member:
        """Of an account."""
        found = self.accounts.get(account, self.default)
        return found if found.session else replace(found, session=f"A{account}")


def parse_reference(text: str, where: str) -> Reference:
    """A reference from TOML text. Raises BadReference naming `where` and what is wrong."""
    try:
        return _parse(tomllib.loads(text))
    except (ValueError, RecursionError, BadReference) as error:  # ValueError: not TOML, or a number of thousands of digits
        raise BadReference(f"{where}: {error}") from error


def _parse(found: dict[str, Any]) -> Reference:
    known = {"reporter", "exchange", "otr_number_max", "otr_volume_max", "default", "account"}
    _refuse_unknown(found, known, "the list")
    default = _member(found.get("default", {}), {}, "default")
    entries = found.get("account", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadReference("accounts are an array of tables: write [[account]]")
    accounts: dict[int, Member] = {}
    given = {one.name: getattr(default, one.name) for one in fields(Member)}
    for place, entry in enumerate(entries, 1):
        number = entry.get("number")
        if not isinstance(number, int) or isinstance(number, bool) or number <= 0:
            raise BadReference(f"account {place}: number must be a positive whole number")
        if number in accounts:
            raise BadReference(f"account {number} is there twice")
        accounts[number] = _member({name: value for name, value in entry.items() if name != "number"}, given, f"account {number}")
    reporter, exchange = (_name(found.get(name), f"the list: {name}") for name in ("reporter", "exchange"))
    by_number, by_volume = (_limit(found.get(name, 0), name) for name in ("otr_number_max", "otr_volume_max"))
    return Reference(reporter, exchange, default, accounts, by_number, by_volume)


def _member(entry: Any, given: dict[str, str], where: str) -> Member:
    if not isinstance(entry, dict):
        raise BadReference(f"{where} must be a table")
    names = [one.name for one in fields(Member)]
    _refuse_unknown(entry, set(names), where)
    values = {"session": ""} | given | entry
    found = Member(
        **{name: "" if name == "session" and not values[name] else _name(values.get(name), f"{where}: {name}") for name in names}
    )
    if found.capacity not in CAPACITIES:
        raise BadReference(f"{where}: capacity must be {', '.join(CAPACITIES)}")
    return found


def _refuse_unknown(entry: dict[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(entry.keys() - known):
        raise BadReference(f"{where}: {unknown[0]} is not known; there are {', '.join(sorted(known))}")


def _name(value: Any, where: str) -> str:
    """Part of names of files, and of fields that a `@` or a comma would end."""
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= NAME_CHARACTERS_MAX
        or not value.isascii()
        or not value.replace("-", "a").isalnum()
    ):
        raise BadReference(f"{where} must be 1 to {NAME_CHARACTERS_MAX} letters, digits and hyphens")
    return value


def _limit(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise BadReference(f"{where} must be a number from 0 on")
    return float(value)
