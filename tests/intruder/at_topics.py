"""The log: records of strangers, records in the name of others, true records elsewhere or again.

The writer of each is somebody whom the broker lets in; what a key is needed for, the intruder has a key of somebody else, or none.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from attack import attack, folder

from schemas import codec, marks
from schemas.codec import FRAMES, BadBytes, Header, decode_frame, decode_header, encode_frame, encode_record
from schemas.enums import CommandKind
from schemas.errors import StaleData
from schemas.instruments import load_instruments
from streams.host import placement, set_aside, shard_runner
from streams.host.lost_records import lost_record
from streams.host.placement import Placement, move_record
from streams.host.set_aside import listed
from streams.host.shard_runner import Record, ShardRunner
from streams.roles import hold_funds
from streams.roles.hold_funds import HoldFunds
from topics import record_codes, sources, speakers
from topics.catalogue import (
    ACCESS_EVENTS,
    ACCOUNT_COMMANDS,
    ACCOUNT_EVENTS,
    ALERTS,
    BOOK_COMMANDS,
    CALENDAR,
    CASES,
    EXECUTIONS,
    MARKET_DATA,
    SET_ASIDE,
)
from topics.record_codes import UNCHECKED, Key, Keyring, Proof, code_of
from topics.roles import EDGE, HOLD_FUNDS, MATCH_ORDERS
from topics.speakers import CLOCK, OPERATOR, PRODUCER, SPEAKERS

NOW: Final = 1_800_014_400 * 10**9
"""Noon, some day."""
DAY: Final = 86_400 * 10**9
TABLE: Final = load_instruments(None)
COMMANDS: Final = ACCOUNT_COMMANDS.name


def key(speaker: str, number: int = 1, **fields: Any) -> Key:
    """With a secret of its own."""
    return Key(f"{speaker}-{number}", speaker, f"{speaker}{number}".encode().ljust(32, b"."), **({"from_ns": 0} | fields))


RING: Final = Keyring(
    (*map(key, SPEAKERS), key(PRODUCER, 2, accounts=((1, 9),)), key(EDGE.name, 2, until_ns=NOW - 1), key(EDGE.name, 3, from_ns=NOW + 1))
)


def frame(schema: str, source: str, kind: int = 1, created_at: int = NOW, place: int = 1, **columns: int) -> bytes:
    """One row."""
    rows = np.zeros(1, FRAMES[schema].dtype)
    rows["kind"] = kind
    for name, value in columns.items():
        rows[name] = value
    text = np.array([b"id"], "S2") if schema in ("order_command_frame", "account_event_frame") else None
    return encode_frame(schema, Header(source, place, created_at=created_at), rows, text)


ORDER: Final = frame(
    "order_command_frame", "customer", account=2, instrument=1, side=1, ord_type=2, order_qty=1, price=100, transact_time=NOW
)
CHEAPER: Final = frame(
    "order_command_frame", "customer", account=2, instrument=1, side=1, ord_type=2, order_qty=1, price=99, transact_time=NOW
)
SINGLE: Final = encode_record("new_order_single", {
    "account": 2, "cl_ord_id": "s", "symbol": "AAPL", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "1", "price": "1.00",
    "transact_time": NOW,
})  # fmt: skip


def signed(speaker: str, topic: str, value: bytes, partition: int = 0, number: int = 1) -> bytes:
    """The code that its sender makes."""
    (found,) = [one for one in RING.keys if one.key_id == f"{speaker}-{number}"]
    code = code_of(found.headers(topic, partition, value))
    assert code is not None
    return code


def believed(topic: str, value: bytes, code: bytes | None, *, partition: int = 0, at: int = NOW) -> bool:
    """Whether a reader of the topic would."""
    proof = RING.proof(topic, partition, value, code, at)
    try:
        proof.require()
        if decode_header(value) is not None:
            proof.require_right(topic, decode_frame(value), at)
    except BadBytes:
        return False
    return True


def forged(name: str, tried: Callable[[], bool], *edits: Any) -> None:
    """Put one into the table."""

    async def run(_: object) -> bool:
        for one in RING.keys:
            vars(one).pop("_sealers", None)
        return tried()

    attack(name, run, *edits, door=folder)


NO_CODE = (record_codes, '        return Proof(None, BadBytes(NO_CODE, "nothing proves who has sent it"))', "        return UNCHECKED")
WRONG = (
    record_codes,
    "        if not key.has_made(code, topic, partition, value):\n            return Proof(",
    "        if False:\n            return Proof(",
)
MAY = (record_codes, "        if schema and not may_write(key.speaker, topic_named(topic), schema):", "        if False:")
PLACE = (
    record_codes,
    'AESGCM(hmac.digest(secret, f"{topic}/{partition}".encode(), hashlib.sha256))',
    'AESGCM(hmac.digest(secret, b"all", hashlib.sha256))',
)
VALID = (record_codes, "        if not key.is_valid(time_ns):", "        if False:")
KINDS = (
    speakers,
    '        if len(strange):\n            return f"row {strange[0]}: commands',
    '        if False:\n            return f"row {strange[0]}: commands',
)
VOICE = (speakers, "    if not _is_voice(speaker, source, topic):", "    if False:")
REPORT = frame("book_report_frame", "book.commands/0", account=2)
DEPOSIT = frame("order_command_frame", "customer", CommandKind.ACCOUNT_UPDATE, account=2, cash=1_000_000)

forged("order_in_anothers_name_without_a_key", lambda: believed(COMMANDS, ORDER, None), NO_CODE)
forged("order_by_a_single_record_without_a_key", lambda: believed(COMMANDS, SINGLE, None),
       (record_codes, "(entry := self.unsigned(time_ns)) is not None:", "(entry := self.unsigned(time_ns) or self.keys[0]) is not None:"))  # fmt: skip
forged("report_a_trade_without_a_key", lambda: believed(COMMANDS, REPORT, None), NO_CODE)
forged("change_a_bit_of_an_order", lambda: believed(COMMANDS, CHEAPER, signed(EDGE.name, COMMANDS, ORDER)), WRONG)
forged("make_a_code_up", lambda: believed(COMMANDS, ORDER, bytes(28) + b"edge-1"), WRONG)
forged("move_an_order_to_another_partition", lambda: believed(COMMANDS, ORDER, signed(EDGE.name, COMMANDS, ORDER, 1)), PLACE)
forged("move_a_trade_to_another_topic", lambda: believed(BOOK_COMMANDS.name, frame("book_command_frame", CLOCK), signed(
    MATCH_ORDERS.name, EXECUTIONS.name, frame("book_command_frame", CLOCK))), PLACE)  # fmt: skip
forged("write_with_a_key_that_has_ended", lambda: believed(COMMANDS, ORDER, signed(EDGE.name, COMMANDS, ORDER, number=2)), VALID)
forged("write_with_a_key_that_is_not_valid_yet", lambda: believed(COMMANDS, ORDER, signed(EDGE.name, COMMANDS, ORDER, number=3)), VALID)
for _name, _speaker, _topic, _value in (
    ("report_a_trade_with_a_producers_key", PRODUCER, COMMANDS, REPORT),
    ("forge_an_execution_with_an_edges_key", EDGE.name, EXECUTIONS.name, frame("execution_frame", "book.commands/0")),
    ("forge_a_posting_with_a_producers_key", PRODUCER, ACCOUNT_EVENTS.name, frame("account_event_frame", "account.commands/0")),
    ("forge_a_price_with_a_producers_key", PRODUCER, MARKET_DATA.name, frame("market_data_frame", "executions/0")),
    ("command_a_book_with_an_edges_key", EDGE.name, BOOK_COMMANDS.name, frame("book_command_frame", "operator")),
    ("give_a_shard_to_nobody_with_an_edges_key", EDGE.name, BOOK_COMMANDS.name, move_record(Placement(), "h", 0, "forged")),
    ("move_a_shard_of_accounts_with_the_key_of_the_books", MATCH_ORDERS.name, COMMANDS, move_record(Placement(), "b", 0, "forged")),
    ("set_an_order_aside_with_a_producers_key", PRODUCER, SET_ASIDE.name, encode_record(
        "set_aside", {"role": "match-orders", "topic": BOOK_COMMANDS.name, "partition": 0, "offset": 0, "reason": "forged"})),
    ("accuse_somebody_with_a_producers_key", PRODUCER, ALERTS.name, encode_record("alert", {
        "alert_id": "a", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": 1, "side": "BUY", "score": 1.0, "explanation": "",
        "window_start": 0, "window_end": 0, "detected_at": 0, "source": "executions/0@0", "evidence": []})),
    ("close_a_case_with_an_operators_key", OPERATOR, CASES.name, encode_record("case_action", {
        "action": "CLOSE", "case_id": "case-1", "version": 1, "actor": "sue", "roles": ["supervisor"], "at": NOW, "comment": ""})),
    ("forge_a_sign_in_with_a_producers_key", PRODUCER, ACCESS_EVENTS.name, encode_record("access_event", {
        "at_ns": NOW, "act": "SIGNED_IN", "person": "eve", "address": "203.0.113.7", "what": "", "detail": ""})),
):  # fmt: skip
    forged(_name, lambda speaker=_speaker, topic=_topic, value=_value: believed(topic, value, signed(speaker, topic, value)), MAY, VOICE)

MOVE = move_record(Placement(), "h", 0, "to a replica that is down")
forged("move_another_shard_by_a_copy_of_a_move", lambda: believed(COMMANDS, MOVE, signed(OPERATOR, COMMANDS, MOVE, 1)), PLACE)


def placed_after(*values: bytes) -> Placement:
    """Where a shard is after these records, which its input has from offset 5 on."""
    now = Placement()
    for offset, value in enumerate(values, 5):
        try:
            now = placement.placed(now, value, offset) or now
        except BadBytes:
            continue
    return now


TO_B, BACK = move_record(Placement(), "b", 0, "a is slow"), move_record(Placement(1, "b", 5, 0), "a", 5, "a is well")
forged("move_a_shard_back_by_a_copy_of_a_true_move", lambda: placed_after(TO_B, BACK, TO_B).writers == "b",
       (placement, '    if record["from_epoch"] != now.epoch:', "    if False:"))  # fmt: skip
forged("give_a_shard_to_a_replica_that_cannot_be", lambda: placed_after(move_record(Placement(), "z", 0, "forged")).writers == "z",
       (placement, "    if set(writers) - set(REPLICAS) or len(set(writers)) != len(writers):", "    if False:"))  # fmt: skip
forged("have_outputs_left_out_by_a_move_that_says_they_are_written",
       lambda: placed_after(move_record(Placement(), "b", 1 << 40, "forged")).written_to == 1 << 40,
       (placement, "    if not 0 <= written_to <= offset:", "    if False:"))  # fmt: skip

forged("deposit_money_with_an_edges_key", lambda: believed(COMMANDS, DEPOSIT, signed(EDGE.name, COMMANDS, DEPOSIT)), KINDS)
forged("deposit_money_with_a_producers_key", lambda: believed(COMMANDS, DEPOSIT, signed(PRODUCER, COMMANDS, DEPOSIT)), KINDS)
forged("trade_for_a_customer_with_an_operators_key", lambda: believed(COMMANDS, ORDER, signed(OPERATOR, COMMANDS, ORDER)), KINDS)
OTHERS = frame("order_command_frame", "customer", account=12, transact_time=NOW)
forged("trade_for_an_account_that_the_producers_key_is_not_for", lambda: believed(COMMANDS, OTHERS, signed(PRODUCER, COMMANDS, OTHERS, number=2)),
       (speakers, "        if accounts and (why := _not_its_account(accounts, frame)):", "        if accounts and (why := ''):"))  # fmt: skip
TICK, STEP, SHARDS = (frame("book_command_frame", source) for source in (CLOCK, CALENDAR, "account.commands/0"))
forged(
    "turn_the_clock_with_another_roles_key",
    lambda: believed(BOOK_COMMANDS.name, TICK, signed(HOLD_FUNDS.name, BOOK_COMMANDS.name, TICK)),
    VOICE,
)
forged(
    "open_the_market_in_the_calendars_name",
    lambda: believed(BOOK_COMMANDS.name, STEP, signed(MATCH_ORDERS.name, BOOK_COMMANDS.name, STEP)),
    VOICE,
)
forged(
    "send_orders_to_a_book_in_a_shards_name",
    lambda: believed(BOOK_COMMANDS.name, SHARDS, signed(OPERATOR, BOOK_COMMANDS.name, SHARDS)),
    VOICE,
)
PAID = frame("order_command_frame", "operator", CommandKind.ACCOUNT_UPDATE, account=2, cash=1)
forged("append_an_operators_deposit_once_more", lambda: believed(COMMANDS, PAID, signed(OPERATOR, COMMANDS, PAID), at=NOW + 601 * 10**9),
       (speakers, "    if speaker == OPERATOR and abs(time_ns - frame.header.created_at) > OPERATORS_NS_MAX:", "    if False:"))  # fmt: skip
TODAY = (speakers, "    if made_ns // _DAY_NS == time_ns // _DAY_NS or abs(time_ns - made_ns) <= MIDNIGHT_NS:", "    if True:")
forged(
    "append_yesterdays_order_of_an_edge_once_more",
    lambda: believed(COMMANDS, ORDER, signed(EDGE.name, COMMANDS, ORDER), at=NOW + DAY),
    TODAY,
)
forged(
    "append_yesterdays_order_of_a_producer_once_more",
    lambda: believed(COMMANDS, ORDER, signed(PRODUCER, COMMANDS, ORDER), at=NOW + DAY),
    TODAY,
)
UNDATED = frame("order_command_frame", "customer", account=2, created_at=0, transact_time=NOW)
forged("append_an_order_once_more_that_says_not_when_it_was_made", lambda: believed(COMMANDS, UNDATED, signed(PRODUCER, COMMANDS, UNDATED), at=NOW + DAY),
       (speakers, "made_ns = frame.header.created_at or int(frame.rows[\"transact_time\"].min(initial=time_ns))", "made_ns = frame.header.created_at or time_ns"))  # fmt: skip


# ---- shards


class Shard:
    """An account shard of two, and the records that it is fed."""

    def __init__(self) -> None:
        self.runner, self.offset = ShardRunner(HoldFunds(0, TABLE, 2, 2, 1)), 0

    def feed(self, value: bytes, proof: Proof = UNCHECKED, time_ns: int = NOW) -> list[Any]:
        """The dead letters, and what was written otherwise."""
        record = Record(COMMANDS, 0, self.offset, time_ns, None, value, proof)
        self.offset += 1
        return self.runner.feed(record)

    def takes(self, value: bytes, **options: Any) -> bool:
        """Whether it is no dead letter. A report on an order that there is not may be one: then it came as far as that."""
        letters = [codec.decode_record(one.value)[1]["reason"] for one in self.feed(value, **options) if one.topic == "dead.letters"]
        return set(letters) <= {hold_funds.UNTRUE_REPORT}


def reported(place: int, index: int = 0, source: str = "book.commands/0") -> bytes:
    """A book's report on an order that there is not: it is applied, and told of."""
    rows = np.zeros(1, FRAMES["book_report_frame"].dtype)
    rows["account"], rows["kind"] = 2, 1
    return encode_frame("book_report_frame", Header(source, place, index, created_at=NOW), rows)


