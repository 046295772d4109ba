"""What the second stage goes by: half minutes of a book, sign-ins, news. Plain records, to be carried by a topic. Prices ticks, quantities lots, times ns.

A record has `source`, `source_offset` and `source_index` (the input that it was made of, by which a second copy is told; of a BOOK), `kind`, `at` (log
time; of a BOOK its end), `instrument` (of a BOOK and of NEWS), `middle`, `level_qty`, `taken` and `sums` (of a BOOK: its price between the best two, what
usually stands at the best, what takers traded, its parties), `account` and `place` (of a SIGN_IN: a digest of address and program) and `what` (which door,
or the headline). In the topic each kind has a schema of its own, because others write it: SCHEMAS.
"""

import re
from typing import Any, Final, NamedTuple

from schemas.codec import BAD_COLUMN, BadBytes
from surveillance.contract import Evidence

BOOK, SIGN_IN, NEWS = "BOOK", "SIGN_IN", "NEWS"
KINDS: Final = (BOOK, SIGN_IN, NEWS)
SCHEMAS: Final = {"book_sums": BOOK, "sign_in": SIGN_IN, "news": NEWS}
"""Kind by the schema of its records."""
HEADLINE_MAX: Final = 500
"""Characters."""
TEXT_MAX: Final = 100
"""Characters of a place, and of the name of a door."""
SUMS_MAX: Final = 2_000
"""Parties in one record, ~400 B each; a book with more has several."""
EVIDENCE_MAX: Final = 4
_SHARD: Final = re.compile(r"[a-z.]+/[0-9]+", re.ASCII)
_NOTHING: Final = {
    "source_offset": 0, "source_index": 0, "instrument": 0, "middle": 0, "level_qty": 0, "taken": 0, "account": 0, "place": "", "what": "",
}  # fmt: skip
Record = dict[str, Any]


class Seen(NamedTuple):
    """An order or trade of a party. `role`: TAKER, MAKER, or SHOWN for an order that was shown and taken back."""

    role: str
    order_id: int
    side: int
    price: int
    qty: int
    traded_qty: int
    placed_at: int
    ended_at: int
    account: int
    trd_match_id: int
    seq: int
    offset: int

    def evidence(self, place: str, instrument: int) -> Evidence:
        """For an alert. place: topic/partition of the row."""
        return Evidence(*self, place, instrument)


class PartySum(NamedTuple):
    """What a party did in one instrument in half a minute. The last five come from the record around it.

    paid: as the taker beyond the middle of the best two prices, half ticks x lots. traded_from, traded_until: its first and last trade; bought_from to
    sold_until: the same by side.

    other: the party with which it traded most as the taker, other_qty: lots taken from it, other_traded: what that one traded with anybody. shown_buy: lots
    to buy that it had in the book at once when it canceled one of them, hardly filled and with little to sell meanwhile; buy_from, buy_until: life of that
    order. The same to sell.
    """

    owner: int
    bought: int
    sold: int
    bought_cost: int
    sold_cost: int
    taken: int
    traded_from: int
    traded_until: int
    other: int
    other_qty: int
    other_traded: int
    shown_buy: int
    buy_from: int
    buy_until: int
    shown_sell: int
    sell_from: int
    sell_until: int
    paid: int = 0
    bought_from: int = 0
    bought_until: int = 0
    sold_from: int = 0
    sold_until: int = 0
    seen: tuple[Seen, ...] = ()
    instrument: int = 0
    end_at: int = 0
    middle: int = 0
    level_qty: int = 0
    place: str = ""

    @property
    def traded(self) -> int:
        """Lots, both ways."""
        return self.bought + self.sold

    def shown(self, side: int) -> tuple[int, int, int]:
        """(lots, from, until) of a side: 1 buy, 2 sell."""
        return (self.shown_buy, self.buy_from, self.buy_until) if side == 1 else (self.shown_sell, self.sell_from, self.sell_until)

    def traded_on(self, side: int) -> tuple[int, int, int]:
        """(lots, from, until) of its trades on a side."""
        return (self.bought, self.bought_from, self.bought_until) if side == 1 else (self.sold, self.sold_from, self.sold_until)

    def evidence(self) -> tuple[Evidence, ...]:
        """Its orders and trades, for an alert."""
        return tuple(one.evidence(self.place, self.instrument) for one in self.seen)


SUM_FIELDS: Final = PartySum._fields[: PartySum._fields.index("seen")]


