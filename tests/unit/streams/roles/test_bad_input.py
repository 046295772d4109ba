"""Everything that can be handed in wrong to a role: what is said, that nothing has changed, and that the next good input is served. Real roles, real bytes."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from schemas.codec import FRAMES, Header, decode_frame, decode_record, encode_frame, encode_record
from schemas.enums import AccountEventKind, BookCommandKind, CommandKind, ExecKind, OrdType, Phase, ReportKind, Side
from schemas.errors import StaleData
from schemas.instruments import Instrument, InstrumentTable
from schemas.limits import FRAME_BYTES_MAX
from schemas.reject_reasons import Reason
from streams.host.shard_host import Role, ShardHost
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.host.snapshot_codes import UNCODED
from streams.host.snapshots import SnapshotStore
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.roles.publish_market_data import PublishMarketData
from streams.roles.watch_trading import WatchTrading
from streams.transport.app import claim_for_cluster
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, DEAD_LETTERS, EXECUTIONS

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
CUSTOMER = Header("customer")
COUNTS = Counter[str]()


@pytest.fixture(scope="module", autouse=True)
def _told(told: list[str]) -> Iterator[None]:
    yield
    told.append("bad inputs: " + ", ".join(f"{kind} {number}" for kind, number in COUNTS.items()) + f"; {COUNTS.total()} cases")


def instruments(**changed: Any) -> InstrumentTable:
    """Two, of 0.01 and 1 share; reference 1.00."""
    one = Decimal(1)
    values: dict[str, Any] = {"max_order_qty": 1000 * one, "protection_percent": 20} | changed
    return InstrumentTable(
        Instrument(number, f"I{number}", "", one / 100, one, max_notional=Decimal(900), reference_price=one, **values) for number in (1, 2)
    )


def rows(schema: str, *values: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.void]]:
    """Rows of a frame from what is not zero."""
    made = np.zeros(len(values), FRAMES[schema].dtype)
    for row, given in zip(made, values, strict=True):
        for name, value in given.items():
            row[name] = value
    return made


ORDER: dict[str, Any] = {
    "kind": CommandKind.NEW_ORDER, "account": 2, "instrument": 1, "side": Side.BUY, "ord_type": OrdType.LIMIT, "order_qty": 1, "price": 100,
    "transact_time": NOW,
}  # fmt: skip
SINGLE: dict[str, Any] = {
    "account": 2, "cl_ord_id": "s", "symbol": "I1", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "1", "price": "1.00",
    "transact_time": NOW,
}  # fmt: skip


def commands(*values: dict[str, Any], header: Header = CUSTOMER, text: bytes = b"c") -> bytes:
    """An order_command_frame."""
    return encode_frame("order_command_frame", header, rows("order_command_frame", *values), np.array([text] * len(values)))


def book_commands(*values: dict[str, Any], source: str = "operator") -> bytes:
    """A book_command_frame."""
    return encode_frame("book_command_frame", Header(source), rows("book_command_frame", *values))


def other(schema: str, source: str = "customer", **values: Any) -> bytes:
    """A frame of one row of any schema."""
    return encode_frame(schema, Header(source), rows(schema, {"kind": 1} | values))


def bent(value: bytes, **changed: Any) -> bytes:
    """A frame, encoded again with some fields of its Avro record changed; a callable is given what was there."""
    name, record = decode_record(value)
    return encode_record(name, record | {field: new(record[field]) if callable(new) else new for field, new in changed.items()})


def single(**changed: Any) -> bytes:
    """A new_order_single."""
    return encode_record("new_order_single", SINGLE | changed)


def cancel(**changed: Any) -> bytes:
    """An order_cancel_request."""
    return encode_record("order_cancel_request", {"account": 2, "orig_cl_ord_id": "s", "order_id": 0, "transact_time": NOW} | changed)


GOOD = commands(ORDER)
LETTER = encode_record("dead_letter", {"topic": "t", "partition": 0, "offset": 0, "reason": "r", "detail": "", "record_time": 0})
WITHOUT_A_FRAME: list[tuple[str, bytes | None, str, str]] = [
    ("nothing", None, "NOT_SINGLE_OBJECT", "0 bytes"),
    ("no byte", b"", "NOT_SINGLE_OBJECT", "0 bytes"),
    ("JSON", b'{"symbol": "I1"}', "NOT_SINGLE_OBJECT", "C3 01"),
    ("marker alone", b"\xc3\x01", "NOT_SINGLE_OBJECT", "2 bytes"),
    ("Confluent's wire format", b"\x00\x00\x00\x00\x07" + b"x" * 40, "NOT_SINGLE_OBJECT", "C3 01"),
    ("another program's schema", b"\xc3\x01" + b"\x07" * 30, "UNKNOWN_FINGERPRINT", "0707070707070707"),
    ("fingerprint alone", GOOD[:10], "TRUNCATED", "order_command_frame"),
    ("cut in half", GOOD[: len(GOOD) // 2], "TRUNCATED", "order_command_frame"),
    ("cut by a byte", GOOD[:-1], "TRUNCATED", "order_command_frame"),
    ("two frames in one record", GOOD + GOOD, "TRUNCATED", "left over"),
    ("noise behind a fingerprint", GOOD[:10] + b"\xff" * 200, "TRUNCATED", "order_command_frame"),
    ("as much as the broker takes", GOOD + bytes(16 << 20), "TOO_LARGE", str(FRAME_BYTES_MAX)),
    ("a key as large", GOOD[:10], "TRUNCATED", "order_command_frame"),
    ("a dead letter", LETTER, "WRONG_SCHEMA", "dead_letter"),
    ("market data", other("market_data_frame"), "WRONG_SCHEMA", "market_data_frame"),
]
TO_ACCOUNTS: list[tuple[str, bytes | None, str, str]] = [
    ("says more rows than it has", bent(GOOD, count=2), "BAD_COLUMN", "2 rows"),
    ("says fewer rows than it has", bent(GOOD, count=0), "NO_ROWS", "no rows"),
    ("says two billion rows", bent(GOOD, count=2_000_000_000), "BAD_COLUMN", "2000000000 rows"),
    ("says less than no rows", bent(GOOD, count=-1), "BAD_COLUMN", "-1 rows"),
    ("a column that is too short", bent(GOOD, price=lambda data: data[:-1]), "BAD_COLUMN", "price"),
    ("a column that is too long", bent(GOOD, price=lambda data: data + b"\0"), "BAD_COLUMN", "price"),
    ("cl_ord_id wider than 128", commands(ORDER, text=b"x" * 129), "BAD_COLUMN", "cl_ord_id"),
    ("cl_ord_id that does not divide", bent(commands(ORDER, ORDER), cl_ord_id=b"abc"), "BAD_COLUMN", "cl_ord_id"),
    ("another shard's account", commands(ORDER | {"account": 3}), "WRONG_PARTITION", "row 0: account 3 belongs to partition 1, not 0"),
    ("another shard's account behind good rows", commands(ORDER, ORDER | {"account": (1 << 64) - 1}), "WRONG_PARTITION", "row 1"),
    ("an edge beyond the last", commands(ORDER, header=Header("customer", reply_partition=64)), "BAD_FIELD", "reply_partition: 64"),
    ("an edge before the first", commands(ORDER, header=Header("customer", reply_partition=-2)), "BAD_FIELD", "reply_partition: -2"),
    ("commands in a book shard's name", commands(ORDER, header=Header("book.commands/0", 1 << 60)), "WRONG_SOURCE", "book.commands/0"),
    ("a report of a customer", other("book_report_frame", account=2), "WRONG_SOURCE", "'customer'"),
    ("a report of a shard that is not there", other("book_report_frame", "book.commands/2", account=2), "WRONG_SOURCE", "book.commands/2"),
    ("a report with a name of a MiB", other("book_report_frame", "x" * (1 << 20), account=2), "WRONG_SOURCE", "xxx"),
    ("an execution", other("execution_frame", "book.commands/0"), "WRONG_SCHEMA", "execution_frame"),
    ("a book's command", book_commands({"kind": BookCommandKind.TIMER}), "WRONG_SCHEMA", "book_command_frame"),
    ("an unknown symbol", single(symbol="NOPE"), "BAD_FIELD", "symbol: 'NOPE'"),
    ("a symbol of 3 MiB", single(symbol="N" * (3 << 20)), "BAD_FIELD", "symbol"),
    ("not a number", single(price="NaN"), "BAD_FIELD", "price 'NaN'"),
    ("infinite", single(order_qty="Infinity"), "BAD_FIELD", "order_qty 'Infinity'"),
    ("beyond 64 bits", single(price="1e400"), "BAD_FIELD", "price '1e400'"),
    ("between two ticks", single(price="1.001"), "BAD_FIELD", "price '1.001'"),
    ("between two ticks by less than decimals keep", single(price="1." + "0" * 40 + "1"), "BAD_FIELD", "price"),
    ("a fraction of a lot", single(order_qty="0.5"), "BAD_FIELD", "order_qty '0.5'"),
    ("an account below zero", single(account=-2), "BAD_FIELD", "account: -2"),
    ("a single order of another shard", single(account=3), "WRONG_PARTITION", "account 3"),
    ("cl_ord_id of 129 bytes", single(cl_ord_id="x" * 129), "BAD_FIELD", "129 bytes"),
    ("expires before 1970", single(expire_time=-1), "BAD_FIELD", "expire_time: -1"),
    ("cancels an order below zero", cancel(order_id=-1), "BAD_FIELD", "order_id: -1"),
]  # fmt: skip
FROM_ACCOUNTS = {"kind": BookCommandKind.NEW_ORDER, "instrument": 2, "account": 2, "order_id": 1, "order_qty": 1, "price": 100, "side": 1}
TO_BOOKS: list[tuple[str, bytes | None, str, str]] = [
    ("an order of a customer", book_commands(FROM_ACCOUNTS), "WRONG_SOURCE", "account.commands"),
    ("an order of no shard", book_commands(FROM_ACCOUNTS, source="account.commands/2"), "WRONG_SOURCE", "account.commands/2"),
    ("another book's order", book_commands(FROM_ACCOUNTS | {"instrument": 1}, source="account.commands/0"), "WRONG_PARTITION", "instrument 1"),
    ("a timer in a shard's name", book_commands({"kind": BookCommandKind.TIMER}, source="account.commands/0"), "WRONG_SOURCE", "commands/0"),
    ("a halt for no reason there is", book_commands({"kind": BookCommandKind.TRADING_HALT, "phase": 6, "reason": 999}), "BAD_FIELD", "reason 999"),
    ("a customer's command", GOOD, "WRONG_SCHEMA", "order_command_frame"),
    ("a single order", single(), "WRONG_SCHEMA", "new_order_single"),
]  # fmt: skip
TO_READERS: list[tuple[str, bytes | None, str, str]] = [
    ("executions of a customer", other("execution_frame"), "WRONG_SOURCE", "'customer'"),
    ("a book's command", book_commands({"kind": BookCommandKind.TIMER}), "WRONG_SCHEMA", "book_command_frame"),
]


@dataclass(frozen=True)
class Shard:
    """A role on partition 0 of two, what opens it, and a good input that changes its state."""

    topic: str
    make: Callable[[], Any]
    opening: bytes
    good: bytes
    bad: list[tuple[str, bytes | None, str, str]]


EXECUTIONS_OF_TWO_INPUTS = [
    encode_frame(
        "execution_frame", Header("book.commands/0", offset), rows("execution_frame", {"kind": ExecKind.TIME, "transact_time": NOW})
    )
    for offset in range(2)
]
SHARDS = {
    "hold-funds": Shard(
        ACCOUNT_COMMANDS.name, lambda: HoldFunds(0, instruments(), 2, 2),
        commands({"kind": CommandKind.ACCOUNT_UPDATE, "account": 2, "cash": 10**9, "request_id": 1, "transact_time": NOW}), GOOD, TO_ACCOUNTS,
    ),
    "match-orders": Shard(
        BOOK_COMMANDS.name, lambda: MatchOrders(0, instruments(), 2, 2),
        book_commands({"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS, "transact_time": NOW}),
        book_commands(FROM_ACCOUNTS | {"ord_type": OrdType.LIMIT}, source="account.commands/0"), TO_BOOKS,
    ),
    "publish-market-data": Shard(EXECUTIONS.name, lambda: PublishMarketData(0, instruments()), *EXECUTIONS_OF_TWO_INPUTS, TO_READERS),
    "watch-trading": Shard(EXECUTIONS.name, lambda: WatchTrading(0, instruments()), *EXECUTIONS_OF_TWO_INPUTS, TO_READERS),
}  # fmt: skip
RECORDS = [(role, *case) for role, shard in SHARDS.items() for case in (*WITHOUT_A_FRAME, *shard.bad)]


def opened(role: str) -> ShardRunner:
    """The role's runner, with one input applied."""
    shard = SHARDS[role]
    runner = ShardRunner(shard.make())
    feed(runner, role, shard.opening)
    return runner


