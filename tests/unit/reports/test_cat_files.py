"""Files of records: names, companions, packing, and what each fault of them is called."""

import gzip
from dataclasses import replace
from itertools import pairwise

import numpy as np
import orjson
import pytest

from reports.cat.feedback import RecordError, corrections, parse_feedback, rejected_lines
from reports.cat.files import FileCode, FileName, Lines, Meta, Packer, Unpacker, parse_name, split
from reports.cat.words import ActionType
from schemas.errors import OutcryError

NAME = FileName("OUTCRY", "20261130", 1)
LINES = [b'{"a":%d}\n' % number for number in range(1_000)]


def packed(lines=LINES):
    """A file and its companion."""
    out = []
    packer = Packer(out.append)
    packer.take(Lines.together(lines))
    meta = packer.finish(str(NAME), done_for_day=True)
    return b"".join(out), bytes(meta)


def findings(data, meta, name=str(NAME)):
    """The lines of a file, and what is found to be wrong with it."""
    unpacker = Unpacker(name, [data[:100], data[100:]], meta)
    lines = list(unpacker.lines())
    return lines, [one.code for one in unpacker.findings]


def test_a_file_is_what_was_packed_and_its_companion_says_so():
    """Anybody's gzip reads it; the same lines give the same bytes."""
    data, meta = packed()
    assert gzip.decompress(data) == b"".join(LINES)
    assert packed() == (data, meta)
    assert findings(data, meta) == (LINES, [])
    assert orjson.loads(meta)["records"] == 1_000


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        (lambda data, meta: (data, None), [FileCode.META]),
        (lambda data, meta: (data, b"{}"), [FileCode.META]),
        (lambda data, meta: (data, bytes(replace(Meta.parse(meta), fileName="other"))), [FileCode.META]),
        (lambda data, meta: (data, bytes(replace(Meta.parse(meta), records=999))), [FileCode.COUNT]),
        (lambda data, meta: (data, bytes(replace(Meta.parse(meta), sizeRaw=1))), [FileCode.SIZE]),
        (lambda data, meta: (data, bytes(replace(Meta.parse(meta), sha256Raw="0" * 64))), [FileCode.DIGEST]),
        (lambda data, meta: (data, bytes(replace(Meta.parse(meta), schemaVersion="9"))), [FileCode.SCHEMA]),
        (lambda data, meta: (packed([*LINES[:-1], b'{"a":1.5}\n'])[0], meta), [FileCode.SIZE, FileCode.DIGEST]),
    ],
)
def test_a_fault_of_a_file_is_found_as_its_code(fault, codes):
    """And the rest of it is read all the same."""
    assert findings(*fault(*packed()))[1] == codes


def test_a_file_that_is_cut_off_or_goes_on_is_found():
    """Neither is one whole gzip file."""
    data, meta = packed()
    assert FileCode.PACKING in findings(data[:-9], meta)[1]
    assert FileCode.PACKING in findings(data + b"x", meta)[1]
    assert FileCode.PACKING in findings(b"not packed", meta)[1]


def test_names_say_who_reports_which_day():
    """Other names are not taken."""
    assert parse_name(str(NAME)) == NAME
    assert findings(*packed(), name="report.json.gz")[1][0] == FileCode.NAME
    for name in (
        "OUTCRY_20261130_OrderEvents_000000.json.gz",
        "OUTCRY_20261130_OrderEvents_1.json.gz",
        "OUTCRY_20261130_OrderEvents_000001.json",
    ):
        assert parse_name(name) is None


def test_a_day_that_is_too_large_for_a_file_is_split_between_records():
    """Nothing is lost or twice; an empty day is one empty file."""
    for cuts in ([5], [1, 4], [2, 3], [1, 1, 1, 1, 1], [3, 0, 2]):
        ends = np.cumsum([0, *cuts]).tolist()
        blocks = [Lines(memoryview(b"".join(LINES[a:b])), np.cumsum([8] * (b - a))) for a, b in pairwise(ends)]
        found = [[line for block in part for line in block] for part in split(iter(blocks), 17)]
        assert found == [LINES[:2], LINES[2:4], LINES[4:5]], cuts
    assert [list(part) for part in split(iter([]))] == [[]]
    long = next(iter(split(Lines.together(LINES[:2]), 3)))
    assert [bytes(block.data) for block in long] == LINES[:1], "a line is never cut"


def test_lines_that_are_packed_in_other_blocks_are_the_same_file():
    """Byte for byte, packed too: the blocks are nobody's business."""
    lines = [b'{"a":%d,"b":%d}\n' % (number, number * number) for number in range(150_000)]
    data, ends = b"".join(lines), np.cumsum([len(line) for line in lines])
    for cuts in ([40_000, 40_001, 149_999], range(1_000, 150_000, 1_000)):
        out, places = [], [0, *cuts, 150_000]
        blocks = [
            Lines(memoryview(data)[ends[a - 1] if a else 0 : ends[b - 1]], ends[a:b] - (ends[a - 1] if a else 0))
            for a, b in pairwise(places)
        ]
        packer = Packer(out.append)
        packer.take(blocks)
        meta = packer.finish(str(NAME), done_for_day=True)
        assert (b"".join(out), bytes(meta)) == packed(lines)
    assert gzip.decompress(packed(lines)[0]) == data


def answer(stage, errors=(), status="Rejected"):
    """One answer to the file."""
    return parse_feedback(f"{NAME.stem}.{stage}", orjson.dumps({"fileName": str(NAME), "status": status, "errors": list(errors)}))


def test_a_rejected_record_becomes_a_repair_and_one_that_does_not_fit_a_correction():
    """The repair names what it repairs."""
    answers = [
        answer("linkage", [{"recordNumber": 2, "errorROEID": 8, "code": "3001"}]),
        answer("ingestion", [{"recordNumber": 1, "errorROEID": 7, "code": "2067"}, {"code": "5"}]),
    ]
    wanted = rejected_lines(answers)
    assert wanted == {1: (ActionType.REPAIR, RecordError(1, "2067", 7)), 2: (ActionType.CORRECT, RecordError(2, "3001", 8))}
    records = [{"actionType": "NEW", "firmROEID": name, "price": 1.0} for name in "abc"]
    made = list(corrections({"a": wanted[1], "b": wanted[2]}, records))
    assert made == [
        {"actionType": "RPR", "errorROEID": 7, "firmROEID": "a", "price": 1.0}, {"actionType": "COR", "firmROEID": "b", "price": 1.0}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.txt", b"{}"), ("x.ack", b"{"), ("x.ack", b"[]"), ("x.ack", b'{"fileName":"x","status":"Maybe"}'), ("x.ack", b'{"status":"Accepted"}'),
        ("x.ingestion", b'{"fileName":"x","status":"Rejected","errors":[{"recordNumber":0,"errorROEID":1,"code":"1"}]}'),
        ("x.ingestion", b'{"fileName":"x","status":"Rejected","errors":[{"recordNumber":1,"code":"1"}]}'),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_read_is_named(name, data):
    """It is not taken for an acceptance."""
    with pytest.raises(OutcryError, match=r"x\."):
        parse_feedback(name, data)
