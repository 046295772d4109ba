"""Everything that somebody with access to the disks could do to an audit log, each with the words in which it must be told."""

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from support.records.audit_logs import KEYS, ORIGIN, WITNESS, position
from tampered_world import World

from audit.keys import ExchangeKeys, ExchangeSecret, new_witness_key
from audit.log_store import LogStore, Position
from audit.notes import Checkpoint, Note, Signature
from audit.tiles import TILE_WIDTH, LogFiles, bundle_of, tile_path, tile_width

OTHERS = ExchangeKeys(KEYS.name, (ExchangeSecret(bytes(32), "2026-01-01"),))
"""Keys of somebody else, with the names of ours."""


@dataclass(frozen=True)
class Tampering:
    """What was done, where, and a pattern that one of the findings must have."""

    kind: str
    where: str
    named: str


Act = Callable[[World, random.Random], Tampering | None]
"""None: this world has nothing to do it to."""
KINDS: list[Act] = []


def _kind(act: Act) -> Act:
    KINDS.append(act)
    return act


def _flip(path: Path, rng: random.Random, start: int = 0, end: int | None = None) -> int:
    """One bit; returns where."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(start, len(data) if end is None else end)
    data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return at


def _bundle(world: World, rng: random.Random) -> tuple[int, Path, list[bytes]]:
    number = rng.randrange(-(-world.size // TILE_WIDTH))
    path = world.log / tile_path("entries", number, tile_width(0, number, world.size))
    return number, path, LogFiles(str(world.log)).bundle(number, world.size)


def _in_bundle(number: int, width: int) -> str:
    """An entry that is not the one that its tile has, or a bundle that is not as long as it must be."""
    suffix = f"\\.p/{width}" if width < TILE_WIDTH else ""
    return rf"tile/(0|entries)/{number:03}{suffix}: "


@_kind
def flip_a_bit_of_an_entry(world: World, rng: random.Random) -> Tampering:
    """Flip a bit of an entry."""
    number, path, entries = _bundle(world, rng)
    at = _flip(path, rng)
    return Tampering("flip a bit of an entry", f"{path} byte {at}", _in_bundle(number, len(entries)))


@_kind
def flip_a_bit_of_a_tile(world: World, rng: random.Random) -> Tampering:
    """Flip a bit of a tile."""
    levels = [level for level in range(3) if world.size >> (8 * level)]
    level = rng.choice(levels)
    number = rng.randrange(-(-(world.size >> (8 * level)) // TILE_WIDTH))
    name = tile_path(level, number, tile_width(level, number, world.size))
    at = _flip(world.log / name, rng)
    return Tampering("flip a bit of a tile", f"{name} byte {at}", re.escape(name) + ": its hash")


@_kind
def flip_a_bit_of_a_checkpoint(world: World, rng: random.Random) -> Tampering:
    """Flip a bit of a checkpoint."""
    name = rng.choice(("checkpoint", "checkpoint.cosigned"))
    path = world.log / name
    data = path.read_bytes()
    end = data.index(b"\n", data.index("\u2014".encode())) if name == "checkpoint" else len(data)  # of the log's own signature
    at = _flip(path, rng, 0, end)
    return Tampering("flip a bit of a checkpoint", f"{name} byte {at}", "checkpoint")


@_kind
def flip_a_bit_of_a_proof(world: World, rng: random.Random) -> Tampering:
    """Flip a bit of a proof."""
    at = _flip(world.proof, rng)
    return Tampering("flip a bit of a proof", f"{world.proof} byte {at}", r"one\.tlog-proof")


@_kind
def flip_a_bit_of_the_proven_record(world: World, rng: random.Random) -> Tampering:
    """Flip a bit of the proven record."""
    at = _flip(world.folder / "one.record", rng)
    return Tampering(
        "flip a bit of the proven record",
        f"one.record byte {at}",
        r"one\.tlog-proof: record: its bytes are not those of executions/0 offset \d+",
    )


@_kind
def flip_a_bit_of_the_state(world: World, rng: random.Random) -> Tampering:
    """Flip a bit of the state."""
    path = world.log / "state.json"
    text = path.read_text()
    key = rng.choice(("next_offset", "last_ms", "checkpoint", "last_sha256"))
    at = text.index(f'"{key}": ') + len(key) + 4 + (key in ("checkpoint", "last_sha256"))
    changed = "7" if text[at] != "7" else "8"
    path.write_text(text[:at] + changed + text[at + 1 :])
    return Tampering("change the state of the role", f"state.json {key}", r"StaleData .*(log|state\.json)")


@_kind
def delete_an_entry(world: World, rng: random.Random) -> Tampering:
    """Delete an entry."""
    number, path, entries = _bundle(world, rng)
    at = rng.randrange(len(entries))
    path.write_bytes(bundle_of(entries[:at] + entries[at + 1 :]))
    return Tampering("delete an entry", f"{path} entry {at}", _in_bundle(number, len(entries)))


@_kind
def insert_an_entry(world: World, rng: random.Random) -> Tampering:
    """Insert an entry."""
    number, path, entries = _bundle(world, rng)
    at = rng.randint(0, len(entries))
    path.write_bytes(bundle_of([*entries[:at], b'{"topic":"executions","partition":0,"offset":5}', *entries[at:]]))
    return Tampering("insert an entry", f"{path} entry {at}", _in_bundle(number, len(entries)))


@_kind
def duplicate_an_entry(world: World, rng: random.Random) -> Tampering | None:
    """Duplicate an entry."""
    number, path, entries = _bundle(world, rng)
    if len(entries) < 2:
        return None
    at = rng.randrange(1, len(entries))
    entries[at] = entries[at - 1]
    path.write_bytes(bundle_of(entries))
    return Tampering("duplicate an entry", f"{path} entry {at}", _in_bundle(number, len(entries)) + f"its hash {at} is not that of entry")


@_kind
def swap_two_entries(world: World, rng: random.Random) -> Tampering | None:
    """Swap two entries."""
    number, path, entries = _bundle(world, rng)
    if len(entries) < 2:
        return None
    one, other = sorted(rng.sample(range(len(entries)), 2))
    entries[one], entries[other] = entries[other], entries[one]
    path.write_bytes(bundle_of(entries))
    return Tampering("swap two entries", f"{path} entries {one} and {other}", _in_bundle(number, len(entries)) + f"its hash {one} ")


@_kind
def delete_a_file(world: World, rng: random.Random) -> Tampering:
    """Delete a file."""
    files = LogFiles(str(world.log))
    needed = [tile_path("entries", number, tile_width(0, number, world.size)) for number in range(-(-world.size // TILE_WIDTH))]
    needed += [tile_path(0, number, tile_width(0, number, world.size)) for number in range(-(-world.size // TILE_WIDTH))]
    name = rng.choice(needed)
    assert files.read(name)
    (world.log / name).unlink()
    return Tampering("delete a file", name, re.escape(name) + ": it is missing")


@_kind
def delete_everything(world: World, rng: random.Random) -> Tampering:
    """Delete everything."""
    shutil.rmtree(world.log)
    world.log.mkdir()
    return Tampering("delete everything", str(world.log), "WRONG checkpoint: it is missing")


def _roll_back(world: World) -> int:
    """The whole folder is replaced by its older copy, in which everything fits; returns its size."""
    shutil.rmtree(world.log)
    shutil.copytree(world.older / "log", world.log)
    return Checkpoint.parse(Note.parse((world.log / "checkpoint").read_bytes()).text).size


@_kind
def cut_off_the_end(world: World, rng: random.Random) -> Tampering | None:
    """Cut off the end."""
    size = _roll_back(world)
    if size == world.size:
        return None
    return Tampering(
        "cut off the end, with the older signed checkpoint",
        f"at {size}",
        f"the log has {size} entries, but {world.size} were signed and seen",
    )


@_kind
def roll_back_log_and_witness(world: World, rng: random.Random) -> Tampering | None:
    """Roll back log and witness."""
    size = _roll_back(world)
    if size == world.size:
        return None
    shutil.rmtree(world.memory)
    shutil.copytree(world.older / "witness", world.memory)
    return Tampering("roll back log and witness", f"at {size}", f"the log has {size} entries, but {world.size} were signed and seen")


@_kind
def roll_back_the_log_and_start_the_witness_anew(world: World, rng: random.Random) -> Tampering:
    """Roll back the log and start the witness anew."""
    _roll_back(world)
    shutil.rmtree(world.memory)
    return Tampering(
        "roll back the log and restart the witness from nothing", str(world.memory), "StaleData .*witness.*it would cosign a fork"
    )


@_kind
def damage_the_memory_of_the_witness(world: World, rng: random.Random) -> Tampering:
    """Damage the memory of the witness."""
    (path,) = (world.memory / "logs").iterdir()
    data = path.read_bytes()
    at = _flip(path, rng, 0, data.index(b"\n\n"))
    return Tampering("flip a bit of the witness's memory", f"{path} byte {at}", "StaleData .*witness/logs/.*its memory is damaged")


@_kind
def replay_an_old_checkpoint(world: World, rng: random.Random) -> Tampering | None:
    """Replay an old checkpoint."""
    old = (world.older / "log" / "checkpoint").read_bytes()
    size = Checkpoint.parse(Note.parse(old).text).size
    if size == world.size:
        return None
    (world.log / "checkpoint").write_bytes(old)
    return Tampering("replay an old checkpoint", f"of {size}", f"the log has {size} entries, but {world.size} were signed and seen")


def _rewrite(world: World, keys: ExchangeKeys, size: int, changed: int) -> LogStore:
    """Another log in its place, with every hash recomputed and signed by the keys."""
    entries = [entry for number in range(-(-world.size // TILE_WIDTH)) for entry in LogFiles(str(world.log)).bundle(number, world.size)]
    shutil.rmtree(world.log)
    log = LogStore(world.log, ORIGIN, keys, Position(0))
    for offset in range(size):
        entry = (
            entries[offset] if offset < len(entries) else entries[-1].replace(b'"offset":%d' % (world.size - 1), b'"offset":%d' % offset)
        )
        log.append(entry.replace(b'"sha256":"', b'"sha256":"0', 1) if offset == changed else entry)
    log.commit(position(size))
    return log


@_kind
def rewrite_and_recompute_all_hashes(world: World, rng: random.Random) -> Tampering:
    """Rewrite and recompute all hashes."""
    signed = {name: (world.log / name).read_bytes() for name in ("checkpoint", "checkpoint.cosigned", "state.json")}
    changed = rng.randrange(world.size)
    _rewrite(world, KEYS, world.size, changed)
    for name, data in signed.items():
        (world.log / name).write_bytes(data)
    return Tampering(
        "rewrite and recompute all hashes",
        f"entry {changed}",
        r"WRONG (checkpoint: its \d+ entries have another root|seen|checkpoint\.cosigned|.*was rewritten)",
    )


@_kind
def rewrite_and_sign_again_with_our_own_key(world: World, rng: random.Random) -> Tampering:
    """Rewrite and sign again with our own key."""
    changed, size = rng.randrange(world.size), world.size + rng.randint(1, 300)
    _rewrite(world, KEYS, size, changed)
    return Tampering(
        "rewrite, grow, and sign with our own key",
        f"entry {changed}",
        r"seen-by-witness: the first \d+ entries are not those .* the log was rewritten",
    )


@_kind
def sign_two_checkpoints_of_one_size(world: World, rng: random.Random) -> Tampering:
    """Sign two checkpoints of one size."""
    changed = rng.randrange(world.size)
    _rewrite(world, KEYS, world.size, changed)
    return Tampering(
        "fork: two signed checkpoints of one size",
        f"entry {changed}",
        rf"two signed checkpoints of {world.size} entries differ .*the log has forked",
    )


@_kind
def sign_with_another_key(world: World, rng: random.Random) -> Tampering:
    """Sign with another key."""
    _rewrite(world, OTHERS, world.size, rng.randrange(world.size))
    return Tampering("swap the keys", str(world.log / "checkpoint"), f"WRONG checkpoint: no key of {ORIGIN} has signed it")


@_kind
def take_the_checkpoint_of_another_log(world: World, rng: random.Random) -> Tampering:
    """Take the checkpoint of another log."""
    origin = KEYS.origin("alerts", 0)
    note = KEYS.sign(Checkpoint(origin, world.size, Checkpoint.parse(Note.parse((world.log / "checkpoint").read_bytes()).text).root))
    (world.log / "checkpoint").write_bytes(bytes(note))
    is_known = rng.random() < 0.5
    if is_known:
        policy = world.folder / "policy"
        policy.write_text(f"log {KEYS.public(origin)[0]}\n" + policy.read_text())
    return Tampering("wrong origin", f"{origin}, {'known' if is_known else 'unknown'}", "alerts/0")


@_kind
def forge_a_cosignature(world: World, rng: random.Random) -> Tampering:
    """By another key, or by ours of another time."""
    path = world.log / "checkpoint.cosigned"
    note = Note.parse(path.read_bytes())
    other = replace(new_witness_key(WITNESS.name), secret=bytes([rng.randrange(256)]) * 32)
    false = Signature(WITNESS.name, WITNESS.public.key_id, other.sign(note.text, 5).signature)
    path.write_bytes(bytes(Note(note.text, (note.signatures[0], false))))
    shutil.copy(path, world.log / "checkpoint")
    return Tampering("forge a cosignature", str(path), r"checkpoint(\.cosigned)?: the signature of witness\.example/w is not of this text")


@_kind
def strip_the_cosignatures(world: World, rng: random.Random) -> Tampering:
    """Nothing is proven wrong by it, so it is told as what it is."""
    for name in ("checkpoint", "checkpoint.cosigned"):
        note = Note.parse((world.log / name).read_bytes())
        (world.log / name).write_bytes(bytes(Note(note.text, note.signatures[:1])))
    return Tampering("strip the cosignatures", str(world.log), "COULD NOT CHECK checkpoint: .* no checkpoint of it is cosigned")


@_kind
def change_a_record_of_the_log(world: World, rng: random.Random) -> Tampering:
    """Change a record of the log."""
    at = rng.randrange(world.size)
    records = world.records.records_now
    records[at] = replace(records[at], value=(records[at].value or b"") + b"!")
    return Tampering("change a record", f"executions/0 offset {at}", rf"executions/0 offset {at} is ")


@_kind
def swap_two_records_of_the_log(world: World, rng: random.Random) -> Tampering | None:
    """Swap two records of the log."""
    if world.size < 2:
        return None
    at = rng.randrange(world.size - 1)
    records = world.records.records_now
    records[at], records[at + 1] = replace(records[at + 1], offset=at), replace(records[at], offset=at + 1)
    return Tampering("swap two records", f"executions/0 offset {at}", rf"executions/0 offset {at} is ")


@_kind
def cut_off_the_records(world: World, rng: random.Random) -> Tampering:
    """Cut off the records."""
    at = rng.randrange(world.size)
    del world.records.records_now[at:]
    return Tampering("cut off the log", f"executions/0 at {at}", rf"executions/0 has the offsets 0 to {at - 1}, but its audit log has")
