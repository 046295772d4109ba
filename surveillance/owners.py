"""Who is one party, and who trades for whom: groups of accounts of one owner, and members with their customers.

Both come from sets that name when they take effect.

A set is immutable: it is added before its time and never changed afterwards. So which owner an account had is a function of the log's time and
of the sets; `digest` names those that were in effect, and goes into snapshots and alerts. Without a set every account is its own owner.

    [[owner_set]]                        # TOML
    effective_from = 1893456000000000000   # ns of log time
    groups = [[101, 102], [7, 12, 40]]     # accounts of one owner each
    members = [{ own = [101], customers = [500, 501] }]   # optional: a member's own accounts, and those of its customers
"""

import hashlib
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from schemas.errors import OutcryError

ACCOUNTS_MAX: Final = 1_000_000
"""Accounts in one set, ~100 B each."""
_WHOLE_MAX: Final = 1 << 63


class BadOwnerSets(OutcryError):
    """The list of owner sets is not valid; the message says which set and why."""


@dataclass(frozen=True)
class OwnerSet:
    """From log time `effective_from` (ns) on, each of `groups` is one owner: ascending account numbers."""

    effective_from: int
    groups: tuple[tuple[int, ...], ...]
    members: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()
    """(own accounts, customers' accounts) of each member."""


class Owners:
    """The owner of every account. An owner's number is the lowest account number of its group, a member's the lowest of its own accounts."""

    def __init__(self, sets: Sequence[OwnerSet] = ()) -> None:
        self._waiting = sorted(sets, key=lambda one: one.effective_from)
        self._of: dict[int, int] = {}
        self._members: dict[int, tuple[int, ...]] = {}
        self._digest = hashlib.blake2b(digest_size=16)
        self.member_of_customer: dict[int, int] = {}
        """By account. An account that is in neither table trades for itself."""
        self.member_of_owner: dict[int, int] = {}
        """By owner, of members' own accounts."""
        self.next_at = self._waiting[0].effective_from if self._waiting else 0
        """When the next set takes effect; 0: never."""

    @classmethod
    def of_toml(cls, text: str) -> Self:
        """The sets of a TOML file. Raises BadOwnerSets."""
        try:
            listed = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # of numbers with thousands of digits too
            raise BadOwnerSets(f"owner sets: not TOML: {error}") from None
        if unknown := sorted(listed.keys() - {"owner_set"}):
            raise BadOwnerSets(f"owner sets: unknown key {unknown[0]}; only [[owner_set]] is known")
        entries = listed.get("owner_set", [])
        if not isinstance(entries, list):
            raise BadOwnerSets("owner sets: owner_set must be a list of tables, [[owner_set]]")
        sets = [_read(number, entry) for number, entry in enumerate(entries, 1)]
        times = [one.effective_from for one in sets]
        if len(set(times)) < len(times):
            raise BadOwnerSets("owner sets: two sets have the same effective_from")
        return cls(sets)

    def owner_of(self, account: int) -> int:
        """The account's owner."""
        return self._of.get(account, account)

    def accounts_of(self, owner: int) -> tuple[int, ...]:
        """The accounts of an owner, ascending."""
        return self._members.get(owner, (owner,))

    def advance(self, now: int) -> None:
        """Log time is `now`: sets whose time has come replace those before them."""
        while self.next_at and self.next_at <= now:
            taken = self._waiting.pop(0)
            self._members = {group[0]: group for group in taken.groups}
            self._of = {account: group[0] for group in taken.groups for account in group}
            self.member_of_customer = {account: own[0] for own, customers in taken.members for account in customers}
            self.member_of_owner = {self.owner_of(account): own[0] for own, _ in taken.members for account in own}
            named = (taken.effective_from, taken.groups, *((taken.members,) if taken.members else ()))
            self._digest.update(repr(named).encode())
            self.next_at = self._waiting[0].effective_from if self._waiting else 0

    @property
    def accounts_known(self) -> bool:
        """Whether any set has taken effect with a group or a member in it."""
        return bool(self._members or self.member_of_owner)

    @property
    def digest(self) -> bytes:
        """16 bytes over all sets that have taken effect so far."""
        return self._digest.digest()


def _read(number: int, entry: Any) -> OwnerSet:
    where = f"owner sets: set {number}"
    if not isinstance(entry, dict) or entry.keys() - {"members"} != {"effective_from", "groups"}:
        raise BadOwnerSets(f"{where}: needs exactly effective_from and groups, and may have members")
    since, groups, members = entry["effective_from"], entry["groups"], entry.get("members", [])
    if not _whole(since):
        raise BadOwnerSets(f"{where}: effective_from must be a positive number of ns, not {since!r}")
    if not isinstance(groups, list) or not all(isinstance(group, list) and len(group) >= 2 for group in groups):
        raise BadOwnerSets(f"{where}: groups must be a list of lists of at least two accounts")
    _check(where, [account for group in groups for account in group], "a group is everybody who belongs together")
    return OwnerSet(since, tuple(sorted(tuple(sorted(group)) for group in groups)), _read_members(where, members))


def _read_members(where: str, members: Any) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    if not isinstance(members, list) or not all(_is_member(one) for one in members):
        raise BadOwnerSets(f"{where}: members must be a list of tables, each with the lists own and customers, neither empty")
    listed = [account for one in members for account in (*one["own"], *one["customers"])]
    _check(where, listed, "an account is a member's own or one member's customer")
    return tuple(sorted((tuple(sorted(one["own"])), tuple(sorted(one["customers"]))) for one in members))


def _is_member(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"own", "customers"}
        and all(isinstance(accounts, list) and accounts for accounts in entry.values())
    )


def _check(where: str, accounts: list[Any], twice_is: str) -> None:
    for account in accounts:
        if not _whole(account):
            raise BadOwnerSets(f"{where}: {account!r} is no account number")
    if len(accounts) > ACCOUNTS_MAX:
        raise BadOwnerSets(f"{where}: {len(accounts)} accounts, more than {ACCOUNTS_MAX}")
    if len(set(accounts)) < len(accounts):
        twice = next(account for account, times in Counter(accounts).items() if times > 1)
        raise BadOwnerSets(f"{where}: account {twice} is named twice; {twice_is}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _WHOLE_MAX
