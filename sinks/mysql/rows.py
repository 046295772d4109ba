"""Rows of frames as multi-row INSERT statements. Pure.

Integers are written as Python prints them: a list of tuples reads "[(1, 2), (3, 4)]", which is SQL between its brackets, and numpy
makes such a list ten times faster than parameters are escaped. Customers' text is written as hexadecimal literals, so there is nothing
to escape. An existing row (same primary key) stays as it is: the log has only one value per key.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.codec import Frame, Rows
from schemas.enums import AccountEventKind, ExecFlag, ExecKind, Side
from schemas.ids import EXCHANGE_ACCOUNT

STATEMENT_ROWS_MAX: Final = 5_000
"""Of at most ~420 B each: 2.1 MB, within the 4 MB that the strictest common max_allowed_packet lets through."""

CASH, SHARES, FEE, FEE_TAKEN = 1, 2, 3, 4
"""Legs of a posting: cash and shares of a trade or from outside; the account's fee, and the same amount taken by EXCHANGE_ACCOUNT."""

MINUTE_NS: Final = 60_000_000_000

_ORDER_KINDS: Final = [
    AccountEventKind.ACCEPTED, AccountEventKind.CANCEL_PENDING, AccountEventKind.CANCEL_REJECTED, AccountEventKind.TRADE,
    AccountEventKind.CANCELED, AccountEventKind.EXPIRED, AccountEventKind.BOOK_REJECTED, AccountEventKind.REPLACE_PENDING,
    AccountEventKind.REPLACED, AccountEventKind.RESTATED, AccountEventKind.TRIGGERED,
]  # fmt: skip
_POSTING_KINDS: Final = [AccountEventKind.TRADE, AccountEventKind.ACCOUNT_UPDATED, AccountEventKind.TRADE_BUSTED]
_ENDED_UNFILLED: Final = [AccountEventKind.CANCELED, AccountEventKind.EXPIRED, AccountEventKind.BOOK_REJECTED]
_REJECT_KINDS: Final = [AccountEventKind.REJECTED, AccountEventKind.CANCEL_REJECTED, AccountEventKind.ACCOUNT_UPDATE_REJECTED]


@dataclass(frozen=True)
class Table:
    """How rows are written to one table: integer columns, perhaps a text column behind them, and what happens to an existing row."""

    name: str
    columns: tuple[str, ...]
    text_column: str
    on_duplicate: str

    def statements(self, columns: Sequence[Rows], text: Rows | None = None) -> Iterable[str]:
        """INSERT statements for columns of equal length, in the order of `columns`; none for no rows."""
        names = ", ".join((*self.columns, self.text_column) if self.text_column else self.columns)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        texts = None if text is None else text.tolist()
        for start in range(0, len(rows), STATEMENT_ROWS_MAX):
            part = rows[start : start + STATEMENT_ROWS_MAX]
            if texts is None:
                values = repr(part)[1:-1]
            else:
                values = ", ".join(
                    f"{repr(row)[:-1]}, {_text_literal(one)})"
                    for row, one in zip(part, texts[start : start + STATEMENT_ROWS_MAX], strict=True)
                )
            # no value is text of the outside: integers, and hexadecimal literals
            yield f"INSERT INTO {self.name} ({names}) VALUES {values} ON DUPLICATE KEY UPDATE {self.on_duplicate}"  # noqa: S608


def _text_literal(text: bytes) -> str:
    return f"x'{text.hex()}'" if text else "''"


