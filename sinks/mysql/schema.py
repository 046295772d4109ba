"""Make the tables and the list of instruments; refuse a database of another version."""

from importlib.resources import files
from typing import Final

from schemas.errors import ServiceUnavailable, StaleData
from schemas.instruments import InstrumentTable
from sinks.mysql.pool import MySql, Transaction

SCHEMA_VERSION: Final = 12
_ADDED_TO_ORDERS: Final = {
    "stop_px": "BIGINT", "display_qty": "BIGINT", "price_offset": "BIGINT", "offset_type": "TINYINT UNSIGNED", "peg_price_type": "TINYINT UNSIGNED",
    "exec_inst": "TINYINT UNSIGNED", "expire_time": "BIGINT", "contingency_type": "TINYINT UNSIGNED", "list_id": "BIGINT UNSIGNED",
}  # fmt: skip
_ASCII: Final = "CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT"
_ADDED_TO_ALERTS: Final = {
    "revision": "INT NOT NULL DEFAULT 1", "status": f"VARCHAR(8) {_ASCII} 'CLOSED'", "revised_at": "BIGINT NOT NULL DEFAULT 0",
    "severity": f"VARCHAR(8) {_ASCII} ''", "occurrences": "INT NOT NULL DEFAULT 1", "episode_key": f"VARCHAR(64) {_ASCII} ''",
    "details": "JSON NOT NULL DEFAULT '{}'",
}  # fmt: skip
_ADDED_TO_API_KEYS: Final = {
    "scopes": f"VARCHAR(64) {_ASCII} 'read,trade'", "networks": f"VARCHAR(1000) {_ASCII} ''", "ends_at": "BIGINT NOT NULL DEFAULT 0",
    "version": "INT NOT NULL DEFAULT 1", "label": "VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL DEFAULT ''",
    "changed_at": "BIGINT NOT NULL DEFAULT 0", "public_key": f"VARCHAR(64) {_ASCII} ''",
}  # fmt: skip
ADDED_COLUMNS: Final = {
    "orders": {name: f"{kind} NOT NULL DEFAULT 0" for name, kind in _ADDED_TO_ORDERS.items()},
    "sink_marks": {
        "mark_ns": "BIGINT NOT NULL DEFAULT 0", "last_seq": "BIGINT UNSIGNED NOT NULL DEFAULT 0", "db_epoch": "BIGINT NOT NULL DEFAULT 0",
    },
    "alerts": _ADDED_TO_ALERTS,
    "api_keys": _ADDED_TO_API_KEYS,
}  # fmt: skip
"""By table, columns since version 3 (orders), 4 and 10 (sink_marks), 5 (alerts), 8 and 11 (api_keys). Orders stored before keep 0 there until a rebuild; an alert is its own closed one."""
ADDED_KEYS: Final = {
    "postings": {"by_account": "(account, transact_time)"}, "api_keys": {"by_change": "(changed_at)", "by_creation": "(created_at)"},
    "watchlists": {"by_update": "(updated_at)"}, "account_configurations": {"by_update": "(updated_at)"},
}  # fmt: skip
"""By table, indexes that tables of an earlier version lack."""
_LOCK: Final = "outcry.schema"
_LOCK_TIMEOUT_S: Final = 20
_VERSION_TABLE: Final = "CREATE TABLE IF NOT EXISTS schema_version (version INT NOT NULL PRIMARY KEY) ENGINE = InnoDB"
WRITE_INSTRUMENT: Final = (
    "INSERT INTO instruments (instrument, symbol, name, tick_size, lot_size) VALUES (%s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE symbol = VALUES(symbol), name = VALUES(name), tick_size = VALUES(tick_size), lot_size = VALUES(lot_size)"
)


async def apply_schema(db: MySql, instruments: InstrumentTable | None = None) -> None:
    """Bring the database to SCHEMA_VERSION and write the instruments, if given. Repeating it has the same result.

    Raises StaleData for a database of a newer version, ServiceUnavailable.
    """
    async with db.transaction() as transaction:
        # several roles start at once; DDL commits by itself, so a lock by name and not of rows
        ((locked,),) = await transaction.fetch("SELECT GET_LOCK(%s, %s)", (_LOCK, _LOCK_TIMEOUT_S))
        if locked != 1:
            raise ServiceUnavailable(
                f"another process has been changing the MySQL tables for {_LOCK_TIMEOUT_S} s: wait for it, or look at it"
            )
        try:
            await _bring_up(transaction)
            for one in instruments or ():
                await transaction.execute(WRITE_INSTRUMENT, (one.number, one.symbol, one.name, one.tick_size, one.lot_size))
        finally:
            await transaction.fetch("SELECT RELEASE_LOCK(%s)", (_LOCK,))


async def _bring_up(transaction: Transaction) -> None:
    await transaction.execute(_VERSION_TABLE)
    ((version,),) = await transaction.fetch("SELECT COALESCE(MAX(version), 0) FROM schema_version")
    if version > SCHEMA_VERSION:
        raise StaleData(
            f"the MySQL tables are of version {version}, this program knows {SCHEMA_VERSION}: use a newer version or another database"
        )
    if version == SCHEMA_VERSION:
        return
    await _add_columns(transaction)
    await _add_keys(transaction)
    for statement in statements(_schema()):
        await transaction.execute(statement)
    await transaction.execute("INSERT INTO schema_version (version) VALUES (%s)", (SCHEMA_VERSION,))


async def _add_columns(transaction: Transaction) -> None:
    """Add what tables of an earlier version lack. DDL commits by itself, so what an interrupted run has added is skipped."""
    for table, added in ADDED_COLUMNS.items():
        present = await transaction.fetch(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s", (table,)
        )
        known = {name for (name,) in present}
        missing = [f"ADD COLUMN {name} {kind}" for name, kind in added.items() if known and name not in known]
        if missing:
            await transaction.execute(f"ALTER TABLE {table} {', '.join(missing)}")


async def _add_keys(transaction: Transaction) -> None:
    """The same for indexes: an index of millions of rows takes minutes, once."""
    for table, added in ADDED_KEYS.items():
        present = await transaction.fetch(
            "SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s", (table,)
        )
        known = {name for (name,) in present}
        missing = [f"ADD KEY {name} {columns}" for name, columns in added.items() if known and name not in known]
        if missing:
            await transaction.execute(f"ALTER TABLE {table} {', '.join(missing)}")


def table_statements() -> list[str]:
    """What makes the tables that are missing, each on one line. It says nothing of their version: `apply_schema` still has its work to do."""
    made = [" ".join(statement.split()) for statement in (_VERSION_TABLE, *statements(_schema()))]
    assert all("--" not in statement for statement in made), "a comment would end only with the line"
    return made


def _schema() -> str:
    return (files("sinks") / "mysql" / "schema.sql").read_text()


def statements(script: str) -> list[str]:
    """The statements of an SQL file whose statements each end with `;` at the end of a line; comment lines are left out."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [text.strip() for text in "\n".join([*lines, ""]).split(";\n") if text.strip()]
