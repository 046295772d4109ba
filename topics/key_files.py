"""The keys of records in files: one file for each key in a folder of its own, which only their owner may read.

A process looks at the folder every LOOK_S, so new and retired keys reach it without a restart. What a key may sign is decided by append times that
lie ahead when its file is written (`outcry keys`), so all processes decide the same, whenever they look.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from schemas.errors import OutcryError, StaleData
from topics.record_codes import SECRET_BYTES, UNCHECKED, Headers, Key, Keyring, Proof, Sign, code_of
from topics.speakers import SPEAKERS, UNSIGNED

log = structlog.get_logger("outcry.topics")

LOOK_S: Final = 1.0
AHEAD_NS: Final = 2 * 10**9
"""A new key signs so long after it is valid: the broker's clock may be behind."""
CHOSEN_NS: Final = 10**9
"""How long a sender signs with a key before it asks which one is the newest."""
KEY_ID: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,49}-[1-9][0-9]{0,8}")
OTHERS: Final = 0o077


class RecordKeys:
    """The keys of a folder, as they are now. Without a folder nothing is signed and nothing has to be proved."""

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.monotonic, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Raises StaleData for a key that cannot be read, or that others may read. clock: s, for looking at the folder; now_ns: of the day."""
        self._folder, self._clock, self._now_ns = folder, clock, now_ns
        self._looked_s = clock()
        self._seen = _state_of(folder)
        self._ring = read_keyring(folder) if folder is not None else Keyring()

    @property
    def ring(self) -> Keyring:
        """All keys."""
        if self._folder is not None and self._clock() - self._looked_s >= LOOK_S:
            self._looked_s = self._clock()
            if (seen := _state_of(self._folder)) != self._seen:
                self._read_again(self._folder, seen)
        return self._ring

    def _read_again(self, folder: Path, seen: object) -> None:
        try:
            self._ring, self._seen = read_keyring(folder), seen
        except OutcryError as error:  # what is known goes on; the next look tries again
            log.warning("keys_not_readable", problem=str(error))

    def signer(self, name: str) -> Sign:
        """What signs the records of a sender (a role, operator, the name of a producer) with its newest key; nothing while there are no keys at all."""
        ring, until_ns = Keyring(), 0
        key: Key | None = None

        def sign(topic: str, partition: int, value: bytes) -> Headers | None:
            nonlocal ring, key, until_ns
            now_ns = self._now_ns()
            if now_ns >= until_ns or ring is not self.ring:
                ring, until_ns = self.ring, now_ns + CHOSEN_NS
                key = ring.signing(name, now_ns, AHEAD_NS)
            return None if key is None else key.headers(topic, partition, value)

        return sign

    def unsigned_now(self) -> str | None:
        """The entry by which single orders need no code now."""
        entry = self.ring.unsigned(self._now_ns())
        return None if entry is None else entry.key_id

    def require(self, name: str) -> None:
        """Raises OutcryError where others have keys and this sender has none that is valid: nobody would believe what it writes."""
        if self.ring.keys and self.ring.signing(name, self._now_ns(), AHEAD_NS) is None:
            raise OutcryError(f"{self._folder} has no valid key of {name}: make one with `outcry keys init`, or copy it here")

    def proof_of(self, message: Any) -> Proof:
        """Of a message of confluent_kafka that is no error, of a topic of the catalogue."""
        ring = self.ring
        if ring.required_from_ns is None:
            return UNCHECKED
        topic, partition, value = message.topic() or "", message.partition() or 0, message.value() or b""
        try:
            code = code_of(message.headers())
        except (SystemError, UnicodeDecodeError):  # the client's answer to a header whose name is no text: no sender of ours writes one
            code = None
        return ring.proof(topic, partition, value, code, message.timestamp()[1] * 1_000_000)


def read_keyring(folder: Path) -> Keyring:
    """Every key of a folder, none where there is no folder. Raises StaleData."""
    if not folder.is_dir():
        return Keyring()
    return Keyring(tuple(read_key(path) for path in sorted(folder.glob("*.json"))))


def read_key(path: Path) -> Key:
    """One key. Raises StaleData where it is not one of ours, or where others may read it."""
    try:
        if path.stat().st_mode & OTHERS:
            raise StaleData(f"{path} is a secret key that other users may read: chmod 600 {path}")
        content = json.loads(path.read_text())
        return _key_of(content)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StaleData(f"{path} is not a key of records: {type(error).__name__} {error}") from None


def _key_of(content: Mapping[str, Any]) -> Key:
    secret = bytes.fromhex(content["secret"])
    if len(secret) != (0 if content["speaker"] == UNSIGNED else SECRET_BYTES):
        raise ValueError(f"a secret of {len(secret)} bytes")
    if not KEY_ID.fullmatch(content["key_id"]) or content["speaker"] not in (*SPEAKERS, UNSIGNED):
        raise ValueError(f"key_id {content['key_id']!r}, speaker {content['speaker']!r}")
    accounts = tuple((int(first), int(last)) for first, last in content["accounts"])
    until_ns = content["until_ns"]
    return Key(
        str(content["key_id"]),
        str(content["speaker"]),
        secret,
        int(content["from_ns"]),
        None if until_ns is None else int(until_ns),
        accounts,
    )


def content_of(key: Key) -> str:
    """The text of its file."""
    return json.dumps({
        "key_id": key.key_id, "speaker": key.speaker, "secret": key.secret.hex(), "from_ns": key.from_ns, "until_ns": key.until_ns,
        "accounts": [list(one) for one in key.accounts],
    }) + "\n"  # fmt: skip


def new_key(key_id: str, speaker: str, from_ns: int, accounts: tuple[tuple[int, int], ...] = ()) -> Key:
    """With a secret of its own."""
    return Key(key_id, speaker, b"" if speaker == UNSIGNED else secrets.token_bytes(SECRET_BYTES), from_ns, None, accounts)


def _state_of(folder: Path | None) -> object:
    """Something that changes with the files of the folder: each is replaced as a whole, which changes the folder."""
    try:
        return None if folder is None else folder.stat().st_mtime_ns
    except OSError:
        return None


NO_KEYS: Final = RecordKeys(None)
