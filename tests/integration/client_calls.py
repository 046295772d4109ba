"""Every public call of the unmodified alpaca-py and ccxt; run by test_client_calls.py with the clients' own Python.

In:  argv: base URL; two API keys as JSON [[key_id, secret], [key_id, secret]] of accounts with cash and AAPL shares
Out: one line of JSON on standard output: {client: {call: what it gave in short, or {"error": text}}}. A call that a client has and this file does not make is an error.
"""

import asyncio
import inspect
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ccxt
import ccxt.pro
from alpaca.common.rest import RESTClient
from alpaca.data.enums import DataFeed, MarketType, MostActivesBy
from alpaca.data.historical import (
    CryptoHistoricalDataClient,
    NewsClient,
    OptionHistoricalDataClient,
    ScreenerClient,
    StockHistoricalDataClient,
)
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.live import CryptoDataStream, StockDataStream
from alpaca.data.requests import (
    CorporateActionsRequest,
    CryptoBarsRequest,
    CryptoLatestOrderbookRequest,
    CryptoQuoteRequest,
    CryptoTradesRequest,
    MarketMoversRequest,
    MostActivesRequest,
    NewsRequest,
    StockBarsRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import CorporateActionType, OrderSide, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    CreateWatchlistRequest,
    GetCalendarRequest,
    GetCorporateAnnouncementsRequest,
    GetOptionContractsRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    UpdateWatchlistRequest,
)
from alpaca.trading.stream import TradingStream

WAIT_S = 120.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of the condition."""
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WAIT_S} s: {what}")
        time.sleep(0.02)
    return value


def made(calls: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each call gave."""
    found: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            found[name] = call()
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
    return found


def limit(side: OrderSide, qty: int, price: float) -> LimitOrderRequest:
    """Of AAPL."""
    return LimitOrderRequest(symbol="AAPL", qty=qty, side=side, time_in_force=TimeInForce.GTC, limit_price=price)


def methods_of(kind: type[Any]) -> set[str]:
    """Public ones that the class adds to the plain HTTP client."""
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_") and not hasattr(RESTClient, name)}


def trading_calls(client: TradingClient, other: TradingClient) -> dict[str, Any]:
    """TradingClient."""
    parts = (account_calls(client), order_calls(client), position_calls(client, other), watchlist_calls(client), absent_calls(client))
    calls = {name: call for part in parts for name, call in part.items()}
    calls["close_all_positions"] = lambda: close_all(client, other)  # last: positions are asked for before
    return complete(made(calls), methods_of(TradingClient))


def account_calls(client: TradingClient) -> dict[str, Callable[[], Any]]:
    """The account, the clock, the assets."""
    return {
        "get_account": lambda: client.get_account().status.value,
        "get_account_configurations": lambda: str(client.get_account_configurations().no_shorting),
        "set_account_configurations": lambda: client.set_account_configurations(client.get_account_configurations()).suspend_trade,
        "get_clock": lambda: client.get_clock().is_open,
        "get_calendar": lambda: len(client.get_calendar(GetCalendarRequest(start=date(2026, 1, 5), end=date(2026, 1, 9)))),
        "get_all_assets": lambda: len(client.get_all_assets()),
        "get_asset": lambda: client.get_asset("AAPL").symbol,
    }


def order_calls(client: TradingClient) -> dict[str, Callable[[], Any]]:
    """One order from its beginning to its end; each call is about the order that the first has made."""
    kept: dict[str, Any] = {}

    def order() -> Any:
        return client.submit_order(limit(OrderSide.BUY, 5, 100.05))

    def submit() -> str:
        kept["order"] = order()
        return str(kept["order"].status.value)

    def cancel() -> str:
        client.cancel_order_by_id(kept["order"].id)
        return str(
            wait_for(lambda: (o := client.get_order_by_id(kept["order"].id)).canceled_at and o.status.value, "the order is canceled")
        )

    return {
        "submit_order": submit,
        "get_orders": lambda: kept["order"].id in {one.id for one in client.get_orders()},
        "get_order_by_id": lambda: client.get_order_by_id(kept["order"].id).qty,
        "get_order_by_client_id": lambda: client.get_order_by_client_id(kept["order"].client_order_id).qty,
        "replace_order_by_id": lambda: (
            client.replace_order_by_id(kept["order"].id, ReplaceOrderRequest(qty=4, client_order_id=str(uuid.uuid4()))).qty
        ),
        "cancel_order_by_id": cancel,
        "cancel_orders": lambda: order() and {one.status for one in client.cancel_orders()} == {200},
    }


