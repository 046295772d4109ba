"""The trading page's order ticket: every type of order, time in force and list with what it means and which fields it has.

Which fields go with what is read from schemas.field_rules, so the ticket offers what the exchange takes. The sentences are here.
"""

from typing import Any, Final

from schemas.enums import ContingencyType, OffsetType, OrdType, TimeInForce
from schemas.field_rules import TIME_RULES, TYPE_RULES, WORKING, TypeRule, Use

TYPES: Final[dict[OrdType, tuple[str, str, str]]] = {
    OrdType.LIMIT: ("limit", "Limit", "Trades at your price or a better one. What does not trade waits in the book."),
    OrdType.MARKET: ("market", "Market", "Trades at once at the best prices there are, within a protection price. It never waits in the book."),
    OrdType.STOP: ("stop", "Stop", "Sleeps until the last price reaches your stop, then is a market order. Often used to limit a loss."),
    OrdType.STOP_LIMIT: ("stop_limit", "Stop limit", "Sleeps until the last price reaches your stop, then is a limit order at your limit."),
    OrdType.TRAILING_STOP: (
        "trailing_stop", "Trailing stop", "A stop that follows the price at your distance when it moves your way, and stays when it turns. Then a market order.",
    ),
    OrdType.TRAILING_STOP_LIMIT: (
        "trailing_stop_limit", "Trailing stop limit", "A trailing stop that becomes a limit order, whose limit is so far from the stop as you say.",
    ),
    OrdType.MARKET_TO_LIMIT: (
        "market_to_limit", "Market to limit", "Trades at the best price of the other side. What is left waits in the book at that price.",
    ),
    OrdType.PEGGED: (
        "pegged", "Pegged", "Follows the best bid, the best ask or the middle at your distance, as the book moves. Never beyond your limit, if you give one.",
    ),
}  # fmt: skip
"""Word in requests, title, meaning. In the order of the ticket's list."""
TIMES: Final[dict[TimeInForce, tuple[str, str, str]]] = {
    TimeInForce.DAY: ("day", "Day", "Until the end of today's session."),
    TimeInForce.GTC: ("gtc", "Good till canceled", "Over the end of the day, until you cancel it."),
    TimeInForce.GTD: ("gtd", "Good till date", "Until the moment that you give."),
    TimeInForce.IOC: ("ioc", "Immediate or cancel", "What can trade now trades; the rest is canceled."),
    TimeInForce.FOK: ("fok", "Fill or kill", "All of it trades now, or none of it."),
    TimeInForce.OPG: ("opg", "At the opening", "Only in the opening auction."),
    TimeInForce.CLS: ("cls", "At the close", "Only in the closing auction."),
}
CLASSES: Final[dict[ContingencyType, tuple[str, str, str]]] = {
    ContingencyType.NONE: ("simple", "One order", "This order alone."),
    ContingencyType.OCO: ("oco", "One cancels the other", "A limit order and a stop: as soon as one trades, the other is canceled."),
    ContingencyType.OTO: (
        "oto",
        "One triggers the other",
        "When this order has traded, a closing order is sent: a profit or a loss limit.",
    ),
    ContingencyType.BRACKET: (
        "bracket",
        "Bracket",
        "When this order has traded, a profit limit and a loss stop are sent; one cancels the other.",
    ),
}


def order_forms() -> dict[str, Any]:
    """What the page draws the ticket from."""
    return {
        "types": [_type(ord_type, *words) for ord_type, words in TYPES.items()],
        "times": [_time(time_in_force, *words) for time_in_force, words in TIMES.items()],
        "classes": [
            {"word": word, "title": title, "meaning": meaning, "types": _types_of(contingency)}
            for contingency, (word, title, meaning) in CLASSES.items()
        ],
    }


def _type(ord_type: OrdType, word: str, title: str, meaning: str) -> dict[str, Any]:
    rule = TYPE_RULES[ord_type]
    times = [TIMES[time][0] for time in TIMES if time in rule.times]
    return {"word": word, "title": title, "meaning": meaning, "times": times, "fields": _fields(rule)}


def _fields(rule: TypeRule) -> dict[str, bool]:
    """Whether each field that it has must be there. Of the two units of a trail one must."""
    price = "limit_offset" if rule.price_is_distance else "limit_price"
    trail = "peg_offset" if rule.peg_price_type else "trail"
    uses = {
        price: rule.price, "stop_price": rule.stop_px, "peg_price_type": rule.peg_price_type, trail: rule.offset, "display_qty": rule.display,
        "hidden": rule.display, "post_only": rule.post_only, "min_qty": rule.min_qty,
    }  # fmt: skip
    assert trail == "peg_offset" or rule.offset == Use.NO or len(rule.offsets) == len(OffsetType)
    return {name: use == Use.MUST for name, use in uses.items() if use != Use.NO}


def _time(time_in_force: TimeInForce, word: str, title: str, meaning: str) -> dict[str, Any]:
    rule = TIME_RULES[time_in_force]
    without = [
        name
        for name, use in (("display_qty", rule.display), ("hidden", rule.display), ("post_only", rule.post_only), ("min_qty", rule.min_qty))
        if use == Use.NO
    ]
    return {
        "word": word,
        "title": title,
        "meaning": meaning,
        "expires": rule.expire_time == Use.MUST,
        "without": without,
        "in_lists": time_in_force in WORKING,
    }


def _types_of(contingency: ContingencyType) -> list[str]:
    """The first order of an OCO is the limit order of the pair."""
    return [TYPES[OrdType.LIMIT][0]] if contingency == ContingencyType.OCO else [word for word, _, _ in TYPES.values()]
