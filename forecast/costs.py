"""What a unit of load costs each role, from a versioned file that names where each constant comes from.

The package's own is `costs.toml`. A constant is *measured* (its source is a command, or a line of docs/benchmarks) or an *assumption* (its source says why).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Self

from forecast.errors import BadCosts

VERSION: Final = 1
LOADS: Final = ("orders", "rows", "sockets")
"""Kinds of load: orders a second, rows of executions a second, WebSockets that are open."""
_CONSTANT: Final = {"value": (int, float), "unit": str, "kind": str, "source": str}
_KINDS: Final = ("measured", "assumption")
_ROLE: Final = {"cores": (int, float), "floor": int, "budget": int, "per": dict}


@dataclass(frozen=True)
class Constant:
    """One figure. source: the command or the page that it is from, or why it is assumed."""

    name: str
    value: float
    unit: str
    kind: str
    source: str


@dataclass(frozen=True)
class RoleCost:
    """One role. cores: of one process. floor, budget: fewest and most processes. cpu_us: of processor time a unit of each load."""

    role: str
    cores: float
    floor: int
    budget: int
    cpu_us: Mapping[str, float]
    sockets_max: float = 0.0
    """That one process may hold; 0: no limit of its own."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of load that it is charged for."""
        return tuple(dict.fromkeys((*self.cpu_us, *(("sockets",) if self.sockets_max else ()))))

    def use(self, loads: Mapping[str, float]) -> float:
        """How many whole processes these loads take, at full use."""
        cores = sum(us * loads.get(kind, 0.0) for kind, us in self.cpu_us.items()) / 1e6
        held = loads.get("sockets", 0.0) / self.sockets_max if self.sockets_max else 0.0
        return max(cores / self.cores, held)


@dataclass(frozen=True)
class Costs:
    """The whole file. typical_use, limit_use: of a process by the median load and by the 95th percentile. reactive_use: by the load of this moment."""

    constants: Mapping[str, Constant]
    roles: Mapping[str, RoleCost]
    typical_use: float
    limit_use: float
    reactive_use: float
    ready_min: float
    """From asking for a process until it serves, minutes."""

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The package's costs, or those of a file. Raises BadCosts."""
        where = "costs.toml" if path is None else str(path)
        try:
            text = files("forecast").joinpath("costs.toml").read_text("utf-8") if path is None else path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadCosts(f"{where}: cannot be read: {error}") from None
        return cls.of(text, where)

    @classmethod
    def of(cls, text: str, where: str) -> Self:
        """Of a TOML text. Raises BadCosts."""
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # of numbers with thousands of digits too
            raise BadCosts(f"{where}: {error}") from None
        _fields(table, {"version": int, "uses": dict, "constants": dict, "roles": dict}, where)
        if table["version"] != VERSION:
            raise BadCosts(f"{where}: version {table['version']}; this program reads version {VERSION}")
        uses = table["uses"]
        _fields(uses, dict.fromkeys(("typical", "limit", "reactive", "ready_min"), (int, float)), f"{where}: uses")
        for name in ("typical", "limit", "reactive"):
            _between(uses[name], 0.05, 1.0, f"{where}: uses.{name}")
        _between(uses["ready_min"], 0.0, 30.0, f"{where}: uses.ready_min")
        constants = {name: _constant(name, one, where) for name, one in table["constants"].items()}
        roles = {name: _role(name, one, constants, where) for name, one in table["roles"].items()}
        if not roles:
            raise BadCosts(f"{where}: there are no roles")
        return cls(constants, roles, uses["typical"], uses["limit"], uses["reactive"], float(uses["ready_min"]))


def _constant(name: str, one: Any, where: str) -> Constant:
    _fields(one, _CONSTANT, f"{where}: constants.{name}")
    if one["kind"] not in _KINDS:
        raise BadCosts(f"{where}: constants.{name}.kind: {one['kind']!r} is not {' or '.join(_KINDS)}")
    if not one["source"].strip():
        raise BadCosts(f"{where}: constants.{name}.source is empty: name the command, or why it is assumed")
    _between(one["value"], 0.0, 1e12, f"{where}: constants.{name}.value")
    return Constant(name, float(one["value"]), one["unit"], one["kind"], one["source"])


def _role(name: str, one: Any, constants: Mapping[str, Constant], where: str) -> RoleCost:
    where = f"{where}: roles.{name}"
    one = {"sockets_max": ""} | one if isinstance(one, dict) else one
    _fields(one, _ROLE | {"sockets_max": str}, where)
    _between(one["cores"], 0.01, 256, f"{where}.cores")
    if not 0 <= one["floor"] <= one["budget"] <= 10_000:
        raise BadCosts(f"{where}: floor {one['floor']} and budget {one['budget']}: 0 <= floor <= budget <= 10000 is meant")
    if unknown := set(one["per"]) - set(LOADS):
        raise BadCosts(f"{where}.per: unknown load {', '.join(sorted(unknown))}; there are {', '.join(LOADS)}")
    named = [*one["per"].values(), *([one["sockets_max"]] if one["sockets_max"] else [])]
    if missing := [str(each) for each in named if each not in constants]:
        raise BadCosts(f"{where}: there is no constant {', '.join(missing)}")
    held = constants[one["sockets_max"]].value if one["sockets_max"] else 0.0
    return RoleCost(name, float(one["cores"]), one["floor"], one["budget"], {k: constants[v].value for k, v in one["per"].items()}, held)


def _fields(table: Any, expected: Mapping[str, Any], where: str) -> None:
    if not isinstance(table, dict):
        raise BadCosts(f"{where}: is not a table")
    if wrong := [f"{name} is missing" for name in expected if name not in table] + [
        f"unknown {name}" for name in table if name not in expected
    ]:
        raise BadCosts(f"{where}: {'; '.join(wrong)}")
    for name, kinds in expected.items():
        if not isinstance(table[name], kinds) or isinstance(table[name], bool):
            raise BadCosts(f"{where}: {name}: {table[name]!r} is of the wrong type")


def _between(value: float, low: float, high: float, where: str) -> None:
    if not low <= value <= high:
        raise BadCosts(f"{where}: {value} is not between {low:g} and {high:g}")
