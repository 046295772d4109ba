"""A log on disk is whole after every commit, and wherever its process dies no two checkpoints of one size differ."""

import json
import shutil
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records.audit_logs import (
    EDGE_SIZES,
    KEYS,
    ORIGIN,
    Crashed,
    CrashingDisk,
    check_folder,
    entry,
    grow,
    open_log,
    plain_root,
    position,
)

from audit.findings import Wrong
from audit.log_store import LogStore
from audit.notes import Checkpoint, Note
from audit.tiles import tile_path, tile_width
from audit.tree import leaf_hash
from schemas.errors import StaleData


@pytest.mark.parametrize("size", EDGE_SIZES)
def test_a_log_of_any_size_is_what_its_checkpoint_says(tmp_path, size):
    """0, 1, 2^k and one to either side; read back by the stranger's check, and once more after a restart."""
    log = open_log(tmp_path)
    grow(log, size, step=max(1, size // 3))
    assert check_folder(tmp_path) == Checkpoint(ORIGIN, size, plain_root([leaf_hash(entry(at)) for at in range(size)]))
    again = open_log(tmp_path)
    assert (again.tree.size, again.tree.edge, again.position) == (size, log.tree.edge, position(size))
    grow(again, size + 3)
    assert check_folder(tmp_path).size == size + 3


def test_tiles_are_where_the_specification_has_them():
    """https://c2sp.org/tlog-tiles: its examples."""
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path("entries", 273, 112) == "tile/entries/273.p/112"
    size = 70_000
    assert [tile_width(0, number, size) for number in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [tile_width(level, number, size) for level, number in ((1, 0), (1, 1), (2, 0), (3, 0))] == [256, 17, 1, 0]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.data())
def test_however_entries_are_committed_the_tree_is_the_same(tmp_path_factory, steps, data):
    """Batches are an accident of time; they leave no trace in the tree."""
    folder, total = tmp_path_factory.mktemp("log"), sum(steps)
    log = open_log(folder)
    for step in steps:
        grow(log, log.tree.size + step)
        if data.draw(st.booleans()):
            log = open_log(folder)
    assert check_folder(folder).root == plain_root([leaf_hash(entry(at)) for at in range(total)])


def test_partial_tiles_of_signed_sizes_stay_until_the_full_one_is_there(tmp_path):
    """Whoever has an older checkpoint can still read what it needs."""
    log = open_log(tmp_path)
    for size in (3, 10, 255):
        grow(log, size)
    assert {path.name for path in (tmp_path / "tile" / "0" / "000.p").iterdir()} == {"3", "10", "255"}
    grow(log, 256)
    assert not (tmp_path / "tile" / "0" / "000.p").exists()
    assert not (tmp_path / "tile" / "entries" / "000.p").exists()
    assert (tmp_path / "tile" / "0" / "000").stat().st_size == 8_192


def _sizes_and_roots(folder: Path, seen: dict[int, bytes]) -> None:
    """Note every checkpoint that anybody could have read, and refuse a second one of its size."""
    for name in ("checkpoint", "checkpoint.cosigned"):
        if (folder / name).exists():
            found = Checkpoint.parse(Note.parse((folder / name).read_bytes()).text)
            assert seen.setdefault(found.size, found.root) == found.root, f"two checkpoints of {found.size} entries"


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1, 2, 3), (254, 257, 600), (255, 256, 511, 512, 513)], ids=str)
def test_a_process_may_die_at_any_step_of_any_commit(tmp_path, sizes):
    """Before and within each write, rename and removal; the next process goes on from what is there, and nothing differs."""
    for at in count():
        folder, disk, seen = tmp_path / str(at), CrashingDisk(at), {}
        try:
            log = open_log(folder, disk)
            for size in sizes:
                grow(log, size)
            break  # it had fewer steps than that
        except Crashed:
            pass
        if (folder / "checkpoint").exists():
            _sizes_and_roots(folder, seen)
            check_folder(folder)
        for size in sizes:
            log = open_log(folder)
            if log.tree.size < size:
                grow(log, size)
            _sizes_and_roots(folder, seen)
            check_folder(folder)
        assert check_folder(folder).root == plain_root([leaf_hash(entry(number)) for number in range(sizes[-1])])
    assert at > 20
    assert {step.split()[0] for step in disk.steps} >= {"draft", "rename"}


