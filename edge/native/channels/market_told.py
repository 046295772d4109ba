"""Prices as clients read them. No I/O."""

from typing import Any, assert_never

from edge.gateway.market.events import (
    Auction,
    Bands,
    Bar,
    BookLevels,
    MarketEvent,
    Quote,
    Status,
    Trade,
    TradeBust,
)
from edge.native.orders.told import SIDE_TEXT
from schemas.reject_reasons import SENTENCES


def kind_of(event: MarketEvent) -> str:
    """The kind of channel that tells the event; "" for what no channel tells: bars whose numbers are not the log's."""
    match event:
        case Trade():
            return "trades"
        case TradeBust():
            return "busts"
        case Quote():
            return "quotes"
        case Bar():
            return "bars" if type(event) is Bar else ""
        case Status():
            return "status"
        case Auction():
            return "auction"
        case Bands():
            return "bands"
        case BookLevels():
            return "book"
        case _:
            assert_never(event)


def fields_of(event: MarketEvent) -> dict[str, Any]:
    """What it says, without its place in a channel. A book is not told so."""
    one = event.instrument
    price, qty = one.price_text, one.qty_text
    told: dict[str, Any] = {"ts": event.at // 1_000}
    match event:
        case Trade():
            told |= {"trd_match_id": str(event.trd_match_id), "last_px": price(event.price), "last_qty": qty(event.qty)}
            told |= {"side": SIDE_TEXT[event.taker], "phase": event.phase.name.lower()}
        case TradeBust():
            told |= {"trd_match_id": str(event.trd_match_id), "last_px": price(event.price), "last_qty": qty(event.qty)}
            told |= {"reason": event.reason.name}
        case Quote():
            told |= {
                "bid_px": price(event.bid_px),
                "bid_qty": qty(event.bid_qty),
                "ask_px": price(event.ask_px),
                "ask_qty": qty(event.ask_qty),
            }
            told |= {"firm": event.is_firm}
        case Bar():
            told |= {"open_px": price(event.open_px), "high_px": price(event.high_px), "low_px": price(event.low_px)}
            told |= {"close_px": price(event.close_px), "qty": qty(event.qty), "trades": event.trades}
        case Status():
            told |= {"phase": event.phase.name.lower()}
            if event.reason:
                told |= {"reason": event.reason.name, "reason_text": SENTENCES[event.reason]}
        case Auction():
            told |= {
                "price": price(event.price),
                "qty": qty(event.qty),
                "imbalance_qty": qty(event.imbalance_qty),
                "side": SIDE_TEXT[event.side],
            }
        case Bands():
            told |= {"low_px": price(event.low_px), "high_px": price(event.high_px), "update": event.update.name.lower()}
        case BookLevels():
            raise AssertionError("books are told by edge.native.channels.books")
        case _:
            assert_never(event)
    return told
