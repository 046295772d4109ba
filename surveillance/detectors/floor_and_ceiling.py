"""Floor and ceiling: one owner keeps the price where it is, by resting orders at one price that it enters again and again while others trade into them.

MAR Annex I.A(a). A large investor has one order, an iceberg too; a market maker quotes the other side as well and goes with the market. Whether the price
is worth something to the owner (a barrier, a loan, an index) is not known to the book shard: an analyst looks at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from typing import Any, ClassVar, Final

from schemas.enums import Side
from schemas.instruments import Instrument
from surveillance.activity import BUCKET_NS, FIVE_MINUTES
from surveillance.contract import Detector, Finding, Measure
from surveillance.detectors.window_patterns import newest_trades, traded
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker, other_side
from surveillance.wording import VERBS, counted, seconds

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class FloorAndCeilingParameters:
    """When resting orders hold a price. Every bound is inclusive."""

    band_ticks_max: int = 1
    """Prices at which the orders are executed, around the first of them."""
    hold_ns: int = 90 * SECOND_NS
    """From the first execution to the last."""
    orders_min: int = 6
    """Resting orders that were executed there."""
    size_min: int = 20
    """Executed lots : usual trade."""
    share_percent_min: int = 40
    """Of all that was taken on that side of the book meanwhile."""
    two_sided_percent_max: int = 20
    """What the owner traded the other way in five minutes : what it traded this way."""
    move_permille_max: int = 1_500
    """Range of the price meanwhile : the usual move in that time, before it; in 1/1000."""
    idle_ns: int = 60 * SECOND_NS
    """Without an execution for so long, it is over."""
    walls_max: int = 4_096
    """Owners and sides of a book that are followed, ~300 B each; then the oldest is forgotten."""


@dataclass
class Wall:
    """Executions of an owner's resting orders at one price."""

    price: int
    began_at: int
    last_at: int
    trd_match_id: int
    order_id: int
    taken_before: int  # lots that had been taken on this side of the book when it began
    taken: int = 0  # the same at its last execution
    orders: int = 1
    qty: int = 0


