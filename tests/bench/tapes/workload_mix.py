"""The mix of a real trading day over many symbols, and the same with every feature in use: itch-mix, many-symbols and features-on.

Ratios of a NASDAQ day (AAPL: 698,744 adds, 654,457 deletes, 96,968 replaces; executions follow from the orders that take): for each order that may rest 0.937
cancels and 0.139 replaces. 5 % of the orders are market, 5 % IOC, 2 % FOK, 3 % stop, 5 % post-only, 10 % of the limit orders cross. Distances from mid have
weight n^-1.5 up to 200 ticks, sizes n^-2 up to 1,000, accounts 1/n of 10,000. Self-match prevention: 70 % none, 10 % each cancel newest, oldest, both.
Mid prices stand still. Orders live exponentially, so long that as many come as go, and the book is filled outside the clock with orders whose
remaining lives are of the same law: it is as deep at the end of a tape as at its beginning. Stops live as other orders do.
many-symbols has Pareto activity: the symbol of rank n gets n^(-1/1.16), which is 80 % on 20 %.
features-on adds: 10 % of limit orders are icebergs, 1 % come as OCO pairs; 2,000 dormant stops and 200 pegs at the start, LULD bands (tier 1) with a TIMER
every 1,000 orders.
"""

from typing import Final

import numpy as np
from tapes.tape import (
    REFERENCE_PX,
    Numbers,
    Tape,
    about,
    away,
    bench_instruments,
    empty_rows,
    limit_orders,
    merged,
    power_law,
    session_change,
    shuffled_sides,
    weighted,
)

from schemas.codec import Rows
from schemas.enums import BookCommandKind, ContingencyType, ExecInst, OrdType, PegPriceType, Phase, SelfMatchPrevention, Side, TimeInForce
from schemas.instruments import InstrumentTable

CANCELS, REPLACES = 654_457 / 698_744, 96_968 / 698_744
MARKET, IOC, FOK, STOP, POST_ONLY, CROSSING = 0.05, 0.05, 0.02, 0.03, 0.05, 0.10
RESTING: Final = 1 - MARKET - IOC - FOK
"""Share of the orders that may rest, or wait dormant."""
DISTANCE_MAX, SIZE_MAX, ACCOUNTS = 200, 1_000, 10_000
PREVENTION: Final = (
    (SelfMatchPrevention.NONE, 0.7), (SelfMatchPrevention.CANCEL_NEWEST, 0.1), (SelfMatchPrevention.CANCEL_OLDEST, 0.1),
    (SelfMatchPrevention.CANCEL_BOTH, 0.1),
)  # fmt: skip
PARETO: Final = 1.16
ORDER_NS: Final = 10_000
ICEBERG, OCO = 0.10, 0.01
STOPS_AT_FIRST, PEGS_AT_FIRST = 2_000, 200
TIMER_EVERY: Final = 1_000


def itch_mix(
    orders: int, seed: int, *, symbols: int = 100, resting: int = 20_000, pareto: bool = False, workload: str = "itch-mix"
) -> Tape:
    """The tape; `resting` is how many orders the cancels would keep in the books if none traded."""
    rng = np.random.default_rng(seed)
    prefill = plain_orders(rng, resting, symbols, pareto)
    new = plain_orders(rng, orders, symbols, pareto)
    new["order_id"] += resting
    make_kinds(rng, new)
    entered = np.arange(1, orders + 1, dtype=np.float64)
    both = np.concatenate([prefill, new])
    parts = [(entered, new), *endings(rng, both, np.concatenate([np.zeros(resting), entered]), resting / RESTING, float(orders))]
    setup = np.concatenate([session_change(Phase.CONTINUOUS), prefill])
    return Tape(workload, seed, bench_instruments(symbols), setup, merged(parts, ORDER_NS))


