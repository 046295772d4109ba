"""What a client has of its channels: its place in each, its books, and whether a push fits. No I/O.

Rules
* A snapshot stands for everything before it. Any other push must follow the one that was taken last, and a book's checksum must be that of the copy.
* A push that does not fit is not handed on. The channel is subscribed to again, and until its snapshot comes nothing of it is handed on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from outcry.client.books import Book, WrongChecksum


@dataclass(frozen=True, slots=True)
class Push:
    """What a channel told. `snapshot`: it stands for everything before it; `book`: the client's copy after it, of a book channel."""

    channel: str
    seq: int
    snapshot: bool
    data: dict[str, Any]
    book: Book | None = None


@dataclass(slots=True)
class _Place:
    """seq: of the push that was taken last; None while a snapshot is awaited."""

    epoch: str = ""
    seq: int | None = None


class Channels:
    """Of one client, over all of its connections."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._books: dict[str, Book] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def add(self, names: Iterable[str]) -> None:
        """They are about to be subscribed to: a snapshot comes."""
        for name in names:
            self._places.setdefault(name, _Place())

    def remove(self, names: Iterable[str]) -> None:
        """Nothing more of them is handed on."""
        for name in names:
            self._places.pop(name, None)
            self._books.pop(name, None)

    def note(self, told: Iterable[Mapping[str, Any]]) -> None:
        """What the answer to a subscription says."""
        for one in told:
            if one["ch"] in self._places:
                self._places[one["ch"]].epoch = one["epoch"]

    def known(self) -> list[dict[str, Any]]:
        """Places from which to resume."""
        return [{"ch": name, "epoch": one.epoch, "seq": one.seq} for name, one in self._places.items() if one.seq is not None]

    def new(self) -> list[str]:
        """Channels of which a snapshot is needed."""
        return [name for name, one in self._places.items() if one.seq is None]

    def take(self, told: dict[str, Any]) -> tuple[Push | None, bool]:
        """(what to hand on, whether the channel must be subscribed to again)."""
        name, place = told["ch"], self._places.get(told["ch"])
        if place is None:
            return None, False  # unsubscribed meanwhile
        is_whole = bool(told.get("snapshot"))
        if not is_whole and (place.seq is None or told["prev"] != place.seq):
            return None, self._lose(place)
        book = None
        if name.startswith("book."):
            book = self._books.setdefault(name, Book())
            try:
                book.apply(told)
            except WrongChecksum:
                return None, self._lose(place)
        place.seq = told["seq"]
        return Push(name, told["seq"], is_whole, told, book), False

    def _lose(self, place: _Place) -> bool:
        is_news, place.seq = place.seq is not None, None
        return is_news
