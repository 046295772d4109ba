"""The words of CAT for our enumerations. Every table is total: a test asks for each member. No I/O."""

from enum import StrEnum
from typing import Final

from schemas.enums import OrdType, PegPriceType, Side
from schemas.reject_reasons import Reason


class EventType(StrEnum):
    """Events that an exchange reports and that happen here.

    Nothing is routed away, so EOR, EIR, EOF, ECR and EMR do not; trades are undone and not corrected, so ETC does not.
    """

    ACCEPTED = "EOA"
    MODIFIED = "EOM"
    ADJUSTED = "EOJ"
    CANCELED = "EOC"
    TRADE = "EOT"
    BULK_PRINT = "EBP"
    RESTATED = "EORS"
    TRADE_BROKEN = "ETB"


class ActionType(StrEnum):
    """What a record does."""

    NEW = "NEW"
    REPAIR = "RPR"
    """In the place of a record that was rejected."""
    CORRECT = "COR"
    """Changes an accepted one."""
    DELETE = "DEL"
    """Takes an accepted one back."""


class Initiator(StrEnum):
    """Who wanted a change."""

    FIRM = "Firm"
    EXCHANGE = "Exchange"
    MARKET_MAKER = "MarketMaker"


class Liquidity(StrEnum):
    """Which part an order had in a trade outside of auctions."""

    ADDED = "Added"
    REMOVED = "Removed"


BUY: Final = "B"
SELL_LONG: Final = "SL"
SELL_SHORT: Final = "SS"
SIDES: Final = {Side.BUY: BUY, Side.SELL: SELL_LONG}
"""Of sales of shares; a short sale is SELL_SHORT."""

MARKET: Final = "MKT"
LIMIT: Final = "LMT"
ORDER_TYPES: Final[dict[int, str]] = {
    OrdType.MARKET: MARKET, OrdType.LIMIT: LIMIT, OrdType.STOP: MARKET, OrdType.STOP_LIMIT: LIMIT, OrdType.MARKET_TO_LIMIT: MARKET,
    OrdType.PEGGED: MARKET, OrdType.TRAILING_STOP: MARKET, OrdType.TRAILING_STOP_LIMIT: MARKET,
}  # fmt: skip
"""A peg with a limit is LMT. A trailing stop has its limit only once it is elected, and is LMT from then on."""

PEGS: Final[dict[int, str]] = {PegPriceType.MIDPOINT: "PEGMID", PegPriceType.MARKET: "PEGMKT", PegPriceType.PRIMARY: "PEGPRM"}

POST_ONLY, SLIDE, HIDDEN, STOP, TRAIL, TRAIL_POINTS, TO_LIMIT, RESERVE, LINKED = (
    "ALO",
    "SLD",
    "HID",
    "STP",
    "TRL",
    "TRLBP",
    "MTL",
    "RSV",
    "LNK",
)
INSTRUCTIONS: Final = (POST_ONLY, SLIDE, HIDDEN, STOP, TRAIL, TRAIL_POINTS, TO_LIMIT, RESERVE, LINKED, *PEGS.values())
"""Of handlingInstructions: post-only, and sliding; hidden; stop price; distance of a trailing stop (price, or basis points); market-to-limit; an iceberg's
size as asked; one of a list; pegs with their offset."""

TIMES_IN_FORCE: Final = ("DAY", "GTC", "OPG", "IOC", "FOK", "GTT", "CLS")
"""Of timeInForce. DAY has the day, GTT the time at which it ends, the others true."""

CANCEL_REASONS: Final[dict[int, str]] = {
    Reason.REQUESTED_BY_CUSTOMER: "REQ", Reason.REPLACED_TO_NOTHING: "REQ", Reason.MASS_CANCEL: "ALL", Reason.IMMEDIATE_OR_CANCEL: "IOC",
    Reason.FILL_OR_KILL: "FOK", Reason.END_OF_DAY: "EXP", Reason.EXPIRE_TIME_REACHED: "EXP", Reason.NOT_FILLED_IN_AUCTION: "AUC",
    Reason.NO_LIQUIDITY: "LIQ", Reason.PROTECTION_PRICE: "PRC", Reason.PRICE_OUTSIDE_COLLAR: "PRC", Reason.MIN_QTY_NOT_AVAILABLE: "MIN",
    Reason.POST_ONLY_WOULD_TAKE: "ALO", Reason.SELF_MATCH_PREVENTION: "SMP", Reason.LINKED_ORDER: "LNK", Reason.PRIMARY_NOT_FILLED: "LNK",
    Reason.NOT_IN_THIS_PHASE: "PHS",
}  # fmt: skip
OTHER_REASON: Final = "OTH"
BY_CUSTOMER: Final = (Reason.REQUESTED_BY_CUSTOMER, Reason.REPLACED_TO_NOTHING)

NOT_ADJUSTED: Final = (Reason.START_OF_DAY, Reason.ICEBERG_REPLENISHED, Reason.PEG_PARKED)
"""Reasons of restatements that are no EOJ: EORS says the first; the others change neither price nor quantity of the order."""
