"""Momentum ignition: aggressive orders that push the price through several levels, then a position closed at the better price that they made.

(EU) 2016/522 Annex II, section 1, 5; MAR Annex I.A(e). A large taker that splits its order has no trades on the other side afterwards. In a thin market
few follow, so what is offered at the better price counts too, once some of it has traded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.enums import Side
from schemas.instruments import Instrument
from surveillance.contract import Detector, Evidence, Finding, Measure, trade_evidence
from surveillance.market import Market, Trade
from surveillance.orders import OrderTracker, other_side
from surveillance.wording import VERBS, counted, seconds

SECOND_NS = 1_000_000_000
LED_S = 3
"""Seconds before a push whose prices are compared with it."""


@dataclass(frozen=True)
class MomentumIgnitionParameters:
    """When a push was made to be sold into. Every bound is inclusive."""

    levels_min: int = 3
    """Successive prices, each beyond the one before, that the owner's aggressive orders reached."""
    orders_min: int = 3
    """Aggressive orders of the push."""
    push_ns: int = 5 * SECOND_NS
    """From its first trade to its last."""
    size_min: int = 16
    """Lots of the push : usual trade. Trend followers push with less."""
    led_times_min: int = 2
    """The price move of the push : the move the largest move the same way in the three seconds before it. A trend follower comes when the move is there."""
    leading_size_min: int = 64
    """A push of so many usual trades leads by itself, whatever came before."""
    two_sided_percent_max: int = 20
    """The owner's own interest on the other side during the push : lots of the push. A quoter that crosses the market quotes both sides."""
    close_ns: int = 60 * SECOND_NS
    """From the last trade of the push to the closing trades."""
    taken_ns: int = 5 * SECOND_NS
    """The same, for trades that the owner takes: as long as a push. A trend follower takes the other side later, when the move has turned."""
    closed_percent_min: int = 5
    """Share of the push that is closed at a price beyond the one where it began: one that it made."""
    unpaid_percent_min: int = 20
    """The same, while what was closed is a loss against the average of the push."""
    offered_percent_min: int = 30
    """Share of the push that is closed so, or wanted on the other side meanwhile."""
    runs_max: int = 50_000
    """Owners that are followed, ~300 B each; then the oldest is forgotten."""
    evidence_max: int = 24
    """Trades of a push, and of its closing, that are kept as evidence."""


@dataclass
class Run:
    """An owner's push in one instrument, and what it traded against it since."""

    side: int
    began_at: int
    last_at: int
    last_px: int  # the furthest
    order_id: int
    first_px: int
    before: int  # ticks that the price had moved the same way, the most in the three seconds before
    levels: int = 1
    orders: int = 1
    qty: int = 0
    cost: int = 0
    closed_qty: int = 0
    gain: int = 0  # ticks x lots
    other_qty: int = 0  # the owner's largest interest on the other side during the push, lots


