"""The trading API over an exchange in memory: positions are closed, orders filtered and placed by notional, activities, worth, configuration and watchlists."""

import time
from datetime import date
from typing import Any

import pytest
from support.edge_requests import OTHER_KEY, Traded, traded

from edge.alpaca.limits import WATCHLIST_SYMBOLS_MAX
from edge.gateway.market.days import day_start_ns
from edge.http.timestamps import rfc3339
from schemas.enums import AccountEventKind
from schemas.ids import posting_uuid
from sinks.mysql.account_history import Activity, ActivityFilter, Flow
from sinks.mysql.customer_records import Watchlist
from sinks.mysql.rows import CASH, FEE, SHARES

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS


# ---- positions


async def test_a_position_is_closed_whole_or_in_part_by_whole_shares() -> None:
    """What is held by open orders is left to them."""
    async with traded() as edge:
        await edge.place("buy", 60, "150.00", OTHER_KEY)
        await edge.place("sell", 20, "200.00")
        status, order = await edge.ask("DELETE", "/v2/positions/AAPL", qty="3")
        assert (status, order["qty"], order["side"], order["type"], order["time_in_force"]) == (200, "3", "sell", "market", "day")
        _, position = await edge.ask("GET", "/v2/positions/AAPL")
        assert (position["qty"], position["qty_available"]) == ("47", "27")
        assert (await edge.ask("DELETE", "/v2/positions/AAPL", percentage="4.5"))[1]["qty"] == "2", "4.5 % of 47 are 2.1"
        assert (await edge.ask("DELETE", "/v2/positions/AAPL"))[1]["qty"] == "25"
        status, refused = await edge.ask("DELETE", "/v2/positions/AAPL")
        assert status == 422
        assert "held by open orders" in refused["message"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"qty": "51"}, "the position is 50"),
        ({"qty": "1.5"}, "must be a multiple of 1"),
        ({"qty": "x"}, "invalid qty"),
        ({"qty": "0"}, "qty must be > 0"),
        ({"percentage": "101"}, "percentage must be above 0"),
        ({"percentage": "0"}, "percentage must be above 0"),
        ({"percentage": "1"}, "less than a lot"),
        ({"percentage": "50", "qty": "1"}, "cannot be sent together"),
    ],
)
async def test_what_cannot_be_closed_is_refused_by_its_name(query: dict[str, str], says: str) -> None:
    """And nothing is sent."""
    async with traded() as edge:
        status, body = await edge.ask("DELETE", "/v2/positions/AAPL", **query)
        assert status == 422
        assert says in body["message"]
        assert (await edge.ask("GET", "/v2/positions/AAPL"))[1]["qty"] == "50"
        assert (await edge.ask("DELETE", "/v2/positions/MSFT"))[0] == (await edge.ask("DELETE", "/v2/positions/NOPE"))[0] == 404


async def test_all_positions_are_closed_after_their_orders_are_canceled() -> None:
    """Without that, what is held by orders is told as not closed."""
    async with traded() as edge:
        await edge.place("buy", 60, "150.00", OTHER_KEY)
        await edge.place("sell", 50, "200.00")
        status, results = await edge.ask("DELETE", "/v2/positions")
        assert (status, [(one["symbol"], one["status"], one["body"]["held_for_orders"]) for one in results]) == (207, [("AAPL", 422, 50.0)])
        status, results = await edge.ask("DELETE", "/v2/positions", cancel_orders="true")
        assert (status, [(one["symbol"], one["status"], one["body"]["qty"]) for one in results]) == (207, [("AAPL", 200, "50")])
        assert (await edge.ask("GET", "/v2/positions"))[1] == []
        assert (await edge.ask("DELETE", "/v2/positions", cancel_orders="perhaps"))[0] == 422


# ---- orders


