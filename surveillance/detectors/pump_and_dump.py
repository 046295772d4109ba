"""Pump and dump: an owner buys low, the price is driven far up, it sells high into that, and the price falls back.

Securities Exchange Act 10(b), Rule 10b-5; (EU) 2016/522 Annex II 1.4(c). A market maker buys and sells at every price of the way; who follows the rise
buys high; who only holds sells nothing. Real news moves the price for good, so the fall is part of the pattern. In a busy market thousands trade between the
sale and the fall, so the trades of large buyers are kept here.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from schemas.enums import Phase, Side
from schemas.instruments import Instrument
from surveillance.contract import Detector, Finding, Measure
from surveillance.detectors.window_patterns import seen_by
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker
from surveillance.wording import counted, percent

HOUR_NS: Final = 3_600 * 1_000_000_000
TRADES_KEPT: Final = 8
"""Last trades of each of the `buyers_max` large buyers that traded last, ~250 B each."""


@dataclass(frozen=True)
class PumpAndDumpParameters:
    """When a rise was made to be sold into. Every bound is inclusive; of one trading day."""

    rise_permille_min: int = 20
    """From the lowest price to the highest after it, in 1/1000 of the lowest."""
    rise_ns: int = 4 * HOUR_NS
    """From the lowest price to the highest."""
    fall_percent_min: int = 50
    """Of the rise, what is lost again."""
    low_percent_max: int = 15
    """Where the owner's purchases are on average, from the lowest price (0) to the highest (100)."""
    high_percent_min: int = 60
    """Where its sales are on average."""
    sold_percent_min: int = 30
    """Sold : bought. Who drives a thin market up finds few to sell to."""
    share_permille_min: int = 3
    """The owner's purchases : all that was bought that day, in 1/1000. Most of a day like this is traded on the way up and down."""
    size_min: int = 60
    """The owner's purchases : usual trade."""
    owners_max: int = 50_000
    """Owners of a book whose trades are added up, ~200 B each; those that come later are left out."""
    buyers_max: int = 1_024
    """Owners of a shard with `size_min` whose trades are kept; whoever traded last stays."""


