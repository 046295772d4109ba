"""Customers of the small exchange: what they ask is drawn, and some of it is hostile. Reports that no book has made, too."""

from collections.abc import Callable
from typing import Any

import numpy as np
from shard_exchange import NUMBERS, SHARDS, Exchange, Values

from matchers.rules.account_rules import DAY_NS
from matchers.rules.outputs import COMMAND_DTYPE, REPORT_DTYPE
from schemas.enums import (
    BookCommandKind,
    CommandKind,
    ContingencyType,
    ExecFlag,
    OffsetType,
    OrdType,
    Phase,
    ReportKind,
    Side,
    TimeInForce,
)
from schemas.reject_reasons import Reason

EXTREME = (0, 1, -1, 255, 4_000_000_000, (1 << 63) - 1, -(1 << 63), 1 << 31, (1 << 31) + 1, 1 << 53, 1 << 60, (1 << 64) - 1)
TEXTS = (b"", b"\x80", b"a\0b", b"\x1f", b"\x7f", b"x" * 128, b"x" * 127 + b"\xff", b" ", b"~" * 9, b"12345678", b"1234567\n")


UPDATES = (CommandKind.ACCOUNT_UPDATE, CommandKind.ACCOUNT_STATUS, CommandKind.ACCOUNT_LIMITS)
TRAILING = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)


def bust_of(trade: Values, now: int) -> Values:
    """The command that undoes a trade, as an operator makes it from the books' records."""
    own, contra = (trade["order_id"], trade["account"]), (trade["contra_order_id"], trade["contra_account"])
    buy, sell = (own, contra) if trade["side"] == Side.BUY else (contra, own)
    return {
        "kind": BookCommandKind.TRADE_BUST, "instrument": trade["instrument"], "trd_match_id": trade["trd_match_id"], "price": trade["price"],
        "order_qty": trade["qty"], "reason": Reason.CLEARLY_ERRONEOUS, "transact_time": now, "order_id": buy[0], "account": buy[1],
        "list_id": sell[0], "self_match_prevention_id": sell[1], "side": 0 if trade["flags"] & ExecFlag.UNCROSS else trade["side"],
    }  # fmt: skip


def hostile(pick: Callable[[int], int], command: Values, dtype: np.dtype[Any]) -> Values:
    """The command with one column at an extreme value that fits the column."""
    names = [name for name in dtype.names or () if name != "transact_time"]
    name = names[pick(len(names))]
    limits = np.iinfo(dtype[name])
    fitting = [value for value in EXTREME if limits.min <= value <= limits.max]
    return command | {name: fitting[pick(len(fitting))]}


