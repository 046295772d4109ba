"""Who asks: API keys, looked up in memory, then in the session cache, then in the system of record.

A key is remembered for SESSION_TTL_S. While the stores do not answer, a key that was known goes on working, and one that was not is Unavailable.
A key that is changed or withdrawn is forgotten as soon as this edge hears of it (edge.gateway.access.key_changes: within KEY_CHANGES_EVERY_S), and what
holds it, such as a WebSocket, is told to end, unless all that has changed is that the key will end later (a rotation). Each change has a version, so neither a cache nor a look-up under way brings an older one back.

Wrong secrets are counted by address and key, and by address (edge.gateway.limits has the numbers). Beyond it the answer is Unavailable and the
secret is not looked at, but for one case: a secret that was right before, since this edge was started, goes on working from everywhere. So guesses lock out nobody at
another address, nobody who is at work, and at the guesser's own address nobody for longer than the guessing.
"""

import asyncio
import hashlib
import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from access.api_keys import ALL_SCOPES, Network, Scope, admits
from edge.gateway.access.rate_limits import Buckets, TokenBucket
from edge.gateway.limits import (
    KEY_CHANGES_KEPT,
    RATE_LIMIT_PER_MINUTE,
    SESSION_TTL_S,
    SESSIONS_MAX,
    WRONG_SECRETS_BURST,
    WRONG_SECRETS_KEPT,
    WRONG_SECRETS_OF_ADDRESS_BURST,
    WRONG_SECRETS_OF_ADDRESS_PER_S,
    WRONG_SECRETS_PER_S,
)
from edge.gateway.outcomes import Accepted, Access, Cause, Denied, Unavailable
from schemas.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

KEY_ID_CHARACTERS_MAX = 128
_AWAY = Unavailable(Cause.STORE_AWAY, "API keys cannot be looked up at the moment (MySQL is not reachable)")
WITHDRAWN = "this API key has been withdrawn or is over"
NOT_FROM_HERE = "this API key may not be used from this address"


@dataclass(frozen=True)
class KeyRecord:
    """What the stores know of a key: the SHA-256 of its secret, whose it is, what it may do and from where, and how long it still works."""

    secret_sha256: bytes
    account: int
    scopes: frozenset[Scope] = ALL_SCOPES
    networks: tuple[Network, ...] = ()
    left_s: float = math.inf
    version: int = 1
    public_key: bytes = b""
    """Ed25519, of a key whose requests are signed; nobody has a secret of it."""


class KeyStore(Protocol):
    """Where keys are looked up; raises ServiceUnavailable while it cannot be asked."""

    async def find_key(self, key_id: str, version_min: int) -> KeyRecord | None:
        """The key, or None if there is none. A cache may answer only with this version or a later one."""


@dataclass(slots=True)
class Session:
    """A key that has shown its secret."""

    key_id: str
    account: int
    secret_sha256: bytes
    bucket: TokenBucket
    checked_at_s: float
    scopes: frozenset[Scope]
    networks: tuple[Network, ...]
    ends_s: float
    version: int
    public_key: bytes = b""

    @property
    def may_read(self) -> bool:
        """Whether its key is good for reading, or for orders only."""
        return Scope.READ in self.scopes

    @property
    def may_trade(self) -> bool:
        """Whether its key is good for orders, or for reading only."""
        return Scope.TRADE in self.scopes


