"""What would have fired if a bound of one pattern were another: its detector twice over the same rows, with the parameters of now and with others. Pure.

    what_if = WhatIf(instruments, "LAYERING", {"orders_min": 3}, owner_sets, begin=begin_ns, end=end_ns)
    for offset, frame in ...:
        what_if.take(frame.rows, Place("executions", 0, offset, frame.header.first_seq))
    what_if.comparison(symbols)

Rows before `begin` only tell the detectors what was before; alerts that were first detected in begin <= t < end count. An alert of one side and an
alert of the other are the same if they are of the same accounts and instrument, and nothing quiet for EpisodeRules.quiet_ns lies between them:
another bound may complete a pattern earlier or later. Parameters that bound memory or time are not moved.
"""

import ast
import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from textwrap import dedent
from typing import Any, Final

from schemas.codec import Rows
from schemas.errors import OutcryError
from schemas.instruments import InstrumentTable
from surveillance.alerts import Place
from surveillance.contract import Detector, MakeDetector
from surveillance.detectors import PATTERNS
from surveillance.episodes import EpisodeRules
from surveillance.market import Market
from surveillance.orders import OrderTracker, Tracking
from surveillance.owners import Owners
from surveillance.watch import TradingWatch

SHOWN_MAX: Final = 200
"""Alerts of each kind that are listed, ~1 KB each; all are counted."""
_DAY_NS: Final = 86_400_000_000_000
RANGE_NS_MAX: Final = 31 * _DAY_NS
_FIXED: Final = frozenset({
    "evidence_max", "executions_max", "layers_max", "movers_max", "owners_max", "pairs_max", "runs_max", "searches_max", "trades_max", "walls_max",
})  # fmt: skip
"""What bounds memory, time or evidence."""
_SHOWN: Final = (
    "pattern",
    "symbol",
    "accounts",
    "severity",
    "score",
    "occurrences",
    "steps",
    "counterfactual",
    "evidence_total",
    "episode_key",
)
_TIMES: Final = ("window_start", "window_end", "detected_at")


class BadParameter(OutcryError):
    """There is no such pattern or parameter, or its value is out of range."""


@dataclass(frozen=True)
class Parameter:
    """A bound of a pattern that can be moved. told: the sentence of the detector's table."""

    name: str
    value: int
    low: int
    high: int
    unit: str
    """"ns", "percent", "permille" or "" (a count, lots, ticks or times: `told` says which)."""
    told: str


@dataclass(frozen=True)
class Comparison:
    """Alerts of both, only of the parameters of now, only of the others: how many, and the first SHOWN_MAX of each in order of time."""

    both: int
    only_now: int
    only_then: int
    alerts: dict[str, list[dict[str, Any]]]

    def as_json(self) -> dict[str, Any]:
        """Plain."""
        return asdict(self)


def pattern_names() -> tuple[str, ...]:
    """Of all detectors that run."""
    return tuple(one.name.upper() for one in PATTERNS)


def parameters_of(pattern: str) -> tuple[Parameter, ...]:
    """Those that can be moved. Raises BadParameter for a pattern that there is not."""
    table = _detector(pattern)(OrderTracker(Tracking()), Market()).parameters
    told = _sentences(type(table))
    return tuple(
        Parameter(one.name, getattr(table, one.name), *_range(one.name), told.get(one.name, ""))
        for one in fields(table)
        if one.name not in _FIXED
    )


