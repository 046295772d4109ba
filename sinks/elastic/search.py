"""Search among account events: whose, of what, when, at which prices and sizes, why, and by ids. Sorted, page after page.

One document is one event of one account: a trade has two, one of each side. `price` and `size` are those of the fill where the event is one, else
those of the order. A page begins behind the sort values of the last document before it (search_after): documents are only ever added, so pages
neither repeat nor skip what was there when the first one was read.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from elasticsearch import AsyncElasticsearch

from sinks.elastic.client import translated
from sinks.elastic.indices import ACCOUNT_EVENTS
from sinks.elastic.search_words import PAGE_MAX, SORTS, Found, Wanted

TIMEOUT: Final = "5s"
"""Of each shard; what has not answered by then makes the search fail rather than be incomplete."""
_IDS: Final = ("order_id", "trd_match_id", "request_id", "cl_ord_id", "orig_cl_ord_id")
_MISSING: Final[dict[str, Any]] = {"allow_no_indices": True, "ignore_unavailable": True}
_TYPES: Final = {"time": "date_nanos", "price": "long", "size": "long"}


def query_of(wanted: Wanted) -> dict[str, Any]:
    """In Elasticsearch's words. Only filters: nothing is scored."""
    filters: list[dict[str, Any]] = []
    if wanted.account is not None:
        filters.append({"term": {"account": str(wanted.account)}})
    for field, values in (("kind", wanted.kinds), ("symbol", wanted.symbols)):
        if values:
            filters.append({"terms": {field: list(values)}})
    for field, value in (("side", wanted.side), ("reason", wanted.reason)):
        if value:
            filters.append({"term": {field: value}})
    times = {name: _nanos(value) for name, value in (("gte", wanted.from_ns), ("lt", wanted.to_ns)) if value is not None}
    if times:
        filters.append({"range": {"transact_time": times}})
    for bounds, of_fill, of_order in ((wanted.price, "last_px", "price"), (wanted.size, "last_qty", "order_qty")):
        limits = {name: value for name, value in zip(("gte", "lte"), bounds, strict=True) if value is not None}
        if limits:
            filters.append(_either(of_fill, of_order, limits))
    if wanted.text:
        filters.append(_any([{"term": {field: wanted.text}} for field in _IDS] + [{"prefix": {"cl_ord_id": {"value": wanted.text}}}]))
    return {"bool": {"filter": filters}}


def _either(of_fill: str, of_order: str, limits: dict[str, int]) -> dict[str, Any]:
    order = {"bool": {"filter": [{"range": {of_order: limits}}], "must_not": [{"exists": {"field": of_fill}}]}}
    return _any([{"range": {of_fill: limits}}, order])


def _any(some: list[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"should": some, "minimum_should_match": 1}}


def _nanos(value: int) -> str:
    """ISO 8601 with nanoseconds: as a number it would be milliseconds."""
    return str(np.datetime_as_string(np.datetime64(value, "ns"), unit="ns", timezone="UTC"))


async def search(client: AsyncElasticsearch, wanted: Wanted, limit: int, place: Sequence[int | str] | None = None) -> Found:
    """A page. place: that of the page before. Raises ServiceUnavailable."""
    assert 0 < limit <= PAGE_MAX
    order = "asc" if wanted.ascending else "desc"
    sort: list[dict[str, Any]] = [{SORTS[wanted.sort]: {"order": order, "unmapped_type": _TYPES[wanted.sort], "missing": "_last"}}]
    if wanted.sort == "time":
        sort[0]["transact_time"] |= {"format": "strict_date_optional_time_nanos", "numeric_type": "date_nanos"}
    sort += [{name: {"order": order, "unmapped_type": "long"}} for name in ("partition", "seq")]
    with translated():
        answer = await client.search(
            index=f"{ACCOUNT_EVENTS}-*", query=query_of(wanted), sort=sort, size=limit + 1, track_total_hits=False, timeout=TIMEOUT,
            search_after=list(place) if place is not None else None, allow_partial_search_results=False, **_MISSING,
        )  # fmt: skip
    hits = answer["hits"]["hits"]
    more = len(hits) > limit
    return Found([hit["_source"] for hit in hits[:limit]], hits[limit - 1]["sort"] if more else None)