class Customers:
    """Makes commands; `pick(n)` chooses a number below n."""

    def __init__(self, pick: Callable[[int], int], exchange: Exchange, *, lists: bool = True) -> None:
        self.pick, self.exchange, self.lists = pick, exchange, lists
        self.earlier: dict[int, list[tuple[Values, bytes]]] = {shard: [] for shard in range(SHARDS)}

    def order(self, shard: int) -> Values:
        """One order, mostly a good one."""
        pick, qty = self.pick, 1 + self.pick(30)
        ord_type = OrdType.LIMIT if pick(2) else list(OrdType)[pick(len(OrdType))]
        times = (
            TimeInForce.DAY,
            TimeInForce.DAY,
            TimeInForce.GTC,
            TimeInForce.IOC,
            TimeInForce.FOK,
            TimeInForce.OPG,
            TimeInForce.CLS,
            TimeInForce.GTD,
        )
        made: Values = {
            "kind": CommandKind.NEW_ORDER, "side": 1 + pick(2), "order_qty": qty, "time_in_force": times[pick(8)] if pick(2) else TimeInForce.DAY,
            "ord_type": ord_type, "locate": pick(3) == 0,
        }  # fmt: skip
        if ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT) or (ord_type == OrdType.PEGGED and pick(2)):
            made["price"] = 95 + pick(11)
        if ord_type == OrdType.TRAILING_STOP_LIMIT:
            made["price"] = pick(6)
        if ord_type in (OrdType.STOP, OrdType.STOP_LIMIT) or (ord_type in TRAILING and pick(2)):
            made["stop_px"] = 94 + pick(13)
        if ord_type in TRAILING:
            made |= {"offset": 1 + pick(5)} if pick(2) else {"offset": 1 + pick(400), "offset_type": OffsetType.BASIS_POINTS}
        if ord_type == OrdType.PEGGED:
            made |= {"offset": pick(5) - 2, "peg_price_type": (2, 4, 5)[pick(3)]}
        if made["time_in_force"] == TimeInForce.GTD:
            made["expire_time"] = self.exchange.now + 1 + pick(60)
        if pick(8) == 0:
            made["exec_inst"] = 1 + pick(4)
        if pick(8) == 0:
            made["display_qty"] = 1 + pick(qty)
        if pick(10) == 0:
            made["min_qty"] = 1 + pick(qty)
        if pick(4) == 0:
            made |= {"self_match_prevention_id": 1 + pick(2), "self_match_prevention_instruction": pick(6)}
        return made

    def replacement(self) -> Values:
        """A replace, mostly of price and quantity."""
        pick = self.pick
        made: Values = {"kind": CommandKind.REPLACE, "order_qty": pick(40), "time_in_force": 255 if pick(4) else pick(8)}
        if pick(2):
            made["price"] = 94 + pick(13)
        for column in ("stop_px", "display_qty", "offset", "expire_time"):
            if pick(10) == 0:
                made[column] = 1 + pick(100)
        return made

    def operator_command(self) -> Values:
        """What the exchange decides about an account."""
        pick = self.pick
        if pick(2):
            return {"kind": CommandKind.ACCOUNT_STATUS, "account_word": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3)[pick(15)]}
        if pick(3) == 0:
            return {"kind": CommandKind.ACCOUNT_LIMITS, "account_word": pick(9) == 0, "order_qty": pick(2) * (200 + pick(500))}
        rate = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1_000_000_000, 2)[pick(12)]
        limits = {"order_qty": rate, "min_qty": pick(10), "cash": (pick(3) == 0) * 100_000}
        return {"kind": CommandKind.ACCOUNT_LIMITS, "account_word": pick(4) > 0, "instrument": 0} | limits

    def command(self, shard: int) -> tuple[Values, bytes]:
        """One command of an account of this shard."""
        pick = self.pick
        self.exchange.now += pick(3) + (pick(900) == 0) * DAY_NS
        text = b"c%d" % pick(500)
        common = self.common(shard)
        what, ids = pick(100), self.exchange.order_ids[shard]
        named = self.own_order(shard) if pick(4) else {"order_id": ids[pick(len(ids))] if pick(3) else 0}
        if what < 50:
            made = common | self.order(shard)
        elif what < 63:
            made = common | named | {"kind": CommandKind.CANCEL}
        elif what < 78:
            made = common | named | self.replacement()
            text = b"r%d" % pick(5_000) if pick(4) else text
        elif what < 82 and self.earlier[shard]:
            made, text = self.earlier[shard][pick(len(self.earlier[shard]))]
        elif what < 84:
            made = common | {"kind": CommandKind.REGISTER_SESSION}
        elif what < 88:
            made = common | self.operator_command()
        else:
            lots = pick(100) - 40
            made = common | {"kind": CommandKind.ACCOUNT_UPDATE, "cash": 2_000 * (pick(100) - 30), "order_qty": lots if pick(2) else 0}
        if made["kind"] in UPDATES and what >= 84:
            self.exchange.updates += 1
            made["request_id"] = self.exchange.updates if pick(12) else pick(self.exchange.updates + 3)
        if pick(12) == 0:
            made = hostile(pick, made, COMMAND_DTYPE)
            if made["kind"] in UPDATES and made["request_id"] < 1 << 53:  # a high one that is taken would be the account's last
                made["request_id"] = min(made["request_id"], self.exchange.updates)
        if pick(25) == 0:
            text = TEXTS[pick(len(TEXTS))]
        if made["account"] % SHARDS != shard and made["kind"] != CommandKind.ACCOUNT_UPDATE:
            made |= {"account": made["account"] - made["account"] % SHARDS + shard}  # the wrong partition: shells keep these away
        self.earlier[shard] = [*self.earlier[shard][-40:], (made, text)]
        return made, text

    def orig(self, shard: int, command: Values) -> bytes:
        """Now and then a cancel or replace names its order by one of the ids that it has, had or waits for."""
        pick, machine = self.pick, self.exchange.reference.accounts[shard]
        if command["kind"] not in (CommandKind.CANCEL, CommandKind.REPLACE) or pick(3):
            return b""
        command["order_id"] = command.get("order_id", 0) if pick(8) == 0 else 0
        account = machine.state.accounts.get(command["account"])
        if account is None or not account.open_orders or pick(6) == 0:
            return (b"c%d" % pick(500), TEXTS[pick(len(TEXTS))])[pick(2)]
        orders = list(account.open_orders.values())
        order = orders[pick(len(orders))]
        return order.next_id.text if order.next_id and pick(3) == 0 else order.cl_ord_id

    def own_order(self, shard: int) -> Values:
        """An open order, by its number and its account's, if there is one."""
        accounts = [one for one in self.exchange.reference.accounts[shard].state.accounts.values() if one.open_orders]
        if not accounts:
            return {}
        account = accounts[self.pick(len(accounts))]
        orders = list(account.open_orders.values())
        return {"account": account.account, "order_id": orders[self.pick(len(orders))].order_id}

    def common(self, shard: int) -> Values:
        """Whose command it is, of which instrument, and when."""
        pick = self.pick
        return {
            "account": shard + SHARDS * pick(6), "request_id": pick(1000), "transact_time": self.exchange.now, "instrument": NUMBERS[pick(4)],
        }  # fmt: skip

    def listed(self, shard: int) -> list[tuple[Values, bytes]]:
        """The orders of a list, mostly a good one."""
        pick, common = self.pick, self.common(shard)
        kind = (ContingencyType.OCO, ContingencyType.OTO, ContingencyType.BRACKET)[pick(3)]
        side, qty, price = 1 + pick(2), 2 + pick(20), 96 + pick(9)
        limit = {"ord_type": OrdType.LIMIT, "price": price, "side": side}
        stop = (
            {"ord_type": OrdType.STOP, "stop_px": 95 + pick(11), "side": side}
            if pick(2)
            else limit | {"ord_type": OrdType.STOP_LIMIT, "stop_px": 100}
        )
        legs: list[Values] = [dict(limit), dict(stop)]
        if kind != ContingencyType.OCO:
            first = {"ord_type": OrdType.LIMIT, "price": 98 + pick(6)} if pick(2) else {"ord_type": OrdType.MARKET}
            legs = [first | {"side": 3 - side if pick(4) else side}, *legs[: 1 if kind == ContingencyType.OTO else 2]]
        number = 1 + pick(3)
        made = []
        for at, leg in enumerate(legs):
            shape = {
                "kind": CommandKind.NEW_ORDER,
                "contingency_type": kind,
                "list_id": number,
                "order_qty": qty if pick(3) else 1 + pick(30),
            }
            command = common | shape | leg | {"locate": pick(3) == 0}
            if pick(30) == 0:
                command = hostile(pick, command, COMMAND_DTYPE)
                command["account"] = command["account"] - command["account"] % SHARDS + shard
            made.append((command, b"l%d" % pick(300) if pick(8) else b"l%d" % at))
        if pick(6) == 0:
            made = made[: 1 + pick(len(made))]
        return made

    def frame(self, shard: int, frame_rows: int) -> list[tuple[Values, bytes]]:
        """Rows of one frame."""
        rows: list[tuple[Values, bytes]] = []
        for _ in range(1 + self.pick(frame_rows)):
            rows += self.listed(shard) if self.lists and self.pick(9) == 0 else [self.command(shard)]
        return rows

    def act(self, frame_rows: int) -> None:
        """One frame of some kind through the exchange."""
        pick, exchange = self.pick, self.exchange
        shard, what = pick(SHARDS), pick(20)
        if what < 9:
            commands, text = zip(*self.frame(shard, frame_rows), strict=True)
            commands = [dict(one) for one in commands]
            orig = [self.orig(shard, one) for one in commands]
            exchange.ask(shard, commands, list(text), pick(6) - 1 if pick(30) else (64, -5, 63, 1 << 31)[pick(4)], orig)
        elif what < 14:
            exchange.run_books(shard, 1 + pick(2 * frame_rows), self.operators(shard, frame_rows))
        else:
            exchange.settle(shard)

    def operators(self, shard: int, frame_rows: int) -> list[Values]:
        """Now and then a session change, a mass cancel, a bust, time, or rows that nobody should send."""
        pick, exchange = self.pick, self.exchange
        now = exchange.now
        instrument = [n for n in NUMBERS if n % SHARDS == shard][pick(2)] if pick(3) else 0
        common = {"transact_time": now, "instrument": instrument}
        if pick(200 // frame_rows + 3) == 0:
            phase = {"phase": (1, 1, 1, 3, 3, 4, 4, 0, 2, 99)[pick(10)], "expire_time": (now + 40) * pick(2)}
            return [common | {"kind": BookCommandKind.TRADING_SESSION_CHANGE} | phase]
        if pick(4) == 0:
            common |= {"instrument": 0}
            change = common | {"kind": BookCommandKind.TRADING_SESSION_CHANGE}
            return [
                common | {"kind": BookCommandKind.TRADING_RESUME},
                change | {"phase": Phase.OPENING_AUCTION},
                change | {"phase": Phase.CONTINUOUS},
            ]
        what = pick(24)
        if what < 2:
            return [common | {"kind": BookCommandKind.MASS_CANCEL, "account": pick(8), "side": pick(3)}]
        if what == 2:
            return [
                common | {"kind": (BookCommandKind.TRADING_HALT, BookCommandKind.TRADING_RESUME)[pick(2)], "phase": (6, 7, 0, 1)[pick(4)]}
            ]
        if what == 3 and exchange.trades and pick(2):
            return [bust_of(exchange.trades[pick(len(exchange.trades))], now)]
        if what < 7:
            return [{"kind": BookCommandKind.TIMER, "transact_time": now}, {"kind": (0, 11, 255)[pick(3)], "order_id": 5, "account": 1}]
        return []

    def opening(self) -> None:
        """Accounts with money and shares, and open markets."""
        for shard in range(SHARDS):
            deposits = [
                {
                    "kind": CommandKind.ACCOUNT_UPDATE,
                    "account": shard + SHARDS * k,
                    "instrument": n,
                    "order_qty": (60, 300, 20)[k - 1],
                    "cash": (600_000, 3_000_000, 200_000)[k - 1],
                }
                for k in range(1, 4)
                for n in NUMBERS
            ]
            deposits += [{"kind": CommandKind.ACCOUNT_LIMITS, "account": shard + SHARDS * k, "account_word": 1} for k in (1, 2)]
            self.exchange.updates = max(self.exchange.updates, len(deposits))
            deposits = [one | {"request_id": 1 + at} for at, one in enumerate(deposits)]
            self.exchange.ask(shard, deposits, [b""] * len(deposits), -1)
            self.exchange.run_books(shard, 0, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS}])


