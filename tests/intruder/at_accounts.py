"""Accounts of others, over Alpaca's API: each family of routes, asked with the key of account 2 for account 1.

What stops them is one rule: whose account it is follows from the key, never from the request. Without it, `?account=1` would do.
"""

# ruff: noqa: D103 - their names say what they do

from typing import Any, Final

from attack import KEY, OTHER_KEY, attack, exchange
from support.native_edge import NativeEdge

from edge.alpaca import access
from sinks.mysql.customer_records import Watchlist

BY_THE_KEY: Final = (
    access,
    "    request[SESSION] = session\n",
    "    import copy\n    session = copy.copy(session)\n    session.account = int(request.query.get('account', session.account))\n    request[SESSION] = session\n",
)
ORDER: Final = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "170.00"}
LIST_ID: Final = "6f2cbb5c-8ed3-4ee0-8c37-4f4a0c2b0b4f"
MINE: Final = "of account 1"


class Victim:
    """Account 1, with an order; and what somebody with the key of account 2 asks."""

    def __init__(self, native: NativeEdge) -> None:
        self.edge, self.asked = native.served, list[tuple[Any, ...]]()
        self.order: dict[str, Any] = {}

    async def prepare(self) -> None:
        """An order that rests, and answers of the stores that tell whose they are."""
        answers = self.edge.stores.answers

        def noted(name: str, value: Any) -> Any:
            def answer(account: int, *rest: Any) -> Any:
                self.asked.append((name, account))
                return value(account, *rest) if callable(value) else value

            return answer

        watchlist = Watchlist(LIST_ID, MINE, 1, 1, (1,))
        answers["watchlists"] = noted("watchlists", lambda account: [watchlist] if account == 1 else [])
        answers["configuration"] = noted("configuration", lambda account: {"no_shorting": account == 1})
        for name, value in (("put_watchlist", ""), ("drop_watchlist", True), ("change_configuration", {}), ("activities", [])):
            answers[name] = noted(name, value)
        self.order = (await self.edge.post("/v2/orders", headers=KEY, json=ORDER | {"client_order_id": "mine"}))[1]

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """As account 2, naming account 1."""
        options = {"headers": OTHER_KEY, "params": {"account": "1"} | query} | ({} if body is None else {"json": body})
        return (await self.edge._ask(method, path, **options))[:2]

    async def open_orders(self) -> list[Any]:
        """Of account 1."""
        return (await self.edge.get("/v2/orders", headers=KEY))[1]


async def read_anothers_account(one: Victim) -> bool:
    return (await one.ask("GET", "/v2/account"))[1]["account_number"] == "1"


async def list_anothers_orders(one: Victim) -> bool:
    return bool((await one.ask("GET", "/v2/orders"))[1])


async def read_anothers_order(one: Victim) -> bool:
    return (await one.ask("GET", f"/v2/orders/{one.order['id']}"))[0] == 200


async def read_anothers_order_by_its_name(one: Victim) -> bool:
    return (await one.ask("GET", "/v2/orders:by_client_order_id", client_order_id="mine"))[0] == 200


async def place_an_order_for_another(one: Victim) -> bool:
    await one.ask("POST", "/v2/orders", ORDER)
    return len(await one.open_orders()) == 2


async def replace_anothers_order(one: Victim) -> bool:
    return (await one.ask("PATCH", f"/v2/orders/{one.order['id']}", {"qty": "2"}))[0] == 200


async def cancel_anothers_order(one: Victim) -> bool:
    return (await one.ask("DELETE", f"/v2/orders/{one.order['id']}"))[0] == 204


async def cancel_all_of_anothers_orders(one: Victim) -> bool:
    return bool((await one.ask("DELETE", "/v2/orders"))[1])


async def list_anothers_positions(one: Victim) -> bool:
    await one.edge.post("/v2/orders", headers=KEY, json=ORDER | {"side": "sell", "limit_price": "190.00", "qty": "7"})
    return (await one.ask("GET", "/v2/positions"))[1][0]["qty_available"] == "43"