def feed(runner: ShardRunner, role: str, value: bytes | None, *, time_ns: int = NOW, key: bytes | None = None) -> list[Output]:
    """The next input."""
    return runner.feed(Record(SHARDS[role].topic, 0, runner.next_offset, time_ns, key, value))


@pytest.mark.parametrize(("role", "name", "value", "reason", "detail"), RECORDS, ids=[f"{one[0]}: {one[1]}" for one in RECORDS])
def test_a_bad_record_is_a_dead_letter_that_says_why_and_the_next_good_one_is_applied(
    role: str, name: str, value: bytes | None, reason: str, detail: str
) -> None:
    """Topic, partition, offset, reason, detail and bytes in a letter that the broker takes; the state is what it was."""
    runner = opened(role)
    before, applied = runner.processor.state_hash(), runner.stats().records
    key = bytes(15 << 20) if name == "a key as large" else b"k"
    (letter,) = feed(runner, role, value, key=key)
    assert letter.topic == DEAD_LETTERS.name
    assert len(letter.value) < FRAME_BYTES_MAX - 10_000, "the producer would refuse it, and the shard stop at this input for ever"
    told = decode_record(letter.value)[1]
    assert (told["topic"], told["partition"], told["offset"], told["reason"]) == (SHARDS[role].topic, 0, 1, reason)
    assert detail in told["detail"]
    kept = len(told["value"] or b"")
    assert told["value"] == (value if value is None else value[:kept]) and (kept == len(value or b"") or f"first {kept}" in told["detail"])
    assert runner.processor.state_hash() == before
    outputs = feed(runner, role, SHARDS[role].good)
    assert DEAD_LETTERS.name not in {output.topic for output in outputs}
    assert runner.stats().records == applied + 1
    COUNTS["records"] += 1


