"""The one-symbol mixes by which a survey of open matching engines compared them: calm, normal, swing and crash.

The mid price is a geometric Brownian motion around 167.52 (tick 0.005) whose highest and lowest price lie `swing` of the first apart. An order is k ticks
away from mid, k in 0..799 with weight 1 / (k + 1)^2.23 + 5 exp(-(k - 8)^2 / 2); half buys, half sells; quantity uniform 1..100. Time advances 1 us per order.
15 % are IOC. 95 % of the rest are cancelled after an exponential life, mean 431 us / sqrt(1 + k), counted from a modify if there is one; 2 % of the cancels
come twice; 2 % of all orders get a modify that comes after their cancel. A modify adds one to the quantity and, four times in five, goes a tick towards the
market: cancel and re-enter.
What is asked for is 50 % new, 41 % cancel, 9 % modify *of the messages*. "5 % of orders modified" would give 3.5 %, so MODIFIED is what gives the 9 %: more
work than the sentence asks for, never less.
"""

from typing import Final

import numpy as np
from tapes.tape import Numbers, Tape, about, away, bench_instruments, limit_orders, merged, session_change, shuffled_sides, weighted

from schemas.codec import Rows
from schemas.enums import BookCommandKind, Phase, Side, TimeInForce

SWINGS: Final = {"survey-calm": 0.0, "survey-normal": 0.02, "survey-swing": 0.25, "survey-crash": 0.60}

FIRST_PX: Final = 33_504
"""167.52 in ticks of 0.005."""
LEVELS: Final = 800
IOC, CANCELLED, DUPLICATE, STALE = 0.15, 0.95, 0.02, 0.02
MODIFIED: Final = 0.19
"""Of the orders that may rest; see above."""
MODIFY_US: Final = (30, 100)
TOWARDS_MARKET: Final = 0.8
LIFE_US: Final = 431.0
ACCOUNTS: Final = 1_000


def survey(workload: str, orders: int, seed: int) -> Tape:
    """The tape of one mix, about two messages per order."""
    rng = np.random.default_rng(seed)
    level = weighted(rng, level_weights(), orders)
    new = limit_orders(orders)
    new["side"] = shuffled_sides(rng, orders)
    new["price"] = away(new["side"], mid_prices(rng, SWINGS[workload], orders), level)
    new["order_qty"] = rng.integers(1, 101, orders)
    new["account"] = rng.integers(1, ACCOUNTS + 1, orders)
    ioc = rng.random(orders) < IOC
    new["time_in_force"][ioc] = TimeInForce.IOC
    entered = np.arange(1, orders + 1, dtype=np.float64)
    modified = ~ioc & (rng.random(orders) < MODIFIED)
    modify_at = entered + rng.uniform(*MODIFY_US, orders)
    leaves_at = np.where(modified, modify_at, entered) + rng.exponential(LIFE_US / np.sqrt(1 + level))
    cancelled = np.flatnonzero(~ioc & (rng.random(orders) < CANCELLED))
    twice = cancelled[rng.random(len(cancelled)) < DUPLICATE]
    stale = rng.choice(cancelled, min(round(STALE * orders), len(cancelled)), replace=False)
    later = rng.uniform(*MODIFY_US, orders)
    rows = merged(
        [
            (entered, new),
            (modify_at[modified], modifies(rng, new[modified])),
            (leaves_at[cancelled], about(BookCommandKind.CANCEL, new[cancelled])),
            (leaves_at[twice] + later[twice], about(BookCommandKind.CANCEL, new[twice])),
            (leaves_at[stale] + later[stale], modifies(rng, new[stale])),
        ],
        1_000,
    )
    instruments = bench_instruments(1, tick="0.005", reference="167.52")
    return Tape(workload, seed, instruments, session_change(Phase.CONTINUOUS), rows)


def level_weights() -> Numbers:
    """How often an order is k ticks away from mid."""
    k = np.arange(LEVELS, dtype=np.float64)
    weights: Numbers = 1 / (k + 1) ** 2.23 + 5 * np.exp(-((k - 8) ** 2) / 2)
    return weights


def mid_prices(rng: np.random.Generator, swing: float, count: int) -> Numbers:
    """Ticks: a geometric Brownian motion scaled so that its range is `swing` of the first price; its longer way is downwards."""
    if not swing:
        return np.full(count, FIRST_PX)
    walk = np.cumsum(rng.standard_normal(count)) / np.sqrt(count)
    if walk.max() > -walk.min():
        walk = -walk
    low, high = 0.0, 10.0
    for _ in range(60):  # the range grows with the volatility: bisect
        volatility = (low + high) / 2
        path = np.exp(volatility * np.array([walk.min(), 0.0, walk.max()]))
        low, high = (volatility, high) if path.max() - path.min() < swing else (low, volatility)
    prices: Numbers = np.rint(FIRST_PX * np.exp(low * walk)).astype(np.int64)
    return prices


def modifies(rng: np.random.Generator, orders: Rows) -> Rows:
    """REPLACE rows of the orders."""
    rows = about(BookCommandKind.REPLACE, orders)
    rows["time_in_force"] = 255
    rows["order_qty"] = orders["order_qty"] + 1
    inwards = np.where(orders["side"] == Side.BUY, 1, -1)
    rows["price"] = orders["price"] + inwards * (rng.random(len(orders)) < TOWARDS_MARKET)
    return rows
