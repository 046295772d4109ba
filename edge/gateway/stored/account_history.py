"""What an account has done and been worth, from the ledger of the system of record: every posting, and sums of them.

The worth at a time of the past is the worth now without what was posted since: cash and shares are exact, shares are valued at the last price
that was there at the time, before the first one at the reference price.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge.gateway.accounts.view import AccountView
from edge.gateway.market.view import MarketView
from edge.gateway.outcomes import Accepted, Unavailable
from edge.gateway.stored.history import Stores, recorded
from schemas.instruments import Instrument
from schemas.units import MINOR_PER_UNIT
from sinks.mysql import account_history, market_history
from sinks.mysql.account_history import Activity, ActivityFilter, Flow

INSTRUMENTS_VALUED_MAX: Final = 500
"""Instruments of one account whose past prices are read for its worth: one question each, ~1 ms."""


@dataclass(frozen=True)
class TooManyInstruments:
    """The account has traded more than INSTRUMENTS_VALUED_MAX in the time asked for."""

    count: int


@dataclass(frozen=True)
class Worth:
    """In minor units. `base`: before the first span; `equity`: at the end of each."""

    base: int
    equity: list[int]
    outside: list[int]
    """What came from outside, cash and shares, less what went there, since the end of the span before."""
    cash_in: list[int]
    cash_out: list[int]
    """The cash of it, each way; what went is negative."""


class AccountHistory:
    """Of every account."""

    def __init__(self, stores: Stores, market: MarketView) -> None:
        self._stores, self._market = stores, market

    async def activities(self, account: int, wanted: ActivityFilter) -> Accepted[list[Activity]] | Unavailable:
        """Postings of the account."""
        return await recorded(self._stores.read(account_history.activities, account, account, wanted), "activities")

    async def time_of(self, account: int, posting: tuple[int, int, int]) -> Accepted[int | None] | Unavailable:
        """When something was posted, (shard, seq, leg); None if the account has no such posting."""
        return await recorded(self._stores.read(account_history.time_of, account, account, posting), "activities")

    async def worth(
        self, view: AccountView, since: int, width_ns: int, spans: Sequence[int]
    ) -> Accepted[Worth] | Unavailable | TooManyInstruments:
        """At the end of each of the spans (numbers that grow, one at least) of `width_ns` that are counted from `since`; whole minutes."""
        read = await recorded(
            self._stores.read(account_history.flows, view.account, view.account, since, width_ns), "past values of the account"
        )
        if not isinstance(read, Accepted):
            return read
        flows = read.value
        held = {number for number, position in view.positions.items() if position.qty} | {
            flow.instrument for flow in flows if flow.instrument
        }
        if len(held) > INSTRUMENTS_VALUED_MAX:
            return TooManyInstruments(len(held))
        prices = await recorded(self._prices(sorted(held), since, width_ns, spans), "past values of the account")
        if not isinstance(prices, Accepted):
            return prices
        return Accepted(self._add_up(view, flows, prices.value, spans))

    async def _prices(self, numbers: list[int], since: int, width_ns: int, spans: Sequence[int]) -> "dict[int, Prices]":
        """By instrument."""
        found, end = {}, since + (spans[-1] + 1) * width_ns
        by_number = {view.instrument.number: view.instrument for view in self._market.symbols.values()}
        for number in numbers:
            # one at a time: many accounts hold the same ones, and each answer is kept for all
            before = await self._stores.read(market_history.closes_before, None, [number], since)
            # counted from `since` like the spans, whatever 1970 says
            page = await self._stores.read(market_history.closes, None, number, since, end, width_ns)
            found[number] = Prices(by_number[number], before.get(number), [span for span, _ in page], [price for _, price in page])
        return found

    def _add_up(self, view: AccountView, flows: list[Flow], prices: "dict[int, Prices]", spans: Sequence[int]) -> Worth:
        """Backwards from now."""
        cash, shares = view.cash, {number: position.qty for number, position in view.positions.items()}
        left, newest = list(flows), Worth(0, [], [], [], [])

        def undo(span: int) -> tuple[int, int, int]:
            """Take out what was posted in spans beyond this one; (worth from outside, cash in, cash out) of it."""
            nonlocal cash
            outside = cash_in = cash_out = 0
            while left and left[-1].span > span:
                flow = left.pop()
                if flow.instrument:
                    shares[flow.instrument] = shares.get(flow.instrument, 0) - flow.amount
                    outside += prices[flow.instrument].lots_minor(flow.outside, flow.span)
                    continue
                cash -= flow.amount
                outside, cash_in, cash_out = outside + flow.outside, cash_in + flow.came, cash_out + flow.outside - flow.came
            return outside, cash_in, cash_out

        def worth(span: int) -> int:
            return cash + sum(prices[number].lots_minor(lots, span) for number, lots in shares.items() if lots)

        undo(spans[-1])  # what came behind the last span belongs to none
        for place in range(len(spans) - 1, -1, -1):
            newest.equity.insert(0, worth(spans[place]))
            before = undo(spans[place - 1] if place else -1)
            for values, value in zip((newest.outside, newest.cash_in, newest.cash_out), before, strict=True):
                values.insert(0, value)
        return replace(newest, base=worth(-1))


@dataclass(frozen=True)
class Prices:
    """Of one instrument over spans of time, in ticks."""

    instrument: Instrument
    before: int | None
    spans: list[int]
    closes: list[int]

    def lots_minor(self, lots: int, span: int) -> int:
        """What so many lots were worth at the end of a span, in minor units; -1: before the first one."""
        place = bisect_right(self.spans, span)
        ticks = self.closes[place - 1] if place else self.before
        one = self.instrument
        price = one.reference_price if ticks is None else one.tick_size * ticks
        return int(price * one.lot_size * lots * MINOR_PER_UNIT)
