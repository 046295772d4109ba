"""Make, replace and end the keys of records in their folder. Every change takes effect at an append time that lies ahead, see topics.key_files."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from schemas.errors import OutcryError
from streams.process.files import write_atomically
from topics.key_files import content_of, new_key, read_keyring
from topics.record_codes import Key, Keyring
from topics.speakers import PRODUCER, SPEAKERS, UNSIGNED

OWNER_ONLY: Final = 0o600
ENTERED_BY_OWNER: Final = 0o700


def make_missing(folder: Path, from_ns: int) -> list[Key]:
    """A first key for each sender that has none; returns those that are new."""
    known = read_keyring(folder)
    made = [new_key(f"{speaker}-1", speaker, from_ns) for speaker in SPEAKERS if not known.of(speaker)]
    for key in made:
        _write(folder, key)
    return made


def add_producer(folder: Path, name: str, from_ns: int, accounts: tuple[tuple[int, int], ...]) -> Key:
    """A key for a producer of customers. Raises OutcryError for a name that is in use, or that a role has."""
    if name in (*SPEAKERS, UNSIGNED) or _existing(folder).of(name):
        raise OutcryError(f"there is a key of {name} already: `outcry keys rotate {name}` makes the next one")
    return _write(folder, new_key(f"{name}-1", PRODUCER, from_ns, accounts))


def allow_unsigned(folder: Path, from_ns: int) -> Key:
    """The entry by which single orders need no code. Raises OutcryError where there is one that has no end."""
    known = _existing(folder).of(UNSIGNED)
    if any(key.until_ns is None for key in known):
        raise OutcryError("single orders need no code already; `outcry keys retire` ends that")
    return _write(folder, new_key(f"{UNSIGNED}-{len(known) + 1}", UNSIGNED, from_ns))


def rotate(folder: Path, name: str, from_ns: int, until_ns: int) -> tuple[Key, list[Key]]:
    """A new key from the one time, and an end of the older ones at the other; returns the new one and those. Raises OutcryError."""
    older = [key for key in _existing(folder).of(name) if key.until_ns is None or key.until_ns > until_ns]
    if not older or older[-1].speaker == UNSIGNED:
        raise OutcryError(f"there is no key of {name} to be replaced")
    newest = older[-1]
    made = _write(folder, new_key(f"{name}-{newest.number + 1}", newest.speaker, from_ns, newest.accounts))
    return made, [_write(folder, replace(key, until_ns=until_ns)) for key in older]


def retire(folder: Path, key_id: str, until_ns: int) -> Key:
    """Let a key end. Raises OutcryError for one that is not there or has ended, and for the last one of a role: it could write nothing more."""
    ring = _existing(folder)
    key = next((one for one in ring.keys if one.key_id == key_id), None)
    if key is None:
        raise OutcryError(f"there is no key {key_id}; `outcry keys list` shows them")
    if key.until_ns is not None and key.until_ns <= until_ns:
        raise OutcryError(f"{key_id} ends before that time already")
    others = [
        one for one in ring.of(key.name) if one is not key and one.from_ns <= until_ns and (one.until_ns is None or one.until_ns > until_ns)
    ]
    if not others and key.speaker not in (PRODUCER, UNSIGNED):
        raise OutcryError(
            f"{key_id} is the last key of {key.name}, which could write nothing more: `outcry keys rotate {key.name}` replaces it"
        )
    return _write(folder, replace(key, until_ns=until_ns))


def _existing(folder: Path) -> Keyring:
    """Raises OutcryError where there are no keys yet: the first one would make every other sender unbelievable."""
    ring = read_keyring(folder)
    if not ring.keys:
        raise OutcryError(f"there are no keys in {folder}: `outcry keys init` makes them")
    return ring


def _write(folder: Path, key: Key) -> Key:
    folder.mkdir(mode=ENTERED_BY_OWNER, parents=True, exist_ok=True)
    write_atomically(folder / f"{key.key_id}.json", content_of(key), OWNER_ONLY)
    return key
