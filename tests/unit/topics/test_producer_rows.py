"""What a producer's call becomes in a frame, and what is refused before anything is sent."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.enums import (
    TIME_IN_FORCE_UNCHANGED,
    CommandKind,
    ContingencyType,
    ExecInst,
    OffsetType,
    OrdType,
    PegPriceType,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)
from schemas.errors import ServiceUnavailable
from schemas.instruments import load_instruments
from topics import DeliveryFailed, OrderProducer
from topics.order_rows import frame_bounds, list_rows, order_row, replace_ids, replace_row
from topics.producer import ROW_DTYPE, BadOrder, Undelivered

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
        ("symbol", "NOPE"), ("side", "hold"), ("ord_type", "loc"), ("time_in_force", "gtx"), ("account", -1), ("account", 1 << 63),
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


def said(**changes: Any) -> dict[str, int]:
    """The columns of an order that are not zero, without those that every order has."""
    row = row_of(**changes)
    names = [name for name in ROW_DTYPE.names or () if name not in ("kind", "account", "instrument", "side", "order_qty", "transact_time")]
    return {name: int(row[name]) for name in names if row[name]}


KINDS: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"ord_type": "stop", "stop_px": "170.5"}, {"ord_type": 3, "stop_px": 17_050}),
    ({"ord_type": "stop_limit", "stop_px": "170", "price": "171"}, {"ord_type": 4, "stop_px": 17_000, "price": 17_100}),
    ({"ord_type": "market_to_limit"}, {"ord_type": 20}),
    ({"ord_type": "pegged", "peg_price_type": "primary", "offset": "-0.01", "price": "190"},
     {"ord_type": 25, "peg_price_type": PegPriceType.PRIMARY, "offset": -1, "price": 19_000}),
    ({"ord_type": "trailing_stop", "offset": "0.25"}, {"ord_type": 30, "offset": 25}),
    ({"ord_type": "trailing_stop_limit", "offset_basis_points": 50, "price": "0.10", "stop_px": "170"},
     {"ord_type": 31, "offset": 50, "offset_type": OffsetType.BASIS_POINTS, "price": 10, "stop_px": 17_000}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "columns"), KINDS, ids=[kind[0]["ord_type"] for kind in KINDS])
def test_every_type_of_order_can_be_said(fields: dict[str, Any], columns: dict[str, int]) -> None:
    """In ticks and basis points; what is not said is zero."""
    assert said(**{"price": None} | fields) == columns


def test_every_attribute_can_be_said_as_text_or_enumeration() -> None:
    """Both forms give the same row."""
    common: dict[str, Any] = {"display_qty": 10, "min_qty": "5", "expire_time": 99, "self_match_prevention_id": 4, "locate": True}
    text = said(**common, time_in_force="gtd", exec_inst=["post_only", "hidden"], self_match_prevention_instruction="cancel_both")
    enums = said(
        **common, time_in_force=TimeInForce.GTD, exec_inst=ExecInst.POST_ONLY | ExecInst.HIDDEN,
        self_match_prevention_instruction=SelfMatchPrevention.CANCEL_BOTH,
    )  # fmt: skip
    assert text == enums == {
        "ord_type": 2, "time_in_force": 6, "price": 18_005, "exec_inst": 5, "self_match_prevention_instruction": 4, "locate": 1,
        "self_match_prevention_id": 4, "display_qty": 10, "min_qty": 5, "expire_time": 99,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"ord_type": "stop"}, "price"),
        ({"ord_type": "stop", "price": None}, "stop_px"),
        ({"ord_type": "stop_limit"}, "stop_px"),
        ({"stop_px": "1"}, "stop_px"),
        ({"offset": "1"}, "offset"),
        ({"peg_price_type": "primary"}, "peg_price_type"),
        ({"ord_type": "pegged"}, "peg_price_type"),
        ({"ord_type": "trailing_stop", "price": None}, "offset"),
        ({"ord_type": "trailing_stop", "price": None, "offset": "1", "offset_basis_points": 5}, "offset"),
        ({"ord_type": "trailing_stop", "price": None, "offset": "-1"}, "offset"),
        ({"exec_inst": ["fast"]}, "exec_inst"),
        ({"exec_inst": "post_only"}, "exec_inst"),
        ({"expire_time": -1}, "expire_time"),
        ({"expire_time": "soon"}, "expire_time"),
        ({"self_match_prevention_instruction": 17}, "self_match_prevention_instruction"),
        ({"display_qty": "0"}, "display_qty"),
        ({"stop_price": "1"}, "stop_price"),
    ],
)
def test_what_an_order_of_its_type_does_not_have_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    """Also a misspelt argument, rather than an order without what was meant."""
    with pytest.raises(BadOrder) as caught:
        row_of(**fields)
    assert caught.value.field == field


LEG: dict[str, Any] = {"cl_ord_id": "x", "side": "sell", "order_qty": 10}
TAKE_PROFIT, STOP_LOSS = LEG | {"price": "190"}, LEG | {"ord_type": "stop", "stop_px": "170"}


def listed(kind: Any, *orders: Any) -> Any:
    """Rows of a list, as numpy sees them."""
    return np.array(list_rows(load_instruments(None), 7, "AAPL", kind, orders), ROW_DTYPE)


def test_the_orders_of_a_list_are_tied_and_in_their_order() -> None:
    """One list_id that is not zero, one kind of list, one account and instrument."""
    rows = listed("bracket", LEG | {"side": "buy", "price": "180"}, TAKE_PROFIT, STOP_LOSS)
    assert len(set(rows["list_id"].tolist())) == 1 and rows["list_id"][0]
    assert set(rows["contingency_type"].tolist()) == {ContingencyType.BRACKET}
    assert rows["ord_type"].tolist() == [OrdType.LIMIT, OrdType.LIMIT, OrdType.STOP]
    assert len(listed(ContingencyType.OCO, TAKE_PROFIT, STOP_LOSS)) == 2


@pytest.mark.parametrize(
    ("kind", "orders", "field"),
    [
        ("none", [TAKE_PROFIT], "contingency_type"),
        ("ooo", [TAKE_PROFIT], "contingency_type"),
        ("oco", [TAKE_PROFIT], "orders"),
        ("bracket", [TAKE_PROFIT, STOP_LOSS], "orders"),
        ("oco", [TAKE_PROFIT, LEG | {"ord_type": "stop"}], "stop_px"),
        ("oco", [TAKE_PROFIT, {"side": "sell", "price": "1"}], "order_qty"),
    ],
)
def test_a_list_that_cannot_be_is_refused_by_name(kind: str, orders: list[Any], field: str) -> None:
    """Before anything is sent."""
    with pytest.raises(BadOrder) as caught:
        listed(kind, *orders)
    assert caught.value.field == field


def test_a_replace_may_give_its_order_another_id_whichever_way_it_names_it() -> None:
    """(cl_ord_id, orig_cl_ord_id), as FIX has them; without a new id the old one goes where it always went."""
    assert replace_ids("a", 0, "b") == (b"b", b"a")
    assert replace_ids("", 9, "b") == (b"b", b"")
    assert replace_ids("a", 0, "") == (b"a", b"")
    assert replace_ids("", 9, "") == (b"", b"")
    with pytest.raises(BadOrder, match="new_cl_ord_id"):
        replace_ids("a", 0, "x" * 129)
    row = np.array([replace_row(load_instruments(None), 7, "AAPL", 9, order_qty="80", new_cl_ord_id="b")], ROW_DTYPE)[0]
    assert (row["order_id"], row["order_qty"]) == (9, 80)


def test_a_replace_says_the_new_total_and_what_changes() -> None:
    """Zero and 255 leave a column as it is."""
    row = np.array([replace_row(load_instruments(None), 7, "AAPL", 9, order_qty="80", price="181", hidden=True)], ROW_DTYPE)[0]
    assert (row["kind"], row["order_id"], row["order_qty"], row["price"]) == (CommandKind.REPLACE, 9, 80, 18_100)
    assert (row["time_in_force"], row["exec_inst"], row["stop_px"]) == (TIME_IN_FORCE_UNCHANGED, ExecInst.HIDDEN, 0)
    for changes, field in (({}, "order_qty"), ({"order_qty": -1}, "order_qty"), ({"order_qty": 5, "side": "buy"}, "side"),
                           ({"order_qty": 5, "offset": "1", "offset_basis_points": 5}, "offset"),
                           ({"order_qty": 5, "offset": "0"}, "offset"), ({"order_qty": 5, "min_qty": 2}, "min_qty")):  # fmt: skip
        with pytest.raises(BadOrder) as caught:
            replace_row(load_instruments(None), 7, "AAPL", 9, **changes)
        assert caught.value.field == field


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=30), st.integers(3, 9))
def test_frames_hold_every_row_once_and_no_list_is_cut(runs: list[tuple[int, int]], most: int) -> None:
    """Lists of up to three rows, single orders between them, any size of frame."""
    ids = [number * 100 + place if number else 0 for place, (number, length) in enumerate(runs) for _ in range(length)]
    bounds = list(frame_bounds(np.array(ids, np.uint64), most))
    assert [at for start, end in bounds for at in range(start, end)] == list(range(len(ids)))
    assert all(0 < end - start <= most for start, end in bounds)
    assert all(end == len(ids) or not ids[end] or ids[end] != ids[end - 1] for _, end in bounds)


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