# VALUES() is the form that MySQL and MariaDB share (MySQL's row alias is unknown to MariaDB). `version` last: assignments go from left to
# right and later ones see the new value. A reason is set once, when the order ends.
ORDER_TERMS: Final = (
    "stop_px", "display_qty", "price_offset", "offset_type", "peg_price_type", "exec_inst", "expire_time", "contingency_type", "list_id",
)  # fmt: skip
_NEWER: Final = (
    "ord_type", "time_in_force", "order_qty", "price", "ord_status", "leaves_qty", "cum_qty", "cum_cost", "updated_at", "cl_ord_id", *ORDER_TERMS,
)  # fmt: skip
ORDERS: Final = Table(
    "orders",
    (
        "order_id", "account", "instrument", "side", "ord_type", "time_in_force", "order_qty", "price", "submitted_at",
        "ord_status", "leaves_qty", "cum_qty", "cum_cost", "updated_at", "reason", "version",
        *ORDER_TERMS,
    ),
    "cl_ord_id",
    ", ".join(f"{name} = IF(VALUES(version) > version, VALUES({name}), {name})" for name in _NEWER)
    + ", reason = GREATEST(reason, VALUES(reason)), version = GREATEST(version, VALUES(version))",
)  # fmt: skip
TRADES: Final = Table(
    "trades",
    (
        "trd_match_id", "instrument", "price", "qty", "aggressor_side", "order_id", "account", "contra_order_id", "contra_account",
        "rpt_seq", "transact_time",
    ),
    "",
    "trd_match_id = trades.trd_match_id",
)  # fmt: skip
TRADE_BUSTS: Final = Table(
    "trade_busts",
    ("trd_match_id", "instrument", "price", "qty", "reason", "rpt_seq", "transact_time"),
    "",
    "trd_match_id = trade_busts.trd_match_id",
)
PHASES: Final = Table("phases", ("instrument", "transact_time", "rpt_seq", "phase", "reason"), "", "rpt_seq = phases.rpt_seq")
EXECUTIONS: Final = Table(
    "executions",
    (
        "trd_match_id", "side", "order_id", "account", "instrument", "last_px", "last_qty", "aggressor", "cum_qty", "leaves_qty",
        "transact_time",
    ),
    "",
    "trd_match_id = executions.trd_match_id",
)  # fmt: skip
POSTINGS: Final = Table(
    "postings",
    ("shard", "seq", "leg", "account", "instrument", "amount", "kind", "trd_match_id", "transact_time"),
    "",
    "seq = postings.seq",
)
BARS: Final = Table(
    "bars",
    (
        "instrument", "started_at", "open_px", "high_px", "low_px", "close_px", "qty", "trades", "notional", "first_trade", "last_trade",
    ),
    "",
    # the first trade of a minute whose trades have all been busted begins it anew; `trades` behind what asks for it
    "open_px = IF(bars.trades = 0, VALUES(open_px), open_px), high_px = IF(bars.trades = 0, VALUES(high_px), GREATEST(high_px, VALUES(high_px))), "
    "low_px = IF(bars.trades = 0, VALUES(low_px), LEAST(low_px, VALUES(low_px))), close_px = VALUES(close_px), qty = qty + VALUES(qty), "
    "trades = bars.trades + VALUES(trades), notional = notional + VALUES(notional), last_trade = VALUES(last_trade)",
)  # fmt: skip
"""Not a value of the log but a sum over it: the marks, in the same transaction, see to it that each trade is added once."""
REJECTS: Final = Table(
    "rejects",
    (
        "shard", "seq", "kind", "reason", "account", "order_id", "instrument", "side", "ord_type", "time_in_force", "order_qty", "price",
        "transact_time",
    ),
    "cl_ord_id",
    "seq = rejects.seq",
)  # fmt: skip

ALERT_DETAILS: Final = (
    "accounts", "steps", "rule_refs", "features", "counterfactual", "evidence_total", "detector_version", "config_digest", "reference_digest",
)  # fmt: skip
"""Fields of alert.avsc that are kept together in the column `details`."""
ALERT_COLUMNS: Final = (
    "alert_id", "pattern", "instrument", "account", "side", "score", "explanation", "window_start", "window_end", "detected_at", "source",
    "evidence", "status", "revised_at", "severity", "occurrences", "episode_key", "details", "revision",
)  # fmt: skip
"""`revision` last: MySQL assigns from left to right, and the others ask whether theirs is newer than the one that is stored."""
_NEWEST_REVISION: Final = ", ".join(
    f"{name} = IF(VALUES(revision) > alerts.revision, VALUES({name}), alerts.{name})" for name in ALERT_COLUMNS[1:]
)
INSERT_ALERT: Final = (
    f"INSERT INTO alerts ({', '.join(ALERT_COLUMNS)}) VALUES ({', '.join(['%s'] * len(ALERT_COLUMNS))}) "  # noqa: S608  constants only
    f"ON DUPLICATE KEY UPDATE {_NEWEST_REVISION}"
)
"""The newest revision of an alert stays, in whichever order they come."""


def execution_statements(frames: Sequence[Frame]) -> list[str]:
    """Rows of frames of `executions`: trades, the bars that they make, busts, phases."""
    rows = np.concatenate([frame.rows for frame in frames])
    trades, busts, phases = (rows[rows["kind"] == kind] for kind in (ExecKind.TRADE, ExecKind.TRADE_BUSTED, ExecKind.SECURITY_STATUS))
    # in an uncross no order comes in: `side` only says that order_id is the buy
    made = {"aggressor_side": np.where(trades["flags"] & ExecFlag.UNCROSS, 0, trades["side"])}
    return [
        *TRADES.statements([made[name] if name in made else trades[name] for name in TRADES.columns]),
        *bar_statements(trades),
        *TRADE_BUSTS.statements([busts[name] for name in TRADE_BUSTS.columns]),
        *PHASES.statements([phases[name] for name in PHASES.columns]),
    ]


