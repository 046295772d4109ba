"""What the sinks make of frames, without a store: SQL text, marks, documents, the newest of each price, chunks."""

from importlib.resources import files
from typing import Any

import numpy as np
import orjson
import pytest
from support.records.alert_records import whole

from schemas.codec import FRAMES, Frame, Header, Rows, raw_schema
from schemas.enums import AccountEventKind, ExecFlag, ExecKind, MarketDataKind, OrdType
from schemas.instruments import load_instruments
from schemas.marks import Marks
from schemas.reject_reasons import Reason
from sinks import Input
from sinks.elastic.documents import Document, documents
from sinks.elastic.indices import templates
from sinks.elastic.sink import CHUNK_BYTES_MAX, CHUNK_DOCUMENTS_MAX, chunked
from sinks.mysql.rows import ALERT_COLUMNS, ALERT_DETAILS, ORDER_TERMS, STATEMENT_ROWS_MAX, account_statements, execution_statements
from sinks.mysql.schema import ADDED_COLUMNS, statements
from sinks.mysql.sink import TRANSACTION_ROWS_MAX, transactions
from sinks.partition_marks import PartitionMarks
from sinks.redis.sink import newest_rows

INSTRUMENTS = load_instruments(None)
START = 1_800_000_000_000_000_000


def frame(schema: str, rows: list[dict[str, int]], text: list[bytes] | None = None, **header: Any) -> Frame:
    """A frame of the rows given by column."""
    array = np.zeros(len(rows), FRAMES[schema].dtype)
    for index, row in enumerate(rows):
        for name, value in {"transact_time": START, **row}.items():
            array[name][index] = value
    texts = np.array(text) if text else np.zeros(len(rows), "S1") if FRAMES[schema].text_columns else None
    return Frame(schema, Header(**{"source": "account.commands/0", "first_seq": 1, **header}), array, texts)


def statement(found: list[str], table: str) -> str:
    """The one statement that writes the table."""
    (text,) = [one for one in found if one.startswith(f"INSERT INTO {table} ")]
    return text


def values_of(text: str) -> str:
    """What is between VALUES and ON DUPLICATE."""
    return text.partition(" VALUES ")[2].partition(" ON DUPLICATE KEY UPDATE ")[0]


ORDER = {"order_id": 7, "account": 3, "instrument": 1, "side": 1, "ord_type": 2, "order_qty": 10, "price": 100, "submitted_at": START}


def test_an_order_with_many_events_in_a_batch_is_one_row_with_the_newest_state_and_the_reason_of_its_end() -> None:
    """The late cancel's refusal, which comes last, changes neither."""
    events = [
        {**ORDER, "kind": AccountEventKind.ACCEPTED, "leaves_qty": 10, "seq": 1},
        {**ORDER, "kind": AccountEventKind.TRADE, "leaves_qty": 6, "cum_qty": 4, "cum_cost": 400, "ord_status": 1, "seq": 2, "last_qty": 4},
        {
            **ORDER,
            "kind": AccountEventKind.CANCELED,
            "cum_qty": 4,
            "cum_cost": 400,
            "ord_status": 4,
            "reason": Reason.REQUESTED_BY_CUSTOMER,
            "seq": 3,
        },
        {**ORDER, "kind": AccountEventKind.CANCEL_REJECTED, "ord_status": 4, "reason": Reason.TOO_LATE_TO_CANCEL, "seq": 4},
    ]
    found = account_statements([(0, frame("account_event_frame", events, [b"abc"] * 4))])
    reason = int(Reason.REQUESTED_BY_CUSTOMER)
    assert (
        values_of(statement(found, "orders"))
        == f"(7, 3, 1, 1, 2, 0, 10, 100, {START}, 4, 0, 4, 400, {START}, {reason}, 3, {', '.join('0' * 9)}, x'616263')"
    )


