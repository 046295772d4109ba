"""Order-to-trade ratios by member and instrument, modelled on Regulation (EU) 2017/566 (RTS 9), Article 3 and its annex. No I/O.

What counts as an order: a new order 1, a replace 2 (it cancels and inserts), a cancel by the customer or a replace to nothing 1, and an immediate
order whose rest is cancelled 1 more. What the exchange does by itself counts nothing: expiries, mass cancels, linked orders, elections, pegs, icebergs, auctions. Its volume: lots that
were inserted, and lots that were cancelled so. A transaction is an execution, whole or in part, of one of the member's orders; auctions count too.

    ratio = orders / transactions - 1
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from reports.facts import DayFacts
from reports.reference import Reference
from reports.tables import csv_lines, groups
from schemas.codec import Rows
from schemas.enums import ExecKind, TimeInForce
from schemas.reject_reasons import Reason

COLUMNS: Final = (
    "member", "symbol", "orders", "executions", "executed_orders", "ratio_by_number", "order_volume", "executed_volume", "ratio_by_volume",
    "limit_by_number", "limit_by_volume", "exceeded", "exceeded_since",
)  # fmt: skip
_BY_CUSTOMER: Final = (Reason.REQUESTED_BY_CUSTOMER, Reason.REPLACED_TO_NOTHING)
_IMMEDIATE: Final = (TimeInForce.IOC, TimeInForce.FOK)


class Messages(NamedTuple):
    """What counts, one entry for each side of each row that does: by member and instrument, then time."""

    member: Rows
    """Index into the names."""
    instrument: Rows
    order_id: Rows
    orders: Rows
    order_lots: Rows
    executions: Rows
    executed_lots: Rows
    time: Rows
    names: list[str]


def ratio_lines(facts: DayFacts, reference: Reference) -> Iterator[bytes]:
    """CSV with a header. A ratio without an execution is empty, and exceeds every limit."""
    return csv_lines(COLUMNS, _lines(facts, reference))


def messages_of(facts: DayFacts, reference: Reference) -> Messages:
    """All that counts on the day."""
    rows = facts.executions
    kinds, reasons = rows["kind"], rows["reason"]
    asked = (kinds == ExecKind.CANCELED) & (np.isin(reasons, _BY_CUSTOMER) | np.isin(rows["time_in_force"], _IMMEDIATE))
    orders = np.select([kinds == ExecKind.NEW, kinds == ExecKind.REPLACED, asked], [1, 2, 1], 0)
    before = leaves_before(rows)
    lots = np.select([kinds == ExecKind.NEW, kinds == ExecKind.REPLACED], [rows["qty"], before + rows["leaves_qty"]], rows["qty"])
    lots = np.where(orders > 0, lots, 0)
    trades = kinds == ExecKind.TRADE
    of_order, of_contra = (orders > 0) | trades, trades
    accounts = np.concatenate([rows["account"][of_order], rows["contra_account"][of_contra]])
    zeros = np.zeros(int(of_contra.sum()), np.int64)
    columns = (
        np.concatenate([rows["instrument"][of_order], rows["instrument"][of_contra]]),
        np.concatenate([rows["order_id"][of_order], rows["contra_order_id"][of_contra]]),
        np.concatenate([orders[of_order], zeros]), np.concatenate([lots[of_order], zeros]),
        np.concatenate([trades[of_order].astype(np.int64), zeros + 1]),
        np.concatenate([np.where(trades, rows["qty"], 0)[of_order], rows["qty"][of_contra]]),
        np.concatenate([rows["transact_time"][of_order], rows["transact_time"][of_contra]]),
    )  # fmt: skip
    distinct, places = np.unique(accounts, return_inverse=True)
    of_account = [reference.member_of(account).member for account in distinct.tolist()]
    names = sorted(set(of_account))
    number_of = {name: number for number, name in enumerate(names)}
    member = np.array([number_of[name] for name in of_account], np.int64)[places]
    by_group = np.lexsort((columns[-1], columns[0], member))
    instrument, order_id, order_count, order_lots, executions, executed_lots, times = (column[by_group] for column in columns)
    return Messages(member[by_group], instrument, order_id, order_count, order_lots, executions, executed_lots, times, names)


def leaves_before(rows: Rows) -> Rows:
    """For each row the lots that were left of its order before it; 0 where that is not known."""
    trades = np.flatnonzero(rows["kind"] == ExecKind.TRADE)
    order_ids = np.concatenate([rows["order_id"], rows["contra_order_id"][trades]])
    leaves = np.concatenate([rows["leaves_qty"], rows["contra_leaves_qty"][trades]])
    places = np.concatenate([np.arange(len(rows)), trades])
    in_order = np.lexsort((places, order_ids))
    follows = np.zeros(len(order_ids), bool)
    follows[1:] = order_ids[in_order][1:] == order_ids[in_order][:-1]
    previous = np.zeros(len(order_ids), np.int64)
    previous[1:] = leaves[in_order][:-1]
    found = np.zeros(len(order_ids), np.int64)
    found[in_order] = np.where(follows, previous, 0)
    return found[: len(rows)]


def _lines(facts: DayFacts, reference: Reference) -> Iterator[tuple[Any, ...]]:
    found = messages_of(facts, reference)
    limits = reference.otr_number_max, reference.otr_volume_max
    for start, end in groups(found.member, found.instrument):
        part = slice(start, end)
        one = facts.instruments.by_number[int(found.instrument[start])]
        counts = [np.cumsum(column[part]) for column in (found.orders, found.executions, found.order_lots, found.executed_lots)]
        orders, executions, order_lots, executed_lots = (int(column[-1]) for column in counts)
        executed = len(np.unique(found.order_id[part][found.executions[part] > 0]))
        above = _above(counts[0], counts[1], limits[0]) | _above(counts[2], counts[3], limits[1])
        since = ""
        if above[-1]:  # since it was last not above
            at = int(np.flatnonzero(~above)[-1]) + 1 if not above.all() else 0
            since = facts.day.stamps(found.time[part][at : at + 1])[0]
        yield (
            found.names[int(found.member[start])], one.symbol, orders, executions, executed, _ratio(orders, executions), one.qty_text(order_lots),
            one.qty_text(executed_lots), _ratio(order_lots, executed_lots), *(f"{limit:g}" if limit else "" for limit in limits),
            "yes" if above[-1] else "no", since,
        )  # fmt: skip


def _above(orders: Rows, executed: Rows, limit: float) -> Any:
    """Whether orders / executed - 1 is above the limit, after each message."""
    return orders > (limit + 1) * executed if limit else np.zeros(len(orders), bool)


def _ratio(orders: int, executed: int) -> str:
    return f"{orders / executed - 1:.4f}" if executed else ""
