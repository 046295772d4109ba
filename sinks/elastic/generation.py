"""A second set of the audit indices, beside the live ones, and the switch to it.

Elasticsearch cannot rename an index. New ones are called rebuild-audit-...-<generation>; the switch deletes the former indices and gives the new ones
their names as aliases, in one atomic request. Sink and searches keep using the names. What is deleted by age (sinks.elastic.trail_days) is the index behind the alias.
"""

import time
from typing import Final, Self

from elasticsearch import AsyncElasticsearch, BadRequestError

from schemas.errors import ServiceUnavailable
from schemas.instruments import InstrumentTable
from sinks.elastic.client import translated
from sinks.elastic.indices import REBUILD
from sinks.elastic.sink import ElasticSink

_LIVE: Final = "audit-*"
_TRIES: Final = 5


class ElasticGeneration:
    """The new indices while they are filled. Every method raises ServiceUnavailable."""

    def __init__(self, sink: ElasticSink, live_sink: ElasticSink, client: AsyncElasticsearch, generation: str) -> None:
        self.sink, self.live_sink, self._client, self._suffix = sink, live_sink, client, f"-{generation}"

    @classmethod
    async def connect(cls, url: str, instruments: InstrumentTable) -> Self:
        """Connect, write the templates, and delete what an interrupted rebuild left."""
        generation = str(time.time_ns())
        sink = await ElasticSink.connect(url, instruments, generation)
        client = sink.client
        made = cls(sink, ElasticSink(client, instruments), client, generation)
        try:
            with translated():
                for name, found in (await client.indices.get_alias(index=f"{REBUILD}*", allow_no_indices=True)).items():
                    if not found["aliases"]:
                        await client.indices.delete(index=name)
        except BaseException:
            await client.close()
            raise
        return made

    async def switch(self) -> None:
        """Put the new indices into use and delete the former ones. Then give `live_sink` what arrived since; repeats do no harm."""
        with translated():
            await self._client.indices.refresh(index=f"{REBUILD}*{self._suffix}", allow_no_indices=True)
        for _ in range(_TRIES):
            with translated():
                new = sorted((await self._client.indices.get_alias(index=f"{REBUILD}*{self._suffix}", allow_no_indices=True)).keys())
                former = sorted((await self._client.indices.get_alias(index=_LIVE, allow_no_indices=True)).keys())
                actions = [{"remove_index": {"index": name}} for name in former]
                actions += [
                    {"add": {"index": name, "alias": name.removeprefix(REBUILD).removesuffix(self._suffix), "is_write_index": True}}
                    for name in new
                ]
                if not actions:
                    return
                try:
                    await self._client.indices.update_aliases(actions=actions)
                except BadRequestError:
                    continue  # the live sink has just made an index of one of these names: look again
                return
        raise ServiceUnavailable(
            f"Elasticsearch did not switch to the indices {REBUILD}*{self._suffix} in {_TRIES} tries; run the rebuild again"
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