async def read_anothers_position(one: Victim) -> bool:
    await one.edge.post("/v2/orders", headers=KEY, json=ORDER | {"side": "sell", "limit_price": "190.00", "qty": "7"})
    return (await one.ask("GET", "/v2/positions/AAPL"))[1]["qty_available"] == "43"


async def close_anothers_position(one: Victim) -> bool:
    await one.ask("DELETE", "/v2/positions/AAPL", qty="1")
    return bool(await _done(one))


async def close_all_of_anothers_positions(one: Victim) -> bool:
    await one.ask("DELETE", "/v2/positions")
    return bool(await _done(one))


async def _done(one: Victim) -> Any:
    """Orders of account 1 that are done or wait, but for the one that rests."""
    view = (await one.edge.gateway.accounts.view(1)).value  # type: ignore[union-attr]
    return [order for order in view.orders() if order.cl_ord_id != "mine"]


async def read_anothers_configuration(one: Victim) -> bool:
    return bool((await one.ask("GET", "/v2/account/configurations"))[1]["no_shorting"])


async def change_anothers_configuration(one: Victim) -> bool:
    await one.ask("PATCH", "/v2/account/configurations", {"suspend_trade": True})
    return ("change_configuration", 1) in one.asked


async def list_anothers_watchlists(one: Victim) -> bool:
    return MINE in str((await one.ask("GET", "/v2/watchlists"))[1])


async def read_anothers_watchlist(one: Victim) -> bool:
    return (await one.ask("GET", f"/v2/watchlists/{LIST_ID}"))[0] == 200


async def read_anothers_watchlist_by_its_name(one: Victim) -> bool:
    return (await one.ask("GET", "/v2/watchlists:by_name", name=MINE))[0] == 200


async def make_a_watchlist_for_another(one: Victim) -> bool:
    await one.ask("POST", "/v2/watchlists", {"name": "new", "symbols": ["AAPL"]})
    return ("put_watchlist", 1) in one.asked


async def change_anothers_watchlist(one: Victim) -> bool:
    return (await one.ask("PUT", f"/v2/watchlists/{LIST_ID}", {"name": "changed"}))[0] == 200


async def add_to_anothers_watchlist(one: Victim) -> bool:
    return (await one.ask("POST", f"/v2/watchlists/{LIST_ID}", {"symbol": "AAPL"}))[0] == 200


async def take_from_anothers_watchlist(one: Victim) -> bool:
    return (await one.ask("DELETE", f"/v2/watchlists/{LIST_ID}/AAPL"))[0] == 200


async def drop_anothers_watchlist(one: Victim) -> bool:
    return (await one.ask("DELETE", f"/v2/watchlists/{LIST_ID}"))[0] == 204


async def read_anothers_activities(one: Victim) -> bool:
    one.asked.clear()
    await one.ask("GET", "/v2/account/activities")
    return any(account == 1 for _, account, *_ in one.asked)


def _as_attack(run: Any) -> Any:
    async def tried(native: NativeEdge) -> bool:
        victim = Victim(native)
        await victim.prepare()
        return await run(victim)

    return tried


for _run in (
    read_anothers_account, list_anothers_orders, read_anothers_order, read_anothers_order_by_its_name, place_an_order_for_another,
    replace_anothers_order, cancel_anothers_order, cancel_all_of_anothers_orders, list_anothers_positions, read_anothers_position,
    close_anothers_position, close_all_of_anothers_positions, read_anothers_configuration, change_anothers_configuration, list_anothers_watchlists,
    read_anothers_watchlist, read_anothers_watchlist_by_its_name, make_a_watchlist_for_another, change_anothers_watchlist, add_to_anothers_watchlist,
    take_from_anothers_watchlist, drop_anothers_watchlist, read_anothers_activities,
):  # fmt: skip
    attack(_run.__name__, _as_attack(_run), BY_THE_KEY, door=exchange)