async def test_orders_are_listed_from_one_of_them_on() -> None:
    """And a class that is not traded here has none."""
    async with traded() as edge:
        ids = [(await edge.place("buy", 1, "100.00"))["id"] for _ in range(5)]

        async def listed(**query: str) -> list[int]:
            status, orders = await edge.ask("GET", "/v2/orders", status="all", **query)
            assert status == 200, orders
            return [ids.index(one["id"]) for one in orders]

        assert await listed(before_order_id=ids[3], limit="2") == [2, 1]
        assert await listed(after_order_id=ids[3]) == [4]
        assert await listed(after_order_id=ids[1], direction="asc", limit="2") == [2, 3]
        assert await listed(asset_class="us_equity,crypto") == [4, 3, 2, 1, 0]
        assert await listed(asset_class="us_option") == []
        for query, says in (
            ({"before_order_id": "x"}, "invalid before_order_id"),
            ({"before_order_id": ids[0], "after_order_id": ids[0]}, "cannot be sent together"),
            ({"asset_class": "gold"}, "invalid asset_class"),
        ):
            status, body = await edge.ask("GET", "/v2/orders", **query)
            assert status == 422
            assert says in body["message"]


async def test_a_market_order_by_notional_is_for_whole_shares_and_the_same_one_when_it_is_sent_again() -> None:
    """Whatever the price has become; what is less than a share is refused."""
    async with traded() as edge:
        await edge.place("sell", 2, "100.00", OTHER_KEY)
        await edge.place("sell", 40, "101.00", OTHER_KEY)
        order = {"symbol": "AAPL", "notional": "250", "side": "buy", "type": "market", "time_in_force": "day", "client_order_id": "by-cost"}
        status, first = await edge.ask("POST", "/v2/orders", order)
        assert (status, first["qty"]) == (200, "2")
        edge.gateway.market.symbols["AAPL"].last_px = 1
        assert (await edge.ask("POST", "/v2/orders", order))[1]["id"] == first["id"]
        for change, says in (
            ({"notional": "0"}, "notional must be > 0"), ({"notional": "5"}, "less than 1 AAPL costs"), ({"qty": "1"}, "cannot be sent together"),
            ({"type": "limit", "limit_price": "1"}, "notional is for market orders"), ({"notional": 10**20}, "more than 100000 AAPL"),
        ):  # fmt: skip
            status, body = await edge.ask("POST", "/v2/orders", {**order, "client_order_id": "x", **change})
            assert status == 422, change
            assert says in body["message"]


# ---- what the ledger says


def posting(kind: AccountEventKind, leg: int, amount: int, **more: int) -> Activity:
    """Of account 1."""
    values = dict.fromkeys(Activity.__slots__, 0) | {
        "seq": 7,
        "kind": int(kind),
        "leg": leg,
        "amount": amount,
        "transact_time": 1_796_000_000_123_000_000,
    }
    return Activity(**(values | more))


async def test_every_kind_of_posting_is_an_activity_in_alpacas_form() -> None:
    """Amounts are exact, dates are New York's."""
    fill = {
        "trd_match_id": 9,
        "side": 2,
        "order_id": 5,
        "last_px": 18_000,
        "last_qty": 3,
        "cum_qty": 3,
        "leaves_qty": 2,
        "traded": 1,
        "instrument": 1,
    }
    trade, outside, bust = AccountEventKind.TRADE, AccountEventKind.ACCOUNT_UPDATED, AccountEventKind.TRADE_BUSTED
    async with traded() as edge:
        edge.stores.answers["activities"] = [
            posting(trade, SHARES, -3, **fill), posting(trade, FEE, -123, trd_match_id=9), posting(outside, CASH, 10_000), posting(outside, CASH, -5_000),
            posting(outside, SHARES, 7, instrument=1), posting(bust, CASH, 5_400_000, trd_match_id=9), posting(bust, SHARES, 3, trd_match_id=9, instrument=1),
        ]  # fmt: skip
        status, found = await edge.ask("GET", "/v2/account/activities")
        assert status == 200
        assert [one["activity_type"] for one in found] == ["FILL", "FEE", "CSD", "CSW", "JNLS", "MISC", "MISC"]
        assert [one.get("net_amount") for one in found] == [None, "-0.0123", "1.00", "-0.50", "0", "540.00", "0"]
        first = found[0]
        assert (first["type"], first["price"], first["qty"], first["side"], first["symbol"]) == ("partial_fill", "180", "3", "sell", "AAPL")
        assert (first["leaves_qty"], first["cum_qty"], first["order_status"]) == ("2", "3", "partially_filled")
        assert first["id"] == f"20261130{rfc3339(1_796_000_000_000_000_000)[11:19].replace(':', '')}123::{posting_uuid(0, 7, SHARES)}"
        assert (found[4]["symbol"], found[4]["qty"], found[2]["date"]) == ("AAPL", "7", "2026-11-29")


