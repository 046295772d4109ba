"""People who work on the exchange: sign-in, sessions, operator tokens, and the record of all of it. No protocol.

A person signs in with name, password and the code of a second factor, and gets a word that stands for a session. The session is on the server
and ends when its person is idle, has been in for long, signs out, or becomes somebody else (another password, other roles, disabled). A
person without a second factor may sign in on this machine only. Programs show an operator token, which has some of its person's roles.

Whoever guesses is slowed down: by address in the memory of this edge, by name in MySQL, so for all edges together. After SIGN_IN_FREE
attempts each next one waits twice as long as the one before, whoever makes it; what comes earlier is not looked at. Names of nobody behave
like those of somebody. Sessions that are open go on meanwhile.

On failure: without MySQL nobody gets in, and without a record nobody gets in or changes anything (Unavailable).
"""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from access import tokens
from access.events import AccessEvent, Act
from access.passwords import is_password, nobodys_hash
from access.people import Person, is_name, roles_of
from access.second_factor import step_of
from edge.gateway.access.rate_limits import Buckets
from edge.gateway.limits import (
    PASSWORDS_AT_ONCE,
    PASSWORDS_WAITING_MAX,
    PERSON_IDLE_S,
    PERSON_SESSION_S,
    PERSON_TOUCH_S,
    SIGN_IN_DELAY_MAX_S,
    SIGN_IN_FREE,
    SIGN_INS_OF_ADDRESS_BURST,
    SIGN_INS_OF_ADDRESS_PER_S,
    STRANGERS_KEPT,
)
from edge.gateway.outcomes import Accepted, Access, Cause, Denied, Unavailable
from schemas.errors import ServiceUnavailable
from sinks.mysql.people import StoredPerson, StoredSession, StoredToken

log = structlog.get_logger(__name__)

_S: Final = 1_000_000_000
_AWAY: Final = Unavailable(Cause.STORE_AWAY, "nobody can be identified at the moment (MySQL is not reachable)")


class PeopleStore(Protocol):
    """The functions of sinks.mysql.people that the edge needs; each raises ServiceUnavailable."""

    async def person(self, name: str) -> StoredPerson | None:
        """Somebody."""

    async def claim_attempt(self, name: str, attempts: int, now: int) -> bool:
        """Count an attempt before it is looked at."""

    async def open_session(self, digest: str, name: str, totp_step: int, address: str, now: int, began_after: int) -> bool:
        """Begin a session."""

    async def session(self, digest: str) -> StoredSession | None:
        """A session."""

    async def touch_session(self, digest: str, now: int) -> None:
        """Its person has done something."""

    async def end_session(self, digest: str) -> None:
        """Sign out."""

    async def end_sessions(self, name: str) -> int:
        """Sign out everywhere."""

    async def token(self, token_id: str) -> StoredToken | None:
        """An operator token."""


class AccessLog(Protocol):
    """Where events are recorded."""

    async def record(self, event: AccessEvent) -> None:
        """Returns when the record is kept. Raises ServiceUnavailable."""


@dataclass(frozen=True)
class SignedIn:
    """A new session: `word` stands for it, and is told to nobody else."""

    person: Person
    word: str


