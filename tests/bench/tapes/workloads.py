"""Every workload of the engine bench by its name. Same name, size and seed: same tape, byte for byte."""

from collections.abc import Callable
from typing import Final

from tapes.tape import Tape
from tapes.workload_depth import auction, deep_cancel, sweep
from tapes.workload_mix import features_on, itch_mix
from tapes.workload_survey import SWINGS, survey

Generator = Callable[[int, int], Tape]


def _survey(workload: str) -> Generator:
    return lambda orders, seed: survey(workload, orders, seed)


def _many_symbols(symbols: int) -> Generator:
    return lambda orders, seed: itch_mix(
        orders, seed, symbols=symbols, resting=min(orders, 100_000), pareto=True, workload=f"many-symbols-{symbols}"
    )


WORKLOADS: Final[dict[str, Generator]] = {
    **{workload: _survey(workload) for workload in SWINGS},
    "itch-mix": lambda orders, seed: itch_mix(orders, seed, resting=min(orders, 20_000)),
    "many-symbols-1000": _many_symbols(1_000),
    "many-symbols-10000": _many_symbols(10_000),
    "deep-cancel-1M": lambda orders, seed: deep_cancel(orders // 2, seed, resting=orders, workload="deep-cancel-1M"),
    "deep-cancel-4M": lambda orders, seed: deep_cancel(orders, seed, resting=4 * orders, workload="deep-cancel-4M"),
    "sweep": sweep,
    "features-on": features_on,
    "auction": auction,
}
"""name -> function of (orders, seed). `orders` of 1,000,000 is the size that the names and the figures mean; with fewer, books are less deep too."""

ORDERS: Final = 1_000_000


def make(workload: str, orders: int, seed: int) -> Tape:
    """The tape of a workload. A survey mix of fewer orders is the beginning of the full one, as its prices move over the whole of it."""
    if workload in SWINGS and orders < ORDERS:
        return WORKLOADS[workload](ORDERS, seed).head(2 * orders)
    return WORKLOADS[workload](orders, seed)