def position_calls(client: TradingClient, other: TradingClient) -> dict[str, Callable[[], Any]]:
    """`other` takes the other side."""

    def bought() -> None:
        other.submit_order(limit(OrderSide.SELL, 20, 180.00))
        one = client.submit_order(MarketOrderRequest(symbol="AAPL", qty=20, side=OrderSide.BUY, time_in_force=TimeInForce.DAY))
        wait_for(lambda: client.get_order_by_id(one.id).filled_at, "shares are bought")

    def close() -> list[Any]:
        bought()
        other.submit_order(limit(OrderSide.BUY, 1_000, 179.00))
        part = client.close_position("AAPL", ClosePositionRequest(percentage="0.005"))
        qty = client.close_position("AAPL", ClosePositionRequest(qty="3"))
        return [part.side.value, part.qty, qty.qty]

    return {
        "get_all_positions": lambda: bool(client.get_all_positions()),
        "get_open_position": lambda: client.get_open_position("AAPL").symbol,
        "close_position": close,
        "get_portfolio_history": lambda: (
            client.get_portfolio_history(GetPortfolioHistoryRequest(period="1D", timeframe="5Min", intraday_reporting="continuous")).equity[
                -1
            ]
            > 1_000_000
        ),
    }


def close_all(client: TradingClient, other: TradingClient) -> list[Any]:
    """What became of each position."""
    other.submit_order(limit(OrderSide.BUY, 6_000, 179.00))
    client.submit_order(limit(OrderSide.SELL, 5_000, 179.00))  # a position above the limit of one order cannot be closed by one
    return sorted([one.symbol, one.status] for one in client.close_all_positions(cancel_orders=True))


def watchlist_calls(client: TradingClient) -> dict[str, Callable[[], Any]]:
    """One list from its beginning to its end."""
    kept: dict[str, Any] = {}

    def watchlist() -> int:
        kept["list"] = client.create_watchlist(CreateWatchlistRequest(name=f"list-{uuid.uuid4()}", symbols=["AAPL"]))
        return len(kept["list"].assets)

    def listed() -> str:
        return str(kept["list"].id)

    return {
        "create_watchlist": watchlist,
        "get_watchlists": lambda: listed() in {str(one.id) for one in client.get_watchlists()},
        "get_watchlist_by_id": lambda: [one.symbol for one in client.get_watchlist_by_id(listed()).assets],
        "add_asset_to_watchlist_by_id": lambda: [one.symbol for one in client.add_asset_to_watchlist_by_id(listed(), "MSFT").assets],
        "remove_asset_from_watchlist_by_id": lambda: [one.symbol for one in client.remove_asset_from_watchlist_by_id(listed(), "AAPL").assets],
        "update_watchlist_by_id": lambda: len(
            client.update_watchlist_by_id(listed(), UpdateWatchlistRequest(name=f"list-{uuid.uuid4()}", symbols=["NVDA"])).assets
        ),
        "delete_watchlist_by_id": lambda: client.delete_watchlist_by_id(listed()),
    }  # fmt: skip


def absent_calls(client: TradingClient) -> dict[str, Callable[[], Any]]:
    """What this exchange has none of."""
    return {
        "get_corporate_announcements": lambda: client.get_corporate_announcements(
            GetCorporateAnnouncementsRequest(ca_types=[CorporateActionType.DIVIDEND], since=date(2026, 1, 1), until=date(2026, 2, 1))
        ),
        "get_corporate_announcement_by_id": lambda: client.get_corporate_announcement_by_id(uuid.uuid4()),
        "get_option_contracts": lambda: client.get_option_contracts(GetOptionContractsRequest(underlying_symbols=["AAPL"])).option_contracts,
        "get_option_contract": lambda: client.get_option_contract("AAPL260116C00200000"),
        "exercise_options_position": lambda: client.exercise_options_position("AAPL260116C00200000"),
    }  # fmt: skip


