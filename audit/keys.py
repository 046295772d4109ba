"""Secret keys: of an exchange, from which each of its logs has a key of its own, and of a witness. Kept in files that only their owner may read.

An exchange has one secret, or several after a rotation. The key of a log is derived from it and from the log's origin (HKDF, RFC 5869), because
https://c2sp.org/tlog-policy wants a key of its own for each log. So partitions may be added without a new secret. All secrets that are not retired
sign, so that those who know an old or a new key can check what was signed meanwhile.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from audit.disk import Disk
from audit.notes import COSIGNATURE, ED25519, Checkpoint, Note, PublicKey, Signature, cosigned_text, from_base64, is_name, to_base64
from schemas.errors import OutcryError, StaleData

SECRET_BYTES: Final = 32
OWNER_ONLY: Final = 0o600
_PURPOSE: Final = b"open outcry audit log\n"


@dataclass(frozen=True)
class Signer:
    """A secret key with its name. kind: of audit.notes."""

    name: str
    kind: int
    secret: bytes

    @cached_property
    def public(self) -> PublicKey:
        """What others need to check its signatures."""
        return PublicKey(self.name, self.kind, Ed25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw())

    def sign(self, text: bytes, time_s: int = 0) -> Signature:
        """Of the text of a note. time_s: when, of a cosignature."""
        is_cosignature = self.kind == COSIGNATURE
        signed = Ed25519PrivateKey.from_private_bytes(self.secret).sign(cosigned_text(time_s, text) if is_cosignature else text)
        return Signature(self.name, self.public.key_id, time_s.to_bytes(8, "big") + signed if is_cosignature else signed)


@dataclass(frozen=True)
class ExchangeSecret:
    """made: a date for people. is_retired: signs no longer, but what it has signed can be checked."""

    secret: bytes
    made: str
    is_retired: bool = False

    def signer(self, origin: str) -> Signer:
        """The key of a log."""
        return _derived(self.secret, origin)


@cache
def _derived(secret: bytes, origin: str) -> Signer:
    return Signer(origin, ED25519, HKDF(SHA256(), SECRET_BYTES, None, _PURPOSE + origin.encode()).derive(secret))


@dataclass(frozen=True)
class ExchangeKeys:
    """All secrets of an exchange, the oldest first. name: how the origins of its logs begin, such as exchange.example/audit."""

    name: str
    keys: tuple[ExchangeSecret, ...]

    def origin(self, topic: str, partition: int) -> str:
        """Of the log of a partition."""
        return f"{self.name}/{topic}/{partition}"

    def sign(self, checkpoint: Checkpoint) -> Note:
        """A signed checkpoint; the same one for the same checkpoint and secrets."""
        text = bytes(checkpoint)
        return Note(text, tuple(key.signer(checkpoint.origin).sign(text) for key in self.keys if not key.is_retired))

    def public(self, origin: str) -> list[PublicKey]:
        """The keys with which a log was ever signed."""
        return [key.signer(origin).public for key in self.keys]

    def rotated(self, made: str) -> "ExchangeKeys":
        """With one more secret."""
        return replace(self, keys=(*self.keys, ExchangeSecret(secrets.token_bytes(SECRET_BYTES), made)))

    def retired(self) -> "ExchangeKeys":
        """With only the newest secret signing."""
        return replace(self, keys=(*(replace(key, is_retired=True) for key in self.keys[:-1]), self.keys[-1]))


def new_exchange_keys(name: str, made: str) -> ExchangeKeys:
    """Raises OutcryError for a name that no key may have."""
    _require_name(name)
    return ExchangeKeys(name.rstrip("/"), ()).rotated(made)


def new_witness_key(name: str) -> Signer:
    """Raises OutcryError for a name that no key may have."""
    _require_name(name)
    return Signer(name, COSIGNATURE, secrets.token_bytes(SECRET_BYTES))


def _require_name(name: str) -> None:
    if not is_name(name):
        raise OutcryError(
            f"{name!r} cannot be the name of a key: no spaces, no plus sign; a host name with a path is usual, exchange.example/audit"
        )


def read_exchange_keys(path: Path) -> ExchangeKeys:
    """Raises StaleData where there is no such file, where it is not one of ours, or where others may read it."""
    content = _read(path, "make one with `outcry audit keys create`")
    try:
        return ExchangeKeys(
            content["name"], tuple(ExchangeSecret(_secret(one["secret"]), one["made"], one["is_retired"]) for one in content["keys"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StaleData(f"{path} is not a key file of an exchange: {error!r}") from None


def write_exchange_keys(path: Path, keys: ExchangeKeys, *, is_new: bool = False) -> None:
    """Raises OutcryError for a new file that is there already."""
    content = [{"secret": to_base64(key.secret), "made": key.made, "is_retired": key.is_retired} for key in keys.keys]
    _write(path, {"name": keys.name, "keys": content}, is_new=is_new)


def read_witness_key(path: Path) -> Signer:
    """As read_exchange_keys."""
    content = _read(path, "make one with `outcry audit witness create`")
    try:
        return Signer(content["name"], COSIGNATURE, _secret(content["secret"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StaleData(f"{path} is not the key file of a witness: {error!r}") from None


def write_witness_key(path: Path, key: Signer) -> None:
    """As write_exchange_keys, of a new file."""
    _write(path, {"name": key.name, "secret": to_base64(key.secret)}, is_new=True)


def _secret(text: str) -> bytes:
    secret = from_base64(text, "secret")
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a secret has {SECRET_BYTES} bytes")
    return secret


def _read(path: Path, remedy: str) -> Any:
    try:
        if path.stat().st_mode & 0o077:
            raise StaleData(f"{path} has secret keys, and others than its owner may read it: chmod 600 it, and rotate the keys if they did")
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise StaleData(f"there is no key file {path}: {remedy}") from None
    except (ValueError, OSError) as error:
        raise StaleData(f"{path}, a key file, cannot be read: {error}") from None


def _write(path: Path, content: Mapping[str, object], *, is_new: bool) -> None:
    if is_new and path.exists():
        raise OutcryError(f"{path} is there already: a lost key cannot be made again, so nothing is written over it")
    path.parent.mkdir(parents=True, exist_ok=True)
    Disk().write(path, (json.dumps(content, indent=1) + "\n").encode(), OWNER_ONLY)
