"""Reads of alerts and cases for analysts. Every function raises ServiceUnavailable. Times ns.

An alert without a case is NEW. The newest linking decides which case an alert is shown with.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sinks.mysql.pool import MySql
from sinks.mysql.queries import ROWS_MAX, StoredAlert, alert_of_row, columns_of

_STATUS: Final = "COALESCE(c.status, 'NEW')"
_FROM: Final = "FROM alerts a LEFT JOIN case_alerts k ON k.alert_id = a.alert_id LEFT JOIN cases c ON c.case_id = k.case_id"
_ALERT_COLUMNS: Final = ", ".join(f"a.{name}" for name in columns_of(StoredAlert).split(", "))


@dataclass(frozen=True, slots=True)
class Window:
    """Alerts that a suppression covers; end exclusive."""

    pattern: str
    instrument: int
    """0: all."""
    account: int
    """0: all."""
    begin: int
    end: int


@dataclass(frozen=True)
class QueueFilter:
    """Which alerts; empty or None is no bound."""

    limit: int
    offset: int = 0
    statuses: tuple[str, ...] = ()
    owner: str = ""
    severity: str = ""
    pattern: str = ""
    instrument: int | None = None
    account: int | None = None
    since: int | None = None
    """Detected then or later."""
    overdue_at: int | None = None
    """Only what should have been looked at, or decided, before this time."""
    suppressed: bool = False
    """Only what a suppression covers, instead of only what none does."""
    windows: tuple[Window, ...] = ()
    order: str = "risk"
    """"risk", "newest" or "due"."""
    first_look: tuple[tuple[str, int], ...] = ()
    """By severity, how long after its detection an alert has to be looked at."""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """An alert, and its case if it has one."""

    alert: StoredAlert
    case_id: str
    """Empty: none."""
    status: str
    owner: str
    version: int
    due_at: int


@dataclass(frozen=True, slots=True)
class StoredAction:
    """A row of `case_actions`."""

    log_offset: int
    refusal: str
    body: dict[str, Any]


async def queue(db: MySql, wanted: QueueFilter) -> tuple[list[QueueRow], int]:
    """Alerts with their cases, and how many pass the filter in all."""
    due, due_args = _due(wanted.first_look)
    where, args = _conditions(wanted, due, due_args)
    order = {
        "risk": "a.score DESC, a.detected_at DESC", "newest": "a.detected_at DESC", "due": "COALESCE(c.closed_at, 0) <> 0, due",
    }[wanted.order]  # fmt: skip
    sql = (
        f"SELECT {_ALERT_COLUMNS}, COALESCE(c.case_id, ''), {_STATUS}, COALESCE(c.owner, ''), COALESCE(c.version, 0), {due} AS due {_FROM} "
        f"WHERE {where} ORDER BY {order}, a.alert_id LIMIT %s OFFSET %s"
    )
    rows = await db.fetch(sql, (*due_args, *args, min(wanted.limit, ROWS_MAX), wanted.offset))
    ((total,),) = await db.fetch(f"SELECT COUNT(*) {_FROM} WHERE {where}", args)
    return [QueueRow(alert_of_row(row[:-5]), *row[-5:]) for row in rows], total


async def counts(db: MySql, wanted: QueueFilter) -> dict[str, dict[str, int]]:
    """How many alerts of the filter there are by status, severity and pattern."""
    where, args = _conditions(wanted, *_due(wanted.first_look))
    rows = await db.fetch(
        f"SELECT {_STATUS}, a.severity, a.pattern, COUNT(*) {_FROM} WHERE {where} GROUP BY 1, 2, 3",
        args,
    )
    found: dict[str, dict[str, int]] = {"status": {}, "severity": {}, "pattern": {}}
    for *names, number in rows:
        for group, name in zip(found.values(), names, strict=True):
            group[name] = group.get(name, 0) + number
    return found


async def volumes(db: MySql, since: int) -> list[tuple[int, str, int, int]]:
    """(day since 1970 UTC, pattern, version of its rule, alerts) of the alerts that were detected at or after `since`."""
    day = 86_400_000_000_000
    version = "CAST(COALESCE(JSON_EXTRACT(details, '$.detector_version'), 0) AS SIGNED)"
    rows = await db.fetch(
        f"SELECT detected_at DIV {day}, pattern, {version}, COUNT(*) FROM alerts WHERE detected_at >= %s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",  # noqa: S608
        (since,),
    )
    return [(int(days), pattern, int(number), alerts) for days, pattern, number, alerts in rows]


async def covered(db: MySql, window: Window) -> int:
    """How many alerts a suppression has kept out of the queue."""
    condition, args = _covers(window)
    ((number,),) = await db.fetch(f"SELECT COUNT(*) FROM alerts a WHERE {condition}", args)  # noqa: S608
    return int(number)


async def alerts_named(db: MySql, alert_ids: Sequence[str]) -> list[QueueRow]:
    """These alerts, by time, with the cases they are shown with."""
    wanted = [one for one in alert_ids if one.isascii()][:ROWS_MAX]
    if not wanted:
        return []
    return await _rows(db, f"a.alert_id IN ({', '.join(['%s'] * len(wanted))})", wanted)


async def related(db: MySql, alert_id: str, limit: int = 50) -> list[QueueRow]:
    """Others of the same lowest account, or of the same pattern in the same instrument: those of the account first, then newest first.

    None if there is no such alert.
    """
    known = await db.fetch("SELECT account, pattern, instrument FROM alerts WHERE alert_id = %s", (alert_id,)) if alert_id.isascii() else []
    if not known:
        return []
    ((account, pattern, instrument),) = known
    condition = "a.alert_id <> %s AND (a.account = %s OR (a.pattern = %s AND a.instrument = %s))"
    return await _rows(
        db, condition, (alert_id, account, pattern, instrument), f"a.account = {int(account)} DESC, a.detected_at DESC", limit
    )


async def actions_of_case(db: MySql, case_id: str) -> list[StoredAction]:
    """All records about a case or suppression, reads and refused ones too, in the order of the log."""
    rows = await db.fetch(
        f"SELECT log_offset, refusal, body FROM case_actions WHERE case_id = %s ORDER BY log_offset LIMIT {ROWS_MAX}",  # noqa: S608
        (case_id,),
    )
    return [StoredAction(offset, refusal, json.loads(body)) for offset, refusal, body in rows]


async def _rows(db: MySql, condition: str, args: Sequence[Any], order: str = "a.detected_at DESC", limit: int = ROWS_MAX) -> list[QueueRow]:
    sql = (
        f"SELECT {_ALERT_COLUMNS}, COALESCE(c.case_id, ''), {_STATUS}, COALESCE(c.owner, ''), COALESCE(c.version, 0), COALESCE(c.due_at, 0) "
        f"{_FROM} WHERE {condition} ORDER BY {order}, a.alert_id LIMIT %s"
    )
    return [QueueRow(alert_of_row(row[:-5]), *row[-5:]) for row in await db.fetch(sql, (*args, limit))]


def _due(first_look: Sequence[tuple[str, int]]) -> tuple[str, list[Any]]:
    """When a row has to be looked at, or its case decided, as an expression with its arguments."""
    if not first_look:
        return "COALESCE(c.due_at, a.detected_at)", []
    whens = " ".join("WHEN %s THEN %s" for _ in first_look)
    longest = max(limit for _, limit in first_look)
    args = [value for pair in first_look for value in pair]
    return f"COALESCE(c.due_at, a.detected_at + CASE a.severity {whens} ELSE %s END)", [*args, longest]


def _conditions(wanted: QueueFilter, due: str, due_args: Sequence[Any]) -> tuple[str, list[Any]]:
    conditions, args = ["TRUE"], []
    for column, value in (
        ("c.owner =", wanted.owner or None), ("a.severity =", wanted.severity or None), ("a.pattern =", wanted.pattern or None),
        ("a.instrument =", wanted.instrument), ("a.detected_at >=", wanted.since),
    ):  # fmt: skip
        if value is not None:
            conditions.append(f"{column} %s")
            args.append(value)
    if wanted.statuses:
        conditions.append(f"{_STATUS} IN ({', '.join(['%s'] * len(wanted.statuses))})")
        args += wanted.statuses
    if wanted.account is not None:
        conditions.append("(a.account = %s OR JSON_CONTAINS(a.details, %s, '$.accounts'))")
        args += [wanted.account, str(wanted.account)]
    if wanted.overdue_at is not None:
        conditions.append(f"COALESCE(c.closed_at, 0) = 0 AND {_STATUS} <> 'PENDING_INFO' AND {due} < %s")
        args += [*due_args, wanted.overdue_at]
    if wanted.windows or wanted.suppressed:
        covering = [_covers(window) for window in wanted.windows]
        some = " OR ".join(condition for condition, _ in covering) or "FALSE"
        # whoever has begun with an alert goes on with it, whatever is suppressed
        conditions.append(f"({some})" if wanted.suppressed else f"(c.case_id IS NOT NULL OR NOT ({some}))")
        args += [value for _, values in covering for value in values]
    return " AND ".join(conditions), args


def _covers(window: Window) -> tuple[str, list[Any]]:
    conditions, args = ["a.pattern = %s", "a.detected_at >= %s", "a.detected_at < %s"], [window.pattern, window.begin, window.end]
    if window.instrument:
        conditions.append("a.instrument = %s")
        args.append(window.instrument)
    if window.account:
        conditions.append("(a.account = %s OR JSON_CONTAINS(a.details, %s, '$.accounts'))")
        args += [window.account, str(window.account)]
    return f"({' AND '.join(conditions)})", args