def complete(found: dict[str, Any], methods: set[str]) -> dict[str, Any]:
    """With an error for every method that was not called."""
    return found | {name: {"error": "not called by this test"} for name in methods - set(found)}


def data_calls(url: str, key: str, secret: str) -> dict[str, dict[str, Any]]:
    """The clients for prices, which have something of the last hour to read."""
    since = datetime.now(UTC) - timedelta(hours=1)
    stocks = StockHistoricalDataClient(key, secret, url_override=url)
    latest = StockLatestTradeRequest(symbol_or_symbols=["AAPL"])
    in_stocks: dict[str, Callable[[], Any]] = {
        "get_stock_bars": lambda: stocks.get_stock_bars(
            StockBarsRequest(symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, start=since)
        )["AAPL"][0].volume > 0,
        "get_stock_trades": lambda: stocks.get_stock_trades(StockTradesRequest(symbol_or_symbols=["AAPL", "MSFT"], start=since))["AAPL"][-1].price,
        "get_stock_quotes": lambda: stocks.get_stock_quotes(StockQuotesRequest(symbol_or_symbols="AAPL", start=since))["AAPL"][-1].symbol,
        "get_stock_latest_trade": lambda: stocks.get_stock_latest_trade(latest)["AAPL"].symbol,
        "get_stock_latest_quote": lambda: stocks.get_stock_latest_quote(latest)["AAPL"].symbol,
        "get_stock_latest_bar": lambda: list(stocks.get_stock_latest_bar(latest)) in ([], ["AAPL"]),
        "get_stock_snapshot": lambda: stocks.get_stock_snapshot(latest)["AAPL"].latest_trade.symbol,
    }  # fmt: skip
    crypto = CryptoHistoricalDataClient(url_override=url)
    book = CryptoLatestOrderbookRequest(symbol_or_symbols="AAPL/USD")
    bars = CryptoBarsRequest(symbol_or_symbols="AAPL/USD", timeframe=TimeFrame.Minute, start=since)
    in_crypto: dict[str, Callable[[], Any]] = {
        "get_crypto_bars": lambda: crypto.get_crypto_bars(bars)["AAPL/USD"][0].volume > 0,
        "get_crypto_trades": lambda: (
            crypto.get_crypto_trades(CryptoTradesRequest(symbol_or_symbols="AAPL/USD", start=since))["AAPL/USD"][0].symbol
        ),
        "get_crypto_quotes": lambda: (
            crypto.get_crypto_quotes(CryptoQuoteRequest(symbol_or_symbols="AAPL/USD", start=since))["AAPL/USD"][0].symbol
        ),
        "get_crypto_latest_trade": lambda: crypto.get_crypto_latest_trade(book)["AAPL/USD"].symbol,
        "get_crypto_latest_quote": lambda: crypto.get_crypto_latest_quote(book)["AAPL/USD"].symbol,
        "get_crypto_latest_bar": lambda: list(crypto.get_crypto_latest_bar(book)) in ([], ["AAPL/USD"]),
        "get_crypto_latest_orderbook": lambda: crypto.get_crypto_latest_orderbook(book)["AAPL/USD"].bids[0].size > 0,
        "get_crypto_snapshot": lambda: crypto.get_crypto_snapshot(book)["AAPL/USD"].latest_trade.symbol,
    }
    screener, options = ScreenerClient(key, secret, url_override=url), OptionHistoricalDataClient(key, secret, url_override=url)
    in_screener: dict[str, Callable[[], Any]] = {
        "get_most_actives": lambda: wait_for(
            lambda: [one.symbol for one in screener.get_most_actives(MostActivesRequest(by=MostActivesBy.TRADES)).most_actives],
            "the day is known",
        ),
        "get_market_movers": lambda: screener.get_market_movers(MarketMoversRequest(market_type=MarketType.STOCKS)).market_type.value,
    }
    corporate = CorporateActionsClient(key, secret, url_override=url)
    news, about = NewsClient(key, secret, url_override=url), NewsRequest(symbols="MSFT,AAPL", start=since, sort="asc")
    in_options = {name: (lambda: options.get("/options/bars")) for name in methods_of(OptionHistoricalDataClient)}
    return {
        "StockHistoricalDataClient": complete(made(in_stocks), methods_of(StockHistoricalDataClient)),
        "CryptoHistoricalDataClient": complete(made(in_crypto), methods_of(CryptoHistoricalDataClient)),
        "ScreenerClient": complete(made(in_screener), methods_of(ScreenerClient)),
        "NewsClient": complete(
            made({"get_news": lambda: wait_for(lambda: [one.headline for one in news.get_news(about).data["news"]], "there is news")}),
            methods_of(NewsClient),
        ),
        "CorporateActionsClient": complete(
            made({"get_corporate_actions": lambda: corporate.get_corporate_actions(CorporateActionsRequest(symbols=["AAPL"])).data}),
            methods_of(CorporateActionsClient),
        ),
        "OptionHistoricalDataClient": made(in_options),
    }


