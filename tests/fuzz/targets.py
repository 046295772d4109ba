"""Every door through which bytes or words come in, as a function of one input: what it answers, and which refusals are its own.

A door returns what became of the input: "taken", or why it was refused, in a word. Anything that it raises is a defect.
"""

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import msgpack
import numpy as np
from fastavro.utils import generate_many

from audit.findings import Unchecked, Wrong
from audit.notes import Checkpoint, Note, PublicKey, Signature
from audit.policy import Policy
from audit.proofs import Proof
from audit.witness import Request
from edge.alpaca.accounts.configurations_api import parse_changes
from edge.alpaca.market_data.subscriptions import JSON, MSGPACK, MarketClient
from edge.alpaca.orders.order_queries import parse_order_query
from edge.alpaca.orders.order_requests import parse_new_order, parse_replace
from edge.alpaca.query_fields import Query
from edge.fanout.frames import BadFrame, ClientFrames
from edge.gateway.accounts.view import Order
from edge.gateway.market.view import MarketView
from edge.http.client_data import decode_json, decode_packed
from edge.http.errors import HttpError
from edge.http.timestamps import parse_time_ns
from edge.native.channels.names import parse_channel
from edge.native.orders.requests import amendment, new_order
from edge.native.wire.fields import Fields as NativeFields
from edge.native.wire.problems import Problem
from reports.cat.feedback import parse_feedback
from reports.cat.fields import EVENTS, Form, NotACsvLine, csv_line, record_of_csv
from reports.reference import TEMPLATE, BadReference, parse_reference
from schemas.codec import (
    FRAMES,
    RECORD_NAMES,
    BadBytes,
    Header,
    decode_frame,
    decode_header,
    decode_record,
    encode_frame,
    encode_record,
    raw_schema,
)
from schemas.enums import BookCommandKind, CommandKind, OrdStatus, OrdType, Phase, Side, TimeInForce
from schemas.errors import OutcryError, StaleData
from schemas.ids import order_uuid
from schemas.instruments import BadInstruments, load_instruments, parse_instruments
from sinks.mysql.places import Place, PlaceTokens
from sinks.mysql.servers import parse_servers
from streams.host.shard_runner import Processor, Record, ShardRunner
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.roles.watch_trading import WatchTrading
from surveillance.cases.words import ReasonCode
from surveillance.owners import BadOwnerSets, Owners
from surveillance.ranking.alert_files import BadAlerts, read_dispositions
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, DEAD_LETTERS, EXECUTIONS
from topics.record_codes import SECRET_BYTES, Key, Keyring, code_of

NOW: Final = 1_800_000_000_000_000_000
INSTRUMENTS: Final = load_instruments(None)
SOCKET_BYTES_MAX: Final = 4_096
RUNNER_RECORDS_MAX: Final = 20_000
"""Then a shard begins anew: what it has taken would fill its tables."""


@dataclass(frozen=True)
class Target:
    """One door. good: inputs that it takes. ask: what becomes of an input."""

    name: str
    good: tuple[bytes, ...]
    ask: Callable[[bytes], str]


def refused(*own: type[Exception]) -> Callable[[Callable[[bytes], Any]], Callable[[bytes], str]]:
    """Make an answer of a function that takes an input, or raises one of these."""

    def answering(take: Callable[[bytes], Any]) -> Callable[[bytes], str]:
        def ask(data: bytes) -> str:
            try:
                take(data)
            except own as error:
                return str(getattr(error, "reason", "")) or " ".join([type(error).__name__, *re.findall("[a-z]+", str(error)[:60])])
            return "taken"

        return ask

    return answering


def text_of(data: bytes) -> str:
    """As a file is read that is not UTF-8 throughout."""
    return data.decode("utf-8", "replace")


# ---- the log


