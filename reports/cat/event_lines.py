"""The events of a day as lines of JSON: the same as reports.cat.events, in a tenth of the time. No I/O.

Most events of a day are plain orders, trades and cancels. Their lines are put together as columns of text, many rows at once; all others are written as
records, one by one. A test compares every line.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reports.cat.events import CatEvents, Row
from reports.cat.fields import json_line
from reports.cat.files import Lines
from reports.cat.scales import Scale
from reports.cat.words import BUY, BY_CUSTOMER, CANCEL_REASONS, LIMIT, OTHER_REASON, SELL_LONG, SELL_SHORT, EventType, Initiator, Liquidity
from reports.reference import Member
from schemas.codec import Rows
from schemas.enums import ExecFlag, ExecKind, OrdType, Side, TimeInForce

BLOCK_ROWS: Final = 32_768
"""About 16 MB of lines."""
_SIDE_WORDS: Final = (BUY, SELL_SHORT, SELL_LONG)
_IN_FORCE: Final = (int(TimeInForce.DAY), int(TimeInForce.IOC))
_ADDED, _REMOVED = 0, 1
_LIQUIDITY: Final = (Liquidity.ADDED.value, Liquidity.REMOVED.value)
_NAME_BYTES: Final = np.isin(
    np.arange(256), np.frombuffer(b"\0ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-", np.uint8)
)
"""JSON needs no other letters for these; a name ends at its first zero."""
Texts = Any
"""A column of texts, or one that is the same in every row; arrow's compute functions have no types."""


