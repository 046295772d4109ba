"""Codes of snapshots: a state is its own shard's or nobody's, whatever happens to keys; and a true one that is old costs a replay, nothing else."""

import hashlib
from types import SimpleNamespace

import msgpack
import numpy as np
import pytest
from support.memory_log import INSTRUMENTS, ROLES, processor_of, traded

from schemas.enums import Side
from schemas.errors import StaleData
from streams.host.shard_host import REFUSED_SNAPSHOT, Role, ShardHost
from streams.host.shard_runner import ShardRunner
from streams.host.snapshot_codes import UNCODED, NotBelieved, SnapshotCodes
from streams.host.snapshots import SnapshotStore, is_manifest, manifest_key
from streams.roles.publish_market_data import PublishMarketData
from topics.catalogue import EXECUTIONS
from topics.key_files import RecordKeys
from topics.record_codes import Key, Keyring
from topics.roles import HOLD_FUNDS, PUBLISH_MARKET_DATA, WATCH_ACCOUNTS, changelog_topic
from topics.speakers import OPERATOR

S = 10**9
NOW = 1_800_000_000 * S
ROLE = HOLD_FUNDS.name
TOPIC = changelog_topic(ROLE, HOLD_FUNDS.table)
STATE = {"cash": np.arange(10_000, dtype=np.int64)}


def key(number: int = 1, speaker: str = ROLE, from_ns: int = NOW - 100 * S, until_ns: int | None = None) -> Key:
    """With a secret of its own."""
    return Key(f"{speaker}-{number}", speaker, f"{speaker}{number}".encode().ljust(32, b"."), from_ns, until_ns)


def codes(*keys: Key, now_ns: int = NOW, partition: int = 0, topic: str = TOPIC) -> SnapshotCodes:
    """Of hold-funds, where there are these keys."""
    found = RecordKeys(None, now_ns=lambda: now_ns)
    found._ring = Keyring(keys)
    return SnapshotCodes(found, ROLE, topic, partition)


def stored(made_by: SnapshotCodes, last_ns: int = NOW - S, next_offset: int = 7) -> dict[bytes, bytes]:
    """A table with a snapshot."""
    return dict(SnapshotStore(codes=made_by).changes(STATE, {"next_offset": next_offset, "last_ns": last_ns}))


def loaded(table: dict[bytes, bytes], read_by: SnapshotCodes) -> int:
    """next_offset of what is restored. Raises what was refused where nothing is."""
    store = SnapshotStore(codes=read_by)
    found = store.load(table.get)
    if found is None:
        raise store.refused[0]
    assert (found.arrays["cash"] == STATE["cash"]).all()
    return found.meta["next_offset"]


def test_a_shard_restores_what_it_has_written_and_no_other_does():
    """Not another shard of the role, not another replica, not one of another exchange."""
    table = stored(codes(key()))
    assert loaded(table, codes(key())) == 7
    for other in (
        codes(key(), partition=1),
        codes(key(), topic=changelog_topic(f"{ROLE}-b", HOLD_FUNDS.table)),
        codes(Key(f"{ROLE}-1", ROLE, bytes(32), NOW - 100 * S)),
    ):
        with pytest.raises(NotBelieved, match=f"the code is not that of key {ROLE}-1 for this state"):
            loaded(table, other)
    with pytest.raises(
        NotBelieved, match=r"there is no key b'hold-funds-1'. Somebody has forged it, or the folder of keys lacks.*replay the log"
    ):
        loaded(table, codes(key(2)))


def test_a_quiet_shard_keeps_its_state_when_keys_are_replaced():
    """The key has ended long ago when the state is read; its last input is from before. The next snapshot has the newest key."""
    ended, newest = key(until_ns=NOW), key(2, from_ns=NOW - 50 * S)
    table = stored(codes(key(), now_ns=NOW - 60 * S), last_ns=NOW - 70 * S)
    later = codes(ended, newest, now_ns=NOW + 10**6 * S)
    assert loaded(table, later) == 7
    assert loaded(stored(later), codes(newest)) == 7


