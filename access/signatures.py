"""Signed requests: the bytes that a signature covers, public keys as text, and whether a signature fits. Ed25519 (RFC 8032). No I/O.

Why no HMAC: who checks one must hold what makes one. Stores have nothing by which an order could be sent, and that is to stay so.
"""

import re
from base64 import b64decode
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from schemas.errors import OutcryError

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SIGNED_HEAD: Final = "outcry.v1"
"""The first line of what is signed, so that a signature made for something else is none here."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{43}=")
_FORGERY: Final = b"\x01" + bytes(SIGNATURE_BYTES - 1)
"""R is the neutral point and S is 0: fits one message in eight, or more, of a key of small order, and none of any other key."""
_FORGERIES_TRIED: Final = 128
"""(7/8)^128: one weak key in 26 million would pass."""


def signed_bytes(method: str, path: str, key_id: str, ts_us: int, window_ms: int, body: bytes) -> bytes:
    """What is signed: six lines, then the body as it is sent. None of the lines can have a line feed in it. ts_us: when it was signed, us since 1970."""
    return f"{SIGNED_HEAD}\n{method}\n{path}\n{key_id}\n{ts_us}\n{window_ms}\n".encode("utf-8", "surrogateescape") + body


def public_key_of(text: str) -> bytes:
    """A public key in PEM, or its 32 bytes in base64. Raises OutcryError for what is none, or is good for nothing."""
    key = _from_pem(text) if text.lstrip().startswith("-----BEGIN") else _from_base64(text.strip())
    if any(fits(key, _FORGERY, bytes([number])) for number in range(_FORGERIES_TRIED)):
        raise OutcryError("the public key is of small order: anybody could sign for it")
    return key


def fits(public_key: bytes, signature: bytes, payload: bytes) -> bool:
    """Whether the key's owner has signed these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, payload)
    except (InvalidSignature, ValueError):  # ValueError: the bytes are no key
        return False
    return True


def _from_base64(text: str) -> bytes:
    if not _BASE64.fullmatch(text):
        raise OutcryError("must be an Ed25519 public key: PEM (-----BEGIN PUBLIC KEY-----), or its 32 bytes in base64 (44 characters)")
    return b64decode(text)


def _from_pem(text: str) -> bytes:
    if "PRIVATE KEY" in text:
        raise OutcryError("this is a private key: keep it, make a new one if others may have seen it, and send the public key")
    try:
        key = load_pem_public_key(text.encode())
    except Exception:  # a parser of foreign bytes: whatever it raises, this is no key
        raise OutcryError("the PEM cannot be read as a public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise OutcryError("the key is of another kind than Ed25519")
    return key.public_bytes_raw()