def changed(pattern: str, values: Mapping[str, int]) -> MakeDetector:
    """The detector with these parameters. Raises BadParameter, which says the range and the sentence of the table."""
    known = {one.name: one for one in parameters_of(pattern)}
    if not values:
        raise BadParameter(f"parameters: name one of {', '.join(known)}")
    for name, value in values.items():
        one = known.get(name)
        if one is None:
            raise BadParameter(f"{name} is no parameter of {pattern} that can be moved: there are {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int) or not one.low <= value <= one.high:
            raise BadParameter(f"{name} must be a whole number from {one.low:,} to {one.high:,}, not {value!r}. {name}: {one.told}")
    if all(values[name] == known[name].value for name in values):
        raise BadParameter(f"parameters: these are those of now: {', '.join(f'{name} {values[name]:,}' for name in values)}")
    detector = _detector(pattern)
    table = detector(OrderTracker(Tracking()), Market()).parameters
    return partial(detector, parameters=replace(table, **values))  # type: ignore[call-arg]


def check_range(begin: int, end: int) -> None:
    """Of log time, ns. Raises BadParameter."""
    if not 0 <= begin < end:
        raise BadParameter("from must be before to")
    if end - begin > RANGE_NS_MAX:
        raise BadParameter(f"from and to may be {RANGE_NS_MAX // _DAY_NS} days apart at the most")


class WhatIf:
    """One book shard, or several one after the other: `next_shard` between them."""

    def __init__(
        self, instruments: InstrumentTable, pattern: str, values: Mapping[str, int], owner_sets: str = "", *, begin: int, end: int
    ) -> None:
        """begin, end: log time, ns. Raises BadParameter."""
        check_range(begin, end)
        self._instruments, self._owner_sets, self._begin, self._end = instruments, owner_sets, begin, end
        self._makes: tuple[MakeDetector, MakeDetector] = (_detector(pattern), changed(pattern, values))
        self._found: tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]] = {}, {}
        self.rows = 0
        self.next_shard()

    def next_shard(self) -> None:
        """What comes now is of another partition."""
        self._watches = [TradingWatch(self._instruments, [make], owners=Owners.of_toml(self._owner_sets)) for make in self._makes]

    @property
    def over(self) -> bool:
        """Nothing more of this shard can count: its time is an episode's quiet beyond the end, so the last one is whole."""
        return self._watches[0].log_time > self._end + EpisodeRules().quiet_ns

    def take(self, rows: Rows, where: Place) -> None:
        """The rows of one frame; frames of one partition in order."""
        self.rows += len(rows)
        for watch, found in zip(self._watches, self._found, strict=True):
            for alert in watch.apply(rows, where):
                if self._begin <= alert["detected_at"] < self._end:
                    found[alert["alert_id"]] = alert  # its newest revision

    def comparison(self, symbols: Collection[str] = ()) -> Comparison:
        """Of these symbols; none named: of all."""
        now, then = (
            sorted(
                (one for one in found.values() if not symbols or one["symbol"] in symbols),
                key=lambda one: (one["detected_at"], one["alert_id"]),
            )
            for found in self._found
        )
        kept, lost, gained = _matched(now, then)
        alerts = {"both": kept, "only_now": lost, "only_then": gained}
        shown = {name: [_shown(one) for one in found[:SHOWN_MAX]] for name, found in alerts.items()}
        return Comparison(len(kept), len(lost), len(gained), shown)


def _matched(now: list[dict[str, Any]], then: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], ...]:
    """Alerts of now that have one of the others beside them, those of now alone, and those of the others alone. Each is matched once."""
    waiting: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in then:
        waiting.setdefault(_party(one), []).append(one)
    kept, lost, quiet = [], [], EpisodeRules().quiet_ns
    for one in now:
        others = waiting.get(_party(one), [])
        for other in others:
            if other["window_start"] <= one["window_end"] + quiet and one["window_start"] <= other["window_end"] + quiet:
                others.remove(other)
                kept.append(one)
                break
        else:
            lost.append(one)
    gained = [one for others in waiting.values() for one in others]
    return kept, lost, sorted(gained, key=lambda one: (one["detected_at"], one["alert_id"]))


def _party(alert: dict[str, Any]) -> tuple[Any, ...]:
    return alert["instrument"], tuple(alert["accounts"])


def _shown(alert: dict[str, Any]) -> dict[str, Any]:
    return {name: alert[name] for name in (*_SHOWN, *_TIMES)}


def _detector(pattern: str) -> type[Detector]:
    for one in PATTERNS:
        if one.name.upper() == pattern:
            return one
    raise BadParameter(f"{pattern[:64]!r} is no pattern: there are {', '.join(pattern_names())}")


def _range(name: str) -> tuple[int, int, str]:
    """Lowest and highest value, and the unit, by the name: every table names its parameters so."""
    parts = name.split("_")
    if "ns" in parts:
        return 1, _DAY_NS, "ns"
    if "percent" in parts:
        return 0, 100, "percent"
    if "permille" in parts:
        return 0, 1_000_000, "permille"
    return 1, 1_000_000, ""


def _sentences(table: type) -> dict[str, str]:
    """By parameter, what the table says below it."""
    (found,) = ast.parse(dedent(inspect.getsource(table))).body
    assert isinstance(found, ast.ClassDef)
    return {one.target.id: " ".join(text.split()) for one, text in _pairs(found.body) if isinstance(one.target, ast.Name)}


def _pairs(body: Iterable[ast.stmt]) -> Iterable[tuple[ast.AnnAssign, str]]:
    before: ast.stmt | None = None
    for one in body:
        if isinstance(before, ast.AnnAssign) and isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
            yield before, str(one.value.value)
        before = one
