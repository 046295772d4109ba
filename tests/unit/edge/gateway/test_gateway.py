"""The gateway as any protocol may use it: orders are placed, replaced and canceled, and every outcome is met, without HTTP."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from support.exchange_in_memory import Exchange, trading, until

from edge.gateway.accounts.view import Order, OrderEvent, OrderUpdate
from edge.gateway.gateway import Gateway
from edge.gateway.market.events import MarketEvent, Quote, Trade
from edge.gateway.orders import orders
from edge.gateway.orders.new_order import NewOrder
from edge.gateway.orders.orders import Placed
from edge.gateway.outcomes import (
    Accepted,
    AlreadyDone,
    Cause,
    Denied,
    OutcomeUnknown,
    Refused,
    ShortOfCash,
    ShortOfShares,
    Unavailable,
)
from edge.gateway.stored.history import AlertFilter, OrderFilter
from edge.gateway.stored.sink_lag import SinkLag
from schemas.enums import CommandKind, ContingencyType, OrdStatus, OrdType, Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS

AAPL = load_instruments(None).by_symbol["AAPL"]


def an_order(cl_ord_id: bytes = b"a", side: Side = Side.BUY, qty: int = 10, price: int = 18_000, **more: Any) -> NewOrder:
    """A limit order for the day, of AAPL at 180.00."""
    return NewOrder(AAPL, cl_ord_id, side, OrdType.LIMIT, TimeInForce.DAY, qty, price=price, **more)


async def placed(gateway: Gateway, order: NewOrder, account: int = 1) -> Placed:
    """It is taken."""
    outcome = await gateway.orders.place(account, order)
    assert isinstance(outcome, Accepted), outcome
    return outcome.value


class Listener:
    """What an account's listener hears."""

    def __init__(self) -> None:
        self.heard: list[OrderEvent] = []

    def tell_nowait(self, update: OrderUpdate) -> None:
        """Keep its event."""
        self.heard.append(update.event)

    def restart_nowait(self) -> None:
        """Nothing is missed here."""


def test_the_gateway_is_imported_without_http_and_without_a_protocol() -> None:
    """All of its modules, in a process of their own."""
    code = (
        "import sys, pkgutil, importlib, edge.gateway as gateway\n"
        "for one in pkgutil.walk_packages(gateway.__path__, 'edge.gateway.'): importlib.import_module(one.name)\n"
        "print(*[name for name in sys.modules if name.partition('.')[0] == 'aiohttp' or name.startswith(('edge.http', 'edge.alpaca'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


async def test_an_order_is_placed_replaced_and_canceled_and_its_account_hears_of_it() -> None:
    """Each answer is the order as the shards have it."""
    async with trading() as (gateway, _, _):
        listener = Listener()
        gateway.accounts.listen(1, listener)
        order = (await placed(gateway, an_order())).order
        assert (order.cl_ord_id, order.ord_status, order.leaves_qty, order.price) == ("a", OrdStatus.NEW, 10, 18_000)
        outcome = await gateway.orders.replace(1, order, {"order_qty": 7, "price": 17_990, "time_in_force": 255})
        assert isinstance(outcome, Accepted)
        assert (outcome.value.order_id, outcome.value.order_qty, outcome.value.price) == (order.order_id, 7, 17_990)
        assert await gateway.orders.cancel(1, order.order_id) == Accepted(None)
        assert listener.heard == [
            OrderEvent.NEW, OrderEvent.PENDING_REPLACE, OrderEvent.REPLACED, OrderEvent.PENDING_CANCEL, OrderEvent.CANCELED,
        ]  # fmt: skip


async def test_a_trade_is_told_to_both_accounts_and_to_who_follows_the_market() -> None:
    """As events, in ticks and lots."""
    async with trading() as (gateway, _, _):
        told: list[MarketEvent] = []
        gateway.follow_market(told.extend)
        await placed(gateway, an_order(b"s", Side.SELL), account=2)
        bought = (await placed(gateway, an_order(b"b"), account=1)).order
        assert (bought.ord_status, bought.cum_qty) == (OrdStatus.FILLED, 10)
        trades = [(one.symbol, one.price, one.qty, one.taker) for one in told if isinstance(one, Trade)]
        assert trades == [("AAPL", 18_000, 10, Side.BUY)]
        assert any(isinstance(one, Quote) and one.is_firm for one in told)


async def test_a_refusal_has_its_reason_and_the_amounts_behind_it() -> None:
    """In minor units and lots: how they are written is the protocol's."""
    async with trading() as (gateway, _, _):
        poor = await gateway.orders.place(1, an_order(qty=600))
        assert poor == Refused(Reason.INSUFFICIENT_BUYING_POWER, ShortOfCash(100_000_000))
        short = await gateway.orders.place(1, an_order(side=Side.SELL, qty=60))
        assert short == Refused(Reason.INSUFFICIENT_SHARES, ShortOfShares(AAPL, 60, 50))
        await placed(gateway, an_order(b"c"))
        other = await gateway.orders.place(1, an_order(b"c", qty=11))
        assert other == Refused(Reason.DUPLICATE_CL_ORD_ID)


async def test_the_refusal_of_a_list_says_for_which_order() -> None:
    """Counted from 0."""
    async with trading() as (gateway, _, _):
        first = an_order(b"o1", contingency_type=ContingencyType.OTO)
        closing = replace(first, cl_ord_id=b"o2", side=Side.SELL, price=1 << 40)
        outcome = await gateway.orders.place(1, replace(first, legs=(closing,)))
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.where) == (Reason.PRICE_ABOVE_LIMIT, 1)
        both = await placed(gateway, replace(first, cl_ord_id=b"o3", legs=(replace(closing, cl_ord_id=b"o4", price=18_100),)))
        assert [one.cl_ord_id for one in (both.order, *both.legs)] == ["o3", "o4"]


