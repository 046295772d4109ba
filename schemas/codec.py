"""Records as bytes: Avro single-object encoding, and columnar frames between numpy rows and Avro.

Source: Avro 1.12 specification, "Single-object encoding": marker C3 01, CRC-64-AVRO fingerprint of the schema (8 bytes, little-endian), body.

A *frame* is a record of a header and one `bytes` column a field. The .avsc file gives each column's numpy type in the attribute `dtype`;
"S" is text of fixed width. `FRAMES[name].dtype` is the same as one numpy row; text columns are kept beside it. In a frame of many rows, a column
is written in the shortest of a few forms, see schemas/columns.py; plain values are read in any frame.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.resources import files
from operator import itemgetter
from types import ModuleType
from typing import Any, Final

import fastavro
import numpy as np
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.errors import BadRecord
from schemas.limits import CL_ORD_ID_MAX_BYTES, FRAME_BYTES_MAX, FRAME_ROWS_MAX

Rows = np.ndarray[Any, np.dtype[Any]]
"""A one-dimensional array of numpy records, or a column of one."""

MARKER: Final = b"\xc3\x01"
HEADER_FIELDS: Final = ("source", "source_offset", "source_index", "first_seq", "created_at", "reply_partition", "count")
FRAME_NAMES: Final = (
    "order_command_frame", "book_command_frame", "book_report_frame", "execution_frame", "account_event_frame", "market_data_frame",
)  # fmt: skip
RECORD_NAMES: Final = tuple(
    sorted({one.name.removesuffix(".avsc") for one in (files("schemas") / "avro").iterdir() if one.name.endswith(".avsc")} - {*FRAME_NAMES})
)
"""Every other schema that has a file. They are named nowhere in this module, which is compiled into kernels: a new record would compile them all anew."""

FEW_ROWS: Final = 8
"""Up to so many rows are handled without numpy and have plain columns only, see _columns_of_few; the same as in schemas/columns.py."""

# What each reject of a record is called in dead letters and metrics.
NOT_SINGLE_OBJECT = "NOT_SINGLE_OBJECT"
UNKNOWN_FINGERPRINT = "UNKNOWN_FINGERPRINT"
TRUNCATED = "TRUNCATED"
BAD_COLUMN = "BAD_COLUMN"
TOO_LARGE = "TOO_LARGE"
WRONG_SCHEMA = "WRONG_SCHEMA"
NO_ROWS = "NO_ROWS"


class BadBytes(BadRecord):
    """Bytes that cannot be taken: `reason` is one of the names above, `detail` says what and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class FrameSchema:
    """One kind of frame: its numpy row and its text columns, in the order of the .avsc file."""

    name: str
    dtype: np.dtype[np.void]
    text_columns: tuple[str, ...]
    layout: tuple[tuple[str, int, int], ...]
    """(column, offset in the row, bytes) of each number."""

    @cached_property
    def packing(self) -> Rows:
        """The layout as schemas.columns takes it."""
        layout: Rows = _compiled().layout_of((offset, size) for _, offset, size in self.layout)
        return layout

    @cached_property
    def numbers_of(self) -> Callable[[bytes], tuple[bytes, ...]]:
        """The numbers of a row, in the order of the layout, out of its bytes."""
        return itemgetter(*(slice(offset, offset + size) for _, offset, size in self.layout))


@dataclass(frozen=True)
class Header:
    """The head of every frame; see the docs in the .avsc files."""

    source: str
    source_offset: int = 0
    source_index: int = 0
    first_seq: int = 0
    created_at: int = 0
    reply_partition: int = -1


@dataclass(frozen=True)
class Frame:
    """A decoded frame: `rows` of FRAMES[schema].dtype, `cl_ord_id` an S-array of the same length (None where the schema has no text).

    `orig_cl_ord_id` is another one, None where no row has any.
    """

    schema: str
    header: Header
    rows: Rows
    cl_ord_id: Rows | None = None
    orig_cl_ord_id: Rows | None = None


@cache
def _compiled() -> ModuleType:
    """schemas.columns, imported for the first frame of many rows: who never sees one does without numba."""
    return import_module("schemas.columns")


@cache
def _parsed(name: str) -> Any:
    return fastavro.parse_schema(raw_schema(name))


@cache
def raw_schema(name: str) -> Any:
    """The schema as JSON objects, with its attributes and docs."""
    return json.loads((files("schemas") / "avro" / f"{name}.avsc").read_text())


@cache
def _parsed_before(name: str) -> Any:
    """The first layout of a record: without the fields that have a default, which came later."""
    return fastavro.parse_schema(_without_defaults(raw_schema(name)))


def _without_defaults(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_defaults(one) for one in schema if not (isinstance(one, dict) and "default" in one)]
    return {key: _without_defaults(value) for key, value in schema.items()} if isinstance(schema, dict) else schema


@cache
def prefix_of(name: str) -> bytes:
    """The ten bytes with which every record of the schema begins: marker and fingerprint."""
    return _prefix_of(_parsed(name))


def _prefix_of(parsed: Any) -> bytes:
    return MARKER + bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))


