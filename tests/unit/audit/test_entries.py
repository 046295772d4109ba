"""An entry says which record it commits to, whatever the record is."""

import json
from hashlib import sha256

import numpy as np
import pytest

from audit.entries import entry_of
from audit.tiles import ENTRY_BYTES_MAX
from schemas.codec import FRAMES, Header, encode_frame, encode_record


def _frame(source="book.commands/3", rows=2):
    made = np.zeros(rows, FRAMES["execution_frame"].dtype)
    made["kind"] = 1
    return encode_frame("execution_frame", Header(source, 41, 1, first_seq=900), made)


def test_the_entry_of_a_frame_has_its_place_its_source_and_its_digest():
    """One line of JSON, with its fields in one order."""
    frame = _frame()
    found = entry_of("executions", 3, 17, 1_700_000_000_123, frame)
    assert json.loads(found) == {
        "v": 1, "topic": "executions", "partition": 3, "offset": 17, "time_ms": 1_700_000_000_123, "schema": "execution_frame",
        "source": "book.commands/3", "source_offset": 41, "source_index": 1, "first_seq": 900, "count": 2, "sha256": sha256(frame).hexdigest(),
    }  # fmt: skip
    assert b"\n" not in found
    assert found == entry_of("executions", 3, 17, 1_700_000_000_123, frame)


def test_a_second_copy_of_a_frame_has_an_entry_of_its_own():
    """Both are in the log. An auditor sees that they are one frame: same source, same digest."""
    one, two = (json.loads(entry_of("executions", 0, offset, 5, _frame())) for offset in (1, 2))
    assert {key for key in one if one[key] != two[key]} == {"offset"}


@pytest.mark.parametrize("value", [None, b"", b"noise", _frame()[:40], b"\xc3\x01" + bytes(100), _frame("x" * 60_000)])
def test_what_cannot_be_read_has_an_entry_all_the_same(value):
    """It is in the log, so it is in the audit log; and an entry is never too long for its bundle."""
    found = entry_of("executions", 0, 1, 2, value)
    assert json.loads(found)["sha256"] == sha256(value or b"").hexdigest()
    assert len(found) < ENTRY_BYTES_MAX // 10


def test_a_record_that_is_no_frame_says_its_schema():
    """Customers' single orders, alerts, what operators set aside."""
    record = encode_record("order_cancel_request", {"account": 1, "order_id": 7, "transact_time": 5})
    assert json.loads(entry_of("account.commands", 0, 1, 2, record))["schema"] == "order_cancel_request"