class Sessions:
    """Authentication with a bounded memory, least recently used out first."""

    def __init__(self, store: KeyStore, clock_s: Callable[[], float]) -> None:
        self._store = store
        self._clock_s = clock_s
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._asking: dict[str, asyncio.Task[KeyRecord | None]] = {}
        self._guesses = Buckets(WRONG_SECRETS_BURST, WRONG_SECRETS_PER_S, WRONG_SECRETS_KEPT)
        self._guesses_of_address = Buckets(WRONG_SECRETS_OF_ADDRESS_BURST, WRONG_SECRETS_OF_ADDRESS_PER_S, WRONG_SECRETS_KEPT)
        self._versions: OrderedDict[str, int] = OrderedDict()
        """Of keys that were changed: no older version counts."""
        self._holders: dict[str, dict[Callable[[], None], Session]] = {}
        """By key id: whom to tell when the key is changed."""
        self.refused_guesses = 0
        """Not looked at, for too many wrong ones before."""

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, key_id: str, secret: str) -> Session | None:
        """The session if the key is in memory, fresh, good from everywhere, and the secret is right; the path of nearly every request."""
        session = self._fresh(key_id, secret)
        return session if session is not None and not session.networks else None

    def _fresh(self, key_id: str, secret: str) -> Session | None:
        session = self._remembered(key_id)
        return session if session is not None and _matches(secret, session.secret_sha256) else None

    def _remembered(self, key_id: str) -> Session | None:
        """The key if it was looked up lately and has not ended."""
        session, now = self._known.get(key_id), self._clock_s()
        if session is None or now - session.checked_at_s > SESSION_TTL_S or now >= session.ends_s:
            return None
        return session

    def hold(self, session: Session, end: Callable[[], None]) -> None:
        """Call `end` when the key of the session is changed or withdrawn, or over."""
        if self._versions.get(session.key_id, 0) > session.version:
            end()
            return
        self._holders.setdefault(session.key_id, {})[end] = session

    def release(self, session: Session, end: Callable[[], None]) -> None:
        """Not any more."""
        holders = self._holders.get(session.key_id, {})
        holders.pop(end, None)
        if not holders:
            self._holders.pop(session.key_id, None)

    async def take_changes(self, versions: Mapping[str, int]) -> None:
        """These keys were changed: forget what was known of older versions, and tell who holds one that is not as good as before."""
        changed = {key_id: version for key_id, version in versions.items() if self._versions.get(key_id, 0) < version}
        for key_id, version in changed.items():
            self._versions[key_id] = version
            self._versions.move_to_end(key_id)
            if len(self._versions) > KEY_CHANGES_KEPT:
                self._versions.popitem(last=False)
            known = self._known.get(key_id)
            if known is not None and known.version < version:
                del self._known[key_id]
        await asyncio.gather(*(self._tell_holders(key_id) for key_id in changed if key_id in self._holders))

    async def _tell_holders(self, key_id: str) -> None:
        """A key that was rotated goes on until its end. Whatever else was changed, or cannot be looked up, ends what holds it."""
        try:
            record = await self._look_up(key_id)
        except ServiceUnavailable:
            record = None
        for end, session in tuple(self._holders.get(key_id, {}).items()):
            if record is not None and _is_as_good(session, record):
                session.version, session.ends_s = record.version, self._clock_s() + record.left_s
            elif session.version < self._versions.get(key_id, 0):
                self._tell(session, end)

    def end_what_is_over(self) -> None:
        """Tell who holds a key whose time is over."""
        now = self._clock_s()
        held = [(session, end) for holders in self._holders.values() for end, session in holders.items()]
        for session, end in held:
            if now >= session.ends_s:
                self._tell(session, end)

    def _tell(self, session: Session, end: Callable[[], None]) -> None:
        self.release(session, end)
        end()

    def admit(self, session: Session) -> Unavailable | None:
        """Count one request of the session; not None where its key has had too many."""
        if session.bucket.take(self._clock_s()):
            return None
        return Unavailable(Cause.TOO_MANY_REQUESTS, "too many requests")

    async def authenticate(self, key_id: str, secret: str, address: str) -> Access[Session]:
        """The session of a key and its secret. Unavailable after too many wrong ones from this address, or while a new key cannot be looked up."""
        session = self._fresh(key_id, secret)
        if session is not None:
            return Accepted(session) if admits(session.networks, address) else Denied(NOT_FROM_HERE)
        if not secret or not _is_key_id(key_id):
            return Denied()
        known = self._known.get(key_id)
        try:
            if known is not None and _matches(secret, known.secret_sha256):
                return self._confirm(key_id, await self._look_up(key_id), secret, address)
            too_many = self._too_many_guesses(key_id, address)
            if too_many is not None:
                return too_many
            record = await self._look_up(key_id)
        except ServiceUnavailable:
            return _AWAY
        too_many = self._too_many_guesses(key_id, address)  # once more: others may have guessed while this one waited
        if too_many is not None:
            return too_many
        confirmed = self._confirm(key_id, record, secret, address)
        if confirmed == Denied():
            self.note_guess(key_id, address)
        else:
            self._guesses.forget((address, key_id))
        return confirmed

    async def of_key(self, key_id: str, address: str) -> Access[Session]:
        """The session of a key whose secret was shown before to whoever asks, as the key is now."""
        session = self._remembered(key_id)
        if session is None:
            try:
                record = await self._look_up(key_id)
            except ServiceUnavailable:
                return _AWAY
            if record is None or record.left_s <= 0:
                self._known.pop(key_id, None)
                return Denied(WITHDRAWN)
            session = self._remember(key_id, record)
        return Accepted(session) if admits(session.networks, address) else Denied(NOT_FROM_HERE)

    async def find(self, key_id: str, address: str) -> Session | Unavailable | None:
        """A key of which nothing has been shown yet, ended or not; None if there is none. Unavailable as for `authenticate`."""
        session = self._remembered(key_id)
        if session is not None:
            return session
        if not _is_key_id(key_id):
            return None
        too_many = self._too_many_guesses(key_id, address) if key_id not in self._known else None
        if too_many is not None:
            return too_many
        try:
            record = await self._look_up(key_id)
        except ServiceUnavailable:
            return _AWAY
        return self._remember(key_id, record) if record is not None else None

    def is_over(self, session: Session) -> bool:
        """Whether its key has ended."""
        return self._clock_s() >= session.ends_s

    def note_guess(self, key_id: str, address: str) -> None:
        """Something wrong was shown for the key."""
        self._guesses.take((address, key_id), self._clock_s())
        self._guesses_of_address.take(address, self._clock_s())

    def _confirm(self, key_id: str, record: KeyRecord | None, secret: str, address: str) -> Accepted[Session] | Denied:
        """Remember the key if the secret is its own and it has not ended. Whoever knows the secret is told what else is in the way."""
        if record is None or not _matches(secret, record.secret_sha256):
            return Denied()
        if record.left_s <= 0:
            self._known.pop(key_id, None)
            return Denied(WITHDRAWN)
        session = self._remember(key_id, record)
        return Accepted(session) if admits(session.networks, address) else Denied(NOT_FROM_HERE)

    def _too_many_guesses(self, key_id: str, address: str) -> Unavailable | None:
        now = self._clock_s()
        wait_s = max(self._guesses.seconds_until_one((address, key_id), now), self._guesses_of_address.seconds_until_one(address, now))
        if wait_s <= 0:
            return None
        self.refused_guesses += 1
        text = f"too many wrong API keys from this address: try again in {math.ceil(wait_s)} s"
        return Unavailable(Cause.TOO_MANY_GUESSES, text, wait_s)

    async def _look_up(self, key_id: str) -> KeyRecord | None:
        """Ask the stores, once for however many wait for the same key. Raises ServiceUnavailable for one that was not known."""
        while True:
            version_min = self._versions.get(key_id, 0)
            task = self._asking.get(key_id)
            if task is None:
                task = self._asking[key_id] = asyncio.create_task(self._store.find_key(key_id, version_min), name="find-key")
                task.add_done_callback(lambda _: self._asking.pop(key_id, None))
            try:
                record = await asyncio.shield(task)
            except ServiceUnavailable as error:
                known = self._known.get(key_id)
                if known is None:
                    raise
                log.warning("key_not_refreshed", error=str(error))
                left_s = known.ends_s - self._clock_s()
                return KeyRecord(known.secret_sha256, known.account, known.scopes, known.networks, left_s, known.version, known.public_key)
            if record is None or record.version >= self._versions.get(key_id, 0):
                return record  # otherwise it was changed while it was looked up

    def _remember(self, key_id: str, record: KeyRecord) -> Session:
        now = self._clock_s()
        session = self._known.get(key_id)
        if session is not None and session.version == record.version:
            session.checked_at_s, session.ends_s = now, now + record.left_s
        else:  # another object: who holds the one before has not been told of the change yet
            full = RATE_LIMIT_PER_MINUTE
            bucket = TokenBucket(full, full / 60, full, now) if session is None else session.bucket
            session = self._known[key_id] = Session(
                key_id,
                record.account,
                record.secret_sha256,
                bucket,
                now,
                record.scopes,
                record.networks,
                now + record.left_s,
                record.version,
                record.public_key,
            )
        self._known.move_to_end(key_id)
        if len(self._known) > SESSIONS_MAX:
            self._known.popitem(last=False)
        return session


def _is_key_id(text: str) -> bool:
    return 0 < len(text) <= KEY_ID_CHARACTERS_MAX and text.isascii() and text.isprintable()


def _is_as_good(session: Session, record: KeyRecord) -> bool:
    """Whether nothing of the key has changed but when it ends, and it has not ended."""
    same = (session.account, session.secret_sha256, session.public_key, session.scopes, session.networks)
    return record.left_s > 0 and same == (record.account, record.secret_sha256, record.public_key, record.scopes, record.networks)


def _matches(secret: str, secret_sha256: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(secret.encode("utf-8", "replace")).digest(), secret_sha256)
