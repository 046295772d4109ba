"""Which login may do what in MySQL: the one table from which users and their rights are made. No I/O.

Only the edge, the role that fills the tables, and the one that copies another region have a login here; other roles need none. The edge reads
what customers and analysts ask for, and writes only what is theirs to change: it can neither change an order that is stored, nor somebody's
password or roles.
"""

from collections.abc import Iterator, Mapping
from typing import Final

DATABASE: Final = "outcry"
HOSTS: Final = ("127.0.0.1", "localhost")
ALL_TABLES: Final = "*"
ADMINISTRATOR: Final = "administrator"
_FILLED: Final = (
    "alerts", "bars", "case_actions", "case_alerts", "cases", "executions", "instruments", "news", "orders", "phases", "postings", "rejects", "schema_version",
    "sink_marks", "trade_busts", "trades",
)  # fmt: skip
"""By persist-mysql, from the log."""
RIGHTS: Final[Mapping[str, Mapping[str, str]]] = {
    "persist-mysql": {
        ALL_TABLES: "CREATE, ALTER, INDEX",  # it makes the tables, and brings those of earlier versions up to date
        **dict.fromkeys(_FILLED, "SELECT, INSERT, UPDATE, DELETE"),
    },
    "edge": {
        ALL_TABLES: "SELECT",
        "account_configurations": "INSERT, UPDATE",
        "api_keys": "INSERT, UPDATE",
        "people": "UPDATE (attempts, attempted_at, totp_step)",
        "people_sessions": "INSERT, UPDATE, DELETE",
        "watchlists": "INSERT, UPDATE, DELETE",
    },
    "copy-log": {  # reads them in the region that it copies, and writes them in its own
        "schema_version": "SELECT",
        **dict.fromkeys(("account_configurations", "api_keys", "operator_tokens", "people"), "SELECT, INSERT, UPDATE"),
        "watchlists": "SELECT, INSERT, UPDATE, DELETE",
    },
    "operator": {ALL_TABLES: "ALL PRIVILEGES"},
    ADMINISTRATOR: {ALL_TABLES: "ALL PRIVILEGES"},
}
"""By login and table."""
GLOBAL_RIGHTS: Final = {ADMINISTRATOR: "RELOAD"}
"""RELOAD: reads new certificates."""


def user_statements(passwords: Mapping[str, str], hosts: tuple[str, ...] = HOSTS) -> Iterator[str]:
    """What makes the users of RIGHTS with exactly these rights, over TLS only. The tables must be there. passwords: by login."""
    for name, rights in RIGHTS.items():
        for host in hosts:
            who = f"'{name}'@'{host}'"
            yield f"CREATE USER IF NOT EXISTS {who} IDENTIFIED BY '{passwords[name]}' REQUIRE SSL"
            yield f"ALTER USER {who} IDENTIFIED BY '{passwords[name]}' REQUIRE SSL"
            yield f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {who}"  # what an earlier version gave
            for table, some in rights.items():
                yield f"GRANT {some} ON {DATABASE}.{table} TO {who}"
            if name in GLOBAL_RIGHTS:
                yield f"GRANT {GLOBAL_RIGHTS[name]} ON *.* TO {who}"
