"""What a producer's call becomes in a frame, and what is refused before anything is sent."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from schemas.enums import CommandKind, OrdType, Side, TimeInForce
from schemas.errors import ServiceUnavailable
from schemas.instruments import load_instruments
from topics import DeliveryFailed, OrderProducer
from topics.producer import ROW_DTYPE, BadOrder, Undelivered, order_row

GOOD: dict[str, Any] = {
    "account": 7, "symbol": "AAPL", "side": "buy", "order_qty": "100", "price": "180.05", "ord_type": "limit", "time_in_force": "day",
}  # fmt: skip


def row_of(**changes: Any) -> Any:
    """One row, as numpy sees it."""
    return np.array([order_row(load_instruments(None), **{**GOOD, **changes})], ROW_DTYPE)[0]


def test_decimals_become_lots_and_ticks_exactly() -> None:
    """180.05 at a tick of 0.01 is 18005 ticks, whether as text or Decimal."""
    for price in ("180.05", Decimal("180.05"), "180.0500"):
        row = row_of(price=price)
        assert (row["price"], row["order_qty"], row["instrument"], row["account"]) == (18_005, 100, 1, 7)
    assert row["kind"] == CommandKind.NEW_ORDER and row["side"] == Side.BUY and row["transact_time"] > 0


def test_words_may_be_text_or_enumerations() -> None:
    """Either form of side, type and time in force gives the same row."""
    text = row_of(side="SELL", ord_type="market", time_in_force="ioc", price=None)
    enums = row_of(side=Side.SELL, ord_type=OrdType.MARKET, time_in_force=TimeInForce.IOC, price=None)
    for field in ("side", "ord_type", "time_in_force", "price"):
        assert text[field] == enums[field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "180.055"), ("price", "NaN"), ("price", "Infinity"), ("price", "-1"), ("price", "0"), ("price", 180.05), ("price", "1e40"),
        ("price", "one"), ("price", None), ("order_qty", "0.5"), ("order_qty", "0"), ("order_qty", "-100"), ("order_qty", ""),
        ("symbol", "NOPE"), ("side", "hold"), ("ord_type", "stop"), ("time_in_force", "gtd"), ("account", -1), ("account", 1 << 63),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_said_is_refused_by_name(field: str, value: Any) -> None:
    """Bad input raises a ValueError that names the field."""
    with pytest.raises(BadOrder) as caught:
        row_of(**{field: value})
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError) and str(caught.value).startswith(f"{field}: ")


def test_a_market_order_with_a_price_is_refused() -> None:
    """The price of a market order would be ignored silently, so it is an error."""
    with pytest.raises(BadOrder, match="^price: "):
        row_of(ord_type="market")


def test_delivery_failed_lists_every_command() -> None:
    """The exception carries all, its text the first and how many more."""
    lost = [Undelivered(7, "a", 0, "broker gone"), Undelivered(8, "b", 0, "broker gone")]
    error = DeliveryFailed(lost)
    assert error.undelivered == tuple(lost)
    assert "account 7 cl_ord_id 'a' and 1 more: broker gone" in str(error)


def test_a_broker_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where it looked."""
    monkeypatch.setattr("topics.producer.METADATA_TIMEOUT_S", 0.3)
    with pytest.raises(ServiceUnavailable, match="127.0.0.1:1 "):
        OrderProducer("127.0.0.1:1")


def test_a_producer_id_may_not_look_like_a_shard() -> None:
    """Names with a slash mark the exchange's own shards."""
    with pytest.raises(ValueError, match="producer_id"):
        OrderProducer("127.0.0.1:1", producer_id="book.commands/0")
