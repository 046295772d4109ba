"""Which fields an order has, by its type and its time in force: the one table that everybody who judges an order derives from.

The edge and the producer library look here for what they must ask of a customer; the readable rules (matchers.rules.order_rules) walk these tables, the
compiled ones (matchers.compiled.order_checks) have them as constants. What a field means is in docs/rules.md, section 3. A field that an order does not
have is 0 in its row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from schemas.enums import ContingencyType, OffsetType, OrdType, TimeInForce
from schemas.limits import OFFSET_BASIS_POINTS_MAX, OFFSET_TICKS_MAX


class Use(IntEnum):
    """Whether an order has a field."""

    NO = 0
    MAY = 1
    MUST = 2


WORKING: Final = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD})
"""Times in force of orders that may rest; a replace changes only among these."""
IMMEDIATE: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})
AUCTION_ONLY: Final = frozenset({TimeInForce.OPG, TimeInForce.CLS})

_STOP_TIMES: Final = WORKING | IMMEDIATE  # IOC and FOK are judged at election
_SIGNED: Final = {OffsetType.TICKS: (-OFFSET_TICKS_MAX, OFFSET_TICKS_MAX)}
_DISTANCE: Final = {OffsetType.TICKS: (1, OFFSET_TICKS_MAX), OffsetType.BASIS_POINTS: (1, OFFSET_BASIS_POINTS_MAX)}


@dataclass(frozen=True, slots=True)
class TypeRule:
    """The fields of an order of one type, as its customer says them."""

    times: frozenset[TimeInForce]
    """The times in force that go with it."""
    price: Use = Use.NO
    """In ticks. Where it is NO, the book gets a protection price instead."""
    price_is_distance: bool = False
    """The price is how far the limit will be from the stop."""
    stop_px: Use = Use.NO
    """In ticks. MAY: without one it begins at the last price."""
    peg_price_type: Use = Use.NO
    offsets: dict[OffsetType, tuple[int, int]] = field(default_factory=dict)
    """Smallest and largest `offset` in each unit that it may have. Without 0 among them it must have one; a negative one is added, others are distances."""
    display: Use = Use.NO
    """Whether it can rest under a price, so that display_qty and HIDDEN mean something. This and the next two are never MUST."""
    post_only: Use = Use.NO
    min_qty: Use = Use.MAY

    @property
    def offset(self) -> Use:
        """Whether it has an offset."""
        if not self.offsets:
            return Use.NO
        return Use.MAY if any(least <= 0 <= most for least, most in self.offsets.values()) else Use.MUST


@dataclass(frozen=True, slots=True)
class TimeRule:
    """The fields that go with a time in force."""

    expire_time: Use = Use.NO
    display: Use = Use.NO
    post_only: Use = Use.NO
    min_qty: Use = Use.NO


NO, MAY, MUST = Use.NO, Use.MAY, Use.MUST

TYPE_RULES: Final[dict[OrdType, TypeRule]] = {
    # DAY, but it never rests, so there is nothing to carry over
    OrdType.MARKET: TypeRule(times=frozenset({TimeInForce.DAY}) | IMMEDIATE | AUCTION_ONLY),
    OrdType.LIMIT: TypeRule(times=frozenset(TimeInForce), price=MUST, display=MAY, post_only=MAY),
    OrdType.STOP: TypeRule(times=_STOP_TIMES, stop_px=MUST),
    OrdType.STOP_LIMIT: TypeRule(times=_STOP_TIMES, price=MUST, stop_px=MUST, display=MAY, post_only=MAY),
    OrdType.MARKET_TO_LIMIT: TypeRule(times=WORKING | IMMEDIATE, display=MAY),
    OrdType.PEGGED: TypeRule(times=WORKING, price=MAY, peg_price_type=MUST, offsets=_SIGNED, display=MAY, post_only=MAY, min_qty=NO),
    OrdType.TRAILING_STOP: TypeRule(times=_STOP_TIMES, stop_px=MAY, offsets=_DISTANCE),
    OrdType.TRAILING_STOP_LIMIT: TypeRule(
        times=_STOP_TIMES, price=MAY, price_is_distance=True, stop_px=MAY, offsets=_DISTANCE, display=MAY, post_only=MAY
    ),
}
TIME_RULES: Final[dict[TimeInForce, TimeRule]] = {
    TimeInForce.DAY: TimeRule(display=MAY, post_only=MAY, min_qty=MAY),
    TimeInForce.GTC: TimeRule(display=MAY, post_only=MAY, min_qty=MAY),
    TimeInForce.GTD: TimeRule(expire_time=MUST, display=MAY, post_only=MAY, min_qty=MAY),
    TimeInForce.IOC: TimeRule(min_qty=MAY),
    TimeInForce.FOK: TimeRule(min_qty=MAY),
    TimeInForce.OPG: TimeRule(display=MAY),
    TimeInForce.CLS: TimeRule(display=MAY),
}
"""What type and time in force both have a say in (display, post_only, min_qty), an order may have only if neither says NO. Post-only orders have no min_qty,
hidden ones no display_qty."""

LIST_ROWS: Final[dict[ContingencyType, int]] = {ContingencyType.OCO: 2, ContingencyType.OTO: 2, ContingencyType.BRACKET: 3}
"""How many orders, which are consecutive rows of one frame, each kind of list has."""
LIST_ROWS_MAX: Final = max(LIST_ROWS.values())


def types_with(name: str, uses: Iterable[Use] = (MAY, MUST)) -> frozenset[OrdType]:
    """The types for which the field of this name (of TypeRule) is so; they have it, unless `uses` says otherwise."""
    wanted = set(uses)
    return frozenset(ord_type for ord_type, rule in TYPE_RULES.items() if getattr(rule, name) in wanted)


def times_with(name: str, uses: Iterable[Use] = (MAY, MUST)) -> frozenset[TimeInForce]:
    """The same of times in force, and TimeRule."""
    wanted = set(uses)
    return frozenset(time for time, rule in TIME_RULES.items() if getattr(rule, name) in wanted)


def can_rest(ord_type: OrdType, time_in_force: TimeInForce) -> bool:
    """Whether such an order can rest under a price, so that display_qty and HIDDEN mean something."""
    return bool(TYPE_RULES[ord_type].display and TIME_RULES[time_in_force].display)