class MomentumIgnitionDetector(Detector):
    """Pushes of owners, by instrument."""

    name: ClassVar[str] = "momentum_ignition"
    version: ClassVar[int] = 5
    rule_refs: ClassVar[tuple[str, ...]] = ("(EU) 2016/522 Annex II 1.5(c)", "MAR Annex I.A(e)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: MomentumIgnitionParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or MomentumIgnitionParameters()
        self._runs: dict[tuple[int, int], Run] = {}
        self._trades: dict[tuple[int, int], list[Trade]] = {}

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """The taker pushes or closes, the maker closes."""
        if trade.uncross or trade.owner == trade.contra_owner:
            return ()
        found: list[Finding] = []
        key = (trade.instrument, trade.owner)
        run = self._runs.get(key)
        if run is None or run.side == trade.side:
            self._push(key, run, trade)
        else:
            found += self._close(key, run, trade, maker=False)
        key = (trade.instrument, trade.contra_owner)
        run = self._runs.get(key)
        if run is not None and run.side == trade.side:  # as a maker it traded the other side of it
            found += self._close(key, run, trade, maker=True)
        return found

    def _push(self, key: tuple[int, int], run: Run | None, trade: Trade) -> None:
        rules = self.parameters
        better = run is not None and (trade.price > run.last_px if trade.side == Side.BUY else trade.price < run.last_px)
        if run is None or trade.time - run.began_at > rules.push_ns:
            self._runs.pop(key, None)
            self._trades.pop(key, None)
            while len(self._runs) >= rules.runs_max:
                oldest = next(iter(self._runs))
                del self._runs[oldest], self._trades[oldest]
            book = self.market.book(trade.instrument)  # its best prices are still those before the trade
            second, sign = trade.time // SECOND_NS, 1 if trade.side == Side.BUY else -1
            # prices are known by seconds: one of them alone is the price of up to a second later, which misses half of a move
            before = max(0, *((book.middle() - book.price_before(second - ago)) * sign for ago in range(LED_S)))
            run = self._runs[key] = Run(trade.side, trade.time, trade.time, trade.price, trade.order_id, trade.price, before)
            self._trades[key] = []
        else:
            run.levels += better
            run.orders += trade.order_id != run.order_id
            run.last_at, run.order_id = trade.time, trade.order_id
            run.last_px = trade.price if better else run.last_px
        order = self.tracker.get(trade.order_id)
        if order is not None:
            run.other_qty = max(run.other_qty, self.tracker.holding(order).interest[other_side(trade.side)])
        run.qty += trade.qty
        run.cost += trade.qty * trade.price
        trades = self._trades[key]
        if len(trades) < rules.evidence_max:
            trades.append(trade)

    def _close(self, key: tuple[int, int], run: Run, trade: Trade, *, maker: bool) -> Sequence[Finding]:
        rules = self.parameters
        usual_qty = max(self.market.book(trade.instrument).trade_qty, 1)
        is_push = (
            run.levels >= rules.levels_min
            and run.orders >= rules.orders_min
            and run.qty >= rules.size_min * usual_qty
            and (abs(run.last_px - run.first_px) >= run.before * rules.led_times_min or run.qty >= rules.leading_size_min * usual_qty)
            and run.other_qty * 100 <= run.qty * rules.two_sided_percent_max
        )
        passed = trade.time - run.last_at
        if not is_push or passed > rules.close_ns:
            if passed > rules.close_ns or not maker:
                del self._runs[key], self._trades[key]
            return ()
        if not maker and passed > rules.taken_ns:
            return ()  # the run goes on: or a lot taken late would hide what is offered
        sign = 1 if run.side == Side.BUY else -1
        if (trade.price - run.first_px) * sign <= 0:
            return ()
        gain = (trade.price * run.qty - run.cost) * trade.qty // run.qty * sign
        run.closed_qty += trade.qty
        run.gain += gain
        trades = self._trades[key]
        if len(trades) < 2 * rules.evidence_max:
            trades.append(trade)
        order = self.tracker.get(trade.party(maker=maker)[0])
        offered_qty = max(run.closed_qty, self.tracker.holding(order).interest[other_side(run.side)] if order is not None else 0)
        closed_percent_min = rules.closed_percent_min if run.gain > 0 else rules.unpaid_percent_min
        if run.closed_qty * 100 < run.qty * closed_percent_min or offered_qty * 100 < run.qty * rules.offered_percent_min:
            return ()
        del self._runs[key], self._trades[key]
        return (self._finding(key, run, trades, trade, (usual_qty, offered_qty)),)

    def _finding(self, key: tuple[int, int], run: Run, trades: list[Trade], last: Trade, quantities: tuple[int, int]) -> Finding:
        usual_qty, offered_qty = quantities
        instrument, owner = key
        verb, _ = VERBS[run.side]
        first = trades[0]
        closed_percent_min = self.parameters.closed_percent_min if run.gain > 0 else self.parameters.unpaid_percent_min

        def steps(names: Instrument) -> tuple[str, ...]:
            lots, price = names.qty_text, names.price_text
            return (
                f"Account {owner} {VERBS[run.side][1]} {lots(run.qty)} {names.symbol} with {counted(run.orders, 'aggressive order')} through "
                f"{run.levels} successive prices from {price(first.price)} to {price(run.last_px)} within {seconds(run.last_at - run.began_at)}.",
                f"Within {seconds(last.time - run.last_at)} of the push it traded {lots(run.closed_qty)} "
                f"({run.closed_qty * 100 // run.qty} %) the other way at prices that the push had made, "
                f"{counted(abs(run.gain), 'tick')} x lots {'in its favour' if run.gain > 0 else 'to its loss'}. "
                f"{lots(offered_qty)} was the most that it wanted there.",
                f"A {verb} push that others follow, then a position closed into it: compare (EU) 2016/522, Annex II, section 1.",
            )

        return Finding(
            "MOMENTUM_IGNITION", instrument, owner, run.side, (instrument, owner, first.trd_match_id),
            min(950, 500 + 40 * run.levels + min(200, 10 * run.qty // usual_qty)), run.began_at, steps,
            tuple(_view(one, owner, run.side) for one in trades),
            (
                Measure("price levels", run.levels, self.parameters.levels_min),
                Measure("aggressive orders", run.orders, self.parameters.orders_min),
                Measure("push to usual trade", run.qty // usual_qty, self.parameters.size_min, "times"),
                Measure("move to the move before", abs(run.last_px - run.first_px) // max(run.before, 1), self.parameters.led_times_min, "times"),
                Measure("own interest on the other side", run.other_qty * 100 // run.qty, self.parameters.two_sided_percent_max, "percent", at_least=False),
                Measure("closed share", run.closed_qty * 100 // run.qty, closed_percent_min, "percent"),
                Measure("offered share", offered_qty * 100 // run.qty, self.parameters.offered_percent_min, "percent"),
                Measure("time to close", last.time - run.last_at, self.parameters.close_ns, "ns", at_least=False),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """Runs with their trades."""
        return [[key, list(vars(run).values()), [tuple(one) for one in self._trades[key]]] for key, run in self._runs.items()]

    def load(self, state: Any) -> None:
        """The opposite."""
        for key, run, trades in state:
            self._runs[tuple(key)] = Run(*run)
            self._trades[tuple(key)] = [Trade(*one) for one in trades]


def _view(trade: Trade, owner: int, side: int) -> Evidence:
    maker = trade.owner != owner
    role = "PUSH" if not maker and trade.side == side else "CLOSE"
    return trade_evidence(role, trade, maker=maker)
