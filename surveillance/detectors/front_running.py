"""Front running: a member trades for itself just before a block of its customer on the same side, and gives it back at the price that the block makes.

FINRA Rule 5270; (EU) 596/2014 Art. 14. Who is a member's customer is in the owner sets. A member that hedges trades after the block; one that makes a
market has traded on both sides. The exchange sees when orders arrive, not when the member heard of them: an analyst asks for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from schemas.enums import Side
from schemas.instruments import Instrument
from surveillance.contract import Detector, Evidence, Finding, Measure, order_evidence, trade_evidence
from surveillance.market import Market, Trade
from surveillance.orders import OrderTracker, TrackedOrder, other_side
from surveillance.wording import VERBS, counted, seconds

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class FrontRunningParameters:
    """When trades were made ahead of a block. Every bound is inclusive."""

    block_usual_min: int = 8
    """A block : usual order of the book."""
    ahead_ns: int = 120 * SECOND_NS
    """From the member's first own trade to the block."""
    hedge_ns: int = 5 * SECOND_NS
    """After a block of its customers the member's own trades are a hedge of that one, and not ahead of the next."""
    ahead_size_min: int = 10
    """Lots that the member traded ahead : usual trade."""
    two_sided_percent_max: int = 20
    """What the member traded on the other side in that time : what it traded ahead."""
    close_ns: int = 600 * SECOND_NS
    """From the block to the closing trades."""
    closed_percent_min: int = 50
    """Share of what was traded ahead that is closed at a better price than its average."""
    trades_max: int = 64
    """Own trades of a member in a book that are remembered."""
    runs_max: int = 20_000
    """Members' books, and blocks, that are followed, ~10 KB each at most; then the oldest is forgotten."""


@dataclass
class Block:
    """A customer's block, and what its member had traded ahead of it."""

    order: Evidence
    side: int
    ahead: list[Trade]
    qty: int
    cost: int  # ticks x lots
    closed_qty: int
    gain: int  # ticks x lots
    closing: list[Trade]


Key = tuple[int, int]


