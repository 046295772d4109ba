"""What the system of record answers, for an edge's tests without one: by the name of the query, a value or a function of its arguments."""

from collections.abc import Callable
from typing import Any

from schemas.errors import ServiceUnavailable
from sinks.redis.prices import Newest


class StoredAnswers:
    """`ask`, `read` and `newest_prices` of edge.gateway.stored.history.Stores."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"configuration": {}, "watchlists": [], "stored_until": 0}
        self.newest = Newest({}, {}, {})
        self.is_away = False
        self.queries: list[tuple[Any, ...]] = []
        """(name, arguments...) of each query, in their order."""

    async def ask(self, query: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The answer to the query of this name."""
        if self.is_away:
            raise ServiceUnavailable("MySQL at db.internal:3306/outcry does not answer")
        self.queries.append((query.__name__, *args, *kwargs.values()))
        found = self.answers[query.__name__]
        return found(*args, **kwargs) if callable(found) else found

    async def read(self, query: Callable[..., Any], account: int | None, *args: Any, **kwargs: Any) -> Any:
        """The same: there is one store."""
        return await self.ask(query, *args, **kwargs)

    async def newest_prices(self, _symbols: Any) -> Newest:
        """What the price cache has."""
        return self.newest