def features_on(orders: int, seed: int) -> Tape:
    """itch-mix with icebergs, stops, pegs, OCO pairs and price bands at work."""
    symbols, resting = 100, min(orders, 20_000)
    rng = np.random.default_rng(seed)
    prefill = np.concatenate([plain_orders(rng, resting, symbols), first_stops(rng, symbols), first_pegs(rng, symbols)])
    prefill["order_id"] = np.arange(1, len(prefill) + 1) + (prefill["order_id"][0] - 1)
    new = plain_orders(rng, orders, symbols)
    new["order_id"] += len(prefill)
    make_kinds(rng, new)
    make_icebergs(rng, new)
    entered = np.arange(1, orders + 1, dtype=np.float64)
    entered, new = with_pairs(rng, entered, new)
    both = np.concatenate([prefill[:resting], new])
    parts = [(entered, new), *endings(rng, both, np.concatenate([np.zeros(resting), entered]), resting / RESTING, float(orders))]
    ticks = np.arange(TIMER_EVERY, orders, TIMER_EVERY) + 0.5
    timers = empty_rows(len(ticks))
    timers["kind"] = BookCommandKind.TIMER
    setup = np.concatenate([session_change(Phase.CONTINUOUS), prefill])
    instruments: InstrumentTable = bench_instruments(symbols, luld_tier=1)
    return Tape("features-on", seed, instruments, setup, merged([*parts, (ticks, timers)], ORDER_NS))


def plain_orders(rng: np.random.Generator, count: int, symbols: int, pareto: bool = False) -> Rows:
    """Limit orders that do not cross."""
    rows = limit_orders(count)
    activity = np.arange(1, symbols + 1, dtype=np.float64) ** (-1 / PARETO if pareto else 0)
    rank_to_number = 1 + rng.permutation(symbols)  # the busy ones are not neighbours in memory
    rows["instrument"] = rank_to_number[weighted(rng, activity, count)]
    rows["side"] = shuffled_sides(rng, count)
    rows["account"] = power_law(rng, 1.0, ACCOUNTS, count)
    rows["order_qty"] = power_law(rng, 2.0, SIZE_MAX, count)
    rows["price"] = away(rows["side"], REFERENCE_PX, power_law(rng, 1.5, DISTANCE_MAX, count))
    modes = np.array([mode for mode, _ in PREVENTION], np.uint8)
    rows["self_match_prevention_instruction"] = modes[weighted(rng, np.array([share for _, share in PREVENTION]), count)]
    rows["self_match_prevention_id"] = rows["account"]
    return rows


def make_kinds(rng: np.random.Generator, rows: Rows) -> None:
    """Make the stated shares of the orders market, IOC, FOK, stop, post-only; let a tenth of the limit orders cross."""
    kind = weighted(rng, np.array([MARKET, IOC, FOK, STOP, POST_ONLY, 1 - MARKET - IOC - FOK - STOP - POST_ONLY]), len(rows))
    market, ioc, fok, stop, post_only, plain = (kind == one for one in range(6))
    distance = np.abs(rows["price"] - REFERENCE_PX)
    takes = market | ioc | fok | (plain & (rng.random(len(rows)) < CROSSING))
    rows["price"][takes] = away(rows["side"], REFERENCE_PX, -distance)[takes]
    rows["ord_type"][market], rows["price"][market] = OrdType.MARKET, 0
    rows["time_in_force"][market | ioc] = TimeInForce.IOC
    rows["time_in_force"][fok] = TimeInForce.FOK
    rows["exec_inst"][post_only] = ExecInst.POST_ONLY
    make_stops(rng, rows, np.flatnonzero(stop))


def make_stops(rng: np.random.Generator, rows: Rows, which: Numbers) -> None:
    """Half STOP, half STOP_LIMIT with five ticks of room, `distance` beyond the market."""
    side = rows["side"][which]
    distance = np.abs(rows["price"][which] - REFERENCE_PX)
    limited = rng.random(len(which)) < 0.5
    stop_px = away(side, REFERENCE_PX, -1 - distance)
    rows["stop_px"][which] = stop_px
    rows["ord_type"][which] = np.where(limited, OrdType.STOP_LIMIT, OrdType.STOP)
    rows["price"][which] = np.where(limited, away(side, stop_px, np.full(len(which), -5)), 0)


