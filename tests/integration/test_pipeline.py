"""The whole pipeline on the real services: what is accepted is matched, settled and stored; bad input harms nobody; a replay is identical."""

import json
import os
import signal
import time
import urllib.request
import uuid

import aiohttp
import numpy as np
import pytest
from confluent_kafka import Producer
from support.log_reader import eventually, read_partition

from schemas.codec import FRAMES, Header, decode_frame, decode_record, encode_frame, encode_record
from schemas.enums import AccountEventKind, CommandKind, ExecKind, OrdType, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from streams.host.shard_runner import ShardRunner
from streams.process.record_keys import record_keys
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.transport.cluster import partition_counts
from topics import OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, DEAD_LETTERS, EXECUTIONS
from topics.speakers import PRODUCER

pytestmark = pytest.mark.integration
INSTRUMENTS = load_instruments(None)
WAIT_S = 600.0


def headers(exchange, who):
    """API key headers of an account."""
    key_id, secret, _ = exchange.api_keys[who]
    return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}


async def post(exchange, who, **order):
    """Status and JSON of a POST /v2/orders; a time-out (503) is asked again with the same id, as a client should."""
    body = {"symbol": "AAPL", "type": "limit", "time_in_force": "day", "client_order_id": f"t-{uuid.uuid4()}", **order}
    deadline = time.monotonic() + WAIT_S
    async with aiohttp.ClientSession(headers=headers(exchange, who)) as client:
        while True:
            try:
                async with client.post(f"{exchange.edge_url}/v2/orders", json=body) as answer:
                    if answer.status != 503 or time.monotonic() > deadline:
                        return answer.status, await answer.json()
            except aiohttp.ClientError:
                assert time.monotonic() < deadline, "the edge did not come back"


async def get(exchange, who, path):
    """JSON of a GET."""
    async with aiohttp.ClientSession(headers=headers(exchange, who)) as client, client.get(exchange.edge_url + path) as answer:
        return await answer.json()


async def filled(exchange, who, order_id):
    """The order once it is filled."""
    deadline = time.monotonic() + WAIT_S
    while True:
        order = await get(exchange, who, f"/v2/orders/{order_id}")
        if order.get("status") == "filled":
            return order
        assert time.monotonic() < deadline, f"not filled: {order}"


def events_of(exchange, cl_ord_id: str) -> list[int]:
    """Kinds of the account events of one order, in the log."""
    kinds = []
    for partition in range(partition_counts(exchange.settings, ACCOUNT_EVENTS)[ACCOUNT_EVENTS.name]):
        for record in read_partition(exchange.settings, ACCOUNT_EVENTS, partition):
            frame = decode_frame(record.value, "account_event_frame")
            kinds += frame.rows["kind"][frame.cl_ord_id == cl_ord_id.encode()].tolist()
    return kinds


async def test_two_orders_meet_and_both_sides_are_settled(exchange):
    """Cash and shares move by exactly the trade, on both accounts, whichever shard they live on."""
    before = [await get(exchange, who, "/v2/account") for who in (0, 1)]
    status, resting = await post(exchange, 0, side="sell", qty="10", limit_price="181.01")
    assert status == 200, resting
    status, coming = await post(exchange, 1, side="buy", qty="10", limit_price="181.50")
    assert status == 200, coming
    sold, bought = await filled(exchange, 0, resting["id"]), await filled(exchange, 1, coming["id"])
    assert sold["filled_avg_price"] == bought["filled_avg_price"] == "181.01"
    after = [await get(exchange, who, "/v2/account") for who in (0, 1)]
    moved = [float(new["cash"]) - float(old["cash"]) for new, old in zip(after, before, strict=True)]
    assert moved == [pytest.approx(1810.10), pytest.approx(-1810.10)]


async def test_an_order_straight_to_the_topic_trades_with_one_from_the_edge(exchange):
    """Both doors lead to the same book."""
    status, resting = await post(exchange, 0, side="sell", qty="5", limit_price="181.02")
    assert status == 200, resting
    cl_ord_id = f"t-{uuid.uuid4()}"
    with OrderProducer(exchange.settings.kafka_url, INSTRUMENTS, sign=record_keys(exchange.settings).signer(PRODUCER)) as producer:
        producer.new_order(
            account=2, cl_ord_id=cl_ord_id, symbol="AAPL", side="BUY", ord_type="LIMIT", time_in_force="IOC", order_qty="5", price="181.02"
        )
    await filled(exchange, 0, resting["id"])
    eventually(lambda: events_of(exchange, cl_ord_id), lambda kinds: kinds == [AccountEventKind.ACCEPTED, AccountEventKind.TRADE])


