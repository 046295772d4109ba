"""Reads of the audit trail: counts for the reconciliation, and what happened to one order.

Every function takes a client (sinks.elastic.client.open_elasticsearch) and raises ServiceUnavailable.
"""

from collections.abc import Mapping
from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from sinks.elastic.client import translated
from sinks.elastic.indices import ACCOUNT_EVENTS, ALERTS, EXECUTIONS

EVENTS_MAX: Final = 1_000
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