def endings(rng: np.random.Generator, orders: Rows, entered: Numbers, life: float, end: float) -> list[tuple[Numbers, Rows]]:
    """Cancels and replaces of the orders that may rest, up to time `end` (unit: one new order)."""
    may_rest = np.flatnonzero(np.isin(orders["time_in_force"], (TimeInForce.DAY, TimeInForce.GTC)))
    lives = rng.exponential(life, len(may_rest))
    leaves_at = entered[may_rest] + lives
    cancelled = (rng.random(len(may_rest)) < CANCELS) & (leaves_at < end)
    # the first event of a Poisson process comes before the end of an exponential life with probability rate / (rate + 1 / life)
    limits = orders["ord_type"][may_rest] == OrdType.LIMIT
    share = REPLACES / limits.mean()
    replace_at = entered[may_rest] + rng.exponential(life * (1 - share) / share, len(may_rest))
    had_it = (entered[may_rest] == 0) & (
        rng.random(len(may_rest)) < share
    )  # orders of the book at the beginning are in the midst of their lives
    replaced = limits & ~had_it & (replace_at < leaves_at) & (replace_at < end)
    return [
        (replace_at[replaced], replaces(rng, orders[may_rest[replaced]])),
        (leaves_at[cancelled], about(BookCommandKind.CANCEL, orders[may_rest[cancelled]])),
    ]


def replaces(rng: np.random.Generator, orders: Rows) -> Rows:
    """Half change the price by up to three ticks and stay on their side of mid, three tenths halve their quantity, the others add to it."""
    rows = about(BookCommandKind.REPLACE, orders)
    rows["time_in_force"] = 255
    dice = rng.random(len(orders))
    qty = orders["order_qty"]
    rows["order_qty"] = np.where(dice < 0.5, qty, np.where(dice < 0.8, (qty + 1) // 2, qty + qty // 4 + 1))
    distance = np.maximum(np.abs(orders["price"] - REFERENCE_PX) + rng.choice([-3, -2, -1, 1, 2, 3], len(orders)), 1)
    rows["price"] = np.where(dice < 0.5, away(orders["side"], REFERENCE_PX, distance), 0)
    return rows


def make_icebergs(rng: np.random.Generator, rows: Rows) -> None:
    """A tenth of the limit orders become icebergs that show a tenth of five times their size."""
    rests = (rows["ord_type"] == OrdType.LIMIT) & (rows["time_in_force"] == TimeInForce.DAY)
    iceberg = rests & (rng.random(len(rows)) < ICEBERG)
    rows["display_qty"][iceberg] = np.maximum(rows["order_qty"][iceberg] // 2, 1)
    rows["order_qty"][iceberg] *= 5


def first_stops(rng: np.random.Generator, symbols: int) -> Rows:
    """Dormant stops that no trade near mid elects."""
    rows = plain_orders(rng, STOPS_AT_FIRST, symbols)
    rows["price"] = away(rows["side"], REFERENCE_PX, rng.integers(20, DISTANCE_MAX, len(rows)))
    make_stops(rng, rows, np.arange(len(rows)))
    return rows


def first_pegs(rng: np.random.Generator, symbols: int) -> Rows:
    """Primary pegs one tick behind the best of their own side."""
    rows = plain_orders(rng, PEGS_AT_FIRST, symbols)
    rows["ord_type"], rows["price"], rows["peg_price_type"] = OrdType.PEGGED, 0, PegPriceType.PRIMARY
    rows["offset"] = np.where(rows["side"] == Side.BUY, -1, 1)
    return rows


def with_pairs(rng: np.random.Generator, entered: Numbers, rows: Rows) -> tuple[Numbers, Rows]:
    """1 % of the plain limit orders get a second leg, a stop on the same side, in the next row."""
    plain = (rows["ord_type"] == OrdType.LIMIT) & (rows["time_in_force"] == TimeInForce.DAY) & (rows["exec_inst"] == 0)
    first = np.flatnonzero(plain & (rows["display_qty"] == 0) & (rng.random(len(rows)) < OCO))
    legs = rows[first]
    make_stops(rng, legs, np.arange(len(legs)))
    legs["order_id"] = rows["order_id"][-1] + 1 + np.arange(len(legs), dtype=np.uint64)
    for leg in (rows, legs):
        where = first if leg is rows else np.arange(len(legs))
        leg["contingency_type"][where] = ContingencyType.OCO
        leg["list_id"][where] = 1 + np.arange(len(first))
    place = first + 1
    return np.insert(entered, place, entered[first]), np.insert(rows, place, legs)
