"""What a code proves, of whom, for how long; and who may say what."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.codec import FRAME_NAMES, FRAMES, RECORD_NAMES, BadBytes, Header, decode_frame, encode_frame, encode_record
from schemas.enums import CommandKind
from topics.catalogue import ACCOUNT_COMMANDS, ALERTS, BOOK_COMMANDS, CALENDAR, DEAD_LETTERS, EXECUTIONS, SET_ASIDE, TOPICS
from topics.record_codes import HEADER, NONCE_BYTES, TAG_BYTES, UNCHECKED, Key, Keyring, Proof, Sealer, code_of
from topics.roles import EDGE, HOLD_FUNDS, MATCH_ORDERS, ROLES, RUN_MARKET
from topics.speakers import CLOCK, OPERATOR, OPERATORS_NS_MAX, PRODUCER, SPEAKERS, UNSIGNED, WRITERS, may_write, shards_of, written_by

SECOND = 10**9
BEGIN = 1_000 * SECOND
NOW = 2_000 * SECOND


def key(speaker: str, number: int = 1, name: str = "", **fields) -> Key:
    """A key with a secret of its own."""
    key_id = f"{name or speaker}-{number}"
    return Key(key_id, speaker, key_id.encode().ljust(32, b"."), **({"from_ns": BEGIN} | fields))


RING = Keyring(tuple(key(speaker) for speaker in SPEAKERS))


def frame(schema: str, source: str, kind: int = 1, created_at: int = NOW, **columns: int) -> bytes:
    """One row."""
    rows = np.zeros(1, FRAMES[schema].dtype)
    rows["kind"] = kind
    for name, value in columns.items():
        rows[name] = value
    return encode_frame(schema, Header(source, 1, created_at=created_at), rows)


REPORT = frame("book_report_frame", "book.commands/0")
ORDER = frame("order_command_frame", "customer", CommandKind.NEW_ORDER, account=7)
SINGLE = encode_record("new_order_single", {
    "account": 2, "cl_ord_id": "s", "symbol": "I1", "side": "BUY", "ord_type": "LIMIT", "time_in_force": "DAY", "order_qty": "1", "price": "1.00",
    "transact_time": NOW,
})  # fmt: skip


def signed(speaker: str, topic: str, value: bytes, partition: int = 0, ring: Keyring = RING) -> bytes:
    """The code of a record."""
    code = code_of(ring.of(speaker)[-1].headers(topic, partition, value))
    assert code is not None
    return code


def refusal(proof: Proof) -> str:
    """The reason; "" for a record that is believed."""
    return proof.refusal.reason if proof.refusal is not None else ""


def test_a_record_is_believed_with_the_code_of_who_may_write_it():
    """And its key is known from then on."""
    proof = RING.proof(ACCOUNT_COMMANDS.name, 1, REPORT, signed(MATCH_ORDERS.name, ACCOUNT_COMMANDS.name, REPORT, 1), NOW)
    assert proof.key is not None
    assert proof.key.key_id == "match-orders-1"
    proof.require()
    proof.require_right(ACCOUNT_COMMANDS.name, decode_frame(REPORT), NOW)


def test_every_change_of_value_code_partition_or_topic_is_noticed():
    """Each bit of a code, each byte of a short value, each length."""
    topic = ACCOUNT_COMMANDS.name
    code = signed(MATCH_ORDERS.name, topic, REPORT)
    changed_codes = [code[:at] + bytes([code[at] ^ 1 << bit]) + code[at + 1 :] for at in range(len(code)) for bit in range(8)]
    changed_codes += [code[:length] for length in range(len(code))] + [code + b"0", code + b"\0" * 100]
    assert {refusal(RING.proof(topic, 0, REPORT, one, NOW)) for one in changed_codes} == {"WRONG_CODE"}
    changed_values = [REPORT[:at] + bytes([REPORT[at] ^ 1]) + REPORT[at + 1 :] for at in range(len(REPORT))]
    changed_values += [REPORT[:length] for length in range(len(REPORT))] + [REPORT + b"\0"]
    assert {refusal(RING.proof(topic, 0, one, code, NOW)) for one in changed_values} == {"WRONG_CODE"}
    assert {refusal(RING.proof(one.name, at, REPORT, code, NOW)) for one in TOPICS for at in (0, 1) if (one.name, at) != (topic, 0)} == {
        "WRONG_CODE"
    }
    assert refusal(RING.proof(topic, 0, REPORT, None, NOW)) == "NO_CODE"


def test_each_record_has_a_nonce_of_its_own_and_says_nothing_of_the_secret():
    """Two of one value differ; the count fills five bytes."""
    codes = {signed(OPERATOR, SET_ASIDE.name, b"x") for _ in range(1_000)}
    assert len({code[:NONCE_BYTES] for code in codes}) == len({code[NONCE_BYTES : NONCE_BYTES + TAG_BYTES] for code in codes}) == 1_000
    secret = RING.of(OPERATOR)[0].secret
    assert not any(secret in code for code in codes)
    assert secret.hex() not in repr(RING)
    assert repr(secret) not in repr(RING)


def test_the_code_of_the_wire_page_is_this_one():
    """A client in another language can check itself by it."""
    tag = Sealer(bytes(range(32)), "account.commands", 0).tag(bytes(12), b"value")
    assert tag.hex() == "539625df59cc687986babec995ec93f5"


def test_a_key_counts_for_what_was_appended_while_it_was_valid():
    """By the log's time, so a replay years later decides the same."""
    topic = EXECUTIONS.name
    value = frame("execution_frame", "book.commands/0")
    first = key(MATCH_ORDERS.name, until_ns=NOW)
    ring = Keyring((first, key(MATCH_ORDERS.name, 2, from_ns=NOW - 10), key(HOLD_FUNDS.name)))
    code = code_of(first.headers(topic, 0, value))
    assert [refusal(ring.proof(topic, 0, value, code, at)) for at in (BEGIN, NOW - 1, NOW, NOW + SECOND)] == [
        "",
        "",
        "WRONG_CODE",
        "WRONG_CODE",
    ]
    assert ring.proof(topic, 0, value, None, BEGIN - 1) == UNCHECKED, "the log is older than the keys"
    assert Keyring().proof(topic, 0, value, None, NOW) == UNCHECKED