def _frame_schema(name: str) -> FrameSchema:
    columns = [(field["name"], field["dtype"]) for field in raw_schema(name)["fields"] if "dtype" in field]
    texts = tuple(column for column, dtype in columns if dtype == "S")
    # aligned, so that compiled code reads each field with one load
    dtype = np.dtype([c for c in columns if c[1] != "S"], align=True)
    fields = dtype.fields
    assert fields is not None
    return FrameSchema(name, dtype, texts, tuple((column, fields[column][1], fields[column][0].itemsize) for column in dtype.names or ()))


FRAMES: Final[dict[str, FrameSchema]] = {name: _frame_schema(name) for name in FRAME_NAMES}
_FIRST_LAYOUTS: Final[dict[bytes, str]] = {_prefix_of(_parsed_before(name)): name for name in FRAME_NAMES + RECORD_NAMES}
_NAME_OF_PREFIX: Final[dict[bytes, str]] = _FIRST_LAYOUTS | {prefix_of(name): name for name in FRAME_NAMES + RECORD_NAMES}


def schema_of(data: bytes | None) -> str:
    """Which schema the bytes say they have; raises BadBytes."""
    if not data or len(data) < 10 or data[:2] != MARKER:
        raise BadBytes(
            NOT_SINGLE_OBJECT, f"{len(data or b'')} bytes that do not begin with the Avro single-object marker C3 01 and a fingerprint"
        )
    name = _NAME_OF_PREFIX.get(bytes(data[:10]))
    if name is None:
        raise BadBytes(UNKNOWN_FINGERPRINT, f"schema fingerprint {data[2:10].hex()} is not one of this version's")
    return name


def encode_record(name: str, record: dict[str, Any]) -> bytes:
    """One Avro record in single-object encoding."""
    out = io.BytesIO()
    out.write(prefix_of(name))
    fastavro.schemaless_writer(out, _parsed(name), record)
    return out.getvalue()


def decode_record(data: bytes) -> tuple[str, dict[str, Any]]:
    """(schema name, record); raises BadBytes for anything that is not exactly one record of a known schema."""
    name = schema_of(data)
    if len(data) > FRAME_BYTES_MAX:
        raise BadBytes(TOO_LARGE, f"{len(data)} bytes, more than {FRAME_BYTES_MAX}")
    body = io.BytesIO(data)
    body.seek(10)
    try:
        if data[:10] == prefix_of(name):
            record = fastavro.schemaless_reader(body, _parsed(name), None)
        else:
            record = fastavro.schemaless_reader(body, _parsed_before(name), _parsed(name))
    except Exception as error:
        raise BadBytes(TRUNCATED, f"not a whole {name}: {type(error).__name__} {error}") from error
    if body.tell() != len(data):
        raise BadBytes(TRUNCATED, f"{len(data) - body.tell()} bytes are left over behind a whole {name}")
    assert isinstance(record, dict)
    return name, record


def decode_header(data: bytes | None) -> tuple[str, Header, int] | None:
    """(schema, header, number of rows) of a frame without reading its columns; None for any other record. Raises BadBytes."""
    name = schema_of(data)
    if name not in FRAMES:
        return None
    assert data is not None
    body = io.BytesIO(data)
    body.seek(10)
    try:
        record = fastavro.schemaless_reader(body, _header_schema(), None)
    except Exception as error:
        raise BadBytes(TRUNCATED, f"not a whole {name}: {type(error).__name__} {error}") from error
    assert isinstance(record, dict)
    return name, Header(*(record[field] for field in HEADER_FIELDS[:-1])), record["count"]


@cache
def _header_schema() -> Any:
    """What all frames begin with, as a record of its own: Avro has no tags, so reading it leaves the columns unread."""
    fields = raw_schema(FRAME_NAMES[0])["fields"][: len(HEADER_FIELDS)]
    assert tuple(field["name"] for field in fields) == HEADER_FIELDS
    return fastavro.parse_schema({"type": "record", "name": "FrameHeader", "fields": fields})


def encode_frame(name: str, header: Header, rows: Rows, cl_ord_id: Rows | None = None, orig_cl_ord_id: Rows | None = None) -> bytes:
    """A frame of `rows` (FRAMES[name].dtype, at most FRAME_ROWS_MAX); columns that are zero throughout are left empty."""
    schema = FRAMES[name]
    assert rows.dtype == schema.dtype, f"rows are not of {name}"
    assert len(rows) <= FRAME_ROWS_MAX, f"{len(rows)} rows are too many for a frame"
    columns = _columns_of_few(schema, rows) if len(rows) <= FEW_ROWS else _columns_of_many(schema, rows)
    texts = [b"" if text is None else _pack_text(text) for _, text in zip(schema.text_columns, (cl_ord_id, orig_cl_ord_id), strict=False)]
    parts = [part for one in (*columns, *texts) for part in (_long(len(one)), one)]
    return b"".join([prefix_of(name), *_header_bytes(header, len(rows)), *parts])


# Avro 1.12, "Binary Encoding": a long is zigzag and of variable length, bytes and strings are their length and themselves. All fields of a frame in
# their order. fastavro would find and check each by its name, which takes several times as long.


