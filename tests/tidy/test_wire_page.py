"""docs/wire.md says what the code does: its tables are those of the code, and the programs on it read and write real frames."""

import ast
import json
import re
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from document_tables import ALPACA_PAGE, PAGE, with_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from tree import ROOT, of_packages

from schemas.codec import FRAME_NAMES, FRAMES, HEADER_FIELDS, Header, decode_frame, encode_frame, encode_record, raw_schema
from schemas.instruments import load_instruments
from schemas.settings import Settings
from schemas.units import minor_to_text, to_decimal
from streams.operate.topics import topics
from topics.description import ENUMS, describe

TEXT = PAGE.read_text()
DTYPES = {"u1", "<u2", "<u4", "<u8", "<i8"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that the programs on the page define, run where wire.json is."""
    directory = tmp_path_factory.mktemp("stranger")
    (directory / "wire.json").write_text(CliRunner().invoke(topics, ["describe"], obj=Settings(home=directory)).output)
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        for block in re.findall(r"<!-- run: \w+ -->\n```python\n(.*?)```\n", TEXT, re.DOTALL):
            exec(compile(block, str(PAGE), "exec"), names)
    assert {"read", "write"} <= names.keys()
    return names


def test_the_tables_are_those_of_the_code():
    """`make tables` writes them."""
    for page in (PAGE, ALPACA_PAGE):
        assert with_tables(page.read_text()) == page.read_text(), f"docs/{page.name} is behind the code: run `make tables`"


def test_the_programs_import_nothing_of_ours():
    """A stranger has fastavro and numpy."""
    blocks = re.findall(r"```python\n(.*?)```\n", TEXT, re.DOTALL)
    imported = {name.name for block in blocks for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"io", "json", "fastavro", "numpy"}


def same_text(found: Any, texts: Any) -> bool:
    """Texts are equal whatever the width of their arrays."""
    return found.tolist() == texts.tolist()


FORMS = {
    "zeros": lambda size, count: [0] * count,
    "one value": lambda size, count: [200] * count,
    "codes of 1 byte": lambda size, count: [0 if row % 3 == 0 else (1 << 8 * size - 1) - 9 + row % 7 for row in range(count)],
    "codes of 2 bytes": lambda size, count: [0 if row == 4 else (1 << 8 * size - 2) + 300 * row for row in range(count)],
    "codes of 4 bytes": lambda size, count: [0 if row == 4 else (1 << 8 * size - 2) + 70_000 * row for row in range(count)],
    "plain": lambda size, count: [1 if row % 2 else (1 << 8 * size - 1) + row for row in range(count)],
}
LENGTHS = {"zeros": 0, "one value": 8, "codes of 1 byte": 8 + 40, "codes of 2 bytes": 8 + 2 * 40, "codes of 4 bytes": 8 + 4 * 40}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("schema", FRAME_NAMES)
def test_the_reader_reads_every_form_of_every_column(client, schema, form):
    """Forms are chosen by the real codec: where one exists for a size, the column on the wire has its length."""
    rows = np.zeros(40, FRAMES[schema].dtype)
    for column in rows.dtype.names:
        size = rows.dtype[column].itemsize
        rows[column] = np.array([one % (1 << 8 * size) for one in FORMS[form](size, 40)], f"<u{size}").astype(rows.dtype[column])
    rows["kind"] = 1
    ids = np.array([f"id-{row}" for row in range(40)], "S") if FRAMES[schema].text_columns else None
    data = encode_frame(schema, Header("me", 7, 1, 5, 9, 3), rows, ids)
    name, record = client["read"](data)
    assert name == schema
    assert tuple(record[field] for field in HEADER_FIELDS) == ("me", 7, 1, 5, 9, 3, 40)
    for column in rows.dtype.names:
        assert record[column].dtype == rows.dtype[column]
        assert (record[column] == rows[column]).all(), column
    if ids is not None:
        assert same_text(record["cl_ord_id"], ids)
    # the widest column shows that the form was on the wire, not another one
    stored = _stored(client, data)
    wide = next(column for column in rows.dtype.names if rows.dtype[column].itemsize == 8)
    assert len(stored[wide]) == LENGTHS.get(form, 8 * 40)


def _stored(client, data):
    """The columns as bytes."""
    return client["fastavro"].schemaless_reader(client["io"].BytesIO(data[10:]), client["PARSED"][client["BY_PREFIX"][data[:10]]], None)


@pytest.mark.parametrize("schema", FRAME_NAMES)
@settings(deadline=None)
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 50), bits=st.integers(1, 64), text=st.booleans())
def test_the_reader_agrees_with_the_codec_on_any_rows(client, schema, seed, count, bits, text):
    """Few rows and many, small numbers and large, with zeros between them, with texts and without."""
    random = np.random.default_rng(seed)
    rows = np.zeros(count, FRAMES[schema].dtype)
    for column in rows.dtype.names:
        noise = random.integers(0, (1 << bits) - 1, count, np.uint64, endpoint=True)
        values = np.where(random.random(count) < 0.2, 0, noise + random.integers(0, 2**63, dtype=np.uint64) * np.uint64(seed & 1))
        rows[column] = values.astype(rows.dtype[column])
    ids = np.array([b"x" * int(n) for n in random.integers(0, 129, count)]) if text and FRAMES[schema].text_columns else None
    data = encode_frame(schema, Header("me"), rows, ids)
    frame = decode_frame(data) if rows["kind"].any() else None
    _, record = client["read"](data)
    for column in rows.dtype.names:
        assert (record[column] == rows[column]).all(), column
        assert frame is None or (record[column] == frame.rows[column]).all()
    if FRAMES[schema].text_columns:
        assert same_text(record["cl_ord_id"], ids if ids is not None else np.zeros(count, "S1"))


def test_the_reader_refuses_a_column_of_no_form(client):
    """It guesses no more than the codec does."""
    for length in (1, 7, 9, 16, 8 + 9 * 3, 9 * 8 - 1, 9 * 8 + 1):
        with pytest.raises(ValueError, match=f"{length} bytes for 9 values of 8"):
            client["column"](bytes(length), 9, "<u8")
    with pytest.raises(ValueError, match="8 bytes for 8 values of 2"):
        client["column"](bytes(8), 8, "<u2")


def test_the_reader_reads_the_records_that_are_no_frames(client):
    """A dead letter, with its bytes."""
    letter = {
        "topic": "executions",
        "partition": 0,
        "offset": 5,
        "reason": "TRUNCATED",
        "detail": "",
        "key": None,
        "value": b"x",
        "record_time": 1,
    }
    assert client["read"](encode_record("dead_letter", letter)) == ("dead_letter", letter)


@pytest.mark.parametrize("count", [1, 8, 9, 500])
def test_what_the_writer_writes_is_a_frame(client, count):
    """Plain columns, empty ones and texts: the codec takes them."""
    names = [f"a-{row}" for row in range(count)]
    columns = {"kind": [1] * count, "price": [-5] * count, "account": [2**63 - row for row in range(count)], "order_qty": [0] * count}
    header = {"source": "stranger", "source_offset": 12, "created_at": 34}
    frame = decode_frame(client["write"]("order_command_frame", header, columns, names), "order_command_frame")
    assert frame.header == Header("stranger", 12, 0, 0, 34, -1)
    for column, values in columns.items():
        assert frame.rows[column].tolist() == values
    assert not frame.rows["instrument"].any()
    assert frame.cl_ord_id.astype(str).tolist() == names


def test_every_column_of_codes_says_which():
    """The attribute `codes` is where the documentation of a column names an enumeration, and names ones that wire.json has."""
    for schema in FRAME_NAMES:
        for field in raw_schema(schema)["fields"]:
            codes = field.get("codes", [])
            assert set(codes) <= ENUMS.keys(), f"{schema}.{field['name']}"
            if field.get("dtype") in ("u1", "<u2"):
                named = set(re.findall(r"\w+", field["doc"])) & ENUMS.keys()
                assert named <= set(codes), f"{schema}.{field['name']} means {named}: add the attribute codes"
    without = {
        f["name"] for schema in FRAME_NAMES for f in raw_schema(schema)["fields"] if f.get("dtype") in ("u1", "<u2") and "codes" not in f
    }
    assert without == {"aggressor", "locate"}, "a column of one or two bytes is a code, or is named here as a plain yes or no"


def test_the_page_names_every_dtype_and_header_field():
    """What a schema may contain is on the page."""
    used = {field["dtype"] for schema in FRAME_NAMES for field in raw_schema(schema)["fields"] if "dtype" in field}
    assert used == DTYPES | {"S"}
    for word in used | set(HEADER_FIELDS):
        assert f"`{word}`" in TEXT
    said = set(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", TEXT.partition("## Post an order")[2].partition("**A cancel**")[0], re.MULTILINE))
    columns = {field["name"] for field in raw_schema("order_command_frame")["fields"]}
    assert {name.strip("`") for group in said for name in group.split(", ")} - {"column"} <= columns


def test_the_page_names_every_reason_of_a_dead_letter():
    """As the packages have them: the first argument of BadBytes, wherever it is made."""
    words = set()
    for path in of_packages():
        if path.endswith(".py"):
            words |= {
                node.args[0].id
                for node in ast.walk(ast.parse((ROOT / path).read_text()))
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BadBytes" and isinstance(node.args[0], ast.Name)
            }
    table = TEXT.partition("## Dead letters")[2].partition("## Enumerations")[0]
    assert words == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) - {"reason"}


def test_the_worked_example_is_right():
    """By the code that the exchange uses."""
    aapl = load_instruments(None).by_symbol["AAPL"]
    wire = describe(load_instruments(None))
    ticks, lots = aapl.price_to_ticks(to_decimal("180.05")), aapl.qty_to_lots(to_decimal("100"))
    lot_minor = wire["instruments"]["AAPL"]["lot_minor_per_tick"]
    cash = -ticks * lots * lot_minor
    assert f'`"180.05"` | 180.05 / 0.01 | {ticks} ticks |' in TEXT
    assert f'`"100"` | 100 / 1 | {lots} lots |' in TEXT
    assert f"0.01 * 1 * 10,000 | {lot_minor} |" in TEXT
    assert f'`"{minor_to_text(cash)}"` | -({ticks} * {lots} * {lot_minor}) | {cash} minor units |' in TEXT


def test_the_description_has_the_instruments_of_this_exchange(tmp_path):
    """Another list, other numbers."""
    text = (ROOT / "schemas" / "instruments.toml").read_text().replace('symbol = "AAPL"', 'symbol = "BEEF"')
    (tmp_path / "mine.toml").write_text(text)
    done = CliRunner().invoke(topics, ["describe"], obj=Settings(home=tmp_path, instruments_file=tmp_path / "mine.toml"))
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)["instruments"]
    assert found["BEEF"]["number"] == 1
    assert "AAPL" not in found
