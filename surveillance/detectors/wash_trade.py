"""Wash trade: one owner is buyer and seller, so nothing changes hands. In auctions too, where self-match prevention does not act.

Securities Exchange Act 9(a)(1); FINRA 5210.02; MAR Annex I.A(c). Prevented attempts (SELF_MATCH_PREVENTION) trade nothing and are no finding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from schemas.instruments import Instrument
from surveillance.contract import Detector, Finding, Measure, trade_evidence
from surveillance.market import Market, Trade
from surveillance.orders import OrderTracker


@dataclass(frozen=True)
class WashTradeParameters:
    """When a trade with oneself is reported."""

    qty_min: int = 1
    """Lots."""


class WashTradeDetector(Detector):
    """Trades of an owner with itself. It keeps no state."""

    name: ClassVar[str] = "wash_trade"
    rule_refs: ClassVar[tuple[str, ...]] = ("SEA 9(a)(1)", "FINRA 5210.02", "MAR Annex I.A(c)", "(EU) 2016/522 Annex II 1.3(a)")

    def __init__(self, tracker: OrderTracker, market: Market, parameters: WashTradeParameters | None = None) -> None:
        super().__init__(tracker, market)
        self.parameters = parameters or WashTradeParameters()

    def traded(self, trade: Trade) -> Sequence[Finding]:
        """Both sides one owner?"""
        if trade.owner != trade.contra_owner or trade.qty < self.parameters.qty_min:
            return ()
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
                "Buyer and seller are the same party, so no beneficial ownership changed: compare section 9(a)(1) of the Securities Exchange Act.",
            )

        return (
            Finding(
                "WASH_TRADE", trade.instrument, trade.owner, trade.side, (trade.instrument, trade.owner, trade.trd_match_id),
                600 + min(300, trade.qty * 50 // usual_qty), trade.time, steps,
                (trade_evidence("TAKER", trade), trade_evidence("MAKER", trade, maker=True)),
                (Measure("quantity with itself", trade.qty, self.parameters.qty_min, "lots"),),
            ),
        )  # fmt: skip
