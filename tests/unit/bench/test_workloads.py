"""The tapes of the engine bench are what the workloads promise: mixes, valid ids, the same bytes under the same seed."""

import numpy as np
import pytest
from tapes.engine_runs import Engine, message_shares, play
from tapes.tape import ORDER_ID_BASE, Tape, cuts, frames
from tapes.workload_survey import FIRST_PX, SWINGS, mid_prices, survey
from tapes.workloads import WORKLOADS

from matchers.books.reference.shard import BookShard
from schemas.enums import BookCommandKind, ContingencyType, ExecInst, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.reject_reasons import Reason

pytestmark = pytest.mark.slow

ORDERS = 1_500
SEED = 11


def tape_of(workload: str, seed: int = SEED) -> Tape:
    """A small tape."""
    return WORKLOADS[workload](ORDERS, seed)


def reference(tape: Tape, frame_rows: int = 256) -> Engine:
    """The reference engine, unhurried."""
    return Engine("reference", lambda instruments: BookShard(0, instruments, 1), frame_rows, budget_s=600.0)


def executions_of(tape: Tape):
    """Reference's rows for setup and tape."""
    machine = BookShard(0, tape.instruments, 1)
    parts = [machine.apply(frame).executions for frame in (*frames(tape.setup, 256), *frames(tape.rows, 256))]
    return np.concatenate(parts)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_same_seed_makes_the_same_tape_and_another_seed_another(workload):
    """A figure names its seed, so the seed must say everything."""
    first, again, other = tape_of(workload), tape_of(workload), tape_of(workload, SEED + 1)
    for one in ("setup", "rows", "finish"):
        assert getattr(first, one).tobytes() == getattr(again, one).tobytes()
    assert first.setup.tobytes() + first.rows.tobytes() != other.setup.tobytes() + other.rows.tobytes()
    assert first.instruments.digest == again.instruments.digest


@pytest.mark.parametrize("workload", WORKLOADS)
def test_orders_are_new_once_and_cancels_and_replaces_come_after_their_order(workload):
    """A tape that names orders that never were would measure the refusal of nonsense."""
    tape = tape_of(workload)
    rows = np.concatenate([tape.setup, tape.rows])
    new = np.flatnonzero(rows["kind"] == BookCommandKind.NEW_ORDER)
    ids = rows["order_id"][new]
    assert len(np.unique(ids)) == len(ids)
    assert ids.min() == ORDER_ID_BASE + 1
    place = dict(zip(ids.tolist(), new.tolist(), strict=True))
    for index in np.flatnonzero(np.isin(rows["kind"], (BookCommandKind.CANCEL, BookCommandKind.REPLACE))):
        entered = place[int(rows["order_id"][index])]
        assert entered < index
        assert all(rows[column][index] == rows[column][entered] for column in ("account", "instrument", "side"))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_time_never_goes_back(workload):
    """The rows are merged by event time."""
    assert (np.diff(tape_of(workload).rows["transact_time"]) >= 0).all()


@pytest.mark.parametrize("workload", [name for name in WORKLOADS if name not in ("deep-cancel-1M", "deep-cancel-4M", "auction")])
def test_the_engine_refuses_only_what_a_workload_means_to_be_refused(workload):
    """Instruments and phases are such that nothing fails for range, shape or phase."""
    executions = executions_of(tape_of(workload))
    refused = executions[executions["kind"] == ExecKind.REJECTED]
    assert set(refused["reason"].tolist()) <= {Reason.POST_ONLY_WOULD_TAKE}
    late = executions[executions["kind"] == ExecKind.CANCEL_REJECTED]
    assert set(late["reason"].tolist()) <= {Reason.TOO_LATE_TO_CANCEL}


@pytest.mark.parametrize("workload", SWINGS)
def test_a_survey_mix_is_half_new_two_fifths_cancels_and_a_tenth_modifies(workload):
    """50 / 41 / 9 percent of the messages; 15 % of the orders IOC; half of them buys."""
    rows = survey(workload, 20_000, SEED).rows
    shares = np.bincount(rows["kind"], minlength=6) / len(rows)
    assert shares[BookCommandKind.NEW_ORDER] == pytest.approx(0.50, abs=0.01)
    assert shares[BookCommandKind.CANCEL] == pytest.approx(0.41, abs=0.01)
    assert shares[BookCommandKind.REPLACE] == pytest.approx(0.09, abs=0.005)
    new = rows[rows["kind"] == BookCommandKind.NEW_ORDER]
    assert (new["time_in_force"] == TimeInForce.IOC).mean() == pytest.approx(0.15, abs=0.01)
    assert (new["side"] == Side.BUY).sum() == len(new) // 2
    assert len(rows) == pytest.approx(2 * len(new), rel=0.02)