async def test_a_change_of_an_order_that_is_done_or_unknown_is_refused() -> None:
    """With the status that it is in."""
    async with trading() as (gateway, _, _):
        order = (await placed(gateway, an_order())).order
        assert await gateway.orders.cancel(1, order.order_id) == Accepted(None)
        late = Refused(Reason.TOO_LATE_TO_CANCEL, AlreadyDone(OrdStatus.CANCELED))
        assert await gateway.orders.cancel(1, order.order_id) == late
        assert await gateway.orders.replace(1, order, {"order_qty": 5}) == late
        assert await gateway.orders.cancel(1, 12_345) == Refused(Reason.UNKNOWN_ORDER)


async def test_the_same_order_again_returns_the_first_one() -> None:
    """However often it is sent."""
    async with trading() as (gateway, _, _):
        first = await placed(gateway, an_order())
        assert (await placed(gateway, an_order())).order.order_id == first.order.order_id
        view = await gateway.accounts.view(1)
        assert isinstance(view, Accepted)
        assert len(view.value.open_orders) == 1


async def test_canceling_all_has_an_outcome_for_each() -> None:
    """In the order in which they were placed; none where there are none."""
    async with trading() as (gateway, _, _):
        for name in (b"a", b"b"):
            await placed(gateway, an_order(name, qty=1))
        outcome = await gateway.orders.cancel_all(1)
        assert isinstance(outcome, Accepted)
        assert [(one.order.cl_ord_id, one.outcome) for one in outcome.value] == [("a", Accepted(None)), ("b", Accepted(None))]
        assert await gateway.orders.cancel_all(1) == Accepted([])


# ---- not available: nothing was sent


def orders_sent(exchange: Exchange) -> int:
    """New orders in the log."""
    return exchange.commands(CommandKind.NEW_ORDER)


async def test_without_the_log_nothing_is_sent_and_that_is_said() -> None:
    """Before Kafka was reached, and while too much waits for it."""
    async with trading() as (gateway, exchange, _):
        assert isinstance(await gateway.accounts.view(1), Accepted)
        producer, gateway.accounts.producer = gateway.accounts.producer, None
        away = await gateway.orders.place(1, an_order())
        assert isinstance(away, Unavailable)
        assert (away.cause, "nothing was sent" in away.text) == (Cause.LOG_AWAY, True)
        assert producer is not None
        gateway.accounts.producer = producer
        await producer.close(1)
        full = await gateway.orders.place(1, an_order())
        assert isinstance(full, Unavailable)
        assert full.cause is Cause.QUEUE_FULL
        assert orders_sent(exchange) == 0


async def test_new_orders_are_unavailable_while_the_records_are_behind_and_cancels_are_not() -> None:
    """With the time after which to ask again."""
    async with trading() as (gateway, exchange, _):
        order = (await placed(gateway, an_order())).order
        unread: Any = None  # the lag is set here, not measured
        gateway.orders.sink_lag = SinkLag(unread, [], 10)
        gateway.orders.sink_lag.records = 11
        behind = await gateway.orders.place(1, an_order(b"b"))
        assert isinstance(behind, Unavailable)
        assert (behind.cause, behind.retry_after_s > 1, orders_sent(exchange)) == (Cause.STORE_BEHIND, True, 1)
        assert await gateway.orders.cancel(1, order.order_id) == Accepted(None)


async def test_an_account_whose_shard_is_silent_is_unavailable_not_unknown() -> None:
    """A registration that was made after all does no harm."""
    async with trading(edge_decision_timeout_ms=50) as (gateway, exchange, _):
        exchange.stopped.add(ACCOUNT_COMMANDS.name)
        seen = await gateway.orders.place(1, an_order())
        assert isinstance(seen, Unavailable)
        assert (seen.cause, orders_sent(exchange)) == (Cause.SHARD_SILENT, 0)


