"""What happened according to the log, computed from its rows alone. Every store and client is compared with it.

In: `executions` (rows of execution_frame) and `account.events` (rows of account_event_frame with their cl_ord_ids), from the first record on,
duplicates dropped, in the order of their partitions. Where the two disagree, or break an invariant of the exchange, `problems` says so.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.codec import Rows
from schemas.enums import AccountEventKind, ExecKind, Side
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason

OrderKey = tuple[int, str]
"""(account, cl_ord_id)"""


@dataclass(frozen=True)
class Traded:
    """The trades of one instrument: lots, ticks x lots, ids, and the price of the last."""

    trades: int
    qty: int
    notional: int
    last_px: int
    trade_ids: frozenset[int]


@dataclass(frozen=True)
class LogFacts:
    """What happened; see the module."""

    traded: dict[int, Traded]
    accepted: frozenset[OrderKey]
    rejected: dict[OrderKey, Reason]
    orders_rejected: int
    canceled: int
    open_orders: int
    deposited_cash: int
    total_cash: int
    money_conserved: bool
    shares_conserved: bool
    holds_agree: bool
    problems: tuple[str, ...] = field(default=())

    @property
    def trades(self) -> int:
        """Trades of all instruments."""
        return sum(one.trades for one in self.traded.values())

    def rejected_by(self) -> Counter[Reason]:
        """Refused orders by reason."""
        return Counter(self.rejected.values())


def facts_of(executions: Rows, events: Rows, cl_ord_ids: Rows, instruments: InstrumentTable) -> LogFacts:
    """The facts; arrays of the log's rows as the module says."""
    problems: list[str] = []
    trades = executions[executions["kind"] == ExecKind.TRADE]
    texts = [text.decode("ascii") for text in cl_ord_ids.tolist()]
    accounts = events["account"].tolist()
    accepted = _where(events, AccountEventKind.ACCEPTED)
    rejected = _where(events, AccountEventKind.REJECTED)
    problems += _settlement_problems(trades, events)
    problems += _sequence_problems(executions)
    open_orders = _open_orders(executions)
    problems += _level_problems(executions, open_orders)
    money, shares = _conservation_problems(events), _share_problems(events)
    holds = _hold_problems(events, open_orders, instruments)
    deposits = events[events["kind"] == AccountEventKind.ACCOUNT_UPDATED]
    return LogFacts(
        traded=_traded(trades),
        accepted=frozenset((accounts[row], texts[row]) for row in accepted),
        rejected={(accounts[row], texts[row]): Reason(int(events["reason"][row])) for row in rejected},
        orders_rejected=len(rejected),
        canceled=int((executions["kind"] == ExecKind.CANCELED).sum()),
        open_orders=len(open_orders),
        deposited_cash=int(deposits["cash_delta"].sum()),
        total_cash=sum(_last_values(events, "cash").values()),
        money_conserved=not money,
        shares_conserved=not shares,
        holds_agree=not holds,
        problems=tuple(problems + money + shares + holds),
    )


def _where(events: Rows, kind: AccountEventKind) -> list[int]:
    rows: list[int] = np.flatnonzero(events["kind"] == kind).tolist()
    return rows


def _traded(trades: Rows) -> dict[int, Traded]:
    found = {}
    for number in np.unique(trades["instrument"]).tolist():
        own = trades[trades["instrument"] == number]
        last = own[np.argmax(own["rpt_seq"])]
        ids = frozenset(own["trd_match_id"].tolist())
        found[number] = Traded(len(own), int(own["qty"].sum()), int((own["qty"] * own["price"]).sum()), int(last["price"]), ids)
    return found


def _settlement_problems(trades: Rows, events: Rows) -> list[str]:
    """Each trade occurs once, and has one posting to a buyer and one to a seller at its price and quantity."""
    known = {row[0]: row[1:] for row in zip(*(trades[name].tolist() for name in ("trd_match_id", "price", "qty")), strict=True)}
    problems = [] if len(known) == len(trades) else [f"executions has {len(trades)} trades with {len(known)} different trd_match_id"]
    postings = events[events["kind"] == AccountEventKind.TRADE]
    sides: dict[int, list[int]] = {}
    columns = (postings[name].tolist() for name in ("trd_match_id", "last_px", "last_qty", "side"))
    for trade, price, qty, side in zip(*columns, strict=True):
        sides.setdefault(trade, []).append(side)
        if known.get(trade) != (price, qty):
            problems.append(f"trade {trade} was settled at {(price, qty)}, executed at {known.get(trade)}")
    both = sorted((Side.BUY, Side.SELL))
    bad = [trade for trade in known if sorted(sides.get(trade, [])) != both]
    if bad:
        problems.append(f"{len(bad)} trades are not settled exactly once on either side, e.g. {bad[0]}: {sides.get(bad[0])}")
    return problems


def _sequence_problems(executions: Rows) -> list[str]:
    """rpt_seq has no gaps for each instrument, from 1."""
    problems = []
    for number in np.unique(executions["instrument"]).tolist():
        if not number:
            continue
        seqs = executions["rpt_seq"][executions["instrument"] == number]
        if not np.array_equal(seqs, np.arange(1, len(seqs) + 1, dtype=seqs.dtype)):
            problems.append(f"rpt_seq of instrument {number} is not dense: {len(seqs)} rows, last {int(seqs[-1])}")
    return problems


