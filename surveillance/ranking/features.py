"""What the model looks at: measures of an alert, and what its accounts did in the minutes of its window, beside everybody else.

No feature names or depends on an account's number, an order's, an instrument or a session: renumber them all and the features stay. Nor does any say how
many accounts the owner has: in the labelled markets only manipulators have linked ones, so it would be a label. Labels are no input of anything here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from schemas.codec import Rows
from schemas.enums import ExecKind

MINUTE_NS: Final = 60_000_000_000
ORDERS, CANCELS, TAKES, MAKES, BOUGHT, SOLD = range(6)
COUNTS: Final = 6
MINUTES_MAX: Final = 30
"""Newest minutes of an alert's window that are looked at."""
WINDOW_FEATURES: Final = (
    "orders_per_minute", "cancels_to_orders", "trades_to_orders", "takes_share", "one_sidedness", "share_of_orders", "share_of_volume", "lots_per_trade",
    "times_usual_orders", "times_usual_volume", "active_minutes",
)  # fmt: skip
_OF_WINDOW: Final = "window "


class AccountMinutes:
    """What each account did, by minute of log time."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[int, list[int]]] = defaultdict(dict)

    def take(self, rows: Rows) -> None:
        """Count executions, rows of execution_frame."""
        wanted = rows[np.isin(rows["kind"], (ExecKind.NEW, ExecKind.CANCELED, ExecKind.TRADE))]
        columns = (wanted[name].tolist() for name in ("kind", "account", "contra_account", "side", "qty", "transact_time"))
        for kind, account, contra, side, qty, at in zip(*columns, strict=True):
            minute = self._counts[at // MINUTE_NS]
            own = minute.setdefault(account, [0] * COUNTS)
            if kind == ExecKind.NEW:
                own[ORDERS] += 1
            elif kind == ExecKind.CANCELED:
                own[CANCELS] += 1
            else:
                own[TAKES] += 1
                own[BOUGHT - 1 + side] += qty
                other = minute.setdefault(contra, [0] * COUNTS)
                other[MAKES] += 1
                other[SOLD + 1 - side] += qty

    def window(self, accounts: Iterable[int], start_ns: int, end_ns: int) -> dict[str, float]:
        """WINDOW_FEATURES of some accounts together. `start_ns` to `end_ns`: log time."""
        last = end_ns // MINUTE_NS
        minutes = range(max(start_ns // MINUTE_NS, last - MINUTES_MAX + 1), last + 1)
        own, active, everybody = [0] * COUNTS, 0, [0] * COUNTS
        parties: set[int] = set()
        for minute in minutes:
            known = self._counts.get(minute, {})
            parties.update(known)
            for counts in known.values():
                everybody = [a + b for a, b in zip(everybody, counts, strict=True)]
            mine = [known[account] for account in accounts if account in known]
            active += bool(mine)
            for counts in mine:
                own = [a + b for a, b in zip(own, counts, strict=True)]
        return _vector(own, everybody, max(len(parties), 1), (len(minutes), active))

    def windows(self, minutes: int) -> Iterable[tuple[int, int, dict[str, float]]]:
        """(account, minute in which it ends, vector) of every account that was active in each window of so many minutes."""
        every = sorted(self._counts)
        for start in every[::minutes]:
            accounts = sorted({one for minute in range(start, start + minutes) for one in self._counts.get(minute, {})})
            for account in accounts:
                yield account, start + minutes, self.window((account,), start * MINUTE_NS, (start + minutes) * MINUTE_NS - 1)


def _vector(own: list[int], everybody: list[int], parties: int, minutes: tuple[int, int]) -> dict[str, float]:
    trades, volume = own[TAKES] + own[MAKES], own[BOUGHT] + own[SOLD]
    all_volume = everybody[BOUGHT] + everybody[SOLD]
    values = (
        own[ORDERS] / minutes[0], own[CANCELS] / max(own[ORDERS], 1), trades / max(own[ORDERS], 1), own[TAKES] / max(trades, 1),
        abs(own[BOUGHT] - own[SOLD]) / max(volume, 1), own[ORDERS] / max(everybody[ORDERS], 1), volume / max(all_volume, 1), volume / max(trades, 1),
        own[ORDERS] * parties / max(everybody[ORDERS], 1), volume * parties / max(all_volume, 1), float(minutes[1]),
    )  # fmt: skip
    return dict(zip(WINDOW_FEATURES, values, strict=True))


def alert_features(alert: Mapping[str, Any], window: Mapping[str, float] | None) -> dict[str, float]:
    """Features of an alert: a record of alert.avsc, or the same as the API writes it. `window`: of its accounts, None if it is not known."""
    pattern = alert["pattern"]
    found = {f"pattern {pattern}": 1.0, "score": float(alert["score"]), "occurrences": float(alert["occurrences"]),
             "evidence": float(alert["evidence_total"])}  # fmt: skip
    found |= {f"{pattern} {name}": float(value) for name, value in alert["features"].items()}
    return found | {f"{_OF_WINDOW}{name}": value for name, value in (window or {}).items()}


def without_window(features: Mapping[str, float]) -> dict[str, float]:
    """The features of the same alert as if nothing were known about its accounts' minutes."""
    return {name: value for name, value in features.items() if not name.startswith(_OF_WINDOW)}
