"""What the second stage knows of parties: what they did lately, what they usually do, and from where their accounts are opened.

A function of the records of one partition of the facts. Bounded: ROWS_MAX half minutes of parties, HABITS_MAX habits, ACCOUNTS_MAX accounts of PLACES_MAX
places each; beyond them, whoever was quiet for longest is forgotten. Prices ticks, quantities lots, times ns.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from math import isqrt
from typing import Any, Final, NamedTuple

from schemas.codec import Rows
from surveillance.accounts.facts import PartySum, Seen
from surveillance.state_bytes import pack, unpack

SECOND_NS: Final = 1_000_000_000
KEPT_NS: Final = 7_200 * SECOND_NS
"""Two hours of half minutes are known one by one; what is older is habit."""
ROWS_MAX: Final = 100_000
"""Half minutes of all parties, ~2 KB each with their evidence."""
HABITS_MAX: Final = 200_000
"""Of a party in an instrument, ~250 B each."""
ACCOUNTS_MAX: Final = 100_000
PLACES_MAX: Final = 16
BOOK_HALVES_MAX: Final = 240
MOVES_MIN: Final = 8
"""Half minutes in which two books must both have moved, before it is known whether they move together."""
_SEEN: Final = PartySum._fields.index("seen")


class BookHalf(NamedTuple):
    """Half a minute of a book; `at`: its end."""

    at: int
    middle: int
    level_qty: int
    taken: int


class Entry(NamedTuple):
    """An account was opened from a place where it had not been opened before."""

    account: int
    at: int
    known: int
    """Other places that were known then."""
    since: int
    """When the account was first opened from any."""
    what: str


class Parties:
    """All parties of one partition."""

    def __init__(self) -> None:
        self.books: dict[int, deque[BookHalf]] = {}
        self._recent: OrderedDict[int, deque[PartySum]] = OrderedDict()  # by owner, who did something last at the end
        self._rows = 0
        self._habits: OrderedDict[tuple[int, int], list[int]] = OrderedDict()  # (owner, instrument) -> [half minutes, lots]
        self._places: OrderedDict[int, dict[str, int]] = OrderedDict()  # account -> place -> when it was first seen
        self._entries: OrderedDict[int, list[Entry]] = OrderedDict()  # by owner

    def __len__(self) -> int:
        return self._rows

    # -- what happened

    def note_book(self, instrument: int, half: BookHalf) -> None:
        """A half minute of a book; a second record of the same adds nothing."""
        halves = self.books.get(instrument)
        if halves is None:
            halves = self.books[instrument] = deque(maxlen=BOOK_HALVES_MAX)
        if not halves or halves[-1].at < half.at:
            halves.append(half)

    def note(self, one: PartySum) -> None:
        """What a party did."""
        rows = self._recent.pop(one.owner, None)
        if rows is None:
            rows = deque()
        self._recent[one.owner] = rows
        rows.append(one)
        self._rows += 1
        while rows[0].end_at < one.end_at - KEPT_NS:
            self._become_habit(rows.popleft())
        while self._rows > ROWS_MAX:
            quiet = next(iter(self._recent))
            self._become_habit(self._recent[quiet].popleft())
            if not self._recent[quiet]:
                del self._recent[quiet]

    def _become_habit(self, one: PartySum) -> None:
        self._rows -= 1
        if not one.traded:
            return
        key = (one.owner, one.instrument)
        halves, lots = self._habits.pop(key, (0, 0))
        self._habits[key] = [halves + 1, lots + one.traded]
        if len(self._habits) > HABITS_MAX:
            self._habits.popitem(last=False)

    def note_place(self, owner: int, account: int, place: str, at: int, what: str) -> Entry | None:
        """An account was opened. Returns what is new about it: None if the place was known."""
        places = self._places.pop(account, None) or {}
        self._places[account] = places
        if len(self._places) > ACCOUNTS_MAX:
            self._places.popitem(last=False)
        if place in places:
            return None
        entry = Entry(account, at, len(places), min(places.values(), default=at), what)
        places[place] = at
        if len(places) > PLACES_MAX:
            del places[next(iter(places))]
        if not entry.known:
            return None
        kept = self._entries.pop(owner, None) or []
        self._entries[owner] = [*kept[-3:], entry]
        if len(self._entries) > ACCOUNTS_MAX:
            self._entries.popitem(last=False)
        return entry

    # -- what is known

    def of(self, owner: int) -> Iterator[PartySum]:
        """What a party did lately, in the order in which it became known."""
        return iter(self._recent.get(owner, ()))

    def owners_in(self, instrument: int, since: int) -> list[int]:
        """Who traded an instrument since a time, ascending."""
        return sorted(
            owner for owner, rows in self._recent.items()
            if rows[-1].end_at > since and any(one.instrument == instrument and one.traded and one.end_at > since for one in rows)
        )  # fmt: skip

    def entries(self, owner: int) -> list[Entry]:
        """The newest new places of a party's accounts."""
        return self._entries.get(owner, [])

    def habit(self, owner: int, instrument: int, before: int) -> tuple[int, int]:
        """(half minutes in which it traded the instrument before a time, lots in them)."""
        halves, lots = self._habits.get((owner, instrument), (0, 0))
        for one in self.of(owner):
            if one.instrument == instrument and one.traded and one.end_at <= before:
                halves, lots = halves + 1, lots + one.traded
        return halves, lots

    def halves(self, instrument: int, since: int, until: int) -> list[BookHalf]:
        """The half minutes of a book that ended after `since` and at `until` the latest."""
        return [one for one in self.books.get(instrument, ()) if since < one.at <= until]

    def together(self, one: int, other: int) -> int:
        """How two books move: their correlation in percent, -100 to 100; 0 while too little is known. By half minutes in which both prices are known."""
        others = {half.at: half.middle for half in self.books.get(other, ()) if half.middle}
        pairs = [(half.middle, others[half.at]) for half in self.books.get(one, ()) if half.middle and half.at in others]
        moves = [(pairs[n][0] - pairs[n - 1][0], pairs[n][1] - pairs[n - 1][1]) for n in range(1, len(pairs))]
        if len(moves) < MOVES_MIN:
            return 0
        spread = isqrt(sum(a * a for a, _ in moves) * sum(b * b for _, b in moves))
        product = sum(a * b for a, b in moves)
        return (abs(product) * 100 // spread) * (1 if product > 0 else -1) if spread else 0

    # -- snapshots

    def snapshot(self) -> dict[str, Rows]:
        """The whole state as named arrays."""
        return {
            "books": pack([[instrument, [list(half) for half in halves]] for instrument, halves in self.books.items()]),
            "recent": pack([_row_state(one) for rows in self._recent.values() for one in rows]),
            "habits": pack([[*key, *value] for key, value in self._habits.items()]),
            "places": pack([[account, list(places.items())] for account, places in self._places.items()]),
            "entries": pack([[owner, [list(one) for one in kept]] for owner, kept in self._entries.items()]),
        }

    def restore(self, arrays: dict[str, Any]) -> None:
        """Restore the state of a snapshot into these new parties."""
        for instrument, halves in unpack(arrays["books"]):
            self.books[instrument] = deque((BookHalf(*half) for half in halves), maxlen=BOOK_HALVES_MAX)
        for state in unpack(arrays["recent"]):
            one = _row_of(state)
            self._recent.setdefault(one.owner, deque()).append(one)
            self._rows += 1
        for owner, instrument, halves, lots in unpack(arrays["habits"]):
            self._habits[owner, instrument] = [halves, lots]
        for account, places in unpack(arrays["places"]):
            self._places[account] = dict(places)
        for owner, kept in unpack(arrays["entries"]):
            self._entries[owner] = [Entry(*one) for one in kept]


def _row_state(one: PartySum) -> list[Any]:
    return [*one[:_SEEN], [list(seen) for seen in one.seen], *one[_SEEN + 1 :]]


def _row_of(state: list[Any]) -> PartySum:
    return PartySum._make((*state[:_SEEN], tuple(Seen(*seen) for seen in state[_SEEN]), *state[_SEEN + 1 :]))
