"""Cache of API keys in Redis, shared by all edges: so that a new edge, or a new day, does not ask MySQL for every client.

Only digests are stored: the key's id appears as its SHA-256 in the name, the secret as the SHA-256 that MySQL has.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from redis.asyncio import Redis

from sinks.redis_client import PREFIX, open_redis, translated

_SECRET_BYTES: Final = 32


@dataclass(frozen=True)
class CachedKey:
    """What is known of an API key."""

    secret_sha256: bytes
    account: int


class SessionCache:
    """API keys with a time to live. Every method raises ServiceUnavailable."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    @classmethod
    async def connect(cls, url: str) -> Self:
        """Connect."""
        return cls(await open_redis(url))

    async def get(self, key_id: str) -> CachedKey | None:
        """The key, or None if it is not (or no longer) cached."""
        with translated(self._client):
            value = await self._client.get(_name(key_id))
        if not isinstance(value, bytes) or len(value) <= _SECRET_BYTES:
            return None
        return CachedKey(value[:_SECRET_BYTES], int(value[_SECRET_BYTES:]))

    async def put(self, key_id: str, key: CachedKey, ttl_s: int) -> None:
        """Remember the key for `ttl_s` seconds from now."""
        assert len(key.secret_sha256) == _SECRET_BYTES, "a SHA-256 has 32 bytes"
        with translated(self._client):
            await self._client.set(_name(key_id), key.secret_sha256 + str(key.account).encode(), ex=ttl_s)

    async def delete(self, key_id: str) -> None:
        """Forget the key."""
        with translated(self._client):
            await self._client.delete(_name(key_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _name(key_id: str) -> str:
    return f"{PREFIX}session:{hashlib.sha256(key_id.encode()).hexdigest()}"
