"""The days that the audit trail has in Elasticsearch, and deleting them by whole indices. Every function raises ServiceUnavailable."""

from collections import Counter
from collections.abc import Callable
from datetime import date

from elasticsearch import AsyncElasticsearch

from sinks.elastic.client import translated
from sinks.elastic.retention import day_of_index


async def indices_by_day(client: AsyncElasticsearch) -> dict[date, list[str]]:
    """The indices behind audit-*, their real names, by day."""
    with translated():
        names = await client.indices.get_alias(index="audit-*", allow_no_indices=True)
    found: dict[date, list[str]] = {}
    for name in sorted(names.keys()):
        day = day_of_index(str(name))
        if day is not None:
            found.setdefault(day, []).append(str(name))
    return dict(sorted(found.items()))


async def documents_by_day(client: AsyncElasticsearch) -> Counter[date]:
    """How many documents each day has."""
    counts = Counter[date]()
    for day, names in (await indices_by_day(client)).items():
        with translated():
            await client.indices.refresh(index=names)
            counts[day] += int((await client.count(index=names))["count"])
    return counts


async def delete_days(client: AsyncElasticsearch, may_go: Callable[[date], bool]) -> Counter[date]:
    """Delete the indices of these days; how many documents each had. Where it is interrupted, the next call goes on."""
    counts = Counter[date]()
    for day, names in (await indices_by_day(client)).items():
        if not may_go(day):
            continue
        for name in names:
            with translated():
                await client.indices.refresh(index=name)
                counts[day] += int((await client.count(index=name))["count"])
                await client.indices.delete(index=name, ignore_unavailable=True)
    return counts