@dataclass
class _Open:
    account: int
    instrument: int
    side: int
    price: int
    leaves: int


def _open_orders(executions: Rows) -> dict[int, _Open]:
    """Orders in the books at the end, by order_id."""
    orders: dict[int, _Open] = {}
    names = ("kind", "order_id", "account", "instrument", "side", "price", "qty", "leaves_qty", "contra_order_id", "contra_leaves_qty")
    ends = (ExecKind.CANCELED, ExecKind.EXPIRED)
    for kind, order, account, number, side, price, qty, leaves, contra, contra_leaves in _tuples(executions, names):
        if kind == ExecKind.NEW:
            orders[order] = _Open(account, number, side, price, qty)
        elif kind == ExecKind.TRADE:
            orders[order].leaves, orders[contra].leaves = leaves, contra_leaves
        elif kind in ends:
            orders[order].leaves = 0
    return {order: state for order, state in orders.items() if state.leaves}


def _tuples(rows: Rows, names: Iterable[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(rows[name].tolist() for name in names), strict=True)


def _level_problems(executions: Rows, open_orders: dict[int, _Open]) -> list[str]:
    """The last published price levels equal the sums of the open orders."""
    told = {row[:3]: row[3] for row in _tuples(executions[executions["kind"] == ExecKind.LEVEL], ("instrument", "side", "price", "qty"))}
    needed: Counter[tuple[int, int, int]] = Counter()
    for order in open_orders.values():
        needed[order.instrument, order.side, order.price] += order.leaves
    wrong = {key for key in told.keys() | needed.keys() if told.get(key, 0) != needed[key]}
    return [f"{len(wrong)} price levels differ from the open orders, e.g. {min(wrong)}"] if wrong else []


def _conservation_problems(events: Rows) -> list[str]:
    """Postings of trades sum to zero in cash, and total cash equals the deposits."""
    trades, deposits = events[events["kind"] == AccountEventKind.TRADE], events[events["kind"] == AccountEventKind.ACCOUNT_UPDATED]
    made, deposited, total = int(trades["cash_delta"].sum()), int(deposits["cash_delta"].sum()), sum(_last_values(events, "cash").values())
    problems = [f"trades made {made} minor units of cash"] if made else []
    if total != deposited:
        problems.append(f"accounts have {total} minor units, {deposited} were deposited")
    return problems


def _share_problems(events: Rows) -> list[str]:
    """The same for the shares of each instrument."""
    problems = []
    positions: Counter[int] = Counter()
    for (_, number), lots in _last_values(events, "position", "instrument").items():
        positions[number] += lots
    for number in np.unique(events["instrument"]).tolist():
        own = events[events["instrument"] == number]
        made = int(own["shares_delta"][own["kind"] == AccountEventKind.TRADE].sum())
        deposited = int(own["shares_delta"][own["kind"] == AccountEventKind.ACCOUNT_UPDATED].sum())
        if number and (made or positions[number] != deposited):
            problems.append(f"instrument {number}: trades made {made} lots; accounts have {positions[number]}, {deposited} were deposited")
    return problems


def _last_values(events: Rows, column: str, *also: str) -> dict[Any, int]:
    """The last value of a column by account (and other columns). Rows of accounts that do not exist are left out."""
    known = events[events["reason"] != Reason.UNKNOWN_ACCOUNT]
    if also:
        return {row[:-1]: row[-1] for row in _tuples(known, ("account", *also, column))}
    return dict(_tuples(known, ("account", column)))


def _hold_problems(events: Rows, open_orders: dict[int, _Open], instruments: InstrumentTable) -> list[str]:
    """At rest, holds are exactly what the open orders require: a buy its limit price, a sell its shares."""
    cash: Counter[int] = Counter()
    lots: Counter[tuple[int, int]] = Counter()
    for order in open_orders.values():
        if order.side == Side.BUY:
            cash[order.account] += order.price * order.leaves * int(instruments.rules["lot_minor_per_tick"][order.instrument])
        else:
            lots[order.account, order.instrument] += order.leaves
    held_cash, held_lots = _last_values(events, "cash_held"), _last_values(events, "position_held", "instrument")
    wrong_cash = [(one, held_cash.get(one, 0), cash[one]) for one in held_cash.keys() | cash.keys() if held_cash.get(one, 0) != cash[one]]
    wrong_lots = [
        (one, held_lots.get(one, 0), lots[one]) for one in held_lots.keys() | lots.keys() if one[1] and held_lots.get(one, 0) != lots[one]
    ]
    problems = (
        [f"{len(wrong_cash)} accounts hold other cash than their open orders require, e.g. (account, held, required) {wrong_cash[0]}"]
        if wrong_cash
        else []
    )
    if wrong_lots:
        problems.append(
            f"{len(wrong_lots)} positions hold other lots than their open orders require, e.g. ((account, instrument), held, required) {wrong_lots[0]}"
        )
    return problems
