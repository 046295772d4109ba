"""The wire: what goes in comes out, and bytes that are not a record are refused with what and where."""

import io
import zlib

import fastavro
import numpy as np
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import (
    BAD_COLUMN,
    FEW_ROWS,
    FRAME_NAMES,
    FRAMES,
    NOT_SINGLE_OBJECT,
    RECORD_NAMES,
    TRUNCATED,
    UNKNOWN_FINGERPRINT,
    WRONG_SCHEMA,
    BadBytes,
    Header,
    decode_frame,
    decode_header,
    decode_record,
    encode_frame,
    encode_record,
    raw_schema,
    schema_of,
)

PINNED = {
    "order_command_frame": "27e81797",
    "book_command_frame": "9e9dd314",
    "book_report_frame": "fa1dc110",
    "execution_frame": "15d17870",
    "account_event_frame": "f154d3a2",
    "market_data_frame": "eed7b264",
}
ORDER = {
    "account": 7, "cl_ord_id": "a-1", "symbol": "AAPL", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "100",
    "price": "180.05", "transact_time": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", FRAME_NAMES)
@settings(deadline=None)  # the first frame of many rows compiles
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 50))
def test_a_frame_of_any_bytes_comes_back_as_it_went(name, seed, count):
    """Every column holds every bit pattern of its type."""
    schema = FRAMES[name]
    random = np.random.default_rng(seed)
    rows = np.zeros(count, schema.dtype)
    for column in schema.dtype.names:
        rows[column] = np.frombuffer(random.bytes(count * schema.dtype[column].itemsize), schema.dtype[column])
    rows["kind"][:1] |= 1  # a frame whose kinds are all zero is refused
    text = np.array([b"x" * int(n) for n in random.integers(1, 129, count)]) if schema.text_columns and count else None
    header = Header("edge-0", seed, 3, 9, 12, 5)
    orig = text[::-1] if len(schema.text_columns) > 1 and text is not None else None
    frame = decode_frame(encode_frame(name, header, rows, text, orig), name)
    assert frame.header == header
    for column in schema.dtype.names:
        assert (frame.rows[column] == rows[column]).all()
    if text is not None:
        assert (frame.cl_ord_id == text).all()
    assert (frame.orig_cl_ord_id is None) == (orig is None)
    if orig is not None:
        assert (frame.orig_cl_ord_id == orig).all()


@pytest.mark.parametrize("name", FRAME_NAMES)
@settings(deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    count=st.integers(0, 20),
    numbers=st.tuples(*[st.integers(-(1 << 62), (1 << 63) - 1)] * 5),
    source=st.text(),
)
def test_a_frame_has_the_bytes_that_fastavro_writes(name, seed, count, numbers, source):
    """Of any header, any rows, and columns that are zero throughout; a frame of few rows has plain columns."""
    schema = FRAMES[name]
    random = np.random.default_rng(seed)
    rows = np.zeros(count, schema.dtype)
    for column in schema.dtype.names:
        rows[column] = np.frombuffer(random.bytes(count * schema.dtype[column].itemsize), schema.dtype[column]) * random.integers(0, 2)
    texts = [random.choice([b"", b"a", b"\xff" * 40], count).astype("S40") for _ in schema.text_columns]
    data = encode_frame(name, Header(source, *numbers), rows, *texts)
    _, record = decode_record(data)
    assert encode_record(name, record) == data
    if count <= FEW_ROWS:
        plain = {column: rows[column].tobytes() if rows[column].any() else b"" for column in schema.dtype.names}
        assert {column: record[column] for column in plain} == plain
    fields = ("source", "source_offset", "source_index", "first_seq", "created_at", "reply_partition", "count")
    assert tuple(record[field] for field in fields) == (source, *numbers, count)