class People:
    """Who works here. clock_ns: ns since 1970."""

    def __init__(self, store: PeopleStore, access_log: AccessLog, clock_ns: Callable[[], int]) -> None:
        self.refused = 0
        """Not looked at, for too many wrong ones before."""
        self._store = store
        self._access_log = access_log
        self._clock_ns = clock_ns
        self._of_address = Buckets(SIGN_INS_OF_ADDRESS_BURST, SIGN_INS_OF_ADDRESS_PER_S, STRANGERS_KEPT)
        self._strangers: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """Of names that nobody has: attempts, and when the last one was."""
        self._hashing = asyncio.Semaphore(PASSWORDS_AT_ONCE)
        self._waiting = 0

    async def sign_in(self, name: str, password: str, code: str, address: str, *, here: bool) -> Access[SignedIn]:
        """A session for whoever knows all three. here: the request is from this machine. Which of the three is wrong is not told."""
        try:
            return await self._sign_in(name, password, code, address, here=here)
        except ServiceUnavailable as error:
            log.warning("nobody_can_sign_in", error=str(error))
            return _AWAY

    async def _sign_in(self, name: str, password: str, code: str, address: str, *, here: bool) -> Access[SignedIn]:
        now = self._clock_ns()
        wait_s = self._of_address.seconds_until_one(address, now / _S)
        stored = await self._store.person(name) if is_name(name) else None
        attempts, attempted_at = (stored.attempts, stored.attempted_at) if stored else self._strangers.get(name, (0, 0))
        wait_s = max(wait_s, (attempted_at - now) / _S + delay_s(attempts))
        if wait_s > 0:
            return self._too_many(wait_s)
        if self._waiting >= PASSWORDS_WAITING_MAX:
            return self._too_many(1.0)
        self._of_address.take(address, now / _S)
        if stored is None:
            self._note_stranger(name, attempts + 1, now)
        elif not await self._store.claim_attempt(name, attempts, now):
            return self._too_many(1.0)
        knows = await self._knows_password(stored.password_hash if stored else nobodys_hash(), password)
        step = stored.totp_step if stored else 0
        if stored is None or not knows:
            return await self._refuse(name, address, "name or password")
        if not stored.enabled:
            return await self._refuse(name, address, "the person is disabled")
        if stored.totp_secret:
            found = step_of(stored.totp_secret, code, now / _S, stored.totp_step)
            if found is None:
                return await self._refuse(name, address, "the code is wrong, over or used")
            step = found
        elif not here:
            return await self._refuse(name, address, "no second factor, and not on this machine")
        word = tokens.new_session_word()
        await self.record(Act.SIGNED_IN, name, address, "")
        if not await self._store.open_session(tokens.digest_of(word), name, step, address, now, now - PERSON_SESSION_S * _S):
            return await self._refuse(name, address, "the code is wrong, over or used")
        self._of_address.forget(address)
        return Accepted(SignedIn(Person(name, roles_of(stored.roles)), word))

    async def of_session(self, word: str, *, at_work: bool = True) -> Access[Person]:
        """Whose session it is. at_work: the person does something, rather than a page that asks by itself; then the session is not idle."""
        digest, now = tokens.digest_of(word), self._clock_ns()
        try:
            stored = await self._store.session(digest)
            if stored is None or not stored.enabled or now >= _ends(stored):
                return Denied()
            if at_work and now - stored.seen_at > PERSON_TOUCH_S * _S:
                await self._store.touch_session(digest, now)
        except ServiceUnavailable:
            return _AWAY
        return Accepted(Person(stored.name, roles_of(stored.roles)))

    async def of_token(self, token: str, address: str) -> Access[Person]:
        """In whose name a program works, with the roles that both the token and its person have."""
        now = self._clock_ns()
        wait_s = self._of_address.seconds_until_one(address, now / _S)
        if wait_s > 0:
            return self._too_many(wait_s)
        token_id = tokens.id_of(token)
        try:
            stored = await self._store.token(token_id) if token_id else None
        except ServiceUnavailable:
            return _AWAY
        if stored is not None and hmac.compare_digest(stored.digest, tokens.digest_of(token)) and stored.enabled and now < stored.ends_at:
            roles = roles_of(stored.roles) & roles_of(stored.persons_roles)
            return Accepted(Person(stored.name, roles, stored.token_id, stored.read_only))
        self._of_address.take(address, now / _S)
        await self.note(Act.TOKEN_REFUSED, stored.name if stored else "", address, "", f"token {token_id or 'of no form'}")
        return Denied()

    async def sign_out(self, person: Person, word: str, address: str, *, everywhere: bool = False) -> Accepted[int] | Unavailable:
        """End the session, or all sessions of its person; how many."""
        try:
            await self.record(Act.SIGNED_OUT, person.known_as, address, "", "everywhere" if everywhere else "")
            if everywhere:
                return Accepted(await self._store.end_sessions(person.name))
            await self._store.end_session(tokens.digest_of(word))
        except ServiceUnavailable:
            return _AWAY
        return Accepted(1)

    async def record(self, act: Act, person: str, address: str, what: str, detail: str = "") -> None:
        """Keep an event. Raises ServiceUnavailable: then what it is about must not be done."""
        await self._access_log.record(AccessEvent(self._clock_ns(), act, person, address, what, detail))

    async def note(self, act: Act, person: str, address: str, what: str, detail: str = "") -> None:
        """Keep an event of something that is refused anyway, if that is possible now."""
        try:
            await self.record(act, person, address, what, detail)
        except ServiceUnavailable as error:
            log.warning("refusal_not_recorded", act=act, person=person, address=address, what=what, detail=detail, error=str(error))

    async def _refuse(self, name: str, address: str, why: str) -> Denied:
        await self.note(Act.SIGN_IN_REFUSED, name if is_name(name) else "", address, "", why)
        return Denied()

    async def _knows_password(self, stored: str, password: str) -> bool:
        """In a thread, so that the loop goes on; few at once, so that guesses cannot fill the memory."""
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(is_password, stored, password)
        finally:
            self._waiting -= 1

    def _note_stranger(self, name: str, attempts: int, now: int) -> None:
        self._strangers[name] = attempts, now
        self._strangers.move_to_end(name)
        if len(self._strangers) > STRANGERS_KEPT:
            self._strangers.popitem(last=False)

    def _too_many(self, wait_s: float) -> Unavailable:
        self.refused += 1
        return Unavailable(Cause.TOO_MANY_GUESSES, "too many attempts to sign in: wait before you try again", wait_s)


def delay_s(attempts: int) -> float:
    """After so many attempts without success the next one has to wait so long."""
    return min(2.0 ** min(attempts - SIGN_IN_FREE, 60), SIGN_IN_DELAY_MAX_S) if attempts >= SIGN_IN_FREE else 0.0


def _ends(stored: StoredSession) -> int:
    return min(stored.seen_at + PERSON_IDLE_S * _S, stored.began_at + PERSON_SESSION_S * _S)