async def test_a_single_avro_order_is_taken(exchange):
    """A producer without batches posts one record."""
    cl_ord_id = f"t-{uuid.uuid4()}"
    order = {"account": 3, "cl_ord_id": cl_ord_id, "symbol": "MSFT", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "IOC", "order_qty": "1",
             "price": "400.00", "transact_time": time.time_ns()}  # fmt: skip
    send(exchange, 3 % 2, encode_record("new_order_single", order))
    eventually(lambda: events_of(exchange, cl_ord_id), lambda kinds: kinds == [AccountEventKind.ACCEPTED, AccountEventKind.CANCELED])


def send(exchange, partition: int, value: bytes, speaker: str = PRODUCER) -> int:
    """Put bytes on account.commands, with the code of that sender ("": with none); their offset."""
    offsets: list[int] = []
    headers = record_keys(exchange.settings).signer(speaker)(ACCOUNT_COMMANDS.name, partition, value) if speaker else None
    producer = Producer({"bootstrap.servers": exchange.settings.kafka_url})
    producer.produce(
        ACCOUNT_COMMANDS.name, value, partition=partition, headers=headers,
        on_delivery=lambda error, message: offsets.append(message.offset()),
    )  # fmt: skip
    assert producer.flush(30) == 0
    return offsets[0]


def command(account: int, **fields) -> np.ndarray:
    """One order_command_frame row."""
    row = np.zeros(1, FRAMES["order_command_frame"].dtype)
    defaults = {"kind": CommandKind.NEW_ORDER, "side": Side.BUY, "ord_type": OrdType.LIMIT, "time_in_force": TimeInForce.IOC, "instrument": 1,
                "order_qty": 1, "price": 17_000, "transact_time": time.time_ns()}  # fmt: skip
    for name, value in {**defaults, **fields}.items():
        row[name] = value
    row["account"] = account
    return row


def framed(rows: np.ndarray, cl_ord_id: str) -> bytes:
    """The row as a frame."""
    return encode_frame("order_command_frame", Header("hostile"), rows, np.array([cl_ord_id.encode()] * len(rows)))


GOOD = framed(command(2), "never")


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("BAD_FIELD", encode_frame("order_command_frame", Header("hostile", reply_partition=99), command(2), np.array([b"no-edge"]))),
        ("NOT_SINGLE_OBJECT", b'{"symbol": "AAPL"}'),
        ("NOT_SINGLE_OBJECT", b""),
        ("UNKNOWN_FINGERPRINT", b"\xc3\x01" + b"\x07" * 30),
        ("TRUNCATED", GOOD[:-2]),
        ("WRONG_PARTITION", framed(command(3), "stray")),
        ("NO_RIGHT", encode_frame("execution_frame", Header("forged"), np.ones(1, FRAMES["execution_frame"].dtype))),
        ("NO_RIGHT", encode_frame("book_report_frame", Header("book.commands/0", 1), np.ones(1, FRAMES["book_report_frame"].dtype))),
        ("NO_RIGHT", framed(command(2, kind=CommandKind.ACCOUNT_UPDATE, cash=1 << 40, request_id=time.time_ns()), "")),
        ("BAD_FIELD", encode_record("order_cancel_request", {"account": 2, "orig_cl_ord_id": "", "order_id": -1, "transact_time": 0})),
    ],
    ids=["no-such-edge", "json", "nothing", "unknown-schema", "cut", "stray", "execution", "forged-report", "deposit", "negative-id"],
)
def test_a_record_that_cannot_be_taken_goes_to_the_dead_letters_and_the_pipeline_goes_on(exchange, reason, value):
    """With reason, source offset and the bytes; an order behind it is decided as ever."""
    offset = send(exchange, 0, value)
    cl_ord_id = f"t-{uuid.uuid4()}"
    send(exchange, 0, framed(command(2), cl_ord_id))
    eventually(lambda: events_of(exchange, cl_ord_id), lambda kinds: AccountEventKind.ACCEPTED in kinds)
    letters = [decode_record(record.value)[1] for record in read_partition(exchange.settings, DEAD_LETTERS, 0)]
    (letter,) = [one for one in letters if (one["topic"], one["partition"], one["offset"]) == (ACCOUNT_COMMANDS.name, 0, offset)]
    assert letter["reason"] == reason
    assert letter["value"] == value
    assert letter["detail"]