@pytest.mark.parametrize(
    ("path", "query", "kinds", "more"),
    [
        ("", {"activity_types": "FILL,CSD"}, 2, {"incoming": True, "outgoing": False}),
        ("", {"category": "non_trade_activity"}, 6, {"incoming": True, "outgoing": True}),
        ("", {"category": "trade_activity"}, 1, {}),
        ("/CSW", {}, 1, {"incoming": False, "outgoing": True}),
        ("/DIV", {}, 0, {}),
        ("/FILL", {"date": "2026-11-30"}, 1, {"after": day_start_ns(date(2026, 11, 30)) - 1, "until": day_start_ns(date(2026, 12, 1))}),
        ("/FILL", {"direction": "asc", "page_size": "7"}, 1, {"ascending": True, "limit": 7}),
        ("/FILL", {"page_token": f"20261129010203123::{posting_uuid(3, 17, 2)}"}, 1, {"behind": (99, 17, 2)}),
    ],
)  # fmt: skip
async def test_activities_are_asked_for_by_type_time_and_page(path: str, query: dict[str, str], kinds: int, more: dict[str, Any]) -> None:
    """The filter that the ledger gets."""
    async with traded() as edge:
        edge.stores.answers |= {"activities": [], "time_of": 99}
        assert await edge.ask("GET", f"/v2/account/activities{path}", **query) == (200, [])
        (wanted,) = [one[2] for one in edge.stores.queries if one[0] == "activities"]
        assert isinstance(wanted, ActivityFilter)
        assert len(wanted.kinds) == kinds
        assert {name: getattr(wanted, name) for name in more} == more


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("/LOTTERY", {}, "invalid activity type"),
        ("", {"activity_types": "FILL", "category": "trade_activity"}, "cannot be sent together"),
        ("", {"page_size": "101"}, "invalid page_size"),
        ("", {"page_token": "x"}, "invalid page_token"),
        ("", {"page_token": f"20261129010203123::{posting_uuid(3, 17, 2)}"}, "the account has no such activity"),
        ("", {"date": "2026-13-01"}, "invalid date"),
        ("", {"date": "2026-12-01", "after": "2026-12-01"}, "cannot be sent with"),
        ("", {"after": "soon"}, "parameter after"),
        ("", {"direction": "up"}, "invalid direction"),
    ],
)
async def test_a_bad_question_for_activities_names_its_parameter(path: str, query: dict[str, str], says: str) -> None:
    """422."""
    async with traded() as edge:
        edge.stores.answers["time_of"] = None
        status, body = await edge.ask("GET", f"/v2/account/activities{path}", **query)
        assert status == 422
        assert says in body["message"]


async def history(edge: Traded, **query: str) -> dict[str, Any]:
    """A portfolio history."""
    status, body = await edge.ask("GET", "/v2/account/portfolio/history", **query)
    assert status == 200, body
    written: dict[str, Any] = body
    return written


