"""A trader's session with the unmodified alpaca-py; run by test_alpaca_py.py with the client's own Python.

In:  argv: base URL; two API keys as JSON [[key_id, secret], [key_id, secret]] of accounts with cash and AAPL shares
Out: one line of JSON on standard output: what the client saw, for the test to judge
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from alpaca.common.exceptions import APIError
from alpaca.data.enums import DataFeed
from alpaca.data.live import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import AssetStatus, OrderClass, OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    GetAssetsRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream

WAIT_S = 300.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of the condition."""
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {WAIT_S} s: {what}")
        time.sleep(0.02)
    return value


def error_of(call: Callable[[], Any]) -> dict[str, Any]:
    """Status, code and message of the APIError that the call must raise."""
    try:
        call()
    except APIError as error:
        return {"status": error.status_code, "code": error.code, "message": error.message}
    raise SystemExit("the call was expected to fail")


def limit(side: OrderSide, qty: float, price: float, **more: Any) -> LimitOrderRequest:
    """An AAPL limit order; alpaca-py sends the numbers as JSON floats."""
    return LimitOrderRequest(symbol="AAPL", qty=qty, side=side, time_in_force=TimeInForce.GTC, limit_price=price, **more)


def in_background(stream: Any) -> threading.Thread:
    """Run a stream of the SDK in a thread."""
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    return thread


def short_of(order: Any) -> list[Any]:
    """What the test judges of an order."""
    legs = [short_of(leg) for leg in order.legs or ()]
    return [
        order.type.value,
        order.order_class.value,
        order.time_in_force.value,
        order.status.value,
        order.limit_price,
        order.stop_price,
        legs,
    ]


def every_kind(client: TradingClient) -> dict[str, Any]:
    """Each order type and class of the SDK, far from every price, and a replace; all are canceled at the end."""
    buy, sell, gtc = OrderSide.BUY, OrderSide.SELL, TimeInForce.GTC
    profit, loss = TakeProfitRequest(limit_price=520), StopLossRequest(stop_price=340)
    common: dict[str, Any] = {"symbol": "MSFT", "qty": 2, "time_in_force": gtc}
    requests = {
        "stop": StopOrderRequest(**common, side=sell, stop_price=350),
        "stop_limit": StopLimitOrderRequest(**common, side=sell, stop_price=350.5, limit_price=349),
        "trail_percent": TrailingStopOrderRequest(**common, side=sell, trail_percent=20.5),
        "trail_price": TrailingStopOrderRequest(**common, side=sell, trail_price=100),
        "cls": LimitOrderRequest(**common | {"time_in_force": TimeInForce.CLS}, side=buy, limit_price=350),
        "bracket": LimitOrderRequest(
            **common, side=buy, limit_price=350, order_class=OrderClass.BRACKET, take_profit=profit, stop_loss=loss
        ),
        "oto": LimitOrderRequest(**common, side=buy, limit_price=350, order_class=OrderClass.OTO, stop_loss=loss),
        "oco": LimitOrderRequest(**common, side=sell, order_class=OrderClass.OCO, take_profit=profit, stop_loss=loss),
    }
    placed = {name: client.submit_order(request) for name, request in requests.items()}
    seen: dict[str, Any] = {name: short_of(order) for name, order in placed.items()}
    seen["trails"] = [placed["trail_percent"].trail_percent, placed["trail_price"].trail_price]
    own = client.post("/orders", {"symbol": "MSFT", "qty": "200", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "350",
                                  "display_qty": "20"})  # fmt: skip
    peg = client.post("/orders", {"symbol": "MSFT", "qty": "2", "side": "buy", "type": "pegged", "time_in_force": "day", "limit_price": "350",
                                  "peg_price_type": "primary", "peg_offset": "-0.05"})  # fmt: skip
    seen["own"] = [own["display_qty"], peg["ord_type"], client.get_order_by_id(peg["id"]).type.value]
    killed = client.submit_order(LimitOrderRequest(**common | {"time_in_force": TimeInForce.FOK}, side=buy, limit_price=350))
    seen["fok"] = wait_for(lambda: (o := client.get_order_by_id(killed.id)).canceled_at and o, "the FOK order is killed").status.value
    before = client.submit_order(LimitOrderRequest(**common, side=buy, limit_price=351))
    after = client.replace_order_by_id(before.id, ReplaceOrderRequest(qty=3, limit_price=352.5))
    seen["replaced"] = [after.id == before.id, after.qty, after.limit_price, after.status.value, after.replaced_at is not None]
    named = f"named-{uuid.uuid4()}"
    again = client.replace_order_by_id(before.id, ReplaceOrderRequest(qty=4, client_order_id=named))
    found = client.get_order_by_client_id(named)
    seen["renamed"] = [again.id == before.id, again.client_order_id == named, again.qty, found.id == before.id]
    seen["replace_refused"] = error_of(lambda: client.replace_order_by_id(before.id, ReplaceOrderRequest(qty=99_000)))
    seen["replace_late"] = error_of(lambda: client.replace_order_by_id(killed.id, ReplaceOrderRequest(qty=1)))
    nested = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=500, nested=True, symbols=["MSFT"]))
    seen["legs"] = sorted(len(order.legs or ()) for order in nested)
    seen["names"] = {"fok": killed.client_order_id, "replaced": before.client_order_id, "renamed": named}
    client.cancel_orders()
    wait_for(
        lambda: not client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["MSFT"])), "every MSFT order is canceled"
    )
    return seen