def test_a_sender_signs_with_its_newest_key_once_every_reader_knows_it():
    """Not before it is valid for the broker's clock, and with the next one before the old one ends; with the first one at once."""
    ring = Keyring((key(EDGE.name, 2, from_ns=NOW), key(EDGE.name, 1, until_ns=NOW + 100 * SECOND), key(OPERATOR)))

    def signing(at: int) -> str:
        found = ring.signing(EDGE.name, at, 2 * SECOND)
        return found.key_id if found is not None else ""

    assert [signing(at) for at in (BEGIN - SECOND, BEGIN, NOW, NOW + 2 * SECOND, NOW + 200 * SECOND)] == [
        "edge-1",
        "edge-1",
        "edge-1",
        "edge-2",
        "edge-2",
    ]
    assert ring.signing(PRODUCER, NOW, 0) is None


def test_tenth_key_of_a_sender_is_newer_than_its_ninth():
    """Numbers are numbers."""
    ring = Keyring((key(EDGE.name, 10), key(EDGE.name, 9)))
    assert [one.key_id for one in ring.of(EDGE.name)] == ["edge-9", "edge-10"]


def test_every_topic_and_schema_has_senders_and_no_other_sender_may_write_there():
    """The table agrees with the roles, and a producer's key opens one door alone."""
    for topic in TOPICS:
        assert set(WRITERS[topic.name]) == set(topic.schemas)
        roles = {speaker for speakers in WRITERS[topic.name].values() for speaker in speakers} & set(ROLES)
        own = {name for name, role in ROLES.items() if role.replicas and topic is role.reads[0] and "shard_placement" in topic.schemas}
        assert roles == {name for name, role in ROLES.items() if topic in role.writes} | own
        assert written_by(topic)
    allowed = {(speaker, topic.name, schema) for speaker in SPEAKERS for topic in TOPICS for schema in FRAME_NAMES + RECORD_NAMES
               if may_write(speaker, topic, schema)}  # fmt: skip
    assert {one for one in allowed if one[0] == PRODUCER} == {
        (PRODUCER, ACCOUNT_COMMANDS.name, schema) for schema in ("order_command_frame", "new_order_single", "order_cancel_request")
    }
    assert {one[2] for one in allowed if one[0] == OPERATOR and one[1] == EXECUTIONS.name} == {"dead_letter"}, (
        "the filler of `outcry recover`"
    )
    assert shards_of(ALERTS) == shards_of(DEAD_LETTERS) == ""


@pytest.mark.parametrize(
    ("speaker", "topic", "value"),
    [
        (PRODUCER, ACCOUNT_COMMANDS, REPORT),
        (EDGE.name, ACCOUNT_COMMANDS, REPORT),
        (HOLD_FUNDS.name, ACCOUNT_COMMANDS, ORDER),
        (PRODUCER, BOOK_COMMANDS, frame("book_command_frame", "account.commands/0")),
        (EDGE.name, EXECUTIONS, frame("execution_frame", "book.commands/0")),
        (PRODUCER, SET_ASIDE, encode_record("set_aside", {"role": "r", "topic": "t", "partition": 0, "offset": 0, "reason": ""})),
    ],
)
def test_a_sender_that_may_not_write_a_schema_there_is_refused_before_anything_is_decoded(speaker, topic, value):
    """Its code is genuine."""
    assert refusal(RING.proof(topic.name, 0, value, signed(speaker, topic.name, value), NOW)) == "NO_RIGHT"


