"""States that roles keep: whoever can write to a changelog, or to the disk of a table, tries to have another one restored."""

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, cast

import msgpack
import numpy as np
import zstandard
from at_topics import NOW, key
from attack import folder, stopped_by

from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from streams.host import page_copies, shard_host, snapshot_codes, snapshots
from streams.host.shard_host import Role, ShardHost
from streams.host.shard_runner import ShardRunner
from streams.host.snapshot_codes import UNCODED, SnapshotCodes
from streams.host.snapshots import SnapshotStore, is_manifest, manifest_key, page_digest
from streams.roles.publish_market_data import PublishMarketData
from topics import record_codes
from topics.catalogue import EXECUTIONS
from topics.key_files import RecordKeys
from topics.record_codes import HEADER, Keyring
from topics.roles import HOLD_FUNDS, PUBLISH_MARKET_DATA, changelog_topic
from topics.speakers import PRODUCER

Stored = dict[bytes, bytes]
TOPIC: Final = changelog_topic(HOLD_FUNDS.name, HOLD_FUNDS.table)
MONEY: Final = 1 << 40
ENDED: Final = key(HOLD_FUNDS.name, 9, until_ns=NOW)


def keys() -> RecordKeys:
    """Of an exchange: hold-funds has replaced a key, and there is a producer. New ones, as they remember what they have made."""
    made = RecordKeys(None, now_ns=lambda: NOW)
    made._ring = Keyring((key(HOLD_FUNDS.name), key(HOLD_FUNDS.name, 9, until_ns=NOW), key(PRODUCER), key(PUBLISH_MARKET_DATA.name)))
    return made


def codes(partition: int = 0) -> SnapshotCodes:
    """Of a shard."""
    return SnapshotCodes(keys(), HOLD_FUNDS.name, TOPIC, partition)


