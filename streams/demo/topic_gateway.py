"""Send traders' actions straight to the topic with the producer library, as a third party would."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from schemas.enums import OrdType
from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason
from streams.demo.bad_orders import EXPECTED, BadKind
from streams.demo.traders import Action, CancelOrder, NewOrder
from topics.producer import DELIVERY_TIMEOUT_S, BadOrder, BufferFull, DeliveryFailed, OrderProducer, ProducerStats, Undelivered
from topics.record_codes import Sign

FLUSH_TIMEOUT_S = 30.0
"""Minimum: orders that Kafka may still accept are waited for."""


class TopicGateway:
    """One producer for all traders of the channel. Nothing here blocks: a full buffer holds the trader back."""

    def __init__(
        self, kafka_url: str, instruments: InstrumentTable, delivery_timeout_s: float = DELIVERY_TIMEOUT_S, sign: Sign | None = None
    ) -> None:
        self._instruments, self._flush_timeout_s = instruments, max(FLUSH_TIMEOUT_S, delivery_timeout_s)
        self._producer = OrderProducer(kafka_url, instruments, block_timeout_s=0, delivery_timeout_s=delivery_timeout_s, sign=sign)
        self.posted: set[tuple[int, str]] = set()
        self.expected_rejects: dict[tuple[int, str], Reason] = {}
        self.refused_here: Counter[str] = Counter()
        """Orders that the library refused, by fault."""
        self.held_back = 0
        self.surprises: list[str] = []
        """Bad orders that got a wrong answer."""

    def send(self, action: Action) -> None:
        """Post one order or cancel."""
        try:
            if isinstance(action, CancelOrder):
                self._producer.cancel(account=action.account, cl_ord_id=action.cl_ord_id)
            else:
                self._order(action)
        except BufferFull:
            self.held_back += 1

    def _order(self, order: NewOrder) -> None:
        expected_field = EXPECTED[order.bad].field if order.bad else ""
        texts = texts_of(order, self._instruments)
        try:
            self._producer.new_order(
                account=order.account,
                cl_ord_id=order.cl_ord_id,
                side=order.side,
                ord_type=order.ord_type,
                time_in_force=order.time_in_force,
                symbol=texts.symbol,
                order_qty=texts.order_qty,
                price=texts.price,
                self_match_prevention_id=order.self_match_prevention_id,
            )
        except BadOrder as error:
            self.refused_here[order.bad or "unexpected"] += 1
            if error.field != expected_field:
                self.surprises.append(f"topic order {order.cl_ord_id} ({order.bad}): the library refused {error}")
            return
        if expected_field:
            self.surprises.append(f"topic order {order.cl_ord_id} ({order.bad}): the library accepted it")
        self.posted.add((order.account, order.cl_ord_id))
        if order.bad:
            self.expected_rejects[order.account, order.cl_ord_id] = EXPECTED[order.bad].reason

    async def finish(self, timeout_s: float | None = None) -> list[Undelivered]:
        """Wait until everything is in the log, and stop. Returns what is not. A second call does nothing."""
        try:
            await asyncio.to_thread(self._producer.close, self._flush_timeout_s if timeout_s is None else timeout_s)
        except DeliveryFailed as error:
            return list(error.undelivered)
        return []

    def stats(self) -> ProducerStats:
        """The producer's counts."""
        return self._producer.stats()


@dataclass(frozen=True)
class Texts:
    """The fields of an order as a client writes them; no price for a market order."""

    symbol: str
    order_qty: str
    price: str | None


def texts_of(order: NewOrder, instruments: InstrumentTable) -> Texts:
    """Decimal text of an order, spoilt if the order is meant to have bad text."""
    instrument = instruments.by_number[order.instrument]
    price = None if order.ord_type in (OrdType.MARKET, OrdType.MARKET_TO_LIMIT) else instrument.price_text(order.price)
    texts = Texts(instrument.symbol, instrument.qty_text(order.order_qty), price)
    spoil = _SPOIL.get(order.bad) if order.bad else None
    return spoil(texts) if spoil else texts


_SPOIL: dict[BadKind, Callable[[Texts], Texts]] = {
    BadKind.OFF_TICK: lambda texts: replace(texts, price=f"{Decimal(texts.price or 0) + Decimal('0.0001')}"),
    BadKind.FRACTION_OF_A_LOT: lambda texts: replace(texts, order_qty="0.5"),
    BadKind.NOT_A_NUMBER: lambda texts: replace(texts, order_qty="NaN"),
    BadKind.NEGATIVE_QUANTITY: lambda texts: replace(texts, order_qty=f"-{texts.order_qty}"),
    BadKind.UNKNOWN_SYMBOL: lambda texts: replace(texts, symbol="NOPE"),
}