def test_an_order_without_a_code_is_a_dead_letter_and_an_alarm(exchange):
    """Whoever can write to the topic is nobody yet."""
    cl_ord_id = f"t-{uuid.uuid4()}"
    offset = send(exchange, 0, framed(command(2), cl_ord_id), speaker="")
    send(exchange, 0, framed(command(2), f"{cl_ord_id}-b"))
    eventually(lambda: events_of(exchange, f"{cl_ord_id}-b"), lambda kinds: AccountEventKind.ACCEPTED in kinds)
    letters = [decode_record(record.value)[1] for record in read_partition(exchange.settings, DEAD_LETTERS, 0)]
    assert [one["reason"] for one in letters if (one["topic"], one["partition"], one["offset"]) == (ACCOUNT_COMMANDS.name, 0, offset)] == [
        "NO_CODE"
    ]
    assert not events_of(exchange, cl_ord_id)
    address = json.loads((exchange.settings.run_dir / "hold-funds.json").read_text())
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{address['port']}/metrics", timeout=30).read().decode()
    assert 'outcry_suspicious_frames_total{partition="0",role="hold-funds",source="",topic="account.commands",what="NO_CODE"}' in metrics


def test_an_order_that_names_an_edge_which_is_not_there_is_decided_and_answers_nobody(exchange):
    """One sender's wrong reply partition must not stop the shard for everybody."""
    cl_ord_id = f"t-{uuid.uuid4()}"
    send(
        exchange, 0, encode_frame("order_command_frame", Header("hostile", reply_partition=63), command(2), np.array([cl_ord_id.encode()]))
    )
    eventually(lambda: events_of(exchange, cl_ord_id), lambda kinds: AccountEventKind.ACCEPTED in kinds)


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        (Reason.UNKNOWN_SYMBOL, {"instrument": 65_000}),
        (Reason.INVALID_QUANTITY, {"order_qty": 0}),
        (Reason.INVALID_QUANTITY, {"order_qty": -5}),
        (Reason.QUANTITY_ABOVE_LIMIT, {"order_qty": (1 << 63) - 1}),
        (Reason.INVALID_PRICE, {"price": 0}),
        (Reason.PRICE_ABOVE_LIMIT, {"price": (1 << 63) - 1}),
        (Reason.INVALID_SIDE, {"side": 9}),
        (Reason.INVALID_ORD_TYPE, {"ord_type": 255}),
        (Reason.INSUFFICIENT_BUYING_POWER, {"order_qty": 99_999, "price": 50_000}),
    ],
)
def test_a_hostile_order_on_the_topic_is_refused_with_its_reason(exchange, reason, fields):
    """The account's money is what it was; the reject is in the log."""
    cl_ord_id = f"t-{uuid.uuid4()}"
    rows = command(8, **fields)
    if reason is Reason.INSUFFICIENT_BUYING_POWER:
        rows = np.concatenate([rows] * 3)  # each within the notional limit, together beyond the account's cash
        rows["time_in_force"] = TimeInForce.GTC
    send(
        exchange,
        0,
        encode_frame("order_command_frame", Header("hostile"), rows, np.array([f"{cl_ord_id}-{n}".encode() for n in range(len(rows))])),
    )

    def rejects() -> set[int]:
        frames = [decode_frame(record.value) for record in read_partition(exchange.settings, ACCOUNT_EVENTS, 0)]
        return {
            int(row["reason"])
            for frame in frames
            for row, text in zip(frame.rows, frame.cl_ord_id, strict=True)
            if text.startswith(cl_ord_id.encode()) and row["kind"] == AccountEventKind.REJECTED
        }

    eventually(rejects, lambda found: reason in found)
    if len(rows) > 1:
        cancels = np.concatenate([command(8, kind=CommandKind.CANCEL) for _ in range(2)])
        send(
            exchange,
            0,
            encode_frame("order_command_frame", Header("hostile"), cancels, np.array([f"{cl_ord_id}-{n}".encode() for n in range(2)])),
        )


@pytest.mark.parametrize(
    "role",
    [
        "hold-funds",
        "match-orders",
        "publish-market-data",
        "persist-mysql",
        "persist-redis",
        "persist-elasticsearch",
        "watch-trading",
        "edge",
    ],
)
async def test_a_role_that_is_killed_comes_back_and_nothing_is_lost_or_doubled(exchange, role):
    """Kill -9 between an order and its counterpart; the supervisor restarts the role, and the two still meet, once."""
    status, resting = await post(exchange, 4, side="sell", qty="7", limit_price="182.00")
    assert status == 200, resting
    old = exchange.role_pid(role)
    os.kill(old, signal.SIGKILL)
    cash = float((await get_when_up(exchange, 5, "/v2/account"))["cash"])
    status, coming = await post(exchange, 5, side="buy", qty="7", limit_price="182.00")
    assert status == 200, coming
    await filled_when_up(exchange, 4, resting["id"])
    await filled_when_up(exchange, 5, coming["id"])
    assert float((await get(exchange, 5, "/v2/account"))["cash"]) == pytest.approx(cash - 7 * 182.00)

    def restarted(status) -> bool:
        children = {child.name: child for child in status.children}
        return children[role].pid not in (old, None) and all(child.state.value == "ready" for child in children.values())

    eventually(exchange.local_set.status, restarted, timeout_s=WAIT_S)


