"""The code of a record: it proves which sender wrote this value to this partition. No I/O; topics.key_files has the files.

A record that the exchange believes carries a Kafka header `mac`:

    12 bytes nonce | 16 bytes tag | the id of the sender's key, ASCII

The tag is AES-256-GMAC (NIST SP 800-38D: GCM with nothing to encrypt) over the value. The key of a partition is HMAC-SHA256 of the sender's secret
over "topic/partition", so a record that somebody copies to another partition proves nothing there. A nonce is 7 random bytes of its process and a
count of 5 bytes.

The state that a role keeps in its changelog carries such a code too, in the value itself (streams.host.snapshot_codes).

Whether a record is believed is a function of the record, of its append time in the log, and of the keys. So a replay decides as the shard did,
as long as a key that was ever valid stays in the folder. Before the first key is valid nothing has to be proved: such a log is older than the keys.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.codec import BadBytes, Frame, schema_of
from topics.sources import NO_CODE, NO_RIGHT, WRONG_CODE, topic_named
from topics.speakers import MAY_BE_UNSIGNED, OPERATOR, UNSIGNED, may_write, why_not

HEADER: Final = "mac"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SECRET_BYTES: Final = 32
_RANDOM_BYTES: Final = 7
KEY_ID_BYTES_MAX: Final = 64
Headers = list[tuple[str, str | bytes | None]]
Sign = Callable[[str, int, bytes], Headers | None]
"""(topic, partition, value) -> headers of the record; None where nothing is signed."""


@dataclass(frozen=True)
class Key:
    """One secret of one sender. key_id: the sender's name, which is its speaker's but for producers, and a number: match-orders-1. from_ns, until_ns: append times of the records that it may sign, from the first one to before the second."""

    key_id: str
    speaker: str
    secret: bytes = field(repr=False)
    from_ns: int
    until_ns: int | None = None
    accounts: tuple[tuple[int, int], ...] = ()
    """Of a producer: the first and the last of each range of accounts that it may trade for; empty: of any."""

    @property
    def name(self) -> str:
        """Of its sender."""
        return self.key_id.rpartition("-")[0]

    @property
    def number(self) -> int:
        """Among the keys of its sender, from 1."""
        return int(self.key_id.rpartition("-")[2])

    def is_valid(self, time_ns: int) -> bool:
        """For a record that was appended then."""
        return self.from_ns <= time_ns and (self.until_ns is None or time_ns < self.until_ns)

    def sealer(self, topic: str, partition: int) -> "Sealer":
        """What makes and checks tags for one partition."""
        sealer = self._sealers.get((topic, partition))
        if sealer is None:
            sealer = self._sealers[topic, partition] = Sealer(self.secret, topic, partition)
        return sealer

    def has_made(self, code: bytes, topic: str, partition: int, value: bytes) -> bool:
        """Whether a code that names this key is its code of a value in a partition."""
        tag = self.sealer(topic, partition).tag(code[:NONCE_BYTES], value)
        return hmac.compare_digest(tag, code[NONCE_BYTES : NONCE_BYTES + TAG_BYTES])

    @cached_property
    def _sealers(self) -> "dict[tuple[str, int], Sealer]":
        return {}

    def headers(self, topic: str, partition: int, value: bytes) -> Headers:
        """Of a record that this sender writes."""
        sealer = self.sealer(topic, partition)
        nonce = sealer.nonce()
        return [(HEADER, nonce + sealer.tag(nonce, value) + self.key_id.encode())]


class Sealer:
    """Tags of one key in one partition."""

    def __init__(self, secret: bytes, topic: str, partition: int) -> None:
        self._cipher = AESGCM(hmac.digest(secret, f"{topic}/{partition}".encode(), hashlib.sha256))
        self._process = secrets.token_bytes(_RANDOM_BYTES)
        self._count = count()

    def nonce(self) -> bytes:
        """One that no other record of this key and partition has."""
        return self._process + next(self._count).to_bytes(NONCE_BYTES - _RANDOM_BYTES, "big")

    def tag(self, nonce: bytes, value: bytes) -> bytes:
        """16 bytes."""
        return self._cipher.encrypt(nonce, b"", value)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of a record's sender. key: whose; None where nothing has to be proved. refusal: why nobody believes it."""

    key: Key | None = None
    refusal: BadBytes | None = None

    def require(self) -> None:
        """Raises BadBytes for a record that nobody may believe."""
        if self.refusal is not None:
            raise self.refusal.with_traceback(None)

    def require_right(self, topic: str, frame: Frame, time_ns: int) -> None:
        """Raises BadBytes for a frame in which the sender says what it may not. time_ns: append time of its record."""
        if self.key is not None and (why := why_not(self.key.speaker, self.key.accounts, topic_named(topic), frame, time_ns)):
            raise BadBytes(NO_RIGHT, f"{self.key.speaker} (key {self.key.key_id}): {why}")

    @property
    def is_operators(self) -> bool:
        """Whether an operator may have written it: what mends the log is believed from nobody else."""
        return self.refusal is None and (self.key is None or self.key.speaker == OPERATOR)