def stream_calls(url: str, key: str, secret: str, trade: Callable[[], None]) -> dict[str, dict[str, Any]]:
    """The streams: each subscription is made, heard of where the market speaks, and ended."""
    at = url.replace("http://", "ws://")
    stock = StockDataStream(key, secret, feed=DataFeed.IEX, url_override=at + "/v2/iex")
    crypto = CryptoDataStream(key, secret, url_override=at + "/v1beta3/crypto/us")
    trading = TradingStream(key, secret, paper=True, url_override=at + "/stream")
    heard: dict[str, int] = {}

    def hear(name: str) -> Any:
        async def take(_message: Any) -> None:
            heard[name] = heard.get(name, 0) + 1

        return take

    kinds = ("bars", "daily_bars", "quotes", "trades", "updated_bars")
    for name in (*kinds, "trading_statuses"):
        getattr(stock, f"subscribe_{name}")(hear(f"StockDataStream {name}"), "AAPL")
    for name in (*kinds, "orderbooks"):
        getattr(crypto, f"subscribe_{name}")(hear(f"CryptoDataStream {name}"), "AAPL")
    stock.register_trade_cancels(hear("StockDataStream cancels"))
    stock.register_trade_corrections(hear("StockDataStream corrections"))
    trading.subscribe_trade_updates(hear("TradingStream updates"))
    threads = [threading.Thread(target=one.run, daemon=True) for one in (stock, crypto, trading)]
    for thread in threads:
        thread.start()
    wait_for(lambda: stock._running and crypto._running and trading._running, "the streams connect")
    trade()
    # a minute ends within one
    told = ["StockDataStream bars", "StockDataStream daily_bars", "StockDataStream quotes", "StockDataStream trades", "StockDataStream trading_statuses",
            "CryptoDataStream bars", "CryptoDataStream orderbooks", "CryptoDataStream trades", "TradingStream updates"]  # fmt: skip
    wait_for(lambda: set(told) <= set(heard), f"each of {told}")

    def subscribed(stream: str, name: str) -> Any:
        return heard.get(f"{stream} {name}", 0) > 0 or f"{stream} {name}" not in told

    found: dict[str, dict[str, Any]] = {"StockDataStream": {}, "CryptoDataStream": {}, "TradingStream": {}}
    for stream, owner, names in (
        ("StockDataStream", stock, (*kinds, "trading_statuses")),
        ("CryptoDataStream", crypto, (*kinds, "orderbooks")),
    ):
        for name in names:
            found[stream][f"subscribe_{name}"] = subscribed(stream, name)
            found[stream] |= made({f"unsubscribe_{name}": lambda owner=owner, name=name: getattr(owner, f"unsubscribe_{name}")("AAPL")})
    found["StockDataStream"] |= {"register_trade_cancels": True, "register_trade_corrections": True, "run": True}
    found["CryptoDataStream"]["run"] = True
    found["TradingStream"] |= {"subscribe_trade_updates": True, "run": True}
    for name, one in (("StockDataStream", stock), ("CryptoDataStream", crypto), ("TradingStream", trading)):
        found[name] |= made({"stop": one.stop})
        found[name] = complete(found[name], {method for method in methods_of(type(one)) if method not in ("close", "stop_ws")})
    for thread in threads:
        thread.join(20)
    return found