class FrontRunningDetector(Detector):
    """Own trades of members, and blocks of their customers, by instrument and member."""

    name: ClassVar[str] = "front_running"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("FINRA 5270", "MAR Art. 14")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: FrontRunningParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or FrontRunningParameters()
        self._own: dict[Key, list[Trade]] = {}
        self._blocks: dict[Key, Block] = {}
        self._last: dict[Key, int] = {}  # when the newest block of its customers came

    def placed(self, order: TrackedOrder, now: int) -> Sequence[Finding]:
        """A customer's block after own trades of its member."""
        member = self.market.owners.member_of_customer.get(order.account)
        if member is None:
            return ()
        rules, book = self.parameters, self.market.books[order.instrument]
        key = (order.instrument, member)
        if order.order_qty < rules.block_usual_min * max(book.order_qty, 1):
            return ()
        hedged_until = self._last.pop(key, -rules.hedge_ns) + rules.hedge_ns
        while len(self._last) >= rules.runs_max:
            del self._last[next(iter(self._last))]
        self._last[key] = now
        if key in self._blocks:
            return ()
        recent = [one for one in self._own.get(key, ()) if one.time >= max(now - rules.ahead_ns, hedged_until)]
        ahead = [one for one in recent if self._own_side(one, member) == order.side]
        qty = sum(one.qty for one in ahead)
        if qty < rules.ahead_size_min * max(book.trade_qty, 1):
            return ()
        if (sum(one.qty for one in recent) - qty) * 100 > qty * rules.two_sided_percent_max:
            return ()
        while len(self._blocks) >= rules.runs_max:
            del self._blocks[next(iter(self._blocks))]
        cost = sum(one.qty * one.price for one in ahead)
        self._blocks[key] = Block(order_evidence("BLOCK", order), order.side, ahead, qty, cost, 0, 0, [])
        return ()

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """A member trades for itself."""
        members = self.market.owners.member_of_owner
        if not members or trade.owner == trade.contra_owner:
            return ()
        found: list[Finding] = []
        for owner in (trade.owner, trade.contra_owner):
            member = members.get(owner)
            if member is not None:
                found += self._own_trade((trade.instrument, member), trade)
        return found

    def _own_side(self, trade: Trade, member: int) -> int:
        return trade.side if self.market.owners.member_of_owner.get(trade.owner) == member else other_side(trade.side)

    def _own_trade(self, key: Key, trade: Trade) -> Sequence[Finding]:
        rules = self.parameters
        trades = self._own.pop(key, None)
        if trades is None:
            trades = []
            while len(self._own) >= rules.runs_max:
                del self._own[next(iter(self._own))]
        trades.append(trade)
        del trades[: -rules.trades_max]
        self._own[key] = trades
        block = self._blocks.get(key)
        if block is None:
            return ()
        if trade.time - block.order.placed_at > rules.close_ns:
            del self._blocks[key]
            return ()
        return self._close(key, block, trade)

    def _close(self, key: Key, block: Block, trade: Trade) -> Sequence[Finding]:
        sign = 1 if block.side == Side.BUY else -1
        if self._own_side(trade, key[1]) == block.side or (trade.price * block.qty - block.cost) * sign <= 0:
            return ()
        block.closed_qty += trade.qty
        block.gain += (trade.price * block.qty - block.cost) * sign * trade.qty // block.qty
        if len(block.closing) < self.parameters.trades_max:
            block.closing.append(trade)
        if block.closed_qty * 100 < block.qty * self.parameters.closed_percent_min:
            return ()
        del self._blocks[key]
        return (self._finding(key, block, trade),)

    def _finding(self, key: Key, block: Block, last: Trade) -> Finding:
        (instrument, member), rules, first, order = key, self.parameters, block.ahead[0], block.order
        owner = self.market.owners.owner_of(member)
        usual_qty = max(self.market.book(instrument).trade_qty, 1)
        lead = order.placed_at - first.time

        def steps(names: Instrument) -> tuple[str, ...]:
            lots = names.qty_text
            return (
                f"Within {seconds(lead)} before its customer's order, member {member} {VERBS[block.side][1]} {lots(block.qty)} {names.symbol} for itself in "
                f"{counted(len(block.ahead), 'trade')}.",
                f"Account {order.account}, its customer, then entered an order to {VERBS[block.side][0]} {lots(order.qty)}.",
                f"Within {seconds(last.time - order.placed_at)} the member traded {lots(block.closed_qty)} the other way at better prices, "
                f"{counted(block.gain, 'tick')} x lots in its favour.",
                "Own trades ahead of a customer's block: compare FINRA Rule 5270, and ask when the member knew of the order.",
            )

        views = [("AHEAD", one) for one in block.ahead] + [("CLOSE", one) for one in block.closing]
        members = self.market.owners.member_of_owner
        evidence = [trade_evidence(role, one, maker=members.get(one.owner) != member) for role, one in views]
        return Finding(
            "FRONT_RUNNING", instrument, owner, block.side, (instrument, member, order.order_id), min(950, 600 + 10 * (block.qty // usual_qty)), first.time,
            steps, (order, *evidence),
            (
                Measure("lots ahead to usual trade", block.qty // usual_qty, rules.ahead_size_min, "times"),
                Measure("time ahead of the block", lead, rules.ahead_ns, "ns", at_least=False),
                Measure("closed share", block.closed_qty * 100 // block.qty, rules.closed_percent_min, "percent"),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """Own trades, and blocks with theirs."""
        own = [[list(key), [tuple(one) for one in trades]] for key, trades in self._own.items()]
        return [own, [[list(key), _plain(block)] for key, block in self._blocks.items()], [[*key, at] for key, at in self._last.items()]]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._own = {tuple(key): [Trade(*one) for one in trades] for key, trades in state[0]}
        for key, (order, side, ahead, qty, cost, closed_qty, gain, closing) in state[1]:
            trades = [[Trade(*one) for one in kept] for kept in (ahead, closing)]
            self._blocks[tuple(key)] = Block(Evidence(*order), side, trades[0], qty, cost, closed_qty, gain, trades[1])
        self._last = {(instrument, member): at for instrument, member, at in state[2]}


def _plain(block: Block) -> list[Any]:
    ahead, closing = ([tuple(one) for one in trades] for trades in (block.ahead, block.closing))
    return [tuple(block.order), block.side, ahead, block.qty, block.cost, block.closed_qty, block.gain, closing]