def test_an_order_keeps_what_it_was_ordered_with() -> None:
    """Stop, display, offset, expiry and list, of the newest state: a replace changes them. Tables of an earlier version get the same columns."""
    terms = {
        "stop_px": 90, "display_qty": 5, "offset": -3, "offset_type": 1, "peg_price_type": 5, "exec_inst": 4, "expire_time": 77,
        "contingency_type": 7, "list_id": 6,
    }  # fmt: skip
    events = [
        {**ORDER, "kind": AccountEventKind.ACCEPTED, "seq": 1, **terms, "stop_px": 80},
        {**ORDER, "kind": AccountEventKind.REPLACED, "seq": 2, **terms},
    ]
    text = statement(account_statements([(0, frame("account_event_frame", events, [b"a"] * 2))]), "orders")
    assert values_of(text).endswith("2, 90, 5, -3, 1, 5, 4, 77, 7, 6, x'61')")
    assert all(f"{name} = IF(VALUES(version) > version, VALUES({name}), {name})" in text for name in ORDER_TERMS)
    assert tuple(ADDED_COLUMNS["orders"]) == ORDER_TERMS
    renamed = statement(account_statements([(0, frame("account_event_frame", events, [b"a", b"b"]))]), "orders")
    assert values_of(renamed).endswith("x'62')"), "a replace may give it another cl_ord_id"
    assert "cl_ord_id = IF(VALUES(version) > version, VALUES(cl_ord_id), cl_ord_id)" in renamed
    script = (files("sinks") / "mysql" / "schema.sql").read_text()
    assert all(f"    {name} {kind}" in script for added in ADDED_COLUMNS.values() for name, kind in added.items())


def test_a_refused_cancel_of_an_unknown_order_is_a_reject_and_never_an_order() -> None:
    """Its columns are whatever the customer sent, here another account's order with a quantity."""
    event = {
        "kind": AccountEventKind.CANCEL_REJECTED,
        "reason": Reason.UNKNOWN_ORDER,
        "order_id": 7,
        "account": 3,
        "order_qty": 5,
        "leaves_qty": 5,
        "seq": 9,
    }
    found = account_statements([(4, frame("account_event_frame", [event]))])
    assert [one.split()[2] for one in found] == ["rejects"]
    assert values_of(found[0]).startswith(f"(4, 9, {int(AccountEventKind.CANCEL_REJECTED)}, {int(Reason.UNKNOWN_ORDER)}, 3, 7, ")


def test_text_of_customers_reaches_sql_only_as_hexadecimal_digits() -> None:
    """Quotes, backslashes and percent signs cannot end a literal."""
    text = b"'); DROP TABLE orders; -- \\ \" %s"
    found = account_statements([(0, frame("account_event_frame", [{**ORDER, "kind": AccountEventKind.ACCEPTED, "seq": 1}], [text]))])
    assert b"DROP" not in statement(found, "orders").encode()
    assert f"x'{text.hex()}'" in statement(found, "orders")


def test_a_trade_posts_two_legs_and_an_update_those_that_are_not_zero() -> None:
    """Cash has instrument 0."""
    events = [
        {**ORDER, "kind": AccountEventKind.TRADE, "seq": 1, "cash_delta": -400, "shares_delta": 4, "trd_match_id": 5},
        {"kind": AccountEventKind.ACCOUNT_UPDATED, "account": 3, "seq": 2, "cash_delta": 1_000},
    ]
    found = account_statements([(2, frame("account_event_frame", events))])
    cash, shares = [values_of(one) for one in found if one.startswith("INSERT INTO postings ")]
    assert cash == f"(2, 1, 1, 3, 0, -400, 6, 5, {START}), (2, 2, 1, 3, 0, 1000, 10, 0, {START})"
    assert shares == f"(2, 1, 2, 3, 1, 4, 6, 5, {START})"


def test_a_fee_is_two_legs_that_sum_to_nothing_and_a_bust_gives_them_back() -> None:
    """The account's, and account 0's, which is the exchange; a busted trade has the same legs, negated."""
    trade = {"kind": AccountEventKind.TRADE, "seq": 1, "account": 7, "instrument": 1, "cash_delta": -1_000, "shares_delta": 2, "fee": 60}
    bust = trade | {"kind": AccountEventKind.TRADE_BUSTED, "seq": 2, "cash_delta": 1_000, "shares_delta": -2, "fee": -60}
    found = [one for one in account_statements([(0, frame("account_event_frame", [trade, bust], [b"", b""]))]) if "INTO postings" in one]
    legs = [row.split(", ") for one in found for row in values_of(one).strip("()").split("), (")]
    named = sorted((int(row[1]), int(row[2]), int(row[3]), int(row[5])) for row in legs)
    assert named == [
        (1, 1, 7, -1_000),
        (1, 2, 7, 2),
        (1, 3, 7, -60),
        (1, 4, 0, 60),
        (2, 1, 7, 1_000),
        (2, 2, 7, -2),
        (2, 3, 7, 60),
        (2, 4, 0, -60),
    ]