# ---- ccxt


def at_exchange(kind: Any, url: str, key: str, secret: str) -> Any:
    """A client of ccxt that knows this exchange's addresses and nothing else."""
    one = kind({"apiKey": key, "secret": secret, "enableRateLimit": False})
    at = url.replace("http://", "ws://")
    one.urls["api"] = {
        **one.urls["api"],
        "broker": url,
        "trader": url,
        "market": url,
        "ws": {"crypto": at + "/v1beta3/crypto/us", "trading": at + "/stream"},
    }
    return one


def ccxt_calls(url: str, key: str, secret: str) -> dict[str, Any]:
    """Every unified method that the class declares."""
    one = at_exchange(ccxt.alpaca, url, key, secret)
    symbol, kept = "AAPL/USD", {}

    def order(**more: Any) -> Any:
        return one.create_order(symbol, "limit", "buy", 2, 100.05, {"timeInForce": "gtc", **more})

    def edited() -> list[Any]:
        kept["order"] = one.edit_order(kept["order"]["id"], symbol, "limit", "buy", 3, 101.05)
        return [kept["order"]["amount"], kept["order"]["price"]]

    def created() -> str:
        kept["order"] = order()
        return str(kept["order"]["status"])

    calls: dict[str, Callable[[], Any]] = {
        "loadMarkets": lambda: symbol in one.load_markets(),
        "fetchMarkets": lambda: len(one.fetch_markets()) > 0,
        "fetchTime": lambda: one.fetch_time() > 0,
        "fetchBalance": lambda: one.fetch_balance()["USD"]["total"] > 0,
        "createOrder": created,
        "fetchOrder": lambda: one.fetch_order(kept["order"]["id"])["amount"],
        "editOrder": edited,
        "fetchOpenOrders": lambda: kept["order"]["id"] in {order["id"] for order in one.fetch_open_orders(symbol)},
        "fetchOrders": lambda: len(one.fetch_orders(symbol)) > 0,
        "cancelOrder": lambda: one.cancel_order(kept["order"]["id"]) is not None,
        "createLimitOrder": lambda: one.create_limit_order(symbol, "buy", 1, 100.05)["status"],
        "createStopOrder": lambda: one.create_stop_order(symbol, "limit", "sell", 1, 90.0, 91.0, {"timeInForce": "gtc"})["status"],
        "createTriggerOrder": lambda: one.create_trigger_order(symbol, "limit", "sell", 1, 90.0, 91.0, {"timeInForce": "gtc"})["status"],
        "createMarketOrder": lambda: one.create_market_order(symbol, "buy", 1)["amount"],
        "createMarketBuyOrder": lambda: one.create_market_buy_order(symbol, 1)["amount"],
        "createMarketOrderWithCost": lambda: one.create_market_order_with_cost(symbol, "buy", 400)["amount"],
        "createMarketBuyOrderWithCost": lambda: one.create_market_buy_order_with_cost(symbol, 400)["amount"],
        "createMarketSellOrderWithCost": lambda: one.create_market_sell_order_with_cost(symbol, 400)["amount"],
        "cancelAllOrders": lambda: len(one.cancel_all_orders()) > 0,
        "fetchClosedOrders": lambda: len(wait_for(lambda: one.fetch_closed_orders(symbol), "an order is closed")) > 0,
        "fetchMyTrades": lambda: wait_for(lambda: one.fetch_my_trades(symbol), "a trade is stored")[0]["symbol"],
        "fetchTrades": lambda: wait_for(lambda: one.fetch_trades(symbol), "a trade is stored")[0]["symbol"],
        "fetchOHLCV": lambda: wait_for(lambda: one.fetch_ohlcv(symbol), "a bar is stored")[0][5] > 0,
        "fetchOrderBook": lambda: len(one.fetch_order_book(symbol)["bids"]) > 0,
        "fetchTicker": lambda: one.fetch_ticker(symbol)["last"] > 0,
        "fetchTickers": lambda: symbol in one.fetch_tickers(),
        "fetchDeposits": lambda: one.fetch_deposits(),
        "fetchWithdrawals": lambda: one.fetch_withdrawals(),
        "fetchDepositsWithdrawals": lambda: one.fetch_deposits_withdrawals(),
        "fetchDepositAddress": lambda: one.fetch_deposit_address("USD"),
        "withdraw": lambda: one.withdraw("USD", 1, "0x0000000000000000000000000000000000000000"),
    }
    found = made(calls)
    one.options["sandboxMode"] = True  # a paper account's deposits are among its activities
    found |= made({"fetchDeposits (paper)": lambda: len(one.fetch_deposits()) > 0})
    # what is no call of the exchange's: flags, and a table that ccxt makes up itself
    flags = {"publicAPI", "privateAPI", "sandbox", "spot", "fetchCurrenciesWs", "fetchL1OrderBook"}  # of the last there is no method
    return complete(found, {name for name, has in one.has.items() if has} - flags)


