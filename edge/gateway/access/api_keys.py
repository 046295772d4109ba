"""What a customer may do with the account's API keys: make, list, rotate, withdraw. No protocol; each is recorded first.

The secret of a new key is in its answer and nowhere else. On failure: Unavailable, and nothing is done.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from access import tokens
from access.api_keys import Scope, networks_of, new_key, text_of_scopes
from access.events import AccessEvent, Act
from edge.gateway.access.people import AccessLog
from edge.gateway.limits import API_KEYS_OF_ACCOUNT_MAX
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from schemas.errors import OutcryError, ServiceUnavailable
from sinks.mysql.api_keys import StoredKey

log = structlog.get_logger(__name__)
_S = 1_000_000_000


class ApiKeyStore(Protocol):
    """The functions of sinks.mysql.api_keys that a customer needs; each raises ServiceUnavailable, and OutcryError for what cannot be."""

    async def keys_of_account(self, account: int) -> list[StoredKey]:
        """All that the account ever had."""

    async def add_key(
        self,
        key_id: str,
        digest: str,
        account: int,
        scopes: str,
        networks: str,
        *,
        ends_at: int,
        label: str,
        keys_max: int,
        public_key: str,
    ) -> None:
        """Store a new one."""

    async def rotate_key(
        self, key_id: str, ends_at: int, new_id: str, digest: str, account: int, *, keys_max: int, public_key: str
    ) -> StoredKey:
        """A new one with its rights; it ends then."""

    async def end_key(self, key_id: str, ends_at: int, account: int) -> None:
        """It ends."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """Of a key that was just made. The secret is told once; a key with a public key has none."""

    key_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """What was asked for cannot be; a sentence for a person."""

    text: str


Answer = NotDone | Unavailable
_AWAY = Unavailable(Cause.STORE_AWAY, "API keys cannot be changed at the moment; nothing was done")


class ApiKeys:
    """Of all accounts; every method is for one, and sees no key of another. clock_ns: ns since 1970."""

    def __init__(self, store: ApiKeyStore, access_log: AccessLog, clock_ns: Callable[[], int]) -> None:
        self._store, self._access_log, self._clock_ns = store, access_log, clock_ns

    async def create(
        self,
        account: int,
        address: str,
        scopes: Iterable[Scope],
        networks: Iterable[str] = (),
        *,
        ends_at: int = 0,
        label: str = "",
        public_key: bytes = b"",
    ) -> Accepted[NewKey] | Answer:
        """A new key; networks: from where it may be used, ends_at: ns since 1970 or 0. With a public key its requests are signed."""
        key_id, secret = new_key()
        try:
            listed = ",".join(map(str, networks_of(networks)))
            await self._record(account, address, f"create API key {key_id}")
            await self._store.add_key(
                key_id, tokens.digest_of(secret), account, text_of_scopes(scopes), listed,
                ends_at=ends_at, label=label, keys_max=API_KEYS_OF_ACCOUNT_MAX, public_key=public_key.hex(),
            )  # fmt: skip
        except OutcryError as error:
            return self._problem(error)
        return Accepted(NewKey(key_id, "" if public_key else secret))

    async def listed(self, account: int) -> Accepted[list[StoredKey]] | Answer:
        """Every key that the account ever had, the newest first; of a secret only its digest is known."""
        try:
            return Accepted(await self._store.keys_of_account(account))
        except OutcryError as error:
            return self._problem(error)

    async def rotate(self, account: int, address: str, key_id: str, overlap_s: float, public_key: bytes = b"") -> Accepted[NewKey] | Answer:
        """A new key with the rights of this one, which ends after `overlap_s`. One whose requests are signed is followed by another such."""
        new_id, secret = new_key()
        try:
            await self._record(account, address, f"rotate API key {key_id} to {new_id} in {overlap_s:g} s")
            ends_at = self._clock_ns() + int(overlap_s * _S)
            digest = tokens.digest_of(secret)  # of a key with a public key nobody is told the secret
            await self._store.rotate_key(
                key_id, ends_at, new_id, digest, account, keys_max=API_KEYS_OF_ACCOUNT_MAX, public_key=public_key.hex()
            )
        except OutcryError as error:
            return self._problem(error)
        return Accepted(NewKey(new_id, "" if public_key else secret))

    async def withdraw(self, account: int, address: str, key_id: str, after_s: float = 0.0) -> Accepted[None] | Answer:
        """The key ends, at once if not told otherwise: on every edge within a second."""
        try:
            await self._record(account, address, f"end API key {key_id} in {after_s:g} s")
            await self._store.end_key(key_id, self._clock_ns() + int(after_s * _S), account)
        except OutcryError as error:
            return self._problem(error)
        return Accepted(None)

    async def _record(self, account: int, address: str, what: str) -> None:
        await self._access_log.record(AccessEvent(self._clock_ns(), Act.ACTED, f"account {account}", address, what))

    def _problem(self, error: OutcryError) -> Answer:
        if isinstance(error, ServiceUnavailable):
            log.warning("api_keys_away", error=str(error))
            return _AWAY
        return NotDone(str(error))
