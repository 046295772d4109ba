"""Words of orders in requests and answers, and which number stands for each.

Alpaca's clients have closed lists: an unknown word in an answer breaks them. So an answer says the nearest of Alpaca's words in `type` and
`time_in_force`, and ours in `ord_type` and `expires_at`.
"""

from typing import Final

from edge.gateway.accounts.view import OrderEvent
from schemas.enums import ContingencyType, OrdStatus, OrdType, PegPriceType, SelfMatchPrevention, Side, TimeInForce
from schemas.field_rules import types_with

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
ORDER_TYPES: Final = {
    "market": OrdType.MARKET,
    "limit": OrdType.LIMIT,
    "stop": OrdType.STOP,
    "stop_limit": OrdType.STOP_LIMIT,
    "trailing_stop": OrdType.TRAILING_STOP,
    # ours
    "market_to_limit": OrdType.MARKET_TO_LIMIT,
    "pegged": OrdType.PEGGED,
    "trailing_stop_limit": OrdType.TRAILING_STOP_LIMIT,
}
TIMES_IN_FORCE: Final = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "opg": TimeInForce.OPG,
    "cls": TimeInForce.CLS,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
    "gtd": TimeInForce.GTD,  # ours
}
ORDER_CLASSES: Final = {
    "simple": ContingencyType.NONE,
    "oco": ContingencyType.OCO,
    "oto": ContingencyType.OTO,
    "bracket": ContingencyType.BRACKET,
}
PEG_PRICE_TYPES: Final = {one.name.lower(): one for one in PegPriceType}
SELF_MATCH_PREVENTIONS: Final = {one.name.lower(): one for one in SelfMatchPrevention}

SIDE_TEXT: Final = {int(v): k for k, v in SIDES.items()}
ORD_TYPE_TEXT: Final = {int(v): k for k, v in ORDER_TYPES.items()}
PEG_TEXT: Final = {int(v): k for k, v in PEG_PRICE_TYPES.items()}
TYPE_TEXT: Final = ORD_TYPE_TEXT | {
    int(OrdType.MARKET_TO_LIMIT): "market",
    int(OrdType.PEGGED): "limit",
    int(OrdType.TRAILING_STOP_LIMIT): "trailing_stop",
}
TIME_IN_FORCE_TEXT: Final = {int(v): k for k, v in TIMES_IN_FORCE.items()} | {int(TimeInForce.GTD): "gtc"}
CLASS_TEXT: Final = {int(v): k for k, v in ORDER_CLASSES.items()} | {int(ContingencyType.NONE): ""}
STATUS_TEXT: Final = {
    int(OrdStatus.NEW): "new",
    int(OrdStatus.PARTIALLY_FILLED): "partially_filled",
    int(OrdStatus.FILLED): "filled",
    int(OrdStatus.CANCELED): "canceled",
    int(OrdStatus.PENDING_CANCEL): "pending_cancel",
    int(OrdStatus.REJECTED): "rejected",
    int(OrdStatus.EXPIRED): "expired",
    int(OrdStatus.PENDING_REPLACE): "pending_replace",
}
EVENT_TEXT: Final = {
    OrderEvent.NEW: "new",
    OrderEvent.HELD: "held",
    OrderEvent.PARTIAL_FILL: "partial_fill",
    OrderEvent.FILL: "fill",
    OrderEvent.CANCELED: "canceled",
    OrderEvent.EXPIRED: "expired",
    OrderEvent.REJECTED: "rejected",
    OrderEvent.PENDING_CANCEL: "pending_cancel",
    OrderEvent.CANCEL_REJECTED: "order_cancel_rejected",
    OrderEvent.PENDING_REPLACE: "pending_replace",
    OrderEvent.REPLACED: "replaced",
    OrderEvent.REPLACE_REJECTED: "order_replace_rejected",
    OrderEvent.RESTATED: "restated",
    OrderEvent.TRIGGERED: "triggered",
    OrderEvent.TRADE_BUSTED: "trade_bust",
}
"""Events of the trade_updates stream."""
HELD: Final = "held"
"""Status of an open order that waits for the first one of its list."""
ACCEPTED: Final = "accepted"
"""Status, in the answer to a new order, of one of which its book may not have said the last word."""
TRAILING: Final = types_with("offset") - types_with("peg_price_type")
"""Types whose offset is not added to a peg: clients call it a trail."""
PEGS: Final = types_with("offset") & types_with("peg_price_type")
