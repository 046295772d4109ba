"""Who is one party: groups of accounts of one owner, from sets that name when they take effect.

A set is immutable: it is added before its time and never changed afterwards. So which owner an account had is a function of the log's time and
of the sets; `digest` names those that were in effect, and goes into snapshots and alerts. Without a set every account is its own owner.

    [[owner_set]]                        # TOML
    effective_from = 1893456000000000000   # ns of log time
    groups = [[101, 102], [7, 12, 40]]     # accounts of one owner each
"""

import hashlib
import tomllib
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


class Owners:
    """The owner of every account. An owner's number is the lowest account number of its group."""

    def __init__(self, sets: Sequence[OwnerSet] = ()) -> None:
        self._waiting = sorted(sets, key=lambda one: one.effective_from)
        self._of: dict[int, int] = {}
        self._members: dict[int, tuple[int, ...]] = {}
        self._digest = hashlib.blake2b(digest_size=16)
        self.next_at = self._waiting[0].effective_from if self._waiting else 0
        """When the next set takes effect; 0: never."""

    @classmethod
    def of_toml(cls, text: str) -> Self:
        """The sets of a TOML file. Raises BadOwnerSets."""
        try:
            listed = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
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
            self._digest.update(repr((taken.effective_from, taken.groups)).encode())
            self.next_at = self._waiting[0].effective_from if self._waiting else 0

    @property
    def accounts_known(self) -> bool:
        """Whether any set has taken effect with a group in it."""
        return bool(self._members)

    @property
    def digest(self) -> bytes:
        """16 bytes over all sets that have taken effect so far."""
        return self._digest.digest()


def _read(number: int, entry: Any) -> OwnerSet:
    where = f"owner sets: set {number}"
    if not isinstance(entry, dict) or entry.keys() != {"effective_from", "groups"}:
        raise BadOwnerSets(f"{where}: needs exactly effective_from and groups")
    since, groups = entry["effective_from"], entry["groups"]
    if not _whole(since):
        raise BadOwnerSets(f"{where}: effective_from must be a positive number of ns, not {since!r}")
    if not isinstance(groups, list) or not all(isinstance(group, list) and len(group) >= 2 for group in groups):
        raise BadOwnerSets(f"{where}: groups must be a list of lists of at least two accounts")
    accounts = [account for group in groups for account in group]
    for account in accounts:
        if not _whole(account):
            raise BadOwnerSets(f"{where}: {account!r} is no account number")
    if len(accounts) > ACCOUNTS_MAX:
        raise BadOwnerSets(f"{where}: {len(accounts)} accounts, more than {ACCOUNTS_MAX}")
    if len(set(accounts)) < len(accounts):
        twice = next(account for place, account in enumerate(accounts) if account in accounts[:place])
        raise BadOwnerSets(f"{where}: account {twice} is named twice; a group is everybody who belongs together")
    return OwnerSet(since, tuple(sorted(tuple(sorted(group)) for group in groups)))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _WHOLE_MAX