async def get_when_up(exchange, who, path):
    """GET that waits for an edge that was killed."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            answer = await get(exchange, who, path)
            if "code" not in answer:
                return answer
        except aiohttp.ClientError:
            pass
        assert time.monotonic() < deadline, f"{path} did not come back"


async def filled_when_up(exchange, who, order_id):
    """The order once it is filled, whoever was killed."""
    deadline = time.monotonic() + WAIT_S
    while (order := await get_when_up(exchange, who, f"/v2/orders/{order_id}"))["status"] != "filled":
        assert time.monotonic() < deadline, f"not filled: {order}"


def outputs_in_log(exchange, topic, partition, source: str) -> dict[tuple[int, int], bytes]:
    """The records of a topic that one input partition made, by (input offset, index); a second copy must be byte-identical."""
    found: dict[tuple[int, int], bytes] = {}
    for record in read_partition(exchange.settings, topic, partition):
        header = decode_frame(record.value).header
        if header.source == source:
            key = (header.source_offset, header.source_index)
            assert found.setdefault(key, record.value) == record.value, f"two different outputs of {source}@{key}"
    return found


@pytest.mark.parametrize("kind", ["accounts", "books"])
def test_replaying_the_log_gives_the_same_bytes_that_were_published(exchange, kind):
    """After all the kills above: a clean replay from offset 0, in this process, agrees with the topics to the last byte."""
    counts = partition_counts(exchange.settings, ACCOUNT_COMMANDS, BOOK_COMMANDS)
    shards, books = counts[ACCOUNT_COMMANDS.name], counts[BOOK_COMMANDS.name]
    source, target = (ACCOUNT_COMMANDS, ACCOUNT_EVENTS) if kind == "accounts" else (BOOK_COMMANDS, EXECUTIONS)
    compared = 0
    for shard in range(counts[source.name]):
        make = HoldFunds if kind == "accounts" else MatchOrders
        runner = ShardRunner(make(shard, INSTRUMENTS, shards, books))
        replayed = {}
        for record in read_partition(exchange.settings, source, shard):
            for output in runner.feed(record):
                if output.topic == target.name:
                    header = decode_frame(output.value).header
                    replayed[header.source_offset, header.source_index] = output.value

        def published(shard=shard, replayed=replayed) -> bool:
            live = outputs_in_log(exchange, target, shard, f"{source.name}/{shard}")
            return all(live.get(key) == value for key, value in replayed.items())

        eventually(published, bool)
        compared += len(replayed)
    assert compared > 20


def test_no_trade_is_lost_or_doubled_between_the_book_and_the_accounts(exchange):
    """Each trade of the executions has exactly two settled sides in the account events, and money and shares sum to nothing."""
    books = partition_counts(exchange.settings, EXECUTIONS)[EXECUTIONS.name]
    accounts = partition_counts(exchange.settings, ACCOUNT_EVENTS)[ACCOUNT_EVENTS.name]

    def sides() -> tuple[set[int], dict[int, list[tuple[int, int]]]]:
        trades: set[int] = set()
        for shard in range(books):
            for value in outputs_in_log(exchange, EXECUTIONS, shard, f"{BOOK_COMMANDS.name}/{shard}").values():
                rows = decode_frame(value).rows
                trades |= set(rows["trd_match_id"][rows["kind"] == ExecKind.TRADE].tolist())
        settled: dict[int, list[tuple[int, int]]] = {}
        for shard in range(accounts):
            for value in outputs_in_log(exchange, ACCOUNT_EVENTS, shard, f"{ACCOUNT_COMMANDS.name}/{shard}").values():
                rows = decode_frame(value).rows
                for row in rows[rows["kind"] == AccountEventKind.TRADE]:
                    settled.setdefault(int(row["trd_match_id"]), []).append((int(row["cash_delta"]), int(row["shares_delta"])))
        return trades, settled

    trades, settled = eventually(sides, lambda both: both[0] == set(both[1]) and all(len(two) == 2 for two in both[1].values()))
    assert trades
    assert all(sum(cash for cash, _ in two) == 0 and sum(shares for _, shares in two) == 0 for two in settled.values())
