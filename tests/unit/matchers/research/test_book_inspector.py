"""A book as a person sees it: the view of a shard's state, the tables, the JSON, and where the orders stand."""

import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from matchers.books.reference.shard import BookShard
from matchers.research.book_view import view_book
from matchers.research.engines import make_engine
from matchers.research.replay import Replay
from matchers.state.canonical_hash import Place
from schemas.enums import Phase, Side
from schemas.instruments import load_instruments
from streams.__main__ import outcry
from streams.research.book_screen import Shown, age_text, show_book

INSTRUMENTS = load_instruments(None)
AAPL = INSTRUMENTS.by_symbol["AAPL"]


def order(cl_ord_id, account, side, price, qty, **fields):
    """A limit order for AAPL."""
    return {"command": "NewOrderSingle", "account": account, "cl_ord_id": cl_ord_id, "symbol": "AAPL", "side": side, "ord_type": "LIMIT",
            "order_qty": qty, "price": price, **fields}  # fmt: skip


TAPE = [
    {"command": "TradingSessionChange", "phase": "CONTINUOUS", "transact_time": "2026-01-05T14:30:00Z"},
    order("a1", 1, "BUY", "180.00", "10"),
    order("b1", 2, "BUY", "180.00", "100", display_qty="20", transact_time="2026-01-05T14:30:01Z"),
    order("c1", 3, "BUY", "180.00", "40", display_qty="0"),
    order("d1", 4, "BUY", "179.98", "5"),
    order("e1", 5, "SELL", "180.10", "30"),
    order("f1", 6, "SELL", "180.10", "7"),
    order("s1", 7, "BUY", None, "5", ord_type="STOP", stop_px="181.00"),
    order("p1", 7, "SELL", None, "5", ord_type="PEGGED", peg_price_type="PRIMARY", exec_inst="HIDDEN"),
    order("x1", 8, "BUY", "180.10", "3", time_in_force="IOC"),
    {"command": "Timer", "transact_time": "2026-01-05T14:31:01.5Z"},
]


@pytest.fixture
def path(tmp_path):
    """The tape as a file."""
    path = tmp_path / "tape.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in TAPE))
    return path


def shard_after(*lines):
    """A reference shard that these commands made."""
    engine = make_engine("reference", INSTRUMENTS)
    replay = Replay(engine, INSTRUMENTS)
    for number, line in enumerate(lines, 1):
        replay.add(number, line)
    replay.flush()
    return engine