@pytest.mark.parametrize("name", ["order_command_frame", "account_event_frame"])
def test_a_frame_of_the_first_layout_is_read_without_the_columns_that_came_later(name):
    """Logs and producers of before are not shut out."""
    schema = raw_schema(name)
    first = fastavro.parse_schema(schema | {"fields": [field for field in schema["fields"] if field["name"] != "orig_cl_ord_id"]})
    rows = np.ones(3, FRAMES[name].dtype)
    new = encode_frame(name, Header("p", 4), rows, np.array([b"a", b"bb", b"c"]))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, first, {field: value for field, value in decode_record(new)[1].items() if field != "orig_cl_ord_id"})
    old = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(first), "CRC-64-AVRO")) + out.getvalue()
    frame = decode_frame(old, name)
    assert (frame.header, frame.cl_ord_id.tolist(), frame.orig_cl_ord_id) == (Header("p", 4), [b"a", b"bb", b"c"], None)
    assert (frame.rows == rows).all()
    assert decode_header(old) == (name, Header("p", 4), 3)


def test_columns_that_are_zero_cost_nothing():
    """An empty column stands for zeros."""
    rows = np.zeros(1000, FRAMES["order_command_frame"].dtype)
    rows["kind"] = 1
    assert len(encode_frame("order_command_frame", Header("p"), rows)) < 1100


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", NOT_SINGLE_OBJECT),
        (None, NOT_SINGLE_OBJECT),
        (b'{"symbol":"AAPL"}', NOT_SINGLE_OBJECT),
        (b"\xc3\x01" + b"\x00" * 20, UNKNOWN_FINGERPRINT),
        (encode_record("new_order_single", ORDER)[:-3], TRUNCATED),
        (encode_record("new_order_single", ORDER) + b"\x00", TRUNCATED),
        (encode_record("new_order_single", ORDER)[:10], TRUNCATED),
    ],
)
def test_bytes_that_are_not_a_record_are_refused_by_name(data, reason):
    """Each way to be wrong has its own reason."""
    with pytest.raises(BadBytes) as refused:
        decode_record(data if data is not None else b"")
    assert refused.value.reason == reason


@given(cut=st.data())
def test_a_frame_cut_anywhere_is_refused(cut):
    """No prefix of a frame is a frame."""
    rows = np.ones(5, FRAMES["order_command_frame"].dtype)
    whole = encode_frame("order_command_frame", Header("p"), rows, np.array([b"a", b"bb", b"c", b"d", b"e"]))
    with pytest.raises(BadBytes):
        decode_frame(whole[: cut.draw(st.integers(0, len(whole) - 1))])


@given(noise=st.binary(max_size=300))
def test_noise_behind_a_good_fingerprint_is_refused_or_decoded_never_a_crash(noise):
    """Only BadBytes comes out of hostile bytes."""
    prefix = encode_record("new_order_single", ORDER)[:10]
    frame_prefix = encode_frame("execution_frame", Header("p"), np.zeros(0, FRAMES["execution_frame"].dtype))[:10]
    for head in (prefix, frame_prefix):
        try:
            decode_record(head + noise)
            decode_frame(head + noise)
        except BadBytes:
            pass


def test_a_column_of_another_length_is_refused_with_its_name():
    """A frame whose columns disagree is not half read."""
    rows = np.ones(3, FRAMES["book_command_frame"].dtype)
    good = encode_frame("book_command_frame", Header("p"), rows)
    _, record = decode_record(good)
    record["account"] = record["account"][:-8]
    with pytest.raises(BadBytes, match=r"book_command_frame\.account has 16 bytes for 3 rows of 8") as refused:
        decode_frame(encode_record("book_command_frame", record))
    assert refused.value.reason == BAD_COLUMN


def test_a_count_beyond_the_columns_is_refused_before_memory_is_taken():
    """Two billion rows of nothing are refused, not allocated."""
    _, record = decode_record(encode_frame("book_command_frame", Header("p"), np.ones(3, FRAMES["book_command_frame"].dtype)))
    record["count"] = 2_000_000_000
    with pytest.raises(BadBytes) as refused:
        decode_frame(encode_record("book_command_frame", record))
    assert refused.value.reason == BAD_COLUMN


