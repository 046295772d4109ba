"""What `outcry status` says of clocks: the newest comparison that each running process has recorded."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from reports.filed.drift_logs import newest_of
from schemas.errors import StaleData
from schemas.settings import Settings
from schemas.units import NANOS_PER_SECOND

FRESH_NS: Final = 1_800 * NANOS_PER_SECOND
"""A running process records its clock every ten minutes. An older record is of one that has ended."""
_NAMED: Final = 3
"""Processes of one sentence; of the others the number."""


def clock_states(settings: Settings, running: Collection[str], now_ns: int) -> dict[str, dict[str, Any]]:
    """By process, of those that run; of all that have a fresh record where none is known to run."""
    try:
        found = newest_of(settings)
    except (StaleData, OSError) as error:
        return {"": {"trouble": f"the drift logs of clocks cannot be read: {error}"}}
    return {
        name: {"reference": one.reference, "offset_ns": one.offset_ns, "error_ns": one.error_ns, "trouble": one.trouble}
        for name, one in found.items()
        if abs(now_ns - one.time_ns) < FRESH_NS and (not running or name in running or name.rpartition("-")[0] in running)
    }


def clock_sentences(states: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One for each thing that is wrong, with the processes that say so: those of one machine say the same."""
    by_trouble: dict[str, list[str]] = {}
    for name, one in states.items():
        if one["trouble"]:
            by_trouble.setdefault(_about(one["trouble"]), []).append(name)
    for names in by_trouble.values():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        said = f" (said by {', '.join(names[:_NAMED])}{more})" if names != [""] else ""
        yield f"{states[names[0]]['trouble']}{said}"


def _about(trouble: str) -> str:
    """Without its figures, which differ a little from look to look."""
    return "".join(one for one in trouble if not one.isdigit())
