"""A book around an alert, event by event, as the rows of `executions` tell it: levels, and the orders of the accounts that the alert is about. Pure.

    replay = BookReplay(instrument=3, accounts=frozenset({7}), begin=begin_ns, end=end_ns)
    for offset, frame in ...:
        replay.take(offset, frame.rows, frame.header.first_seq)
    replay.document()

Rows before `begin` only build the book with which it begins. Levels are absolute, so the beginning may be taken from anywhere in the log: a level that
has not changed since is then missing, and the caller says so.
"""

from typing import Any, Final

import numpy as np

from schemas.codec import Rows
from schemas.enums import ExecKind, Side

STEPS_MAX: Final = 2_000
"""Commands that are shown; ~300 B each as JSON: 600 KB."""
_COLUMNS: Final = [
    "kind", "side", "price", "qty", "order_count", "order_id", "account", "contra_order_id", "contra_account", "leaves_qty", "contra_leaves_qty",
    "trd_match_id", "command_index", "transact_time",
]  # fmt: skip
_CHANGES: Final = (ExecKind.NEW, ExecKind.REPLACED, ExecKind.TRIGGERED, ExecKind.RESTATED)
_ENDS: Final = (ExecKind.CANCELED, ExecKind.EXPIRED)
_EVENTS: Final = frozenset({*_CHANGES, *_ENDS, ExecKind.TRADE, ExecKind.SECURITY_STATUS, ExecKind.TRADE_BUSTED})
_WANTED: Final = np.isin(np.arange(256), [*_EVENTS, ExecKind.LEVEL])


class BookReplay:
    """begin, end: log time, ns, both inclusive."""

    def __init__(self, instrument: int, accounts: frozenset[int], begin: int, end: int) -> None:
        self._instrument, self._accounts, self._begin, self._end = instrument, accounts, begin, end
        self._levels: dict[tuple[int, int], tuple[int, int]] = {}
        self._own: dict[int, tuple[int, int, int, int]] = {}
        self._start: dict[str, Any] | None = None
        self._steps: list[dict[str, Any]] = []
        self._place = (-1, -1)
        self._last_seq = 0
        self.full = False
        """There would be more than STEPS_MAX."""
        self.over = False
        """A row behind the end has come: no more is needed."""

    def take(self, offset: int, rows: Rows, first_seq: int) -> None:
        """The rows of one frame; frames of one partition in order. What another replica, or a replay, has written again is left out."""
        fresh = first_seq + np.arange(len(rows)) > self._last_seq
        self._last_seq = max(self._last_seq, first_seq + len(rows) - 1)
        chosen = np.flatnonzero(fresh & (rows["instrument"] == self._instrument) & _WANTED[rows["kind"]])
        taken = rows[chosen]
        columns = (taken[name].tolist() for name in _COLUMNS)
        for seq, row in zip((first_seq + chosen).tolist(), zip(*columns, strict=True), strict=True):
            if self.over or self.full:
                return
            self._take(offset, seq, dict(zip(_COLUMNS, row, strict=True)))
        if len(rows) and int(rows["transact_time"][-1]) > self._end:
            self.over = True

    def document(self) -> dict[str, Any]:
        """The book at the beginning and each step. A level is [side, price in ticks, lots, orders], an order [id, side, price, lots, account]."""
        start = self._start or self._state()
        return {"begin": self._begin, "end": self._end, "start": start, "steps": self._steps, "full": self.full}

    def _state(self) -> dict[str, Any]:
        return {
            "levels": [[Side(side).name.lower(), price, *level] for (side, price), level in sorted(self._levels.items())],
            "own": [self._order(order_id) for order_id in sorted(self._own)],
        }

    def _order(self, order_id: int) -> list[Any]:
        side, price, leaves, account = self._own.get(order_id, (int(Side.BUY), 0, 0, 0))
        return [order_id, Side(side).name.lower(), price, leaves, account]

    def _take(self, offset: int, seq: int, row: dict[str, int]) -> None:
        if row["transact_time"] > self._end:
            self.over = True
            return
        step = None
        if row["transact_time"] >= self._begin:
            step = self._step(offset, seq, row)
            if step is None:
                return
        if row["kind"] == ExecKind.LEVEL:
            self._level(row, step)
        else:
            self._follow(row, step)

    def _step(self, offset: int, seq: int, row: dict[str, int]) -> dict[str, Any] | None:
        """The step of this row's command; None if there are too many."""
        if self._start is None:
            self._start = self._state()
        place = offset, row["command_index"]
        if place != self._place:
            if len(self._steps) == STEPS_MAX:
                self.full = True
                return None
            self._place = place
            self._steps.append({"offset": offset, "seq": seq, "at": row["transact_time"], "events": [], "levels": [], "own": []})
        return self._steps[-1]

    def _level(self, row: dict[str, int], step: dict[str, Any] | None) -> None:
        key = row["side"], row["price"]
        if row["qty"]:
            self._levels[key] = row["qty"], row["order_count"]
        else:
            self._levels.pop(key, None)
        if step is not None:
            step["levels"].append([Side(key[0]).name.lower(), key[1], row["qty"], row["order_count"]])

    def _follow(self, row: dict[str, int], step: dict[str, Any] | None) -> None:
        kind, touched = row["kind"], []
        if kind in _CHANGES and row["account"] in self._accounts:
            self._own[row["order_id"]] = row["side"], row["price"], row["leaves_qty"], row["account"]
            touched.append(row["order_id"])
        elif kind in _ENDS and row["order_id"] in self._own:
            del self._own[row["order_id"]]
            touched.append(row["order_id"])
        elif kind == ExecKind.TRADE:
            touched += [one for one, left in self._traded(row) if self._fill(one, left)]
        if step is not None:
            step["events"].append(self._event(row))
            step["own"] += [self._order(order_id) for order_id in touched]

    @staticmethod
    def _traded(row: dict[str, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        return (row["order_id"], row["leaves_qty"]), (row["contra_order_id"], row["contra_leaves_qty"])

    def _fill(self, order_id: int, leaves: int) -> bool:
        """Whether it is one of the accounts'."""
        if order_id not in self._own:
            return False
        side, price, _, account = self._own[order_id]
        if leaves:
            self._own[order_id] = side, price, leaves, account
        else:
            del self._own[order_id]
        return True

    def _event(self, row: dict[str, int]) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": ExecKind(row["kind"]).name, "price": row["price"], "qty": row["qty"]}
        if row["side"]:
            found["side"] = Side(row["side"]).name.lower()
        accounts = [one for one in (row["account"], row["contra_account"]) if one in self._accounts]
        if accounts:
            found["own"] = accounts
        if row["order_id"]:
            found["order_id"] = row["order_id"]
        if row["trd_match_id"]:
            found["trade_id"] = row["trd_match_id"]
        return found