def test_a_key_that_has_ended_makes_no_state_of_inputs_after_its_end():
    """Whoever has found it may write what was known before; the group has committed further, so no shard takes that."""
    thief, readers = codes(key(), now_ns=NOW), codes(key(until_ns=NOW), key(2, from_ns=NOW - 50 * S))
    with pytest.raises(NotBelieved, match=f"key {ROLE}-1 had ended at {NOW} ns"):
        loaded(stored(thief, last_ns=NOW), readers)
    assert loaded(stored(thief, last_ns=NOW - 1), readers) == 7


def test_a_key_of_another_sender_makes_no_state():
    """Not even an operator's."""
    content = msgpack.packb({"owner": "x", "arrays": {}, "meta": {"next_offset": 1, "last_ns": 1}})
    ((_, code),) = key(1, OPERATOR).headers(TOPIC, 0, content)
    body = bytes([4, len(code)]) + code + content
    value = hashlib.blake2b(body, digest_size=16).digest() + body
    with pytest.raises(NotBelieved, match="key operator-1 is not one of hold-funds"):
        codes(key(), key(1, OPERATOR)).unpacked(value)


@pytest.mark.parametrize(("last_ns", "believed"), [(NOW - 101 * S, True), (NOW - 100 * S, False), (0, False)])
def test_a_snapshot_without_a_code_counts_only_if_its_last_input_is_older_than_the_first_key(last_ns, believed):
    """As a record does. One that names no input at all could be of any age."""
    table = stored(codes(), last_ns=last_ns)
    assert loaded(table, codes()) == 7
    if believed:
        assert loaded(table, codes(key())) == 7
        return
    with pytest.raises(NotBelieved, match="nothing proves who has made it"):
        loaded(table, codes(key()))


def test_keys_that_are_gone_ask_for_nothing():
    """An exchange without keys takes what it finds, as it does with records."""
    assert loaded(stored(codes(key())), codes()) == 7


@pytest.mark.parametrize(
    "content", [b"", b"\xc1", msgpack.packb(3), msgpack.packb([]), msgpack.packb({"owner": "x"}), msgpack.packb({"meta": 1})]
)
def test_a_manifest_that_is_none_is_refused_with_a_sentence(content):
    """Its digest is right: anybody can compute it."""
    body = bytes([4, 0]) + content
    value = hashlib.blake2b(body, digest_size=16).digest() + body
    with pytest.raises(StaleData, match="cannot be read"):
        UNCODED.unpacked(value)
    for cut in (b"", value[:16], value[:17], value + b"x"):
        with pytest.raises(StaleData, match="damaged"):
            UNCODED.unpacked(cut)


async def test_a_forged_snapshot_beside_the_true_one_is_passed_over_told_and_taken_away():
    """It says that it reaches further. The alarm about records counts it."""
    market = Role(PUBLISH_MARKET_DATA.name, EXECUTIONS, "market_data", lambda shard: PublishMarketData(shard, INSTRUMENTS))
    keys = RecordKeys(None, now_ns=lambda: NOW)
    keys._ring = Keyring((key(1, market.name),))
    own = SnapshotCodes(keys, market.name, changelog_topic(market.name, market.table), 0)
    runner = ShardRunner(market.make_processor(0))
    made = runner.meta() | {"next_offset": 3, "last_ns": NOW - S}
    table = dict(SnapshotStore(codes=own).changes(runner.processor.snapshot(), made))
    forged = dict(SnapshotStore(codes=UNCODED).changes(runner.processor.snapshot(), made | {"next_offset": 1 << 40}))
    place = next(one for one in map(manifest_key, range(1_024)) if one not in table)
    table[place] = next(value for name, value in reversed(forged.items()) if is_manifest(name))
    host = ShardHost(None, SimpleNamespace(snapshot_interval_ms=10), market, table, keys=keys)  # type: ignore[arg-type]
    shard = host._open(0)
    assert shard.runner.next_offset == 3
    assert shard.runner.marks.unproven == {REFUSED_SNAPSHOT: 1}
    assert host.status()["suspicious_frames"] == 1
    with pytest.raises(StaleData, match=r"ends at 3, but .* committed .* 9.*is not believed"):
        host._require_no_gap(SimpleNamespace(topic=EXECUTIONS.name, partition=0, offset=9), shard)
    assert place in set(shard.store.outdated(table.get))