@pytest.mark.parametrize("role", SHARDS)
def test_an_empty_frame_is_a_dead_letter_and_changes_nothing(role: str) -> None:
    """It is well made, but nobody sends one: in a shard's name it would only hide that shard's true frames."""
    runner = opened(role)
    good = decode_frame(SHARDS[role].good)
    header = CUSTOMER if SHARDS[role].bad is not TO_READERS else good.header
    before = runner.processor.state_hash()
    (letter,) = feed(runner, role, encode_frame(good.schema, header, good.rows[:0]))
    assert decode_record(letter.value)[1]["reason"] == "NO_ROWS"
    assert runner.processor.state_hash() == before
    COUNTS["empty frames"] += 1


@pytest.mark.parametrize("kind", [0, 99, 255])
def test_a_command_of_no_known_kind_is_refused_by_name(kind: int) -> None:
    """Half a frame is never applied, and a whole one with such a row is: its other rows may be good."""
    outputs = feed(opened("hold-funds"), "hold-funds", commands(ORDER | {"kind": kind}, ORDER, text=b"k"))
    events = next(decode_frame(output.value).rows for output in outputs if output.topic == ACCOUNT_EVENTS.name)
    assert [(row["kind"], row["reason"]) for row in events] == [
        (AccountEventKind.REJECTED, Reason.INVALID_COMMAND),
        (AccountEventKind.ACCEPTED, Reason.NONE),
    ]
    COUNTS["unknown kinds"] += 1


