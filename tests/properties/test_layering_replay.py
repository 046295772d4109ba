"""The watch is a function of its rows: however the log is cut into frames, and wherever it is restored, alerts and state are the same."""

from functools import partial
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import FRAMES
from schemas.enums import ExecKind, OrdType, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from surveillance import LayeringDetector, LayeringParameters, Tracking, TradingWatch

INSTRUMENTS = load_instruments(None)
DTYPE = FRAMES["execution_frame"].dtype
STEP_NS = 250_000_000
# Small bounds, so that random trading reaches every edge of them: fading, forgetting, deadlines.
RULES = LayeringParameters(
    orders_min=2, levels_min=2, imbalance_min=2, canceled_percent_min=60, filled_percent_max=40, layers_max=8, executions_max=3,
)  # fmt: skip
DETECTORS = (partial(LayeringDetector, parameters=RULES),)
TRACKING = Tracking(orders_max=40, interest_ns=4 * STEP_NS)


def random_tape(seed: int, steps: int) -> Any:
    """A small market of three accounts in two instruments: orders rest, trade, expire, are canceled, mostly a whole side at once."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(steps, DTYPE)
    live: dict[int, list[int]] = {}
    leaving: list[int] = []
    for index in range(steps):
        row = rows[index]
        row["transact_time"] = 1 + (rows[index - 1]["transact_time"] if index else 0) + int(rng.integers(0, 3)) * STEP_NS
        action, ids = rng.random(), list(live)
        while leaving and leaving[-1] not in live:
            leaving.pop()
        if leaving:
            _end(row, leaving[-1], live.pop(leaving.pop()), rng)
        elif action < 0.55 or len(ids) < 2:
            _new(row, index + 1, rng, live)
        elif action < 0.75:
            order_id, contra_id = rng.choice(ids, 2, replace=False)
            _trade(row, order_id, contra_id, rng, live)
        elif action < 0.80:
            _change(row, int(rng.choice(ids)), rng, live)
        elif action < 0.97:
            one = live[int(rng.choice(ids))]
            leaving = [order_id for order_id, other in live.items() if (other[0], other[1], other[3]) == (one[0], one[1], one[3])]
            _end(row, leaving[-1], live.pop(leaving.pop()), rng)
        else:
            row["kind"] = ExecKind.TIME
    return rows


def _new(row: Any, order_id: int, rng: Any, live: dict[int, list[int]]) -> None:
    account, side, qty = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 50))
    row["kind"], row["order_id"], row["account"], row["side"] = ExecKind.NEW, order_id, account, side
    row["qty"] = row["leaves_qty"] = qty
    row["instrument"], row["price"], row["ord_type"] = (
        rng.integers(1, 3),
        rng.integers(1, 20),
        rng.choice([OrdType.LIMIT] * 9 + [OrdType.MARKET]),
    )
    row["time_in_force"] = TimeInForce.DAY
    row["display_qty"] = qty if row["ord_type"] == OrdType.LIMIT and order_id % 8 else 0
    live[order_id] = [account, side, qty, int(row["instrument"])]


def _trade(row: Any, order_id: int, contra_id: int, rng: Any, live: dict[int, list[int]]) -> None:
    order, contra = live[int(order_id)], live[int(contra_id)]
    qty = int(rng.integers(1, 1 + min(order[2], contra[2])))
    row["kind"], row["order_id"], row["contra_order_id"], row["qty"] = ExecKind.TRADE, order_id, contra_id, qty
    row["account"], row["side"], row["instrument"], row["price"] = order[0], order[1], order[3], 10
    for one, column, number in ((order, "leaves_qty", order_id), (contra, "contra_leaves_qty", contra_id)):
        one[2] -= qty
        row[column] = one[2]
        row["display_qty"] = rng.integers(0, one[2] + 1)
        if one[2] == 0:
            del live[int(number)]


def _change(row: Any, order_id: int, rng: Any, live: dict[int, list[int]]) -> None:
    """A replace to another price or quantity, an election, or a restatement by the engine."""
    order = live[order_id]
    row["kind"] = rng.choice([ExecKind.REPLACED] * 3 + [ExecKind.TRIGGERED, ExecKind.RESTATED])
    row["order_id"], row["account"], row["side"], row["instrument"] = order_id, order[0], order[1], order[3]
    row["price"], row["ord_type"] = rng.integers(1, 20), OrdType.LIMIT
    if row["kind"] == ExecKind.REPLACED:
        order[2] = int(rng.integers(1, 50))
        row["qty"] = order[2] + int(rng.integers(0, 5))
    elif row["kind"] == ExecKind.RESTATED:
        row["reason"] = rng.choice([Reason.PEG_REPRICED, Reason.PEG_PARKED, Reason.PRICE_BAND, Reason.ICEBERG_REPLENISHED])
    row["leaves_qty"] = order[2]
    row["display_qty"] = rng.integers(0, order[2] + 1)


def _end(row: Any, order_id: int, order: list[int], rng: Any) -> None:
    by_owner = rng.random() < 0.97
    row["kind"] = ExecKind.CANCELED if by_owner else ExecKind.EXPIRED
    row["reason"] = Reason.REQUESTED_BY_CUSTOMER if by_owner else Reason.END_OF_DAY
    row["order_id"], row["account"], row["side"], row["qty"], row["instrument"] = order_id, order[0], order[1], order[2], order[3]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 400), max_size=5), restored=st.lists(st.booleans(), min_size=6, max_size=6)
)
def test_any_cut_and_any_restore_give_the_same_alerts_and_state(seed: int, cuts: list[int], restored: list[bool]) -> None:
    """One frame at once equals many frames, with the watch thrown away and restored from its snapshot between some of them."""
    tape = random_tape(seed, 400)
    whole = TradingWatch(INSTRUMENTS, DETECTORS, TRACKING)
    expected = whole.apply(tape, "executions/0@1")
    watch, alerts = TradingWatch(INSTRUMENTS, DETECTORS, TRACKING), []
    for part, again in zip(np.split(tape, sorted(cuts)), restored, strict=False):
        alerts += watch.apply(part, "executions/0@1")
        if again:
            before = watch.state_hash()
            watch = TradingWatch.restore(INSTRUMENTS, {name: array.copy() for name, array in watch.snapshot().items()}, DETECTORS, TRACKING)
            assert watch.state_hash() == before
    assert alerts == expected
    assert watch.state_hash() == whole.state_hash()
    assert watch.stats().orders_tracked <= TRACKING.orders_max


def test_random_tapes_do_raise_alerts() -> None:
    """The property above is about something: the random market reaches the rule in many ways."""
    found = [
        alert
        for seed in range(20)
        for alert in TradingWatch(INSTRUMENTS, DETECTORS, TRACKING).apply(random_tape(seed, 400), "executions/0@1")
    ]
    assert len(found) > 20
    assert {alert["side"] for alert in found} == {Side.BUY.name, Side.SELL.name}