async def ccxt_pro_calls(url: str, key: str, secret: str, trade: Callable[[], None]) -> dict[str, Any]:
    """Every stream that the class declares."""
    one = at_exchange(ccxt.pro.alpaca, url, key, secret)
    symbol = "AAPL/USD"
    await one.load_markets()
    watched = {
        "watchTrades": one.watch_trades(symbol), "watchOHLCV": one.watch_ohlcv(symbol), "watchOrderBook": one.watch_order_book(symbol),
        "watchTicker": one.watch_ticker(symbol), "watchOrders": one.watch_orders(symbol), "watchMyTrades": one.watch_my_trades(symbol),
    }  # fmt: skip
    tasks = {name: asyncio.create_task(watching) for name, watching in watched.items()}

    async def trades() -> None:
        while True:
            await asyncio.sleep(1)
            await asyncio.to_thread(trade)

    trading = asyncio.create_task(trades())
    done, _ = await asyncio.wait(tasks.values(), timeout=WAIT_S)
    trading.cancel()
    found: dict[str, Any] = {}
    for name, task in tasks.items():
        if task not in done:
            found[name] = {"error": "nothing came"}
        else:
            error = task.exception()
            found[name] = {"error": f"{type(error).__name__}: {error}"[:300]} if error else len(task.result()) > 0
    for task in tasks.values():
        task.cancel()
    await one.close()
    declared = {name for name, has in one.has.items() if has and name.startswith("watch")}
    return complete(found, declared)


def main(url: str, keys: list[list[str]]) -> dict[str, Any]:
    """All of it."""
    (key, secret), (other_key, other_secret) = keys
    client = TradingClient(key, secret, paper=True, url_override=url)
    other = TradingClient(other_key, other_secret, paper=True, url_override=url)

    def quote() -> None:
        """Both sides of AAPL, for whoever trades at the market."""
        for side, price in ((OrderSide.BUY, 179.0), (OrderSide.SELL, 180.0)):
            other.submit_order(limit(side, 500, price))

    def trade() -> None:
        """One share."""
        client.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY))

    quote()
    found: dict[str, Any] = stream_calls(url, key, secret, trade)
    found |= data_calls(url, key, secret)
    found["ccxt"] = ccxt_calls(url, key, secret)
    found["ccxt.pro"] = asyncio.run(ccxt_pro_calls(url, key, secret, trade))
    other.cancel_orders()
    found["TradingClient"] = trading_calls(client, other)
    other.cancel_orders()
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2])), default=str))