def test_a_good_frame_in_the_wrong_place_is_refused():
    """An execution is not a command."""
    data = encode_frame("execution_frame", Header("p"), np.zeros(0, FRAMES["execution_frame"].dtype))
    with pytest.raises(BadBytes) as refused:
        decode_frame(data, "order_command_frame")
    assert refused.value.reason == WRONG_SCHEMA


def test_every_schema_has_its_own_fingerprint():
    """The fingerprint tells the schemas apart."""
    names = FRAME_NAMES + RECORD_NAMES
    assert len({schema_of(_smallest(name))[:] for name in names}) == len(names)


def _smallest(name: str) -> bytes:
    if name in FRAMES:
        return encode_frame(name, Header("p"), np.zeros(0, FRAMES[name].dtype))
    records = {
        "new_order_single": ORDER,
        "order_cancel_request": {"account": 1, "orig_cl_ord_id": "a", "order_id": 0, "transact_time": 1},
        "dead_letter": {"topic": "t", "partition": 0, "offset": 0, "reason": "r", "detail": "d", "key": None, "value": b"", "record_time": 0},
        "book_sums": {
            "source": "executions/0", "source_offset": 0, "source_index": 0, "at": 1, "instrument": 1, "middle": 0, "level_qty": 0, "taken": 0, "sums": [],
        },
        "sign_in": {"source": "edge-0", "at": 1, "account": 1, "place": "x", "door": "x"},
        "news": {"source": "operator", "created_at": 1, "at": 1, "instrument": 1, "headline": "x"},
        "set_aside": {"role": "r", "topic": "t", "partition": 0, "offset": 0, "reason": "r"},
        "shard_placement": {"kind": "MOVE", "from_epoch": 0, "writers": "b", "written_to": 0, "reason": "r"},
        "access_event": {"at_ns": 1, "act": "ACTED", "person": "ann", "address": "127.0.0.1", "what": "POST /x", "detail": ""},
        "case_action": {"action": "NOTE", "case_id": "c", "version": 1, "actor": "ann", "roles": ["analyst"], "at": 1},
        "alert": {"alert_id": "a", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 1, "side": "BUY", "score": 0.5, "explanation": "",
                  "window_start": 0, "window_end": 0, "detected_at": 0, "source": "", "evidence": []},
    }  # fmt: skip
    return encode_record(name, records[name])


def test_a_changed_column_type_changes_the_pinned_layout():
    """The Avro fingerprint does not cover the dtype attribute, so the layout is pinned here: change it only under a new schema name."""
    layouts = {name: [(field["name"], field["dtype"]) for field in raw_schema(name)["fields"] if "dtype" in field] for name in FRAME_NAMES}
    assert {name: f"{zlib.crc32(repr(layout).encode()):08x}" for name, layout in layouts.items()} == PINNED


ALERT_OF_0_2 = (
    "c301f8155d131bdf3ce51a6c61796572696e672d30306666104c41594552494e4702084141504c0600000000000000e03f02780204041c6578656375"
    "74696f6e732f304037020a4c415945521206425559020400020000"
)


def test_an_alert_of_version_0_2_is_read_as_a_closed_episode_of_one_revision() -> None:
    """Bytes as that version wrote them: its fingerprint is on the topics for ever."""
    old = bytes.fromhex(ALERT_OF_0_2)
    assert old[:10].hex() == "c301f8155d131bdf3ce5"
    name, alert = decode_record(old)
    assert (name, alert["alert_id"], alert["account"], alert["score"]) == ("alert", "layering-00ff", 3, 0.5)
    assert (alert["revision"], alert["status"], alert["steps"], alert["features"], alert["config_digest"]) == (1, "CLOSED", [], {}, "")
    (layer,) = alert["evidence"]
    assert (layer["role"], layer["order_id"], layer["ended_at"], layer["seq"], layer["offset"]) == ("LAYER", 9, 0, 0, -1)
