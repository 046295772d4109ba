"""The watch is a function of its rows: however the log is cut into frames, and wherever it is restored, alerts and state are the same."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import FRAMES, encode_record
from schemas.enums import ExecFlag, ExecKind, OrdType, Phase, Side, TimeInForce
from schemas.errors import StaleData
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from surveillance import EpisodeRules, LayeringDetector, LayeringParameters, Owners, Place, Tracking, TradingWatch
from surveillance.detectors import PATTERNS
from surveillance.detectors.circular_trading import CircularTradingDetector, CircularTradingParameters
from surveillance.detectors.erroneous_order import ErroneousOrderDetector, ErroneousOrderParameters
from surveillance.detectors.floor_and_ceiling import FloorAndCeilingDetector, FloorAndCeilingParameters
from surveillance.detectors.front_running import FrontRunningDetector, FrontRunningParameters
from surveillance.detectors.indicative_price import IndicativePriceDetector, IndicativePriceParameters
from surveillance.detectors.marking_the_close import MarkingTheCloseDetector, MarkingTheCloseParameters
from surveillance.detectors.matched_orders import MatchedOrdersDetector, MatchedOrdersParameters
from surveillance.detectors.momentum_ignition import MomentumIgnitionDetector, MomentumIgnitionParameters
from surveillance.detectors.order_to_trade import OrderToTradeDetector, OrderToTradeParameters
from surveillance.detectors.painting_the_tape import PaintingTheTapeDetector, PaintingTheTapeParameters
from surveillance.detectors.pinging import PingingDetector, PingingParameters
from surveillance.detectors.pump_and_dump import PumpAndDumpDetector, PumpAndDumpParameters
from surveillance.detectors.quote_stuffing import QuoteStuffingDetector, QuoteStuffingParameters
from surveillance.detectors.ramping import RampingDetector, RampingParameters
from surveillance.detectors.spoofing import SpoofingDetector, SpoofingParameters
from surveillance.detectors.unbalanced_cancel import UnbalancedCancelDetector, UnbalancedCancelParameters
from surveillance.detectors.wash_trade import WashTradeDetector

INSTRUMENTS = load_instruments(None)
DTYPE = FRAMES["execution_frame"].dtype
STEP_NS = 250_000_000
# Small bounds, so that random trading reaches every edge of them: fading, forgetting, deadlines, closing.
DEPTH = {"imbalance_min": 2, "canceled_percent_min": 60, "filled_percent_max": 40, "layers_max": 8, "executions_max": 3}
DETECTORS = (
    partial(LayeringDetector, parameters=LayeringParameters(orders_min=2, levels_min=2, **DEPTH)),
    partial(SpoofingDetector, parameters=SpoofingParameters(level_sizes_min=1, layering_orders=3, layering_levels=3, attempts_min=2, strong_imbalance_min=6, **DEPTH)),
    WashTradeDetector,
    partial(MatchedOrdersDetector, parameters=MatchedOrdersParameters(pairs_min=1, times_min=0, size_percent_max=60, filled_percent_min=20, pairs_max=2)),
    partial(CircularTradingDetector, parameters=CircularTradingParameters(trades_min=3, inside_percent_min=10, net_percent_max=90)),
    partial(MarkingTheCloseDetector, parameters=MarkingTheCloseParameters(size_min=1, move_permille_min=0, ticks_min=0, orders_min=1)),
    partial(PaintingTheTapeDetector, parameters=PaintingTheTapeParameters(trades_min=1, moving_percent_min=1, times_min=0, size_percent_max=10_000, net_percent_max=90)),
    partial(MomentumIgnitionDetector, parameters=MomentumIgnitionParameters(levels_min=2, orders_min=2, size_min=1, closed_percent_min=5, offered_percent_min=5, led_times_min=0, two_sided_percent_max=900, runs_max=3)),
    partial(RampingDetector, parameters=RampingParameters(5, 1, 30, 5, 0, 1, 1)),
    partial(QuoteStuffingDetector, parameters=QuoteStuffingParameters(4, 30, 2 * STEP_NS, 20, 60)),
    partial(OrderToTradeDetector, parameters=OrderToTradeParameters(orders_min=5, number_max=1, volume_max=1)),
    partial(UnbalancedCancelDetector, parameters=UnbalancedCancelParameters(2, 1, 1, 1, 5)),
    partial(ErroneousOrderDetector, parameters=ErroneousOrderParameters(50, 2, 1, 2)),
    partial(PingingDetector, parameters=PingingParameters(80, 1, 8 * STEP_NS, 8 * STEP_NS, 1, 1, 2)),
    partial(IndicativePriceDetector, parameters=IndicativePriceParameters(1, 0, 10)),
    partial(FrontRunningDetector, parameters=FrontRunningParameters(0, 40 * STEP_NS, 0, 0, 900, 40 * STEP_NS, 5, 4, 2)),
    partial(FloorAndCeilingDetector, parameters=FloorAndCeilingParameters(4, STEP_NS, 1, 1, 1, 900, 90_000, 200 * STEP_NS, 3)),
    partial(PumpAndDumpDetector, parameters=PumpAndDumpParameters(1, 10**15, 1, 200, -200, 1, 1, 1, 2)),
)  # fmt: skip
TRACKING = Tracking(orders_max=40, interest_ns=4 * STEP_NS)
RULES = EpisodeRules(quiet_ns=20 * STEP_NS, revise_ns=6 * STEP_NS, evidence_max=5, episodes_max=6)
OWNER_SETS = f"""
[[owner_set]]
effective_from = {20 * STEP_NS}
groups = [[1, 2]]
[[owner_set]]
effective_from = {200 * STEP_NS}
groups = [[2, 3]]
members = [{{ own = [1], customers = [2] }}]
"""


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
        elif action < 0.90:
            one = live[int(rng.choice(ids))]
            leaving = [order_id for order_id, other in live.items() if (other[0], other[1], other[3]) == (one[0], one[1], one[3])]
            _end(row, leaving[-1], live.pop(leaving.pop()), rng)
        else:
            _market(row, rng)
    return rows


def _market(row: Any, rng: Any) -> None:
    """Time goes on, sometimes far; a level, the touch, the phase or the indicative price changes."""
    row["kind"] = rng.choice(
        [ExecKind.TIME, ExecKind.LEVEL, ExecKind.TOP, ExecKind.SECURITY_STATUS, ExecKind.AUCTION_INDICATIVE, ExecKind.AUCTION_INDICATIVE]
    )
    row["instrument"], row["side"], row["price"] = rng.integers(1, 3), rng.integers(1, 3), rng.integers(1, 20)
    row["qty"], row["phase"] = (
        rng.integers(0, 50),
        rng.choice([Phase.CONTINUOUS] * 3 + [Phase.CLOSING_AUCTION, Phase.OPENING_AUCTION, Phase.CLOSED]),
    )
    if row["kind"] == ExecKind.TIME:
        row["transact_time"] += int(rng.choice([0, 0, 40, 120])) * 1_000_000_000


def _new(row: Any, order_id: int, rng: Any, live: dict[int, list[int]]) -> None:
    account, side, qty = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 50))
    row["kind"], row["order_id"], row["account"], row["side"] = ExecKind.NEW, order_id, account, side
    row["qty"] = row["leaves_qty"] = qty
    row["instrument"], row["price"], row["ord_type"] = (
        rng.integers(1, 3),
        rng.integers(1, 20),
        rng.choice([OrdType.LIMIT] * 9 + [OrdType.MARKET]),
    )
    row["time_in_force"] = rng.choice([TimeInForce.DAY] * 4 + [TimeInForce.IOC])
    row["display_qty"] = qty if row["ord_type"] == OrdType.LIMIT and order_id % 8 else 0
    live[order_id] = [account, side, qty, int(row["instrument"])]


def _trade(row: Any, order_id: int, contra_id: int, rng: Any, live: dict[int, list[int]]) -> None:
    order, contra = live[int(order_id)], live[int(contra_id)]
    qty = int(rng.integers(1, 1 + min(order[2], contra[2])))
    row["kind"], row["order_id"], row["contra_order_id"], row["qty"] = ExecKind.TRADE, order_id, contra_id, qty
    row["account"], row["side"], row["instrument"], row["price"] = order[0], order[1], order[3], rng.integers(8, 13)
    row["contra_account"], row["trd_match_id"], row["flags"] = contra[0], row["transact_time"], rng.choice([0, 0, 0, ExecFlag.UNCROSS])
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


def new_watch() -> TradingWatch:
    """With all detectors, and owners that change twice."""
    return TradingWatch(INSTRUMENTS, DETECTORS, TRACKING, RULES, Owners.of_toml(OWNER_SETS))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 400), max_size=5), restored=st.lists(st.booleans(), min_size=6, max_size=6)
)
def test_any_cut_and_any_restore_give_the_same_alerts_and_state(seed: int, cuts: list[int], restored: list[bool]) -> None:
    """One frame at once equals many frames, with the watch thrown away and restored from its snapshot between some of them."""
    tape = random_tape(seed, 400)
    whole = new_watch()
    expected = whole.apply(tape, Place(first_seq=1))
    watch, alerts, seq = new_watch(), [], 1
    for part, again in zip(np.split(tape, sorted(cuts)), restored, strict=False):
        alerts += watch.apply(part, Place(first_seq=seq))
        seq += len(part)
        if again:
            before = watch.state_hash()
            arrays = {name: array.copy() for name, array in watch.snapshot().items()}
            watch = TradingWatch.restore(INSTRUMENTS, arrays, DETECTORS, TRACKING, RULES, Owners.of_toml(OWNER_SETS))
            assert watch.state_hash() == before
    assert [encode_record("alert", one) for one in alerts] == [encode_record("alert", one) for one in expected]
    assert watch.state_hash() == whole.state_hash()
    assert watch.stats().orders_tracked <= TRACKING.orders_max
    assert watch.stats().episodes_open <= RULES.episodes_max


def test_random_tapes_reach_every_pattern() -> None:
    """The property above is about something: the random market completes each pattern, opens, revises and closes episodes."""
    found = [one for seed in range(40) for one in new_watch().apply(random_tape(seed, 400), Place(first_seq=1))]
    assert {one["pattern"] for one in found} == {pattern.name.upper() for pattern in PATTERNS}
    assert {one["status"] for one in found} == {"OPEN", "CLOSED"}
    assert max(one["revision"] for one in found) >= 3
    assert {len(one["accounts"]) for one in found} >= {1, 2}
    assert {one["side"] for one in found} == {Side.BUY.name, Side.SELL.name}


def test_another_owner_set_of_the_past_is_refused_and_one_of_the_future_is_not() -> None:
    """A snapshot names the sets that were in effect."""
    watch = new_watch()
    watch.apply(random_tape(1, 100)[:60], Place(first_seq=1))
    arrays = {name: array.copy() for name, array in watch.snapshot().items()}
    later = OWNER_SETS + f"[[owner_set]]\neffective_from = {10**18}\ngroups = [[1, 3]]\n"
    TradingWatch.restore(INSTRUMENTS, arrays, DETECTORS, TRACKING, RULES, Owners.of_toml(later))
    with pytest.raises(StaleData, match="owner sets"):
        TradingWatch.restore(INSTRUMENTS, arrays, DETECTORS, TRACKING, RULES, Owners.of_toml(OWNER_SETS.replace("[1, 2]", "[1, 3]")))
