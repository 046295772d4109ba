"""Colleagues who ask for more than a case needs: whole graphs, runs without end, what only compliance may see."""

from typing import Any

from attack import stopped_by
from support.served_edge import Served

from access.people import Role
from edge.console import links_api
from edge.gateway.analysts.linked_accounts import LinkedAccounts
from edge.gateway.outcomes import Accepted
from surveillance.linked_accounts import TradedPair, linked


class _Links:
    """Everybody has traded with account 7."""

    async def around(self, alert: dict[str, Any], span_ns: int, accounts_max: int) -> Accepted[LinkedAccounts]:
        """As many as are asked for."""
        trades = [TradedPair(7, number, 1, 1, 1) for number in range(100, 1_100)]
        return Accepted(LinkedAccounts(linked([7], trades, [], [], accounts_max), [], 0, 1, 0, owners_known=True, sign_ins_since=0))


@stopped_by((links_api, "    if not 1 <= found <= most:", "    if False:"))
async def draw_a_graph_of_all_accounts(one: Served) -> bool:
    """Around one alert."""
    links: Any = _Links()
    one.gateway.account_links = links
    path = "/surveillance/alerts/alert-1/links?accounts=100000"
    status, body, _ = await one.get(path, headers=one.stores.bearer(Role.ANALYST))
    return status == 200 and len(body["accounts"]) > 60
