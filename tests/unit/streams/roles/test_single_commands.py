"""A producer's single Avro order as a frame of one row: every attribute arrives, what cannot be an order is named."""

import pytest

from schemas.codec import BadBytes, decode_record, encode_record
from schemas.enums import ExecInst, OffsetType, OrdType, PegPriceType, SelfMatchPrevention, TimeInForce
from schemas.instruments import load_instruments
from streams.roles.single_commands import frame_of_order

INSTRUMENTS = load_instruments(None)
PLAIN = {
    "account": 7, "cl_ord_id": "a-1", "symbol": "AAPL", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "100",
    "price": "180.05", "transact_time": 1,
}  # fmt: skip


def row_of(**changed):
    """The row that the record becomes, by way of its bytes."""
    _, order = decode_record(encode_record("new_order_single", PLAIN | changed))
    frame = frame_of_order(order, INSTRUMENTS)
    return dict(zip(frame.rows.dtype.names, frame.rows[0].tolist(), strict=True))


def test_a_plain_order_has_no_attributes():
    """What a record does not say is zero, which every check takes for "none"."""
    named = {name: value for name, value in row_of().items() if value}
    assert named == {
        "kind": 1, "side": 1, "ord_type": OrdType.LIMIT, "instrument": 1, "account": 7, "order_qty": 100, "price": 18_005, "transact_time": 1,
    }  # fmt: skip


def test_every_attribute_arrives_in_its_unit():
    """Prices in ticks, quantities in lots, words as their numbers."""
    row = row_of(
        ord_type="STOP_LIMIT", time_in_force="GTD", stop_px="179.00", display_qty="20", min_qty="5", exec_inst=["HIDDEN", "POST_ONLY"],
        expire_time=99, self_match_prevention_id=4, self_match_prevention_instruction="CANCEL_BOTH", locate=True,
    )  # fmt: skip
    assert (row["stop_px"], row["display_qty"], row["min_qty"], row["expire_time"], row["locate"]) == (17_900, 20, 5, 99, 1)
    assert row["exec_inst"] == ExecInst.HIDDEN | ExecInst.POST_ONLY
    assert (row["time_in_force"], row["self_match_prevention_id"]) == (TimeInForce.GTD, 4)
    assert row["self_match_prevention_instruction"] == SelfMatchPrevention.CANCEL_BOTH


def test_a_distance_is_in_ticks_or_basis_points_and_a_peg_may_go_below():
    """`offset` and `offset_basis_points` are one column and its unit."""
    trailing = row_of(ord_type="TRAILING_STOP", price=None, offset="0.25")
    assert (trailing["offset"], trailing["offset_type"]) == (25, OffsetType.TICKS)
    trailing = row_of(ord_type="TRAILING_STOP", price=None, offset_basis_points=150)
    assert (trailing["offset"], trailing["offset_type"]) == (150, OffsetType.BASIS_POINTS)
    peg = row_of(ord_type="PEGGED", price=None, offset="-0.01", peg_price_type="PRIMARY")
    assert (peg["offset"], peg["peg_price_type"]) == (-1, PegPriceType.PRIMARY)


@pytest.mark.parametrize(
    ("field", "value"), [("stop_px", "1.001"), ("display_qty", "0.5"), ("offset", "x"), ("expire_time", -1), ("offset_basis_points", -1)]
)
def test_what_has_no_integer_form_is_named(field, value):
    """Off the grid, not a number, negative where it cannot be."""
    with pytest.raises(BadBytes, match=field):
        row_of(**{field: value})