forged("have_a_shard_take_a_record_that_is_not_believed", lambda: Shard().takes(SINGLE, proof=Proof(None, BadBytes("NO_CODE", ""))),
       (shard_runner, "        record.proof.require()\n        frame", "        frame"))  # fmt: skip
forged("have_a_shard_take_what_its_sender_may_not_say", lambda: Shard().takes(DEPOSIT, proof=Proof(RING.of(PRODUCER)[0])),
       (shard_runner, "        record.proof.require_right(record.topic, frame, record.time_ns)\n", ""))  # fmt: skip


def _hides() -> bool:
    """Whether a report that claims a far place hides the true ones below it."""
    shard = Shard()
    shard.feed(reported(1))
    shard.feed(reported(1 << 40))
    return shard.runner.marks.state["book.commands/0"][0] == 1 << 40


def _repeats() -> bool:
    shard = Shard()
    shard.feed(reported(5))
    before = shard.runner.stats().records
    shard.feed(reported(5))
    shard.feed(reported(3))
    return shard.runner.stats().records > before


forged("hide_true_reports_behind_a_far_place", _hides, (marks, "        if ahead_ns > limit_ns:", "        if False:"))
forged(
    "have_a_report_settled_again",
    _repeats,
    (marks, "        if offset < newest or (offset == newest and index <= newest_index):", "        if False:"),
)
forged("report_from_a_shard_that_there_is_not", lambda: Shard().takes(reported(1, source="book.commands/7")),
       (sources, "        raise BadBytes(WRONG_SOURCE, f\"{source[:80]!r} does not write to {self.where}\")", "        return False"))  # fmt: skip