def listening(key: tuple[str, str], at_socket: str, seen: dict[str, Any]) -> list[tuple[Any, threading.Thread]]:
    """Both streams of the SDK, connected, and their threads; what they hear goes into `seen`."""

    async def on_update(update: Any) -> None:
        seen["updates"].append(
            [str(getattr(update.event, "value", update.event)), str(update.order.client_order_id), update.qty, update.price]
        )

    async def on_trade(trade: Any) -> None:
        seen["trades"].append([trade.symbol, trade.price, trade.size, trade.timestamp.isoformat()])

    async def on_bar(bar: Any) -> None:
        seen["bars"].append([bar.symbol, bar.volume])

    async def on_quote(quote: Any) -> None:
        seen["quotes"].append([quote.symbol, quote.bid_price, quote.ask_price])

    trading = TradingStream(*key, paper=True, url_override=at_socket + "/stream")
    trading.subscribe_trade_updates(on_update)
    data = StockDataStream(*key, feed=DataFeed.IEX, url_override=at_socket + "/v2/iex")
    data.subscribe_trades(on_trade, "AAPL")
    data.subscribe_quotes(on_quote, "AAPL")
    data.subscribe_daily_bars(on_bar, "AAPL")
    data.subscribe_updated_bars(on_bar, "*")
    streams = [(stream, in_background(stream)) for stream in (trading, data)]
    wait_for(lambda: trading._running and data._running, "both streams connect")
    return streams


def resting_order(client: TradingClient, seen: dict[str, Any]) -> str:
    """Rests, is read in every way, is refused twice, is canceled; its client order id."""
    name = f"rest-{uuid.uuid4()}"
    resting = client.submit_order(limit(OrderSide.BUY, 5, 100.05, client_order_id=name))
    seen["resting"] = {"status": resting.status.value, "qty": resting.qty, "limit_price": resting.limit_price}
    seen["same_by_id"] = client.get_order_by_id(resting.id).id == resting.id
    seen["same_by_client_id"] = client.get_order_by_client_id(name).id == resting.id
    seen["listed"] = resting.id in [order.id for order in client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=500))]
    seen["repeated"] = client.submit_order(limit(OrderSide.BUY, 5, 100.05, client_order_id=name)).id == resting.id
    seen["duplicate"] = error_of(lambda: client.submit_order(limit(OrderSide.BUY, 6, 100.05, client_order_id=name)))
    seen["insufficient"] = error_of(lambda: client.submit_order(limit(OrderSide.BUY, 99_000, 499.99)))
    seen["sub_penny"] = error_of(lambda: client.submit_order(limit(OrderSide.BUY, 1, 100.051)))
    client.cancel_order_by_id(resting.id)
    wait_for(lambda: client.get_order_by_id(resting.id).status.value == "canceled", "the order is canceled")
    seen["cancel_again"] = error_of(lambda: client.cancel_order_by_id(resting.id))
    return name


def main(url: str, keys: list[list[str]]) -> dict[str, Any]:
    """Everything that is asked of the client."""
    (key, secret), (other_key, other_secret) = keys
    seen: dict[str, Any] = {"updates": [], "trades": [], "quotes": [], "bars": []}
    client = TradingClient(key, secret, paper=True, url_override=url)
    other = TradingClient(other_key, other_secret, paper=True, url_override=url)
    streams = listening((key, secret), url.replace("http://", "ws://"), seen)
    account = client.get_account()
    seen["account"] = {"cash": account.cash, "buying_power": account.buying_power, "status": account.status.value}
    seen["clock_open"] = client.get_clock().is_open
    seen["assets"] = [asset.symbol for asset in client.get_all_assets(GetAssetsRequest(status=AssetStatus.ACTIVE))]
    before = {position.symbol: position.qty for position in client.get_all_positions()}

    name = resting_order(client, seen)

    # trades with the other account: prints, updates, positions
    bought = f"buy-{uuid.uuid4()}"
    other.submit_order(limit(OrderSide.SELL, 3, 180.10))
    wait_for(
        lambda: any(quote[2] == 180.1 for quote in seen["quotes"]), "the quote of that offer"
    )  # before it, that of an empty book may come
    order = client.submit_order(
        MarketOrderRequest(symbol="AAPL", qty=3, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, client_order_id=bought)
    )
    seen["market_gtc"] = order.time_in_force.value
    filled = wait_for(lambda: (o := client.get_order_by_id(order.id)).status.value == "filled" and o, "the market order is filled")
    seen["filled"] = {"qty": filled.filled_qty, "price": filled.filled_avg_price}
    wait_for(lambda: ["fill", bought] in [update[:2] for update in seen["updates"]], "the fill arrives")
    wait_for(lambda: seen["trades"], "a trade")
    after = {position.symbol: position.qty for position in client.get_all_positions()}
    seen["bought_shares"] = int(after["AAPL"]) - int(before.get("AAPL", "0"))
    seen["position"] = client.get_open_position("AAPL").qty == after["AAPL"]
    seen["kinds"] = every_kind(client)
    wait_for(
        lambda: ["canceled", seen["kinds"]["names"]["renamed"]] in [update[:2] for update in seen["updates"]], "the last cancel is told"
    )
    client.submit_order(limit(OrderSide.BUY, 1, 90.00))
    seen["cancel_all"] = [response.status for response in client.cancel_orders()]
    seen["names"] = {"resting": name, "bought": bought}
    for stream, thread in streams:
        stream.stop()
        thread.join(10)
    return seen


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
