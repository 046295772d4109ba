"""The second stage: each pattern on facts made by hand, what may not fire, and a watch that is a function of its facts."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.party_facts import (
    DOORS,
    INSTRUMENTS,
    OTHER,
    PRICES,
    SECOND,
    WHO,
    Facts,
    ahead,
    at,
    cross_book,
    shown,
    stored,
    takeover,
    traded,
)

from schemas.codec import BadBytes, decode_record, encode_record
from schemas.enums import Side
from schemas.errors import StaleData
from surveillance import Owners, Place
from surveillance.accounts import facts as facts_module
from surveillance.accounts import parties
from surveillance.accounts.facts import BookSums, Record, check, fact_of, identified, news_record, sign_in_record
from surveillance.accounts.parties import BookHalf, Parties
from surveillance.accounts.watch import PARTY_PATTERNS, AccountsWatch


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


def test_who_trades_both_ways_one_after_the_other_is_found_too() -> None:
    """In one half minute it shows a side, takes it back, shows the other: what it bought behind that serves the second."""
    facts = Facts()
    for number in range(10):
        facts.half(number)
    for number in (10, 11):
        later = {"bought_from": at(number) - 5 * SECOND, "bought_until": at(number) - 4 * SECOND}
        facts.half(number, (1, shown(at(number), 1_000)), (2, traded(at(number), 150, 200, **later)))
    (alert,) = facts.alerts()
    assert alert["steps"][1] == "Meanwhile it sold 200 SIM2."


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
        pytest.param(cross_book(shown_buy=300), id="three levels are not much"),
        pytest.param(cross_book(sold=0, bought=200), id="it buys what it lifts"),
        pytest.param(cross_book(bought=150), id="both ways in the other book"),
        pytest.param(cross_book(sold=10), id="next to nothing"),
        pytest.param(cross_book(sold_from=1, sold_until=2), id="it sold before it showed anything"),
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
        pytest.param(takeover(paid=0), id="it pays nobody: at the middle of the market"),
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
    return identified(BookSums(at(1), 1, 18_000, 100, 10, (traded(at(1), 10),)).records()[0], "executions/1", 1, 0)


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


def test_a_book_with_many_parties_has_several_records_and_one_without_any_has_its_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record has a limit, and everybody needs the prices of all books."""
    monkeypatch.setattr(facts_module, "SUMS_MAX", 3)
    half = BookSums(at(1), 1, 18_000, 100, 70, tuple(traded(at(1), 10, owner=owner) for owner in range(1, 8)))
    assert [[one["owner"] for one in record["sums"]] for record in half.records()] == [[1, 2, 3], [4, 5, 6], [7]]
    assert [(record["middle"], record["sums"]) for record in BookSums(at(1), 1, 18_000, 100, 0, ()).records()] == [(18_000, [])]


@pytest.mark.parametrize(
    ("schema", "fact"),
    [
        ("book_sums", identified(BookSums(at(1), 1, 18_000, 100, 10, (shown(at(1), 400),)).records()[0], "executions/1", 1, 0)),
        ("sign_in", sign_in_record("edge-0", at(1), 7, "digest", "native API")),
        ("news", news_record("operator", at(1), 1, "A takeover bid")),
    ],
)
def test_a_fact_in_the_topic_is_the_fact_again(schema: str, fact: Record) -> None:
    """Each kind by its own schema."""
    name, read = decode_record(stored(fact))
    assert (name, fact_of(name, read)) == (schema, fact)


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