def test_the_largest_numbers_of_the_log_are_written_exactly() -> None:
    """Unsigned 64 bits in identifiers, negative 63 bits in amounts."""
    row = {"kind": ExecKind.TRADE, "trd_match_id": 2**64 - 1, "price": -(2**63), "qty": 2**63 - 1}
    text = statement(execution_statements([frame("execution_frame", [row])]), "trades")
    assert values_of(text).startswith(f"({2**64 - 1}, 0, {-(2**63)}, {2**63 - 1}, ")


def test_a_trade_of_an_auction_has_no_aggressor_and_a_busted_one_its_own_row() -> None:
    """The trade itself stays: it was told."""
    trade = {"kind": ExecKind.TRADE, "instrument": 1, "side": 1, "price": 100, "qty": 5}
    rows = [{**trade, "trd_match_id": 8}, {**trade, "trd_match_id": 9, "flags": ExecFlag.UNCROSS}]
    bust = {**trade, "kind": ExecKind.TRADE_BUSTED, "trd_match_id": 9, "reason": Reason.CLEARLY_ERRONEOUS, "rpt_seq": 4}
    found = execution_statements([frame("execution_frame", [*rows, bust])])
    trades = values_of(statement(found, "trades"))
    assert trades.startswith("(8, 1, 100, 5, 1, ") and "(9, 1, 100, 5, 0, " in trades
    assert values_of(statement(found, "trade_busts")) == f"(9, 1, 100, 5, {int(Reason.CLEARLY_ERRONEOUS)}, 4, {START})"


def test_many_rows_are_several_statements_and_none_make_none() -> None:
    """So that no statement outgrows max_allowed_packet."""
    rows = [{"kind": ExecKind.TRADE, "trd_match_id": n + 1} for n in range(STATEMENT_ROWS_MAX + 1)]
    found = execution_statements([frame("execution_frame", rows)])
    assert [values_of(one).count("(") for one in found if "INTO trades " in one] == [STATEMENT_ROWS_MAX, 1]
    assert max(map(len, found)) < 4 << 20
    assert execution_statements([frame("execution_frame", [{"kind": ExecKind.LEVEL}])]) == []


def test_every_table_of_the_schema_file_is_one_statement() -> None:
    """Comments with semicolons and quotes do not cut it wrongly."""
    found = statements("-- it's; a comment\nCREATE TABLE a (\n  b INT COMMENT 'x; y'\n);\n\nCREATE TABLE c (d INT);\n")
    assert found == ["CREATE TABLE a (\n  b INT COMMENT 'x; y'\n)", "CREATE TABLE c (d INT)"]


@pytest.mark.parametrize(
    ("offset", "source", "place", "new"),
    [
        (5, "a", (3, 0), True),
        (4, "a", (3, 0), False),
        (5, "a", (2, 1), False),
        (5, "a", (2, 0), False),
        (9, "a", (2, 2), True),
        (5, "b", (0, 0), True),
    ],
)
def test_marks_let_each_frame_in_once(offset: int, source: str, place: tuple[int, int], new: bool) -> None:
    """Next offset 5, newest frame of source a: (2, 1)."""
    marks = PartitionMarks(5, 0, Marks({"a": (2, 1, 0)}))
    one = Input("executions", 0, offset, frame("execution_frame", [], source=source, source_offset=place[0], source_index=place[1]))
    assert marks.take(one) is new
    assert marks.take(one) is False
    assert marks.next_offset == max(5, offset + 1)


def test_a_large_batch_is_cut_into_transactions_of_bounded_rows() -> None:
    """Whole inputs, in order, none lost; one that is larger by itself goes alone."""
    sizes = [1, TRANSACTION_ROWS_MAX, 5, TRANSACTION_ROWS_MAX - 5, 1, 2 * TRANSACTION_ROWS_MAX, 1]
    batch = [Input("executions", 0, n, Frame("execution_frame", Header(""), np.zeros(size, "u1"))) for n, size in enumerate(sizes)]
    parts = list(transactions(batch))
    assert [one for part in parts for one in part] == batch
    assert [[one.offset for one in part] for part in parts] == [[0], [1], [2, 3], [4], [5], [6]]
    assert list(transactions([])) == []


