"""A client's own copy of a book, checked at each push."""

from decimal import Decimal
from typing import Any
from zlib import crc32

CHECKSUM_LEVELS = 10


class WrongChecksum(Exception):
    """The copy is not the exchange's book; a new subscription sends it whole."""


class Book:
    """Best levels: price text -> quantity text."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    def apply(self, push: dict[str, Any]) -> None:
        """Take a push of a book channel. Raises WrongChecksum."""
        if push.get("snapshot"):
            self.bids, self.asks = dict(push["b"]), dict(push["a"])
        else:
            for side, changes in ((self.bids, push["b"]), (self.asks, push["a"])):
                for price, qty in changes:
                    if qty == "0":
                        side.pop(price, None)
                    else:
                        side[price] = qty
        if push["cs"] != self.checksum():
            raise WrongChecksum(push["ch"])

    def best_bids(self) -> list[tuple[str, str]]:
        """The highest first."""
        return sorted(self.bids.items(), key=lambda level: Decimal(level[0]), reverse=True)

    def best_asks(self) -> list[tuple[str, str]]:
        """The lowest first."""
        return sorted(self.asks.items(), key=lambda level: Decimal(level[0]))

    def checksum(self) -> int:
        """Kraken's rule."""
        levels = self.best_asks()[:CHECKSUM_LEVELS] + self.best_bids()[:CHECKSUM_LEVELS]
        return crc32("".join(text.replace(".", "").lstrip("0") for level in levels for text in level).encode())
