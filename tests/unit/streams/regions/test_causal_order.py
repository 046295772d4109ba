"""A copy of another region's log is a possible past of it at any moment, whatever arrives in which order."""

import random

import numpy as np
import pytest
from support.party_facts import ahead, stored, takeover

from schemas.codec import FRAMES, Header, encode_frame
from schemas.errors import StaleData
from streams.regions.causal_order import Arrived, CausalOrder, input_named_by
from surveillance.accounts.facts import BOOK, NEWS, SIGN_IN
from topics.catalogue import COPIED
from topics.roles import ROLES

A, B, C = ("account.commands", 0), ("book.commands", 0), ("executions", 0)


def record(place: tuple[str, int], offset: int, needs: tuple[tuple[str, int], int] | None = None, size: int = 1) -> Arrived:
    """A record without a message."""
    return Arrived(place, offset, size, needs, None)


def frame(source: str, offset: int = 0) -> bytes:
    """A frame of one row."""
    return encode_frame("book_command_frame", Header(source, offset), np.zeros(1, FRAMES["book_command_frame"].dtype))


def test_a_frame_waits_for_the_input_that_it_names() -> None:
    """Arrived, or on its way, is not there yet."""
    order = CausalOrder(dict.fromkeys((A, B), 0))
    order.arrived(record(B, 0, needs=(A, 1)))
    order.arrived(record(A, 0))
    assert [one.place for one in order.ready()] == [A]
    order.appended(A, 0)
    assert list(order.ready()) == []
    order.arrived(record(A, 1))
    assert [one.place for one in order.ready()] == [A]
    assert list(order.ready()) == [], "on its way is not there yet"
    order.appended(A, 1)
    assert [one.place for one in order.ready()] == [B]


def test_a_gap_is_refused_with_what_is_missing() -> None:
    """A copy with a hole would give every later record another offset."""
    order = CausalOrder({A: 7})
    with pytest.raises(StaleData, match=r"account\.commands/0: the copy ends at 7, and the other region goes on at 9"):
        order.arrived(record(A, 9))


def test_what_names_an_input_that_nobody_has_can_be_let_go() -> None:
    """A forged frame must not hold the copy up for ever."""
    order = CausalOrder(dict.fromkeys((A, B), 0))
    order.arrived(record(A, 0, needs=(B, 10**12)))
    order.arrived(record(A, 1))
    assert (list(order.ready()), order.waits_for(A), order.waiting_bytes(A)) == ([], (B, 10**12), 2)
    order.let_go(A)
    assert [one.offset for one in order.ready()] == [0, 1]
    assert (order.waits_for(A), order.waiting_bytes(A)) == (None, 0)


@pytest.mark.parametrize("seed", range(20))
def test_the_copy_is_closed_at_every_moment(seed: int) -> None:
    """A log of three partitions in which later records name earlier ones, read in any interleaving, acknowledged in any: no record is ahead of its cause."""
    draw = random.Random(seed)
    written: list[Arrived] = []
    ends = dict.fromkeys((A, B, C), 0)
    for _ in range(300):
        place = draw.choice((A, B, C))
        cause = draw.choice(written) if written and draw.random() < 0.7 else None
        written.append(record(place, ends[place], (cause.place, cause.offset) if cause else None))
        ends[place] += 1
    causes = {(one.place, one.offset): one.needs for one in written}
    unread = {place: [one for one in written if one.place == place] for place in ends}
    order, on_the_way, copied = CausalOrder(dict.fromkeys(ends, 0)), dict[tuple[str, int], list[Arrived]](), dict.fromkeys(ends, 0)
    while any(unread.values()) or any(on_the_way.values()):
        if (some := [place for place, left in unread.items() if left]) and draw.random() < 0.5:
            order.arrived(unread[draw.choice(some)].pop(0))
        for one in order.ready():
            on_the_way.setdefault(one.place, []).append(one)
        if some := [place for place, left in on_the_way.items() if left]:
            done = on_the_way[draw.choice(some)].pop(0)
            assert done.offset == copied[done.place]
            needed = causes[done.place, done.offset]
            assert needed is None or copied[needed[0]] > needed[1]
            copied[done.place] += 1
            order.appended(done.place, done.offset)
    assert copied == ends == order.ends


def test_only_frames_of_shards_name_an_input() -> None:
    """What anybody may send waits for nothing."""
    assert input_named_by(frame("account.commands/3", 41)) == (("account.commands", 3), 41)
    assert input_named_by(frame("edge-7", 41)) is None
    assert input_named_by(frame("calendar", 41)) is None
    assert input_named_by(frame("market.data/0", 41)) is None, "not copied, so nobody waits for it"
    assert input_named_by(frame("account.commands/x", 41)) is None
    assert input_named_by(frame("account.commands/0", 1)[:20]) is None
    assert input_named_by(b"") is None and input_named_by(None) is None


def test_a_fact_of_a_book_names_the_executions_that_it_was_made_of() -> None:
    """What customers and operators cause waits for nothing."""
    facts = {one["kind"]: one for one in ahead().records + takeover().records}
    book = stored(facts[BOOK] | {"source": "executions/3", "source_offset": 41, "source_index": 0})
    assert input_named_by(book) == (("executions", 3), 41)
    assert input_named_by(book[:40]) is None
    assert [input_named_by(stored(facts[kind])) for kind in (SIGN_IN, NEWS)] == [None, None]


def test_everything_that_cannot_be_made_again_is_copied() -> None:
    """Prices and alerts are made again from these."""
    assert {topic.name for topic in COPIED} == {
        "account.commands", "book.commands", "executions", "account.events", "party.facts", "cases", "set.aside",
    }  # fmt: skip
    assert {role.name for role in ROLES.values() if role.follows} == {"hold-funds", "match-orders", "watch-trading"}