def test_each_decision_is_a_document_with_an_id_of_the_shards_own_sequence() -> None:
    """Derived rows are left out but count in the sequence; the offset of the record is no part of the id."""
    rows = [{"kind": kind, "instrument": 1, "price": 17_999, "side": 1, "order_id": 2**63} for kind in ExecKind]
    one = Input("executions", 3, 42, frame("execution_frame", rows, first_seq=100, source="book.commands/3", source_offset=5))
    found = {orjson.loads(document.action)["create"]["_id"]: orjson.loads(document.source) for document in documents(one, INSTRUMENTS)}
    derived = (ExecKind.LEVEL, ExecKind.TOP, ExecKind.TIME, ExecKind.AUCTION_INDICATIVE)
    kept = [kind for kind in ExecKind if kind not in derived]
    assert {key: document["kind"] for key, document in found.items()} == {f"executions-3-{99 + kind}": kind.name for kind in kept}
    new = found["executions-3-100"]
    assert (new["symbol"], new["side"], new["price"], new["price_display"], new["order_id"]) == ("AAPL", "BUY", 17_999, 179.99, 2**63)
    assert new["transact_time"] == "2027-01-15T08:00:00.000000000Z"
    again = Input("executions", 3, 77, one.body)
    assert [document.action for document in documents(again, INSTRUMENTS)] == [document.action for document in documents(one, INSTRUMENTS)]


def test_what_a_book_does_to_an_order_by_itself_is_audited_with_its_reason() -> None:
    """The order as it is after the row, and why."""
    row = {"kind": ExecKind.RESTATED, "instrument": 1, "order_id": 7, "price": 18_000, "leaves_qty": 5, "display_qty": 2,
           "reason": Reason.ICEBERG_REPLENISHED, "ord_type": OrdType.LIMIT}  # fmt: skip
    (document,) = documents(Input("executions", 0, 0, frame("execution_frame", [row])), INSTRUMENTS)
    source = orjson.loads(document.source)
    found = [source[name] for name in ("kind", "reason", "ord_type", "leaves_qty", "display_qty", "price_display")]
    assert found == ["RESTATED", "ICEBERG_REPLENISHED", "LIMIT", 5, 2, 180.0]


def test_an_analyst_can_search_for_trades_of_one_owner_with_itself() -> None:
    """Flags are words."""
    rows = [{"kind": ExecKind.TRADE, "flags": flags} for flags in (0, ExecFlag.SELF_MATCH | ExecFlag.UNCROSS)]
    found = [orjson.loads(one.source)["flags"] for one in documents(Input("executions", 0, 0, frame("execution_frame", rows)), INSTRUMENTS)]
    assert found == [[], ["SELF_MATCH", "UNCROSS"]]


def test_no_document_has_a_field_that_its_index_does_not_know() -> None:
    """The mappings are strict: one unknown field would stop the sink."""
    alert = {
        "alert_id": "a", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 1, "side": "BUY", "score": 0.5, "explanation": "",
        "window_start": 1, "window_end": 2, "detected_at": 2, "source": "",
        "evidence": [{"role": "LAYER", "order_id": 1, "side": "BUY", "price": 1, "qty": 1, "traded_qty": 0, "placed_at": 1, "ended_at": 0}],
    }  # fmt: skip
    inputs = [
        Input("executions", 0, 0, frame("execution_frame", [{"kind": kind, "instrument": 1} for kind in ExecKind])),
        Input("account.events", 0, 0, frame("account_event_frame", [{"kind": kind, "instrument": 1} for kind in AccountEventKind])),
        Input("alerts", 0, 0, whole(alert)),
    ]
    known = {body["index_patterns"][0].rstrip("*"): body["template"]["mappings"]["properties"] for body in templates().values()}
    seen = set()
    for one in inputs:
        for document in documents(one, INSTRUMENTS):
            stream = next(name for name in known if orjson.loads(document.action)["create"]["_index"].startswith(name))
            seen.add(stream)
            assert set(orjson.loads(document.source)) <= set(known[stream])
            if stream.endswith("alerts-"):
                fields = orjson.loads(document.source)
                assert set(fields) == set(known[stream])
                assert set(fields["evidence"][0]) == set(known[stream]["evidence"]["properties"])
    assert seen == set(known)


