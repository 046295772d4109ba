"""A second set of the values that come from the log, beside the live ones, and the switch to it. Sessions stay where they are.

New keys have the prefix outcry:rebuild: until one transaction on the server renames them all and deletes what is not in the log.
"""

from typing import Final, Self

from redis.asyncio import Redis

from schemas.instruments import InstrumentTable
from sinks.redis.client import PREFIX, open_redis, translated
from sinks.redis.sink import HASHES, RedisSink

BUILDING: Final = f"{PREFIX}rebuild:"


class RedisGeneration:
    """The new keys while they are filled. Every method raises ServiceUnavailable."""

    def __init__(self, client: Redis, instruments: InstrumentTable) -> None:
        self._client = client
        self.sink = RedisSink(client, instruments, BUILDING)
        self.live_sink = RedisSink(client, instruments)

    @classmethod
    async def connect(cls, url: str, instruments: InstrumentTable) -> Self:
        """Connect, and delete what an interrupted rebuild left."""
        client = await open_redis(url)
        made = cls(client, instruments)
        try:
            left = await made._keys(BUILDING)
            with translated(client):
                for key in left:
                    await client.delete(key)
        except BaseException:
            await client.aclose()
            raise
        return made

    async def switch(self) -> None:
        """Put the new keys into use, all at once. Then give `live_sink` what arrived since: it only replaces values by newer ones."""
        new = await self._keys(BUILDING)
        names = {BUILDING.encode() + key.removeprefix(PREFIX.encode()): key for key in await self._keys(PREFIX)}
        with translated(self._client):
            async with self._client.pipeline(transaction=True) as pipeline:
                for key in [live for building, live in names.items() if building not in new]:
                    pipeline.delete(key)
                for key in new:
                    pipeline.rename(key, PREFIX.encode() + key.removeprefix(BUILDING.encode()))
                await pipeline.execute()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _keys(self, prefix: str) -> set[bytes]:
        """The keys of the sink's kinds below a prefix."""
        found: set[bytes] = set()
        with translated(self._client):
            for kept in HASHES.values():
                found |= {key async for key in self._client.scan_iter(match=f"{prefix}{kept.name}:*", count=1_000)}
        return found