def test_frames_of_deposits_that_come_again_pay_once() -> None:
    """226 old frames once paid half a million again. Each says so, and an old one that the shard no longer knows is refused all the same."""
    runner = ShardRunner(SHARDS["hold-funds"].make())
    update = {"kind": CommandKind.ACCOUNT_UPDATE, "account": 2, "cash": 1_000, "transact_time": NOW}
    frames = [commands(update | {"request_id": 1 + number}) for number in range(226)]
    for again in range(3):
        events = [
            row
            for frame in frames
            for output in feed(runner, "hold-funds", frame)
            if output.topic == ACCOUNT_EVENTS.name
            for row in decode_frame(output.value).rows
        ]
        assert events[-1]["cash"] == 226_000
        assert {row["reason"] for row in events} == {Reason.UPDATE_APPLIED_BEFORE if again else Reason.NONE}
    (event,) = events_of(feed(runner, "hold-funds", commands(update)))
    assert (event["kind"], event["reason"], event["cash"]) == (AccountEventKind.ACCOUNT_UPDATE_REJECTED, Reason.UPDATE_ID_MISSING, 226_000)
    COUNTS["replays"] += 1


def events_of(outputs: list[Output]) -> list[Any]:
    """Rows of account.events."""
    return [row for output in outputs if output.topic == ACCOUNT_EVENTS.name for row in decode_frame(output.value).rows]


