"""The naive detector to compare with: who is far from the others in a minute is suspicious, whatever it did.

Of each account and minute: orders, cancels, trades and lots taken. Flagged is who has a z-score of at least Z_MIN in any of them among all accounts of that
minute.
"""

from collections import defaultdict
from typing import Final

import numpy as np

from schemas.codec import Rows
from schemas.enums import ExecKind
from streams.research.labelled.world import START_NS

Z_MIN: Final = 3.0
ACCOUNTS_MIN: Final = 10
MINUTE_NS: Final = 60_000_000_000


class Baseline:
    """Counts by account and minute."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[int, list[int]]] = defaultdict(dict)

    def take(self, rows: Rows) -> None:
        """Count some executions."""
        for place, kind in enumerate((ExecKind.NEW, ExecKind.CANCELED, ExecKind.TRADE)):
            for row in rows[rows["kind"] == kind][["account", "contra_account", "transact_time", "qty"]].tolist():
                account, contra, at, qty = row
                minute = self._counts[(at - START_NS) // MINUTE_NS]
                minute.setdefault(account, [0, 0, 0, 0])[place] += 1
                if kind == ExecKind.TRADE:
                    minute[account][3] += qty
                    minute.setdefault(contra, [0, 0, 0, 0])[place] += 1

    def scores(self) -> dict[tuple[int, int], float]:
        """(account, minute) -> its largest z-score; of minutes with too few accounts none."""
        found: dict[tuple[int, int], float] = {}
        for minute, counts in self._counts.items():
            if len(counts) < ACCOUNTS_MIN:
                continue
            accounts, values = list(counts), np.array(list(counts.values()), float)
            spread = values.std(axis=0)
            scores = ((values - values.mean(axis=0)) / np.where(spread > 0, spread, np.inf)).max(axis=1)
            found |= {(account, minute): score for account, score in zip(accounts, scores.tolist(), strict=True)}
        return found
