"""The first stage's part: what every party did in each book, gathered by half minutes. It is fed like a detector and finds nothing.

Only parties that traded, or took back what they had shown, are told of. Bounded: PARTIES_MAX a book and half minute, OTHERS_MAX counterparties each.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any, ClassVar, Final

from schemas.enums import Side
from surveillance.accounts.facts import BookSums, PartySum, Seen
from surveillance.activity import BUCKET_NS, OWNERS_MAX
from surveillance.contract import Detector, Finding
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker, TrackedOrder, other_side

PARTIES_MAX: Final = OWNERS_MAX
OTHERS_MAX: Final = 8
"""Counterparties that are told apart; the one with the least makes room for another."""
SHOWN_ORDERS_MAX: Final = 32
"""Open orders that are added up when one is canceled."""
LONG_MAX: Final = (1 << 63) - 1
"""Sums of forged rows may be larger; they are not told exactly."""
SHOWN_AGE_NS: Final = 90_000_000_000
FILLED_PERCENT_MAX: Final = 10
ONE_SIDED_MIN: Final = 4
"""Lots shown at once : lots that the party wanted on the other side while that order stood. Whoever shows both sides one after the other shows each of
them; a maker shows both at once, and none."""
_BUY: Final = int(Side.BUY)

# Places in the list of a party.
_BOUGHT, _SOLD, _BOUGHT_COST, _SOLD_COST, _TAKEN, _FROM, _UNTIL, _SHOWN = range(8)  # _SHOWN: three numbers by side
_PAID, _TIMES, _NUMBERS = 13, 14, 18  # _TIMES: two by side
_NOTHING: Final = (0, 0)


class _Party:
    """One party in one book in the open half minute."""

    __slots__ = ("numbers", "others", "shown", "trades")

    def __init__(self) -> None:
        self.numbers = [0] * _NUMBERS
        self.others: dict[int, int] = {}
        self.trades: list[tuple[int, Seen]] = []  # the two largest, and of equal ones the first
        self.shown: dict[int, Seen] = {}  # by side

    def note_trade(self, trade: Trade, paid: int, *, maker: bool) -> None:
        numbers = self.numbers
        order_id, account, side = trade.party(maker=maker)
        at = side - 1
        numbers[_BOUGHT + at] += trade.qty
        numbers[_BOUGHT_COST + at] += trade.price * trade.qty
        numbers[_FROM] = numbers[_FROM] or trade.time
        numbers[_UNTIL] = trade.time
        times = _TIMES + 2 * at
        numbers[times] = numbers[times] or trade.time
        numbers[times + 1] = trade.time
        if not maker and not trade.uncross:
            numbers[_TAKEN] += trade.qty
            numbers[_PAID] += paid
            other = trade.contra_owner
            if other in self.others:
                self.others[other] += trade.qty
            else:
                if len(self.others) >= OTHERS_MAX:
                    del self.others[min(self.others, key=lambda one: (self.others[one], one))]
                self.others[other] = trade.qty
        trades, qty = self.trades, trade.qty
        if len(trades) < 2 or qty > trades[1][0]:
            seen = Seen(
                "MAKER" if maker else "TAKER", order_id, side, trade.price, qty, qty, trade.time, trade.time, account, trade.trd_match_id,
                trade.seq, trade.offset,
            )  # fmt: skip
            trades.insert(1 if trades and qty <= trades[0][0] else 0, (qty, seen))
            del trades[2:]

    def note_shown(self, order: TrackedOrder, lots: int, now: int) -> None:
        at = _SHOWN + 3 * (order.side - 1)
        if lots <= self.numbers[at]:
            return
        self.numbers[at : at + 3] = lots, order.placed_at, now
        self.shown[order.side] = Seen(
            "SHOWN", order.order_id, order.side, order.price, order.order_qty, order.traded_qty, order.placed_at, now, order.account, 0, order.seq,
            order.offset,
        )  # fmt: skip

    def sum(self, owner: int, parties: "dict[int, _Party]") -> PartySum:
        numbers, taken_from, shown = self.numbers, self.others, self.shown
        other = max(taken_from, key=lambda one: (taken_from[one], -one)) if len(taken_from) > 1 else next(iter(taken_from), 0)
        seen = [one for _, one in self.trades]
        if shown:
            seen += [shown[side] for side in sorted(shown)]
        others = parties[other].numbers if other in parties else _NOTHING
        values = [*numbers[:_SHOWN], other, taken_from.get(other, 0), others[_BOUGHT] + others[_SOLD], *numbers[_SHOWN:]]
        if max(values) > LONG_MAX:
            values = [min(value, LONG_MAX) for value in values]
        return PartySum._make((owner, *values, tuple(seen), 0, 0, 0, 0, ""))

    def state(self) -> list[Any]:
        return [
            self.numbers,
            list(self.others.items()),
            [[qty, list(seen)] for qty, seen in self.trades],
            [list(seen) for seen in self.shown.values()],
        ]

    @classmethod
    def of_state(cls, state: list[Any]) -> "_Party":
        party = cls()
        party.numbers, others, trades, shown = state
        party.others = dict(others)
        party.trades = [(qty, Seen(*seen)) for qty, seen in trades]
        party.shown = {seen.side: seen for seen in (Seen(*one) for one in shown)}
        return party


class PartySums(Detector):
    """One book shard. `take` gives what has become complete."""

    name: ClassVar[str] = "party_sums"
    version: ClassVar[int] = 2

    def __init__(self, tracker: OrderTracker, market: Market) -> None:
        super().__init__(tracker, market)
        self._open: dict[int, dict[int, _Party]] = {}  # by instrument, by owner
        self._ends: dict[int, int] = {}  # end of the half minute that is open, ns
        self._complete: list[BookSums] = []

    def take(self) -> list[BookSums]:
        """The half minutes that are over since the last call. They are taken with each frame, so a snapshot has none."""
        taken, self._complete = self._complete, []
        return taken

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """Both parties."""
        taker = self._party(trade.instrument, trade.owner, trade.time)
        if taker is not None:
            taker.note_trade(trade, self._paid(trade), maker=False)
        maker = self._party(trade.instrument, trade.contra_owner, trade.time)
        if maker is not None:
            maker.note_trade(trade, 0, maker=True)
        return ()

    def _paid(self, trade: Trade) -> int:
        """By the taker beyond the middle, which is that from before its order: half ticks x lots. 0 while a side is empty."""
        _, bid, ask = self.market.book(trade.instrument).best
        if not bid or not ask:
            return 0
        beyond = 2 * trade.price - bid - ask
        return max(beyond if trade.side == _BUY else -beyond, 0) * trade.qty

    def withdrawn(self, order: TrackedOrder, canceled_qty: int, now: int) -> Sequence[Finding]:
        """A hardly filled order that its owner takes back, with what else is open on that side, if there was little on the other side."""
        if (
            not canceled_qty
            or not order.rests
            or now - order.placed_at > SHOWN_AGE_NS
            or order.traded_qty * 100 > order.order_qty * FILLED_PERCENT_MAX
        ):
            return ()
        holding = self.tracker.holding(order)
        lots = canceled_qty + sum(one.leaves_qty for one in islice(holding.open[order.side].values(), SHOWN_ORDERS_MAX))
        other = other_side(order.side)
        if holding.interest[other] and lots < ONE_SIDED_MIN * holding.interest_since(other, order.placed_at):
            return ()
        party = self._party(order.instrument, order.owner, now)
        if party is not None:
            party.note_shown(order, lots, now)
        return ()

    def bucket_closed(self, book: Book, now: int) -> Sequence[Finding]:
        """What was open is complete. Of a half minute in which nothing happened there is nothing to tell."""
        parties, end_at = self._open.pop(book.instrument, None), self._ends.pop(book.instrument, 0)
        if parties:
            sums = [parties[owner].sum(owner, parties) for owner in sorted(parties)]
            taken = sum(one.taken for one in sums)
            self._complete.append(BookSums(end_at, book.instrument, book.middle(), book.level_qty, min(taken, LONG_MAX), tuple(sums)))
        return ()

    def _party(self, instrument: int, owner: int, now: int) -> _Party | None:
        parties = self._open.get(instrument)
        if parties is None:
            parties = self._open[instrument] = {}
            self._ends[instrument] = (now // BUCKET_NS + 1) * BUCKET_NS
        party = parties.get(owner)
        if party is None and len(parties) < PARTIES_MAX:
            party = parties[owner] = _Party()
        return party

    def state(self) -> list[Any]:
        """What is open."""
        return [
            [instrument, self._ends[instrument], [[owner, party.state()] for owner, party in parties.items()]]
            for instrument, parties in self._open.items()
        ]

    def load(self, state: list[Any]) -> None:
        """The opposite."""
        for instrument, end_at, parties in state:
            self._ends[instrument] = end_at
            self._open[instrument] = {owner: _Party.of_state(party) for owner, party in parties}