@pytest.mark.parametrize(("workload", "swing"), SWINGS.items())
def test_the_mid_price_swings_as_far_as_the_mix_says(workload, swing):
    """Highest less lowest, of the first price."""
    mid = mid_prices(np.random.default_rng(SEED), swing, 50_000)
    assert (mid.max() - mid.min()) / FIRST_PX == pytest.approx(swing, abs=1e-3)


def test_the_itch_mix_has_the_ratios_of_the_day():
    """For each order that may rest 0.937 cancels and 0.139 replaces; the kinds of orders in their shares."""
    tape = WORKLOADS["itch-mix"](50_000, SEED)
    shares = message_shares(tape)
    assert shares["cancel"] / shares["new_order"] == pytest.approx(0.88 * 0.937, abs=0.01)
    assert shares["replace"] / shares["new_order"] == pytest.approx(0.88 * 0.139, abs=0.01)
    new = tape.rows[tape.rows["kind"] == BookCommandKind.NEW_ORDER]
    assert (new["ord_type"] == OrdType.MARKET).mean() == pytest.approx(0.05, abs=0.005)
    assert np.isin(new["ord_type"], (OrdType.STOP, OrdType.STOP_LIMIT)).mean() == pytest.approx(0.03, abs=0.005)
    assert (new["time_in_force"] == TimeInForce.FOK).mean() == pytest.approx(0.02, abs=0.005)
    assert (new["exec_inst"] == ExecInst.POST_ONLY).mean() == pytest.approx(0.05, abs=0.005)


def test_busy_symbols_carry_most_of_many_symbols():
    """Pareto: a fifth of the symbols have well over half of the messages."""
    tape = WORKLOADS["many-symbols-1000"](20_000, SEED)
    counts = np.sort(np.bincount(tape.rows["instrument"], minlength=1_001)[1:])[::-1]
    assert counts[:200].sum() > 0.6 * counts.sum()
    assert len(tape.instruments) == 1_000


def test_each_sweep_takes_a_hundred_orders_or_more():
    """The workload's name is a promise."""
    executions = executions_of(WORKLOADS["sweep"](4_000, SEED))
    trades = executions[executions["kind"] == ExecKind.TRADE]
    assert np.unique(trades["order_id"], return_counts=True)[1].min() >= 100


def test_features_on_has_every_feature():
    """Icebergs, stops, pegs, OCO pairs and bands; a pair is never cut by a frame."""
    tape = WORKLOADS["features-on"](20_000, SEED)
    rows = np.concatenate([tape.setup, tape.rows])
    assert (tape.setup["ord_type"] == OrdType.PEGGED).sum() == 200
    assert np.isin(tape.setup["ord_type"], (OrdType.STOP, OrdType.STOP_LIMIT)).sum() == 2_000
    assert (rows["display_qty"] > 0).sum() > 1_000
    assert (rows["contingency_type"] == ContingencyType.OCO).sum() > 200
    assert tape.instruments.rules["luld_tier"].max() == 1
    assert any(end - begin != 7 for begin, end in zip([0, *cuts(tape.rows, 7)], cuts(tape.rows, 7), strict=False)), "no list met a cut"
    for frame in frames(tape.rows, 7):
        assert np.unique(frame["list_id"][frame["list_id"] > 0], return_counts=True)[1].tolist().count(1) == 0


def test_the_auction_is_collected_and_crossed_once():
    """Nothing trades before the last row, much trades with it."""
    tape = WORKLOADS["auction"](150, SEED)
    run, machine = play(reference(tape), tape)
    assert (run.counts.trades, run.messages) == (0, 150)
    assert run.finish_trades > 50
    assert tape.finish["phase"].tolist() == [Phase.CONTINUOUS]
    assert machine.last_seq > 150


def test_the_live_orders_are_counted_right_from_the_executions():
    """The bench states how deep the book was; that number comes from the executions alone."""
    for workload in ("survey-swing", "itch-mix", "features-on"):
        tape = tape_of(workload)
        run, machine = play(reference(tape), tape)
        assert run.counts.live == len(machine.state.orders)
