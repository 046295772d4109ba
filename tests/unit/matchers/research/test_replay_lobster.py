"""LOBSTER sessions through the engine: best bid and ask must be the order book file's, or the reason must be known."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from matchers.research.command_fields import BadCommand
from matchers.research.engines import ENGINE_NAMES, make_engine
from matchers.research.lobster import ARRIVED_UNSEEN, OTHER, LobsterReplay, instrument_table, parse_levels, parse_message, quotes_of
from schemas.enums import ExecKind, Side
from streams.__main__ import outcry

DATA = Path(__file__).parents[2] / "data" / "lobster"
MADE = DATA / "DEMO_2026-01-05_message_2.csv", DATA / "DEMO_2026-01-05_orderbook_2.csv"
REAL = Path(__file__).parents[5] / "shared" / "data" / "lobster"
AGREE_AT_LEAST = 954
"""Of the 998 rows of the real session: what a plain price-time book reaches."""


def replayed(messages, books, engine):
    """The replay of a whole session, and the kinds of all its executions."""
    found = LobsterReplay(make_engine(engine, instrument_table("X")))
    pairs = list(zip(messages.read_text().splitlines(), books.read_text().splitlines(), strict=True))
    kinds = found.begin(parse_message(pairs[0][0]), parse_levels(pairs[0][1])).executions["kind"].tolist()
    for number, (message, levels) in enumerate(pairs[1:], 2):
        kinds += found.step(parse_message(message), parse_levels(levels), number).executions["kind"].tolist()
    return found, kinds


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_each_type_of_message_does_what_the_session_did(engine):
    """The hand-made session has every type, an order from before it, and a level that its two levels did not show at first."""
    found, kinds = replayed(*MADE, engine)
    agreement = found.agreement
    assert (agreement.rows, agreement.agree, agreement.prices_agree, agreement.differing_rows) == (14, 13, 13, [7])
    assert agreement.reasons == {ARRIVED_UNSEEN: 1}
    assert sorted(agreement.left_out.values()) == [1, 1, 1]
    assert kinds.count(ExecKind.REPLACED) == 2
    assert kinds.count(ExecKind.SECURITY_STATUS) == 4
    assert (found.trades, found.volume) == (4, 160)
    assert {ExecKind.REJECTED, ExecKind.CANCEL_REJECTED}.isdisjoint(kinds)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_a_real_session_agrees_but_for_what_its_file_does_not_show(engine):
    """AAPL, 2012-06-21: at least 954 of 998 rows, and every other one explained by depth beyond ten levels."""
    messages, books = REAL / "AAPL_2012-06-21_message_10.csv", REAL / "AAPL_2012-06-21_orderbook_10.csv"
    if not messages.exists():
        pytest.skip(f"the LOBSTER sample is not at {REAL}: fetch it from lobsterdata.com")
    found, kinds = replayed(messages, books, engine)
    agreement = found.agreement
    print(f"{agreement.agree} of {agreement.rows} rows agree; {dict(agreement.reasons)}")
    assert agreement.rows == 998
    assert agreement.agree >= AGREE_AT_LEAST
    assert agreement.agree + agreement.reasons[ARRIVED_UNSEEN] == agreement.rows
    assert {ExecKind.REJECTED, ExecKind.CANCEL_REJECTED}.isdisjoint(kinds)


def test_a_difference_that_depth_does_not_explain_is_not_explained_away(tmp_path):
    """A file that lies about its best bid is found out."""
    lines = MADE[1].read_text().splitlines()
    lines[2] = lines[2].replace("1000000,60", "1000000,61")
    lying = tmp_path / "book.csv"
    lying.write_text("\n".join(lines))
    found, _ = replayed(MADE[0], lying, "reference")
    assert found.agreement.differing_rows == [3, 7]
    assert found.agreement.reasons == {OTHER: 1, ARRIVED_UNSEEN: 1}


def test_the_command_reports_how_many_rows_agree_and_why_others_do_not():
    """As the issue asks; events only on demand."""
    result = CliRunner().invoke(
        outcry, ["replay", "--format", "lobster", str(MADE[0]), "--orderbook", str(MADE[1]), "--engine", "reference"]
    )
    assert result.exit_code == 0, result.output
    assert "agreement   13 of 14 rows have the file's best bid and ask" in result.stdout
    assert re.search(f"differ +1 +{re.escape(ARRIVED_UNSEEN)}", result.stdout)
    assert "rows        7\n" in result.stdout
    alone = CliRunner().invoke(outcry, ["replay", "--format", "lobster", str(MADE[0]), "--engine", "reference", "--events", "-"])
    assert alone.exit_code == 0, alone.output
    assert '"event":"NEW","line":1,' in alone.stdout
    assert "not known: no order book file was given" in alone.stdout


@pytest.mark.parametrize(
    ("line", "field", "why"),
    [
        ("34200.1,1,101,50,1000000", "direction", "is missing"),
        ("soon,1,101,50,1000000,1", "time", "'soon' is not a decimal number"),
        ("34200.1,8,101,50,1000000,1", "type", "8 is not 1 to 7"),
        ("34200.1,1,101,few,1000000,1", "size", "'few' is not a whole number"),
        ("34200.1,1,101,50,1000000,0", "direction", "0 is neither 1 nor -1"),
    ],
)
def test_a_wrong_row_is_told_by_its_column(line, field, why):
    """File and line are added by the command."""
    with pytest.raises(BadCommand) as caught:
        parse_message(line)
    assert caught.value.field == field
    assert why in caught.value.why


def test_a_wrong_file_is_told_by_its_line(tmp_path):
    """In one line, with the column."""
    bad = tmp_path / "X_message.csv"
    bad.write_text(MADE[0].read_text().replace("34200.5,3", "34200.5,9"))
    result = CliRunner().invoke(outcry, ["replay", "--format", "lobster", str(bad), "--engine", "reference"])
    assert str(result.exception) == f"{bad}:6: type: 9 is not 1 to 7"


def test_an_empty_level_is_no_level():
    """LOBSTER writes prices of +-9999999999 with size 0."""
    levels = parse_levels("1000200,110,-9999999999,0,9999999999,0,-9999999999,0")
    assert levels == [(Side.SELL, 1000200, 110)]
    assert (quotes_of(levels).bid, quotes_of(levels).ask) == ((0, 0), (1000200, 110))
    with pytest.raises(BadCommand, match="3 columns are not four a level"):
        parse_levels("1,2,3")