def bar_statements(trades: Rows) -> Iterable[str]:
    """The trades, added to the bars of their minutes; those of an instrument are in the order of the log."""
    if not len(trades):
        return []
    minutes = trades["transact_time"] - trades["transact_time"] % MINUTE_NS
    order = np.lexsort((np.arange(len(trades)), minutes, trades["instrument"]))
    trades, minutes = trades[order], minutes[order]
    starts = np.flatnonzero(np.diff(minutes, prepend=-1).astype(bool) | np.diff(trades["instrument"], prepend=np.uint32(0)).astype(bool))
    ends = np.append(starts[1:], len(trades)) - 1
    price, qty = trades["price"], trades["qty"]
    made = {
        "instrument": trades["instrument"][starts], "started_at": minutes[starts], "open_px": price[starts], "close_px": price[ends],
        "high_px": np.maximum.reduceat(price, starts), "low_px": np.minimum.reduceat(price, starts), "qty": np.add.reduceat(qty, starts),
        "trades": ends - starts + 1, "notional": np.add.reduceat(price * qty, starts), "first_trade": trades["trd_match_id"][starts],
        "last_trade": trades["trd_match_id"][ends],
    }  # fmt: skip
    return BARS.statements([made[name] for name in BARS.columns])


def account_statements(frames: Sequence[tuple[int, Frame]]) -> list[str]:
    """Rows of frames of `account.events` (with their partitions): orders, executions, postings, rejects."""
    rows = np.concatenate([frame.rows for _, frame in frames])
    shard = np.repeat(np.array([partition for partition, _ in frames], "<u2"), [len(frame.rows) for _, frame in frames])
    width = max((frame.cl_ord_id.dtype.itemsize for _, frame in frames if frame.cl_ord_id is not None), default=1)
    text = np.concatenate([_texts(frame, width) for _, frame in frames])
    trade = rows["kind"] == AccountEventKind.TRADE
    trades = rows[trade]
    return [
        *_order_statements(rows, text),
        *EXECUTIONS.statements([trades[name] for name in EXECUTIONS.columns]),
        *_posting_statements(rows, shard),
        *_reject_statements(rows, shard, text),
    ]


def alert_values(alert: dict[str, Any]) -> tuple[Any, ...]:
    """The values of INSERT_ALERT."""
    replaced = {
        "side": int(Side[alert["side"]]),
        "evidence": json.dumps(alert["evidence"]),
        "details": json.dumps({name: alert[name] for name in ALERT_DETAILS}),
    }
    return tuple(replaced.get(name, alert.get(name)) for name in ALERT_COLUMNS)


def _texts(frame: Frame, width: int) -> Rows:
    if frame.cl_ord_id is None:
        return np.zeros(len(frame.rows), f"S{width}")
    return frame.cl_ord_id.astype(f"S{width}")


def _order_statements(rows: Rows, text: Rows) -> Iterable[str]:
    """One row per order: its newest state in these rows, and the reason of its end if that is among them.

    A refused cancel is a state of the order only if it was put back to work; submitted_at is zero where the row is about no known order.
    """
    kind = rows["kind"]
    refused_cancel = (kind == AccountEventKind.CANCEL_REJECTED) & ((rows["leaves_qty"] == 0) | (rows["submitted_at"] == 0))
    wanted = np.isin(kind, _ORDER_KINDS) & ~refused_cancel
    rows, text = rows[wanted], text[wanted]
    if not len(rows):
        return []
    # the last row of each order: np.unique finds first ones, so look from the end
    newest = len(rows) - 1 - np.unique(rows["order_id"][::-1], return_index=True)[1]
    reason = np.zeros(len(newest), rows["reason"].dtype)
    ended = np.isin(rows["kind"], _ENDED_UNFILLED)
    # an order ends once, and order_id is sorted in rows[newest]
    reason[np.searchsorted(rows["order_id"][newest], rows["order_id"][ended])] = rows["reason"][ended]
    rows, text = rows[newest], text[newest]
    renamed = {"updated_at": rows["transact_time"], "version": rows["seq"], "reason": reason, "price_offset": rows["offset"]}
    return ORDERS.statements([renamed[name] if name in renamed else rows[name] for name in ORDERS.columns], text)


def _posting_statements(rows: Rows, shard: Rows) -> Iterable[str]:
    """The legs of each trade, each busted trade, and each update from outside, without those that are zero."""
    for leg, amount, sign in ((CASH, "cash_delta", 1), (SHARES, "shares_delta", 1), (FEE, "fee", -1), (FEE_TAKEN, "fee", 1)):
        wanted = np.isin(rows["kind"], _POSTING_KINDS) & (rows[amount] != 0)
        posted = rows[wanted]
        instrument = posted["instrument"] if leg == SHARES else np.zeros_like(posted["instrument"])
        account = np.full_like(posted["account"], EXCHANGE_ACCOUNT) if leg == FEE_TAKEN else posted["account"]
        made = {
            "shard": shard[wanted], "leg": np.full(len(posted), leg), "account": account, "instrument": instrument, "amount": sign * posted[amount],
        }  # fmt: skip
        yield from POSTINGS.statements([made[name] if name in made else posted[name] for name in POSTINGS.columns])


def _reject_statements(rows: Rows, shard: Rows, text: Rows) -> Iterable[str]:
    wanted = np.isin(rows["kind"], _REJECT_KINDS)
    rows, shard, text = rows[wanted], shard[wanted], text[wanted]
    return REJECTS.statements([shard if name == "shard" else rows[name] for name in REJECTS.columns], text)
