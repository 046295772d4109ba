"""The accounts around an alert and what links them: one owner, one address, trades with one another. Pure.

    graph = linked(subjects, pairs, groups, signed_in, accounts_max=24)

Only accounts that something links to a subject (an account of the alert) are shown, and no more than asked for: subjects first, then who shares an
owner or an address with one, then who traded most with them. How many were left out is said. Everything is in order of account numbers or of
quantity, so two people see one picture.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class TradedPair(NamedTuple):
    """All trades of one instrument in which `seller` sold to `buyer`. qty: lots, notional: ticks x lots."""

    seller: int
    buyer: int
    trades: int
    qty: int
    notional: int


class SignIn(NamedTuple):
    """Somebody has shown an API key of an account on the trading page; ns since 1970."""

    account: int
    address: str
    at: int


@dataclass(frozen=True)
class Link:
    """Accounts that have one owner, or one address. Of an address: how often they signed in from there, and when first and last (ns)."""

    kind: str
    """"owner" or "address"."""
    what: str
    accounts: tuple[int, ...]
    times: int = 0
    first_at: int = 0
    last_at: int = 0


@dataclass(frozen=True)
class Graph:
    """accounts: ascending; the trades are those among them."""

    subjects: tuple[int, ...]
    accounts: tuple[int, ...]
    links: tuple[Link, ...]
    left_out: int
    """Accounts that are linked to a subject and not shown."""


def linked(
    subjects: Iterable[int],
    partners: Sequence[TradedPair],
    groups: Iterable[tuple[int, ...]],
    signed_in: Iterable[SignIn],
    accounts_max: int,
) -> Graph:
    """partners: pairs of which one is a subject. groups: accounts of one owner each, of owners of subjects."""
    known = tuple(sorted(set(subjects)))
    links = [*_owners(groups), *_addresses(known, signed_in)]
    found = dict.fromkeys(known)
    found |= dict.fromkeys(account for one in links for account in one.accounts)
    found |= dict.fromkeys(_by_quantity(known, partners))
    chosen = frozenset(list(found)[:accounts_max])
    shown = [_among(one, chosen) for one in links]
    return Graph(
        tuple(one for one in known if one in chosen), tuple(sorted(chosen)), tuple(one for one in shown if len(one.accounts) > 1),
        len(found) - len(chosen),
    )  # fmt: skip


def _owners(groups: Iterable[tuple[int, ...]]) -> list[Link]:
    return [Link("owner", f"owner {min(group)}", tuple(sorted(group))) for group in sorted(set(groups)) if len(group) > 1]


def _addresses(subjects: tuple[int, ...], signed_in: Iterable[SignIn]) -> list[Link]:
    """Addresses from which a subject and somebody else signed in."""
    by_address: dict[str, list[SignIn]] = {}
    for one in signed_in:
        by_address.setdefault(one.address, []).append(one)
    found = []
    for address, times in sorted(by_address.items()):
        accounts = tuple(sorted({one.account for one in times}))
        if len(accounts) > 1 and not set(accounts).isdisjoint(subjects):
            found.append(Link("address", address, accounts, len(times), min(one.at for one in times), max(one.at for one in times)))
    return found


def _by_quantity(subjects: tuple[int, ...], partners: Sequence[TradedPair]) -> list[int]:
    """Who traded with a subject, most first."""
    lots: dict[int, int] = {}
    for one in partners:
        for account, other in ((one.seller, one.buyer), (one.buyer, one.seller)):
            if other in subjects and account not in subjects:
                lots[account] = lots.get(account, 0) + one.qty
    return sorted(lots, key=lambda account: (-lots[account], account))


def _among(link: Link, chosen: frozenset[int]) -> Link:
    return Link(link.kind, link.what, tuple(one for one in link.accounts if one in chosen), link.times, link.first_at, link.last_at)
