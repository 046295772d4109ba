"""What is warmed is what is asked: the questions of the trading page and of Alpaca's clients are those of sinks.cached.pages."""

import time
from typing import Any

from support.edge_requests import KEY, traded

from edge.gateway.market.days import day_of, day_start_ns
from edge.gateway.stored.stores import EdgeStores
from schemas.settings import Settings
from sinks.cached.kinds import KINDS
from sinks.cached.pages import pages_of_account, pages_of_symbol
from sinks.mysql.places import Place


class Asked(EdgeStores):
    """Notes what history is asked for."""

    def __init__(self) -> None:
        super().__init__(Settings(mysql_url="mysql://u:p@h/d"))
        self.questions: set[tuple[str, bytes | None]] = set()

    async def read(self, query: Any, account: int | None, *args: Any, **kwargs: Any) -> Any:
        """Nothing is found."""
        kind = KINDS[query]
        self.questions.add((kind.name, kind.question(kind.arguments(args, kwargs))))
        return kind.unpack([[], None] if kind.name.startswith("bars") else [])


async def test_the_pages_that_are_warmed_are_those_that_are_asked_for() -> None:
    """Done orders and fills as the trading page asks, the minutes of today as Alpaca's clients do."""
    asked = Asked()
    async with traded() as edge:
        edge.gateway.account_history._stores = edge.gateway.past._stores = asked
        edge.gateway.orders._history = asked
        for path in (
            "/v2/orders?status=closed&limit=50",
            "/v2/account/activities/FILL?page_size=50",
            "/v2/stocks/AAPL/bars?timeframe=1Min",
        ):
            async with edge.client.get(path, headers=KEY) as response:
                assert response.status == 200, await response.text()
        now_ns = time.time_ns()
        pages = [*pages_of_account(1, Place(0, 0)), *pages_of_symbol(1, day_start_ns(day_of(now_ns)), 0, now_ns)]
        warmed = {(page.kind.name, page.kind.question(page.arguments)) for page in pages}
        assert asked.questions <= warmed and len(asked.questions) == 3
