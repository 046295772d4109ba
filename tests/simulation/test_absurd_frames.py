"""Whatever numbers a frame has, and whatever became of its bytes: it is a dead letter that changes nothing, or it is applied, by kernel and reference alike."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from absurd_exchange import AbsurdExchange
from customers import bust_of

from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, rows_of
from schemas.codec import FRAMES, Header, decode_frame, encode_frame
from schemas.enums import AccountEventKind, CommandKind, OrdType, Side
from schemas.reject_reasons import Reason
from topics.catalogue import ACCOUNT_EVENTS

pytestmark = pytest.mark.slow

SEEDS_PER_TEST = 6
STEPS = 80
COUNTS = Counter[str]()


@pytest.fixture
def exchange() -> Iterator[AbsurdExchange]:
    """A small one, for a story of its own."""
    made = AbsurdExchange(0)
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def _counts(told: list[str]) -> Iterator[None]:
    yield
    told.append("absurd frames: " + ", ".join(f"{kind} {n:,}" for kind, n in sorted(COUNTS.items())))


def run(seed: int, step: Callable[[AbsurdExchange], None]) -> None:
    """One exchange under so many steps; at the end both makes are in the same state."""
    exchange = AbsurdExchange(seed)
    for _ in range(STEPS):
        step(exchange)
    for shard in (*exchange.accounts, *exchange.books):
        hashes = [runner.processor.state_hash() for runner in (shard.compiled, shard.readable)]
        assert hashes[0] == hashes[1], f"seed {seed}: the makes of {shard.topic}/{shard.partition} are in different states"
    COUNTS.update(exchange.counts)
    exchange.close()


@pytest.mark.parametrize("first", range(0, 30, SEEDS_PER_TEST))
def test_any_frame_of_a_customer_or_an_operator_is_taken_or_refused_by_both_makes(first: int) -> None:
    """Numbers at every bound, wrong bytes, forged headers; what shards make of them goes on to the next shard."""
    for seed in range(first, first + SEEDS_PER_TEST):
        run(seed, AbsurdExchange.step)


def test_any_order_in_an_account_shards_name_is_taken_or_refused_by_both_makes_of_the_books() -> None:
    """A forger's, who may write to book.commands: the books stand it. Its reports would be of orders that no account has."""

    def forge(exchange: AbsurdExchange) -> None:
        books = exchange.rng.choice(exchange.books)
        exchange.feed(books, exchange.forged_orders(books.partition))

    for seed in range(SEEDS_PER_TEST):
        run(seed, forge)


def test_any_report_in_a_book_shards_name_is_settled_or_left_out_by_both_makes_of_the_accounts() -> None:
    """A forger's, who may write to account.commands, among what customers really do; the true reports that then no longer fit are left out too."""

    def forge(exchange: AbsurdExchange) -> None:
        exchange.step()
        accounts = exchange.rng.choice(exchange.accounts)
        exchange.deliver(exchange.feed(accounts, exchange.forged_reports(accounts.partition)))

    for seed in range(SEEDS_PER_TEST):
        run(seed, forge)


def ask(exchange: AbsurdExchange, **values: int) -> list[dict[str, Any]]:
    """One command of an account; the events of its shard."""
    shard = exchange.accounts[values["account"] % 2]
    rows = rows_of(COMMAND_DTYPE, [{"transact_time": exchange.now_ns, "request_id": exchange.next_update()} | values])
    outputs = exchange.feed(shard, encode_frame("order_command_frame", Header("test"), rows, np.array([b"t%d" % shard.offset])))
    exchange.deliver(outputs)
    exchange.settle()
    return [
        dict(zip(FRAMES["account_event_frame"].dtype.names or (), row.item(), strict=True))
        for output in outputs
        if output.topic == ACCOUNT_EVENTS.name
        for row in decode_frame(output.value).rows
    ]


def trade(exchange: AbsurdExchange, buyer: int, seller: int, qty: int) -> None:
    """Both sides of one, in instrument 1 at 100 ticks."""
    order = {"kind": CommandKind.NEW_ORDER, "ord_type": OrdType.LIMIT, "instrument": 1, "order_qty": qty, "price": 100, "locate": 1}
    ask(exchange, account=seller, side=Side.SELL, **order)
    ask(exchange, account=buyer, side=Side.BUY, **order)


@pytest.mark.parametrize("lots", [-6, -(1 << 62), -(1 << 63) + 1, -(1 << 63)])
def test_no_withdrawal_makes_shares_of_a_short_position(exchange: AbsurdExchange, lots: int) -> None:
    """Below zero less the least number is above zero in 64 bits: it used to be taken."""
    ask(exchange, kind=CommandKind.ACCOUNT_UPDATE, account=2, instrument=1, order_qty=-500)
    trade(exchange, buyer=3, seller=2, qty=5)
    (event,) = ask(exchange, kind=CommandKind.ACCOUNT_UPDATE, account=2, instrument=1, order_qty=lots)
    assert (event["kind"], event["reason"]) == (AccountEventKind.ACCOUNT_UPDATE_REJECTED, Reason.BELOW_ZERO)


def test_busts_of_absurd_amounts_are_refused_before_cash_leaves_its_bounds(exchange: AbsurdExchange) -> None:
    """An operator may name any price and quantity; the third of these used to stop the account shard, and every replay of it, for ever."""
    for _ in range(4):
        trade(exchange, buyer=2, seller=4, qty=1)
    for known in list(exchange.trades):
        bust = bust_of(known) | {"price": 1 << 31, "order_qty": 10_000_000, "transact_time": exchange.now_ns}
        value = encode_frame("book_command_frame", Header("operator"), rows_of(BOOK_COMMAND_DTYPE, [bust]))
        exchange.deliver(exchange.feed(exchange.books[1], value))
        exchange.settle()
    (event,) = ask(exchange, kind=CommandKind.ACCOUNT_UPDATE, account=2)
    assert 0 < event["cash"] <= 1 << 62
