"""Facts of the second stage of surveillance, made by hand: what its tests, and those of its role, are told."""

import json
from collections.abc import Callable
from typing import Any

from schemas.codec import encode_record
from streams.research.labelled.world import instruments_of_both
from surveillance import Place
from surveillance.accounts.facts import (
    SCHEMAS,
    SUM_FIELDS,
    BookSums,
    PartySum,
    Record,
    Seen,
    check,
    identified,
    news_record,
    sign_in_record,
)
from surveillance.accounts.watch import AccountsWatch

INSTRUMENTS = instruments_of_both()
SECOND = 10**9
START = 1_800_000_000 * SECOND
HALF = 30 * SECOND
DOORS = "edge-0"
WHO, OTHER = 7, 8
PRICES = (18_000, 18_010, 18_004, 18_020, 18_012, 18_030, 18_022, 18_040, 18_030, 18_050, 18_041, 18_060)
"""At the ends of half minutes; both books."""


def seen(role: str, order_id: int, side: int = 1, qty: int = 100) -> Seen:
    """An order at row `order_id` of its shard."""
    return Seen(role, order_id, side, 18_000, qty, 0, START, START + SECOND, WHO, 0, order_id, order_id)


def traded(at: int, bought: int = 0, sold: int = 0, **given: Any) -> PartySum:
    """A party's half minute in which it traded at 18,000, from 20 s before its end."""
    values = dict.fromkeys(SUM_FIELDS, 0) | {
        "owner": WHO, "bought": bought, "sold": sold, "bought_cost": bought * 18_000, "sold_cost": sold * 18_000, "taken": bought + sold,
        **{f"{what}_{end}": at - ago * SECOND for what in ("traded", "bought", "sold") for end, ago in (("from", 20), ("until", 15))},
    }  # fmt: skip
    return PartySum(**(values | given), seen=(seen("TAKER", at // HALF % 1_000 + 1),))


def shown(at: int, buy: int, **given: Any) -> PartySum:
    """A party's half minute in which it showed so many lots to buy, and took them back."""
    return traded(at, shown_buy=buy, buy_from=at - 22 * SECOND, buy_until=at - 14 * SECOND, **given)


class Facts:
    """Facts by hand. Books 1 and 2 are in book shards 1 and 2; both have a half minute each time."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def half(self, number: int, *sums: tuple[int, PartySum], middle: Callable[[int, int], int] | None = None) -> None:
        """The half minute `number` of both books, with (instrument, what a party did). middle: by book and number."""
        at = START + (number + 1) * HALF
        for instrument in (1, 2):
            price = middle(instrument, number) if middle else PRICES[number % len(PRICES)]
            mine = tuple(one for book, one in sums if book == instrument)
            for index, record in enumerate(BookSums(at, instrument, price, 100, 1_000, mine).records()):
                self.records.append(identified(record, f"executions/{instrument}", number, index))

    def door(self, record: Record) -> None:
        """A sign-in or news."""
        self.records.append(record)

    def alerts(self, watch: AccountsWatch | None = None) -> list[dict[str, Any]]:
        """What the second stage says, all revisions. Through text, so that nothing but plain records counts."""
        watch = watch or AccountsWatch(INSTRUMENTS)
        found = []
        for number, record in enumerate(self.records):
            read = json.loads(json.dumps(record))
            check(read, set(INSTRUMENTS.by_number))
            found += watch.apply(read, Place("party.facts", 0, number))
        return found


def at(number: int) -> int:
    """The end of a half minute, ns."""
    return START + (number + 1) * HALF


def cross_book(shown_buy: int = 1_000, sold: int = 200, bought: int = 0, *, turns: int = 2, **given: Any) -> Facts:
    """Ten half minutes of both books, then showing in book 1 and selling in book 2. given: of what is traded there."""
    facts = Facts()
    for number in range(10):
        facts.half(number)
    for number in range(10, 10 + turns):
        facts.half(number, (1, shown(at(number), shown_buy)), (2, traded(at(number), bought, sold, **given)))
    return facts


def takeover(
    lots: int = 400, other_qty: int = 300, other_traded: int = 300, place: str = "elsewhere", usual: int = 20, paid: int = 2
) -> Facts:
    """An account that buys `usual` lots in each half minute; then it is opened from somewhere and buys `lots`. paid: beyond the middle, half ticks."""
    facts = Facts()
    facts.door(sign_in_record(DOORS, START, WHO, "home", "the trading page"))
    for number in range(6):
        facts.half(number, (1, traded(at(number), usual)))
    facts.door(sign_in_record(DOORS, at(5) + SECOND, WHO, place, "the trading page"))
    for number in range(6, 9):
        one = traded(at(number), lots, other=OTHER, other_qty=other_qty, other_traded=other_traded, paid=lots * paid)
        facts.half(number, (1, one))
    return facts


def ahead(lots: int = 300, usual: int = 0, side: str = "bought", reaction: int = 60, news_in: int = 1) -> Facts:
    """Twenty quiet half minutes, four of build-up, news, and prices that are `reaction` ticks higher from then on."""
    facts = Facts()

    def middle(_: int, number: int) -> int:
        return 18_000 + number % 2 * 2 + (reaction if number >= 24 else 0)

    for number in range(20):
        facts.half(number, *([(1, traded(at(number), usual))] if usual else []), middle=middle)
    for number in range(20, 24):
        facts.half(number, (1, traded(at(number), **{side: lots})), middle=middle)
    facts.door(news_record(DOORS, at(23) + SECOND, news_in, "A takeover bid"))
    for number in range(24, 30):
        facts.half(number, middle=middle)
    return facts


def stored(fact: Record) -> bytes:
    """As its writer puts it into party.facts."""
    schema = next(name for name, kind in SCHEMAS.items() if kind == fact["kind"])
    return encode_record(schema, {**fact, "door": fact["what"], "headline": fact["what"], "created_at": fact["at"]})
