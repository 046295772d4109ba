"""The audit trail of an edge in a unit test: events in memory, newest first, found by account, kind and time; real searches are in the tests of the sink."""

import asyncio
from collections.abc import Sequence
from typing import Any

from edge.gateway.gateway import Gateway
from edge.gateway.limits import SEARCHES_MAX, STAFF_SEARCHES_MAX
from edge.gateway.stored.searches import Searches
from schemas.errors import ServiceUnavailable
from sinks.elastic.search_words import Found, Wanted


def event(seq: int, account: int, **fields: Any) -> dict[str, Any]:
    """A trade of 10 shares at 180.05, as Elasticsearch has it."""
    return {
        "transact_time": f"2027-01-15T08:00:00.{seq:09}Z", "account": account, "kind": "TRADE", "symbol": "AAPL", "instrument": 1, "side": "BUY",
        "last_px": 18_005, "last_qty": 10, "price": 18_010, "order_qty": 50, "order_id": 1 << 60, "cl_ord_id": f"a-{seq}", "trd_match_id": seq,
        "partition": 0, "seq": seq, **fields,
    }  # fmt: skip


class TrailInMemory:
    """A Trail."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self.documents = sorted(documents, key=lambda one: -one["seq"])
        self.asked: list[Wanted] = []
        self.is_away = False
        self.answers = asyncio.Event()
        """Cleared: whoever asks waits."""
        self.answers.set()

    def stand_behind(self, gateway: Gateway) -> "TrailInMemory":
        """Instead of Elasticsearch."""
        gateway.searches, gateway.staff_searches = Searches(self, SEARCHES_MAX), Searches(self, STAFF_SEARCHES_MAX)
        return self

    async def find(self, wanted: Wanted, limit: int, place: Sequence[int | str] | None) -> Found:
        """A page."""
        self.asked.append(wanted)
        await self.answers.wait()
        if self.is_away:
            raise ServiceUnavailable("Elasticsearch at search.internal:9200 refused the request")
        fits = [
            one
            for one in self.documents
            if wanted.account in (None, one["account"])
            and (not wanted.kinds or one["kind"] in wanted.kinds)
            and (place is None or one["transact_time"] < str(place[0]))
        ]
        last = fits[limit - 1] if len(fits) > limit else None
        return Found(fits[:limit], [last["transact_time"], last["partition"], last["seq"]] if last else None)

    async def close(self) -> None:
        """Nothing is open."""