def balances(**changed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Of some accounts, in 13 pages; changed: by the name of the account, a1."""
    cash = np.arange(100_000, dtype=np.int64)
    for account, amount in changed.items():
        cash[int(account[1:])] = amount
    return {"cash": cash}


def store_of(partition: int = 0, owner: str = "owner") -> SnapshotStore:
    """A writer."""
    return SnapshotStore(owner, codes(partition))


def stored(partition: int = 0, next_offset: int = 5, **changed: int) -> Stored:
    """A true snapshot."""
    return dict(store_of(partition).changes(balances(**changed), {"next_offset": next_offset, "last_ns": NOW}))


def cash_of(table: Stored, account: int = 1) -> int | None:
    """What a shard 0 that opens takes for an account's balance; None where it takes nothing."""
    try:
        found = SnapshotStore("reader", codes()).load(table.get)
    except OutcryError:
        return None
    return None if found is None else int(found.arrays["cash"][account])


def page_of(table: Stored, page: int = 0) -> bytes:
    """The key of a page."""
    return next(name for name in table if name.startswith(f"page/owner/cash/{page}/".encode()))


def head_of(table: Stored) -> bytes:
    """The key of the manifest."""
    (found,) = [one for one in table if is_manifest(one)]
    return found


def forged(table: Stored, write: Callable[[dict[str, Any]], bytes], **meta: int) -> Stored:
    """Account 1 has money, and every digest is right. write: makes the manifest's bytes."""
    data = bytearray(zstandard.ZstdDecompressor().decompress(table[page_of(table)]))
    data[8:16] = MONEY.to_bytes(8, "little")
    page = zstandard.ZstdCompressor().compress(bytes(data))
    manifest = UNCODED.unpacked(table[head_of(table)])
    described = manifest["arrays"]["cash"]
    described["digests"] = page_digest(page) + described["digests"][snapshots.PAGE_DIGEST_BYTES :]
    manifest["meta"] |= meta
    return table | {page_of(table): page, head_of(table): write(manifest)}


def with_code_of(made_by: record_codes.Key) -> Callable[[dict[str, Any]], bytes]:
    """With a key that the intruder has."""

    def write(manifest: dict[str, Any]) -> bytes:
        content = msgpack.packb(manifest)
        ((name, code),) = made_by.headers(TOPIC, 0, content)
        assert name == HEADER and isinstance(code, bytes)
        body = bytes([snapshot_codes.FORMAT_VERSION, len(code)]) + code + content
        return hashlib.blake2b(body, digest_size=snapshot_codes.DIGEST_BYTES).digest() + body

    return write


@stopped_by((snapshot_codes, "        if refusal is not None:", "        if False:"), door=folder)
async def forge_balances_in_a_snapshot(_: object) -> bool:
    """With digests of pages and manifest that are right: the intruder computes them too."""
    return cash_of(forged(stored(), UNCODED.packed)) == MONEY


@stopped_by((record_codes, "        if key.speaker != speaker:", "        if False:"), door=folder)
async def forge_balances_with_a_producers_key(_: object) -> bool:
    """It has a key of its own, and the code of a state is made as that of a record is."""
    return cash_of(forged(stored(), with_code_of(key(PRODUCER)))) == MONEY


@stopped_by((record_codes, "        if key.until_ns is not None and key.until_ns <= last_ns:", "        if False:"), door=folder)
async def forge_balances_with_a_key_that_has_ended(_: object) -> bool:
    """It was replaced because it had leaked."""
    return cash_of(forged(stored(), with_code_of(ENDED), last_ns=NOW + 1)) == MONEY


@stopped_by((record_codes, "(not code and 0 < last_ns < self.required_from_ns):", "not code:"), door=folder)
async def forge_balances_and_say_that_they_are_older_than_the_keys(_: object) -> bool:
    """A log may be older than its keys. A state that knows no time of an input is not."""
    return cash_of(forged(stored(), UNCODED.packed, last_ns=0)) == MONEY


@stopped_by((snapshots, "        if page_digest(packed) != digests[page", "        if False and packed != digests[page"), door=folder)
async def put_a_page_of_another_shard_into_a_snapshot(_: object) -> bool:
    """A true page, in the same place of another shard's state, where account 1 has money."""
    table, other = stored(), stored(1, a1=MONEY)
    return cash_of(table | {page_of(table): other[page_of(other)]}) == MONEY


@stopped_by((snapshots, "        if page_digest(packed) != digests[page", "        if False and packed != digests[page"), door=folder)
async def bring_an_older_page_back(_: object) -> bool:
    """From the time before the money was spent."""
    table, older = stored(), stored(a1=MONEY)
    return cash_of(table | {page_of(table): older[page_of(older)]}) == MONEY


@stopped_by((snapshots, "        if page_digest(packed) != digests[page", "        if False and packed != digests[page"), door=folder)
async def swap_two_pages_of_a_snapshot(_: object) -> bool:
    """Account 1 gets the balance of account 8,193."""
    table = stored()
    one, two = page_of(table, 0), page_of(table, 1)
    return cash_of(table | {one: table[two], two: table[one]}) == 8_193


PLACE: Final = (
    record_codes,
    'AESGCM(hmac.digest(secret, f"{topic}/{partition}".encode(), hashlib.sha256))',
    'AESGCM(hmac.digest(secret, b"all", hashlib.sha256))',
)


@stopped_by(PLACE, door=folder)
async def show_a_shard_the_snapshot_of_another(_: object) -> bool:
    """All of it, pages and manifest: true, but another shard's."""
    return cash_of(stored(1, a1=MONEY)) == MONEY


@stopped_by(
    (shard_host, "        if message.offset > shard.runner.next_offset:  #", "        if False:  #"),
    door=folder,
)
async def bring_a_whole_older_snapshot_back(_: object) -> bool:
    """It was true once, so no code tells. But the group has committed the inputs behind it, and would leave them out."""
    made = Role(PUBLISH_MARKET_DATA.name, EXECUTIONS, "market_data", lambda shard: PublishMarketData(shard, load_instruments(None)))
    own = SnapshotCodes(keys(), made.name, changelog_topic(made.name, made.table), 0)
    runner = ShardRunner(made.make_processor(0))
    table = dict(SnapshotStore("older", own).changes(runner.processor.snapshot(), runner.meta() | {"next_offset": 5, "last_ns": NOW}))
    host = ShardHost(cast("Any", None), cast("Any", SimpleNamespace(snapshot_interval_ms=10)), made, cast("Any", table), keys=keys())
    try:
        host._require_no_gap(SimpleNamespace(topic=EXECUTIONS.name, partition=0, offset=9), host._open(0))
    except OutcryError:
        return False
    return True


@stopped_by((snapshots, "                self._strange.add(place)", "                raise"), door=folder)
async def hide_a_true_snapshot_behind_a_forged_one(_: object) -> bool:
    """Which says that it reaches further: the shard would open no more."""
    table = stored()
    beside = manifest_key(7)
    assert beside not in table
    return cash_of(table | {beside: forged(table, UNCODED.packed, next_offset=1 << 40)[head_of(table)]}) != 1


BEGINS_AT_THE_LOG: Final = (
    snapshots,
    "        if torn:\n            raise torn[0]",
    "        if self.refused:\n            raise self.refused[0]",
)


def stops(table: Stored) -> bool:
    """Whether a shard whose inputs nobody has committed yet fails to begin at the first."""
    made = Role(PUBLISH_MARKET_DATA.name, EXECUTIONS, "market_data", lambda shard: PublishMarketData(shard, load_instruments(None)))
    host = ShardHost(cast("Any", None), cast("Any", SimpleNamespace(snapshot_interval_ms=10)), made, cast("Any", table), keys=keys())
    try:
        host._require_no_gap(SimpleNamespace(topic=EXECUTIONS.name, partition=0, offset=0), host._open(0))
    except OutcryError:
        return True
    return False


@stopped_by(BEGINS_AT_THE_LOG, door=folder)
async def stop_a_shard_by_a_forged_snapshot_before_its_first(_: object) -> bool:
    """It has no true one that could be taken in its place."""
    table = stored()
    return stops({manifest_key(7): forged(table, UNCODED.packed, next_offset=1 << 40)[head_of(table)]})


@stopped_by(BEGINS_AT_THE_LOG, door=folder)
async def stop_a_shard_by_noise_in_the_place_of_a_snapshot(_: object) -> bool:
    """No manifest, one of an older format, one whose digest is right and that says nothing."""
    body = bytes([snapshot_codes.FORMAT_VERSION, 0])
    empty = hashlib.blake2b(body, digest_size=snapshot_codes.DIGEST_BYTES).digest() + body
    return stops({manifest_key(7): b"noise" * 10, manifest_key(8): empty, b"manifest": b"of format 1"})


@stopped_by((shard_host, "        if message.offset > shard.runner.next_offset:  #", "        if False:  #"), door=folder)
async def have_a_shard_begin_anew_by_a_forged_snapshot(_: object) -> bool:
    """The true one is taken away. But inputs are committed, so the shard would go on behind them with the state of the beginning."""
    made = Role(PUBLISH_MARKET_DATA.name, EXECUTIONS, "market_data", lambda shard: PublishMarketData(shard, load_instruments(None)))
    table = stored()
    forged_only = {manifest_key(7): forged(table, UNCODED.packed)[head_of(table)]}
    host = ShardHost(cast("Any", None), cast("Any", SimpleNamespace(snapshot_interval_ms=10)), made, cast("Any", forged_only), keys=keys())
    try:
        host._require_no_gap(SimpleNamespace(topic=EXECUTIONS.name, partition=0, offset=9), host._open(0))
    except OutcryError:
        return False
    return True


# ---- damage


@stopped_by((snapshots, "        if page_digest(packed) != digests[page", "        if False and packed != digests[page"), door=folder)
async def damage_a_page_of_a_snapshot(_: object) -> bool:
    """A bit of an account, with nobody who makes its digest right."""
    table = stored()
    return cash_of(table | {page_of(table): forged(table, UNCODED.packed)[page_of(table)]}) == MONEY


@stopped_by(
    (snapshot_codes, "    if len(body) < 2 or _digest(body) != digest:", "    if len(body) < 2:"),
    (snapshot_codes, "        if refusal is not None:", "        if False:"),
    door=folder,
)
async def damage_the_head_of_a_snapshot(_: object) -> bool:
    """Its offset, with nobody who makes its digest right. Where there are keys, the code notices it too."""
    table = stored()
    name = head_of(table)
    return cash_of(table | {name: table[name].replace(b"next_offset\x05", b"next_offset\x7f")}) == 1


@stopped_by(
    (
        snapshots,
        '        if packed is None:\n            raise StaleData(f"snapshot page {page} of {name} is missing: {REPLAY}")',
        "        if packed is None:\n            continue",
    ),
    door=folder,
)
async def take_a_page_of_a_snapshot_away(_: object) -> bool:
    """Zeros in its place."""
    table = stored()
    del table[page_of(table)]
    return cash_of(table) == 0


@stopped_by((snapshots, "is_page = zstandard.frame_content_size(packed) == PAGE_BYTES", "is_page = True"), door=folder)
async def fill_the_memory_by_a_page_of_a_snapshot(_: object) -> bool:
    """Where there are no keys. Its head says how much is to be taken, and the library takes it."""
    table, taken = stored(), list[int]()
    large = zstandard.ZstdCompressor().compress(bytes(page_copies.PAGE_BYTES * 50))
    manifest = UNCODED.unpacked(table[head_of(table)])
    described = manifest["arrays"]["cash"]
    described["digests"] = page_digest(large) + described["digests"][snapshots.PAGE_DIGEST_BYTES :]
    table |= {page_of(table): large, head_of(table): UNCODED.packed(manifest)}
    plain = zstandard.ZstdDecompressor

    class Noting:
        def decompress(self, packed: bytes, **options: Any) -> bytes:
            found = plain().decompress(packed, **options)
            taken.append(len(found))
            return found

    snapshots.zstandard.ZstdDecompressor = Noting  # type: ignore[misc, assignment]
    try:
        SnapshotStore("reader").load(table.get)
    except OutcryError:
        pass
    finally:
        snapshots.zstandard.ZstdDecompressor = plain  # type: ignore[misc]
    return max(taken, default=0) > page_copies.PAGE_BYTES
