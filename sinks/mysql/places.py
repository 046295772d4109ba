"""Places in the log that a reader has seen, and the signed form in which clients carry them from one edge to another.

A place is an account shard and the seq of one of its events (account.events). The sink writes the seq of the last event that it has stored in
the transaction of the rows, so every server can say whether it has what somebody has seen: whatever its make, after a promotion, after a rebuild.
"""

import hashlib
import hmac
from typing import Final, NamedTuple

from sinks.edge_secret import edge_secret

_CODE_BYTES: Final = 16
_SEQ_MAX: Final = (1 << 63) - 1


class Place(NamedTuple):
    """Everything up to event `seq` of the account shard, as it stands."""

    shard: int
    seq: int


def later(one: Place | None, other: Place | None) -> Place | None:
    """The later of two places of one shard."""
    if one is None or other is None:
        return one or other
    return one if one.seq >= other.seq else other


class PlaceTokens:
    """Places as texts that nobody else can make: one from the future would send all of a client's reads to the primary."""

    def __init__(self, mysql_url: str) -> None:
        self._key = edge_secret(mysql_url, b"outcry-places", 32)

    def seal(self, account: int, place: Place) -> str:
        """The token, for this account alone."""
        return f"{place.shard}.{place.seq}.{self._code(account, place)}"

    def open(self, account: int, token: str) -> Place | None:
        """The place; None for a token that was not made here for this account."""
        parts = token.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 19 for part in parts[:2]):
            return None
        place = Place(int(parts[0]), int(parts[1]))
        known = hmac.compare_digest(token.encode("ascii", "replace"), self.seal(account, place).encode())  # one place has one text
        return place if known and place.seq <= _SEQ_MAX else None

    def _code(self, account: int, place: Place) -> str:
        text = f"{account}.{place.shard}.{place.seq}".encode()
        return hashlib.blake2b(text, digest_size=_CODE_BYTES, key=self._key).hexdigest()
