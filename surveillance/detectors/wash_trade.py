"""Wash trade: one owner is buyer and seller, so nothing changes hands. In auctions too, where self-match prevention does not act.

Securities Exchange Act 9(a)(1); FINRA 5210.02; MAR Annex I.A(c). Orders of one account that meet by chance are no wash trade, and without self-match
prevention they do meet. So a trade is reported if it is between two accounts of the owner, if both orders were entered together in one size and it is
not the first of this kind, or if the owner trades with itself again and again. Prevented attempts (SELF_MATCH_PREVENTION) trade nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.enums import Phase
from schemas.instruments import Instrument
from surveillance.contract import Detector, Finding, Measure, trade_evidence
from surveillance.market import Book, Market, Trade
from surveillance.orders import OrderTracker


@dataclass(frozen=True)
class WashTradeParameters:
    """When a trade with oneself is reported. Every bound is inclusive."""

    entered_within_ns: int = 2_000_000_000
    """Between the entries of two orders that were made for one another."""
    size_percent_max: int = 2
    """Difference of their sizes."""
    together_min: int = 2
    """Trades of such orders in a book and day: the second is no chance any more."""
    repeated_min: int = 5
    """Trades with itself, of any kind, in a book and day, from which on an owner does not meet itself by chance,"""
    share_percent_min: int = 25
    """if they are such a share of its trades since the first of them."""
    owners_max: int = 50_000
    """Owners who traded with themselves that are remembered; then the oldest is forgotten."""


class WashTradeDetector(Detector):
    """Trades of owners with themselves, by instrument, from one CLOSED phase to the next."""

    name: ClassVar[str] = "wash_trade"
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 9(a)(1)", "FINRA 5210.02", "MAR Annex I.A(c)", "(EU) 2016/522 Annex II 1.3(a)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: WashTradeParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or WashTradeParameters()
        self._own: dict[
            tuple[int, int], list[int]
        ] = {}  # (instrument, owner) -> [trades with itself, all since the first, entered together]

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """Both sides one owner?"""
        own = self._own
        if trade.owner != trade.contra_owner:
            if own:
                for owner in (trade.owner, trade.contra_owner):
                    known = own.get((trade.instrument, owner))
                    if known is not None:
                        known[1] += 1
            return ()
        key = (trade.instrument, trade.owner)
        counts = own.get(key)
        if counts is None:
            if len(own) >= self.parameters.owners_max:
                del own[next(iter(own))]
            counts = own[key] = [0, 0, 0]
        counts[0] += 1
        counts[1] += 1
        counts[2] += self._are_together(trade)
        why = self._why(trade, counts)
        return (self._finding(trade, why, counts[0]),) if why else ()

    def phase_changed(self, book: Book, before: int, now: int) -> Sequence[Finding]:
        """A day is over."""
        if book.phase == Phase.CLOSED:
            for key in [key for key in self._own if key[0] == book.instrument]:
                del self._own[key]
        return ()

    def _are_together(self, trade: Trade) -> bool:
        """Whether both orders were entered at about the same time, in one size."""
        rules: WashTradeParameters = self.parameters
        taker, maker = self.tracker.get(trade.order_id), self.tracker.get(trade.contra_order_id)
        if taker is None or maker is None or abs(taker.placed_at - maker.placed_at) > rules.entered_within_ns:
            return False
        smaller, larger = sorted((taker.order_qty, maker.order_qty))
        return (larger - smaller) * 100 <= larger * rules.size_percent_max

    def _why(self, trade: Trade, counts: list[int]) -> str:
        """Why it is no accident; empty if it may be one."""
        rules, (times, trades, together) = self.parameters, counts
        if trade.account != trade.contra_account:
            return "The two accounts have one owner."
        if together >= rules.together_min and self._are_together(trade):
            return f"Both orders were entered together, in one size, for the {together}. time today."
        if times >= rules.repeated_min and times * 100 >= trades * rules.share_percent_min:
            return f"It was trade {times} of the account with itself today, of {trades} since the first."
        return ""

    def _finding(self, trade: Trade, why: str, times: int) -> Finding:
        usual_qty = max(self.market.book(trade.instrument).trade_qty, 1)

        def steps(instrument: Instrument) -> tuple[str, ...]:
            who = (
                f"account {trade.account}"
                if trade.account == trade.contra_account
                else f"accounts {trade.account} and {trade.contra_account}"
            )
            where = "in an auction" if trade.uncross else "in continuous trading"
            return (
                f"Orders {trade.order_id} and {trade.contra_order_id} of {who}, one owner, traded {instrument.qty_text(trade.qty)} "
                f"{instrument.symbol} at {instrument.price_text(trade.price)} {where}.",
                why,
                "Buyer and seller are the same party, so no beneficial ownership changed: compare section 9(a)(1) of the Securities Exchange Act.",
            )

        return Finding(
            "WASH_TRADE", trade.instrument, trade.owner, trade.side, (trade.instrument, trade.owner, trade.trd_match_id),
            600 + min(300, trade.qty * 50 // usual_qty), trade.time, steps,
            (trade_evidence("TAKER", trade), trade_evidence("MAKER", trade, maker=True)),
            (Measure("trades with itself", times, 1),),
        )  # fmt: skip

    def state(self) -> Any:
        """Counts by owner."""
        return [[*key, *counts] for key, counts in self._own.items()]

    def load(self, state: Any) -> None:
        """The opposite."""
        self._own = {(instrument, owner): counts for instrument, owner, *counts in state}