def test_every_revision_of_an_alert_is_a_document_of_its_own() -> None:
    """The first has the alert's id, as it had before there were revisions."""
    alert = {
        "alert_id": "a", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 1, "side": "BUY", "score": 0.5, "explanation": "",
        "window_start": 1, "window_end": 2, "detected_at": 2, "source": "", "evidence": [],
    }  # fmt: skip
    ids = []
    for revision in (1, 2, 10):
        (document,) = documents(
            Input("alerts", 0, revision, whole({**alert, "revision": revision, "features": {"b": 2, "a": 1}})), INSTRUMENTS
        )
        ids.append(orjson.loads(document.action)["create"]["_id"])
        assert orjson.loads(document.source)["features"] == [{"name": "a", "value": 1}, {"name": "b", "value": 2}]
    assert ids == ["a", "a-2", "a-10"]


def test_an_alert_has_every_field_of_its_schema_in_mysql() -> None:
    """In a column of its own or in `details`, but for the symbol, which the instrument has."""
    names = {field["name"] for field in raw_schema("alert")["fields"]}
    assert set(ALERT_COLUMNS) - {"details"} | set(ALERT_DETAILS) | {"symbol"} == names
    assert ALERT_COLUMNS[-1] == "revision", "the others look at the revision that is stored"


def test_every_account_event_is_audited() -> None:
    """All kinds that account.events can have; the kinds of answers only are not in that topic."""
    answers = {"DUPLICATE", "SESSION_REGISTERED", "SESSION_REJECTED", "POSITION_STATE", "ORDER_STATE"}
    one = Input("account.events", 0, 0, frame("account_event_frame", [{"kind": kind} for kind in AccountEventKind]))
    audited = {orjson.loads(document.source)["kind"] for document in documents(one, INSTRUMENTS)}
    assert audited == {kind.name for kind in AccountEventKind} - answers


def test_values_that_no_enumeration_has_are_audited_as_they_came() -> None:
    """A refused order may say anything."""
    row = {"kind": AccountEventKind.REJECTED, "side": 77, "instrument": 2**32 - 1, "account": 2**64 - 1, "reason": Reason.INVALID_SIDE}
    (document,) = documents(Input("account.events", 0, 0, frame("account_event_frame", [row])), INSTRUMENTS)
    source = orjson.loads(document.source)
    assert (source["side"], source["account"], source["reason"], "symbol" in source) == ("77", 2**64 - 1, "INVALID_SIDE", False)


def test_chunks_are_bounded_by_number_and_by_bytes() -> None:
    """And nothing is lost or reordered on the way."""
    small = [Document(b"a", str(n).encode()) for n in range(CHUNK_DOCUMENTS_MAX * 2 + 1)]
    assert [len(chunk) for chunk in chunked(iter(small))] == [CHUNK_DOCUMENTS_MAX, CHUNK_DOCUMENTS_MAX, 1]
    large = [Document(b"a", bytes(CHUNK_BYTES_MAX // 2)) for _ in range(3)]
    assert [document for chunk in chunked(iter(large)) for document in chunk] == large
    assert [len(chunk) for chunk in chunked(iter(large))] == [1, 1, 1]


def test_only_the_newest_row_of_each_instrument_and_kind_goes_to_redis() -> None:
    """By sequence, not by place: a replaying shard's repeats come last."""

    def rows(*triples: tuple[int, int, int]) -> Rows:
        return frame("market_data_frame", [{"kind": k, "instrument": i, "seq": s, "price": s} for k, i, s in triples]).rows

    trade, quote, level = MarketDataKind.TRADE, MarketDataKind.QUOTE, MarketDataKind.LEVEL
    found = newest_rows([rows((trade, 1, 5), (trade, 2, 9), (quote, 1, 3), (level, 1, 50)), rows((trade, 1, 4), (trade, 2, 10))])
    assert [(kept.name, row["instrument"], row["seq"]) for kept, row in found] == [("price", 1, 5), ("price", 2, 10), ("quote", 1, 3)]