async def test_a_forged_snapshot_alone_stops_no_shard_that_has_committed_nothing():
    """It begins at the log's first record, counts what it has passed over, and takes it away. Had the group gone on, the shard would stop and say why."""
    market = Role(PUBLISH_MARKET_DATA.name, EXECUTIONS, "market_data", lambda shard: PublishMarketData(shard, INSTRUMENTS))
    keys = RecordKeys(None, now_ns=lambda: NOW)
    keys._ring = Keyring((key(1, market.name),))
    runner = ShardRunner(market.make_processor(0))
    made = runner.meta() | {"next_offset": 1 << 40, "last_ns": NOW - S}
    table = dict(SnapshotStore(codes=UNCODED).changes(runner.processor.snapshot(), made))
    (place,) = filter(is_manifest, table)
    noise = [key for key in map(manifest_key, range(4)) if key != place][:3]  # its own place is drawn
    table |= dict.fromkeys(noise, b"noise")
    host = ShardHost(None, SimpleNamespace(snapshot_interval_ms=10), market, table, keys=keys)  # type: ignore[arg-type]
    shard = host._open(0)
    host._require_no_gap(SimpleNamespace(topic=EXECUTIONS.name, partition=0, offset=0), shard)
    assert shard.runner.next_offset == 0
    assert shard.runner.marks.unproven == {REFUSED_SNAPSHOT: 4}
    with pytest.raises(StaleData, match=r"ends at 0, but .* committed .* 9"):
        host._require_no_gap(SimpleNamespace(topic=EXECUTIONS.name, partition=0, offset=9), shard)
    own = dict(shard.store.changes(runner.processor.snapshot(), made | {"next_offset": 1}))
    assert {place, *noise} - own.keys() <= set(shard.store.outdated(table.get))
    assert not own.keys() & {place, *noise}


@pytest.mark.parametrize(
    "role", [role for role, _, _ in ROLES if role != WATCH_ACCOUNTS.name]
)  # which reads nothing before a half minute is over
def test_a_true_snapshot_that_is_old_costs_a_replay_and_nothing_else(role):
    """With the group's offsets put back too, which no code can tell: the outputs are those that readers have, and so is the state."""
    exchange = traded()
    older = {key: dict(SnapshotStore().changes(runner.processor.snapshot(), runner.meta())) for key, runner in exchange.runners.items()}
    for number in range(5):
        exchange.order(1, Side.SELL, 10, 17_500 + number, f"later-{number}")
        exchange.order(2, Side.BUY, 10, 18_000, f"late-{number}", instrument=1 + number % 2)
    for key, runner in exchange.runners.items():
        name, _, topic, shard = key
        if name != role:
            continue
        again = ShardRunner(processor_of(role, shard), SnapshotStore().load(older[key].get))
        assert 0 < again.next_offset < runner.next_offset
        outputs = [one for record in exchange.log.parts[topic, shard][again.next_offset - 1 :] for one in again.feed(record)]
        for one in outputs:
            assert one.value in [record.value for record in exchange.log.parts[one.topic, one.partition]]
        assert again.processor.state_hash() == runner.processor.state_hash()
        assert (again.next_offset, again.marks.state) == (runner.next_offset, runner.marks.state)