def test_a_full_disk_leaves_the_log_as_it_was_and_the_commit_can_be_repeated(tmp_path):
    """No space for the state, which is the commit."""

    class FullDisk(CrashingDisk):
        is_full = False

        def write(self, path, data, mode=0o644):
            if self.is_full and path.name == "state.json":
                raise OSError(28, "No space left on device")
            super().write(path, data, mode)

    disk = FullDisk()
    log = open_log(tmp_path, disk)
    grow(log, 300)
    disk.is_full = True
    with pytest.raises(OSError, match="No space"):
        grow(log, 700)
    assert check_folder(tmp_path).size == log.committed.size == 300
    disk.is_full = False
    log.commit(position(700))
    assert check_folder(tmp_path).size == 700
    assert open_log(tmp_path).tree.size == 700


def _damage_state(folder, change):
    path = folder / "state.json"
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "state.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "state.json").unlink(), r"state\.json is gone"),
        (lambda folder: _damage_state(folder, lambda state: state.update(format=9)), "another version"),
        (lambda folder: _damage_state(folder, lambda state: state.update(checkpoint="x")), "cannot be read"),
        (lambda folder: (folder / "tile" / "0" / "002.p" / "88").write_bytes(bytes(88 * 32)), "not those that were signed"),
        (lambda folder: (folder / "tile" / "0" / "002.p" / "88").unlink(), "it is missing"),
        (lambda folder: (folder / "tile" / "1" / "000.p" / "2").write_bytes(bytes(64)), "not those that were signed"),
        (lambda folder: (folder / "tile" / "entries" / "002.p" / "88").write_bytes(b"\0\1x" * 88), "not those that were signed"),
    ],
)
def test_a_log_does_not_go_on_from_what_is_not_as_it_was_left(tmp_path, damage, sentence):
    """Its own restart notices what a stranger would notice, at the edge where it goes on."""
    grow(open_log(tmp_path), 600)
    damage(tmp_path)
    with pytest.raises(StaleData, match=sentence):
        open_log(tmp_path)


def test_a_log_that_was_rolled_back_does_not_go_on(tmp_path):
    """An older copy of the state beside newer published checkpoints."""
    log = open_log(tmp_path)
    grow(log, 300)
    shutil.copy(tmp_path / "state.json", tmp_path / "older")
    grow(log, 600)
    shutil.copy(tmp_path / "older", tmp_path / "state.json")
    with pytest.raises(StaleData, match="it is an older copy"):
        open_log(tmp_path)


def test_keys_rotate_and_an_older_log_goes_on(tmp_path):
    """The old key signs too until it is retired; who knows either can check; a foreign key opens nothing."""
    grow(open_log(tmp_path), 10)
    rotated = KEYS.rotated("2026-02-01")
    log = open_log(tmp_path, keys=rotated)
    grow(log, 20)
    assert len(log.note.signatures) == 2
    assert [one.key_id for one in log.note.signatures] == [key.key_id for key in rotated.public(ORIGIN)]
    log = open_log(tmp_path, keys=rotated.retired())
    grow(log, 30)
    assert [one.key_id for one in log.note.signatures] == [rotated.public(ORIGIN)[1].key_id]
    with pytest.raises(StaleData, match="no key of this exchange"):
        open_log(tmp_path)
    with pytest.raises(StaleData, match=r"is of the log exchange\.example/audit/executions/0"):
        LogStore(tmp_path, KEYS.origin("executions", 1), rotated, position(0))


def test_a_log_has_a_key_of_its_own():
    """Partitions share no key, because a policy takes each key once."""
    publics = {KEYS.public(KEYS.origin(topic, number))[0].public for topic in ("executions", "alerts") for number in range(8)}
    assert len(publics) == 16


def test_what_a_stranger_checks_finds_each_changed_byte(tmp_path):
    """Every file of a small log, one byte at a time; more kinds of tampering are in tests/tamper."""
    grow(open_log(tmp_path), 258)
    for path in sorted(one for one in tmp_path.rglob("*") if one.is_file() and one.name != "state.json"):
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 7)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            with pytest.raises(Wrong):
                check_folder(tmp_path)
        path.write_bytes(data)
    assert check_folder(tmp_path).size == 258
