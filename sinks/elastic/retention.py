"""Which days of the audit trail were pruned, and which are on hold: a function of what operators did, in the order of the log. No I/O.

An act is the text of a record of `access.events`, so it is kept for ever and the audit log commits to it. That is why Elasticsearch's own lifecycle
management deletes nothing: it would leave no record, and knows of no hold. A day is a date of log time in UTC, as in the names of the indices.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any, Final

PREFIX: Final = "audit trail: "
"""Acts begin with it; whatever else is recorded there does not."""
REASON_CHARACTERS_MAX: Final = 500
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}", re.ASCII)
_INDEX: Final = re.compile(r"(?:rebuild-)?audit-[a-z-]+-(\d{4})\.(\d\d)\.(\d\d)(?:-\d+)?", re.ASCII)


class BadAct(ValueError):
    """An act that cannot be done, or a text that is none; what is wrong with it."""


@dataclass(frozen=True)
class Prune:
    """Days before this one may go, except those that are on hold at this place of the log."""

    before: date


@dataclass(frozen=True)
class Hold:
    """These days stay, both ends included, until the hold is lifted."""

    name: str
    first: date
    last: date
    reason: str

    def covers(self, day: date) -> bool:
        """Whether it keeps this day."""
        return self.first <= day <= self.last


@dataclass(frozen=True)
class Lift:
    """A hold ends."""

    name: str
    reason: str


Act = Prune | Hold | Lift
_VERBS: Final[dict[str, type[Prune | Hold | Lift]]] = {"prune": Prune, "hold": Hold, "lift": Lift}


def act_text(act: Act) -> str:
    """As it is recorded."""
    verb = next(verb for verb, kind in _VERBS.items() if isinstance(act, kind))
    return f"{PREFIX}{verb} {json.dumps(asdict(act), default=date.isoformat, sort_keys=True, ensure_ascii=False)}"


def act_of(text: str) -> Act | None:
    """An act from its text; None for what is about something else. Raises BadAct for an act that cannot be read: it may be a hold."""
    if not text.startswith(PREFIX):
        return None
    verb, _, rest = text.removeprefix(PREFIX).partition(" ")
    kind = _VERBS.get(verb)
    try:
        found: dict[str, Any] = json.loads(rest)
        if kind is None or found.keys() != {one.name for one in fields(kind)}:
            raise BadAct(f"{verb!r} with {', '.join(sorted(found))} is nothing that this version knows")
        values: dict[str, Any] = {
            one.name: date.fromisoformat(found[one.name]) if one.type is date else _text(found[one.name]) for one in fields(kind)
        }
        return kind(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadAct(f"{text[:80]!r} cannot be read: {error}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadAct(f"{value!r} is no text")
    return value


@dataclass(frozen=True)
class Recorded:
    """An act with its record."""

    act: Act
    offset: int
    """Of access.events/0."""
    at_ns: int
    by: str


@dataclass(frozen=True)
class _Pruned:
    """A prune, and what was on hold then."""

    recorded: Recorded
    holds: tuple[Hold, ...]

    def takes(self, day: date) -> bool:
        act = self.recorded.act
        return isinstance(act, Prune) and day < act.before and not any(hold.covers(day) for hold in self.holds)


@dataclass
class Retention:
    """What the acts so far say."""

    holds: dict[str, Recorded] = field(default_factory=dict)
    """By name, those that were not lifted."""
    _prunes: list[_Pruned] = field(default_factory=list)

    @classmethod
    def of(cls, acts: Iterable[Recorded]) -> "Retention":
        """After these acts, in the order of the log. Those that refuse() does not allow change nothing: somebody else was quicker."""
        made = cls()
        for one in acts:
            made.take(one)
        return made

    def take(self, one: Recorded) -> None:
        """The next act."""
        match one.act:
            case Prune():
                self._prunes.append(_Pruned(one, tuple(self._placed())))
            case Hold(name=name):
                self.holds.setdefault(name, one)
            case Lift(name=name):
                self.holds.pop(name, None)

    def _placed(self) -> Iterable[Hold]:
        return (one.act for one in self.holds.values() if isinstance(one.act, Hold))

    def held_by(self, day: date) -> str:
        """The first hold that keeps a day; "" if there is none."""
        return next((hold.name for hold in self._placed() if hold.covers(day)), "")

    def pruned_by(self, day: date) -> Recorded | None:
        """The first act that took a day; None for one whose documents have to be there."""
        return next((one.recorded for one in self._prunes if one.takes(day)), None)

    def may_go(self, day: date) -> bool:
        """Whether what there is of a day may be deleted: it was pruned, and nobody has placed a hold on it since."""
        return self.pruned_by(day) is not None and not self.held_by(day)

    def require(self, act: Act, kept_from: date) -> None:
        """Raises BadAct for an act that cannot be done. kept_from: the first day that must stay."""
        match act:
            case Prune(before) if before > kept_from:
                raise BadAct(
                    f"days before {kept_from} may be pruned, not those before {before}: OUTCRY_TRAIL_DAYS says how long they are kept"
                )
            case Hold(name, first, last, reason):
                _require_name(name)
                _require_reason(reason)
                if first > last:
                    raise BadAct(f"a hold from {first} to {last} ends before it begins")
                if name in self.holds:
                    raise BadAct(f"there is a hold {name} already: choose another name; what a hold covers is never changed")
            case Lift(name, reason):
                _require_reason(reason)
                if name not in self.holds:
                    raise BadAct(f"there is no hold {name[:40]!r}; there are: {', '.join(sorted(self.holds)) or 'none'}")


def _require_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise BadAct(f"{name[:60]!r} is no name of a hold: 1 to 40 small letters, digits, dots and hyphens")


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
        raise BadAct(f"a reason is one line of 1 to {REASON_CHARACTERS_MAX} characters")


def day_of_index(index: str) -> date | None:
    """The day of an index of the trail, rebuilt or not; None for another index."""
    found = _INDEX.fullmatch(index)
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found is not None else None
    except ValueError:
        return None
