"""Store every decision and account event in Elasticsearch as an audit document that is created once and never changed.

In:     executions, account.events, alerts
Repeats: op_type=create with an id made of topic, partition and sequence. An existing document answers 409, which counts as created.
        So nothing has to be remembered here.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from elasticsearch import AsyncElasticsearch

from schemas.errors import ServiceUnavailable, StaleData
from schemas.instruments import InstrumentTable
from sinks.contract import Input, Reached, SinkStats
from sinks.elastic.client import open_elasticsearch, translated
from sinks.elastic.documents import Document, documents
from sinks.elastic.indices import templates

CHUNK_DOCUMENTS_MAX: Final = 2_000
CHUNK_BYTES_MAX: Final = 2 << 20
"""Size of a bulk request. Elasticsearch recommends a few megabytes and accepts at most 100."""
CONCURRENT_CHUNKS: Final = 2
"""One is indexed while the next is on its way. More would only fill the node's write queue."""
BACKOFF_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses before refused documents (429, 503) are sent again. After that the caller repeats the batch."""
_CREATED, _EXISTS = 201, 409
_BUSY: Final = (429, 503)
_ANSWER: Final = [
    "errors",
    "items.create.status",
    "items.create.error.type",
    "items.create.error.reason",
    "items.create.error.caused_by.reason",
]


class ElasticSink:
    """The audit trail; see sinks.contract for what it promises. `generation`: of its indices, see index_of."""

    def __init__(self, client: AsyncElasticsearch, instruments: InstrumentTable, generation: str = "") -> None:
        self.client = client
        self._generation = generation
        self._instruments = instruments
        self._stats = SinkStats()

    @classmethod
    async def connect(cls, url: str, instruments: InstrumentTable, generation: str = "") -> Self:
        """Connect and write the index templates. Raises ServiceUnavailable."""
        client = open_elasticsearch(url)
        try:
            with translated():
                for name, body in templates().items():
                    await client.indices.put_index_template(name=name, **body)
        except BaseException:
            await client.close()
            raise
        return cls(client, instruments, generation)

    async def write_batch(self, batch: Sequence[Input]) -> None:
        """Create the documents of the batch. Returns when each one is stored. Raises StaleData for one that is refused for good."""
        created = repeated = 0
        chunks = chunked(document for one in batch for document in documents(one, self._instruments, self._generation))
        try:
            with translated():
                while group := [chunk for _, chunk in zip(range(CONCURRENT_CHUNKS), chunks, strict=False)]:
                    # all of them end before one of them fails the batch: nothing goes on behind the caller's back
                    for result in await asyncio.gather(*map(self._create, group), return_exceptions=True):
                        if isinstance(result, BaseException):
                            raise result
                        created, repeated = created + result[0], repeated + result[1]
        except ServiceUnavailable:
            self._stats = replace(self._stats, unavailable=self._stats.unavailable + 1)
            raise
        stats = self._stats
        self._stats = replace(
            stats,
            batches=stats.batches + 1,
            inputs=stats.inputs + len(batch),
            repeated=stats.repeated + repeated,
            rows=stats.rows + created,
        )

    async def reached(self) -> dict[tuple[str, int], Reached]:
        """Nothing: repeats are recognised by what is stored."""
        return {}

    async def flush(self) -> None:
        """Make created documents visible to searches (they are already durable)."""
        with translated():
            await self.client.indices.refresh(index="audit-*", allow_no_indices=True, ignore_unavailable=True)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    def stats(self) -> SinkStats:
        """Counts so far; rows = documents created."""
        return self._stats

    async def _create(self, chunk: Sequence[Document]) -> tuple[int, int]:
        """Create all of them. Returns how many were new and how many already existed."""
        created = repeated = 0
        waiting: Sequence[Document] = chunk
        for pause_s in (*BACKOFF_S, None):
            statuses = await self._bulk(waiting)
            created += statuses.count(_CREATED)
            repeated += statuses.count(_EXISTS)
            waiting = [document for document, status in zip(waiting, statuses, strict=True) if status in _BUSY]
            if not waiting:
                return created, repeated
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        raise ServiceUnavailable(f"Elasticsearch turned {len(waiting)} documents away repeatedly: it is overloaded; try again later")

    async def _bulk(self, chunk: Sequence[Document]) -> list[int]:
        """The status of each document: created, already there, or busy. Raises StaleData for any other."""
        body = b"".join(line + b"\n" for document in chunk for line in document)
        # bytes pass the client's serializer as they are
        answer = await self.client.bulk(operations=body, filter_path=_ANSWER)  # type: ignore[arg-type]
        items: list[dict[str, Any]] = [item["create"] for item in answer["items"]]
        for item, document in zip(items, chunk, strict=True):
            if item["status"] not in (_CREATED, _EXISTS, *_BUSY):
                raise StaleData(
                    f"Elasticsearch refuses the document {document.action.decode()} with status {item['status']}: {item.get('error')}. Nothing is "
                    f"skipped: if the index was made by another version, delete or rename it, then start again"
                )
        return [item["status"] for item in items]


def chunked(all_documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Cut into chunks of bounded number and size."""
    chunk: list[Document] = []
    size = 0
    for document in all_documents:
        length = len(document.action) + len(document.source) + 2
        if chunk and (len(chunk) == CHUNK_DOCUMENTS_MAX or size + length > CHUNK_BYTES_MAX):
            yield chunk
            chunk, size = [], 0
        chunk.append(document)
        size += length
    if chunk:
        yield chunk