def test_reports_that_cannot_be_true_are_left_out_with_a_dead_letter_and_those_beside_them_are_settled() -> None:
    """A partly filled order, and a report of more than is left of it: the shard used to stop at it for ever."""
    runner = opened("hold-funds")
    feed(runner, "hold-funds", commands(ORDER | {"order_qty": 5}))
    trade = {"kind": ReportKind.TRADE, "account": 2, "instrument": 1, "order_id": 1, "last_px": 100, "last_qty": 2, "leaves_qty": 3}

    def report(number: int, *values: dict[str, Any]) -> list[Output]:
        return feed(
            runner, "hold-funds", encode_frame("book_report_frame", Header("book.commands/1", number), rows("book_report_frame", *values))
        )

    assert [row["leaves_qty"] for row in events_of(report(1, trade))] == [3]
    before = runner.processor.state_hash()
    (output,) = report(2, trade | {"last_qty": 4, "leaves_qty": -1})
    letter = decode_record(output.value)[1]
    assert (output.topic, letter["reason"]) == (DEAD_LETTERS.name, "UNTRUE_REPORT")
    assert "1 of 1 reports" in letter["detail"] and "row 0 (order 1): the trade does not fit the order" in letter["detail"]
    assert runner.processor.state_hash() == before
    outputs = report(3, trade | {"account": 4}, trade | {"leaves_qty": 1}, trade | {"reason": 999})
    assert [row["leaves_qty"] for row in events_of(outputs)] == [1]
    letter = next(decode_record(output.value)[1] for output in outputs if output.topic == DEAD_LETTERS.name)
    assert "2 of 3 reports" in letter["detail"] and "row 2 (order 1): there is no such reason" in letter["detail"]
    assert runner.stats().dead_letters == 2
    COUNTS["untrue reports"] += 1