class BookSums(NamedTuple):
    """Half a minute of a book that is over: its end (ns), what stood and traded in it, and its parties by ascending number."""

    at: int
    instrument: int
    middle: int
    level_qty: int
    taken: int
    sums: tuple[PartySum, ...]

    def records(self) -> list[Record]:
        """Without their identity. At least one: the price of a book counts without parties too."""
        head = _NOTHING | {
            "kind": BOOK, "at": self.at, "instrument": self.instrument, "middle": self.middle, "level_qty": self.level_qty, "taken": self.taken,
        }  # fmt: skip
        sums = self.sums
        return [
            {**head, "sums": [sum_record(one) for one in sums[start : start + SUMS_MAX]]} for start in range(0, max(len(sums), 1), SUMS_MAX)
        ]


def sum_record(one: PartySum) -> Record:
    """As a part of a record."""
    record: Record = dict(zip(SUM_FIELDS, one, strict=False))  # the fields behind are of the record around it
    record["evidence"] = [dict(zip(Seen._fields, seen, strict=True)) for seen in one.seen]
    return record


def sums_of(record: Record) -> list[PartySum]:
    """The parties of a BOOK."""
    around = (record["instrument"], record["at"], record["middle"], record["level_qty"], record["source"])
    return [
        PartySum._make((*(one[name] for name in SUM_FIELDS), tuple(Seen(**seen) for seen in one["evidence"]), *around))
        for one in record["sums"]
    ]


def check(record: Record, instruments: set[int]) -> None:
    """Raises BadBytes for a record that no program of the exchange makes."""
    why = _wrong(record, instruments)
    if why:
        raise BadBytes(BAD_COLUMN, f"fact of {record['source'][:80]!r}: {why}")


def _wrong(record: Record, instruments: set[int]) -> str:
    kind = record["kind"]
    if kind not in KINDS:
        return f"kind {kind[:80]!r} is none of {', '.join(KINDS)}"
    if record["at"] <= 0:
        return f"at is {record['at']}, which is no time"
    if (kind == SIGN_IN) == (record["instrument"] in instruments):
        return f"a {kind} of instrument {record['instrument']}"
    if (kind == BOOK) != (_SHARD.fullmatch(record["source"]) is not None):
        return f"a {kind} is not of this source"
    if len(record["sums"]) > SUMS_MAX or (record["sums"] and kind != BOOK):
        return f"a {kind} of {len(record['sums'])} parties; at most {SUMS_MAX}, and of a BOOK"
    if kind == SIGN_IN and (record["account"] <= 0 or not record["place"]):
        return "a SIGN_IN without an account or a place"
    if len(record["place"]) > TEXT_MAX or len(record["what"]) > (HEADLINE_MAX if kind == NEWS else TEXT_MAX):
        return "a text is too long"
    numbers = [one[name] for one in record["sums"] for name in SUM_FIELDS]
    if any(number < 0 for number in numbers):
        return "a number of a sum is below zero"
    for one in record["sums"]:
        if len(one["evidence"]) > EVIDENCE_MAX or any(seen["side"] not in (1, 2) for seen in one["evidence"]):
            return f"the evidence of party {one['owner']}: at most {EVIDENCE_MAX} orders, each of side 1 or 2"
    return ""


def sign_in_record(source: str, at: int, account: int, place: str, door: str) -> Record:
    """A sign-in."""
    return _NOTHING | {"source": source, "sums": [], "kind": SIGN_IN, "at": at, "account": account, "place": place, "what": door}


def news_record(source: str, at: int, instrument: int, headline: str) -> Record:
    """News."""
    return _NOTHING | {"source": source, "sums": [], "kind": NEWS, "at": at, "instrument": instrument, "what": headline}


def fact_of(schema: str, stored: Record) -> Record:
    """A decoded record of the topic; its schema is one of SCHEMAS."""
    kind = SCHEMAS[schema]
    if kind == SIGN_IN:
        return sign_in_record(*(stored[name] for name in ("source", "at", "account", "place", "door")))
    if kind == NEWS:
        return news_record(*(stored[name] for name in ("source", "at", "instrument", "headline")))
    return _NOTHING | {"kind": kind} | stored


def identified(record: Record, source: str, offset: int, index: int) -> Record:
    """With its identity: the input that it was made of, and its number among the records for the same partition."""
    return {**record, "source": source, "source_offset": offset, "source_index": index}
