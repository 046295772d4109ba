"""The events of a day, from its facts. No I/O.

An event is a row of `executions` about an order; what the gateway or an account shard refused never reached a book and is not reported. Each event has
the best bid and offer before its command, zero where there was none; this exchange knows no other market, so they are its own.

sequenceNumber is twice the row's rpt_seq, so it rises by symbol and day. An auction's prints use the number behind it too, because one row may bring
both of its orders into the print.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from reports.cat.fields import Record
from reports.cat.scales import Scale
from reports.cat.words import (
    BUY,
    BY_CUSTOMER,
    CANCEL_REASONS,
    HIDDEN,
    LIMIT,
    LINKED,
    MARKET,
    NOT_ADJUSTED,
    ORDER_TYPES,
    OTHER_REASON,
    PEGS,
    POST_ONLY,
    RESERVE,
    SELL_LONG,
    SELL_SHORT,
    SLIDE,
    STOP,
    TO_LIMIT,
    TRAIL,
    TRAIL_POINTS,
    ActionType,
    EventType,
    Initiator,
    Liquidity,
)
from reports.facts import DayFacts
from reports.reference import Member, Reference
from reports.report_day import ReportDay
from schemas.codec import Rows
from schemas.enums import ExecFlag, ExecInst, ExecKind, OffsetType, OrdType, Side, TimeInForce
from schemas.reject_reasons import Reason

CHUNK_ROWS: Final = 65_536
_ROW: Final = (
    "kind", "flags", "reason", "instrument", "rpt_seq", "order_id", "contra_order_id", "trd_match_id", "price", "qty", "leaves_qty", "contra_leaves_qty",
    "display_qty", "ord_type", "time_in_force", "side",
)  # fmt: skip
_NEW: Final = ActionType.NEW.value
_UNCROSS: Final = int(ExecFlag.UNCROSS)
_FLAGS: Final = ((int(ExecInst.POST_ONLY), POST_ONLY), (int(ExecInst.POST_ONLY_SLIDE), SLIDE), (int(ExecInst.HIDDEN), HIDDEN))
_TRAILING: Final = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
_WITH_LIMIT: Final = (OrdType.LIMIT, OrdType.STOP_LIMIT)
_TRADE: Final = int(ExecKind.TRADE)


@dataclass(slots=True)
class Row:
    """A row of executions with its place in the files."""

    kind: int
    flags: int
    reason: int
    instrument: int
    rpt_seq: int
    order_id: int
    contra_order_id: int
    trd_match_id: int
    price: int
    qty: int
    leaves_qty: int
    contra_leaves_qty: int
    display_qty: int
    ord_type: int
    time_in_force: int
    side: int
    order: int
    contra: int
    bid: int
    offer: int
    stamp: str


class CatEvents:
    """The events of the day. Iterate over `records`."""

    def __init__(self, facts: DayFacts, reference: Reference) -> None:
        self._facts, self._reference, self._day = facts, reference, facts.day
        self._date_text, self._date_number = facts.day.compact, int(facts.day.compact)
        self._in_force: dict[int, dict[str, Any]] = {int(one): {one.name: True} for one in TimeInForce} | {
            TimeInForce.DAY: {"DAY": self._date_number}
        }
        self._scales = {number: Scale(one) for number, one in facts.instruments.by_number.items()}
        self._now: dict[int, int] = {}
        """By order_id, where in the facts' orders it is, after a replace."""
        self._trades: dict[int, str] = {}
        """Bulk prints by the trades of auctions, for trades that are undone."""

    def records(self) -> Iterator[Record]:
        """Every event, by symbol's number and sequence."""
        count, previous = len(self._facts.executions), list[Row]()
        for first in range(0, count, CHUNK_ROWS):
            for row in self._chunk(np.arange(first, min(first + CHUNK_ROWS, count))):
                if row.kind == _TRADE and row.flags & _UNCROSS:
                    if previous and not self._same_print(previous[-1], row):
                        yield from self._bulk_print(previous)
                        previous = []
                    previous.append(row)
                    continue
                if previous:
                    yield from self._bulk_print(previous)
                    previous = []
                event = self._event(row)
                if event is not None:
                    yield event
        if previous:
            yield from self._bulk_print(previous)

    @staticmethod
    def _same_print(one: Row, other: Row) -> bool:
        """Whether two neighbouring trades are of one uncross: the same symbol, price and moment."""
        return (one.instrument, one.price, one.stamp) == (other.instrument, other.price, other.stamp)

    def _chunk(self, part: Rows) -> Iterator[Row]:
        """The rows with these numbers, which rise. Rows that were left out must be of orders that are not replaced."""
        facts = self._facts
        rows = facts.executions[part]
        columns = [rows[name].tolist() for name in _ROW]
        places = [facts.order_rows(rows[name]).tolist() for name in ("order_id", "contra_order_id")]
        quotes = [side[part].tolist() for side in (facts.bids, facts.offers)]
        for row in map(Row, *columns, *places, *quotes, self._day.stamps(rows["transact_time"])):
            if row.kind == ExecKind.REPLACED:
                self._replace(row.order_id)
            if self._now:
                row.order, row.contra = self._now.get(row.order_id, row.order), self._now.get(row.contra_order_id, row.contra)
            yield row

    def _replace(self, order_id: int) -> None:
        """The next description of the order; the last one again where its account shard's event is of the next day."""
        later = self._facts.replaced.get(order_id, [])
        seen = later.index(self._now[order_id]) + 1 if order_id in self._now else 0
        if seen < len(later):
            self._now[order_id] = later[seen]

    def _event(self, row: Row) -> Record | None:
        match row.kind:
            case ExecKind.NEW:
                return self._accepted(row)
            case ExecKind.TRADE:
                return self._trade(row)
            case ExecKind.CANCELED | ExecKind.EXPIRED:
                return self._canceled(row)
            case ExecKind.REPLACED:
                return self._modified(row, Initiator.FIRM)
            case ExecKind.TRIGGERED:
                return self._modified(row, Initiator.EXCHANGE)
            case ExecKind.RESTATED:
                return self._restated(row) if row.reason == Reason.START_OF_DAY else self._adjusted(row)
            case ExecKind.TRADE_BUSTED:
                return self._broken(row)
        raise AssertionError(f"{row.kind} is no kind of a row about an order")

    # ---- events

    def _head(self, row: Row, event: EventType, after: int = 0) -> Record:
        symbol, sequence = self._scales[row.instrument].symbol, 2 * row.rpt_seq + after
        return {
            "actionType": _NEW, "firmROEID": f"{self._date_text}_{symbol}_{sequence}", "type": event.value,
            "exchange": self._reference.exchange, "eventTimestamp": row.stamp, "sequenceNumber": sequence, "symbol": symbol,
        }  # fmt: skip

    def _state(self, row: Row, quantity: int) -> Record:
        order, scale, member = row.order, self._scales[row.instrument], self._member(row.order)
        price, working, order_type = self._prices(row)
        found: Record = {
            "routingParty": member.routing_party, "routedOrderID": self._routed(row), "session": member.session, "side": self._side(order)
        }  # fmt: skip
        if price is not None:
            found["price"] = price
        found |= {"quantity": scale.qty(quantity), "leavesQty": scale.qty(row.leaves_qty), "displayQty": scale.qty(row.display_qty)}
        if working is not None:
            found["workingPrice"] = working
        return found | {
            "orderType": order_type, "timeInForce": self._time_in_force(row), "capacity": member.capacity,
            "handlingInstructions": self._instructions(row, scale), **self._best(row), "member": member.member,
        }  # fmt: skip

    def _prices(self, row: Row) -> tuple[float | None, float | None, str]:
        """Its limit, the price at which it works where that is another one, and its type."""
        scale, ordered = self._scales[row.instrument], self._orders.price[row.order]
        if row.ord_type == OrdType.PEGGED:
            limit = ordered
            working = row.price if row.price != limit else 0
        elif row.ord_type in _WITH_LIMIT:
            limit, working = row.price, 0
        else:
            limit = working = 0
        order_type = LIMIT if limit else ORDER_TYPES[row.ord_type] if row.ord_type not in _WITH_LIMIT else MARKET
        return scale.price(limit) if limit else None, scale.price(working) if working else None, order_type

    def _accepted(self, row: Row) -> Record:
        return self._head(row, EventType.ACCEPTED) | {"orderID": str(row.order_id)} | self._state(row, row.qty)

    def _modified(self, row: Row, initiator: Initiator) -> Record:
        quantity = row.qty if row.kind == ExecKind.REPLACED else self._quantity_of(row)
        head = self._head(row, EventType.MODIFIED) | {"orderID": str(row.order_id)} | self._original(row.order)
        return head | {"initiator": initiator.value} | self._state(row, quantity)

    def _restated(self, row: Row) -> Record:
        date = {"originalOrderDate": self._date(row.order)}
        return self._head(row, EventType.RESTATED) | {"orderID": str(row.order_id)} | date | self._state(row, row.leaves_qty)

    def _adjusted(self, row: Row) -> Record | None:
        if row.reason in NOT_ADJUSTED:
            return None
        scale = self._scales[row.instrument]
        found = self._head(row, EventType.ADJUSTED) | {"orderID": str(row.order_id)} | self._original(row.order)
        found["initiator"] = Initiator.EXCHANGE.value
        if row.price:
            found["price"] = scale.price(row.price)
        if row.qty:
            found["quantity"] = scale.qty(self._quantity_of(row))
        return found | {"leavesQty": scale.qty(row.leaves_qty), **self._best(row), "member": self._member(row.order).member}

    def _canceled(self, row: Row) -> Record:
        scale = self._scales[row.instrument]
        return self._head(row, EventType.CANCELED) | {"orderID": str(row.order_id)} | self._original(row.order) | {
            "cancelQty": scale.qty(row.qty), "leavesQty": scale.qty(row.leaves_qty),
            "initiator": (Initiator.FIRM if row.reason in BY_CUSTOMER else Initiator.EXCHANGE).value,
            "cancelReason": CANCEL_REASONS.get(row.reason, OTHER_REASON), "member": self._member(row.order).member,
        }  # fmt: skip

    def _trade(self, row: Row) -> Record:
        scale = self._scales[row.instrument]
        incoming = self._party(row.order, row.order_id, row.leaves_qty, Liquidity.REMOVED, scale)
        resting = self._party(row.contra, row.contra_order_id, row.contra_leaves_qty, Liquidity.ADDED, scale)
        buy, sell = (incoming, resting) if incoming["side"] == BUY else (resting, incoming)
        return self._head(row, EventType.TRADE) | {
            "tradeID": str(row.trd_match_id), "quantity": scale.qty(row.qty), "price": scale.price(row.price), "buyDetails": buy, "sellDetails": sell,
            **self._best(row),
        }  # fmt: skip

    def _party(self, order: int, order_id: int, leaves: int, liquidity: Liquidity, scale: Scale) -> Record:
        member = self._member(order)
        found: Record = {"side": self._side(order), "leavesQty": scale.qty(leaves), "orderID": str(order_id)}
        return found | self._original(order) | {
            "capacity": member.capacity, "clearingNumber": member.clearing_number, "liquidityCode": liquidity.value, "member": member.member
        }  # fmt: skip

    def _bulk_print(self, rows: list[Row]) -> Iterator[Record]:
        """An event for each order of an uncross, at the place of the row with which it came in."""
        print_id = str(rows[0].trd_match_id)
        first: dict[int, tuple[Row, int, int]] = {}
        lots: dict[int, int] = {}
        for row in rows:
            self._trades[row.trd_match_id] = print_id
            for order_id, order, after in ((row.order_id, row.order, 0), (row.contra_order_id, row.contra, 1)):
                first.setdefault(order_id, (row, order, after))
                lots[order_id] = lots.get(order_id, 0) + row.qty
        for order_id, (row, order, after) in first.items():
            scale, member = self._scales[row.instrument], self._member(order)
            yield self._head(row, EventType.BULK_PRINT, after) | {
                "bulkPrintID": print_id, "price": scale.price(row.price), "quantity": scale.qty(lots[order_id]), "orderID": str(order_id),
                **self._original(order), "side": self._side(order), "clearingNumber": member.clearing_number, "member": member.member,
            }  # fmt: skip

    def _broken(self, row: Row) -> Record:
        scale = self._scales[row.instrument]
        found: Record = self._head(row, EventType.TRADE_BROKEN) | {"tradeID": str(row.trd_match_id)}
        if row.trd_match_id in self._trades:
            found["bulkPrintID"] = self._trades[row.trd_match_id]
        if row.trd_match_id in self._traded_today:
            found["tradeDate"] = self._date_number
        return found | {"quantity": scale.qty(row.qty), "price": scale.price(row.price)}

    # ---- what is known of an order

    @cached_property
    def _orders(self) -> "_Orders":
        return _Orders.of(self._facts.orders)

    @cached_property
    def _members(self) -> list[Member]:
        accounts = self._facts.orders["account"].tolist()
        known = {account: self._reference.member_of(account) for account in set(accounts)}
        return [known[account] for account in accounts]

    def _member(self, order: int) -> Member:
        return self._members[order]

    def _side(self, order: int) -> str:
        return self._orders.side_word[order]

    @cached_property
    def _texts(self) -> list[bytes]:
        found: list[bytes] = self._facts.cl_ord_ids.tolist()
        return found

    def _routed(self, row: Row) -> str:
        """The customer's name of the order."""
        return self._texts[row.order].decode("latin-1")

    def _best(self, row: Row) -> Record:
        scale = self._scales[row.instrument]
        return {"nbbPrice": scale.price(row.bid), "nboPrice": scale.price(row.offer)}

    def _date(self, order: int) -> int:
        return int(ReportDay.of(self._orders.submitted_at[order]).compact)

    def _original(self, order: int) -> Record:
        """The date in the key of an order of an earlier day."""
        return {"originalOrderDate": self._date(order)} if self._orders.submitted_at[order] < self._day.start_ns else {}

    def _time_in_force(self, row: Row) -> dict[str, Any]:
        if row.time_in_force == TimeInForce.GTD:
            expires = self._orders.expire_time[row.order]
            return {"GTT": ReportDay.of(expires).stamps(np.array([expires]))[0]}
        return self._in_force[row.time_in_force]

    def _instructions(self, row: Row, scale: Scale) -> dict[str, Any]:
        orders, at = self._orders, row.order
        if orders.is_plain[at]:
            return {}
        flags, found = orders.exec_inst[at], dict[str, Any]()
        for flag, word in _FLAGS:
            if flags & flag:
                found[word] = True
        if orders.stop_px[at]:
            found[STOP] = scale.price(orders.stop_px[at])
        offset = orders.offset[at]
        if orders.ord_type[at] in _TRAILING:
            points = orders.offset_type[at] == OffsetType.BASIS_POINTS
            found[TRAIL_POINTS if points else TRAIL] = offset if points else scale.price(offset)
        if orders.peg_price_type[at]:
            found[PEGS[orders.peg_price_type[at]]] = scale.price(offset)
        if orders.ord_type[at] == OrdType.MARKET_TO_LIMIT:
            found[TO_LIMIT] = True
        if orders.display_qty[at]:
            found[RESERVE] = scale.qty(orders.display_qty[at])
        if orders.list_id[at]:
            found[LINKED] = str(orders.list_id[at])
        return found

    def _quantity_of(self, row: Row) -> int:
        """The order's total after a row that does not say it, lots."""
        return self._totals[row.order_id, row.rpt_seq]

    @cached_property
    def _totals(self) -> dict[tuple[int, int], int]:
        """After each TRIGGERED row, and each RESTATED one that takes from the total: rare, so these orders alone are followed."""
        rows = self._facts.executions
        kinds = rows["kind"]
        needed = (kinds == ExecKind.TRIGGERED) | ((kinds == ExecKind.RESTATED) & (rows["qty"] != 0))
        chosen = rows[np.isin(rows["order_id"], rows["order_id"][needed])]
        total: dict[int, int] = {}
        found: dict[tuple[int, int], int] = {}
        columns = (chosen[name].tolist() for name in ("kind", "order_id", "qty", "leaves_qty", "rpt_seq", "reason"))
        for kind, order_id, qty, leaves, seq, reason in zip(*columns, strict=True):
            if kind in (ExecKind.NEW, ExecKind.REPLACED):
                total[order_id] = qty
            elif kind == ExecKind.RESTATED:
                total[order_id] = leaves if reason == Reason.START_OF_DAY else total.get(order_id, leaves + qty) - qty
            elif kind == ExecKind.TRIGGERED:
                total.setdefault(order_id, leaves)
            found[order_id, seq] = total.get(order_id, 0)
        return found

    @cached_property
    def _traded_today(self) -> frozenset[int]:
        """Trades of the day that were undone on it."""
        rows = self._facts.executions
        busted = rows["trd_match_id"][rows["kind"] == ExecKind.TRADE_BUSTED]
        traded = rows["trd_match_id"][rows["kind"] == ExecKind.TRADE]
        return frozenset(busted[np.isin(busted, traded)].tolist())


@dataclass(frozen=True, slots=True)
class _Orders:
    """Columns of the orders as lists: numbers of Python are quicker to read one by one."""

    ord_type: list[int]
    exec_inst: list[int]
    peg_price_type: list[int]
    offset_type: list[int]
    price: list[int]
    stop_px: list[int]
    display_qty: list[int]
    offset: list[int]
    expire_time: list[int]
    submitted_at: list[int]
    list_id: list[int]
    side_word: list[str]
    is_plain: list[bool]
    """Limit and market orders without any instruction."""

    @classmethod
    def of(cls, orders: Rows) -> "_Orders":
        names = [name for name in cls.__slots__ if name not in ("side_word", "is_plain")]
        plain = np.isin(orders["ord_type"], (OrdType.LIMIT, OrdType.MARKET))
        for name in ("exec_inst", "stop_px", "peg_price_type", "display_qty", "list_id"):
            plain &= orders[name] == 0
        sides = np.where(orders["side"] == Side.BUY, BUY, np.where(orders["is_short"], SELL_SHORT, SELL_LONG)).tolist()
        columns: dict[str, list[Any]] = {name: orders[name].tolist() for name in names}
        return cls(**columns, side_word=sides, is_plain=plain.tolist())