class FloorAndCeilingDetector(Detector):
    """Walls by instrument, owner and side."""

    name: ClassVar[str] = "floor_and_ceiling"
    version: ClassVar[int] = 2
    rule_refs: ClassVar[tuple[str, ...]] = ("MAR Annex I.A(a)", "SEA 9(a)(6)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: FloorAndCeilingParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or FloorAndCeilingParameters()
        self._walls: dict[int, dict[tuple[int, int], Wall]] = {}
        self._taken: dict[int, list[int]] = {}  # instrument -> lots ever taken, by the maker's side

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """A resting order was executed."""
        if trade.uncross or trade.owner == trade.contra_owner:
            return ()
        side, rules = int(Side.BUY) + int(Side.SELL) - trade.side, self.parameters
        taken = self._taken.get(trade.instrument)
        if taken is None:
            taken = self._taken[trade.instrument] = [0, 0, 0]
            self._walls[trade.instrument] = {}
        walls, key = self._walls[trade.instrument], (trade.contra_owner, side)
        wall = walls.get(key)
        if wall is None or abs(trade.price - wall.price) > rules.band_ticks_max:
            walls.pop(key, None)
            if len(walls) >= rules.walls_max:
                del walls[next(iter(walls))]
            wall = walls[key] = Wall(trade.price, trade.time, trade.time, trade.trd_match_id, trade.contra_order_id, taken[side])
        elif wall.order_id != trade.contra_order_id:
            wall.orders += 1
            wall.order_id = trade.contra_order_id
        wall.last_at = trade.time
        wall.qty += trade.qty
        taken[side] += trade.qty
        wall.taken = taken[side]
        return ()

    def bucket_closed(self, book: Book, now: int) -> Sequence[Finding]:
        """Does a wall hold?"""
        walls, rules, found = self._walls.get(book.instrument), self.parameters, []
        if not walls:
            return ()
        for key, wall in list(walls.items()):
            if now - wall.last_at > rules.idle_ns:
                del walls[key]
            elif finding := self._judge(book, key, wall, now):
                del walls[key]  # what goes on there is a new one, and joins the episode
                found.append(finding)
        return found

    def _judge(self, book: Book, key: tuple[int, int], wall: Wall, now: int) -> Finding | None:
        rules, (owner, side), usual_qty = self.parameters, key, max(book.trade_qty, 1)
        lasted = wall.last_at - wall.began_at
        if lasted < rules.hold_ns or wall.orders < rules.orders_min or wall.qty < rules.size_min * usual_qty:
            return None
        taken = wall.taken - wall.taken_before
        share = wall.qty * 100 // max(taken, 1)
        sums = book.windows.sums[FIVE_MINUTES].get(owner)
        if share < rules.share_percent_min or sums is None:
            return None
        this_way, other_way = traded(sums, side - 1), traded(sums, other_side(side) - 1)
        if other_way * 100 > this_way * rules.two_sided_percent_max:
            return None
        # closes while it stood: when it is over the price goes where it was kept from, maybe before this bucket ended
        closes, until = list(book.closes), now // BUCKET_NS - wall.last_at // BUCKET_NS
        buckets = max(1, wall.last_at // BUCKET_NS - wall.began_at // BUCKET_NS)
        first, last = len(closes) - until - buckets, len(closes) - until
        if first < 3:
            return None
        before, during = closes[:first], closes[first:last]
        mean = sum(abs(b - a) for a, b in pairwise(before)) * 1000 // (len(before) - 1)
        usual_move = mean * isqrt(buckets * 1_000_000) // 1000  # grows with the root of time; 1/1000 tick
        move = max(during) - min(during)
        if move * 1_000_000 > usual_move * rules.move_permille_max:
            return None
        return self._finding(book, (owner, side), wall, (taken, share, move, usual_move))

    def _finding(self, book: Book, key: tuple[int, int], wall: Wall, seen: tuple[int, int, int, int]) -> Finding | None:
        rules, (owner, side), (taken, share, move, usual_move) = self.parameters, key, seen
        trades = [view for trade, view in newest_trades(book, owner) if trade.time >= wall.began_at]
        if not trades:
            return None
        lasted, usual_qty = wall.last_at - wall.began_at, max(book.trade_qty, 1)

        def steps(names: Instrument) -> tuple[str, ...]:
            which = "floor under which the price may not fall" if side == Side.BUY else "ceiling above which the price may not rise"
            return (
                f"For {seconds(lasted)} account {owner} {VERBS[side][1]} {names.qty_text(wall.qty)} {names.symbol} at {names.price_text(wall.price)} "
                f"with {counted(wall.orders, 'resting order')} that it entered one after another.",
                f"That is {share} % of the {names.qty_text(taken)} that were traded into this side of the book.",
                f"Meanwhile the price stayed within {counted(move, 'tick')}; usual for such a time are {usual_move // 1000}.{usual_move % 1000:03d} ticks.",
                f"A {which}: compare MAR, Annex I.A(a), and look for what depends on this price.",
            )

        return Finding(
            "FLOOR_AND_CEILING", book.instrument, owner, side, (book.instrument, owner, side, wall.trd_match_id), min(950, 450 + 4 * share + wall.orders),
            wall.began_at, steps, tuple(trades),
            (
                Measure("executed to usual trade", wall.qty // usual_qty, rules.size_min, "times"),
                Measure("share of what was taken", share, rules.share_percent_min, "percent"),
                Measure("resting orders", wall.orders, rules.orders_min),
                Measure("time held", lasted, rules.hold_ns, "ns"),
                Measure("price range", move, usual_move * rules.move_permille_max // 1_000_000, "ticks", at_least=False),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """Walls, and what was taken."""
        walls = [[number, [[list(key), list(vars(wall).values())] for key, wall in one.items()]] for number, one in self._walls.items()]
        return [walls, list(self._taken.items())]

    def load(self, state: Any) -> None:
        """The opposite."""
        for number, walls in state[0]:
            self._walls[number] = {(owner, side): Wall(*values) for (owner, side), values in walls}
        self._taken = {number: list(taken) for number, taken in state[1]}