class PumpAndDumpDetector(Detector):
    """What every owner bought and sold today, and the way of the price."""

    name: ClassVar[str] = "pump_and_dump"
    version: ClassVar[int] = 4
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 10(b), Rule 10b-5", "(EU) 2016/522 Annex II 1.4(c)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: PumpAndDumpParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or PumpAndDumpParameters()
        self._ledgers: dict[int, dict[int, list[int]]] = {}  # instrument -> owner -> [bought, its cost, sold, its proceeds]
        self._kept: dict[tuple[int, int], deque[Trade]] = {}  # (instrument, owner) -> newest trades, who traded last at the end
        self._ways: dict[int, list[int]] = {}  # instrument -> [lowest price, when, highest after it, when]

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """Adds up."""
        ledgers = self._ledgers.get(trade.instrument)
        if ledgers is None:
            ledgers = self._ledgers[trade.instrument] = {}
        at = 0 if trade.side == Side.BUY else 2
        qty, cost = trade.qty, trade.qty * trade.price
        for owner, place in ((trade.owner, at), (trade.contra_owner, 2 - at)):
            ledger = ledgers.get(owner)
            if ledger is None:
                if len(ledgers) >= self.parameters.owners_max:
                    continue
                ledger = ledgers[owner] = [0, 0, 0, 0]
            ledger[place] += qty
            ledger[place + 1] += cost
            if ledger[0] >= self.parameters.size_min * max(self.market.books[trade.instrument].trade_qty, 1):
                self._keep((trade.instrument, owner), trade)
        if (price := self.market.books[trade.instrument].middle()) > 0:
            self._follow(trade.instrument, price, trade.time)
        return ()

    def _keep(self, key: tuple[int, int], trade: Trade) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            kept = deque(maxlen=TRADES_KEPT)
            if len(self._kept) >= self.parameters.buyers_max:
                del self._kept[next(iter(self._kept))]
        kept.append(trade)
        self._kept[key] = kept

    def _follow(self, instrument: int, price: int, now: int) -> list[int]:
        """The way with this price."""
        way = self._ways.get(instrument)
        if way is None:
            way = self._ways[instrument] = [price, now, price, now]
        elif price > way[2]:
            way[2:] = [price, now]
        elif price < way[0] and (way[2] - way[0]) * 1000 < way[0] * self.parameters.rise_permille_min:
            way[:] = [price, now, price, now]
        return way

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """A day is over."""
        if book.phase == Phase.CLOSED:
            self._ledgers.pop(book.instrument, None)
            self._ways.pop(book.instrument, None)
            for key in [key for key in self._kept if key[0] == book.instrument]:
                del self._kept[key]
        return ()

    def bucket_closed(self, book: Book, now: int) -> Sequence[Finding]:
        """Is the price back from where it was driven?"""
        price, rules = book.middle(), self.parameters
        if price <= 0 or book.instrument not in self._ledgers:
            return ()
        low, low_at, high, high_at = self._follow(book.instrument, price, now)
        rise = high - low
        if rise * 1000 < low * rules.rise_permille_min or (high - price) * 100 < rise * rules.fall_percent_min:
            return ()
        self._ways[book.instrument] = [price, now, price, now]
        if high_at - low_at > rules.rise_ns:
            return ()
        ledgers = self._ledgers[book.instrument]
        volume = sum(one[0] for one in ledgers.values())
        found = [self._judge(book, owner, ledgers[owner], (low, high, price, volume)) for owner in sorted(ledgers)]
        return [one for one in found if one is not None]

    def _judge(self, book: Book, owner: int, ledger: list[int], seen: tuple[int, int, int, int]) -> Finding | None:
        rules, (bought, cost, sold, proceeds), (low, high, price, volume) = self.parameters, ledger, seen
        if bought < rules.size_min * max(book.trade_qty, 1) or bought * 1000 < volume * rules.share_permille_min:
            return None
        if sold * 100 < bought * rules.sold_percent_min:
            return None
        rise = high - low
        bought_at, sold_at = (cost - low * bought) * 100 // (rise * bought), (proceeds - low * sold) * 100 // (rise * sold)
        if bought_at > rules.low_percent_max or sold_at < rules.high_percent_min:
            return None
        trades = [seen_by(owner, trade) for trade in self._kept.get((book.instrument, owner), ())]
        if not trades:
            return None
        share, gain = bought * 100 // volume, (proceeds * bought - cost * sold) * min(bought, sold) // (bought * sold)

        def steps(names: Instrument) -> tuple[str, ...]:
            lots, px = names.qty_text, names.price_text
            return (
                f"Account {owner} bought {lots(bought)} {names.symbol} today, {percent(bought, volume)} of all, at {px(cost // bought)} on average.",
                f"The price rose from {px(low)} to {px(high)}, {percent(rise, low)}.",
                f"It sold {lots(sold)} at {px(proceeds // sold)} on average, {counted(gain, 'tick')} x lots in its favour; then the price fell to {px(price)}.",
                "A price driven up to be sold into: compare Rule 10b-5, and look for what was said about the issuer.",
            )

        return Finding(
            "PUMP_AND_DUMP", book.instrument, owner, int(Side.SELL), (book.instrument, owner, trades[0][0].trd_match_id),
            min(950, 550 + 5 * share + (sold_at - bought_at)), trades[0][0].time, steps, tuple(view for _, view in trades),
            (
                Measure("thousandths of what was bought", bought * 1000 // volume, rules.share_permille_min),
                Measure("purchases to usual trade", bought // max(book.trade_qty, 1), rules.size_min, "times"),
                Measure("place of the purchases in the rise", max(bought_at, 0), rules.low_percent_max, "percent", at_least=False),
                Measure("place of the sales in the rise", sold_at, rules.high_percent_min, "percent"),
                Measure("sold to bought", sold * 100 // bought, rules.sold_percent_min, "percent"),
            ),
        )  # fmt: skip

    def state(self) -> Any:
        """Ledgers, ways, and trades of large buyers."""
        ledgers = [[number, [[owner, *one] for owner, one in owners.items()]] for number, owners in self._ledgers.items()]
        kept = [[list(key), [list(trade) for trade in trades]] for key, trades in self._kept.items()]
        return [ledgers, list(self._ways.items()), kept]

    def load(self, state: Any) -> None:
        """The opposite."""
        for number, owners in state[0]:
            self._ledgers[number] = {owner: list(one) for owner, *one in owners}
        self._ways = {number: list(way) for number, way in state[1]}
        self._kept = {(number, owner): deque((Trade(*one) for one in trades), TRADES_KEPT) for (number, owner), trades in state[2]}
