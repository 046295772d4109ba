"""Snapshots: exact, incremental, and whole whatever the moment of a crash."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import StaleData
from streams.host.snapshots import PAGE_BYTES, SnapshotStore, is_manifest


def state(seed: int, rows: int) -> dict[str, np.ndarray]:
    """A structured, a two-dimensional and an empty array."""
    random = np.random.default_rng(seed)
    orders = np.zeros(rows, np.dtype([("id", "<u8"), ("px", "<i8"), ("side", "u1")], align=True))
    orders["id"], orders["px"] = np.arange(rows), random.integers(0, 5, rows)
    return {"orders": orders, "levels": random.integers(0, 9, (rows, 3)), "none": np.zeros(0, "<u4")}


def same(left, right) -> bool:
    """Equal in names, types, shapes and content."""
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and left[name].shape == right[name].shape and (left[name] == right[name]).all()
        for name in left
    )


def test_what_was_stored_is_read_back_exactly():
    """Arrays with their types and shapes, and the notes beside them."""
    stored = dict(SnapshotStore().changes(state(1, 10_000), {"next_offset": 5, "hash": b"\x01"}))
    snapshot = SnapshotStore().load(stored.get)
    assert snapshot is not None
    assert same(snapshot.arrays, state(1, 10_000))
    assert snapshot.meta == {"next_offset": 5, "hash": b"\x01"}


def test_an_empty_table_has_no_snapshot():
    """A first start restores nothing."""
    assert SnapshotStore().load({}.get) is None


def test_only_changed_pages_are_written():
    """One changed order writes one page and the manifest."""
    store, arrays = SnapshotStore(), state(1, 100_000)
    list(store.changes(arrays, {}))
    arrays["orders"]["px"][50_000] = 77
    records = list(store.changes(arrays, {}))
    assert [key.split(b"/")[0] for key, _ in records] == [b"page", b"manifest"]
    assert max(len(value) for _, value in records) <= PAGE_BYTES


@given(steps=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20_000)), min_size=2, max_size=5), crash=st.data())
def test_a_crash_between_any_two_writes_leaves_a_whole_snapshot(steps, crash):
    """Stored records up to any point read back as the newest snapshot whose manifest is among them, grown and shrunk states included."""
    store, table, whole = SnapshotStore(), {}, None
    for number, (seed, rows) in enumerate(steps):
        arrays = state(seed, rows)
        records = list(store.changes(arrays, {"next_offset": number}))
        last = number == len(steps) - 1
        written = crash.draw(st.integers(0, len(records))) if last else len(records)
        table.update(records[:written])
        if written == len(records):
            whole = (number, arrays)
    assert whole is not None
    # a new process reads, and goes on writing from what it read
    survivor = SnapshotStore()
    found = survivor.load(table.get)
    assert found is not None
    assert found.meta["next_offset"] == whole[0]
    assert same(found.arrays, whole[1])
    table.update(survivor.changes(state(99, 9_000), {"next_offset": 99}))
    again = SnapshotStore().load(table.get)
    assert again is not None
    assert same(again.arrays, state(99, 9_000))


@pytest.mark.parametrize("harm", ["lost", "flipped"])
def test_a_page_that_is_lost_or_damaged_is_named(harm):
    """Never a silently wrong state."""
    table = dict(SnapshotStore().changes(state(1, 10_000), {}))
    page = next(key for key in table if b"/orders/1/" in key)
    if harm == "lost":
        del table[page]
    else:
        table[page] = b"\xff" + table[page][1:]
    with pytest.raises(StaleData, match="page 1 of orders"):
        SnapshotStore().load(table.get)


def test_a_former_owner_that_writes_on_harms_nothing():
    """Its pages and manifests have keys of their own, in whatever order both arrive; the snapshot that reaches furthest is taken."""
    table: dict[bytes, bytes] = {}
    former = SnapshotStore("former")
    table.update(former.changes(state(1, 30_000), {"next_offset": 10}))
    present = SnapshotStore("present")
    assert present.load(table.get) is not None
    late = list(former.changes(state(2, 30_000), {"next_offset": 12}))
    newest = list(present.changes(state(3, 30_000), {"next_offset": 20}))
    for pair in zip(newest, late, strict=False):
        table.update(pair)
    table.update(newest)
    table.update(late)
    found = SnapshotStore().load(table.get)
    assert found is not None
    assert found.meta["next_offset"] == 20
    assert same(found.arrays, state(3, 30_000))


def test_the_first_snapshot_after_opening_is_whole_by_itself():
    """What the disk has may never have reached the changelog: only what this writer wrote counts."""
    disk = dict(SnapshotStore("first").changes(state(1, 30_000), {"next_offset": 1}))
    second = SnapshotStore("second")
    second.load(disk.get)
    changelog = dict(second.changes(state(1, 30_000), {"next_offset": 2}))
    found = SnapshotStore().load(changelog.get)
    assert found is not None
    assert same(found.arrays, state(1, 30_000))


@pytest.mark.parametrize("written", [0, 1, 3, None])
def test_what_was_there_before_is_deleted_and_nothing_stays_behind(written):
    """Also what a writer that died in its first snapshot has left: its claim says which keys it was to use."""
    table = dict(SnapshotStore("first").changes(state(1, 30_000), {"next_offset": 1}))
    died = SnapshotStore("died")
    died.load(table.get)
    table.update(list(died.changes(state(2, 30_000), {"next_offset": 2}))[:written])
    last = SnapshotStore("last")
    last.load(table.get)
    own = list(last.changes(state(3, 30_000), {"next_offset": 3}))
    table.update(own)
    for key in list(last.outdated(table.get)):
        del table[key]
    assert table.keys() == dict(own).keys()
    assert list(last.outdated(table.get)) == []


def test_what_changes_while_records_are_taken_is_not_in_them():
    """Only the call itself falls between two inputs; pages are packed from a copy while the state goes on."""
    store, arrays = SnapshotStore(), state(1, 50_000)
    records, before = store.changes(arrays, {"next_offset": 1}), state(1, 50_000)
    table = dict([next(records)])
    arrays["orders"]["px"][:] = 7
    arrays["levels"][:] = 7
    table.update(records)
    found = SnapshotStore().load(table.get)
    assert found is not None
    assert same(found.arrays, before)
    table.update(store.changes(arrays, {"next_offset": 2}))
    found = SnapshotStore().load(table.get)
    assert found is not None
    assert same(found.arrays, arrays)


def test_a_state_that_did_not_change_writes_its_manifest_only():
    """Whatever its size; and pages that end within a row, or in zeros, are no reason to write."""
    store, arrays = SnapshotStore(), state(1, 70_001)
    list(store.changes(arrays, {}))
    assert [is_manifest(key) for key, _ in store.changes(arrays, {})] == [True]


def test_an_array_that_shrinks_and_grows_again_is_read_back_as_it_is():
    """Also where what is left of a page ends in zeros, and where pages come back that were there before."""
    store, table = SnapshotStore(), {}
    whole = np.arange(1, 30_000, dtype=np.uint64)
    for number, length in enumerate((29_999, 20_000, 8_192, 8_193, 0, 29_999)):
        arrays = {"one": whole[:length].copy()}
        table.update(store.changes(arrays, {"next_offset": number}))
        found = SnapshotStore().load(table.get)
        assert found is not None
        assert same(found.arrays, arrays), length


def test_what_was_read_back_cannot_be_changed_by_its_reader():
    """The reader's next snapshot is compared with it: a change would be one that no snapshot has."""
    table = dict(SnapshotStore().changes(state(1, 10_000), {}))
    found = SnapshotStore().load(table.get)
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found.arrays["levels"][0] = 1


