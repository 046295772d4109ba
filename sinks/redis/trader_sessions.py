"""Sessions of customers on the trading page, in Redis, shared by all edges: they end by themselves, and with a sign-out everywhere at once.

A session is kept under the digest of the word that the browser has. As in sinks.redis.sessions each entry has a code that only edges can make, so
who can write to Redis cannot make a session. Losing them all costs every customer a new sign-in, and nothing else.
"""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Final, Self

from redis.asyncio import Redis

from sinks.edge_secret import edge_secret
from sinks.redis.client import PREFIX, open_redis, translated

_CODE_BYTES: Final = 32


@dataclass(frozen=True)
class TraderSession:
    """Whose key it is, and when (s since 1970) it ends whatever its customer does."""

    key_id: str
    ends_at_s: int


class TraderSessionCache:
    """Every method raises ServiceUnavailable. digest: SHA-256 of the word as hexadecimal text."""

    def __init__(self, client: Redis, mysql_url: str) -> None:
        self._client = client
        self._key = edge_secret(mysql_url, b"outcry-trader", hashlib.blake2b.MAX_KEY_SIZE)

    @classmethod
    async def connect(cls, url: str, mysql_url: str) -> Self:
        """Connect. mysql_url: what all edges know and Redis does not."""
        return cls(await open_redis(url), mysql_url)

    async def put(self, digest: str, session: TraderSession, idle_s: int) -> None:
        """Keep it until its customer has done nothing for so long, or until its end."""
        entry = json.dumps([session.key_id, session.ends_at_s]).encode()
        left_s = min(idle_s, session.ends_at_s - int(time.time()))
        if left_s <= 0:
            return
        with translated(self._client):
            await self._client.set(_name(digest), self._code(digest, entry) + entry, ex=left_s)

    async def get(self, digest: str) -> TraderSession | None:
        """The session; None if there is none, if it is over, or if no edge wrote it."""
        with translated(self._client):
            value = await self._client.get(_name(digest))
        if not isinstance(value, bytes):
            return None
        code, entry = value[:_CODE_BYTES], value[_CODE_BYTES:]
        if not hmac.compare_digest(code, self._code(digest, entry)):
            return None
        session = TraderSession(*json.loads(entry))
        return session if session.ends_at_s > time.time() else None

    async def delete(self, digest: str) -> None:
        """Sign out."""
        with translated(self._client):
            await self._client.delete(_name(digest))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _code(self, digest: str, entry: bytes) -> bytes:
        return hashlib.blake2b(digest.encode() + entry, digest_size=_CODE_BYTES, key=self._key).digest()


def _name(digest: str) -> str:
    return f"{PREFIX}trader:{digest}"
