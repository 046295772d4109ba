"""The events of a day as lines of JSON: the same as reports.cat.events, in a third of the time. No I/O.

Most events of a day are plain orders, trades and cancels. Their lines are written at once, without a record in between; a test compares every line.
"""

import re
from collections.abc import Iterator
from typing import Final

from reports.cat.events import CatEvents, Row
from reports.cat.fields import json_line
from reports.cat.scales import Scale
from reports.cat.words import BUY, BY_CUSTOMER, CANCEL_REASONS, LIMIT, OTHER_REASON, EventType, Initiator, Liquidity
from schemas.enums import ExecKind, OrdType, TimeInForce

_ACCEPTED, _TRADE, _CANCELED, _LIMIT_ORDER = int(ExecKind.NEW), int(ExecKind.TRADE), int(ExecKind.CANCELED), int(OrdType.LIMIT)
_ADDED, _REMOVED = Liquidity.ADDED.value, Liquidity.REMOVED.value
_IN_FORCE_TEXTS: Final = {int(TimeInForce.DAY): '{"DAY":%d}', int(TimeInForce.IOC): '{"IOC":true}%.0s'}
"""With the day put in, or left out."""
_PLAIN_NAME: Final = re.compile(rb"[A-Za-z0-9._:-]*")


class CatLines(CatEvents):
    """The lines of the day. Iterate over `lines`."""

    def lines(self) -> Iterator[bytes]:
        """Every event, by symbol's number and sequence."""
        return self._walk(self._line, json_line)

    def _line(self, row: Row) -> bytes | None:
        """As json_line of _event."""
        line = None
        if row.kind == _ACCEPTED:
            line = self._accepted_line(row)
        elif row.kind == _TRADE:
            line = self._trade_line(row)
        elif row.kind == _CANCELED:
            line = self._canceled_line(row)
        if line is not None:
            return line.encode()
        event = self._event(row)
        return None if event is None else json_line(event)

    def _head_text(self, row: Row, event: EventType) -> str:
        symbol, sequence = self._scales[row.instrument].symbol, 2 * row.rpt_seq
        return (
            f'{{"actionType":"NEW","firmROEID":"{self._date_text}_{symbol}_{sequence}","type":"{event}","exchange":"{self._reference.exchange}",'
            f'"eventTimestamp":"{row.stamp}","sequenceNumber":{sequence},"symbol":"{symbol}",'
        )

    def _accepted_line(self, row: Row) -> str | None:
        """Of a limit order of the day, or an immediate one, without instructions."""
        order, in_force = row.order, _IN_FORCE_TEXTS.get(row.time_in_force)
        name = self._texts[order]
        if (
            row.ord_type != _LIMIT_ORDER
            or not row.price
            or in_force is None
            or not self._orders.is_plain[order]
            or not _PLAIN_NAME.fullmatch(name)
        ):
            return None
        scale, member = self._scales[row.instrument], self._members[order]
        price, qty = scale.price_text, scale.qty_text
        return (
            f'{self._head_text(row, EventType.ACCEPTED)}"orderID":"{row.order_id}","routingParty":"{member.routing_party}",'
            f'"routedOrderID":"{name.decode()}","session":"{member.session}","side":"{self._orders.side_word[order]}","price":{price(row.price)},'
            f'"quantity":{qty(row.qty)},"leavesQty":{qty(row.leaves_qty)},"displayQty":{qty(row.display_qty)},"orderType":"{LIMIT}",'
            f'"timeInForce":{in_force % self._date_number},"capacity":"{member.capacity}","handlingInstructions":{{}},'
            f'"nbbPrice":{price(row.bid)},"nboPrice":{price(row.offer)},"member":"{member.member}"}}\n'
        )

    def _trade_line(self, row: Row) -> str:
        scale = self._scales[row.instrument]
        incoming = self._party_text(row.order, row.order_id, row.leaves_qty, _REMOVED, scale)
        resting = self._party_text(row.contra, row.contra_order_id, row.contra_leaves_qty, _ADDED, scale)
        buy, sell = (incoming, resting) if self._orders.side_word[row.order] == BUY else (resting, incoming)
        return (
            f'{self._head_text(row, EventType.TRADE)}"tradeID":"{row.trd_match_id}","quantity":{scale.qty_text(row.qty)},'
            f'"price":{scale.price_text(row.price)},"buyDetails":{buy},"sellDetails":{sell},'
            f'"nbbPrice":{scale.price_text(row.bid)},"nboPrice":{scale.price_text(row.offer)}}}\n'
        )

    def _party_text(self, order: int, order_id: int, leaves: int, liquidity: str, scale: Scale) -> str:
        member = self._members[order]
        return (
            f'{{"side":"{self._orders.side_word[order]}","leavesQty":{scale.qty_text(leaves)},"orderID":"{order_id}",{self._original_text(order)}'
            f'"capacity":"{member.capacity}","clearingNumber":"{member.clearing_number}","liquidityCode":"{liquidity}","member":"{member.member}"}}'
        )

    def _canceled_line(self, row: Row) -> str:
        scale = self._scales[row.instrument]
        initiator = (Initiator.FIRM if row.reason in BY_CUSTOMER else Initiator.EXCHANGE).value
        return (
            f'{self._head_text(row, EventType.CANCELED)}"orderID":"{row.order_id}",{self._original_text(row.order)}'
            f'"cancelQty":{scale.qty_text(row.qty)},"leavesQty":{scale.qty_text(row.leaves_qty)},"initiator":"{initiator}",'
            f'"cancelReason":"{CANCEL_REASONS.get(row.reason, OTHER_REASON)}","member":"{self._members[row.order].member}"}}\n'
        )

    def _original_text(self, order: int) -> str:
        if self._orders.submitted_at[order] >= self._day.start_ns:
            return ""
        return f'"originalOrderDate":{self._date(order)},'