def forged_report(pick: Callable[[int], int], order: Any, now: int) -> Values:
    """A report of the order that fits, or nearly."""
    kind, lots = 1 + pick(10), 1 + pick(max(order.leaves_qty, 1))
    asked = order.terms.order_qty
    fitting: dict[int, Values] = {
        ReportKind.TRADE: {"last_px": 90 + pick(25), "last_qty": lots, "leaves_qty": order.leaves_qty - lots, "aggressor": pick(2)},
        ReportKind.REPLACED: {"last_px": 90 + pick(25), "last_qty": asked, "leaves_qty": asked - order.cum_qty},
        ReportKind.RESTATED: {"last_px": 90 + pick(25), "last_qty": lots, "leaves_qty": order.leaves_qty - lots},
        ReportKind.TRIGGERED: {"last_px": 90 + pick(25), "leaves_qty": order.leaves_qty, "ord_type": 1 + pick(2)},
    }
    reasons = (
        Reason.NONE,
        Reason.REQUESTED_BY_CUSTOMER,
        Reason.REPLACED_TO_NOTHING,
        Reason.MARKET_TO_LIMIT,
        Reason.PRICE_BAND,
        Reason.MARKET_CLOSED,
    )
    report = {
        "kind": kind,
        "order_id": order.order_id,
        "account": order.account.account,
        "instrument": order.instrument,
        "transact_time": now,
    }
    report |= {"reason": reasons[pick(len(reasons))]} | fitting.get(kind, {"last_qty": order.leaves_qty})
    if kind == ReportKind.TRADE_BUSTED:
        report["last_qty"] = 0  # a good one would be an operator's word, and leave the account owing
    if pick(3) == 0:
        report = hostile(pick, report, REPORT_DTYPE)
    return report