def say(speaker: str, topic, value: bytes, at: int = NOW, ring: Keyring = RING) -> str:
    """Why a frame is refused for what it says; "" if it is not."""
    proof = ring.proof(topic.name, 0, value, signed(speaker, topic.name, value, ring=ring), at)
    try:
        proof.require()
        proof.require_right(topic.name, decode_frame(value), at)
    except BadBytes as error:
        return str(error)
    return ""


def test_commands_of_accounts_are_given_by_those_whose_they_are():
    """Nobody deposits but an operator, and no operator trades."""
    may = {
        (speaker, kind.name)
        for speaker in (EDGE.name, PRODUCER, OPERATOR)
        for kind in CommandKind
        if not say(speaker, ACCOUNT_COMMANDS, frame("order_command_frame", "somebody", kind))
    }
    customers = ("NEW_ORDER", "CANCEL", "REPLACE")
    assert may == {
        *((speaker, kind) for speaker in (EDGE.name, PRODUCER) for kind in customers), (EDGE.name, "REGISTER_SESSION"),
        *((OPERATOR, kind) for kind in ("ACCOUNT_UPDATE", "ACCOUNT_STATUS", "ACCOUNT_LIMITS")),
    }  # fmt: skip
    assert "row 0" in say(PRODUCER, ACCOUNT_COMMANDS, frame("order_command_frame", "somebody", 200))


def test_a_shard_speaks_as_a_shard_and_nobody_else_does():
    """Nor as the clock or the calendar."""
    sources = {"shard": "account.commands/0", "clock": CLOCK, "calendar": CALENDAR, "people": "operator-1"}
    may = {
        (speaker, what)
        for speaker in (HOLD_FUNDS.name, MATCH_ORDERS.name, RUN_MARKET.name, OPERATOR)
        for what, source in sources.items()
        if not say(speaker, BOOK_COMMANDS, frame("book_command_frame", source, 4))
    }
    assert may == {(HOLD_FUNDS.name, "shard"), (MATCH_ORDERS.name, "clock"), (RUN_MARKET.name, "calendar"), (OPERATOR, "people")}


def test_a_producer_trades_for_its_own_accounts():
    """Ranges, both ends included; without any, for all."""
    ring = Keyring((key(PRODUCER, name="acme", accounts=((3, 5), (7, 7))), key(PRODUCER)))
    orders = {account: frame("order_command_frame", "acme", CommandKind.NEW_ORDER, account=account) for account in range(2, 9)}
    assert [account for account, value in orders.items() if not say("acme", ACCOUNT_COMMANDS, value, ring=ring)] == [3, 4, 5, 7]
    assert not any(say(PRODUCER, ACCOUNT_COMMANDS, value, ring=ring) for value in orders.values())
    assert "account 2 is not one of its accounts" in say("acme", ACCOUNT_COMMANDS, orders[2], ring=ring)


def test_an_operators_command_counts_for_a_while():
    """A copy of it, days later, opens no market."""
    value = frame("book_command_frame", "operator-1", 3)
    late = NOW + OPERATORS_NS_MAX
    assert not say(OPERATOR, BOOK_COMMANDS, value, late)
    assert "a copy" in say(OPERATOR, BOOK_COMMANDS, value, late + 1)
    assert "a copy" in say(OPERATOR, BOOK_COMMANDS, value, NOW - OPERATORS_NS_MAX - 1)


def test_single_orders_need_no_code_where_operators_say_so():
    """From then on, until they end it; frames do in any case."""
    entry = Key("unsigned-1", UNSIGNED, b"", NOW, NOW + SECOND)
    ring = Keyring((*RING.keys, entry))
    topic = ACCOUNT_COMMANDS.name
    assert [refusal(ring.proof(topic, 0, SINGLE, None, at)) for at in (NOW - 1, NOW, NOW + SECOND)] == ["NO_CODE", "", "NO_CODE"]
    assert refusal(ring.proof(topic, 0, ORDER, None, NOW)) == "NO_CODE"
    assert refusal(ring.proof(EXECUTIONS.name, 0, SINGLE, None, NOW)) == "NO_CODE"
    empty = code_of(replace(entry, secret=b"").headers(topic, 0, ORDER))
    assert refusal(ring.proof(topic, 0, ORDER, empty, NOW)) == "WRONG_CODE", "the entry is no key"


def test_of_several_codes_the_last_counts_and_other_headers_count_nothing():
    """As Kafka has it: a header may be there twice."""
    assert code_of(None) is code_of([]) is code_of([("trace", b"1")]) is None
    assert code_of([(HEADER, b"1"), ("trace", b"2"), (HEADER, b"3")]) == b"3"
    assert code_of([(HEADER, None)]) is None
    assert code_of([(HEADER, "text")]) == b"text"
