"""The second stage: each pattern on facts made by hand, what may not fire, and a watch that is a function of its facts."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.codec import BadBytes, encode_record
from schemas.enums import Side
from schemas.errors import StaleData
from streams.research.labelled.world import instruments_of_both
from surveillance import Owners, Place
from surveillance.accounts import parties
from surveillance.accounts.facts import DOORS, BookSums, PartySum, Record, Seen, check, identified, news_record, sign_in_record
from surveillance.accounts.parties import BookHalf, Parties
from surveillance.accounts.watch import PARTY_PATTERNS, AccountsWatch

INSTRUMENTS = instruments_of_both()
SECOND = 10**9
START = 1_800_000_000 * SECOND
HALF = 30 * SECOND
WHO, OTHER = 7, 8
PRICES = (18_000, 18_010, 18_004, 18_020, 18_012, 18_030, 18_022, 18_040, 18_030, 18_050, 18_041, 18_060)
"""At the ends of half minutes; both books."""


def seen(role: str, order_id: int, side: int = 1, qty: int = 100) -> Seen:
    """An order at row `order_id` of its shard."""
    return Seen(role, order_id, side, 18_000, qty, 0, START, START + SECOND, WHO, 0, order_id, order_id)


def traded(at: int, bought: int = 0, sold: int = 0, **given: Any) -> PartySum:
    """A party's half minute in which it traded at 18,000, from 20 s before its end."""
    values = dict.fromkeys(PartySum._fields[:17], 0) | {
        "owner": WHO, "bought": bought, "sold": sold, "bought_cost": bought * 18_000, "sold_cost": sold * 18_000, "taken": bought + sold,
        "traded_from": at - 20 * SECOND, "traded_until": at - 15 * SECOND,
    }  # fmt: skip
    return PartySum(**(values | given), seen=(seen("TAKER", at // HALF % 1_000 + 1),))


def shown(at: int, buy: int, **given: Any) -> PartySum:
    """A party's half minute in which it showed so many lots to buy, and took them back."""
    return traded(at, shown_buy=buy, buy_from=at - 22 * SECOND, buy_until=at - 14 * SECOND, **given)


class Facts:
    """Facts by hand. Books 1 and 2 are in book shards 1 and 2; both have a half minute each time."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._doors = 0

    def half(self, number: int, *sums: tuple[int, PartySum], middle: Callable[[int, int], int] | None = None) -> None:
        """The half minute `number` of both books, with (instrument, what a party did). middle: by book and number."""
        at = START + (number + 1) * HALF
        for instrument in (1, 2):
            price = middle(instrument, number) if middle else PRICES[number % len(PRICES)]
            mine = tuple(one for book, one in sums if book == instrument)
            for index, record in enumerate(BookSums(at, instrument, price, 100, 1_000, mine).records(0, 1)):
                self.records.append(identified(record, f"executions/{instrument}", number, index))

    def door(self, record: Record) -> None:
        """A sign-in or news."""
        self.records.append(identified(record, DOORS, self._doors, 0))
        self._doors += 1

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


def cross_book(shown_buy: int = 1_000, sold: int = 200, shown_sell: int = 0, bought: int = 0, *, turns: int = 2, **given: Any) -> Facts:
    """Ten half minutes of both books, then showing in book 1 and selling in book 2."""
    facts = Facts()
    for number in range(10):
        facts.half(number)
    for number in range(10, 10 + turns):
        facts.half(number, (1, shown(at(number), shown_buy, shown_sell=shown_sell)), (2, traded(at(number), bought, sold)), **given)
    return facts


def test_orders_of_one_book_that_serve_trades_of_another_are_found() -> None:
    """The second time. Evidence says in which partition it is, and the alert is about the book where the gain was made."""
    (alert,) = cross_book().alerts()
    assert (alert["pattern"], alert["instrument"], alert["account"], alert["side"]) == ("CROSS_BOOK", 2, WHO, "SELL")
    assert alert["source"] == "party.facts/0@23"
    assert {(one["place"], one["instrument"]) for one in alert["evidence"]} == {("executions/1", 1), ("executions/2", 2)}
    assert "showed 1000 SIM to buy at once" in alert["steps"][0]
    assert alert["steps"][1] == "Meanwhile it sold 200 SIM2."
    assert "correlation 100 %" in alert["steps"][2]
    assert alert["counterfactual"].startswith("It would not have fired with ")
    assert encode_record("alert", alert)


def opposed(instrument: int, number: int) -> int:
    """Prices of which one rises when the other falls."""
    price = PRICES[number % len(PRICES)]
    return price if instrument == 1 else 40_000 - price


def apart(instrument: int, number: int) -> int:
    """Prices that have nothing to do with one another: one moves in half minutes in which the other does not."""
    return 18_000 + (number // 2 * 10 if instrument == 1 else (number + 1) // 2 % 2 * 10)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(cross_book(turns=1), id="once"),
        pytest.param(cross_book(shown_sell=800), id="a maker: as much on the other side"),
        pytest.param(cross_book(shown_buy=300), id="three levels are not much"),
        pytest.param(cross_book(sold=0, bought=200), id="it buys what it lifts"),
        pytest.param(cross_book(bought=150), id="both ways in the other book"),
        pytest.param(cross_book(sold=10), id="next to nothing"),
    ],
)
def test_what_looks_like_it_is_not_cross_book_manipulation(facts: Facts) -> None:
    """Each with one thing changed."""
    assert facts.alerts() == []


def test_books_that_move_against_one_another_gain_the_other_way_and_unrelated_ones_not_at_all() -> None:
    """What is bid for in one makes the other fall: who buys there gains. Prices alone decide it."""

    def with_prices(middle: Callable[[int, int], int], **lots: int) -> list[dict[str, Any]]:
        facts = Facts()
        for number in range(10):
            facts.half(number, middle=middle)
        for number in (10, 11):
            facts.half(number, (1, shown(at(number), 1_000)), (2, traded(at(number), **lots)), middle=middle)
        return facts.alerts()

    (alert,) = with_prices(opposed, bought=200)
    assert (alert["side"], "against one another" in alert["steps"][2]) == ("BUY", True)
    assert with_prices(opposed, sold=200) == []
    assert with_prices(apart, sold=200) == []


def takeover(
    lots: int = 400, other_qty: int = 300, other_traded: int = 300, place: str = "elsewhere", usual: int = 20, cost: int = 18_064
) -> Facts:
    """An account that buys `usual` lots in each half minute; then it is opened from somewhere and buys `lots`."""
    facts = Facts()
    facts.door(sign_in_record(START, WHO, "home", "the trading page"))
    for number in range(6):
        facts.half(number, (1, traded(at(number), usual)))
    facts.door(sign_in_record(at(5) + SECOND, WHO, place, "the trading page"))
    for number in range(6, 9):
        one = traded(at(number), lots, other=OTHER, other_qty=other_qty, other_traded=other_traded)
        facts.half(number, (1, one._replace(bought_cost=lots * cost)))
    return facts


def test_an_account_in_other_hands_is_found() -> None:
    """From a new place it buys twenty times as much, dear, from one party that trades with nobody else."""
    alert = takeover().alerts()[0]
    assert (alert["pattern"], alert["accounts"], alert["side"]) == ("ACCOUNT_TAKEOVER", [WHO], "BUY")
    assert "1 other place were known" in alert["steps"][0]
    assert "before: 20 in a half minute in which it traded" in alert["steps"][1]
    assert f"75 % of that from party {OTHER}" in alert["steps"][2]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(takeover(place="home"), id="from home"),
        pytest.param(takeover(lots=30), id="a traveller: as usual"),
        pytest.param(takeover(other_qty=80), id="from everybody"),
        pytest.param(takeover(other_traded=3_000), id="from a maker, who trades with everybody"),
        pytest.param(takeover(cost=18_000), id="at the market's prices"),
    ],
)
def test_what_looks_like_it_is_no_takeover(facts: Facts) -> None:
    """Each with one thing changed."""
    assert facts.alerts() == []


def test_a_sign_in_that_is_told_late_is_judged_all_the_same() -> None:
    """access.events and executions have no common order: the times in the facts count."""
    facts = takeover()
    late = next(record for record in facts.records if record["place"] == "elsewhere")
    facts.records.remove(late)
    facts.records.append(late)
    assert facts.alerts()[0]["pattern"] == "ACCOUNT_TAKEOVER"


def ahead(lots: int = 300, usual: int = 0, side: str = "bought", reaction: int = 60, news_in: int = 1) -> Facts:
    """Twenty quiet half minutes, four of build-up, news, and prices that are `reaction` ticks higher from then on."""
    facts = Facts()

    def middle(_: int, number: int) -> int:
        return 18_000 + number % 2 * 2 + (reaction if number >= 24 else 0)

    for number in range(20):
        facts.half(number, *([(1, traded(at(number), usual))] if usual else []), middle=middle)
    for number in range(20, 24):
        facts.half(number, (1, traded(at(number), **{side: lots})), middle=middle)
    facts.door(news_record(at(23) + SECOND, news_in, "A takeover bid"))
    for number in range(24, 30):
        facts.half(number, middle=middle)
    return facts


def test_who_knew_of_news_is_found() -> None:
    """Four half minutes of buying by somebody who never traded the stock, then news that lifts it."""
    (alert,) = ahead().alerts()
    assert (alert["pattern"], alert["account"], alert["side"]) == ("AHEAD_OF_NEWS", WHO, "BUY")
    assert "bought 1200 SIM in 4 half minutes, 30 % of what was taken in them; before: nothing" in alert["steps"][0]
    assert alert["steps"][1].endswith("there was news: A takeover bid")
    assert "58 ticks" in alert["steps"][2]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(ahead(usual=250), id="a fund that buys it all day"),
        pytest.param(ahead(side="sold"), id="it sold before good news"),
        pytest.param(ahead(reaction=3), id="news that moves nothing"),
        pytest.param(ahead(news_in=2), id="news about another stock"),
        pytest.param(ahead(lots=40), id="a small investor"),
    ],
)
def test_what_looks_like_it_is_not_ahead_of_news(facts: Facts) -> None:
    """Each with one thing changed."""
    assert facts.alerts() == []


@pytest.mark.parametrize("facts", [cross_book(turns=4), takeover(), ahead()], ids=["cross_book", "takeover", "news"])
def test_a_watch_that_is_restored_anywhere_says_the_same_byte_for_byte(facts: Facts) -> None:
    """Thrown away and restored from its snapshot after every fact; the state is the same too."""
    facts.half(60)
    whole = AccountsWatch(INSTRUMENTS)
    expected = [encode_record("alert", one) for one in facts.alerts(whole)]
    watch, found = AccountsWatch(INSTRUMENTS), []
    for number, record in enumerate(facts.records):
        found += [encode_record("alert", one) for one in watch.apply(record, Place("party.facts", 0, number))]
        before = watch.state_hash()
        watch = AccountsWatch.restore(INSTRUMENTS, {name: array.copy() for name, array in watch.snapshot().items()})
        assert watch.state_hash() == before
    assert found == expected
    assert len(found) >= 2, "an episode that opens and closes"
    assert watch.state_hash() == whole.state_hash()


def test_other_owner_sets_of_the_past_are_refused() -> None:
    """A snapshot names the sets that were in effect, and accounts of one owner are one party."""
    sets = f"[[owner_set]]\neffective_from = 1\ngroups = [[{WHO}, {OTHER}]]\n"
    watch = AccountsWatch(INSTRUMENTS, Owners.of_toml(sets))
    alert = takeover().alerts(watch)[0]
    assert alert["accounts"] == [WHO, OTHER]
    with pytest.raises(StaleData, match="owner sets"):
        AccountsWatch.restore(INSTRUMENTS, watch.snapshot(), Owners.of_toml(sets.replace(str(OTHER), "9")))


def good() -> Record:
    """A fact of a book."""
    return identified(BookSums(at(1), 1, 18_000, 100, 10, (traded(at(1), 10),)).records(0, 1)[0], "executions/1", 1, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "RUMOUR"}, "kind 'RUMOUR' is none of BOOK, SIGN_IN, NEWS"),
        ({"at": 0}, "at is 0"),
        ({"instrument": 77}, "a BOOK of instrument 77"),
        ({"source": DOORS}, "a BOOK is not of this source"),
        ({"kind": "NEWS", "source": DOORS}, "a NEWS of 1 parties"),
        ({"kind": "SIGN_IN", "source": DOORS, "instrument": 0, "sums": []}, "without an account or a place"),
    ],
)
def test_facts_that_nobody_makes_are_refused_with_what_is_wrong(change: dict[str, Any], said: str) -> None:
    """A dead letter, not an exception of a detector."""
    numbers = set(INSTRUMENTS.by_number)
    check(good(), numbers)
    with pytest.raises(BadBytes, match=said):
        check(good() | change, numbers)
    bad = good()
    bad["sums"][0]["bought"] = -1
    with pytest.raises(BadBytes, match="below zero"):
        check(bad, numbers)


def test_parties_are_split_over_partitions_and_every_partition_knows_every_book() -> None:
    """Owner % partitions; a partition without a party of the book still hears its price."""
    sums = tuple(traded(at(1), 10, owner=owner) for owner in range(1, 8))
    half = BookSums(at(1), 1, 18_000, 100, 70, sums)
    parts = [half.records(number, 3) for number in range(3)]
    assert [[one["owner"] for record in part for one in record["sums"]] for part in parts] == [[3, 6], [1, 4, 7], [2, 5]]
    assert BookSums(at(1), 1, 18_000, 100, 0, ()).records(2, 3)[0]["middle"] == 18_000


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limits, whoever was quiet for longest is forgotten; half minutes become habits."""
    for name, most in (("ROWS_MAX", 10), ("HABITS_MAX", 5), ("ACCOUNTS_MAX", 5), ("PLACES_MAX", 3)):
        monkeypatch.setattr(parties, name, most)
    known = Parties()
    for number in range(100):
        known.note_book(1, BookHalf(at(number), 18_000, 100, 10))
        known.note(traded(at(number), 10, owner=number % 30)._replace(end_at=at(number), instrument=1))
        known.note_place(number % 30, number % 30, f"place {number}", at(number), "")
    assert len(known) == 10
    arrays = known.snapshot()
    assert all(len(array) < 20_000 for array in arrays.values())
    again = Parties()
    again.restore(dict(arrays))
    assert all(np.array_equal(array, again.snapshot()[name]) for name, array in arrays.items())


def test_a_party_of_two_hours_ago_has_habits() -> None:
    """What is no longer known one by one is known as lots in so many half minutes."""
    known = Parties()
    for number in (0, 1, 2, 300):
        known.note(traded(at(number), 10 * (number + 1))._replace(end_at=at(number), instrument=1))
    assert [one.end_at for one in known.of(WHO)] == [at(300)]
    assert known.habit(WHO, 1, at(299)) == (3, 60)
    assert known.habit(WHO, 1, at(300)) == (4, 60 + 3_010)


def test_the_page_has_every_pattern_of_the_second_stage_with_its_version_and_parameters() -> None:
    """docs/surveillance.md, as in the tables."""
    page = (Path(__file__).parents[3] / "docs" / "surveillance.md").read_text()
    for pattern in PARTY_PATTERNS:
        parameters = pattern(Parties(), INSTRUMENTS).parameters
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {pattern.name.upper()} | {pattern.version} |")]
        for field in fields(parameters):
            value = getattr(parameters, field.name)
            values = value if isinstance(value, tuple) else (value,)
            shown_value = ", ".join(f"{one // SECOND} s" if one >= SECOND else f"{one:,}" for one in values)
            assert f"`{field.name}` {shown_value}" in row, f"{pattern.name}.{field.name}"
        assert f"| {', '.join(pattern.rule_refs)} |" in page, pattern.name
    assert len({replace(pattern(Parties(), INSTRUMENTS).parameters) for pattern in PARTY_PATTERNS}) == 3
    assert Side.BUY == 1