def test_a_flood_of_registrations_is_answered_with_all_of_the_account_a_few_times_only() -> None:
    """10,000 frames of it kept a shard busy for seconds, each answered with every order; one frame of 16,384 would have asked for gigabytes."""
    runner = opened("hold-funds")
    for number in range(20):
        feed(runner, "hold-funds", commands(ORDER | {"order_qty": 1}, text=b"o%d" % number))
    ask = {"kind": CommandKind.REGISTER_SESSION, "account": 2, "transact_time": NOW, "request_id": 7}
    outputs = feed(runner, "hold-funds", commands(*[ask] * 5_000, header=Header("customer", reply_partition=0)))
    for _ in range(500):
        outputs += feed(runner, "hold-funds", commands(ask, header=Header("customer", reply_partition=0)))
    kinds = Counter(kind for output in outputs for kind in decode_frame(output.value).rows["kind"].tolist())
    registered, refused = kinds[AccountEventKind.SESSION_REGISTERED], kinds[AccountEventKind.SESSION_REJECTED]
    assert (registered, kinds[AccountEventKind.ORDER_STATE]) == (8, 8 * 20)
    assert refused == 5_500 - 8
    later = ask | {"transact_time": NOW + SECOND // 2}
    outputs = feed(runner, "hold-funds", commands(later, header=Header("customer", reply_partition=0)), time_ns=NOW + SECOND // 2)
    assert AccountEventKind.SESSION_REGISTERED in decode_frame(outputs[0].value).rows["kind"]
    COUNTS["floods"] += 1


CLOCKS = {
    "a sender's clock an hour late": [(NOW, NOW), (NOW, NOW - 3_600 * SECOND)],
    "a sender in the year 2200": [(NOW, NOW), (NOW, NOW + 200 * 31_536_000 * SECOND)],
    "a sender at the end of time": [(NOW, (1 << 63) - 1)],
    "a sender before 1970": [(NOW, NOW), (NOW, -(1 << 63))],
    "a broker's clock that goes back": [(NOW, NOW), (NOW - 3_600 * SECOND, NOW - 3_600 * SECOND)],
    "a new leader's clock behind, its senders ahead": [(NOW, NOW), (NOW - 60 * SECOND, NOW + 60 * SECOND), (NOW, NOW)],
}
"""(append time, transact_time) of inputs."""


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("role", ["hold-funds", "match-orders"])
def test_log_time_never_goes_back_and_no_clock_takes_it_away(role: str, name: str) -> None:
    """It stays within a second of the latest append time, and the same log gives it again."""
    kind = {"kind": CommandKind.ACCOUNT_UPDATE, "account": 2} if role == "hold-funds" else {"kind": BookCommandKind.TIMER}
    make = commands if role == "hold-funds" else book_commands
    runner, again = opened(role), opened(role)
    times = [runner.processor.log_time]
    for appended, sent in CLOCKS[name]:
        value = make(kind | {"transact_time": sent})
        assert feed(runner, role, value, time_ns=appended) == feed(again, role, value, time_ns=appended)
        times.append(runner.processor.log_time)
    assert times == sorted(times)
    assert times[-1] <= NOW + SECOND
    COUNTS["clocks"] += 1


Stored = dict[bytes, bytes]


def stored(role: str) -> Stored:
    """A snapshot of the role, as its table has it."""
    runner = opened(role)
    return dict(SnapshotStore().changes(runner.processor.snapshot(), runner.meta()))


def _changed_manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Stored], Stored]:
    def changed(table: Stored) -> Stored:
        (key,) = [key for key in table if key.startswith(b"manifest")]
        manifest = UNCODED.unpacked(table[key])
        change(manifest)
        return table | {key: UNCODED.packed(manifest)}

    return changed


def _pages(table: Stored) -> list[bytes]:
    return [key for key in table if not key.startswith(b"manifest")]


def _of_format(first: int, table: Stored) -> Stored:
    """With a digest that is right."""
    (key,) = [key for key in table if key.startswith(b"manifest")]
    body = bytes([first]) + table[key][17:]
    return table | {key: hashlib.blake2b(body, digest_size=16).digest() + body}


INPUTS = {one.name: one for one in (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS)}
HARMED: dict[str, tuple[Callable[[Stored], Stored], str]] = {
    "another engine version": (_changed_manifest(lambda one: one["meta"].update(engine_version=2)), "engine version 2, this is"),
    "another configuration": (_changed_manifest(lambda one: one["meta"].update(configuration=b"x")), "instruments or numbers of shards"),
    "another page format": (lambda table: _of_format(9, table), "snapshot format 9"),
    "the page format before": (lambda table: _of_format(0x84, table), "snapshot format 3 or older"),
    "only the first page format": (lambda _: {b"manifest": b"x"}, "snapshot format 1"),
    "a page that is missing": (lambda table: {key: one for key, one in table.items() if key != _pages(table)[0]}, "is missing"),
    "a page with another byte": (lambda table: table | {_pages(table)[0]: b"\xff" + table[_pages(table)[0]][1:]}, "is damaged"),
    "a page that is cut": (lambda table: table | {_pages(table)[-1]: table[_pages(table)[-1]][:-1]}, "is damaged"),
    "pages of nothing": (lambda table: table | dict.fromkeys(_pages(table), b""), "is damaged"),
}


def _host(role: str, table: Stored) -> ShardHost:
    made = Role(role, INPUTS[SHARDS[role].topic], "table", lambda _partition: SHARDS[role].make())
    return ShardHost(cast("Any", None), cast("Any", SimpleNamespace(snapshot_interval_ms=10)), made, cast("Any", table))


