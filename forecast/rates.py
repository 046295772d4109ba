"""Loads of minutes and of the last seconds, from rows of executions; how much prices move."""

import math
from collections import deque
from typing import Final

import numpy as np

from forecast.slots import MINUTE_NS
from schemas.codec import Rows
from schemas.enums import ExecKind
from schemas.market_hours import MarketClock

_ORDERS: Final = (ExecKind.NEW, ExecKind.REJECTED, ExecKind.REPLACED, ExecKind.CANCELED, ExecKind.CANCEL_REJECTED)
"""Rows that answer somebody's request."""
_RECENT_S: Final = 15
_USUAL: Final = 0.98
"""Of each minute's squared returns, what the usual keeps: a half-life of 34 minutes."""


class Rates:
    """Counts by minute and by second. Times are market times, ns; `minute` is minutes since 1970."""

    def __init__(self, clock: MarketClock = MarketClock()) -> None:  # noqa: B008  frozen
        self._clock = clock
        self._minutes: dict[int, list[int]] = {}
        self._seconds: deque[list[int]] = deque(maxlen=2 * _RECENT_S)
        self._last_px: dict[int, int] = {}
        self._squares: dict[int, float] = {}
        self._usual = 0.0
        self._now = 0.0

    def take(self, rows: Rows) -> None:
        """Rows of one frame."""
        clock = self._clock
        times = clock.market_ns + (rows["transact_time"].astype(np.int64) - clock.real_ns) * clock.speed
        orders = np.isin(rows["kind"], _ORDERS)
        minutes, seconds = times // MINUTE_NS, times // 1_000_000_000
        for minute in np.unique(minutes).tolist():
            counts = self._minutes.setdefault(minute, [0, 0])
            inside = minutes == minute
            counts[0] += int(np.count_nonzero(orders & inside))
            counts[1] += int(np.count_nonzero(inside))
        for second in np.unique(seconds).tolist():
            if not self._seconds or self._seconds[-1][0] < second:
                self._seconds.append([second, 0, 0])
            inside = seconds == second
            self._seconds[-1][1] += int(np.count_nonzero(orders & inside))
            self._seconds[-1][2] += int(np.count_nonzero(inside))
        self._move(rows[rows["kind"] == ExecKind.TRADE], minutes[rows["kind"] == ExecKind.TRADE])

    def _move(self, trades: Rows, minutes: Rows) -> None:
        for instrument, price, minute in zip(trades["instrument"].tolist(), trades["price"].tolist(), minutes.tolist(), strict=True):
            last = self._last_px.get(instrument)
            if last and price > 0:
                self._squares[minute] = self._squares.get(minute, 0.0) + math.log(price / last) ** 2
            if price > 0:
                self._last_px[instrument] = price

    def close(self, minute: int) -> dict[str, float]:
        """Loads per second of a minute that is over. It is forgotten, and so is what came late of those before."""
        for late in [one for one in self._minutes if one < minute]:
            del self._minutes[late]
        orders, rows = self._minutes.pop(minute, (0, 0))
        self._now = self._squares.pop(minute, 0.0)
        if self._now > 0:
            self._usual = self._now if self._usual == 0 else _USUAL * self._usual + (1 - _USUAL) * self._now
        return {"orders": orders / 60, "rows": rows / 60}

    @property
    def volatility(self) -> float:
        """Of the last minute that was closed, beside the usual; 1 where there was nothing to compare."""
        return math.sqrt(self._now / self._usual) if self._usual > 0 and self._now > 0 else 1.0

    @property
    def newest(self) -> int:
        """The newest minute of which there are rows; -1: none."""
        return max(self._minutes, default=-1)

    @property
    def oldest(self) -> int:
        """The oldest minute that is not closed; -1: none."""
        return min(self._minutes, default=-1)

    def recent(self, now_ns: int) -> dict[str, float]:
        """Loads per second of the last 15 seconds."""
        last = now_ns // 1_000_000_000
        found = [one for one in self._seconds if last - _RECENT_S <= one[0] < last]
        return {"orders": sum(one[1] for one in found) / _RECENT_S, "rows": sum(one[2] for one in found) / _RECENT_S}
