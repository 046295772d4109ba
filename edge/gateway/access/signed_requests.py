"""Who asks, by a signature: the request's time, the key's signature, and that it has not come before, in this order; each refused by its own name.

A signature is good once, at whichever edge: edges remember those that they have taken in Redis, for as long as they are good. While Redis is away
signed requests are refused, because one that comes twice could not be told from one that comes once.

A wrong signature says nothing about whether there is such a key, or one without a public key. Nothing is remembered of it, so nobody without the
private key can fill a memory. Unknown key ids count as guesses of the address, as in edge.gateway.access.sessions.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from access import signatures
from access.api_keys import admits
from edge.gateway.access.sessions import NOT_FROM_HERE, WITHDRAWN, Session, Sessions
from edge.gateway.limits import SIGNED_AHEAD_MS_MAX
from edge.gateway.outcomes import Accepted, Cause, Denied, Unavailable
from schemas.errors import ServiceUnavailable

_US_IN_MS = 1_000


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it was signed: when (us since 1970), and for how long (ms) it may be under way."""

    method: str
    path: str
    key_id: str
    ts_us: int
    window_ms: int
    signature: bytes
    body: bytes = b""

    @property
    def payload(self) -> bytes:
        """The bytes that are signed."""
        return signatures.signed_bytes(self.method, self.path, self.key_id, self.ts_us, self.window_ms, self.body)


class Flaw(Enum):
    """Why a signed request is not taken."""

    EARLY = 1
    """Its time is ahead of the edge's."""
    LATE = 2
    """Its window has passed."""
    WRONG = 3
    """The signature is not the key's over these bytes; or there is no such key, or none with a public key."""
    REPEATED = 4
    """It has come before."""


@dataclass(frozen=True, slots=True)
class Flawed:
    """now_us: the edge's clock, us since 1970."""

    flaw: Flaw
    now_us: int


class SignedStore(Protocol):
    """What all edges share."""

    async def first_time(self, digest: str, keep_ms: int) -> bool:
        """Whether nobody has asked this about it in the last `keep_ms`. Raises ServiceUnavailable."""


class SignedRequests:
    """clock_ns: ns since 1970."""

    def __init__(self, sessions: Sessions, store: SignedStore, clock_ns: Callable[[], int]) -> None:
        self._sessions, self._store, self._clock_ns = sessions, store, clock_ns
        self.repeated = 0
        """Refused because they had come before."""

    async def authenticate(self, asked: Signed, address: str) -> Accepted[Session] | Denied | Unavailable | Flawed:
        """The session of the key that has signed it. The time is looked at again at the end: looking up may take long."""
        outside = self._outside_window(asked)
        if outside is not None:
            return outside
        found = await self._sessions.find(asked.key_id, address)
        if isinstance(found, Unavailable):
            return found
        if found is None or not found.public_key or not signatures.fits(found.public_key, asked.signature, asked.payload):
            self._sessions.note_guess(asked.key_id, address)
            return Flawed(Flaw.WRONG, self._now_us())
        if self._sessions.is_over(found):
            return Denied(WITHDRAWN)
        if not admits(found.networks, address):
            return Denied(NOT_FROM_HERE)
        return await self._once(asked, found)

    async def _once(self, asked: Signed, session: Session) -> Accepted[Session] | Unavailable | Flawed:
        keep_ms = asked.window_ms + 2 * SIGNED_AHEAD_MS_MAX  # and as far as two edges' clocks may differ
        try:
            is_first = await self._store.first_time(hashlib.sha256(asked.payload).hexdigest(), keep_ms)
        except ServiceUnavailable:
            return Unavailable(
                Cause.STORE_AWAY, "signed requests cannot be told apart at the moment (Redis is not reachable); nothing was done"
            )
        if not is_first:
            self.repeated += 1
            return Flawed(Flaw.REPEATED, self._now_us())
        return self._outside_window(asked) or Accepted(session)

    def _outside_window(self, asked: Signed) -> Flawed | None:
        now_us = self._now_us()
        if asked.ts_us > now_us + SIGNED_AHEAD_MS_MAX * _US_IN_MS:
            return Flawed(Flaw.EARLY, now_us)
        if asked.ts_us + asked.window_ms * _US_IN_MS < now_us:
            return Flawed(Flaw.LATE, now_us)
        return None

    def _now_us(self) -> int:
        return self._clock_ns() // 1_000