def inspect(*arguments):
    """The command's result; it must work."""
    result = CliRunner().invoke(outcry, ["book", "AAPL", *map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_the_view_shows_levels_in_priority_with_what_is_hidden():
    """Displayed orders first, then hidden ones; icebergs with their tranche."""
    view = view_book(shard_after(*TAPE).snapshot(), AAPL.number)
    assert (view.phase, view.last_px, view.reference_px) == (Phase.CONTINUOUS, 18_010, 18_000)
    assert [(level.price, level.qty, level.order_count, level.reserve_qty) for level in view.bids] == [
        (18_000, 30, 2, 120),
        (17_998, 5, 1, 0),
    ]
    assert [(one.account, one.leaves_qty, one.shown_qty) for one in view.bids[0].orders] == [(1, 10, 10), (2, 100, 20), (3, 40, 0)]
    assert [(level.price, level.qty) for level in view.asks] == [(18_010, 34)]
    assert (view.count(Place.DORMANT), view.count(Place.PARKED)) == (1, 0)
    assert view.bids[0].qty_of(2) == 100
    assert [(side, level.price) for side, level in view.level(18_010)] == [(Side.SELL, 18_010)]


def test_the_view_is_the_same_after_snapshot_and_restore():
    """It depends on the canonical state only; an instrument that is not there is told."""
    arrays = shard_after(*TAPE).snapshot()
    again = BookShard.restore(0, INSTRUMENTS, arrays).snapshot()
    assert view_book(arrays, AAPL.number) == view_book(again, AAPL.number)
    with pytest.raises(KeyError, match="99"):
        view_book(arrays, 99)


def test_a_call_phase_shows_where_it_would_uncross_and_who_waits():
    """Market orders stand before every price; a book may be crossed."""
    view = view_book(
        shard_after(
            {"command": "TradingSessionChange", "phase": "PRE_OPEN"},
            order("a", 1, "BUY", "180.20", "10"),
            order("b", 2, "SELL", "180.10", "4"),
            order("m", 3, "BUY", None, "3", ord_type="MARKET"),
        ).snapshot(),
        AAPL.number,
    )
    assert (view.indicative.volume, view.indicative.imbalance_side) == (4, Side.BUY)
    assert [one.account for one in view.market_orders] == [3]
    assert (view.bids[0].price, view.asks[0].price) == (18_020, 18_010)


def test_the_piped_book_is_plain_text(path):
    """Levels side by side, cumulative quantities, own orders marked, dormant stops counted."""
    lines = inspect("--replay", path, "--account", 2).splitlines()
    assert lines[0] == f"AAPL  CONTINUOUS  {path}, line 11"
    assert lines[1] == "last 180.10  reference 180.00"
    assert lines[2] == "1 dormant stops"
    assert lines[3].split() == ["own", "cumulative", "orders", "qty", "bid", "ask", "qty", "orders", "cumulative", "own"]
    assert lines[4].split() == ["100", "*", "30", "2", "30", "█" * 14, "180.00", "180.10", "█" * 16, "34", "2", "34"]
    assert lines[5].split() == ["35", "1", "5", "██", "179.98"]
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_colours(path):
    """And the same words."""
    console = Console(force_terminal=True, width=120, record=True, file=io.StringIO())
    show_book(Shown(view_book(shard_after(*TAPE).snapshot(), AAPL.number), AAPL, "here"), 1, console)
    assert "1 more bid levels (--depth)" in console.export_text(clear=False)
    assert "\x1b[1;32m" in console.export_text(styles=True)


def test_the_queue_of_a_price_shows_orders_in_priority_with_their_age(path):
    """Who stands where, what of it is displayed, and for how long."""
    lines = inspect("--replay", path, "--queue", "180.00", "--account", 3).splitlines()
    assert lines[0] == "BUY 180.00: 3 orders, 30 displayed"
    assert [line.split() for line in lines[2:]] == [
        ["1", "1", "a1", "1", "LIMIT", "DAY", "10", "10", "0", "1.0", "m"],
        ["2", "2", "b1", "2", "LIMIT", "DAY", "100", "20", "80", "1.0", "m"],
        ["*", "3", "3", "c1", "3", "LIMIT", "DAY", "40", "0", "40", "1.0", "m"],
    ]
    assert inspect("--replay", path, "--queue", "1").strip() == "no order rests at 1.00"


def test_the_book_is_shown_as_it_was_after_a_line(path):
    """--at looks back."""
    found = [json.loads(inspect("--replay", path, "--at", line, "--json")) for line in (0, 1, 3, 11)]
    assert [one["phase"] for one in found] == ["CLOSED", "CONTINUOUS", "CONTINUOUS", "CONTINUOUS"]
    assert [[(level["price"], level["qty"]) for level in one["bids"]] for one in found] == [
        [], [], [("180", "30")], [("180", "30"), ("179.98", "5")],
    ]  # fmt: skip
    assert found[2]["last_px"] is None and found[3]["last_px"] == "180.1"


def test_json_has_the_queue_and_own_quantities_when_asked(path):
    """For programs: decimal text and names."""
    found = json.loads(inspect("--replay", path, "--queue", "180.00", "--account", 2, "--json", "--depth", 1))
    assert [level["own_qty"] for level in found["bids"]] == ["100"]
    assert [(one["cl_ord_id"], one["leaves_qty"], one["displayed_qty"], one["entered_at"]) for one in found["queue"]] == [
        ("a1", "10", "10", 1767623400000000000), ("b1", "100", "20", 1767623401000000000), ("c1", "40", "0", 1767623401000000000),
    ]  # fmt: skip
    assert found["dormant_stops"] == 1


def test_a_line_that_is_not_understood_is_told(tmp_path):
    """The book of half a file would be a wrong book."""
    bad = tmp_path / "bad.ndjson"
    bad.write_text('{"command":"Timer","transact_time":1}\n{"command":"Timer"}\n')
    result = CliRunner().invoke(outcry, ["book", "AAPL", "--replay", str(bad)])
    assert str(result.exception) == f"{bad}:2: transact_time: is missing"


def test_ages_are_told_in_their_largest_unit():
    """One decimal is enough, milliseconds for seconds."""
    assert [age_text(n * 1_000_000) for n in (1, 59_999, 90_000, 5_400_000, 129_600_000)] == [
        "0.001 s",
        "59.999 s",
        "1.5 m",
        "1.5 h",
        "1.5 d",
    ]