def rows_of(schema: str, count: int) -> np.ndarray[Any, Any]:
    """Plain rows of a frame."""
    rows = np.zeros(count, FRAMES[schema].dtype)
    rows["kind"] = 1
    for name, value in {
        "account": 2,
        "instrument": 1,
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "order_qty": 5,
        "price": 18_000,
    }.items():
        if name in (rows.dtype.names or ()):
            rows[name] = value
    if "transact_time" in (rows.dtype.names or ()):
        rows["transact_time"] = NOW
    return rows


def frame_of(schema: str, count: int, source: str = "customer", **columns: int) -> bytes:
    """A frame of plain rows."""
    rows = rows_of(schema, count)
    for name, value in columns.items():
        rows[name] = value
    texts = np.array([b"o%d" % number for number in range(count)]) if FRAMES[schema].text_columns else None
    return encode_frame(schema, Header(source, created_at=NOW), rows, texts)


def some_records() -> Iterable[bytes]:
    """One of each schema that is no frame, with values drawn by fastavro."""
    random.seed(1)
    for name in RECORD_NAMES:
        (value,) = generate_many(raw_schema(name), 1)
        yield encode_record(name, value)


@refused(BadBytes)
def ask_codec(data: bytes) -> None:
    """Whatever bytes a record has."""
    if decode_header(data) is None:
        decode_record(data)
    else:
        decode_frame(data)


_KEYS: Final = tuple(Key(f"{name}-1", name, bytes(SECRET_BYTES), 0) for name in ("edge-0", "match-orders", "operator"))


def signed(value: bytes) -> bytes:
    """A code and a value in one: what a forger may change."""
    code = code_of(_KEYS[2].headers(ACCOUNT_COMMANDS.name, 0, value))
    assert code is not None
    return bytes([len(code)]) + code + value


def ask_code(data: bytes) -> str:
    """A record is believed only with the code that its sender gave it; the topic and the partition are another's here."""
    size = data[0] if data else 0
    proof = Keyring(_KEYS).proof(ACCOUNT_COMMANDS.name, 1, data[1 + size :], data[1 : 1 + size], NOW)
    if proof.refusal is None:
        raise AssertionError(f"a code of partition 0 is believed in partition 1: {proof}")
    return proof.refusal.reason


class Shard:
    """A role's state machine, which takes any record and goes on."""

    def __init__(self, topic: str, make: Callable[[], Processor], before: Iterable[bytes] = ()) -> None:
        self._topic, self._make, self._before = topic, make, tuple(before)
        self._begin()

    def _begin(self) -> None:
        self._runner, self._offset = ShardRunner(self._make()), 0
        for value in self._before:
            self._feed(value)

    def _feed(self, value: bytes) -> str:
        record = Record(self._topic, 0, self._offset, NOW + self._offset * 1_000_000, None, value)
        self._offset += 1
        letters = [one for one in self._runner.feed(record) if one.topic == DEAD_LETTERS.name]
        return str(decode_record(letters[0].value)[1]["reason"]) if letters else "taken"

    def ask(self, data: bytes) -> str:
        """What a record becomes."""
        if self._offset > RUNNER_RECORDS_MAX:
            self._begin()
        return self._feed(data)


def _deposit(request_id: int, cash: int, instrument: int = 0, lots: int = 0) -> bytes:
    return frame_of(
        "order_command_frame", 1, kind=CommandKind.ACCOUNT_UPDATE, request_id=request_id, cash=cash, instrument=instrument, order_qty=lots,
        side=0, ord_type=0, price=0,
    )  # fmt: skip


def shards() -> Iterable[Target]:
    """Of each kind, one that has a customer, or an open book."""
    orders = (
        frame_of("order_command_frame", 3),
        frame_of("order_command_frame", 1, kind=CommandKind.CANCEL),
        frame_of("order_command_frame", 40),
    )
    funds = (_deposit(1, 10**12), _deposit(2, 0, 1, 10_000))
    yield Target("account shard", orders + funds, Shard(ACCOUNT_COMMANDS.name, lambda: HoldFunds(0, INSTRUMENTS, 1, 1, 1), funds).ask)
    opened = frame_of("book_command_frame", 1, "operator", kind=BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.CONTINUOUS)
    entries = (
        frame_of("book_command_frame", 3, "account.commands/0", order_id=17),
        frame_of("book_command_frame", 30, "account.commands/0"),
        opened,
    )
    yield Target("book shard", entries, Shard(BOOK_COMMANDS.name, lambda: MatchOrders(0, INSTRUMENTS, 1, 1), (opened,)).ask)
    told = tuple(frame_of("execution_frame", count, "book.commands/0") for count in (1, 4, 60))
    yield Target("surveillance shard", told, Shard(EXECUTIONS.name, lambda: WatchTrading(0, INSTRUMENTS)).ask)