forged("report_from_a_place_that_cannot_be", lambda: Shard().takes(reported(1, index=1 << 40)),
       (marks, "        if offset < 0 or not 0 <= index < FRAMES_PER_INPUT_MAX:", "        if False:"))  # fmt: skip
forged("report_in_a_customers_name", lambda: Shard().takes(frame("book_report_frame", "customer", account=2)),
       (hold_funds, "    if not source.startswith(topic + \"/\"):", "    if False:"))  # fmt: skip
forged("order_in_a_shards_name", lambda: Shard().takes(frame("order_command_frame", "book.commands/0", account=2, transact_time=NOW)),
       (hold_funds, "    if names_shard(frame.header.source):", "    if False:"))  # fmt: skip
forged("order_for_an_account_of_another_shard", lambda: Shard().takes(frame("order_command_frame", "customer", account=3, transact_time=NOW)),
       (hold_funds, "    if len(strays):", "    if False:"))  # fmt: skip


def _moves_time() -> bool:
    shard = Shard()
    shard.feed(frame("order_command_frame", "customer", account=2, transact_time=NOW + 365 * DAY))
    return shard.runner.processor.log_time > NOW + DAY


forged("stop_the_clock_by_a_time_far_ahead", _moves_time, (hold_funds, "        clamp_time(frame.rows, record)", "        pass"))