async def test_worth_is_that_of_now_without_what_was_posted_since() -> None:
    """Shares at the prices of the time; deposits are no profit."""
    async with traded() as edge:  # 10,000.00 and 50 shares of AAPL, whose reference price is 180.00
        hour = time.time_ns() // HOUR_NS * HOUR_NS
        start = hour - 3 * HOUR_NS
        edge.stores.answers |= {
            # in the second hour 1,000.00 came, in the third 10 shares were bought at 150.00
            "flows": [Flow(1, 0, 10_000_000, 10_000_000, 10_000_000), Flow(2, 0, -15_000_000, 0, 0), Flow(2, 1, 10, 0, 0)],
            "closes_before": {1: 10_000}, "closes": [(1, 12_000), (2, 15_000)],
        }  # fmt: skip
        found = await history(
            edge, timeframe="1H", start=rfc3339(start), intraday_reporting="continuous", cashflow_types="ALL", pnl_reset="no_reset"
        )
        before = 10_000 - 1_000 + 1_500
        assert found["base_value"] == before + 40 * 100
        assert found["equity"][:3] == [before + 40 * 100, before + 1_000 + 40 * 120, 10_000 + 50 * 150]
        assert found["profit_loss"][:3] == [0, 800, 2_000]
        assert found["cashflow"] == {"CSD": [0, 1_000] + [0] * (len(found["equity"]) - 2), "CSW": [0] * len(found["equity"])}
        assert found["timestamp"][:2] == [start // 1_000_000_000, (start + HOUR_NS) // 1_000_000_000]
        assert found["timeframe"] == "1H"


async def test_days_are_trading_days_and_profit_is_that_of_the_day() -> None:
    """Thanksgiving and the weekend are left out."""
    async with traded() as edge:
        edge.stores.answers |= {"flows": [], "closes_before": {}, "closes": []}
        found = await history(edge, timeframe="1D", start="2025-11-26T12:00:00Z", end="2025-12-01T20:00:00Z")
        days = [date(2025, 11, 26), date(2025, 11, 28), date(2025, 12, 1)]
        assert found["timestamp"] == [day_start_ns(day) // 1_000_000_000 for day in days]
        assert found["equity"] == [10_000 + 50 * 180] * 3
        found = await history(edge, timeframe="15Min", start="2025-11-28T12:00:00Z", end="2025-11-28T23:00:00Z")
        assert len(found["equity"]) == 14, "a half day: 09:30 to 13:00"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"period": "1X"}, "invalid period"),
        ({"timeframe": "2H"}, "invalid timeframe"),
        ({"timeframe": "1Min", "period": "1A"}, "take a longer one"),
        ({"start": "2026-01-01", "end": "2026-02-01", "period": "1D"}, "two of them say it"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "start must be before end"),
        ({"intraday_reporting": "nights"}, "invalid intraday_reporting"),
        ({"pnl_reset": "never"}, "invalid pnl_reset"),
    ],
)
async def test_a_bad_question_for_worth_names_its_parameter(query: dict[str, str], says: str) -> None:
    """422."""
    async with traded() as edge:
        status, body = await edge.ask("GET", "/v2/account/portfolio/history", **query)
        assert status == 422
        assert says in body["message"]


# ---- what customers keep


async def test_a_customer_may_forbid_himself_to_trade_and_to_sell_short() -> None:
    """Cancels are taken all the same; what cannot be configured may be repeated and not changed."""
    async with traded() as edge:
        kept: dict[str, Any] = {}

        def change(_account: int, changes: dict[str, Any], _now: int) -> dict[str, Any]:
            kept.update(changes)
            return dict(kept)

        edge.stores.answers["change_configuration"] = change
        _, whole = await edge.ask("GET", "/v2/account/configurations")
        resting = await edge.place("buy", 1, "100.00")
        assert (await edge.ask("PATCH", "/v2/account/configurations", whole | {"suspend_trade": True}))[1] == whole | {
            "suspend_trade": True
        }
        order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
        for method, path, body in (("POST", "/v2/orders", order), ("PATCH", f"/v2/orders/{resting['id']}", {"qty": 2})):
            status, refused = await edge.ask(method, path, body)
            assert (status, refused["reject_reason"]) == (403, "ACCOUNT_SUSPENDED")
        assert (await edge.ask("DELETE", f"/v2/orders/{resting['id']}"))[0] == 204
        await edge.ask("PATCH", "/v2/account/configurations", {"suspend_trade": False, "no_shorting": True})
        status, refused = await edge.ask("POST", "/v2/orders", order | {"side": "sell", "qty": 51})
        assert (status, refused["reject_reason"]) == (403, "SHORT_SALE_NOT_ALLOWED")
        await edge.place("sell", 50, "200.00")
        for change_, says in (
            ({"fractional_trading": True}, "fractional_trading cannot be changed"), ({"suspend_trade": "yes"}, "suspend_trade must be true or false"),
            ({"trade_confirm_email": "some"}, "invalid trade_confirm_email"), ({"max_options_trading_level": False}, "cannot be changed"),
        ):  # fmt: skip
            status, body = await edge.ask("PATCH", "/v2/account/configurations", change_)
            assert status == 422
            assert says in body["message"]