# ---- customers


ORDER: Final = {
    "symbol": "AAPL",
    "qty": "5",
    "side": "buy",
    "type": "limit",
    "time_in_force": "day",
    "limit_price": "180.01",
    "client_order_id": "a-1",
}
ORDERS: Final = tuple(
    json.dumps(ORDER | more).encode()
    for more in (
        {}, {"type": "market", "limit_price": None}, {"type": "stop_limit", "stop_price": 181}, {"type": "trailing_stop", "trail_percent": "1.5", "limit_price": None},
        {"order_class": "bracket", "take_profit": {"limit_price": "190"}, "stop_loss": {"stop_price": 170, "limit_price": "169.5"}},
        {"display_qty": 1, "qty": 100}, {"time_in_force": "gtd", "expire_time": "2027-01-02T03:04:05Z"}, {"notional": "1000.5", "qty": None, "type": "market", "limit_price": None},
        {"type": "pegged", "peg_price_type": "primary", "peg_offset": "-0.05"}, {"hidden": True, "post_only": True, "self_match_prevention_id": 7},
    )
)  # fmt: skip
RESTING: Final = Order(
    1, 2, "a-1", 1, Side.BUY, OrdType.LIMIT, TimeInForce.DAY, 5, 18_001, 5, 0, 0, OrdStatus.NEW, NOW, NOW
)  # fmt: skip
QUERIES: Final = tuple(
    json.dumps(one).encode()
    for one in (
        {"status": "open", "limit": "50", "after": "2026-01-01", "until": "2026-02-01T00:00:00Z", "direction": "asc", "symbols": "AAPL,MSFT", "side": "buy"},
        {"asset_class": "us_equity", "before_order_id": order_uuid(17)},
        {"page_token": Query({"limit": "5"}).token("fuzz", [1, "a"]), "limit": "5"},
    )
)  # fmt: skip


NATIVE: Final = {
    "symbol": "AAPL",
    "order_qty": 5,
    "side": "buy",
    "ord_type": "limit",
    "time_in_force": "day",
    "price": "180.01",
    "cl_ord_id": "a-1",
}
NATIVE_ORDERS: Final = tuple(
    json.dumps(NATIVE | more).encode()
    for more in (
        {},
        {"exec_inst": ["post_only"], "display_qty": 1},
        {"contingency_type": "oco", "legs": [{name: value for name, value in NATIVE.items() if name not in ("symbol", "cl_ord_id")}]},
    )
)


def native(take: Callable[[NativeFields], Any]) -> Callable[[bytes], str]:
    """A request of the native API, as JSON."""

    @refused(Problem)
    def ask(data: bytes) -> None:
        try:
            values = decode_json(data)
        except ValueError as error:
            raise Problem("invalid_message", str(error)) from None
        take(NativeFields(values if isinstance(values, dict) else {"symbol": values}))

    return ask


@refused(HttpError)
def ask_query(data: bytes) -> None:
    """A query's parameters, and a page token."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = {"status": text_of(data), "page_token": text_of(data), "limit": text_of(data)[:40], "after": text_of(data)[:60]}
    values: Mapping[str, str] = (
        {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {"status": str(found)}
    )
    Query(values).place("fuzz", (int, str))
    parse_order_query(values, INSTRUMENTS)


def client_of(*, packed: bool) -> Callable[[bytes], str]:
    """A market-data client's message, whatever it is, is answered."""
    view, encoding = MarketView(INSTRUMENTS), MSGPACK if packed else JSON

    def ask(data: bytes) -> str:
        client = MarketClient(encoding, authenticated=True)
        message = client.decode(data if packed else text_of(data))
        if message is None:
            return "no object"
        replies = [client.subscribe(message, view), client.unsubscribe(message)]
        for reply in replies:
            encoding.decode(encoding.join(reply.parts) if packed else encoding.join(reply.parts).decode())
        return "taken" if client.wanted == frozenset() else "kept"

    return ask


