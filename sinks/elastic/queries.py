"""Reads of the audit trail: counts for the reconciliation, and what happened to one order.

Every function takes a client (sinks.elastic.client.open_elasticsearch) and raises ServiceUnavailable.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from sinks.elastic.client import translated
from sinks.elastic.indices import ACCOUNT_EVENTS, ALERTS, EXECUTIONS

EVENTS_MAX: Final = 1_000
PAGE_DOCUMENTS: Final = 2_000
KEEP_ALIVE: Final = "5m"
"""Between two pages of documents that are read as of one moment."""
_MISSING: Final[dict[str, Any]] = {"allow_no_indices": True, "ignore_unavailable": True}
"""A stream without documents has no index yet: that is zero, not an error."""


async def refresh(client: AsyncElasticsearch) -> None:
    """Make everything created so far visible to the functions below."""
    with translated():
        await client.indices.refresh(index="audit-*", **_MISSING)


async def execution_counts(client: AsyncElasticsearch) -> dict[str, int]:
    """ExecKind name -> number of documents, e.g. {"TRADE": 10}; kinds without any are left out."""
    return await _count_by_kind(client, EXECUTIONS)


async def account_event_counts(client: AsyncElasticsearch) -> dict[str, int]:
    """AccountEventKind name -> number of documents."""
    return await _count_by_kind(client, ACCOUNT_EVENTS)


async def alert_count(client: AsyncElasticsearch) -> int:
    """Number of alerts: documents of a first revision."""
    first = {"bool": {"must_not": {"range": {"revision": {"gt": 1}}}}}  # alerts of version 0.2 do not say
    with translated():
        return int((await client.count(index=f"{ALERTS}-*", query=first, **_MISSING))["count"])


async def trade_count(client: AsyncElasticsearch) -> int:
    """Number of TRADE documents of the books, each trade once."""
    return (await execution_counts(client)).get("TRADE", 0)


async def order_events(client: AsyncElasticsearch, order_id: int) -> list[dict[str, Any]]:
    """All that is audited of an order, at most EVENTS_MAX documents, by log time: its own events and the books' rows with it."""
    named = [{"term": {field: str(order_id)}} for field in ("order_id", "contra_order_id")]
    return await _search(
        client, f"{EXECUTIONS}-*,{ACCOUNT_EVENTS}-*", {"bool": {"should": named, "minimum_should_match": 1}}, "transact_time"
    )


async def alerts_of_account(client: AsyncElasticsearch, account: int) -> list[dict[str, Any]]:
    """Revisions of alerts about an account, by the time of the alert."""
    return await _search(client, f"{ALERTS}-*", {"term": {"account": str(account)}}, "detected_at")


async def _count_by_kind(client: AsyncElasticsearch, stream: str) -> dict[str, int]:
    with translated():
        answer = await client.search(
            index=f"{stream}-*",
            size=0,
            track_total_hits=False,
            aggregations={"kinds": {"terms": {"field": "kind", "size": 100}}},
            **_MISSING,
        )
    buckets = answer.get("aggregations", {}).get("kinds", {}).get("buckets", [])
    return {bucket["key"]: bucket["doc_count"] for bucket in buckets}


async def _search(client: AsyncElasticsearch, index: str, query: Mapping[str, Any], by: str) -> list[dict[str, Any]]:
    sort = [{by: {"order": "asc", "unmapped_type": "date_nanos"}}, {"seq": {"order": "asc", "unmapped_type": "long"}}]
    with translated():
        answer = await client.search(index=index, query=query, sort=sort, size=EVENTS_MAX, **_MISSING)
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def of_partition(topic: str, partition: int) -> dict[str, Any]:
    """A query for the documents that say they are of the partition."""
    return {"bool": {"filter": [{"term": {"topic": topic}}, {"term": {"partition": partition}}]}}


def of_no_partition(topic: str, partitions: Sequence[int]) -> dict[str, Any]:
    """A query for those that say they are of none of these."""
    return {"bool": {"must_not": [of_partition(topic, one) for one in partitions]}}


async def audit_documents(
    client: AsyncElasticsearch, stream: str, query: Mapping[str, Any]
) -> AsyncIterator[tuple[tuple[int, str], tuple[str, dict[str, Any]]]]:
    """Documents of a stream: ((offset, id), (index, source)), by offset, and by id within an offset; -1 for one without an offset.

    Read in pages as of one moment (a point in time), so what is stored meanwhile does not shift them.
    """
    with translated():
        if not await client.indices.get_alias(index=f"{stream}-*", **_MISSING):
            return
        await client.indices.refresh(index=f"{stream}-*", **_MISSING)
        moment: str = (await client.open_point_in_time(index=f"{stream}-*", keep_alive=KEEP_ALIVE))["id"]
    try:
        async for offset, group in _by_offset(client, moment, query):
            for hit in sorted(group, key=lambda one: str(one["_id"])):
                yield (offset, str(hit["_id"])), (str(hit["_index"]), hit["_source"])
    finally:
        with translated():
            await client.close_point_in_time(id=moment)


async def _by_offset(client: AsyncElasticsearch, moment: str, query: Mapping[str, Any]) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """The documents of each offset together: their ids are no field to sort by, so that is done outside."""
    group: list[dict[str, Any]] = []
    reached, after = -1, None
    sort: list[dict[str, Any]] = [{"offset": {"order": "asc", "missing": "_first", "unmapped_type": "long"}}, {"_shard_doc": "asc"}]
    while True:
        with translated():
            answer = await client.search(
                pit={"id": moment, "keep_alive": KEEP_ALIVE}, query=query, sort=sort, size=PAGE_DOCUMENTS, search_after=after, track_total_hits=False
            )  # fmt: skip
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        for hit in hits:
            offset = int(hit["_source"].get("offset", -1))
            if group and offset != reached:
                yield reached, group
                group = []
            group.append(hit)
            reached = offset
        if not hits:
            break
        after = hits[-1]["sort"]
    if group:
        yield reached, group