async def test_while_the_store_is_away_a_known_configuration_holds_and_with_an_unknown_one_nothing_is_sent() -> None:
    """503, and the same order is taken later."""
    async with traded() as edge:
        edge.stores.is_away = True
        order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "100"}
        assert (await edge.ask("POST", "/v2/orders", order))[0] == 503
        edge.stores.is_away = False
        await edge.place("buy", 1, "100.00")
        edge.stores.is_away = True
        edge.gateway.customers._known[1].read_at_s -= 1_000
        await edge.place("buy", 1, "100.00")
        edge.stores.is_away = False
        assert (await edge.ask("GET", "/v2/account", key=OTHER_KEY))[0] == 200
        edge.stores.is_away = True
        await edge.place("buy", 1, "100.00", OTHER_KEY)  # known since it was first heard of


class Lists:
    """Watchlists of every account, as the store keeps them."""

    def __init__(self, edge: Traded) -> None:
        self.kept: dict[int, dict[str, Watchlist]] = {1: {}, 2: {}}
        edge.stores.answers |= {
            "watchlists": lambda account: list(self.kept[account].values()),
            "put_watchlist": self.put,
            "drop_watchlist": self.drop,
        }

    def put(self, account: int, one: Watchlist, most: int) -> str:
        """As sinks.mysql.customer_records."""
        others = [other.name for other in self.kept[account].values() if other.watchlist_id != one.watchlist_id]
        if one.name in others or len(others) >= most:
            return "name" if one.name in others else "most"
        self.kept[account][one.watchlist_id] = one
        return ""

    def drop(self, account: int, watchlist_id: str) -> bool:
        """As sinks.mysql.customer_records."""
        return self.kept[account].pop(watchlist_id, None) is not None


