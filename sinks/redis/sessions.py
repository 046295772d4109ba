"""Cache of API keys in Redis, shared by all edges, so that a new edge or a new day does not query MySQL for every client.

Only digests are stored: the key's id appears as its SHA-256 in the name, the secret as the SHA-256 that MySQL has.

An entry identifies a client, and other programs than the edges may be able to write to Redis. So each entry has a code (keyed BLAKE2b) over the key's
id, its expiry and its content, made with a secret that Redis does not know. An entry that is forged, changed, moved to another key or expired is
ignored. The secret is derived from MySQL's user and password: whoever has these can identify clients anyway, and all edges have them.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

from redis.asyncio import Redis

from sinks.edge_secret import edge_secret
from sinks.redis.client import CONNECTIONS_MAX, PREFIX, open_redis, translated

_SECRET_BYTES: Final = 32
_CODE_BYTES: Final = 32
_ENDS_BYTES: Final = 8
"""When the entry is over, s since 1970."""


@dataclass(frozen=True)
class CachedKey:
    """What is known of an API key, as sinks.mysql has it: scopes, networks: texts with commas; ends_at: ns since 1970, 0 for never; public_key: hexadecimal, or empty."""

    secret_sha256: bytes
    account: int
    scopes: str
    networks: str
    ends_at: int
    version: int
    public_key: str = ""


class SessionCache:
    """API keys with a time to live. Every method raises ServiceUnavailable."""

    def __init__(self, client: Redis, mysql_url: str) -> None:
        self._client = client
        self._key = edge_secret(mysql_url, b"outcry-session", hashlib.blake2b.MAX_KEY_SIZE)
        # the client's pool refuses whoever finds no connection left; here they wait their turn
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)

    @classmethod
    async def connect(cls, url: str, mysql_url: str) -> Self:
        """Connect. mysql_url: where keys are looked up that are not cached."""
        return cls(await open_redis(url), mysql_url)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._turns:
            with translated(self._client):
                yield

    async def get(self, key_id: str) -> CachedKey | None:
        """The key, or None if it is not (or no longer) cached, or if the entry was not written by an edge."""
        async with self._turn():
            value = await self._client.get(_name(key_id))
        if not isinstance(value, bytes) or len(value) <= _CODE_BYTES + _ENDS_BYTES + _SECRET_BYTES:
            return None
        code, entry = value[:_CODE_BYTES], value[_CODE_BYTES:]
        if not hmac.compare_digest(code, self._code(key_id, entry)) or int.from_bytes(entry[:_ENDS_BYTES]) <= time.time():
            return None
        known = entry[_ENDS_BYTES:]
        facts = json.loads(known[_SECRET_BYTES:])
        return CachedKey(known[:_SECRET_BYTES], *facts) if isinstance(facts, list) else None  # a number: of version 0.2, and soon over

    async def put(self, key_id: str, key: CachedKey, ttl_s: int) -> None:
        """Remember the key for `ttl_s` seconds from now."""
        assert len(key.secret_sha256) == _SECRET_BYTES, "a SHA-256 has 32 bytes"
        facts: list[int | str] = [key.account, key.scopes, key.networks, key.ends_at, key.version]
        if key.public_key:  # edges of an earlier version read the others meanwhile
            facts.append(key.public_key)
        entry = (int(time.time()) + ttl_s).to_bytes(_ENDS_BYTES) + key.secret_sha256 + json.dumps(facts).encode()
        async with self._turn():
            await self._client.set(_name(key_id), self._code(key_id, entry) + entry, ex=ttl_s)

    def _code(self, key_id: str, entry: bytes) -> bytes:
        identity = hashlib.sha256(key_id.encode()).digest()  # of a fixed length: no id and entry make the bytes of another pair
        return hashlib.blake2b(identity + entry, digest_size=_CODE_BYTES, key=self._key).digest()

    async def first_time(self, digest: str, keep_ms: int) -> bool:
        """Note a signed request for so long. False: it is noted already. Who can write to Redis may make an edge forget one, or refuse one."""
        async with self._turn():
            return bool(await self._client.set(f"{PREFIX}signed:{digest}", 1, px=keep_ms, nx=True))

    async def delete(self, key_id: str) -> None:
        """Forget the key."""
        async with self._turn():
            await self._client.delete(_name(key_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _name(key_id: str) -> str:
    return f"{PREFIX}session:{hashlib.sha256(key_id.encode()).hexdigest()}"