class CatLines(CatEvents):
    """The lines of the day. Iterate over `blocks`, or over `lines` where they are few."""

    def lines(self) -> Iterator[bytes]:
        """Every event, by symbol's number and sequence."""
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[Lines]:
        """The same, many lines at once."""
        count = len(self._facts.executions)
        places = np.flatnonzero(~self._is_plain)
        others = self._other_lines(places)
        waiting = next(others, None)
        for first in range(0, count, BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, count)
            texts, after = list[bytes](), list[int]()
            while waiting is not None and waiting[0] < last:
                after.append(waiting[0])
                texts.append(waiting[1])
                waiting = next(others, None)
            yield self._block(first, last, texts, after)

    def _block(self, first: int, last: int, others: list[bytes], after: list[int]) -> Lines:
        """Lines of plain rows, and other lines, each behind the row with its number in `after`."""
        kinds, plain = self._facts.executions["kind"][first:last], self._is_plain[first:last]
        parts, places = [pa.array(others, pa.binary())], [np.array(after, np.int64)]
        for kind, make in self._makers.items():
            chosen = first + np.flatnonzero(plain & (kinds == kind))
            if len(chosen):
                parts.append(make(chosen))
                places.append(chosen)
        order = np.argsort(np.concatenate(places), kind="stable")
        return Lines.of(pa.concat_arrays(parts).take(pa.array(order)))

    # ---- rows that are written as records

    def _other_lines(self, places: Rows) -> Iterator[tuple[int, bytes]]:
        """(row, line): of these rows. An auction's prints come behind its last row."""
        previous: list[Row] = []
        reached = -1
        for first in range(0, len(places), BLOCK_ROWS):
            part = places[first : first + BLOCK_ROWS]
            for at, row in zip(part.tolist(), self._chunk(part), strict=True):
                is_print = row.kind == ExecKind.TRADE and bool(row.flags & ExecFlag.UNCROSS)
                if previous and not (is_print and at == reached + 1 and self._same_print(previous[-1], row)):
                    yield from ((reached, json_line(record)) for record in self._bulk_print(previous))
                    previous = []
                reached = at
                if is_print:
                    previous.append(row)
                    continue
                record = self._event(row)
                if record is not None:
                    yield at, json_line(record)
        if previous:
            yield from ((reached, json_line(record)) for record in self._bulk_print(previous))

    # ---- rows whose lines are put together as columns

    @cached_property
    def _makers(self) -> dict[int, Callable[[Rows], Texts]]:
        return {
            int(ExecKind.NEW): self._accepted_lines,
            int(ExecKind.TRADE): self._trade_lines,
            int(ExecKind.CANCELED): self._canceled_lines,
            int(ExecKind.EXPIRED): self._canceled_lines,
        }

    @cached_property
    def _is_plain(self) -> Rows:
        """Limit orders of the day or immediate ones without instructions; trades outside of auctions; cancels and expiries. None of an order that was replaced."""
        rows, orders = self._facts.executions, self._facts.orders
        kinds, order = rows["kind"].copy(), self._order_of(rows["order_id"])
        found: Rows = np.isin(kinds, (ExecKind.CANCELED, ExecKind.EXPIRED))
        found |= (kinds == ExecKind.TRADE) & (rows["flags"] & ExecFlag.UNCROSS == 0)
        new = np.flatnonzero(kinds == ExecKind.NEW)
        own = rows[new]
        plain = np.isin(orders["ord_type"], (OrdType.LIMIT, OrdType.MARKET)) & self._has_plain_name
        for name in ("exec_inst", "stop_px", "peg_price_type", "display_qty", "list_id"):
            plain &= orders[name] == 0
        found[new] = (own["ord_type"] == OrdType.LIMIT) & (own["price"] != 0) & np.isin(own["time_in_force"], _IN_FORCE) & plain[order[new]]
        if self._facts.replaced:
            replaced = np.array(sorted(self._facts.replaced), "<u8")
            found &= ~np.isin(rows["order_id"], replaced) & ~np.isin(rows["contra_order_id"], replaced)
        return found

    @cached_property
    def _has_plain_name(self) -> Rows:
        """Of orders."""
        names = np.ascontiguousarray(self._facts.cl_ord_ids)
        found: Rows = np.ones(len(names), bool)
        if len(names):
            letters = names.view(np.uint8).reshape(len(names), names.dtype.itemsize)
            found = _NAME_BYTES[letters].all(axis=1) & ~((letters[:, :-1] == 0) & (letters[:, 1:] != 0)).any(axis=1)
        return found

    def _order_of(self, order_ids: Rows) -> Rows:
        found: Rows = self._facts.order_rows(order_ids)
        return found

    def _head_texts(self, rows: Rows, event: EventType, after: str) -> list[Texts]:
        """after: the name of the field that comes next."""
        sequence = _numbers(2 * rows["rpt_seq"])
        return [
            self._of_symbol(rows, f'{{"actionType":"NEW","firmROEID":"{self._date_text}_%s_'), sequence,
            f'","type":"{event}","exchange":"{self._reference.exchange}","eventTimestamp":"', _texts(self._day.stamp_bytes(rows["transact_time"])),
            '","sequenceNumber":', sequence, self._of_symbol(rows, f',"symbol":"%s","{after}":"'),
        ]  # fmt: skip

    def _of_symbol(self, rows: Rows, text: str) -> Texts:
        return _looked_up(rows["instrument"], lambda number: text % self._scales[number].symbol)

    def _accepted_lines(self, places: Rows) -> Texts:
        rows = self._facts.executions[places]
        order = self._order_of(rows["order_id"])
        in_force = _pick([f'"DAY":{self._date_number}', '"IOC":true'], (rows["time_in_force"] == TimeInForce.IOC).astype(np.int64))
        return _joined(
            *self._head_texts(rows, EventType.ACCEPTED, "orderID"), _numbers(rows["order_id"]),
            self._of_member(order, '","routingParty":"{0.routing_party}","routedOrderID":"'), self._names.take(pa.array(order)),
            self._of_member(order, '","session":"{0.session}","side":"'), _pick(_SIDE_WORDS, self._sides[order]),
            self._price_texts(rows, rows["price"], '","price":'), self._qty_texts(rows, rows["qty"], ',"quantity":'),
            self._qty_texts(rows, rows["leaves_qty"], ',"leavesQty":'), self._qty_texts(rows, rows["display_qty"], ',"displayQty":'),
            f',"orderType":"{LIMIT}","timeInForce":{{', in_force,
            self._of_member(order, '}},"capacity":"{0.capacity}","handlingInstructions":{{}}'),
            *self._best_of(rows, places), self._of_member(order, ',"member":"{0.member}"}}\n'),
        )  # fmt: skip

    def _trade_lines(self, places: Rows) -> Texts:
        rows = self._facts.executions[places]
        order, contra = self._order_of(rows["order_id"]), self._order_of(rows["contra_order_id"])
        buys = self._sides[order] == _SIDE_WORDS.index(BUY)
        ids, contra_ids, leaves, contra_leaves = (rows[name] for name in ("order_id", "contra_order_id", "leaves_qty", "contra_leaves_qty"))

        def side_texts(is_incoming: Rows) -> list[Texts]:
            own, own_ids = np.where(is_incoming, order, contra), np.where(is_incoming, ids, contra_ids)
            liquidity = np.where(is_incoming, _REMOVED, _ADDED)
            return self._party_texts(rows, own, own_ids, np.where(is_incoming, leaves, contra_leaves), liquidity)

        return _joined(
            *self._head_texts(rows, EventType.TRADE, "tradeID"), _numbers(rows["trd_match_id"]), self._qty_texts(rows, rows["qty"], '","quantity":'),
            self._price_texts(rows, rows["price"], ',"price":'),
            ',"buyDetails":{"side":"', *side_texts(buys),
            '"},"sellDetails":{"side":"', *side_texts(~buys),
            '"}', *self._best_of(rows, places), "}\n",
        )  # fmt: skip

    def _party_texts(self, rows: Rows, order: Rows, order_id: Rows, leaves: Rows, liquidity: Rows) -> list[Texts]:
        return [
            _pick(_SIDE_WORDS, self._sides[order]), self._qty_texts(rows, leaves, '","leavesQty":'), ',"orderID":"', _numbers(order_id), '",',
            *self._original_texts(order),
            self._of_member(order, '"capacity":"{0.capacity}","clearingNumber":"{0.clearing_number}","liquidityCode":"'),
            _pick(_LIQUIDITY, liquidity), self._of_member(order, '","member":"{0.member}'),
        ]  # fmt: skip

    def _canceled_lines(self, places: Rows) -> Texts:
        rows = self._facts.executions[places]
        order = self._order_of(rows["order_id"])

        def reason_text(reason: int) -> str:
            initiator = (Initiator.FIRM if reason in BY_CUSTOMER else Initiator.EXCHANGE).value
            return f',"initiator":"{initiator}","cancelReason":"{CANCEL_REASONS.get(reason, OTHER_REASON)}"'

        return _joined(
            *self._head_texts(rows, EventType.CANCELED, "orderID"), _numbers(rows["order_id"]), '",', *self._original_texts(order),
            self._qty_texts(rows, rows["qty"], '"cancelQty":'), self._qty_texts(rows, rows["leaves_qty"], ',"leavesQty":'),
            _looked_up(rows["reason"], reason_text), self._of_member(order, ',"member":"{0.member}"}}\n'),
        )  # fmt: skip

    def _best_of(self, rows: Rows, places: Rows) -> list[Texts]:
        facts = self._facts
        return [self._price_texts(rows, facts.bids[places], ',"nbbPrice":'), self._price_texts(rows, facts.offers[places], ',"nboPrice":')]

    # ---- columns of text

    @cached_property
    def _sides(self) -> Rows:
        """By order, its word's place in _SIDE_WORDS."""
        orders = self._facts.orders
        found: Rows = np.where(orders["side"] == Side.BUY, 0, np.where(orders["is_short"], 1, 2))
        return found

    @cached_property
    def _names(self) -> Texts:
        """By order, the customer's name of it."""
        return pa.array(self._facts.cl_ord_ids.tolist(), pa.binary())

    @cached_property
    def _accounts(self) -> tuple[list[Member], Rows]:
        """The members of the accounts of the day, and by order the place of its account's there."""
        accounts, places = np.unique(self._facts.orders["account"], return_inverse=True)
        return [self._reference.member_of(account) for account in accounts.tolist()], places

    def _of_member(self, order: Rows, form: str) -> Texts:
        """Of the member of each order; {0.name} in the form is its field."""
        members, places = self._accounts
        if form not in self._member_texts:
            self._member_texts[form] = _texts(form.format(one) for one in members)
        return self._member_texts[form].take(pa.array(places[order]))

    @cached_property
    def _member_texts(self) -> dict[str, Texts]:
        return {}

    @cached_property
    def _is_carried(self) -> Rows:
        found: Rows = self._facts.orders["submitted_at"] < self._day.start_ns
        return found

    def _original_texts(self, order: Rows) -> list[Texts]:
        carried = self._is_carried[order]
        if not carried.any():
            return []
        dates = [
            f'"originalOrderDate":{self._date(at)},' if is_carried else ""
            for at, is_carried in zip(order.tolist(), carried.tolist(), strict=True)
        ]
        return [_texts(dates)]

    def _price_texts(self, rows: Rows, ticks: Rows, before: str) -> Texts:
        return self._scaled(rows, ticks, before, Scale.price_text)

    def _qty_texts(self, rows: Rows, lots: Rows, before: str) -> Texts:
        return self._scaled(rows, lots, before, Scale.qty_text)

    def _scaled(self, rows: Rows, numbers: Rows, before: str, text: Callable[[Scale, int], str]) -> Texts:
        """`before` and a number of an instrument; a block has few different ones. Its rows are by instrument."""
        instruments = rows["instrument"]
        starts = [0, *(np.flatnonzero(instruments[1:] != instruments[:-1]) + 1).tolist(), len(instruments)]
        parts = []
        for first, last in pairwise(starts):
            scale = self._scales[int(instruments[first])]
            parts.append(_looked_up(numbers[first:last], lambda number, scale=scale: before + text(scale, number)))  # type: ignore[misc]
        return pa.concat_arrays(parts)


def _texts(values: Iterable[str | bytes] | Any) -> Texts:
    return (
        values if isinstance(values, pa.Array) else pa.array([one.encode() if isinstance(one, str) else one for one in values], pa.binary())
    )


def _numbers(values: Rows) -> Texts:
    return pa.array(np.ascontiguousarray(values)).cast(pa.string()).cast(pa.binary())


def _pick(words: Iterable[str], places: Rows) -> Texts:
    return _texts(words).take(pa.array(places))


def _looked_up(numbers: Rows, text: Callable[[int], str]) -> Texts:
    """The text of each number, made once for each different one."""
    found = pa.array(np.ascontiguousarray(numbers)).dictionary_encode()
    return _texts(map(text, found.dictionary.to_pylist())).take(found.indices)


def _joined(*parts: Texts) -> Texts:
    return pc.binary_join_element_wise(*(one.encode() if isinstance(one, str) else one for one in parts), b"")