async def test_watchlists_are_made_read_changed_and_dropped_by_id_and_by_name() -> None:
    """And are seen by their account alone."""
    async with traded() as edge:
        Lists(edge)
        status, made = await edge.ask("POST", "/v2/watchlists", {"name": "tech", "symbols": ["AAPL", "MSFT", "AAPL"]})
        assert (status, made["name"], [one["symbol"] for one in made["assets"]]) == (200, "tech", ["AAPL", "MSFT"])
        path = f"/v2/watchlists/{made['id']}"
        assert (await edge.ask("GET", "/v2/watchlists"))[1] == [{name: value for name, value in made.items() if name != "assets"}]
        assert (await edge.ask("GET", path))[1] == (await edge.ask("GET", "/v2/watchlists:by_name", name="tech"))[1] == made
        assert (await edge.ask("GET", path, key=OTHER_KEY))[0] == 404
        assert [one["symbol"] for one in (await edge.ask("POST", path, {"symbol": "NVDA"}))[1]["assets"]] == ["AAPL", "MSFT", "NVDA"]
        assert [one["symbol"] for one in (await edge.ask("DELETE", f"{path}/AAPL"))[1]["assets"]] == ["MSFT", "NVDA"]
        assert (await edge.ask("DELETE", f"{path}/AAPL"))[0] == 404
        status, changed = await edge.ask("PUT", "/v2/watchlists:by_name", {"name": "chips", "symbols": []}, name="tech")
        assert (status, changed["name"], changed["assets"], changed["id"]) == (200, "chips", [], made["id"])
        assert (await edge.ask("POST", "/v2/watchlists:by_name", {"symbol": "AAPL"}, name="chips"))[0] == 200
        assert (await edge.ask("DELETE", "/v2/watchlists:by_name", name="chips"))[0] == 204
        assert (await edge.ask("GET", path))[0] == 404


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "name is required"),
        ({"name": "x" * 65}, "1 to 64 characters"),
        ({"name": " "}, "1 to 64 characters"),
        ({"name": "a\nb"}, "1 to 64 characters"),
        ({"name": 7}, "name must be text"),
        ({"name": "a", "symbols": "AAPL"}, "symbols must be a list"),
        ({"name": "a", "symbols": ["NOPE"]}, 'asset "NOPE" not found'),
        ({"name": "a", "symbols": [1]}, "not found"),
        ({"name": "a", "symbols": ["AAPL"] * (2 * WATCHLIST_SYMBOLS_MAX + 1)}, "symbols must be a list"),
        ({"name": "taken"}, "must be unique"),
    ],
)
async def test_a_watchlist_that_cannot_be_is_refused_by_its_field(body: dict[str, Any], says: str) -> None:
    """422."""
    async with traded() as edge:
        lists = Lists(edge)
        lists.put(1, Watchlist("w", "taken", 1, 1, ()), 9)
        status, refused = await edge.ask("POST", "/v2/watchlists", body)
        assert status == 422
        assert says in refused["message"]
        assert len(lists.kept[1]) == 1


async def test_clocks_and_days_of_the_newer_addresses_are_those_of_the_older() -> None:
    """Of the markets that trade in the same hours; others are refused by name."""
    async with traded() as edge:
        _, older = await edge.ask("GET", "/v2/clock")
        _, newer = await edge.ask("GET", "/v3/clock", markets="NYSE,NASDAQ")
        assert [one["market"]["acronym"] for one in newer["clocks"]] == ["NYSE", "NASDAQ"]
        assert (newer["clocks"][0]["next_market_open"], newer["clocks"][0]["phase"]) == (older["next_open"], "core")
        _, days = await edge.ask("GET", "/v3/calendar/NYSE", start="2025-11-26", end="2025-12-01")
        assert [one["date"] for one in days["calendar"]] == ["2025-11-26", "2025-11-28", "2025-12-01"]
        assert days["calendar"][1]["core_end"] == "2025-11-28T13:00:00-05:00"
        _, days = await edge.ask("GET", "/v3/calendar/NYSE", start="2025-11-28", end="2025-11-28", timezone="UTC")
        assert days["calendar"][0]["core_start"] == "2025-11-28T14:30:00+00:00"
        for path in ("/v3/calendar/LSE", "/v3/clock?markets=LSE", "/v3/calendar/NYSE?timezone=CET", "/v3/clock?time=2026-01-01"):
            assert (await edge.ask("GET", path))[0] == 422


async def test_assets_are_filtered_as_alpaca_has_it() -> None:
    """Who asks for crypto gets the same shares, which the crypto-shaped half of the API serves."""
    async with traded() as edge:

        async def listed(**query: str) -> Any:
            status, body = await edge.ask("GET", "/v2/assets", **query)
            return [one["symbol"] for one in body] if status == 200 else body["message"]

        assert "AAPL" in await listed() == await listed(asset_class="crypto", status="active")
        for query in ({"status": "inactive"}, {"exchange": "NYSE"}, {"asset_class": "us_option"}, {"attributes": "has_options"}):
            assert await listed(**query) == []
        for name in ("status", "exchange", "asset_class", "attributes"):
            assert f"invalid {name}" in await listed(**{name: "moon"})
