"""What TLS and logins between services cost: a secure set beside a plain one, the same orders to each in turn. JSON lines, one per rate.

    python tests/bench/bench_secure.py                                         # 200 and 2,000 orders a second, four pairs of rounds each
    python tests/bench/bench_secure.py --rate 1000 --pairs 6 --seconds 20

Both sets run all the time, each with every service and role, so each round bears the idle half of the other set. The rounds of a pair follow one
another, and every other pair begins with the other set: what slows the machine down slows both. Orders and latencies are those of latency.py; a ratio
is secure / plain of one pair, and the median of the pairs is told. The processor time is that of all processes of a set, per order.
"""

import secrets
import statistics
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import click
import uvloop
from harness.result_lines import print_result
from harness.running_set import running_set
from latency import DOORS, Warm, one_round, prepare

from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from streams.operate.accounts import ApiKey
from streams.services.commands import role_names

PLAIN: Final = "plain"
SECURE: Final = "secure"
COMPARED: Final = ("cpu_ms_per_order", "p50_ms", "p99_ms", "answer_p50_ms", "answer_p99_ms")


@dataclass
class Measured:
    """A running set, and what its rounds have given."""

    settings: Settings
    keys: list[ApiKey]
    rounds: list[dict[str, Any]] = field(default_factory=list)


async def measure(
    sets: dict[str, Measured], instruments: InstrumentTable, door: str, rate: float, seconds: float, warm_s: float, pairs: int
) -> None:
    """Rounds of one rate, of both sets in turn."""
    run = secrets.token_hex(3)
    async with aiohttp.ClientSession() as session:
        for number, name in enumerate(order_of(pairs)):
            one = sets[name]
            load = DOORS[door](one.settings, one.keys, instruments)
            one.rounds.append(await one_round(session, one.settings, load, Warm(rate, warm_s), rate, seconds, f"{run}{number}"))


def order_of(pairs: int) -> list[str]:
    """Of the rounds."""
    return [name for pair in range(pairs) for name in ((PLAIN, SECURE) if pair % 2 == 0 else (SECURE, PLAIN))]


def compared(plain: list[dict[str, Any]], secure: list[dict[str, Any]]) -> dict[str, Any]:
    """Each figure of both, round by round, and the ratio of pairs: secure / plain. Of processes, the medians by name."""
    found: dict[str, Any] = {"orders": sum(one["orders"] for one in plain)}
    for name in COMPARED:
        values = [(p[name], s[name]) for p, s in zip(plain, secure, strict=True) if p[name] and s[name]]
        ratios = [round(s / p, 3) for p, s in values]
        found |= {
            f"{name}_plain": round(statistics.median([p for p, _ in values]), 3) if values else None,
            f"{name}_secure": round(statistics.median([s for _, s in values]), 3) if values else None,
            f"{name}_ratios": ratios, f"{name}_ratio": round(statistics.median(ratios), 3) if ratios else None,
        }  # fmt: skip
    by_process = {PLAIN: _by_process(plain), SECURE: _by_process(secure)}
    failures = {name: _united(rounds) for name, rounds in ((PLAIN, plain), (SECURE, secure))}
    return found | {"cpu_ms_per_order_by_process": by_process, "failures": failures}


def _by_process(rounds: list[dict[str, Any]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in rounds for name in one["cpu_ms_per_order_by_process"])
    return {name: round(statistics.median([one["cpu_ms_per_order_by_process"].get(name, 0.0) for one in rounds]), 3) for name in names}


def _united(rounds: list[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in rounds:
        for what, count in one["failures"].items():
            found[what] = found.get(what, 0) + count
    return found


@click.command()
@click.option(
    "--rate", "rates", multiple=True, type=float, default=(200.0, 2000.0), show_default=True, help="Orders per second; may be repeated."
)
@click.option("--door", type=click.Choice(list(DOORS)), default="native", show_default=True, help="How orders are sent.")
@click.option("--pairs", default=4, show_default=True, help="Of rounds, one of each set.")
@click.option("--seconds", default=10.0, show_default=True, help="Measured time of each round.")
@click.option("--warm", "warm_s", default=3.0, show_default=True, help="Seconds at the rate before each is measured.")
def main(rates: tuple[float, ...], door: str, pairs: int, seconds: float, warm_s: float) -> None:
    """The same load to a plain set and to a secure one in turn: ratios of processor time an order, and of latencies."""
    with running_set(None, role_names(), secure=False) as plain, running_set(None, role_names(), secure=True) as secure:
        instruments = load_instruments(plain.instruments_file)
        keys = [prepare(settings, instruments) for settings in (plain, secure)]
        for rate in rates:
            sets = {PLAIN: Measured(plain, keys[0]), SECURE: Measured(secure, keys[1])}
            uvloop.run(measure(sets, instruments, door, rate, seconds, warm_s, pairs))
            figures = compared(sets[PLAIN].rounds, sets[SECURE].rounds)
            print_result("secure", {"door": door, "rate_per_s": rate, "pairs": pairs, "seconds": seconds} | figures)


if __name__ == "__main__":
    main()