def _shard_stops() -> bool:
    shard = Shard()
    try:
        shard.feed(lost_record(COMMANDS, 0, 0, 1 << 40, "forged"), proof=Proof(RING.of(PRODUCER)[0]))
    except StaleData:
        return True
    return False


forged("stop_a_shard_by_the_filler_of_a_lost_record", _shard_stops,
       (record_codes, "        return self.refusal is None and (self.key is None or self.key.speaker == OPERATOR)", "        return True"))  # fmt: skip
forged("have_an_order_set_aside_by_a_record_that_is_not_believed", lambda: bool(listed(iter([Record(SET_ASIDE.name, 0, 0, NOW, None, encode_record(
    "set_aside", {"role": "r", "topic": COMMANDS, "partition": 0, "offset": 0, "reason": ""}), Proof(None, BadBytes("NO_CODE", "")))])).entries),
       (set_aside, "            record.proof.require()\n            name, value", "            name, value"))  # fmt: skip


def _decodes(change: Callable[[bytearray], None], value: bytes = ORDER) -> bool:
    data = bytearray(value)
    change(data)
    try:
        decode_frame(bytes(data))
    except BadBytes:
        return False
    except Exception:
        return True
    return True


def _moves_mark_by_nothing() -> bool:
    rows = np.zeros(0, FRAMES["book_report_frame"].dtype)
    shard = Shard()
    shard.feed(encode_frame("book_report_frame", Header("book.commands/0", 50), rows))
    return "book.commands/0" in shard.runner.marks.state


forged("move_a_mark_by_a_frame_without_rows", _moves_mark_by_nothing, (codec, "    if count == 0:", "    if False:"))
forged("append_bytes_behind_a_record", lambda: _decodes(lambda data: data.extend(b"more")),
       (codec, "        raise BadBytes(TRUNCATED, f\"{len(data) - body.tell()} bytes are left over behind a whole {name}\")", "        pass"))  # fmt: skip


def _letter() -> bool:
    """Whether a dead letter repeats all of a record that is as long as the broker takes."""
    letters = [one for one in Shard().feed(b"x" * (8 << 20)) if one.topic == "dead.letters"]
    return len(letters[0].value) > 4 << 20


forged("write_a_record_for_which_no_dead_letter_has_room", _letter,
       (shard_runner, "    return None if data is None else data[:LETTER_BYTES_MAX]", "    return data"))  # fmt: skip