SUBSCRIBE: Final = (
    {"action": "subscribe", "trades": ["AAPL"], "quotes": ["*"], "bars": ["MSFT"], "resume": {"AAPL": 3}},
    {"action": "unsubscribe", "orderbooks": ["AAPL"]},
)


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's WebSocket frame (RFC 6455)."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([(0x80 if final else 0) | opcode]) + size + b"abcd" + bytes(one ^ b"abcd"[at % 4] for at, one in enumerate(payload))


@refused(BadFrame)
def ask_frames(data: bytes) -> None:
    """What comes out of a socket, in pieces; never more is kept than a message may have."""
    frames = ClientFrames(SOCKET_BYTES_MAX)
    for at in range(0, len(data), 512):
        frames.feed(data[at : at + 512])
        while frames.take():
            pass
        assert frames.waiting_bytes <= SOCKET_BYTES_MAX + 512 + 14, "a client's bytes pile up"


_TOKENS: Final = PlaceTokens("mysql://u:p@h/d")
_TOKEN: Final = _TOKENS.seal(2, Place(0, 77))


def ask_place(data: bytes) -> str:
    """A place that an edge has not given out is no place."""
    text = text_of(data)
    found = _TOKENS.open(2, text)
    assert found is None or text == _TOKEN, f"made up, and believed: {text!r}"
    return "taken" if found else "refused"


# ---- operators' files


INSTRUMENT_FILE: Final = "[[instrument]]".join((files("schemas") / "instruments.toml").read_text().split("[[instrument]]")[:3]).encode()
OWNERS: Final = b"""[[owner_set]]
effective_from = 1
groups = [[1, 2], [5, 9, 11]]
"""
SERVERS: Final = json.dumps(
    {
        "epoch": 3,
        "primary": "a",
        "former": "",
        "servers": {"a": {"url": "mysql://u:p@h:1/d", "zone": "x"}, "b": {"url": "mysql://u:p@h:2/d", "draining": True}},
    }
).encode()
FEEDBACK: Final = json.dumps(
    {"fileName": "f", "status": "Rejected", "errors": [{"code": 2000, "recordNumber": 3, "errorROEID": 9}, {"code": "x"}]}
).encode()
CSV: Final = tuple(
    csv_line({"type": name, **dict.fromkeys((field.name for field in fields if field.name != "type" and field.form == Form.TEXT), "a")})
    for name, fields in EVENTS.items()
)


def alert_file() -> bytes:
    """Alerts that analysts have closed."""
    random.seed(1)
    (alert,) = generate_many(raw_schema("alert"), 1)
    alert |= {"pattern": "LAYERING", "reason": next(iter(ReasonCode)), "side": "BUY", "evidence": [], "features": {"orders": 3}}
    return json.dumps([alert]).encode()


KEY: Final = PublicKey("log.example", 1, bytes(32))
CHECKPOINT: Final = Checkpoint("log.example", 5, bytes(32))
NOTE: Final = bytes(Note(bytes(CHECKPOINT), (Signature("log.example", KEY.key_id, bytes(64)),)))
NOTES: Final = (NOTE, str(KEY).encode(), bytes(Request(3, [bytes(32)], NOTE)), bytes(Proof(2, [bytes(32)] * 3, NOTE, b"{}")))