async def test_what_only_the_records_know_is_unavailable_while_they_are_away() -> None:
    """Orders, alerts, keys; nothing of the store's own words. Memory is read all the same."""
    async with trading() as (gateway, _, stores):
        known = (await placed(gateway, an_order())).order
        seen = await gateway.accounts.view(1)
        assert isinstance(seen, Accepted)
        view = seen.value
        stores.is_away = True
        everything = OrderFilter(10, status="all")
        asked = (
            gateway.orders.find(view, 77), gateway.orders.find_by_cl_ord_id(view, "old"), gateway.orders.page(view, everything),
            gateway.alerts(AlertFilter(1)), gateway.sessions.authenticate("key", "secret", "here"),
        )  # fmt: skip
        for outcome in await asyncio.gather(*asked):
            assert isinstance(outcome, Unavailable)
            assert (outcome.cause, "db.internal" in outcome.text) == (Cause.STORE_AWAY, False)
        assert await gateway.orders.find(view, known.order_id) == Accepted(known)
        stores.is_away = False
        old = Order(77, 1, "old", 1, 1, 2, 0, 10, 18_000, 0, 10, 180_000, OrdStatus.FILLED, 5, 6)
        stores.orders_by_id[77] = old
        assert await gateway.orders.find(view, 77) == Accepted(old)
        assert await gateway.orders.find(view, 78) == Accepted(None)
        assert await gateway.orders.find_by_cl_ord_id(view, "old") == Accepted(old)
        assert await gateway.orders.page(view, everything) == Accepted([known, old])
        assert await gateway.sessions.authenticate("key", "secret", "here") == Denied()


# ---- unknown: it was sent


async def test_a_decision_that_does_not_come_leaves_the_outcome_unknown_and_the_same_order_again_tells_it() -> None:
    """One order, however often it was sent."""
    async with trading(edge_decision_timeout_ms=50) as (gateway, exchange, _):
        resting = (await placed(gateway, an_order(b"rests"))).order
        exchange.stopped.add(ACCOUNT_COMMANDS.name)
        assert await gateway.orders.place(1, an_order()) == OutcomeUnknown(CommandKind.NEW_ORDER)
        assert await gateway.orders.cancel(1, resting.order_id) == OutcomeUnknown(CommandKind.CANCEL)
        assert await gateway.orders.replace(1, resting, {"order_qty": 5}) == OutcomeUnknown(CommandKind.REPLACE)
        assert gateway.metrics.registry.get_sample_value("outcry_edge_decision_timeouts_total") == 3
        exchange.stopped.clear()
        exchange.run()
        assert (await placed(gateway, an_order())).order.cl_ord_id == "a"
        view = await gateway.accounts.view(1)
        assert isinstance(view, Accepted)
        assert [one.cl_ord_id for one in view.value.orders()].count("a") == 1


# ---- a market that does not take the order


async def test_an_order_that_the_phase_does_not_take_is_refused_with_the_books_reason() -> None:
    """Although the account shard has taken it."""
    async with trading(Phase.CLOSED) as (gateway, _, _):
        assert await gateway.orders.place(1, an_order()) == Refused(Reason.MARKET_CLOSED)


async def test_an_order_that_was_taken_is_not_called_unavailable_because_its_view_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the log were missed while it waited for its book, and the account cannot be registered again: "nothing was done" would be untrue."""
    monkeypatch.setattr(orders, "PHASE_REFUSAL_S", 0.05)
    async with trading(Phase.CLOSED, edge_decision_timeout_ms=50) as (gateway, exchange, _):
        exchange.stopped.add(BOOK_COMMANDS.name)
        placing = asyncio.create_task(gateway.orders.place(1, an_order()))
        await until(lambda: bool(gateway.accounts._refusing))
        exchange.stopped.add(ACCOUNT_COMMANDS.name)
        gateway.accounts.forget_all()
        outcome = await placing
        assert isinstance(outcome, Accepted)
        assert (outcome.value.order.cl_ord_id, outcome.value.awaits_book) == ("a", True)


async def test_a_replace_that_was_sent_is_unknown_not_unavailable_when_its_view_was_lost() -> None:
    """The same of a replace whose book is slow."""
    async with trading(edge_decision_timeout_ms=50) as (gateway, exchange, _):
        order = (await placed(gateway, an_order())).order
        exchange.stopped.add(BOOK_COMMANDS.name)
        replacing = asyncio.create_task(gateway.orders.replace(1, order, {"order_qty": 5, "time_in_force": 255}))
        await until(lambda: order.ord_status == OrdStatus.PENDING_REPLACE)
        exchange.stopped.add(ACCOUNT_COMMANDS.name)
        gateway.accounts.forget_all()
        assert await replacing == OutcomeUnknown(CommandKind.REPLACE)
