"""Records of the topic `cases` as rows: every record, the state that it makes, and which case has which alert."""

import json
from collections.abc import Callable
from typing import Any, Final

from sinks.mysql.pool import Transaction

Decide = Callable[[dict[str, Any] | None, dict[str, Any]], tuple[dict[str, Any] | None, str]]
"""The state of a case and a record -> its state after it (None: it makes none) and why it was refused ("": it was not)."""

TEXT_MAX: Final = 64
"""Characters of an id or a name in a column of its own; what is longer is no program's of ours, and whole in `body`."""


async def store_action(transaction: Transaction, prefix: str, decide: Decide, offset: int, record: dict[str, Any]) -> int:
    """Store one record; returns the number of rows written. Within a transaction that has locked the partition's marks."""
    key = record["case_id"]
    # the column is ASCII, and comparing it with anything else is an error of the server's
    known = await transaction.fetch(f"SELECT state FROM {prefix}cases WHERE case_id = %s", (key,)) if key.isascii() else []  # noqa: S608  own names
    state, refusal = decide(json.loads(known[0][0]) if known else None, record)
    rows = await transaction.execute(
        f"INSERT INTO {prefix}case_actions (log_offset, case_id, action, actor, at, refusal, body) VALUES (%s, %s, %s, %s, %s, %s, %s)",  # noqa: S608
        (offset, key[:TEXT_MAX], record["action"][:32], record["actor"][:TEXT_MAX], record["at"], refusal, json.dumps(record)),
    )
    if state is None:
        return rows
    values = (
        key, state["version"], state["status"], state.get("owner", ""), state["pattern"], record["at"], state.get("closed_at", 0), state.get("due_at", 0),
        json.dumps(state),
    )  # fmt: skip
    rows += await transaction.execute(
        f"INSERT INTO {prefix}cases (case_id, version, status, owner, pattern, updated_at, closed_at, due_at, state) "  # noqa: S608
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE version = VALUES(version), status = VALUES(status), "
        "owner = VALUES(owner), updated_at = VALUES(updated_at), closed_at = VALUES(closed_at), "
        "due_at = VALUES(due_at), state = VALUES(state)",
        values,
    )
    if record["action"] in ("OPEN", "LINK", "UNLINK"):
        rows += await _store_alerts(transaction, prefix, key, state["alerts"])
    return rows


async def _store_alerts(transaction: Transaction, prefix: str, case_id: str, alerts: list[str]) -> int:
    rows = await transaction.execute(f"DELETE FROM {prefix}case_alerts WHERE case_id = %s", (case_id,))  # noqa: S608  own names
    ascii_ids = [one for one in alerts if one.isascii()]
    for alert_id in ascii_ids:
        rows += await transaction.execute(
            f"INSERT INTO {prefix}case_alerts (alert_id, case_id) VALUES (%s, %s) ON DUPLICATE KEY UPDATE case_id = VALUES(case_id)",  # noqa: S608
            (alert_id, case_id),
        )
    return rows
