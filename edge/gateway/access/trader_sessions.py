"""Customers on the trading page: an API key is shown once and becomes a session, so that no page has to keep a secret. No protocol.

The browser has a random word; stores have its digest and the id of the key. What a session may do is what its key may do now: a key that is withdrawn,
rotated or for reading only ends or limits its sessions as soon as this edge hears of it. Guesses are counted where all API keys are (edge.gateway.access.sessions).

On failure: without Redis nobody can sign in. Who has signed in is remembered by this edge, and trades on while Redis is away.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from access import tokens
from access.events import AccessEvent, Act
from edge.gateway.access.people import AccessLog
from edge.gateway.access.sessions import Session, Sessions
from edge.gateway.limits import PERSON_IDLE_S, PERSON_SESSION_S, PERSON_TOUCH_S, TRADER_SESSIONS_KEPT
from edge.gateway.outcomes import Accepted, Access, Cause, Denied, Unavailable
from schemas.errors import ServiceUnavailable
from sinks.redis.trader_sessions import TraderSession

log = structlog.get_logger(__name__)

_S: Final = 1_000_000_000
_AWAY: Final = Unavailable(Cause.STORE_AWAY, "nobody can sign in at the moment (Redis is not reachable)")
_OVER: Final = Denied("the session is over: sign in again")


class TraderSessionStore(Protocol):
    """What sinks.redis.trader_sessions keeps; each raises ServiceUnavailable."""

    async def put_trader_session(self, digest: str, session: TraderSession, idle_s: int) -> None:
        """Keep it for so long from now."""

    async def trader_session(self, digest: str) -> TraderSession | None:
        """The session, or None if it is over."""

    async def end_trader_session(self, digest: str) -> None:
        """Sign out."""


@dataclass(frozen=True)
class TraderSignedIn:
    """A new session: `word` stands for it, and is told to nobody else."""

    session: Session
    word: str


@dataclass(frozen=True)
class _Remembered:
    session: TraderSession
    seen_at: int
    """When its customer did something; ns since 1970."""


class TraderSessions:
    """Who trades by a page. clock_ns: ns since 1970."""

    def __init__(self, store: TraderSessionStore, sessions: Sessions, access_log: AccessLog, clock_ns: Callable[[], int]) -> None:
        self._store, self._sessions, self._access_log, self._clock_ns = store, sessions, access_log, clock_ns
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        """By digest: for the time in which Redis is away."""

    async def sign_in(self, key_id: str, secret: str, address: str) -> Access[TraderSignedIn]:
        """A session for whoever has the key and its secret. Recorded first."""
        found = await self._sessions.authenticate(key_id, secret, address)
        if not isinstance(found, Accepted):
            return found
        word, now = tokens.new_session_word(), self._clock_ns()
        digest, session = tokens.digest_of(word), TraderSession(key_id, now // _S + PERSON_SESSION_S)
        try:
            await self._record(Act.SIGNED_IN, found.value, address)
            await self._store.put_trader_session(digest, session, PERSON_IDLE_S)
        except ServiceUnavailable as error:
            log.warning("no_trader_can_sign_in", error=str(error))
            return _AWAY
        self._remember(digest, session, now)
        return Accepted(TraderSignedIn(found.value, word))

    async def of_word(self, word: str, address: str, *, at_work: bool = True) -> Access[Session]:
        """The session of a browser. at_work: its customer does something, rather than a page that asks by itself; then it is not idle."""
        digest, now = tokens.digest_of(word), self._clock_ns()
        try:
            stored = await self._store.trader_session(digest)
            if stored is None:
                self._known.pop(digest, None)
                return _OVER
            known = self._known.get(digest) or self._remember(digest, stored, now - PERSON_TOUCH_S * _S - 1)
            if at_work and now - known.seen_at > PERSON_TOUCH_S * _S:
                await self._store.put_trader_session(digest, stored, PERSON_IDLE_S)
                self._remember(digest, stored, now)
        except ServiceUnavailable:
            remembered = self._known.get(digest)
            if remembered is None:
                return _AWAY
            stored = remembered.session
            if now >= min(stored.ends_at_s * _S, remembered.seen_at + PERSON_IDLE_S * _S):
                return _OVER
            self._known[digest] = replace(remembered, seen_at=now) if at_work else remembered
        return await self._sessions.of_key(stored.key_id, address)

    async def sign_out(self, word: str, session: Session, address: str) -> Accepted[None] | Unavailable:
        """End the session, on every edge."""
        digest = tokens.digest_of(word)
        try:
            await self._record(Act.SIGNED_OUT, session, address)
            await self._store.end_trader_session(digest)
        except ServiceUnavailable:
            return _AWAY
        self._known.pop(digest, None)
        return Accepted(None)

    async def _record(self, act: Act, session: Session, address: str) -> None:
        await self._access_log.record(
            AccessEvent(self._clock_ns(), act, f"account {session.account}", address, "the trading page", f"API key {session.key_id}")
        )

    def _remember(self, digest: str, session: TraderSession, seen_at: int) -> _Remembered:
        remembered = self._known[digest] = _Remembered(session, seen_at)
        self._known.move_to_end(digest)
        if len(self._known) > TRADER_SESSIONS_KEPT:
            self._known.popitem(last=False)
        return remembered