def _header_bytes(header: Header, count: int) -> list[bytes]:
    source = header.source.encode()
    numbers = header.source_offset, header.source_index, header.first_seq, header.created_at, header.reply_partition, count
    return [_long(len(source)), source, *map(_long, numbers)]


def _long(number: int) -> bytes:
    left = number << 1 if number >= 0 else ~(number << 1)
    if left < 1 << 7:
        return _ONE_BYTE[left]
    out = bytearray()
    while left >= 1 << 7:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


_ONE_BYTE: Final = [bytes([number]) for number in range(1 << 7)]


def decode_frame(data: bytes, *expected: str) -> Frame:
    """The frame in the bytes; raises BadBytes, also when its schema is not one of `expected` (none given: any frame)."""
    name, record = decode_record(data)
    if name not in FRAMES or (expected and name not in expected):
        raise BadBytes(WRONG_SCHEMA, f"{name} does not belong here; expected {' or '.join(expected) or 'a frame'}")
    return frame_of(name, record)


def frame_of(name: str, record: dict[str, Any]) -> Frame:
    """A decoded record of a frame schema as numpy rows; raises BadBytes where a column does not fit `count`, and for a frame without rows.

    Nobody sends such a frame, and it would do nothing but move the mark of its source.
    """
    schema, count = FRAMES[name], record["count"]
    if count == 0:
        raise BadBytes(NO_ROWS, f"{name} of {record['source'][:80]!r} has no rows")
    if count < 0 or count > FRAME_ROWS_MAX or (count and not record["kind"]):
        raise BadBytes(BAD_COLUMN, f"{name} says {count} rows, and its column kind has {len(record['kind'])} bytes")
    rows = _rows_of_few(schema, record, count) if count <= FEW_ROWS else _rows_of_many(schema, record, count)
    text = _unpack_text(name, "cl_ord_id", record, count) if schema.text_columns else None
    orig = _unpack_text(name, "orig_cl_ord_id", record, count) if record.get("orig_cl_ord_id") else None
    header = Header(*(record[field] for field in HEADER_FIELDS[:-1]))
    return Frame(name, header, rows, text, orig)


# A frame of few rows is put together from slices of plain bytes: numpy's calls would cost more than all the rest of its way. An idle
# exchange sends frames of one row, and those are the ones that somebody waits for.


def _columns_of_few(schema: FrameSchema, rows: Rows) -> list[bytes]:
    raw, step = rows.tobytes(), schema.dtype.itemsize
    numbers = [schema.numbers_of(raw[start : start + step]) for start in range(0, max(len(raw), 1), step)]
    columns = numbers[0] if len(numbers) == 1 else map(b"".join, zip(*numbers, strict=True))
    return [data if data.strip(b"\0") else b"" for data in columns]


def _columns_of_many(schema: FrameSchema, rows: Rows) -> list[bytes]:
    columns: list[bytes] = _compiled().columns_of(rows, schema.packing)
    return columns


def _rows_of_few(schema: FrameSchema, record: dict[str, Any], count: int) -> Rows:
    step = schema.dtype.itemsize
    raw = bytearray(count * step)
    for column, offset, size in schema.layout:
        if data := record[column]:
            if len(data) != count * size:
                raise _bad_column(schema, column, len(data), count, size)
            for row in range(count):
                raw[row * step + offset : row * step + offset + size] = data[row * size : (row + 1) * size]
    return np.frombuffer(raw, schema.dtype)


def _rows_of_many(schema: FrameSchema, record: dict[str, Any], count: int) -> Rows:
    compiled = _compiled()
    try:
        rows: Rows = compiled.rows_of([record[column] for column, _, _ in schema.layout], count, schema.dtype, schema.packing)
    except compiled.BadColumn as error:
        column, _, size = schema.layout[error.number]
        raise _bad_column(schema, column, len(record[column]), count, size) from None
    return rows


def _bad_column(schema: FrameSchema, column: str, length: int, count: int, size: int) -> BadBytes:
    return BadBytes(BAD_COLUMN, f"{schema.name}.{column} has {length} bytes for {count} rows of {size}")


def _pack_text(values: Rows) -> bytes:
    """Zero-padded text, as narrow as its longest value; empty when every value is."""
    if len(values) > FEW_ROWS:
        packed: bytes = _compiled().text_of(values)
        return packed
    texts: list[bytes] = values.tolist()
    width = max(map(len, texts), default=0)
    return b"".join(text.ljust(width, b"\0") for text in texts)


def _unpack_text(name: str, column: str, record: dict[str, Any], count: int) -> Rows:
    data: bytes = record[column]
    if not data:
        return np.zeros(count, "S1")
    width, left_over = divmod(len(data), count) if count else (0, 1)
    if left_over or width > CL_ORD_ID_MAX_BYTES:
        raise BadBytes(BAD_COLUMN, f"{name}.{column} has {len(data)} bytes for {count} rows of at most {CL_ORD_ID_MAX_BYTES}")
    return np.frombuffer(data, f"S{width}")