def _turn_at(role: str, table: Stored, offset: int) -> int:
    """next_offset of a shard whose group has committed the inputs before this one. Raises StaleData."""
    host = _host(role, table)
    shard = host._open(0)
    host._require_no_gap(SimpleNamespace(topic=SHARDS[role].topic, partition=0, offset=offset), shard)
    return shard.runner.next_offset


@pytest.mark.parametrize("name", HARMED)
@pytest.mark.parametrize("role", SHARDS)
async def test_a_data_directory_that_is_not_this_logs_is_refused_with_a_sentence(role: str, name: str) -> None:
    """Nothing is written; put right, it opens."""
    table = stored(role)
    harm, sentence = HARMED[name]
    with pytest.raises(StaleData, match=sentence):
        _turn_at(role, harm(table), offset=1)
    assert _turn_at(role, table, offset=1) == 1
    COUNTS["data directories"] += 1


@pytest.mark.parametrize("name", [name for name in HARMED if "format" in name])
@pytest.mark.parametrize("role", SHARDS)
async def test_a_manifest_that_nobody_wrote_for_this_shard_stops_it_not_while_the_log_is_whole(role: str, name: str) -> None:
    """Nothing is committed yet, so nothing is left out: the shard begins at the log's first record."""
    assert _turn_at(role, HARMED[name][0](stored(role)), offset=0) == 0
    COUNTS["data directories"] += 1


OTHERWISE: list[tuple[str, str, Callable[[], Any]]] = [
    ("hold-funds", "another list of instruments", lambda: HoldFunds(0, instruments(max_order_qty=Decimal(999)), 2, 2)),
    ("hold-funds", "more account shards", lambda: HoldFunds(0, instruments(), 4, 2)),
    ("hold-funds", "more book shards", lambda: HoldFunds(0, instruments(), 2, 4)),
    ("hold-funds", "another shard", lambda: HoldFunds(1, instruments(), 2, 2)),
    ("match-orders", "another list of instruments", lambda: MatchOrders(0, instruments(protection_percent=21), 2, 2)),
    ("match-orders", "more account shards", lambda: MatchOrders(0, instruments(), 4, 2)),
    ("match-orders", "fewer book shards", lambda: MatchOrders(0, instruments(), 2, 1)),
    ("publish-market-data", "another list of instruments", lambda: PublishMarketData(0, instruments(luld_tier=1))),
    ("watch-trading", "another list of instruments", lambda: WatchTrading(0, instruments(luld_tier=1))),
]


@pytest.mark.parametrize(("role", "name", "make"), OTHERWISE, ids=[f"{one[0]}: {one[1]}" for one in OTHERWISE])
def test_a_changed_configuration_is_refused_before_a_state_is_restored(role: str, name: str, make: Callable[[], Any]) -> None:
    """Another list, other numbers of shards: the log was made with the former."""
    with pytest.raises(StaleData, match="instruments or numbers of shards are not those of the snapshot"):
        ShardRunner(make(), SnapshotStore().load(stored(role).get))
    COUNTS["configurations"] += 1


@pytest.mark.parametrize("there", [True, False], ids=["a snapshot", "no snapshot"])
@pytest.mark.parametrize("role", SHARDS)
async def test_a_snapshot_behind_what_the_group_has_committed_is_refused(role: str, there: bool) -> None:
    """Inputs would be left out, and nobody would notice."""
    topic = SHARDS[role].topic
    with pytest.raises(StaleData, match=rf"{topic}/0: the newest snapshot ends at {int(there)}, but the consumer group has committed"):
        _turn_at(role, stored(role) if there else {}, offset=5)
    COUNTS["offsets"] += 1


def test_tables_of_another_cluster_are_refused_and_stay_as_they_are(tmp_path: Path) -> None:
    """Their offsets are of a changelog that this broker does not have."""
    claim_for_cluster(tmp_path, "one")
    (tmp_path / "table").write_bytes(b"rows")
    with pytest.raises(StaleData, match="holds tables of Kafka cluster one, but the broker is another"):
        claim_for_cluster(tmp_path, "another")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"cluster-id": b"one", "table": b"rows"}
    claim_for_cluster(tmp_path, "one")
    COUNTS["data directories"] += 1