UNCHECKED: Final = Proof()


@dataclass(frozen=True)
class Keyring:
    """All keys that there are."""

    keys: tuple[Key, ...] = ()

    @cached_property
    def required_from_ns(self) -> int | None:
        """Records that were appended from this time on have to prove their sender; None: no record has to."""
        return min((key.from_ns for key in self.keys), default=None)

    @cached_property
    def _by_id(self) -> dict[bytes, Key]:
        return {key.key_id.encode(): key for key in self.keys if key.speaker != UNSIGNED}

    def of(self, name: str) -> list[Key]:
        """The keys of a sender, the one that is valid first before the others."""
        return sorted((key for key in self.keys if key.name == name), key=lambda key: (key.from_ns, key.number))

    def signing(self, name: str, now_ns: int, ahead_ns: int) -> Key | None:
        """The newest key of a sender that is valid now and was so `ahead_ns` ago: the broker's clock may be behind ours. Before the first one is, that one."""
        keys = [key for key in self.of(name) if key.until_ns is None or now_ns + ahead_ns < key.until_ns]
        ripe = [key for key in keys if key.from_ns + ahead_ns <= now_ns]
        return ripe[-1] if ripe else keys[0] if keys else None

    def unsigned(self, time_ns: int) -> Key | None:
        """The entry by which operators let single orders in without a code."""
        return next((key for key in self.keys if key.speaker == UNSIGNED and key.is_valid(time_ns)), None)

    def proof(self, topic: str, partition: int, value: bytes, code: bytes | None, time_ns: int) -> Proof:
        """Of a record of a topic of the catalogue. time_ns: when the broker appended it."""
        if self.required_from_ns is None or time_ns < self.required_from_ns:
            return UNCHECKED
        if code is None:
            return self._proof_without(topic, value, time_ns)
        key = self._named_in(code)
        if isinstance(key, BadBytes):
            return Proof(None, key)
        if not key.is_valid(time_ns):
            return Proof(None, BadBytes(WRONG_CODE, f"key {key.key_id} was not valid at {time_ns} ns"))
        if not key.has_made(code, topic, partition, value):
            return Proof(None, BadBytes(WRONG_CODE, f"the code is not that of key {key.key_id} for this value in {topic}/{partition}"))
        schema = _schema_of(value)
        if schema and not may_write(key.speaker, topic_named(topic), schema):
            return Proof(None, BadBytes(NO_RIGHT, f"{key.speaker} (key {key.key_id}) may not write {schema} to {topic}"))
        return Proof(key)

    def state_refusal(self, speaker: str, topic: str, partition: int, value: bytes, code: bytes, last_ns: int) -> BadBytes | None:
        """Why nobody believes that a role (speaker) has kept this state in a partition of its changelog; None where it has. code: b"" for none.

        last_ns: append time of the last input that the state says to hold. A key is good for what it was good for in the log: for inputs
        before its end, whenever the state was written or is read. So a shard that nobody writes to keeps its state when keys are replaced.
        """
        if self.required_from_ns is None or (not code and 0 < last_ns < self.required_from_ns):
            return None
        if not code:
            return BadBytes(NO_CODE, "nothing proves who has made it")
        key = self._named_in(code)
        if isinstance(key, BadBytes):
            return key
        if key.speaker != speaker:
            return BadBytes(NO_RIGHT, f"key {key.key_id} is not one of {speaker}")
        if key.until_ns is not None and key.until_ns <= last_ns:
            return BadBytes(WRONG_CODE, f"key {key.key_id} had ended at {last_ns} ns, when its last input was appended")
        if not key.has_made(code, topic, partition, value):
            return BadBytes(WRONG_CODE, f"the code is not that of key {key.key_id} for this state in {topic}/{partition}")
        return None

    def _named_in(self, code: bytes) -> Key | BadBytes:
        key_id = code[NONCE_BYTES + TAG_BYTES : NONCE_BYTES + TAG_BYTES + KEY_ID_BYTES_MAX]
        return self._by_id.get(key_id) or BadBytes(WRONG_CODE, f"there is no key {key_id!r}")

    def _proof_without(self, topic: str, value: bytes, time_ns: int) -> Proof:
        if (topic, _schema_of(value)) in MAY_BE_UNSIGNED and (entry := self.unsigned(time_ns)) is not None:
            return Proof(entry)
        return Proof(None, BadBytes(NO_CODE, "nothing proves who has sent it"))


def code_of(headers: Iterable[tuple[str, str | bytes | None]] | None) -> bytes | None:
    """The code among the headers of a record, None where there is none. Of several the last counts, as Kafka has it."""
    found = None
    for name, value in headers or ():
        if name == HEADER:
            found = value.encode() if isinstance(value, str) else value
    return found


def _schema_of(value: bytes) -> str:
    try:
        return schema_of(value)
    except BadBytes:
        return ""  # a dead letter by its own reason
