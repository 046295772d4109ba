"""The engine as a function of arrays; the examples of docs/replay.md."""

import doctest
from pathlib import Path

import numpy as np
import pytest

from matchers.research.backtest import (
    COMMAND_DTYPE,
    ENGINE_NAMES,
    EXECUTION_DTYPE,
    Backtest,
    commands,
    from_arrow,
    open_market,
    replay,
    to_arrow,
)
from schemas.enums import BookCommandKind, ContingencyType, ExecKind, OrdType, Side, TimeInForce
from schemas.instruments import load_instruments

INSTRUMENTS = load_instruments(None)
DOCUMENT = Path(__file__).parents[4] / "docs" / "replay.md"


def random_orders(count, seed=5):
    """An opening and limit orders around 180.00 in one instrument, every sixth row a cancel."""
    random = np.random.default_rng(seed)
    number = np.arange(1, count + 1)
    rows = commands(
        kind=BookCommandKind.NEW_ORDER, instrument=1, ord_type=OrdType.LIMIT, time_in_force=random.choice([TimeInForce.GTC, TimeInForce.IOC], count),
        account=number % 7 + 1, order_id=number, side=random.integers(1, 3, count), order_qty=random.integers(1, 100, count),
        price=18_000 + random.integers(-20, 21, count), transact_time=number,
    )  # fmt: skip
    cancels = rows[5::6]
    cancels["kind"], cancels["order_id"], cancels["account"] = BookCommandKind.CANCEL, number[:-5:6], number[:-5:6] % 7 + 1
    return np.concatenate([open_market(), rows])


def test_the_examples_of_the_document_are_true():
    """Each >>> of docs/replay.md gives what is written there."""
    text = DOCUMENT.read_text()
    examples = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "replay.md", str(DOCUMENT), 0)
    assert len(examples.examples) > 15
    told = []
    result = doctest.DocTestRunner(verbose=False).run(examples, out=told.append)
    assert result.failed == 0, "".join(told)


def test_both_engines_give_the_same_executions_and_the_same_hash():
    """Column by column, with and without levels."""
    rows = random_orders(600)
    for levels in (True, False):
        found = [replay(rows, INSTRUMENTS, engine=engine, levels=levels) for engine in ENGINE_NAMES]
        assert found[0].dtype == EXECUTION_DTYPE
        for column in EXECUTION_DTYPE.names:
            assert np.array_equal(found[0][column], found[1][column]), column
        assert (ExecKind.LEVEL in found[0]["kind"]) == levels
    hashes = set()
    for engine in ENGINE_NAMES:
        book = Backtest(INSTRUMENTS, engine=engine)
        book.apply(rows)
        assert (book.applied, book.log_time) == (601, 600)
        hashes.add(book.state_hash())
    assert len(hashes) == 1


def test_frames_change_nothing_but_how_much_is_held_at_once():
    """command_index is the row of all commands."""
    rows = random_orders(200)
    whole = replay(rows, INSTRUMENTS, engine="reference", frame_rows=10_000)
    parts = replay(rows, INSTRUMENTS, engine="reference", frame_rows=7)
    assert (whole == parts).all()
    new = whole[whole["kind"] == ExecKind.NEW]
    assert (rows["order_id"][new["command_index"]] == new["order_id"]).all()


def test_the_orders_of_a_list_stay_in_one_frame():
    """However small frames are asked for."""
    legs = commands(
        kind=BookCommandKind.NEW_ORDER, instrument=1, ord_type=OrdType.LIMIT, time_in_force=TimeInForce.GTC, account=1, order_id=[1, 2, 3, 4],
        side=Side.BUY, order_qty=5, price=[18_000, 17_999, 18_000, 17_999], list_id=[1, 1, 2, 2], contingency_type=ContingencyType.OCO,
    )  # fmt: skip
    book = Backtest(INSTRUMENTS, engine="reference")
    book.apply(open_market())
    frames = list(book.frames(legs, frame_rows=1))
    assert [start for start, _ in frames] == [0, 2]
    assert [np.count_nonzero(part["kind"] == ExecKind.NEW) for _, part in frames] == [2, 2]


def test_no_commands_make_no_executions():
    """Of the right type all the same."""
    assert replay(commands(), INSTRUMENTS, engine="reference").dtype == EXECUTION_DTYPE
    assert len(commands()) == 0


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"prize": [1]}, "no such column: prize; there are kind, side"),
        ({"price": [1, 2], "side": [1]}, "columns have different lengths: {'price': 2, 'side': 1}"),
        ({"price": [1], "count": 3}, "columns have different lengths"),
        ({"price": [1.5]}, "price is float64, not whole numbers"),
        ({"side": [256]}, "side is out of range: 0 to 255"),
        ({"order_id": [-1]}, "order_id is out of range"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, words):
    """Before the engine would take something else for them."""
    with pytest.raises(ValueError, match=words):
        commands(**columns)


def test_an_engine_takes_commands_only():
    """Not any array, and no engine that is not there."""
    with pytest.raises(ValueError, match="commands are a one-dimensional array of COMMAND_DTYPE"):
        Backtest(INSTRUMENTS, engine="reference").apply(np.zeros(3))
    with pytest.raises(ValueError, match="engine is 'fast', not one of reference, kernel"):
        Backtest(INSTRUMENTS, engine="fast")


def test_arrow_tables_keep_every_column():
    """There and back, 64-bit unsigned numbers too."""
    rows = random_orders(20)
    rows["order_id"][3] = 2**64 - 1
    back = from_arrow(to_arrow(rows))
    assert back.dtype == COMMAND_DTYPE
    assert back.tobytes() == rows.tobytes()
    executions = replay(random_orders(20), INSTRUMENTS, engine="reference")
    assert to_arrow(executions).column_names == list(EXECUTION_DTYPE.names)