def test_a_writer_goes_on_from_what_it_read():
    """Its first snapshot is whole, its second only what changed, compared with what it read and wrote."""
    table = dict(SnapshotStore("first").changes(state(1, 60_000), {"next_offset": 1}))
    second, arrays = SnapshotStore("second"), state(1, 60_000)
    second.load(table.get)
    arrays["levels"][30_000] = 77
    table.update(second.changes(arrays, {"next_offset": 2}))
    arrays["levels"][100] = 78
    records = list(second.changes(arrays, {"next_offset": 3}))
    assert len(records) == 2
    table.update(records)
    found = SnapshotStore().load(table.get)
    assert found is not None
    assert same(found.arrays, arrays)


def test_a_manifest_with_another_bit_is_damaged():
    """Its digest covers the checksums of all pages and the notes."""
    table = dict(SnapshotStore("one").changes(state(1, 10_000), {"next_offset": 1}))
    key = next(filter(is_manifest, table))
    for at in (0, 20, len(table[key]) - 1):
        harmed = bytearray(table[key])
        harmed[at] ^= 1
        store = SnapshotStore()
        assert store.load((table | {key: bytes(harmed)}).get) is None
        (refused,) = store.refused
        assert "manifest is damaged" in str(refused)


def test_two_manifests_of_one_snapshot_are_told_from_pages():
    """The changelog's readers look for manifests by their keys."""
    records = list(SnapshotStore().changes(state(1, 10_000), {"next_offset": 1}))
    assert [is_manifest(key) for key, _ in records] == [True, *[False] * (len(records) - 2), True]