@refused(Wrong)
def ask_note(data: bytes) -> None:
    """A checkpoint as a note, a proof, a witness's request, a key: what is none of them is refused."""
    parses: tuple[Callable[[], object], ...] = (
        lambda: Checkpoint.parse(Note.parse(data).text), lambda: Proof.parse(data), lambda: Request.parse(data), lambda: PublicKey.parse(text_of(data)),
    )  # fmt: skip
    wrong = []
    for parse in parses:
        try:
            parse()
        except Wrong as error:
            wrong.append(error)
    if len(wrong) == len(parses):
        raise wrong[0]


def targets() -> tuple[Target, ...]:
    """All of them, made anew."""
    frames = tuple(frame_of(name, count) for name in FRAMES for count in (1, 3, 100))
    records = tuple(some_records())
    return (
        Target("record", frames + records, ask_codec),
        Target("code of a record", tuple(map(signed, frames[:6])), ask_code),
        *shards(),
        Target("order", ORDERS, refused(HttpError)(lambda data: parse_new_order(data, INSTRUMENTS, lambda one, _: one.reference_price))),
        Target("replace", (b'{"qty": "7", "limit_price": "180.05"}', b'{"time_in_force": "gtc"}', *ORDERS[:2]),
               refused(HttpError)(lambda data: parse_replace(data, RESTING, INSTRUMENTS))),
        Target("native order", NATIVE_ORDERS, native(lambda fields: new_order(fields, INSTRUMENTS))),
        Target("native amendment", (b'{"order_qty": 7, "price": "180.05"}', b'{"new_cl_ord_id": "b", "exec_inst": ["hidden"]}'),
               native(lambda fields: amendment(fields, RESTING, INSTRUMENTS))),
        Target("native channel", (b"book.AAPL.10.raw", b"trades.MSFT", b"orders"), refused(Problem)(lambda data: parse_channel(text_of(data), INSTRUMENTS))),
        Target("configuration", (b'{"no_shorting": true, "max_margin_multiplier": "1"}',), refused(HttpError)(parse_changes)),
        Target("query", QUERIES, ask_query),
        Target("JSON", (*ORDERS, *(json.dumps(one).encode() for one in SUBSCRIBE)), refused(ValueError)(decode_json)),
        Target("msgpack", tuple(msgpack.packb(one) for one in SUBSCRIBE), refused(ValueError)(decode_packed)),
        Target("subscription, JSON", tuple(json.dumps(one).encode() for one in SUBSCRIBE), client_of(packed=False)),
        Target("subscription, msgpack", tuple(msgpack.packb(one) for one in SUBSCRIBE), client_of(packed=True)),
        Target("WebSocket", (masked(1, b"hello") + masked(9, b""), masked(2, bytes(300), final=False) + masked(0, b"x"), masked(8, b"\x03\xe8bye")), ask_frames),
        Target("place", (_TOKEN.encode(),), ask_place),
        Target("time", (b"2026-01-02T03:04:05.123456789Z", b"2026-01-02", b"2026-01-02 03:04:05+01:00"),
               lambda data: "refused" if parse_time_ns(text_of(data)) is None else "taken"),
        Target("instruments", (INSTRUMENT_FILE,), refused(BadInstruments)(lambda data: parse_instruments(text_of(data), "file"))),
        Target("owner sets", (OWNERS,), refused(BadOwnerSets)(lambda data: Owners.of_toml(text_of(data)))),
        Target("reference of reports", (TEMPLATE.encode(),), refused(BadReference)(lambda data: parse_reference(text_of(data), "file"))),
        Target("feedback", (FEEDBACK,), refused(OutcryError)(lambda data: parse_feedback("f.ingestion", data))),
        Target("CSV of a report", CSV, refused(NotACsvLine)(record_of_csv)),
        Target("servers of MySQL", (SERVERS,), refused(StaleData)(lambda data: parse_servers(text_of(data), "file"))),
        Target("dispositions", (alert_file(),), refused(BadAlerts)(lambda data: read_dispositions(text_of(data)))),
        Target("signed notes", NOTES, ask_note),
        Target("policy", (f"log {KEY}\nquorum none\n".encode(),), refused(Unchecked, Wrong)(lambda data: Policy.parse(text_of(data)))),
    )  # fmt: skip
